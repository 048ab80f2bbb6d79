//! One text file per image, in folders that mirror the input, and an index of all.

use std::path::{Path, PathBuf};

use xreport_models::atomic::write_file;

use super::{CsvRows, OutputError, ResultRow, RowWriter};

/// File name of the index.
const INDEX: &str = "index.csv";

/// A folder of text files.
pub struct TextFiles {
    folder: PathBuf,
    index: CsvRows,
}

impl TextFiles {
    /// Starts in `folder`, which is created when needed.
    pub fn create(folder: &Path) -> Result<Self, OutputError> {
        Ok(Self { folder: folder.to_path_buf(), index: CsvRows::create(&folder.join(INDEX))? })
    }
}

/// The text file's name: the image's whole name, extension included, so that `a.png` and `a.jpg` do not collide.
fn text_name(id: &str) -> PathBuf {
    let mut path = PathBuf::new();
    for part in format!("{id}.txt").split('/') {
        // An id can come from a list that somebody wrote: nothing in it may lead out of the folder.
        match part {
            "" | "." | ".." => path.push("_"),
            part => path.push(part.replace([':', '\\'], "_")),
        }
    }
    path
}

impl RowWriter for TextFiles {
    fn write(&mut self, row: &ResultRow) -> Result<(), OutputError> {
        if row.status == "ok" {
            let path = self.folder.join(text_name(&row.id));
            let parent = path.parent().unwrap_or(&self.folder);
            std::fs::create_dir_all(parent).map_err(|source| OutputError::Write { path: path.clone(), source })?;
            write_file(&path, format!("{}\n\n[{}]\n", row.text, row.notice).as_bytes())?;
        }
        self.index.write(row)
    }

    fn finish(self: Box<Self>) -> Result<(), OutputError> {
        Box::new(self.index).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_mirror_the_input_and_stay_inside() {
        assert_eq!(text_name("a/b.png"), Path::new("a/b.png.txt"));
        assert_ne!(text_name("b.jpg"), text_name("b.png"));
        assert_eq!(text_name("../../etc/x.png"), Path::new("_/_/etc/x.png.txt"));
        assert_eq!(text_name("/abs.png"), Path::new("_/abs.png.txt"));
    }
}

//! Where the images of a corpus lie: names alone, so that an index of 100,000 images takes a few megabytes.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs;
use std::path::{Path, PathBuf};

use xreport_models::image::is_image_path;

use super::error::ImportError;

/// Images by a key made of their file name.
pub(super) struct ImageIndex {
    folders: Vec<PathBuf>,
    /// Place of the folder, and file name.
    files: HashMap<String, (u32, String)>,
    /// Files whose key another one has.
    pub(super) repeated: u64,
}

impl ImageIndex {
    /// Finds the images in `folder` and the folders in it; links to folders are not followed. `key` gives the key of a
    /// file name, `None` for files that are none of the corpus. Of two files with one key the first in the order of
    /// their paths counts.
    pub(super) fn read(folder: &Path, key: &dyn Fn(&str) -> Option<String>) -> Result<Self, ImportError> {
        Self::read_all(vec![folder.to_owned()], key)
    }

    /// Likewise in several folders.
    pub(super) fn read_all(
        mut waiting: Vec<PathBuf>,
        key: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ImportError> {
        let mut index = Self { folders: Vec::new(), files: HashMap::new(), repeated: 0 };
        // The last of the stack comes first.
        waiting.reverse();
        while let Some(folder) = waiting.pop() {
            let (mut folders, names) = entries(&folder).map_err(ImportError::read(&folder))?;
            let place = index.folders.len() as u32;
            index.folders.push(folder);
            for name in names {
                let Some(key) = key(&name) else { continue };
                match index.files.entry(key) {
                    Entry::Vacant(entry) => {
                        entry.insert((place, name));
                    }
                    Entry::Occupied(_) => index.repeated += 1,
                }
            }
            folders.reverse();
            waiting.extend(folders);
        }
        Ok(index)
    }

    /// The file name and the path of the image with this key.
    pub(super) fn find(&self, key: &str) -> Option<(&str, PathBuf)> {
        let (folder, name) = self.files.get(key)?;
        Some((name, self.folders[*folder as usize].join(name)))
    }

    /// Number of images.
    pub(super) fn len(&self) -> usize {
        self.files.len()
    }
}

/// The folders and the names of the images of a folder, each in order. Names that are not UTF-8 and hidden files, such as
/// macOS leaves beside each image of an archive, are passed over.
fn entries(folder: &Path) -> std::io::Result<(Vec<PathBuf>, Vec<String>)> {
    let (mut folders, mut names) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.starts_with('.') || name == "__MACOSX" {
            continue;
        }
        if entry.file_type()?.is_dir() {
            folders.push(entry.path());
        } else if is_image_path(&name) {
            names.push(name);
        }
    }
    folders.sort_unstable();
    names.sort_unstable();
    Ok((folders, names))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_found_in_nested_folders_and_the_first_of_a_key_counts() {
        let place = tempfile::tempdir().unwrap();
        for name in ["b/x.png", "a/x.png", "a/deep/y.PNG", ".z.png", "__MACOSX/x.png", "note.txt", "other.png"] {
            let path = place.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let key = |name: &str| (name != "other.png").then(|| name.to_lowercase());
        let index = ImageIndex::read(place.path(), &key).unwrap();
        assert_eq!((index.len(), index.repeated), (2, 1));
        assert_eq!(index.find("x.png").unwrap().1, place.path().join("a/x.png"));
        assert_eq!(index.find("y.png"), Some(("y.PNG", place.path().join("a/deep/y.PNG"))));
        assert_eq!(index.find("other.png"), None);
        assert!(ImageIndex::read(&place.path().join("gone"), &key).is_err());
    }
}

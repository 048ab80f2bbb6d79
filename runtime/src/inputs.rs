//! What is to be drafted: images, folders of images, and CSV files that list images.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use thiserror::Error;
use xreport_models::image::is_image_file;

/// Columns that may hold the path in a CSV of images, the first that is there.
const PATH_COLUMNS: [&str; 4] = ["path", "image", "file", "id"];

/// An image to draft a report for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Path relative to the input it came from, with forward slashes: the result row's id.
    pub id: String,
    /// Where the file lies.
    pub path: PathBuf,
}

/// An entry of a list that names no image: a failed result, not the end of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The list as it was named and the line, as in `list.csv:3`: the result row's id.
    pub id: String,
    /// What is wrong with it.
    pub problem: String,
}

/// Everything found in the inputs.
#[derive(Debug, Default)]
pub struct Inputs {
    /// Images, each input's in order of their ids.
    pub images: Vec<Input>,
    /// Entries of lists that name no image.
    pub refused: Vec<Refused>,
    /// Files in folders that are no images; passed over.
    pub others: usize,
    /// What stands in the way of reading the rest: inputs, folders in them, second files of an id.
    pub unreadable: Vec<InputError>,
}

impl Inputs {
    /// Ids of all of them: images, then what was refused.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.images.iter().map(|input| input.id.as_str()).chain(self.refused.iter().map(|refused| refused.id.as_str()))
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.images.is_empty() && self.refused.is_empty()
    }
}

/// Why inputs cannot be read.
#[derive(Debug, Error)]
pub enum InputError {
    /// The input is not there.
    #[error("no such file or folder: `{}`", .0.display())]
    Missing(PathBuf),
    /// A folder or file cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A CSV cannot be used.
    #[error("`{}`: {problem}", path.display())]
    Csv {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Two inputs answer to one id.
    #[error("two inputs answer to the id `{id}`: `{}` and `{}`\nhint: run them separately, or put them into one folder", first.display(), second.display())]
    SameId {
        /// The id.
        id: String,
        /// First file.
        first: PathBuf,
        /// Second file.
        second: PathBuf,
    },
}

/// Finds the images of all inputs; an error where anything stands in the way.
pub fn collect(paths: &[PathBuf]) -> Result<Inputs, InputError> {
    let mut inputs = find(paths);
    if inputs.unreadable.is_empty() { Ok(inputs) } else { Err(inputs.unreadable.swap_remove(0)) }
}

/// Finds what can be found: what stands in the way is told in [`Inputs::unreadable`], and the rest is there.
pub fn find(paths: &[PathBuf]) -> Inputs {
    let mut inputs = Inputs::default();
    for path in paths {
        if path.is_dir() {
            let first = inputs.images.len();
            walk(path, path, &mut inputs);
            inputs.images[first..].sort_by(|a, b| a.id.cmp(&b.id));
        } else if !path.exists() {
            inputs.unreadable.push(InputError::Missing(path.clone()));
        } else if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv")) {
            if let Err(error) = listed(path, &mut inputs) {
                inputs.unreadable.push(error);
            }
        } else {
            // Named by hand: tried whatever its extension says.
            inputs.images.push(Input { id: relative_id(path, path.parent().unwrap_or(path)), path: path.clone() });
        }
    }
    keep_one_of_each_id(&mut inputs);
    inputs
}

fn walk(root: &Path, folder: &Path, inputs: &mut Inputs) {
    let fail = |path: &Path, source| InputError::Read { path: path.to_path_buf(), source };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => return inputs.unreadable.push(fail(folder, error)),
    };
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                inputs.unreadable.push(fail(folder, error));
                continue;
            }
        };
        let path = entry.path();
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if hidden {
            continue;
        }
        match entry.file_type() {
            // A link to a folder is not followed: it may lead back to where it stands.
            Ok(kind) if kind.is_dir() => walk(root, &path, inputs),
            Ok(_) if is_image_file(&path) => inputs.images.push(Input { id: relative_id(&path, root), path }),
            Ok(_) => inputs.others += 1,
            Err(error) => inputs.unreadable.push(fail(&path, error)),
        }
    }
}

fn listed(csv_path: &Path, inputs: &mut Inputs) -> Result<(), InputError> {
    let fail = |problem: String| InputError::Csv { path: csv_path.to_path_buf(), problem };
    let reader = csv::ReaderBuilder::new().flexible(true).from_path(csv_path);
    let mut reader = reader.map_err(|error| fail(error.to_string()))?;
    let headers = reader.headers().map_err(|error| fail(error.to_string()))?.clone();
    let column = PATH_COLUMNS
        .iter()
        .find_map(|name| headers.iter().position(|header| header.trim().eq_ignore_ascii_case(name)))
        .ok_or_else(|| {
            let found: Vec<_> = headers.iter().collect();
            fail(format!(
                "no column with paths: expected one of {}, found {}\nhint: the paths are relative to the CSV's folder",
                PATH_COLUMNS.join(", "),
                found.join(", ")
            ))
        })?;
    let folder = csv_path.parent().unwrap_or(Path::new(""));
    for record in reader.byte_records() {
        let record = record.map_err(|error| fail(error.to_string()))?;
        match path_in(&record, column, headers.len()) {
            Ok(name) => inputs.images.push(Input { id: name.replace('\\', "/"), path: folder.join(name) }),
            Err(problem) => {
                let line = record.position().map_or(0, csv::Position::line);
                let list = csv_path.display();
                let problem = format!("`{list}`, line {line}: {problem}");
                inputs.refused.push(Refused { id: format!("{list}:{line}"), problem });
            }
        }
    }
    Ok(())
}

/// The path in a row of a list, or what is wrong with the row.
fn path_in(record: &csv::ByteRecord, column: usize, columns: usize) -> Result<&str, String> {
    if record.len() != columns {
        return Err(format!("{columns} fields expected as in the header, found {}", record.len()));
    }
    match std::str::from_utf8(&record[column]).map(str::trim) {
        Ok("") => Err("no path".into()),
        Ok(name) => Ok(name),
        Err(_) => Err("the path is not UTF-8".into()),
    }
}

/// A path below `root`, with forward slashes.
pub(crate) fn relative_id(path: &Path, root: &Path) -> String {
    let relative = path.strip_prefix(root).unwrap_or(path);
    let parts: Vec<_> = relative.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    parts.join("/")
}

/// The first file of an id stays, the others are told.
fn keep_one_of_each_id(inputs: &mut Inputs) {
    let Inputs { images, unreadable, .. } = inputs;
    let mut seen: BTreeMap<&str, &Path> = BTreeMap::new();
    let mut again = HashSet::new();
    for (place, image) in images.iter().enumerate() {
        match seen.entry(&image.id) {
            Entry::Vacant(entry) => _ = entry.insert(&image.path),
            Entry::Occupied(entry) => {
                again.insert(place);
                unreadable.push(InputError::SameId {
                    id: image.id.clone(),
                    first: entry.get().to_path_buf(),
                    second: image.path.clone(),
                });
            }
        }
    }
    let mut places = 0..;
    images.retain(|_| places.next().is_some_and(|place| !again.contains(&place)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(path: &Path) {
        std::fs::create_dir_all(path.parent().expect("has a parent")).expect("folder made");
        std::fs::write(path, b"x").expect("file written");
    }

    #[test]
    fn folders_are_walked_and_other_files_counted() {
        let folder = tempfile::tempdir().expect("temporary folder");
        for name in ["b.png", "a/c.JPG", "a/notes.txt", ".hidden.png"] {
            touch(&folder.path().join(name));
        }
        let inputs = collect(&[folder.path().to_path_buf()]).expect("collected");
        let ids: Vec<_> = inputs.images.iter().map(|image| image.id.as_str()).collect();
        assert_eq!(ids, ["a/c.JPG", "b.png"]);
        assert_eq!(inputs.others, 1);
    }

    #[test]
    fn a_csv_lists_paths_relative_to_itself() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let csv = folder.path().join("list.csv");
        std::fs::write(&csv, "note,Path\nx,sub/a.png\ny,\n").expect("file written");
        let inputs = collect(std::slice::from_ref(&csv)).expect("collected");
        assert_eq!(inputs.images, [Input { id: "sub/a.png".into(), path: folder.path().join("sub/a.png") }]);
        let [refused] = &inputs.refused[..] else { panic!("a row without a path: {:?}", inputs.refused) };
        assert!(refused.id.ends_with("list.csv:3") && refused.problem.ends_with("line 3: no path"), "{refused:?}");
        std::fs::write(&csv, "note\nx\n").expect("file written");
        let error = collect(&[csv]).expect_err("no path column").to_string();
        assert!(error.contains("path, image, file, id") && error.contains("note"), "{error}");
    }

    #[test]
    fn one_id_for_two_files_is_refused() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let paths = [folder.path().join("x/a.png"), folder.path().join("y/a.png")];
        for path in &paths {
            touch(path);
        }
        assert!(matches!(collect(&paths), Err(InputError::SameId { .. })));
    }

    #[test]
    fn what_stands_in_the_way_of_one_does_not_hold_up_the_others() {
        let folder = tempfile::tempdir().expect("temporary folder");
        for name in ["x/a.png", "x/b.png", "y/a.png", "y/c.png"] {
            touch(&folder.path().join(name));
        }
        let list = folder.path().join("list.csv");
        std::fs::write(&list, "note\n").expect("file written");
        let paths = [folder.path().join("gone"), folder.path().join("x"), list, folder.path().join("y")];
        let found = find(&paths);
        let ids: Vec<_> = found.ids().collect();
        assert_eq!(ids, ["a.png", "b.png", "c.png"]);
        assert_eq!(found.images[0].path, folder.path().join("x/a.png"), "the first of an id stays");
        let [missing, list, same] = &found.unreadable[..] else { panic!("three: {:?}", found.unreadable) };
        assert!(matches!(missing, InputError::Missing(_)) && matches!(list, InputError::Csv { .. }));
        assert!(matches!(same, InputError::SameId { id, .. } if id == "a.png"));
        assert!(matches!(collect(&paths), Err(InputError::Missing(_))));
    }
}

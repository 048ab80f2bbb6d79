//! What is to be drafted: images, folders of images, and lists of images (CSV, TSV or text, see [`xreport_models::table`]).
//!
//! An obstacle costs its own input: a row that names no image, a folder that cannot be read, a name that is no text, a
//! second file of an id. Each is told once, as a failed result, and the rest is drafted.

mod candidates;
mod list;
mod names;
#[cfg(test)]
mod tests;
mod walk;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use thiserror::Error;
use xreport_models::image::{is_dicom_without_picture, starts_as_dicom};
use xreport_models::spelling;
use xreport_models::table::TableError;

use candidates::Candidates;

/// Extensions of lists. Excel writes "Unicode text" as `.txt`.
const LIST_EXTENSIONS: [&str; 4] = ["csv", "tsv", "tab", "txt"];

/// An image to draft a report for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Path relative to the input it came from, with forward slashes and composed letters (NFC): the result row's id.
    pub id: String,
    /// Where the file lies.
    pub path: PathBuf,
}

/// What can be no input: a failed result, not the end of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The result row's id: a path, or the list as it was named and the line, as in `list.csv:3`. No other input has it.
    pub id: String,
    /// What is wrong with it.
    pub problem: String,
}

/// Everything found in the inputs.
#[derive(Debug, Default)]
pub struct Inputs {
    /// Images, each input's in order of their ids.
    pub images: Vec<Input>,
    /// What names no image, or one that a row named before.
    pub refused: Vec<Refused>,
    /// Files in folders that are no images, and DICOM files that are made to hold no picture; passed over.
    pub others: usize,
    /// What may be mended while a watcher looks: inputs that are not there, folders and lists that cannot be read, second
    /// files of an id.
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
    /// A list cannot be used.
    #[error(transparent)]
    List(#[from] TableError),
    /// Two inputs answer to one id.
    #[error(
        "two inputs answer to the id `{id}`: {}; the first one is taken\nhint: run them separately, or put them into one folder",
        spelling::both(&first.display().to_string(), &second.display().to_string())
    )]
    SameId {
        /// The id.
        id: String,
        /// First file.
        first: PathBuf,
        /// Second file.
        second: PathBuf,
    },
    /// There is nothing else among the inputs.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    All(Vec<InputError>),
}

impl InputError {
    /// The input, the folder in it, or the second file of an id.
    fn path(&self) -> &Path {
        match self {
            Self::Missing(path) | Self::Read { path, .. } | Self::SameId { second: path, .. } => path,
            Self::List(error) => error.path(),
            Self::All(errors) => errors.first().map_or(Path::new(""), Self::path),
        }
    }
}

/// Finds the images of all inputs. What cannot be read is refused like a row that names no image.
///
/// # Errors
/// [`InputError::All`] where nothing but inputs that cannot be read is left: they are most likely typed wrong.
pub fn collect(paths: &[PathBuf]) -> Result<Inputs, InputError> {
    let mut inputs = find(paths);
    let unreadable = std::mem::take(&mut inputs.unreadable);
    let is_named = |error: &InputError| paths.iter().any(|path| path == error.path());
    if inputs.is_empty() && !unreadable.is_empty() && unreadable.iter().all(is_named) {
        return Err(InputError::All(unreadable));
    }
    let mut taken: HashSet<String> = inputs.ids().map(str::to_owned).collect();
    for error in unreadable {
        let path = error.path();
        // A folder is called as the images in it are: relative to what was named.
        let root = paths.iter().find(|root| *root != path && path.starts_with(root) && !root.as_os_str().is_empty());
        let within =
            root.filter(|_| matches!(error, InputError::Read { .. })).and_then(|root| path.strip_prefix(root).ok());
        let id = names::untaken(names::acceptable(within.unwrap_or(path)), |id| taken.contains(id));
        taken.insert(id.clone());
        inputs.refused.push(Refused { id, problem: error.to_string() });
    }
    Ok(inputs)
}

/// Finds what can be found: what may be read another time is told in [`Inputs::unreadable`], and the rest is there.
pub fn find(paths: &[PathBuf]) -> Inputs {
    let mut inputs = Inputs::default();
    let mut candidates = Candidates::default();
    let mut named = HashSet::new();
    for path in paths {
        if !named.insert(names::absolute(path)) {
            candidates.refuse(names::acceptable(path), format!("`{}` is named twice", path.display()));
        } else if path.is_dir() {
            walk::folder(path, &mut candidates, &mut inputs);
        } else if std::fs::symlink_metadata(path).is_err() {
            inputs.unreadable.push(InputError::Missing(path.clone()));
        } else if is_list(path) {
            if let Err(error) = list::read(path, &mut candidates) {
                inputs.unreadable.push(error);
            }
        } else if is_dicom_without_picture(path) {
            inputs.others += 1;
        } else {
            // Named by hand: tried whatever its extension says.
            candidates.file(path, path.parent().unwrap_or(path));
        }
    }
    (inputs.images, inputs.refused) = candidates.one_of_each_id(&mut inputs.unreadable);
    inputs
}

/// Whether a file that is named by hand lists images.
fn is_list(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    LIST_EXTENSIONS.iter().any(|list| list.eq_ignore_ascii_case(extension)) && !starts_as_dicom(path)
}

/// A path below `root`, with forward slashes.
pub(crate) fn relative_id(path: &Path, root: &Path) -> String {
    names::acceptable(path.strip_prefix(root).unwrap_or(path))
}

//! Which file a table's cell means: the same rule for every command that is given a list or a data set.
//!
//! A cell is a path relative to the folder of its table, or to the folder `images` in it. It is taken as it is written
//! where there is such a file; else `\` counts as `/`, accents in either form meet, and the extension may be left out.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use thiserror::Error;

use crate::image::{is_image_file, is_image_path};
use crate::spelling;
use crate::study_id::without_extension;

/// The folder of images beside a table.
pub const IMAGE_FOLDER: &str = "images";

/// How far the extension of a name counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extension {
    /// A cell may leave it out; one that it has counts.
    Optional,
    /// It does not tell images apart, as in ids: `a.png` finds `a.dcm` where there is no `a.png`.
    Ignored,
}

/// Where a cell leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The file.
    pub path: PathBuf,
    /// Its path relative to the folder in which it was looked for, with forward slashes and composed letters; `None` for
    /// an absolute path.
    pub name: Option<String>,
}

/// Why a cell leads to no file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LookupError {
    /// No file answers to it.
    #[error("there is no such image")]
    Missing,
    /// Several do.
    #[error(
        "several images answer to it: {}\nhint: write the whole name, with its extension",
        spelling::both(first, second)
    )]
    Ambiguous {
        /// One file's name.
        first: String,
        /// Another's.
        second: String,
    },
}

/// Looks files up for the rows of one table. Each folder is listed once, and only where a name is not there as written.
#[derive(Debug)]
pub struct ImageLookup {
    folder: PathBuf,
    listings: HashMap<PathBuf, Listing>,
}

/// The entries of a folder, by what a cell may call them.
#[derive(Debug, Default)]
struct Listing {
    /// By their composed names.
    names: HashMap<String, Vec<OsString>>,
    /// Images by their composed names without extension.
    stems: HashMap<String, Vec<OsString>>,
}

impl ImageLookup {
    /// For a table that lies in `folder`.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), listings: HashMap::new() }
    }

    /// The file that a cell means.
    ///
    /// # Errors
    /// [`LookupError`]; it names files, not the cell.
    pub fn find(&mut self, cell: &str, extension: Extension) -> Result<Found, LookupError> {
        let slashed = cell.replace('\\', "/");
        for written in [cell, &slashed] {
            let path = self.folder.join(written);
            if is_there(&path) {
                return Ok(Found { path, name: relative(written) });
            }
        }
        let path = Path::new(&slashed);
        if path.is_absolute() {
            let root: PathBuf = path.components().take_while(|part| !matches!(part, Component::Normal(_))).collect();
            let below = path.strip_prefix(&root).map_err(|_| LookupError::Missing)?;
            let (path, _) = self.below(&root, &below.to_string_lossy(), extension)?;
            return Ok(Found { path, name: None });
        }
        let images = self.folder.join(IMAGE_FOLDER);
        let within = slashed.trim_start_matches("./");
        let within = within.strip_prefix(IMAGE_FOLDER).and_then(|rest| rest.strip_prefix('/')).unwrap_or(within);
        for (root, written) in [(self.folder.clone(), slashed.as_str()), (images, within)] {
            match self.below(&root, written, extension) {
                Err(LookupError::Missing) => {}
                other => return other.map(|(path, name)| Found { path, name: relative(&name) }),
            }
        }
        Err(LookupError::Missing)
    }

    /// Goes down from `root` part by part; the path, and the names on the way.
    fn below(&mut self, root: &Path, written: &str, extension: Extension) -> Result<(PathBuf, String), LookupError> {
        let parts: Vec<&str> = written.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        let (last, folders) = parts.split_last().ok_or(LookupError::Missing)?;
        let (mut path, mut names) = (root.to_owned(), Vec::new());
        for part in folders {
            let name =
                if *part == ".." { part.into() } else { self.entry(&path, part)?.ok_or(LookupError::Missing)? };
            names.push(spelling::composed(&name.to_string_lossy()).into_owned());
            path.push(name);
        }
        let name = match self.entry(&path, last)? {
            Some(name) if !path.join(&name).is_dir() => name,
            _ => self.image(&path, last, extension)?,
        };
        names.push(spelling::composed(&name.to_string_lossy()).into_owned());
        path.push(name);
        Ok((path, names.join("/")))
    }

    /// The entry of a folder with this name, in whatever form its accents are.
    fn entry(&mut self, folder: &Path, name: &str) -> Result<Option<OsString>, LookupError> {
        if is_there(&folder.join(name)) || folder.join(name).is_dir() {
            return Ok(Some(name.into()));
        }
        match self.listing(folder).names.get(&*spelling::composed(name)).map(Vec::as_slice) {
            None | Some([]) => Ok(None),
            Some([one]) => Ok(Some(one.clone())),
            Some([first, second, ..]) => Err(ambiguous(first, second)),
        }
    }

    /// The image of a folder with this name but for its extension.
    fn image(&mut self, folder: &Path, name: &str, extension: Extension) -> Result<OsString, LookupError> {
        if extension == Extension::Optional && is_image_path(name) {
            return Err(LookupError::Missing);
        }
        let stem = spelling::composed(without_extension(name)).into_owned();
        match self.listing(folder).stems.get(&stem).map(Vec::as_slice) {
            None | Some([]) => Err(LookupError::Missing),
            Some([one]) => Ok(one.clone()),
            Some([first, second, ..]) => Err(ambiguous(first, second)),
        }
    }

    fn listing(&mut self, folder: &Path) -> &Listing {
        self.listings.entry(folder.to_owned()).or_insert_with(|| Listing::of(folder))
    }
}

impl Listing {
    /// What cannot be listed holds nothing.
    fn of(folder: &Path) -> Self {
        let mut listing = Self::default();
        // The folder of `list.csv` has no name.
        let listed = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let entries = std::fs::read_dir(listed).into_iter().flatten().flatten();
        // In order, so that a message names the same two files wherever it comes from.
        let mut names: Vec<OsString> = entries.map(|entry| entry.file_name()).collect();
        names.sort_unstable();
        for name in names {
            let Some(text) = name.to_str() else { continue };
            let text = spelling::composed(text);
            if is_image_file(&folder.join(&name)) {
                listing.stems.entry(without_extension(&text).to_owned()).or_default().push(name.clone());
            }
            listing.names.entry(text.into_owned()).or_default().push(name);
        }
        listing
    }
}

/// Whether there is something that could be an image: a link that leads nowhere is there, and fails by itself.
fn is_there(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok() && !path.is_dir()
}

fn ambiguous(first: &OsString, second: &OsString) -> LookupError {
    let [first, second] = [first, second].map(|name| name.to_string_lossy().into_owned());
    LookupError::Ambiguous { first, second }
}

/// A relative path with forward slashes, composed letters and nothing needless; `None` for an absolute one.
fn relative(written: &str) -> Option<String> {
    if Path::new(written).is_absolute() {
        return None;
    }
    let slashed = written.replace('\\', "/");
    let parts: Vec<&str> = slashed.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    Some(spelling::composed(&parts.join("/")).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, b"x").unwrap();
        }
        folder
    }

    /// The file that a cell finds, relative to the folder, and its name.
    fn find(folder: &Path, cell: &str, extension: Extension) -> Result<(String, Option<String>), LookupError> {
        let Found { path, name } = ImageLookup::new(folder).find(cell, extension)?;
        let path = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().replace('\\', "/");
        Ok((path, name))
    }

    #[test]
    fn a_cell_finds_its_image_beside_the_table_or_in_its_image_folder() {
        let place = folder(&["x.png", "images/p1/a.PNG", "images/b.dcm", "sub/c d.jpg"]);
        for (cell, path, name) in [
            ("x.png", "x.png", "x.png"),
            ("./x", "x.png", "x.png"),
            ("p1/a", "images/p1/a.PNG", "p1/a.PNG"),
            ("p1\\a", "images/p1/a.PNG", "p1/a.PNG"),
            ("images/p1/a", "images/p1/a.PNG", "images/p1/a.PNG"),
            ("images\\p1\\a.PNG", "images/p1/a.PNG", "images/p1/a.PNG"),
            ("b", "images/b.dcm", "b.dcm"),
            ("sub//c d", "sub/c d.jpg", "sub/c d.jpg"),
        ] {
            let found = find(place.path(), cell, Extension::Optional).unwrap_or_else(|error| panic!("{cell}: {error}"));
            assert_eq!((found.0.trim_start_matches("./"), found.1.as_deref()), (path, Some(name)), "{cell}");
        }
        for cell in ["y", "p1", "images", "b.png", "..", "."] {
            assert_eq!(find(place.path(), cell, Extension::Optional), Err(LookupError::Missing), "{cell}");
        }
        assert_eq!(find(place.path(), "b.png", Extension::Ignored).unwrap().0, "images/b.dcm");
        let absolute = place.path().join("images/p1/a");
        let found = ImageLookup::new(Path::new("elsewhere")).find(absolute.to_str().unwrap(), Extension::Optional);
        assert_eq!(found, Ok(Found { path: absolute.with_extension("PNG"), name: None }));
    }

    #[test]
    fn accents_meet_in_either_form() {
        let place = folder(&["images/Mu\u{308}ller/e\u{301}.png", "o\u{308}.png", "\u{fc}.png"]);
        let name = Some("M\u{fc}ller/\u{e9}.png".to_owned());
        for cell in ["M\u{fc}ller/\u{e9}.png", "M\u{fc}ller/\u{e9}", "Mu\u{308}ller/\u{e9}.png"] {
            assert_eq!(find(place.path(), cell, Extension::Optional).unwrap().1, name);
        }
        assert_eq!(find(place.path(), "u\u{308}.png", Extension::Optional).unwrap().0, "\u{fc}.png");
        assert_eq!(find(place.path(), "\u{f6}.png", Extension::Optional).unwrap().1.as_deref(), Some("\u{f6}.png"));
    }

    #[test]
    fn several_images_of_one_name_are_told() {
        let place = folder(&["a.png", "a.dcm", "\u{e9}x.png", "e\u{301}x.jpg"]);
        let error = find(place.path(), "a", Extension::Optional).unwrap_err().to_string();
        assert!(error.contains("`a.dcm` and `a.png`") && error.contains("hint: "), "{error}");
        assert_eq!(find(place.path(), "a.png", Extension::Ignored).unwrap().0, "a.png", "the whole name decides");
        let error = find(place.path(), "\u{e9}x", Extension::Optional).unwrap_err().to_string();
        assert!(error.contains("`e\u{301}x.jpg` and `\u{e9}x.png`"), "{error}");
    }
}

//! The one rule for ids, wherever rows meet: data set, results, score.
//!
//! An id is a path relative to the images, with forward slashes; a leading `images/` and a known extension do not
//! matter, nor whether an accent is a character of its own. `images\p10\a.PNG`, `p10/a.dcm` and `p10/a` are one id:
//! `p10/a`.

use std::collections::BTreeMap;
use std::fmt;

use crate::image::KNOWN_EXTENSIONS;
use crate::spelling;

/// The folder that an id may begin with.
const IMAGE_FOLDER: &str = "images";

/// What can be wrong with an id or with a set of files.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum StudyIdError {
    /// The id names no file.
    #[error("id `{id}` is empty, expected a path like `p10/image` relative to the images")]
    Empty {
        /// The id as given.
        id: String,
    },
    /// The id is an absolute path.
    #[error(
        "id `{id}` is an absolute path, expected a path relative to the images\nhint: leave out the drive and the folder of the data set"
    )]
    Absolute {
        /// The id as given.
        id: String,
    },
    /// The id leaves the folder of the images.
    #[error("id `{id}` contains `..`, expected a path within the folder of the images")]
    Parent {
        /// The id as given.
        id: String,
    },
    /// Two files answer to one id.
    #[error(
        "id `{id}` is ambiguous: both {} answer to it{}\nhint: rename or remove one of them; the extension does not tell ids apart",
        spelling::both(first, second),
        if *others > 0 { format!(" (and {others} more such ids)") } else { String::new() }
    )]
    Collision {
        /// The id.
        id: String,
        /// One file.
        first: String,
        /// The other file.
        second: String,
        /// How many further collisions there are.
        others: usize,
    },
    /// No file answers to the id.
    #[error("no image for id `{id}` among {files} files\nhint: ids are paths relative to the images, case matters")]
    Unknown {
        /// The id.
        id: String,
        /// Number of files in the index.
        files: usize,
    },
}

/// A normalised id. Ids are case-sensitive.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StudyId(String);

impl StudyId {
    /// Normalises an id or a relative path: surrounding white space, `.` parts and doubled slashes go, `\` becomes `/`,
    /// one leading `images/` and a known image or DICOM extension go, and letters are composed (NFC).
    ///
    /// Other dots stay, so that a DICOM UID keeps its last number.
    ///
    /// # Errors
    /// An empty id, an absolute path (also of Windows), or one with `..`.
    pub fn normalise(raw: &str) -> Result<Self, StudyIdError> {
        let given = || raw.to_owned();
        let path = spelling::composed(raw.trim()).replace('\\', "/");
        // Without a slash behind it, `c:` begins a file's name like another: Linux and macOS know no drives.
        let has_drive = matches!(path.as_bytes(), [drive, b':', b'/', ..] if drive.is_ascii_alphabetic());
        if path.starts_with('/') || has_drive {
            return Err(StudyIdError::Absolute { id: given() });
        }
        let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        if parts.contains(&"..") {
            return Err(StudyIdError::Parent { id: given() });
        }
        if parts.len() > 1 && parts[0] == IMAGE_FOLDER {
            parts.remove(0);
        }
        let Some(name) = parts.last_mut() else {
            return Err(StudyIdError::Empty { id: given() });
        };
        *name = without_extension(name);
        Ok(Self(parts.join("/")))
    }

    /// The id: forward slashes, no leading `images/`, no extension.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StudyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<StudyId> for String {
    fn from(id: StudyId) -> Self {
        id.0
    }
}

/// A file name without one known extension. A name that is nothing but an extension (`.png`) stays.
pub(crate) fn without_extension(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() => {
            if KNOWN_EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension)) { stem } else { name }
        }
        _ => name,
    }
}

/// Which file answers to which id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdIndex {
    files: BTreeMap<StudyId, String>,
}

impl IdIndex {
    /// Builds the index over paths relative to the images. The same path twice is one file.
    ///
    /// # Errors
    /// A path that is no id, or two files that answer to one id: the first such pair in the order of ids, and how many
    /// more there are.
    pub fn new<P>(paths: impl IntoIterator<Item = P>) -> Result<Self, StudyIdError>
    where
        P: Into<String>,
    {
        let mut files: BTreeMap<StudyId, String> = BTreeMap::new();
        let mut collisions: BTreeMap<StudyId, (String, String)> = BTreeMap::new();
        for path in paths {
            let path = path.into();
            let id = StudyId::normalise(&path)?;
            match files.get(&id) {
                Some(first) if *first != path => {
                    collisions.entry(id).or_insert_with(|| (first.clone(), path));
                }
                Some(_) => {}
                None => {
                    files.insert(id, path);
                }
            }
        }
        let others = collisions.len().saturating_sub(1);
        match collisions.pop_first() {
            Some((id, (first, second))) => Err(StudyIdError::Collision { id: id.into(), first, second, others }),
            None => Ok(Self { files }),
        }
    }

    /// The path, as it was given to [`new`](Self::new), of the file that answers to an id in any spelling.
    ///
    /// # Errors
    /// A malformed id, or [`StudyIdError::Unknown`].
    pub fn resolve(&self, raw: &str) -> Result<&str, StudyIdError> {
        let id = StudyId::normalise(raw)?;
        self.files
            .get(&id)
            .map(String::as_str)
            .ok_or_else(|| StudyIdError::Unknown { id: id.into(), files: self.files.len() })
    }

    /// Ids and paths in the order of ids.
    pub fn iter(&self) -> impl Iterator<Item = (&StudyId, &str)> {
        self.files.iter().map(|(id, path)| (id, path.as_str()))
    }

    /// Number of files.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there are no files.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(raw: &str) -> String {
        StudyId::normalise(raw).unwrap().into()
    }

    #[test]
    fn all_spellings_of_an_id_are_one() {
        for spelling in [
            "p10/a",
            "p10/a.png",
            "p10/a.PNG",
            "p10/a.dcm",
            "images/p10/a.jpg",
            r"images\p10\a.jpeg",
            "./p10//a",
            " p10/a.tiff\n",
            "./images/./p10/a",
        ] {
            assert_eq!(id(spelling), "p10/a", "{spelling}");
        }
    }

    #[test]
    fn composed_and_decomposed_letters_are_one_id() {
        assert_eq!(id("images/Re\u{301}sume\u{301} 1.png"), "R\u{e9}sum\u{e9} 1");
        assert_eq!(id("胸部/a b.dcm"), "胸部/a b");
        let index = IdIndex::new(["e\u{301}.png"]).unwrap();
        assert_eq!(index.resolve("\u{e9}").unwrap(), "e\u{301}.png");
        let error = IdIndex::new(["\u{e9}.png", "e\u{301}.png"]).unwrap_err().to_string();
        assert!(error.contains("U+00E9 in the first is U+0065 U+0301 in the second"), "{error}");
    }

    #[test]
    fn what_is_no_extension_and_no_image_folder_stays() {
        assert_eq!(id("1.2.840.113619.2"), "1.2.840.113619.2");
        assert_eq!(id("1.2.840.113619.2.dcm"), "1.2.840.113619.2");
        assert_eq!(id("a.png.png"), "a.png");
        assert_eq!(id("a.txt"), "a.txt");
        assert_eq!(id(".png"), ".png");
        assert_eq!(id("images/images/a"), "images/a");
        assert_eq!(id("images"), "images");
        assert_eq!(id("images.png"), "images");
        assert_eq!(id("p10/images/a"), "p10/images/a");
        assert_eq!(id("Images/a"), "Images/a");
        assert_eq!(id("a..b/c...png"), "a..b/c..");
        assert_eq!(id("c:a.png"), "c:a");
    }

    #[test]
    fn paths_out_of_the_folder_are_refused() {
        for absolute in ["/a.png", r"\a.png", r"C:\scans\a.png", "c:/a", r"\\server\share\a"] {
            let error = StudyId::normalise(absolute).unwrap_err();
            assert!(matches!(error, StudyIdError::Absolute { .. }), "{absolute}: {error}");
        }
        for parent in ["../a", "a/../b", r"a\..\..\b", "images/..", ".."] {
            let error = StudyId::normalise(parent).unwrap_err();
            assert!(matches!(error, StudyIdError::Parent { .. }), "{parent}: {error}");
        }
        for empty in ["", "  ", ".", "./"] {
            let error = StudyId::normalise(empty).unwrap_err();
            assert!(matches!(error, StudyIdError::Empty { .. }), "{empty}: {error}");
        }
    }

    #[test]
    fn index_resolves_any_spelling() {
        let index = IdIndex::new(["images/p10/a.png", "b.dcm", "b.dcm"]).unwrap();
        assert_eq!(index.len(), 2);
        assert_eq!(index.resolve("p10/a").unwrap(), "images/p10/a.png");
        assert_eq!(index.resolve("b.jpg").unwrap(), "b.dcm");
        let ids: Vec<&str> = index.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(ids, ["b", "p10/a"]);
        assert_eq!(index.resolve("c"), Err(StudyIdError::Unknown { id: "c".to_owned(), files: 2 }));
    }

    #[test]
    fn two_files_with_one_id_are_both_named() {
        let error = IdIndex::new(["z.png", "a/b.png", "a/b.dcm", "images/a/b.png", "images/z.png"]).unwrap_err();
        assert_eq!(
            error,
            StudyIdError::Collision {
                id: "a/b".to_owned(),
                first: "a/b.png".to_owned(),
                second: "a/b.dcm".to_owned(),
                others: 1,
            }
        );
        let message = error.to_string();
        assert!(message.contains("`a/b.png` and `a/b.dcm`") && message.contains("1 more"), "{message}");
    }
}

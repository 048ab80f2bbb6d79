//! Why an import cannot start, or cannot go on.

use std::io;
use std::path::{Path, PathBuf};

use xreport_models::atomic::AtomicError;

/// The import as a whole fails. What concerns one study alone is a [`Reason`](super::Reason) to leave it out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The folder to write holds something else.
    #[error(
        "`{}` is not empty and holds no import (it holds `{found}`): nothing was written\n\
         hint: name a new or empty folder with --out", path.display()
    )]
    NotEmpty {
        /// The folder.
        path: PathBuf,
        /// The first entry found.
        found: String,
    },
    /// The folder to write holds another import.
    #[error(
        "`{}` holds an import of {found}, expected {expected}: nothing was written\n\
         hint: name a new or empty folder with --out", path.display()
    )]
    OtherImport {
        /// The folder.
        path: PathBuf,
        /// Corpus and source of this import.
        expected: String,
        /// Corpus and source of the one that is there.
        found: String,
    },
    /// The folder's note of its import cannot be understood.
    #[error("`{}` is damaged: {problem}\nhint: delete it, or name a new folder with --out", path.display())]
    Marker {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Something of the corpus is not where it should be.
    #[error("{what} not found: expected `{}`\nhint: {hint}", path.display())]
    Missing {
        /// What is looked for.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// What to do.
        hint: &'static str,
    },
    /// A file or folder of the corpus cannot be read.
    #[error("cannot read `{}`: {source}\nhint: check the file and its permissions; an archive may be cut off", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system or the decoder said.
        source: io::Error,
    },
    /// A table of the corpus cannot be understood.
    #[error("`{}`: {problem}", path.display())]
    Table {
        /// The file.
        path: PathBuf,
        /// What is wrong, with a hint where there is one.
        problem: String,
    },
    /// A file of the data folder cannot be written.
    #[error(
        "cannot {action} `{}`: {source}\nhint: the same command goes on from here once that is mended", path.display()
    )]
    Write {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A small file of the data folder cannot be written.
    #[error(transparent)]
    Atomic(#[from] AtomicError),
    /// The options contradict each other.
    #[error("{0}")]
    Options(String),
    /// Nothing was left to write.
    #[error("nothing to import from `{}`: {read} studies read, each of them left out\n{summary}", path.display())]
    Nothing {
        /// The source.
        path: PathBuf,
        /// What was read.
        read: u64,
        /// Why, by kind.
        summary: String,
    },
}

impl ImportError {
    /// Makes a [`Self::Read`] of what the system said.
    pub(super) fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Read { path, source }
    }

    /// Makes a [`Self::Write`] of what the system said.
    pub(super) fn write(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Write { action, path, source }
    }

    /// A [`Self::Table`].
    pub(super) fn table(path: &Path, problem: impl Into<String>) -> Self {
        Self::Table { path: path.to_owned(), problem: problem.into() }
    }

    /// A [`Self::Table`], or [`Self::Read`] where the file itself failed.
    pub(super) fn csv(path: &Path, error: csv::Error) -> Self {
        let text = error.to_string();
        match error.into_kind() {
            csv::ErrorKind::Io(source) => Self::Read { path: path.to_owned(), source },
            _ => Self::table(path, text),
        }
    }
}

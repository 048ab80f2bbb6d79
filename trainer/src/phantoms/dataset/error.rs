//! What can go wrong with a phantom data set on disk.

use std::io;
use std::path::{Path, PathBuf};

use super::super::observation::ObservationError;
use super::{SAMPLES, SIZES};

/// Why a phantom data set could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum PhantomError {
    /// The sample count is out of range.
    #[error(
        "cannot draw {found} phantoms: expected {} to {}",
        SAMPLES.start(), SAMPLES.end()
    )]
    Samples {
        /// The count that was asked for.
        found: usize,
    },
    /// The image side is out of range.
    #[error(
        "cannot draw phantoms of {found} pixels a side: expected {} to {}\nhint: 256 is the usual size",
        SIZES.start(), SIZES.end()
    )]
    Size {
        /// The size that was asked for.
        found: u32,
    },
    /// The target folder holds something else.
    #[error(
        "`{}` is not empty and is not a phantom data set (it holds `{found}`): nothing was written\n\
         hint: name a new or empty folder with --out", path.display()
    )]
    NotEmpty {
        /// The target folder.
        path: PathBuf,
        /// The first entry that a phantom data set would not hold.
        found: String,
    },
    /// The target is no folder that can be made.
    #[error("`{}` cannot be a folder: {expected}\nhint: name a new or empty folder with --out", path.display())]
    Target {
        /// The target.
        path: PathBuf,
        /// What is in the way.
        expected: &'static str,
    },
    /// A file or folder could not be read or written.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An image could not be encoded.
    #[error("cannot encode `{}`: {source}", path.display())]
    Image {
        /// The image.
        path: PathBuf,
        /// What the encoder said.
        source: image::ImageError,
    },
    /// A CSV file could not be read or written.
    #[error("`{}`: {source}", path.display())]
    Csv {
        /// The file.
        path: PathBuf,
        /// What the CSV reader or writer said.
        source: csv::Error,
    },
    /// A row of `findings.csv` names an unknown observation.
    #[error("`{}`, line {line}, id `{id}`: {source}", path.display())]
    Observation {
        /// The file.
        path: PathBuf,
        /// Line in the file, from 1.
        line: u64,
        /// The row's id.
        id: String,
        /// The label that was found.
        source: ObservationError,
    },
    /// A row of `findings.csv` cannot be understood.
    #[error("`{}`, line {line}: found `{found}`, expected {expected}", path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// Line in the file, from 1.
        line: u64,
        /// What stands there.
        found: String,
        /// What should.
        expected: &'static str,
    },
}

/// Makes an [`PhantomError::Io`] of what the system said.
pub(super) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PhantomError {
    let path = path.to_owned();
    move |source| PhantomError::Io { action, path, source }
}

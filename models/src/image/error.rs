//! What can be wrong with an image file.

use std::path::PathBuf;

use super::gate::{self, Concern};

/// Why an image could not be read; every variant names the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// There is nothing at this path.
    #[error("image `{}` does not exist\nhint: check the name, the folder and the extension", path.display())]
    Missing {
        /// The path as given.
        path: PathBuf,
    },
    /// The path is a folder.
    #[error("`{}` is a folder, expected an image file", path.display())]
    Folder {
        /// The path as given.
        path: PathBuf,
    },
    /// The path is a pipe, a socket or a device.
    #[error("`{}` is not a regular file, expected an image file", path.display())]
    NotAFile {
        /// The path as given.
        path: PathBuf,
    },
    /// The file has no bytes.
    #[error("image `{}` is empty: expected an image, found 0 bytes\nhint: copy the file again", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The operating system could not read the file.
    #[error("cannot read image `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The file is larger than [`Limits::max_file_bytes`](super::Limits::max_file_bytes).
    #[error(
        "image `{}` is too large a file: found {bytes} bytes, expected at most {limit}\nhint: store it compressed or at a lower resolution",
        path.display()
    )]
    FileTooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The largest size that is read.
        limit: u64,
    },
    /// The content is not an image of any format known here.
    #[error(
        "`{}` is not an image that can be read here: expected PNG, JPEG, BMP, TIFF, WebP, GIF, PNM or DICOM content, found {found}\nhint: the content counts, not the file's extension",
        path.display()
    )]
    NotAnImage {
        /// The file.
        path: PathBuf,
        /// What the content looks like.
        found: String,
    },
    /// A DICOM file that is made to hold no picture: a report, a directory, the settings of a viewer.
    #[error("`{}` holds no picture: it is {found}\nhint: leave such files out; nothing can be drafted from them", path.display())]
    NoPicture {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: String,
    },
    /// The format is known, but not this kind of it.
    #[error(
        "image `{}` is a kind of {format} that cannot be read here: {detail}\nhint: convert it to an 8-bit or 16-bit grey PNG",
        path.display()
    )]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The format's name.
        format: &'static str,
        /// What is not supported.
        detail: String,
    },
    /// The file is truncated or otherwise broken.
    #[error(
        "image `{}` is damaged: expected a complete {format} file, found: {detail}\nhint: copy or export the file again",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The format's name.
        format: &'static str,
        /// What is broken.
        detail: String,
    },
    /// The picture would need more pixels or memory than [`Limits`](super::Limits) allow.
    #[error(
        "image `{}` is too large: found {width}×{height} pixels, expected {limit}\nhint: store it at a lower resolution; the network sees a much smaller picture anyway",
        path.display()
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Width that the file claims, in pixels.
        width: u32,
        /// Height that the file claims, in pixels.
        height: u32,
        /// The limit that it breaks, in words.
        limit: String,
    },
    /// The gate does not let it through.
    #[error(
        "image `{}` is refused: {}\nhint: `--gate warn` takes it all the same and says so",
        path.display(), gate::listed(concerns)
    )]
    Refused {
        /// The file.
        path: PathBuf,
        /// Every reason.
        concerns: Vec<Concern>,
    },
    /// The preprocessing settings make no sense.
    #[error("image preprocessing: `{field}` is {found}, expected {expected}")]
    Settings {
        /// The setting.
        field: &'static str,
        /// What it may be.
        expected: String,
        /// What it is.
        found: u32,
    },
}

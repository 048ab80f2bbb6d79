//! Writes TensorBoard event files: `tensorboard --logdir DIR` shows them live.
//!
//! An event file is a row of TFRecords ([`record`]), each of which holds one `Event` message
//! ([`proto`]). Files are only ever appended to. A resumed training opens a new file in the same
//! folder, which is TensorBoard's own convention.

mod proto;
mod record;

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message;
use proto::{
    DATA_CLASS_TENSOR, DT_STRING, Dim, Event, Image, PluginData, SESSION_START, SessionLog, Summary, SummaryMetadata,
    SummaryValue, Tensor, TensorShape,
};

/// What TensorBoard expects in the first event of a file; version 2 makes it honour restarts.
const FILE_VERSION: &str = "brain.Event:2";

/// The colour space code of `Summary.Image`; the viewer decodes the PNG itself and only shows it.
const COLORSPACE_RGB: i32 = 3;

/// What can go wrong while event files are written.
#[derive(Debug, thiserror::Error)]
pub enum TensorBoardError {
    /// The folder could not be made.
    #[error(
        "cannot create the TensorBoard folder `{}`: {source}\nhint: check that the parent folder may be written to, or set USE_TENSORBOARD to false", path.display()
    )]
    CreateFolder {
        /// The folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The event file could not be made.
    #[error(
        "cannot create the TensorBoard event file `{}`: {source}\nhint: check free space and permissions, or set USE_TENSORBOARD to false", path.display()
    )]
    CreateFile {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// An event could not be written.
    #[error(
        "cannot write to the TensorBoard event file `{}`: {source}\nhint: check free space on that disk", path.display()
    )]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The bytes given to [`EventWriter::image`] are no PNG file.
    #[error(
        "image `{tag}` for TensorBoard at step {step}: expected a PNG file, found {found} bytes that do not begin like one"
    )]
    NotPng {
        /// The tag under which it was to be shown.
        tag: String,
        /// The step.
        step: u64,
        /// How many bytes were given.
        found: usize,
    },
}

/// Appends scalars, texts and images to one event file.
///
/// What is written is buffered; [`flush`](Self::flush) hands it to the system, and so does
/// dropping the writer (errors at a drop are lost, so flush at the end of every epoch).
#[derive(Debug)]
pub struct EventWriter {
    path: PathBuf,
    file: BufWriter<File>,
}

impl EventWriter {
    /// Opens a new event file, `events.out.tfevents.<unix seconds>.xreport`, in `dir`, which is
    /// made when it is missing. Earlier files in the folder stay as they are and are shown too.
    ///
    /// The name carries no host name, so that a folder can be passed on as it is.
    ///
    /// # Errors
    /// [`TensorBoardError`] when folder or file cannot be made or written.
    pub fn create(dir: &Path) -> Result<Self, TensorBoardError> {
        fs::create_dir_all(dir).map_err(|source| TensorBoardError::CreateFolder { path: dir.to_owned(), source })?;
        let (path, file) = create_file(dir, wall_time() as u64)?;
        let mut writer = Self { path, file: BufWriter::new(file) };
        writer.write(&Event {
            wall_time: wall_time(),
            file_version: Some(FILE_VERSION.to_owned()),
            ..Event::default()
        })?;
        writer.flush()?;
        Ok(writer)
    }

    /// As [`create`](Self::create), and tells TensorBoard that the training goes on at
    /// `first_step`: what earlier files say of that step and later ones is not shown any more.
    /// After a crash those are the steps between the last checkpoint and the crash, which are
    /// about to be trained again.
    ///
    /// # Errors
    /// [`TensorBoardError`] when folder or file cannot be made or written.
    pub fn resume(dir: &Path, first_step: u64) -> Result<Self, TensorBoardError> {
        let mut writer = Self::create(dir)?;
        writer.write(&Event {
            wall_time: wall_time(),
            step: first_step as i64,
            session_log: Some(SessionLog { status: SESSION_START }),
            ..Event::default()
        })?;
        writer.flush()?;
        Ok(writer)
    }

    /// The event file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// One number, such as the loss, at `step`. A `/` in the tag groups charts
    /// (`loss/training`). NaN and infinities are kept; TensorBoard marks them.
    ///
    /// # Errors
    /// [`TensorBoardError::Write`].
    pub fn scalar(&mut self, tag: &str, step: u64, value: f32) -> Result<(), TensorBoardError> {
        self.summary(step, SummaryValue { tag: tag.to_owned(), simple_value: Some(value), ..SummaryValue::default() })
    }

    /// A text (shown as Markdown), such as a sample report, at `step`.
    ///
    /// # Errors
    /// [`TensorBoardError::Write`].
    pub fn text(&mut self, tag: &str, step: u64, text: &str) -> Result<(), TensorBoardError> {
        self.summary(
            step,
            SummaryValue {
                tag: tag.to_owned(),
                tensor: Some(Tensor {
                    dtype: DT_STRING,
                    shape: Some(TensorShape { dim: vec![Dim { size: 1 }] }),
                    string_val: vec![text.as_bytes().to_vec()],
                }),
                metadata: Some(SummaryMetadata {
                    plugin_data: Some(PluginData { plugin_name: "text".to_owned() }),
                    data_class: DATA_CLASS_TENSOR,
                }),
                ..SummaryValue::default()
            },
        )
    }

    /// A picture, the bytes of a PNG file, at `step`.
    ///
    /// # Errors
    /// [`TensorBoardError::NotPng`] when the bytes are no PNG file, [`TensorBoardError::Write`].
    pub fn image(&mut self, tag: &str, step: u64, png: &[u8]) -> Result<(), TensorBoardError> {
        let Some((width, height)) = png_size(png) else {
            return Err(TensorBoardError::NotPng { tag: tag.to_owned(), step, found: png.len() });
        };
        self.summary(
            step,
            SummaryValue {
                tag: tag.to_owned(),
                image: Some(Image { height, width, colorspace: COLORSPACE_RGB, encoded: png.to_vec() }),
                ..SummaryValue::default()
            },
        )
    }

    /// Hands everything written so far to the system, so that a running TensorBoard sees it.
    ///
    /// # Errors
    /// [`TensorBoardError::Write`].
    pub fn flush(&mut self) -> Result<(), TensorBoardError> {
        let flushed = self.file.flush();
        flushed.map_err(|source| self.write_error(source))
    }

    fn summary(&mut self, step: u64, value: SummaryValue) -> Result<(), TensorBoardError> {
        self.write(&Event {
            wall_time: wall_time(),
            step: step as i64,
            summary: Some(Summary { value: vec![value] }),
            ..Event::default()
        })
    }

    fn write(&mut self, event: &Event) -> Result<(), TensorBoardError> {
        let written = record::write(&mut self.file, &event.encode_to_vec());
        written.map_err(|source| self.write_error(source))
    }

    fn write_error(&self, source: io::Error) -> TensorBoardError {
        TensorBoardError::Write { path: self.path.clone(), source }
    }
}

/// Two runs may begin within the same second: a counter keeps them apart, and still sorts behind.
fn create_file(dir: &Path, seconds: u64) -> Result<(PathBuf, File), TensorBoardError> {
    let name = format!("events.out.tfevents.{seconds:010}.xreport");
    let mut path = dir.join(&name);
    let mut counter = 0;
    loop {
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && counter < 1000 => {
                counter += 1;
                path = dir.join(format!("{name}.{counter:03}"));
            }
            Err(source) => return Err(TensorBoardError::CreateFile { path, source }),
        }
    }
}

/// Seconds since 1970, with fractions; 0 on a machine whose clock stands before that.
fn wall_time() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |elapsed| elapsed.as_secs_f64())
}

/// Width and height in pixels from the IHDR chunk, which the PNG standard puts first.
fn png_size(png: &[u8]) -> Option<(i32, i32)> {
    let header = png.strip_prefix(b"\x89PNG\r\n\x1a\n")?.get(..16)?;
    if &header[4..8] != b"IHDR" {
        return None;
    }
    let side = |at: usize| {
        let bytes = [header[at], header[at + 1], header[at + 2], header[at + 3]];
        i32::try_from(u32::from_be_bytes(bytes)).ok()
    };
    Some((side(8)?, side(12)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(path: &Path) -> Vec<Event> {
        record::read_all(&fs::read(path).unwrap())
            .unwrap()
            .iter()
            .map(|bytes| Event::decode(bytes.as_slice()).unwrap())
            .collect()
    }

    #[test]
    fn the_file_begins_with_its_version_and_keeps_tags_steps_and_values() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = EventWriter::create(&dir.path().join("a/b")).unwrap();
        writer.scalar("loss/training", 7, 0.25).unwrap();
        writer.scalar("loss/training", 5_000_000_000, f32::NAN).unwrap();
        writer.text("sample", 8, "The heart is of normal size.").unwrap();
        writer.flush().unwrap();

        let events = events(writer.path());
        assert_eq!(events.len(), 4);
        assert_eq!(events[0].file_version.as_deref(), Some("brain.Event:2"));
        assert!(events[0].wall_time > 1.6e9);
        let first = &events[1].summary.as_ref().unwrap().value[0];
        assert_eq!((events[1].step, first.tag.as_str()), (7, "loss/training"));
        assert_eq!(first.simple_value, Some(0.25));
        let second = &events[2].summary.as_ref().unwrap().value[0];
        assert_eq!(events[2].step, 5_000_000_000);
        assert!(second.simple_value.unwrap().is_nan());
        let text = &events[3].summary.as_ref().unwrap().value[0];
        let tensor = text.tensor.as_ref().unwrap();
        assert_eq!(tensor.string_val[0], b"The heart is of normal size.");
    }

    #[test]
    fn a_scalar_event_has_the_bytes_of_the_public_format() {
        // Written down by hand from the field numbers, so that a number changed by mistake in
        // `proto` cannot hide behind a decoder that shares the mistake.
        let event = Event {
            wall_time: 1.0,
            step: 3,
            summary: Some(Summary {
                value: vec![SummaryValue { tag: "a".to_owned(), simple_value: Some(0.5), ..SummaryValue::default() }],
            }),
            ..Event::default()
        };
        let expected = [
            0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, // 1: double 1.0
            0x10, 3, // 2: int64 3
            0x2a, 10, 0x0a, 8, // 5: summary, 1: value
            0x0a, 1, b'a', // 1: tag
            0x15, 0, 0, 0, 0x3f, // 2: float 0.5
        ];
        assert_eq!(event.encode_to_vec(), expected);
    }

    #[test]
    fn a_second_writer_in_the_same_second_gets_a_file_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let (first, _) = create_file(dir.path(), 1_700_000_000).unwrap();
        let (second, _) = create_file(dir.path(), 1_700_000_000).unwrap();
        assert_ne!(first, second);
        assert!(first < second, "TensorBoard reads the files in the order of their names");
    }

    #[test]
    fn resume_says_where_the_training_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let writer = EventWriter::resume(dir.path(), 40).unwrap();
        let events = events(writer.path());
        assert_eq!(events[1].step, 40);
        assert_eq!(events[1].session_log.as_ref().map(|log| log.status), Some(SESSION_START));
    }

    #[test]
    fn an_image_carries_the_size_that_its_png_header_states() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = EventWriter::create(dir.path()).unwrap();
        let mut png = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR".to_vec();
        png.extend([0, 0, 1, 0, 0, 0, 0, 9]);
        writer.image("example", 1, &png).unwrap();
        writer.flush().unwrap();
        let events = events(writer.path());
        let image = events[1].summary.as_ref().unwrap().value[0].image.clone().unwrap();
        assert_eq!((image.width, image.height), (256, 9));

        let error = writer.image("example", 2, b"GIF89a").unwrap_err().to_string();
        assert!(error.contains("`example`") && error.contains("step 2"), "{error}");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("taken");
        fs::write(&file, "").unwrap();
        let error = EventWriter::create(&file.join("events")).unwrap_err().to_string();
        assert!(error.contains("taken") && error.contains("hint:"), "{error}");
    }
}

//! Data: from a folder with a table and images to studies, parts and pixels.
//!
//! [`Dataset::open`] reads and checks, [`load`] makes their pixels, [`split`] divides
//! the studies. Whatever cannot be used is reported as a [`Problem`] and left out; texts and
//! patients never appear in a message.

mod cache;
mod further;
mod images;

#[cfg(test)]
mod images_tests;
mod no_text;
mod preview;
mod problem;
mod split;
mod store;
mod studies;
mod table;
#[cfg(test)]
mod table_tests;

pub use cache::folders as cache_folders;
pub use further::{Further, further_columns};
pub use images::{LoadError, Loaded, Loading, fingerprint, gate_summary, load, study_digests};
pub use no_text::{NoText, no_text, text_or_nothing};
pub use preview::{contact_sheet, png};
pub use problem::{Problem, RowFault, Tally, summary, tallies};
pub use split::{Draw, Parts, SplitError, draw_held_out, split};
pub use store::{ImageStore, LostImage};
pub use studies::{Dataset, DatasetError, IMAGE_FOLDER, Study};
pub use table::{CSV_NAMES, Part, Row, Table, TableError, locate, read as read_table, read_with_empty_texts};

//! Imports: the field's public corpora, and tables of one's own, as data folders that the trainer reads.
//!
//! | module | corpus | text |
//! |---|---|---|
//! | [`open_i`] | Indiana University chest X-rays (Open-i): XML archive or Kaggle's CSV pair | reports |
//! | [`mimic_cxr`] | MIMIC-CXR and MIMIC-CXR-JPG | reports, by the official section rules |
//! | [`chestx_ray14`] | ChestX-ray14 of the NIH Clinical Center | made from labels |
//! | [`pneumonia`] | children's radiographs of Kermany et al. | made from labels |
//! | [`pairs`] | any CSV or XLSX that names images and texts | its own |
//! | [`join`] | several data sets, as one | their own |
//!
//! Every import streams: it holds an index of names at most, never texts or pixels of a whole corpus. It writes
//!
//! ```text
//! DIR/XREPORT_dataset.csv    id, text, then sections or labels, view, patient, study, split, text_source
//! DIR/images/                hard links to the corpus's images, or copies, or symbolic links ([`Placement`])
//! DIR/XREPORT_left_out.csv   what was left out, one row each, with the reason
//! DIR/XREPORT_import.json    what was read, written and left out, in numbers ([`Report`])
//! DIR/NOTICE.txt             what the corpus's makers ask to be said; the first line enters every model's notice
//! ```
//!
//! and puts the two tables in place at the very end. An import that was stopped goes on when it is started again:
//! images that are there in full are not placed twice.

pub mod chestx_ray14;
mod csv_source;
mod error;
mod folder;
mod hold_out;
mod image_index;
pub mod join;
mod left_out;
pub mod mimic_cxr;
pub mod open_i;
pub mod pairs;
mod pending;
mod place;
pub mod pneumonia;
mod report;
mod session;
mod text;

pub use error::ImportError;
pub use folder::IMPORT_FILE;
pub use hold_out::{HoldOut, SplitBy};
pub use left_out::Reason;
pub use place::{Placed, Placement};
pub use report::Report;
pub use session::{LEFT_OUT_FILE, Progress, Target};
pub use text::{Sections, Views};

//! Phantom chest radiographs: a data set whose truth is known exactly.
//!
//! Real chest radiographs cannot be shipped, so this module draws its own. [`Findings`] says what a
//! phantom shows; [`draw`](draw::draw) makes the film of it and [`report::write`] the report, both from
//! the same truth; [`dataset::write`] puts many of them into a folder that training reads like any
//! other. Because the truth is known, what a model claims can be checked against it, and not only
//! compared word by word: [`observations_in`] reads the claims out of a text, [`score`](score::score)
//! counts which are true, and on which side.
//!
//! Convention, as on any frontal film: the patient's left is on the image's right.
//!
//! Phantoms test machinery. They are no stand-in for radiographs, and a model trained on them knows
//! nothing about patients.

pub mod dataset;
pub mod draw;
pub mod findings;
pub mod observation;
pub mod read;
pub mod report;
pub mod score;

#[cfg(test)]
mod label_tests;

pub use dataset::{Drawn, PhantomError, Summary, read_findings};
pub use findings::{Findings, Location};
pub use observation::{Device, EffusionSize, Kind, Observation, Side, Zone};
pub use read::observations_in;
pub use score::{BestConstant, Laterality, Pair, Rates, Scores, best_constant};

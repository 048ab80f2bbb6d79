//! End-to-end tests: the real programs, run as a user runs them, each in a folder of its own.
//!
//! One binary, so that the one trained model that most tests look at is trained once ([`trained`]).
#![allow(clippy::unwrap_used, reason = "a test whose scene cannot be set has failed")]

mod arguments;
mod bad_input;
mod batch;
mod checkpoint;
mod closed_output;
mod dicom;
#[path = "../../../models/src/image/dicom/samples.rs"]
#[allow(dead_code, reason = "shared with the unit tests of `models`, which use the rest")]
mod dicom_samples;
mod evaluated;
mod evidence;
mod full_disk;
mod generate;
mod hostile;
mod import;
mod lists;
mod many_tokens;
mod obstacles;
mod original_folders;
mod own_bundles;
mod pipeline;
mod python_peers;
mod ranks;
mod resume;
mod scenes;
mod score;
mod search;
mod settings_live;
mod settings_problems;
mod tampering;
mod texts;
mod trained;
mod validate;
mod variants;
mod watched;
mod workplace;

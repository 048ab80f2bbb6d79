//! End-to-end tests: the real programs, run as a user runs them, each in a folder of its own.
//!
//! One binary, so that the one trained model that most tests look at is trained once ([`trained`]).
#![allow(clippy::unwrap_used, reason = "a test whose scene cannot be set has failed")]

mod bad_input;
mod checkpoint;
mod evaluated;
mod full_disk;
mod generate;
mod original_folders;
mod pipeline;
mod python_peers;
mod resume;
mod scenes;
mod score;
mod settings_live;
mod settings_problems;
mod tampering;
mod trained;
mod watched;
mod workplace;

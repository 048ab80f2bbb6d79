//! A folder of many images as a safe job: what is done is written down at once, and never done again.
//!
//! The [`Ledger`] beside the output is the one record of a run: a line per input, with its result row. Text files, CSV
//! and JSON lines are made from it ([`assemble`]), so that they hold each input once, whenever the run was killed and
//! however often. [`Shard`]s divide a job among machines and [`merge`] joins them; [`Settling`] tells when a file of a
//! watched folder is whole, [`Complaints`] what a watcher has not said yet.

mod assemble;
mod complaints;
mod fingerprint;
mod job;
mod ledger;
mod line;
mod merge;
mod places;
mod settling;
mod shard;

pub use assemble::assemble;
pub use complaints::Complaints;
pub use fingerprint::{Fingerprint, Look};
pub use job::{Counts, Job};
pub use ledger::{Known, Ledger, LedgerError, Settings};
pub use line::End;
pub use merge::{MergeError, Merged, merge};
pub use places::Places;
pub use settling::Settling;
pub use shard::{Shard, ShardError};

//! Training: data prepared, the loop, checkpoints, and what a run says of itself.

mod augment;
mod average;
mod batches;
pub mod bench;
mod captured;
pub mod checkpoint;
pub mod device;
mod diverged;
mod flops;
mod interrupt;
mod journal;
mod memory;
mod optimizer;
mod precision;
mod prepare;
pub mod record;
mod run;
mod sample_reports;
mod saver;
mod schedule;
pub mod seeds;
mod session;
mod step;
mod studies;
mod verification;

pub use augment::augmented;
pub use batches::{Sample, Samples};
pub use diverged::{Diverged, Lost};
pub use journal::{CURVE, METRICS};
pub use prepare::{NOTICE_FILE, Prepared, tokenizer};
pub use run::{Data, Ending, Run};
pub use session::{ResumeRequest, TrainRequest, initialise, resume, train};
pub use verification::{load as load_verification, random as random_verification};

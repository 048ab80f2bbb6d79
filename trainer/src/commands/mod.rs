//! The commands: what was typed, resolved and checked, then one call into the library.

mod bench;
mod dataset;
mod evaluate;
mod export;
mod import;
mod paths;
mod record;
mod score;
mod settings;
mod train;
mod validate;

use clap::Subcommand;

pub use validate::exit_code;

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make data sets
    #[command(subcommand)]
    Dataset(dataset::DatasetCommand),
    /// Train a new model
    Train(train::Train),
    /// Go on with a run that was stopped or killed
    Resume(train::Resume),
    /// Write an untrained checkpoint with its bundle, for benchmarks
    Init(train::Init),
    /// Write a checkpoint's best state as a verified bundle
    Export(export::Export),
    /// Time training steps on random data
    Bench(bench::Bench),
    /// Record batches and losses of a checkpoint's next steps on random data, for a peer that repeats them
    #[command(hide = true)]
    Record(record::Record),
    /// Measure what a bundle writes for a data set
    Evaluate(evaluate::Evaluate),
    /// Compare the texts of any system with reference reports
    Score(score::Score),
}

impl Command {
    /// Runs it.
    pub fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Dataset(command) => command.run(),
            Self::Train(command) => command.run(),
            Self::Resume(command) => command.run(),
            Self::Init(command) => command.run(),
            Self::Export(command) => command.run(),
            Self::Bench(command) => command.run(),
            Self::Record(command) => command.run(),
            Self::Evaluate(command) => command.run(),
            Self::Score(command) => command.run(),
        }
    }
}

//! `xreport-train train`, `resume`, `init`.

use std::path::PathBuf;

use clap::Args;
use xreport_runtime::arguments::output_path;
use xreport_trainer::training::{ResumeRequest, TrainRequest, initialise, resume, train};

use super::paths;
use super::settings::SettingsSource;

/// Train a new model.
#[derive(Debug, Args)]
pub struct Train {
    /// Folder with the data set: XREPORT_dataset.csv (id, text) and images/
    #[arg(long, value_name = "DIR", default_value = paths::DATA)]
    data: PathBuf,
    /// The data set's CSV, where it has another name
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    #[command(flatten)]
    settings: SettingsSource,
    /// Folder of the checkpoint [default: checkpoints/XREPORT-<time>]
    #[arg(long, value_name = "DIR", value_parser = output_path())]
    out: Option<PathBuf>,
    /// Stop after that many epochs as if interrupted; `resume` goes on
    #[arg(long, value_name = "N")]
    stop_after_epochs: Option<usize>,
}

impl Train {
    pub fn run(self) -> anyhow::Result<()> {
        train(TrainRequest {
            data: self.data,
            csv: self.csv,
            settings: self.settings.read()?,
            out: self.out.unwrap_or_else(paths::new_checkpoint),
            stop_after: self.stop_after_epochs,
        })
    }
}

/// Go on with a run that was stopped or killed.
#[derive(Debug, Args)]
pub struct Resume {
    /// Folder of the checkpoint [default: the newest in checkpoints/]
    checkpoint: Option<PathBuf>,
    /// Epochs to add to the run
    #[arg(long, value_name = "N")]
    epochs: Option<usize>,
    /// The data set's folder, where it has moved
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The data set's CSV, where it was named and has moved
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Go back to an older state: a file of the checkpoint's folder, as KEEP_LAST keeps them
    #[arg(long, value_name = "FILE")]
    from: Option<String>,
}

impl Resume {
    pub fn run(self) -> anyhow::Result<()> {
        resume(&ResumeRequest {
            checkpoint: self.checkpoint.map_or_else(paths::newest_checkpoint, Ok)?,
            more_epochs: self.epochs,
            data: self.data,
            csv: self.csv,
            from: self.from,
        })
    }
}

/// Write an untrained checkpoint with its bundle, for benchmarks.
#[derive(Debug, Args)]
pub struct Init {
    #[command(flatten)]
    settings: SettingsSource,
    /// Tokens of the vocabulary, where dataset.VOCABULARY is "corpus"
    #[arg(long, value_name = "N", default_value_t = 5000, value_parser = clap::value_parser!(u64).range(5..=29_000))]
    vocabulary: u64,
    /// Folder of the checkpoint
    #[arg(long, value_name = "DIR", value_parser = output_path())]
    out: PathBuf,
}

impl Init {
    pub fn run(self) -> anyhow::Result<()> {
        initialise(self.settings.read()?, self.vocabulary as usize, self.out)
    }
}

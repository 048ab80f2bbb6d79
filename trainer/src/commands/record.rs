//! `xreport-train record`: for those who compare the training step with another program's.

use std::path::PathBuf;

use clap::Args;
use xreport_runtime::arguments::output_path;
use xreport_trainer::training::record::record;

/// Record batches and losses of a checkpoint's next steps on random data.
#[derive(Debug, Args)]
pub struct Record {
    /// Folder of the checkpoint, as `init` writes it; it stays as it is
    checkpoint: PathBuf,
    /// Steps to make
    #[arg(long, value_name = "N", default_value_t = 20)]
    steps: usize,
    /// The file to write
    #[arg(long, value_name = "FILE", value_parser = output_path())]
    out: PathBuf,
}

impl Record {
    pub fn run(self) -> anyhow::Result<()> {
        record(&self.checkpoint, self.steps, &self.out)
    }
}

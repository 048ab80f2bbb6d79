//! `xreport-train dataset`.

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use xreport_trainer::phantoms;

/// Make data sets.
#[derive(Debug, Subcommand)]
pub enum DatasetCommand {
    /// Draw thorax phantoms whose findings are known exactly
    Phantoms(Phantoms),
}

impl DatasetCommand {
    pub fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Phantoms(command) => command.run(),
        }
    }
}

/// Draw thorax phantoms whose findings are known exactly.
#[derive(Debug, Args)]
pub struct Phantoms {
    /// Folder of the data set; must not exist, or be empty
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Images
    #[arg(long, value_name = "N", default_value_t = 4000)]
    samples: usize,
    /// The same seed draws the same files
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Width and height in pixels
    #[arg(long, value_name = "PIXELS", default_value_t = 256, value_parser = clap::value_parser!(u32).range(64..=2048))]
    size: u32,
}

impl Phantoms {
    fn run(self) -> anyhow::Result<()> {
        let bar =
            if std::io::stderr().is_terminal() { ProgressBar::new(self.samples as u64) } else { ProgressBar::hidden() };
        let style =
            ProgressStyle::with_template("drawing {bar:30} {pos}/{len}  {per_sec}").expect("a well-formed template");
        let bar = bar.with_style(style);
        let summary =
            phantoms::dataset::write(&self.out, self.samples, self.seed, self.size, &|done| bar.set_position(done))?;
        bar.finish_and_clear();
        println!(
            "{} phantoms of {} patients, {} without a finding -> {}",
            summary.samples,
            summary.patients,
            summary.normal,
            self.out.display()
        );
        Ok(())
    }
}

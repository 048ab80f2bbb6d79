//! `xreport-train dataset`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use xreport_runtime::arguments::output_path;
use xreport_runtime::console;
use xreport_trainer::data::{Dataset, contact_sheet};
use xreport_trainer::phantoms;
use xreport_trainer::training::augmented;
use xreport_trainer::training::seeds::Stream;

use super::import::Import;
use super::paths;
use super::settings::SettingsSource;

/// Make data sets.
#[derive(Debug, Subcommand)]
pub enum DatasetCommand {
    /// Draw thorax phantoms whose findings are known exactly
    Phantoms(Phantoms),
    /// Import a public corpus, or a table of one's own, as a data set
    #[command(subcommand)]
    Import(Import),
    /// Write a picture of what the network sees: images preprocessed, and augmented where IMG_AUGMENT is set
    Preview(Preview),
    /// Look at all images and reports of a data set and write a page of what was found
    Validate(super::validate::Validate),
}

impl DatasetCommand {
    pub fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Phantoms(command) => command.run(),
            Self::Import(command) => command.run(),
            Self::Preview(command) => command.run(),
            Self::Validate(command) => command.run(),
        }
    }
}

/// Draw thorax phantoms whose findings are known exactly.
#[derive(Debug, Args)]
pub struct Phantoms {
    /// Folder of the data set; replaced where it holds drawn phantoms and nothing else
    #[arg(long, value_name = "DIR", value_parser = output_path())]
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
        let bar = console::progress_bar(self.samples as u64, "drawing {bar:30} {pos}/{len}  {per_sec}");
        let summary =
            phantoms::dataset::write(&self.out, self.samples, self.seed, self.size, &|done| bar.set_position(done))?;
        bar.finish_and_clear();
        Ok(console::print(format_args!(
            "{} phantoms of {} patients, {} without a finding -> {}",
            summary.samples,
            summary.patients,
            summary.normal,
            self.out.display()
        ))?)
    }
}

/// Write a picture of what the network sees.
#[derive(Debug, Args)]
pub struct Preview {
    /// Folder with the data set
    #[arg(long, value_name = "DIR", default_value = paths::DATA)]
    data: PathBuf,
    /// The data set's CSV, where it has another name
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    #[command(flatten)]
    settings: SettingsSource,
    /// Picture to write, PNG
    #[arg(long, value_name = "FILE", value_parser = output_path())]
    out: PathBuf,
    /// Studies, spread evenly over the data set
    #[arg(long, value_name = "N", default_value_t = 6)]
    studies: usize,
}

impl Preview {
    fn run(self) -> anyhow::Result<()> {
        let settings = self.settings.read()?;
        let preprocessing = settings.preprocessing();
        let dataset = Dataset::open(&self.data, self.csv.as_deref())?;
        let step = dataset.studies.len().div_ceil(self.studies.max(1)).max(1);
        let shown: Vec<_> = dataset.studies.iter().step_by(step).collect();
        let mut pictures = Vec::new();
        for study in &shown {
            pictures.push(preprocessing.load(dataset.images.join(&study.file))?);
        }
        if settings.dataset.img_augment {
            let [height, width, channels] = settings.model.img_shape;
            for index in 0..shown.len() {
                let mut rng = Stream::Augment.rng(settings.training.seed, &[0, index as u64]);
                pictures.push(augmented(&pictures[index], [height, width, channels], &mut rng));
            }
        }
        contact_sheet(&pictures, &preprocessing, shown.len()).save(&self.out)?;
        Ok(console::print(format_args!("{} studies -> {}", shown.len(), self.out.display()))?)
    }
}

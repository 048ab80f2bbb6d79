//! `xreport-train dataset import`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use xreport_runtime::arguments::output_path;
use xreport_runtime::console;
use xreport_trainer::import::open_i::Marks;
use xreport_trainer::import::{
    self, HoldOut, ImportError, Placement, Report, Sections, SplitBy, Target, Views, mimic_cxr,
};

use super::paths;

/// Import a corpus as a data set.
#[derive(Debug, Subcommand)]
pub enum Import {
    /// Open-i (IU X-Ray): NLMCXR_reports.tgz, a folder of its XML reports, or Kaggle's indiana_reports.csv
    OpenI(OpenI),
    /// MIMIC-CXR or MIMIC-CXR-JPG: the folder that holds `files/`; sections by the official rules
    MimicCxr(MimicCxr),
    /// ChestX-ray14 of the NIH: the folder of Data_Entry_2017.csv and images*/; texts made from labels
    #[command(name = "chestx-ray14")]
    ChestXRay14(ChestXRay14),
    /// Children's radiographs of Kermany et al.: chest_xray/{train,val,test}/{NORMAL,PNEUMONIA}; texts made from labels
    Pneumonia(Pneumonia),
    /// Any CSV or XLSX table that names images and texts
    Pairs(Pairs),
    /// Data sets that were made before, as one: their splits stay, patients and images are told apart by their folder's name
    Join(Join),
}

impl Import {
    pub fn run(self) -> anyhow::Result<()> {
        match self {
            Self::OpenI(command) => command.run(),
            Self::MimicCxr(command) => command.run(),
            Self::ChestXRay14(command) => command.run(),
            Self::Pneumonia(command) => command.run(),
            Self::Pairs(command) => command.run(),
            Self::Join(command) => command.run(),
        }
    }
}

/// Where an import goes.
#[derive(Debug, Args)]
struct Destination {
    /// Data folder to write: new, empty, or one that an earlier run of this import left unfinished
    #[arg(long, value_name = "DIR", default_value = paths::DATA, value_parser = output_path())]
    out: PathBuf,
    /// How images get there
    #[arg(long, value_enum, default_value_t = Placement::Auto)]
    place: Placement,
    /// Write the table alone
    #[arg(long, conflicts_with = "place")]
    without_images: bool,
}

impl Destination {
    /// Runs an import with a progress bar, and prints what it did.
    fn import(self, run: impl FnOnce(&Target<'_>) -> Result<Report, ImportError>) -> anyhow::Result<()> {
        let bar = console::progress_bar(0, "importing {bar:30} {percent}%  {msg} rows  {elapsed}");
        let placement = (!self.without_images).then_some(self.place);
        let progress = |progress: import::Progress| {
            if !bar.is_hidden() {
                bar.set_length(progress.total);
                bar.set_position(progress.done);
                bar.set_message(progress.rows.to_string());
            }
        };
        let report = run(&Target { out: self.out.clone(), placement, progress: &progress });
        bar.finish_and_clear();
        let report = report?;
        let remarks = report.remarks();
        if !remarks.is_empty() {
            console::info(remarks);
        }
        if !report.left_out.is_empty() {
            console::info(format_args!("each of them -> {}", self.out.join(import::LEFT_OUT_FILE).display()));
        }
        Ok(console::print(format_args!("{} -> {}", report.summary(), self.out.display()))?)
    }
}

/// Who is held out where the corpus has no split.
#[derive(Debug, Args)]
struct HeldOut {
    /// Percent of the persons whose studies become `test`; drawn by name and seed, a person's studies stay together
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..100))]
    test_percent: Option<u8>,
    /// Percent of the persons whose studies become `validation`; 0 leaves it to training (dataset.VALIDATION_SIZE)
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..100))]
    validation_percent: u8,
    /// Another seed, other persons
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
}

impl HeldOut {
    fn or_percent(&self, test_percent: u8) -> HoldOut {
        let test_percent = self.test_percent.unwrap_or(test_percent);
        HoldOut { test_percent, validation_percent: self.validation_percent, seed: self.seed }
    }
}

/// Open-i.
#[derive(Debug, Args)]
pub struct OpenI {
    /// NLMCXR_reports.tgz, a folder of its XML reports, or Kaggle's indiana_reports.csv
    source: PathBuf,
    #[command(flatten)]
    destination: Destination,
    /// Folder with the images, nested or not [default: the source where it is a folder, else `images` beside it]
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// Kaggle's table that says which image is frontal [default: indiana_projections.csv beside the source]
    #[arg(long, value_name = "FILE")]
    projections: Option<PathBuf>,
    /// Images to take
    #[arg(long, value_enum, default_value_t = Views::Frontal)]
    views: Views,
    /// Sections that make the text
    #[arg(long, value_enum, default_value_t = Sections::Both)]
    sections: Sections,
    /// The de-identification marks XXXX
    #[arg(long, value_enum, default_value_t = Marks::Keep)]
    marks: Marks,
    #[command(flatten)]
    held_out: HeldOut,
}

impl OpenI {
    fn run(self) -> anyhow::Result<()> {
        let options = import::open_i::Options {
            images: self.images,
            projections: self.projections,
            views: self.views,
            sections: self.sections,
            marks: self.marks,
            hold_out: self.held_out.or_percent(10),
        };
        self.destination.import(|target| import::open_i::import(&self.source, &options, target))
    }
}

/// The children's radiographs.
#[derive(Debug, Args)]
pub struct Pneumonia {
    /// The folder chest_xray, or one that holds NORMAL and PNEUMONIA
    source: PathBuf,
    #[command(flatten)]
    destination: Destination,
    /// Who says what is test [default: official where there is a folder `test`, else persons]
    #[arg(long, value_enum)]
    split: Option<SplitBy>,
    #[command(flatten)]
    held_out: HeldOut,
}

impl Pneumonia {
    fn run(self) -> anyhow::Result<()> {
        let options = import::pneumonia::Options { split: self.split, hold_out: self.held_out.or_percent(10) };
        self.destination.import(|target| import::pneumonia::import(&self.source, options, target))
    }
}

/// MIMIC-CXR.
#[derive(Debug, Args)]
pub struct MimicCxr {
    /// The folder that holds `files/p10`, `files/p11`, … with the reports
    source: PathBuf,
    #[command(flatten)]
    destination: Destination,
    /// The folder that holds `files/` with the images, .jpg or .dcm [default: the source]
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// The table of the official split [default: mimic-cxr-2.0.0-split.csv(.gz) in one of these folders]
    #[arg(long, value_name = "FILE")]
    split: Option<PathBuf>,
    /// The table of the views [default: mimic-cxr-2.0.0-metadata.csv(.gz) likewise]
    #[arg(long, value_name = "FILE")]
    metadata: Option<PathBuf>,
    /// Images to take
    #[arg(long, value_enum, default_value_t = Views::Frontal)]
    views: Views,
    /// Sections that make the text
    #[arg(long, value_enum, default_value_t = mimic_cxr::Text::Both)]
    sections: mimic_cxr::Text,
}

impl MimicCxr {
    fn run(self) -> anyhow::Result<()> {
        let options = mimic_cxr::Options {
            images: self.images,
            split: self.split,
            metadata: self.metadata,
            views: self.views,
            text: self.sections,
        };
        self.destination.import(|target| mimic_cxr::import(&self.source, &options, target))
    }
}

/// ChestX-ray14.
#[derive(Debug, Args)]
pub struct ChestXRay14 {
    /// The folder that holds the table, the lists and images*/
    source: PathBuf,
    #[command(flatten)]
    destination: Destination,
    /// The table of the labels [default: Data_Entry_2017_v2020.csv, else Data_Entry_2017.csv, in the source]
    #[arg(long, value_name = "FILE")]
    table: Option<PathBuf>,
    /// Folder with the images, nested or not [default: all folders images* of the source]
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// Who says what is test [default: official where train_val_list.txt and test_list.txt are there, else persons]
    #[arg(long, value_enum)]
    split: Option<SplitBy>,
    /// Label that each text states or denies first, such as Pneumonia: one question, answered in one place
    #[arg(long, value_name = "LABEL")]
    state: Option<String>,
    /// Let the texts say that and no more; the other labels stay in the column `labels`
    #[arg(long, requires = "state")]
    state_alone: bool,
    #[command(flatten)]
    held_out: HeldOut,
}

impl ChestXRay14 {
    fn run(self) -> anyhow::Result<()> {
        let options = import::chestx_ray14::Options {
            table: self.table,
            images: self.images,
            split: self.split,
            hold_out: self.held_out.or_percent(10),
            stated: self.state,
            stated_alone: self.state_alone,
        };
        self.destination.import(|target| import::chestx_ray14::import(&self.source, &options, target))
    }
}

/// Data sets as one.
#[derive(Debug, Args)]
pub struct Join {
    /// Folders of data sets, of different names
    #[arg(required = true, num_args = 2..)]
    data: Vec<PathBuf>,
    #[command(flatten)]
    destination: Destination,
}

impl Join {
    fn run(self) -> anyhow::Result<()> {
        self.destination.import(|target| import::join::import(&self.data, target))
    }
}

/// A table of one's own.
#[derive(Debug, Args)]
pub struct Pairs {
    /// CSV (comma, semicolon, tab or bar; .gz or not) or XLSX
    source: PathBuf,
    #[command(flatten)]
    destination: Destination,
    /// Folder that the table's paths are relative to [default: the table's own, and `images` in it]
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// Sheet of an XLSX file [default: the first]
    #[arg(long, value_name = "NAME")]
    sheet: Option<String>,
    /// Column of the image paths; an extension may be missing
    #[arg(long, value_name = "NAME", default_value = "id")]
    image_column: String,
    /// Column of the text; given several times, their texts are joined in this order
    #[arg(long, value_name = "NAME", default_value = "text")]
    text_column: Vec<String>,
    /// Column of the patients: who is one must not be on both sides of a split
    #[arg(long, value_name = "NAME")]
    patient_column: Option<String>,
    /// Column of the studies
    #[arg(long, value_name = "NAME")]
    study_column: Option<String>,
    /// Column of the views
    #[arg(long, value_name = "NAME")]
    view_column: Option<String>,
    /// Column of the split: train, validation (val, validate) or test
    #[arg(long, value_name = "NAME")]
    split_column: Option<String>,
    /// What every result of a model trained on these texts shall say
    #[arg(long, value_name = "SENTENCE")]
    notice: Option<String>,
    #[command(flatten)]
    held_out: HeldOut,
}

impl Pairs {
    fn run(self) -> anyhow::Result<()> {
        let options = import::pairs::Options {
            images: self.images,
            sheet: self.sheet,
            image: self.image_column,
            text: self.text_column,
            patient: self.patient_column,
            study: self.study_column,
            view: self.view_column,
            split: self.split_column,
            hold_out: self.held_out.or_percent(0),
            notice: self.notice,
        };
        self.destination.import(|target| import::pairs::import(&self.source, &options, target))
    }
}

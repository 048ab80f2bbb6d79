//! `xreport generate`.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::ensure;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use xreport_models::bundle::{Bundle, VariantRequest};
use xreport_models::image::{Gate, GateMode, Views};
use xreport_runtime::decoding::Guessing;
use xreport_runtime::device::{DeviceRequest, PrecisionRequest};
use xreport_runtime::drafting::Drafter;
use xreport_runtime::generate::{RunOptions, Tally, generate};
use xreport_runtime::inputs;
use xreport_runtime::model::SessionOptions;
use xreport_runtime::output::{Format, writer};

use super::search::SearchArguments;
use super::{exit, model_path};

/// Where input images are expected when none is named.
const INPUT_IMAGES: &str = "generation/input_images";
/// Where reports go when no place is named.
const REPORTS: &str = "generation/reports";

/// Draft reports for images, folders or CSV lists of images.
#[derive(Debug, Args)]
pub struct Generate {
    /// Images, folders (searched whole) or CSV files with a column of paths [default: generation/input_images]
    inputs: Vec<PathBuf>,
    /// Bundle folder or checkpoint folder [default: the newest checkpoint's bundle, else models/demo]
    #[arg(long, value_name = "BUNDLE")]
    model: Option<PathBuf>,
    /// Where the results go: a folder for txt, a file for csv and jsonl
    #[arg(long, value_name = "PATH", default_value = REPORTS)]
    out: PathBuf,
    /// txt, csv or jsonl [default: by the extension of --out, else txt]
    #[arg(long)]
    format: Option<Format>,
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    device: DeviceRequest,
    /// Number format: auto, fp32, int8 or fp16; auto takes int8 on the CPU where the bundle has it and it agrees with
    /// fp32 on 99 % of the tokens
    #[arg(long, default_value = "auto")]
    precision: PrecisionRequest,
    /// Images drafted together; the texts do not depend on it
    #[arg(long, default_value_t = 8, value_name = "N")]
    batch_size: usize,
    /// Longest report in tokens [default: the bundle's]
    #[arg(long, value_name = "N")]
    max_tokens: Option<usize>,
    /// Threads; 0 is one per core; the texts do not depend on it
    #[arg(long, default_value_t = 0, value_name = "N")]
    threads: usize,
    /// What happens to an image that is no frontal chest radiograph as far as its file tells (DICOM modality, body part,
    /// view, frames, burned-in annotation; constant or too small pictures of any format): strict refuses it, warn drafts
    /// and says so in the row's `warnings`, off looks at nothing
    #[arg(long, default_value_t = GateMode::Strict, value_name = "MODE")]
    gate: GateMode,
    /// Views that the gate lets through: frontal, or all (lateral and oblique, too)
    #[arg(long, default_value_t = Views::Frontal)]
    views: Views,
    /// Add the drafts' WordPiece ids and their log-probabilities to each row
    #[arg(long)]
    token_ids: bool,
    /// Guess tokens ahead from the bundle's table, with --batch-size 1; the texts do not depend on it
    #[arg(long)]
    guess_ahead: bool,
    #[command(flatten)]
    search: SearchArguments,
}

impl Generate {
    pub fn run(mut self) -> anyhow::Result<ExitCode> {
        ensure!(self.batch_size > 0, "--batch-size: at least 1 expected, found 0");
        ensure!(self.max_tokens != Some(0), "--max-tokens: at least 1 expected, found 0");
        if self.inputs.is_empty() {
            self.inputs.push(INPUT_IMAGES.into());
        }
        let found = inputs::collect(&self.inputs)?;
        let bundle = Bundle::load(&model_path::resolve(self.model.as_deref())?)?;
        let variant = VariantRequest {
            precision: self.precision.0,
            batch_size: self.batch_size.saturating_mul(self.search.beams()),
        };
        let session = SessionOptions { device: self.device, threads: self.threads, variant };
        let mut drafter = Drafter::new(&bundle, &session, self.max_tokens)?;
        self.search.set(&mut drafter)?;
        if self.guess_ahead {
            let usable = self.batch_size == 1 && drafter.guess_ahead(&bundle, &session, Guessing::default())?;
            ensure!(usable, "--guess-ahead: --batch-size 1 and a bundle that was exported with --ngrams expected");
        }
        drop(bundle);
        if let Some(reason) = drafter.model().fallback() {
            eprintln!("warning: running on the CPU, because CUDA failed: {reason}");
        }
        if found.images.is_empty() {
            eprintln!("no image found in {} ({} other files)", listed(&self.inputs), found.others);
            return Ok(ExitCode::from(exit::SOME_FAILED));
        }
        let format = self.format.unwrap_or_else(|| Format::of_path(&self.out));
        let mut rows = writer(format, &self.out)?;
        let bar = progress_bar(found.images.len());
        let options = RunOptions {
            batch_size: self.batch_size,
            threads: session.resolved_threads(),
            gate: Gate { mode: self.gate, views: self.views },
            token_ids: self.token_ids,
        };
        let tally = generate(&mut drafter, found.images, options, rows.as_mut(), &mut |row| {
            if row.status != "ok" {
                bar.suspend(|| eprintln!("failed: {}", row.error));
            } else if !row.warnings.is_empty() {
                bar.suspend(|| eprintln!("warning: `{}`: {}", row.id, row.warnings));
            }
            bar.inc(1);
        })?;
        rows.finish()?;
        bar.finish_and_clear();
        eprintln!("{}", drafter.manifest().notice);
        Ok(self.report(tally, found.others, &drafter))
    }

    fn report(&self, tally: Tally, others: usize, drafter: &Drafter) -> ExitCode {
        let passed_over = if others > 0 { format!(", {others} other files passed over") } else { String::new() };
        eprintln!(
            "{} reports drafted, {} failed{passed_over} ({} on {}) -> {}",
            tally.done,
            tally.failed,
            drafter.model().variant(),
            drafter.model().device(),
            self.out.display()
        );
        if tally.failed > 0 { ExitCode::from(exit::SOME_FAILED) } else { ExitCode::SUCCESS }
    }
}

fn listed(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| format!("`{}`", path.display())).collect::<Vec<_>>().join(", ")
}

fn progress_bar(images: usize) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} reports, {per_sec}, {eta} left")
        .expect("the template is well formed");
    ProgressBar::new(images as u64).with_style(style)
}

//! What a run says while it trains: progress bar, `metrics.jsonl`, TensorBoard, and at the end the curve.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};
use xreport_models::atomic::write_file;
use xreport_runtime::console;

use super::checkpoint::EpochRecord;
use super::sample_reports::SampleReport;
use crate::plots::curve::{CurveData, EpochPoint, training_curve};
use crate::tensorboard::EventWriter;

/// File of the measures, one JSON object per line.
pub const METRICS: &str = "metrics.jsonl";
/// Picture of the measures.
pub const CURVE: &str = "training_curve.svg";
const TENSORBOARD: &str = "tensorboard";

/// What a step came to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// From 1.
    pub step: u64,
    /// From 1.
    pub epoch: usize,
    /// Cross-entropy per token, label smoothing included.
    pub loss: f64,
    /// Share of tokens predicted right.
    pub accuracy: f64,
    /// Learning rate.
    pub learning_rate: f64,
    /// Norm of the gradient before clipping.
    pub gradient_norm: f64,
    /// Images in the batch.
    pub images: usize,
    /// Seconds for the step.
    pub seconds: f64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Line {
    Step(StepRecord),
    Epoch(EpochRecord),
}

impl Line {
    fn step(&self) -> u64 {
        match self {
            Self::Step(record) => record.step,
            Self::Epoch(record) => record.step,
        }
    }
}

/// The journal of a run.
pub struct Journal {
    folder: PathBuf,
    metrics: File,
    events: Option<EventWriter>,
    bar: ProgressBar,
    total: u64,
}

impl Journal {
    /// Opens the journal in `folder` for a run that stands at step `step` and has finished `epochs`; lines of later steps and
    /// epochs, which a killed run left and a resumed one will write again, are dropped.
    pub fn open(folder: &Path, step: u64, epochs: usize, total: u64, tensorboard: bool) -> anyhow::Result<Self> {
        let path = folder.join(METRICS);
        let kept: Vec<String> = lines(&path)?
            .into_iter()
            .filter(|line| line.step() <= step)
            // A state saved at an epoch's last step validates once more.
            .filter(|line| step >= total || !matches!(line, Line::Epoch(record) if record.epoch > epochs))
            .map(|line| serde_json::to_string(&line).expect("a record holds only numbers") + "\n")
            .collect();
        write_file(&path, kept.concat().as_bytes())?;
        let metrics = OpenOptions::new().append(true).open(&path).with_context(|| format!("`{}`", path.display()))?;
        let events = match tensorboard {
            false => None,
            true if step == 0 => Some(EventWriter::create(&folder.join(TENSORBOARD))?),
            true => Some(EventWriter::resume(&folder.join(TENSORBOARD), step + 1)?),
        };
        let bar = console::progress_bar(0, "{prefix} {bar:30} {pos}/{len}  {msg}");
        Ok(Self { folder: folder.to_path_buf(), metrics, events, bar, total })
    }

    /// An epoch begins, `done` of its batches trained before.
    pub fn begin_epoch(&mut self, epoch: usize, batches: usize, done: usize) {
        self.bar.set_prefix(format!("epoch {epoch}"));
        self.bar.set_length(batches as u64);
        self.bar.set_position(done as u64);
    }

    /// A step of so many batches is done.
    pub fn step(&mut self, record: &StepRecord, batches: usize) -> anyhow::Result<()> {
        self.line(&Line::Step(*record))?;
        if let Some(events) = &mut self.events {
            for (tag, value) in [
                ("training/loss", record.loss),
                ("training/token_accuracy", record.accuracy),
                ("training/learning_rate", record.learning_rate),
                ("training/gradient_norm", record.gradient_norm),
                ("training/images_per_second", record.images as f64 / record.seconds),
            ] {
                events.scalar(tag, record.step, value as f32)?;
            }
        }
        let left = self.total.saturating_sub(record.step) as f64 * record.seconds;
        self.bar.inc(batches as u64);
        self.bar.set_message(format!(
            "loss {:.3}  {:.1} images/s  {} left",
            record.loss,
            record.images as f64 / record.seconds,
            clock(left)
        ));
        Ok(())
    }

    /// An epoch is done.
    pub fn epoch(&mut self, record: &EpochRecord) -> anyhow::Result<()> {
        self.line(&Line::Epoch(*record))?;
        if let Some(events) = &mut self.events {
            for (tag, value) in [
                ("validation/loss", record.validation_loss),
                ("validation/token_accuracy", record.validation_accuracy),
                ("training/epoch_loss", Some(record.training_loss)),
            ] {
                if let Some(value) = value {
                    events.scalar(tag, record.step, value as f32)?;
                }
            }
            events.flush()?;
        }
        let EpochRecord { epoch, step, training_loss, .. } = record;
        let start = format!("epoch {epoch:>3}  step {step:>6}  training loss {training_loss:.4}");
        let end = match (record.validation_loss, record.validation_accuracy) {
            (Some(loss), Some(accuracy)) => format!("validation loss {loss:.4}  token accuracy {accuracy:.4}"),
            _ => format!("its token accuracy {:.4}, none held out", record.training_accuracy),
        };
        console::info(format_args!("{start}  {end}"));
        Ok(())
    }

    /// What the model writes of some held-out studies after `step`.
    pub fn samples(&mut self, step: u64, samples: &[SampleReport]) -> anyhow::Result<()> {
        let Some(events) = &mut self.events else { return Ok(()) };
        for (index, SampleReport { png, draft, reference }) in samples.iter().enumerate() {
            let number = index + 1;
            events.image(&format!("samples/{number}/image"), step, png)?;
            let text = format!("**draft:** {draft}\n\n**report:** {reference}");
            events.text(&format!("samples/{number}/text"), step, &text)?;
        }
        Ok(events.flush()?)
    }

    /// Whether it writes for TensorBoard.
    pub fn has_tensorboard(&self) -> bool {
        self.events.is_some()
    }

    /// Closes the journal and draws the curve, with the best epoch marked.
    pub fn close(mut self, title: &str, best_epoch: Option<usize>) -> anyhow::Result<()> {
        self.bar.finish_and_clear();
        if let Some(events) = &mut self.events {
            events.flush()?;
        }
        let mut data = CurveData { title: title.to_owned(), ..CurveData::default() };
        for line in lines(&self.folder.join(METRICS))? {
            match line {
                Line::Step(record) => data.training.push((record.step, record.loss)),
                Line::Epoch(record) => match (record.validation_loss, record.validation_accuracy) {
                    (Some(loss), Some(token_accuracy)) => {
                        data.validation.push(EpochPoint { epoch: record.epoch as u64, loss, token_accuracy });
                    }
                    _ => data.unvalidated = true,
                },
            }
        }
        data.best_epoch = best_epoch.map(|epoch| epoch as u64);
        write_file(self.folder.join(CURVE), training_curve(&data).as_bytes())?;
        Ok(())
    }

    fn line(&mut self, line: &Line) -> anyhow::Result<()> {
        let text = serde_json::to_string(line).expect("a record holds only numbers");
        writeln!(self.metrics, "{text}")
            .with_context(|| format!("cannot write `{}`", self.folder.join(METRICS).display()))
    }
}

/// The lines of a metrics file; a last line that was cut off is dropped.
fn lines(path: &Path) -> anyhow::Result<Vec<Line>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot read `{}`", path.display())),
    };
    let mut read = Vec::new();
    for line in BufReader::new(file).lines() {
        match serde_json::from_str(&line.with_context(|| format!("cannot read `{}`", path.display()))?) {
            Ok(line) => read.push(line),
            Err(_) => break,
        }
    }
    Ok(read)
}

fn clock(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, minutes, seconds) => format!("{minutes}:{seconds:02}"),
        (hours, minutes, seconds) => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

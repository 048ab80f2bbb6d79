//! `xreport-train evaluate`.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use xreport_runtime::arguments::output_path;
use xreport_runtime::console;
use xreport_runtime::device::{DeviceRequest, PrecisionRequest};
use xreport_trainer::evaluation::{EvaluateRequest, Evaluation, Mask, Measured, evaluate};

use super::paths;
use super::settings::SettingsSource;

/// Measure what a bundle writes for a data set.
#[derive(Debug, Args)]
pub struct Evaluate {
    /// Bundle folder or checkpoint folder [default: the newest checkpoint]
    #[arg(long, value_name = "BUNDLE")]
    model: Option<PathBuf>,
    /// Folder with the data set
    #[arg(long, value_name = "DIR", default_value = paths::DATA)]
    data: PathBuf,
    /// The data set's CSV, where it has another name
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Data set that the model was trained on, for the baselines [default: the studies of DIR that are not evaluated]
    #[arg(long, value_name = "DIR")]
    training: Option<PathBuf>,
    /// Words that reports affirm or deny, such as "evidence of pneumonia", or an observation's name: how well the drafts
    /// answer, over all studies and by the columns `source`, `view` and `age`
    #[arg(long, value_name = "WORDS")]
    statement: Option<String>,
    /// Cover a part of every image, to see whether the score hangs on it
    #[arg(long, value_enum)]
    mask: Option<Mask>,
    /// results.json of another evaluation, to set beside this one
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    #[command(flatten)]
    settings: SettingsSource,
    /// Folder of the results
    #[arg(long, value_name = "DIR", default_value = paths::RESULTS, value_parser = output_path())]
    out: PathBuf,
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    device: DeviceRequest,
    /// Number format: auto, fp32, int8 or fp16
    #[arg(long, default_value = "auto")]
    precision: PrecisionRequest,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

impl Evaluate {
    pub fn run(self) -> anyhow::Result<()> {
        let request = EvaluateRequest {
            model: self.model.map_or_else(paths::newest_checkpoint, Ok)?,
            data: self.data,
            csv: self.csv,
            settings: if self.settings.is_named() { Some(self.settings.read()?) } else { None },
            training: self.training,
            statement: self.statement,
            mask: self.mask,
            against: self.against,
            out: self.out,
            device: self.device,
            precision: self.precision.0,
        };
        let evaluation = evaluate(&request)?;
        if self.json {
            console::print(serde_json::to_string(&evaluation)?)?;
        } else {
            console::print_with(|out| print_table(out, &evaluation))?;
        }
        let page = request.out.join("index.html");
        console::info(format_args!("{}\nresults -> {}", evaluation.notice, page.display()));
        Ok(())
    }
}

fn print_table(out: &mut dyn Write, evaluation: &Evaluation) -> io::Result<()> {
    let tokens = &evaluation.tokens;
    writeln!(out, "{} studies, {} different reports", evaluation.studies, evaluation.distinct_reports)?;
    writeln!(
        out,
        "token accuracy {:.4}, perplexity {:.3}, loss {:.4}; {} reports word for word",
        tokens.accuracy, tokens.perplexity, tokens.loss, evaluation.exact_reports
    )?;
    print_baselines(out, evaluation)?;
    print_statement(out, evaluation)?;
    let Some(results) = &evaluation.observations else { return Ok(()) };
    writeln!(out, "\n{:<24} {:>7} {:>10} {:>7} {:>7}", "claims against truth", "F1", "precision", "recall", "side")?;
    for (name, scores) in [
        ("model", &results.model),
        ("best constant report", &results.best_constant.scores),
        ("shuffled images", &results.shuffled),
        ("reference reports", &results.references),
    ] {
        let side = scores.laterality.accuracy.map_or_else(|| "-".to_owned(), |share| format!("{share:.3}"));
        let micro = &scores.micro;
        writeln!(out, "{name:<24} {:>7.3} {:>10.3} {:>7.3} {side:>7}", micro.f1, micro.precision, micro.recall)?;
    }
    writeln!(out, "\n{:<24} {:>7} {:>10} {:>7} {:>7}", "model, by kind", "F1", "precision", "recall", "drawn")?;
    for (kind, rates) in &results.model.by_kind {
        writeln!(
            out,
            "{:<24} {:>7.3} {:>10.3} {:>7.3} {:>7}",
            kind.word(),
            rates.f1,
            rates.precision,
            rates.recall,
            rates.support
        )?;
    }
    Ok(())
}

fn print_statement(out: &mut dyn Write, evaluation: &Evaluation) -> io::Result<()> {
    let Some(statement) = &evaluation.statement else { return Ok(()) };
    let shown = |found: Option<Measured>| found.map_or_else(|| "-".to_owned(), |found| format!("{:.3}", found.value));
    writeln!(
        out,
        "\n{:<28} {:>7} {:>22} {:>22} {:>9} {:>11} {:>11} {:>8} {:>10}",
        format!("\"{}\"", statement.words),
        "studies",
        "area",
        "accuracy",
        "balanced",
        "sensitivity",
        "specificity",
        "nearest",
        "most usual"
    )?;
    for group in &statement.groups {
        let model = &group.model;
        let with_interval = |found: Option<Measured>| {
            found.map_or_else(
                || "-".to_owned(),
                |Measured { value, interval }| format!("{value:.3} ({:.3}-{:.3})", interval.low, interval.high),
            )
        };
        writeln!(
            out,
            "{:<28} {:>7} {:>22} {:>22} {:>9} {:>11} {:>11} {:>8} {:>10.3}",
            group.name,
            group.studies,
            with_interval(model.area),
            with_interval(Some(model.accuracy)),
            shown(model.balanced),
            shown(model.sensitivity),
            shown(model.specificity),
            shown(group.nearest.balanced),
            group.constant.accuracy.value
        )?;
    }
    Ok(())
}

fn print_baselines(out: &mut dyn Write, evaluation: &Evaluation) -> io::Result<()> {
    let baselines = &evaluation.baselines;
    write!(out, "\n{:<38}", format!("text {}, uncertain as positive", baselines.text))?;
    for figure in baselines.systems.first().map_or(&[][..], |model| &model.figures) {
        write!(out, " {:>19}", figure.measure.heading())?;
    }
    writeln!(out)?;
    for system in &baselines.systems {
        write!(out, "{:<38}", system.name)?;
        for figure in &system.figures {
            write!(out, " {:>19.3}", figure.value)?;
        }
        writeln!(out)?;
    }
    for said in &baselines.verdict {
        writeln!(out, "{}", said.sentence)?;
    }
    writeln!(out, "baselines from {}", baselines.training)?;
    let calibration = &evaluation.calibration;
    let area = calibration.area.map_or_else(|| "-".to_owned(), |area| format!("{area:.3}"));
    writeln!(
        out,
        "confidence {:.3}, right {:.3}, area {area}, calibration error {:.3}",
        calibration.confidence, calibration.right, calibration.error
    )
}

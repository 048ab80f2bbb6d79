//! `xreport-train evaluate`.

use std::path::PathBuf;

use clap::Args;
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
    #[arg(long, value_name = "DIR", default_value = paths::RESULTS)]
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
            println!("{}", serde_json::to_string(&evaluation)?);
        } else {
            print_table(&evaluation);
        }
        eprintln!("{}\nresults -> {}", evaluation.notice, request.out.join("index.html").display());
        Ok(())
    }
}

fn print_table(evaluation: &Evaluation) {
    let tokens = &evaluation.tokens;
    println!("{} studies, {} different reports", evaluation.studies, evaluation.distinct_reports);
    println!(
        "token accuracy {:.4}, perplexity {:.3}, loss {:.4}; {} reports word for word",
        tokens.accuracy, tokens.perplexity, tokens.loss, evaluation.exact_reports
    );
    print_baselines(evaluation);
    print_statement(evaluation);
    let Some(results) = &evaluation.observations else { return };
    println!("\n{:<24} {:>7} {:>10} {:>7} {:>7}", "claims against truth", "F1", "precision", "recall", "side");
    for (name, scores) in [
        ("model", &results.model),
        ("best constant report", &results.best_constant.scores),
        ("shuffled images", &results.shuffled),
        ("reference reports", &results.references),
    ] {
        let side = scores.laterality.accuracy.map_or_else(|| "-".to_owned(), |share| format!("{share:.3}"));
        let micro = &scores.micro;
        println!("{name:<24} {:>7.3} {:>10.3} {:>7.3} {side:>7}", micro.f1, micro.precision, micro.recall);
    }
    println!("\n{:<24} {:>7} {:>10} {:>7} {:>7}", "model, by kind", "F1", "precision", "recall", "drawn");
    for (kind, rates) in &results.model.by_kind {
        println!(
            "{:<24} {:>7.3} {:>10.3} {:>7.3} {:>7}",
            kind.word(),
            rates.f1,
            rates.precision,
            rates.recall,
            rates.support
        );
    }
}

fn print_statement(evaluation: &Evaluation) {
    let Some(statement) = &evaluation.statement else { return };
    let shown = |found: Option<Measured>| found.map_or_else(|| "-".to_owned(), |found| format!("{:.3}", found.value));
    println!(
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
    );
    for group in &statement.groups {
        let model = &group.model;
        let with_interval = |found: Option<Measured>| {
            found.map_or_else(
                || "-".to_owned(),
                |Measured { value, interval }| format!("{value:.3} ({:.3}-{:.3})", interval.low, interval.high),
            )
        };
        println!(
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
        );
    }
}

fn print_baselines(evaluation: &Evaluation) {
    let baselines = &evaluation.baselines;
    print!("\n{:<38}", format!("text {}, uncertain as positive", baselines.text));
    for figure in baselines.systems.first().map_or(&[][..], |model| &model.figures) {
        print!(" {:>19}", figure.measure.heading());
    }
    println!();
    for system in &baselines.systems {
        print!("{:<38}", system.name);
        for figure in &system.figures {
            print!(" {:>19.3}", figure.value);
        }
        println!();
    }
    for said in &baselines.verdict {
        println!("{}", said.sentence);
    }
    println!("baselines from {}", baselines.training);
    let calibration = &evaluation.calibration;
    let area = calibration.area.map_or_else(|| "-".to_owned(), |area| format!("{area:.3}"));
    println!(
        "confidence {:.3}, right {:.3}, area {area}, calibration error {:.3}",
        calibration.confidence, calibration.right, calibration.error
    );
}

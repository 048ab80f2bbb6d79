//! `xreport-train score`.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use xreport_models::atomic::write_file;
use xreport_runtime::arguments::output_path;
use xreport_runtime::console;
use xreport_trainer::metrics::Treatment;
use xreport_trainer::observations::{Agreement, Uncertain};
use xreport_trainer::score::{Missing, Score as Results, ScoreRequest, score, write_per_report};

/// Compare the texts of any system with reference reports.
#[derive(Debug, Args)]
pub struct Score {
    /// Table of the generated texts: columns `id` and `text`
    #[arg(long, value_name = "FILE")]
    generated: PathBuf,
    /// Table of the reference reports: columns `id` and `text`
    #[arg(long, value_name = "FILE")]
    references: PathBuf,
    /// Text treatment before words are compared: r2gen, r2gen-mimic, ptb or plain; may be repeated [default: r2gen, ptb and plain]
    #[arg(long, value_name = "TREATMENT")]
    text: Vec<Treatment>,
    /// What becomes of a reference without a generated text
    #[arg(long, value_enum, default_value_t = Missing::Refuse)]
    missing: Missing,
    /// Table to write: the figures and labels of every report
    #[arg(long, value_name = "FILE", value_parser = output_path())]
    per_report: Option<PathBuf>,
    /// Print one JSON object instead of tables
    #[arg(long)]
    json: bool,
}

impl Score {
    pub fn run(self) -> anyhow::Result<()> {
        let mut treatments = self.text;
        if treatments.is_empty() {
            treatments = Treatment::USUAL.to_vec();
        }
        treatments.sort_unstable();
        treatments.dedup();
        let missing = self.missing;
        let request = ScoreRequest { generated: self.generated, references: self.references, treatments, missing };
        let scored = score(&request)?;
        for remark in &scored.remarks {
            console::warning(remark);
        }
        if let Some(path) = &self.per_report {
            write_file(path, &write_per_report(&scored)?)?;
        }
        if self.json {
            console::print(serde_json::to_string(&scored.score)?)?;
        } else {
            console::print_with(|out| {
                print_texts(out, &scored.score)?;
                print_observations(out, &scored.score.observations)
            })?;
        }
        Ok(())
    }
}

fn print_texts(out: &mut dyn Write, score: &Results) -> io::Result<()> {
    writeln!(out, "{} pairs", score.pairs)?;
    for (count, what) in [
        (score.missing, "references without a generated text"),
        (score.without_reference, "generated texts without a reference, left out"),
        (score.empty_generated, "empty generated texts"),
        (score.empty_references, "empty references"),
    ] {
        if count > 0 {
            writeln!(out, "  {count} {what}")?;
        }
    }
    writeln!(
        out,
        "\n{:<12} {:>7} {:>7} {:>7} {:>7} {:>8} {:>8}",
        "text", "BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr-D"
    )?;
    for text in &score.text {
        let [one, two, three, four] = text.corpus.bleu;
        writeln!(
            out,
            "{:<12} {one:>7.4} {two:>7.4} {three:>7.4} {four:>7.4} {:>8.4} {:>8.4}",
            text.text, text.corpus.rouge_l, text.corpus.cider_d
        )?;
    }
    writeln!(
        out,
        "\n{:<12} {:>17} {:>13} {:>12} {:>12}",
        "variety", "different reports", "words/report", "bigrams", "repeat rate"
    )?;
    for text in &score.text {
        for (side, variety) in [("generated", &text.generated), ("references", &text.references)] {
            writeln!(
                out,
                "{:<12} {:>17} {:>13.1} {:>12} {:>12.4}  {side}",
                text.text,
                variety.distinct_reports,
                variety.mean_words,
                variety.distinct_ngrams[1],
                variety.repeat_rate
            )?;
        }
    }
    Ok(())
}

fn print_observations(out: &mut dyn Write, agreement: &Agreement) -> io::Result<()> {
    for uncertain in Uncertain::ALL {
        let scores = agreement.under(uncertain);
        writeln!(out, "\n{:<27} {:>6} {:>10} {:>7} {:>8}", uncertain.name(), "F1", "precision", "recall", "support")?;
        for class in &scores.classes {
            let rates = &class.rates;
            writeln!(
                out,
                "{:<27} {:>6.3} {:>10.3} {:>7.3} {:>8}",
                class.observation.name(),
                rates.f1,
                rates.precision,
                rates.recall,
                rates.support
            )?;
        }
        for (name, mean) in [("micro, 14", &scores.micro_14), ("micro, 5", &scores.micro_5)] {
            writeln!(
                out,
                "{name:<27} {:>6.3} {:>10.3} {:>7.3} {:>8}",
                mean.f1, mean.precision, mean.recall, mean.support
            )?;
        }
        writeln!(out, "{:<27} {:>6.3}", "macro, 14", scores.macro_14)?;
        writeln!(out, "{:<27} {:>6.3}", "macro, 5", scores.macro_5)?;
    }
    let shown = |share: Option<f64>| share.map_or_else(|| "-".to_owned(), |share| format!("{share:.3}"));
    writeln!(
        out,
        "\nside agrees    {} of {} findings with a side in both",
        shown(agreement.side.share()),
        agreement.side.compared
    )?;
    writeln!(
        out,
        "size agrees    {} of {} findings with a size in both",
        shown(agreement.size.share()),
        agreement.size.compared
    )?;
    writeln!(
        out,
        "measure agrees {} of {} findings measured in both",
        shown(agreement.measure.share()),
        agreement.measure.compared
    )
}

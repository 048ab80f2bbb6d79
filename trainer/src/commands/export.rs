//! `xreport-train export`.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use xreport_models::bundle::{Agreement, Precision};
use xreport_runtime::arguments::output_path;
use xreport_runtime::console;
use xreport_trainer::export::{ExportOptions, Verified, export_checkpoint};

use super::paths;

/// Write a checkpoint's best state as a verified bundle.
#[derive(Debug, Args)]
pub struct Export {
    /// Folder of the checkpoint [default: the newest in checkpoints/]
    checkpoint: Option<PathBuf>,
    /// Folder of the bundle
    #[arg(long, value_name = "DIR", value_parser = output_path())]
    out: PathBuf,
    /// Images whose greedy text is compared with libtorch's full recomputation, at most the 200 beside the checkpoint
    #[arg(long, value_name = "N", default_value_t = 64)]
    texts: usize,
    /// Number formats of the variants, separated by commas: fp32, int8 (CPU), fp16 (CUDA)
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "fp32")]
    precision: Vec<Precision>,
    /// Add a table of what usually follows what in the training reports (only what reports of at least 10 patients
    /// share), from which `xreport generate --guess-ahead` guesses tokens
    #[arg(long)]
    ngrams: bool,
    /// Markdown file that the model card shall close with: what the model was evaluated on, what it cannot do
    #[arg(long, value_name = "FILE")]
    card_notes: Option<PathBuf>,
}

impl Export {
    pub fn run(self) -> anyhow::Result<()> {
        let checkpoint = self.checkpoint.map_or_else(paths::newest_checkpoint, Ok)?;
        let mut precisions = self.precision;
        precisions.sort_by_key(|precision| precision.as_str());
        precisions.dedup();
        let read = |path: PathBuf| {
            std::fs::read_to_string(&path).with_context(|| format!("cannot read the card's notes `{}`", path.display()))
        };
        let card_notes = self.card_notes.map(read).transpose()?;
        let options = ExportOptions { texts: self.texts, precisions, ngrams: self.ngrams, card_notes };
        let (manifest, verified) = export_checkpoint(&checkpoint, &self.out, &options)?;
        console::print(format_args!("bundle `{}` ({}) -> {}", manifest.name, manifest.id, self.out.display()))?;
        Ok(console::print_with(|out| print_checks(out, &verified))?)
    }
}

/// How the bundle's variants agree with libtorch.
fn print_checks(out: &mut dyn Write, verified: &Verified) -> io::Result<()> {
    for (variant, agreement) in &verified.agreements {
        writeln!(out, "{}", described(variant, agreement))?;
    }
    for (variant, counts) in &verified.guesses {
        let calls = (counts.verifications + counts.steps).max(1);
        writeln!(
            out,
            "{variant:<15} guesses {} tokens ahead, {} right; {:.2} tokens per call, texts unchanged",
            counts.guessed,
            counts.taken,
            counts.said as f64 / calls as f64
        )?;
    }
    if let Some(difference) = verified.largest_share_difference {
        writeln!(out, "evidence        where a text looks agrees: shares of attention within {difference:.2e}")?;
    }
    if verified.variants.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "checked against libtorch: {} reports, {} steps, logits within {:.2e}, {} greedy texts equal, {} part at a tie; variants {}",
        verified.reports,
        verified.steps,
        verified.largest_logit_difference,
        verified.texts * verified.variants.len() - verified.ties,
        verified.ties,
        verified.variants.join(", ")
    )
}

/// One line on how a variant agrees with libtorch.
fn described(variant: &str, agreement: &Agreement) -> String {
    let f1 = agreement.phantom_f1.map_or_else(String::new, |f1| format!(", F1 of phantoms {f1:.4}"));
    format!(
        "{variant:<15} {:.4} of {} tokens agree, {} of {} greedy texts equal, logits within {:.2e}{f1}",
        agreement.token_agreement,
        agreement.tokens,
        agreement.equal_texts,
        agreement.texts,
        agreement.largest_logit_difference
    )
}

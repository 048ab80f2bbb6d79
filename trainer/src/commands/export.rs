//! `xreport-train export`.

use std::path::PathBuf;

use clap::Args;
use xreport_models::bundle::{Agreement, Precision};
use xreport_trainer::export::export_checkpoint;

use super::paths;

/// Write a checkpoint's best state as a verified bundle.
#[derive(Debug, Args)]
pub struct Export {
    /// Folder of the checkpoint [default: the newest in checkpoints/]
    checkpoint: Option<PathBuf>,
    /// Folder of the bundle
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Images whose greedy text is compared with libtorch's full recomputation, at most the 200 beside the checkpoint
    #[arg(long, value_name = "N", default_value_t = 64)]
    texts: usize,
    /// Number formats of the variants, separated by commas: fp32, int8 (CPU), fp16 (CUDA)
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "fp32")]
    precision: Vec<Precision>,
}

impl Export {
    pub fn run(self) -> anyhow::Result<()> {
        let checkpoint = self.checkpoint.map_or_else(paths::newest_checkpoint, Ok)?;
        let (manifest, verified) = export_checkpoint(&checkpoint, &self.out, self.texts, &self.precision)?;
        println!("bundle `{}` ({}) -> {}", manifest.name, manifest.id, self.out.display());
        for (variant, agreement) in &verified.agreements {
            println!("{}", described(variant, agreement));
        }
        if verified.variants.is_empty() {
            return Ok(());
        }
        println!(
            "checked against libtorch: {} reports, {} steps, logits within {:.2e}, {} greedy texts equal, {} part at a tie; variants {}",
            verified.reports,
            verified.steps,
            verified.largest_logit_difference,
            verified.texts * verified.variants.len() - verified.ties,
            verified.ties,
            verified.variants.join(", ")
        );
        Ok(())
    }
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

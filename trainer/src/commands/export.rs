//! `xreport-train export`.

use std::path::PathBuf;

use clap::Args;
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
}

impl Export {
    pub fn run(self) -> anyhow::Result<()> {
        let checkpoint = self.checkpoint.map_or_else(paths::newest_checkpoint, Ok)?;
        let (manifest, verified) = export_checkpoint(&checkpoint, &self.out, self.texts)?;
        println!("bundle `{}` ({}) -> {}", manifest.name, manifest.id, self.out.display());
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

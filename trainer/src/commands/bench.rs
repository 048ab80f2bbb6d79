//! `xreport-train bench`: time of a training step on random data, without files.

use clap::Args;
use xreport_trainer::training::bench::{Measured, measure};

use super::settings::SettingsSource;

/// Time training steps on random data.
#[derive(Debug, Args)]
pub struct Bench {
    #[command(flatten)]
    settings: SettingsSource,
    /// Tokens of the vocabulary, where dataset.VOCABULARY is "corpus"
    #[arg(long, value_name = "N", default_value_t = 5000)]
    vocabulary: usize,
    /// Timed steps; the median is printed
    #[arg(long, value_name = "N", default_value_t = 7)]
    steps: usize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Bench {
    pub fn run(self) -> anyhow::Result<()> {
        let Measured { parameters, batch_size, seconds, forward, backward, update } =
            measure(&self.settings.read()?, self.vocabulary, self.steps)?;
        let images_per_second = batch_size as f64 / seconds;
        if self.json {
            let report = serde_json::json!({
                "parameters": parameters, "batch_size": batch_size, "seconds_per_step": seconds,
                "images_per_second": images_per_second, "forward": forward, "backward": backward, "update": update,
            });
            println!("{report}");
        } else {
            println!("{parameters} parameters, batch {batch_size}");
            println!("{images_per_second:.2} images/s, {:.0} ms per step (median)", seconds * 1e3);
            println!(
                "forward {:.0} ms, backward {:.0} ms, clip and update {:.0} ms",
                forward * 1e3,
                backward * 1e3,
                update * 1e3
            );
        }
        Ok(())
    }
}

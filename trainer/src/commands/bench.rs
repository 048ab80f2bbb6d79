//! `xreport-train bench`: time of a training step on random data, or of a data set's images on their way to it.

use std::path::{Path, PathBuf};

use clap::Args;
use xreport_runtime::console;
use xreport_trainer::training::bench::{Measured, Pipeline, measure, measure_pipeline, peak_bytes};

use super::settings::SettingsSource;

/// Time training steps on random data, or with --data how fast a data set's images come.
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
    /// Open this data set and assemble its batches, without any training
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Batches that --data assembles, at most
    #[arg(long, value_name = "N", default_value_t = 500, requires = "data")]
    batches: usize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Bench {
    pub fn run(self) -> anyhow::Result<()> {
        match &self.data {
            Some(data) => self.pipeline(data),
            None => self.steps(),
        }
    }

    fn pipeline(&self, data: &Path) -> anyhow::Result<()> {
        let Pipeline { images, decoded, open_seconds, open_bytes, images_per_second } =
            measure_pipeline(&self.settings.read()?, data, self.batches)?;
        if self.json {
            let report = serde_json::json!({
                "images": images, "decoded": decoded, "open_seconds": open_seconds, "open_bytes": open_bytes,
                "images_per_second": images_per_second,
            });
            console::print(report)?;
        } else {
            let memory =
                open_bytes.map_or_else(String::new, |bytes| format!(", {:.1} MB of memory", bytes as f64 / 1e6));
            console::print(format_args!(
                "{images} images opened in {open_seconds:.2} s, {decoded} of them decoded{memory}"
            ))?;
            console::print(format_args!("{images_per_second:.0} images/s in training batches"))?;
        }
        Ok(())
    }

    fn steps(&self) -> anyhow::Result<()> {
        let Measured { parameters, batch_size, seconds, parts, flops, best_flops } =
            measure(&self.settings.read()?, self.vocabulary, self.steps)?;
        let images_per_second = batch_size as f64 / seconds;
        let [forward, backward, update] = parts.map_or([None; 3], |parts| parts.map(Some));
        if self.json {
            let report = serde_json::json!({
                "parameters": parameters, "batch_size": batch_size, "seconds_per_step": seconds,
                "images_per_second": images_per_second, "forward": forward, "backward": backward, "update": update,
                "model_flops_per_second": flops, "best_matrix_product_flops_per_second": best_flops,
                "peak_bytes": peak_bytes(),
            });
            return Ok(console::print(report)?);
        }
        Ok(console::print_with(|out| {
            writeln!(out, "{parameters} parameters, batch {batch_size}")?;
            writeln!(out, "{images_per_second:.2} images/s, {:.0} ms per step (median)", seconds * 1e3)?;
            match parts.map(|parts| parts.map(|seconds| seconds * 1e3)) {
                Some([forward, backward, update]) => {
                    writeln!(
                        out,
                        "forward {forward:.0} ms, backward {backward:.0} ms, clip and update {update:.0} ms"
                    )?;
                }
                None => writeln!(out, "captured as CUDA graphs")?,
            }
            writeln!(
                out,
                "{:.0} GFLOP/s of the model's own arithmetic, {:.0} % of this device's best product of two matrices",
                flops / 1e9,
                100.0 * flops / best_flops
            )
        })?)
    }
}

//! Options that `xreport generate` and `xreport serve` share: what drafts, on what, within which limits.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::ensure;
use clap::Args;
use xreport_models::bundle::{Bundle, VariantRequest};
use xreport_models::image::{Gate, GateMode, Views};
use xreport_runtime::arguments;
use xreport_runtime::console;
use xreport_runtime::device::{Device, DeviceRequest, PrecisionRequest};
use xreport_runtime::drafting::Drafter;
use xreport_runtime::model::{SessionOptions, StepsAhead};

use super::model_path;
use super::search::SearchArguments;

/// What drafts, and how.
#[derive(Debug, Args)]
pub struct DraftingArguments {
    /// Bundle folder or checkpoint folder [default: the newest checkpoint's bundle, else models/installed, models/radiographs or models/demo]
    #[arg(long, value_name = "BUNDLE")]
    model: Option<PathBuf>,
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    pub device: DeviceRequest,
    /// Number format: auto, fp32, int8 or fp16; auto takes int8 on the CPU where the bundle has it and it agrees with
    /// fp32 on 99 % of the tokens
    #[arg(long, default_value = "auto")]
    precision: PrecisionRequest,
    /// Images drafted together; within a variant the texts do not depend on it (with int8, 2 and more rows, reports times
    /// beams, take another one; each row names its own)
    #[arg(long, default_value_t = 8, value_name = "N")]
    pub batch_size: usize,
    /// Longest report in tokens [default: the bundle's]
    #[arg(long, value_name = "N")]
    max_tokens: Option<usize>,
    /// Threads; 0 is one per core; the texts do not depend on it
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = arguments::threads)]
    threads: usize,
    /// What happens to an image that is no frontal chest radiograph as far as its file tells (DICOM modality, body part,
    /// view, frames, burned-in annotation; constant or too small pictures of any format): strict refuses it, warn drafts
    /// and says so in the row's `warnings`, off looks at nothing
    #[arg(long, default_value_t = GateMode::Strict, value_name = "MODE")]
    gate: GateMode,
    /// Views that the gate lets through: frontal, or all (lateral and oblique, too)
    #[arg(long, default_value_t = Views::Frontal)]
    views: Views,
    #[command(flatten)]
    search: SearchArguments,
}

impl DraftingArguments {
    /// Refuses what no bundle allows.
    pub fn check(&self) -> anyhow::Result<()> {
        for (name, value) in [("--batch-size", self.batch_size), ("--max-tokens", self.max_tokens.unwrap_or(1))] {
            at_least_one(name, value)?;
        }
        Ok(())
    }

    /// The bundle that is named, or the usual one.
    pub fn bundle(&self) -> anyhow::Result<Bundle> {
        Ok(Bundle::load(&model_path::resolve(self.model.as_deref())?)?)
    }

    /// What the input gate lets through.
    pub fn gate(&self) -> Gate {
        Gate { mode: self.gate, views: self.views }
    }

    /// Threads that draft, all together.
    pub fn threads(&self) -> usize {
        self.session(self.threads, None).resolved_threads()
    }

    /// A model's session on `threads`, with so many steps between two looks.
    pub fn session(&self, threads: usize, ahead: Option<StepsAhead>) -> SessionOptions {
        let batch_size = self.batch_size.saturating_mul(self.search.beams());
        SessionOptions {
            device: self.device,
            threads,
            variant: VariantRequest { precision: self.precision.0, batch_size },
            ahead,
        }
    }

    /// A model that searches as asked for. What reads the scores of all tokens runs on the CPU, where they are.
    pub fn drafter(&self, bundle: &Bundle, session: &SessionOptions) -> anyhow::Result<Drafter> {
        let mut drafter = Drafter::new(bundle, session, self.max_tokens)?;
        self.search.set(&mut drafter)?;
        if drafter.options().is_plain_greedy() || drafter.model().device() == Device::Cpu {
            return Ok(drafter);
        }
        ensure!(
            session.device == DeviceRequest::Auto,
            "--device {}: plain greedy search expected: beams, draws, penalties, limits and a prefix read the scores of every \
             token, which stay on the device\nhint: --device cpu",
            drafter.model().device()
        );
        self.drafter(bundle, &SessionOptions { device: DeviceRequest::Cpu, ..*session })
    }
}

/// A watched folder's pace.
#[derive(Debug, Args)]
pub struct SettleArguments {
    /// With --watch: a file is taken when it has not changed for so long
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0)]
    settle: f64,
}

impl SettleArguments {
    /// How long a file must rest.
    pub fn quiet(&self) -> anyhow::Result<Duration> {
        ensure!((0.0..1e6).contains(&self.settle), "--settle: seconds from 0 expected, found {}", self.settle);
        Ok(Duration::from_secs_f64(self.settle))
    }
}

/// Refuses 0 for an option that counts.
pub fn at_least_one(name: &str, value: usize) -> anyhow::Result<()> {
    ensure!(value > 0, "{name}: at least 1 expected, found 0");
    Ok(())
}

/// Says where a GPU was asked for and the CPU drafts.
pub fn tell_fallback(drafter: &Drafter) {
    if let Some(reason) = drafter.model().fallback() {
        console::warning(format_args!("running on the CPU, because CUDA failed: {reason}"));
    }
}

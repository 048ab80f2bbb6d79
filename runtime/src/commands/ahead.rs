//! Options on how many steps are taken before anyone looks.

use std::num::NonZeroUsize;

use anyhow::ensure;
use clap::Args;
use xreport_runtime::device::DeviceRequest;
use xreport_runtime::model::StepsAhead;

/// Steps between two looks where none are named.
const STEPS: NonZeroUsize = NonZeroUsize::new(8).expect("eight is not zero");

/// How far a batch goes by itself.
#[derive(Debug, Clone, Copy, Args)]
pub struct AheadArguments {
    /// Look whether reports have ended every N steps only, in a plain greedy search; the texts do not depend on it. It is
    /// for CUDA, where each look waits for the device; on the CPU it gains nothing
    #[arg(long, value_name = "N")]
    check_every: Option<NonZeroUsize>,
    /// Capture the decoder's steps as CUDA graphs; wants --device cuda, and looks every 8 steps where --check-every says
    /// nothing else. Not run on a GPU so far
    #[arg(long)]
    cuda_graph: bool,
}

impl AheadArguments {
    /// What they ask of a model on this device.
    pub fn steps(&self, device: DeviceRequest) -> anyhow::Result<Option<StepsAhead>> {
        ensure!(
            !self.cuda_graph || matches!(device, DeviceRequest::Cuda(_)),
            "--cuda-graph: --device cuda or cuda:N expected\nhint: --check-every N steps in the same way, also without a GPU"
        );
        let steps = self.check_every.or(self.cuda_graph.then_some(STEPS));
        Ok(steps.map(|steps| StepsAhead { steps, cuda_graph: self.cuda_graph }))
    }

    /// Refuses another search than the plain greedy one.
    pub fn suit(&self, plain_greedy: bool) -> anyhow::Result<()> {
        ensure!(
            plain_greedy || (self.check_every.is_none() && !self.cuda_graph),
            "--check-every, --cuda-graph: plain greedy search expected (no beams, draws, limits, prefix, --guess-ahead)\nhint: other searches look at the scores of every step"
        );
        Ok(())
    }
}

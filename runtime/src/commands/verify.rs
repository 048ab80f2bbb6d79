//! `xreport verify`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use xreport_models::bundle::Bundle;
use xreport_runtime::console;
use xreport_runtime::device::DeviceRequest;
use xreport_runtime::drafting::Drafter;
use xreport_runtime::evidence::EvidenceModel;
use xreport_runtime::model::SessionOptions;

/// Check every file of a bundle against its manifest, then draft one report with it.
#[derive(Debug, Args)]
pub struct Verify {
    /// Bundle folder or checkpoint folder
    bundle: PathBuf,
}

impl Verify {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let bundle = Bundle::load(&self.bundle)?;
        for (name, file) in &bundle.manifest().files {
            console::print(format_args!("ok  {name}  {} bytes  sha256 {}", file.bytes, file.sha256))?;
        }
        let session = SessionOptions { device: DeviceRequest::Cpu, ..SessionOptions::default() };
        let mut drafter = Drafter::new(&bundle, &session, None)?;
        let arch = &bundle.manifest().architecture;
        let grey = vec![128; arch.image_height * arch.image_width * arch.image_channels];
        drafter.draft(&[&grey])?;
        console::print(format_args!("ok  runs on this machine ({} on cpu)", drafter.model().variant()))?;
        if let Some(mut evidence) = EvidenceModel::open(&bundle, 0)? {
            let start = evidence.start();
            evidence.attention(grey, &[vec![start]])?;
            console::print("ok  says where it looked")?;
        }
        console::print(format_args!("bundle `{}` ({}) is whole", bundle.manifest().name, bundle.manifest().id))?;
        Ok(ExitCode::SUCCESS)
    }
}

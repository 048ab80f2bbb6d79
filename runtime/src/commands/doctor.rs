//! `xreport doctor`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use xreport_models::bundle::Bundle;
use xreport_runtime::console;
use xreport_runtime::cuda_libraries;
use xreport_runtime::device::DeviceRequest;
use xreport_runtime::drafting::Drafter;
use xreport_runtime::failure::message;
use xreport_runtime::model::{SessionOptions, cuda_provider_beside};
use xreport_runtime::onnxruntime;

use super::{exit, model_path};

/// Check this installation and name what is missing.
#[derive(Debug, Args)]
pub struct Doctor {
    /// Bundle folder or checkpoint folder to try [default: as `generate`]
    #[arg(long, value_name = "BUNDLE")]
    model: Option<PathBuf>,
}

impl Doctor {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        console::print(format_args!("xreport         {}", env!("CARGO_PKG_VERSION")))?;
        console::print(format_args!("program         {}", std::env::current_exe()?.display()))?;
        console::print(format_args!(
            "threads         {}",
            std::thread::available_parallelism().map_or(1, usize::from)
        ))?;
        let mut whole = check("ONNX Runtime", &onnx_runtime())?;
        if whole {
            whole &= check("CUDA provider", &cuda())?;
            whole &= check("model", &self.try_model())?;
        }
        console::print(if whole { "all is well" } else { "something is missing: see above" })?;
        Ok(if whole { ExitCode::SUCCESS } else { ExitCode::from(exit::UNUSABLE) })
    }

    fn try_model(&self) -> anyhow::Result<String> {
        let path = model_path::resolve(self.model.as_deref())?;
        let bundle = Bundle::load(&path)?;
        let session = SessionOptions { device: DeviceRequest::Cpu, ..SessionOptions::default() };
        let mut drafter = Drafter::new(&bundle, &session, None)?;
        let arch = &bundle.manifest().architecture;
        let grey = vec![128; arch.image_height * arch.image_width * arch.image_channels];
        drafter.draft(&[&grey])?;
        Ok(format!("`{}` ({}) drafts on the CPU", path.display(), bundle.manifest().notice))
    }
}

/// Prints what was found; whether it is well.
fn check(label: &str, found: &anyhow::Result<String>) -> anyhow::Result<bool> {
    match found {
        Ok(found) => console::print(format_args!("{label:<15} {found}"))?,
        Err(problem) => console::print(format_args!("{label:<15} PROBLEM: {}", message(problem.as_ref())))?,
    }
    Ok(found.is_ok())
}

fn onnx_runtime() -> anyhow::Result<String> {
    let (_, library) = onnxruntime::environment()?;
    // The build tree's link is followed: a tree that was moved shows where its library really lies.
    let real = library.canonicalize().unwrap_or_else(|_| library.to_path_buf());
    Ok(format!("{} from {}", onnxruntime::VERSION, real.display()))
}

/// What is to be said of CUDA; a problem where its provider is installed and cannot load.
fn cuda() -> anyhow::Result<String> {
    match onnxruntime::environment() {
        Ok((_, library)) if cuda_provider_beside(library) => {}
        _ => return Ok("not installed: reports are drafted on the CPU".into()),
    }
    let missing = cuda_libraries::missing();
    if missing.is_empty() {
        return Ok("installed, and CUDA's libraries load".into());
    }
    let named =
        missing.iter().map(|library| format!("\n  {} from {}: {}", library.name, library.from, library.problem));
    bail!(
        "installed, but these libraries do not load:{}\nhint: reports are drafted on the CPU until they do",
        named.collect::<String>()
    )
}

//! Which device trains.

use std::path::PathBuf;

use anyhow::{Context, bail};
use tch::Device;

use crate::ranks::{Launch, say};
use crate::settings::DeviceRequest;

/// Library that brings CUDA into libtorch. The program links the CPU part alone, so that one binary serves machines
/// with and without a GPU; this one registers itself when it is loaded.
const LIBTORCH_CUDA: &str = "libtorch_cuda.so";

/// As [`resolve`], for a process of several: each takes the GPU that its LOCAL_RANK counts.
pub fn resolve_for(request: DeviceRequest, launch: Option<&Launch>) -> anyhow::Result<Device> {
    let Some(launch) = launch else { return resolve(request) };
    match request {
        DeviceRequest::Auto => match resolve(request)? {
            Device::Cuda(_) => resolve(DeviceRequest::Cuda(launch.local_rank)),
            other => Ok(other),
        },
        DeviceRequest::Cuda(0) => resolve(DeviceRequest::Cuda(launch.local_rank))
            .with_context(|| format!("LOCAL_RANK is {}: each process wants a GPU of its own", launch.local_rank)),
        named => resolve(named),
    }
}

/// Resolves ML_DEVICE; `auto` takes CUDA where it works and says on stderr why not where its library is there.
pub fn resolve(request: DeviceRequest) -> anyhow::Result<Device> {
    match request {
        DeviceRequest::Cpu => Ok(Device::Cpu),
        DeviceRequest::Cuda(index) => {
            load_cuda().with_context(|| format!("ML_DEVICE is `{request}`, but CUDA cannot be used"))?;
            let devices = tch::Cuda::device_count();
            if index as i64 >= devices {
                bail!(
                    "ML_DEVICE is `{request}`, but libtorch sees {devices} CUDA device(s)\nhint: set training.ML_DEVICE to \"cpu\", or check the driver with nvidia-smi"
                );
            }
            Ok(Device::Cuda(index))
        }
        DeviceRequest::Auto => match load_cuda() {
            Ok(()) if tch::Cuda::device_count() > 0 => Ok(Device::Cuda(0)),
            Ok(()) => {
                say("training on the CPU: libtorch has CUDA, but no device answers");
                Ok(Device::Cpu)
            }
            Err(_) => Ok(Device::Cpu),
        },
    }
}

/// Loads libtorch's CUDA library from the folder that libtorch itself came from.
fn load_cuda() -> anyhow::Result<()> {
    let library = libtorch_folder().context("cannot tell where libtorch was loaded from")?.join(LIBTORCH_CUDA);
    if !library.is_file() {
        bail!(
            "`{}` is not there: this is a CPU libtorch\nhint: install PyTorch 2.11.0 with CUDA and run `cargo xtask setup --torch DIR`",
            library.display()
        );
    }
    load_globally(&library)
}

#[cfg(unix)]
#[allow(unsafe_code, reason = "loading a library runs its initialisers; this one is libtorch's own")]
fn load_globally(library: &std::path::Path) -> anyhow::Result<()> {
    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
    // SAFETY: the library belongs to the libtorch that is already running, and its initialisers only register kernels.
    let loaded = unsafe { Library::open(Some(library), RTLD_NOW | RTLD_GLOBAL) }
        .with_context(|| format!("cannot load `{}`", library.display()))?;
    // Its kernels are used until the process ends.
    std::mem::forget(loaded);
    Ok(())
}

#[cfg(not(unix))]
fn load_globally(library: &std::path::Path) -> anyhow::Result<()> {
    bail!("`{}`: training on CUDA is for Linux, or Windows through WSL2", library.display())
}

/// The folder of the libtorch_cpu that this process runs with.
fn libtorch_folder() -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let path =
        maps.lines().filter_map(|line| line.split_whitespace().nth(5)).find(|p| p.ends_with("/libtorch_cpu.so"))?;
    PathBuf::from(path).parent().map(PathBuf::from)
}

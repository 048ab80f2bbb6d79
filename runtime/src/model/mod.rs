//! A bundle's graphs as ONNX Runtime sessions.

mod decoder;
mod features;
mod session;

use std::path::Path;

use ort::session::Session;
use ort::value::{Tensor, Value};
use thiserror::Error;
use xreport_models::bundle::{Architecture, Bundle, BundleError, interface};

pub use decoder::Decoder;

use crate::decoding::StepError;
use crate::device::{Device, DeviceRequest};
use crate::onnxruntime::OnnxRuntimeError;

/// Why a model cannot run.
#[derive(Debug, Error)]
pub enum ModelError {
    /// The bundle is refused.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// ONNX Runtime is not there.
    #[error(transparent)]
    OnnxRuntime(#[from] OnnxRuntimeError),
    /// ONNX Runtime refuses a graph or fails in it.
    #[error("ONNX Runtime: {0}")]
    Ort(#[from] ort::Error),
    /// CUDA was asked for and does not work.
    #[error(
        "device `{device}` cannot be used: {problem}\nhint: `xreport doctor` names the missing library; `--device cpu` runs without a GPU"
    )]
    Cuda {
        /// The device.
        device: Device,
        /// What ONNX Runtime said.
        problem: String,
    },
    /// A step of the decoder failed.
    #[error(transparent)]
    Step(#[from] StepError),
}

/// How sessions are made.
#[derive(Debug, Clone, Copy)]
pub struct SessionOptions {
    /// Where to run.
    pub device: DeviceRequest,
    /// Threads within an operator; 0: one per core.
    pub threads: usize,
}

impl SessionOptions {
    /// Threads with 0 resolved to the cores of this machine.
    pub fn resolved_threads(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        }
    }
}

/// Encoder and decoder of one variant, ready to run.
#[derive(Debug)]
pub struct Model {
    architecture: Architecture,
    variant: String,
    device: Device,
    encoder: Session,
    decoder: Decoder,
    /// Why CUDA is not used although `auto` tried it.
    fallback: Option<String>,
}

impl Model {
    /// Makes the sessions of the variant for the wanted device.
    ///
    /// `auto` tries CUDA where its provider is installed, and falls back to the CPU, saying why in [`Model::fallback`].
    pub fn new(bundle: &Bundle, options: &SessionOptions) -> Result<Self, ModelError> {
        match options.device {
            DeviceRequest::Cuda(index) => Self::on_cuda(bundle, index, options),
            DeviceRequest::Auto if session::cuda_installed() => match Self::on_cuda(bundle, 0, options) {
                Ok(model) => Ok(model),
                Err(error) => {
                    let model = Self::on(bundle, Device::Cpu, options)?;
                    Ok(Self { fallback: Some(error.to_string()), ..model })
                }
            },
            DeviceRequest::Cpu | DeviceRequest::Auto => Self::on(bundle, Device::Cpu, options),
        }
    }

    fn on_cuda(bundle: &Bundle, index: i32, options: &SessionOptions) -> Result<Self, ModelError> {
        let device = Device::Cuda(index);
        Self::on(bundle, device, options).map_err(|error| match error {
            ModelError::Ort(problem) => ModelError::Cuda { device, problem: problem.to_string() },
            other => other,
        })
    }

    fn on(bundle: &Bundle, device: Device, options: &SessionOptions) -> Result<Self, ModelError> {
        Self::of_variant(bundle, &bundle.variant(device.provider())?.name.clone(), device, options)
    }

    /// Makes the sessions of a named variant on a device; the trainer checks the CUDA form on the CPU with it.
    pub fn of_variant(
        bundle: &Bundle,
        variant: &str,
        device: Device,
        options: &SessionOptions,
    ) -> Result<Self, ModelError> {
        let manifest = bundle.manifest();
        let variant = manifest.variants.iter().find(|v| v.name == variant).ok_or_else(|| BundleError::NoVariant {
            bundle: manifest.name.clone(),
            provider: variant.to_owned(),
            found: manifest.variants.iter().map(|v| v.name.as_str()).collect::<Vec<_>>().join(", "),
        })?;
        let threads = options.resolved_threads();
        let encoder = session::open(bundle, &variant.encoder, device, threads)?;
        let decoder = session::open(bundle, &variant.decoder, device, threads)?;
        Ok(Self {
            architecture: manifest.architecture.clone(),
            variant: variant.name.clone(),
            device,
            encoder,
            decoder: Decoder::new(decoder, &manifest.architecture, device),
            fallback: None,
        })
    }

    /// Dimensions of the network.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// Name of the variant that runs.
    pub fn variant(&self) -> &str {
        &self.variant
    }

    /// Where it runs.
    pub fn device(&self) -> Device {
        self.device
    }

    /// Why it runs on the CPU although CUDA was tried.
    pub fn fallback(&self) -> Option<&str> {
        self.fallback.as_deref()
    }

    /// Encodes `rows` images, `u8 [rows, H, W, C]` row-major, and hands their keys and values to the decoder, which is
    /// then ready to begin.
    pub fn encode(&mut self, rows: usize, pixels: Vec<u8>) -> Result<&mut Decoder, ModelError> {
        let arch = &self.architecture;
        let shape = [rows, arch.image_height, arch.image_width, arch.image_channels];
        let images = Tensor::from_array((shape, pixels))?;
        let mut outputs = self.encoder.run(ort::inputs![interface::IMAGE => images])?;
        let cross: Vec<(String, Value)> = (0..arch.decoders)
            .flat_map(|layer| [interface::cross_key(layer), interface::cross_value(layer)])
            .map(|name| {
                let value = outputs.remove(&name).expect("the bundle's interface was checked when it was loaded");
                (name, value)
            })
            .collect();
        drop(outputs);
        self.decoder.attach(rows, &cross)?;
        Ok(&mut self.decoder)
    }
}

/// Whether the folder of the ONNX Runtime library also holds its CUDA provider.
pub fn cuda_provider_beside(library: &Path) -> bool {
    session::cuda_provider_beside(library)
}

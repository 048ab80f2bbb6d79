//! The decoder graph as a [`StepModel`]: caches bound in place, the best token fed back without a copy.

use std::fmt;

use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::IoBinding;
use ort::session::Session;
use ort::value::{Tensor, Value};
use xreport_models::bundle::{Architecture, interface};

use crate::decoding::{StepError, StepModel};
use crate::device::Device;

/// One decoder session and the buffers of the batch that it works on.
#[derive(Debug)]
pub struct Decoder {
    session: Session,
    architecture: Architecture,
    device: Device,
    batch: Option<Buffers>,
}

/// Tensors of one batch size, each bound once.
struct Buffers {
    rows: usize,
    binding: IoBinding,
    /// `i64 [B, 1]`: input and, bound in place, output of each step.
    ids: Tensor<i64>,
    /// `i32 [B]`, likewise.
    position: Tensor<i32>,
    /// `f32 [B, 1]`.
    log_probability: Tensor<f32>,
    /// `f32 [B, 1, V]` on the CPU.
    logits: Option<Tensor<f32>>,
    /// Kept alive: cached keys and values, `f32 [B, heads, T, head_dims]` per layer.
    _caches: Vec<Tensor<f32>>,
}

impl fmt::Debug for Buffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffers for {} rows", self.rows)
    }
}

impl Decoder {
    pub(super) fn new(session: Session, architecture: &Architecture, device: Device) -> Self {
        Self { session, architecture: architecture.clone(), device, batch: None }
    }

    /// Takes the images' keys and values for a batch of `rows`; buffers of an earlier batch of that size are reused.
    pub(super) fn attach(&mut self, rows: usize, cross: &[(String, Value)]) -> Result<(), ort::Error> {
        let mut batch = match self.batch.take() {
            Some(batch) if batch.rows == rows => batch,
            _ => self.allocate(rows)?,
        };
        for (name, value) in cross {
            batch.binding.bind_input(name.as_str(), value)?;
        }
        self.batch = Some(batch);
        Ok(())
    }

    fn allocate(&self, rows: usize) -> Result<Buffers, ort::Error> {
        let host = Allocator::default();
        let arch = &self.architecture;
        let mut binding = self.session.create_binding()?;
        let mut ids = Tensor::<i64>::new(&host, [rows, 1])?;
        let mut position = Tensor::<i32>::new(&host, [rows])?;
        let mut log_probability = Tensor::<f32>::new(&host, [rows, 1])?;
        ids.extract_tensor_mut().1.fill(0);
        position.extract_tensor_mut().1.fill(0);
        binding.bind_input(interface::INPUT_IDS, &ids)?;
        binding.bind_input(interface::POSITION, &position)?;
        binding.bind_output(interface::NEXT_IDS, &mut ids)?;
        binding.bind_output(interface::NEXT_POSITION, &mut position)?;
        binding.bind_output(interface::LOG_PROBABILITY, &mut log_probability)?;
        let logits = match self.device {
            Device::Cpu => {
                let mut logits = Tensor::<f32>::new(&host, [rows, 1, arch.vocabulary])?;
                binding.bind_output(interface::LOGITS, &mut logits)?;
                Some(logits)
            }
            Device::Cuda(index) => {
                binding.bind_output_to_device(interface::LOGITS, &device_memory(index)?)?;
                None
            }
        };
        let mut caches = Vec::new();
        for layer in 0..arch.decoders {
            for (past, present) in [
                (interface::past_key(layer), interface::present_key(layer)),
                (interface::past_value(layer), interface::present_value(layer)),
            ] {
                let mut cache = self.zeroed_cache(&host, rows)?;
                binding.bind_input(past, &cache)?;
                binding.bind_output(present, &mut cache)?;
                caches.push(cache);
            }
        }
        Ok(Buffers { rows, binding, ids, position, log_probability, logits, _caches: caches })
    }

    /// Places beyond a row's position are masked, but a masked place still is a factor: it must hold a finite number.
    fn zeroed_cache(&self, host: &Allocator, rows: usize) -> Result<Tensor<f32>, ort::Error> {
        let arch = &self.architecture;
        let mut cache = Tensor::<f32>::new(host, [rows, arch.heads, arch.max_positions, arch.head_dims])?;
        cache.extract_tensor_mut().1.fill(0.0);
        match self.device {
            Device::Cpu => Ok(cache),
            Device::Cuda(index) => cache.to(AllocationDevice::CUDA, index),
        }
    }

    fn batch(&self) -> &Buffers {
        self.batch.as_ref().expect("a batch is attached before the first step")
    }

    /// Unnormalised scores of the last step, `[B, V]` row-major; on the CPU alone.
    pub fn logits(&self) -> Option<&[f32]> {
        self.batch().logits.as_ref().map(|logits| logits.extract_tensor().1)
    }

    /// Overrides the next input token of each row, `[B]`: teacher forcing.
    pub fn feed(&mut self, ids: &[i64]) -> Result<(), StepError> {
        let cuda = self.device != Device::Cpu;
        let batch = self.batch.as_mut().expect("a batch is attached before the first step");
        batch.ids.extract_tensor_mut().1.copy_from_slice(ids);
        if cuda {
            batch.binding.bind_input(interface::INPUT_IDS, &batch.ids)?;
        }
        Ok(())
    }
}

fn device_memory(index: i32) -> Result<MemoryInfo<'static>, ort::Error> {
    MemoryInfo::new(AllocationDevice::CUDA, index, AllocatorType::Device, MemoryType::Default)
}

impl StepModel for Decoder {
    fn rows(&self) -> usize {
        self.batch().rows
    }

    fn positions(&self) -> usize {
        self.architecture.max_positions
    }

    fn begin(&mut self, start: i64) -> Result<(), StepError> {
        let cuda = self.device != Device::Cpu;
        let batch = self.batch.as_mut().expect("a batch is attached before the first step");
        batch.ids.extract_tensor_mut().1.fill(start);
        batch.position.extract_tensor_mut().1.fill(0);
        if cuda {
            batch.binding.bind_input(interface::INPUT_IDS, &batch.ids)?;
            batch.binding.bind_input(interface::POSITION, &batch.position)?;
        }
        Ok(())
    }

    fn step(&mut self) -> Result<(), StepError> {
        let batch = self.batch.as_mut().expect("a batch is attached before the first step");
        self.session.run_binding(&batch.binding)?;
        if self.device != Device::Cpu {
            // Inputs on the CPU are copied to the device when they are bound, so a step's results are bound again.
            batch.binding.bind_input(interface::INPUT_IDS, &batch.ids)?;
            batch.binding.bind_input(interface::POSITION, &batch.position)?;
        }
        Ok(())
    }

    fn next_ids(&self) -> &[i64] {
        self.batch().ids.extract_tensor().1
    }

    fn log_probabilities(&self) -> &[f32] {
        self.batch().log_probability.extract_tensor().1
    }
}

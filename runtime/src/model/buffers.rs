//! The tensors of one batch size, each bound to the decoder once.

use std::fmt;

use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::{IoBinding, Session};
use ort::value::Tensor;
use xreport_models::bundle::{Architecture, DType, interface};

use super::encoder::Encoded;
use super::floats::Floats;
use crate::device::Device;

/// Inputs, outputs and caches for `rows` rows.
pub(super) struct Buffers {
    rows: usize,
    device: Device,
    binding: IoBinding,
    /// `i64 [B, 1]`: input and, bound in place, output of each step.
    ids: Tensor<i64>,
    /// `i32 [B]`, likewise: places of the cache that a row has filled.
    position: Tensor<i32>,
    /// `f32 [B, 1]`.
    log_probability: Tensor<f32>,
    /// `f32 [B, 1, V]` on the CPU.
    logits: Option<Tensor<f32>>,
    /// Keys and values of the text, `[B, heads, T, head_dims]`, on the device.
    caches: Vec<Floats>,
    /// Keys and values of the image, `[B, heads, S, head_dims]`, in the computer's memory, with their names.
    cross: Vec<(String, Floats)>,
    /// Whether an image has changed since it was last bound; a device has a copy from then.
    images_changed: bool,
}

impl fmt::Debug for Buffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffers for {} rows", self.rows)
    }
}

impl Buffers {
    pub fn allocate(
        session: &Session,
        arch: &Architecture,
        floats: DType,
        device: Device,
        rows: usize,
    ) -> Result<Self, ort::Error> {
        let host = Allocator::default();
        let mut binding = session.create_binding()?;
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
        let logits = match device {
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
        let mut cross = Vec::new();
        for layer in 0..arch.decoders {
            for (past, present) in [
                (interface::past_key(layer), interface::present_key(layer)),
                (interface::past_value(layer), interface::present_value(layer)),
            ] {
                let shape = [rows, arch.heads, arch.max_positions, arch.head_dims];
                let mut cache = Floats::zeroed(floats, shape)?.on(device)?;
                cache.bind_input(&mut binding, &past)?;
                cache.bind_output(&mut binding, &present)?;
                caches.push(cache);
            }
            for name in [interface::cross_key(layer), interface::cross_value(layer)] {
                let image = Floats::zeroed(floats, [rows, arch.heads, arch.image_tokens, arch.head_dims])?;
                image.bind_input(&mut binding, &name)?;
                cross.push((name, image));
            }
        }
        let images_changed = false;
        Ok(Self { rows, device, binding, ids, position, log_probability, logits, caches, cross, images_changed })
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn ids(&self) -> &[i64] {
        self.ids.extract_tensor().1
    }

    pub fn ids_mut(&mut self) -> &mut [i64] {
        self.ids.extract_tensor_mut().1
    }

    pub fn positions_mut(&mut self) -> &mut [i32] {
        self.position.extract_tensor_mut().1
    }

    pub fn log_probabilities(&self) -> &[f32] {
        self.log_probability.extract_tensor().1
    }

    /// `[B, V]` row-major; on the CPU alone.
    pub fn logits(&self) -> Option<&[f32]> {
        self.logits.as_ref().map(|logits| logits.extract_tensor().1)
    }

    /// Gives a row the keys and values of an encoded image.
    pub fn fill(&mut self, row: usize, encoded: &Encoded, image: usize) -> Result<(), ort::Error> {
        for ((_, cross), output) in self.cross.iter_mut().zip(encoded.outputs()) {
            cross.fill_row(row, output, image)?;
        }
        self.images_changed = true;
        Ok(())
    }

    pub fn step(&mut self, session: &mut Session) -> Result<(), ort::Error> {
        if self.device != Device::Cpu {
            self.rebind()?;
        }
        session.run_binding(&self.binding)?;
        Ok(())
    }

    /// Inputs in the computer's memory are copied to the device when they are bound: what has changed is bound again.
    fn rebind(&mut self) -> Result<(), ort::Error> {
        self.binding.bind_input(interface::INPUT_IDS, &self.ids)?;
        self.binding.bind_input(interface::POSITION, &self.position)?;
        if std::mem::take(&mut self.images_changed) {
            for (name, cross) in &self.cross {
                cross.bind_input(&mut self.binding, name)?;
            }
        }
        Ok(())
    }

    /// Gives row `to` the past of row `from`; both have the same image.
    pub fn copy_row(&mut self, from: usize, to: usize) {
        let positions = self.position.extract_tensor_mut().1;
        positions[to] = positions[from];
        let length = positions[from] as usize;
        self.caches.iter_mut().for_each(|cache| cache.copy_row(from, to, length));
    }

    /// Becomes these rows of another batch: input, position, past and image.
    pub fn take_rows(&mut self, other: &Self, rows: &[usize]) {
        for (to, &from) in rows.iter().enumerate() {
            let position = other.position.extract_tensor().1[from];
            self.positions_mut()[to] = position;
            self.ids_mut()[to] = other.ids()[from];
            for (cache, its) in self.caches.iter_mut().zip(&other.caches) {
                cache.take_row(to, its, from, position as usize);
            }
            for ((_, cross), (_, its)) in self.cross.iter_mut().zip(&other.cross) {
                cross.take_row(to, its, from, its.places());
            }
        }
        self.images_changed = true;
    }
}

fn device_memory(index: i32) -> Result<MemoryInfo<'static>, ort::Error> {
    MemoryInfo::new(AllocationDevice::CUDA, index, AllocatorType::Device, MemoryType::Default)
}

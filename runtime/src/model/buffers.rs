//! The tensors of one batch size, each bound to the decoder once.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::{IoBinding, Session};
use ort::value::Tensor;
use xreport_models::bundle::{Architecture, DType, interface};

use super::encoder::Encoded;
use super::floats::Floats;
use crate::device::Device;

/// Numbers buffers, so that who binds to them can tell them apart; 0 is none.
static NUMBERS: AtomicU64 = AtomicU64::new(1);

/// Inputs, outputs and caches for `rows` rows.
pub(super) struct Buffers {
    number: u64,
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
    state: StateTensors,
    /// Whether an image has changed since it was last bound; a device has a copy from then.
    images_changed: bool,
}

/// Keys and values, with their names in the graph.
pub(super) struct StateTensors {
    /// Of the text, `[B, heads, T, head_dims]`, on the device: past and present in one place.
    caches: Vec<([String; 2], Floats)>,
    /// Of the image, `[B, heads, S, head_dims]`, in the computer's memory unless steps are taken ahead.
    pub cross: Vec<(String, Floats)>,
}

impl StateTensors {
    pub fn zeroed(arch: &Architecture, floats: DType, device: Device, rows: usize) -> Result<Self, ort::Error> {
        let mut caches = Vec::new();
        for layer in 0..arch.decoders {
            for names in [
                [interface::past_key(layer), interface::present_key(layer)],
                [interface::past_value(layer), interface::present_value(layer)],
            ] {
                let shape = [rows, arch.heads, arch.max_positions, arch.head_dims];
                caches.push((names, Floats::zeroed(floats, shape)?.on(device)?));
            }
        }
        Ok(Self { caches, cross: zeroed_images(arch, floats, rows)? })
    }

    pub fn bind(&mut self, binding: &mut IoBinding) -> Result<(), ort::Error> {
        for ([past, present], cache) in &mut self.caches {
            cache.bind_input(binding, past)?;
            cache.bind_output(binding, present)?;
        }
        self.cross.iter().try_for_each(|(name, image)| image.bind_input(binding, name))
    }
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
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let (mut state, images_changed) = (StateTensors::zeroed(arch, floats, device, rows)?, false);
        state.bind(&mut binding)?;
        Ok(Self { number, rows, device, binding, ids, position, log_probability, logits, state, images_changed })
    }

    /// Tells these buffers from all others of this process.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Binds keys and values to another graph that works on them.
    pub fn bind_state(&mut self, binding: &mut IoBinding) -> Result<(), ort::Error> {
        self.state.bind(binding)
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
        for ((_, cross), output) in self.state.cross.iter_mut().zip(encoded.outputs()) {
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
            for (name, cross) in &self.state.cross {
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
        self.state.caches.iter_mut().for_each(|(_, cache)| cache.copy_row(from, to, length));
    }

    /// Becomes these rows of another batch: input, position, past and image.
    pub fn take_rows(&mut self, other: &Self, rows: &[usize]) {
        for (to, &from) in rows.iter().enumerate() {
            let position = other.position.extract_tensor().1[from];
            self.positions_mut()[to] = position;
            self.ids_mut()[to] = other.ids()[from];
            for ((_, cache), (_, its)) in self.state.caches.iter_mut().zip(&other.state.caches) {
                cache.take_row(to, its, from, position as usize);
            }
            for ((_, cross), (_, its)) in self.state.cross.iter_mut().zip(&other.state.cross) {
                cross.take_row(to, its, from, its.places());
            }
        }
        self.images_changed = true;
    }
}

/// Keys and values of no image yet, with their names, in the computer's memory.
pub(super) fn zeroed_images(
    arch: &Architecture,
    floats: DType,
    rows: usize,
) -> Result<Vec<(String, Floats)>, ort::Error> {
    let shape = [rows, arch.heads, arch.image_tokens, arch.head_dims];
    let names = (0..arch.decoders).flat_map(|layer| [interface::cross_key(layer), interface::cross_value(layer)]);
    names.map(|name| Ok((name, Floats::zeroed(floats, shape)?))).collect()
}

fn device_memory(index: i32) -> Result<MemoryInfo<'static>, ort::Error> {
    MemoryInfo::new(AllocationDevice::CUDA, index, AllocatorType::Device, MemoryType::Default)
}

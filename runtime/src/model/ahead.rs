//! A batch that lives on the device as a whole, and takes several steps before anyone looks at what it said.
//!
//! Nothing that a step reads or writes changes its address or its shape: what a capture as a CUDA graph wants. The tokens
//! of consecutive steps go round a ring of places, each of which has a binding (and a capture) of its own: a step reads
//! its input from one place and writes the next input into the following one, so that after as many steps as there are
//! places all tokens are still there, and they are fetched together.
//!
//! On the CPU the same buffers and bindings run without a capture: that is how they are tested.

use std::fmt;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread::{self, ThreadId};

use ort::memory::{AllocationDevice, Allocator};
use ort::session::{IoBinding, RunOptions, Session};
use ort::value::{PrimitiveTensorElementType, Tensor};
use xreport_models::bundle::{Architecture, DType, interface};

use super::StepsAhead;
use super::buffers::{StateTensors, zeroed_images};
use super::encoder::Encoded;
use super::floats::Floats;
use crate::device::Device;

/// Numbers captures. A number is never used again: a graph that was captured for buffers that are gone would write into
/// what was their memory. ONNX Runtime takes -1 for no capture.
static CAPTURES: AtomicI32 = AtomicI32::new(1);

/// Runs after which ONNX Runtime has captured a graph: two for its memory, the third is captured. Some versions take them
/// all within the first.
const RUNS_UNTIL_CAPTURED: usize = 3;

/// Buffers of `rows` rows.
pub(super) struct AheadBuffers {
    rows: usize,
    /// Positions T of the cache.
    longest: usize,
    places: Vec<Place>,
    /// `i32 [B]` on the device: input and, bound in place, output of each step.
    position: Tensor<i32>,
    /// `f32 [B, 1, V]` on the device: bound, never read.
    _logits: Tensor<f32>,
    /// All of it on the device.
    state: StateTensors,
    /// Keys and values of the images, in the computer's memory.
    images: Vec<(String, Floats)>,
    images_changed: bool,
    host: Host,
    /// Who captured the places' graphs: ONNX Runtime keeps a capture for the thread that made it, and another's first
    /// call would run its step several times.
    captured_by: Option<ThreadId>,
    capture: bool,
}

/// A place of the ring.
struct Place {
    /// `i64 [B, 1]` on the device: the input of the step that is taken from here.
    ids: Tensor<i64>,
    /// `f32 [B, 1]` on the device: what that step gives.
    log_probability: Tensor<f32>,
    /// From this place to the following.
    binding: IoBinding,
    options: RunOptions,
}

/// What the computer knows of the rows.
struct Host {
    /// `i64 [B, 1]`: next input of each row, after all steps that were taken.
    ids: Tensor<i64>,
    /// `i32 [B]`: places of the cache that each row has filled then.
    position: Tensor<i32>,
    /// Whether these are to be brought to the device.
    changed: bool,
    /// The place that the next step is taken from.
    place: usize,
    /// What each step of the latest round said, `i64 [B, 1]` and `f32 [B, 1]`.
    said: Vec<(Tensor<i64>, Tensor<f32>)>,
    /// Steps of that round, and how many of them were handed out.
    taken: usize,
    handed: usize,
}

impl fmt::Debug for AheadBuffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AheadBuffers for {} rows, {} steps", self.rows, self.places.len())
    }
}

impl AheadBuffers {
    pub fn allocate(
        session: &Session,
        arch: &Architecture,
        floats: DType,
        device: Device,
        ahead: StepsAhead,
        rows: usize,
    ) -> Result<Self, ort::Error> {
        let count = ahead.steps.get();
        let mut state = StateTensors::zeroed(arch, floats, device, rows)?;
        state.cross = zeroed_images(arch, floats, rows)?
            .into_iter()
            .map(|(name, image)| Ok((name, image.on(device)?)))
            .collect::<Result<_, ort::Error>>()?;
        let mut position = device_tensor::<i32, 1>(device, [rows])?;
        let mut logits = device_tensor::<f32, 3>(device, [rows, 1, arch.vocabulary])?;
        let mut ids =
            (0..count).map(|_| device_tensor(device, [rows, 1])).collect::<Result<Vec<Tensor<i64>>, ort::Error>>()?;
        let mut steps = Vec::new();
        for place in 0..count {
            let mut log_probability = device_tensor::<f32, 2>(device, [rows, 1])?;
            let mut binding = session.create_binding()?;
            binding.bind_input(interface::INPUT_IDS, &ids[place])?;
            binding.bind_output(interface::NEXT_IDS, &mut ids[(place + 1) % count])?;
            binding.bind_input(interface::POSITION, &position)?;
            binding.bind_output(interface::NEXT_POSITION, &mut position)?;
            binding.bind_output(interface::LOG_PROBABILITY, &mut log_probability)?;
            binding.bind_output(interface::LOGITS, &mut logits)?;
            state.bind(&mut binding)?;
            let mut options = RunOptions::new()?;
            if ahead.cuda_graph {
                options.set("gpu_graph_id", CAPTURES.fetch_add(1, Ordering::Relaxed).to_string())?;
            }
            steps.push((log_probability, binding, options));
        }
        let places = ids.into_iter().zip(steps);
        let place = |(ids, (log_probability, binding, options))| Place { ids, log_probability, binding, options };
        Ok(Self {
            rows,
            longest: arch.max_positions,
            places: places.map(place).collect(),
            position,
            _logits: logits,
            state,
            images: zeroed_images(arch, floats, rows)?,
            images_changed: true,
            host: Host::new(rows, count)?,
            captured_by: None,
            capture: ahead.cuda_graph,
        })
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Begins anew: steps that were not handed out are given up, and the graphs are captured where this thread has not.
    ///
    /// A capture runs the step, more than once; what the rows were is lost.
    pub fn prepare(&mut self, session: &mut Session) -> Result<(), ort::Error> {
        self.give_up_ahead();
        let this = thread::current().id();
        if !self.capture || self.captured_by == Some(this) {
            return Ok(());
        }
        for place in 0..self.places.len() {
            for _ in 0..RUNS_UNTIL_CAPTURED {
                self.host.restart();
                self.host.place = place;
                self.upload()?;
                let Place { binding, options, .. } = &self.places[place];
                session.run_binding_with_options(binding, options)?;
            }
        }
        self.host.restart();
        self.captured_by = Some(this);
        Ok(())
    }

    /// Whether all steps that were taken have been handed out: rows may change now.
    pub fn at_rest(&self) -> bool {
        self.host.handed == self.host.taken
    }

    /// Forgets the steps that were taken and not handed out. The rows have to be started again.
    pub fn give_up_ahead(&mut self) {
        self.host.handed = self.host.taken;
    }

    /// Puts a row at position 0 with `start` as input.
    pub fn start_row(&mut self, row: usize, start: i64) {
        self.feed_row(row, start);
        self.host.position.extract_tensor_mut().1[row] = 0;
    }

    /// Makes `token` a row's next input.
    pub fn feed_row(&mut self, row: usize, token: i64) {
        assert!(self.at_rest(), "a row changes when all steps have been handed out");
        self.host.ids.extract_tensor_mut().1[row] = token;
        self.host.changed = true;
    }

    /// Gives a row the keys and values of an encoded image.
    pub fn fill(&mut self, row: usize, encoded: &Encoded, image: usize) -> Result<(), ort::Error> {
        for ((_, cross), output) in self.images.iter_mut().zip(encoded.outputs()) {
            cross.fill_row(row, output, image)?;
        }
        self.images_changed = true;
        Ok(())
    }

    /// Hands out the next step, taking a round of them where none is left.
    pub fn step(&mut self, session: &mut Session) -> Result<(), ort::Error> {
        if self.at_rest() {
            self.round(session)?;
        }
        self.host.handed += 1;
        Ok(())
    }

    /// Takes as many steps as there are places, or as the fullest row's cache has room for, and fetches what was said.
    fn round(&mut self, session: &mut Session) -> Result<(), ort::Error> {
        let fullest = self.host.position.extract_tensor().1.iter().copied().max().unwrap_or_default() as usize;
        let steps = self.places.len().min(self.longest.saturating_sub(fullest));
        // A step beyond the cache would write beyond its memory.
        assert!(steps > 0, "a row ends when its cache is full");
        self.upload()?;
        let first = self.host.place;
        for step in 0..steps {
            let Place { binding, options, .. } = &self.places[(first + step) % self.places.len()];
            session.run_binding_with_options(binding, options)?;
        }
        for (step, (ids, log_probability)) in self.host.said[..steps].iter_mut().enumerate() {
            self.places[(first + step + 1) % self.places.len()].ids.copy_into(&mut *ids)?;
            self.places[(first + step) % self.places.len()].log_probability.copy_into(&mut *log_probability)?;
        }
        self.host.follow(steps, self.places.len());
        Ok(())
    }

    /// Brings to the device what has changed.
    fn upload(&mut self) -> Result<(), ort::Error> {
        if std::mem::take(&mut self.host.changed) {
            self.host.ids.copy_into(&mut self.places[self.host.place].ids)?;
            self.host.position.copy_into(&mut self.position)?;
        }
        if std::mem::take(&mut self.images_changed) {
            for ((_, image), (_, there)) in self.images.iter().zip(&mut self.state.cross) {
                image.copy_into(there)?;
            }
        }
        Ok(())
    }

    /// The latest step's tokens, `[B]`.
    pub fn ids(&self) -> &[i64] {
        let latest = self.host.handed.checked_sub(1);
        latest.map_or_else(|| self.host.ids.extract_tensor().1, |step| self.host.said[step].0.extract_tensor().1)
    }

    /// Their log-probabilities, `[B]`.
    pub fn log_probabilities(&self) -> &[f32] {
        self.host.said[self.host.handed.saturating_sub(1)].1.extract_tensor().1
    }
}

impl Host {
    fn new(rows: usize, steps: usize) -> Result<Self, ort::Error> {
        let said = || Ok((device_tensor(Device::Cpu, [rows, 1])?, device_tensor(Device::Cpu, [rows, 1])?));
        Ok(Self {
            ids: device_tensor(Device::Cpu, [rows, 1])?,
            position: device_tensor(Device::Cpu, [rows])?,
            changed: true,
            place: 0,
            said: (0..steps).map(|_| said()).collect::<Result<_, ort::Error>>()?,
            taken: 0,
            handed: 0,
        })
    }

    /// All rows at their beginning.
    fn restart(&mut self) {
        self.ids.extract_tensor_mut().1.fill(0);
        self.position.extract_tensor_mut().1.fill(0);
        self.changed = true;
    }

    /// What a round has done to the rows.
    fn follow(&mut self, steps: usize, places: usize) {
        self.ids.extract_tensor_mut().1.copy_from_slice(self.said[steps - 1].0.extract_tensor().1);
        self.position.extract_tensor_mut().1.iter_mut().for_each(|position| *position += steps as i32);
        self.place = (self.place + steps) % places;
        (self.taken, self.handed) = (steps, 0);
    }
}

/// Zeros on a device.
fn device_tensor<T, const N: usize>(device: Device, shape: [usize; N]) -> Result<Tensor<T>, ort::Error>
where
    T: PrimitiveTensorElementType + Default + Clone + fmt::Debug + 'static,
{
    let mut tensor = Tensor::<T>::new(&Allocator::default(), shape)?;
    tensor.extract_tensor_mut().1.fill(T::default());
    match device {
        Device::Cpu => Ok(tensor),
        Device::Cuda(index) => tensor.to(AllocationDevice::CUDA, index),
    }
}

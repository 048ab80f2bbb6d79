//! The processes of one training: what they exchange, and in which order.
//!
//! Every process makes the same calls in the same order; each call has a number, and its keys in the store bear it. Sums
//! are formed in the order of the ranks by one process, and all read the same bytes: weights stay equal on all ranks to
//! the last bit, whatever the network does.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tch::{Device, Kind, Tensor};

use super::error::RanksError;
use super::launch::Launch;
use super::nccl::Nccl;
use super::watch::Watch;
use crate::native::{Store, SumInPlace};

/// How often a waiting process looks whether the others still live.
const SLICE: Duration = Duration::from_millis(250);
/// Floats of one value in the store: 4 MB, half of what libtorch's server takes.
const PIECE: usize = 1 << 20;
/// Tensors of fewer floats are gathered as they are: to divide them among the ranks gains nothing.
const SMALL: usize = 4096;
/// How long the process that serves the store waits at its end for the others to have read theirs.
const FAREWELL: Duration = Duration::from_secs(5);

/// This process among the others.
#[derive(Debug)]
pub struct Group {
    launch: Launch,
    prefix: String,
    line: Mutex<Line>,
    watch: Watch,
    nccl: OnceLock<Nccl>,
    /// What a call inside a forward or backward pass failed of: through libtorch only a panic comes back.
    failure: Mutex<Option<RanksError>>,
}

/// The connection, the number of the next call, and the keys of this process that all others have read.
#[derive(Debug)]
struct Line {
    store: Store,
    call: u64,
    read_by_all: Vec<String>,
}

impl Group {
    /// Meets the others.
    pub fn join(launch: Launch) -> Result<Self, RanksError> {
        let prefix = format!("xreport/{}/", launch.run);
        let wait = Duration::from_secs(launch.join_seconds);
        let mut store = Store::open(&launch.host, launch.port, launch.serves(), wait)
            .map_err(|said| cannot_open(&launch, launch.serves(), &said))?;
        let own_line = Store::open(&launch.host, launch.port, false, wait);
        let watch = Watch::start(&launch, own_line.map_err(|said| cannot_open(&launch, false, &said))?, &prefix);
        let come = store.add(&format!("{prefix}come/{}", launch.rank), 1);
        if come.map_err(|said| cannot_open(&launch, false, &said))? > 1 {
            return Err(RanksError::Environment {
                problem: format!("another process has come to {} as rank {}", launch.address(), launch.rank),
            });
        }
        let line = Mutex::new(Line { store, call: 0, read_by_all: Vec::new() });
        Ok(Self { launch, prefix, line, watch, nccl: OnceLock::new(), failure: Mutex::new(None) })
    }

    /// Which process this is.
    pub fn launch(&self) -> &Launch {
        &self.launch
    }

    /// What every rank says, in the order of the ranks. The first call waits XREPORT_JOIN_SECONDS for processes that are
    /// still starting, all others as long as everyone lives.
    pub fn gather(&self, own: &[u8]) -> Result<Vec<Vec<u8>>, RanksError> {
        let mut line = self.line();
        let (call, own_key) = self.next_call(&mut line);
        self.set(&mut line, &own_key, own)?;
        let deadline = (call == 0).then(|| Instant::now() + Duration::from_secs(self.launch.join_seconds));
        let mut all = Vec::with_capacity(self.launch.world);
        for rank in 0..self.launch.world {
            let key = self.key(call, rank);
            all.push(if rank == self.launch.rank { own.to_vec() } else { self.receive(&mut line, &key, deadline)? });
        }
        self.forget(&mut line, vec![own_key])?;
        Ok(all)
    }

    /// As [`Group::gather`], numbers.
    pub fn gather_numbers(&self, own: &[f64]) -> Result<Vec<Vec<f64>>, RanksError> {
        let all = self.gather(bytemuck::cast_slice(own))?;
        Ok(all
            .iter()
            .map(|bytes| bytes.as_chunks::<8>().0.iter().map(|raw| f64::from_ne_bytes(*raw)).collect())
            .collect())
    }

    /// Adds up `values` over all ranks, in place: each rank sums a part of its own and hands it to the others.
    fn sum_floats(&self, values: &mut [f32]) -> Result<(), RanksError> {
        let (own, world) = (self.launch.rank, self.launch.world);
        let mut line = self.line();
        let (call, _) = self.next_call(&mut line);
        let length = values.len();
        let part = |rank: usize| rank * length / world..(rank + 1) * length / world;
        let name = |from: usize, to: usize, piece: usize| format!("{}{from}/{to}/{piece}", self.key(call, from));
        for rank in (0..world).filter(|&rank| rank != own) {
            for (piece, floats) in values[part(rank)].chunks(PIECE).enumerate() {
                self.set(&mut line, &name(own, rank, piece), bytemuck::cast_slice(floats))?;
            }
        }
        let mut written = Vec::new();
        for (piece, floats) in values[part(own)].chunks_mut(PIECE).enumerate() {
            let mut sum = vec![0f32; floats.len()];
            for rank in 0..world {
                if rank == own {
                    sum.iter_mut().zip(&*floats).for_each(|(sum, value)| *sum += value);
                    continue;
                }
                let key = name(rank, own, piece);
                let bytes = self.receive(&mut line, &key, None)?;
                self.delete(&mut line, &key)?;
                for (sum, raw) in sum.iter_mut().zip(bytes.as_chunks::<4>().0) {
                    *sum += f32::from_ne_bytes(*raw);
                }
            }
            floats.copy_from_slice(&sum);
            let key = name(own, own, piece);
            self.set(&mut line, &key, bytemuck::cast_slice(&sum))?;
            written.push(key);
        }
        for rank in (0..world).filter(|&rank| rank != own) {
            for (piece, floats) in values[part(rank)].chunks_mut(PIECE).enumerate() {
                let bytes = self.receive(&mut line, &name(rank, rank, piece), None)?;
                for (value, raw) in floats.iter_mut().zip(bytes.as_chunks::<4>().0) {
                    *value = f32::from_ne_bytes(*raw);
                }
            }
        }
        self.forget(&mut line, written)
    }

    /// Adds up a tensor over all ranks, in place.
    pub fn sum(&self, tensor: &mut Tensor) -> Result<(), RanksError> {
        let _no_grad = tch::no_grad_guard();
        if let (Some(nccl), Device::Cuda(_)) = (self.nccl.get(), tensor.device()) {
            self.watch.set_on_device(true);
            return nccl.sum(tensor);
        }
        let on_cpu = tensor.to_device(Device::Cpu).contiguous();
        let summed = if tensor.kind() == Kind::Double {
            let mut values = vec![0f64; on_cpu.numel()];
            on_cpu.view(-1).copy_data(&mut values, on_cpu.numel());
            let all = self.gather_numbers(&values)?;
            let mut all = all.into_iter();
            let mut sum = all.next().unwrap_or_default();
            for other in all {
                sum.iter_mut().zip(other).for_each(|(sum, value)| *sum += value);
            }
            Tensor::from_slice(&sum)
        } else if on_cpu.numel() < SMALL {
            let mut sum = on_cpu.to_kind(Kind::Double);
            self.sum(&mut sum)?;
            sum.to_kind(Kind::Float)
        } else {
            let mut values = vec![0f32; on_cpu.numel()];
            on_cpu.to_kind(Kind::Float).view(-1).copy_data(&mut values, on_cpu.numel());
            self.sum_floats(&mut values)?;
            Tensor::from_slice(&values)
        };
        tensor.copy_(&summed.view(on_cpu.size().as_slice()));
        Ok(())
    }

    /// Uses NCCL for what lies on CUDA device `index`, where every rank has a GPU of its own.
    pub fn use_cuda(&self, index: usize) -> Result<(), RanksError> {
        let place = format!("{} {index}", super::machine());
        let places = self.gather(place.as_bytes())?;
        let alone = places.iter().filter(|other| **other == place.as_bytes()).count() == 1;
        let shared = self.gather(&[u8::from(!alone)])?.iter().any(|is| is == &[1]);
        let refused = std::env::var("XREPORT_REDUCE").is_ok_and(|how| how == "store");
        if shared || refused {
            super::say("gradients go through the CPU: NCCL wants a GPU for each process");
            return Ok(());
        }
        let id = if self.launch.rank == 0 { Nccl::unique_id()? } else { Vec::new() };
        let ids = self.gather(&id)?;
        let nccl = Nccl::join(&ids[0], self.launch.rank, self.launch.world, index)?;
        let _ = self.nccl.set(nccl);
        Ok(())
    }

    /// Where a pass was ended by a panic: what this process could not exchange with the others, if that was the cause.
    pub fn failure(&self) -> Option<RanksError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The device has done all that it was told.
    pub fn device_is_done(&self) {
        self.watch.set_on_device(false);
    }

    /// Leaves the others, in peace or with an error; who serves the store waits until they have read what is theirs.
    pub fn leave(&self, failed: Option<String>) {
        let patience = if self.launch.serves() { FAREWELL } else { Duration::ZERO };
        let mut line = self.line();
        let gone = format!("{}gone/", self.prefix);
        self.watch.leave(failed);
        let started = Instant::now();
        if self.launch.serves() {
            for rank in 1..self.launch.world {
                let left = patience.saturating_sub(started.elapsed());
                if left.is_zero() || !matches!(line.store.get(&format!("{gone}{rank}"), left), Ok(Some(_))) {
                    break;
                }
            }
        } else {
            let _ = line.store.set(&format!("{gone}{}", self.launch.rank), b"1");
        }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_call(&self, line: &mut Line) -> (u64, String) {
        let call = line.call;
        line.call += 1;
        (call, self.key(call, self.launch.rank))
    }

    fn key(&self, call: u64, rank: usize) -> String {
        format!("{}{call}/{rank}", self.prefix)
    }

    fn set(&self, line: &mut Line, key: &str, bytes: &[u8]) -> Result<(), RanksError> {
        line.store.set(key, bytes).map_err(|said| self.broken(said))
    }

    fn delete(&self, line: &mut Line, key: &str) -> Result<(), RanksError> {
        line.store.delete(key).map_err(|said| self.broken(said))
    }

    /// Everyone has answered this call, so everyone has read what the calls before left: it is removed.
    fn forget(&self, line: &mut Line, written: Vec<String>) -> Result<(), RanksError> {
        for key in std::mem::replace(&mut line.read_by_all, written) {
            self.delete(line, &key)?;
        }
        Ok(())
    }

    fn receive(&self, line: &mut Line, key: &str, deadline: Option<Instant>) -> Result<Vec<u8>, RanksError> {
        loop {
            if let Some(bytes) = line.store.get(key, SLICE).map_err(|said| self.broken(said))? {
                return Ok(bytes);
            }
            if let Some(trouble) = self.watch.trouble() {
                return Err(trouble);
            }
            if deadline.is_some_and(|deadline| Instant::now() > deadline) {
                return Err(self.missing(line));
            }
        }
    }

    /// What a broken connection means: where a process has told why it ended, that.
    fn broken(&self, said: String) -> RanksError {
        self.watch.trouble().unwrap_or_else(|| RanksError::StoreGone { address: self.launch.address(), said })
    }

    fn missing(&self, line: &mut Line) -> RanksError {
        let world = self.launch.world;
        let absent = (0..world).filter(|rank| {
            let come = line.store.has(&format!("{}come/{rank}", self.prefix));
            !come.unwrap_or(false)
        });
        let absent: Vec<String> = absent.map(|rank| rank.to_string()).collect();
        let missing = format!("{} (rank {})", absent.len(), absent.join(", "));
        RanksError::Missing { missing, world, seconds: self.launch.join_seconds }
    }
}

impl SumInPlace for Group {
    fn sum_in_place(&self, tensor: &mut Tensor) -> Result<(), ()> {
        self.sum(tensor).map_err(|error| {
            self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        })
    }
}

fn cannot_open(launch: &Launch, serves: bool, said: &str) -> RanksError {
    let address = launch.address();
    if serves
        && ["EADDRINUSE", "address already in use", "Address already in use"].iter().any(|word| said.contains(word))
    {
        return RanksError::PortTaken { address };
    }
    let what = if serves { "served" } else { "reached" };
    // The rest of libtorch's message is its own stack.
    let said = said.lines().next().unwrap_or_default().to_owned();
    RanksError::NoStore { address, what, said }
}

//! Training by several processes at once, each with its part of every batch (data parallel).
//!
//! Launched by torchrun, by Slurm or by hand: each process finds in its environment which one it is ([`launch`]). All
//! meet in c10d's store ([`group`]); each watches that the others live ([`watch`]). Gradients are added up as
//! one flat tensor, through the store on the CPU and by NCCL on CUDA ([`nccl`]). What a run consists of must be the same
//! everywhere ([`agreement`]). Rank 0 alone writes and speaks.

mod agreement;
mod error;
mod group;
mod launch;
mod nccl;
mod watch;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use tch::Tensor;
use xreport_runtime::console;

use crate::native::{self, SumOver};

pub use agreement::Agreement;
pub use error::RanksError;
use group::Group;
pub use launch::Launch;

/// Whether this process leaves speaking to rank 0.
static SILENT: AtomicBool = AtomicBool::new(false);

/// A line on stderr, from rank 0 alone: the others would only repeat it.
pub fn say(text: impl std::fmt::Display) {
    if !SILENT.load(Ordering::Relaxed) {
        console::info(text);
    }
}

/// The processes of this training: one, or a group.
#[derive(Debug, Clone, Copy)]
pub struct Ranks {
    group: Option<&'static Group>,
}

impl Ranks {
    /// One process.
    pub fn alone() -> Self {
        Self { group: None }
    }

    /// As the environment says; with several, meets them.
    pub fn join() -> Result<Self, RanksError> {
        let Some(launch) = Launch::from_environment()? else { return Ok(Self::alone()) };
        SILENT.store(launch.rank > 0, Ordering::Relaxed);
        say(format!(
            "{} processes, {} of them here; they meet at {}",
            launch.world,
            launch.local_world,
            launch.address()
        ));
        // For ever: libtorch's graphs and the thread that watches hold on to it, and there is one.
        let group: &'static Group = Box::leak(Box::new(Group::join(launch)?));
        let ranks = Self { group: Some(group) };
        ranks.agree(&Agreement::of_program())?;
        Ok(ranks)
    }

    /// Which process this is, from 0.
    pub fn rank(&self) -> usize {
        self.group.map_or(0, |group| group.launch().rank)
    }

    /// How many there are.
    pub fn world(&self) -> usize {
        self.group.map_or(1, |group| group.launch().world)
    }

    /// Whether there are several.
    pub fn several(&self) -> bool {
        self.group.is_some()
    }

    /// Whether this process writes.
    pub fn is_first(&self) -> bool {
        self.rank() == 0
    }

    /// What the launcher says, with several processes.
    pub fn launch(&self) -> Option<&'static Launch> {
        self.group.map(Group::launch)
    }

    /// Fails, on every rank, where a rank's `own` differs from rank 0's.
    pub fn agree(&self, own: &Agreement) -> Result<(), RanksError> {
        let Some(group) = self.group else { return Ok(()) };
        Agreement::compare(&group.gather(&own.to_bytes())?)
    }

    /// What rank 0 says.
    pub fn from_first(&self, own: String) -> Result<String, RanksError> {
        let Some(group) = self.group else { return Ok(own) };
        let said = group.gather(own.as_bytes())?;
        Ok(String::from_utf8_lossy(&said[0]).into_owned())
    }

    /// The numbers of every rank, in the order of the ranks.
    pub fn gather(&self, own: &[f64]) -> Result<Vec<Vec<f64>>, RanksError> {
        self.group.map_or_else(|| Ok(vec![own.to_vec()]), |group| group.gather_numbers(own))
    }

    /// Rank 0 works first, the others when it is done: what it has put in a cache they find there.
    pub fn first_before_others<T>(&self, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
        if self.is_first() {
            let done = work()?;
            self.gather(&[])?;
            return Ok(done);
        }
        self.gather(&[])?;
        work()
    }

    /// Adds up a tensor over all ranks, in place.
    pub fn sum(&self, tensor: &mut Tensor) -> Result<(), RanksError> {
        self.group.map_or(Ok(()), |group| group.sum(tensor))
    }

    /// How our C++ adds up over all ranks; none for one alone.
    pub fn sum_over(&self) -> Option<SumOver> {
        self.group.map(SumOver::new)
    }

    /// The sum of `own` over all ranks, differentiable.
    ///
    /// # Panics
    /// Where the ranks cannot exchange it; [`Ranks::guarded`] makes an error of the panic.
    pub fn differentiable_sum(&self, own: &Tensor) -> Tensor {
        self.sum_over().map_or_else(|| own.shallow_clone(), |over| native::differentiable_sum(own, over))
    }

    /// Runs `pass`, in which tensors are added up over the ranks: where that fails, libtorch's panic becomes an error.
    pub fn guarded<T>(&self, pass: impl FnOnce() -> T) -> Result<T, RanksError> {
        let Some(group) = self.group else { return Ok(pass()) };
        let passed = catch_unwind(AssertUnwindSafe(pass));
        match (passed, group.failure()) {
            (Ok(passed), _) => Ok(passed),
            (Err(_), Some(failure)) => Err(failure),
            (Err(panic), None) => resume_unwind(panic),
        }
    }

    /// Uses NCCL for tensors on CUDA device `index`.
    pub fn use_cuda(&self, index: usize) -> Result<(), RanksError> {
        self.group.map_or(Ok(()), |group| group.use_cuda(index))
    }

    /// A value has come back from the device: it waits for nobody.
    pub fn device_is_done(&self) {
        if let Some(group) = self.group {
            group.device_is_done();
        }
    }

    /// Leaves the others with what became of the work: an error is theirs, too, and says whose it is.
    pub fn leave<T>(&self, outcome: anyhow::Result<T>) -> anyhow::Result<T> {
        let Some(group) = self.group else { return outcome };
        let failed = outcome.as_ref().err().map(|error| xreport_runtime::failure::message(error.as_ref()));
        group.leave(failed);
        outcome.map_err(|error| error.context(format!("rank {} of {}", self.rank(), self.world())))
    }
}

/// Names this machine, as far as the system tells it.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default();
    format!("{} {}", read("/etc/hostname"), read("/proc/sys/kernel/random/boot_id"))
}

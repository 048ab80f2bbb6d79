//! Signs of life: each process tells twice a second that it lives, rank 0 watches all others, and they watch rank 0.
//!
//! A thread with a connection of its own does it, so that a process may compute, decode or export for hours without
//! anybody taking it for dead, while one that was killed is told within seconds. c10d itself has only timeouts, which
//! know no difference between the two.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use xreport_runtime::console;

use super::error::RanksError;
use super::launch::Launch;
use crate::native::Store;

/// Between two signs of life.
const BEAT: Duration = Duration::from_millis(500);
/// After so long without one a process counts as dead. torchrun leaves 30 s after SIGTERM to those that remain.
const SILENCE: Duration = Duration::from_secs(10);
/// How long a process may hang in a collective operation on the GPU after another one has died: NCCL does not return.
const HANGS: Duration = Duration::from_secs(30);
/// What a process tells when it leaves in peace.
const LEFT: &[u8] = b"left";

/// Watches over the others until it is dropped or left.
#[derive(Debug)]
pub struct Watch {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    trouble: Mutex<Option<RanksError>>,
    /// What this process tells the others before it ends: that it has failed, and why.
    failed: Mutex<Option<String>>,
    leaves: AtomicBool,
    /// Whether the device works on something that waits for other processes.
    on_device: AtomicBool,
}

impl Watch {
    /// Starts to watch. `prefix` stands before all keys.
    pub fn start(launch: &Launch, store: Store, prefix: &str) -> Self {
        let shared = Arc::new(Shared::default());
        let watcher = Watcher {
            launch: launch.clone(),
            store,
            prefix: prefix.to_owned(),
            shared: Arc::clone(&shared),
            heard: BTreeMap::new(),
            beats: 0,
        };
        Self { shared, thread: Mutex::new(Some(thread::spawn(move || watcher.watch()))) }
    }

    /// What has become of the others, where not all is well.
    pub fn trouble(&self) -> Option<RanksError> {
        lock(&self.shared.trouble).clone()
    }

    /// The device begins something that waits for the other processes, or has ended it.
    pub fn set_on_device(&self, is: bool) {
        self.shared.on_device.store(is, Ordering::Relaxed);
    }

    /// Tells the others that this process ends, in peace or with an error, and stops watching.
    pub fn leave(&self, failed: Option<String>) {
        *lock(&self.shared.failed) = failed;
        self.shared.leaves.store(true, Ordering::Relaxed);
        if let Some(thread) = lock(&self.thread).take() {
            thread.thread().unpark();
            // Nothing is lost with a thread that has panicked: it only watches.
            let _ = thread.join();
        }
    }
}

struct Watcher {
    launch: Launch,
    store: Store,
    prefix: String,
    shared: Arc<Shared>,
    /// By rank: its last sign of life, and when it came.
    heard: BTreeMap<usize, (Vec<u8>, Instant)>,
    beats: u64,
}

impl Watcher {
    fn watch(mut self) {
        let mut since = None;
        loop {
            let leaves = self.shared.leaves.load(Ordering::Relaxed);
            let failed = lock(&self.shared.failed).take();
            let done = match (leaves, failed) {
                (true, Some(said)) => self.tell_end(&format!("ended {} {said}", self.launch.rank)),
                (true, None) => self.beat(LEFT),
                (false, _) => self.beat_and_look(),
            };
            if leaves {
                return;
            }
            if let Err(said) = done {
                self.report(RanksError::StoreGone { address: self.launch.address(), said });
            }
            if lock(&self.shared.trouble).is_some() {
                let since = *since.get_or_insert_with(Instant::now);
                self.end_where_the_device_hangs(since);
            }
            thread::park_timeout(BEAT);
        }
    }

    fn beat_and_look(&mut self) -> Result<(), String> {
        self.beats += 1;
        let beat = self.beats.to_string();
        self.beat(beat.as_bytes())?;
        if lock(&self.shared.trouble).is_some() {
            return Ok(());
        }
        if let Some(end) = self.read("end")? {
            self.report(self.told(&String::from_utf8_lossy(&end)));
            return Ok(());
        }
        let watched = if self.launch.rank == 0 { 1..self.launch.world } else { 0..1 };
        for rank in watched {
            let sign = self.read(&format!("beat/{rank}"))?.unwrap_or_default();
            let heard = self.heard.entry(rank).or_insert_with(|| (sign.clone(), Instant::now()));
            if heard.0 != sign {
                *heard = (sign, Instant::now());
            } else if sign != LEFT && heard.1.elapsed() > SILENCE {
                let seconds = heard.1.elapsed().as_secs();
                self.tell_end(&format!("gone {rank} {seconds}"))?;
                self.report(RanksError::Gone { rank, world: self.launch.world, seconds });
                return Ok(());
            }
        }
        Ok(())
    }

    fn beat(&mut self, sign: &[u8]) -> Result<(), String> {
        self.store.set(&format!("{}beat/{}", self.prefix, self.launch.rank), sign)
    }

    fn tell_end(&mut self, words: &str) -> Result<(), String> {
        // The first to tell is the cause; what comes after follows from it.
        if self.read("end")?.is_none() {
            self.store.set(&format!("{}end", self.prefix), words.as_bytes())?;
        }
        self.beat(LEFT)
    }

    fn read(&mut self, name: &str) -> Result<Option<Vec<u8>>, String> {
        let key = format!("{}{name}", self.prefix);
        if self.store.has(&key)? { self.store.get(&key, BEAT) } else { Ok(None) }
    }

    /// What another process has told of an end.
    fn told(&self, words: &str) -> RanksError {
        let mut parts = words.splitn(3, ' ');
        let (kind, rank) = (parts.next().unwrap_or_default(), parts.next().and_then(|rank| rank.parse().ok()));
        let (rank, rest) = (rank.unwrap_or_default(), parts.next().unwrap_or_default());
        match kind {
            "gone" => RanksError::Gone { rank, world: self.launch.world, seconds: rest.parse().unwrap_or_default() },
            _ => RanksError::Ended { rank, said: rest.to_owned() },
        }
    }

    fn report(&self, trouble: RanksError) {
        lock(&self.shared.trouble).get_or_insert(trouble);
    }

    fn end_where_the_device_hangs(&self, since: Instant) {
        if self.shared.on_device.load(Ordering::Relaxed) && since.elapsed() > HANGS {
            let trouble = lock(&self.shared.trouble).clone();
            let trouble = trouble.map_or_else(String::new, |trouble| trouble.to_string());
            let rank = self.launch.rank;
            console::error(format_args!("rank {rank}: {trouble}\n  the GPU waits for it in vain: this process ends"));
            std::process::exit(2);
        }
    }
}

/// A lock whose data is whole even where a thread has panicked with it.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! The model behind the server: a bounded queue, and threads that draft with the very loop of `xreport generate`.
//!
//! A worker begins a run over its share of the studies that wait (what idle workers could take is left to them), and goes on
//! for as long as studies come: the run is widened for those who come while it is narrow, and a report that ends makes room
//! for the next one. Finished drafts go to one recorder, which commits all that have come in at once.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, watch};

use crate::decoding::{Follower, Next};
use crate::drafting::{Comers, Draft, Drafter, Followable, Study};

/// How far a study has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// It waits for its turn.
    Waiting,
    /// The model has said these tokens, and meanwhile perhaps some more.
    Drafting(Vec<u32>),
    /// The draft is in the records.
    Drafted,
    /// Nobody wants it any more.
    Cancelled,
    /// It cannot be drafted or recorded.
    Failed(String),
}

impl Progress {
    /// Whether nothing comes after it.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Drafted | Self::Cancelled | Self::Failed(_))
    }
}

/// A study on its way to a draft.
#[derive(Debug)]
pub struct Job<T> {
    /// Model input, `u8 [H, W, C]`.
    pub pixels: Vec<u8>,
    /// For the draws of a sampled report.
    pub name: String,
    /// Where those look who follow it.
    pub progress: watch::Sender<Progress>,
    /// Set when nobody wants it any more.
    pub cancelled: Arc<AtomicBool>,
    /// What the recorder needs.
    pub record: T,
    /// Its place in the queue, free again when it is done.
    pub place: OwnedSemaphorePermit,
}

/// A draft on its way into the records.
#[derive(Debug)]
pub struct Finished<T> {
    /// What the job carried.
    pub record: T,
    /// The draft; why there is none.
    pub outcome: Result<Draft, String>,
    /// To tell those who follow it.
    pub progress: watch::Sender<Progress>,
    /// Its place in the queue, free again when this goes.
    pub place: OwnedSemaphorePermit,
}

#[derive(Debug)]
struct Waiting<T> {
    jobs: VecDeque<Job<T>>,
    closed: bool,
    /// Workers without a study.
    idle: usize,
}

impl<T> Waiting<T> {
    /// How many of the studies here are one worker's, which holds `more` besides.
    fn share(&self, more: usize) -> usize {
        (self.jobs.len() + more).div_ceil(self.idle + 1)
    }
}

#[derive(Debug)]
struct Queue<T> {
    waiting: Mutex<Waiting<T>>,
    came: Condvar,
}

impl<T> Queue<T> {
    fn lock(&self) -> MutexGuard<'_, Waiting<T>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next study that somebody still wants, and how many, itself among them, are for the worker that takes it; `None`
    /// when the queue is closed and empty.
    fn next(&self) -> Option<(Job<T>, usize)> {
        let mut waiting = self.lock();
        loop {
            if let Some(job) = take(&mut waiting) {
                let share = waiting.share(1);
                return Some((job, share));
            }
            if waiting.closed {
                return None;
            }
            waiting.idle += 1;
            waiting = self.came.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            waiting.idle -= 1;
        }
    }

    fn try_next(&self) -> Option<Job<T>> {
        take(&mut self.lock())
    }
}

/// Passes over what nobody wants any more.
fn take<T>(waiting: &mut Waiting<T>) -> Option<Job<T>> {
    loop {
        let job = waiting.jobs.pop_front()?;
        if !job.cancelled.load(Ordering::Relaxed) {
            return Some(job);
        }
        job.progress.send_replace(Progress::Cancelled);
    }
}

/// Queue, workers and recorder.
#[derive(Debug)]
pub struct Engine<T> {
    queue: Arc<Queue<T>>,
    /// Workers that can still draft.
    able: Arc<AtomicUsize>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl<T: Send + 'static> Engine<T> {
    /// Starts a thread for each drafter, and one that hands what is finished to `record`, several at once where they come
    /// so fast.
    pub fn start(
        drafters: Vec<Drafter>,
        batch_size: usize,
        record: impl Fn(Vec<Finished<T>>) + Send + 'static,
    ) -> std::io::Result<Self> {
        let waiting = Mutex::new(Waiting { jobs: VecDeque::new(), closed: false, idle: 0 });
        let queue = Arc::new(Queue { waiting, came: Condvar::new() });
        let able = Arc::new(AtomicUsize::new(drafters.len()));
        let (to_recorder, finished) = channel();
        let mut threads = Vec::new();
        for drafter in drafters {
            let worker = Worker { drafter, batch_size, queue: Arc::clone(&queue), finished: to_recorder.clone() };
            let able = Arc::clone(&able);
            let thread = std::thread::Builder::new().name("drafting".into());
            threads.push(thread.spawn(move || {
                let _less = OneLess(able);
                worker.work();
            })?);
        }
        drop(to_recorder);
        let thread = std::thread::Builder::new().name("recording".into());
        threads.push(thread.spawn(move || record_all(&finished, record))?);
        Ok(Self { queue, able, threads: Mutex::new(threads) })
    }

    /// Puts a study at the end of the queue, whose room its place stands for.
    pub fn submit(&self, job: Job<T>) {
        let mut waiting = self.queue.lock();
        if waiting.closed {
            job.progress.send_replace(Progress::Cancelled);
            return;
        }
        waiting.jobs.push_back(job);
        drop(waiting);
        self.queue.came.notify_one();
    }

    /// Studies that wait for their turn.
    pub fn waiting(&self) -> usize {
        self.queue.lock().jobs.len()
    }

    /// Workers that can still draft.
    pub fn able(&self) -> usize {
        self.able.load(Ordering::Relaxed)
    }

    /// Takes nothing more, finishes what is there, and returns when all is recorded.
    pub fn finish(&self) {
        self.queue.lock().closed = true;
        self.queue.came.notify_all();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // A worker that panicked has said so itself.
            let _ = thread.join();
        }
    }
}

/// Counts a worker out, however it ends.
struct OneLess(Arc<AtomicUsize>);

impl Drop for OneLess {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Worker<T> {
    drafter: Drafter,
    batch_size: usize,
    queue: Arc<Queue<T>>,
    finished: Sender<Finished<T>>,
}

/// A job that is being drafted.
struct AtWork<T> {
    record: T,
    progress: watch::Sender<Progress>,
    cancelled: Arc<AtomicBool>,
    place: OwnedSemaphorePermit,
}

/// The studies of a run: the one that it begins with, then those of the queue.
struct FromQueue<'a, T> {
    first: Option<Job<T>>,
    queue: &'a Queue<T>,
    at_work: &'a RefCell<HashMap<usize, AtWork<T>>>,
    given: usize,
}

impl<T> Comers for FromQueue<'_, T> {
    fn next(&mut self) -> Option<Followable> {
        let Job { pixels, name, progress, cancelled, record, place } =
            self.first.take().or_else(|| self.queue.try_next())?;
        let ear = Ear { progress: progress.clone(), cancelled: Arc::clone(&cancelled), told: None };
        self.at_work.borrow_mut().insert(self.given, AtWork { record, progress, cancelled, place });
        self.given += 1;
        Some((Study { name, pixels }, Some(Box::new(ear))))
    }

    fn waiting(&self) -> Option<usize> {
        Some(self.queue.lock().share(usize::from(self.first.is_some())))
    }
}

impl<T> Worker<T> {
    fn work(mut self) {
        while let Some((first, share)) = self.queue.next() {
            self.run(first, share.min(self.batch_size));
        }
    }

    /// One run of the loop.
    fn run(&mut self, first: Job<T>, together: usize) {
        let Self { drafter, batch_size, queue, finished } = self;
        let at_work = RefCell::new(HashMap::new());
        let mut comers = FromQueue { first: Some(first), queue, at_work: &at_work, given: 0 };
        let outcome = drafter.draft_followed(together..=*batch_size, &mut comers, &mut |index, draft| {
            let Some(AtWork { record, progress, cancelled, place }) = at_work.borrow_mut().remove(&index) else {
                return;
            };
            if cancelled.load(Ordering::Relaxed) {
                progress.send_replace(Progress::Cancelled);
                return;
            }
            // The recorder goes last.
            let _ = finished.send(Finished { record, outcome: Ok(draft), progress, place });
        });
        if let Err(error) = outcome {
            for (_, AtWork { record, progress, place, .. }) in at_work.into_inner() {
                let outcome = Err(error.to_string());
                let _ = finished.send(Finished { record, outcome, progress, place });
            }
        }
    }
}

fn record_all<T>(finished: &Receiver<Finished<T>>, record: impl Fn(Vec<Finished<T>>)) {
    while let Ok(first) = finished.recv() {
        record(std::iter::once(first).chain(finished.try_iter()).collect());
    }
}

/// Between two texts of a draft, at least: eyes cannot tell them apart sooner. A draft of 60 tokens would else wake each that
/// follows it 60 times, and cost as many texts and writes.
const PAUSE: Duration = Duration::from_millis(50);

/// Hears a report for those who follow it, and tells the search when nobody wants it.
struct Ear {
    progress: watch::Sender<Progress>,
    cancelled: Arc<AtomicBool>,
    /// When words were told last.
    told: Option<Instant>,
}

impl Follower for Ear {
    fn hear(&mut self, tokens: &[u32]) -> Next {
        if self.cancelled.load(Ordering::Relaxed) {
            return Next::Done;
        }
        if self.told.is_none_or(|told| told.elapsed() >= PAUSE) {
            self.told = Some(Instant::now());
            self.progress.send_replace(Progress::Drafting(tokens.to_vec()));
        }
        Next::Step
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use tokio::sync::Semaphore;

    use super::*;

    fn job(number: u32, places: &Arc<Semaphore>) -> Job<u32> {
        Job {
            pixels: Vec::new(),
            name: String::new(),
            progress: watch::Sender::new(Progress::Waiting),
            cancelled: Arc::default(),
            record: number,
            place: Arc::clone(places).try_acquire_owned().unwrap(),
        }
    }

    #[test]
    fn a_worker_leaves_to_idle_ones_what_they_could_take() {
        let waiting = Mutex::new(Waiting { jobs: VecDeque::new(), closed: false, idle: 0 });
        let queue = Arc::new(Queue { waiting, came: Condvar::new() });
        let places = Arc::new(Semaphore::new(16));
        let other = thread::spawn({
            let queue = Arc::clone(&queue);
            move || queue.next().map(|(job, share)| (job.record, share))
        });
        while queue.lock().idle == 0 {
            thread::yield_now();
        }
        // Nobody is woken yet: of seven, four are for the one that asks, three for the one that sleeps.
        queue.lock().jobs.extend((0..7).map(|number| job(number, &places)));
        let (first, share) = queue.next().unwrap();
        assert_eq!((first.record, share), (0, 4));
        queue.came.notify_one();
        assert_eq!(other.join().unwrap(), Some((1, 6)), "with nobody idle all are its own");
        queue.lock().closed = true;
        assert_eq!(queue.lock().share(0), 5);
    }
}

//! The reading room: a local page and an API on which a draft becomes a signed report.
//!
//! A file comes in ([`api`]), goes through the same gate and preprocessing as in `xreport generate`, waits in the
//! [`engine`]'s bounded queue, is drafted by the same loop, and lands as [rows](crate::rows) in the [`records`]. What a
//! reader sees of it is a [`study`], told from its trail. [`access`] says who may ask, [`connections`] how long he may take.
//!
//! Neither the log nor an address ever holds a patient's name, a file's name or a report's text.

pub mod access;
pub mod api;
mod connections;
pub mod contradictions;
pub mod engine;
mod evidence;
mod images;
pub mod mentions;
pub mod metrics;
mod page;
mod patience;
pub mod problem;
pub mod records;
mod room;
pub mod study;
mod upload;
mod watched;
mod words;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use thiserror::Error;
use xreport_models::bundle::{Bundle, BundleError};
use xreport_models::image::Gate;

pub use crate::platform::{data_folder, open_in_browser, others_may_read};

use crate::drafting::Drafter;
use access::Access;
use records::RecordsError;
use room::Room;

pub use watched::Watched;

/// How often a signal is looked for.
const SIGNAL_PAUSE: Duration = Duration::from_millis(50);

/// Threads that answer requests; the work is done elsewhere.
const ANSWERING_THREADS: usize = 2;

/// Threads that read images and records at a time, at most.
const BLOCKING_THREADS: usize = 16;

/// What a server is told.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// Where to listen; port 0 takes any that is free.
    pub address: SocketAddr,
    /// Further names by which the server may be called.
    pub hosts: Vec<String>,
    /// What callers must know; needed beyond loopback.
    pub token: Option<String>,
    /// Folder of the records.
    pub records: PathBuf,
    /// Whether images are written into it.
    pub keep_images: bool,
    /// Records older than so many days are purged.
    pub keep_days: Option<u32>,
    /// A folder whose images are drafted as they come.
    pub watched: Option<Watched>,
    /// What images are let through.
    pub gate: Gate,
    /// Reports that a worker drafts together.
    pub batch_size: usize,
    /// What a caller may ask for.
    pub limits: Limits,
}

/// What a caller may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest file, in bytes.
    pub upload_bytes: usize,
    /// Longest time for a request, its body included.
    pub request_time: Duration,
    /// Studies between submission and draft.
    pub under_way: usize,
    /// Images that are received and decoded at a time.
    pub uploads: usize,
}

impl Default for Limits {
    /// 64 MiB, twice the largest radiograph that detectors give; 60 seconds; 64 studies; 4 images.
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Self { upload_bytes: 64 * MIB, request_time: Duration::from_mins(1), under_way: 64, uploads: 4 }
    }
}

/// Why a server does not start.
#[derive(Debug, Error)]
pub enum ServeError {
    /// Others could reach it.
    #[error(
        "listening on {0}, which others can reach, needs a token\nhint: --token-file FILE; or leave --listen out: then this machine alone is served"
    )]
    Open(SocketAddr),
    /// The address cannot be had.
    #[error("cannot listen on {address}: {source}\nhint: another program may use the port: choose one with --port")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The records cannot be used.
    #[error(transparent)]
    Records(#[from] RecordsError),
    /// The bundle's tokenizer cannot be read.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// A thread or the images' folder cannot be made.
    #[error("cannot start: {0}")]
    System(#[from] std::io::Error),
}

/// Serves until `stop` is set; then finishes what is under way. Calls `ready` with the address as soon as it answers.
pub fn serve(
    bundle: &Bundle,
    drafters: Vec<Drafter>,
    options: ServeOptions,
    stop: &Arc<AtomicBool>,
    ready: impl FnOnce(SocketAddr),
) -> Result<(), ServeError> {
    if options.token.is_none() && !options.address.ip().is_loopback() {
        return Err(ServeError::Open(options.address));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(ANSWERING_THREADS)
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build()?;
    let address = options.address;
    let failed = |source| ServeError::Listen { address, source };
    let listener = runtime.block_on(async { connections::listen(address) }).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let access = Access::new(address, &options.hosts, options.token.as_deref());
    let room = Room::open(bundle, drafters, options)?;
    let router = api::router(Arc::clone(&room), Arc::new(access));
    let stop = Arc::clone(stop);
    let stopped = async move {
        while !stop.load(Ordering::Relaxed) {
            tokio::time::sleep(SIGNAL_PAUSE).await;
        }
    };
    ready(address);
    runtime.block_on(async {
        let purging = tokio::spawn(room::purge_now_and_then(Arc::clone(&room)));
        let watching =
            room.options.watched.clone().map(|watched| tokio::spawn(watched::watch(Arc::clone(&room), watched)));
        let finish = || {
            if let Some(watching) = watching {
                watching.abort();
            }
            room.finish()
        };
        connections::serve(listener, router, connections::READING, stopped, finish).await;
        purging.abort();
    });
    // An image at work is given up: nobody waits for it any more.
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(())
}

/// 32 hex digits, drawn by the system.
fn random_id() -> String {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes).expect("the system has random numbers");
    hex(&bytes)
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

//! `xreport serve`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::Args;
use xreport_models::bundle::{Bundle, VariantRequest};
use xreport_models::image::{Gate, GateMode, Views};
use xreport_runtime::device::{Device, DeviceRequest, PrecisionRequest};
use xreport_runtime::drafting::Drafter;
use xreport_runtime::generate::Worker;
use xreport_runtime::model::SessionOptions;
use xreport_runtime::server::records::Records;
use xreport_runtime::server::{self, Limits, ServeOptions, Watched};

use super::search::SearchArguments;
use super::{model_path, stop};

/// Where the page is when no port is named.
const PORT: u16 = 8090;
/// A token that is shorter could be guessed.
const SHORTEST_TOKEN: usize = 16;
const MIB: usize = 1024 * 1024;

/// Serve the reading room: a local page on which a physician turns drafts into signed reports.
///
/// This machine alone is served unless --listen says otherwise. Records lie in the user's data folder. Ctrl-C or SIGTERM
/// ends it when what is under way is finished.
#[derive(Debug, Args)]
pub struct Serve {
    /// Bundle folder or checkpoint folder [default: the newest checkpoint's bundle, else models/radiographs or models/demo]
    #[arg(long, value_name = "BUNDLE")]
    model: Option<PathBuf>,
    /// Port; 0 takes any that is free
    #[arg(long, default_value_t = PORT, value_name = "N")]
    port: u16,
    /// Show the page in the browser
    #[arg(long)]
    open: bool,
    /// Address to listen on instead of loopback; needs --token-file. Nothing is encrypted: see the README
    #[arg(long, value_name = "IP", requires = "token_file")]
    listen: Option<IpAddr>,
    /// File with the token that callers must know, readable by its owner alone, at least 16 characters
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// A further name by which browsers may call this server, as in `room.hospital.example`; repeatable
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
    /// Folder of the records [default: xreport in the user's data folder]
    #[arg(long, value_name = "FOLDER")]
    records: Option<PathBuf>,
    /// Copy the records into this new file and end; a server may be running meanwhile
    #[arg(long, value_name = "FILE")]
    back_up: Option<PathBuf>,
    /// Draft what is in this folder and what comes into it
    #[arg(long, value_name = "FOLDER")]
    watch: Option<PathBuf>,
    /// With --watch: a file is taken when it has not changed for so long
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0)]
    settle: f64,
    /// Keep the images beside the records; else they are gone when the server ends
    #[arg(long)]
    keep_images: bool,
    /// Purge records that are older
    #[arg(long, value_name = "DAYS")]
    keep_days: Option<u32>,
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    device: DeviceRequest,
    /// Number format: auto, fp32, int8 or fp16, as in `xreport generate`
    #[arg(long, default_value = "auto")]
    precision: PrecisionRequest,
    /// Reports that a worker drafts together
    #[arg(long, default_value_t = 8, value_name = "N")]
    batch_size: usize,
    /// Longest report in tokens [default: the bundle's]
    #[arg(long, value_name = "N")]
    max_tokens: Option<usize>,
    /// Threads that draft; 0 is one per core
    #[arg(long, default_value_t = 0, value_name = "N")]
    threads: usize,
    /// Models that draft side by side, sharing the threads: more get more done, one is the soonest with one image; 0 is as
    /// many as in `xreport generate`: one for each thread, at most 4
    #[arg(long, default_value_t = 0, value_name = "N")]
    workers: usize,
    /// What happens to an image that is no frontal chest radiograph: strict, warn or off, as in `xreport generate`
    #[arg(long, default_value_t = GateMode::Strict, value_name = "MODE")]
    gate: GateMode,
    /// Views that the gate lets through: frontal or all
    #[arg(long, default_value_t = Views::Frontal)]
    views: Views,
    /// Studies between submission and draft; further ones are turned away (429)
    #[arg(long, default_value_t = Limits::default().under_way, value_name = "N")]
    queue: usize,
    /// Largest file, in MiB
    #[arg(long, default_value_t = Limits::default().upload_bytes / MIB, value_name = "MIB")]
    max_upload: usize,
    /// Longest time for a request, its file included
    #[arg(long, default_value_t = Limits::default().request_time.as_secs(), value_name = "SECONDS")]
    request_time: u64,
    #[command(flatten)]
    search: SearchArguments,
}

impl Serve {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        for (name, value) in [
            ("--batch-size", self.batch_size),
            ("--queue", self.queue),
            ("--max-upload", self.max_upload),
            ("--max-tokens", self.max_tokens.unwrap_or(1)),
        ] {
            ensure!(value > 0, "{name}: at least 1 expected, found 0");
        }
        ensure!(self.request_time > 0, "--request-time: at least 1 expected, found 0");
        ensure!((0.0..1e6).contains(&self.settle), "--settle: seconds from 0 expected, found {}", self.settle);
        let options = self.options()?;
        if let Some(copy) = &self.back_up {
            Records::back_up(&options.records, copy)?;
            eprintln!("records copied to `{}`", copy.display());
            return Ok(ExitCode::SUCCESS);
        }
        let bundle = Bundle::load(&model_path::resolve(self.model.as_deref())?)?;
        let drafters = self.drafters(&bundle)?;
        let stop = stop::flag()?;
        let (open, notice) = (self.open, bundle.manifest().notice.clone());
        server::serve(&bundle, drafters, options, &stop, |address| {
            let page = format!("http://{address}/");
            eprintln!("{notice}");
            eprintln!("reading room: {page} (Ctrl-C ends it)");
            if open && let Err(error) = server::open_in_browser(&page) {
                eprintln!("warning: no browser could be started: {error}");
            }
        })?;
        Ok(ExitCode::SUCCESS)
    }

    fn options(&self) -> anyhow::Result<ServeOptions> {
        let token = self.token_file.as_deref().map(token).transpose()?;
        let records = match &self.records {
            Some(folder) => folder.clone(),
            None => server::data_folder().context(
                "no data folder of the user is known (neither XDG_DATA_HOME nor HOME is set)\nhint: name one with --records",
            )?,
        };
        Ok(ServeOptions {
            address: SocketAddr::new(self.listen.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)), self.port),
            hosts: self.hosts.clone(),
            token,
            records,
            keep_images: self.keep_images,
            keep_days: self.keep_days,
            watched: self.watch.clone().map(|folder| Watched { folder, quiet: Duration::from_secs_f64(self.settle) }),
            gate: Gate { mode: self.gate, views: self.views },
            batch_size: self.batch_size,
            limits: Limits {
                upload_bytes: self.max_upload.saturating_mul(MIB),
                request_time: Duration::from_secs(self.request_time),
                under_way: self.queue,
                ..Limits::default()
            },
        })
    }

    /// A model for each worker; a GPU serves one.
    fn drafters(&self, bundle: &Bundle) -> anyhow::Result<Vec<Drafter>> {
        let session = |threads| SessionOptions {
            device: self.device,
            threads,
            variant: VariantRequest {
                precision: self.precision.0,
                batch_size: self.batch_size.saturating_mul(self.search.beams()),
            },
            ahead: None,
        };
        let threads = session(self.threads).resolved_threads();
        let (workers, threads) = match self.workers {
            0 => Worker::division(usize::MAX, self.batch_size, threads),
            workers => (workers, (threads / workers).max(1)),
        };
        let drafter = || -> anyhow::Result<Drafter> {
            let mut drafter = Drafter::new(bundle, &session(threads), self.max_tokens)?;
            self.search.set(&mut drafter)?;
            Ok(drafter)
        };
        let first = drafter()?;
        if let Some(reason) = first.model().fallback() {
            eprintln!("warning: running on the CPU, because CUDA failed: {reason}");
        }
        let workers = if first.model().device() == Device::Cpu { workers } else { 1 };
        std::iter::once(Ok(first)).chain((1..workers).map(|_| drafter())).collect()
    }
}

/// The token of a file that nobody else reads.
fn token(path: &Path) -> anyhow::Result<String> {
    let at = path.display();
    let metadata = std::fs::metadata(path).with_context(|| format!("token file `{at}` cannot be read"))?;
    if server::others_may_read(&metadata) {
        bail!(
            "token file `{at}`: readable by its owner alone expected, found one that others may read\nhint: chmod 600 {at}"
        );
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("token file `{at}` cannot be read"))?;
    let token = text.trim();
    let found = token.chars().count();
    ensure!(
        found >= SHORTEST_TOKEN,
        "token file `{at}`: at least {SHORTEST_TOKEN} characters expected, found {found}\nhint: head -c 32 /dev/urandom | base64 > {at}"
    );
    Ok(token.to_owned())
}

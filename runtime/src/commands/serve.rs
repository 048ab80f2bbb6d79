//! `xreport serve`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::Args;
use xreport_models::bundle::Bundle;
use xreport_runtime::arguments::output_path;
use xreport_runtime::console;
use xreport_runtime::device::Device;
use xreport_runtime::drafting::Drafter;
use xreport_runtime::generate::Worker;
use xreport_runtime::server::records::Records;
use xreport_runtime::server::{self, Limits, ServeOptions, Watched};

use super::drafting::{DraftingArguments, SettleArguments, at_least_one, tell_fallback};
use super::stop;

/// Where the page is when no port is named.
const PORT: u16 = 8090;
/// A token that is shorter could be guessed.
const SHORTEST_TOKEN: usize = 16;
const MIB: usize = 1024 * 1024;
/// Each worker holds a model; more than a few gain nothing.
const MOST_WORKERS: usize = 64;

/// Serve the reading room: a local page on which a physician turns drafts into signed reports.
///
/// This machine alone is served unless --listen says otherwise. Records lie in the user's data folder. Ctrl-C or SIGTERM
/// ends it when what is under way is finished.
#[derive(Debug, Args)]
#[command(
    mut_arg("precision", |arg| arg.help("Number format: auto, fp32, int8 or fp16, as in `xreport generate`")),
    mut_arg("batch_size", |arg| arg.help("Reports that a worker drafts together")),
    mut_arg("threads", |arg| arg.help("Threads that draft; 0 is one per core")),
    mut_arg("gate", |arg| arg.help(
        "What happens to an image that is no frontal chest radiograph: strict, warn or off, as in `xreport generate`"
    )),
    mut_arg("views", |arg| arg.help("Views that the gate lets through: frontal or all")),
)]
pub struct Serve {
    #[command(flatten)]
    drafting: DraftingArguments,
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
    #[arg(long, value_name = "FOLDER", value_parser = output_path())]
    records: Option<PathBuf>,
    /// Copy the records into this new file and end; a server may be running meanwhile
    #[arg(long, value_name = "FILE", value_parser = output_path())]
    back_up: Option<PathBuf>,
    /// Draft what is in this folder and what comes into it
    #[arg(long, value_name = "FOLDER")]
    watch: Option<PathBuf>,
    #[command(flatten)]
    settle: SettleArguments,
    /// Keep the images beside the records; else they are gone when the server ends
    #[arg(long)]
    keep_images: bool,
    /// Purge records that are older
    #[arg(long, value_name = "DAYS")]
    keep_days: Option<u32>,
    /// Models that draft side by side, sharing the threads: more get more done, one is the soonest with one image; 0 is as
    /// many as in `xreport generate`: one for each thread, at most 4
    #[arg(long, default_value_t = 0, value_name = "N")]
    workers: usize,
    /// Studies between submission and draft; further ones are turned away (429)
    #[arg(long, default_value_t = Limits::default().under_way, value_name = "N")]
    queue: usize,
    /// Largest file, in MiB
    #[arg(long, default_value_t = Limits::default().upload_bytes / MIB, value_name = "MIB")]
    max_upload: usize,
    /// Longest time for a request, its file included
    #[arg(long, default_value_t = Limits::default().request_time.as_secs(), value_name = "SECONDS")]
    request_time: u64,
}

impl Serve {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        self.drafting.check()?;
        for (name, value) in [("--queue", self.queue), ("--max-upload", self.max_upload)] {
            at_least_one(name, value)?;
        }
        ensure!(
            self.workers <= MOST_WORKERS,
            "--workers: expected 1 to {MOST_WORKERS}, or 0 for as many as are of use, found {}",
            self.workers
        );
        ensure!(self.request_time > 0, "--request-time: at least 1 expected, found 0");
        let options = self.options()?;
        if let Some(copy) = &self.back_up {
            Records::back_up(&options.records, copy)?;
            console::info(format_args!("records copied to `{}`", copy.display()));
            return Ok(ExitCode::SUCCESS);
        }
        let bundle = self.drafting.bundle()?;
        let drafters = self.drafters(&bundle)?;
        let stop = stop::flag()?;
        let (open, notice) = (self.open, bundle.manifest().notice.clone());
        server::serve(&bundle, drafters, options, &stop, |address| {
            let page = format!("http://{address}/");
            console::info(&notice);
            console::info(format_args!("reading room: {page} (Ctrl-C ends it)"));
            if open && let Err(error) = server::open_in_browser(&page) {
                console::warning(format_args!("no browser could be started: {error}"));
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
        let quiet = self.settle.quiet()?;
        Ok(ServeOptions {
            address: SocketAddr::new(self.listen.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)), self.port),
            hosts: self.hosts.clone(),
            token,
            records,
            keep_images: self.keep_images,
            keep_days: self.keep_days,
            watched: self.watch.clone().map(|folder| Watched { folder, quiet }),
            gate: self.drafting.gate(),
            batch_size: self.drafting.batch_size,
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
        let threads = self.drafting.threads();
        let (workers, each) = match self.workers {
            0 => Worker::division(usize::MAX, self.drafting.batch_size, threads),
            workers => (workers, (threads / workers).max(1)),
        };
        let session = self.drafting.session(each, None);
        let drafter = || self.drafting.drafter(bundle, &session);
        let first = drafter()?;
        tell_fallback(&first);
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

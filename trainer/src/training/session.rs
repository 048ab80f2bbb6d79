//! `train`, `resume` and `init`: a run from its settings or its checkpoint to its bundle, in one process or in several.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, bail};
use tch::Kind;
use xreport_models::atomic::{clear_leftovers, write_file};
use xreport_models::bundle::DRAFT_NOTICE;
use xreport_models::text::Vocabulary;
use xreport_runtime::console;

use super::average::Average;
use super::captured::Captured;
use super::checkpoint::{self, BEST, LAST, State, Sums, Tensors};
use super::diverged::{Diverged, keep_what_was_good};
use super::journal::Journal;
use super::optimizer::AdamW;
use super::precision::compute_kind;
use super::prepare::{Prepared, tokenizer};
use super::run::{Data, Ending, Run};
use super::saver::Saver;
use super::seeds::Stream;
use super::{device, interrupt, studies, verification};
use crate::data::{self, CSV_NAMES, IMAGE_FOLDER, TableError};
use crate::export::{ExportOptions, export_checkpoint};
use crate::native::keep_memory;
use crate::network::{Network, NetworkConfig};
use crate::plots::architecture;
use crate::ranks::{Agreement, Ranks, say};
use crate::settings::{Settings, VocabularyChoice};

/// File of the run's settings in the checkpoint's folder, for people; the checkpoint itself holds them too.
const SETTINGS: &str = "settings.json";
/// Picture of the network.
const ARCHITECTURE: &str = "architecture.svg";

/// What `train` is told.
#[derive(Debug, Clone)]
pub struct TrainRequest {
    /// Folder of the data set.
    pub data: PathBuf,
    /// Its CSV, where it is named.
    pub csv: Option<PathBuf>,
    /// Settings.
    pub settings: Settings,
    /// Folder of the checkpoint; must not hold one.
    pub out: PathBuf,
    /// Epochs after which to stop as if interrupted.
    pub stop_after: Option<usize>,
}

/// What `resume` is told.
#[derive(Debug, Clone)]
pub struct ResumeRequest {
    /// Folder of the checkpoint.
    pub checkpoint: PathBuf,
    /// Epochs to add to the run.
    pub more_epochs: Option<usize>,
    /// Another place of the data set than the checkpoint names.
    pub data: Option<PathBuf>,
    /// Another place of its CSV, where that was named.
    pub csv: Option<PathBuf>,
    /// The state to go on from, a file of the folder; the last where none is named.
    pub from: Option<String>,
}

/// Trains a new model; with others, where the environment says so.
pub fn train(request: TrainRequest) -> anyhow::Result<()> {
    let ranks = Ranks::join()?;
    ranks.leave(train_with(ranks, request))
}

fn train_with(ranks: Ranks, mut request: TrainRequest) -> anyhow::Result<()> {
    // A default name is made of the time: rank 0's counts.
    request.out = PathBuf::from(ranks.from_first(request.out.to_string_lossy().into_owned())?);
    // torchrun starts all processes anew when one has died (--max-restarts): then the run goes on.
    if ranks.launch().is_some_and(|launch| launch.restarts > 0) && request.out.join(LAST).is_file() {
        say(format!("started anew: going on from the checkpoint in `{}`", request.out.display()));
        let request = ResumeRequest { checkpoint: request.out, more_epochs: None, data: None, csv: None, from: None };
        return resume_with(ranks, &request);
    }
    // Rank 0 looks before it writes: what it finds there is not of this run.
    if ranks.is_first() {
        refuse_existing(&request.out)?;
    }
    agree_on_settings(ranks, &request.settings, "train")?;
    let threads = set_threads(&request.settings, ranks)?;
    let device = choose_device(&request.settings, ranks)?;
    let read = || Prepared::read(&request.data, request.csv.as_deref(), &request.settings, None);
    let prepared = ranks.first_before_others(read)?;
    agree_on_data(ranks, &prepared)?;
    let notice =
        prepared.notice.as_ref().map_or_else(|| DRAFT_NOTICE.to_owned(), |own| format!("{DRAFT_NOTICE}; {own}"));
    let state = State {
        data: std::path::absolute(&request.data)?,
        csv: request.csv.as_deref().map(std::path::absolute).transpose()?,
        data_fingerprint: prepared.fingerprint.clone(),
        notice,
        ranks: ranks.world(),
        ..fresh_state(request.settings, prepared.vocabulary.clone(), threads)
    };
    let run = start(state, request.out, device, ranks)?;
    if ranks.is_first() {
        verification::save(&run.folder, &verification::choose(&prepared.data)?)?;
        studies::save(&run.folder, &prepared.studies)?;
    }
    complete(run, &prepared.data, request.stop_after)
}

/// Goes on with a run as if it had never stopped; with others, where the environment says so.
pub fn resume(request: &ResumeRequest) -> anyhow::Result<()> {
    let ranks = Ranks::join()?;
    ranks.leave(resume_with(ranks, request))
}

fn resume_with(ranks: Ranks, request: &ResumeRequest) -> anyhow::Result<()> {
    let folder = &request.checkpoint;
    let stored = checkpoint::read(&folder.join(request.from.as_deref().unwrap_or(LAST)))?;
    let mut state = stored.state.clone();
    warn_of_changed_settings(folder, &state.settings);
    share_batches(&mut state, ranks, folder)?;
    agree_on_settings(ranks, &state.settings, &format!("resume from step {}", state.step))?;
    let threads = set_threads(&state.settings, ranks)?;
    if threads != state.threads {
        say(format!(
            "warning: the run used {} threads, this machine gives it {threads}: it goes on, but not bit for bit as it would have there",
            state.threads
        ));
        state.threads = threads;
    }
    if let Some(more) = request.more_epochs {
        state.settings.training.epochs += more;
    }
    move_data(&mut state, request)?;
    let device = choose_device(&state.settings, ranks)?;
    let vocabulary = Some(state.vocabulary.clone());
    let read = || {
        find_data(&state, folder)?;
        Prepared::read(&state.data, state.csv.as_deref(), &state.settings, vocabulary)
    };
    let prepared = ranks.first_before_others(read)?;
    agree_on_data(ranks, &prepared)?;
    if prepared.fingerprint != state.data_fingerprint {
        let changed = studies::differences(folder, &prepared.studies);
        bail!(
            "the data set at `{}` is not the one that this run was trained on: fingerprint expected {}, found {}{}\nhint: bring the data back as it was, or train anew",
            state.data.display(),
            state.data_fingerprint,
            prepared.fingerprint,
            changed.map_or_else(String::new, |changed| format!("\n  {changed}"))
        );
    }
    let network = Network::new(NetworkConfig::new(&state.settings, state.vocabulary.len()));
    let tensors = stored.tensors(&network, device)?;
    let compute = compute_kind(state.settings.training.mixed_precision, device);
    let captured = capture(&state, device, ranks)?;
    let (folder, saver, saved) = (folder.clone(), Saver::default(), Instant::now());
    let run = Run { state, network, tensors, device, compute, ranks, folder, captured, saver, saved };
    if run.state.step >= run.total_steps(&prepared.data) && !run.is_unmeasured() {
        say(format!("the run is complete after {} epochs\nhint: `--epochs N` adds more", run.state.epoch));
    }
    complete(run, &prepared.data, None)
}

/// Takes over where the data set is now. A table that was named inside the data folder has moved with it.
fn move_data(state: &mut State, request: &ResumeRequest) -> anyhow::Result<()> {
    if let Some(data) = &request.data {
        let data = std::path::absolute(data)?;
        let inside = state.csv.as_deref().and_then(|csv| csv.strip_prefix(&state.data).ok());
        if let Some(moved) = inside.map(|inside| data.join(inside)) {
            state.csv = Some(moved);
        }
        state.data = data;
    }
    if let Some(csv) = &request.csv {
        state.csv = Some(std::path::absolute(csv)?);
    }
    Ok(())
}

/// Says how to name the data set of a run where it is no longer where the run began.
fn find_data(state: &State, checkpoint: &Path) -> anyhow::Result<()> {
    let (data, images) = (&state.data, state.data.join(IMAGE_FOLDER));
    let missing = match &state.csv {
        _ if !data.is_dir() => format!("the data set of this run is not at `{}`", data.display()),
        Some(csv) if !csv.is_file() => bail!(
            "the table of this run's data set is not at `{}`\n\
             hint: where it has moved, name it: xreport-train resume {} --csv FILE",
            csv.display(),
            checkpoint.display()
        ),
        None if matches!(data::locate(data, None), Err(TableError::None { .. })) => {
            format!(
                "the data set of this run is not at `{}`: that folder has no `{}`",
                data.display(),
                CSV_NAMES.join("` or `")
            )
        }
        _ if !images.is_dir() => format!("the images of this run's data set are not at `{}`", images.display()),
        _ => return Ok(()),
    };
    bail!(
        "{missing}\nhint: where it has moved, name its folder: xreport-train resume {} --data DIR",
        checkpoint.display()
    )
}

/// Writes an untrained checkpoint: for benchmarks. A corpus vocabulary is as large as `vocabulary` says.
pub fn initialise(settings: Settings, vocabulary: usize, out: PathBuf) -> anyhow::Result<()> {
    refuse_existing(&out)?;
    let threads = set_threads(&settings, Ranks::alone())?;
    let vocabulary = match settings.dataset.vocabulary {
        VocabularyChoice::Full => Vocabulary::full(tokenizer()?.len() as u32)?,
        // Ids from 1000 on are words and pieces of words.
        VocabularyChoice::Corpus => Vocabulary::corpus([(1000..1000 + vocabulary as u32 - 4).collect::<Vec<_>>()]),
    };
    let device = device::resolve(settings.training.ml_device)?;
    let state =
        State { notice: format!("{DRAFT_NOTICE}; untrained weights"), ..fresh_state(settings, vocabulary, threads) };
    let mut run = start(state, out, device, Ranks::alone())?;
    run.save(LAST)?;
    run.save(BEST)?;
    run.saver.finish()?;
    export_checkpoint(&run.folder, &run.folder.join("bundle"), &ExportOptions::default())?;
    console::info(format_args!("untrained checkpoint written to `{}`", run.folder.display()));
    Ok(())
}

fn fresh_state(settings: Settings, vocabulary: Vocabulary, threads: usize) -> State {
    State {
        format_version: State::format(),
        program: format!("xreport-train {}", env!("CARGO_PKG_VERSION")),
        settings,
        vocabulary,
        data_fingerprint: String::new(),
        data: PathBuf::new(),
        csv: None,
        notice: DRAFT_NOTICE.to_owned(),
        threads,
        ranks: 1,
        step: 0,
        epoch: 0,
        batch: 0,
        running: Sums::default(),
        best: None,
        latest: None,
        seconds: 0.0,
    }
}

/// Network, weights and folder of a new run.
fn start(state: State, folder: PathBuf, device: tch::Device, ranks: Ranks) -> anyhow::Result<Run> {
    let captured = capture(&state, device, ranks)?;
    let network = Network::new(NetworkConfig::new(&state.settings, state.vocabulary.len()));
    let seed = Stream::Weights.seed(state.settings.training.seed, &[]);
    let flat = network.layout.initialise(seed, device).set_requires_grad(true);
    let optimizer = AdamW::new(&flat, state.settings.training.weight_decay, network.layout.decayed());
    let statistics = network.statistics(device);
    let decay = state.settings.training.ema_decay;
    let average = (decay > 0.0).then(|| Average::new(&flat, &statistics, decay));
    if ranks.is_first() {
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
        write_file(folder.join(SETTINGS), state.settings.to_json().as_bytes())?;
        if state.settings.model.save_model_plot {
            let picture = architecture::architecture(&crate::network::diagram(&network));
            write_file(folder.join(ARCHITECTURE), picture.as_bytes())?;
        }
    }
    let compute = compute_kind(state.settings.training.mixed_precision, device);
    let tensors = Tensors { flat, statistics, optimizer, average };
    let (saver, saved) = (Saver::default(), Instant::now());
    Ok(Run { state, network, tensors, device, compute, ranks, folder, captured, saver, saved })
}

/// XLA_STATE: what captures steps, before anything is computed or written.
fn capture(state: &State, device: tch::Device, ranks: Ranks) -> anyhow::Result<Option<Captured>> {
    if !state.settings.training.xla_state {
        return Ok(None);
    }
    if ranks.several() {
        bail!(
            "XLA_STATE is true, but {} processes train together: their exchange cannot be captured
             hint: set training.XLA_STATE to false, or train in one process",
            ranks.world()
        );
    }
    Captured::new(device).map(Some)
}

/// Trains to the end (or the interruption), then exports the best state.
fn complete(mut run: Run, data: &Data, stop_after: Option<usize>) -> anyhow::Result<()> {
    let total = run.total_steps(data);
    let ranks = run.ranks;
    anyhow::ensure!(
        data.training.samples.len() >= ranks.world(),
        "{} training studies are too few for {} processes\nhint: start fewer processes",
        data.training.samples.len(),
        ranks.world()
    );
    say(format!(
        "{} parameters, {} of {total} steps done, training on {} with {} threads{}{}{}",
        run.network.layout.total(),
        run.state.step,
        if run.device == tch::Device::Cpu { "the CPU".to_owned() } else { format!("{:?}", run.device) },
        run.state.threads,
        if run.compute == Kind::BFloat16 { " in bfloat16" } else { "" },
        if run.captured.is_some() { ", steps captured" } else { "" },
        if ranks.several() { " in each process" } else { "" }
    ));
    let stop = interrupt::flag(ranks)?;
    let mut journal = None;
    if ranks.is_first() {
        // A run that was killed while it saved left its half-written file.
        clear_leftovers(&run.folder)?;
        let tensorboard = run.state.settings.training.use_tensorboard;
        journal = Some(Journal::open(&run.folder, run.state.step, run.state.epoch, total, tensorboard)?);
    }
    let outcome = run.proceed(data, &mut journal, &stop, stop_after);
    let name = folder_name(&run.folder);
    if let Some(journal) = journal {
        let best = run.state.best.map(|record| record.epoch);
        journal.close(&format!("Training of {name}"), best)?;
    }
    if outcome.as_ref().is_err_and(anyhow::Error::is::<Diverged>) && ranks.is_first() {
        keep_what_was_good(&run.folder);
    }
    let ending = outcome?;
    if !ranks.is_first() {
        return Ok(());
    }
    if run.folder.join(BEST).is_file() {
        let out = run.folder.join("bundle");
        let (manifest, verified) = export_checkpoint(&run.folder, &out, &ExportOptions::default())?;
        console::info(format_args!(
            "bundle of the best state (step {}) -> {}; checked on {} reports: logits within {:.1e}, {} greedy texts equal",
            manifest.provenance.step,
            out.display(),
            verified.reports,
            verified.largest_logit_difference,
            verified.texts - verified.ties
        ));
    }
    let Run { state, folder, .. } = &run;
    console::info(match ending {
        Ending::Complete => format!("training complete: {} steps in {:.0} s", state.step, state.seconds),
        Ending::NoLongerBetter => "training ended early: the validation no longer gets better".to_owned(),
        Ending::Interrupted => format!(
            "stopped after {} of {total} steps; go on with:\n  xreport-train resume {}",
            state.step,
            folder.display()
        ),
    });
    Ok(())
}

/// Threads of libtorch; the number decides the order of its sums, and with it the last bits. Processes of one machine
/// divide its cores where NUM_PROCESSORS names no number, and all have as many as the one with the fewest.
fn set_threads(settings: &Settings, ranks: Ranks) -> anyhow::Result<usize> {
    keep_memory();
    let mut threads = settings.training.threads();
    if let (0, Some(launch)) = (settings.training.num_processors, ranks.launch()) {
        threads = (threads / launch.local_world).max(1);
    }
    let all = ranks.gather(&[threads as f64])?;
    let threads = all.iter().map(|of| of[0] as usize).min().unwrap_or(threads);
    tch::set_num_threads(threads as i32);
    Ok(threads)
}

fn choose_device(settings: &Settings, ranks: Ranks) -> anyhow::Result<tch::Device> {
    let device = device::resolve_for(settings.training.ml_device, ranks.launch())?;
    let kind = if matches!(device, tch::Device::Cuda(_)) { "CUDA" } else { "the CPU" };
    ranks.agree(&Agreement::default().with("the device", kind))?;
    if let tch::Device::Cuda(index) = device {
        ranks.use_cuda(index)?;
    }
    Ok(device)
}

fn agree_on_settings(ranks: Ranks, settings: &Settings, command: &str) -> anyhow::Result<()> {
    let start = Agreement::default().with("the command", command);
    let all = settings.entries().into_iter().fold(start, |all, (key, value)| all.with(&key, value));
    Ok(ranks.agree(&all)?)
}

fn agree_on_data(ranks: Ranks, prepared: &Prepared) -> anyhow::Result<()> {
    let vocabulary = serde_json::to_string(&prepared.vocabulary).map_or(0, |text| crc32c::crc32c(text.as_bytes()));
    let data = Agreement::default()
        .with("the data set's fingerprint", &prepared.fingerprint)
        .with("the vocabulary's checksum", vocabulary);
    Ok(ranks.agree(&data)?)
}

/// A run goes on with another number of processes where they can share its batches evenly: its steps stay the same.
fn share_batches(state: &mut State, ranks: Ranks, folder: &Path) -> anyhow::Result<()> {
    let (before, now) = (state.ranks, ranks.world());
    if before == now {
        return Ok(());
    }
    let training = &mut state.settings.training;
    let (size, batch) = (training.batch_size, training.batch_size * before);
    if !batch.is_multiple_of(now) {
        bail!(
            "the run's batches are {batch} studies ({before} processes × BATCH_SIZE {size}), which {now} processes cannot \
             share evenly\nhint: start {before} processes, or a number that divides {batch}"
        );
    }
    training.batch_size = batch / now;
    state.ranks = now;
    say(format!(
        "the run's batches of {batch} studies were made by {before} processes with {size} each; it goes on with {now} and {} \
         each: the same steps, but not bit for bit",
        training.batch_size
    ));
    if ranks.is_first() {
        write_file(folder.join(SETTINGS), state.settings.to_json().as_bytes())?;
    }
    Ok(())
}

/// The file of settings in the folder is for people; who has changed it expects an effect that it has not.
fn warn_of_changed_settings(folder: &Path, settings: &Settings) {
    let path = folder.join(SETTINGS);
    let Ok(file) = Settings::load(&path) else { return };
    let changed = file.differences(settings);
    if !changed.is_empty() {
        say(format!(
            "warning: `{}` was changed since the run began; it goes on as it was ({})\n  hint: `--epochs N` adds epochs; \
             for other settings train anew",
            path.display(),
            changed.join("; ").replace(" here", " in the file").replace(" there", " in the run")
        ));
    }
}

fn refuse_existing(out: &Path) -> anyhow::Result<()> {
    if out.join(LAST).exists() {
        bail!(
            "`{}` holds a checkpoint already\nhint: go on with it by `xreport-train resume {}`, or name another --out",
            out.display(),
            out.display()
        );
    }
    Ok(())
}

fn folder_name(folder: &Path) -> String {
    folder.file_name().map_or_else(|| "checkpoint".to_owned(), |name| name.to_string_lossy().into_owned())
}

//! The server's state: engine, records, images, and the studies between submission and draft.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use http_body_util::{BodyExt, Limited};
use sha2::{Digest, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use xreport_models::bundle::Bundle;
use xreport_models::image::{Admitted, Limits as ImageLimits, Radiograph};

use super::engine::{Engine, Finished, Job, Progress};
use super::evidence::Looker;
use super::images::Images;
use super::metrics::{Metrics, Now};
use super::problem::Problem;
use super::records::{self, Drafted, Event, Records, RecordsError, StudyRecord};
use super::upload::{self, FORM_OVERHEAD, Form};
use super::words::BundleWords;
use super::{ServeError, ServeOptions, hex, random_id};
use crate::console;
use crate::drafting::{Draft, Drafter};
use crate::evidence::Evidence;
use crate::rows::{DraftedRow, rows_of};

/// Where images lie within the records' folder.
const IMAGES_FOLDER: &str = "images";
/// Between two looks for records that are past their time.
const PURGE_PAUSE: Duration = Duration::from_hours(1);
/// Studies without a record that are remembered; the queue holds fewer, the rest failed.
const MOST_PENDING: usize = 1000;

/// A study that has no record yet.
#[derive(Debug, Clone)]
pub struct Pending {
    /// What its record will say.
    pub study: StudyRecord,
    /// How far it is.
    pub progress: watch::Receiver<Progress>,
    /// To be set when nobody wants it any more.
    pub cancelled: Arc<AtomicBool>,
}

/// What the recorder must know of a study, beside its draft.
#[derive(Debug)]
pub struct ToRecord {
    study: StudyRecord,
    concerns: Vec<String>,
}

type PendingById = Arc<Mutex<HashMap<String, Pending>>>;

/// Everything that requests share.
#[derive(Debug)]
pub struct Room {
    pub options: ServeOptions,
    pub words: Arc<BundleWords>,
    pub variant: String,
    pub records: Arc<Records>,
    pub images: Images,
    pub looker: Looker,
    pub metrics: Arc<Metrics>,
    engine: Arc<Engine<ToRecord>>,
    pending: PendingById,
    /// A permit for each study between submission and draft.
    places: Arc<Semaphore>,
    /// A permit for each image in the hands of a request.
    uploads: Semaphore,
}

fn lock(pending: &Mutex<HashMap<String, Pending>>) -> MutexGuard<'_, HashMap<String, Pending>> {
    pending.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Room {
    /// Opens the records and starts the engine.
    pub fn open(bundle: &Bundle, drafters: Vec<Drafter>, options: ServeOptions) -> Result<Arc<Self>, ServeError> {
        let records = Arc::new(Records::open(&options.records)?);
        let folder = options.keep_images.then(|| options.records.join(IMAGES_FOLDER));
        let images = Images::new(folder)?;
        let words = Arc::new(BundleWords::of(bundle)?);
        let variant = drafters.first().map_or_else(String::new, |drafter| drafter.model().variant().to_owned());
        let (metrics, pending) = (Arc::<Metrics>::default(), PendingById::default());
        let recorder = Recorder {
            records: Arc::clone(&records),
            words: Arc::clone(&words),
            metrics: Arc::clone(&metrics),
            pending: Arc::clone(&pending),
        };
        let engine = Engine::start(drafters, options.batch_size, move |finished| recorder.record(finished))?;
        Ok(Arc::new(Self {
            places: Arc::new(Semaphore::new(options.limits.under_way)),
            uploads: Semaphore::new(options.limits.uploads),
            engine: Arc::new(engine),
            options,
            words,
            variant,
            records,
            images,
            looker: Looker::of(bundle),
            metrics,
            pending,
        }))
    }

    /// Takes an image file: reads it within the limits, shows it to the gate, and puts it into the queue.
    /// `name`: what the request calls it, where it does.
    pub async fn submit(self: &Arc<Self>, name: Option<String>, form: Form, body: Body) -> Result<Pending, Problem> {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            self.metrics.turned_away.add(1);
            return Err(Problem::busy(self.retry_after()));
        };
        let upload = self.uploads.acquire().await.map_err(|_| Problem::internal())?;
        let (file, its_name) = self.read_image(form, body).await?;
        let name = name.or(its_name).unwrap_or_else(|| "image".to_owned());
        let pending = self.take(name, file, place).await?;
        drop(upload);
        Ok(pending)
    }

    /// As [`Room::submit`], for a file that is read already; waits for a place in the queue.
    pub async fn submit_file(self: &Arc<Self>, name: String, file: Arc<[u8]>) -> Result<Pending, Problem> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| Problem::internal())?;
        self.take(name, file, place).await
    }

    /// Shows a file to the gate and puts it into the queue.
    async fn take(
        self: &Arc<Self>,
        name: String,
        file: Arc<[u8]>,
        place: OwnedSemaphorePermit,
    ) -> Result<Pending, Problem> {
        let (sha256, admitted) = self.admit(&name, &file).await?;
        let study = StudyRecord {
            id: random_id(),
            submitted: records::now(),
            name,
            image_sha256: sha256,
            image_bytes: file.len() as u64,
            bundle: self.words.manifest().id.clone(),
            variant: self.variant.clone(),
        };
        self.hold(&study.image_sha256, file).await?;
        let Admitted { pixels, concerns, .. } = admitted;
        let (progress, followed) = watch::channel(Progress::Waiting);
        let cancelled = Arc::<AtomicBool>::default();
        let pending = Pending { study: study.clone(), progress: followed, cancelled: Arc::clone(&cancelled) };
        self.remember(pending.clone());
        self.metrics.taken.add(1);
        let concerns = concerns.iter().map(ToString::to_string).collect();
        // A sampled report follows from the seed and the image.
        let name = study.image_sha256.clone();
        self.engine.submit(Job { pixels, name, progress, cancelled, record: ToRecord { study, concerns }, place });
        Ok(pending)
    }

    /// A body as an image file, no larger than allowed, with the name that a form gives it.
    pub async fn read_image(&self, form: Form, body: Body) -> Result<(Arc<[u8]>, Option<String>), Problem> {
        let file_limit = self.options.limits.upload_bytes;
        let limit = if form == Form::Plain { file_limit } else { file_limit.saturating_add(FORM_OVERHEAD) };
        let too_large = || {
            Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("file: at most {file_limit} bytes expected, found more\nhint: --max-upload sets the limit"),
            )
        };
        // What is announced need not be read to be refused.
        if axum::body::HttpBody::size_hint(&body).lower() > limit as u64 {
            return Err(too_large());
        }
        let bytes = Limited::new(body, limit).collect().await.map_err(|error| {
            if error.is::<http_body_util::LengthLimitError>() {
                too_large()
            } else {
                Problem::bad_request("file: the request ended before its body did")
            }
        })?;
        let bytes = bytes.to_bytes();
        let (file, name) = match form {
            Form::Plain => (Arc::from(bytes.as_ref()), None),
            Form::Multipart(boundary) => {
                in_background(move || {
                    let part = upload::file_of(&bytes, &boundary)?;
                    Ok::<_, Problem>((Arc::from(part.content), part.name.as_deref().and_then(upload::shown_name)))
                })
                .await??
            }
        };
        let size = <[u8]>::len(&file);
        if size == 0 {
            return Err(Problem::bad_request("file: an image or DICOM file expected as the body, found nothing"));
        }
        if size > file_limit {
            return Err(too_large());
        }
        self.metrics.bytes.add(size as u64);
        Ok((file, name))
    }

    /// Hash and model input of a file that the gate lets through.
    async fn admit(self: &Arc<Self>, name: &str, file: &Arc<[u8]>) -> Result<(String, Admitted), Problem> {
        let (room, file, name) = (Arc::clone(self), Arc::clone(file), name.to_owned());
        let admit = move || {
            let sha256 = hex(&Sha256::digest(&file));
            let preprocessing = &room.words.manifest().preprocessing;
            let admitted = preprocessing.admit_bytes(&file, Path::new(&name), room.options.gate);
            admitted.map(|admitted| (sha256, admitted)).map_err(|error| {
                room.metrics.refused.add(1);
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string())
            })
        };
        in_background(admit).await?
    }

    /// Holds an image for those who look at it.
    pub async fn hold(self: &Arc<Self>, sha256: &str, file: Arc<[u8]>) -> Result<(), Problem> {
        let (room, sha256) = (Arc::clone(self), sha256.to_owned());
        in_background(move || room.images.put(&sha256, file)).await?.map_err(|error| {
            console::error(format_args!("an image cannot be kept: {error}"));
            Problem::internal()
        })
    }

    /// An image's grey samples, where it is still there.
    pub async fn radiograph(self: &Arc<Self>, sha256: String) -> Result<Option<Radiograph>, Problem> {
        let _in_hand = self.uploads.acquire().await.map_err(|_| Problem::internal())?;
        let room = Arc::clone(self);
        let read = move || {
            let Some(file) = room.images.get(&sha256) else { return Ok(None) };
            Radiograph::read(&file, Path::new("image"), &ImageLimits::default()).map(Some)
        };
        in_background(read).await?.map_err(|error| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))
    }

    /// Where a draft looked on its image, where that is still there.
    pub async fn evidence(self: &Arc<Self>, study: StudyRecord, rows: Vec<DraftedRow>) -> Result<Evidence, Problem> {
        let _in_hand = self.uploads.acquire().await.map_err(|_| Problem::internal())?;
        let room = Arc::clone(self);
        let look = move || match room.images.get(&study.image_sha256) {
            Some(file) => room.looker.evidence(&file, &study.bundle, &rows),
            None => Err(Problem::image_gone()),
        };
        in_background(look).await?
    }

    fn remember(&self, study: Pending) {
        let mut pending = lock(&self.pending);
        if pending.len() >= MOST_PENDING {
            pending.retain(|_, study| !study.progress.borrow().is_final());
        }
        pending.insert(study.study.id.clone(), study);
    }

    /// Puts a file that nobody waits for on the worklist, with the reason why it is not drafted.
    pub fn refuse(&self, name: String, reason: String) {
        let study = StudyRecord {
            id: random_id(),
            submitted: records::now(),
            name,
            image_sha256: String::new(),
            image_bytes: 0,
            bundle: self.words.manifest().id.clone(),
            variant: self.variant.clone(),
        };
        let (_, progress) = watch::channel(Progress::Failed(reason));
        self.remember(Pending { study, progress, cancelled: Arc::default() });
    }

    /// Whether an image is on its way to a draft.
    pub fn is_under_way(&self, sha256: &str) -> bool {
        lock(&self.pending).values().any(|pending| pending.study.image_sha256 == sha256)
    }

    /// A study that has no record yet.
    pub fn pending(&self, id: &str) -> Option<Pending> {
        lock(&self.pending).get(id).cloned()
    }

    /// All studies that have no record yet.
    pub fn all_pending(&self) -> Vec<Pending> {
        lock(&self.pending).values().cloned().collect()
    }

    /// Gives up a study that has no record yet; whether there was one.
    pub fn give_up(&self, id: &str) -> bool {
        let given_up = lock(&self.pending).remove(id);
        if let Some(study) = &given_up {
            study.cancelled.store(true, std::sync::atomic::Ordering::Relaxed);
            self.metrics.cancelled.add(1);
        }
        given_up.is_some()
    }

    /// Deletes a study's record and, where no other study shows it, its image. Whether there was one.
    pub fn purge(&self, id: &str, reason: &str) -> Result<bool, RecordsError> {
        let Some((study, _)) = self.records.read(id)? else { return Ok(false) };
        let purged = self.records.purge(id, reason)?;
        if self.records.studies_of_image(&study.image_sha256)? == 0
            && let Err(error) = self.images.forget(&study.image_sha256)
        {
            console::error(format_args!("the image of a purged study cannot be deleted: {error}"));
        }
        Ok(purged)
    }

    /// Seconds after which a place in the queue may be free.
    fn retry_after(&self) -> u64 {
        let ahead = self.engine.waiting() as f64;
        let workers = self.engine.able().max(1) as f64;
        (ahead * self.metrics.seconds_each() / workers).ceil().clamp(1.0, 60.0) as u64
    }

    /// Whether drafts can be made.
    pub fn is_ready(&self) -> bool {
        self.engine.able() > 0
    }

    /// What is so at this moment.
    pub fn now(&self) -> Now {
        let most_under_way = self.options.limits.under_way;
        Now {
            waiting: self.engine.waiting(),
            under_way: most_under_way - self.places.available_permits(),
            most_under_way,
            image_bytes: self.images.bytes_in_memory(),
        }
    }

    /// Takes nothing more and finishes what is under way.
    pub fn finish(self: &Arc<Self>) -> tokio::task::JoinHandle<()> {
        let engine = Arc::clone(&self.engine);
        tokio::task::spawn_blocking(move || engine.finish())
    }
}

/// Runs what takes long or waits for a disk where it holds up no request.
pub async fn in_background<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Problem::internal())
}

/// Purges records that are past their time, at once and every hour.
pub async fn purge_now_and_then(room: Arc<Room>) {
    let Some(days) = room.options.keep_days else { return };
    loop {
        let room = Arc::clone(&room);
        let purged = tokio::task::spawn_blocking(move || purge_older(&room, days)).await;
        match purged {
            Ok(Ok(0)) | Err(_) => {}
            Ok(Ok(count)) => console::info(format_args!("{count} records older than {days} days purged")),
            Ok(Err(error)) => console::error(&error),
        }
        tokio::time::sleep(PURGE_PAUSE).await;
    }
}

fn purge_older(room: &Room, days: u32) -> Result<usize, RecordsError> {
    let age = Duration::from_secs(u64::from(days) * 24 * 60 * 60);
    let Ok(until) = jiff::Timestamp::now().checked_sub(age) else { return Ok(0) };
    let old = room.records.submitted_before(&format!("{until:.3}"))?;
    for (id, _) in &old {
        room.purge(id, "older than the server was told to keep")?;
    }
    Ok(old.len())
}

/// Writes finished drafts down.
struct Recorder {
    records: Arc<Records>,
    words: Arc<BundleWords>,
    metrics: Arc<Metrics>,
    pending: PendingById,
}

impl Recorder {
    fn record(&self, finished: Vec<Finished<ToRecord>>) {
        let mut drafts = Vec::new();
        for Finished { record: ToRecord { study, concerns }, outcome, progress, place } in finished {
            match outcome {
                Ok(draft) => {
                    let tokens = draft.sequence.tokens.len() as u64;
                    self.metrics.tokens.add(tokens);
                    self.metrics.drafting_milliseconds.add((draft.seconds * 1000.0) as u64);
                    drafts.push((study, self.drafted(&draft, concerns), progress, place));
                }
                Err(problem) => {
                    console::error(format_args!("a study could not be drafted: {problem}"));
                    self.metrics.failed.add(1);
                    progress.send_replace(Progress::Failed(problem));
                }
            }
        }
        // What was given up meanwhile leaves no record.
        drafts.retain(|(study, ..)| lock(&self.pending).contains_key(&study.id));
        let written: Vec<_> = drafts.iter().map(|(study, event, ..)| (study, event)).collect();
        let outcome = self.records.begin_all(&written);
        if let Err(error) = &outcome {
            console::error(format_args!("drafts cannot be recorded: {error}"));
        }
        for (study, _, progress, place) in drafts {
            if outcome.is_ok() {
                // Whoever asks from now on finds it in the records.
                lock(&self.pending).remove(&study.id);
                self.metrics.drafted.add(1);
                progress.send_replace(Progress::Drafted);
            } else {
                self.metrics.failed.add(1);
                progress
                    .send_replace(Progress::Failed("the draft cannot be recorded; the server's log says why".into()));
            }
            drop(place);
        }
    }

    fn drafted(&self, draft: &Draft, concerns: Vec<String>) -> Event {
        Event::Drafted(Drafted {
            rows: rows_of(draft, self.words.words()),
            mean_log_probability: draft.sequence.mean_log_probability(),
            finish: draft.sequence.finish.as_str().to_owned(),
            seconds: draft.seconds,
            concerns,
            notice: self.words.manifest().notice.clone(),
        })
    }
}

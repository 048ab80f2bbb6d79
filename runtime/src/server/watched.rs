//! A watched folder: what comes into it goes the way of a file that is dropped on the page.
//!
//! An image that the records know is not drafted again, so that a restart repeats nothing. Files are read, never changed.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use xreport_models::image::{Limits as ImageLimits, read_file};

use super::hex;
use super::problem::Problem;
use super::records::RecordsError;
use super::room::{Room, in_background};
use crate::batch::{Complaints, Look, Settling};
use crate::console;
use crate::inputs::{self, InputError};

/// Between two looks, at least.
const SHORTEST_PAUSE: Duration = Duration::from_millis(200);
/// Looking takes that part of the time at most.
const PAUSE_FOR_A_LOOK: u32 = 4;

/// A folder to watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// It is searched whole.
    pub folder: PathBuf,
    /// A file is taken when it has not changed for so long.
    pub quiet: Duration,
}

/// What is known of the folder's files.
struct Watch {
    watched: Watched,
    settling: Settling,
    /// Files that were taken, as they were then.
    taken: HashMap<String, Look>,
    complaints: Complaints<Unreadable>,
}

/// What cannot be looked at: its name, none for the folder itself, and why.
type Unreadable = (Option<String>, String);

/// A file that is whole and new.
struct Ready {
    name: String,
    path: PathBuf,
    look: Look,
}

/// Takes what comes, for ever.
pub async fn watch(room: Arc<Room>, watched: Watched) {
    let settling = Settling::new(watched.quiet);
    let mut watch = Watch { watched, settling, taken: HashMap::new(), complaints: Complaints::default() };
    loop {
        let started = Instant::now();
        let looked = in_background(move || {
            let seen = watch.look();
            (watch, seen)
        });
        let Ok((back, (ready, unreadable))) = looked.await else { return };
        watch = back;
        for (name, problem) in unreadable {
            match name {
                Some(name) => room.refuse(name, problem),
                None => console::warning(format_args!("watched folder: {problem}; looking again until it is there")),
            }
        }
        let pause = (watch.watched.quiet / 4).max(SHORTEST_PAUSE).max(started.elapsed() * PAUSE_FOR_A_LOOK);
        for Ready { name, path, look } in ready {
            watch.taken.insert(name.clone(), look);
            take(&room, name, path).await;
        }
        tokio::time::sleep(pause).await;
    }
}

impl Watch {
    /// Files that are whole, and new or changed since they were taken; and what cannot be read since this look.
    fn look(&mut self) -> (Vec<Ready>, Vec<Unreadable>) {
        let found = inputs::find(std::slice::from_ref(&self.watched.folder));
        let mut unreadable: Vec<_> = found.unreadable.iter().map(|error| self.told(error)).collect();
        unreadable.extend(found.refused.into_iter().map(|refused| (Some(refused.id), refused.problem)));
        let now = Instant::now();
        let mut ready = Vec::new();
        let mut unsettled = HashSet::new();
        for inputs::Input { id, path } in found.images {
            let look = match Look::at(&path) {
                Ok(look) => look,
                // A name that is gone is no news; a link that leads nowhere is still there.
                Err(_) if path.symlink_metadata().is_err() => continue,
                Err(error) => {
                    unreadable.push((Some(id), error.to_string()));
                    continue;
                }
            };
            if self.taken.get(&id) == Some(&look) {
                continue;
            }
            if self.settling.is_whole(&id, look, now) {
                ready.push(Ready { name: id, path, look });
            } else {
                unsettled.insert(id);
            }
        }
        self.settling.keep(|id| unsettled.contains(id));
        (ready, self.complaints.news(unreadable))
    }

    /// The log names no file, the page does.
    fn told(&self, error: &InputError) -> Unreadable {
        match error {
            InputError::Read { path, source } if *path != self.watched.folder => {
                (Some(inputs::relative_id(path, &self.watched.folder)), source.to_string())
            }
            other => (None, other.to_string()),
        }
    }
}

/// Reads a file and submits it, unless its image is known; waits for a place in the queue.
async fn take(room: &Arc<Room>, name: String, path: PathBuf) {
    let reader = Arc::clone(room);
    let read = move || -> Result<Option<Arc<[u8]>>, String> {
        let limits =
            ImageLimits { max_file_bytes: reader.options.limits.upload_bytes as u64, ..ImageLimits::default() };
        let file = read_file(&path, &limits).map_err(|error| without_path(&error.to_string(), &path))?;
        let known = is_known(&reader, &hex(&Sha256::digest(&file))).map_err(|error| error.to_string())?;
        Ok((!known).then(|| file.into()))
    };
    let refused = match in_background(read).await {
        Ok(Ok(None)) => return,
        Ok(Ok(Some(file))) => room.submit_file(name.clone(), file).await.err().map(|problem| problem.told()),
        Ok(Err(message)) => Some(message),
        Err(problem) => Some(problem.told()),
    };
    if let Some(message) = refused {
        room.refuse(name, message);
    }
}

fn is_known(room: &Room, sha256: &str) -> Result<bool, RecordsError> {
    Ok(room.is_under_way(sha256) || room.records.studies_of_image(sha256)? > 0)
}

/// A message for the page, which shows the file's name itself.
fn without_path(message: &str, path: &Path) -> String {
    message.replace(&format!("`{}`", path.display()), "")
}

impl Problem {
    /// In one line.
    fn told(&self) -> String {
        self.hint.as_ref().map_or_else(|| self.error.clone(), |hint| format!("{} ({hint})", self.error))
    }
}

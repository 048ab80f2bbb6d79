//! `xreport generate --watch`: a folder into which images come.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use xreport_runtime::batch::{Complaints, Look, Settling};
use xreport_runtime::console;
use xreport_runtime::generate::Task;
use xreport_runtime::inputs::{self, InputError, Inputs};

use super::exit;
use super::generate::{Generate, Run};

/// Between two looks at the folders, at least.
const SHORTEST_PAUSE: Duration = Duration::from_millis(200);
/// Looking takes that part of the time at most: a large folder on a share is not walked without end.
const PAUSE_FOR_A_LOOK: u32 = 4;
/// How long Ctrl-C may wait for a pause to end.
const NAP: Duration = Duration::from_millis(100);

/// What is there at the start. A name that is typed wrong is refused; what cannot be read may be mended later.
pub fn first_look(paths: &[PathBuf]) -> Result<Inputs, InputError> {
    let mut found = inputs::find(paths);
    let wrong = found.unreadable.iter().position(|error| matches!(error, InputError::Missing(_)));
    wrong.map_or(Ok(()), |place| Err(found.unreadable.swap_remove(place)))?;
    Ok(found)
}

/// Drafts what is there and what comes, until Ctrl-C or SIGTERM.
pub fn watch(command: &Generate, run: &mut Run, found: Inputs) -> anyhow::Result<ExitCode> {
    let quiet = command.settle.quiet()?;
    let mut watch = Watch { settling: Settling::new(quiet), complaints: Complaints::default(), unread: HashMap::new() };
    let mut found = Some(found);
    console::info("watching; Ctrl-C or SIGTERM ends it");
    while !run.stopped() {
        let started = Instant::now();
        // The first look was made before the model was loaded.
        let found = found.take().unwrap_or_else(|| inputs::find(&command.inputs));
        // A share may be away for a while, a folder closed: the rest goes on.
        for problem in watch.complaints.news(found.unreadable.iter().map(ToString::to_string)) {
            console::warning(format_args!("{problem}; looking again until it is there"));
        }
        let mut tasks = watch.settled(run, found);
        run.job.add(&mut tasks);
        let looked = started.elapsed();
        if !tasks.is_empty() {
            let taken: Vec<_> = tasks.iter().map(|task| (task.id().to_owned(), look(task))).collect();
            run.draft(tasks)?;
            watch.remember_unread(run, taken);
        }
        run.job.publish_now_and_then()?;
        pause(run, (quiet / 4).max(SHORTEST_PAUSE).max(looked * PAUSE_FOR_A_LOOK));
    }
    run.job.publish()?;
    console::info(command.summary(run.drafter(), run.job.counts(), None, 0));
    Ok(if run.job.counts().failed > 0 { ExitCode::from(exit::SOME_FAILED) } else { ExitCode::SUCCESS })
}

/// What is known from one look to the next, beside the ledger.
struct Watch {
    settling: Settling,
    complaints: Complaints<String>,
    /// Inputs that failed without being read, with how they looked then: the ledger does not know it.
    unread: HashMap<String, Option<Look>>,
}

impl Watch {
    /// Files that are whole and not yet done, or have changed since they were.
    fn settled(&mut self, run: &Run, found: Inputs) -> Vec<Task> {
        let now = Instant::now();
        let mut here = HashSet::new();
        let mut ready = Vec::new();
        for task in Task::list(found) {
            let known = run.job.ledger().known().get(task.id());
            match look(&task) {
                Some(look) => {
                    let done = match known.map(|known| known.file) {
                        None => false,
                        Some(Some(file)) => file.look == look,
                        // A link that leads somewhere again, or what is larger than any image.
                        Some(None) => self.unread.get(task.id()) == Some(&Some(look)),
                    };
                    if done {
                        continue;
                    }
                    here.insert(task.id().to_owned());
                    if self.settling.is_whole(task.id(), look, now) {
                        ready.push(task);
                    }
                }
                // What a list names and is not there, or names wrongly, and a link that leads nowhere, fails once.
                None if known.is_none() => ready.push(task),
                None => {}
            }
        }
        let taken: HashSet<&str> = ready.iter().map(Task::id).collect();
        self.settling.keep(|id| here.contains(id) && !taken.contains(id));
        ready
    }

    fn remember_unread(&mut self, run: &Run, taken: Vec<(String, Option<Look>)>) {
        for (id, look) in taken {
            if run.job.ledger().known().get(&id).is_some_and(|known| known.file.is_none()) {
                self.unread.insert(id, look);
            } else {
                self.unread.remove(&id);
            }
        }
    }
}

/// How the file of a task looks now, where it has one that can be looked at.
fn look(task: &Task) -> Option<Look> {
    task.path().and_then(|path| Look::at(path).ok())
}

fn pause(run: &Run, time: Duration) {
    let started = Instant::now();
    while !run.stopped() && started.elapsed() < time {
        std::thread::sleep(NAP.min(time));
    }
}

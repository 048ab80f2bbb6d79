//! `xreport generate --watch`: a folder into which images come.

use std::collections::HashSet;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use xreport_runtime::batch::{Look, Settling};
use xreport_runtime::generate::Task;
use xreport_runtime::inputs::{self, Inputs};

use super::exit;
use super::generate::{Generate, Run};

/// Between two looks at the folders, at least.
const SHORTEST_PAUSE: Duration = Duration::from_millis(200);
/// Looking takes that part of the time at most: a large folder on a share is not walked without end.
const PAUSE_FOR_A_LOOK: u32 = 4;
/// How long Ctrl-C may wait for a pause to end.
const NAP: Duration = Duration::from_millis(100);

/// Drafts what is there and what comes, until Ctrl-C or SIGTERM.
pub fn watch(command: &Generate, run: &mut Run, found: Inputs) -> anyhow::Result<ExitCode> {
    let quiet = Duration::from_secs_f64(command.settle);
    let mut settling = Settling::new(quiet);
    let mut found = Some(found);
    let mut away = false;
    eprintln!("watching; Ctrl-C or SIGTERM ends it");
    while !run.stopped() {
        let started = Instant::now();
        // A share may be away for a while; the first look was made before the model was loaded.
        let look = found.take().map_or_else(|| inputs::collect(&command.inputs), Ok);
        match look {
            Ok(found) => {
                away = false;
                let mut tasks = settled(run, &mut settling, found);
                run.job.add(&mut tasks);
                let looked = started.elapsed();
                if !tasks.is_empty() {
                    run.draft(tasks)?;
                }
                run.job.publish_now_and_then()?;
                pause(run, (quiet / 4).max(SHORTEST_PAUSE).max(looked * PAUSE_FOR_A_LOOK));
            }
            Err(error) => {
                if !std::mem::replace(&mut away, true) {
                    eprintln!("warning: {error}; looking again until it is there");
                }
                pause(run, quiet.max(SHORTEST_PAUSE));
            }
        }
    }
    run.job.publish()?;
    eprintln!("{}", command.summary(run, 0));
    Ok(if run.job.counts().failed > 0 { ExitCode::from(exit::SOME_FAILED) } else { ExitCode::SUCCESS })
}

/// Files that are whole and not yet done, or have changed since they were.
fn settled(run: &Run, settling: &mut Settling, found: Inputs) -> Vec<Task> {
    let now = Instant::now();
    let mut here = HashSet::new();
    let mut ready = Vec::new();
    for task in Task::list(found) {
        let known = run.job.ledger().known().get(task.id());
        match task.path().map(Look::at) {
            Some(Ok(look)) if known.is_none_or(|known| known.file.is_some_and(|file| file.look != look)) => {
                here.insert(task.id().to_owned());
                if settling.is_whole(task.id(), look, now) {
                    ready.push(task);
                }
            }
            // What a list names and is not there, or names wrongly, fails once.
            None | Some(Err(_)) if known.is_none() => ready.push(task),
            _ => {}
        }
    }
    let taken: HashSet<&str> = ready.iter().map(Task::id).collect();
    settling.keep(|id| here.contains(id) && !taken.contains(id));
    ready
}

fn pause(run: &Run, time: Duration) {
    let started = Instant::now();
    while !run.stopped() && started.elapsed() < time {
        std::thread::sleep(NAP.min(time));
    }
}

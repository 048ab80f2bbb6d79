//! `xreport generate --out -`: rows on stdout, while the run goes on.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{bail, ensure};
use xreport_runtime::batch::Counts;
use xreport_runtime::console::{self, Reader, StdoutError};
use xreport_runtime::generate::{Task, generate};
use xreport_runtime::inputs::Inputs;
use xreport_runtime::output::{Format, RowStream};

use super::drafting::tell_fallback;
use super::exit;
use super::generate::{BAR, Generate, tell};

/// The form of the rows, where all other options suit stdout.
pub fn format(command: &Generate) -> anyhow::Result<Format> {
    for (name, is_given) in command.that_need_a_ledger() {
        ensure!(
            !is_given,
            "{name}: a file or folder as --out expected, found `-`: rows that are printed leave no ledger\nhint: --out reports.csv"
        );
    }
    match command.format {
        Some(Format::Txt) => {
            bail!(
                "--format: csv or jsonl expected with `--out -`, found txt, a file for each image\nhint: --out FOLDER"
            )
        }
        given => Ok(given.unwrap_or(Format::Csv)),
    }
}

/// Drafts all and prints each row in its turn, until the end, Ctrl-C, or nobody reads any more. Exit codes are as with a
/// file; that a reader leaves early is its right, and changes none.
pub fn draft(command: &Generate, found: Inputs, format: Format, stop: &AtomicBool) -> anyhow::Result<ExitCode> {
    let bundle = command.drafting.bundle()?;
    let mut workers = command.workers(&bundle, found.images.len())?;
    tell_fallback(workers[0].drafter());
    let others = found.others;
    let tasks = Task::list(found);
    let mut counts = Counts { inputs: tasks.len(), ..Counts::default() };
    let mut printer = Printer { outcome: Ok(Reader::Reads) };
    let mut rows = RowStream::new(format);
    let bar = console::progress_bar(tasks.len() as u64, BAR);
    generate(&mut workers, tasks, command.options(), stop, &mut |finished| {
        tell(finished);
        bar.inc(1);
        *(if finished.row.status == "ok" { &mut counts.done } else { &mut counts.failed }) += 1;
        if !printer.print(&rows.take(finished.task.place, &finished.row)) {
            // Nobody would get what is drafted from now on.
            stop.store(true, Ordering::Relaxed);
        }
        Ok(())
    })?;
    bar.finish_and_clear();
    printer.print(&rows.rest());
    let reader = printer.outcome?;
    command.tell_end(&workers, counts, None, others);
    Ok(match (reader, counts.failed) {
        (Reader::Reads, _) if counts.left() > 0 => ExitCode::from(exit::STOPPED),
        (_, 0) => ExitCode::SUCCESS,
        (_, _) => ExitCode::from(exit::SOME_FAILED),
    })
}

/// What has become of the rows so far.
struct Printer {
    outcome: Result<Reader, StdoutError>,
}

impl Printer {
    /// Prints, where all before could be printed; whether more is worth it.
    fn print(&mut self, text: &[u8]) -> bool {
        if !text.is_empty() && matches!(self.outcome, Ok(Reader::Reads)) {
            self.outcome = console::print_bytes(text);
        }
        matches!(self.outcome, Ok(Reader::Reads))
    }
}

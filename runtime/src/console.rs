//! What the programs say to a person: the one place that writes to stdout and stderr, for `xreport` and `xreport-train`.
//!
//! Results go to stdout, messages to stderr, and either may go away while the program works: a pipe loses its reader
//! (`| head -1`, a `tee` that Ctrl-C has ended), the disk behind a redirection is full, a terminal is closed. `println!` and
//! `eprintln!` panic then, in whatever thread they are called. Nothing here does:
//!
//! - **A message that cannot be written is lost, and the work goes on.** No report and no training step hangs on it.
//! - **Results that nobody reads any more are no error**: the exit code is that of the work. Any other failure to write them
//!   is a [`StdoutError`], with which a program exits with 2 and the reason on stderr.
//!
//! Two things that this stands on are done by Rust's runtime before `main`, on Unix: SIGPIPE is ignored (the programs that
//! these start get its usual effect back), and where a program is started with a standard stream closed (`2>&-`),
//! `/dev/null` is opened in its place, so that no file of results is opened under the number of a stream and gets messages
//! written into it. ONNX Runtime and libtorch write their own logs to the same streams, by C++ streams that do not throw.

use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle, WeakProgressBar};
use thiserror::Error;

/// Exit code where results cannot be written to stdout.
const CANNOT_PRINT: u8 = 2;

/// Before a stream that takes nothing at the moment is tried again.
const PAUSE: Duration = Duration::from_millis(5);
/// A message waits no longer for such a stream.
const MESSAGE_PATIENCE: Duration = Duration::from_secs(1);

/// The progress bar that stands on the terminal, if any: messages go above it.
static BAR: Mutex<Option<WeakProgressBar>> = Mutex::new(None);

/// Results cannot be written to stdout, for another reason than that their reader has gone.
#[derive(Debug, Error)]
#[error(
    "cannot write to standard output: {0}\nhint: send it where there is room; files that the command has written are whole"
)]
pub struct StdoutError(#[from] io::Error);

/// What has become of those who read stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// It has what was written, or it lies in its pipe.
    Reads,
    /// It has closed its end: nothing more can reach it.
    Gone,
}

/// Prints a line of results to stdout.
///
/// # Errors
/// It cannot be written. That nobody reads any more is no error.
pub fn print(line: impl Display) -> Result<(), StdoutError> {
    print_bytes(format!("{line}\n").as_bytes()).map(drop)
}

/// Prints to stdout what `write` writes, all at once.
///
/// # Errors
/// As [`print()`].
pub fn print_with(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), StdoutError> {
    let mut text = Vec::new();
    write(&mut text)?;
    print_bytes(&text).map(drop)
}

/// Writes bytes to stdout, and says whether it is worth going on: for results that are many and long in the making.
///
/// # Errors
/// As [`print()`].
pub fn print_bytes(bytes: &[u8]) -> Result<Reader, StdoutError> {
    let write = || write_results(&mut io::stdout().lock(), bytes);
    // The bar stands on the terminal alone: what goes elsewhere need not wait for it.
    if io::stdout().is_terminal() { above_the_bar(write) } else { write() }
}

/// Flushed at once: what fails is told now, by whom it concerns, and not lost when the program ends.
fn write_results(out: &mut dyn Write, bytes: &[u8]) -> Result<Reader, StdoutError> {
    match write_whole(out, bytes, None) {
        Ok(()) => Ok(Reader::Reads),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(error.into()),
    }
}

/// A line on stderr, as it is.
pub fn info(text: impl Display) {
    message(&format!("{text}\n"));
}

/// A line on stderr: the work goes on, but not quite as one might expect.
pub fn warning(text: impl Display) {
    message(&format!("warning: {text}\n"));
}

/// A line on stderr: something was not done.
pub fn error(text: impl Display) {
    message(&format!("error: {text}\n"));
}

/// In one write, so that lines of several threads or processes do not mix.
fn message(line: &str) {
    // Where nobody can be told, nobody can be told of that either.
    above_the_bar(|| drop(write_whole(&mut io::stderr().lock(), line.as_bytes(), Some(MESSAGE_PATIENCE))));
}

/// Writes and flushes. A stream that does not block (another program that has it as well may have set it so) and takes
/// nothing at the moment is tried again, for as long as `patience` says, for ever without.
fn write_whole(out: &mut dyn Write, mut bytes: &[u8], patience: Option<Duration>) -> io::Result<()> {
    let started = Instant::now();
    loop {
        let step = if bytes.is_empty() { out.flush().map(|()| 0) } else { out.write(bytes) };
        match step {
            Ok(_) if bytes.is_empty() => return Ok(()),
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if patience.is_some_and(|patience| started.elapsed() >= patience) {
                    return Err(error);
                }
                std::thread::sleep(PAUSE);
            }
            Err(error) => return Err(error),
        }
    }
}

/// A progress bar on stderr; none where that is no terminal. There is one at a time: a further one takes its place.
///
/// indicatif ignores what the terminal says to its writes, so that a bar on a terminal that was closed does no harm.
///
/// # Panics
/// The template is not well formed, which is a mistake in the program.
pub fn progress_bar(length: u64, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).expect("a well-formed template");
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(length).with_style(style);
    *BAR.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar.downgrade());
    bar
}

/// Writes while the bar is away from the terminal, so that the two do not mix.
fn above_the_bar<T>(write: impl FnOnce() -> T) -> T {
    let bar = BAR.lock().unwrap_or_else(PoisonError::into_inner);
    match bar.as_ref().and_then(WeakProgressBar::upgrade) {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// The command line as it was typed.
///
/// # Errors
/// There is nothing to run, for help or the version was asked for, or the usage is wrong: it was said, and this is the
/// exit code.
pub fn arguments<A: Parser>() -> Result<A, ExitCode> {
    A::try_parse().map_err(|said| {
        let printed = said.print().and_then(|()| io::stdout().flush());
        let code = ExitCode::from(u8::try_from(said.exit_code()).unwrap_or(CANNOT_PRINT));
        match printed {
            Err(problem) if !said.use_stderr() && problem.kind() != ErrorKind::BrokenPipe => {
                error(StdoutError(problem));
                ExitCode::from(CANNOT_PRINT)
            }
            _ => code,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream that fails when it is written to, or when it is flushed.
    struct Failing {
        kind: ErrorKind,
        at_flush: bool,
    }

    impl Write for Failing {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.at_flush { Ok(bytes.len()) } else { Err(self.kind.into()) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(self.kind.into())
        }
    }

    #[test]
    fn a_reader_that_has_gone_is_no_error_and_anything_else_is_one() {
        for at_flush in [false, true] {
            let write = |kind| write_results(&mut Failing { kind, at_flush }, b"a line\n");
            assert_eq!(write(ErrorKind::BrokenPipe).ok(), Some(Reader::Gone));
            let told = write(ErrorKind::StorageFull).expect_err("a full disk is told").to_string();
            assert!(told.starts_with("cannot write to standard output: ") && told.contains("\nhint: "), "{told}");
        }
        let mut written = Vec::new();
        assert_eq!(write_results(&mut written, b"a line\n").ok(), Some(Reader::Reads));
        assert_eq!(written, b"a line\n");
    }

    /// A stream that does not block, and takes a byte at every second try.
    #[derive(Default)]
    struct Reluctant {
        written: Vec<u8>,
        tries: usize,
        flushed: bool,
    }

    impl Write for Reluctant {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.tries += 1;
            if self.tries % 2 == 1 {
                return Err(ErrorKind::WouldBlock.into());
            }
            self.written.push(bytes[0]);
            Ok(1)
        }

        fn flush(&mut self) -> io::Result<()> {
            let before = std::mem::replace(&mut self.flushed, true);
            if before { Ok(()) } else { Err(ErrorKind::WouldBlock.into()) }
        }
    }

    #[test]
    fn a_stream_that_does_not_block_gets_everything_and_a_message_gives_it_up_in_time() {
        let mut reluctant = Reluctant::default();
        assert_eq!(write_results(&mut reluctant, b"a line\n").ok(), Some(Reader::Reads));
        assert_eq!(reluctant.written, b"a line\n");
        let mut never = Failing { kind: ErrorKind::WouldBlock, at_flush: false };
        let given_up = write_whole(&mut never, b"a message\n", Some(Duration::from_millis(20)));
        assert!(given_up.is_err_and(|error| error.kind() == ErrorKind::WouldBlock));
    }

    #[test]
    fn what_cannot_be_formatted_prints_nothing() {
        let refused = print_with(|_| Err(io::Error::other("no value")));
        assert!(refused.is_err_and(|error| error.to_string().contains("no value")));
    }
}

//! Programs that are watched while they run: stopped at a chosen moment, or measured.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use xreport_tests::Run;

/// How often a running program is looked at.
const LOOK: Duration = Duration::from_millis(2);
/// After this a program hangs. Far above what any needs, however busy the machine: no measure of speed.
const HANGS: Duration = Duration::from_mins(10);

/// A running program.
pub struct Watched {
    child: Child,
    started: Instant,
    peak: Option<u64>,
}

impl Watched {
    /// Starts it. Its output is read when it has ended, so it must be short (a pipe holds 64 kB).
    pub fn start(command: &mut Command) -> Self {
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Self { child, started: Instant::now(), peak: None }
    }

    /// Waits until `reached` or its end, whichever comes first; whether it still runs.
    pub fn until(&mut self, mut reached: impl FnMut() -> bool) -> bool {
        while !reached() {
            if !self.runs() {
                return false;
            }
        }
        self.child.try_wait().unwrap().is_none()
    }

    /// Sends it a signal by name.
    pub fn signal(&self, name: &str) {
        // It may have ended in this moment: the caller sees it by how it ended.
        let _ = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
    }

    /// Most kilobytes of memory that it has used so far (Linux).
    pub fn peak(&self) -> Option<u64> {
        peak_kilobytes(self.child.id()).max(self.peak)
    }

    /// Waits for its end.
    pub fn end(mut self) -> (Run, Option<u64>) {
        while self.runs() {}
        let peak = self.peak;
        (Run::from_output("a watched program", &self.child.wait_with_output().unwrap()), peak)
    }

    fn runs(&mut self) -> bool {
        self.peak = peak_kilobytes(self.child.id()).max(self.peak);
        if self.child.try_wait().unwrap().is_some() {
            return false;
        }
        if self.started.elapsed() > HANGS {
            let _ = self.child.kill();
            panic!("a program hangs");
        }
        std::thread::sleep(LOOK);
        true
    }
}

/// Most memory that a process has used so far (Linux).
fn peak_kilobytes(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The whole lines of a run's `metrics.jsonl`.
pub fn metrics(checkpoint: impl AsRef<Path>) -> Vec<Value> {
    let path: PathBuf = checkpoint.as_ref().join("metrics.jsonl");
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map_while(|line| serde_json::from_str(line).ok()).collect()
}

/// The steps that it tells of.
pub fn steps(lines: &[Value]) -> Vec<u64> {
    lines.iter().filter(|line| line["kind"] == "step").map(|line| line["step"].as_u64().unwrap()).collect()
}

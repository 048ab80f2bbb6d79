//! A peer: a Python program that measures when it is told to, so that both sides take turns.
//!
//! It prints a line of JSON when it is ready, then answers each line of JSON with another one. Its stdin's end ends it.

use std::io::{BufRead, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// A running peer.
pub struct Peer {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    /// What it said when it was ready.
    pub hello: Value,
}

impl Peer {
    /// Starts it and waits until it is ready.
    pub fn start(command: &mut Command) -> Result<Self> {
        let shown = format!("{command:?}");
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{shown} cannot be started"))?;
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().expect("stdout was asked to be piped"));
        let mut peer = Self { child, stdin, stdout, hello: Value::Null };
        peer.hello = peer.line().with_context(|| format!("{shown} did not get ready: see its message above"))?;
        Ok(peer)
    }

    /// Has it measure, and waits for the answer.
    pub fn ask(&mut self, request: &Value) -> Result<Value> {
        let stdin = self.stdin.as_mut().expect("it is open until the peer is dropped");
        writeln!(stdin, "{request}").and_then(|()| stdin.flush()).context("the peer has ended")?;
        self.line().context("the peer gave no answer: see its message above")
    }

    fn line(&mut self) -> Result<Value> {
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        ensure!(!line.is_empty(), "its output has ended");
        serde_json::from_str(&line).with_context(|| format!("a line of JSON expected, found `{}`", line.trim()))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_peer_answers_line_by_line_and_ends_with_its_input() {
        let mut command = Command::new("sh");
        command.args(["-c", r#"echo '{"ready": true}'; while read -r line; do echo "{\"asked\": $line}"; done"#]);
        let mut peer = Peer::start(&mut command).expect("ready");
        assert_eq!(peer.hello["ready"], true);
        for batch in [1, 8] {
            assert_eq!(peer.ask(&batch.into()).expect("an answer")["asked"], batch);
        }
        assert!(Peer::start(Command::new("sh").args(["-c", "exit 3"])).is_err());
    }
}

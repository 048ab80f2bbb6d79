//! A reading room and the smallest client of it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_mins(1);

/// A server, ended when this goes.
pub struct Room {
    child: Child,
    address: String,
}

/// What came of a submission that was followed to its end.
pub struct Followed {
    pub status: u16,
    /// Until the first words.
    pub first: Option<Duration>,
    /// Whether the draft came.
    pub drafted: bool,
}

impl Room {
    /// Starts `command`, which serves.
    pub fn start(mut command: Command) -> Result<Self> {
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn()?;
        let stderr = child.stderr.take().context("stderr is piped")?;
        let mut lines = BufReader::new(stderr).lines();
        let mut said = String::new();
        let address = lines.by_ref().map_while(Result::ok).find_map(|line| {
            said += &format!("{line}\n");
            Some(line.strip_prefix("reading room: http://")?.split('/').next()?.to_owned())
        });
        let Some(address) = address else { bail!("it does not serve:\n{said}") };
        // A full pipe would hold it up.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Self { child, address })
    }

    /// Where it listens: `IP:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks to be connected no longer than one request.
    fn send(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Result<BufReader<TcpStream>> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body].concat())?;
        Ok(BufReader::new(stream))
    }

    /// Asks for JSON, with JSON.
    pub fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<(u16, Value)> {
        let text = body.map(Value::to_string).unwrap_or_default();
        let mut answer = self.send(method, path, "Content-Type: application/json\r\n", text.as_bytes())?;
        let mut whole = String::new();
        answer.read_to_string(&mut whole)?;
        let (head, body) = whole.split_once("\r\n\r\n").context("an answer has a head")?;
        let status = head.split(' ').nth(1).context("a status")?.parse()?;
        Ok((status, serde_json::from_str(body).unwrap_or(Value::Null)))
    }

    /// Submits an image and follows it until its draft is there.
    pub fn follow(&self, image: &[u8]) -> Result<Followed> {
        let started = Instant::now();
        let answer = self.send("POST", "/api/studies", "Accept: text/event-stream\r\n", image)?;
        let mut lines = answer.lines();
        let status = lines.next().context("an answer")??;
        let status = status.split(' ').nth(1).context("a status")?.parse()?;
        let mut followed = Followed { status, first: None, drafted: false };
        for line in lines {
            match line?.as_str() {
                "event: text" => {
                    followed.first.get_or_insert_with(|| started.elapsed());
                }
                "event: drafted" => {
                    // A short draft may be there as a whole before its first words are told.
                    followed.first.get_or_insert_with(|| started.elapsed());
                    followed.drafted = true;
                }
                _ => {}
            }
        }
        Ok(followed)
    }

    /// Submits an image; the study when it is drafted.
    pub fn draft(&self, image: &[u8]) -> Result<Value> {
        ensure!(self.follow(image)?.drafted, "the draft does not come");
        let (_, list) = self.ask("GET", "/api/studies", None)?;
        let id = list[0]["id"].as_str().context("a study on the list")?;
        Ok(self.ask("GET", &format!("/api/studies/{id}"), None)?.1)
    }

    /// A number of `/proc/PID/status`, in KiB.
    pub fn memory(&self, what: &str) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let value = status.lines().find_map(|line| line.strip_prefix(what)).context("the system tells it")?;
        Ok(value.split_whitespace().next().context("a number")?.parse()?)
    }

    /// Open file handles.
    pub fn handles(&self) -> Result<usize> {
        Ok(fs::read_dir(Path::new("/proc").join(self.child.id().to_string()).join("fd"))?.count())
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

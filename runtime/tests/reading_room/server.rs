//! A server of its own for each test, and the smallest client that can also misbehave.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Longest wait for anything.
pub const PATIENCE: Duration = Duration::from_mins(1);

pub struct Server {
    child: Child,
    pub address: String,
    log: Arc<Mutex<String>>,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<String> {
        self.head.lines().find_map(|line| {
            let (its, value) = line.split_once(": ")?;
            its.eq_ignore_ascii_case(name).then(|| value.to_owned())
        })
    }
}

pub fn demo_bundle() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/demo")
}

/// The tiny bundle of a format version; its texts mean nothing.
pub fn tiny_bundle(version: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../tests/bundles/v{version}"))
}

/// The command of a server on any free port, with its records in `folder`.
pub fn command(folder: &Path, arguments: &[&str]) -> Command {
    command_of(&demo_bundle(), folder, arguments)
}

/// As [`command`], with another bundle than the demo's.
pub fn command_of(bundle: &Path, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xreport"));
    command.args(["serve", "--port", "0", "--device", "cpu", "--threads", "1", "--model"]).arg(bundle);
    command.arg("--records").arg(folder).args(arguments).stderr(Stdio::piped()).stdout(Stdio::null());
    command
}

/// A folder for records.
pub fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

impl Server {
    pub fn start(folder: &Path, arguments: &[&str]) -> Self {
        Self::of(command(folder, arguments))
    }

    pub fn with_bundle(bundle: &Path, folder: &Path, arguments: &[&str]) -> Self {
        Self::of(command_of(bundle, folder, arguments))
    }

    fn of(mut command: Command) -> Self {
        let mut child = command.spawn().expect("xreport starts");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let log = Arc::<Mutex<String>>::default();
        let mut address = None;
        for line in lines.by_ref().map_while(Result::ok) {
            writeln!(log.lock().unwrap(), "{line}").unwrap();
            if let Some(found) = line.strip_prefix("reading room: http://") {
                address = found.split('/').next().map(str::to_owned);
                break;
            }
        }
        let address = address.unwrap_or_else(|| panic!("it serves: {}", log.lock().unwrap()));
        let later = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                writeln!(later.lock().unwrap(), "{line}").unwrap();
            }
        });
        Self { child, address, log }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// SIGTERM, and the exit code.
    pub fn stop(self) -> Option<i32> {
        self.terminate();
        self.exit_code()
    }

    /// Waits for its end.
    pub fn exit_code(mut self) -> Option<i32> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().expect("it can be asked") {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("it does not end: {}", self.log());
    }

    pub fn terminate(&self) {
        let killed = Command::new("kill").args(["-TERM", &self.id().to_string()]).status().expect("kill is there");
        assert!(killed.success());
    }

    pub fn connect(&self) -> TcpStream {
        let port = self.address.rsplit(':').next().expect("a port");
        let stream = TcpStream::connect(format!("127.0.0.1:{port}")).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// The head of a request, with a Host unless the headers name one.
    pub fn head(&self, method: &str, path: &str, headers: &[(&str, &str)], length: usize) -> String {
        let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|(name, _)| *name == "Host") {
            write!(head, "Host: {}\r\n", self.address).unwrap();
        }
        for (name, value) in headers {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        write!(head, "Content-Length: {length}\r\n\r\n").unwrap();
        head
    }

    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut stream = self.connect();
        stream.write_all(self.head(method, path, headers, body.len()).as_bytes()).expect("it reads");
        // It may answer before it has read all.
        let _ = stream.write_all(body);
        answer(stream)
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], &[])
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask("POST", path, &[("Content-Type", "application/json")], body.to_string().as_bytes())
    }

    pub fn submit(&self, name: &str, file: &[u8]) -> Answer {
        self.ask("POST", "/api/studies", &[("X-File-Name", name)], file)
    }

    /// Submits and waits for the draft.
    pub fn drafted(&self, file: &[u8]) -> Value {
        let submitted = self.submit("image.pgm", file);
        assert_eq!(submitted.status, 202, "{}", submitted.text());
        self.wait_for(submitted.json()["id"].as_str().expect("an id"))
    }

    pub fn wait_for(&self, id: &str) -> Value {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            let read = self.get(&format!("/api/studies/{id}"));
            if read.status == 200 {
                return read.json();
            }
            assert_eq!(read.status, 202, "{}", read.text());
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("no draft: {}", self.log());
    }

    /// Accepts every row.
    pub fn decide_all(&self, study: &Value) -> Value {
        let mut study = study.clone();
        let rows: Vec<_> = study["rows"].as_array().expect("rows").iter().map(|row| row["number"].clone()).collect();
        for row in rows {
            let change = serde_json::json!({"revision": study["revision"], "row": row, "decision": "accepted"});
            let decided = self.post(&format!("{}/decisions", address_of(&study)), &change);
            assert_eq!(decided.status, 200, "{}", decided.text());
            study = decided.json();
        }
        study
    }

    /// A counter of `/metrics`.
    pub fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").text();
        let line = text.lines().find(|line| line.starts_with(&format!("xreport_{name} ")));
        line.and_then(|line| line.split(' ').next_back()?.parse().ok()).unwrap_or_else(|| panic!("{name} in {text}"))
    }

    /// A number of `/proc/PID/status`, where there is such a thing.
    pub fn memory_kib(&self, what: &str) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).ok()?;
        status.lines().find_map(|line| line.strip_prefix(what)?.split_whitespace().next()?.parse().ok())
    }

    /// File handles that it has open, where that can be seen.
    pub fn handles(&self) -> Option<usize> {
        Some(std::fs::read_dir(format!("/proc/{}/fd", self.id())).ok()?.count())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn address_of(study: &Value) -> String {
    format!("/api/studies/{}", study["id"].as_str().expect("an id"))
}

/// Reads an answer until the connection closes.
pub fn answer(mut stream: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    // A connection that is reset after the answer has given it all the same.
    let _ = stream.read_to_end(&mut bytes);
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(bytes.len());
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let rest = bytes.get(end + 4..).unwrap_or_default();
    let body = if head.to_lowercase().contains("transfer-encoding: chunked") { unchunked(rest) } else { rest.to_vec() };
    Answer { status, head, body }
}

fn unchunked(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = bytes.windows(2).position(|window| window == b"\r\n") {
        let size = std::str::from_utf8(&bytes[..end]).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
        let Some(size) = size.filter(|&size| size > 0) else { break };
        let chunk = &bytes[end + 2..];
        body.extend_from_slice(&chunk[..size.min(chunk.len())]);
        bytes = chunk.get(size + 2..).unwrap_or_default();
    }
    body
}

/// Says past the test runner that a test did not run, as `cargo xtask test` counts it.
pub fn skipped(reason: &str) {
    let thread = std::thread::current();
    let _ = writeln!(std::io::stderr(), "skipped: {}: {reason}", thread.name().unwrap_or("test"));
}

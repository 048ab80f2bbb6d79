//! A folder of its own for each test, and the programs run in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;
use xreport_tests::{Run, command};

use crate::scenes;

/// Cargo's folder for tests' files.
pub const BESIDE_THE_BUILD: &str = env!("CARGO_TARGET_TMPDIR");
/// How our folders there begin.
pub const PREFIX: &str = "end-to-end-";

/// A fresh folder. Programs run inside it, so that all paths in a test are short and relative; it goes with the test.
pub struct Workplace {
    folder: TempDir,
}

impl Workplace {
    /// An empty one.
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("temporary folder") }
    }

    /// One in cargo's folder for tests' files, for what stays until the tests end.
    pub fn beside_the_build() -> Self {
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(BESIDE_THE_BUILD);
        Self { folder: folder.expect("cargo makes this folder") }
    }

    /// One with a data set and settings, see [`set_up`](Self::set_up).
    pub fn with_data(studies: usize, changes: &[(&str, Value)]) -> Self {
        let place = Self::new();
        place.set_up(studies, changes);
        place
    }

    /// Writes the data set `data` ([`scenes`]) and `settings.json`, see [`tiny_settings`].
    pub fn set_up(&self, studies: usize, changes: &[(&str, Value)]) {
        scenes::write(&self.path("data"), studies);
        self.write("settings.json", tiny_settings(changes));
    }

    /// A path in the folder.
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(relative)
    }

    /// Writes a file; folders are made when needed.
    pub fn write(&self, relative: &str, content: impl AsRef<[u8]>) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
    }

    /// A text file.
    #[track_caller]
    pub fn read(&self, relative: &str) -> String {
        fs::read_to_string(self.path(relative)).unwrap_or_else(|error| panic!("`{relative}`: {error}"))
    }

    /// A JSON file.
    #[track_caller]
    pub fn json(&self, relative: &str) -> Value {
        serde_json::from_str(&self.read(relative)).unwrap_or_else(|error| panic!("`{relative}`: {error}"))
    }

    /// A CSV file: one object per row.
    #[track_caller]
    pub fn csv(&self, relative: &str) -> Vec<Row> {
        let mut reader = csv::Reader::from_path(self.path(relative)).unwrap();
        reader.deserialize().map(|row| Row(row.unwrap())).collect()
    }

    /// Whether a file or folder is there.
    pub fn has(&self, relative: &str) -> bool {
        self.path(relative).exists()
    }

    /// All files below a folder, hidden ones included, sorted, relative to it, with forward slashes.
    pub fn files(&self, relative: &str) -> Vec<String> {
        fn walk(folder: &Path, prefix: &str, found: &mut Vec<String>) {
            for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
                let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
                if entry.file_type().unwrap().is_dir() {
                    walk(&entry.path(), &format!("{name}/"), found);
                } else {
                    found.push(name);
                }
            }
        }
        let mut found = Vec::new();
        walk(&self.path(relative), "", &mut found);
        found.sort();
        found
    }

    /// Names below the folder that an unfinished write would have left.
    pub fn leftovers(&self, relative: &str) -> Vec<String> {
        let unfinished = |name: &String| {
            Path::new(name).extension().is_some_and(|extension| extension == "tmp" || extension == "part")
        };
        self.files(relative).into_iter().filter(unfinished).collect()
    }

    /// `xreport LINE`.
    pub fn xreport(&self, line: &str) -> Run {
        Run::of(&mut self.command("xreport", line))
    }

    /// `xreport-train LINE`.
    pub fn train(&self, line: &str) -> Run {
        Run::of(&mut self.command("xreport-train", line))
    }

    /// A program with the words of `line`, to be run in this folder.
    pub fn command(&self, program: &str, line: &str) -> Command {
        let mut command = command(program);
        command.current_dir(self.folder.path()).args(line.split_whitespace());
        // libtorch's threads spin while they wait, by default: where more run than there are cores, for seconds.
        command.env("OMP_WAIT_POLICY", "passive");
        command
    }
}

/// A row of a CSV file, by column.
#[derive(Debug)]
pub struct Row(std::collections::HashMap<String, String>);

impl std::ops::Index<&str> for Row {
    type Output = str;

    #[track_caller]
    fn index(&self, column: &str) -> &str {
        self.0.get(column).unwrap_or_else(|| panic!("no column `{column}` in {self:?}"))
    }
}

/// Settings of a network that trains in a second, with `changes` such as `("training.EPOCHS", json!(3))`.
pub fn tiny_settings(changes: &[(&str, Value)]) -> String {
    let mut settings = serde_json::json!({
        "dataset": {"MAX_REPORT_SIZE": 24},
        "model": {
            "IMG_SHAPE": [32, 32, 1], "CONV_CHANNELS": [8, 16], "EMBEDDING_DIMS": 32, "NUM_HEADS": 2,
            "NUM_ENCODERS": 1, "NUM_DECODERS": 2
        },
        // One thread: the tests themselves run side by side.
        "training": {
            "EPOCHS": 1, "BATCH_SIZE": 8, "WARMUP_STEPS": 2, "LEARNING_RATE": 0.005, "NUM_PROCESSORS": 1,
            "ML_DEVICE": "cpu", "SAMPLE_REPORTS": 0
        }
    });
    for (path, value) in changes {
        let (section, key) = path.split_once('.').expect("section.KEY");
        settings[section][key] = value.clone();
    }
    serde_json::to_string_pretty(&settings).unwrap()
}

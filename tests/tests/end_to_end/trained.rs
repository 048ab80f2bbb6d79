//! The one trained model that most tests look at.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::json;
use xreport_tests::Run;

use crate::workplace::{self, Workplace};

/// Studies that it is trained on.
pub const STUDIES: usize = 32;
/// Epochs of its training.
pub const EPOCHS: usize = 100;

/// Where it was trained: `data`, `settings.json`, `checkpoint`.
pub struct Trained {
    /// The folder.
    pub place: Workplace,
    /// What the training printed.
    pub run: Run,
}

/// The trained model; trained at the first call. Nobody changes it.
pub fn trained() -> &'static Trained {
    static TRAINED: OnceLock<Trained> = OnceLock::new();
    TRAINED.get_or_init(|| {
        sweep();
        let place = Workplace::beside_the_build();
        place.set_up(STUDIES, &[("training.EPOCHS", json!(EPOCHS)), ("model.DROPOUT", json!(0.0))]);
        let run = place.train("train --data data --settings settings.json --out checkpoint").expect_code(0);
        Trained { place, run }
    })
}

/// Removes what earlier test runs left: a static is never dropped.
fn sweep() {
    const HOUR: Duration = Duration::from_hours(1);
    for entry in fs::read_dir(workplace::BESIDE_THE_BUILD).into_iter().flatten().flatten() {
        let ours = entry.file_name().to_string_lossy().starts_with(workplace::PREFIX);
        let age = entry.metadata().and_then(|metadata| metadata.modified()).ok().and_then(|time| time.elapsed().ok());
        if ours && age.is_some_and(|age| age > HOUR) {
            // Another test run may be at it, too.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

impl Trained {
    /// Its bundle's folder.
    pub fn bundle(&self) -> PathBuf {
        self.place.path("checkpoint/bundle")
    }
}

/// A workplace with a copy of its bundle as `model` and its data set as `data`.
pub fn with_model() -> Workplace {
    let place = Workplace::new();
    let trained = trained();
    copy(&trained.bundle(), &place.path("model"));
    copy(&trained.place.path("data"), &place.path("data"));
    place
}

/// Copies a folder with all that is in it.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

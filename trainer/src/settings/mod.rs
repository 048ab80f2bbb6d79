//! Settings: what a user may turn, read from JSON, checked as a whole, reported all at once.
//!
//! Four sections ([`DatasetSettings`], [`ModelSettings`], [`TrainingSettings`],
//! [`EvaluationSettings`]), each key optional, unknown keys refused. The table in [`keys`] says
//! what each key accepts; `settings/README.md` tells the same to users, and a test compares them.

mod check;
mod draft;
mod hints;
pub mod keys;
mod problem;
mod scan;
mod sections;
#[cfg(test)]
mod tests;
mod values;

use std::io::Read as _;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use xreport_models::image::{DicomRendering, Filter, Preprocessing};

use draft::Draft;
pub use problem::{Origin, Problem, SettingsError};
pub use sections::{DatasetSettings, EvaluationSettings, ModelSettings, TrainingSettings};
pub use values::{BestBy, DeviceRequest, SampleSize, UnknownDevice, VocabularyChoice};

/// Largest settings file that is read, in bytes: hundreds of times what all keys take.
const MAX_BYTES: u64 = 1 << 20;

/// All settings of a run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Which studies, and how they come in.
    pub dataset: DatasetSettings,
    /// The network's shape.
    pub model: ModelSettings,
    /// The training run.
    pub training: TrainingSettings,
    /// What `evaluate` scores.
    pub evaluation: EvaluationSettings,
}

impl Settings {
    /// Reads a settings file; keys that it leaves out take their defaults.
    pub fn load(path: &Path) -> Result<Self, SettingsError> {
        Self::load_with(path, &[])
    }

    /// Reads a settings file, then takes the `section.KEY=value` assignments of `--set` in their
    /// order. Combinations of keys are checked last, so an assignment may complete the file.
    pub fn load_with(path: &Path, assignments: &[String]) -> Result<Self, SettingsError> {
        let text = read_text(path)?;
        let mut draft = Draft::new(&Self::default());
        draft.read(&text, &path.display().to_string())?;
        for assignment in assignments {
            draft.set(assignment);
        }
        draft.finish()
    }

    /// Reads settings from `text`; `name` stands for it in messages.
    pub fn from_str(text: &str, name: &str) -> Result<Self, SettingsError> {
        let mut draft = Draft::new(&Self::default());
        draft.read(text, name)?;
        draft.finish()
    }

    /// Changes one key: `training.EPOCHS=3`. The value is read as JSON, else taken as a string.
    /// On an error nothing is changed.
    pub fn apply_override(&mut self, assignment: &str) -> Result<(), SettingsError> {
        self.apply_overrides(&[assignment])
    }

    /// Changes several keys; only their outcome has to fit together. On an error nothing is
    /// changed.
    pub fn apply_overrides<S: AsRef<str>>(&mut self, assignments: &[S]) -> Result<(), SettingsError> {
        let mut draft = Draft::new(self);
        for assignment in assignments {
            draft.set(assignment.as_ref());
        }
        *self = draft.finish()?;
        Ok(())
    }

    /// How image files become the network's input: IMG_SHAPE and IMG_FIT.
    pub fn preprocessing(&self) -> Preprocessing {
        let [height, width, channels] = self.model.img_shape;
        Preprocessing {
            width: width as u32,
            height: height as u32,
            channels: channels as u8,
            fit: self.dataset.img_fit,
            filter: Filter::Bilinear,
            dicom: Some(DicomRendering::VoiOrPercentile1),
        }
    }

    /// All keys with their values, in the layout of `settings/configurations.json`.
    pub fn to_json(&self) -> String {
        let values = self.to_value();
        let sections = keys::SECTIONS.map(|section| {
            let lines: Vec<_> = keys::KEYS
                .iter()
                .filter(|key| key.section == section)
                .map(|key| {
                    // Lists stay on one line, readable: [224, 224, 1].
                    let value = values[section][key.name].to_string().replace(',', ", ");
                    format!("    \"{}\": {value}", key.name)
                })
                .collect();
            format!("  \"{section}\": {{\n{}\n  }}", lines.join(",\n"))
        });
        format!("{{\n{}\n}}\n", sections.join(",\n"))
    }

    /// Every key whose value differs, as `training.EPOCHS: 10 here, 3 there`.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let (here, there) = (self.to_value(), other.to_value());
        keys::KEYS
            .iter()
            .map(|key| {
                let value = |values: &Value| values[key.section][key.name].clone();
                (key.path(), value(&here), value(&there))
            })
            .filter(|(_, here, there)| here != there)
            .map(|(path, here, there)| format!("{path}: {here} here, {there} there"))
            .collect()
    }

    /// Every key, as `training.EPOCHS`, with its value.
    pub fn entries(&self) -> Vec<(String, String)> {
        let values = self.to_value();
        keys::KEYS.iter().map(|key| (key.path(), values[key.section][key.name].to_string())).collect()
    }

    fn to_value(&self) -> Value {
        serde_json::to_value(self).expect("settings are plain JSON")
    }
}

fn read_text(path: &Path) -> Result<String, SettingsError> {
    let cannot_read = |source| SettingsError::Read { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(cannot_read)?;
    let mut bytes = Vec::new();
    // One byte more than allowed tells a file of the limit from a larger one, without trusting
    // the size that the system names (a pipe has none).
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(cannot_read)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(SettingsError::TooLarge { path: path.to_owned(), limit: MAX_BYTES });
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.split(|&byte| byte == b'\n').count();
        SettingsError::NotText { path: path.to_owned(), line }
    })
}

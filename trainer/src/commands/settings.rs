//! `--settings` and `--set`.

use std::path::{Path, PathBuf};

use clap::Args;
use xreport_trainer::settings::Settings;

use super::paths;

/// Where the settings come from.
#[derive(Debug, Args)]
pub struct SettingsSource {
    /// Settings file [default: settings/configurations.json where it is there, else the built-in defaults]
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// Changes one setting: section.KEY=value; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    assignments: Vec<String>,
}

impl SettingsSource {
    /// The settings, checked as a whole.
    pub fn read(&self) -> anyhow::Result<Settings> {
        let usual = Path::new(paths::SETTINGS);
        match &self.settings {
            Some(named) => Ok(Settings::load_with(named, &self.assignments)?),
            None if usual.is_file() => Ok(Settings::load_with(usual, &self.assignments)?),
            None => {
                let mut settings = Settings::default();
                settings.apply_overrides(&self.assignments)?;
                Ok(settings)
            }
        }
    }

    /// Whether anything was named.
    pub fn is_named(&self) -> bool {
        self.settings.is_some() || !self.assignments.is_empty()
    }
}

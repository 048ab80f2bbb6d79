//! `xreport-train dataset validate`.

use std::path::PathBuf;

use clap::Args;
use xreport_runtime::arguments::output_path;
use xreport_runtime::console;
use xreport_trainer::validate::findings::Gravity;
use xreport_trainer::validate::{ValidateRequest, validate};

use super::paths;
use super::settings::SettingsSource;

/// Exit code of a validation that found errors in the data: the work was done all the same.
const FAULTY_DATA: u8 = 1;
/// Exit code of usage, settings, data and bundle errors.
const UNUSABLE: u8 = 2;

/// Look at all images and reports of a data set and write a page of what was found.
#[derive(Debug, Args)]
pub struct Validate {
    /// Folder with the data set
    #[arg(long, value_name = "DIR", default_value = paths::DATA)]
    data: PathBuf,
    /// The data set's CSV, where it has another name
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    #[command(flatten)]
    settings: SettingsSource,
    /// Folder for validation.html, validation.json and validation.csv
    #[arg(long, value_name = "DIR", default_value = paths::RESULTS, value_parser = output_path())]
    out: PathBuf,
    /// Print everything that was found as one JSON object
    #[arg(long)]
    json: bool,
}

/// The data set was looked at, and has errors.
#[derive(Debug, thiserror::Error)]
#[error("the data set has errors: {errors}\nhint: `{}` shows them", page.display())]
struct FaultyData {
    errors: String,
    page: PathBuf,
}

impl Validate {
    pub fn run(self) -> anyhow::Result<()> {
        let out = self.out.clone();
        let request =
            ValidateRequest { data: self.data, csv: self.csv, settings: self.settings.read()?, out: self.out };
        let validation = validate(&request)?;
        if self.json {
            console::print(serde_json::to_string(&validation)?)?;
        } else {
            let mut findings: Vec<_> = validation.findings.iter().collect();
            findings.sort_by_key(|finding| finding.gravity);
            let lines = findings.iter().map(|finding| format!("{:<8} {}\n", word(finding.gravity), finding.found));
            console::print_bytes(lines.collect::<String>().as_bytes())?;
        }
        let page = out.join("validation.html");
        console::info(format_args!("page -> {}", page.display()));
        let errors: Vec<&str> = validation
            .findings
            .iter()
            .filter(|finding| finding.gravity == Gravity::Error)
            .map(|finding| finding.found.as_str())
            .collect();
        if errors.is_empty() { Ok(()) } else { Err(FaultyData { errors: errors.join(" "), page }.into()) }
    }
}

fn word(gravity: Gravity) -> &'static str {
    match gravity {
        Gravity::Error => "error",
        Gravity::Warning => "warning",
        Gravity::Note => "note",
        Gravity::Fine => "in order",
    }
}

/// The exit code of a command that ended with `error`.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    if error.is::<FaultyData>() { FAULTY_DATA } else { UNUSABLE }
}

//! The reading room's API beside its own description: schemathesis asks what the description allows and what it does not,
//! and compares the answers with it.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::batch;
use super::figures::Figures;
use super::programs::{self, Programs};
use super::serve::client::Room;
use super::words::Words;
use crate::workspace::Workspace;

/// What an answer must meet: no fault of the server's, a status, kind, headers and body that are described, a refusal of
/// what the description does not allow and of methods that it does not name.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
                      response_schema_conformance,negative_data_rejection,unsupported_method,allow_header_conformance";

/// A run of schemathesis.
struct Pass {
    name: &'static str,
    /// Words that no other pass has.
    arguments: &'static [&'static str],
    /// Whether it asks for a study that is there; else ids are made up or taken from answers.
    known: bool,
}

/// Removal would end the first pass early, so the second alone removes.
const PASSES: [Pass; 2] = [
    Pass {
        name: "a drafted study",
        arguments: &["--exclude-method", "DELETE", "--phases", "examples,coverage,fuzzing"],
        known: true,
    },
    Pass { name: "any study", arguments: &[], known: false },
];

struct Trial {
    python: String,
    folder: PathBuf,
    room: Room,
    examples: usize,
    seed: u64,
}

/// The proof: `--python PATH [--examples N] [--seed S] [--bundle DIR]`.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<bool> {
    let words = Words::parse("serve-api", arguments, &["--python", "--examples", "--seed", "--bundle"], &[])?;
    let python = words.python()?.context(
        "a Python with schemathesis is wanted\nhint: pip install schemathesis, and name its interpreter with --python",
    )?;
    let folder = programs::folder(workspace, "serve-api")?;
    batch::images(&folder.join("images"), 1)?;
    let image = fs::read(batch::image_path(&folder.join("images"), 0))?;
    let mut command = Programs::built(workspace)?.command(
        "xreport",
        &folder,
        "serve --port 0 --device cpu --threads 1 --records records",
    )?;
    command.arg("--model").arg(batch::bundle(workspace, &words)?);
    let room = Room::start(command)?;
    let study = room.draft(&image)?;
    let (examples, seed) = (words.number("--examples", 20usize)?, words.number("--seed", 1u64)?);
    let trial = Trial { python, folder, room, examples, seed };
    let mut figures = Figures::default();
    for pass in &PASSES {
        trial.run(pass, study["id"].as_str().context("a study has an id")?, &mut figures)?;
    }
    let (ready, _) = trial.room.ask("GET", "/health/ready", None)?;
    figures.target("the server drafts on: its status", ready.to_string(), "200", ready == 200);
    Ok(figures.conclude())
}

impl Trial {
    fn run(&self, pass: &Pass, study: &str, figures: &mut Figures) -> Result<()> {
        let file = |kind: &str| self.folder.join(format!("{}.{kind}", pass.name.replace(' ', "-")));
        let (settings, report, log) = (file("toml"), file("json"), file("log"));
        fs::write(
            &settings,
            if pass.known { format!("[parameters]\n\"path.id\" = \"{study}\"\n") } else { String::new() },
        )?;
        let output = fs::File::create(&log)?;
        let mut command = Command::new(&self.python);
        command.args(["-m", "schemathesis.cli", "--config-file"]).arg(&settings).arg("run");
        command.arg(format!("http://{}/api/openapi.json", self.room.address()));
        command.args([
            "--no-color",
            "--continue-on-failure",
            "--request-timeout",
            "20",
            "--generation-database",
            "none",
        ]);
        command.args([
            "--checks",
            CHECKS,
            "--seed",
            &self.seed.to_string(),
            "--max-examples",
            &self.examples.to_string(),
        ]);
        command.args(["--report", "json", "--report-json-path"]).arg(&report).args(pass.arguments);
        command.current_dir(&self.folder).stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let started = Instant::now();
        let status = command.status().with_context(|| format!("`{}` cannot be started", self.python))?;
        let seconds = started.elapsed().as_secs();
        let told = fs::read_to_string(&report).ok().and_then(|text| serde_json::from_str::<Value>(&text).ok());
        let told =
            told.with_context(|| format!("schemathesis ended ({status}) without a report: see `{}`", log.display()))?;
        ensure!(told["complete"] == true, "schemathesis did not come to its end ({status}): see `{}`", log.display());
        count(pass.name, &told, seconds, figures);
        if !status.success() {
            println!("   each failure with a request that repeats it: `{}`", log.display());
        }
        Ok(())
    }
}

fn count(pass: &str, told: &Value, seconds: u64, figures: &mut Figures) {
    let number = |part: &str, key: &str| told[part][key].as_u64().unwrap_or(0);
    let (tested, selected) = (number("operations", "tested"), number("operations", "selected"));
    figures.target(
        &format!("{pass}: operations tested, of"),
        format!("{tested}, {selected}"),
        "all",
        tested > 0 && tested == selected,
    );
    figures.inform(&format!("{pass}: cases; seconds"), format!("{}; {seconds}", number("test_cases", "generated")));
    let failures = number("test_cases", "unique_failures");
    figures.target(&format!("{pass}: failures"), failures.to_string(), "0", failures == 0);
    let errors = told["errors"].as_array().map_or(0, Vec::len);
    figures.target(&format!("{pass}: errors of schemathesis"), errors.to_string(), "0", errors == 0);
    for failure in told["failures"].as_array().into_iter().flatten() {
        println!("   {pass}: {} ({}): {}", failure["title"], failure["count"], failure["operations"]);
    }
    for error in told["errors"].as_array().into_iter().flatten() {
        println!("   {pass}: {}", error["title"]);
    }
}

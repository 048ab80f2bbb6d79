//! `xreport`: drafts radiology reports on reading-room PCs and batch servers.

mod commands;

use std::process::ExitCode;

use clap::Parser;

use commands::{Command, exit};
use xreport_runtime::console;
use xreport_runtime::failure::message;

/// Drafts radiology reports from chest X-rays. Drafts are not for diagnostic use.
#[derive(Debug, Parser)]
#[command(name = "xreport", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[allow(unsafe_code, reason = "an environment variable that ONNX Runtime reads is set while there is one thread")]
fn main() -> ExitCode {
    // SAFETY: nothing has run yet that could have started a thread.
    unsafe { xreport_runtime::onnxruntime::forbid_telemetry() };
    let arguments: Arguments = match console::arguments() {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    arguments.command.run().unwrap_or_else(|error| {
        console::error(message(error.as_ref()));
        ExitCode::from(exit::UNUSABLE)
    })
}

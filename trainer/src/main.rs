//! `xreport-train`: trains, exports and evaluates report generators on a workstation.

mod commands;

use std::process::ExitCode;

use clap::Parser;

use commands::Command;
use xreport_runtime::console;
use xreport_runtime::failure::message;

/// Trains models that draft radiology reports, and exports them for `xreport`.
#[derive(Debug, Parser)]
#[command(name = "xreport-train", version, max_term_width = 100)]
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
    match arguments.command.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            console::error(message(error.as_ref()));
            ExitCode::from(commands::exit_code(&error))
        }
    }
}

//! The commands: what was typed, resolved and checked, then one call into the library.

mod ahead;
mod bench;
mod doctor;
mod drafting;
mod generate;
mod info;
mod merge;
mod model_path;
mod rows_to_stdout;
mod search;
mod serve;
mod stop;
mod verify;
mod watch;

use std::process::ExitCode;

use clap::Subcommand;

/// Exit codes; 0 is all done.
pub mod exit {
    /// Some inputs failed, the rest is done.
    pub const SOME_FAILED: u8 = 1;
    /// Usage, settings or bundle error.
    pub const UNUSABLE: u8 = 2;
    /// Stopped by Ctrl-C or SIGTERM before the end; the same command goes on from there.
    pub const STOPPED: u8 = 3;
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Draft reports for images, folders or CSV lists of images
    Generate(generate::Generate),
    /// Serve a local page on which drafts become signed reports
    Serve(Box<serve::Serve>),
    /// Join the results of a job's shards
    Merge(merge::Merge),
    /// Say what a bundle is: network, vocabulary, where it comes from
    Info(info::Info),
    /// Check every file of a bundle against its manifest
    Verify(verify::Verify),
    /// Time a bundle's encoder and decoder on this machine
    Bench(bench::Bench),
    /// Check this installation and name what is missing
    Doctor(doctor::Doctor),
}

impl Command {
    /// Runs it.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Generate(command) => command.run(),
            Self::Serve(command) => command.run(),
            Self::Merge(command) => command.run(),
            Self::Info(command) => command.run(),
            Self::Verify(command) => command.run(),
            Self::Bench(command) => command.run(),
            Self::Doctor(command) => command.run(),
        }
    }
}

//! `xreport merge`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use xreport_runtime::arguments::output_path;
use xreport_runtime::batch::{Merged, Places, merge};
use xreport_runtime::console;
use xreport_runtime::output::Format;

use super::exit;

/// Join the results of a job's shards.
#[derive(Debug, Args)]
pub struct Merge {
    /// What the shards were given as --out: becomes the joined output
    #[arg(value_parser = output_path())]
    out: PathBuf,
    /// txt, csv or jsonl, as the shards were given it [default: by the extension of OUT, else txt]
    #[arg(long)]
    format: Option<Format>,
}

impl Merge {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let format = self.format.unwrap_or_else(|| Format::of_path(&self.out));
        let places = Places { out: self.out, format, shard: None };
        let Merged { shards, done, failed } = merge(&places)?;
        let out = places.out.display();
        let inputs = done + failed;
        console::info(format_args!(
            "{shards} shards joined: {inputs} inputs, {done} reports drafted, {failed} failed -> {out}"
        ));
        console::info(format_args!("`{}` is no longer needed", places.shards().display()));
        Ok(if failed > 0 { ExitCode::from(exit::SOME_FAILED) } else { ExitCode::SUCCESS })
    }
}

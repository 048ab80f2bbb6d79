//! `xreport bench`: time of encoder and decoder, without image files and without the end token.

mod bandwidth;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::ensure;
use clap::Args;
use serde::Serialize;
use xreport_models::bundle::{Bundle, VariantRequest};
use xreport_runtime::arguments;
use xreport_runtime::console::{self, StdoutError};
use xreport_runtime::decoding::{
    Admitted, Beam, DecodingOptions, Hypothesis, StepError, StepModel, Studies, run as decode,
};
use xreport_runtime::device::{DeviceRequest, PrecisionRequest};
use xreport_runtime::model::{Decoder, Model, ModelError, SessionOptions, StepsAhead};

use super::ahead::AheadArguments;

/// A token that no model says: a search for it as the end goes on to the longest length.
const NEVER: u32 = u32::MAX;
/// Tokens of a report where no number is given.
const TOKENS: usize = 100;

/// Time a bundle's encoder and decoder on this machine.
#[derive(Debug, Args)]
pub struct Bench {
    /// Bundle folder or checkpoint folder
    bundle: PathBuf,
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    device: DeviceRequest,
    /// Number formats: auto, fp32, int8, fp16, separated by commas
    #[arg(long, default_value = "auto", value_name = "LIST", value_delimiter = ',')]
    precision: Vec<PrecisionRequest>,
    /// Images drafted together, several numbers separated by commas
    #[arg(long, default_value = "1", value_name = "LIST", value_delimiter = ',')]
    batch_size: Vec<usize>,
    /// Beams, several numbers separated by commas; more than one: beam search for one image at a time
    #[arg(long, default_value = "1", value_name = "LIST", value_delimiter = ',')]
    beams: Vec<usize>,
    /// Tokens per report, whatever the model says [default: 100, or as many as the bundle has room for]
    #[arg(long, value_name = "N")]
    tokens: Option<usize>,
    #[command(flatten)]
    ahead: AheadArguments,
    /// Timed repetitions, in which all cases take turns; the medians are printed
    #[arg(long, default_value_t = 5, value_name = "N")]
    repeats: usize,
    /// Threads; 0 is one per core
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = arguments::threads)]
    threads: usize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// One thing to time.
struct Case {
    model: Model,
    rows: usize,
    beams: usize,
    ahead: Option<StepsAhead>,
    weight_bytes: u64,
    encode: Vec<f64>,
    decode: Vec<f64>,
}

/// What was found of it.
#[derive(Debug, Serialize)]
struct Timing {
    variant: String,
    device: String,
    threads: usize,
    batch_size: usize,
    beams: usize,
    tokens: usize,
    /// Steps between two looks at what was said, and whether they were captured as CUDA graphs.
    check_every: usize,
    cuda_graph: bool,
    /// Median milliseconds to encode the batch.
    encode_ms: f64,
    /// Median milliseconds to decode the batch.
    decode_ms: f64,
    /// The same for a step.
    decode_ms_per_step: f64,
    /// The same for a report, encoder included.
    ms_per_report: f64,
    /// Bytes of weights that a step reads.
    weight_bytes_per_step: u64,
    /// Gigabytes of weights that it reads in a second.
    weight_gb_per_second: f64,
}

impl Bench {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let positive = |values: &[usize]| values.iter().all(|&value| value > 0);
        ensure!(
            positive(&self.batch_size) && positive(&self.beams) && self.repeats > 0,
            "--batch-size, --beams and --repeats must be at least 1"
        );
        self.ahead.suit(self.beams == [1])?;
        let bundle = Bundle::load(&self.bundle)?;
        let positions = bundle.manifest().architecture.max_positions;
        let tokens = self.tokens.unwrap_or(TOKENS.min(positions));
        ensure!(
            (1..=positions).contains(&tokens),
            "--tokens: 1 to {positions} expected for this bundle, found {tokens}"
        );
        let start = i64::from(bundle.manifest().vocabulary.start());
        let mut cases = self.cases(&bundle)?;
        drop(bundle);
        for case in &mut cases {
            case.once(start, tokens.min(8))?;
        }
        for _ in 0..self.repeats {
            for case in &mut cases {
                let (encoded, decoded) = case.once(start, tokens)?;
                case.encode.push(encoded);
                case.decode.push(decoded);
            }
        }
        let timings: Vec<Timing> = cases.into_iter().map(|case| self.timing(case, tokens)).collect();
        self.print(&timings, tokens)?;
        Ok(ExitCode::SUCCESS)
    }

    /// Every precision with every batch size, and with every number of beams.
    fn cases(&self, bundle: &Bundle) -> anyhow::Result<Vec<Case>> {
        let mut cases: Vec<Case> = Vec::new();
        for precision in &self.precision {
            let greedy = self.batch_size.iter().filter(|_| self.beams.contains(&1)).map(|&rows| (rows, 1));
            let beams = self.beams.iter().filter(|&&beams| beams > 1).map(|&beams| (1, beams));
            for (rows, beams) in greedy.chain(beams) {
                let variant = VariantRequest { precision: precision.0, batch_size: rows * beams };
                let ahead = self.ahead.steps(self.device)?;
                let session = SessionOptions { device: self.device, threads: self.threads, variant, ahead };
                let mut model = Model::new(bundle, &session)?;
                let spared = if beams == 1 { model.parts().1.spared_bytes() } else { 0 };
                let weight_bytes = bundle.step_weight_bytes(model.variant()).saturating_sub(spared);
                cases.push(Case { model, rows, beams, ahead, weight_bytes, encode: Vec::new(), decode: Vec::new() });
            }
        }
        Ok(cases)
    }

    fn timing(&self, case: Case, tokens: usize) -> Timing {
        let (encode_ms, decode_ms) = (median(case.encode), median(case.decode));
        let decode_ms_per_step = decode_ms / tokens as f64;
        Timing {
            variant: case.model.variant().to_owned(),
            device: case.model.device().to_string(),
            threads: self.threads,
            batch_size: case.rows,
            beams: case.beams,
            tokens,
            check_every: case.ahead.map_or(1, |ahead| ahead.steps.get()),
            cuda_graph: case.ahead.is_some_and(|ahead| ahead.cuda_graph),
            encode_ms,
            decode_ms,
            decode_ms_per_step,
            ms_per_report: (encode_ms + decode_ms) / case.rows as f64,
            weight_bytes_per_step: case.weight_bytes,
            weight_gb_per_second: case.weight_bytes as f64 / decode_ms_per_step / 1e6,
        }
    }

    fn print(&self, timings: &[Timing], tokens: usize) -> Result<(), StdoutError> {
        let bandwidth = bandwidth::gigabytes_per_second();
        if self.json {
            return console::print(serde_json::json!({"cases": timings, "memory_gb_per_second": bandwidth}));
        }
        console::print_with(|out| self.print_table(out, timings, tokens, bandwidth))
    }

    fn print_table(&self, out: &mut dyn Write, timings: &[Timing], tokens: usize, bandwidth: f64) -> io::Result<()> {
        writeln!(out, "{tokens} tokens a report, medians of {} turns", self.repeats)?;
        writeln!(
            out,
            "{:<16} {:>5} {:>5} {:>13} {:>13} {:>13} {:>12}",
            "variant", "batch", "beams", "encode ms", "ms per step", "ms per report", "weights GB/s"
        )?;
        for case in timings {
            writeln!(
                out,
                "{:<16} {:>5} {:>5} {:>13.2} {:>13.3} {:>13.1} {:>12.1}",
                case.variant,
                case.batch_size,
                case.beams,
                case.encode_ms,
                case.decode_ms_per_step,
                case.ms_per_report,
                case.weight_gb_per_second
            )?;
        }
        writeln!(
            out,
            "memory gives {bandwidth:.1} GB/s to one thread; smaller weights live partly in the processor's cache"
        )
    }
}

impl Case {
    /// Milliseconds of one encode and one decode.
    fn once(&mut self, start: i64, tokens: usize) -> Result<(f64, f64), ModelError> {
        let arch = self.model.architecture();
        let pixels = (0..self.rows * arch.image_height * arch.image_width * arch.image_channels)
            .map(|index| (index * 31 % 251) as u8)
            .collect();
        let started = Instant::now();
        let (encoder, decoder) = self.model.parts();
        let encoded = encoder.encode(self.rows, pixels)?;
        let encode = started.elapsed().as_secs_f64() * 1e3;
        let started = Instant::now();
        decoder.attach(self.rows * self.beams)?;
        for row in 0..self.rows * self.beams {
            decoder.fill(row, &encoded, row / self.beams)?;
            decoder.start_row(row, start);
        }
        if self.beams > 1 {
            let options = DecodingOptions { beams: self.beams, ..DecodingOptions::default() };
            decode(decoder, self.beams, &mut One { search: Some(Beam::new(&options, NEVER, tokens)) })?;
        } else {
            decoder.want_scores(false);
            for _ in 0..tokens {
                decoder.step()?;
            }
        }
        Ok((encode, started.elapsed().as_secs_f64() * 1e3))
    }
}

/// A single study, whose image is in its rows already.
struct One {
    search: Option<Beam>,
}

impl Studies<Decoder> for One {
    type Error = StepError;

    fn admit(&mut self, _decoder: &mut Decoder, _first_row: usize) -> Result<Option<Admitted>, StepError> {
        Ok(self.search.take().map(|search| Admitted { study: 0, search: Box::new(search) }))
    }

    fn done(&mut self, _study: usize, _found: Vec<Hypothesis>, _seconds: f64) -> Result<(), StepError> {
        Ok(())
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

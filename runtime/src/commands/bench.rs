//! `xreport bench`: time of encoder and decoder, without image files and without the end token.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::ensure;
use clap::Args;
use xreport_models::bundle::{Bundle, VariantRequest};
use xreport_runtime::decoding::StepModel;
use xreport_runtime::device::{DeviceRequest, PrecisionRequest};
use xreport_runtime::model::{Model, ModelError, SessionOptions};

/// Time a bundle's encoder and decoder on this machine.
#[derive(Debug, Args)]
pub struct Bench {
    /// Bundle folder or checkpoint folder
    bundle: PathBuf,
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    device: DeviceRequest,
    /// Number format: auto, fp32, int8 or fp16
    #[arg(long, default_value = "auto")]
    precision: PrecisionRequest,
    /// Images drafted together
    #[arg(long, default_value_t = 1, value_name = "N")]
    batch_size: usize,
    /// Tokens per report, whatever the model says
    #[arg(long, default_value_t = 100, value_name = "N")]
    tokens: usize,
    /// Timed repetitions; the median is printed
    #[arg(long, default_value_t = 5, value_name = "N")]
    repeats: usize,
    /// Threads; 0 is one per core
    #[arg(long, default_value_t = 0, value_name = "N")]
    threads: usize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Bench {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        ensure!(self.batch_size > 0 && self.repeats > 0, "--batch-size and --repeats must be at least 1");
        let bundle = Bundle::load(&self.bundle)?;
        let positions = bundle.manifest().architecture.max_positions;
        ensure!(
            self.tokens <= positions,
            "--tokens: at most {positions} expected for this bundle, found {}",
            self.tokens
        );
        let variant = VariantRequest { precision: self.precision.0, batch_size: self.batch_size };
        let session = SessionOptions { device: self.device, threads: self.threads, variant };
        let mut model = Model::new(&bundle, &session)?;
        let start = i64::from(bundle.manifest().vocabulary.start());
        drop(bundle);
        self.once(&mut model, start)?;
        let (mut encode, mut decode) = (Vec::new(), Vec::new());
        for _ in 0..self.repeats {
            let (encoded, decoded) = self.once(&mut model, start)?;
            encode.push(encoded);
            decode.push(decoded);
        }
        self.print(&model, median(encode), median(decode));
        Ok(ExitCode::SUCCESS)
    }

    /// Milliseconds of one encode and one decode.
    fn once(&self, model: &mut Model, start: i64) -> Result<(f64, f64), ModelError> {
        let arch = model.architecture();
        let pixels = (0..self.batch_size * arch.image_height * arch.image_width * arch.image_channels)
            .map(|index| (index * 31 % 251) as u8)
            .collect();
        let started = Instant::now();
        let decoder = model.encode(self.batch_size, pixels)?;
        let encoded = started.elapsed().as_secs_f64() * 1e3;
        let started = Instant::now();
        decoder.begin(start)?;
        for _ in 0..self.tokens {
            decoder.step()?;
        }
        Ok((encoded, started.elapsed().as_secs_f64() * 1e3))
    }

    fn print(&self, model: &Model, encode: f64, decode: f64) {
        let (rows, tokens) = (self.batch_size as f64, self.tokens as f64);
        if self.json {
            let report = serde_json::json!({
                "variant": model.variant(), "device": model.device().to_string(), "threads": self.threads,
                "batch_size": self.batch_size, "tokens": self.tokens,
                "encode_ms": encode, "decode_ms": decode, "decode_ms_per_step": decode / tokens,
            });
            println!("{report}");
        } else {
            println!("{} on {}, batch {}, {} tokens", model.variant(), model.device(), self.batch_size, self.tokens);
            println!("encode  {:8.2} ms per image", encode / rows);
            println!("decode  {:8.2} ms per step, {:.1} ms per batch", decode / tokens, decode);
            println!("        {:8.2} reports/s", rows * 1e3 / (encode + decode));
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

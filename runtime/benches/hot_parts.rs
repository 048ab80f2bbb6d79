//! What takes the time of a draft, part by part, on the demo bundle and one thread: `cargo bench -p xreport-runtime`.
//!
//! `xreport bench` times encoder and decoder of any bundle; here stand also the parts around them. ONNX Runtime is the one
//! of `target/native` (`cargo xtask setup`). A word after `--` picks parts by their names.

use std::hint::black_box;
use std::path::Path;

use anyhow::{Context, Result};
use criterion::{BatchSize, Criterion};
use xreport_models::bundle::{Bundle, Precision, VariantRequest};
use xreport_runtime::decoding::{DecodingOptions, Filters, StepModel};
use xreport_runtime::device::DeviceRequest;
use xreport_runtime::drafting::Words;
use xreport_runtime::model::{Model, SessionOptions};
use xreport_runtime::onnxruntime;

/// Rows of a batch, and one alone.
const BATCHES: [usize; 2] = [1, 8];
/// Edge of the image that is preprocessed, in pixels.
const EDGE: usize = 1024;
/// Entries of the whole vocabulary, over which the filters of a search go.
const SCORES: usize = 30_522;
/// Tokens of a report of middling length.
const SAID: u32 = 60;

#[allow(unsafe_code, reason = "the variable must be set before ONNX Runtime is loaded")]
fn main() -> Result<()> {
    // SAFETY: the first thing that the program does; there is no other thread.
    unsafe { onnxruntime::forbid_telemetry() };
    let mut criterion = Criterion::default().configure_from_args();
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/demo");
    let bundle = Bundle::load(&demo).context("the demo bundle")?;
    preprocessing(&mut criterion, &bundle)?;
    detokenisation(&mut criterion, &bundle)?;
    filters(&mut criterion)?;
    for rows in BATCHES {
        network(&mut criterion, &bundle, rows)?;
    }
    criterion.final_summary();
    Ok(())
}

/// A grey picture in a plain format, so that resizing and not a codec is timed.
fn preprocessing(criterion: &mut Criterion, bundle: &Bundle) -> Result<()> {
    let pixels = (0..EDGE * EDGE).map(|place| ((place % EDGE) * (place / EDGE) / 61 % 251) as u8);
    let picture = [format!("P5\n{EDGE} {EDGE}\n255\n").into_bytes(), pixels.collect()].concat();
    let (preprocessing, name) = (&bundle.manifest().preprocessing, Path::new("picture.pgm"));
    preprocessing.from_bytes(&picture, name).context("the picture is preprocessed")?;
    criterion.bench_function("preprocessing, 1024 x 1024 grey", |bencher| {
        bencher.iter(|| preprocessing.from_bytes(black_box(&picture), name));
    });
    Ok(())
}

fn detokenisation(criterion: &mut Criterion, bundle: &Bundle) -> Result<()> {
    let (tokenizer, manifest) = (bundle.tokenizer()?, bundle.manifest());
    let report = "Findings: The heart is enlarged. The lungs are clear. There is a small effusion on the left. \
                  Impression: Cardiomegaly.";
    let ids = tokenizer.encode(report)?;
    let tokens: Vec<u32> =
        manifest.vocabulary.spoken(&ids).iter().map(|&id| manifest.vocabulary.to_model(id)).collect();
    let words = Words { tokenizer: &tokenizer, manifest };
    let name = format!("detokenisation, {} tokens", tokens.len());
    criterion.bench_function(&name, |bencher| bencher.iter(|| words.text(black_box(&tokens))));
    Ok(())
}

/// All of them at once, over the scores of every token.
fn filters(criterion: &mut Criterion) -> Result<()> {
    let options = DecodingOptions {
        repetition_penalty: 1.2,
        no_repeat_ngram: 3,
        min_tokens: SAID as usize + 1,
        ..DecodingOptions::default()
    };
    let filters = Filters::new(&options, 3).context("options that ask for filters")?;
    let said: Vec<u32> = (0..SAID).map(|place| 5 + place * 7 % 40).collect();
    let scores: Vec<f32> = (0..SCORES).map(|token| (token * 31 % 997) as f32 / 100.0 - 5.0).collect();
    criterion.bench_function("filters, 30,522 scores after 60 tokens", |bencher| {
        let apply = |scores: &mut Vec<f32>| filters.apply(black_box(&said), scores);
        bencher.iter_batched_ref(|| scores.clone(), apply, BatchSize::SmallInput);
    });
    Ok(())
}

/// One encode and one decoder step in float32; the steps go through the cache from its beginning to its end, again and
/// again: a mean over all positions.
fn network(criterion: &mut Criterion, bundle: &Bundle, rows: usize) -> Result<()> {
    let variant = VariantRequest { precision: Some(Precision::Fp32), batch_size: rows };
    let session = SessionOptions { device: DeviceRequest::Cpu, threads: 1, variant, ahead: None };
    let mut model = Model::new(bundle, &session)?;
    let arch = model.architecture().clone();
    let bytes = rows * arch.image_height * arch.image_width * arch.image_channels;
    let pixels: Vec<u8> = (0..bytes).map(|place| (place * 31 % 251) as u8).collect();
    let images = if rows == 1 { "1 image".to_owned() } else { format!("{rows} images") };
    let (encoder, _) = model.parts();
    criterion.bench_function(&format!("encode, {images}"), |bencher| {
        bencher.iter_batched(|| pixels.clone(), |pixels| encoder.encode(rows, pixels), BatchSize::LargeInput);
    });
    let start = i64::from(bundle.manifest().vocabulary.start());
    let decoder = model.encode(rows, pixels)?;
    decoder.begin(start)?;
    // As in a greedy draft.
    decoder.want_scores(false);
    let mut steps = 0;
    criterion.bench_function(&format!("decoder step, {images}"), |bencher| {
        bencher.iter(|| {
            if steps == arch.max_positions {
                (0..rows).for_each(|row| decoder.start_row(row, start));
                steps = 0;
            }
            steps += 1;
            decoder.step()
        });
    });
    Ok(())
}

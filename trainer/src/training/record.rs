//! A record of training steps, so that another program can repeat them: `cargo xtask prove loss-parity`.
//!
//! A `.safetensors` file with the batches as the network is fed them (`N.images` `u8 [B, H, W, C]`, `N.inputs`
//! `i64 [B, T]`, `N.places` and `N.targets` `i64 [tokens]`, see [`Batch`]), and in its metadata under `xreport.record`
//! what each step came to. The weights at the start are those of the checkpoint.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use anyhow::Context;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::json;
use tch::{Device, Kind, Tensor};
use xreport_models::atomic::write_file;

use super::batches::{Ordering, Samples};
use super::bench::random_samples;
use super::checkpoint::{self, LAST};
use super::device;
use super::precision::compute_kind;
use super::run::{Data, Run};
use super::saver::Saver;
use super::schedule::Schedule;
use super::step::Accumulated;
use crate::network::{Batch, Network, NetworkConfig};
use crate::ranks::Ranks;

/// Key of what the steps came to.
const KEY: &str = "xreport.record";

/// Makes `steps` training steps from the checkpoint in `folder` on random images and reports, and writes `out`.
pub fn record(folder: &Path, steps: usize, out: &Path) -> anyhow::Result<()> {
    let stored = checkpoint::read(&folder.join(LAST))?;
    let state = stored.state.clone();
    tch::set_num_threads(state.settings.training.threads() as i32);
    let device = device::resolve(state.settings.training.ml_device)?;
    let compute = compute_kind(state.settings.training.mixed_precision, device);
    let network = Network::new(NetworkConfig::new(&state.settings, state.vocabulary.len()));
    let tensors = stored.tensors(&network, device)?;
    let training = random_samples(&state.settings, state.vocabulary.len());
    let validation = Samples { samples: Vec::new(), images: training.images.clone() };
    let data = Data { training, validation };
    let plans = data.training.epoch(0, &Ordering::of(&state.settings, 1));
    let (ranks, saver, saved, folder) = (Ranks::alone(), Saver::default(), Instant::now(), folder.to_path_buf());
    let mut run = Run { state, network, tensors, device, compute, ranks, folder, captured: None, saver, saved };
    let schedule = Schedule::new(run.training(), steps as u64);
    let (mut tensors, mut told, never) = (Vec::new(), Vec::new(), AtomicBool::new(false));
    for step in 0..steps {
        let plan = &plans[step % plans.len()];
        let batch = data.training.assemble(plan, None)?;
        tensors.extend(named(step, &batch));
        let mut accumulated = Accumulated::default();
        run.learn(&batch.to_device(device), plan, &data, &mut accumulated, &never)?;
        let rate = schedule.at(run.state.step + 1);
        let record = run.update(accumulated, rate)?.context("a step without a batch")?;
        told.push(json!({"loss": record.loss, "learning_rate": rate, "gradient_norm": record.gradient_norm}));
    }
    let decayed: Vec<&str> = run
        .network
        .layout
        .specs()
        .iter()
        .filter(|spec| spec.offset < run.network.layout.decayed())
        .map(|spec| spec.name.as_str())
        .collect();
    let report = json!({"steps": told, "settings": run.state.settings, "vocabulary": run.state.vocabulary.len(), "decayed": decayed});
    let views = tensors.iter().map(|(name, kind, shape, bytes)| {
        (name.as_str(), TensorView::new(*kind, shape.clone(), bytes).expect("shape and bytes come from one tensor"))
    });
    let metadata = HashMap::from([(KEY.to_owned(), report.to_string())]);
    let file = safetensors::serialize(views, Some(metadata)).context("the record cannot be serialised")?;
    Ok(write_file(out, &file)?)
}

type Named = (String, Dtype, Vec<usize>, Vec<u8>);

/// The tensors of a step's batch.
fn named(step: usize, batch: &Batch) -> [Named; 4] {
    let each =
        [("images", &batch.images), ("inputs", &batch.inputs), ("places", &batch.places), ("targets", &batch.targets)];
    each.map(|(name, tensor)| {
        let (dtype, bytes) = bytes(tensor);
        (format!("{step}.{name}"), dtype, tensor.size().iter().map(|&size| size as usize).collect(), bytes)
    })
}

fn bytes(tensor: &Tensor) -> (Dtype, Vec<u8>) {
    let flat = tensor.to_device(Device::Cpu).contiguous().view(-1);
    if tensor.kind() == Kind::Uint8 {
        let mut values = vec![0u8; flat.numel()];
        flat.copy_data(&mut values, flat.numel());
        return (Dtype::U8, values);
    }
    let mut values = vec![0i64; flat.numel()];
    flat.copy_data(&mut values, flat.numel());
    (Dtype::I64, values.iter().flat_map(|value| value.to_le_bytes()).collect())
}

use std::collections::HashSet;

use super::*;
use crate::network::{NetworkConfig, tensor_values};
use crate::settings::Settings;
use crate::training::average::Average;
use crate::training::batches::Ordering;
use crate::training::bench::random_samples;
use crate::training::optimizer::{AdamW, clip};

const SETTINGS: &str = r#"{
    "dataset": {"MAX_REPORT_SIZE": 40},
    "model": {
        "IMG_SHAPE": [16, 16, 1], "CONV_CHANNELS": [4, 8], "EMBEDDING_DIMS": 16, "NUM_HEADS": 2, "NUM_ENCODERS": 1,
        "NUM_DECODERS": 1, "DROPOUT": 0.0
    },
    "training": {"BATCH_SIZE": 4, "LEARNING_RATE": 0.01, "LABEL_SMOOTHING": 0.1, "GRADIENT_CLIP": 0.5}
}"#;
const VOCABULARY: usize = 60;

fn tensors(network: &Network, settings: &Settings) -> Tensors {
    let flat = network.layout.initialise(5, Device::Cpu).set_requires_grad(true);
    let statistics = network.statistics(Device::Cpu);
    let optimizer = AdamW::new(&flat, settings.training.weight_decay, network.layout.decayed());
    let average = Some(Average::new(&flat, &statistics, 0.9));
    Tensors { flat, statistics, optimizer, average }
}

/// The step as it is made without XLA_STATE.
fn plain(network: &Network, tensors: &mut Tensors, batch: &Batch, computing: Computing, changing: Changing) -> Found {
    let weights = network.layout.views(&tensors.flat.to_kind(computing.kind));
    let loss = network.loss(&weights, &tensors.statistics, batch, Mode::Train, computing.label_smoothing);
    let correct = loss.correct.double_value(&[]);
    let mut gradient = Tensor::run_backward(&[&loss.value], &[&tensors.flat], false, false).remove(0);
    let gradient_norm = clip(&mut gradient, computing.gradient_clip);
    tensors.optimizer.step(&tensors.flat, &gradient, changing.learning_rate, changing.step);
    if let Some(average) = &mut tensors.average {
        average.update(&tensors.flat, &tensors.statistics, changing.step);
    }
    Found { loss: loss.value.double_value(&[]), correct, gradient_norm }
}

#[test]
fn steps_of_fixed_shape_are_the_steps_of_any_shape() {
    let settings = Settings::from_str(SETTINGS, "test").expect("valid");
    let network = Network::new(NetworkConfig::new(&settings, VOCABULARY));
    let samples = random_samples(&settings, VOCABULARY);
    let plans = samples.epoch(0, &Ordering::of(&settings, 1));
    let [mut one, mut other] = [(); 2].map(|()| tensors(&network, &settings));
    let start = tensor_values(&one.flat);
    let mut captured = Captured::uncaptured();
    let training = &settings.training;
    let computing = Computing {
        kind: Kind::Float,
        label_smoothing: training.label_smoothing,
        gradient_clip: training.gradient_clip,
    };
    let mut widths = HashSet::new();
    for (step, plan) in (1..=12).zip(&plans) {
        let batch = samples.assemble(plan, None).expect("no image is lost");
        widths.insert(batch.inputs.size()[1]);
        let changing = Changing { learning_rate: 0.01 / step as f64, step };
        let expected = plain(&network, &mut one, &batch, computing, changing);
        let found = captured.step(&network, &mut other, &batch, computing, changing).expect("computed");
        assert!((found.loss - expected.loss).abs() < 1e-5, "step {step}: {found:?} {expected:?}");
        assert!((found.correct - expected.correct).abs() < 0.5, "step {step}: {found:?} {expected:?}");
        assert!((found.gradient_norm - expected.gradient_norm).abs() < 1e-4 * expected.gradient_norm, "step {step}");
    }
    assert!(widths.len() > 3, "batches of several widths: {widths:?}");
    assert!(captured.shapes.len() < widths.len(), "fewer shapes than widths");
    let farthest = |a: &Tensor, b: &Tensor| (a.detach() - b.detach()).abs().max().double_value(&[]);
    // A key's bias moves all scores of a query alike, which softmax takes away: its gradient is rounding alone.
    for spec in network.layout.specs() {
        let [one, other] = [&one, &other].map(|tensors| tensors.flat.narrow(0, spec.offset as i64, spec.len() as i64));
        let key_bias = spec.name.ends_with("qkv.bias") || spec.name.ends_with("key_value.bias");
        assert!(key_bias || farthest(&one, &other) < 1e-4, "{}: {}", spec.name, farthest(&one, &other));
    }
    assert!(tensor_values(&other.flat).iter().zip(&start).any(|(now, then)| (now - then).abs() > 1e-2), "they moved");
    let averages = [&one, &other].map(|tensors| &tensors.average.as_ref().expect("kept").flat);
    assert!(farthest(averages[0], averages[1]) < 1e-3);
    for (one, other) in one.statistics.tensors().zip(other.statistics.tensors()) {
        assert!(farthest(one, other) < 1e-4);
    }
}

#[test]
fn shapes_hold_their_batches_and_are_few() {
    let settings = Settings::from_str(SETTINGS, "test").expect("valid");
    let samples = random_samples(&settings, VOCABULARY);
    let mut shapes = HashSet::new();
    for plan in samples.epoch(1, &Ordering::of(&settings, 1)) {
        let batch = samples.assemble(&plan, None).expect("no image is lost");
        let shape = Shape::of(&batch, 40);
        assert!(shape.positions >= batch.inputs.size()[1] && shape.positions <= 40, "{shape:?}");
        assert!(shape.targets >= batch.targets.numel() as i64 && shape.targets <= shape.images * shape.positions);
        shapes.insert(shape);
    }
    assert!(shapes.len() <= 8, "{shapes:?}");
}

#[test]
fn the_cpu_is_refused() {
    let told = Captured::new(Device::Cpu).expect_err("nothing to capture").to_string();
    assert!(told.contains("XLA_STATE is true") && told.contains("hint: "), "{told}");
}

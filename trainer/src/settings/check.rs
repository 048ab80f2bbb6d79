//! What no key can tell alone: combinations.

use super::Settings;
use super::sections::{ModelSettings, TrainingSettings};
use super::values::DeviceRequest;

/// Keys that do not go together.
#[derive(Debug)]
pub struct Conflict {
    /// `section.KEY` of all that take part, the one to change first.
    pub keys: &'static [&'static str],
    /// What would have been right.
    pub expected: String,
    /// What was computed from the keys.
    pub found: String,
    /// What to do.
    pub hint: String,
}

/// All conflicts.
pub fn conflicts(settings: &Settings) -> Vec<Conflict> {
    let Settings { model, training, .. } = settings;
    [head_conflict(model), grid_conflict(model), capture_conflict(training)].into_iter().flatten().collect()
}

/// ONNX Runtime's grouped-query attention takes head widths in multiples of 8 only.
fn head_conflict(model: &ModelSettings) -> Option<Conflict> {
    let ModelSettings { embedding_dims, num_heads, head_dims, .. } = *model;
    if head_dims > 0 {
        return (!head_dims.is_multiple_of(8)).then(|| Conflict {
            keys: &["model.HEAD_DIMS"],
            expected: "0, or a multiple of 8".into(),
            found: head_dims.to_string(),
            hint: format!("write {}", head_dims.next_multiple_of(8)),
        });
    }
    let step = num_heads * 8;
    (!embedding_dims.is_multiple_of(step)).then(|| Conflict {
        keys: &["model.EMBEDDING_DIMS", "model.NUM_HEADS", "model.HEAD_DIMS"],
        expected: format!("with HEAD_DIMS 0, each of the {num_heads} heads a whole multiple of 8 wide"),
        found: format!("{embedding_dims} / {num_heads} = {}", embedding_dims as f64 / num_heads as f64),
        hint: format!(
            "set EMBEDDING_DIMS to a multiple of {step}, such as {}, or HEAD_DIMS to the width wanted",
            embedding_dims.next_multiple_of(step)
        ),
    })
}

fn grid_conflict(model: &ModelSettings) -> Option<Conflict> {
    let [height, width, _] = model.img_shape;
    let blocks = model.conv_channels.len();
    model.token_grid().contains(&0).then(|| Conflict {
        keys: &["model.IMG_SHAPE", "model.CONV_CHANNELS"],
        expected: format!(
            "height and width of at least {}, for {blocks} convolution blocks halve them {blocks} times",
            1 << blocks
        ),
        found: format!("{height} x {width} pixels"),
        hint: "enlarge IMG_SHAPE, or take blocks out of CONV_CHANNELS".into(),
    })
}

/// XLA_STATE captures the step of one batch on a CUDA device. Whether `auto` finds one shows when training starts.
fn capture_conflict(training: &TrainingSettings) -> Option<Conflict> {
    let hint = || "set XLA_STATE to false: nothing else changes but the time".to_owned();
    let on_cpu = training.ml_device == DeviceRequest::Cpu;
    let accumulation = training.gradient_accumulation;
    let (keys, expected, found): (&[_], _, _) = if on_cpu {
        let keys = &["training.XLA_STATE", "training.ML_DEVICE"];
        (keys, "false where ML_DEVICE is \"cpu\": a step is captured on a CUDA device alone", "true".to_owned())
    } else {
        let keys = &["training.XLA_STATE", "training.GRADIENT_ACCUMULATION"];
        let found = format!("true with GRADIENT_ACCUMULATION {accumulation}");
        (keys, "GRADIENT_ACCUMULATION 1: a captured step has one batch", found)
    };
    let conflict = Conflict { keys, expected: expected.into(), found, hint: hint() };
    (training.xla_state && (on_cpu || accumulation > 1)).then_some(conflict)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_captured_step_wants_cuda_and_one_batch() {
        let training = |xla_state, ml_device, gradient_accumulation| TrainingSettings {
            gradient_accumulation,
            xla_state,
            ml_device,
            ..TrainingSettings::default()
        };
        for allowed in [DeviceRequest::Auto, DeviceRequest::Cuda(1)] {
            assert!(capture_conflict(&training(true, allowed, 1)).is_none());
            let accumulating = capture_conflict(&training(true, allowed, 2)).unwrap();
            assert!(accumulating.found.contains("GRADIENT_ACCUMULATION 2"), "{accumulating:?}");
        }
        assert!(capture_conflict(&training(true, DeviceRequest::Cpu, 1)).unwrap().expected.contains("cpu"));
        assert!(capture_conflict(&training(false, DeviceRequest::Cpu, 4)).is_none());
    }

    #[test]
    fn heads_divide_the_width_in_multiples_of_eight() {
        let model = |embedding_dims, num_heads, head_dims| ModelSettings {
            embedding_dims,
            num_heads,
            head_dims,
            ..ModelSettings::default()
        };
        assert!(head_conflict(&model(256, 8, 0)).is_none());
        assert!(head_conflict(&model(256, 4, 256)).is_none());
        assert!(head_conflict(&model(100, 7, 16)).is_none());
        let uneven = head_conflict(&model(256, 7, 0)).unwrap();
        assert!(uneven.hint.contains("multiple of 56, such as 280"));
        // 96 / 8 = 12 divides, but is no multiple of 8.
        assert!(head_conflict(&model(96, 8, 0)).is_some());
        assert_eq!(head_conflict(&model(256, 8, 12)).unwrap().hint, "write 16");
    }

    #[test]
    fn pooling_leaves_at_least_one_token() {
        let model = |side, blocks| ModelSettings {
            img_shape: [side, 196, 1],
            conv_channels: vec![8; blocks],
            ..ModelSettings::default()
        };
        assert_eq!(model(196, 5).token_grid(), [6, 6]);
        assert!(grid_conflict(&model(196, 5)).is_none());
        assert!(grid_conflict(&model(32, 5)).is_none());
        assert!(grid_conflict(&model(31, 5)).is_some());
    }
}

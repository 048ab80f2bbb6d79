//! What no key can tell alone: combinations, and features that are still to come.

use serde_json::Value;

use super::sections::ModelSettings;

/// Switches whose feature is not there yet, with the reason. Turned on they are refused, never
/// ignored. When the feature arrives, its line goes.
const NOT_YET: &[(&str, &str, &str)] = &[("training", "XLA_STATE", "the training step cannot be compiled")];

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

/// Why `value` is refused although its key accepts it, if it is: a feature of a later version.
pub fn not_yet(section: &str, name: &str, value: &Value) -> Option<&'static str> {
    NOT_YET.iter().find(|row| row.0 == section && row.1 == name && *value == Value::Bool(true)).map(|row| row.2)
}

/// All conflicts within the network's shape.
pub fn conflicts(model: &ModelSettings) -> Vec<Conflict> {
    head_conflict(model).into_iter().chain(grid_conflict(model)).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

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

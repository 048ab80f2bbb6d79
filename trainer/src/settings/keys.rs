//! The table of keys: what each may hold. Everything that checks, explains or lists settings reads it.

use serde_json::Value;
use xreport_runtime::arguments::MOST_THREADS;

use super::values::{DeviceRequest, SampleSize};

/// One key of a section, and what it accepts.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// The section in lower case, as in the file.
    pub section: &'static str,
    /// The key in capitals, as in the file.
    pub name: &'static str,
    /// What its value may be.
    pub kind: Kind,
}

/// What a value may be. [`Kind::expected`] puts it into words.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// `true` or `false`.
    Switch,
    /// A whole number, both bounds included.
    Whole {
        /// Smallest value.
        min: u64,
        /// Largest value.
        max: u64,
    },
    /// A number from 0 up to and including `max`.
    Real {
        /// Largest value.
        max: f64,
    },
    /// A number above 0, up to and including `max`.
    PositiveReal {
        /// Largest value.
        max: f64,
    },
    /// A fraction or a count, see [`SampleSize`].
    SampleSize,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Height, width, channels.
    ImageShape,
    /// Output channels of each convolution block.
    Channels,
    /// See [`DeviceRequest`].
    Device,
}

/// The sections, in the order of the file.
pub const SECTIONS: [&str; 4] = ["dataset", "model", "training", "evaluation"];

const IMAGE_SIDE: std::ops::RangeInclusive<u64> = 16..=4096;
const CHANNELS: std::ops::RangeInclusive<u64> = 1..=4096;
const MAX_CONV_BLOCKS: usize = 8;
const SEED_MAX: u64 = u32::MAX as u64;

macro_rules! keys {
    ($($section:ident { $($name:ident: $kind:expr,)* })*) => {
        /// Every key, in the order of the file.
        pub const KEYS: &[Key] = &[
            $($(Key { section: stringify!($section), name: stringify!($name), kind: $kind },)*)*
        ];
    };
}

keys! {
    dataset {
        SAMPLE_SIZE: Kind::SampleSize,
        VALIDATION_SIZE: Kind::Real { max: 0.9 },
        IMG_NORMALIZE: Kind::Switch,
        IMG_AUGMENT: Kind::Switch,
        IMG_PLAIN_EPOCHS: Kind::Whole { min: 0, max: 1_000_000 },
        BALANCE_TEXTS: Kind::Real { max: 1.0 },
        MAX_REPORT_SIZE: Kind::Whole { min: 8, max: 1024 },
        SPLIT_SEED: Kind::Whole { min: 0, max: SEED_MAX },
        IMG_FIT: Kind::Choice(&["letterbox", "stretch"]),
        VOCABULARY: Kind::Choice(&["corpus", "full"]),
    }
    model {
        IMG_SHAPE: Kind::ImageShape,
        CONV_CHANNELS: Kind::Channels,
        EMBEDDING_DIMS: Kind::Whole { min: 8, max: 8192 },
        NUM_HEADS: Kind::Whole { min: 1, max: 128 },
        HEAD_DIMS: Kind::Whole { min: 0, max: 1024 },
        FFN_EXPANSION: Kind::Whole { min: 1, max: 16 },
        NUM_ENCODERS: Kind::Whole { min: 0, max: 24 },
        NUM_DECODERS: Kind::Whole { min: 1, max: 24 },
        DROPOUT: Kind::Real { max: 0.9 },
        SAVE_MODEL_PLOT: Kind::Switch,
    }
    training {
        EPOCHS: Kind::Whole { min: 1, max: 1_000_000 },
        MAX_STEPS: Kind::Whole { min: 0, max: 1_000_000_000 },
        LEARNING_RATE: Kind::PositiveReal { max: 1.0 },
        WARMUP_STEPS: Kind::Whole { min: 0, max: 1_000_000_000 },
        FINAL_LEARNING_RATE: Kind::Real { max: 1.0 },
        SCHEDULE_EPOCHS: Kind::Whole { min: 0, max: 1_000_000 },
        WEIGHT_DECAY: Kind::Real { max: 1.0 },
        GRADIENT_CLIP: Kind::Real { max: 1000.0 },
        EMA_DECAY: Kind::Real { max: 0.99999 },
        BEST_BY: Kind::Choice(&["loss", "accuracy"]),
        LABEL_SMOOTHING: Kind::Real { max: 0.5 },
        BATCH_SIZE: Kind::Whole { min: 1, max: 4096 },
        GRADIENT_ACCUMULATION: Kind::Whole { min: 1, max: 1024 },
        LENGTH_WINDOW: Kind::Whole { min: 1, max: 10_000 },
        MIXED_PRECISION: Kind::Switch,
        USE_TENSORBOARD: Kind::Switch,
        SAMPLE_REPORTS: Kind::Whole { min: 0, max: 64 },
        XLA_STATE: Kind::Switch,
        ML_DEVICE: Kind::Device,
        NUM_PROCESSORS: Kind::Whole { min: 0, max: MOST_THREADS as u64 },
        SEED: Kind::Whole { min: 0, max: SEED_MAX },
        EARLY_STOPPING_PATIENCE: Kind::Whole { min: 0, max: 1_000_000 },
        SAVE_EVERY_STEPS: Kind::Whole { min: 0, max: 1_000_000_000 },
        SAVE_EVERY_MINUTES: Kind::Real { max: 10_000.0 },
        KEEP_LAST: Kind::Whole { min: 0, max: 1000 },
    }
    evaluation {
        BATCH_SIZE: Kind::Whole { min: 1, max: 4096 },
        SAMPLE_SIZE: Kind::SampleSize,
        VALIDATION_SIZE: Kind::PositiveReal { max: 1.0 },
    }
}

impl Key {
    /// The key named `name` of `section`.
    pub fn find(section: &str, name: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.section == section && key.name == name)
    }

    /// `section.NAME`, as `--set` and the messages spell it.
    pub fn path(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }
}

impl Kind {
    /// What is accepted, in words: "a whole number from 1 to 128".
    pub fn expected(&self) -> String {
        match self {
            Self::Switch => "true or false".into(),
            Self::Whole { min, max } => format!("a whole number from {min} to {max}"),
            Self::Real { max } => format!("a number from 0 to {max}"),
            Self::PositiveReal { max } => format!("a number above 0, up to {max}"),
            Self::SampleSize => "a fraction above 0, up to 1, or a whole count above 1".into(),
            Self::Choice(words) => {
                let quoted: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
                quoted.join(" or ")
            }
            Self::ImageShape => format!(
                "[height, width, channels]: sides from {} to {}, channels 1 or 3",
                IMAGE_SIDE.start(),
                IMAGE_SIDE.end()
            ),
            Self::Channels => format!(
                "a list of 1 to {MAX_CONV_BLOCKS} whole numbers, each from {} to {}",
                CHANNELS.start(),
                CHANNELS.end()
            ),
            Self::Device => "\"auto\", \"cpu\", \"cuda\" or \"cuda:N\"".into(),
        }
    }

    /// Whether `value` is accepted.
    pub fn accepts(&self, value: &Value) -> bool {
        match self {
            Self::Switch => value.is_boolean(),
            Self::Whole { min, max } => value.as_u64().is_some_and(|n| (*min..=*max).contains(&n)),
            Self::Real { max } => value.as_f64().is_some_and(|x| (0.0..=*max).contains(&x)),
            Self::PositiveReal { max } => value.as_f64().is_some_and(|x| x > 0.0 && x <= *max),
            Self::SampleSize => {
                matches!(value, Value::Number(number) if SampleSize::from_number(number).is_some())
            }
            Self::Choice(words) => value.as_str().is_some_and(|word| words.contains(&word)),
            Self::ImageShape => whole_numbers(value).is_some_and(|shape| match shape[..] {
                [height, width, channels] => {
                    IMAGE_SIDE.contains(&height) && IMAGE_SIDE.contains(&width) && matches!(channels, 1 | 3)
                }
                _ => false,
            }),
            Self::Channels => whole_numbers(value).is_some_and(|channels| {
                (1..=MAX_CONV_BLOCKS).contains(&channels.len()) && channels.iter().all(|count| CHANNELS.contains(count))
            }),
            Self::Device => value.as_str().is_some_and(|text| text.parse::<DeviceRequest>().is_ok()),
        }
    }
}

fn whole_numbers(value: &Value) -> Option<Vec<u64>> {
    value.as_array()?.iter().map(Value::as_u64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn bounds_are_included_and_one_beyond_is_refused() {
        let whole = Kind::Whole { min: 8, max: 1024 };
        assert!(whole.accepts(&json!(8)) && whole.accepts(&json!(1024)));
        assert!(!whole.accepts(&json!(7)) && !whole.accepts(&json!(1025)));
        assert!(!whole.accepts(&json!(9.0)) && !whole.accepts(&json!("9")));
        let real = Kind::Real { max: 0.9 };
        assert!(real.accepts(&json!(0)) && real.accepts(&json!(0.9)));
        assert!(!real.accepts(&json!(-0.1)) && !real.accepts(&json!(0.91)));
        let positive = Kind::PositiveReal { max: 1.0 };
        assert!(positive.accepts(&json!(1)) && !positive.accepts(&json!(0)));
    }

    #[test]
    fn image_shapes_are_height_width_and_one_or_three_channels() {
        assert!(Kind::ImageShape.accepts(&json!([224, 196, 3])));
        for bad in [
            json!([224, 224]),
            json!([224, 224, 2]),
            json!([1, 224, 224]),
            json!([0, 224, 1]),
            json!([224, 8000, 1]),
            json!([224.0, 224, 1]),
            json!("224"),
        ] {
            assert!(!Kind::ImageShape.accepts(&bad), "{bad}");
        }
        assert!(Kind::Channels.accepts(&json!([32, 64])));
        for bad in [json!([]), json!([0]), json!([1, 1, 1, 1, 1, 1, 1, 1, 1]), json!(32)] {
            assert!(!Kind::Channels.accepts(&bad), "{bad}");
        }
    }
}

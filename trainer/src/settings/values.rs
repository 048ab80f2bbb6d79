//! The typed values that settings are made of, each with its one spelling in JSON.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// How many studies to use.
///
/// In JSON one number: above 0 and up to 1 it is a fraction, a whole number above 1 is a count.
/// So `1` is everything, never a single study.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SampleSize {
    /// A share of the studies, in (0, 1].
    Fraction(f64),
    /// A number of studies, at least 2; more than there are means all of them.
    Count(usize),
}

impl SampleSize {
    /// Everything there is.
    pub const ALL: Self = Self::Fraction(1.0);

    /// The number of studies that this takes out of `available`: fractions are rounded to the
    /// nearest whole number, at least one is taken while there is any.
    pub fn of(self, available: usize) -> usize {
        match self {
            Self::Fraction(share) => ((available as f64 * share).round() as usize).clamp(available.min(1), available),
            Self::Count(count) => count.min(available),
        }
    }

    /// Reads the number as written in JSON; `None` when it is neither fraction nor count.
    pub(super) fn from_number(number: &serde_json::Number) -> Option<Self> {
        if let Some(count) = number.as_u64().filter(|&count| count > 1) {
            return usize::try_from(count).ok().map(Self::Count);
        }
        let share = number.as_f64()?;
        (share > 0.0 && share <= 1.0).then_some(Self::Fraction(share))
    }
}

impl Serialize for SampleSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Fraction(share) => serializer.serialize_f64(share),
            Self::Count(count) => serializer.serialize_u64(count as u64),
        }
    }
}

impl<'de> Deserialize<'de> for SampleSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = serde_json::Number::deserialize(deserializer)?;
        Self::from_number(&number).ok_or_else(|| D::Error::custom("neither a fraction in (0, 1] nor a count above 1"))
    }
}

/// The device that a training run asks for; whether it is there is found out when it starts.
///
/// Spelled `auto`, `cpu`, `cuda` or `cuda:N`, in any case; `gpu` (as the original has it) is
/// `cuda`, and `cuda` is `cuda:0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceRequest {
    /// CUDA where there is a usable device, else the CPU.
    Auto,
    /// The CPU.
    Cpu,
    /// The CUDA device with this index; an error where there is none.
    Cuda(usize),
}

impl FromStr for DeviceRequest {
    type Err = UnknownDevice;

    fn from_str(text: &str) -> Result<Self, UnknownDevice> {
        match text.to_ascii_lowercase().as_str() {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" | "gpu" => Ok(Self::Cuda(0)),
            other => other
                .strip_prefix("cuda:")
                .or_else(|| other.strip_prefix("gpu:"))
                // `parse` alone would take "+1".
                .filter(|index| index.bytes().all(|byte| byte.is_ascii_digit()))
                .and_then(|index| index.parse().ok())
                .map(Self::Cuda)
                .ok_or(UnknownDevice),
        }
    }
}

/// The text names no device that this program knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected auto, cpu, cuda or cuda:N")]
pub struct UnknownDevice;

impl fmt::Display for DeviceRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(0) => f.write_str("cuda"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

impl Serialize for DeviceRequest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DeviceRequest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// Which token ids the embedding and the head cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VocabularyChoice {
    /// The ids that occur in the training reports, plus the special ones.
    Corpus,
    /// All 30,522 ids of DistilBERT.
    Full,
}

/// What makes a state of a run its best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BestBy {
    /// The lowest validation loss: the probabilities count.
    Loss,
    /// The highest share of validation tokens predicted right, the lower loss among equals: what greedy decoding
    /// writes counts, however sure it is. The choice with LABEL_SMOOTHING, which raises the plain loss by design.
    Accuracy,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_size_is_a_fraction_up_to_one_and_a_count_above() {
        let read = |text: &str| serde_json::from_str::<SampleSize>(text).ok();
        assert_eq!(read("1"), Some(SampleSize::Fraction(1.0)));
        assert_eq!(read("1.0"), Some(SampleSize::ALL));
        assert_eq!(read("0.25"), Some(SampleSize::Fraction(0.25)));
        assert_eq!(read("2"), Some(SampleSize::Count(2)));
        for bad in ["0", "-1", "-0.5", "1.5", "2.0", "\"1\""] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_sample_takes_at_least_one_and_at_most_all() {
        assert_eq!(SampleSize::Fraction(0.001).of(10), 1);
        assert_eq!(SampleSize::Fraction(0.25).of(10), 3);
        assert_eq!(SampleSize::ALL.of(10), 10);
        assert_eq!(SampleSize::Count(4).of(10), 4);
        assert_eq!(SampleSize::Count(40).of(10), 10);
        assert_eq!(SampleSize::Fraction(0.5).of(0), 0);
    }

    #[test]
    fn devices_are_read_as_the_original_and_as_torch_write_them() {
        let cases = [
            ("auto", DeviceRequest::Auto),
            ("CPU", DeviceRequest::Cpu),
            ("GPU", DeviceRequest::Cuda(0)),
            ("cuda", DeviceRequest::Cuda(0)),
            ("cuda:3", DeviceRequest::Cuda(3)),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse(), Ok(expected), "{text}");
            assert_eq!(expected.to_string().parse(), Ok(expected));
        }
        for bad in ["", "tpu", "cuda:", "cuda:-1", "cuda:+1", "cuda 1", "cpu:1"] {
            assert_eq!(bad.parse::<DeviceRequest>(), Err(UnknownDevice), "{bad}");
        }
    }
}

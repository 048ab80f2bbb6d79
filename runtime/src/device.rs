//! Where a model runs: what was asked for, and what came of it.

use std::fmt;
use std::str::FromStr;

use xreport_models::bundle::{Precision, Provider};

/// What `--device` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceRequest {
    /// CUDA where it works, else the CPU, with a word why.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// CUDA device N, or a clear failure.
    Cuda(i32),
}

impl FromStr for DeviceRequest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let lower = text.to_ascii_lowercase();
        match lower.as_str() {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            other => match other.strip_prefix("cuda:").map(str::parse::<u16>) {
                Some(Ok(index)) => Ok(Self::Cuda(i32::from(index))),
                _ => Err(format!("expected auto, cpu, cuda or cuda:N, found `{text}`")),
            },
        }
    }
}

/// What `--precision` asks for; none is `auto`: the fastest that agrees with fp32 well enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PrecisionRequest(pub Option<Precision>);

impl FromStr for PrecisionRequest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self(None)),
            _ => text.parse().map(|precision| Self(Some(precision))).map_err(|problem| format!("auto or {problem}")),
        }
    }
}

/// Where a model does run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    /// ONNX Runtime's CPU provider.
    Cpu,
    /// ONNX Runtime's CUDA provider on this device.
    Cuda(i32),
}

impl Device {
    /// The provider whose variant of a bundle runs here.
    pub fn provider(self) -> Provider {
        match self {
            Self::Cpu => Provider::Cpu,
            Self::Cuda(_) => Provider::Cuda,
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read() {
        assert_eq!("AUTO".parse(), Ok(DeviceRequest::Auto));
        assert_eq!("cuda:3".parse(), Ok(DeviceRequest::Cuda(3)));
        assert!("cuda:-1".parse::<DeviceRequest>().is_err());
        assert!("tpu".parse::<DeviceRequest>().is_err());
    }
}

//! MIXED_PRECISION: in which number format a training step computes.
//!
//! Weights, optimizer and averages are float32 always. With mixed precision each step casts the flat weights to bfloat16
//! once, and with them goes the whole pass; softmax, loss, normalisation statistics and the token table's gradient stay
//! in float32 (Micikevicius et al. 2018). bfloat16 has float32's range: no loss scaling. Validation, export and all that
//! is deployed compute in float32.

use tch::{Device, Kind};

use crate::ranks::say;

/// The kind that steps compute in on `device`; where it cannot have bfloat16, float32 with a word on stderr.
pub fn compute_kind(mixed_precision: bool, device: Device) -> Kind {
    if !mixed_precision {
        return Kind::Float;
    }
    if device == Device::Cpu && !cpu_has_bfloat16() {
        say(
            "warning: MIXED_PRECISION is set, but this CPU has no bfloat16 arithmetic (AVX512-BF16): training runs in float32\nhint: set training.MIXED_PRECISION to false, or train on another machine",
        );
        return Kind::Float;
    }
    Kind::BFloat16
}

#[cfg(target_arch = "x86_64")]
fn cpu_has_bfloat16() -> bool {
    std::arch::is_x86_feature_detected!("avx512bf16")
}

#[cfg(not(target_arch = "x86_64"))]
fn cpu_has_bfloat16() -> bool {
    false
}

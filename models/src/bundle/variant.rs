//! The forms in which a bundle holds its network, and which of them a run takes.

use serde::{Deserialize, Serialize};

use super::{Bundle, BundleError, DType};

/// Number format of a variant's weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floats.
    Fp32,
    /// 8-bit integers in the linear layers, 32-bit floats elsewhere.
    Int8,
    /// 16-bit floats.
    Fp16,
}

impl Precision {
    /// As options and names of variants say it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fp32 => "fp32",
            Self::Int8 => "int8",
            Self::Fp16 => "fp16",
        }
    }

    /// Element type of the keys and values that pass between encoder and decoder and lie in the cache.
    pub fn floats(self) -> DType {
        match self {
            Self::Fp32 | Self::Int8 => DType::F32,
            Self::Fp16 => DType::F16,
        }
    }
}

impl std::str::FromStr for Precision {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Fp32, Self::Int8, Self::Fp16]
            .into_iter()
            .find(|precision| precision.as_str() == text)
            .ok_or_else(|| format!("expected fp32, int8 or fp16, found `{text}`"))
    }
}

/// The execution provider that a variant is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// ONNX Runtime's CPU provider.
    Cpu,
    /// ONNX Runtime's CUDA provider.
    Cuda,
}

/// One form of the network: a pair of graphs for a provider and a precision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// Name, as results state it: `fp32-cpu`.
    pub name: String,
    /// Number format.
    pub precision: Precision,
    /// Where it runs.
    pub provider: Provider,
    /// File of the encoder graph.
    pub encoder: String,
    /// File of the decoder step graph.
    pub decoder: String,
    /// File of the graph that checks several guessed tokens in one call, for one report at a time; from format version 2
    /// on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verifier: Option<String>,
    /// The smallest batch size for which it is taken before others of its precision; from format version 2 on.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub from_batch_size: usize,
    /// How closely it agrees with libtorch, measured at export; from format version 2 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agreement: Option<Agreement>,
}

fn one() -> usize {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_one(value: &usize) -> bool {
    *value == 1
}

/// How closely a variant agrees with libtorch in double precision on the reports of the check at export.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agreement {
    /// Reports compared, teacher-forced: the reference's tokens are fed, whatever the variant would have said.
    pub reports: usize,
    /// Tokens of these reports.
    pub tokens: usize,
    /// Share of them for which both have the same most probable token, 0 to 1.
    pub token_agreement: f64,
    /// Largest difference of a logit.
    pub largest_logit_difference: f64,
    /// Greedy texts compared.
    pub texts: usize,
    /// Texts that are equal word for word.
    pub equal_texts: usize,
    /// For a model of phantoms: F1 of the findings that the variant's texts claim against those that the data set's
    /// reports claim, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phantom_f1: Option<f64>,
}

/// What a run asks of the variant that it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VariantRequest {
    /// The number format; none: the fastest that agrees well enough.
    pub precision: Option<Precision>,
    /// Reports that the run drafts together.
    pub batch_size: usize,
}

impl Default for VariantRequest {
    fn default() -> Self {
        Self { precision: None, batch_size: 1 }
    }
}

/// Without a wish, a variant of lower precision is taken only if at least this share of tokens is the same.
pub const ENOUGH_AGREEMENT: f64 = 0.99;

impl Bundle {
    /// The variant for a provider and a request. It depends on these alone, so that a text does not depend on how many
    /// other images happen to be about.
    pub fn choose(&self, provider: Provider, request: VariantRequest) -> Result<&Variant, BundleError> {
        let variants = &self.manifest().variants;
        choose(variants, provider, request).ok_or_else(|| {
            let names: Vec<_> = variants.iter().map(|variant| variant.name.as_str()).collect();
            let provider = format!("{provider:?}").to_lowercase();
            BundleError::NoVariant {
                bundle: self.manifest().name.clone(),
                provider: request.precision.map_or(provider.clone(), |wish| format!("{} on {provider}", wish.as_str())),
                found: names.join(", "),
            }
        })
    }
}

fn choose(variants: &[Variant], provider: Provider, request: VariantRequest) -> Option<&Variant> {
    let of = |precision: Precision| {
        let fitting = variants.iter().filter(move |v| v.provider == provider && v.precision == precision);
        // The last of equals would be taken by `max_by_key`; the first is wanted.
        fitting.filter(|v| v.from_batch_size <= request.batch_size.max(1)).rev().max_by_key(|v| v.from_batch_size)
    };
    let agreed = |variant: &&Variant| variant.agreement.is_some_and(|a| a.token_agreement >= ENOUGH_AGREEMENT);
    let low = match provider {
        Provider::Cpu => Precision::Int8,
        Provider::Cuda => Precision::Fp16,
    };
    match request.precision {
        Some(precision) => of(precision),
        None => of(low).filter(agreed).or_else(|| of(Precision::Fp32)).or_else(|| of(low)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variant(name: &str, precision: Precision, from_batch_size: usize, token_agreement: f64) -> Variant {
        let agreement = Agreement {
            reports: 1,
            tokens: 1,
            token_agreement,
            largest_logit_difference: 0.0,
            texts: 1,
            equal_texts: 1,
            phantom_f1: None,
        };
        let file = || "x.onnx".to_owned();
        Variant {
            name: name.to_owned(),
            precision,
            provider: Provider::Cpu,
            encoder: file(),
            decoder: file(),
            verifier: None,
            from_batch_size,
            agreement: Some(agreement),
        }
    }

    fn chosen(variants: &[Variant], precision: Option<Precision>, batch_size: usize) -> Option<&str> {
        choose(variants, Provider::Cpu, VariantRequest { precision, batch_size }).map(|v| v.name.as_str())
    }

    #[test]
    fn the_fastest_that_agrees_is_taken_unless_another_is_asked_for() {
        let all = [
            variant("fp32", Precision::Fp32, 1, 1.0),
            variant("int8", Precision::Int8, 1, 0.995),
            variant("int8-batch", Precision::Int8, 4, 0.995),
        ];
        assert_eq!(chosen(&all, None, 1), Some("int8"));
        assert_eq!(chosen(&all, None, 3), Some("int8"));
        assert_eq!(chosen(&all, None, 8), Some("int8-batch"));
        assert_eq!(chosen(&all, Some(Precision::Fp32), 8), Some("fp32"));
        assert_eq!(chosen(&all, Some(Precision::Fp16), 8), None);
        assert_eq!(chosen(&all[..1], None, 8), Some("fp32"));
        assert_eq!(chosen(&all[1..2], None, 8), Some("int8"));
        assert!(choose(&all, Provider::Cuda, VariantRequest::default()).is_none());
    }

    #[test]
    fn what_agrees_too_little_is_taken_only_when_it_is_asked_for() {
        let all = [variant("fp32", Precision::Fp32, 1, 1.0), variant("int8", Precision::Int8, 1, 0.9)];
        assert_eq!(chosen(&all, None, 1), Some("fp32"));
        assert_eq!(chosen(&all, Some(Precision::Int8), 1), Some("int8"));
        assert_eq!(chosen(&all[1..], None, 1), Some("int8"), "it is all there is");
    }
}

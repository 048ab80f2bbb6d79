//! Every layer's ONNX against its forward pass, over the shapes that settings can ask for; and exports that must fail.

use tch::{Device, Tensor};
use xreport_models::bundle::Bundle;
use xreport_models::text::Vocabulary;

use super::*;
use crate::network::{NetworkConfig, tensor_values};
use crate::settings::Settings;
use crate::training::{random_verification, tokenizer};

/// A small network with random weights and running statistics that are not those of a fresh start.
struct Sample {
    settings: Settings,
    network: Network,
    flat: Tensor,
    statistics: RunningStatistics,
    vocabulary: Vocabulary,
    precisions: &'static [Precision],
}

impl Sample {
    fn new(assignments: &[&str]) -> Self {
        let mut settings = Settings::from_str(
            r#"{"dataset": {"MAX_REPORT_SIZE": 12},
                "model": {"IMG_SHAPE": [20, 28, 1], "CONV_CHANNELS": [4, 6], "EMBEDDING_DIMS": 16, "NUM_HEADS": 2,
                          "NUM_ENCODERS": 1, "NUM_DECODERS": 2}}"#,
            "the test",
        )
        .unwrap();
        settings.apply_overrides(assignments).unwrap();
        let vocabulary = Vocabulary::corpus([(1000..1040).collect::<Vec<u32>>()]);
        let network = Network::new(NetworkConfig::new(&settings, vocabulary.len()));
        // Larger than a fresh start's, so that a wrong wire makes a difference of more than rounding.
        let flat = network.layout.initialise(settings.training.seed, Device::Cpu) * 1.5 + 0.01;
        let mut statistics = network.statistics(Device::Cpu);
        for (mean, variance) in &mut statistics.blocks {
            *mean = Tensor::linspace(-0.2, 0.3, mean.size1().unwrap(), (tch::Kind::Float, Device::Cpu));
            *variance = Tensor::linspace(0.5, 2.0, variance.size1().unwrap(), (tch::Kind::Float, Device::Cpu));
        }
        Self { settings, network, flat, statistics, vocabulary, precisions: &[Precision::Fp32] }
    }

    /// As if two axes of a weight were swapped: the same numbers in another order.
    fn swapped(name: &str) -> Self {
        let sample = Self::new(&[]);
        let spec = sample.network.layout.specs().iter().find(|spec| spec.name == name).unwrap();
        let (offset, length) = (spec.offset as i64, spec.len() as i64);
        let part = sample.flat.narrow(0, offset, length).flip([0]);
        let flat = sample.flat.copy();
        flat.narrow(0, offset, length).copy_(&part);
        Self { flat, ..sample }
    }

    fn export(&self, reference: &Self) -> Result<Verified, ExportError> {
        let tokenizer = tokenizer().unwrap();
        let preprocessing = self.settings.preprocessing();
        let trained = |sample| trained(sample, &tokenizer, &preprocessing);
        let arch = &self.network.config.architecture;
        let set = random_verification(arch, self.vocabulary.start(), 5, 5);
        let expected = trained(reference);
        let reference = verify::Reference::compute(&expected, &set, 5);
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("bundle");
        let mut verified = None;
        let written = bundle_draft(&trained(self)).write(&out, |folder, _| -> Result<(), ExportError> {
            verified = Some(reference.check(folder)?);
            Ok(())
        });
        assert_eq!(out.exists(), written.is_ok(), "a refused bundle leaves nothing");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), usize::from(written.is_ok()));
        written.map(|_| verified.unwrap())
    }
}

fn trained<'a>(sample: &'a Sample, tokenizer: &'a Tokenizer, preprocessing: &'a Preprocessing) -> Trained<'a> {
    Trained {
        network: &sample.network,
        flat: &sample.flat,
        statistics: &sample.statistics,
        vocabulary: &sample.vocabulary,
        tokenizer,
        preprocessing,
        name: "test",
        notice: "a test",
        precisions: sample.precisions,
        ngrams: None,
        card_notes: None,
        provenance: Provenance {
            exported_by: "a test".into(),
            step: 0,
            data_fingerprint: String::new(),
            settings: serde_json::Value::Null,
            metrics: serde_json::Value::Null,
        },
    }
}

#[test]
fn onnx_runtime_computes_what_libtorch_computes() {
    for assignments in [
        &[][..],
        &["model.IMG_SHAPE=[16,24,3]"],
        &["dataset.IMG_NORMALIZE=false"],
        &["model.HEAD_DIMS=24"],
        &["model.NUM_ENCODERS=0", "model.NUM_DECODERS=1"],
        &["model.NUM_ENCODERS=2", "model.NUM_DECODERS=3", "model.FFN_EXPANSION=1"],
        &["model.CONV_CHANNELS=[8]", "model.NUM_HEADS=1"],
    ] {
        let sample = Sample::new(assignments);
        let verified = sample.export(&sample).unwrap_or_else(|error| panic!("{assignments:?}: {error}"));
        assert_eq!(verified.variants, ["fp32-cpu", "fp32-cuda"], "{assignments:?}");
        assert!(verified.largest_share_difference.is_some_and(|found| found < 1e-6), "{assignments:?}: {verified:?}");
        assert!(verified.steps > 40 && verified.texts == 5, "{verified:?}");
    }
}

#[test]
fn lower_precisions_come_close_and_are_measured() {
    // Widths that blocks of 64 divide, and some that no block does.
    for assignments in [&["model.EMBEDDING_DIMS=64"][..], &["model.EMBEDDING_DIMS=40", "model.NUM_HEADS=1"]] {
        let sample = Sample { precisions: &[Precision::Int8, Precision::Fp16], ..Sample::new(assignments) };
        let verified = sample.export(&sample).unwrap_or_else(|error| panic!("{assignments:?}: {error}"));
        assert!(verified.variants.is_empty(), "{verified:?}");
        let names: Vec<&str> = verified.agreements.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["int8-cpu", "int8-batch-cpu", "fp16-cuda"], "{assignments:?}");
        for (name, agreement) in &verified.agreements {
            assert!(agreement.token_agreement > 0.8, "{name}: {agreement:?}");
            assert!(agreement.largest_logit_difference > 1e-6, "{name} is in full precision: {agreement:?}");
            assert_eq!((agreement.texts, agreement.phantom_f1), (5, None), "{name}");
        }
    }
}

#[test]
fn a_quantised_export_of_other_weights_is_refused() {
    let sample = Sample::new(&["model.EMBEDDING_DIMS=64"]);
    for precisions in [&[Precision::Int8][..], &[Precision::Fp16]] {
        let other = Sample { precisions, ..Sample::new(&["model.EMBEDDING_DIMS=64", "training.SEED=8"]) };
        let error = other.export(&sample).expect_err("other weights");
        assert!(matches!(error, ExportError::Precision { .. }), "{error}");
    }
}

#[test]
fn an_export_of_other_weights_is_refused() {
    let sample = Sample::new(&[]);
    let names = ["conv.0.kernel", "image_positions", "encoder.0.attention.qkv.weight", "decoder.1.ffn.expand.weight"];
    for name in names {
        let other = Sample::swapped(name);
        assert!(tensor_values(&other.flat) != tensor_values(&sample.flat), "{name} is as it was");
        let error = other.export(&sample).expect_err(name);
        assert!(matches!(error, ExportError::Logits { .. }), "{name}: {error}");
    }
}

#[test]
fn an_evidence_graph_of_other_weights_is_found_out() {
    let sample = Sample::new(&[]);
    let (tokenizer, preprocessing) = (tokenizer().unwrap(), sample.settings.preprocessing());
    let set = random_verification(&sample.network.config.architecture, sample.vocabulary.start(), 5, 5);
    let expected = trained(&sample, &tokenizer, &preprocessing);
    let reference = verify::Reference::compute(&expected, &set, 0);
    // Of both layers' attention, and of what the first hands to the second.
    for name in
        ["decoder.0.cross_attention.query.weight", "decoder.0.ffn.expand.weight", "decoder.1.self_attention.qkv.weight"]
    {
        let other = Sample::swapped(name);
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("bundle");
        let draft = bundle_draft(&trained(&other, &tokenizer, &preprocessing));
        draft.write(&out, |_, _| Ok::<_, ExportError>(())).unwrap();
        let error = reference.compare_evidence(&Bundle::load(&out).unwrap()).expect_err(name);
        assert!(matches!(error, ExportError::Evidence { .. }), "{name}: {error}");
    }
}

#[test]
fn evidence_wants_an_encoder_in_32_bit_floats() {
    for (precisions, there) in [(&[Precision::Int8][..], true), (&[Precision::Fp16], false)] {
        let sample = Sample { precisions, ..Sample::new(&["model.EMBEDDING_DIMS=64"]) };
        let verified = sample.export(&sample).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(verified.largest_share_difference.is_some(), there, "{precisions:?}");
    }
}

#[test]
fn a_bundle_id_names_weights_and_options_not_the_time() {
    let id = |sample: &Sample| {
        let tokenizer = tokenizer().unwrap();
        bundle_draft(&trained(sample, &tokenizer, &sample.settings.preprocessing())).manifest.id
    };
    assert_eq!(id(&Sample::new(&[])), id(&Sample::new(&[])));
    assert_ne!(id(&Sample::new(&[])), id(&Sample::new(&["training.SEED=8"])));
    assert_ne!(id(&Sample::new(&[])), id(&Sample::new(&["dataset.IMG_NORMALIZE=false"])));
}

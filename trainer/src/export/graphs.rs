//! The bundle's files: encoder and decoder in the forms of each variant, weights, tokenizer, card.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};
use xreport_models::bundle::{
    BundleDraft, DecodingDefaults, EvidenceGraphs, FORMAT_VERSION, GraphInterface, MODEL_CARD, Manifest, NGRAMS,
    Precision, Provider, TOKENIZER, TensorSpec, Variant, interface,
};

use super::{Trained, card};
use crate::network::{LayerInputs, StepForm, StepInputs, Weights, tensor_values};
use crate::onnx::{GraphBuilder, GraphTarget, LinearForm, Value, WeightFile};

const ENCODER: &str = "encoder.onnx";
const EVIDENCE: &str = "evidence.onnx";
const WEIGHTS: &str = "weights.bin";
/// From how many reports together the row-wise 8-bit form is faster than the block-wise one: see models/README.md.
const ROWS_FROM_BATCH_SIZE: usize = 2;

/// How one variant's graphs are written.
#[derive(Debug, Clone, Copy)]
struct Form {
    variant: &'static str,
    precision: Precision,
    provider: Provider,
    encoder: &'static str,
    decoder: &'static str,
    step: StepForm,
    linear: LinearForm,
    /// File of the verifier, where a table of n-grams gives it something to verify. In float32 alone: several tokens at once
    /// differ from one by one in the last bit, which rounding to 8 bits can make a hundredth of a logit.
    verifier: Option<&'static str>,
    from_batch_size: usize,
}

const FP32: Form = Form {
    variant: "fp32-cpu",
    precision: Precision::Fp32,
    provider: Provider::Cpu,
    encoder: ENCODER,
    decoder: "decoder.onnx",
    step: StepForm::GroupQuery,
    linear: LinearForm::Float,
    verifier: Some("verifier.onnx"),
    from_batch_size: 1,
};

/// The variants of each precision, in the order of the manifest.
const FORMS: [Form; 5] = [
    FP32,
    Form {
        variant: "fp32-cuda",
        provider: Provider::Cuda,
        decoder: "decoder-cuda.onnx",
        step: StepForm::Scatter,
        verifier: None,
        ..FP32
    },
    Form {
        variant: "int8-cpu",
        precision: Precision::Int8,
        decoder: "decoder-int8.onnx",
        linear: LinearForm::Blocks,
        verifier: None,
        ..FP32
    },
    Form {
        variant: "int8-batch-cpu",
        precision: Precision::Int8,
        decoder: "decoder-int8-batch.onnx",
        linear: LinearForm::Rows,
        verifier: None,
        from_batch_size: ROWS_FROM_BATCH_SIZE,
        ..FP32
    },
    Form {
        variant: "fp16-cuda",
        precision: Precision::Fp16,
        provider: Provider::Cuda,
        encoder: "encoder-fp16.onnx",
        decoder: "decoder-fp16-cuda.onnx",
        step: StepForm::Scatter,
        verifier: None,
        ..FP32
    },
];

/// The bundle in memory, unverified.
pub fn bundle_draft(trained: &Trained) -> BundleDraft {
    let id = bundle_id(trained);
    let weights = trained.weights();
    let mut weight_file = WeightFile::new(WEIGHTS);
    let mut graphs = BTreeMap::new();
    let mut files = BTreeMap::new();
    let mut add = |name: &str, (interface, bytes): (GraphInterface, Vec<u8>)| {
        graphs.insert(name.to_owned(), interface);
        files.insert(name.to_owned(), bytes);
        name.to_owned()
    };
    let mut variants = Vec::new();
    let mut encoders = BTreeSet::new();
    for form in FORMS.iter().filter(|form| trained.precisions.contains(&form.precision)) {
        if encoders.insert(form.encoder) {
            add(form.encoder, encoder(trained, &weights, &mut weight_file, &id, form));
        }
        let verifier = form.verifier.filter(|_| trained.ngrams.is_some());
        variants.push(Variant {
            name: form.variant.to_owned(),
            precision: form.precision,
            provider: form.provider,
            encoder: form.encoder.to_owned(),
            decoder: add(form.decoder, decoder(trained, &weights, &mut weight_file, &id, form)),
            verifier: verifier.map(|name| add(name, self::verifier(trained, &weights, &mut weight_file, &id, form))),
            from_batch_size: form.from_batch_size,
            agreement: None,
        });
    }
    // Beside an encoder in 32-bit floats, which all variants but those in 16 bits have.
    let evidence = encoders.contains(ENCODER).then(|| EvidenceGraphs {
        encoder: ENCODER.to_owned(),
        attention: add(EVIDENCE, evidence(trained, &weights, &mut weight_file, &id)),
    });
    if let Some(ngrams) = trained.ngrams {
        files.insert(NGRAMS.to_owned(), ngrams.to_json());
    }
    files.insert(WEIGHTS.to_owned(), weight_file.into_bytes());
    files.insert(TOKENIZER.to_owned(), trained.tokenizer.to_json().into_bytes());
    let manifest = manifest(trained, id, variants, evidence, graphs);
    files.insert(MODEL_CARD.to_owned(), card::model_card(&manifest, trained.card_notes).into_bytes());
    BundleDraft { manifest, files }
}

fn manifest(
    trained: &Trained,
    id: String,
    variants: Vec<Variant>,
    evidence: Option<EvidenceGraphs>,
    graphs: BTreeMap<String, GraphInterface>,
) -> Manifest {
    let architecture = trained.network.config.architecture.clone();
    Manifest {
        format_version: FORMAT_VERSION,
        id,
        name: trained.name.to_owned(),
        notice: trained.notice.to_owned(),
        decoding: DecodingDefaults { max_tokens: architecture.max_positions - 1 },
        architecture,
        preprocessing: trained.preprocessing.clone(),
        vocabulary: trained.vocabulary.clone(),
        variants,
        ngrams: trained.ngrams.map(|_| NGRAMS.to_owned()),
        evidence,
        graphs,
        provenance: trained.provenance.clone(),
        files: BTreeMap::new(),
        manifest_sha256: String::new(),
    }
}

/// A hash over everything that decides what the bundle computes: weights, dimensions, vocabulary, preprocessing.
fn bundle_id(trained: &Trained) -> String {
    let mut hash = Sha256::new();
    let mut add = |values: &[f32]| values.iter().for_each(|value| hash.update(value.to_le_bytes()));
    add(&tensor_values(trained.flat));
    for (_, tensor) in trained.statistics.named() {
        add(&tensor_values(tensor));
    }
    let options = serde_json::json!({
        "architecture": trained.network.config.architecture,
        "standardise": trained.network.config.standardise,
        "vocabulary": trained.vocabulary,
        "preprocessing": trained.preprocessing,
        "precisions": trained.precisions,
    });
    if let Some(ngrams) = trained.ngrams {
        hash.update(ngrams.to_json());
    }
    hash.update(options.to_string());
    let digest = hash.finalize();
    let half = u128::from_be_bytes(digest[..16].try_into().expect("a digest has 32 bytes"));
    format!("{half:032x}")
}

fn encoder(
    trained: &Trained,
    weights: &Weights,
    file: &mut WeightFile,
    id: &str,
    form: &Form,
) -> (GraphInterface, Vec<u8>) {
    let floats = form.precision.floats();
    let wanted = GraphInterface::encoder(&trained.network.config.architecture, floats);
    let mut graph = GraphBuilder::new("encoder", GraphTarget::OPSET_20, file).with_floats(floats);
    let images = graph.input(&wanted.inputs[0]);
    let memory = trained.network.image.emit(&mut graph, weights, trained.statistics, &images);
    let outputs = trained.network.text.emit_cross(&mut graph, weights, &memory);
    finish(graph, &outputs, &wanted, id)
}

fn decoder(
    trained: &Trained,
    weights: &Weights,
    file: &mut WeightFile,
    id: &str,
    form: &Form,
) -> (GraphInterface, Vec<u8>) {
    let target = match form.step {
        StepForm::GroupQuery => GraphTarget::OPSET_20,
        StepForm::Scatter => GraphTarget::OPSET_24,
    };
    let floats = form.precision.floats();
    let wanted = GraphInterface::decoder(&trained.network.config.architecture, floats);
    let mut graph = GraphBuilder::new("decoder", target, file).with_linear_form(form.linear).with_floats(floats);
    let inputs: Vec<Value> = wanted.inputs.iter().map(|spec| graph.input(spec)).collect();
    let outputs = trained.network.text.emit_step(&mut graph, weights, form.step, &step_inputs(&wanted, &inputs));
    finish(graph, &outputs, &wanted, id)
}

fn verifier(
    trained: &Trained,
    weights: &Weights,
    file: &mut WeightFile,
    id: &str,
    form: &Form,
) -> (GraphInterface, Vec<u8>) {
    let floats = form.precision.floats();
    let wanted = GraphInterface::verifier(&trained.network.config.architecture, floats);
    let mut graph =
        GraphBuilder::new("verifier", GraphTarget::OPSET_20, file).with_linear_form(form.linear).with_floats(floats);
    let inputs: Vec<Value> = wanted.inputs.iter().map(|spec| graph.input(spec)).collect();
    let places = &inputs[place(&wanted.inputs, interface::PLACES)];
    let outputs = trained.network.text.emit_verifier(&mut graph, weights, places, &step_inputs(&wanted, &inputs));
    finish(graph, &outputs, &wanted, id)
}

/// Where a text looks: in 32-bit floats, whatever the variants.
fn evidence(trained: &Trained, weights: &Weights, file: &mut WeightFile, id: &str) -> (GraphInterface, Vec<u8>) {
    let wanted = GraphInterface::evidence(&trained.network.config.architecture);
    let mut graph = GraphBuilder::new("evidence", GraphTarget::OPSET_20, file);
    let inputs: Vec<Value> = wanted.inputs.iter().map(|spec| graph.input(spec)).collect();
    let attention = trained.network.text.emit_attention(&mut graph, weights, &inputs[0], &inputs[1..]);
    finish(graph, &[attention], &wanted, id)
}

/// The declared inputs by their parts in the step.
fn step_inputs(wanted: &GraphInterface, inputs: &[Value]) -> StepInputs {
    let named = |name: &str| inputs[place(&wanted.inputs, name)].clone();
    let layers = wanted.inputs.iter().filter(|spec| spec.name.starts_with("past_key")).count();
    StepInputs {
        ids: named(interface::INPUT_IDS),
        position: named(interface::POSITION),
        layers: (0..layers)
            .map(|layer| LayerInputs {
                past: [named(&interface::past_key(layer)), named(&interface::past_value(layer))],
                cross: [named(&interface::cross_key(layer)), named(&interface::cross_value(layer))],
            })
            .collect(),
    }
}

fn place(specs: &[TensorSpec], name: &str) -> usize {
    specs.iter().position(|spec| spec.name == name).expect("the interface names every input of the decoder")
}

fn finish(mut graph: GraphBuilder, outputs: &[Value], wanted: &GraphInterface, id: &str) -> (GraphInterface, Vec<u8>) {
    assert_eq!(outputs.len(), wanted.outputs.len(), "the graph has all outputs of the interface");
    for (value, spec) in outputs.iter().zip(&wanted.outputs) {
        graph.output(value, spec);
    }
    (graph.interface(), graph.finish(id))
}

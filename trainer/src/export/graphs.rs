//! The bundle's files: encoder, decoder in its two forms, weights, tokenizer, card.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use xreport_models::bundle::{
    BundleDraft, DecodingDefaults, FORMAT_VERSION, GraphInterface, MODEL_CARD, Manifest, Precision, Provider,
    TOKENIZER, TensorSpec, Variant, interface,
};

use super::{Trained, card};
use crate::network::{LayerInputs, StepForm, StepInputs, Weights, tensor_values};
use crate::onnx::{GraphBuilder, GraphTarget, Value, WeightFile};

const ENCODER: &str = "encoder.onnx";
const DECODER_CPU: &str = "decoder.onnx";
const DECODER_CUDA: &str = "decoder-cuda.onnx";
const WEIGHTS: &str = "weights.bin";

/// The bundle in memory, unverified.
pub fn bundle_draft(trained: &Trained) -> BundleDraft {
    let id = bundle_id(trained);
    let weights = trained.weights();
    let mut weight_file = WeightFile::new(WEIGHTS);
    let mut graphs = BTreeMap::new();
    let mut files = BTreeMap::new();
    let built = [
        (ENCODER, encoder(trained, &weights, &mut weight_file, &id)),
        (DECODER_CPU, decoder(trained, &weights, &mut weight_file, &id, StepForm::GroupQuery)),
        (DECODER_CUDA, decoder(trained, &weights, &mut weight_file, &id, StepForm::Scatter)),
    ];
    for (name, (interface, bytes)) in built {
        graphs.insert(name.to_owned(), interface);
        files.insert(name.to_owned(), bytes);
    }
    files.insert(WEIGHTS.to_owned(), weight_file.into_bytes());
    files.insert(TOKENIZER.to_owned(), trained.tokenizer.to_json().into_bytes());
    let manifest = manifest(trained, id, graphs);
    files.insert(MODEL_CARD.to_owned(), card::model_card(&manifest).into_bytes());
    BundleDraft { manifest, files }
}

fn manifest(trained: &Trained, id: String, graphs: BTreeMap<String, GraphInterface>) -> Manifest {
    let architecture = trained.network.config.architecture.clone();
    let variant = |name: &str, provider, decoder: &str| Variant {
        name: name.to_owned(),
        precision: Precision::Fp32,
        provider,
        encoder: ENCODER.to_owned(),
        decoder: decoder.to_owned(),
    };
    Manifest {
        format_version: FORMAT_VERSION,
        id,
        name: trained.name.to_owned(),
        notice: trained.notice.to_owned(),
        decoding: DecodingDefaults { max_tokens: architecture.max_positions - 1 },
        architecture,
        preprocessing: trained.preprocessing.clone(),
        vocabulary: trained.vocabulary.clone(),
        variants: vec![
            variant("fp32-cpu", Provider::Cpu, DECODER_CPU),
            variant("fp32-cuda", Provider::Cuda, DECODER_CUDA),
        ],
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
        "precisions": ["fp32"],
    });
    hash.update(options.to_string());
    let digest = hash.finalize();
    let half = u128::from_be_bytes(digest[..16].try_into().expect("a digest has 32 bytes"));
    format!("{half:032x}")
}

fn encoder(trained: &Trained, weights: &Weights, file: &mut WeightFile, id: &str) -> (GraphInterface, Vec<u8>) {
    let wanted = GraphInterface::encoder(&trained.network.config.architecture);
    let mut graph = GraphBuilder::new("encoder", GraphTarget::OPSET_20, file);
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
    form: StepForm,
) -> (GraphInterface, Vec<u8>) {
    let target = match form {
        StepForm::GroupQuery => GraphTarget::OPSET_20,
        StepForm::Scatter => GraphTarget::OPSET_24,
    };
    let wanted = GraphInterface::decoder(&trained.network.config.architecture);
    let mut graph = GraphBuilder::new("decoder", target, file);
    let inputs: Vec<Value> = wanted.inputs.iter().map(|spec| graph.input(spec)).collect();
    let named = |name: &str| inputs[place(&wanted.inputs, name)].clone();
    let inputs = StepInputs {
        ids: named(interface::INPUT_IDS),
        position: named(interface::POSITION),
        layers: (0..trained.network.config.architecture.decoders)
            .map(|layer| LayerInputs {
                past: [named(&interface::past_key(layer)), named(&interface::past_value(layer))],
                cross: [named(&interface::cross_key(layer)), named(&interface::cross_value(layer))],
            })
            .collect(),
    };
    let outputs = trained.network.text.emit_step(&mut graph, weights, form, &inputs);
    finish(graph, &outputs, &wanted, id)
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

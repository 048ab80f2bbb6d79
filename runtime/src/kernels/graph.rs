//! Puts operators of ours into a decoder's graph.

use std::collections::{HashMap, HashSet};

use prost::Message;
use xreport_models::bundle::interface::{INPUT_IDS, LOGITS};
use xreport_models::onnx::proto::{
    AttributeProto, DimensionProto, EXTERNAL, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    attribute_type, data_type, dimension,
};

use super::attention::LANES;
use super::head::HEAD;
use super::operators::{CROSS_ATTENTION, MATRIX, PROJECTION, SELF_ATTENTION};
use super::{DOMAIN, ending};

/// A product that a graph makes: `input · weights + bias`.
#[derive(Debug, PartialEq)]
pub struct Weights {
    /// `[depth, width]` row-major.
    pub matrix: Vec<f32>,
    /// `[width]`.
    pub bias: Option<Vec<f32>>,
    /// Columns.
    pub width: usize,
    /// Whether it gives the scores of all tokens, of which a step wants the best.
    pub is_head: bool,
}

/// The graph with an operator of ours in place of each `MatMul` with float32 weights of two axes and of the `Add` of a bias
/// behind it, and in place of attention, where the graph takes one token at a time; and the weights, which it no longer
/// holds. `file` gives the bytes of an external file. `None` where nothing can be replaced: of weights that are not there
/// ONNX Runtime says what is wrong.
pub fn rewrite<'a>(bytes: &[u8], file: impl Fn(&str) -> Option<&'a [u8]>) -> Option<(Vec<u8>, Vec<Weights>)> {
    let mut model = ModelProto::decode(bytes).ok()?;
    // Another exporter's graph may hold what we do not read and would not write: it is left as it is.
    if model.encoded_len() != bytes.len() {
        return None;
    }
    let graph = model.graph.as_mut()?;
    if graph.node.iter().any(|node| node.domain == DOMAIN) {
        return None;
    }
    let given: HashSet<&str> = graph.input.iter().map(|input| input.name.as_str()).collect();
    let constants: HashMap<&str, &TensorProto> = graph
        .initializer
        .iter()
        .map(|tensor| (tensor.name.as_str(), tensor))
        .filter(|(name, _)| !given.contains(name))
        .collect();
    let readers = readers(graph);
    let steps = axes(graph, INPUT_IDS, data_type::INT64).is_some_and(|axes| length(axes.get(1)) == Some(1));
    let mut taken = Vec::new();
    let mut added = HashSet::new();
    let mut nodes = Vec::new();
    let mut ours = 0;
    for node in &graph.node {
        if let Some((weights, sum)) = product(node, graph, &constants, &readers, &file) {
            let output = sum.map_or_else(|| node.output.clone(), |sum| sum.output.clone());
            added.extend(sum.map(|sum| sum.output[0].clone()));
            nodes.push(projection(node, output, taken.len()));
            taken.push(weights);
        } else if let Some(attention) = attention(node, graph).filter(|_| steps) {
            nodes.push(attention);
        } else {
            nodes.push(node.clone());
            continue;
        }
        ours += 1;
    }
    nodes.retain(|node| node.domain == DOMAIN || !node.output.iter().any(|output| added.contains(output)));
    graph.node = nodes;
    let ending = steps && ending::replace(graph);
    if ours == 0 && !ending {
        return None;
    }
    let heads = graph.node.iter().filter(|node| node.domain == DOMAIN && node.op_type == HEAD);
    for place in heads.flat_map(|node| &node.attribute).filter_map(|attribute| attribute.i) {
        // Where a node reads the scores, they have to be there.
        taken[place as usize].is_head = !graph.node.iter().any(|node| node.input.iter().any(|input| input == LOGITS));
    }
    let used: HashSet<String> = graph.node.iter().flat_map(|node| node.input.iter().cloned()).collect();
    graph.initializer.retain(|tensor| used.contains(&tensor.name));
    model.opset_import.push(OperatorSetIdProto { domain: DOMAIN.into(), version: 1 });
    Some((model.encode_to_vec(), taken))
}

/// Axes of an input of the graph with elements of this type.
fn axes<'g>(graph: &'g GraphProto, input: &str, elements: i32) -> Option<&'g [DimensionProto]> {
    let input = graph.input.iter().find(|its| its.name == input)?;
    let tensor = input.r#type.as_ref()?.tensor_type.as_ref().filter(|tensor| tensor.elem_type == elements)?;
    Some(&tensor.shape.as_ref()?.dim)
}

/// Length of an axis, where it is known.
fn length(axis: Option<&DimensionProto>) -> Option<i64> {
    match axis?.value {
        Some(dimension::Value::DimValue(length)) => Some(length),
        _ => None,
    }
}

/// Our operator in place of attention over a cache in the graph's inputs, where it is in the form that the exporter writes.
fn attention(node: &NodeProto, graph: &GraphProto) -> Option<NodeProto> {
    let names: Vec<&str> = node.input.iter().map(String::as_str).collect();
    let (kind, input, outputs) = match (node.op_type.as_str(), names.as_slice()) {
        ("GroupQueryAttention", [queries, "", "", keys, values, position, _]) => {
            (SELF_ATTENTION, vec![*queries, keys, values, position], 3)
        }
        ("MultiHeadAttention", [queries, keys, values]) => (CROSS_ATTENTION, vec![*queries, keys, values], 1),
        _ => return None,
    };
    let heads = |name: &str| node.attribute.iter().find(|its| its.name == name).and_then(|its| its.i);
    let known = node.attribute.iter().all(|its| ["num_heads", "kv_num_heads"].contains(&its.name.as_str()));
    let cache = axes(graph, input[1], data_type::FLOAT)?;
    let fits = known
        && node.domain == "com.microsoft"
        && node.output.len() == outputs
        && heads("num_heads") == length(cache.get(1))
        && heads("kv_num_heads").is_none_or(|of| Some(of) == length(cache.get(1)))
        && length(cache.get(2)).is_none_or(|length| length > 0)
        && length(cache.get(3)).is_some_and(|size| size > 0 && size % LANES as i64 == 0);
    fits.then(|| NodeProto {
        input: input.into_iter().map(str::to_owned).collect(),
        output: node.output.clone(),
        name: node.name.clone(),
        op_type: kind.into(),
        attribute: Vec::new(),
        domain: DOMAIN.into(),
    })
}

/// How often each value is read, by nodes and as an output of the graph.
fn readers(graph: &GraphProto) -> HashMap<String, usize> {
    let outputs = graph.output.iter().map(|output| &output.name);
    let mut readers = HashMap::new();
    for name in graph.node.iter().flat_map(|node| &node.input).chain(outputs) {
        *readers.entry(name.clone()).or_default() += 1;
    }
    readers
}

/// The weights of a node, where it is such a product, and the node that adds its bias.
fn product<'a, 'g>(
    node: &NodeProto,
    graph: &'g GraphProto,
    constants: &HashMap<&str, &TensorProto>,
    readers: &HashMap<String, usize>,
    file: &impl Fn(&str) -> Option<&'a [u8]>,
) -> Option<(Weights, Option<&'g NodeProto>)> {
    let ([_, weights], [output]) = (node.input.as_slice(), node.output.as_slice()) else { return None };
    if node.op_type != "MatMul" || !node.domain.is_empty() {
        return None;
    }
    let weights = constants.get(weights.as_str())?;
    let [depth, width] = *weights.dims.as_slice() else { return None };
    let (depth, width) = (usize::try_from(depth).ok()?, usize::try_from(width).ok()?);
    let matrix = floats(weights, file)?;
    if width == 0 || matrix.is_empty() || Some(matrix.len()) != depth.checked_mul(width) {
        return None;
    }
    let sum = (readers.get(output) == Some(&1))
        .then(|| graph.node.iter().find(|node| is_sum(node) && node.input.contains(output)))
        .flatten();
    let bias = sum.and_then(|sum| {
        let other = sum.input.iter().find(|input| *input != output)?;
        let bias = constants.get(other.as_str()).filter(|bias| bias.dims == [width as i64])?;
        floats(bias, file).filter(|bias| bias.len() == width)
    });
    let sum = sum.filter(|_| bias.is_some());
    Some((Weights { matrix, bias, width, is_head: false }, sum))
}

/// Whether a node adds two values up into one.
fn is_sum(node: &NodeProto) -> bool {
    node.op_type == "Add" && node.domain.is_empty() && node.output.len() == 1
}

/// A float32 tensor's numbers.
fn floats<'a>(tensor: &TensorProto, file: &impl Fn(&str) -> Option<&'a [u8]>) -> Option<Vec<f32>> {
    if tensor.data_type != data_type::FLOAT {
        return None;
    }
    let read = |bytes: &[u8]| bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    if tensor.data_location != Some(EXTERNAL) {
        return tensor.raw_data.as_deref().map(read);
    }
    let entry =
        |key: &str| tensor.external_data.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str());
    let offset: usize = entry("offset").map_or(Some(0), |offset| offset.parse().ok())?;
    let length: usize = entry("length")?.parse().ok()?;
    file(entry("location")?)?.get(offset..offset.checked_add(length)?).map(read)
}

/// Our operator in the place of `node`.
fn projection(node: &NodeProto, output: Vec<String>, matrix: usize) -> NodeProto {
    let place = AttributeProto {
        name: MATRIX.into(),
        i: Some(matrix as i64),
        r#type: attribute_type::INT,
        ..AttributeProto::default()
    };
    NodeProto {
        input: vec![node.input[0].clone()],
        output,
        name: node.name.clone(),
        op_type: PROJECTION.into(),
        attribute: vec![place],
        domain: DOMAIN.into(),
    }
}

#[cfg(test)]
mod tests {
    use xreport_models::onnx::proto::{
        StringStringEntryProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
    };

    use super::*;

    fn node(op_type: &str, input: &[&str], output: &str) -> NodeProto {
        NodeProto {
            input: input.iter().map(|&name| name.to_owned()).collect(),
            output: vec![output.into()],
            op_type: op_type.into(),
            ..NodeProto::default()
        }
    }

    fn tensor(name: &str, dims: &[i64], numbers: &[f32]) -> TensorProto {
        TensorProto {
            dims: dims.to_vec(),
            data_type: data_type::FLOAT,
            name: name.into(),
            raw_data: Some(numbers.iter().flat_map(|number| number.to_le_bytes()).collect()),
            ..TensorProto::default()
        }
    }

    fn bytes(node: Vec<NodeProto>, initializer: Vec<TensorProto>) -> Vec<u8> {
        let graph = Some(GraphProto { node, initializer, ..GraphProto::default() });
        ModelProto { graph, ..ModelProto::default() }.encode_to_vec()
    }

    #[test]
    fn a_product_and_its_bias_become_one_node_and_their_weights_leave() {
        let mut outside = tensor("w", &[2, 1], &[]);
        outside.raw_data = None;
        outside.data_location = Some(EXTERNAL);
        outside.external_data = [("location", "weights"), ("offset", "4"), ("length", "8")]
            .map(|(key, value)| StringStringEntryProto { key: key.into(), value: value.into() })
            .to_vec();
        let nodes = vec![
            node("MatMul", &["x", "w"], "y"),
            node("Add", &["b", "y"], "z"),
            node("Add", &["z", "b"], "end"),
            node("MatMul", &["end", "q"], "other"),
        ];
        let file: Vec<u8> = [9f32, 1.0, 2.0].iter().flat_map(|number| number.to_le_bytes()).collect();
        let given = bytes(nodes, vec![outside, tensor("b", &[1], &[0.5])]);
        let (bytes, taken) = rewrite(&given, |name| (name == "weights").then_some(file.as_slice())).expect("a product");
        assert_eq!(taken, [Weights { matrix: vec![1.0, 2.0], bias: Some(vec![0.5]), width: 1, is_head: false }]);
        let model = ModelProto::decode(bytes.as_slice()).unwrap();
        let graph = model.graph.unwrap();
        let kinds: Vec<_> = graph.node.iter().map(|node| (node.op_type.as_str(), node.output[0].as_str())).collect();
        assert_eq!(kinds, [(PROJECTION, "z"), ("Add", "end"), ("MatMul", "other")]);
        assert_eq!(graph.initializer.len(), 1, "the bias is still read elsewhere");
        assert!(model.opset_import.iter().any(|import| import.domain == DOMAIN));
        // Weights that are not there stay ONNX Runtime's business.
        assert!(rewrite(&given, |_| None).is_none());
    }

    #[test]
    fn a_product_that_others_read_keeps_its_sum_apart() {
        let nodes =
            vec![node("MatMul", &["x", "w"], "y"), node("Add", &["y", "b"], "z"), node("Add", &["y", "z"], "end")];
        let given = bytes(nodes, vec![tensor("w", &[1, 2], &[1.0, 2.0]), tensor("b", &[2], &[3.0, 4.0])]);
        let (bytes, taken) = rewrite(&given, |_| None).expect("a product");
        assert_eq!(taken[0].bias, None);
        let graph = ModelProto::decode(bytes.as_slice()).unwrap().graph.unwrap();
        assert_eq!(graph.node.len(), 3);
    }

    fn input(name: &str, elem_type: i32, axes: &[i64]) -> ValueInfoProto {
        let axis = |&length: &i64| DimensionProto { value: Some(dimension::Value::DimValue(length)) };
        let shape = Some(TensorShapeProto { dim: axes.iter().map(axis).collect() });
        let tensor_type = Some(TensorTypeProto { elem_type, shape });
        ValueInfoProto { name: name.into(), r#type: Some(TypeProto { tensor_type }) }
    }

    /// Kinds of the nodes of a graph with attention of `heads` heads to text and image.
    fn attentions(tokens: i64, elements: i32, size: i64, heads: i64) -> Option<Vec<String>> {
        let heads = |name: &str| AttributeProto { name: name.into(), i: Some(heads), ..AttributeProto::default() };
        let mut text = node("GroupQueryAttention", &["q", "", "", "k", "v", "position", "total"], "y");
        text.output.extend(["k2".into(), "v2".into()]);
        text.attribute = vec![heads("num_heads"), heads("kv_num_heads")];
        let mut image = node("MultiHeadAttention", &["y", "k", "v"], "z");
        image.attribute = vec![heads("num_heads")];
        for node in [&mut text, &mut image] {
            node.domain = "com.microsoft".into();
        }
        let graph = GraphProto {
            node: vec![text, image],
            input: vec![
                input(INPUT_IDS, data_type::INT64, &[2, tokens]),
                input("k", elements, &[2, 4, 16, size]),
                input("v", elements, &[2, 4, 16, size]),
            ],
            ..GraphProto::default()
        };
        let bytes = ModelProto { graph: Some(graph), ..ModelProto::default() }.encode_to_vec();
        let (bytes, _) = rewrite(&bytes, |_| None)?;
        let graph = ModelProto::decode(bytes.as_slice()).unwrap().graph.unwrap();
        assert_eq!(graph.node[0].input, ["q", "k", "v", "position"]);
        assert_eq!(graph.node[0].output, ["y", "k2", "v2"]);
        Some(graph.node.into_iter().map(|node| node.op_type).collect())
    }

    #[test]
    fn attention_of_one_token_with_floats_is_ours_and_no_other() {
        let ours = attentions(1, data_type::FLOAT, 32, 4);
        assert_eq!(ours, Some(vec![SELF_ATTENTION.to_owned(), CROSS_ATTENTION.to_owned()]));
        for others in [
            attentions(4, data_type::FLOAT, 32, 4),
            attentions(1, data_type::FLOAT16, 32, 4),
            attentions(1, data_type::FLOAT, 12, 4),
            attentions(1, data_type::FLOAT, 32, 2),
        ] {
            assert_eq!(others, None);
        }
    }

    #[test]
    fn nothing_is_nothing() {
        assert!(rewrite(b"no graph", |_| None).is_none());
        assert!(rewrite(&bytes(vec![node("MatMul", &["x", "w"], "y")], Vec::new()), |_| None).is_none());
    }
}

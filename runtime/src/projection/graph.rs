//! Takes the products with matrices of weights out of a graph.

use std::collections::{HashMap, HashSet};

use prost::Message;
use xreport_models::onnx::proto::{
    AttributeProto, EXTERNAL, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, attribute_type,
    data_type,
};

use super::DOMAIN;
use super::operator::{MATRIX, NAME};

/// A product that a graph makes: `input · weights + bias`.
#[derive(Debug, PartialEq)]
pub struct Weights {
    /// `[depth, width]` row-major.
    pub matrix: Vec<f32>,
    /// `[width]`.
    pub bias: Option<Vec<f32>>,
    /// Columns.
    pub width: usize,
}

/// The graph with an operator of ours in place of each `MatMul` with float32 weights of two axes, and of the `Add` of a bias
/// behind it; and the weights, which it no longer holds. `file` gives the bytes of an external file. `None` where the graph
/// has no such product, or one whose weights cannot be found: ONNX Runtime says what is wrong with it.
pub fn take_out<'a>(bytes: &[u8], file: impl Fn(&str) -> Option<&'a [u8]>) -> Option<(Vec<u8>, Vec<Weights>)> {
    let mut model = ModelProto::decode(bytes).ok()?;
    let graph = model.graph.as_mut()?;
    let constants: HashMap<&str, &TensorProto> =
        graph.initializer.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
    let readers = readers(graph);
    let mut taken = Vec::new();
    let mut added = HashSet::new();
    let mut nodes = Vec::new();
    for node in &graph.node {
        let Some((weights, sum)) = product(node, graph, &constants, &readers, &file) else {
            nodes.push(node.clone());
            continue;
        };
        let output = sum.map_or_else(|| node.output.clone(), |sum| sum.output.clone());
        added.extend(sum.map(|sum| sum.output[0].clone()));
        nodes.push(projection(node, output, taken.len()));
        taken.push(weights);
    }
    if taken.is_empty() {
        return None;
    }
    nodes.retain(|node| node.domain == DOMAIN || !node.output.iter().any(|output| added.contains(output)));
    graph.node = nodes;
    let used: HashSet<&str> = graph.node.iter().flat_map(|node| &node.input).map(String::as_str).collect();
    let used: HashSet<String> = used.into_iter().map(str::to_owned).collect();
    graph.initializer.retain(|tensor| used.contains(&tensor.name));
    model.opset_import.push(OperatorSetIdProto { domain: DOMAIN.into(), version: 1 });
    Some((model.encode_to_vec(), taken))
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
        .then(|| graph.node.iter().find(|node| node.op_type == "Add" && node.input.contains(output)))
        .flatten();
    let bias = sum.and_then(|sum| {
        let other = sum.input.iter().find(|input| *input != output)?;
        let bias = constants.get(other.as_str()).filter(|bias| bias.dims == [width as i64])?;
        floats(bias, file).filter(|bias| bias.len() == width)
    });
    let sum = sum.filter(|_| bias.is_some());
    Some((Weights { matrix, bias, width }, sum))
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
        op_type: NAME.into(),
        attribute: vec![place],
        domain: DOMAIN.into(),
    }
}

#[cfg(test)]
mod tests {
    use xreport_models::onnx::proto::StringStringEntryProto;

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
        let (bytes, taken) =
            take_out(&given, |name| (name == "weights").then_some(file.as_slice())).expect("a product");
        assert_eq!(taken, [Weights { matrix: vec![1.0, 2.0], bias: Some(vec![0.5]), width: 1 }]);
        let model = ModelProto::decode(bytes.as_slice()).unwrap();
        let graph = model.graph.unwrap();
        let kinds: Vec<_> = graph.node.iter().map(|node| (node.op_type.as_str(), node.output[0].as_str())).collect();
        assert_eq!(kinds, [(NAME, "z"), ("Add", "end"), ("MatMul", "other")]);
        assert_eq!(graph.initializer.len(), 1, "the bias is still read elsewhere");
        assert!(model.opset_import.iter().any(|import| import.domain == DOMAIN));
        // Weights that are not there stay ONNX Runtime's business.
        assert!(take_out(&given, |_| None).is_none());
    }

    #[test]
    fn a_product_that_others_read_keeps_its_sum_apart() {
        let nodes =
            vec![node("MatMul", &["x", "w"], "y"), node("Add", &["y", "b"], "z"), node("Add", &["y", "z"], "end")];
        let given = bytes(nodes, vec![tensor("w", &[1, 2], &[1.0, 2.0]), tensor("b", &[2], &[3.0, 4.0])]);
        let (bytes, taken) = take_out(&given, |_| None).expect("a product");
        assert_eq!(taken[0].bias, None);
        let graph = ModelProto::decode(bytes.as_slice()).unwrap().graph.unwrap();
        assert_eq!(graph.node.len(), 3);
    }

    #[test]
    fn nothing_is_nothing() {
        assert!(take_out(b"no graph", |_| None).is_none());
        assert!(take_out(&bytes(vec![node("MatMul", &["x", "w"], "y")], Vec::new()), |_| None).is_none());
    }
}

//! The end of a step's graph, from the scores of all tokens to the best one, as one operator of ours.

use std::collections::{HashMap, HashSet};

use xreport_models::bundle::interface::{LOG_PROBABILITY, LOGITS, NEXT_IDS};
use xreport_models::onnx::proto::{GraphProto, NodeProto, data_type};

use super::DOMAIN;
use super::head::{BEST, HEAD};
use super::operators::PROJECTION;

/// Puts our operator in place of what makes the best token and its log-probability of the scores, and where the scores are a
/// product of ours, of that as well. Whether it was done: what these outputs mean is the bundle's contract, however the graph
/// makes them, so that they must only depend on the scores alone.
pub fn replace(graph: &mut GraphProto) -> bool {
    let floats = |output: &&str| {
        let output = graph.output.iter().find(|its| its.name == **output);
        let tensor = output.and_then(|output| output.r#type.as_ref()?.tensor_type.as_ref());
        tensor.is_some_and(|tensor| tensor.elem_type == data_type::FLOAT)
    };
    let makers: HashMap<&str, usize> = graph
        .node
        .iter()
        .enumerate()
        .flat_map(|(at, node)| node.output.iter().map(move |o| (o.as_str(), at)))
        .collect();
    let (true, Some(&scores)) = ([LOGITS, LOG_PROBABILITY].iter().all(floats), makers.get(LOGITS)) else {
        return false;
    };
    let constants: HashSet<&str> = graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
    let alone = |output: &str| depends_on_scores_alone(graph, &makers, &constants, output);
    // A node that gives something else as well would be missed.
    let one_each = graph.node.iter().filter(|node| makes_best(node)).all(|node| node.output.len() == 1);
    if !(alone(NEXT_IDS) && alone(LOG_PROBABILITY) && one_each) {
        return false;
    }
    let mut ours = NodeProto { domain: DOMAIN.into(), ..graph.node[scores].clone() };
    if (graph.node[scores].domain.as_str(), ours.op_type.as_str()) == (DOMAIN, PROJECTION) {
        ours.op_type = HEAD.into();
        ours.output.extend([NEXT_IDS, LOG_PROBABILITY].map(str::to_owned));
        graph.node[scores] = ours;
    } else {
        ours.op_type = BEST.into();
        ours.name.push_str("/best");
        ours.attribute.clear();
        ours.input = vec![LOGITS.into()];
        ours.output = [NEXT_IDS, LOG_PROBABILITY].map(str::to_owned).to_vec();
        graph.node.insert(scores + 1, ours);
    }
    graph.node.retain(|node| node.domain == DOMAIN || !makes_best(node));
    remove_unread(graph);
    true
}

fn makes_best(node: &NodeProto) -> bool {
    node.output.iter().any(|output| output == NEXT_IDS || output == LOG_PROBABILITY)
}

/// Whether an output is made of the scores and constants, by way of one node at least.
fn depends_on_scores_alone(
    graph: &GraphProto,
    makers: &HashMap<&str, usize>,
    constants: &HashSet<&str>,
    output: &str,
) -> bool {
    let mut open = vec![output];
    let mut seen = HashSet::new();
    while let Some(value) = open.pop() {
        if value == LOGITS || value.is_empty() || constants.contains(value) || !seen.insert(value) {
            continue;
        }
        let Some(&maker) = makers.get(value) else { return false };
        open.extend(graph.node[maker].input.iter().map(String::as_str));
    }
    !seen.is_empty()
}

/// Removes nodes of which nothing is read any more.
fn remove_unread(graph: &mut GraphProto) {
    loop {
        let read: HashSet<&str> = graph.node.iter().flat_map(|node| &node.input).map(String::as_str).collect();
        let given: HashSet<&str> = graph.output.iter().map(|output| output.name.as_str()).collect();
        let is_read = |node: &NodeProto| {
            node.output.iter().any(|output| read.contains(output.as_str()) || given.contains(output.as_str()))
        };
        let kept: Vec<bool> = graph.node.iter().map(is_read).collect();
        if kept.iter().all(|&kept| kept) {
            return;
        }
        let mut kept = kept.into_iter();
        graph.node.retain(|_| kept.next().unwrap_or(true));
    }
}

#[cfg(test)]
mod tests {
    use xreport_models::onnx::proto::{TensorProto, TensorTypeProto, TypeProto, ValueInfoProto};

    use super::*;

    fn node(op_type: &str, input: &[&str], output: &str) -> NodeProto {
        NodeProto {
            input: input.iter().map(|&name| name.to_owned()).collect(),
            output: vec![output.into()],
            op_type: op_type.into(),
            ..NodeProto::default()
        }
    }

    /// A graph that ends as the exporter's do; `maker` makes the scores, and `beside` is what else the best one is made of.
    fn graph(maker: NodeProto, elem_type: i32, beside: &str) -> GraphProto {
        let output = |name: &str, elem_type| {
            let tensor_type = Some(TensorTypeProto { elem_type, shape: None });
            ValueInfoProto { name: name.into(), r#type: Some(TypeProto { tensor_type }) }
        };
        GraphProto {
            node: vec![
                maker,
                node("Pad", &[LOGITS, beside], "padded"),
                node("ArgMax", &["padded"], NEXT_IDS),
                node("LogSoftmax", &[LOGITS], "log"),
                node("ReduceMax", &["log"], LOG_PROBABILITY),
                node("LessOrEqual", &[LOG_PROBABILITY, "zero"], "next_position"),
            ],
            initializer: ["zero", "padding"]
                .map(|name| TensorProto { name: name.into(), ..TensorProto::default() })
                .to_vec(),
            output: vec![
                output(NEXT_IDS, data_type::INT64),
                output(LOG_PROBABILITY, data_type::FLOAT),
                output(LOGITS, elem_type),
                output("next_position", data_type::INT64),
            ],
            ..GraphProto::default()
        }
    }

    fn kinds(graph: &GraphProto) -> Vec<&str> {
        graph.node.iter().map(|node| node.op_type.as_str()).collect()
    }

    #[test]
    fn a_product_of_ours_becomes_the_head() {
        let ours = NodeProto { domain: DOMAIN.into(), ..node(PROJECTION, &["hidden"], LOGITS) };
        let mut graph = graph(ours, data_type::FLOAT, "padding");
        assert!(replace(&mut graph));
        assert_eq!(kinds(&graph), [HEAD, "LessOrEqual"]);
        assert_eq!(graph.node[0].output, [LOGITS, NEXT_IDS, LOG_PROBABILITY]);
    }

    #[test]
    fn scores_of_others_are_read() {
        let mut graph = graph(node("Add", &["product", "bias"], LOGITS), data_type::FLOAT, "padding");
        assert!(replace(&mut graph));
        assert_eq!(kinds(&graph), ["Add", BEST, "LessOrEqual"]);
        assert_eq!((&graph.node[1].input[..], graph.node[1].output.len()), (&[LOGITS.to_owned()][..], 2));
    }

    #[test]
    fn what_is_made_otherwise_stays() {
        let add = || node("Add", &["product", "bias"], LOGITS);
        for mut graph in [graph(add(), data_type::FLOAT, "an_input"), graph(add(), data_type::FLOAT16, "padding")] {
            assert!(!replace(&mut graph));
            assert_eq!(graph.node.len(), 6);
        }
    }
}

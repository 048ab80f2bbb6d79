//! A small typed graph builder: every value knows its axes and element type, every name is used once, constants are
//! interned, and an operator whose shapes do not fit panics where it is emitted.

use std::collections::{HashMap, HashSet};

use prost::Message;
use xreport_models::bundle::{Axis, DType, GraphInterface, TensorSpec};
use xreport_models::onnx::BUNDLE_ID_KEY;
use xreport_models::onnx::proto::{
    AttributeProto, DimensionProto, EXTERNAL, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    StringStringEntryProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto, attribute_type,
    data_type, dimension,
};

use super::quantize::LinearForm;
use super::weights::WeightFile;

/// Smaller tensors stand in the ONNX file itself.
const EXTERNAL_FROM_BYTES: usize = 256;
/// Domain of ONNX Runtime's own operators.
pub(super) const MICROSOFT: &str = "com.microsoft";

/// A value in the graph: the output of a node, an input, or a constant.
#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    pub(crate) name: String,
    pub(crate) dtype: DType,
    pub(crate) axes: Vec<Axis>,
}

impl Value {
    /// Number of axes.
    pub(super) fn rank(&self) -> usize {
        self.axes.len()
    }

    /// Size of axis `index`, counted from the end when negative; it must be fixed.
    pub(crate) fn fixed(&self, index: isize) -> i64 {
        let index = if index < 0 { self.rank() as isize + index } else { index } as usize;
        match &self.axes[index] {
            Axis::Fixed(size) => *size,
            Axis::Symbol(name) => panic!("axis {index} of `{}` is `{name}`, not a fixed size", self.name),
        }
    }
}

/// The ONNX versions that a graph is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GraphTarget {
    /// Version of the `ai.onnx` operator set.
    pub opset: i64,
    /// Version of the file format.
    pub ir_version: i64,
}

impl GraphTarget {
    /// Operator set 20: LayerNormalization and the reductions with axes as inputs.
    pub const OPSET_20: Self = Self { opset: 20, ir_version: 10 };
    /// Operator set 24: TensorScatter and Attention with a cache length.
    pub const OPSET_24: Self = Self { opset: 24, ir_version: 11 };
}

/// Collects the nodes of one graph.
#[derive(Debug)]
pub struct GraphBuilder<'w> {
    name: String,
    target: GraphTarget,
    linear_form: LinearForm,
    floats: DType,
    weights: &'w mut WeightFile,
    nodes: Vec<NodeProto>,
    initializers: Vec<TensorProto>,
    interned: HashMap<(i32, Vec<i64>, Vec<u8>), String>,
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
    names: HashSet<String>,
    counts: HashMap<String, usize>,
}

impl<'w> GraphBuilder<'w> {
    /// An empty graph whose larger weights go into `weights`.
    pub fn new(name: &str, target: GraphTarget, weights: &'w mut WeightFile) -> Self {
        Self {
            name: name.to_owned(),
            target,
            linear_form: LinearForm::Float,
            floats: DType::F32,
            weights,
            nodes: Vec::new(),
            initializers: Vec::new(),
            interned: HashMap::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            names: HashSet::new(),
            counts: HashMap::new(),
        }
    }

    /// Writes linear layers in another form than float.
    #[must_use]
    pub fn with_linear_form(self, form: LinearForm) -> Self {
        Self { linear_form: form, ..self }
    }

    /// Stores float weights in another width, F16, than 32 bits.
    #[must_use]
    pub fn with_floats(self, floats: DType) -> Self {
        Self { floats, ..self }
    }

    pub(super) fn linear_form(&self) -> LinearForm {
        self.linear_form
    }

    /// Element type of this graph's weights, and of what it computes with them.
    pub fn floats(&self) -> DType {
        self.floats
    }

    /// Declares a graph input.
    pub fn input(&mut self, spec: &TensorSpec) -> Value {
        self.claim(&spec.name);
        self.inputs.push(spec.clone());
        Value { name: spec.name.clone(), dtype: spec.dtype, axes: spec.axes.clone() }
    }

    /// Declares `value` as the graph output `spec`, whose name the value must bear and whose axes must be its own.
    ///
    /// # Panics
    /// If name, element type or axes differ.
    pub fn output(&mut self, value: &Value, spec: &TensorSpec) {
        let found = TensorSpec { name: value.name.clone(), dtype: value.dtype, axes: value.axes.clone() };
        assert_eq!(&found, spec, "the graph's output is not what the bundle's interface promises");
        self.outputs.push(spec.clone());
    }

    /// A float weight of a fixed shape, row-major, in this graph's width.
    pub fn weight(&mut self, shape: &[i64], values: &[f32]) -> Value {
        assert_eq!(shape.iter().product::<i64>(), values.len() as i64, "weight of shape {shape:?}");
        let bytes = match self.floats {
            DType::F16 => values.iter().flat_map(|&value| half::f16::from_f32(value).to_le_bytes()).collect(),
            _ => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        };
        self.constant(elem_type(self.floats), self.floats, shape, bytes)
    }

    /// A constant of unsigned bytes.
    pub(super) fn bytes(&mut self, shape: &[i64], values: Vec<u8>) -> Value {
        self.constant(data_type::UINT8, DType::U8, shape, values)
    }

    /// A constant of signed bytes.
    pub(super) fn signed_bytes(&mut self, shape: &[i64], values: &[i8]) -> Value {
        let bytes = values.iter().map(|&value| value.cast_unsigned()).collect();
        self.constant(data_type::INT8, DType::I8, shape, bytes)
    }

    /// A constant of 64-bit integers, one axis.
    pub fn ints(&mut self, values: &[i64]) -> Value {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(data_type::INT64, DType::I64, &[values.len() as i64], bytes)
    }

    /// A 32-bit float without axes.
    pub fn scalar(&mut self, value: f32) -> Value {
        self.constant(data_type::FLOAT, DType::F32, &[], value.to_le_bytes().to_vec())
    }

    /// An unsigned byte without axes.
    pub(super) fn scalar_u8(&mut self, value: u8) -> Value {
        self.constant(data_type::UINT8, DType::U8, &[], vec![value])
    }

    /// A 32-bit integer without axes.
    pub fn scalar_i32(&mut self, value: i32) -> Value {
        self.constant(data_type::INT32, DType::I32, &[], value.to_le_bytes().to_vec())
    }

    fn constant(&mut self, kind: i32, dtype: DType, shape: &[i64], bytes: Vec<u8>) -> Value {
        let axes = shape.iter().map(|&size| Axis::Fixed(size)).collect();
        let key = (kind, shape.to_vec(), bytes);
        if let Some(name) = self.interned.get(&key) {
            return Value { name: name.clone(), dtype, axes };
        }
        let name = self.fresh("constant");
        let mut tensor = TensorProto {
            dims: shape.to_vec(),
            data_type: kind,
            name: name.clone(),
            raw_data: None,
            external_data: Vec::new(),
            data_location: None,
        };
        if key.2.len() < EXTERNAL_FROM_BYTES {
            tensor.raw_data = Some(key.2.clone());
        } else {
            let offset = self.weights.store(&key.2);
            let entry = |key: &str, value: String| StringStringEntryProto { key: key.into(), value };
            tensor.data_location = Some(EXTERNAL);
            tensor.external_data = vec![
                entry("location", self.weights.name().to_owned()),
                entry("offset", offset.to_string()),
                entry("length", key.2.len().to_string()),
            ];
        }
        self.initializers.push(tensor);
        self.interned.insert(key, name.clone());
        Value { name, dtype, axes }
    }

    /// Appends a node with one output and returns it. `output`: its name, or a fresh one after the operator.
    pub(super) fn node(&mut self, node: Node, dtype: DType, axes: Vec<Axis>) -> Value {
        self.node_with_outputs(node, vec![(None, dtype, axes)]).remove(0)
    }

    /// Appends a node with several outputs, each with a name or a fresh one.
    pub(super) fn node_with_outputs(
        &mut self,
        node: Node,
        outputs: Vec<(Option<&str>, DType, Vec<Axis>)>,
    ) -> Vec<Value> {
        let values: Vec<Value> = outputs
            .into_iter()
            .map(|(name, dtype, axes)| {
                let name = match name {
                    Some(name) => {
                        self.claim(name);
                        name.to_owned()
                    }
                    None => self.fresh(&node.op.to_lowercase()),
                };
                Value { name, dtype, axes }
            })
            .collect();
        let name = self.fresh(&format!("node_{}", node.op.to_lowercase()));
        self.nodes.push(NodeProto {
            input: node.inputs,
            output: values.iter().map(|value| value.name.clone()).collect(),
            name,
            op_type: node.op.to_owned(),
            attribute: node.attributes,
            domain: node.domain.to_owned(),
        });
        values
    }

    fn fresh(&mut self, stem: &str) -> String {
        loop {
            let count = self.counts.entry(stem.to_owned()).or_insert(0);
            *count += 1;
            let name = format!("{stem}_{count}");
            if self.names.insert(name.clone()) {
                return name;
            }
        }
    }

    fn claim(&mut self, name: &str) {
        assert!(self.names.insert(name.to_owned()), "the name `{name}` is used twice in graph `{}`", self.name);
    }

    /// Inputs and outputs as declared so far.
    pub fn interface(&self) -> GraphInterface {
        GraphInterface { inputs: self.inputs.clone(), outputs: self.outputs.clone() }
    }

    /// The ONNX file's bytes, with the bundle's id in its metadata.
    pub fn finish(self, bundle_id: &str) -> Vec<u8> {
        let import = |domain: &str, version| OperatorSetIdProto { domain: domain.to_owned(), version };
        ModelProto {
            ir_version: self.target.ir_version,
            producer_name: "xreport-train".into(),
            producer_version: env!("CARGO_PKG_VERSION").into(),
            opset_import: vec![import("", self.target.opset), import(MICROSOFT, 1)],
            metadata_props: vec![StringStringEntryProto { key: BUNDLE_ID_KEY.into(), value: bundle_id.into() }],
            graph: Some(GraphProto {
                node: self.nodes,
                name: self.name,
                initializer: self.initializers,
                input: self.inputs.iter().map(value_info).collect(),
                output: self.outputs.iter().map(value_info).collect(),
            }),
        }
        .encode_to_vec()
    }
}

/// An operator with its inputs and attributes.
#[derive(Debug)]
pub(super) struct Node {
    op: &'static str,
    domain: &'static str,
    inputs: Vec<String>,
    attributes: Vec<AttributeProto>,
}

impl Node {
    /// An operator of the ONNX standard.
    pub(super) fn new(op: &'static str, inputs: &[&Value]) -> Self {
        Self { op, domain: "", inputs: inputs.iter().map(|value| value.name.clone()).collect(), attributes: vec![] }
    }

    /// An operator of ONNX Runtime; `None` is an input left out.
    pub(super) fn microsoft(op: &'static str, inputs: &[Option<&Value>]) -> Self {
        Self { domain: MICROSOFT, ..Self::optional(op, inputs) }
    }

    /// An operator of the standard with inputs left out.
    pub(super) fn optional(op: &'static str, inputs: &[Option<&Value>]) -> Self {
        let inputs = inputs.iter().map(|value| value.map_or_else(String::new, |v| v.name.clone())).collect();
        Self { op, domain: "", inputs, attributes: vec![] }
    }

    pub(super) fn int(mut self, name: &str, value: i64) -> Self {
        self.attributes.push(AttributeProto {
            name: name.into(),
            i: Some(value),
            r#type: attribute_type::INT,
            ..AttributeProto::default()
        });
        self
    }

    pub(super) fn float(mut self, name: &str, value: f32) -> Self {
        self.attributes.push(AttributeProto {
            name: name.into(),
            f: Some(value),
            r#type: attribute_type::FLOAT,
            ..AttributeProto::default()
        });
        self
    }

    pub(super) fn list(mut self, name: &str, values: &[i64]) -> Self {
        self.attributes.push(AttributeProto {
            name: name.into(),
            ints: values.to_vec(),
            r#type: attribute_type::INTS,
            ..AttributeProto::default()
        });
        self
    }
}

fn value_info(spec: &TensorSpec) -> ValueInfoProto {
    let dim = spec
        .axes
        .iter()
        .map(|axis| DimensionProto {
            value: Some(match axis {
                Axis::Fixed(size) => dimension::Value::DimValue(*size),
                Axis::Symbol(name) => dimension::Value::DimParam(name.clone()),
            }),
        })
        .collect();
    let elem_type = elem_type(spec.dtype);
    let tensor_type = Some(TensorTypeProto { elem_type, shape: Some(TensorShapeProto { dim }) });
    ValueInfoProto { name: spec.name.clone(), r#type: Some(TypeProto { tensor_type }) }
}

/// ONNX's number of an element type.
pub(super) fn elem_type(dtype: DType) -> i32 {
    match dtype {
        DType::F32 => data_type::FLOAT,
        DType::F16 => data_type::FLOAT16,
        DType::U8 => data_type::UINT8,
        DType::I8 => data_type::INT8,
        DType::I32 => data_type::INT32,
        DType::I64 => data_type::INT64,
    }
}

//! What a loader must know of an ONNX file before it hands the bytes to ONNX Runtime.

use std::collections::BTreeSet;

use prost::Message;
use thiserror::Error;

use super::proto::{
    DimensionProto, EXTERNAL, OperatorSetIdProto, StringStringEntryProto, ValueInfoProto, data_type, dimension,
};
use crate::bundle::{Axis, DType, TensorSpec};

/// Why bytes are not an ONNX file that XREPORT can use.
#[derive(Debug, Error)]
pub enum HeaderError {
    /// The bytes are no ONNX protobuf.
    #[error("not an ONNX file: {0}")]
    Protobuf(#[from] prost::DecodeError),
    /// The model holds no graph.
    #[error("the ONNX file holds no graph")]
    NoGraph,
    /// An input or output lacks a tensor type, or has an element type that no XREPORT graph uses.
    #[error("`{tensor}` has {problem}")]
    Tensor {
        /// Name of the input or output.
        tensor: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// The header of an ONNX file: everything but nodes and weights.
#[derive(Debug, Clone, PartialEq)]
pub struct OnnxHeader {
    /// Graph inputs, in file order.
    pub inputs: Vec<TensorSpec>,
    /// Graph outputs, in file order.
    pub outputs: Vec<TensorSpec>,
    /// Names of the files in which weights lie outside the ONNX file.
    pub external_files: BTreeSet<String>,
    /// Bytes of the weights that lie there.
    pub external_bytes: u64,
    metadata: Vec<StringStringEntryProto>,
}

impl OnnxHeader {
    /// Reads the header; nodes and weights are skipped without being copied.
    pub fn read(bytes: &[u8]) -> Result<Self, HeaderError> {
        let model = ModelHeader::decode(bytes)?;
        let graph = model.graph.ok_or(HeaderError::NoGraph)?;
        let external_files = graph
            .initializer
            .iter()
            .filter(|tensor| tensor.data_location == Some(EXTERNAL))
            .flat_map(|tensor| &tensor.external_data)
            .filter(|entry| entry.key == "location")
            .map(|entry| entry.value.clone())
            .collect();
        let external_bytes = graph
            .initializer
            .iter()
            .flat_map(|tensor| &tensor.external_data)
            .filter(|entry| entry.key == "length")
            .filter_map(|entry| entry.value.parse::<u64>().ok())
            .sum();
        Ok(Self {
            inputs: graph.input.iter().map(tensor_spec).collect::<Result<_, _>>()?,
            outputs: graph.output.iter().map(tensor_spec).collect::<Result<_, _>>()?,
            external_files,
            external_bytes,
            metadata: model.metadata_props,
        })
    }

    /// The value of a metadata key.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str())
    }
}

fn tensor_spec(info: &ValueInfoProto) -> Result<TensorSpec, HeaderError> {
    let fail = |problem: String| HeaderError::Tensor { tensor: info.name.clone(), problem };
    let tensor =
        info.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref()).ok_or_else(|| fail("no tensor type".into()))?;
    let dtype = match tensor.elem_type {
        data_type::FLOAT => DType::F32,
        data_type::FLOAT16 => DType::F16,
        data_type::UINT8 => DType::U8,
        data_type::INT8 => DType::I8,
        data_type::INT32 => DType::I32,
        data_type::INT64 => DType::I64,
        other => return Err(fail(format!("element type {other}, which no XREPORT graph uses"))),
    };
    let shape = tensor.shape.as_ref().ok_or_else(|| fail("no shape".into()))?;
    let axes = shape
        .dim
        .iter()
        .map(|DimensionProto { value }| match value {
            Some(dimension::Value::DimValue(size)) => Ok(Axis::Fixed(*size)),
            Some(dimension::Value::DimParam(name)) => Ok(Axis::Symbol(name.clone())),
            None => Err(fail("an axis with neither size nor name".into())),
        })
        .collect::<Result<_, _>>()?;
    Ok(TensorSpec { name: info.name.clone(), dtype, axes })
}

// The same messages as in `proto`, less the fields that a header does not need: prost skips these.
#[derive(Clone, PartialEq, Message)]
struct ModelHeader {
    #[prost(message, optional, tag = "7")]
    graph: Option<GraphHeader>,
    #[prost(message, repeated, tag = "8")]
    opset_import: Vec<OperatorSetIdProto>,
    #[prost(message, repeated, tag = "14")]
    metadata_props: Vec<StringStringEntryProto>,
}

#[derive(Clone, PartialEq, Message)]
struct GraphHeader {
    #[prost(message, repeated, tag = "5")]
    initializer: Vec<InitializerHeader>,
    #[prost(message, repeated, tag = "11")]
    input: Vec<ValueInfoProto>,
    #[prost(message, repeated, tag = "12")]
    output: Vec<ValueInfoProto>,
}

#[derive(Clone, PartialEq, Message)]
struct InitializerHeader {
    #[prost(message, repeated, tag = "13")]
    external_data: Vec<StringStringEntryProto>,
    #[prost(int32, optional, tag = "14")]
    data_location: Option<i32>,
}

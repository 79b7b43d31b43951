//! A writer for the small part of the ONNX format that one model needs.
//!
//! ONNX is a protobuf message. The few fields used here are encoded by hand, because these lines
//! are easier to audit than a protobuf library and a code generator. Field numbers are those of
//! `onnx.proto`, named at each use.

use std::io::{self, Write};

/// The operator set that the graph is written for: the first one with `LayerNormalization`.
const OPSET: u64 = 17;
/// The version of the file format that belongs to [`OPSET`].
const IR_VERSION: u64 = 8;

/// An element type of a tensor, with its number in `TensorProto.DataType`.
#[derive(Clone, Copy)]
pub(super) enum DataType {
    F32 = 1,
    I64 = 7,
}

/// A dimension of a graph input or output.
pub(super) enum Dim {
    Fixed(usize),
    /// Any size; equal names mean equal sizes.
    Named(&'static str),
}

/// An attribute of a node.
pub(super) enum Attribute {
    Float(f32),
    Int(i64),
    Ints(&'static [i64]),
}

/// A graph under construction. Nodes must be added after the nodes that produce their inputs.
pub(super) struct Graph {
    message: Message,
    nodes: usize,
}

impl Graph {
    pub(super) fn new(name: &str) -> Self {
        let mut message = Message::default();
        message.text(2, name); // GraphProto.name
        Self { message, nodes: 0 }
    }

    pub(super) fn input(&mut self, name: &str, data_type: DataType, dims: &[Dim]) {
        self.message.message(11, &value_info(name, data_type, dims)); // GraphProto.input
    }

    pub(super) fn output(&mut self, name: &str, data_type: DataType, dims: &[Dim]) {
        self.message.message(12, &value_info(name, data_type, dims)); // GraphProto.output
    }

    /// Adds a constant tensor. `data` holds its elements, row by row, little-endian.
    pub(super) fn constant(&mut self, name: &str, data_type: DataType, dims: &[usize], data: &[u8]) {
        let mut head = Message::default();
        for dim in dims {
            head.varint(1, *dim as u64); // TensorProto.dims
        }
        head.varint(2, data_type as u64); // TensorProto.data_type
        head.text(8, name); // TensorProto.name
        // The payload is most of the file, so it is appended to the graph directly instead of being
        // copied through another message.
        self.message.tag(5, LENGTH_DELIMITED); // GraphProto.initializer
        let payload_head = varint_length(u64::from(9_u32 << 3)) + varint_length(data.len() as u64);
        self.message.raw_varint((head.bytes.len() + payload_head + data.len()) as u64);
        self.message.bytes.extend_from_slice(&head.bytes);
        self.message.blob(9, data); // TensorProto.raw_data
    }

    /// Adds a constant vector of integers, for shapes, axes and bounds.
    pub(super) fn ints(&mut self, name: &str, values: &[i64]) {
        let data: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(name, DataType::I64, &[values.len()], &data);
    }

    /// Adds a constant number (a tensor without dimensions).
    pub(super) fn scalar(&mut self, name: &str, value: f32) {
        self.constant(name, DataType::F32, &[], &value.to_le_bytes());
    }

    /// Adds an operation with one output, and returns the name `output`.
    pub(super) fn node(
        &mut self,
        operator: &str,
        inputs: &[&str],
        output: &str,
        attributes: &[(&str, Attribute)],
    ) -> String {
        let mut node = Message::default();
        for input in inputs {
            node.text(1, input); // NodeProto.input
        }
        node.text(2, output); // NodeProto.output
        node.text(3, &format!("{operator}_{}", self.nodes)); // NodeProto.name
        node.text(4, operator); // NodeProto.op_type
        for (name, value) in attributes {
            node.message(5, &attribute(name, value)); // NodeProto.attribute
        }
        self.message.message(1, &node); // GraphProto.node
        self.nodes += 1;
        output.to_owned()
    }

    /// Writes the model file.
    pub(super) fn write_model(&self, to: &mut impl Write, producer: &str) -> io::Result<()> {
        let mut opset = Message::default();
        opset.text(1, ""); // OperatorSetIdProto.domain: the standard one
        opset.varint(2, OPSET); // OperatorSetIdProto.version

        let mut head = Message::default();
        head.varint(1, IR_VERSION); // ModelProto.ir_version
        head.text(2, producer); // ModelProto.producer_name
        head.message(8, &opset); // ModelProto.opset_import
        head.tag(7, LENGTH_DELIMITED); // ModelProto.graph
        head.raw_varint(self.message.bytes.len() as u64);
        to.write_all(&head.bytes)?;
        to.write_all(&self.message.bytes)
    }
}

fn value_info(name: &str, data_type: DataType, dims: &[Dim]) -> Message {
    let mut shape = Message::default();
    for dim in dims {
        let mut message = Message::default();
        match dim {
            Dim::Fixed(size) => message.varint(1, *size as u64), // Dimension.dim_value
            Dim::Named(name) => message.text(2, name),           // Dimension.dim_param
        }
        shape.message(1, &message); // TensorShapeProto.dim
    }
    let mut tensor = Message::default();
    tensor.varint(1, data_type as u64); // TypeProto.Tensor.elem_type
    tensor.message(2, &shape); // TypeProto.Tensor.shape
    let mut kind = Message::default();
    kind.message(1, &tensor); // TypeProto.tensor_type
    let mut info = Message::default();
    info.text(1, name); // ValueInfoProto.name
    info.message(2, &kind); // ValueInfoProto.type
    info
}

fn attribute(name: &str, value: &Attribute) -> Message {
    let mut message = Message::default();
    message.text(1, name); // AttributeProto.name
    // Each value is followed by AttributeProto.type, which readers require.
    match value {
        Attribute::Float(value) => {
            message.tag(2, FIXED_32); // AttributeProto.f
            message.bytes.extend_from_slice(&value.to_le_bytes());
            message.varint(20, 1);
        }
        Attribute::Int(value) => {
            message.varint(3, value.cast_unsigned()); // AttributeProto.i
            message.varint(20, 2);
        }
        Attribute::Ints(values) => {
            for value in *values {
                message.varint(8, value.cast_unsigned()); // AttributeProto.ints
            }
            message.varint(20, 7);
        }
    }
    message
}

const VARINT: u32 = 0;
const LENGTH_DELIMITED: u32 = 2;
const FIXED_32: u32 = 5;

/// A protobuf message: fields in the order in which they were added.
#[derive(Default)]
struct Message {
    bytes: Vec<u8>,
}

impl Message {
    fn tag(&mut self, field: u32, wire_type: u32) {
        self.raw_varint(u64::from(field << 3 | wire_type));
    }

    fn varint(&mut self, field: u32, value: u64) {
        self.tag(field, VARINT);
        self.raw_varint(value);
    }

    fn blob(&mut self, field: u32, bytes: &[u8]) {
        self.tag(field, LENGTH_DELIMITED);
        self.raw_varint(bytes.len() as u64);
        self.bytes.extend_from_slice(bytes);
    }

    fn text(&mut self, field: u32, text: &str) {
        self.blob(field, text.as_bytes());
    }

    fn message(&mut self, field: u32, message: &Message) {
        self.blob(field, &message.bytes);
    }

    /// Appends a base-128 varint: seven bits per byte, lowest first; the top bit is set on all
    /// bytes but the last.
    fn raw_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }
}

/// Returns the number of bytes that [`Message::raw_varint`] writes for `value`.
fn varint_length(value: u64) -> usize {
    (64 - (value | 1).leading_zeros()).div_ceil(7) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_are_split_into_groups_of_seven_bits() {
        for (value, bytes) in [(0, vec![0]), (127, vec![127]), (128, vec![128, 1]), (300, vec![0xac, 2])] {
            let mut message = Message::default();
            message.raw_varint(value);
            assert_eq!(message.bytes, bytes);
            assert_eq!(varint_length(value), bytes.len());
        }
        assert_eq!(varint_length(u64::MAX), 10);
    }

    #[test]
    fn negative_attributes_take_ten_bytes() {
        let message = attribute("axis", &Attribute::Int(-1));
        let mut expected = vec![10, 4];
        expected.extend_from_slice(b"axis");
        expected.extend_from_slice(&[0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0xa0, 1, 2]);
        assert_eq!(message.bytes, expected);
    }

    #[test]
    fn a_constant_announces_exactly_the_bytes_that_follow() {
        let mut graph = Graph { message: Message::default(), nodes: 0 };
        graph.ints("n", &[7, -1]);
        let bytes = &graph.message.bytes;
        assert_eq!(bytes[0], 5 << 3 | 2);
        assert_eq!(usize::from(bytes[1]), bytes.len() - 2);
    }
}

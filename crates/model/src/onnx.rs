//! The part of the ONNX file format that we read, straight from the wire.
//!
//! Source: onnx.proto of ONNX 1.12 to 1.20 (field numbers: [`field`]) and the protocol-buffers encoding. The
//! depth is fixed (model, graph, node, attribute, tensor), nothing is allocated before its count is
//! checked, and fields that we do not know are skipped. Why not a generated parser:
//! docs/decisions/0002-onnx-parser.md.

mod field;
mod write;

use std::collections::BTreeSet;

use crate::error::ImportError;
use crate::limits;
use field::{attribute, graph, model, node, operator_set, tensor, value_info};

pub(crate) use write::ML_DOMAIN;

/// A field's payload on the wire.
#[derive(Clone, Copy, Debug)]
enum Wire<'a> {
    Varint(u64),
    Fixed64,
    Fixed32(u32),
    Bytes(&'a [u8]),
}

/// Fields of one message, in file order.
struct Fields<'a> {
    rest: &'a [u8],
}

fn malformed(what: &str) -> ImportError {
    ImportError::Onnx(what.to_string())
}

fn varint(rest: &mut &[u8]) -> Result<u64, ImportError> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, tail) = rest.split_first().ok_or_else(|| malformed("ends inside a number"))?;
        *rest = tail;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(malformed("a number is longer than ten bytes"))
}

fn take<'a>(rest: &mut &'a [u8], n: u64) -> Result<&'a [u8], ImportError> {
    let n = usize::try_from(n).ok().filter(|n| *n <= rest.len());
    let (head, tail) = rest.split_at(n.ok_or_else(|| malformed("ends inside a field"))?);
    *rest = tail;
    Ok(head)
}

impl<'a> Fields<'a> {
    fn of(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    fn next(&mut self) -> Result<Option<(u64, Wire<'a>)>, ImportError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = varint(&mut self.rest)?;
        let wire = match key & 7 {
            0 => Wire::Varint(varint(&mut self.rest)?),
            1 => {
                take(&mut self.rest, 8)?;
                Wire::Fixed64
            }
            2 => {
                let n = varint(&mut self.rest)?;
                Wire::Bytes(take(&mut self.rest, n)?)
            }
            5 => Wire::Fixed32(u32::from_le_bytes(
                take(&mut self.rest, 4)?.try_into().expect("4 bytes were taken"),
            )),
            other => {
                return Err(malformed(&format!("wire type {other}, which protocol buffers do not have")));
            }
        };
        Ok(Some((key >> 3, wire)))
    }
}

impl<'a> Wire<'a> {
    fn bytes(self) -> Result<&'a [u8], ImportError> {
        match self {
            Wire::Bytes(b) => Ok(b),
            _ => Err(malformed("a field that should be a string or a message is a number")),
        }
    }

    fn text(self) -> Result<String, ImportError> {
        let bytes = self.bytes()?;
        if bytes.len() > limits::MAX_NAME_BYTES {
            return Err(malformed("a name is too long"));
        }
        String::from_utf8(bytes.to_vec()).map_err(|_| malformed("a name is not UTF-8"))
    }

    fn int(self) -> Result<i64, ImportError> {
        match self {
            Wire::Varint(v) => Ok(v as i64),
            _ => Err(malformed("a field that should be an integer is not")),
        }
    }

    /// Appends a repeated integer, packed or not.
    fn ints(self, into: &mut Vec<i64>, most: usize) -> Result<(), ImportError> {
        match self {
            Wire::Varint(v) => into.push(v as i64),
            Wire::Bytes(mut packed) => {
                while !packed.is_empty() && into.len() <= most {
                    into.push(varint(&mut packed)? as i64);
                }
            }
            _ => return Err(malformed("a list of integers is not")),
        }
        if into.len() > most { Err(malformed("a list is too long")) } else { Ok(()) }
    }

    /// Appends a repeated float, packed or not.
    fn floats(self, into: &mut Vec<f32>, most: usize) -> Result<(), ImportError> {
        match self {
            Wire::Fixed32(v) => into.push(f32::from_bits(v)),
            Wire::Bytes(packed) if packed.len().is_multiple_of(4) && packed.len() / 4 <= most => {
                into.extend(
                    packed.chunks_exact(4).map(|c| f32::from_le_bytes(c.try_into().expect("chunks of 4"))),
                );
            }
            _ => return Err(malformed("a list of floats is too long or not floats")),
        }
        if into.len() > most { Err(malformed("a list is too long")) } else { Ok(()) }
    }
}

fn push<T>(into: &mut Vec<T>, item: T, most: usize, what: &str) -> Result<(), ImportError> {
    if into.len() >= most {
        return Err(malformed(&format!("more than {most} {what}")));
    }
    into.push(item);
    Ok(())
}

/// Numbers of a constant tensor.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Numbers {
    /// FLOAT or DOUBLE.
    Float(Vec<f32>),
    /// INT64, INT32, INT8, UINT8, BOOL.
    Int(Vec<i64>),
}

/// A constant tensor, row-major.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Constant {
    pub dims: Vec<usize>,
    pub numbers: Numbers,
}

/// An attribute; only the field that its type names is filled.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attribute {
    pub name: String,
    pub float: Option<f32>,
    pub int: Option<i64>,
    pub text: Option<String>,
    pub tensor: Option<Result<Constant, String>>,
    pub floats: Vec<f32>,
    pub ints: Vec<i64>,
    pub texts: Vec<String>,
}

/// One operator of the foreign graph.
#[derive(Clone, Debug, Default)]
pub(crate) struct OnnxNode {
    pub name: String,
    pub op: String,
    pub domain: String,
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
    pub attributes: Vec<Attribute>,
}

/// An input or output of the foreign graph. A dimension is `None` where the file leaves it open.
#[derive(Clone, Debug, Default)]
pub(crate) struct ValueInfo {
    pub name: String,
    pub element: i64,
    pub dims: Option<Vec<Option<usize>>>,
}

/// A parsed file.
#[derive(Clone, Debug, Default)]
pub(crate) struct OnnxModel {
    /// Version of the default operator set.
    pub opset: i64,
    pub nodes: Vec<OnnxNode>,
    /// A constant that cannot be read is an error only where it is used.
    pub initializers: Vec<(String, Result<Constant, String>)>,
    /// Those that are stored as unsigned bytes.
    pub unsigned: BTreeSet<String>,
    pub inputs: Vec<ValueInfo>,
    pub outputs: Vec<ValueInfo>,
}

impl OnnxModel {
    /// Parses a file.
    ///
    /// Errors: not protocol buffers, no graph, an operator set outside 13 to 22, a count beyond [`limits`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ImportError> {
        if bytes.len() > limits::MAX_ONNX_BYTES {
            return Err(malformed(&format!(
                "{} bytes, at most {} are read",
                bytes.len(),
                limits::MAX_ONNX_BYTES
            )));
        }
        let mut model = Self::default();
        let (mut graph, mut opset, mut fields) = (None, None, Fields::of(bytes));
        while let Some((number, wire)) = fields.next()? {
            match number {
                model::GRAPH => graph = Some(wire.bytes()?),
                model::OPERATOR_SET => {
                    let (domain, version) = read_operator_set(wire.bytes()?)?;
                    if domain.is_empty() || domain == "ai.onnx" {
                        opset = Some(version);
                    }
                }
                _ => {}
            }
        }
        model.opset = opset.ok_or_else(|| malformed("names no operator set: is it an ONNX file?"))?;
        if !(13..=22).contains(&model.opset) {
            return Err(malformed(&format!(
                "operator set {}, 13 to 22 are read: export with opset 17",
                model.opset
            )));
        }
        model.read_graph(graph.ok_or_else(|| malformed("holds no graph"))?)?;
        Ok(model)
    }

    fn read_graph(&mut self, bytes: &[u8]) -> Result<(), ImportError> {
        let mut fields = Fields::of(bytes);
        let mut parameters = 0usize;
        while let Some((number, wire)) = fields.next()? {
            match number {
                graph::NODE => push(
                    &mut self.nodes,
                    read_node(wire.bytes()?, &mut parameters)?,
                    limits::MAX_NODES,
                    "nodes",
                )?,
                graph::INITIALIZER => {
                    let bytes = wire.bytes()?;
                    let named = read_tensor(bytes, &mut parameters)?;
                    if element_type(bytes)? == UINT8 {
                        self.unsigned.insert(named.0.clone());
                    }
                    push(&mut self.initializers, named, limits::MAX_INITIALIZERS, "initializers")?;
                }
                graph::INPUT => push(
                    &mut self.inputs,
                    read_value_info(wire.bytes()?)?,
                    limits::MAX_INITIALIZERS,
                    "inputs",
                )?,
                graph::OUTPUT => push(
                    &mut self.outputs,
                    read_value_info(wire.bytes()?)?,
                    limits::MAX_NODE_FIELDS,
                    "outputs",
                )?,
                graph::SPARSE_INITIALIZER => {
                    return Err(malformed("sparse initializers are not read: export dense weights"));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn read_operator_set(bytes: &[u8]) -> Result<(String, i64), ImportError> {
    let (mut domain, mut version, mut fields) = (String::new(), 0, Fields::of(bytes));
    while let Some((number, wire)) = fields.next()? {
        match number {
            operator_set::DOMAIN => domain = wire.text()?,
            operator_set::VERSION => version = wire.int()?,
            _ => {}
        }
    }
    Ok((domain, version))
}

fn read_node(bytes: &[u8], parameters: &mut usize) -> Result<OnnxNode, ImportError> {
    let (mut node, mut fields) = (OnnxNode::default(), Fields::of(bytes));
    let most = limits::MAX_NODE_FIELDS;
    while let Some((number, wire)) = fields.next()? {
        match number {
            node::INPUT => push(&mut node.inputs, wire.text()?, most, "inputs of a node")?,
            node::OUTPUT => push(&mut node.outputs, wire.text()?, most, "outputs of a node")?,
            node::NAME => node.name = wire.text()?,
            node::OPERATOR => node.op = wire.text()?,
            node::ATTRIBUTE => push(
                &mut node.attributes,
                read_attribute(wire.bytes()?, parameters)?,
                most,
                "attributes of a node",
            )?,
            node::DOMAIN => node.domain = wire.text()?,
            _ => {}
        }
    }
    if node.name.is_empty() {
        node.name = node.outputs.first().cloned().unwrap_or_default();
    }
    Ok(node)
}

fn read_attribute(bytes: &[u8], parameters: &mut usize) -> Result<Attribute, ImportError> {
    let (mut a, mut fields) = (Attribute::default(), Fields::of(bytes));
    while let Some((number, wire)) = fields.next()? {
        match (number, wire) {
            (attribute::NAME, _) => a.name = wire.text()?,
            (attribute::FLOAT, Wire::Fixed32(v)) => a.float = Some(f32::from_bits(v)),
            (attribute::INT, _) => a.int = Some(wire.int()?),
            (attribute::TEXT, _) => a.text = wire.text().ok(),
            (attribute::TENSOR, _) => a.tensor = Some(read_tensor(wire.bytes()?, parameters)?.1),
            (attribute::FLOATS, _) => wire.floats(&mut a.floats, limits::MAX_LIST)?,
            (attribute::INTS, _) => wire.ints(&mut a.ints, limits::MAX_LIST)?,
            (attribute::TEXTS, _) => {
                push(&mut a.texts, wire.text()?, limits::MAX_LIST, "texts of an attribute")?
            }
            _ => {}
        }
    }
    Ok(a)
}

fn read_value_info(bytes: &[u8]) -> Result<ValueInfo, ImportError> {
    let (mut info, mut fields) = (ValueInfo::default(), Fields::of(bytes));
    while let Some((number, wire)) = fields.next()? {
        match number {
            value_info::NAME => info.name = wire.text()?,
            value_info::TYPE => {
                let mut kinds = Fields::of(wire.bytes()?);
                while let Some((kind, tensor_type)) = kinds.next()? {
                    if kind == value_info::TENSOR {
                        read_tensor_type(tensor_type.bytes()?, &mut info)?;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(info)
}

fn read_tensor_type(bytes: &[u8], info: &mut ValueInfo) -> Result<(), ImportError> {
    let mut fields = Fields::of(bytes);
    while let Some((number, wire)) = fields.next()? {
        match number {
            value_info::ELEMENT => info.element = wire.int()?,
            value_info::SHAPE => {
                let (mut dims, mut axes) = (Vec::new(), Fields::of(wire.bytes()?));
                while let Some((axis, dim)) = axes.next()? {
                    if axis == value_info::AXIS {
                        push(&mut dims, read_dimension(dim.bytes()?)?, limits::MAX_RANK, "axes of a tensor")?;
                    }
                }
                info.dims = Some(dims);
            }
            _ => {}
        }
    }
    Ok(())
}

fn read_dimension(bytes: &[u8]) -> Result<Option<usize>, ImportError> {
    let (mut size, mut fields) = (None, Fields::of(bytes));
    while let Some((number, wire)) = fields.next()? {
        if number == value_info::SIZE {
            size = usize::try_from(wire.int()?).ok().filter(|n| *n > 0);
        }
    }
    Ok(size)
}

/// The element type of unsigned bytes.
const UINT8: i64 = 2;

/// Payload of a TensorProto before its type is applied.
#[derive(Default)]
struct RawTensor<'a> {
    dims: Vec<i64>,
    element: i64,
    floats: Vec<f32>,
    ints: Vec<i64>,
    raw: Option<&'a [u8]>,
    external: bool,
    other: bool,
}

/// Name and value of a tensor. The inner error says why this tensor cannot be used; the outer one that the
/// file is malformed.
fn read_tensor(
    bytes: &[u8],
    parameters: &mut usize,
) -> Result<(String, Result<Constant, String>), ImportError> {
    let (mut t, mut name, mut fields) = (RawTensor::default(), String::new(), Fields::of(bytes));
    while let Some((number, wire)) = fields.next()? {
        match number {
            tensor::DIMS => wire.ints(&mut t.dims, limits::MAX_RANK)?,
            tensor::ELEMENT => t.element = wire.int()?,
            tensor::FLOATS => wire.floats(&mut t.floats, limits::MAX_PARAMETERS)?,
            tensor::INT32S | tensor::INT64S => wire.ints(&mut t.ints, limits::MAX_PARAMETERS)?,
            tensor::NAME => name = wire.text()?,
            tensor::RAW => t.raw = Some(wire.bytes()?),
            tensor::EXTERNAL_DATA => t.external = true,
            tensor::DATA_LOCATION => t.external |= wire.int()? != 0,
            tensor::STRINGS | tensor::DOUBLES | tensor::UINT64S => t.other = true,
            _ => {}
        }
    }
    let value = t.constant();
    if let Ok(c) = &value {
        *parameters += c.len();
        if *parameters > limits::MAX_PARAMETERS {
            return Err(malformed(&format!("more than {} constants", limits::MAX_PARAMETERS)));
        }
    }
    Ok((name, value))
}

/// A tensor's element type.
fn element_type(bytes: &[u8]) -> Result<i64, ImportError> {
    let (mut element, mut fields) = (0, Fields::of(bytes));
    while let Some((number, wire)) = fields.next()? {
        if number == tensor::ELEMENT {
            element = wire.int()?;
        }
    }
    Ok(element)
}

impl RawTensor<'_> {
    fn constant(self) -> Result<Constant, String> {
        if self.external {
            return Err("its values lie in another file: save the model in one file".into());
        }
        let mut count = 1usize;
        let mut dims = Vec::with_capacity(self.dims.len());
        for d in &self.dims {
            let d = usize::try_from(*d).map_err(|_| "a negative size".to_string())?;
            count =
                count.checked_mul(d).filter(|n| *n <= limits::MAX_PARAMETERS).ok_or("too many elements")?;
            dims.push(d);
        }
        let width = match self.element {
            2 | 3 | 9 => 1,
            1 | 6 => 4,
            7 | 11 => 8,
            10 | 16 => return Err("16-bit floats are not read: export in float32".into()),
            other => return Err(format!("element type {other} is not read: export in float32")),
        };
        let numbers = match self.raw {
            Some(raw) if raw.len() != count * width => {
                return Err(format!("{} bytes for {count} elements of {width} bytes", raw.len()));
            }
            Some(raw) => from_raw(raw, self.element),
            None if self.other => {
                return Err("its values are stored in a list that is not read: export in float32".into());
            }
            None if self.element == 1 => Numbers::Float(self.floats),
            None => Numbers::Int(self.ints),
        };
        let mut constant = Constant { dims, numbers };
        if constant.len() != count {
            return Err(format!("{} values for {count} elements", constant.len()));
        }
        if let Numbers::Float(f) = &constant.numbers
            && f.iter().any(|v| v.is_nan() || *v == f32::INFINITY)
        {
            return Err("a value is infinite or not a number".into());
        }
        // Attention masks hold minus infinity; the lowest float masks as well.
        if let Numbers::Float(f) = &mut constant.numbers {
            f.iter_mut().for_each(|v| *v = v.max(f32::MIN));
        }
        Ok(constant)
    }
}

fn from_raw(raw: &[u8], element: i64) -> Numbers {
    let four = |c: &[u8]| <[u8; 4]>::try_from(c).expect("chunks of 4");
    let eight = |c: &[u8]| <[u8; 8]>::try_from(c).expect("chunks of 8");
    match element {
        1 => Numbers::Float(raw.chunks_exact(4).map(|c| f32::from_le_bytes(four(c))).collect()),
        11 => Numbers::Float(raw.chunks_exact(8).map(|c| f64::from_le_bytes(eight(c)) as f32).collect()),
        6 => Numbers::Int(raw.chunks_exact(4).map(|c| i64::from(i32::from_le_bytes(four(c)))).collect()),
        7 => Numbers::Int(raw.chunks_exact(8).map(|c| i64::from_le_bytes(eight(c))).collect()),
        3 => Numbers::Int(raw.iter().map(|b| i64::from(*b as i8)).collect()),
        _ => Numbers::Int(raw.iter().map(|b| i64::from(*b)).collect()),
    }
}

impl Constant {
    /// Number of elements.
    pub fn len(&self) -> usize {
        match &self.numbers {
            Numbers::Float(f) => f.len(),
            Numbers::Int(i) => i.len(),
        }
    }

    /// The values as floats.
    pub fn floats(&self) -> Vec<f32> {
        match &self.numbers {
            Numbers::Float(f) => f.clone(),
            Numbers::Int(i) => i.iter().map(|v| *v as f32).collect(),
        }
    }

    /// The values as integers, if that is what they are.
    pub fn ints(&self) -> Option<&[i64]> {
        match &self.numbers {
            Numbers::Int(i) => Some(i),
            Numbers::Float(_) => None,
        }
    }

    /// The only value, if there is one.
    pub fn scalar(&self) -> Option<f32> {
        let values = self.floats();
        if values.len() == 1 { Some(values[0]) } else { None }
    }
}

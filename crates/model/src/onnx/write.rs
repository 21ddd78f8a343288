//! The same format, written: what the zoo makes. [`super::OnnxModel::parse`] reads it back as it was.

use super::field::{attribute, graph, model, node, operator_set, tensor, value_info};
use super::{Attribute, Constant, Numbers, OnnxModel, OnnxNode, ValueInfo};

/// The domain of tree ensembles and other classical models.
pub(crate) const ML_DOMAIN: &str = "ai.onnx.ml";
/// Version of [`ML_DOMAIN`] that is written.
const ML_VERSION: i64 = 3;
/// Version of the file format itself.
const IR_VERSION: i64 = 8;

/// A message under construction.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut v: u64) {
        while v >= 0x80 {
            self.0.push(v as u8 | 0x80);
            v >>= 7;
        }
        self.0.push(v as u8);
    }

    fn int(&mut self, field: u64, v: i64) {
        self.varint(field << 3);
        self.varint(v as u64);
    }

    fn float(&mut self, field: u64, v: f32) {
        self.varint(field << 3 | 5);
        self.0.extend(v.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, b: &[u8]) {
        self.varint(field << 3 | 2);
        self.varint(b.len() as u64);
        self.0.extend_from_slice(b);
    }

    fn text(&mut self, field: u64, t: &str) {
        self.bytes(field, t.as_bytes());
    }

    fn message(&mut self, field: u64, m: Self) {
        self.bytes(field, &m.0);
    }
}

impl OnnxModel {
    /// The file's bytes. Constants that could not be read are left out.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Message::default();
        self.nodes.iter().for_each(|n| body.message(graph::NODE, write_node(n)));
        body.text(graph::NAME, "graph");
        for (name, constant) in &self.initializers {
            if let Ok(constant) = constant {
                body.message(graph::INITIALIZER, write_tensor(name, constant));
            }
        }
        self.inputs.iter().for_each(|v| body.message(graph::INPUT, write_value(v)));
        self.outputs.iter().for_each(|v| body.message(graph::OUTPUT, write_value(v)));
        let mut file = Message::default();
        file.int(model::IR_VERSION, IR_VERSION);
        file.message(model::GRAPH, body);
        let mut domains = vec![("", self.opset)];
        if self.nodes.iter().any(|n| n.domain == ML_DOMAIN) {
            domains.push((ML_DOMAIN, ML_VERSION));
        }
        for (domain, version) in domains {
            let mut set = Message::default();
            set.text(operator_set::DOMAIN, domain);
            set.int(operator_set::VERSION, version);
            file.message(model::OPERATOR_SET, set);
        }
        file.0
    }
}

fn write_node(n: &OnnxNode) -> Message {
    let mut m = Message::default();
    n.inputs.iter().for_each(|i| m.text(node::INPUT, i));
    n.outputs.iter().for_each(|o| m.text(node::OUTPUT, o));
    m.text(node::NAME, &n.name);
    m.text(node::OPERATOR, &n.op);
    n.attributes.iter().for_each(|a| m.message(node::ATTRIBUTE, write_attribute(a)));
    if !n.domain.is_empty() {
        m.text(node::DOMAIN, &n.domain);
    }
    m
}

fn write_attribute(a: &Attribute) -> Message {
    let mut m = Message::default();
    m.text(attribute::NAME, &a.name);
    let kind = if let Some(v) = a.float {
        m.float(attribute::FLOAT, v);
        attribute::TYPE_FLOAT
    } else if let Some(v) = a.int {
        m.int(attribute::INT, v);
        attribute::TYPE_INT
    } else if let Some(t) = &a.text {
        m.text(attribute::TEXT, t);
        attribute::TYPE_TEXT
    } else if let Some(Ok(t)) = &a.tensor {
        m.message(attribute::TENSOR, write_tensor("", t));
        attribute::TYPE_TENSOR
    } else if !a.floats.is_empty() {
        a.floats.iter().for_each(|v| m.float(attribute::FLOATS, *v));
        attribute::TYPE_FLOATS
    } else if !a.texts.is_empty() {
        a.texts.iter().for_each(|t| m.text(attribute::TEXTS, t));
        attribute::TYPE_TEXTS
    } else {
        a.ints.iter().for_each(|v| m.int(attribute::INTS, *v));
        attribute::TYPE_INTS
    };
    m.int(attribute::TYPE, kind);
    m
}

fn write_tensor(name: &str, constant: &Constant) -> Message {
    let mut m = Message::default();
    constant.dims.iter().for_each(|d| m.int(tensor::DIMS, *d as i64));
    let (element, raw): (i64, Vec<u8>) = match &constant.numbers {
        Numbers::Float(f) => (1, f.iter().flat_map(|v| v.to_le_bytes()).collect()),
        Numbers::Int(i) => (7, i.iter().flat_map(|v| v.to_le_bytes()).collect()),
    };
    m.int(tensor::ELEMENT, element);
    m.text(tensor::NAME, name);
    m.bytes(tensor::RAW, &raw);
    m
}

fn write_value(v: &ValueInfo) -> Message {
    let mut tensor_type = Message::default();
    tensor_type.int(value_info::ELEMENT, v.element);
    if let Some(dims) = &v.dims {
        let mut shape = Message::default();
        for size in dims {
            let mut axis = Message::default();
            if let Some(n) = size {
                axis.int(value_info::SIZE, *n as i64);
            }
            shape.message(value_info::AXIS, axis);
        }
        tensor_type.message(value_info::SHAPE, shape);
    }
    let (mut kind, mut m) = (Message::default(), Message::default());
    kind.message(value_info::TENSOR, tensor_type);
    m.text(value_info::NAME, &v.name);
    m.message(value_info::TYPE, kind);
    m
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let attribute = |name: &str| Attribute { name: name.into(), ..Attribute::default() };
        let tensor = Constant { dims: vec![2], numbers: Numbers::Int(vec![-3, 1 << 40]) };
        let attributes = vec![
            Attribute { float: Some(-0.5), ..attribute("f") },
            Attribute { int: Some(-7), ..attribute("i") },
            Attribute { text: Some("SAME_UPPER".into()), ..attribute("s") },
            Attribute { tensor: Some(Ok(tensor.clone())), ..attribute("t") },
            Attribute { floats: vec![1.0, -2.5], ..attribute("fs") },
            Attribute { ints: vec![3, -4], ..attribute("is") },
            Attribute { texts: vec!["BRANCH_LEQ".into(), "LEAF".into()], ..attribute("ss") },
        ];
        let node = OnnxNode {
            name: "n".into(),
            op: "TreeEnsembleRegressor".into(),
            domain: ML_DOMAIN.into(),
            inputs: vec!["x".into(), String::new()],
            outputs: vec!["y".into()],
            attributes,
        };
        let value = |name: &str| ValueInfo { name: name.into(), element: 1, dims: Some(vec![None, Some(3)]) };
        let weights = Constant { dims: vec![1, 2], numbers: Numbers::Float(vec![0.25, -8.0]) };
        let model = OnnxModel {
            opset: 17,
            nodes: vec![node],
            initializers: vec![("w".into(), Ok(weights)), ("k".into(), Ok(tensor))],
            unsigned: Default::default(),
            inputs: vec![value("x")],
            outputs: vec![value("y")],
        };
        let back = OnnxModel::parse(&model.encode()).unwrap();
        assert_eq!(format!("{back:?}"), format!("{model:?}"));
    }
}

//! Writes small ONNX files for tests: the wire format by hand, so that the reader is not tested against
//! itself.
#![allow(dead_code, missing_docs)] // Each test binary uses its part.

/// A message under construction.
#[derive(Clone, Default)]
pub struct Message(pub Vec<u8>);

impl Message {
    fn varint(mut self, mut v: u64) -> Self {
        while v >= 0x80 {
            self.0.push(v as u8 | 0x80);
            v >>= 7;
        }
        self.0.push(v as u8);
        self
    }

    pub fn int(self, field: u64, v: i64) -> Self {
        self.varint(field << 3).varint(v as u64)
    }

    pub fn bytes(self, field: u64, b: &[u8]) -> Self {
        let mut out = self.varint(field << 3 | 2).varint(b.len() as u64);
        out.0.extend_from_slice(b);
        out
    }

    pub fn float(self, field: u64, v: f32) -> Self {
        let mut out = self.varint(field << 3 | 5);
        out.0.extend(v.to_le_bytes());
        out
    }

    pub fn message(self, field: u64, m: &Message) -> Self {
        self.bytes(field, &m.0)
    }
}

pub fn floats(name: &str, dims: &[usize], values: &[f32]) -> Message {
    let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    let tensor = dims.iter().fold(Message::default(), |m, d| m.int(1, *d as i64));
    tensor.int(2, 1).bytes(8, name.as_bytes()).bytes(9, &raw)
}

pub fn ints(name: &str, dims: &[usize], values: &[i64]) -> Message {
    let tensor = dims.iter().fold(Message::default(), |m, d| m.int(1, *d as i64)).int(2, 7);
    values.iter().fold(tensor, |m, v| m.int(7, *v)).bytes(8, name.as_bytes())
}

/// An attribute's value.
#[derive(Clone)]
pub enum A<'a> {
    Int(i64),
    Ints(&'a [i64]),
    Float(f32),
    Text(&'a str),
    Tensor(Message),
}

pub fn node(op: &str, inputs: &[&str], output: &str, attributes: &[(&str, A<'_>)]) -> Message {
    let mut m = Message::default();
    for i in inputs {
        m = m.bytes(1, i.as_bytes());
    }
    m = m.bytes(2, output.as_bytes()).bytes(3, format!("node_{output}").as_bytes()).bytes(4, op.as_bytes());
    for (name, value) in attributes {
        let a = Message::default().bytes(1, name.as_bytes());
        let a = match value {
            A::Int(v) => a.int(3, *v).int(20, 2),
            A::Ints(list) => list.iter().fold(a, |a, v| a.int(8, *v)).int(20, 7),
            A::Float(v) => a.float(2, *v).int(20, 1),
            A::Text(t) => a.bytes(4, t.as_bytes()).int(20, 3),
            A::Tensor(t) => a.message(5, t).int(20, 4),
        };
        m = m.message(5, &a);
    }
    m
}

/// Input or output. A size of 0 is a dynamic axis.
pub fn value(name: &str, dims: &[usize]) -> Message {
    let dim = |d: &usize| match d {
        0 => Message::default().bytes(2, b"batch"),
        n => Message::default().int(1, *n as i64),
    };
    let shape = dims.iter().fold(Message::default(), |m, d| m.message(1, &dim(d)));
    let tensor = Message::default().int(1, 1).message(2, &shape);
    Message::default().bytes(1, name.as_bytes()).message(2, &Message::default().message(1, &tensor))
}

/// A file: input `x`, output `y`.
pub fn model(opset: i64, input: &[usize], nodes: &[Message], constants: &[Message]) -> Vec<u8> {
    let mut graph = nodes.iter().fold(Message::default(), |g, n| g.message(1, n));
    graph = constants.iter().fold(graph.bytes(2, b"test"), |g, c| g.message(5, c));
    graph = graph.message(11, &value("x", input)).message(12, &value("y", &[1, 1]));
    let opset = Message::default().bytes(1, b"").int(2, opset);
    Message::default().int(1, 8).message(7, &graph).message(8, &opset).0
}

/// A deterministic stream of numbers in `[-1, 1)`.
pub struct Stream(pub u64);

impl Stream {
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.word() % n.max(1) as u64) as usize
    }

    pub fn list(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| (self.word() >> 40) as f32 / (1u64 << 23) as f32 - 1.0).collect()
    }
}

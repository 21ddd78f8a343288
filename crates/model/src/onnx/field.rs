//! Field numbers of onnx.proto (ONNX 1.12 to 1.20), one module a message: what the reader and the writer know of the format.

pub(super) mod model {
    pub const IR_VERSION: u64 = 1;
    pub const GRAPH: u64 = 7;
    pub const OPERATOR_SET: u64 = 8;
}

pub(super) mod operator_set {
    pub const DOMAIN: u64 = 1;
    pub const VERSION: u64 = 2;
}

pub(super) mod graph {
    pub const NODE: u64 = 1;
    pub const NAME: u64 = 2;
    pub const INITIALIZER: u64 = 5;
    pub const INPUT: u64 = 11;
    pub const OUTPUT: u64 = 12;
    pub const SPARSE_INITIALIZER: u64 = 15;
}

pub(super) mod node {
    pub const INPUT: u64 = 1;
    pub const OUTPUT: u64 = 2;
    pub const NAME: u64 = 3;
    pub const OPERATOR: u64 = 4;
    pub const ATTRIBUTE: u64 = 5;
    pub const DOMAIN: u64 = 7;
}

pub(super) mod attribute {
    pub const NAME: u64 = 1;
    pub const FLOAT: u64 = 2;
    pub const INT: u64 = 3;
    pub const TEXT: u64 = 4;
    pub const TENSOR: u64 = 5;
    pub const FLOATS: u64 = 7;
    pub const INTS: u64 = 8;
    pub const TEXTS: u64 = 9;
    /// Says which of the others is filled: the constants below.
    pub const TYPE: u64 = 20;
    pub const TYPE_FLOAT: i64 = 1;
    pub const TYPE_INT: i64 = 2;
    pub const TYPE_TEXT: i64 = 3;
    pub const TYPE_TENSOR: i64 = 4;
    pub const TYPE_FLOATS: i64 = 6;
    pub const TYPE_INTS: i64 = 7;
    pub const TYPE_TEXTS: i64 = 8;
}

pub(super) mod value_info {
    pub const NAME: u64 = 1;
    pub const TYPE: u64 = 2;
    /// Of the type: it is a tensor's.
    pub const TENSOR: u64 = 1;
    /// Of the tensor's type.
    pub const ELEMENT: u64 = 1;
    pub const SHAPE: u64 = 2;
    /// Of the shape.
    pub const AXIS: u64 = 1;
    /// Of the axis.
    pub const SIZE: u64 = 1;
}

pub(super) mod tensor {
    pub const DIMS: u64 = 1;
    pub const ELEMENT: u64 = 2;
    pub const FLOATS: u64 = 4;
    pub const INT32S: u64 = 5;
    pub const STRINGS: u64 = 6;
    pub const INT64S: u64 = 7;
    pub const NAME: u64 = 8;
    pub const RAW: u64 = 9;
    pub const DOUBLES: u64 = 10;
    pub const UINT64S: u64 = 11;
    pub const EXTERNAL_DATA: u64 = 13;
    pub const DATA_LOCATION: u64 = 14;
}

//! Bounds on what a foreign file may ask for. Beyond them a file is refused before any work is done on it.

/// Most bytes of an ONNX file.
pub const MAX_ONNX_BYTES: usize = 1 << 26;
/// Most bytes of a model file.
pub const MAX_MODEL_BYTES: usize = 1 << 26;
/// Most bytes of a data file, also after it is unpacked.
pub const MAX_DATA_BYTES: usize = 1 << 28;
/// Most bytes of a bundle.json.
pub const MAX_BUNDLE_BYTES: usize = 1 << 20;
/// Most nodes of an ONNX graph.
pub const MAX_NODES: usize = 4096;
/// Most initializers of an ONNX graph.
pub const MAX_INITIALIZERS: usize = 8192;
/// Most entries in a list that is an attribute.
pub const MAX_LIST: usize = 1 << 18;
/// Most inputs, outputs or attributes of one node.
pub const MAX_NODE_FIELDS: usize = 64;
/// Most bytes in a name.
pub const MAX_NAME_BYTES: usize = 512;
/// Most axes of a tensor.
pub const MAX_RANK: usize = 8;
/// Most elements in one activation of the float graph.
pub const MAX_ACTIVATION_ELEMENTS: usize = 1 << 20;
/// Most elements in all constants together, before and after folding.
pub const MAX_PARAMETERS: usize = 1 << 24;
/// Most multiply-adds for one input: calibration runs the model many times.
pub const MAX_MULTIPLY_ADDS: u64 = 1 << 31;
/// Most calibration rows used.
pub const MAX_CALIBRATION_ROWS: usize = 1024;
/// Most multiply-adds of a calibration: a larger model is calibrated on fewer rows, at least 16.
pub const MAX_CALIBRATION_WORK: u64 = 1 << 33;
/// Most names of classes.
pub const MAX_CLASSES: usize = 4096;

//! Models to measure with, made from a seed: topologies of MLPerf Tiny and others as ONNX files with random weights, so that no large
//! file is kept. Weights are drawn as trained ones lie (He et al. 2015, normalisation with true means and variances), and the last
//! layer of a classifier is fitted to its classes, so that accuracy means something. Inputs are smooth random fields.

mod net;
mod script;
mod sequence;
mod stream;
mod vision;

use std::path::Path;

use proofmesh_graph::tensor::Shape;
use serde_json::json;

use crate::data::{Array, Element};
use crate::error::ImportError;
use crate::evaluate::Task;
use crate::model::FloatModel;
use crate::options::{ImportOptions, InputScale};
use net::{Id, Net};
use sequence::{FEATURES, Forest, Gpt, STEPS};
use stream::{Stream, field};

/// Stored integers that stand for 1: data files hold signed bytes.
const STEP: f32 = 32.0;
/// How much of a row is its own and not its class's.
const OWN: f32 = 0.35;
/// Kinds of rows of a model without classes.
const KINDS: usize = 16;
/// Multiply-adds from which a model gets fewer rows.
const LARGE: u64 = 50_000_000;

/// How large a model is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// As published.
    Full,
    /// An eighth of the width where the full size is large: for tests.
    Small,
}

impl Size {
    /// A layer's width.
    fn width(self, full: usize) -> usize {
        if self == Self::Full { full } else { full / 8 }
    }
}

/// A model of the zoo.
#[derive(Clone, Copy)]
pub struct Entry {
    /// What it is called.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// Multiply-adds of its convolutions and matrix products at full size, in millions, as the literature has them.
    pub million_multiply_adds: f64,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    /// Layers on a field of the given sizes; the number of classes, 0 for a reconstruction.
    Layers { input: [usize; 3], classes: usize, build: fn(&mut Net, Size) -> Id },
    /// A recurrent operator over a window.
    Recurrent { op: &'static str },
    /// A transformer on tokens.
    Tokens { full: Gpt, small: Gpt },
    /// Boosted trees.
    Trees { full: Forest, small: Forest },
}

/// Every model of the zoo.
pub const ZOO: &[Entry] = &[
    Entry {
        name: "autoencoder",
        about: "MLPerf Tiny anomaly detection, 640-128x4-8-128x4-640",
        million_multiply_adds: 0.264,
        kind: Kind::Layers { input: [640, 1, 1], classes: 0, build: vision::autoencoder },
    },
    Entry {
        name: "lenet5",
        about: "LeNet-5 on 32x32",
        million_multiply_adds: 0.42,
        kind: Kind::Layers { input: [1, 32, 32], classes: 10, build: vision::lenet5 },
    },
    Entry {
        name: "ds-cnn",
        about: "MLPerf Tiny keyword spotting, 49x10, 64 channels, 12 classes",
        million_multiply_adds: 2.66,
        kind: Kind::Layers { input: [1, 49, 10], classes: 12, build: vision::ds_cnn },
    },
    Entry {
        name: "mobilenet",
        about: "MLPerf Tiny visual wake words, MobileNetV1-0.25 on 96x96x3, 2 classes",
        million_multiply_adds: 7.5,
        kind: Kind::Layers { input: [3, 96, 96], classes: 2, build: vision::mobilenet },
    },
    Entry {
        name: "resnet8",
        about: "MLPerf Tiny image classification, ResNet-8 on 32x32x3, 10 classes",
        million_multiply_adds: 12.5,
        kind: Kind::Layers { input: [3, 32, 32], classes: 10, build: vision::resnet8 },
    },
    Entry {
        name: "vgg16",
        about: "VGG-16 on 32x32x3, 10 classes",
        million_multiply_adds: 314.0,
        kind: Kind::Layers { input: [3, 32, 32], classes: 10, build: vision::vgg16 },
    },
    Entry {
        name: "resnet18",
        about: "ResNet-18 on 32x32x3, 10 classes",
        million_multiply_adds: 555.0,
        kind: Kind::Layers { input: [3, 32, 32], classes: 10, build: vision::resnet18 },
    },
    Entry {
        name: "nanogpt",
        about: "GPT of 4 layers, 64 wide, 4 heads, 65 characters, context 64: next-token scores",
        million_multiply_adds: 17.7,
        kind: Kind::Tokens {
            full: Gpt { vocabulary: 65, context: 64, width: 64, heads: 4, layers: 4 },
            small: Gpt { vocabulary: 11, context: 8, width: 16, heads: 2, layers: 1 },
        },
    },
    Entry {
        name: "lstm",
        about: "LSTM of 32 units over 32 steps of 8 features, 4 classes",
        million_multiply_adds: 0.186,
        kind: Kind::Recurrent { op: "LSTM" },
    },
    Entry {
        name: "gru",
        about: "GRU of 32 units over 32 steps of 8 features, 4 classes",
        million_multiply_adds: 0.14,
        kind: Kind::Recurrent { op: "GRU" },
    },
    Entry {
        name: "trees",
        about: "100 boosted trees of depth 5 on 16 features, one logit",
        million_multiply_adds: 0.109,
        kind: Kind::Trees {
            full: Forest { features: 16, trees: 100, depth: 5 },
            small: Forest { features: 4, trees: 5, depth: 3 },
        },
    },
];

/// A model with the data to calibrate and test it.
#[derive(Clone, Debug)]
pub struct Made {
    /// Its name in the zoo.
    pub name: &'static str,
    /// The ONNX file.
    pub onnx: Vec<u8>,
    /// What the output means.
    pub task: Task,
    /// Number of classes, 0 without.
    pub classes: usize,
    /// Divides a stored number to give its real value.
    pub step: f32,
    /// ONNX sizes of the input.
    pub shape: Vec<usize>,
    /// Calibration inputs as they are stored.
    pub calibration: Array,
    /// Test inputs as they are stored.
    pub test: Array,
    /// One label a test row.
    pub labels: Array,
}

impl Entry {
    /// Makes the model and its data: the same bytes for the same seed and size.
    pub fn make(&self, seed: u64, size: Size) -> Made {
        let stream = || Stream::new(seed, "weights");
        let small = size == Size::Small;
        match self.kind {
            Kind::Layers { input: [c, h, w], classes, build } => {
                let large = !small && self.million_multiply_adds * 1e6 >= LARGE as f64;
                let data = Data::fields(seed, [c, h, w], classes);
                let batch = data.real("layers", if large { 1 } else { 4 });
                let mut net = Net::new(stream(), Shape::new(c, h, w), batch);
                let output = build(&mut net, size);
                let shape = if h * w == 1 { vec![1, c] } else { vec![1, c, h, w] };
                self.made(net.finish(output), data, shape, large)
            }
            Kind::Recurrent { op } => {
                let steps = if small { 4 } else { STEPS };
                let data = Data::fields(seed, [1, steps, FEATURES], 4);
                let onnx = sequence::recurrent(stream(), op, steps, &data.real("layers", 8), 4);
                self.made(onnx, data, vec![1, steps, FEATURES], false)
            }
            Kind::Tokens { full, small: few } => {
                let sizes = if small { few } else { full };
                let data = Data::tokens(seed, sizes.context, sizes.vocabulary);
                self.made(sequence::gpt(stream(), sizes), data, vec![1, sizes.context], false)
            }
            Kind::Trees { full, small: few } => {
                let sizes = if small { few } else { full };
                let data = Data::fields(seed, [sizes.features, 1, 1], 0);
                self.made(sequence::boosted(stream(), sizes), data, vec![1, sizes.features], false)
            }
        }
    }

    fn made(&self, onnx: Vec<u8>, data: Data, shape: Vec<usize>, large: bool) -> Made {
        let rows = |each: usize| (each / data.kinds).max(1);
        let test = data.stored("test", if large { 2 } else { rows(200) });
        let calibration = data.stored("calibration", rows(if large { 16 } else { 96 }));
        let task = match self.kind {
            Kind::Layers { classes: 0, .. } => Task::Reconstruct,
            Kind::Trees { .. } => Task::Binary,
            _ => Task::Classify,
        };
        let labels: Vec<f32> = match self.kind {
            Kind::Tokens { .. } | Kind::Trees { .. } => {
                // Nothing was learnt: the float model's own answers are the labels.
                let float = FloatModel::parse(&onnx, None).expect("the zoo's models are read");
                let answer = |row: &Vec<f32>| {
                    let real: Vec<f32> = row.iter().map(|q| q / data.step).collect();
                    task.answer(&float.run(&real).expect("rows fit the input")) as f32
                };
                test.iter().map(answer).collect()
            }
            _ => (0..test.len()).map(|i| (i % data.classes.max(2)) as f32).collect(),
        };
        Made {
            name: self.name,
            onnx,
            task,
            classes: if task == Task::Classify { data.classes } else { 0 },
            step: data.step,
            calibration: array(&shape, data.element, calibration),
            labels: Array::new(vec![test.len()], Element::U8, labels).expect("a label a row"),
            test: array(&shape, data.element, test),
            shape,
        }
    }
}

/// Where a model's inputs are drawn from.
struct Data {
    seed: u64,
    shape: [usize; 3],
    classes: usize,
    /// Kinds of rows: row `i` is of kind `i % kinds`.
    kinds: usize,
    /// A field each; none for tokens.
    prototypes: Vec<Vec<f32>>,
    element: Element,
    step: f32,
}

impl Data {
    /// Smooth fields, each class around one of its own; `classes = 0` for data without classes.
    fn fields(seed: u64, shape: [usize; 3], classes: usize) -> Self {
        let kinds = if classes > 0 { classes } else { KINDS };
        let mut stream = Stream::new(seed, "classes");
        let prototypes = (0..kinds).map(|_| field(&mut stream, shape)).collect();
        Self { seed, shape, classes, kinds, prototypes, element: Element::I8, step: STEP }
    }

    /// Sequences of tokens, each an even chance to repeat an earlier one.
    fn tokens(seed: u64, context: usize, vocabulary: usize) -> Self {
        let shape = [1, 1, context];
        Self {
            seed,
            shape,
            classes: vocabulary,
            kinds: 1,
            prototypes: Vec::new(),
            element: Element::U8,
            step: 1.0,
        }
    }

    /// `each` rows of every kind, as they are stored.
    fn stored(&self, purpose: &str, each: usize) -> Vec<Vec<f32>> {
        let mut stream = Stream::new(self.seed, purpose);
        (0..each * self.kinds).map(|i| self.row(&mut stream, i % self.kinds)).collect()
    }

    fn row(&self, stream: &mut Stream, kind: usize) -> Vec<f32> {
        let Some(prototype) = self.prototypes.get(kind) else {
            let mut row: Vec<f32> = Vec::with_capacity(self.shape[2]);
            for i in 0..self.shape[2] {
                let repeats = i > 0 && stream.below(2) == 0;
                row.push(if repeats { row[stream.below(i)] } else { stream.below(self.classes) as f32 });
            }
            return row;
        };
        let own = field(stream, self.shape);
        let mix = prototype.iter().zip(own).map(|(class, own)| class + OWN * own);
        mix.map(|v| (v * STEP).round().clamp(-128.0, 127.0)).collect()
    }

    /// The same as real values.
    fn real(&self, purpose: &str, each: usize) -> Vec<Vec<f32>> {
        let rows = self.stored(purpose, each);
        rows.into_iter().map(|row| row.into_iter().map(|q| q / self.step).collect()).collect()
    }
}

/// Rows as one array; `shape` is that of a row with a batch of 1 in front.
fn array(shape: &[usize], element: Element, rows: Vec<Vec<f32>>) -> Array {
    let sizes = [&[rows.len()], &shape[1..]].concat();
    Array::new(sizes, element, rows.concat()).expect("the zoo's rows fill their shape")
}

/// The zoo's model of that name.
///
/// Errors: there is none; the error names those that exist.
pub fn find(name: &str) -> Result<&'static Entry, ImportError> {
    let names = || ZOO.iter().map(|e| e.name).collect::<Vec<_>>().join(", ");
    let found = ZOO.iter().find(|e| e.name == name);
    found.ok_or_else(|| {
        ImportError::Options(format!("no model of the zoo is called `{name:.60}`: {}", names()))
    })
}

impl Made {
    /// Options that fit the model.
    pub fn options(&self) -> ImportOptions {
        ImportOptions {
            source_file: "model.onnx".into(),
            classes: (0..self.classes).map(|c| c.to_string()).collect(),
            task: self.task,
            input: InputScale::Stored { sub: 0, div: f64::from(self.step) },
            ..ImportOptions::new(self.name)
        }
    }

    /// The float model.
    ///
    /// Errors: none for a model of the zoo.
    pub fn float(&self) -> Result<FloatModel, ImportError> {
        FloatModel::parse(&self.onnx, None)
    }

    /// Writes a bundle: `model.onnx`, `calibration.npy`, `test_x.npy`, `test_y.npy`, `bundle.json`. The folder is made if it is missing.
    ///
    /// Errors: a file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), ImportError> {
        let fail =
            |path: &Path, e: std::io::Error| ImportError::data(&path.display().to_string(), e.to_string());
        std::fs::create_dir_all(folder).map_err(|e| fail(folder, e))?;
        let options = self.options();
        let bundle = json!({
            "name": self.name,
            "licence": "none: seeded weights and inputs, made by this program",
            "models": [{
                "file": "model.onnx",
                "task": self.task,
                "shape": self.shape,
                "classes": options.classes,
                "calib": "calibration.npy",
                "tests": [{ "name": "test", "x": "test_x.npy", "y": "test_y.npy" }],
                "x_transform": { "sub": 0, "div": self.step },
            }],
        });
        let files = [
            ("model.onnx", self.onnx.clone()),
            ("calibration.npy", self.calibration.to_npy()),
            ("test_x.npy", self.test.to_npy()),
            ("test_y.npy", self.labels.to_npy()),
            ("bundle.json", format!("{bundle:#}\n").into_bytes()),
        ];
        for (name, bytes) in files {
            let path = folder.join(name);
            std::fs::write(&path, bytes).map_err(|e| fail(&path, e))?;
        }
        Ok(())
    }
}

//! Models to measure with, made from a seed: topologies of MLPerf Tiny and others as ONNX files with random weights, so that no large
//! file is kept. Weights are drawn as trained ones lie (He et al. 2015, normalisation with true means and variances), and the last
//! layer of a classifier is fitted to its classes, so that accuracy means something. Inputs are smooth random fields.

mod net;
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
        match self.kind {
            Kind::Layers { input, classes, build } => self.layers(seed, size, input, classes, build),
        }
    }

    fn layers(
        &self,
        seed: u64,
        size: Size,
        [c, h, w]: [usize; 3],
        classes: usize,
        build: fn(&mut Net, Size) -> Id,
    ) -> Made {
        let large = size == Size::Full && self.million_multiply_adds * 1e6 >= LARGE as f64;
        let kinds = if classes > 0 { classes } else { KINDS };
        let mut prototypes = Stream::new(seed, "classes");
        let prototypes: Vec<Vec<f32>> = (0..kinds).map(|_| field(&mut prototypes, [c, h, w])).collect();
        let data = |purpose: &str, rows: usize| -> Vec<Vec<f32>> {
            let mut stream = Stream::new(seed, purpose);
            let row = |i: usize| {
                let own = field(&mut stream, [c, h, w]);
                let mix = prototypes[i % kinds].iter().zip(own).map(|(class, own)| class + OWN * own);
                mix.map(|v| (v * STEP).round().clamp(-128.0, 127.0)).collect()
            };
            (0..rows).map(row).collect()
        };
        let real = |rows: Vec<Vec<f32>>| -> Vec<Vec<f32>> {
            rows.into_iter().map(|row| row.into_iter().map(|q| q / STEP).collect()).collect()
        };
        let batch = real(data("layers", if large { kinds } else { 4 * kinds }));
        let mut net = Net::new(Stream::new(seed, "weights"), Shape::new(c, h, w), batch);
        let output = build(&mut net, size);
        let shape = if h * w == 1 { vec![1, c] } else { vec![1, c, h, w] };
        let test = data("test", if large { 2 * kinds } else { 20 * kinds });
        let labels: Vec<f32> = (0..test.len()).map(|i| (i % classes.max(2)) as f32).collect();
        Made {
            name: self.name,
            onnx: net.finish(output).encode(),
            task: if classes > 0 { Task::Classify } else { Task::Reconstruct },
            classes,
            step: STEP,
            calibration: array(&shape, Element::I8, data("calibration", if large { 16 } else { 96 })),
            labels: Array::new(vec![test.len()], Element::U8, labels).expect("a label a row"),
            test: array(&shape, Element::I8, test),
            shape,
        }
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

//! Example bundles: bundle.json names models, calibration data and test sets in one folder.

use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use crate::data::{self, Array};
use crate::error::ImportError;
use crate::evaluate::Task;
use crate::limits;
use crate::options::{ImportOptions, InputScale};

/// `x = (q - sub) / div`: what a stored number stands for.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transform {
    /// Subtracted from the stored number: a whole number.
    pub sub: f64,
    /// Then divides it.
    pub div: f64,
}

#[derive(Clone, Debug, Deserialize)]
struct RawTest {
    name: String,
    x: String,
    y: String,
    out_float: Option<String>,
    score_float: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct RawModel {
    file: String,
    task: Task,
    #[serde(default)]
    private_channels: Option<Vec<usize>>,
    shape: Vec<usize>,
    #[serde(default)]
    classes: Vec<String>,
    calib: String,
    tests: Vec<RawTest>,
    x_transform: Option<Transform>,
}

#[derive(Clone, Debug, Deserialize)]
struct RawBundle {
    name: String,
    #[serde(default)]
    licence: String,
    models: Vec<RawModel>,
}

/// A folder with models and data.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// Name.
    pub name: String,
    /// Licence of the data.
    pub licence: String,
    /// Its models.
    pub models: Vec<BundleModel>,
}

/// One model of a bundle; files are read when asked for.
#[derive(Clone, Debug)]
pub struct BundleModel {
    /// The bundle's name, with the file's stem if it is not `model`.
    pub name: String,
    /// What the output means.
    pub task: Task,
    /// Names of the classes, if it has classes.
    pub classes: Vec<String>,
    folder: PathBuf,
    raw: RawModel,
}

/// Labelled rows.
#[derive(Clone, Debug)]
pub struct TestSet {
    /// Name.
    pub name: String,
    /// Inputs as they are stored.
    pub x: Array,
    /// One label a row.
    pub y: Array,
    /// Stored float outputs, if the bundle has them.
    pub outputs: Option<Array>,
    /// Stored float scores (reconstruction errors), if the bundle has them.
    pub scores: Option<Array>,
}

/// Reads `bundle.json` of a folder.
///
/// Errors: it is missing, malformed, or names files outside the folder.
pub fn load(folder: &Path) -> Result<Bundle, ImportError> {
    let path = folder.join("bundle.json");
    let bytes = data::read_bounded(&path, limits::MAX_BUNDLE_BYTES)?;
    let fail = |reason: String| ImportError::data(&path.display().to_string(), reason);
    let raw: RawBundle = serde_json::from_slice(&bytes).map_err(|e| fail(e.to_string()))?;
    let mut models = Vec::new();
    for model in raw.models {
        let stem = model.file.strip_suffix(".onnx").unwrap_or(&model.file);
        let name = if stem == "model" { raw.name.clone() } else { format!("{}-{stem}", raw.name) };
        let all =
            [&model.file, &model.calib].into_iter().chain(model.tests.iter().flat_map(|t| [&t.x, &t.y]));
        let others = model.tests.iter().flat_map(|t| t.out_float.iter().chain(&t.score_float));
        for file in all.chain(others) {
            if !Path::new(file).components().all(|c| matches!(c, Component::Normal(_))) {
                return Err(fail(format!("names `{file}`, which is not a file of the bundle")));
            }
        }
        if let Some(t) = model.x_transform
            && !(t.sub.fract() == 0.0 && t.sub.abs() <= 32768.0 && t.div.is_finite() && t.div > 0.0)
        {
            return Err(fail("x_transform needs a whole sub and a positive div".into()));
        }
        let (task, classes) = (model.task, model.classes.clone());
        models.push(BundleModel { name, task, classes, folder: folder.to_path_buf(), raw: model });
    }
    Ok(Bundle { name: raw.name, licence: raw.licence, models })
}

impl BundleModel {
    /// File name of the ONNX model.
    pub fn file(&self) -> &str {
        &self.raw.file
    }

    /// Bytes of the ONNX model.
    ///
    /// Errors: the file cannot be read or is too large.
    pub fn onnx(&self) -> Result<Vec<u8>, ImportError> {
        data::read_bounded(&self.folder.join(&self.raw.file), limits::MAX_ONNX_BYTES)
    }

    /// Calibration inputs as they are stored.
    ///
    /// Errors: as [`data::read`].
    pub fn calibration(&self) -> Result<Array, ImportError> {
        data::read(&self.folder.join(&self.raw.calib))
    }

    /// All test sets.
    ///
    /// Errors: as [`data::read`].
    pub fn tests(&self) -> Result<Vec<TestSet>, ImportError> {
        let read = |file: &str| data::read(&self.folder.join(file));
        let set = |t: &RawTest| {
            Ok(TestSet {
                name: t.name.clone(),
                x: read(&t.x)?,
                y: read(&t.y)?,
                outputs: t.out_float.as_deref().map(read).transpose()?,
                scores: t.score_float.as_deref().map(read).transpose()?,
            })
        };
        self.raw.tests.iter().map(set).collect()
    }

    /// What a stored number stands for; none if the files hold real values.
    pub fn transform(&self) -> Option<Transform> {
        self.raw.x_transform
    }

    /// Options that follow from the bundle: name, classes, task, input scale, public channels (those that
    /// are not listed as private).
    pub fn options(&self) -> ImportOptions {
        let mut options = ImportOptions::new(&self.name);
        options.source_file = self.raw.file.clone();
        options.classes = self.classes.clone();
        options.task = self.task;
        if let Some(t) = self.raw.x_transform {
            options.input = InputScale::Stored { sub: t.sub as i32, div: t.div };
        }
        if let (Some(private), Some(channels)) = (&self.raw.private_channels, self.raw.shape.get(1)) {
            let open: Vec<usize> = (0..*channels).filter(|c| !private.contains(c)).collect();
            if let (Some(first), Some(last)) = (open.first(), open.last())
                && last - first + 1 == open.len()
            {
                options.public_channels = *first..last + 1;
            }
        }
        options
    }
}

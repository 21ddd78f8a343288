//! Arrays of numbers from files: `.npy` and `.npz` (NumPy), `.csv`. Calibration inputs, labels, stored
//! outputs.

mod csv;
mod npy;
mod npz;

use std::path::Path;

use crate::error::ImportError;
use crate::limits;

/// How a file stores its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// Signed bytes.
    I8,
    /// Unsigned bytes.
    U8,
    /// Wider integers.
    Int,
    /// Floats.
    Float,
}

/// Numbers with sizes, row-major. Every stored kind is held as float32; integers beyond 2^24 are refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Sizes; the first axis counts rows (samples).
    pub shape: Vec<usize>,
    /// How the file stores the numbers.
    pub element: Element,
    /// `shape.product()` finite values.
    pub values: Vec<f32>,
}

impl Array {
    /// An array from its parts.
    ///
    /// Errors: the count is not the shape's, or a value is not finite.
    pub fn new(shape: Vec<usize>, element: Element, values: Vec<f32>) -> Result<Self, String> {
        let count = shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d));
        if count != Some(values.len()) || shape.is_empty() {
            return Err(format!("{} values do not fill the shape {shape:?}", values.len()));
        }
        if values.iter().any(|v| !v.is_finite()) {
            return Err("a value is infinite or not a number".into());
        }
        Ok(Self { shape, element, values })
    }

    /// The bytes of an `.npy` file that holds the array; [`parse_npy`] reads it back.
    pub fn to_npy(&self) -> Vec<u8> {
        npy::write(self)
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.shape.first().copied().unwrap_or(0)
    }

    /// Elements in a row.
    pub fn row_len(&self) -> usize {
        self.values.len().checked_div(self.rows()).unwrap_or(0)
    }

    /// Row `i`.
    ///
    /// Panics: `i` is not below [`Array::rows`].
    pub fn row(&self, i: usize) -> &[f32] {
        &self.values[i * self.row_len()..(i + 1) * self.row_len()]
    }

    /// Every `n`-th row, so that at most `most` remain.
    pub fn thinned(&self, most: usize) -> Self {
        let keep: Vec<usize> = spread(self.rows(), most);
        let values = keep.iter().flat_map(|i| self.row(*i).iter().copied()).collect();
        let mut shape = self.shape.clone();
        shape[0] = keep.len();
        Self { shape, element: self.element, values }
    }
}

/// At most `most` indices below `n`, evenly spread.
pub(crate) fn spread(n: usize, most: usize) -> Vec<usize> {
    let count = n.min(most);
    (0..count).map(|i| i * n / count).collect()
}

/// Reads a file by its ending: `.npy`, `.npz` (its array `x`, or the only one), or `.csv`.
///
/// Errors: another ending, a file that is too large, malformed, or holds numbers that float32 cannot.
pub fn read(path: &Path) -> Result<Array, ImportError> {
    let name = path.display().to_string();
    let bytes = read_bounded(path, limits::MAX_DATA_BYTES)?;
    let parsed = match path.extension().and_then(|e| e.to_str()) {
        Some("npy") => npy::parse(&bytes),
        Some("npz") => npz::member(&bytes, "x").and_then(|member| npy::parse(&member)),
        Some("csv") => csv::parse(&bytes),
        _ => Err("is none of .npy, .npz, .csv".to_string()),
    };
    parsed.map_err(|reason| ImportError::data(&name, reason))
}

/// The bytes of a file of at most `most` bytes.
///
/// Errors: the file cannot be read or is larger.
pub fn read_bounded(path: &Path, most: usize) -> Result<Vec<u8>, ImportError> {
    use std::io::Read;
    let name = path.display().to_string();
    let fail = |reason: String| ImportError::data(&name, reason);
    let file = std::fs::File::open(path).map_err(|e| fail(e.to_string()))?;
    let mut bytes = Vec::new();
    file.take(most as u64 + 1).read_to_end(&mut bytes).map_err(|e| fail(e.to_string()))?;
    if bytes.len() > most {
        return Err(fail(format!("is larger than {most} bytes")));
    }
    Ok(bytes)
}

/// Parses the bytes of an `.npy` file.
///
/// Errors: malformed, Fortran order, an element type other than i1, u1, b1, i2, u2, i4, i8, f4, f8
/// (little-endian).
pub fn parse_npy(bytes: &[u8]) -> Result<Array, ImportError> {
    npy::parse(bytes).map_err(|reason| ImportError::data("npy", reason))
}

/// Parses the array `x` (or the only array) of an `.npz` archive, stored or deflated.
///
/// Errors: malformed, encrypted, too large.
pub fn parse_npz(bytes: &[u8]) -> Result<Array, ImportError> {
    npz::member(bytes, "x").and_then(|m| npy::parse(&m)).map_err(|reason| ImportError::data("npz", reason))
}

/// Parses comma-separated numbers, one row a line, an optional heading line.
///
/// Errors: a field that is no finite number, rows of different lengths.
pub fn parse_csv(bytes: &[u8]) -> Result<Array, ImportError> {
    csv::parse(bytes).map_err(|reason| ImportError::data("csv", reason))
}

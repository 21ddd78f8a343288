//! Attributes of a node, with their defaults.

use crate::onnx::{Attribute, OnnxNode};

impl OnnxNode {
    pub(super) fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|a| a.name == name)
    }

    /// An integer attribute, or its default.
    pub(crate) fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).and_then(|a| a.int).unwrap_or(default)
    }

    /// A float attribute, or its default. Errors: infinite or not a number.
    pub(crate) fn float(&self, name: &str, default: f32) -> Result<f32, String> {
        let value = self.attribute(name).and_then(|a| a.float).unwrap_or(default);
        if value.is_finite() { Ok(value) } else { Err(format!("attribute {name} is not finite")) }
    }

    /// A list of integers, or `None` if it is left out or empty.
    pub(super) fn ints(&self, name: &str) -> Option<&[i64]> {
        self.attribute(name).map(|a| a.ints.as_slice()).filter(|l| !l.is_empty())
    }

    /// A list of sizes of the given length, or a default for every entry.
    pub(crate) fn sizes(&self, name: &str, length: usize, default: usize) -> Result<Vec<usize>, String> {
        let Some(list) = self.ints(name) else { return Ok(vec![default; length]) };
        if list.len() != length {
            return Err(format!("attribute {name} has {} entries, {length} are needed", list.len()));
        }
        let size = |v: &i64| usize::try_from(*v).ok().filter(|n| *n <= 1 << 20);
        list.iter()
            .map(size)
            .collect::<Option<_>>()
            .ok_or_else(|| format!("attribute {name} is negative or too large"))
    }

    /// A text attribute, or its default.
    pub(super) fn text<'a>(&'a self, name: &str, default: &'a str) -> &'a str {
        self.attribute(name).and_then(|a| a.text.as_deref()).unwrap_or(default)
    }
}

/// An axis counted from the back if negative, as an index below `rank`.
pub(super) fn axis(value: i64, rank: usize) -> Result<usize, String> {
    let rank_signed = rank as i64;
    let at = if value < 0 { value.saturating_add(rank_signed) } else { value };
    usize::try_from(at)
        .ok()
        .filter(|a| *a < rank)
        .ok_or_else(|| format!("axis {value} does not exist in {rank} axes"))
}

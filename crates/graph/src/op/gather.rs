//! Elements picked by constant index from the operands laid end to end: transpose, slice, reshape, concatenation, repetition.

use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::Operator;
use crate::program::{Interval, ValueType, WeightMode};
use crate::tensor::{Shape, Tensor};

/// `y[i] = (x_0 ++ x_1 ++ ..)[index[i]]`, all row-major.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gather {
    /// Sizes of the result.
    pub shape: Shape,
    /// `shape.len()` positions in the operands laid end to end.
    pub index: Vec<u32>,
}

impl Operator for Gather {
    fn check(&self, operands: &[ValueType], _: WeightMode) -> Result<ValueType, String> {
        let total: usize = operands.iter().map(|o| o.shape.len()).sum();
        if operands.is_empty()
            || self.index.len() != self.shape.len()
            || self.index.iter().any(|i| *i as usize >= total)
        {
            return Err("an index lies outside the operands, or their number is not the shape's".into());
        }
        let lo = operands.iter().map(|o| o.interval.lo).min().unwrap_or(0);
        let hi = operands.iter().map(|o| o.interval.hi).max().unwrap_or(0);
        Ok(ValueType { shape: self.shape, interval: Interval { lo, hi } })
    }

    fn execute(&self, operands: &[&Tensor]) -> Tensor {
        let all: Vec<i32> = operands.iter().flat_map(|t| t.data.iter().copied()).collect();
        Tensor { shape: self.shape, data: self.index.iter().map(|i| all[*i as usize]).collect() }
    }

    fn multiply_adds(&self, _: &[ValueType]) -> u64 {
        0
    }
}

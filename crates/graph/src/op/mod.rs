//! Operators. One file each: attributes, shape rule, integer meaning; and one row in [`Op::row`].

mod add;
mod average_pool;
mod conv;
mod extreme_pool;
mod gather;
mod lut;

pub use add::Add;
pub use average_pool::AveragePool;
pub use conv::Conv;
pub use extreme_pool::ExtremePool;
pub use gather::Gather;
pub use lut::Lut;

use alloc::string::String;
use alloc::vec::Vec;
use proofmesh_proof::system::ColumnId;
use serde::{Deserialize, Serialize};

use crate::arith::{Builder, ValueColumn};
use crate::limits;
use crate::program::{Interval, ValueId, ValueType, WeightMode};
use crate::tensor::{Shape, Tensor};

/// What a node does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// Convolution, dense and depthwise layers, matrix products with constants.
    Conv(Conv),
    /// Weighted sum of two values, rescaled.
    Add(Add),
    /// Mean over windows, rounded half up.
    AveragePool(AveragePool),
    /// Largest or smallest element of windows.
    ExtremePool(ExtremePool),
    /// Elements picked by constant index: transpose, slice, concatenation, repetition.
    Gather(Gather),
    /// A unary function given as a table.
    Lut(Lut),
}

impl Op {
    /// The operator's row.
    pub fn row(&self) -> &dyn Operator {
        match self {
            Self::Conv(op) => op,
            Self::Add(op) => op,
            Self::AveragePool(op) => op,
            Self::ExtremePool(op) => op,
            Self::Gather(op) => op,
            Self::Lut(op) => op,
        }
    }

    /// Whether it has weights that could be private.
    pub fn has_weights(&self) -> bool {
        matches!(self, Self::Conv(_))
    }

    /// Whether private weights have been removed.
    pub fn lacks_weights(&self) -> bool {
        matches!(self, Self::Conv(op) if op.weights.is_empty())
    }

    /// Removes what a verifier may not see in private mode.
    pub fn hide_weights(&mut self) {
        if let Self::Conv(op) = self {
            op.weights.clear();
            op.bias.clear();
        }
    }
}

/// What every operator must say of itself.
pub trait Operator {
    /// Checks attributes and operands; gives the result's type. The error says what is wrong and what to do.
    fn check(&self, operands: &[ValueType], weights: WeightMode) -> Result<ValueType, String>;

    /// The integer meaning: this is the reference that proofs are held against. Operands have passed [`Operator::check`].
    fn execute(&self, operands: &[&Tensor]) -> Tensor;

    /// Multiply-adds for one input.
    fn multiply_adds(&self, operands: &[ValueType]) -> u64;

    /// About how many cells and wire entries the claims of `batch` inputs take, before any of them is allocated. Never an underestimate by
    /// more than a small factor.
    fn work(&self, operands: &[ValueType], result: Shape, batch: usize) -> u64;

    /// The accumulator's bound and rescale, where the operator has one: look-up tables are shared by it.
    fn rescale_bound(&self, _operands: &[ValueType], _mode: WeightMode) -> Option<(Rescale, i64)> {
        None
    }

    /// Declares the columns and claims that bind the result to the operands; gives the result's column.
    fn constrain(&self, builder: &mut Builder<'_>, site: &Site<'_>) -> ColumnId;
}

/// Where an operator stands in a program.
pub struct Site<'a> {
    /// The node's name.
    pub name: &'a str,
    /// The result's value id.
    pub id: ValueId,
    /// Ids of the operands.
    pub inputs: &'a [ValueId],
    /// Columns and types of the operands.
    pub operands: &'a [ValueColumn],
    /// The result's type.
    pub ty: ValueType,
    /// Whether weights are public.
    pub mode: WeightMode,
    /// Columns of the node's private weights, in private mode.
    pub private: Option<PrivateWeights>,
}

impl Site<'_> {
    /// Types of the operands.
    pub fn operand_types(&self) -> Vec<ValueType> {
        self.operands.iter().map(|o| o.ty).collect()
    }

    /// The operands in a trace.
    pub fn read<'t>(&self, trace: &'t [Tensor]) -> Vec<&'t Tensor> {
        self.inputs.iter().map(|id| &trace[*id]).collect()
    }

    /// The result in a trace.
    pub fn result(&self, trace: &[Tensor]) -> Vec<i64> {
        trace[self.id].data.iter().map(|v| i64::from(*v)).collect()
    }
}

/// Columns of private weights: `[out][in / groups][kh][kw]`, each axis padded, and `[out][2]` limbs of 12 bits of `bias + 2^23`.
#[derive(Clone, Copy, Debug)]
pub struct PrivateWeights {
    /// Weights.
    pub weights: ColumnId,
    /// Biases.
    pub bias: ColumnId,
}

/// Rescale: `acc + 2^(shift-1) = 2^shift * q + r`, `0 <= r < 2^shift`, `y = clamp(q, lo, hi)`. Rounds half up. `shift = 0` keeps `acc`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rescale {
    /// Right shift in bits, at most [`limits::MAX_SHIFT`].
    pub shift: u32,
    /// Clamp; `lo = 0` is a ReLU.
    pub clamp: Interval,
}

impl Rescale {
    /// `(q, r)` of an accumulator.
    pub fn divide(&self, acc: i64) -> (i64, i64) {
        let shifted = acc + self.half();
        let q = shifted >> self.shift;
        (q, shifted - (q << self.shift))
    }

    /// The rounding term `2^(shift-1)`, 0 for no shift.
    pub fn half(&self) -> i64 {
        if self.shift == 0 { 0 } else { 1 << (self.shift - 1) }
    }

    /// The rescaled and clamped value.
    pub fn apply(&self, acc: i64) -> i32 {
        self.divide(acc).0.clamp(i64::from(self.clamp.lo), i64::from(self.clamp.hi)) as i32
    }

    /// Largest `|q|` for accumulators up to `bound`, or why the bound is too large for the field or for the clamp table.
    pub fn quotient_bound(&self, bound: i64) -> Result<i64, String> {
        if self.shift > limits::MAX_SHIFT || self.clamp.lo > self.clamp.hi {
            return Err("the rescale's shift or clamp is out of bounds".into());
        }
        if bound >= limits::MAX_ACCUMULATOR {
            return Err(alloc::format!(
                "the accumulator can reach {bound}, more than 2^29: use fewer weight bits or split the layer"
            ));
        }
        let q = (bound + self.half()).div_euclid(1 << self.shift) + 1;
        if q << self.shift > limits::MAX_QUOTIENT_SIDE {
            return Err("the rescaled quotient does not fit the field: use fewer weight bits".into());
        }
        if 2 * q + 1 > 1 << limits::MAX_CLAMP_ROWS_LOG2 {
            return Err(alloc::format!(
                "the quotient can reach {q}, more than the clamp table holds: use a larger shift"
            ));
        }
        Ok(q)
    }
}

/// One axis of a sliding window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowAxis {
    /// Input size.
    pub input: usize,
    /// Output size.
    pub output: usize,
    /// Window size.
    pub kernel: usize,
    /// Step.
    pub stride: usize,
    /// Elements of padding before the first.
    pub before: usize,
}

impl WindowAxis {
    /// The axis for the given sizes and padding, or why there is none.
    pub fn new(
        input: usize,
        kernel: usize,
        stride: usize,
        before: usize,
        after: usize,
    ) -> Result<Self, String> {
        let padded = input
            .checked_add(before)
            .and_then(|n| n.checked_add(after))
            .filter(|n| *n <= limits::MAX_ELEMENTS);
        match padded {
            Some(n) if kernel >= 1 && stride >= 1 && n >= kernel && before < kernel && after < kernel => {
                let output = (n - kernel) / stride + 1;
                if output as u64 * kernel as u64 > limits::MAX_WINDOW_ENTRIES {
                    return Err(alloc::format!("a window of {kernel} at {output} places is too large"));
                }
                Ok(Self { input, output, kernel, stride, before })
            }
            _ => Err(alloc::format!(
                "a window of {kernel} with stride {stride} and padding {before}+{after} does not fit an axis of {input}"
            )),
        }
    }

    /// The input index that window position `k` of output `o` reads, if it is not padding.
    pub fn source(&self, o: usize, k: usize) -> Option<usize> {
        (o * self.stride + k).checked_sub(self.before).filter(|i| *i < self.input)
    }
}

/// Attributes of a two-dimensional sliding window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Height and width.
    pub kernel: [usize; 2],
    /// Steps.
    pub stride: [usize; 2],
    /// Padding: top, left, bottom, right, each smaller than the kernel.
    pub pad: [usize; 4],
}

impl Window {
    /// About the work of one wire onto each axis of an input: an entry takes the room of four cells.
    pub fn work(&self, h: usize, w: usize) -> u64 {
        let entries =
            |axes: [WindowAxis; 2]| axes.iter().map(|a| a.output as u64 * a.kernel as u64).sum::<u64>();
        4 * self.axes(h, w).map_or(0, entries)
    }

    /// The two axes over an input of the given height and width.
    pub fn axes(&self, h: usize, w: usize) -> Result<[WindowAxis; 2], String> {
        if (self.kernel[0] as u64).saturating_mul(self.kernel[1] as u64) > limits::MAX_WINDOW_ENTRIES {
            return Err(alloc::format!("a window of {} by {} is too large", self.kernel[0], self.kernel[1]));
        }
        Ok([
            WindowAxis::new(h, self.kernel[0], self.stride[0], self.pad[0], self.pad[2])?,
            WindowAxis::new(w, self.kernel[1], self.stride[1], self.pad[1], self.pad[3])?,
        ])
    }
}

/// Padded cells of a value in a batch.
pub(crate) fn padded(shape: Shape, batch: usize) -> u64 {
    shape
        .axes()
        .into_iter()
        .fold(batch.next_power_of_two() as u64, |n, axis| n.saturating_mul(axis.next_power_of_two() as u64))
}

/// The one operand of a unary operator.
fn unary(operands: &[ValueType]) -> Result<ValueType, String> {
    match operands {
        [one] => Ok(*one),
        _ => Err(alloc::format!("needs one operand, has {}", operands.len())),
    }
}

//! Operators. One file each: attributes, shape rule, integer meaning; and one row in [`Op::row`].

mod add;
mod average_pool;
mod conv;
mod convolve;
mod divide;
mod extreme_pool;
mod gather;
mod lut;
mod mat_mul;
mod multiply;
mod reduce_sum;
mod requantise;

pub use add::Add;
pub use average_pool::AveragePool;
pub use conv::Conv;
pub use divide::Divide;
pub use extreme_pool::ExtremePool;
pub use gather::Gather;
pub use lut::Lut;
pub use mat_mul::MatMul;
pub use multiply::Multiply;
pub use reduce_sum::ReduceSum;
pub use requantise::{Requantise, Sum};

pub use crate::rescale::{Reach, Rescale};
pub use crate::window::{Window, WindowAxis};

use alloc::string::String;
use alloc::vec::Vec;
use proofmesh_proof::system::ColumnId;
use serde::{Deserialize, Serialize};

use crate::arith::{Builder, PrivateTensor, ValueColumn};
use crate::tensor::{Shape, Tensor};
use crate::value::{ValueId, ValueType, WeightMode};

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
    /// Elements picked by constant index, or zeros: transpose, slice, concatenation, repetition, padding.
    Gather(Gather),
    /// A unary function given as a table.
    Lut(Lut),
    /// A convolution or sum with an integer runtime's own rounding.
    Requantise(Requantise),
    /// Elementwise product of two values, rescaled.
    Multiply(Multiply),
    /// Matrix product of two values, channel by channel, rescaled.
    MatMul(MatMul),
    /// Quotient of two values, rounded half up.
    Divide(Divide),
    /// Sum over whole axes, rescaled.
    ReduceSum(ReduceSum),
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
            Self::Requantise(op) => op,
            Self::Multiply(op) => op,
            Self::MatMul(op) => op,
            Self::Divide(op) => op,
            Self::ReduceSum(op) => op,
        }
    }

    /// The convolution in it, whose weights could be private.
    pub fn conv(&self) -> Option<&Conv> {
        match self {
            Self::Conv(op) | Self::Requantise(Requantise { sum: Sum::Conv(op), .. }) => Some(op),
            _ => None,
        }
    }

    /// Whether it has weights that could be private.
    pub fn has_weights(&self) -> bool {
        self.conv().is_some()
    }

    /// Whether private weights have been removed.
    pub fn lacks_weights(&self) -> bool {
        self.conv().is_some_and(|op| op.weights.is_empty())
    }

    /// Removes what a verifier may not see in private mode.
    pub fn hide_weights(&mut self) {
        if let Self::Conv(op) | Self::Requantise(Requantise { sum: Sum::Conv(op), .. }) = self {
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

    /// The rescale and the accumulator's reach, where the operator has one: look-up tables are shared by it.
    fn rescale_reach(&self, _operands: &[ValueType], _mode: WeightMode) -> Option<(Rescale, Reach)> {
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
    /// The node's private weights, in private mode.
    pub private: Option<&'a PrivateWeights>,
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

/// A convolution's private tensors: weights `[out][in / groups][kernel]` and the bias' digits, `low + 2^12 high + 2^11`: `[out][2]`, or
/// `[out][1]` each where the high one has fewer bits.
#[derive(Clone, Debug)]
pub struct PrivateWeights {
    /// Weights.
    pub weights: PrivateTensor,
    /// Biases.
    pub bias: Vec<PrivateTensor>,
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

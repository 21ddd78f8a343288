//! Residual sum: `acc = m0 * x0 + m1 * x1`, then [`Rescale`]; the two factors bring the operands to one scale.

use alloc::string::String;
use alloc::vec::Vec;
use proofmesh_proof::field::int;
use proofmesh_proof::system::{ColumnId, Term};
use serde::{Deserialize, Serialize};

use super::{Operator, Rescale, Site, padded};
use crate::arith::{Accumulator, Builder, ValueColumn};
use crate::tensor::{Shape, Tensor};
use crate::value::{ValueType, WeightMode};

/// A weighted sum of two values of one shape.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Add {
    /// Public integer factor of each operand.
    pub factors: [i32; 2],
    /// How the sum becomes an activation.
    pub rescale: Rescale,
}

impl Add {
    /// Largest `|acc|`.
    pub fn accumulator_bound(&self, operands: &[ValueType]) -> i64 {
        operands
            .iter()
            .zip(self.factors)
            .map(|(o, m)| o.interval.magnitude().saturating_mul(i64::from(m).abs()))
            .fold(0, i64::saturating_add)
    }

    /// Every sum before the rescale.
    pub(super) fn accumulate(&self, operands: &[&Tensor]) -> Vec<i64> {
        let [m0, m1] = self.factors.map(i64::from);
        let pairs = operands[0].data.iter().zip(&operands[1].data);
        pairs.map(|(a, b)| m0 * i64::from(*a) + m1 * i64::from(*b)).collect()
    }

    /// The sum on the rows of the result.
    pub(super) fn accumulator(&self, builder: &Builder<'_>, site: &Site<'_>) -> Accumulator<'_> {
        let read = |(operand, factor): (&ValueColumn, i32)| {
            let rows = builder.rows(operand.column, site.ty.shape);
            Term { coef: int(i64::from(factor)), ..rows }
        };
        let linear = site.operands.iter().zip(self.factors).map(read).collect();
        let each = |trace: &Vec<Tensor>| self.accumulate(&site.read(trace));
        Accumulator { linear, sum: None, values: builder.each_trace(each) }
    }
}

impl Operator for Add {
    fn check(&self, operands: &[ValueType], _: WeightMode) -> Result<ValueType, String> {
        let [a, b] = operands else {
            return Err(alloc::format!("needs two operands, has {}", operands.len()));
        };
        if a.shape != b.shape {
            return Err(
                "the operands' shapes differ: broadcasting is not supported, reshape one of them".into()
            );
        }
        self.rescale.quotient_bound(self.accumulator_bound(operands))?;
        Ok(ValueType { shape: a.shape, interval: self.rescale.clamp })
    }

    fn execute(&self, operands: &[&Tensor]) -> Tensor {
        let data = self.accumulate(operands).into_iter().map(|acc| self.rescale.apply(acc)).collect();
        Tensor { shape: operands[0].shape, data }
    }

    fn rescale_bound(&self, operands: &[ValueType], _: WeightMode) -> Option<(Rescale, i64)> {
        Some((self.rescale, self.accumulator_bound(operands)))
    }

    fn work(&self, _: &[ValueType], result: Shape, batch: usize) -> u64 {
        5 * padded(result, batch)
    }

    fn constrain(&self, builder: &mut Builder<'_>, site: &Site<'_>) -> ColumnId {
        let bound = self.accumulator_bound(&site.operand_types());
        let accumulator = self.accumulator(builder, site);
        builder.rescale(site.name, site.ty.shape, (self.rescale, bound), &accumulator)
    }

    fn multiply_adds(&self, operands: &[ValueType]) -> u64 {
        2 * operands[0].shape.len() as u64
    }
}

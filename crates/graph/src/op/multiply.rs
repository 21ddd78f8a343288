//! Elementwise product: `acc = a * b`, then [`Rescale`]. Along each axis the operands have one size, or one of them has one element, which
//! is repeated.
//!
//! Claim, with a committed accumulator: `sum_x eq(tau, x) a(x) b(x) = acc(tau)`, that is, equality at every element; then the rescale of
//! acc. *No wrap*: operands lie in their intervals, so the product of two real elements is at most the product of their magnitudes,
//! refused from 2^29 on; acc is that integer, and the rescale's own bound holds. Cells outside the real elements are constrained by
//! themselves alone: a row of the cube stands on both sides of one equation only.

use alloc::string::String;
use alloc::vec::Vec;
use p3_field::PrimeCharacteristicRing;
use proofmesh_proof::field::F;
use proofmesh_proof::system::ColumnId;
use serde::{Deserialize, Serialize};

use super::{Operator, Reach, Rescale, Site, padded};
use crate::arith::{Accumulator, Builder, broadcast, expr, repeated};
use crate::tensor::{Shape, Tensor};
use crate::value::{ValueType, WeightMode};

/// An elementwise product of two values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Multiply {
    /// How the product becomes an activation.
    pub rescale: Rescale,
}

impl Multiply {
    /// Where the product can lie.
    fn reach(&self, operands: &[ValueType]) -> Reach {
        Reach::product(operands[0].interval, operands[1].interval)
    }

    /// Every product before the rescale.
    fn accumulate(&self, operands: &[&Tensor]) -> Vec<i64> {
        let [a, b] = [operands[0], operands[1]];
        let shape = broadcast(a.shape, b.shape).expect("checked before execution");
        let pairs = repeated(a.shape, shape).zip(repeated(b.shape, shape));
        pairs.map(|(i, j)| i64::from(a.data[i]) * i64::from(b.data[j])).collect()
    }
}

impl Operator for Multiply {
    fn check(&self, operands: &[ValueType], _: WeightMode) -> Result<ValueType, String> {
        let [a, b] = operands else {
            return Err(alloc::format!("needs two operands, has {}", operands.len()));
        };
        let Some(shape) = broadcast(a.shape, b.shape) else {
            return Err(
                "along an axis the operands' sizes differ and neither is 1: reshape one of them".into()
            );
        };
        self.rescale.quotients(self.reach(operands))?;
        Ok(ValueType { shape, interval: self.rescale.clamp })
    }

    fn execute(&self, operands: &[&Tensor]) -> Tensor {
        let shape = broadcast(operands[0].shape, operands[1].shape).expect("checked before execution");
        let data = self.accumulate(operands).into_iter().map(|acc| self.rescale.apply(acc)).collect();
        Tensor { shape, data }
    }

    fn rescale_reach(&self, operands: &[ValueType], _: WeightMode) -> Option<(Rescale, Reach)> {
        Some((self.rescale, self.reach(operands)))
    }

    fn work(&self, _: &[ValueType], result: Shape, batch: usize) -> u64 {
        // Three columns, two look-ups, three tables of the sum; two wires over the plane, an entry taking the room of four cells.
        let wires = 8 * (result.h * result.w) as u64;
        padded(result, batch).saturating_mul(8).saturating_add(wires)
    }

    fn constrain(&self, builder: &mut Builder<'_>, site: &Site<'_>) -> ColumnId {
        let shape = site.ty.shape;
        let values = builder.each_trace(|trace| self.accumulate(&site.read(trace)));
        let acc = builder.value_column(alloc::format!("{}.acc", site.name), shape, |b, _| values[b].clone());
        let factor = |i: usize| {
            let operand = site.operands[i];
            expr(alloc::vec![builder.broadcast_rows(F::ONE, operand.column, operand.ty.shape, shape)])
        };
        let factors = alloc::vec![factor(0), factor(1)];
        let product = alloc::vec![(F::ONE, alloc::vec![0, 1])];
        let rhs = expr(alloc::vec![builder.at_tau(F::ONE, acc, shape)]);
        builder.pointwise(alloc::format!("{}: products", site.name), shape, product, factors, rhs);
        let linear = alloc::vec![builder.rows(acc, shape)];
        let accumulator = Accumulator { linear, sum: None, values };
        builder.rescale(site.name, shape, (self.rescale, self.reach(&site.operand_types())), &accumulator)
    }

    fn multiply_adds(&self, operands: &[ValueType]) -> u64 {
        broadcast(operands[0].shape, operands[1].shape).map_or(0, |shape| shape.len() as u64)
    }
}

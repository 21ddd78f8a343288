//! Elementwise product: `acc = a * b`, then [`Rescale`]. Along each axis the operands have one size, or one of them has one element, which
//! is repeated.
//!
//! Claim: `sum_x eq(tau, x) a(x) b(x) = 2^k q(tau) + r(tau) - 2^(k-1)`, that is, equality at every element. *No wrap*: operands lie in
//! their intervals, so `|acc|` is at most the product of their magnitudes, refused from 2^29 on; the other side is bounded as in every
//! rescale, so the two differ by less than p and equality mod p is equality. Cells outside the real elements are constrained by
//! themselves alone: an element of the cube stands on both sides of one equation only.

use alloc::string::String;
use alloc::vec::Vec;
use p3_field::PrimeCharacteristicRing;
use proofmesh_proof::field::F;
use proofmesh_proof::system::ColumnId;
use serde::{Deserialize, Serialize};

use super::{Operator, Rescale, Site, padded};
use crate::arith::{Builder, broadcast, expr, repeated};
use crate::tensor::{Shape, Tensor};
use crate::value::{ValueType, WeightMode};

/// An elementwise product of two values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Multiply {
    /// How the product becomes an activation.
    pub rescale: Rescale,
}

impl Multiply {
    /// Largest `|acc|`.
    fn accumulator_bound(&self, operands: &[ValueType]) -> i64 {
        operands.iter().map(|o| o.interval.magnitude()).product()
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
        self.rescale.quotient_bound(self.accumulator_bound(operands))?;
        Ok(ValueType { shape, interval: self.rescale.clamp })
    }

    fn execute(&self, operands: &[&Tensor]) -> Tensor {
        let shape = broadcast(operands[0].shape, operands[1].shape).expect("checked before execution");
        let data = self.accumulate(operands).into_iter().map(|acc| self.rescale.apply(acc)).collect();
        Tensor { shape, data }
    }

    fn rescale_bound(&self, operands: &[ValueType], _: WeightMode) -> Option<(Rescale, i64)> {
        Some((self.rescale, self.accumulator_bound(operands)))
    }

    fn work(&self, _: &[ValueType], result: Shape, batch: usize) -> u64 {
        // Three columns, two look-ups, three tables of the sum.
        padded(result, batch).saturating_mul(8)
    }

    fn constrain(&self, builder: &mut Builder<'_>, site: &Site<'_>) -> ColumnId {
        let shape = site.ty.shape;
        let bound = self.accumulator_bound(&site.operand_types());
        let (y, terms) = builder
            .rescale(site.name, shape, self.rescale, bound, |trace| self.accumulate(&site.read(trace)));
        let factor = |i: usize| {
            let operand = site.operands[i];
            expr(alloc::vec![builder.broadcast_rows(F::ONE, operand.column, operand.ty.shape, shape)])
        };
        let factors = alloc::vec![factor(0), factor(1)];
        let product = alloc::vec![(F::ONE, alloc::vec![0, 1])];
        builder.pointwise(alloc::format!("{}: products", site.name), shape, product, factors, expr(terms));
        y
    }

    fn multiply_adds(&self, operands: &[ValueType]) -> u64 {
        broadcast(operands[0].shape, operands[1].shape).map_or(0, |shape| shape.len() as u64)
    }
}

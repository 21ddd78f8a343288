//! Product of two values, one matrix product a channel (head): `acc[c, i, j] = sum_k a[c, i, k] * b[c, k, j]`, or `* b[c, j, k]` when b is
//! transposed, then [`Rescale`]. Shapes `[c, i, k]` and `[c, k, j]` (`[c, j, k]`) give `[c, i, j]`.
//!
//! Claim: `sum_{n, c, k} eq(tau_n, n) eq(tau_c, c) a(n, c, tau_i, k) b(n, c, k, tau_j) = 2^r q(tau) + rem(tau) - 2^(r-1)`, n the input of
//! the batch: equality at every `(n, c, i, j)`. Both factors read real k only, so what columns hold beyond the last k adds to no real
//! sum; other padding meets padding of the result alone. *No wrap*: `|acc| <= K * max|a| * max|b|`, refused from 2^29 on, the other side
//! as in every rescale; the two differ by less than p and equality mod p is equality.

use alloc::string::String;
use alloc::vec::Vec;
use p3_field::PrimeCharacteristicRing;
use proofmesh_proof::field::{F, log2_ceil};
use proofmesh_proof::system::{Axis, ColumnId, SumClaim};
use serde::{Deserialize, Serialize};

use super::{Operator, Rescale, Site, padded};
use crate::arith::{Builder, Logs, column, entry, expr, wire};
use crate::tensor::{Shape, Tensor};
use crate::value::{ValueType, WeightMode};

/// A matrix product of two values, channel by channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatMul {
    /// Whether b is given as `[c, j, k]`.
    pub transposed: bool,
    /// How the sum becomes an activation.
    pub rescale: Rescale,
}

impl MatMul {
    /// `(inner size, result's columns)` of the second operand.
    fn second(&self, b: Shape) -> (usize, usize) {
        if self.transposed { (b.w, b.h) } else { (b.h, b.w) }
    }

    /// Largest `|acc|`.
    fn accumulator_bound(&self, operands: &[ValueType]) -> i64 {
        let terms = operands[0].shape.w as i64;
        operands.iter().fold(terms, |n, o| n.saturating_mul(o.interval.magnitude()))
    }

    /// Every sum before the rescale.
    fn accumulate(&self, operands: &[&Tensor]) -> Vec<i64> {
        let [a, b] = [operands[0], operands[1]];
        let (inner, columns) = self.second(b.shape);
        let mut sums = Vec::with_capacity(a.shape.c * a.shape.h * columns);
        for c in 0..a.shape.c {
            for i in 0..a.shape.h {
                for j in 0..columns {
                    let product = |k: usize| {
                        let (y, x) = if self.transposed { (j, k) } else { (k, j) };
                        i64::from(a.data[a.shape.at(c, i, k)]) * i64::from(b.data[b.shape.at(c, y, x)])
                    };
                    sums.push((0..inner).map(product).sum());
                }
            }
        }
        sums
    }
}

impl Operator for MatMul {
    fn check(&self, operands: &[ValueType], _: WeightMode) -> Result<ValueType, String> {
        let [a, b] = operands else {
            return Err(alloc::format!("needs two operands, has {}", operands.len()));
        };
        let (inner, columns) = self.second(b.shape);
        if a.shape.c != b.shape.c || a.shape.w != inner {
            return Err(alloc::format!(
                "the operands are {} matrices with {} columns and {} with {inner} rows: transpose or repeat one of them",
                a.shape.c,
                a.shape.w,
                b.shape.c
            ));
        }
        self.rescale.quotient_bound(self.accumulator_bound(operands))?;
        Ok(ValueType { shape: Shape::new(a.shape.c, a.shape.h, columns), interval: self.rescale.clamp })
    }

    fn execute(&self, operands: &[&Tensor]) -> Tensor {
        let (a, columns) = (operands[0].shape, self.second(operands[1].shape).1);
        let data = self.accumulate(operands).into_iter().map(|acc| self.rescale.apply(acc)).collect();
        Tensor { shape: Shape::new(a.c, a.h, columns), data }
    }

    fn rescale_bound(&self, operands: &[ValueType], _: WeightMode) -> Option<(Rescale, i64)> {
        Some((self.rescale, self.accumulator_bound(operands)))
    }

    fn work(&self, operands: &[ValueType], result: Shape, batch: usize) -> u64 {
        // Three columns and two look-ups a result; both factors' tables; two wires over k, an entry taking the room of four cells.
        let factors: u64 = operands.iter().map(|o| padded(o.shape, batch)).fold(0, u64::saturating_add);
        let wires = 8 * operands[0].shape.w as u64;
        padded(result, batch).saturating_mul(5).saturating_add(factors).saturating_add(wires)
    }

    fn constrain(&self, builder: &mut Builder<'_>, site: &Site<'_>) -> ColumnId {
        let (a, b, shape) = (site.operands[0], site.operands[1], site.ty.shape);
        let bound = self.accumulator_bound(&site.operand_types());
        let (y, terms) = builder
            .rescale(site.name, shape, self.rescale, bound, |trace| self.accumulate(&site.read(trace)));
        let logs = Logs::new(builder.batch, shape);
        builder.reserve(logs.total());
        let [batch, _, rows, columns] = logs.ranges(0);
        // Batch and channel are the first variables and the first challenges; a sum needs a variable.
        let outer = logs.axes[0] + logs.axes[1];
        let inner = log2_ceil(a.ty.shape.w);
        let vars = (outer + inner).max(1);
        let entries = (0..a.ty.shape.w).map(|k| entry(0, k, k, F::ONE)).collect();
        let k = wire(0..0, outer..vars, inner, entries);
        let shared = [Axis::Var(batch.clone()), Axis::Var(batch.end..outer)];
        let second =
            if self.transposed { [Axis::Tau(columns), k.clone()] } else { [k.clone(), Axis::Tau(columns)] };
        let factor = |of: ColumnId, own: [Axis; 2]| {
            expr(alloc::vec![column(F::ONE, of, shared.iter().cloned().chain(own).collect())])
        };
        let factors = alloc::vec![factor(a.column, [Axis::Tau(rows), k]), factor(b.column, second)];
        builder.sum(SumClaim {
            name: alloc::format!("{}: accumulators", site.name),
            vars,
            eq: (outer > 0).then_some((0..outer, 0..outer)),
            products: alloc::vec![(F::ONE, alloc::vec![0, 1])],
            factors,
            rhs: expr(terms),
        });
        y
    }

    fn multiply_adds(&self, operands: &[ValueType]) -> u64 {
        let a = operands[0].shape;
        (a.len() as u64).saturating_mul(self.second(operands[1].shape).1 as u64)
    }
}

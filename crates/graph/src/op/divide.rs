//! Quotient of two values: `y = floor(a * scale / b + 1/2)` for `a >= 0`, `b >= 1`; b is repeated along the axes where it has one element.
//! The result has the shape of a.
//!
//! Claim, with a committed remainder: `2 y b + r = 2 scale a + b` at every element, `0 <= r` and `r <= 2 b - 1` by one look-up each, y in
//! `[0, 2^m)` by one, `2^m` the least power of two above the largest quotient that the intervals allow. *No wrap*: the left side lies in
//! `[0, 2 (2^m - 1) max b + 2^L)`, r being looked up below `2^L`, the right side in `[0, 2 scale max a + max b]`; both are refused from
//! 2^30 on, so they differ by less than p and equality mod p is equality. Division with remainder by `2 b > 0` is unique, hence y is.
//! `2 b - 1 - r` lies above `-2^17`, so below 0 it is no row of its table.

use alloc::string::String;
use p3_field::PrimeCharacteristicRing;
use proofmesh_proof::field::{F, int, log2_ceil};
use proofmesh_proof::system::{ColumnId, Expr};
use serde::{Deserialize, Serialize};

use super::{Operator, Site, padded};
use crate::arith::{Builder, broadcast, expr, repeated};
use crate::limits;
use crate::tensor::{Shape, Tensor};
use crate::value::{Interval, ValueType, WeightMode};

/// A quotient of two values, rounded half up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Divide {
    /// Public factor of the dividend, at least 1: the quotient's unit is `1 / scale`.
    pub scale: i32,
}

/// `log2` of the tables that bound the quotient and the remainder.
struct Logs {
    quotient: usize,
    remainder: usize,
}

impl Divide {
    /// `(y, r)` with `2 y b + r = 2 scale a + b`, `0 <= r < 2 b`.
    fn divide(&self, a: i32, b: i32) -> (i64, i64) {
        let (n, d) = (2 * i64::from(self.scale) * i64::from(a) + i64::from(b), 2 * i64::from(b));
        (n / d, n % d)
    }

    /// Quotients or remainders of all elements.
    fn each<T>(&self, a: &Tensor, b: &Tensor, f: impl Fn((i64, i64)) -> T) -> alloc::vec::Vec<T> {
        let pairs = a.data.iter().zip(repeated(b.shape, a.shape));
        pairs.map(|(x, i)| f(self.divide(*x, b.data[i]))).collect()
    }

    /// Smallest and largest quotient: the formula rises with a and falls with b.
    fn interval(&self, a: Interval, b: Interval) -> Interval {
        let quotient = |x, y| self.divide(x, y).0.min(i64::from(i32::MAX)) as i32;
        Interval { lo: quotient(a.lo, b.hi), hi: quotient(a.hi, b.lo) }
    }

    /// Sizes of the tables.
    fn logs(&self, a: Interval, b: Interval) -> Logs {
        let quotient = log2_ceil(self.interval(a, b).hi as usize + 1);
        Logs { quotient, remainder: log2_ceil(2 * b.hi as usize) }
    }
}

impl Operator for Divide {
    fn check(&self, operands: &[ValueType], _: WeightMode) -> Result<ValueType, String> {
        let [a, b] = operands else {
            return Err(alloc::format!("needs two operands, has {}", operands.len()));
        };
        if broadcast(a.shape, b.shape) != Some(a.shape) {
            return Err("the divisor's shape does not repeat to the dividend's: reshape it".into());
        }
        if a.interval.lo < 0 || b.interval.lo < 1 || self.scale < 1 {
            return Err(alloc::format!(
                "the dividend can be {}, the divisor {}, the scale is {}: they must be at least 0, 1 and 1; clamp the operands",
                a.interval.lo,
                b.interval.lo,
                self.scale
            ));
        }
        let interval = self.interval(a.interval, b.interval);
        if interval.hi > limits::MAX_ACTIVATION {
            return Err(alloc::format!(
                "the quotient can reach {}, more than 16 bits: clamp the divisor from below or lower the scale",
                interval.hi
            ));
        }
        let logs = self.logs(a.interval, b.interval);
        let divisor = i64::from(b.interval.hi);
        let left = 2 * ((1 << logs.quotient) - 1) * divisor + (1 << logs.remainder);
        let right = 2 * i64::from(self.scale) * i64::from(a.interval.hi) + divisor;
        if left.max(right) >= limits::MAX_QUOTIENT_SIDE {
            return Err(alloc::format!(
                "a side of the division can reach {}, more than 2^30: use fewer bits or a lower scale",
                left.max(right)
            ));
        }
        Ok(ValueType { shape: a.shape, interval })
    }

    fn execute(&self, operands: &[&Tensor]) -> Tensor {
        let data = self.each(operands[0], operands[1], |(y, _)| y as i32);
        Tensor { shape: operands[0].shape, data }
    }

    fn work(&self, _: &[ValueType], result: Shape, batch: usize) -> u64 {
        // Two columns, three look-ups, three tables of the sum; three wires over the plane, an entry taking the room of four cells.
        let wires = 12 * (result.h * result.w) as u64;
        padded(result, batch).saturating_mul(8).saturating_add(wires)
    }

    fn constrain(&self, builder: &mut Builder<'_>, site: &Site<'_>) -> ColumnId {
        let (a, b, shape) = (site.operands[0], site.operands[1], site.ty.shape);
        let logs = self.logs(a.ty.interval, b.ty.interval);
        let name = |what: &str| alloc::format!("{}: {what}", site.name);
        let y = builder.value_column(site.name, shape, |_, trace| site.result(trace));
        let r = builder.value_column(alloc::format!("{}.r", site.name), shape, |_, trace| {
            let operands = site.read(trace);
            self.each(operands[0], operands[1], |(_, r)| r)
        });
        let (vars, real) = builder.real_rows(shape);
        let row = |builder: &Builder<'_>, of| expr(alloc::vec![builder.rows(of, shape)]);
        let (quotient, remainder) = (row(builder, y), row(builder, r));
        let mut below = builder.rows(r, shape);
        below.coef = -F::ONE;
        let divisor = builder.broadcast_rows(F::TWO, b.column, b.ty.shape, shape);
        let rest = Expr { constant: -F::ONE, terms: alloc::vec![divisor, below] };
        builder.range(&name("quotient"), 1 << logs.quotient, vars, quotient.clone(), real.clone());
        builder.range(&name("remainder"), 1 << logs.remainder, vars, remainder, real.clone());
        builder.range(&name("remainder below the divisor"), 1 << logs.remainder, vars, rest, real);
        let divisor = expr(alloc::vec![builder.broadcast_rows(F::ONE, b.column, b.ty.shape, shape)]);
        let terms = alloc::vec![
            builder.at_tau(int(2 * i64::from(self.scale)), a.column, shape),
            builder.broadcast_at_tau(F::ONE, b.column, b.ty.shape, shape),
            builder.at_tau(-F::ONE, r, shape),
        ];
        let product = alloc::vec![(F::TWO, alloc::vec![0, 1])];
        builder.pointwise(name("division"), shape, product, alloc::vec![quotient, divisor], expr(terms));
        y
    }

    fn multiply_adds(&self, operands: &[ValueType]) -> u64 {
        operands[0].shape.len() as u64
    }
}

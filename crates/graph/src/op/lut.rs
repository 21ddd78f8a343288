//! A unary function as a table: sigmoid, exponential, inverse square root and their like on values of up to 16 bits.
//!
//! Claim: `(x, y)` is a row of the table, one look-up an element. The table is public; a row costs one committed multiplicity and one leaf
//! of the look-ups' tree, and the verifier one multiplication, so a table of 2^16 rows costs what some 40,000 activations do. Equal tables
//! are one. *No wrap*: nothing is computed.

use alloc::string::String;
use alloc::vec::Vec;
use proofmesh_proof::system::ColumnId;
use serde::{Deserialize, Serialize};

use super::{Operator, Site, padded, unary};
use crate::arith::{Builder, expr};
use crate::limits;
use crate::tensor::{Shape, Tensor};
use crate::value::{Interval, ValueType, WeightMode};

/// `y = table[x - first]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lut {
    /// The operand that row 0 stands for.
    pub first: i32,
    /// Results, one a row; must cover the operand's interval.
    pub table: Vec<i32>,
}

impl Operator for Lut {
    fn check(&self, operands: &[ValueType], _: WeightMode) -> Result<ValueType, String> {
        let a = unary(operands)?;
        let last = i64::from(self.first) + self.table.len() as i64 - 1;
        if self.table.is_empty() || self.table.len() > limits::MAX_LUT_ROWS {
            return Err(alloc::format!(
                "a table has {} rows, at most {} are possible",
                self.table.len(),
                limits::MAX_LUT_ROWS
            ));
        }
        if self.first > a.interval.lo || last < i64::from(a.interval.hi) {
            return Err("the table does not cover the operand's interval".into());
        }
        let lo = self.table.iter().copied().min().unwrap_or(0);
        let hi = self.table.iter().copied().max().unwrap_or(0);
        Ok(ValueType { shape: a.shape, interval: Interval { lo, hi } })
    }

    fn execute(&self, operands: &[&Tensor]) -> Tensor {
        let row = |x: &i32| self.table[(x - self.first) as usize];
        Tensor { shape: operands[0].shape, data: operands[0].data.iter().map(row).collect() }
    }

    fn work(&self, _: &[ValueType], result: Shape, batch: usize) -> u64 {
        // A column and a look-up an element; of each row its value, its multiplicity and its leaf.
        let rows = self.table.len().next_power_of_two() as u64;
        padded(result, batch).saturating_mul(2).saturating_add(3 * rows)
    }

    fn constrain(&self, builder: &mut Builder<'_>, site: &Site<'_>) -> ColumnId {
        let shape = site.ty.shape;
        let y = builder.value_column(site.name, shape, |_, trace| site.result(trace));
        let table = builder.row_table(i64::from(self.first), &self.table);
        let key = expr(alloc::vec![builder.rows(site.operands[0].column, shape)]);
        let value = expr(alloc::vec![builder.rows(y, shape)]);
        let (vars, real) = builder.real_rows(shape);
        builder.lookup(alloc::format!("{}: table", site.name), table, vars, key, value, real);
        y
    }

    fn multiply_adds(&self, _: &[ValueType]) -> u64 {
        0
    }
}

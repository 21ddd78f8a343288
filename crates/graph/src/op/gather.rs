//! Elements picked by constant index from the operands laid end to end, or zero: transpose, slice, reshape, concatenation, repetition,
//! padding, insertion of zeros.
//!
//! Claim: `y(tau) = sum over operands x of sum_i (sum of eq(tau, o) with index[o] = i) x[i]`, linear. *No wrap*: nothing is computed.

use alloc::string::String;
use alloc::vec::Vec;
use p3_field::PrimeCharacteristicRing;
use proofmesh_proof::field::F;
use proofmesh_proof::system::{Axis, ColumnId};
use serde::{Deserialize, Serialize};

use super::{Operator, Site, padded};
use crate::arith::{Builder, Logs, column, entry, expr, wire};
use crate::tensor::{Shape, Tensor};
use crate::value::{Interval, ValueType, WeightMode};

/// `y[i] = (x_0 ++ x_1 ++ ..)[index[i]]`, all row-major; 0 where the index is [`Gather::ZERO`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gather {
    /// Sizes of the result.
    pub shape: Shape,
    /// `shape.len()` positions in the operands laid end to end, or [`Gather::ZERO`].
    pub index: Vec<u32>,
}

impl Gather {
    /// The index that picks nothing: the element is 0.
    pub const ZERO: u32 = u32::MAX;
}

impl Operator for Gather {
    fn check(&self, operands: &[ValueType], _: WeightMode) -> Result<ValueType, String> {
        let total = operands.iter().fold(0usize, |n, o| n.saturating_add(o.shape.len()));
        // Beyond 2^32 - 1 elements a position could be the index that picks nothing.
        if operands.is_empty()
            || total > Self::ZERO as usize
            || self.index.len() != self.shape.len()
            || self.index.iter().any(|i| *i != Self::ZERO && *i as usize >= total)
        {
            return Err("an index lies outside the operands, or their number is not the shape's".into());
        }
        let lo = operands.iter().map(|o| o.interval.lo).min().unwrap_or(0);
        let hi = operands.iter().map(|o| o.interval.hi).max().unwrap_or(0);
        let (lo, hi) = if self.index.contains(&Self::ZERO) { (lo.min(0), hi.max(0)) } else { (lo, hi) };
        Ok(ValueType { shape: self.shape, interval: Interval { lo, hi } })
    }

    fn execute(&self, operands: &[&Tensor]) -> Tensor {
        let all: Vec<i32> = operands.iter().flat_map(|t| t.data.iter().copied()).collect();
        let pick = |i: &u32| if *i == Self::ZERO { 0 } else { all[*i as usize] };
        Tensor { shape: self.shape, data: self.index.iter().map(pick).collect() }
    }

    fn work(&self, _: &[ValueType], result: Shape, batch: usize) -> u64 {
        // A column; an entry an element, which takes the room of four cells.
        padded(result, batch).saturating_add(4 * result.len() as u64)
    }

    fn constrain(&self, builder: &mut Builder<'_>, site: &Site<'_>) -> ColumnId {
        let shape = site.ty.shape;
        let y = builder.value_column(site.name, shape, |_, trace| site.result(trace));
        let logs = Logs::new(builder.batch, shape);
        let (batch, element) = (0..logs.axes[0], logs.axes[0]..logs.total());
        let mut terms = alloc::vec![builder.at_tau(-F::ONE, y, shape)];
        let starts: Vec<usize> = site
            .operands
            .iter()
            .scan(0, |next, o| Some(core::mem::replace(next, *next + o.ty.shape.len())))
            .collect();
        let mut entries = alloc::vec![Vec::new(); site.operands.len()];
        for (o, i) in self.index.iter().enumerate().filter(|(_, i)| **i != Self::ZERO) {
            let from = starts.partition_point(|start| *start <= *i as usize) - 1;
            let operand = site.operands[from].ty.shape;
            let cell = Logs::new(builder.batch, operand).cell_of(operand, *i as usize - starts[from]);
            entries[from].push(entry(logs.cell_of(shape, o), 0, cell, F::ONE));
        }
        for (operand, entries) in site.operands.iter().zip(entries) {
            let log = Logs::new(builder.batch, operand.ty.shape).element();
            let axes = alloc::vec![Axis::Tau(batch.clone()), wire(element.clone(), 0..0, log, entries)];
            terms.push(column(F::ONE, operand.column, axes));
        }
        builder.linear(alloc::format!("{}: picked", site.name), expr(terms));
        y
    }

    fn multiply_adds(&self, _: &[ValueType]) -> u64 {
        0
    }
}

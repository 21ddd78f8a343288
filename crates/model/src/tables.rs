//! What a program's look-up tables cost a proof: one cell a row.

use std::collections::{BTreeMap, BTreeSet};

use proofmesh_graph::op::Op;
use proofmesh_graph::program::{Interval, Program, ProgramError};
use serde::{Deserialize, Serialize};

/// A clamp table: layers with the same clamp share it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClampTable {
    /// The clamp.
    pub interval: Interval,
    /// Rows before rounding up: `2 q + 1`, q the largest quotient of the layers that share it.
    pub needed: u64,
    /// Rows: a power of two.
    pub rows: u64,
    /// How many layers share it.
    pub layers: usize,
}

/// Tables of a program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tables {
    /// One for each different clamp.
    pub clamps: Vec<ClampTable>,
    /// Rows `2^k` for each different shift k.
    pub remainders: Vec<u64>,
    /// Rows of tables given row by row (curves).
    pub curves: Vec<u64>,
    /// Rows of the input's range check.
    pub input: u64,
}

impl Tables {
    /// The tables of a program.
    ///
    /// Errors: as [`Program::check`].
    pub fn of(program: &Program) -> Result<Self, ProgramError> {
        let types = program.check()?;
        let mut clamps: BTreeMap<(i32, i32), (i64, i64, usize)> = BTreeMap::new();
        let mut curves = BTreeSet::new();
        let mut tables = Self { input: span_rows(program.input.interval), ..Self::default() };
        for node in &program.nodes {
            let operands: Vec<_> = node.inputs.iter().map(|i| types[*i]).collect();
            match &node.op {
                // Look-ups in equal tables share one.
                Op::Lut(op) if curves.insert((op.first, &op.table)) => {
                    tables.curves.push((op.table.len() as u64).next_power_of_two());
                }
                Op::Requantise(op) => tables.curves.push((op.rows() as u64).next_power_of_two()),
                _ => {}
            }
            let Some((rescale, reach)) = node.op.row().rescale_reach(&operands, program.weights) else {
                continue;
            };
            let q = rescale
                .quotients(reach)
                .map_err(|reason| ProgramError::Node { node: node.name.clone(), reason })?;
            let entry = clamps.entry((rescale.clamp.lo, rescale.clamp.hi)).or_insert((i64::MAX, i64::MIN, 0));
            *entry = (entry.0.min(q.lo), entry.1.max(q.hi), entry.2 + 1);
            let remainder = 1u64 << rescale.shift;
            if rescale.shift > 0 && !tables.remainders.contains(&remainder) {
                tables.remainders.push(remainder);
            }
        }
        tables.remainders.sort_unstable();
        let table = |((lo, hi), (first, last, layers)): ((i32, i32), (i64, i64, usize))| {
            let needed = (last - first + 1) as u64;
            let rows = needed.next_power_of_two();
            ClampTable { interval: Interval { lo, hi }, needed, rows, layers }
        };
        tables.clamps = clamps.into_iter().map(table).collect();
        Ok(tables)
    }

    /// Rows of all tables.
    pub fn total_rows(&self) -> u64 {
        let clamps: u64 = self.clamps.iter().map(|c| c.rows).sum();
        clamps + self.remainders.iter().sum::<u64>() + self.curves.iter().sum::<u64>() + self.input
    }
}

fn span_rows(interval: Interval) -> u64 {
    (i64::from(interval.hi) - i64::from(interval.lo) + 1).unsigned_abs().next_power_of_two()
}

//! The look-up tables of a system, shared wherever two look-ups need the same rows.

use alloc::sync::Arc;
use alloc::vec::Vec;
use proofmesh_proof::field::log2_ceil;
use proofmesh_proof::system::{Table, TableId, TableValues};

use super::Builder;
use crate::rescale::Rescale;
use crate::value::Interval;

/// What clamp tables the program needs: for each clamp the largest `log2`.
#[derive(Debug, Default)]
pub struct Tables {
    clamps: Vec<(Interval, usize)>,
}

/// `log2` of a clamp table that is symmetric and holds every `|q| <= bound`.
fn clamp_log(bound: i64) -> usize {
    log2_ceil(bound as usize + 1) + 1
}

impl Builder<'_> {
    fn table(&mut self, log: usize, first: i64, values: TableValues) -> TableId {
        let same = |t: &Table| t.log == log && t.first == first && t.values == values;
        if let Some(id) = self.out.system.tables.iter().position(same) {
            return id;
        }
        let multiplicity =
            self.column(alloc::format!("multiplicities {}", self.out.system.tables.len()), log, |_| {
                Vec::new()
            });
        self.out.system.tables.push(Table { log, first, values, multiplicity });
        self.out.system.tables.len() - 1
    }

    /// The table of `0 .. 2^log`.
    pub fn range_table(&mut self, log: usize) -> TableId {
        self.table(log, 0, TableValues::Range)
    }

    /// Announces a rescale, so that later ones with the same clamp can share the largest table.
    pub fn announce_clamp(&mut self, rescale: Rescale, bound: i64) {
        let Ok(q) = rescale.quotient_bound(bound) else { return };
        let log = clamp_log(q);
        match self.tables.clamps.iter_mut().find(|(c, _)| *c == rescale.clamp) {
            Some((_, largest)) => *largest = log.max(*largest),
            None => self.tables.clamps.push((rescale.clamp, log)),
        }
    }

    /// The table of `(q, clamp(q))` for every quotient that an accumulator up to `bound` can give.
    ///
    /// A larger shared table is used only while `|2^shift q| <= 2^30` holds for all its rows.
    pub fn clamp_table(&mut self, rescale: Rescale, bound: i64) -> TableId {
        let own = clamp_log(rescale.quotient_bound(bound).expect("the program was checked"));
        let shared =
            self.tables.clamps.iter().find(|(c, _)| *c == rescale.clamp).map_or(own, |(_, log)| *log);
        let log = if shared - 1 + rescale.shift as usize <= 30 { shared } else { own };
        let values = TableValues::Clamp { lo: rescale.clamp.lo, hi: rescale.clamp.hi };
        self.table(log, -(1i64 << (log - 1)), values)
    }

    /// A table given row by row.
    pub fn row_table(&mut self, first: i64, rows: &[i32]) -> TableId {
        self.table(log2_ceil(rows.len()), first, TableValues::Rows(Arc::new(rows.to_vec())))
    }
}

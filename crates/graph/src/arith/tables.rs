//! The look-up tables of a system, shared wherever two look-ups need the same rows.

use alloc::sync::Arc;
use alloc::vec::Vec;
use proofmesh_proof::field::log2_ceil;
use proofmesh_proof::system::{Table, TableId, TableValues};

use super::Builder;
use crate::limits;
use crate::rescale::{Reach, Rescale};
use crate::value::Interval;

/// What clamp tables the program needs: for each clamp all its quotients.
#[derive(Debug, Default)]
pub struct Tables {
    clamps: Vec<(Interval, Reach)>,
}

/// First row and `log2` of the rows of a clamp table that holds the quotients; its padding lies evenly on both sides.
fn span(quotients: Reach) -> (i64, usize) {
    let rows = quotients.hi - quotients.lo + 1;
    let log = log2_ceil(rows as usize);
    (quotients.lo - ((1i64 << log) - rows) / 2, log)
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
    pub fn announce_clamp(&mut self, rescale: Rescale, reach: Reach) {
        let Ok(q) = rescale.quotients(reach) else { return };
        match self.tables.clamps.iter_mut().find(|(c, _)| *c == rescale.clamp) {
            Some((_, all)) => *all = Reach { lo: all.lo.min(q.lo), hi: all.hi.max(q.hi) },
            None => self.tables.clamps.push((rescale.clamp, q)),
        }
    }

    /// The table of `(q, clamp(q))` for every quotient that an accumulator within `reach` can give.
    ///
    /// A larger shared table is used only while `|2^shift q| <= 2^30` holds for all its rows. An own table holds at most twice the quotients
    /// and one more, so that, with `|acc| < 2^29`, there `|2^shift q| <= 2^30 + 2^(shift + 2)`: less than `p - 2^29 - 2^shift`.
    pub fn clamp_table(&mut self, rescale: Rescale, reach: Reach) -> TableId {
        let own = rescale.quotients(reach).expect("the program was checked");
        let shared = self.tables.clamps.iter().find(|(c, _)| *c == rescale.clamp).map_or(own, |(_, q)| *q);
        let farthest = |(first, log): (i64, usize)| first.abs().max((first + (1i64 << log) - 1).abs());
        let fits = farthest(span(shared)) << rescale.shift <= limits::MAX_QUOTIENT_SIDE
            && shared.lo <= own.lo
            && own.hi <= shared.hi;
        let (first, log) = span(if fits { shared } else { own });
        let values = TableValues::Clamp { lo: rescale.clamp.lo, hi: rescale.clamp.hi };
        self.table(log, first, values)
    }

    /// A table given row by row.
    pub fn row_table(&mut self, first: i64, rows: &[i32]) -> TableId {
        self.table(log2_ceil(rows.len()), first, TableValues::Rows(Arc::new(rows.to_vec())))
    }
}

//! The layout of values: a plane of rows and columns whose size is no power of two is committed in a few aligned pieces.
//!
//! Operators speak of whole columns, each axis padded to a power of two, the plane last. [`lower`] rewrites what they said: a column
//! becomes one column a piece, a term over it one term a piece, and a look-up over its rows one look-up a piece, so that padding costs
//! neither cells nor leaves. A plane of 24 x 24 = 576 elements takes 512 + 64 cells a channel instead of 1,024.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;
use p3_field::PrimeCharacteristicRing;
use proofmesh_proof::field::{F, log2_ceil};
use proofmesh_proof::system::{
    Axis, Column, ColumnId, Entry, Expr, LinearClaim, Lookup, Source, SumClaim, SumPoint, System, Term,
};

use super::Arithmetized;

/// Columns below this many cells stay whole.
const MIN_CELLS_LOG2: usize = 10;
/// Most pieces of a plane; the last one is padded.
const MAX_PIECES: usize = 3;

/// The lowest `log` index bits of a column, of which the first `len` indices are real.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plane {
    /// `log2` of the padded plane.
    pub log: usize,
    /// Real elements.
    pub len: usize,
}

/// Indices `start .. start + 2^log` of a plane, aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slice {
    start: usize,
    log: usize,
}

impl Plane {
    /// A plane of `len` elements.
    pub fn new(len: usize) -> Self {
        Self { log: log2_ceil(len), len }
    }

    /// The fewest aligned slices that waste at most an eighth, or [`MAX_PIECES`].
    fn slices(self) -> Vec<Slice> {
        let mut best = Vec::new();
        for count in 1..=MAX_PIECES {
            best.clear();
            let mut start = 0;
            while start < self.len {
                let rest = self.len - start;
                let last = best.len() + 1 == count;
                let log = if last { log2_ceil(rest) } else { rest.ilog2() as usize };
                best.push(Slice { start, log });
                start += 1 << log;
            }
            if start <= self.len + self.len / 8 {
                break;
            }
        }
        // Slices that add up to the padded plane are the plane.
        if best.iter().map(|s| 1usize << s.log).sum::<usize>() >= 1 << self.log {
            best = alloc::vec![Slice { start: 0, log: self.log }];
        }
        best
    }
}

/// Which coordinates of an axis are fixed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Tau,
    Var,
}

/// Coordinates `range` of one side take the bits of `value`, most significant first; later coordinates move up.
#[derive(Clone)]
struct Fixed {
    side: Side,
    range: Range<usize>,
    value: usize,
}

/// A one-cell axis that is 1 where the coordinates are the given vertex.
fn vertex(side: Side, range: Range<usize>, at: usize) -> Axis {
    let at = at as u32;
    let (tau, var, t, v) = match side {
        Side::Tau => (range, 0..0, at, 0),
        Side::Var => (0..0, range, 0, at),
    };
    Axis::Wire { tau, var, log: 0, entries: Arc::new(alloc::vec![Entry { t, v, i: 0, coef: F::ONE }]) }
}

impl Fixed {
    fn shift(&self, range: &Range<usize>) -> Range<usize> {
        let by = self.range.len();
        if range.start >= self.range.end { range.start - by..range.end - by } else { range.clone() }
    }

    /// A range without its fixed coordinates, and where among its bits they were.
    fn cut(&self, range: &Range<usize>) -> (Range<usize>, Range<usize>) {
        let common = range.start.max(self.range.start)..range.end.min(self.range.end);
        if common.is_empty() {
            return (self.shift(range), 0..0);
        }
        let kept = range.len() - common.len();
        let start = range.start.min(self.range.start);
        (start..start + kept, common)
    }

    /// The fixed bits of a part of the fixed range.
    fn bits(&self, part: &Range<usize>) -> usize {
        self.value >> (self.range.end - part.end) & ((1 << part.len()) - 1)
    }

    /// The axes that remain of one, with a factor; `None` when it is zero.
    fn axis(&self, axis: &Axis) -> Option<(F, Vec<Axis>)> {
        let whole = match axis {
            Axis::Tau(r) if self.side == Side::Tau => Some((r, Side::Tau)),
            Axis::Var(r) if self.side == Side::Var => Some((r, Side::Var)),
            Axis::Tau(_) | Axis::Var(_) => return Some((F::ONE, alloc::vec![axis.clone()])),
            Axis::At { .. } | Axis::Powers { .. } | Axis::Lattice { .. } => {
                return Some((F::ONE, alloc::vec![axis.clone()]));
            }
            Axis::Wire { .. } => None,
        };
        if let Some((range, side)) = whole {
            let (_, common) = self.cut(range);
            let make = |r: Range<usize>| if side == Side::Tau { Axis::Tau(r) } else { Axis::Var(r) };
            if common.is_empty() {
                return Some((F::ONE, alloc::vec![make(self.shift(range))]));
            }
            let entries = alloc::vec![Entry { t: 0, v: 0, i: self.bits(&common) as u32, coef: F::ONE }];
            let at = Axis::Wire { tau: 0..0, var: 0..0, log: common.len(), entries: Arc::new(entries) };
            let (before, after) = (range.start..common.start, self.shift(&(common.end..range.end)));
            let mut axes = alloc::vec![make(before), at, make(after)];
            axes.retain(|a| a.log() > 0);
            return Some((F::ONE, axes));
        }
        let Axis::Wire { tau, var, log, entries } = axis else {
            unreachable!("the other kinds were handled")
        };
        let range = if self.side == Side::Tau { tau } else { var };
        let (kept, common) = self.cut(range);
        let entries: Arc<Vec<Entry>> = if common.is_empty() {
            entries.clone()
        } else {
            let low = range.end - common.end;
            let bits = self.bits(&common);
            let place = |at: u32| {
                let at = at as usize;
                let fits = at >> low & ((1 << common.len()) - 1) == bits;
                fits.then_some((at >> (low + common.len()) << low | at & ((1 << low) - 1)) as u32)
            };
            let entry = |e: &Entry| match self.side {
                Side::Tau => place(e.t).map(|t| Entry { t, ..*e }),
                Side::Var => place(e.v).map(|v| Entry { v, ..*e }),
            };
            Arc::new(entries.iter().filter_map(entry).collect())
        };
        if entries.is_empty() {
            return None;
        }
        let (tau, var) = match self.side {
            Side::Tau => (kept, var.clone()),
            Side::Var => (tau.clone(), kept),
        };
        let sum: F = entries.iter().map(|e| e.coef).sum();
        if *log == 0 && tau.is_empty() && var.is_empty() {
            return (sum != F::ZERO).then_some((sum, Vec::new()));
        }
        Some((F::ONE, alloc::vec![Axis::Wire { tau, var, log: *log, entries }]))
    }

    fn axes(&self, axes: &[Axis]) -> Option<(F, Vec<Axis>)> {
        let mut out = (F::ONE, Vec::new());
        for axis in axes {
            let (factor, rest) = self.axis(axis)?;
            out.0 *= factor;
            out.1.extend(rest);
        }
        Some(out)
    }

    fn expr(&self, expr: &Expr) -> Expr {
        let term = |t: &Term| {
            let (factor, axes) = self.axes(&t.axes)?;
            Some(Term { coef: t.coef * factor, source: t.source.clone(), axes })
        };
        Expr { constant: expr.constant, terms: expr.terms.iter().filter_map(term).collect() }
    }
}

/// Where the cells of a column went.
struct Pieces {
    plane: Option<Plane>,
    parts: Vec<(ColumnId, Slice)>,
}

/// The slice of an axis that ends in a plane, or `None` when nothing of it lies there.
fn slice_axis(axis: &Axis, plane: Plane, slice: Slice) -> Option<Vec<Axis>> {
    let (fixed, at) = (plane.log - slice.log, slice.start >> slice.log);
    let parts = |side: Side, r: &Range<usize>| {
        let make = |r: Range<usize>| if side == Side::Tau { Axis::Tau(r) } else { Axis::Var(r) };
        let (high, low) = (r.end - plane.log, r.end - slice.log);
        let mut axes = Vec::new();
        if r.start < high {
            axes.push(make(r.start..high));
        }
        axes.push(vertex(side, high..high + fixed, at));
        if low < r.end {
            axes.push(make(low..r.end));
        }
        Some(axes)
    };
    match axis {
        Axis::Tau(r) => parts(Side::Tau, r),
        Axis::Var(r) => parts(Side::Var, r),
        Axis::Wire { tau, var, log, entries } => {
            let inside = |e: &&Entry| (e.i as usize & ((1 << plane.log) - 1)) >> slice.log == at;
            let place = |e: &Entry| {
                let (high, low) = (e.i as usize >> plane.log, e.i as usize & ((1 << slice.log) - 1));
                Entry { i: (high << slice.log | low) as u32, ..*e }
            };
            let entries: Vec<Entry> = entries.iter().filter(inside).map(place).collect();
            let axis =
                Axis::Wire { tau: tau.clone(), var: var.clone(), log: log - fixed, entries: entries.into() };
            matches!(&axis, Axis::Wire { entries, .. } if !entries.is_empty())
                .then(|| alloc::vec![axis.clone()])
        }
        Axis::At { .. } | Axis::Powers { .. } | Axis::Lattice { .. } => {
            unreachable!("columns of a lattice commitment have no plane")
        }
    }
}

/// Rewrites terms over whole columns.
struct Lowering {
    pieces: Vec<Pieces>,
}

impl Lowering {
    fn term(&self, term: &Term, out: &mut Vec<Term>) {
        let Source::Column(column) = term.source else { return out.push(term.clone()) };
        let Pieces { plane, parts } = &self.pieces[column];
        let Some(plane) = plane else {
            return out.push(Term { source: Source::Column(parts[0].0), ..term.clone() });
        };
        let (last, rest) = term.axes.split_last().expect("a column with a plane is read along it");
        for (id, slice) in parts {
            if let Some(axes) = slice_axis(last, *plane, *slice) {
                let axes = [rest.to_vec(), axes].concat();
                out.push(Term { coef: term.coef, source: Source::Column(*id), axes });
            }
        }
    }

    fn expr(&self, expr: &Expr) -> Expr {
        let mut terms = Vec::with_capacity(expr.terms.len());
        expr.terms.iter().for_each(|t| self.term(t, &mut terms));
        Expr { constant: expr.constant, terms }
    }

    /// The plane whose rows a look-up runs over: that of a column read along its last variables.
    fn plane(&self, lookup: &Lookup) -> Option<Plane> {
        let terms = lookup.key.terms.iter().chain(&lookup.value.terms);
        let mut planes = terms.filter_map(|t| match (&t.source, t.axes.last()) {
            (Source::Column(c), Some(Axis::Var(r))) if r.end == lookup.vars => {
                self.pieces[*c].plane.filter(|p| p.log <= r.len())
            }
            _ => None,
        });
        planes.next()
    }

    fn sum(&self, sum: &SumClaim) -> SumClaim {
        let factors = sum.factors.iter().map(|f| self.expr(f)).collect();
        SumClaim { factors, rhs: self.expr(&sum.rhs), ..sum.clone() }
    }
}

/// The one-cell axes that are not 1 everywhere.
fn not_all(real: Vec<Axis>) -> Vec<Axis> {
    let all = |axis: &Axis| {
        matches!(axis, Axis::Wire { tau, var, log: 0, entries }
            if tau.is_empty() && entries.len() == 1 << var.len() && entries.iter().all(|e| e.coef == F::ONE))
    };
    real.into_iter().filter(|axis| !all(axis)).collect()
}

/// Rewrites a system over whole columns as one over pieces. `planes[c]` is column c's plane, if it may be cut.
pub fn lower(whole: Arithmetized, planes: &[Option<Plane>]) -> Arithmetized {
    let Arithmetized { system, cells, sums } = whole;
    let mut out = System { tau_len: system.tau_len, ..System::default() };
    let mut out_cells = Vec::new();
    let mut pieces = Vec::new();
    for ((column, cells), plane) in system.columns.iter().zip(cells).zip(planes) {
        let slices = plane.map(Plane::slices).unwrap_or_default();
        let Some(plane) = plane.filter(|_| column.log >= MIN_CELLS_LOG2 && slices.len() > 1) else {
            let slice = Slice { start: 0, log: column.log };
            pieces.push(Pieces { plane: None, parts: alloc::vec![(out.columns.len(), slice)] });
            out.columns.push(column.clone());
            out_cells.push(cells);
            continue;
        };
        let mut parts = Vec::new();
        for slice in slices {
            parts.push((out.columns.len(), slice));
            let name = alloc::format!("{} [{}..]", column.name, slice.start);
            out.columns.push(Column { name, log: column.log - plane.log + slice.log });
            let part = |row: &[F]| row[slice.start..][..1 << slice.log].to_vec();
            out_cells.push(cells.chunks(1 << plane.log).flat_map(part).collect());
        }
        pieces.push(Pieces { plane: Some(plane), parts });
    }
    let lowering = Lowering { pieces };
    out.tables = system.tables;
    out.tables.iter_mut().for_each(|t| t.multiplicity = lowering.pieces[t.multiplicity].parts[0].0);
    let mut out_sums = Vec::new();
    for (id, lookup) in system.lookups.iter().enumerate() {
        let plane = lowering.plane(lookup);
        let slices = plane.map_or(alloc::vec![Slice { start: 0, log: 0 }], Plane::slices);
        let lowered =
            Lookup { key: lowering.expr(&lookup.key), value: lowering.expr(&lookup.value), ..lookup.clone() };
        let inner = system.sums.iter().zip(&sums).filter(|(s, _)| s.point == SumPoint::Row(id));
        let inner: Vec<_> = inner.map(|(s, rows)| (lowering.sum(s), rows)).collect();
        for slice in slices {
            let here = SumPoint::Row(out.lookups.len());
            let Some(plane) = plane else {
                out.lookups.push(lowered.clone());
                out.sums.extend(inner.iter().map(|(s, _)| SumClaim { point: here, ..s.clone() }));
                out_sums.extend(inner.iter().map(|(_, rows)| rows.to_vec()));
                continue;
            };
            let range = lookup.vars - plane.log..lookup.vars - slice.log;
            let var = Fixed { side: Side::Var, range: range.clone(), value: slice.start >> slice.log };
            let tau = Fixed { side: Side::Tau, ..var.clone() };
            let (_, real) = var.axes(&lookup.real).expect("every slice holds real rows");
            out.lookups.push(Lookup {
                vars: lookup.vars - range.len(),
                key: var.expr(&lowered.key),
                value: var.expr(&lowered.value),
                real: not_all(real),
                ..lowered.clone()
            });
            for (sum, rows) in &inner {
                let factors = sum.factors.iter().map(|f| tau.expr(f)).collect();
                out.sums.push(SumClaim { point: here, factors, ..sum.clone() });
                let part = |row: &[F]| row[slice.start..][..1 << slice.log].to_vec();
                out_sums.push(rows.chunks(1 << plane.log).flat_map(part).collect());
            }
        }
    }
    for sum in system.sums.iter().filter(|s| s.point == SumPoint::Tau) {
        out.sums.push(lowering.sum(sum));
        out_sums.push(Vec::new());
    }
    let linear = |l: &LinearClaim| LinearClaim { name: l.name.clone(), expr: lowering.expr(&l.expr) };
    out.linears = system.linears.iter().map(linear).collect();
    Arithmetized { system: out, cells: out_cells, sums: out_sums }
}

//! The layout that a [`System`] implies: where each column lies in the committed vector, where each look-up lies among the leaves of the
//! fraction tree, and which mask hides which message. Sizes come from the statement alone, never from a proof.

use alloc::vec::Vec;
use core::ops::Range;
use p3_field::PrimeCharacteristicRing;

use crate::field::{F, K, LIMBS_LOG2, log2_ceil};
use crate::reject::Reject;
use crate::system::{Axis, Expr, Source, SumClaim, SumPoint, System, Term};

/// Smallest committed vector: below it the hiding commitment's own masks do not fit.
pub const MIN_LOG: usize = 14;
/// Smallest committed vector of a plan that hides nothing.
pub const MIN_PLAIN_LOG: usize = 10;
/// Largest committed vector.
pub const MAX_LOG: usize = 26;
/// Most leaves of the fraction tree, as `log2`.
pub const MAX_LEAVES_LOG: usize = 26;
/// Random base cells that make the opening masks' block uniform.
pub const SPARE_CELLS: usize = 16;

/// A column's place: cells `offset .. offset + 2^log`, aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// First cell.
    pub offset: usize,
    /// `log2` of the cells.
    pub log: usize,
}

/// Masks of one sumcheck: one a coefficient and round, then one a claimed value.
#[derive(Clone, Debug)]
pub struct SumcheckPads {
    /// Mask indices of each round's coefficients of degree 1, 2, ..
    pub rounds: Vec<Range<usize>>,
    /// Mask index of each claimed value.
    pub values: Vec<usize>,
}

/// Blocks of the fraction tree's leaves.
#[derive(Clone, Debug)]
pub struct Leaves {
    /// `log2` of the leaves: the tree's depth.
    pub depth: usize,
    /// First leaf of each look-up.
    pub lookups: Vec<usize>,
    /// First leaf of each table.
    pub tables: Vec<usize>,
    /// First of the four mask leaves.
    pub mask: usize,
}

/// Everything both sides derive from a system before the proof starts.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Whether there are masks. In a plan without them every mask is zero: they have indices, but no place in the vector and no leaves.
    pub hiding: bool,
    /// `log2` of the committed vector.
    pub log: usize,
    /// Places of the system's columns.
    pub slots: Vec<Slot>,
    /// Place of the masks, [`crate::field::LIMBS`] cells each.
    pub pads: Slot,
    /// Number of masks.
    pub pad_count: usize,
    /// Place of the opening's own masks; read by no claim.
    pub opening: Slot,
    /// `log2` of the opening's masks of one kind.
    pub opening_log: usize,
    /// The fraction tree.
    pub leaves: Leaves,
    /// Masks `nu, w0, w1` of the tree's root.
    pub root_pads: [usize; 3],
    /// Masks of the tree's layers 1 .. depth - 1.
    pub layers: Vec<SumcheckPads>,
    /// Masks of the main sumcheck.
    pub main: SumcheckPads,
    /// Claim and factor of each claimed value of the main sumcheck.
    pub main_values: Vec<(usize, usize)>,
}

/// Places blocks of the given `log2` sizes, largest first, each aligned; gives the offsets and the total.
fn place(logs: &[usize]) -> (Vec<usize>, usize) {
    let mut order: Vec<usize> = (0..logs.len()).collect();
    order.sort_by_key(|&i| core::cmp::Reverse(logs[i]));
    let mut offsets = alloc::vec![0; logs.len()];
    let mut next = 0;
    for i in order {
        offsets[i] = next;
        next += 1usize << logs[i];
    }
    (offsets, next)
}

/// Hands out mask indices.
struct Allocator(usize);

impl Allocator {
    fn take(&mut self, count: usize) -> Range<usize> {
        self.0 += count;
        self.0 - count..self.0
    }

    fn sumcheck(&mut self, degrees: impl Iterator<Item = usize>, values: usize) -> SumcheckPads {
        let rounds = degrees.map(|d| self.take(d)).collect();
        SumcheckPads { rounds, values: self.take(values).collect() }
    }
}

impl Plan {
    /// The plan of a system.
    ///
    /// Errors: `system.size` when a column, a claim or the whole is beyond the limits above; `system.shape` when a term's axes do not fit
    /// its tensor, or a reference is dangling. A system comes from our own code, but its sizes come from a statement.
    pub fn new(system: &System, hiding: bool) -> Result<Self, Reject> {
        check(system)?;
        let lookups = system.lookups.iter().map(|l| l.vars);
        let blocks: Vec<usize> =
            lookups.chain(system.tables.iter().map(|t| t.log)).chain(hiding.then_some(2)).collect();
        if blocks.iter().any(|b| *b > MAX_LEAVES_LOG) || blocks.len() > 1 << 16 {
            return Err(Reject::new("system.size", "look-ups within the limit", "more"));
        }
        let (mut offsets, total) = place(&blocks);
        let mask = if hiding { offsets.pop().expect("the mask block was placed") } else { total };
        let tables = offsets.split_off(system.lookups.len());
        let leaves = Leaves { depth: log2_ceil(total).max(2), lookups: offsets, tables, mask };
        if leaves.depth > MAX_LEAVES_LOG {
            return Err(Reject::new("system.size", "leaves within the limit", leaves.depth));
        }

        let mut pads = Allocator(0);
        let root_pads = [pads.take(1).start, pads.take(1).start, pads.take(1).start];
        let layers = (1..leaves.depth)
            .map(|j| pads.sumcheck((0..j).map(|i| if hiding && i + 1 == j { 5 } else { 3 }), 4))
            .collect();
        let vars = system.sums.iter().map(|s| s.vars).max().unwrap_or(0);
        let main_values: Vec<(usize, usize)> = system
            .sums
            .iter()
            .enumerate()
            .flat_map(|(c, s)| s.hidden_factors().map(move |f| (c, f)))
            .collect();
        let degree = |round: usize| {
            let active = system.sums.iter().filter(|s| round + s.vars >= vars);
            active.map(|s| s.degree(round + s.vars - vars, hiding)).max().unwrap_or(1).max(1)
        };
        let main = pads.sumcheck((0..vars).map(degree), main_values.len());

        let pad_count = pads.0;
        let logs: Vec<usize> = system.columns.iter().map(|c| c.log).collect();
        let mut log = if hiding { MIN_LOG } else { MIN_PLAIN_LOG };
        loop {
            let opening_log = log2_ceil(2 * log);
            let mut all = logs.clone();
            if hiding {
                all.extend([log2_ceil(pad_count) + LIMBS_LOG2, opening_log + LIMBS_LOG2 + 2]);
            }
            let (offsets, total) = place(&all);
            if log2_ceil(total) <= log {
                let slot = |(o, l): (&usize, &usize)| Slot { offset: *o, log: *l };
                let mut slots: Vec<Slot> = offsets.iter().zip(&all).map(slot).collect();
                let mut masks = slots.split_off(logs.len()).into_iter();
                let [pads, opening] = [(); 2].map(|()| masks.next().unwrap_or(Slot { offset: 0, log: 0 }));
                return Ok(Self {
                    hiding,
                    log,
                    slots,
                    pads,
                    pad_count,
                    opening,
                    opening_log,
                    leaves,
                    root_pads,
                    layers,
                    main,
                    main_values,
                });
            }
            log += 1;
            if log > MAX_LOG {
                return Err(Reject::new("system.size", "a committed vector within the limit", log));
            }
        }
    }

    /// Number of variables of the main sumcheck.
    pub fn main_vars(&self) -> usize {
        self.main.rounds.len()
    }

    /// The prefix of the point at which a slot's cells start, as a point of 0s and 1s.
    pub fn prefix(&self, slot: Slot) -> Vec<K> {
        let bits = self.log - slot.log;
        let block = slot.offset >> slot.log;
        (0..bits).map(|j| K::from(F::from_bool(block >> (bits - 1 - j) & 1 == 1))).collect()
    }
}

/// Checks that every reference and every axis fits.
fn check(system: &System) -> Result<(), Reject> {
    let bad = |what: &str| Err(Reject::new("system.shape", "a well-formed system", what));
    if system.columns.iter().any(|c| c.log > MAX_LOG) || system.columns.len() > 1 << 16 {
        return Err(Reject::new("system.size", "columns within the limit", system.columns.len()));
    }
    let fits = |expr: &crate::system::Expr, tau_len: usize, vars: usize| {
        expr.terms.iter().all(|t| {
            let log: usize = t.axes.iter().map(Axis::log).sum();
            let size = match &t.source {
                Source::Column(c) => system.columns.get(*c).map(|c| 1usize << c.log),
                Source::Public(v) => Some(v.len()),
                Source::Stated(s) => Some(s.values.len()).filter(|n| s.words.len() == *n),
            };
            log <= MAX_LOG && size == Some(1 << log) && axes_fit(&t.axes, tau_len, vars)
        })
    };
    let term_fits = |expr: &crate::system::Expr, vars: usize| fits(expr, system.tau_len, vars);
    for lookup in &system.lookups {
        let one_cell = lookup.real.iter().all(|a| a.log() == 0);
        let inside = fits(&lookup.key, 0, lookup.vars) && fits(&lookup.value, 0, lookup.vars);
        if !inside
            || !one_cell
            || !axes_fit(&lookup.real, 0, lookup.vars)
            || lookup.table >= system.tables.len()
        {
            return bad(&lookup.name);
        }
    }
    for table in &system.tables {
        if system.columns.get(table.multiplicity).map(|c| c.log) != Some(table.log) {
            return bad("table");
        }
    }
    for sum in &system.sums {
        let eq_fits = sum.eq.as_ref().is_none_or(|(t, v)| {
            t.len() == v.len() && t.end <= system.tau_len && v.end <= sum.vars && !v.is_empty()
        });
        let products =
            sum.products.iter().all(|(_, fs)| !fs.is_empty() && fs.iter().all(|f| *f < sum.factors.len()));
        let challenges = match sum.point {
            SumPoint::Tau => Some(system.tau_len),
            SumPoint::Row(l) => system.lookups.get(l).map(|l| l.vars).filter(|_| bare(sum)),
        };
        let Some(len) = challenges.filter(|_| multilinear(sum)) else { return bad(&sum.name) };
        let flat = |e: &Expr| e.terms.iter().flat_map(|t| &t.axes).all(|a| a.degree() == 0);
        let factors = sum.factors.iter().all(|f| fits(f, len, sum.vars) && flat(f)) && flat(&sum.rhs);
        if sum.vars == 0 || sum.vars > MAX_LOG || !eq_fits || !products || !factors || !term_fits(&sum.rhs, 0)
        {
            return bad(&sum.name);
        }
    }
    let linear_fits = |e: &Expr| term_fits(e, 0) && powers_stand_alone(e) && e.terms.iter().all(once);
    match system.linears.iter().find(|l| !linear_fits(&l.expr)) {
        Some(linear) => bad(&linear.name),
        None => Ok(()),
    }
}

/// Whether a sum has nothing but products, as one that is part of a look-up's key must.
fn bare(sum: &SumClaim) -> bool {
    sum.eq.is_none() && sum.rhs.constant == F::ZERO && sum.rhs.terms.is_empty()
}

/// Whether a term reads every challenge at most once, powers of one aside.
fn once(term: &Term) -> bool {
    let flat = term.axes.iter().filter(|a| a.degree() == 0);
    let ranges: Vec<_> = flat.map(Axis::tau).filter(|r| !r.is_empty()).collect();
    disjoint(&ranges)
}

/// Whether a sum is multilinear in its challenges: no coordinate may enter a product twice. Then it vanishes everywhere on the cube if and
/// only if it is the zero polynomial, and a part of a look-up's key is its own multilinear extension.
fn multilinear(sum: &SumClaim) -> bool {
    let coordinates = |factor: &Expr| -> Vec<Range<usize>> {
        factor.terms.iter().flat_map(|t| &t.axes).map(Axis::tau).filter(|r| !r.is_empty()).collect()
    };
    let product = |factors: &Vec<usize>| {
        let mut all: Vec<Vec<Range<usize>>> = factors.iter().map(|f| coordinates(&sum.factors[*f])).collect();
        all.extend(sum.eq.as_ref().map(|(tau, _)| alloc::vec![tau.clone()]));
        (0..all.len()).all(|i| all[..i].iter().flatten().all(|a| all[i].iter().all(|b| apart(a, b))))
    };
    sum.products.iter().all(|(_, fs)| fs.iter().all(|f| *f < sum.factors.len()))
        && sum.factors.iter().chain([&sum.rhs]).flat_map(|f| &f.terms).all(once)
        && sum.products.iter().all(|(_, factors)| product(factors))
}

/// Whether the challenges that a linear claim takes powers of are read by nothing else in it: a sum of `eq(tau, b) E_b(zeta)` vanishes at
/// random tau and zeta only if every `E_b` does, but not so if zeta is a coordinate of tau.
fn powers_stand_alone(expr: &Expr) -> bool {
    let axes = || expr.terms.iter().flat_map(|t| &t.axes);
    let (powers, others) = (axes().filter(|a| a.degree() > 0), || axes().filter(|a| a.degree() == 0));
    powers.map(Axis::tau).all(|zeta| others().all(|a| apart(&a.tau(), &zeta)))
}

fn apart(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.end <= b.start || b.end <= a.start
}

fn disjoint(ranges: &[Range<usize>]) -> bool {
    (0..ranges.len()).all(|i| ranges[..i].iter().all(|r| apart(r, &ranges[i])))
}

/// Whether axes stay inside the challenges and variables, ascend, and wires stay inside their cubes.
fn axes_fit(axes: &[Axis], tau_len: usize, vars: usize) -> bool {
    let mut next = 0;
    axes.iter().all(|axis| {
        let var = axis.var();
        let ascends = var.is_empty() || var.start >= next;
        next = next.max(var.end);
        let inside = match axis {
            Axis::Tau(r) => r.end <= tau_len,
            Axis::Var(_) => true,
            Axis::At { log, index } => *log <= MAX_LOG && index >> log == 0,
            Axis::Powers { tau, first, log } => *tau < tau_len && *log <= MAX_LOG && *first <= 1 << MAX_LOG,
            Axis::Lattice { tau, first, log } => *tau < tau_len && *log <= MAX_LOG && *first <= 1 << MAX_LOG,
            Axis::Wire { tau, var, log, entries } => {
                tau.end <= tau_len
                    && *log <= MAX_LOG
                    && entries.iter().all(|e| {
                        (e.t as usize) >> tau.len() == 0
                            && (e.v as usize) >> var.len() == 0
                            && (e.i as usize) >> log == 0
                    })
            }
        };
        ascends && inside && var.end <= vars
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::{Column, LinearClaim, Source, Term};

    #[test]
    fn powers_of_a_challenge_that_also_picks_a_list_are_refused() {
        let plan = |zeta: usize| {
            let axes = alloc::vec![Axis::Tau(0..2), Axis::Powers { tau: zeta, first: 0, log: 3 }];
            let terms = alloc::vec![Term { coef: F::ONE, source: Source::Column(0), axes }];
            let expr = Expr { constant: F::ZERO, terms };
            Plan::new(
                &System {
                    columns: alloc::vec![Column { name: "lists".into(), log: 5 }],
                    linears: alloc::vec![LinearClaim { name: "image".into(), expr }],
                    tau_len: 3,
                    ..System::default()
                },
                true,
            )
        };
        assert!(plan(2).is_ok());
        for zeta in [0, 1, 3] {
            assert_eq!(plan(zeta).map(drop).unwrap_err().check, "system.shape", "zeta {zeta}");
        }
    }
}

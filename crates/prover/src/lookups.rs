//! The prover of the look-ups: multiplicities and the leaves of the tree of fractions ([`proofmesh_proof::logup`]).

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use p3_field::{PackedValue, PrimeCharacteristicRing, PrimeField32};
use proofmesh_proof::field::{F, K, int};
use proofmesh_proof::logup::{LeafChallenges, LogupProof};
use proofmesh_proof::plan::Plan;
use proofmesh_proof::system::{Expr, Lookup, Source, SumPoint, System, TableValues, Term};
use proofmesh_proof::transcript::Channel;
use rayon::prelude::*;

use crate::ProveError;
use crate::lanes::{Lanes, PackedF, PackedK, WIDTH};
use crate::materialise;
use crate::tree::{self, Leaves};

/// One look-up's rows over the base field.
pub struct Rows {
    keys: Vec<F>,
    values: Vec<F>,
    real: Vec<bool>,
}

/// The rows of a look-up.
fn rows(lookup: &Lookup, columns: &[Vec<F>], sums: &[&[F]]) -> Rows {
    let one =
        Term { coef: F::ONE, source: Source::Public(Arc::new(vec![F::ONE])), axes: lookup.real.clone() };
    let indicator = Expr { constant: F::ZERO, terms: vec![one] };
    let real = materialise::table::<F>(&indicator, lookup.vars, columns, &[]);
    let mut keys: Vec<F> = materialise::table(&lookup.key, lookup.vars, columns, &[]);
    sums.iter().for_each(|sum| keys.iter_mut().zip(*sum).for_each(|(key, s)| *key += *s));
    Rows {
        keys,
        values: materialise::table(&lookup.value, lookup.vars, columns, &[]),
        real: real.into_iter().map(|v| v == F::ONE).collect(),
    }
}

/// Fills the tables' multiplicities and gives every look-up's rows; `sums[s]` holds the values of a sum inside a key.
///
/// Errors: the name of a look-up with a row that its table lacks: the execution does not satisfy the claims.
pub fn multiplicities(
    system: &System,
    columns: &mut [Vec<F>],
    sums: &[Vec<F>],
) -> Result<Vec<Rows>, ProveError> {
    let mut inner: Vec<Vec<&[F]>> = vec![Vec::new(); system.lookups.len()];
    for (claim, values) in system.sums.iter().zip(sums) {
        if let SumPoint::Row(lookup) = claim.point {
            if values.len() != 1 << system.lookups[lookup].vars {
                return Err(ProveError::Job("a sum inside a key has no values"));
            }
            inner[lookup].push(values);
        }
    }
    let all: Vec<Rows> =
        system.lookups.par_iter().zip(&inner).map(|(l, sums)| rows(l, columns, sums)).collect();
    let mut counts: Vec<Vec<u32>> = system.tables.iter().map(|t| vec![0; 1 << t.log]).collect();
    for (lookup, rows) in system.lookups.iter().zip(&all) {
        let table = &system.tables[lookup.table];
        let first = int(table.first);
        for i in (0..rows.keys.len()).filter(|i| rows.real[*i]) {
            let row = (rows.keys[i] - first).as_canonical_u32() as usize;
            let fits = row < 1 << table.log && int(table.value(row)) == rows.values[i];
            if !fits {
                return Err(ProveError::Unsatisfied(lookup.name.clone()));
            }
            counts[lookup.table][row] += 1;
        }
    }
    for (table, counts) in system.tables.iter().zip(counts) {
        columns[table.multiplicity] = counts.into_iter().map(F::from_u32).collect();
    }
    Ok(all)
}

/// Numerators of a block of leaves.
enum Numerators<'a> {
    /// -1 where true, else 0: a look-up's rows.
    Real(&'a [bool]),
    /// Counts: a table's rows.
    Counts(&'a [F]),
}

/// A block of leaves of whole registers: denominators `pole - gamma * value - key`.
struct Block<'a> {
    /// First leaf and the one past the last, in registers.
    span: Range<usize>,
    numerators: Numerators<'a>,
    pole: K,
    keys: Cow<'a, [F]>,
    /// Empty when all values are one constant, which the pole contains.
    values: Cow<'a, [F]>,
}

impl Block<'_> {
    /// Writes the block's leaves from register `start` of the block on.
    fn read(&self, gamma: PackedK, start: usize, p: &mut [PackedK], q: &mut [PackedK]) {
        let pole = PackedK::from(self.pole);
        let cells = start * WIDTH..(start + p.len()) * WIDTH;
        match self.numerators {
            Numerators::Real(real) => {
                for (p, real) in p.iter_mut().zip(real[cells.clone()].chunks_exact(WIDTH)) {
                    *p = PackedF::from_fn(|l| if real[l] { F::NEG_ONE } else { F::ZERO }).into();
                }
            }
            Numerators::Counts(counts) => {
                let counts = PackedF::pack_slice(&counts[cells.clone()]);
                p.iter_mut().zip(counts).for_each(|(p, c)| *p = (*c).into());
            }
        }
        let keys = PackedF::pack_slice(&self.keys[cells.clone()]);
        q.iter_mut().zip(keys).for_each(|(q, key)| *q = pole - *key);
        if !self.values.is_empty() {
            let values = PackedF::pack_slice(&self.values[cells]);
            q.iter_mut().zip(values).for_each(|(q, value)| *q -= gamma * *value);
        }
    }
}

/// The leaves, computed from rows and multiplicities when they are read.
struct Fractions<'a> {
    depth: usize,
    gamma: PackedK,
    /// Contiguous from leaf 0.
    blocks: Vec<Block<'a>>,
    /// The leaves behind the blocks: look-ups and tables smaller than a register, and the masks. Nothing (`0/1`) follows them.
    tail: (Vec<PackedK>, Vec<PackedK>),
}

impl Leaves for Fractions<'_> {
    fn depth(&self) -> usize {
        self.depth
    }

    fn read(&self, start: usize, p: &mut [PackedK], q: &mut [PackedK]) {
        let tail = self.blocks.last().map_or(0, |b| b.span.end);
        let mut done = 0;
        while done < p.len() {
            let at = start + done;
            let (block, end) = if at < tail {
                let block = &self.blocks[self.blocks.partition_point(|b| b.span.end <= at)];
                (Some(block), block.span.end)
            } else if at < tail + self.tail.0.len() {
                (None, tail + self.tail.0.len())
            } else {
                p[done..].fill(PackedK::ZERO);
                q[done..].fill(PackedK::ONE);
                return;
            };
            let next = p.len().min(end - start);
            let (p, q) = (&mut p[done..next], &mut q[done..next]);
            if let Some(block) = block {
                block.read(self.gamma, at - block.span.start, p, q);
            } else {
                let span = at - tail..at - tail + p.len();
                p.copy_from_slice(&self.tail.0[span.clone()]);
                q.copy_from_slice(&self.tail.1[span]);
            }
            done = next;
        }
    }
}

/// The leaves.
fn leaves<'a>(
    system: &System,
    plan: &Plan,
    rows: &'a [Rows],
    columns: &'a [&'a [F]],
    challenges: LeafChallenges,
    pads: &[K],
) -> Fractions<'a> {
    let gamma = challenges.gamma;
    let mut blocks = Vec::new();
    for ((lookup, rows), offset) in system.lookups.iter().zip(rows).zip(&plan.leaves.lookups) {
        let pole = challenges.offset(lookup.table);
        let constant = lookup.value.terms.is_empty();
        blocks.push((
            *offset,
            Block {
                span: 0..0,
                numerators: Numerators::Real(&rows.real),
                pole: if constant { pole - gamma * lookup.value.constant } else { pole },
                keys: Cow::Borrowed(&rows.keys),
                values: Cow::Borrowed(if constant { &[] } else { &rows.values }),
            },
        ));
    }
    for ((index, table), offset) in system.tables.iter().enumerate().zip(&plan.leaves.tables) {
        let size = 0..1usize << table.log;
        let keys = size.clone().map(|i| int(table.first + i as i64)).collect();
        let values = match table.values {
            TableValues::Range => Vec::new(),
            _ => size.map(|i| int(table.value(i))).collect(),
        };
        blocks.push((
            *offset,
            Block {
                span: 0..0,
                numerators: Numerators::Counts(columns[table.multiplicity]),
                pole: challenges.offset(index),
                keys: Cow::Owned(keys),
                values: Cow::Owned(values),
            },
        ));
    }
    blocks.sort_by_key(|(offset, _)| *offset);
    // Blocks lie in descending order of size, so those smaller than a register come last, with the four masks and what follows them.
    let whole = blocks.partition_point(|(_, b)| b.keys.len() >= WIDTH.max(8));
    let small = blocks.split_off(whole);
    let first = blocks.last().map_or(0, |(offset, b)| offset + b.keys.len());
    let end = small.last().map_or(0, |(offset, b)| offset + b.keys.len()).max(first);
    let end = if plan.hiding { end.max(plan.leaves.mask + 4) } else { end };
    let size = (end - first).next_multiple_of(WIDTH);
    let (mut p, mut q) = (vec![K::ZERO; size], vec![K::ONE; size]);
    for (offset, block) in &small {
        for i in 0..block.keys.len() {
            p[offset - first + i] = match block.numerators {
                Numerators::Real(real) => -K::from_bool(real[i]),
                Numerators::Counts(counts) => counts[i].into(),
            };
            let value = block.values.get(i).copied().unwrap_or(F::ZERO);
            q[offset - first + i] = block.pole - gamma * value - block.keys[i];
        }
    }
    if plan.hiding {
        let [nu, w0, w1] = plan.root_pads.map(|i| pads[i]);
        let at = plan.leaves.mask - first;
        p[at..at + 2].copy_from_slice(&[nu, -nu]);
        q[at + 2..at + 4].copy_from_slice(&[w0, w1]);
    }
    let place = |(offset, b): (usize, Block<'a>)| Block {
        span: offset / WIDTH..(offset + b.keys.len()) / WIDTH,
        ..b
    };
    Fractions {
        depth: plan.leaves.depth,
        gamma: gamma.into(),
        blocks: blocks.into_iter().map(place).collect(),
        tail: (PackedK::pack(&p), PackedK::pack(&q)),
    }
}

/// Proves the look-ups; gives the proof and the leaves' point.
pub fn prove(
    system: &System,
    plan: &Plan,
    rows: &[Rows],
    columns: &[&[F]],
    pads: &[K],
    transcript: &mut dyn Channel<E = K>,
) -> (LogupProof, Vec<K>) {
    let challenges = LeafChallenges::draw(transcript);
    tree::prove(&leaves(system, plan, rows, columns, challenges, pads), plan, pads, transcript)
}

//! The prover of the look-ups: multiplicities and the leaves of the tree of fractions ([`proofmesh_proof::logup`]).

use p3_field::{PrimeCharacteristicRing, PrimeField32};
use proofmesh_proof::field::{F, K};
use proofmesh_proof::logup::{LeafChallenges, LogupProof};
use proofmesh_proof::plan::Plan;
use proofmesh_proof::system::{Expr, Lookup, Source, System, Term};
use proofmesh_proof::transcript::Transcript;
use rayon::prelude::*;
use std::sync::Arc;

use crate::ProveError;
use crate::materialise;
use crate::tree::{self, Layer};

/// One look-up's rows over the base field.
pub struct Rows {
    keys: Vec<F>,
    values: Vec<F>,
    real: Vec<bool>,
}

/// The rows of a look-up.
fn rows(lookup: &Lookup, columns: &[Vec<F>]) -> Rows {
    let one =
        Term { coef: F::ONE, source: Source::Public(Arc::new(vec![F::ONE])), axes: lookup.real.clone() };
    let indicator = Expr { constant: F::ZERO, terms: vec![one] };
    let real = materialise::table::<F>(&indicator, lookup.vars, columns, &[]);
    Rows {
        keys: materialise::table(&lookup.key, lookup.vars, columns, &[]),
        values: materialise::table(&lookup.value, lookup.vars, columns, &[]),
        real: real.into_iter().map(|v| v == F::ONE).collect(),
    }
}

/// Fills the tables' multiplicities and gives every look-up's rows.
///
/// Errors: the name of a look-up with a row that its table lacks: the execution does not satisfy the claims.
pub fn multiplicities(system: &System, columns: &mut [Vec<F>]) -> Result<Vec<Rows>, ProveError> {
    let all: Vec<Rows> = system.lookups.iter().map(|l| rows(l, columns)).collect();
    let mut counts: Vec<Vec<u32>> = system.tables.iter().map(|t| vec![0; 1 << t.log]).collect();
    for (lookup, rows) in system.lookups.iter().zip(&all) {
        let table = &system.tables[lookup.table];
        let first = proofmesh_proof::field::int(table.first);
        for i in (0..rows.keys.len()).filter(|i| rows.real[*i]) {
            let row = (rows.keys[i] - first).as_canonical_u32() as usize;
            let fits =
                row < 1 << table.log && proofmesh_proof::field::int(table.value(row)) == rows.values[i];
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

/// The leaves.
fn leaves(
    system: &System,
    plan: &Plan,
    rows: &[Rows],
    columns: &[Vec<F>],
    challenges: LeafChallenges,
    pads: &[K],
) -> Layer {
    let size = 1 << plan.leaves.depth;
    let mut layer = Layer { p: vec![K::ZERO; size], q: vec![K::ONE; size] };
    for ((lookup, rows), offset) in system.lookups.iter().zip(rows).zip(&plan.leaves.lookups) {
        let pole = challenges.offset(lookup.table);
        let constant_value = lookup.value.terms.is_empty();
        let shared = pole - challenges.gamma * lookup.value.constant;
        let span = *offset..offset + rows.keys.len();
        let leaves =
            layer.p[span.clone()].par_iter_mut().zip(layer.q[span].par_iter_mut()).with_min_len(1 << 10);
        leaves.enumerate().for_each(|(i, (p, q))| {
            if rows.real[i] {
                *p = -K::ONE;
            }
            *q =
                if constant_value { shared } else { pole - challenges.gamma * rows.values[i] } - rows.keys[i];
        });
    }
    for ((index, table), offset) in system.tables.iter().enumerate().zip(&plan.leaves.tables) {
        let pole = challenges.offset(index);
        for (i, count) in columns[table.multiplicity].iter().enumerate() {
            layer.p[offset + i] = K::from(*count);
            let key = proofmesh_proof::field::int(table.first + i as i64);
            let value = proofmesh_proof::field::int(table.value(i));
            layer.q[offset + i] = pole - challenges.gamma * value - key;
        }
    }
    let [nu, w0, w1] = plan.root_pads.map(|i| pads[i]);
    let at = plan.leaves.mask;
    layer.p[at..at + 2].copy_from_slice(&[nu, -nu]);
    layer.q[at + 2..at + 4].copy_from_slice(&[w0, w1]);
    layer
}

/// Proves the look-ups.
pub fn prove(
    system: &System,
    plan: &Plan,
    rows: &[Rows],
    columns: &[Vec<F>],
    pads: &[K],
    transcript: &mut Transcript,
) -> LogupProof {
    let challenges = LeafChallenges::draw(transcript);
    let leaves = leaves(system, plan, rows, columns, challenges, pads);
    tree::prove(leaves, plan, pads, transcript)
}

//! The map from masks to revealed values, at toy size: every message has a mask of its own, and the map has full rank.
//!
//! Linear algebra on a real proof: its masks are drawn again from the prover's seed, its challenges replayed from its transcript.
#![cfg(not(feature = "unmasked-for-tests"))]

mod revealed;
mod toys;

use p3_field::{BasedVectorSpace, Field, PrimeCharacteristicRing};
use proofmesh_graph::op::{ExtremePool, Op};
use proofmesh_graph::program::{Output, WeightMode};
use proofmesh_proof::field::{F, K, LIMBS, eq_table, limb_weights};
use proofmesh_proof::opening::mask_weights;
use proofmesh_proof::plan::{Plan, SPARE_CELLS};
use proofmesh_proof::system::{SumPoint, System, Words};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use revealed::{Replay, pack, value};
use toys::{Toy, Witness, conv, node, program, rescale, window};

const SEED: u64 = 81;
/// Coordinates of an extension element.
const DEGREE: usize = 5;

fn toy() -> Toy {
    let mut rng = StdRng::seed_from_u64(80);
    let nodes = vec![
        node("dense", conv(&mut rng, [3, 2, 1], window([1, 1], [1, 1]), rescale(8, 0, 100), 500), &[0]),
        node("max", Op::ExtremePool(ExtremePool { window: window([1, 1], [1, 1]), smallest: false }), &[1]),
    ];
    Toy::random(program([3, 1, 1], nodes, vec![Output::ArgMax(2)], WeightMode::Private), 2, 82)
}

/// The prover's masks, drawn again in its order.
struct Masks {
    pads: Vec<K>,
    first: Vec<K>,
    second: Vec<K>,
    spares: Vec<F>,
}

impl Masks {
    fn draw(plan: &Plan) -> Self {
        let mut rng = StdRng::seed_from_u64(SEED);
        let mut elements = |count: usize| -> Vec<K> { (0..count).map(|_| rng.random()).collect() };
        let (pads, first, second) =
            (elements(plan.pad_count), elements(2 * plan.log), elements(2 * plan.log));
        Self { pads, first, second, spares: (0..SPARE_CELLS).map(|_| rng.random()).collect() }
    }
}

/// The honest columns, multiplicities counted row by row through the look-ups' own expressions.
fn columns(toy: &Toy, system: &System) -> Vec<Vec<F>> {
    let Witness { mut cells, sums, .. } = toy.witness();
    for table in &system.tables {
        cells[table.multiplicity] = vec![F::ZERO; 1 << table.log];
    }
    for (at, lookup) in system.lookups.iter().enumerate() {
        let inner = || system.sums.iter().zip(&sums).filter(|(s, _)| s.point == SumPoint::Row(at));
        let table = &system.tables[lookup.table];
        for x in 0..1usize << lookup.vars {
            let bits: Vec<K> = (0..lookup.vars).rev().map(|b| K::from_bool(x >> b & 1 == 1)).collect();
            if proofmesh_proof::system::real_at(&lookup.real, &bits) == K::ZERO {
                continue;
            }
            let inner: F = inner().map(|(_, rows)| rows[x]).sum();
            let key = value(&lookup.key.at(&[], &bits, Words::Values), &cells, &[]) + inner
                - K::from(F::from_i64(table.first));
            let row =
                (0..1usize << table.log).find(|i| key == K::from_usize(*i)).expect("a row of the table");
            cells[table.multiplicity][row] += F::ONE;
        }
    }
    cells
}

/// The committed vector.
fn vector(plan: &Plan, cells: &[Vec<F>], masks: &Masks) -> Vec<F> {
    let mut vector = F::zero_vec(1 << plan.log);
    for (slot, cells) in plan.slots.iter().zip(cells) {
        vector[slot.offset..slot.offset + cells.len()].copy_from_slice(cells);
    }
    let lists = [
        (plan.pads.offset, &masks.pads),
        (plan.opening.offset, &masks.first),
        (plan.opening.offset + (LIMBS << plan.opening_log), &masks.second),
    ];
    for (offset, elements) in lists {
        for (i, element) in elements.iter().enumerate() {
            let limbs: &[F] = element.as_basis_coefficients_slice();
            vector[offset + i * LIMBS..][..DEGREE].copy_from_slice(limbs);
        }
    }
    vector[spares(plan)][..SPARE_CELLS].copy_from_slice(&masks.spares);
    vector
}

/// The cells of the spares.
fn spares(plan: &Plan) -> std::ops::Range<usize> {
    let first = plan.opening.offset + (1 << (plan.opening.log - 1));
    first..first + SPARE_CELLS
}

/// All weights of `Phi`.
fn weights(replay: &Replay) -> Vec<K> {
    let plan = &replay.plan;
    let mut phi = K::zero_vec(1 << plan.log);
    for term in &replay.folded.terms {
        let mut weights = vec![term.coef];
        for axis in &term.axes {
            let table = axis.table();
            weights = weights.iter().flat_map(|w| table.iter().map(move |t| *w * *t)).collect();
        }
        let slot = plan.slots[term.column];
        phi[slot.offset..slot.offset + weights.len()].iter_mut().zip(weights).for_each(|(p, w)| *p += w);
    }
    for (i, weight) in replay.folded.pads.iter().enumerate() {
        for (l, limb) in limb_weights().iter().enumerate() {
            phi[plan.pads.offset + i * LIMBS + l] = *weight * *limb;
        }
    }
    phi
}

/// `Phi` with 0, 1, 2, .. of its low variables bound.
fn bound_weights(phi: Vec<K>, rounds: &[K]) -> Vec<Vec<K>> {
    let mut levels = vec![phi];
    for r in rounds {
        let last = &levels[levels.len() - 1];
        levels.push(last.chunks(2).map(|p| p[0] + *r * (p[1] - p[0])).collect());
    }
    levels
}

/// The opening's messages for fixed challenges, straight from the protocol: linear in the vector, which is given by its cells other than 0
/// in order. Rounds, `A(s)`, cross term, masks.
fn messages(plan: &Plan, phi: &[Vec<K>], vector: &[(usize, F)], rounds: &[K], t: K) -> Vec<K> {
    let n = plan.log;
    let block = |part: usize| -> Vec<K> {
        let start = plan.opening.offset + part * (LIMBS << plan.opening_log);
        let mut cells = F::zero_vec(LIMBS * 2 * n);
        let inside =
            vector.iter().filter(|(i, _)| (start..start + cells.len()).contains(i)).collect::<Vec<_>>();
        inside.into_iter().for_each(|(i, v)| cells[i - start] = *v);
        cells.chunks(LIMBS).map(pack).collect()
    };
    let (first, second) = (block(0), block(1));
    let mut a: Vec<(usize, K)> = vector.iter().map(|(i, v)| (*i, K::from(*v))).collect();
    let mut out = Vec::new();
    let mut cross = K::ZERO;
    for (i, r) in rounds.iter().enumerate() {
        let (mut one, mut two) = (K::ZERO, K::ZERO);
        let mut next: Vec<(usize, K)> = Vec::with_capacity(a.len());
        for pair in a.chunk_by(|x, y| x.0 >> 1 == y.0 >> 1) {
            let at = |side: usize| pair.iter().find(|(i, _)| i & 1 == side).map_or(K::ZERO, |(_, v)| *v);
            let (index, a) = (pair[0].0 >> 1, [at(0), at(1)]);
            let p = &phi[i][2 * index..2 * index + 2];
            let (dp, da) = (p[1] - p[0], a[1] - a[0]);
            one += p[0] * da + dp * a[0];
            two += dp * da;
            next.push((index, a[0] + *r * da));
        }
        a = next;
        out.extend([one + first[2 * i], two + first[2 * i + 1]]);
        let [v, w] = mask_weights(i + 1, n, *r);
        cross += v * second[2 * i] + w * second[2 * i + 1];
    }
    out.extend([a[0].1, cross]);
    out.extend(first.iter().zip(&second).map(|(a, b)| *a + t * *b));
    out
}

/// Rank of a matrix given by its rows.
fn rank<E: Field>(mut rows: Vec<Vec<E>>) -> usize {
    let width = rows.first().map_or(0, Vec::len);
    let mut rank = 0;
    for column in 0..width {
        let Some(pivot) = (rank..rows.len()).find(|r| rows[*r][column] != E::ZERO) else { continue };
        rows.swap(rank, pivot);
        let inverse = rows[rank][column].inverse();
        let (above, below) = rows.split_at_mut(rank + 1);
        let lead = &above[rank];
        for row in below {
            let factor = row[column] * inverse;
            if factor != E::ZERO {
                row.iter_mut().zip(lead).for_each(|(x, l)| *x -= factor * *l);
            }
        }
        rank += 1;
    }
    rank
}

#[test]
fn every_message_has_a_mask_of_its_own() {
    let replay = Replay::new(&toy().prove(SEED));
    let plan = &replay.plan;
    let sumchecks = || plan.layers.iter().chain([&plan.main]);
    let mut used: Vec<usize> = plan.root_pads.to_vec();
    used.extend(sumchecks().flat_map(|s| s.rounds.iter().cloned().flatten().chain(s.values.iter().copied())));
    used.sort_unstable();
    assert_eq!(used, (0..plan.pad_count).collect::<Vec<_>>(), "masks are used once each");

    let proof = &replay.proof;
    let sent = |rounds: &[Vec<K>]| rounds.iter().map(Vec::len).collect::<Vec<_>>();
    let masked = |rounds: &[std::ops::Range<usize>]| rounds.iter().map(|r| r.len()).collect::<Vec<_>>();
    for (layer, pads) in proof.logup.layers.iter().zip(&plan.layers) {
        assert_eq!((sent(&layer.rounds), layer.values.len()), (masked(&pads.rounds), pads.values.len()));
    }
    assert_eq!(sent(&proof.main.rounds), masked(&plan.main.rounds));
    assert_eq!(proof.main.values.len(), plan.main.values.len());
    // Of the opening: 2 log coefficients; R and the cross term are hidden by as many second masks, A(s) by the spares.
    assert_eq!((proof.opening.rounds.len(), proof.masks.masks.len()), (plan.log, 2 * plan.log));
}

#[test]
fn equations_hold_of_the_masks_and_leave_every_witness_possible() {
    let toy = toy();
    let replay = Replay::new(&toy.prove(SEED));
    let (plan, masks) = (&replay.plan, Masks::draw(&replay.plan));
    let cells = columns(&toy, &replay.system);
    for (i, equation) in replay.equations.iter().enumerate() {
        assert_eq!(value(equation, &cells, &masks.pads), K::ZERO, "equation {i} of the honest vector");
    }
    // For any other columns, masks that satisfy the same equations exist if and only if the masks' weights have full rank.
    let masked: Vec<_> = replay.equations.iter().filter(|e| !e.pads.is_empty()).collect();
    // One a layer, the leaves' numerators, one a hidden factor, and the main sumcheck with the leaves' denominators.
    assert_eq!(masked.len(), plan.layers.len() + 1 + plan.main.values.len() + 1);
    let row = |e: &&proofmesh_proof::system::Affine| {
        let mut row = K::zero_vec(plan.pad_count);
        e.pads.iter().for_each(|(pad, weight)| row[*pad] += *weight);
        row
    };
    let mut rows: Vec<Vec<K>> = masked.iter().map(row).collect();
    assert_eq!(rank(rows.clone()), rows.len(), "an equation without a mask of its own");
    // The same without the values' masks: their equations are bare.
    plan.main.values.iter().for_each(|pad| rows.iter_mut().for_each(|r| r[*pad] = K::ZERO));
    assert_eq!(rank(rows.clone()), rows.len() - plan.main.values.len(), "the instrument sees a missing mask");
}

#[test]
fn the_openings_messages_are_uniform_up_to_their_one_relation() {
    let toy = toy();
    let replay = Replay::new(&toy.prove(SEED));
    let (plan, masks) = (&replay.plan, Masks::draw(&replay.plan));
    let n = plan.log;
    let phi = weights(&replay);
    assert!(phi[plan.opening.offset..][..1 << plan.opening.log].iter().all(|w| *w == K::ZERO));

    let vector = vector(plan, &columns(&toy, &replay.system), &masks);
    let proof = &replay.proof;
    let mut sent = proof.opening.rounds.as_flattened().to_vec();
    sent.extend([proof.pcs.evals[0], proof.masks.cross]);
    sent.extend(&proof.masks.masks);
    let phi = bound_weights(phi, &replay.rounds);
    let all: Vec<(usize, F)> = vector.iter().copied().enumerate().filter(|(_, v)| *v != F::ZERO).collect();
    let own_messages = messages(plan, &phi, &all, &replay.rounds, replay.t);
    assert!(own_messages == sent, "the prover sends another map's values");

    let parts = (0..2 * n).flat_map(|i| (0..DEGREE).map(move |l| i * LIMBS + l));
    let second = LIMBS << plan.opening_log;
    let own: Vec<usize> = parts.flat_map(|c| [c, second + c]).map(|c| plan.opening.offset + c).collect();
    let image = |cell: &usize| {
        let sent = messages(plan, &phi, &[(*cell, F::ONE)], &replay.rounds, replay.t);
        sent.iter().flat_map(|v| v.as_basis_coefficients_slice().to_vec()).collect::<Vec<F>>()
    };
    let without: Vec<Vec<F>> = own.iter().map(image).collect();
    let with: Vec<Vec<F>> = without.iter().cloned().chain(spares(plan).map(|c| image(&c))).collect();
    // 4n + 2 elements are sent; <v, R> = e + t e' binds one of them.
    assert_eq!(rank(with.clone()), DEGREE * (4 * n + 1));
    assert!(rank(without) < DEGREE * (4 * n + 1), "the instrument sees that the spares are missing");
    // Five spares would do where they are independent: the sixteen must not all lie in a smaller space.
    let alone: Vec<Vec<F>> =
        with[own.len()..].iter().map(|row| row[DEGREE * 2 * n..][..DEGREE].to_vec()).collect();
    assert_eq!(rank(alone), DEGREE, "the spares do not span the block's one value");
    let point: Vec<K> = replay.rounds.iter().rev().copied().collect();
    let at: K = eq_table(&point, K::ONE).iter().zip(&vector).map(|(w, v)| *w * *v).sum();
    assert_eq!(at, proof.pcs.evals[0], "the opened value is the vector's");
}

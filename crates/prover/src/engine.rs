//! Proves a system: fills the committed vector, then runs look-ups, sums and the opening in the verifier's order.

use p3_commit::MultilinearPcs;
use p3_field::{BasedVectorSpace, PrimeCharacteristicRing};
use p3_multilinear_util::point::Point;
use p3_multilinear_util::poly::Poly;
use proofmesh_proof::commitment;
use proofmesh_proof::engine::{self, Proof};
use proofmesh_proof::field::{F, K, LIMBS};
use proofmesh_proof::opening;
use proofmesh_proof::plan::{Plan, SPARE_CELLS, Slot};
use proofmesh_proof::system::System;
use rand::rngs::StdRng;
use rand::{CryptoRng, Rng, RngExt, SeedableRng};

use crate::open::Masks;
use crate::{ProveError, lookups, materialise, open, sums};

/// Draws masks; in the test build without masks they are all zero, except where zero would be refused.
fn masks(count: usize, rng: &mut impl Rng) -> Vec<K> {
    let draw = |_| if cfg!(feature = "unmasked-for-tests") { K::ZERO } else { rng.random() };
    (0..count).map(draw).collect()
}

/// Writes elements of `K` as limbs.
fn write(vector: &mut [F], slot: Slot, first: usize, elements: &[K]) {
    for (cells, element) in vector[slot.offset + first * LIMBS..].chunks_mut(LIMBS).zip(elements) {
        let limbs = element.as_basis_coefficients_slice();
        cells[..limbs.len()].copy_from_slice(limbs);
    }
}

/// Proves that the cells satisfy the system, bound to the statement's 32-byte digest.
///
/// `cells[c]` holds column c; multiplicities of tables may be empty. Errors: see [`ProveError`].
pub fn prove_system(
    system: &System,
    mut cells: Vec<Vec<F>>,
    binding: &[u8; 32],
    rng: &mut impl CryptoRng,
) -> Result<Proof, ProveError> {
    let plan = Plan::new(system)?;
    let rows = lookups::multiplicities(system, &mut cells)?;
    let mut pads = masks(plan.pad_count, rng);
    for pad in &plan.root_pads[1..] {
        while pads[*pad] == K::ZERO {
            pads[*pad] = rng.random();
        }
    }
    let opening_masks = Masks { first: masks(2 * plan.log, rng), second: masks(2 * plan.log, rng) };
    let mut vector = F::zero_vec(1 << plan.log);
    for (slot, cells) in plan.slots.iter().zip(&cells) {
        if cells.len() != 1 << slot.log {
            return Err(ProveError::Job("a column has no cells"));
        }
        vector[slot.offset..slot.offset + cells.len()].copy_from_slice(cells);
    }
    write(&mut vector, plan.pads, 0, &pads);
    write(&mut vector, plan.opening, 0, &opening_masks.first);
    write(&mut vector, plan.opening, 1 << plan.opening_log, &opening_masks.second);
    let spare = plan.opening.offset + (1 << (plan.opening.log - 1));
    vector[spare..spare + SPARE_CELLS].iter_mut().for_each(|c| *c = rng.random());

    let fork = |rng: &mut _| StdRng::from_rng(rng);
    let pcs = commitment::scheme(plan.log, fork(rng), fork(rng))?;
    let mut transcript = engine::start(&plan, binding);
    let failed = |e: &dyn std::fmt::Display| ProveError::Commitment(e.to_string());
    let (commitment, data) =
        pcs.commit(Poly::new(vector.clone()), &mut transcript.challenger).map_err(|e| failed(&e))?;

    // The verifier's own reduction gives the equations, from a copy of the transcript.
    let mut replay = transcript.clone();
    let logup = lookups::prove(system, &plan, &rows, &cells, &pads, &mut transcript);
    let main = sums::prove(system, &plan, &cells, &pads, &mut transcript);
    let equations = engine::reduce(system, &plan, &logup, &main, &mut replay)?;
    let mu = transcript.draw();
    let folded = opening::fold(&plan, equations, mu);
    let (opening, points) = open::prove(&plan, &folded, &vector, &opening_masks, &mut transcript)?;
    pcs.observe_commitment(&commitment, &mut transcript.challenger);
    let points = points.into_iter().map(Point::new).collect();
    let pcs = pcs.open(data, points, &mut transcript.challenger).map_err(|e| failed(&e))?;
    Ok(Proof { commitment, logup, main, opening, pcs })
}

/// Names the first claim that the cells do not satisfy, without making a proof. `tau` is drawn from `rng`.
///
/// Errors: [`ProveError::Unsatisfied`].
pub fn satisfied(system: &System, mut cells: Vec<Vec<F>>, rng: &mut impl Rng) -> Result<(), ProveError> {
    lookups::multiplicities(system, &mut cells)?;
    let tau: Vec<K> = (0..system.tau_len).map(|_| rng.random()).collect();
    let value = |expr| materialise::table::<K>(expr, 0, &cells, &tau)[0];
    for claim in &system.sums {
        let tables: Vec<Vec<K>> =
            claim.factors.iter().map(|f| materialise::table(f, claim.vars, &cells, &tau)).collect();
        let eq = claim
            .eq
            .as_ref()
            .map(|(t, v)| (proofmesh_proof::field::eq_table(&tau[t.clone()], K::ONE), v.clone()));
        let sum: K = (0..1usize << claim.vars)
            .map(|x| {
                let weight = eq
                    .as_ref()
                    .map_or(K::ONE, |(table, v)| table[x >> (claim.vars - v.end) & (table.len() - 1)]);
                let product = |fs: &[usize]| fs.iter().map(|f| tables[*f][x]).product::<K>();
                weight * claim.products.iter().map(|(coef, fs)| product(fs) * *coef).sum::<K>()
            })
            .sum();
        if sum != value(&claim.rhs) {
            return Err(ProveError::Unsatisfied(claim.name.clone()));
        }
    }
    match system.linears.iter().find(|l| value(&l.expr) != K::ZERO) {
        Some(linear) => Err(ProveError::Unsatisfied(linear.name.clone())),
        None => Ok(()),
    }
}

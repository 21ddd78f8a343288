//! Proves a system: fills the committed vector, then runs look-ups, sums and the opening in the verifier's order.

use p3_field::{BasedVectorSpace, PrimeCharacteristicRing};
use proofmesh_graph::arith::Arithmetized;
use proofmesh_proof::engine::{self, Proof};
use proofmesh_proof::field::{F, K, LIMBS};
use proofmesh_proof::opening::{self, Masked, Masks as _};
use proofmesh_proof::plan::{Plan, SPARE_CELLS, Slot};
use proofmesh_proof::profile::{Device, Profile};
use proofmesh_proof::system::{SumClaim, SumPoint, System, Words};
use proofmesh_proof::transcript::Channel;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rayon::prelude::*;

use crate::open::{Masks, Opened};
use crate::{ProveError, Stage, lookups, materialise, open, sums};

/// Draws masks if anything is to be masked; in the test build without masks they are all zero, except where zero would be refused.
fn masks(count: usize, hiding: bool, rng: &mut StdRng) -> Vec<K> {
    let draw = |_| if !hiding || cfg!(feature = "unmasked-for-tests") { K::ZERO } else { rng.random() };
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
/// Multiplicities of tables may be empty. Errors: see [`ProveError`].
pub fn prove_system(
    arithmetized: Arithmetized,
    binding: &[u8; 32],
    rng: &mut StdRng,
) -> Result<Proof, ProveError> {
    prove_watched::<Device>(arithmetized, binding, rng, &mut |_| ())
}

/// [`prove_system`] under any profile. Generic: what calls it compiles the commitment's prover again.
///
/// Errors: see [`ProveError`].
pub fn prove_system_as<P: Profile>(
    arithmetized: Arithmetized,
    binding: &[u8; 32],
    rng: &mut StdRng,
) -> Result<Proof<P>, ProveError> {
    prove_watched(arithmetized, binding, rng, &mut |_| ())
}

/// As [`prove_system_as`]; `watch` hears of every stage as it begins.
pub fn prove_watched<P: Profile>(
    arithmetized: Arithmetized,
    binding: &[u8; 32],
    rng: &mut StdRng,
    watch: &mut dyn FnMut(Stage),
) -> Result<Proof<P>, ProveError> {
    let Arithmetized { system, mut cells, sums: inner } = arithmetized;
    let system = &system;
    let plan = Plan::new(system, P::Masks::HIDING)?;
    let rows = lookups::multiplicities(system, &mut cells, &inner)?;
    drop(inner);
    let mut pads = masks(plan.pad_count, plan.hiding, rng);
    for pad in &plan.root_pads[1..] {
        while plan.hiding && pads[*pad] == K::ZERO {
            pads[*pad] = rng.random();
        }
    }
    let opening_masks =
        Masks { first: masks(2 * plan.log, plan.hiding, rng), second: masks(2 * plan.log, plan.hiding, rng) };
    let mut vector = F::zero_vec(1 << plan.log);
    for (slot, cells) in plan.slots.iter().zip(cells) {
        if cells.len() != 1 << slot.log {
            return Err(ProveError::Job("a column has no cells"));
        }
        vector[slot.offset..slot.offset + cells.len()].copy_from_slice(&cells);
    }
    if plan.hiding {
        write(&mut vector, plan.pads, 0, &pads);
        write(&mut vector, plan.opening, 0, &opening_masks.first);
        write(&mut vector, plan.opening, 1 << plan.opening_log, &opening_masks.second);
        let spare = plan.opening.offset + (1 << (plan.opening.log - 1));
        vector[spare..spare + SPARE_CELLS].iter_mut().for_each(|c| *c = rng.random());
    }

    watch(Stage::Commit);
    let fork = |rng: &mut _| StdRng::from_rng(rng);
    let pcs = P::scheme(plan.log, fork(rng), fork(rng))?;
    let mut transcript = engine::start::<P>(&plan, binding);
    let (commitment, data) =
        P::commit(&pcs, vector, [&opening_masks.first, &opening_masks.second], &mut transcript.challenger)
            .map_err(ProveError::Commitment)?;
    // From here on the committed vector is the only copy of the columns.
    let vector = P::vector(&data);
    let columns: Vec<&[F]> =
        plan.slots.iter().map(|slot| &vector[slot.offset..slot.offset + (1 << slot.log)]).collect();

    // The verifier's own reduction gives the equations, from a copy of the transcript.
    let mut replay = transcript.clone();
    watch(Stage::Lookups);
    let (logup, leaf) = lookups::prove(system, &plan, &rows, &columns, &pads, &mut transcript);
    drop(rows);
    watch(Stage::Sums);
    let main = sums::prove(system, &plan, &columns, &pads, &leaf, &mut transcript);
    watch(Stage::Opening);
    let equations = engine::reduce(system, &plan, Words::Values, &logup, &main, &mut replay)?;
    let mu = transcript.draw();
    let folded = opening::fold(&plan, equations, mu);
    let opened = open::prove(&plan, &folded, vector, &opening_masks, &mut transcript)?;
    let Opened { rounds: opening, masks, points, t } = opened;
    watch(Stage::Queries);
    let masked = P::Masks::said(&masks).map(|said| Masked { t, masks: &said.masks });
    let pcs = P::open(&pcs, (&commitment, data), (points, masked), &mut transcript.challenger)
        .map_err(ProveError::Commitment)?;
    Ok(Proof { commitment, logup, main, opening, masks, pcs })
}

/// The values of a sum inside a look-up's key, row by row, from the cells alone; empty for other sums.
fn in_rows(system: &System, claim: &SumClaim, cells: &[Vec<F>]) -> Vec<F> {
    let SumPoint::Row(lookup) = claim.point else { return Vec::new() };
    let vars = system.lookups[lookup].vars;
    let value = |row: usize| -> F {
        let bits: Vec<K> = (0..vars).map(|j| K::from_bool(row >> (vars - 1 - j) & 1 == 1)).collect();
        let tables: Vec<Vec<K>> =
            claim.factors.iter().map(|f| materialise::table(f, claim.vars, cells, &bits)).collect();
        let product = |x: usize, fs: &[usize]| fs.iter().map(|f| tables[*f][x]).product::<K>();
        let at = |x: usize| claim.products.iter().map(|(coef, fs)| product(x, fs) * *coef).sum::<K>();
        let sum: K = (0..1usize << claim.vars).map(at).sum();
        sum.as_basis_coefficients_slice()[0]
    };
    (0..1 << vars).into_par_iter().map(value).collect()
}

/// Names the first claim that the cells do not satisfy, without making a proof. `tau` is drawn from `rng`.
///
/// Errors: [`ProveError::Unsatisfied`].
pub fn satisfied(system: &System, mut cells: Vec<Vec<F>>, rng: &mut StdRng) -> Result<(), ProveError> {
    let inner: Vec<Vec<F>> = system.sums.iter().map(|s| in_rows(system, s, &cells)).collect();
    lookups::multiplicities(system, &mut cells, &inner)?;
    let tau: Vec<K> = (0..system.tau_len).map(|_| rng.random()).collect();
    let value = |expr| materialise::table::<K>(expr, 0, &cells, &tau)[0];
    for claim in system.sums.iter().filter(|s| s.point == SumPoint::Tau) {
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

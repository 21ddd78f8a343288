//! The prover of the opening ([`proofmesh_proof::opening`]).

use p3_field::PrimeCharacteristicRing;
use proofmesh_proof::field::{F, K, LIMBS, limb_weights};
use proofmesh_proof::opening::{Folded, OpeningProof, mask_point, mask_weights};
use proofmesh_proof::plan::Plan;
use proofmesh_proof::system::AxisWeights;
use proofmesh_proof::transcript::Transcript;
use rayon::prelude::*;

use crate::ProveError;

/// The opening's own masks, as committed.
pub struct Masks {
    /// `N`, two a round.
    pub first: Vec<K>,
    /// `N'`.
    pub second: Vec<K>,
}

/// All weights of `Phi`, cell by cell.
fn dense(folded: &Folded, plan: &Plan) -> Vec<K> {
    let mut phi = vec![K::ZERO; 1 << plan.log];
    let mut by_column: Vec<Vec<usize>> = vec![Vec::new(); plan.slots.len()];
    for (i, term) in folded.terms.iter().enumerate() {
        by_column[term.column].push(i);
    }
    // Slots are disjoint: split the vector at them so that each column is filled on its own.
    let mut order: Vec<usize> = (0..plan.slots.len()).collect();
    order.sort_by_key(|c| plan.slots[*c].offset);
    let mut rest = phi.as_mut_slice();
    let mut start = 0;
    let mut blocks = Vec::new();
    for column in order {
        let slot = plan.slots[column];
        let (_, tail) = rest.split_at_mut(slot.offset - start);
        let (block, tail) = tail.split_at_mut(1 << slot.log);
        blocks.push((column, block));
        rest = tail;
        start = slot.offset + (1 << slot.log);
    }
    blocks.into_par_iter().for_each(|(column, block)| {
        for i in &by_column[column] {
            let term = &folded.terms[*i];
            let (block, axes) = match term.axes.split_first() {
                Some((AxisWeights::At { log, index }, rest)) => {
                    let size = block.len() >> log;
                    (&mut block[index * size..][..size], rest)
                }
                _ => (&mut *block, &term.axes[..]),
            };
            let mut weights = vec![term.coef];
            for axis in axes {
                let table = axis.table();
                let mut next = Vec::with_capacity(weights.len() * table.len());
                for w in &weights {
                    if *w == K::ZERO {
                        next.resize(next.len() + table.len(), K::ZERO);
                    } else {
                        next.extend(table.iter().map(|t| *w * *t));
                    }
                }
                weights = next;
            }
            block.iter_mut().zip(&weights).for_each(|(b, w)| *b += *w);
        }
    });
    let limbs = limb_weights();
    for (cells, w) in phi[plan.pads.offset..].chunks_mut(LIMBS).zip(&folded.pads) {
        cells.iter_mut().zip(&limbs).for_each(|(c, l)| *c = *w * *l);
    }
    phi
}

/// Coefficients of degree 1 and 2 of `sum_i (a_i + X (b_i - a_i)) (c_i + X (d_i - c_i))` over neighbouring pairs.
fn round(phi: &[K], a: &[K]) -> [K; 2] {
    let one = |(p, a): (&[K], &[K])| {
        let (dp, da) = (p[1] - p[0], a[1] - a[0]);
        let square = dp * da;
        [p[1] * a[1] - p[0] * a[0] - square, square]
    };
    sum(phi.par_chunks(2).zip(a.par_chunks(2)).with_min_len(1 << 10).map(one))
}

/// The same for a vector over the base field.
fn first_round(phi: &[K], a: &[F]) -> [K; 2] {
    let one = |(p, a): (&[K], &[F])| {
        let square = (p[1] - p[0]) * (a[1] - a[0]);
        [p[1] * a[1] - p[0] * a[0] - square, square]
    };
    sum(phi.par_chunks(2).zip(a.par_chunks(2)).with_min_len(1 << 10).map(one))
}

fn sum(terms: impl ParallelIterator<Item = [K; 2]>) -> [K; 2] {
    terms.reduce(|| [K::ZERO; 2], |x, y| [x[0] + y[0], x[1] + y[1]])
}

/// Binds the least significant variable.
fn bind(table: &[K], r: K) -> Vec<K> {
    table.par_chunks(2).with_min_len(1 << 10).map(|p| p[0] + r * (p[1] - p[0])).collect()
}

/// Proves `<Phi, A> = V`; gives the messages and the two points that the commitment must open.
///
/// Errors: [`ProveError::Unsatisfied`] when the relation does not hold of `A`.
pub fn prove(
    plan: &Plan,
    folded: &Folded,
    vector: &[F],
    masks: &Masks,
    transcript: &mut Transcript,
) -> Result<(OpeningProof, [Vec<K>; 2]), ProveError> {
    let n = plan.log;
    let mut phi = dense(folded, plan);
    let total: K = phi.par_iter().zip(vector.par_iter()).with_min_len(1 << 11).map(|(p, a)| *p * *a).sum();
    if total != folded.value {
        return Err(ProveError::Unsatisfied("linear relations".into()));
    }
    let mut rounds = Vec::with_capacity(n);
    let mut weights = Vec::with_capacity(2 * n);
    let mut point = vec![K::ZERO; n];
    let mut a: Vec<K> = Vec::new();
    for i in 0..n {
        let plain = if i == 0 { first_round(&phi, vector) } else { round(&phi, &a) };
        let sent = [plain[0] + masks.first[2 * i], plain[1] + masks.first[2 * i + 1]];
        transcript.absorb(&sent);
        let r = transcript.draw();
        point[n - 1 - i] = r;
        weights.extend(mask_weights(i + 1, n, r));
        rounds.push(sent);
        phi = bind(&phi, r);
        a = if i == 0 {
            vector.par_chunks(2).with_min_len(1 << 10).map(|p| r * (p[1] - p[0]) + p[0]).collect()
        } else {
            bind(&a, r)
        };
    }
    let cross: K = weights.iter().zip(&masks.second).map(|(v, m)| *v * *m).sum();
    transcript.absorb(&[a[0], cross]);
    let t = transcript.draw();
    if t == K::ZERO {
        return Err(ProveError::Challenge); // R would be N.
    }
    let sent: Vec<K> = masks.first.iter().zip(&masks.second).map(|(a, b)| *a + t * *b).collect();
    transcript.absorb(&sent);
    let z = transcript.draw_point(plan.opening_log);
    let (second, _) = mask_point(plan, t, &z).ok_or(ProveError::Challenge)?;
    Ok((OpeningProof { rounds, cross, masks: sent }, [point, second]))
}

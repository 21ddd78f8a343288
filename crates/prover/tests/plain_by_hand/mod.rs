//! The verifier of the plain commitment once more, one element at a time, from docs/spec/zkml.md ("The plain commitment, message by message").
//!
//! Of the library it uses the parameters and the seeds of its sub-protocols, which it records; of ours the hashes.

use std::collections::BTreeMap;

use p3_bn254::Bn254;
use p3_challenger::{
    CanObserve, CanSample, CanSampleBits, CanSampleUniformBits, FieldChallenger, GrindingChallenger,
    ResamplingError,
};
use p3_field::{BasedVectorSpace, PrimeCharacteristicRing, TwoAdicField};
use p3_sumcheck::layout::{Layout, PrefixProver, Verifier};
use p3_sumcheck::strategy::Basis;
use p3_sumcheck::transcript::SumcheckShape;
use p3_sumcheck::{OpeningBatch, TableShape};
use p3_symmetric::{CryptographicHasher, PseudoCompressionFunction};
use p3_whir::{PcsProof, QueryOpenings, WhirShape};
use proofmesh_proof::field::{F, K};
use proofmesh_proof::plain::{CAP_LOG, Config, Trees};
use proofmesh_proof::sponge::{Leaves, Nodes, Sponge};

type Digest = [Bn254; 1];
type Openings = QueryOpenings<F, K, <Trees as p3_commit::Mmcs<F>>::MultiProof>;

/// What a sub-protocol of the library absorbs before anything is drawn.
#[derive(Default)]
struct Seed {
    constants: Vec<F>,
    drawn: bool,
}

impl CanObserve<F> for Seed {
    fn observe(&mut self, value: F) {
        if !self.drawn {
            self.constants.push(value);
        }
    }
}

impl CanSample<F> for Seed {
    fn sample(&mut self) -> F {
        self.drawn = true;
        F::ZERO
    }
}

impl CanSampleBits<usize> for Seed {
    fn sample_bits(&mut self, _: usize) -> usize {
        0
    }
}

impl CanSampleUniformBits<F> for Seed {
    fn sample_uniform_bits<const RESAMPLE: bool>(&mut self, _: usize) -> Result<usize, ResamplingError> {
        Ok(0)
    }
}

impl FieldChallenger<F> for Seed {}

impl GrindingChallenger for Seed {
    type Witness = F;

    fn grind(&mut self, _: usize) -> F {
        F::ZERO
    }
}

fn seed(record: impl FnOnce(&mut Seed)) -> Vec<F> {
    let mut seed = Seed::default();
    record(&mut seed);
    seed.constants
}

fn sumcheck_seed(rounds: usize) -> Vec<F> {
    seed(|s| SumcheckShape::new(rounds, 0, Basis::Evaluation).domain_separator::<F, K>().seed(s))
}

/// The multilinear extension of values at a point, its first coordinate the most significant.
fn extension(values: &[K], point: &[K]) -> K {
    let bind = |values: Vec<K>, r: &K| -> Vec<K> {
        let (low, high) = values.split_at(values.len() / 2);
        low.iter().zip(high).map(|(l, h)| *l + *r * (*h - *l)).collect()
    };
    point.iter().fold(values.to_vec(), bind)[0]
}

fn eq(a: &[K], b: &[K]) -> K {
    a.iter().zip(b).map(|(x, y)| *x * *y + (K::ONE - *x) * (K::ONE - *y)).product()
}

/// `(y^(2^(n-1)), .., y^2, y)`.
fn powers(y: K, n: usize) -> Vec<K> {
    (0..n).rev().map(|i| y.exp_power_of_2(i)).collect()
}

/// The roots that rows at positions lead to must be those of the cap; siblings come by levels, ascending.
fn paths(leaves: &[(usize, Digest)], mut siblings: &[Digest], levels: usize, cap: &[Digest]) -> bool {
    let mut nodes = BTreeMap::new();
    if leaves.iter().any(|(at, leaf)| *nodes.entry(*at).or_insert(*leaf) != *leaf) {
        return false;
    }
    for _ in 0..levels {
        let mut parents = BTreeMap::new();
        for parent in nodes.keys().map(|at| at / 2).collect::<std::collections::BTreeSet<_>>() {
            let mut pair = [None; 2];
            for (child, digest) in pair.iter_mut().enumerate() {
                *digest = nodes.get(&(2 * parent + child)).copied().or_else(|| {
                    let (first, rest) = siblings.split_first()?;
                    siblings = rest;
                    Some(*first)
                });
            }
            let [Some(left), Some(right)] = pair else { return false };
            parents.insert(parent, Nodes.compress([left, right]));
        }
        nodes = parents;
    }
    siblings.is_empty() && nodes.iter().all(|(at, root)| cap.get(*at) == Some(root))
}

/// One claim that joins the running one: what its weight is at the end.
enum Weight {
    Point(Vec<K>),
    Power(F),
}

struct Walk<'a> {
    sponge: &'a mut Sponge,
    claim: K,
    /// All challenges of sumchecks in order.
    u: Vec<K>,
    /// For each batch: the variables left, and each claim's coefficient and weight.
    batches: Vec<(usize, Vec<(K, Weight)>)>,
}

impl Walk<'_> {
    fn absorb(&mut self, values: &[K]) {
        self.sponge.observe_algebra_slice(values);
    }

    fn draw(&mut self) -> K {
        self.sponge.sample_algebra_element()
    }

    fn sumcheck(&mut self, rounds: usize, sent: &[[K; 2]], witnesses: &[F]) -> Option<()> {
        if sent.len() != rounds || !witnesses.is_empty() {
            return None;
        }
        self.sponge.observe_slice(&sumcheck_seed(rounds));
        for [zero, top] in sent {
            self.absorb(&[*zero, *top]);
            let r = self.draw();
            let one = self.claim - *zero;
            self.claim = (K::ONE - r) * *zero + r * one + r * (r - K::ONE) * *top;
            self.u.push(r);
        }
        Some(())
    }

    /// Queries of a code: points and values.
    fn queries(
        &mut self,
        (bits, queries, work): (usize, usize, usize),
        (witness, openings): (F, &Openings),
        folds: usize,
        cap: &[Digest],
    ) -> Option<Vec<(F, K)>> {
        if work == 0 && witness != F::ZERO || work > 0 && !self.sponge.check_witness(work, witness) {
            return None;
        }
        let indices: Vec<usize> = (0..queries).map(|_| self.sponge.sample_bits(bits)).collect();
        let (rows, siblings): (Vec<Vec<F>>, _) = match openings {
            QueryOpenings::Base(opening) => (opening.rows.clone(), &opening.proof.sibling_hashes),
            QueryOpenings::Extension(opening) => {
                let flat = |row: &Vec<K>| -> Vec<F> {
                    row.iter()
                        .flat_map(|e| BasedVectorSpace::<F>::as_basis_coefficients_slice(e).to_vec())
                        .collect()
                };
                (opening.rows.iter().map(flat).collect(), &opening.proof.sibling_hashes)
            }
        };
        let size = if matches!(openings, QueryOpenings::Base(_)) { 1 } else { 5 };
        if rows.len() != queries || rows.iter().any(|row| row.len() != size << folds) {
            return None;
        }
        let leaves: Vec<(usize, Digest)> =
            indices.iter().zip(&rows).map(|(at, row)| (*at, Leaves.hash_iter(row.iter().copied()))).collect();
        if !paths(&leaves, siblings, bits.saturating_sub(CAP_LOG), cap) {
            return None;
        }
        let point = self.u[self.u.len() - folds..].to_vec();
        let element =
            |limbs: &[F]| K::from_basis_coefficients_fn(|i| limbs.get(i).copied().unwrap_or(F::ZERO));
        let value = |(at, row): (&usize, &Vec<F>)| {
            let row: Vec<K> = row.chunks(size).map(element).collect();
            (F::two_adic_generator(bits).exp_u64(*at as u64), extension(&row, &point))
        };
        Some(indices.iter().zip(&rows).map(value).collect())
    }
}

/// Whether `proof` shows the value that it claims at `point`; the sponge has absorbed everything before the opening.
pub fn verify(
    config: &Config,
    cap: &[Digest],
    proof: &PcsProof<F, K, Trees>,
    point: &[K],
    sponge: &mut Sponge,
) -> Option<()> {
    let (n, whir) = (config.num_variables(), &proof.whir);
    let shapes = [TableShape::new(n, 1)];
    let layout = || Verifier::<F, K>::new(&shapes, PrefixProver::<F, K>::strategy());
    let mut walk = Walk { sponge, claim: K::ZERO, u: Vec::new(), batches: Vec::new() };
    // 2 and 3. Samples and the claim.
    let mut first = vec![(K::ZERO, Weight::Point(point.to_vec()))];
    let mut recorded = layout();
    if whir.initial_ood_answers.len() != config.commitment_ood_samples() {
        return None;
    }
    for answer in &whir.initial_ood_answers {
        let constants = seed(|s| recorded.add_virtual_eval(K::ZERO, s));
        walk.sponge.observe_slice(&constants);
        let y = walk.draw();
        walk.absorb(&[*answer]);
        first.push((*answer, Weight::Point(powers(y, n))));
    }
    let [batch] = &proof.evals[..] else { return None };
    let ([alpha], []) = (batch.current(), batch.next()) else { return None };
    let (request, blank) = (OpeningBatch::new(vec![0], vec![]), OpeningBatch::new(vec![K::ZERO], vec![]));
    let at = p3_multilinear_util::point::Point::new(point.to_vec());
    let mut constants = seed(|s| recorded.add_claim_at(0, &request, &at, &blank, s).expect("a claim"));
    constants.truncate(constants.len() - 5);
    walk.sponge.observe_slice(&constants);
    walk.absorb(&[*alpha]);
    first[0].0 = *alpha;
    // 4. One claim of all.
    walk.sponge.observe_slice(&seed(|s| WhirShape::new(config, 1).domain_separator::<F, K>().seed(s)));
    let constants = seed(|s| _ = recorded.batching_challenge(s));
    walk.sponge.observe_slice(&constants);
    let b = walk.draw();
    let mut power = K::ONE;
    for (value, _) in &mut first {
        walk.claim += power * *value;
        *value = power;
        power *= b;
    }
    walk.batches.push((n, first));
    // 5. The first phase.
    let folds = config.folding_schedule();
    let sent = &whir.initial_sumcheck;
    walk.sumcheck(folds[0], &sent.polynomial_evaluations, &sent.pow_witnesses)?;
    // 6. The other phases.
    let mut cap = cap.to_vec();
    if whir.rounds.len() != config.round_parameters().len() {
        return None;
    }
    for (i, (parameters, round)) in config.round_parameters().iter().zip(&whir.rounds).enumerate() {
        let left = n - walk.u.len();
        let next = round.commitment.as_ref()?;
        walk.sponge.observe(next.clone());
        let mut claims = Vec::new();
        if round.ood_answers.len() != parameters.ood_samples {
            return None;
        }
        for answer in &round.ood_answers {
            let y = walk.draw();
            walk.absorb(&[*answer]);
            claims.push((*answer, Weight::Point(powers(y, left))));
        }
        let shape = (parameters.log_folded_domain_size, parameters.num_queries, parameters.pow_bits);
        let opened = walk.queries(shape, (round.pow_witness, &round.openings), folds[i], &cap)?;
        claims.extend(opened.into_iter().map(|(z, value)| (value, Weight::Power(z))));
        let b = walk.draw();
        let mut power = b;
        for (value, _) in &mut claims {
            walk.claim += power * *value;
            *value = power;
            power *= b;
        }
        walk.batches.push((left, claims));
        let sent = &round.sumcheck;
        walk.sumcheck(folds[i + 1], &sent.polynomial_evaluations, &sent.pow_witnesses)?;
        cap = next.roots().to_vec();
    }
    // 7. The last vector.
    let last = whir.final_poly.as_ref()?.as_slice();
    let rest = config.final_sumcheck_rounds();
    if last.len() != 1 << rest {
        return None;
    }
    walk.absorb(last);
    let end = config.terminal();
    let rate =
        config.round_parameters().last().map_or(config.params().starting_log_inv_rate, |r| r.log_inv_rate);
    let shape = (rest + rate, end.num_queries, end.pow_bits);
    let phase = folds[folds.len() - 1];
    for (z, value) in walk.queries(shape, (whir.final_pow_witness, &whir.final_openings), phase, &cap)? {
        if last.iter().rev().fold(K::ZERO, |sum, c| sum * z + *c) != value {
            return None;
        }
    }
    // 8 and 9. The last rounds and the one equation.
    let sent = whir.final_sumcheck.clone().unwrap_or_default();
    walk.sumcheck(rest, &sent.polynomial_evaluations, &sent.pow_witnesses)?;
    let mut weights = K::ZERO;
    for (left, claims) in &walk.batches {
        let u = &walk.u[n - left..];
        for (coefficient, weight) in claims {
            weights += *coefficient
                * match weight {
                    Weight::Point(point) => eq(point, u),
                    Weight::Power(z) => {
                        let factor = |(i, u): (usize, &K)| K::ONE - *u + *u * z.exp_power_of_2(left - 1 - i);
                        u.iter().enumerate().map(factor).product()
                    }
                };
        }
    }
    (walk.claim == weights * extension(last, &walk.u[n - rest..])).then_some(())
}

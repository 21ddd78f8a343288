//! The verifier of plain WHIR (Arnon, Chiesa, Fenzi, Yogev, eprint 2024/1586) as `p3-whir` 0.8.0 runs it, on wires.
//!
//! The committed vector's multilinear extension f is claimed to take values at points. Each phase folds variables by a sumcheck, commits to
//! the folded vector's code, draws a point outside the domain, and opens the previous code at random positions; what is opened joins the
//! running claim, weighed by powers of a challenge. The last vector is sent.
//!
//! Sizes come from [`WhirShape`], which the native verifier reads too. What the library's transcript absorbs beside messages (names of its
//! sub-protocols) is recorded from the library itself, see `Seeds`. A row of zeros of the code is as good as any: nothing here depends on
//! values but the indices of the siblings that a pruned proof leaves out.

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, PrimeField};
use p3_challenger::fs::VerifierState;
use p3_challenger::{
    CanObserve, CanSample, CanSampleBits, CanSampleUniformBits, FieldChallenger, GrindingChallenger,
    ResamplingError,
};
use p3_field::PrimeCharacteristicRing;
use p3_multilinear_util::point::Point;
use p3_sumcheck::layout::{Layout, TableShape, Verifier, commitment_domain_separator};
use p3_sumcheck::strategy::{Basis, VariableOrder};
use p3_sumcheck::transcript::SumcheckShape;
use p3_sumcheck::{OpeningEvals, OpeningRequest};
use p3_whir::WhirShape;
use proofmesh_proof::field::{F, K, eq, eq_table};
use proofmesh_proof::scalar::Scalar;
use proofmesh_proof::transcript::Channel;

use crate::bits::number;
use crate::queries::{DEGREE, Place, Queries, climb, demand, inner, read_row, restore};
use crate::r1cs::Num;
use crate::scalar::Wire;
use crate::transcript::{Transcript, message};

/// Bits of an index that one look-up of a power of the domain's generator takes.
const WINDOW: usize = 3;
/// Powers of a point that are computed one by one before a polynomial is evaluated by blocks.
const BLOCK: usize = 8;

/// A challenger that writes down what it is told.
#[derive(Default)]
struct Recorder(Vec<F>);

impl CanObserve<F> for Recorder {
    fn observe(&mut self, value: F) {
        self.0.push(value);
    }
}

impl CanSample<F> for Recorder {
    fn sample(&mut self) -> F {
        F::ZERO
    }
}

impl CanSampleBits<usize> for Recorder {
    fn sample_bits(&mut self, _: usize) -> usize {
        0
    }
}

impl CanSampleUniformBits<F> for Recorder {
    fn sample_uniform_bits<const RESAMPLE: bool>(&mut self, _: usize) -> Result<usize, ResamplingError> {
        Ok(0)
    }
}

impl FieldChallenger<F> for Recorder {}

impl GrindingChallenger for Recorder {
    type Witness = F;

    fn grind(&mut self, _: usize) -> F {
        F::ZERO
    }
}

/// What the library absorbs at the start of each of its sub-protocols: functions of the shape.
struct Seeds {
    commitment: Vec<F>,
    outside: Vec<F>,
    claim: Vec<F>,
    batching: Vec<F>,
    whir: Vec<F>,
    /// Of the initial fold, of each round's, of the final one.
    folds: Vec<Vec<F>>,
}

impl Seeds {
    fn new<L: Layout<F, K>>(shape: &WhirShape) -> Self {
        let n = shape.num_variables;
        let mut layout = Verifier::<F, K>::new(&[TableShape::new(n, 1)], L::strategy());
        let mut recorder = Recorder::default();
        let mut recorded = |tail: usize, run: &mut dyn FnMut(&mut Recorder)| {
            run(&mut recorder);
            let mut seed = std::mem::take(&mut recorder.0);
            seed.truncate(seed.len() - tail);
            seed
        };
        let seed = |recorder: &mut Recorder, separator: &_| {
            VerifierState::new(recorder, separator, &[]).abort();
        };
        let commitment = recorded(0, &mut |r| seed(r, &commitment_domain_separator::<F>()));
        let mut outside = Vec::new();
        for _ in 0..shape.commitment_ood_samples {
            outside = recorded(DEGREE, &mut |r| layout.add_virtual_eval(K::ZERO, r));
        }
        let mut claim = Vec::new();
        for _ in 0..shape.num_opening_claims {
            let (request, evals) =
                (OpeningRequest::new(vec![0], vec![]), OpeningEvals::new(vec![K::ZERO], vec![]));
            let point = Point::new(vec![K::ZERO; n]);
            claim = recorded(DEGREE, &mut |r| {
                layout.add_claim_at(0, &request, &point, &evals, r).expect("one value for one column");
            });
        }
        let batching = recorded(0, &mut |r| {
            let _ = layout.batching_challenge(r);
        });
        let whir = recorded(0, &mut |r| seed(r, &shape.domain_separator::<F, K>()));
        let all = [&shape.initial_sumcheck].into_iter().chain(shape.rounds.iter().map(|r| &r.sumcheck));
        let folds = all.chain([&shape.final_sumcheck]).map(|fold| {
            let fold = SumcheckShape::new(fold.rounds, fold.pow_bits, Basis::Evaluation);
            if fold.num_rounds == 0 {
                return Vec::new();
            }
            recorded(0, &mut |r| seed(r, &fold.domain_separator::<F, K>()))
        });
        let folds = folds.collect();
        Self { commitment, outside, claim, batching, whir, folds }
    }
}

/// Rounds of one fold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fold {
    /// `h(0)` and `h(infinity)` of each round.
    pub rounds: Vec<[K; 2]>,
    /// Witness of work of each round, where work is asked for.
    pub work: Vec<F>,
}

/// One round.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Cap of the folded vector's tree.
    pub cap: Vec<Fr>,
    /// Values outside the domain.
    pub outside: Vec<K>,
    /// The previous code's positions.
    pub queries: Queries,
    /// The next fold.
    pub fold: Fold,
}

/// An opening proof, as plain data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opening {
    /// Values of the committed vector outside the domain.
    pub outside: Vec<K>,
    /// The first fold.
    pub fold: Fold,
    /// The rounds.
    pub rounds: Vec<Round>,
    /// The last vector.
    pub last: Vec<K>,
    /// The last code's positions.
    pub queries: Queries,
    /// The last fold.
    pub last_fold: Fold,
}

impl Fold {
    fn fits(&self, blank: &Self) -> bool {
        self.rounds.len() == blank.rounds.len() && self.work.len() == blank.work.len()
    }
}

impl Opening {
    /// Whether every list has the length of a blank proof's; how many siblings are left out depends on the positions, and does not count.
    pub fn fits(&self, blank: &Self) -> bool {
        let round = |(a, b): (&Round, &Round)| {
            a.cap.len() == b.cap.len()
                && a.outside.len() == b.outside.len()
                && a.queries.fits(&b.queries)
                && a.fold.fits(&b.fold)
        };
        self.outside.len() == blank.outside.len()
            && self.fold.fits(&blank.fold)
            && self.rounds.len() == blank.rounds.len()
            && self.rounds.iter().zip(&blank.rounds).all(round)
            && self.last.len() == blank.last.len()
            && self.queries.fits(&blank.queries)
            && self.last_fold.fits(&blank.last_fold)
    }
}

/// What is opened, and how.
pub struct Scheme {
    shape: WhirShape,
    seeds: Seeds,
    order: VariableOrder,
    /// `log2` of the digests in a tree's cap.
    pub cap_log: usize,
}

impl Scheme {
    /// The scheme of a shape, for vectors of one column in the library's layout L.
    pub fn new<L: Layout<F, K>>(shape: WhirShape, cap_log: usize) -> Self {
        let (seeds, order) = (Seeds::new::<L>(&shape), L::variable_order());
        Self { shape, seeds, order, cap_log }
    }

    /// A proof of the right sizes and of zeros.
    pub fn blank(&self) -> Opening {
        let fold = |f: &p3_whir::transcript::SumcheckShape| Fold {
            rounds: vec![[K::ZERO; 2]; f.rounds],
            work: vec![F::ZERO; if f.pow_bits > 0 { f.rounds } else { 0 }],
        };
        let queries = |draws: usize, bits: usize, width: usize| {
            Queries::blank(if draws == 0 { 1 << bits } else { draws }, width)
        };
        let mut width = 1 << self.shape.initial_sumcheck.rounds;
        let mut rounds = Vec::new();
        for r in &self.shape.rounds {
            rounds.push(Round {
                cap: vec![Fr::ZERO; 1 << self.cap_log],
                outside: vec![K::ZERO; r.ood_samples],
                queries: queries(r.query_draws, r.index_bits, width),
                fold: fold(&r.sumcheck),
            });
            width = DEGREE << r.sumcheck.rounds;
        }
        Opening {
            outside: vec![K::ZERO; self.shape.commitment_ood_samples],
            fold: fold(&self.shape.initial_sumcheck),
            rounds,
            last: vec![K::ZERO; self.shape.final_poly_len],
            queries: queries(self.shape.final_query_draws, self.shape.final_index_bits, width),
            last_fold: fold(&self.shape.final_sumcheck),
        }
    }

    /// Absorbs the commitment, as the library does before anything else.
    pub fn observe(&self, transcript: &mut Transcript<'_>, cap: &[Num]) {
        transcript.absorb_known(&self.seeds.commitment);
        cap.iter().for_each(|root| transcript.absorb_root(root.clone()));
    }

    /// Demands that the committed vector takes the claimed values at the points.
    ///
    /// # Panics
    /// For another number of claims than the shape's, or points of another length.
    pub fn verify<'c>(
        &self,
        transcript: &mut Transcript<'c>,
        cap: &[Num],
        claims: &[(Vec<Wire<'c>>, Wire<'c>)],
        opening: &Opening,
    ) {
        let circuit = transcript.circuit;
        let (shape, n) = (&self.shape, self.shape.num_variables);
        assert_eq!(claims.len(), shape.num_opening_claims, "as many claims as the shape has");
        let mut outside = Vec::new();
        for value in &opening.outside {
            transcript.absorb_known(&self.seeds.outside);
            let point = powers_of_two(transcript.draw(), n);
            let value = message(circuit, *value);
            transcript.absorb(&[value]);
            outside.push((point, value));
        }
        for (_, value) in claims {
            transcript.absorb_known(&self.seeds.claim);
            transcript.absorb(&[*value]);
        }
        transcript.absorb_known(&self.seeds.whir);
        transcript.absorb_known(&self.seeds.batching);
        let mut batches =
            vec![Batch { gamma: transcript.draw(), first: 0, n, equal: claims.to_vec(), powers: vec![] }];
        batches[0].equal.extend(outside);
        let mut claim = batches[0].sum();
        let mut point = Vec::new();
        let mut folded = self.fold(transcript, 0, &opening.fold, &mut claim, shape.initial_sumcheck.pow_bits);
        let (mut left, mut cap) = (n, cap.to_vec());
        for (i, (round, sizes)) in opening.rounds.iter().zip(&shape.rounds).enumerate() {
            left -= folded.len();
            let next: Vec<Num> = round.cap.iter().map(|root| circuit.builder().witness(*root)).collect();
            next.iter().for_each(|root| transcript.absorb_root(root.clone()));
            let mut equal = Vec::new();
            for value in &round.outside {
                let point = powers_of_two(transcript.draw(), left);
                let value = message(circuit, *value);
                transcript.absorb(&[value]);
                equal.push((point, value));
            }
            let sizes_of_queries = (sizes.query_pow_bits, sizes.query_draws, sizes.index_bits);
            let powers = self.queries(transcript, i == 0, &cap, &folded, &round.queries, sizes_of_queries);
            let batch = Batch { gamma: transcript.draw(), first: 1, n: left, equal, powers };
            claim += batch.sum();
            batches.push(batch);
            point.append(&mut folded);
            folded = self.fold(transcript, i + 1, &round.fold, &mut claim, sizes.sumcheck.pow_bits);
            cap = next;
        }
        left -= folded.len();
        let last: Vec<Wire<'c>> = opening.last.iter().map(|v| message(circuit, *v)).collect();
        transcript.absorb(&last);
        let sizes = (shape.final_pow_bits, shape.final_query_draws, shape.final_index_bits);
        for (z, value) in
            self.queries(transcript, shape.rounds.is_empty(), &cap, &folded, &opening.queries, sizes)
        {
            demand(polynomial(&last, z), value);
        }
        point.append(&mut folded);
        let pow_bits = shape.final_sumcheck.pow_bits;
        let closing = self.fold(transcript, shape.rounds.len() + 1, &opening.last_fold, &mut claim, pow_bits);
        assert_eq!(closing.len(), left, "the last fold binds what is left");
        let value = inner(&eq_table(&self.oriented(&closing), Wire::ONE), &last);
        point.extend(closing);
        let before = circuit.builder().enter("weights of queries");
        let weights: Wire<'c> = batches.iter().map(|b| b.weight(&self.oriented(&point[n - b.n..]))).sum();
        circuit.builder().enter(before);
        demand(weights * value, claim);
    }

    /// Challenges in the order of the coordinates that they are for.
    fn oriented<'c>(&self, challenges: &[Wire<'c>]) -> Vec<Wire<'c>> {
        match self.order {
            VariableOrder::Prefix => challenges.to_vec(),
            VariableOrder::Suffix => challenges.iter().rev().copied().collect(),
        }
    }

    /// One fold: the challenges; the claim becomes that about the folded vector.
    fn fold<'c>(
        &self,
        transcript: &mut Transcript<'c>,
        index: usize,
        fold: &Fold,
        claim: &mut Wire<'c>,
        pow_bits: usize,
    ) -> Vec<Wire<'c>> {
        transcript.absorb_known(&self.seeds.folds[index]);
        let mut challenges = Vec::new();
        for (i, values) in fold.rounds.iter().enumerate() {
            let [zero, infinity] = values.map(|v| message(transcript.circuit, v));
            transcript.absorb(&[zero, infinity]);
            if pow_bits > 0 {
                transcript.check_work(pow_bits, fold.work[i]);
            }
            let r = transcript.draw();
            // h(r) of h = zero + (h(1) - zero - infinity) X + infinity X^2, h(1) = claim - zero.
            *claim = zero + (*claim - zero - zero - infinity) * r + infinity * (r * r);
            challenges.push(r);
        }
        challenges
    }

    /// Opens a code at drawn positions: for each, the domain's point and the value of its folded row there.
    fn queries<'c>(
        &self,
        transcript: &mut Transcript<'c>,
        base: bool,
        cap: &[Num],
        folded: &[Wire<'c>],
        queries: &Queries,
        (pow_bits, draws, bits): (usize, usize, usize),
    ) -> Vec<(Wire<'c>, Wire<'c>)> {
        let circuit = transcript.circuit;
        transcript.check_work(pow_bits, queries.work);
        let known = |i: usize| (0..bits).map(|j| Num::constant(Fr::from((i >> j & 1) as u64))).collect();
        let indices: Vec<Vec<Num>> = if draws == 0 {
            (0..1 << bits).map(known).collect()
        } else {
            (0..draws).map(|_| transcript.draw_bits(bits)).collect()
        };
        let weights = eq_table(&self.oriented(folded), Wire::ONE);
        let positions: Vec<usize> =
            indices.iter().map(|i| number(i).value.into_bigint().0[0] as usize).collect();
        let paths = restore(queries, &positions, bits - self.cap_log.min(bits), transcript);
        let mut opened = Vec::new();
        for ((index, row), path) in indices.iter().zip(&queries.rows).zip(paths) {
            let before = circuit.builder().enter("opened rows");
            let (row, digits) = read_row(circuit, row, base);
            climb(&mut circuit.builder(), transcript.poseidon, &digits, (index, path), cap);
            circuit.builder().enter(before);
            let windows: Vec<usize> = index.chunks(WINDOW).map(<[Num]>::len).collect();
            let place = Place::new(circuit, index, &windows).power(1).reduced();
            opened.push((place, inner(&weights, &row)));
        }
        opened
    }
}

/// `eq(point, .)`, reduced: every row meets it.
fn reduced_table<'c>(point: &[Wire<'c>]) -> Vec<Wire<'c>> {
    eq_table(point, Wire::ONE).into_iter().map(Wire::reduced).collect()
}

/// `(y^(2^(n-1)), .., y^2, y)`.
fn powers_of_two<'c>(y: Wire<'c>, n: usize) -> Vec<Wire<'c>> {
    let mut powers: Vec<Wire<'c>> =
        core::iter::successors(Some(y), |p| Some((*p * *p).reduced())).take(n).collect();
    powers.reverse();
    powers
}

/// `sum of coefficients[i] * z^i`.
fn polynomial<'c>(coefficients: &[Wire<'c>], z: Wire<'c>) -> Wire<'c> {
    let powers: Vec<Wire<'c>> =
        core::iter::successors(Some(Wire::ONE), |p| Some((*p * z).reduced())).take(BLOCK + 1).collect();
    coefficients
        .chunks(BLOCK)
        .rev()
        .fold(Wire::ZERO, |acc, block| acc * powers[BLOCK] + inner(&powers, block))
}

/// Claims about one folded vector, weighed by powers of one challenge.
struct Batch<'c> {
    gamma: Wire<'c>,
    /// Exponent of the first claim's weight.
    first: usize,
    /// Variables of the vector.
    n: usize,
    /// Points and values of its extension.
    equal: Vec<(Vec<Wire<'c>>, Wire<'c>)>,
    /// Points of the domain and values there.
    powers: Vec<(Wire<'c>, Wire<'c>)>,
}

impl<'c> Batch<'c> {
    fn weights(&self) -> impl Iterator<Item = Wire<'c>> {
        let gamma = self.gamma;
        core::iter::successors(Some(Wire::ONE), move |p| Some((*p * gamma).reduced())).skip(self.first)
    }

    /// What the claims add up to.
    fn sum(&self) -> Wire<'c> {
        let values = self.equal.iter().map(|c| c.1).chain(self.powers.iter().map(|c| c.1));
        values.zip(self.weights()).map(|(value, weight)| value * weight).sum()
    }

    /// The claims' weights at a point.
    fn weight(&self, point: &[Wire<'c>]) -> Wire<'c> {
        // Pairs of coordinates share their table of four among all queries.
        let tables: Vec<Vec<Wire<'c>>> = point.rchunks(2).map(reduced_table).collect();
        let power = |z: Wire<'c>| {
            let mut z = z;
            let mut product = Wire::ONE;
            for (i, table) in tables.iter().enumerate() {
                let square = (z * z).reduced();
                let mut sum = table[0] + table[1] * z;
                if table.len() == 4 {
                    sum += table[2] * square + table[3] * (square * z).reduced();
                    z = (square * square).reduced();
                }
                product *= sum;
                // Two factors' product is reduced while it is short.
                if i % 2 == 1 && i + 1 < tables.len() {
                    product = product.reduced();
                }
            }
            product
        };
        let equal = self.equal.iter().map(|(p, _)| eq(p, point));
        let powers = self.powers.iter().map(|(z, _)| power(*z));
        equal.chain(powers).zip(self.weights()).map(|(value, weight)| value * weight).sum()
    }
}

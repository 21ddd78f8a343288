//! The profile [`Plain`]: WHIR (2024/1586) without masks over the trees and the transcript of [`crate::sponge`], in the Johnson regime.
//!
//! It hides nothing. A prover makes such a proof for itself, to prove in a circuit that it has one: the circuit's proof is what hides.
//! So its parameters make the circuit small: few queries at a low rate, small leaves, full paths under a cap.
//!
//! Johnson, unlike for the hiding commitment: bounds on list size and proximity gaps up to `1 - sqrt(rho) - sqrt(rho)/20` are proven, and each
//! commitment is followed by an out-of-domain sample. The first commitment's sample comes only with its opening, after the challenges of
//! look-ups, claims and opening, so those terms are multiplied by the list size (docs/spec/soundness.md).

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use p3_bn254::Bn254;
use p3_commit::MultilinearPcs;
use p3_dft::Radix2DFTSmallBatch;
use p3_matrix::dense::RowMajorMatrix;
use p3_merkle_tree::MerkleTreeMmcs;
use p3_multilinear_util::point::Point;
use p3_sumcheck::layout::{Layout as _, PrefixProver, Table};
use p3_sumcheck::{OpeningBatch, OpeningProtocol, PrescribedPointPcs, TableShape, TableSpec};
use p3_whir::parameters::{FoldingFactor, ProtocolParameters, SecurityAssumption, WhirConfig};
use p3_whir::{PcsProof, WhirProver, WhirProverData};
use rand::rngs::StdRng;

use crate::field::{F, K};
use crate::opening::{MaskProof, Masked, Masks};
use crate::plan::MIN_PLAIN_LOG;
use crate::profile::{Kind, Profile};
use crate::reject::Reject;
use crate::soundness::{TARGET_BITS, Term, term, total_bits};
use crate::sponge::{Leaves, Nodes, Sponge};

/// The profile that a circuit checks and that hides nothing.
#[derive(Clone, Copy, Debug)]
pub struct Plain;

/// Trees without salts, under a cap.
pub type Trees = MerkleTreeMmcs<F, Bn254, Leaves, Nodes, 2, 1>;
/// Derived parameters.
pub type Config = WhirConfig<K, F, Sponge>;
/// Layout of the one polynomial: rounds bind the most significant variable first.
type Layout = PrefixProver<F, K>;

/// Proof-of-work bits of a round's queries.
pub const POW_BITS: usize = 16;
/// `log2` of the roots that a tree is cut off at.
pub const CAP_LOG: usize = 5;
/// The regime.
const REGIME: SecurityAssumption = SecurityAssumption::JohnsonBound;
/// `log2 |K|` as a whole number of bits.
const FIELD_BITS: usize = 154;

/// What is chosen by size.
pub struct Schedule {
    /// Inverse rate of the vector's code, as `log2`.
    pub rate: usize,
    /// Variables folded in each phase; the rest are sent.
    pub folds: Vec<usize>,
    /// Inverse rate of the code after each phase but the last, as `log2`.
    pub rates: Vec<usize>,
}

/// The schedule for `2^n` cells: within a twelfth of the fewest constraints of a sweep, and at most a million permutations to prove up to
/// 2^16 cells (docs/benchmarks.md). A small vector's code is long, which saves queries; 32 or 64 values are sent.
pub fn schedule(n: usize) -> Schedule {
    let sent = if n == 12 || n > 15 { 6 } else { 5 };
    let (mut rate, mut rest) = (22usize.saturating_sub(n).clamp(4, 8), n - sent);
    let mut schedule = Schedule { rate, folds: Vec::new(), rates: Vec::new() };
    while rest > 0 {
        let fold = if schedule.folds.is_empty() { rest.min(6) } else { rest.div_ceil(rest.div_ceil(4)) };
        schedule.folds.push(fold);
        rest -= fold;
        // A folded code's domain is a quarter or half as long: a longer one would cost paths and save few queries.
        rate = (rate + fold - if fold > 4 { 2 } else { 1 }).min(12);
        schedule.rates.push(rate);
    }
    schedule.rates.pop();
    schedule
}

/// The parameters of a schedule, the smallest that reach the target.
///
/// Errors: `commitment.size` for an unsupported `n`.
pub fn derive(n: usize, schedule: &Schedule) -> Result<Config, Reject> {
    for security_level in 100..=112 {
        let parameters = ProtocolParameters {
            starting_log_inv_rate: schedule.rate,
            round_log_inv_rates: schedule.rates.clone(),
            folding_factor: FoldingFactor::PerRound(schedule.folds.clone()),
            soundness_type: REGIME,
            security_level,
            pow_bits: POW_BITS,
        };
        let config =
            Config::new(n, parameters).map_err(|e| Reject::new("commitment.size", "a supported size", e))?;
        if total_bits(&terms(&config)) >= TARGET_BITS + 0.5 {
            return Ok(config);
        }
    }
    Err(Reject::new("commitment.size", "a size with 100 proven bits", n))
}

/// The parameters for a vector of `2^n` cells.
///
/// Errors: `commitment.size` for an unsupported `n`.
pub fn config(n: usize) -> Result<Config, Reject> {
    if n < MIN_PLAIN_LOG {
        return Err(Reject::new("commitment.size", MIN_PLAIN_LOG, n));
    }
    derive(n, &schedule(n))
}

/// `log2` of the number of codewords within the regime's distance of a committed word.
pub fn list_bits(config: &Config) -> f64 {
    REGIME.list_size_bits(config.num_variables(), config.params().starting_log_inv_rate)
}

/// The commitment's terms.
pub fn terms(config: &Config) -> Vec<Term> {
    let mut terms = Vec::new();
    let rates: Vec<usize> = core::iter::once(config.params().starting_log_inv_rate)
        .chain(config.round_parameters().iter().map(|r| r.log_inv_rate))
        .collect();
    let variables: Vec<usize> = core::iter::once(config.num_variables())
        .chain(config.round_parameters().iter().map(|r| r.num_variables))
        .collect();
    let samples = core::iter::once(config.commitment_ood_samples())
        .chain(config.round_parameters().iter().map(|r| r.ood_samples));
    let grinding = core::iter::once(config.starting_folding_pow_bits())
        .chain(config.round_parameters().iter().map(|r| r.folding_pow_bits));
    let claims = config.commitment_ood_samples() + 1;
    terms.push(term(
        "commitment, claims batched: list x claims / |K|",
        config.initial_claims_error(claims),
        0,
    ));
    for (i, ((samples, pow), folds)) in samples.zip(grinding).zip(config.folding_schedule()).enumerate() {
        let (n, rate) = (variables[i], rates[i]);
        let list = REGIME.list_size_bits(n, rate);
        terms.push(term(
            alloc::format!("commitment, code {i}: {samples} out-of-domain samples, list of 2^{list:.1}"),
            REGIME.ood_error(n, rate, FIELD_BITS, samples),
            0,
        ));
        let all = -libm::log2(*folds as f64) + pow as f64;
        terms.push(term(
            alloc::format!("commitment, code {i}: proximity gaps of {folds} folds at rate 2^-{rate}"),
            REGIME.prox_gaps_error(n, rate, FIELD_BITS, 2) + all,
            pow,
        ));
        terms.push(term(
            alloc::format!("commitment, code {i}: sumcheck of {folds} rounds"),
            REGIME.fold_sumcheck_error(FIELD_BITS, n, rate) + all,
            pow,
        ));
    }
    for (i, round) in config.round_parameters().iter().enumerate() {
        terms.push(term(
            alloc::format!("commitment, code {i}: {} queries at rate 2^-{}", round.num_queries, rates[i]),
            REGIME.queries_error(rates[i], round.num_queries) + round.pow_bits as f64,
            round.pow_bits,
        ));
        let (n, rate) = (round.num_variables, round.log_inv_rate);
        terms.push(term(
            alloc::format!("commitment, code {i}: queries and samples combined"),
            REGIME.queries_combination_error(FIELD_BITS, n, rate, round.ood_samples, round.num_queries)
                + round.pow_bits as f64,
            round.pow_bits,
        ));
    }
    let (last, end) = (rates.len() - 1, config.terminal());
    terms.push(term(
        alloc::format!("commitment, code {last}: {} queries at rate 2^-{}", end.num_queries, rates[last]),
        REGIME.queries_error(rates[last], end.num_queries) + end.pow_bits as f64,
        end.pow_bits,
    ));
    if config.final_sumcheck_rounds() > 0 {
        let rounds = config.final_sumcheck_rounds();
        terms.push(term(
            "commitment, last sumcheck: 2 x variables / |K|",
            (FIELD_BITS - 1) as f64 - libm::log2(rounds as f64) + config.final_folding_pow_bits() as f64,
            config.final_folding_pow_bits(),
        ));
    }
    terms
}

/// What is opened: one polynomial at one point.
pub fn protocol(n: usize) -> OpeningProtocol {
    let batch = OpeningBatch::new(alloc::vec![0], Vec::new());
    OpeningProtocol::new(alloc::vec![TableSpec::new(TableShape::new(n, 1), alloc::vec![batch])])
}

impl Masks for () {
    const HIDING: bool = false;
    const IN_VECTOR: bool = false;

    fn make<E>(_: impl FnOnce() -> Result<MaskProof, E>) -> Result<Self, E> {
        Ok(())
    }

    fn said(&self) -> Option<&MaskProof> {
        None
    }
}

impl Profile for Plain {
    const KIND: Kind = Kind::Plain;
    type Challenger = Sponge;
    type Commitment = <Trees as p3_commit::Mmcs<F>>::Commitment;
    type Masks = ();
    type PcsProof = PcsProof<F, K, Trees>;
    type Pcs = WhirProver<K, F, Radix2DFTSmallBatch<F>, Trees, Sponge, Layout>;
    type Data = WhirProverData<F, K, Trees, Layout>;

    fn challenger(binding: &[u8; 32]) -> Self::Challenger {
        Sponge::new(binding)
    }

    fn scheme(log: usize, _: StdRng, _: StdRng) -> Result<Self::Pcs, Reject> {
        let trees = Trees::new(Leaves, Nodes, CAP_LOG);
        Ok(WhirProver::new(config(log)?, Radix2DFTSmallBatch::default(), trees))
    }

    fn terms(pcs: &Self::Pcs) -> Vec<Term> {
        terms(pcs)
    }

    fn list_bits(pcs: &Self::Pcs) -> f64 {
        list_bits(pcs)
    }

    fn observe(pcs: &Self::Pcs, commitment: &Self::Commitment, challenger: &mut Self::Challenger) {
        pcs.observe_commitment(commitment, challenger);
    }

    fn commit(
        pcs: &Self::Pcs,
        vector: Vec<F>,
        _: [&[K]; 2],
        challenger: &mut Self::Challenger,
    ) -> Result<(Self::Commitment, Self::Data), String> {
        let width = vector.len();
        let table = Table::new(RowMajorMatrix::new(vector, width));
        let witness = Layout::new_witness(alloc::vec![table], pcs.folding_schedule()[0]);
        pcs.commit(witness, challenger).map_err(|e| e.to_string())
    }

    fn vector(data: &Self::Data) -> &[F] {
        data.table(0).poly(0).into_slice()
    }

    fn open(
        pcs: &Self::Pcs,
        (_, data): (&Self::Commitment, Self::Data),
        (points, _): (Vec<Vec<K>>, Option<Masked<'_>>),
        challenger: &mut Self::Challenger,
    ) -> Result<Self::PcsProof, String> {
        let points: Vec<_> = points.into_iter().map(Point::new).collect();
        pcs.open_at(data, &protocol(pcs.num_variables()), &points, challenger).map_err(|e| e.to_string())
    }

    fn values(proof: &Self::PcsProof) -> Vec<K> {
        proof.evals.iter().flat_map(|batch| batch.current().iter().chain(batch.next())).copied().collect()
    }

    fn verify(
        pcs: &Self::Pcs,
        (commitment, proof): (&Self::Commitment, &Self::PcsProof),
        (points, _): (Vec<Vec<K>>, Option<Masked<'_>>),
        challenger: &mut Self::Challenger,
    ) -> Result<(), Reject> {
        let points: Vec<_> = points.into_iter().map(Point::new).collect();
        pcs.verify_at(commitment, proof, &protocol(pcs.num_variables()), &points, challenger)
            .map(drop)
            .map_err(|e| Reject::new("commitment.opening", "a valid opening", e))
    }
}

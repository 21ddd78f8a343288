//! The hiding commitment: HVZK-WHIR (eprint 2026/391) over salted Merkle trees, in the unique-decoding regime.
//!
//! Unique decoding, not the Johnson regime: the hiding base case multiplies the list sizes of all its mask codes, and no out-of-domain
//! sample follows the commitment (docs/spec/soundness.md). The library ignores the random rows when it counts queries, so the target level
//! is raised until the sum of all error terms, with the true rates, reaches [`crate::soundness::TARGET_BITS`].

use alloc::vec::Vec;
use p3_challenger::{FieldChallenger, GrindingChallenger};
use p3_whir::parameters::{FoldingFactor, ProtocolParameters, SecurityAssumption};
use p3_whir::pcs::zk::{ZkParameters, ZkWhirConfig};

use crate::field::{F, K, log2_ceil};
use crate::plan::MIN_LOG;
use crate::reject::Reject;
use crate::soundness::{TARGET_BITS, Term, misses, over_field, term, total_bits};

/// Proof-of-work bits a round may use.
const POW_BITS: usize = 12;

/// Inverse rate of the mask codes, as `log2`: with fewer than 128 queries their messages and randomness fit the same domain as at 3.
const MASK_LOG_INV_RATE: usize = 4;

/// What is chosen by size.
struct Schedule {
    /// Inverse rate of the vector's code, as `log2`.
    rate: usize,
    /// Variables folded in each phase, leaving six that are sent masked.
    folds: Vec<usize>,
    /// Inverse rate of the code after each phase but the last, as `log2`.
    rates: Vec<usize>,
}

/// The schedule for `2^n` cells: the smallest proofs of a sweep over all of two to four phases, first folds of 4 to 9 and rates of 2^-1 to
/// 2^-7, among schedules within a third of the fastest (docs/benchmarks.md).
///
/// A folded code's rate is bounded from below: in unique decoding a query is worth less than a bit at any rate, so a longer code would cost
/// transforms, hashes and paths and save no queries. Beyond 2^19 cells the first code has rate 1/4, to halve its memory.
fn schedule(n: usize) -> Schedule {
    let rest = n - 6;
    if n < 20 {
        let first = (n - 3) / 2;
        return Schedule {
            rate: 3,
            folds: alloc::vec![first, rest - first],
            rates: alloc::vec![if n < 19 { 5 } else { 6 }],
        };
    }
    let first = (n - 7) / 2;
    let second = (rest - first).div_ceil(2);
    Schedule { rate: 2, folds: alloc::vec![first, second, rest - first - second], rates: alloc::vec![4, 6] }
}

/// The parameters for a vector of `2^n` cells, the smallest that reach the target.
///
/// Errors: `commitment.size` for an unsupported `n`.
pub fn config<C>(n: usize) -> Result<ZkWhirConfig<K, F, C>, Reject>
where
    C: FieldChallenger<F> + GrindingChallenger<Witness = F>,
{
    if n < MIN_LOG {
        return Err(Reject::new("commitment.size", MIN_LOG, n));
    }
    for security_level in 102..=118 {
        let Schedule { rate, folds, rates } = schedule(n);
        let parameters = ProtocolParameters {
            starting_log_inv_rate: rate,
            round_log_inv_rates: rates,
            folding_factor: FoldingFactor::PerRound(folds),
            soundness_type: SecurityAssumption::UniqueDecoding,
            security_level,
            pow_bits: POW_BITS,
        };
        let zk = ZkParameters { ell_zk: 3, mask_log_inv_rate: MASK_LOG_INV_RATE };
        let config = ZkWhirConfig::new(n, parameters, zk)
            .map_err(|e| Reject::new("commitment.size", "a supported size", e))?;
        if total_bits(&terms(&config)) >= TARGET_BITS + 1.0 {
            return Ok(config);
        }
    }
    Err(Reject::new("commitment.size", "a size with 100 proven bits", n))
}

/// The commitment's terms, with the true rates `(message + random rows) / length`.
pub fn terms<C>(config: &ZkWhirConfig<K, F, C>) -> Vec<Term>
where
    C: FieldChallenger<F> + GrindingChallenger<Witness = F>,
{
    let mut terms = Vec::new();
    let mut lengths = 0.0;
    for (i, round) in config.round_parameters().iter().enumerate() {
        let length = round.domain_size >> round.folding_factor;
        let rate_log = log2_ceil(length)
            - if i == 0 {
                config.starting_log_inv_rate
            } else {
                config.round_parameters()[i - 1].log_inv_rate
            };
        let dimension = (1 << rate_log) + config.oracle_randomness()[i];
        let name = alloc::format!(
            "commitment, round {i}: {} queries at rate {dimension}/{length}",
            round.num_queries
        );
        terms.push(term(
            name,
            misses(round.num_queries, dimension, length) + round.pow_bits as f64,
            round.pow_bits,
        ));
        lengths += round.domain_size as f64 * round.folding_factor as f64 + round.num_queries as f64;
    }
    let base = config.base_case_config();
    let dimension = base.code.message_len + base.code.randomness_len;
    let name = alloc::format!(
        "commitment, base case: {} queries at rate {dimension}/{}",
        base.num_queries,
        base.code.domain_size
    );
    terms.push(term(
        name,
        misses(base.num_queries, dimension, base.code.domain_size) + base.pow_bits as f64,
        base.pow_bits,
    ));
    lengths += base.code.domain_size as f64 * 64.0;
    for (i, group) in base.mask_groups.iter().enumerate() {
        let dimension = group.shape.message_len + group.shape.randomness_len;
        let name = alloc::format!(
            "commitment, masks {i}: {} queries at rate {dimension}/{}",
            base.mask_queries,
            group.shape.domain_size
        );
        terms.push(term(name, misses(base.mask_queries, dimension, group.shape.domain_size), 0));
        lengths += (group.shape.domain_size * (group.width + 1)) as f64;
    }
    terms.push(term(
        "commitment, proximity gaps and batching: (sum of code lengths x folds) / |K|",
        over_field(lengths),
        0,
    ));
    let rounds = config.num_variables() as f64;
    terms.push(term("commitment, masked sumchecks: 3 x variables / |K|", over_field(3.0 * rounds + 2.0), 0));
    terms
}

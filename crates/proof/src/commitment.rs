//! The hiding commitment: HVZK-WHIR (eprint 2026/391) over salted BLAKE3 Merkle trees, in the unique-decoding regime.
//!
//! Unique decoding, not the Johnson regime: the hiding base case multiplies the list sizes of all its mask codes, and no out-of-domain
//! sample follows the commitment (docs/spec/soundness.md). The library ignores the random rows when it counts queries, so the target level
//! is raised until the sum of all error terms, with the true rates, reaches [`crate::soundness::TARGET_BITS`].

use alloc::vec::Vec;
use p3_blake3::Blake3;
use p3_dft::Radix2DFTSmallBatch;
use p3_whir::parameters::{FoldingFactor, ProtocolParameters, SecurityAssumption};
use p3_whir::pcs::zk::ZkParameters;
use rand::rngs::StdRng;

use crate::plan::MIN_LOG;
use crate::profile::{Config, LeafHash, Mmcs, NodeHash, Pcs};
use crate::reject::Reject;
use crate::soundness;

/// Proof-of-work bits a round may use.
const POW_BITS: usize = 10;

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
pub fn config(n: usize) -> Result<Config, Reject> {
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
        let config = Config::new(n, parameters, zk)
            .map_err(|e| Reject::new("commitment.size", "a supported size", e))?;
        if soundness::total_bits(&soundness::commitment_terms(&config)) >= soundness::TARGET_BITS + 1.0 {
            return Ok(config);
        }
    }
    Err(Reject::new("commitment.size", "a size with 100 proven bits", n))
}

/// The scheme with the given generators for its salts and its masks; a verifier draws from neither.
pub fn scheme(n: usize, salts: StdRng, masks: StdRng) -> Result<Pcs, Reject> {
    let hash = LeafHash::new(Blake3);
    let mmcs = Mmcs::new(hash, NodeHash::new(Blake3), 0, salts);
    Ok(Pcs::new(config(n)?, Radix2DFTSmallBatch::default(), mmcs, masks))
}

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

use crate::profile::{Config, LeafHash, Mmcs, NodeHash, Pcs};
use crate::reject::Reject;
use crate::soundness;

/// Proof-of-work bits a round may use.
const POW_BITS: usize = 10;

/// Variables folded in each phase, leaving six that are sent masked.
fn schedule(n: usize) -> Vec<usize> {
    let fold = n - 6;
    let phases = if n <= 20 { 2 } else { 3 };
    (0..phases).map(|i| fold / phases + usize::from(i < fold % phases)).collect()
}

/// The parameters for a vector of `2^n` cells, the smallest that reach the target.
///
/// Errors: `commitment.size` for an unsupported `n`.
pub fn config(n: usize) -> Result<Config, Reject> {
    for security_level in 104..=116 {
        let parameters = ProtocolParameters {
            starting_log_inv_rate: 2,
            round_log_inv_rates: Vec::new(),
            folding_factor: FoldingFactor::PerRound(schedule(n)),
            soundness_type: SecurityAssumption::UniqueDecoding,
            security_level,
            pow_bits: POW_BITS,
        };
        let zk = ZkParameters { ell_zk: 3, mask_log_inv_rate: 3 };
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

//! What a proof will cost, from the program's shape alone.

use proofmesh_graph::hash::Digest;
use proofmesh_graph::program::{Program, WeightMode};
use proofmesh_graph::statement::{InputStatement, Statement};
use proofmesh_proof::plan::{MIN_LOG, Plan};
use proofmesh_proof::{commitment, soundness};
use serde::Serialize;

use crate::ProveError;

/// A forecast for one proof on one machine like that of docs/benchmarks.md (2 cores).
#[derive(Clone, Debug, Serialize)]
pub struct Forecast {
    /// `log2` of the committed cells.
    pub cells_log2: usize,
    /// `log2` of the look-up tree's leaves.
    pub leaves_log2: usize,
    /// Size of the proof file.
    pub proof_bytes: usize,
    /// Proving time.
    pub prove_ms: f64,
    /// Peak memory of the process.
    pub peak_bytes: usize,
    /// Proven soundness.
    pub soundness_bits: f64,
}

/// Forecasts a proof of `batch` inputs.
///
/// Errors: a program that is refused or too large.
pub fn forecast(program: &Program, batch: usize) -> Result<Forecast, ProveError> {
    let types = program.check()?;
    let public = vec![program.input.interval.lo; program.input.public_elements().len()];
    let input = InputStatement { commitment: Digest::default(), public };
    // Which class or bit comes out changes constants, not sizes.
    let (output, batch_outputs) = program.sample_outputs(&types, batch);
    let statement = Statement {
        program: program.public_part(),
        weights: (program.weights == WeightMode::Private).then(Digest::default),
        inputs: vec![input; batch],
        outputs: vec![output; batch],
        batch_outputs,
        context: Vec::new(),
    };
    let system = statement.system()?.system;
    let plan = Plan::new(&system)?;
    let config = commitment::config(plan.log)?;
    let (cells, leaves) = ((1u64 << plan.log) as f64, (1u64 << plan.leaves.depth) as f64);
    let elements: usize = plan.pad_count + 4 * plan.log + plan.main_values.len();
    Ok(Forecast {
        cells_log2: plan.log,
        leaves_log2: plan.leaves.depth,
        proof_bytes: pcs_bytes(plan.log) + 20 * elements,
        prove_ms: BASE_MS + MS_A_CELL * cells + MS_A_LEAF * leaves,
        peak_bytes: BASE_BYTES + (BYTES_A_CELL * cells + BYTES_A_LEAF * leaves) as usize,
        soundness_bits: soundness::total_bits(&soundness::terms(&system, &plan, &config)),
    })
}

/// The commitment's opening proof at 2^14, 2^15, .. cells, as measured for docs/benchmarks.md; paths that queries share make it vary by 1 %.
const PCS_BYTES: [usize; 11] =
    [252_921, 275_048, 300_857, 335_297, 381_624, 448_029, 486_392, 530_165, 574_696, 651_771, 696_846];
/// Growth with each doubling beyond those, an extrapolation.
const PCS_BYTES_A_VARIABLE: usize = 55_000;

/// The commitment's opening proof.
fn pcs_bytes(log: usize) -> usize {
    let at = log - MIN_LOG;
    let measured = at.min(PCS_BYTES.len() - 1);
    PCS_BYTES[measured] + PCS_BYTES_A_VARIABLE * (at - measured)
}

/// Fitted to docs/benchmarks.md.
const BASE_MS: f64 = 10.0;
/// Commitment, opening and their sumcheck.
const MS_A_CELL: f64 = 0.000_45;
/// The look-up tree.
const MS_A_LEAF: f64 = 0.000_30;
/// A process that proves nothing.
const BASE_BYTES: usize = 12 << 20;
/// Committed vector, codeword, trees, weights.
const BYTES_A_CELL: f64 = 100.0;
/// All layers of the tree.
const BYTES_A_LEAF: f64 = 50.0;

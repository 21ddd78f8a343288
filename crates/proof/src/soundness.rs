//! Error terms of a proof, each with its formula, summed. Floats live here only; the verifier's decisions use none of them except to choose
//! query counts, which is deterministic on IEEE 754.
//!
//! All terms are proven: no conjecture about lists up to capacity is used.

use alloc::string::String;
use alloc::vec::Vec;

use crate::field::log2_ceil;
use crate::plan::Plan;
use crate::profile::Config;
use crate::system::{Axis, System};

/// Bits that the sum of all terms must reach.
pub const TARGET_BITS: f64 = 100.0;
/// `log2 |K|`, rounded down.
pub const FIELD_BITS: f64 = 154.9;

/// One error term.
#[derive(Clone, Debug)]
pub struct Term {
    /// Where it comes from, with its formula.
    pub name: String,
    /// `-log2` of the error.
    pub bits: f64,
    /// Of which proof-of-work.
    pub pow_bits: usize,
}

fn term(name: impl Into<String>, bits: f64, pow_bits: usize) -> Term {
    Term { name: name.into(), bits, pow_bits }
}

/// `-log2(count / |K|)`.
fn over_field(count: f64) -> f64 {
    FIELD_BITS - libm::log2(count.max(1.0))
}

/// `-queries * log2((1 + rho) / 2)`: all queries miss a word at more than half the code's distance `1 - rho`.
fn misses(queries: usize, dimension: usize, length: usize) -> f64 {
    let rho = dimension as f64 / length as f64;
    -(queries as f64) * libm::log2((1.0 + rho) / 2.0)
}

/// `-log2` of the sum of the terms' errors.
pub fn total_bits(terms: &[Term]) -> f64 {
    -libm::log2(terms.iter().map(|t| libm::exp2(-t.bits)).sum())
}

/// As [`total_bits`], without what proof-of-work adds.
pub fn bits_without_grinding(terms: &[Term]) -> f64 {
    -libm::log2(terms.iter().map(|t| libm::exp2(t.pow_bits as f64 - t.bits)).sum())
}

/// The commitment's terms, with the true rates `(message + random rows) / length`.
pub fn commitment_terms(config: &Config) -> Vec<Term> {
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

/// The terms of the claims and look-ups of a system.
pub fn claim_terms(system: &System, plan: &Plan) -> Vec<Term> {
    let claims = system.sums.len() as f64;
    let degrees: f64 = plan.main.rounds.iter().map(|r| r.len() as f64).sum();
    let layers: f64 = plan.layers.iter().flat_map(|l| &l.rounds).map(|r| r.len() as f64).sum();
    let depth = plan.leaves.depth as f64;
    let leaves = libm::exp2(depth);
    let powers = system.linears.iter().flat_map(|l| &l.expr.terms);
    let powers = powers.map(|t| t.axes.iter().map(Axis::degree).sum::<usize>()).max().unwrap_or(0);
    let equations = plan.main_values.len() as f64 + system.linears.len() as f64 + depth + 4.0;
    let mut terms = alloc::vec![
        term("look-ups, pole and tuple: 3 x leaves / |K|", over_field(3.0 * leaves), 0),
        term("look-ups, layers: (sum of degrees + 2 x depth) / |K|", over_field(layers + 2.0 * depth), 0),
        term("claims, tau: length / |K|", over_field(system.tau_len as f64), 0),
        term("claims, lambda: number / |K|", over_field(claims), 0),
        term("claims, rounds: sum of degrees / |K|", over_field(degrees), 0),
        term("opening, mu: equations / |K|", over_field(equations), 0),
        term("opening, rounds: 2 x variables / |K|", over_field(2.0 * plan.log as f64), 0),
        term("opening, masks t and z: 10 / |K|", over_field(10.0), 0),
    ];
    if powers > 0 {
        terms.push(term("claims, lattice: degree in zeta / |K|", over_field(powers as f64), 0));
    }
    terms
}

/// Every term of a proof.
pub fn terms(system: &System, plan: &Plan, config: &Config) -> Vec<Term> {
    let mut terms = claim_terms(system, plan);
    terms.extend(commitment_terms(config));
    terms
}

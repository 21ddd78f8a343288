//! Error terms of a proof, each with its formula, summed. Floats live here only; the verifier's decisions use none of them except to choose
//! query counts, which is deterministic on IEEE 754.
//!
//! All terms are proven: no conjecture about lists up to capacity is used.

use alloc::string::String;
use alloc::vec::Vec;

use crate::plan::Plan;
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

/// One term.
pub fn term(name: impl Into<String>, bits: f64, pow_bits: usize) -> Term {
    Term { name: name.into(), bits, pow_bits }
}

/// `-log2(count / |K|)`.
pub fn over_field(count: f64) -> f64 {
    FIELD_BITS - libm::log2(count.max(1.0))
}

/// `-queries * log2((1 + rho) / 2)`: all queries miss a word at more than half the code's distance `1 - rho`.
pub fn misses(queries: usize, dimension: usize, length: usize) -> f64 {
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
    ];
    if plan.hiding {
        terms.push(term("opening, masks t and z: 10 / |K|", over_field(10.0), 0));
    }
    if powers > 0 {
        terms.push(term("claims, lattice: degree in zeta / |K|", over_field(powers as f64), 0));
    }
    terms
}

/// Every term of a proof: the system's, each once for every vector that the commitment may stand for, and the commitment's.
pub fn terms(system: &System, plan: &Plan, commitment: Vec<Term>, list_bits: f64) -> Vec<Term> {
    let mut terms = claim_terms(system, plan);
    if list_bits > 0.0 {
        for term in &mut terms {
            term.bits -= list_bits;
            term.name.push_str(" x list");
        }
    }
    terms.extend(commitment);
    terms
}

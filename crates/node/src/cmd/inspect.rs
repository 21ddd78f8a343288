//! `proofmesh inspect`: what a proof of a model states, what it costs, and how sound it is.

use crate::fault::{Fault, Result};
use crate::out::Context;
use crate::security::{Link, least, of_proof, of_wrapped};
use proofmesh_graph::statement::{Statement, claimed_by, soundness as soundness_of};
use proofmesh_proof::profile::Kind;
use proofmesh_proof::soundness::Term;
use proofmesh_prover::{Forecast, Machine, forecast};
use proofmesh_verifier::StatementDoc;
use serde::Serialize;
use std::path::PathBuf;

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  proofmesh inspect                              the weather model
  proofmesh inspect --model digits.pmesh --batch 16
  proofmesh inspect --proof day.proof            a proof and its statement")]
pub struct Args {
    /// The model file [default: the weather model that this binary carries]
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// A proof, with its statement beside it
    #[arg(long, value_name = "FILE")]
    proof: Option<PathBuf>,
    /// Inputs in one proof
    #[arg(long, default_value_t = 1)]
    batch: usize,
}

#[derive(Serialize)]
struct TermDoc {
    name: String,
    bits: f64,
    grinding_bits: usize,
}

#[derive(Serialize)]
struct InspectDoc {
    statement: StatementDoc,
    /// What each output says; without a proof with words that it could have.
    states: Vec<String>,
    proof_bytes: Option<usize>,
    profile: Kind,
    forecast: Forecast,
    terms: Vec<TermDoc>,
    soundness_bits: f64,
    grinding_bits_max: usize,
    soundness_bits_without_grinding: f64,
    /// From the readings to the coordinator's verdict, link by link.
    security: Vec<Link>,
    security_bits: f64,
    /// The same where a contract checks the proof; none where it cannot be wrapped.
    security_wrapped: Option<Vec<Link>>,
    security_wrapped_bits: Option<f64>,
    /// The same where another wraps it, for hire: the proof inside is one that hides.
    security_hired: Option<Vec<Link>>,
    security_hired_bits: Option<f64>,
}

/// Runs.
pub fn run(args: Args, context: &Context) -> Result<()> {
    let model = super::model_at(args.model.as_deref())?;
    let statement = match &args.proof {
        Some(proof) => super::verify::read_statement(&super::verify::beside(proof))?
            .about(&model.program)
            .map_err(super::verify::unread)?,
        None => crate::zk::sample(&model, args.batch)?,
    };
    let (proof_bytes, profile) = match &args.proof {
        Some(path) => {
            let bytes = super::read_file(path, proofmesh_proof::engine::MAX_PROOF_BYTES)?;
            (Some(bytes.len()), claimed_by(&bytes)?.profile()?)
        }
        None => (None, Kind::Device),
    };
    let (terms, soundness_bits) = soundness_of(&statement, profile)?;
    let forecast = Machine::measured()
        .and_then(|here| forecast(&model.program, statement.inputs.len(), here))
        .map_err(|error| Fault::refused("model.too-large", "a program that can be proved", error))?;
    let security = of_proof(&statement.program, profile, soundness_bits);
    // A statement that the circuit cannot read, such as one with private weights, has no wrapped form.
    let readable = proofmesh_wrap::statement::preimage(&with_context(&statement)).is_ok();
    let wrapped = |inner: Kind| -> Option<Vec<Link>> {
        let (_, bits) = soundness_of(&statement, inner).ok().filter(|_| readable)?;
        Some(of_wrapped(&statement.program, inner, bits))
    };
    let (security_wrapped, security_hired) = (wrapped(Kind::Plain), wrapped(Kind::Hired));
    let doc = InspectDoc {
        security_bits: least(&security),
        security,
        security_wrapped_bits: security_wrapped.as_deref().map(least),
        security_wrapped,
        security_hired_bits: security_hired.as_deref().map(least),
        security_hired,
        statement: StatementDoc::of(&statement),
        states: statement.sentences(),
        proof_bytes,
        profile,
        forecast,
        soundness_bits_without_grinding: without_grinding(&terms),
        grinding_bits_max: terms.iter().map(|term| term.pow_bits).max().unwrap_or(0),
        terms: terms
            .into_iter()
            .map(|term| TermDoc { name: term.name, bits: term.bits, grinding_bits: term.pow_bits })
            .collect(),
        soundness_bits,
    };
    context.print(&doc, || describe(&doc))
}

/// `-log2` of the sum of the terms without their proof of work.
fn without_grinding(terms: &[Term]) -> f64 {
    -terms.iter().map(|term| (term.pow_bits as f64 - term.bits).exp2()).sum::<f64>().log2()
}

/// The statement under the 32 bytes of context that a wrapped one has.
fn with_context(statement: &Statement) -> Statement {
    Statement { context: vec![0; 32], ..statement.clone() }
}

fn describe(doc: &InspectDoc) -> String {
    let public: usize = doc.statement.inputs.iter().map(|input| input.public.len()).sum();
    let words: usize =
        doc.statement.outputs.iter().map(Vec::len).sum::<usize>() + doc.statement.batch_outputs.len();
    let mut lines = vec![
        format!("model      {}", doc.statement.model),
        format!(
            "statement  {} inputs, {public} public words in, {words} words out, {} bytes of context",
            doc.statement.inputs.len(),
            doc.statement.context.0.len()
        ),
        format!(
            "forecast   2^{} cells, 2^{} look-up leaves, {} KiB, {:.0} ms, {} MB",
            doc.forecast.cells_log2,
            doc.forecast.leaves_log2,
            doc.forecast.proof_bytes >> 10,
            doc.forecast.prove_ms,
            doc.forecast.peak_bytes >> 20
        ),
    ];
    let kind = if doc.proof_bytes.is_some() { "states    " } else { "states, as an example" };
    lines.extend(doc.states.iter().map(|said| format!("{kind} {said}")));
    if let Some(bytes) = doc.proof_bytes {
        lines.push(format!("proof      {} KiB, profile {}", bytes >> 10, doc.profile.name()));
    }
    lines.push("soundness, -log2 of each error term, all proven:".to_owned());
    lines.extend(doc.terms.iter().map(|term| format!("  {:>6.1}  {}", term.bits, term.name)));
    lines.push(format!("  {:>6.1}  all together", doc.soundness_bits));
    lines.push(format!(
        "  {:>6.1}  all together without grinding (proof of work, at most {} bits of a term)",
        doc.soundness_bits_without_grinding, doc.grinding_bits_max
    ));
    let mut chain = |name: &str, links: &[Link]| {
        lines.push(format!(
            "security {name}, bits of each link; a chain is as strong as its weakest, {:.0}:",
            least(links)
        ));
        lines.extend(links.iter().map(|link| format!("  {:>6.1}  {}: {}", link.bits, link.part, link.why)));
    };
    chain("where a coordinator checks the proof", &doc.security);
    match &doc.security_wrapped {
        Some(links) => chain("where a contract checks it, wrapped by its prover", links),
        None => lines.push(
            "not wrapped for contracts: private weights, or inputs behind a lattice commitment".to_owned(),
        ),
    }
    if let Some(links) = &doc.security_hired {
        lines.push(format!(
            "security where a contract checks it, wrapped for hire, {:.0}: as wrapped by its prover, but",
            least(links)
        ));
        lines.extend(
            links
                .first()
                .map(|link| format!("  {:>6.1}  {}: {}, of one that hides", link.bits, link.part, link.why)),
        );
    }
    lines.join("\n")
}

//! What a proof reveals, and the verifier's view of it: challenges replayed, equations derived.
#![allow(dead_code)] // Each test file uses a part.

use p3_sumcheck::zk::ZkSumcheckData;
use p3_whir::pcs::zk::{BaseCaseZkProof, BlindedMask, ZkRoundProof};
use p3_whir::{QueryOpenings, SharedProofOpening};
use proofmesh_graph::statement::{ProofFile, decode_proof};
use proofmesh_proof::claims::MainProof;
use proofmesh_proof::engine::{self, Proof};
use proofmesh_proof::field::{F, K};
use proofmesh_proof::logup::{LayerProof, LogupProof};
use proofmesh_proof::opening::{self, Folded, MaskProof, OpeningProof};
use proofmesh_proof::plan::Plan;
use proofmesh_proof::profile::{Device, Kind, Profile, stubs};
use proofmesh_proof::system::{Affine, System, Words};
use proofmesh_proof::transcript::Channel;
use proofmesh_prover::Proved;

/// Rows of a codeword that are looked at: how many a proof opens depends on its queries.
const ROWS: usize = 3;

/// Every field element of a proof by its place, but for codeword rows beyond the first few. Patterns have no `..`: a new field must be
/// revealed here or named as none.
pub fn revealed(proof: &Proof) -> Vec<(String, K)> {
    let mut out = Vec::new();
    let Proof { commitment: _, logup, main, opening, masks, pcs } = proof;
    let LogupProof { root, layers } = logup;
    list(&mut out, "logup.root", root);
    for (j, LayerProof { rounds, values }) in layers.iter().enumerate() {
        lists(&mut out, &format!("logup.layers[{j}].rounds"), rounds);
        list(&mut out, &format!("logup.layers[{j}].values"), values);
    }
    let MainProof { rounds, values } = main;
    lists(&mut out, "main.rounds", rounds);
    list(&mut out, "main.values", values);
    let OpeningProof { rounds } = opening;
    let MaskProof { cross, masks } = masks;
    list(&mut out, "opening.rounds", rounds.as_flattened());
    list(&mut out, "opening.cross", &[*cross]);
    list(&mut out, "opening.masks", masks);
    commitments(&mut out, pcs);
    out
}

type PcsProof = <Device as Profile>::PcsProof;

/// The elements of the commitment's opening proof.
fn commitments(out: &mut Vec<(String, K)>, pcs: &PcsProof) {
    let PcsProof { evals, sumchecks, sumcheck_mask_commitments: _, rounds, base_case } = pcs;
    list(out, "pcs.evals", evals);
    for (i, ZkSumcheckData { mu_tilde, round_coefficients, pow_witnesses: _ }) in sumchecks.iter().enumerate()
    {
        list(out, &format!("pcs.sumchecks[{i}].sum"), &[*mu_tilde]);
        lists(out, &format!("pcs.sumchecks[{i}].rounds"), round_coefficients);
    }
    for (i, round) in rounds.iter().enumerate() {
        let ZkRoundProof { commitment: _, mask_commitment: _, ood_answers, pow_witness: _, openings } = round;
        list(out, &format!("pcs.rounds[{i}].answers"), ood_answers);
        query(out, &format!("pcs.rounds[{i}].rows"), openings);
    }
    let BaseCaseZkProof {
        fresh_main_commitment: _,
        fresh_mask_commitments: _,
        masked_claim,
        blinded_message,
        blinded_randomness,
        blinded_masks,
        pow_witness: _,
        source_openings,
        fresh_main_openings,
        mask_openings,
    } = base_case;
    list(out, "pcs.base.claim", &[*masked_claim]);
    list(out, "pcs.base.message", blinded_message);
    list(out, "pcs.base.randomness", &blinded_randomness[..8.min(blinded_randomness.len())]);
    for (i, BlindedMask { message, randomness }) in blinded_masks.iter().enumerate().take(6) {
        list(out, &format!("pcs.base.masks[{i}].message"), message);
        list(out, &format!("pcs.base.masks[{i}].randomness"), &randomness[..4.min(randomness.len())]);
    }
    query(out, "pcs.base.source", source_openings);
    rows(out, "pcs.base.fresh", fresh_main_openings);
    for (i, pair) in mask_openings.iter().enumerate() {
        rows(out, &format!("pcs.base.mask_openings[{i}].carried"), &pair.carried);
        rows(out, &format!("pcs.base.mask_openings[{i}].fresh"), &pair.fresh);
    }
}

fn list(out: &mut Vec<(String, K)>, place: &str, elements: &[K]) {
    out.extend(elements.iter().enumerate().map(|(i, v)| (format!("{place}[{i}]"), *v)));
}

fn lists(out: &mut Vec<(String, K)>, place: &str, lists: &[Vec<K>]) {
    lists.iter().enumerate().for_each(|(i, elements)| list(out, &format!("{place}[{i}]"), elements));
}

fn rows<P>(out: &mut Vec<(String, K)>, place: &str, opening: &SharedProofOpening<K, P>) {
    let SharedProofOpening { rows, proof: _ } = opening;
    rows.iter()
        .take(ROWS)
        .enumerate()
        .for_each(|(i, row)| list(out, &format!("{place}[{i}]"), &row[..2.min(row.len())]));
}

fn query<P>(out: &mut Vec<(String, K)>, place: &str, opening: &QueryOpenings<F, K, P>) {
    match opening {
        QueryOpenings::Extension(opening) => rows(out, place, opening),
        QueryOpenings::Base(SharedProofOpening { rows, proof: _ }) => {
            // Five base elements are looked at as one of the extension.
            for (i, row) in rows.iter().take(ROWS).enumerate() {
                let packed: Vec<K> = row.chunks_exact(5).take(2).map(pack).collect();
                list(out, &format!("{place}[{i}]"), &packed);
            }
        }
    }
}

/// Five base elements as one element of the extension.
pub fn pack(limbs: &[F]) -> K {
    <K as p3_field::BasedVectorSpace<F>>::from_basis_coefficients_fn(|i| limbs[i])
}

/// The verifier's view of a proof.
pub struct Replay {
    pub system: System,
    pub plan: Plan,
    pub proof: Proof,
    /// All equations that the reductions leave, each `= 0`.
    pub equations: Vec<Affine>,
    /// The equations folded into one.
    pub folded: Folded,
    /// Challenges of the opening's rounds in order.
    pub rounds: Vec<K>,
    /// The challenge that combines its masks.
    pub t: K,
}

impl Replay {
    /// Replays the transcript of an honest proof.
    pub fn new(proved: &Proved) -> Self {
        let ProofFile::<Device> { images, proof, .. } = decode_proof(&proved.file).expect("an honest file");
        let images = proved.statement.images(&images).expect("honest images");
        let system = proved.statement.system(&images).expect("an honest statement").system;
        let plan = Plan::new(&system, true).expect("a system of ours");
        let [salts, masks] = stubs();
        let pcs = Device::scheme(plan.log, salts, masks).expect("a supported size");
        let mut transcript = engine::start::<Device>(&plan, &proved.statement.binding(Kind::Device));
        Device::observe(&pcs, &proof.commitment, &mut transcript.challenger);
        let equations =
            engine::reduce(&system, &plan, Words::Values, &proof.logup, &proof.main, &mut transcript);
        let equations = equations.expect("an honest proof reduces");
        let mu = transcript.draw();
        let folded = opening::fold(&plan, equations.clone(), mu);
        let mut rounds = Vec::new();
        for sent in &proof.opening.rounds {
            transcript.absorb(sent);
            rounds.push(transcript.draw());
        }
        transcript.absorb(&[proof.pcs.evals[0], proof.masks.cross]);
        let t = transcript.draw();
        Self { system, plan, proof, equations, folded, rounds, t }
    }
}

/// An affine form at given columns and masks.
pub fn value(form: &Affine, cells: &[Vec<F>], pads: &[K]) -> K {
    let mut sum = form.constant;
    for term in &form.terms {
        let mut weights = vec![term.coef];
        for axis in &term.axes {
            let table = axis.table();
            weights = weights.iter().flat_map(|w| table.iter().map(move |t| *w * *t)).collect();
        }
        sum += weights.iter().zip(&cells[term.column]).map(|(w, v)| *w * *v).sum::<K>();
    }
    sum + form.pads.iter().map(|(i, w)| pads[*i] * *w).sum::<K>()
}

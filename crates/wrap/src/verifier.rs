//! The circuit: the verifier of [`Plain`] proofs of one program and batch size.
//!
//! Look-ups, sums, linear claims and the opening's rounds are `proofmesh_proof`'s own text, run on wires; the commitment's opening is
//! [`crate::whir`]. The transcript starts from the public input, so every challenge depends on the whole statement.

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, BigInteger, PrimeField};
use p3_field::PrimeCharacteristicRing;
use p3_sumcheck::SumcheckData;
use p3_sumcheck::layout::PrefixProver;
use p3_whir::{QueryOpenings, WhirShape};
use proofmesh_graph::statement::{Images, Statement};
use proofmesh_graph::words::Words;
use proofmesh_proof::claims::MainProof;
use proofmesh_proof::engine::{self, Proof};
use proofmesh_proof::field::{F, K};
use proofmesh_proof::logup::{LayerProof, LogupProof};
use proofmesh_proof::opening::{self, OpeningProof};
use proofmesh_proof::plain::{self, CAP_LOG, Plain};
use proofmesh_proof::plan::Plan;
use proofmesh_proof::profile::Profile;
use proofmesh_proof::reject::Reject;
use proofmesh_proof::scalar::Scalar;
use proofmesh_proof::system::{self, System};
use proofmesh_proof::transcript::Channel;

use crate::circuit::Circuit;
use crate::poseidon::{Poseidon, element};
use crate::r1cs::{Builder, Num};
use crate::scalar::Wire;
use crate::statement;
use crate::transcript::{Transcript, message};
use crate::whir::{Fold, Opening, Queries, Round, Scheme};

/// The 32 bytes that the transcript of a proof to be wrapped starts from: its public input, big-endian.
///
/// Errors: as [`statement::preimage`].
pub fn binding(of: &Statement) -> Result<[u8; 32], Reject> {
    let bytes = statement::public_input(of)?.into_bigint().to_bytes_be();
    Ok(bytes.try_into().expect("32 bytes"))
}

/// The messages of a proof, as the circuit's witness.
#[derive(Clone, Debug)]
pub struct Messages {
    /// Cap of the committed vector's tree.
    pub cap: Vec<Fr>,
    /// Look-ups.
    pub logup: LogupProof,
    /// Sums of products.
    pub main: MainProof,
    /// Rounds of the opening.
    pub opening: OpeningProof,
    /// The opened value.
    pub value: K,
    /// The commitment's own opening.
    pub commitment: Opening,
}

impl Messages {
    /// Zeros of the sizes that a plan implies.
    fn blank(plan: &Plan, scheme: &Scheme) -> Self {
        let zeros = |n: usize| vec![K::ZERO; n];
        let rounds = |sumcheck: &proofmesh_proof::plan::SumcheckPads| {
            sumcheck.rounds.iter().map(|r| zeros(r.len())).collect::<Vec<_>>()
        };
        let layers =
            plan.layers.iter().map(|l| LayerProof { rounds: rounds(l), values: [K::ZERO; 4] }).collect();
        Self {
            cap: vec![Fr::ZERO; 1 << scheme.cap_log],
            logup: LogupProof { root: [K::ZERO; 3], layers },
            main: MainProof { rounds: rounds(&plan.main), values: zeros(plan.main_values.len()) },
            opening: OpeningProof { rounds: vec![[K::ZERO; 2]; plan.log] },
            value: K::ZERO,
            commitment: scheme.blank(),
        }
    }

    /// Whether every list has the length of another's: the circuit's shape is not the proof's to choose.
    fn fits(&self, blank: &Self) -> bool {
        let rounds = |a: &[Vec<K>], b: &[Vec<K>]| {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.len() == b.len())
        };
        let layers = self.logup.layers.iter().zip(&blank.logup.layers);
        self.cap.len() == blank.cap.len()
            && self.logup.layers.len() == blank.logup.layers.len()
            && layers.into_iter().all(|(a, b)| rounds(&a.rounds, &b.rounds))
            && rounds(&self.main.rounds, &blank.main.rounds)
            && self.main.values.len() == blank.main.values.len()
            && self.opening.rounds.len() == blank.opening.rounds.len()
            && self.commitment.fits(&blank.commitment)
    }
}

impl TryFrom<&Proof<Plain>> for Messages {
    type Error = Reject;

    /// Errors: `proof.shape`: a part is missing that every proof of the profile has.
    fn try_from(proof: &Proof<Plain>) -> Result<Self, Reject> {
        let missing = || Reject::new("proof.shape", "a proof of the plain profile", "a part is missing");
        let caps = |cap: &<Plain as Profile>::Commitment| -> Vec<Fr> {
            cap.roots().iter().map(|[root]| element(*root)).collect()
        };
        let fold = |data: &SumcheckData<F, K>| Fold {
            rounds: data.polynomial_evaluations.clone(),
            work: data.pow_witnesses.clone(),
        };
        let queries = |work: F, openings: &QueryOpenings<F, K, _>| {
            let (rows, siblings): (Vec<Vec<F>>, &p3_merkle_tree::PrunedMerklePaths<_, 1>) = match openings {
                QueryOpenings::Base(o) => (o.rows.clone(), &o.proof),
                QueryOpenings::Extension(o) => {
                    use p3_field::BasedVectorSpace;
                    let flat = |row: &Vec<K>| {
                        let parts = row.iter().flat_map(|v| v.as_basis_coefficients_slice());
                        parts.copied().collect::<Vec<F>>()
                    };
                    (o.rows.iter().map(flat).collect(), &o.proof)
                }
            };
            Queries { work, rows, siblings: siblings.sibling_hashes.iter().map(|[s]| element(*s)).collect() }
        };
        let whir = &proof.pcs.whir;
        let mut rounds = Vec::new();
        for round in &whir.rounds {
            rounds.push(Round {
                cap: caps(round.commitment.as_ref().ok_or_else(missing)?),
                outside: round.ood_answers.clone(),
                queries: queries(round.pow_witness, &round.openings),
                fold: fold(&round.sumcheck),
            });
        }
        let [value] = Plain::values(&proof.pcs)[..] else { return Err(missing()) };
        Ok(Self {
            cap: caps(&proof.commitment),
            logup: proof.logup.clone(),
            main: proof.main.clone(),
            opening: proof.opening.clone(),
            value,
            commitment: Opening {
                outside: whir.initial_ood_answers.clone(),
                fold: fold(&whir.initial_sumcheck),
                rounds,
                last: whir.final_poly.as_ref().ok_or_else(missing)?.as_slice().to_vec(),
                queries: queries(whir.final_pow_witness, &whir.final_openings),
                last_fold: whir.final_sumcheck.as_ref().map(fold).unwrap_or_default(),
            },
        })
    }
}

/// The constraint system of a statement's program and batch size, with the witness that a proof gives; without a proof, one that fits no
/// statement, for keys.
///
/// What is built is the same for every statement and every proof of a program and batch size.
///
/// Errors: as [`statement::preimage`], those of a statement that does not fit its program, and `proof.shape` for a proof of other sizes. A
/// proof that does not hold gives a witness that breaks a constraint ([`Builder::broken`]).
pub fn circuit(of: &Statement, proof: Option<&Proof<Plain>>) -> Result<Builder, Reject> {
    let messages = proof.map(Messages::try_from).transpose()?;
    build(of, messages.as_ref())
}

/// As [`circuit`], from messages.
///
/// Errors: as [`circuit`].
pub fn build(of: &Statement, messages: Option<&Messages>) -> Result<Builder, Reject> {
    let public = statement::public_input(of)?;
    let system = of.system(&Images::default())?.system;
    let types = of.program.check().map_err(|e| Reject::new("statement.program", "a valid program", e))?;
    let (stated, plan) = (Words::new(of, &types)?, Plan::new(&system, false)?);
    let shape = WhirShape::new(&plain::config(plan.log)?, 1);
    let scheme = Scheme::new::<PrefixProver<F, K>>(shape, CAP_LOG);
    let blank = Messages::blank(&plan, &scheme);
    let messages = messages.unwrap_or(&blank);
    if !messages.fits(&blank) {
        return Err(Reject::new("proof.shape", "a proof of the program's sizes", "another"));
    }
    let circuit = Circuit::new(public);
    constrain(&circuit, (of, &stated), (&system, &plan, &scheme), messages)?;
    Ok(circuit.into_builder())
}

/// The verification, on wires.
fn constrain(
    circuit: &Circuit,
    (of, stated): (&Statement, &Words),
    (system, plan, scheme): (&System, &Plan, &Scheme),
    messages: &Messages,
) -> Result<(), Reject> {
    let wire = |value: &K| message(circuit, *value);
    let wires = |values: &Vec<K>| values.iter().map(wire).collect::<Vec<Wire<'_>>>();
    let words = statement::words(circuit, of, stated)?;
    let (poseidon, public) = (Poseidon::default(), circuit.builder().public());
    let mut transcript = Transcript::new(circuit, &poseidon, &public);
    transcript.absorb_known(&[plan.log, plan.leaves.depth, plan.pad_count].map(F::from_usize));
    circuit.builder().enter("messages");
    let cap: Vec<Num> = messages.cap.iter().map(|root| circuit.builder().witness(*root)).collect();
    scheme.observe(&mut transcript, &cap);
    let layer = |l: &LayerProof| LayerProof {
        rounds: l.rounds.iter().map(wires).collect(),
        values: l.values.each_ref().map(wire),
    };
    let logup = LogupProof {
        root: messages.logup.root.each_ref().map(wire),
        layers: messages.logup.layers.iter().map(layer).collect(),
    };
    let main = MainProof {
        rounds: messages.main.rounds.iter().map(wires).collect(),
        values: wires(&messages.main.values),
    };
    let rounds = messages.opening.rounds.iter().map(|r| r.each_ref().map(wire)).collect();
    let (opening, value) = (OpeningProof { rounds }, wire(&messages.value));
    circuit.builder().enter("claims");
    let equations =
        engine::reduce(system, plan, system::Words::Wires(&words), &logup, &main, &mut transcript)?;
    let mu = transcript.draw();
    circuit.builder().enter("fold");
    let folded = opening::fold(plan, equations, mu);
    circuit.builder().enter("rounds of the opening");
    let walked = opening::read(plan, folded.value, &opening, &mut transcript)?;
    circuit.builder().enter("opening");
    let opened = folded.at(plan, &walked.point) * value;
    if !walked.sum.equals(opened) {
        return Err(Reject::new("opening.relation", "the sum that the claims imply", "another"));
    }
    circuit.builder().enter("commitment");
    scheme.verify(&mut transcript, &cap, &[(walked.point, value)], &messages.commitment);
    Ok(())
}

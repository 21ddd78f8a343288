//! The circuit: the verifier of proofs of one program and batch size, plain ones or ones that hide.
//!
//! Look-ups, sums, linear claims and the opening's rounds are `proofmesh_proof`'s own text, run on wires; the commitment's opening is that of the
//! profile, [`crate::whir`] or [`crate::hired`]. The transcript starts from the public input, so every challenge depends on the whole statement.

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, BigInteger, PrimeField};
use p3_field::PrimeCharacteristicRing;
use proofmesh_graph::statement::{Images, Statement};
use proofmesh_graph::words::Words;
use proofmesh_proof::claims::MainProof;
use proofmesh_proof::engine::{self, Proof};
use proofmesh_proof::field::{F, K};
use proofmesh_proof::logup::{LayerProof, LogupProof};
use proofmesh_proof::opening::{self, MaskProof, Masks as _, OpeningProof, Related};
use proofmesh_proof::plain::Plain;
use proofmesh_proof::plan::Plan;
use proofmesh_proof::profile::Profile;
use proofmesh_proof::reject::Reject;
use proofmesh_proof::system::{self, System};
use proofmesh_proof::transcript::Channel;

use crate::circuit::Circuit;
use crate::poseidon::Poseidon;
use crate::r1cs::{Builder, Num};
use crate::scalar::Wire;
use crate::statement;
use crate::transcript::{Transcript, message};

/// The 32 bytes that the transcript of a proof to be wrapped starts from: its public input, big-endian.
///
/// Errors: as [`statement::preimage`].
pub fn binding(of: &Statement) -> Result<[u8; 32], Reject> {
    let bytes = statement::public_input(of)?.into_bigint().to_bytes_be();
    Ok(bytes.try_into().expect("32 bytes"))
}

/// What a proof says of the committed vector.
#[derive(Clone, Debug)]
pub struct Opened<P: Wrapped> {
    /// Cap of the committed vector's tree.
    pub cap: Vec<Fr>,
    /// The opened value.
    pub value: K,
    /// What shows the masks of the opening's rounds to be the committed ones, where they are masked.
    pub masks: Option<MaskProof>,
    /// The commitment's own opening.
    pub opening: P::Opening,
}

/// What a commitment's opening is to show.
pub struct Claim<'a, 'c> {
    /// Where.
    pub point: Vec<Wire<'c>>,
    /// The vector's value there.
    pub value: Wire<'c>,
    /// The challenge that combines the rounds' masks, and their combination, where they are masked.
    pub masked: Option<(Wire<'c>, &'a [Wire<'c>])>,
}

/// A profile whose proofs a circuit verifies.
pub trait Wrapped: Profile {
    /// Name of the kind of circuit.
    const NAME: &'static str;
    /// How its commitment is opened on wires.
    type Scheme;
    /// An opening, as plain data.
    type Opening: Clone + core::fmt::Debug;

    /// The scheme for `2^log` cells, and how many digests its cap has.
    ///
    /// Errors: `commitment.size`.
    fn wires(log: usize) -> Result<(Self::Scheme, usize), Reject>;

    /// An opening of the right sizes and of zeros.
    fn blank(scheme: &Self::Scheme) -> Self::Opening;

    /// Whether every list has the length of a blank opening's.
    fn fits(opening: &Self::Opening, blank: &Self::Opening) -> bool;

    /// The commitment's part of a proof.
    ///
    /// Errors: `proof.shape`: a part is missing that every proof of the profile has.
    fn read(proof: &Proof<Self>) -> Result<Opened<Self>, Reject>
    where
        Self: Sized;

    /// Absorbs the commitment.
    fn absorb(scheme: &Self::Scheme, transcript: &mut Transcript<'_>, cap: &[Num]);

    /// Demands what is claimed of the committed vector.
    fn demand<'c>(
        scheme: &Self::Scheme,
        transcript: &mut Transcript<'c>,
        cap: &[Num],
        claim: Claim<'_, 'c>,
        opening: &Self::Opening,
    );
}

/// The messages of a proof, as the circuit's witness.
#[derive(Clone, Debug)]
pub struct Messages<P: Wrapped = Plain> {
    /// Look-ups.
    pub logup: LogupProof,
    /// Sums of products.
    pub main: MainProof,
    /// Rounds of the opening.
    pub opening: OpeningProof,
    /// The commitment.
    pub opened: Opened<P>,
}

impl<P: Wrapped> Messages<P> {
    /// Zeros of the sizes that a plan implies.
    fn blank(plan: &Plan, scheme: &P::Scheme, cap: usize) -> Self {
        let zeros = |n: usize| vec![K::ZERO; n];
        let rounds = |sumcheck: &proofmesh_proof::plan::SumcheckPads| {
            sumcheck.rounds.iter().map(|r| zeros(r.len())).collect::<Vec<_>>()
        };
        let layers =
            plan.layers.iter().map(|l| LayerProof { rounds: rounds(l), values: [K::ZERO; 4] }).collect();
        let masks = MaskProof { cross: K::ZERO, masks: zeros(2 * plan.log) };
        Self {
            logup: LogupProof { root: [K::ZERO; 3], layers },
            main: MainProof { rounds: rounds(&plan.main), values: zeros(plan.main_values.len()) },
            opening: OpeningProof { rounds: vec![[K::ZERO; 2]; plan.log] },
            opened: Opened {
                cap: vec![Fr::ZERO; cap],
                value: K::ZERO,
                masks: P::Masks::HIDING.then_some(masks),
                opening: P::blank(scheme),
            },
        }
    }

    /// Whether every list has the length of another's: the circuit's shape is not the proof's to choose.
    fn fits(&self, blank: &Self) -> bool {
        let rounds = |a: &[Vec<K>], b: &[Vec<K>]| {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.len() == b.len())
        };
        let layers = self.logup.layers.iter().zip(&blank.logup.layers);
        let masks = |messages: &Self| messages.opened.masks.as_ref().map(|said| said.masks.len());
        self.opened.cap.len() == blank.opened.cap.len()
            && self.logup.layers.len() == blank.logup.layers.len()
            && layers.into_iter().all(|(a, b)| rounds(&a.rounds, &b.rounds))
            && rounds(&self.main.rounds, &blank.main.rounds)
            && self.main.values.len() == blank.main.values.len()
            && self.opening.rounds.len() == blank.opening.rounds.len()
            && masks(self) == masks(blank)
            && P::fits(&self.opened.opening, &blank.opened.opening)
    }
}

impl<P: Wrapped> TryFrom<&Proof<P>> for Messages<P> {
    type Error = Reject;

    /// Errors: as [`Wrapped::read`].
    fn try_from(proof: &Proof<P>) -> Result<Self, Reject> {
        Ok(Self {
            logup: proof.logup.clone(),
            main: proof.main.clone(),
            opening: proof.opening.clone(),
            opened: P::read(proof)?,
        })
    }
}

/// The constraint system of a statement's program and batch size, with the witness that a proof gives; without a proof, one that fits no
/// statement, for keys.
///
/// What is built is the same for every statement and every proof of a program, a batch size and a profile.
///
/// Errors: as [`statement::preimage`], those of a statement that does not fit its program, and `proof.shape` for a proof of other sizes. A
/// proof that does not hold gives a witness that breaks a constraint ([`Builder::broken`]).
pub fn circuit<P: Wrapped>(of: &Statement, proof: Option<&Proof<P>>) -> Result<Builder, Reject> {
    let messages = proof.map(Messages::try_from).transpose()?;
    build::<P>(of, messages.as_ref())
}

/// As [`circuit`], from messages.
///
/// Errors: as [`circuit`].
pub fn build<P: Wrapped>(of: &Statement, messages: Option<&Messages<P>>) -> Result<Builder, Reject> {
    let public = statement::public_input(of)?;
    let system = of.system(&Images::default())?.system;
    let types = of.program.check().map_err(|e| Reject::new("statement.program", "a valid program", e))?;
    let (stated, plan) = (Words::new(of, &types)?, Plan::new(&system, P::Masks::HIDING)?);
    let (scheme, cap) = P::wires(plan.log)?;
    let blank = Messages::blank(&plan, &scheme, cap);
    let messages = messages.unwrap_or(&blank);
    if !messages.fits(&blank) {
        return Err(Reject::new("proof.shape", "a proof of the program's sizes", "another"));
    }
    let circuit = Circuit::new(public);
    constrain(&circuit, (of, &stated), (&system, &plan, &scheme), messages)?;
    Ok(circuit.into_builder())
}

/// The verification, on wires.
fn constrain<P: Wrapped>(
    circuit: &Circuit,
    (of, stated): (&Statement, &Words),
    (system, plan, scheme): (&System, &Plan, &P::Scheme),
    messages: &Messages<P>,
) -> Result<(), Reject> {
    let wire = |value: &K| message(circuit, *value);
    let wires = |values: &Vec<K>| values.iter().map(wire).collect::<Vec<Wire<'_>>>();
    let words = statement::words(circuit, of, stated)?;
    let (poseidon, public) = (Poseidon::default(), circuit.builder().public());
    let mut transcript = Transcript::new(circuit, &poseidon, &public);
    transcript.absorb_known(&[plan.log, plan.leaves.depth, plan.pad_count].map(F::from_usize));
    circuit.builder().enter("messages");
    let opened = &messages.opened;
    let cap: Vec<Num> = opened.cap.iter().map(|root| circuit.builder().witness(*root)).collect();
    P::absorb(scheme, &mut transcript, &cap);
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
    let (opening, value) = (OpeningProof { rounds }, wire(&opened.value));
    let said =
        (opened.masks.as_ref()).map(|said| MaskProof { cross: wire(&said.cross), masks: wires(&said.masks) });
    circuit.builder().enter("claims");
    let equations =
        engine::reduce(system, plan, system::Words::Wires(&words), &logup, &main, &mut transcript)?;
    let mu = transcript.draw();
    circuit.builder().enter("fold");
    let folded = opening::fold(plan, equations, mu);
    circuit.builder().enter("opening");
    let Related { point, t } =
        opening::relate(plan, &folded, &opening, (value, said.as_ref()), &mut transcript)?;
    circuit.builder().enter("commitment");
    let masked = t.zip(said.as_ref().map(|said| &said.masks[..]));
    P::demand(scheme, &mut transcript, &cap, Claim { point, value, masked }, &opened.opening);
    Ok(())
}

//! The profiles: under which hash a proof is made, and with which commitment.
//!
//! A [`Profile`] is a type, and everything that depends on it hangs off that type; a [`Kind`] is its name at run time, in a proof file and
//! on a command line. A [`Suite`] is a hash with its trees and its transcript, [`Hiding`] the hiding commitment over a suite.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Debug;
use core::marker::PhantomData;
use p3_blake3::Blake3;
use p3_challenger::{CanObserve, CanSampleUniformBits, FieldChallenger, GrindingChallenger};
use p3_commit::MultilinearPcs;
use p3_dft::Radix2DFTSmallBatch;
use p3_merkle_tree::MerkleTreeHidingMmcs;
use p3_multilinear_util::point::Point;
use p3_multilinear_util::poly::Poly;
use p3_symmetric::{CompressionFunctionFromHasher, SerializingHasher};
use p3_whir::pcs::zk::{HidingWhirPcs, HidingWhirProverData, ZkWhirConfig, ZkWhirProof};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::chain::Chain;
use crate::commitment;
use crate::field::{F, K};
use crate::hired::Hired;
use crate::opening::{MaskProof, Masked, Masks};
use crate::plain::Plain;
use crate::plan::Plan;
use crate::reject::Reject;
use crate::soundness::{self, Term};
use crate::system::System;
use crate::transcript::{self, ByteChallenger};

/// A profile's name at run time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// [`Device`].
    #[default]
    Device,
    /// [`Chain`].
    Chain,
    /// [`Plain`]: not zero-knowledge.
    Plain,
    /// [`Hired`].
    Hired,
}

impl Kind {
    /// All profiles.
    pub const ALL: [Self; 4] = [Self::Device, Self::Chain, Self::Plain, Self::Hired];

    /// Its number in a proof file.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The profile of a number.
    pub fn of(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// The profile of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Its name, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Chain => "chain",
            Self::Plain => "plain",
            Self::Hired => "hired",
        }
    }

    /// Whether its proofs are zero-knowledge.
    pub fn hides(self) -> bool {
        self != Self::Plain
    }

    /// Every error term of its proofs of a system.
    ///
    /// Errors: `system.size`, `system.shape`, `commitment.size`.
    pub fn terms(self, system: &System) -> Result<Vec<Term>, Reject> {
        match self {
            Self::Device => terms::<Device>(system),
            Self::Chain => terms::<Chain>(system),
            Self::Plain => terms::<Plain>(system),
            Self::Hired => terms::<Hired>(system),
        }
    }
}

fn terms<P: Profile>(system: &System) -> Result<Vec<Term>, Reject> {
    let plan = Plan::new(system, P::Masks::HIDING)?;
    let [salts, masks] = stubs();
    let pcs = P::scheme(plan.log, salts, masks)?;
    Ok(soundness::terms(system, &plan, P::terms(&pcs), P::list_bits(&pcs)))
}

/// Generators for a scheme that draws from neither: a verifier's.
pub fn stubs() -> [StdRng; 2] {
    [(); 2].map(|()| StdRng::from_seed([0; 32]))
}

/// Everything of a proof that depends on the hash and on the commitment.
pub trait Profile: Copy + Debug + Send + Sync + 'static {
    /// Its name.
    const KIND: Kind;
    /// The Fiat-Shamir challenger that the commitment shares with us.
    type Challenger: FieldChallenger<F> + Clone;
    /// A commitment to a vector.
    type Commitment: Clone + Serialize + DeserializeOwned;
    /// What shows that the masks of the opening's rounds are the committed ones; `()` where nothing is masked.
    type Masks: Masks;
    /// The commitment's own opening proof.
    type PcsProof: Clone + Serialize + DeserializeOwned;
    /// The commitment scheme for one size.
    type Pcs;
    /// What a prover keeps between committing and opening.
    type Data;

    /// A challenger that has absorbed a 32-byte digest of the statement.
    fn challenger(binding: &[u8; 32]) -> Self::Challenger;

    /// The scheme for `2^log` cells, with the generators of its salts and its masks; a verifier draws from neither.
    ///
    /// Errors: `commitment.size`.
    fn scheme(log: usize, salts: StdRng, masks: StdRng) -> Result<Self::Pcs, Reject>;

    /// The scheme's error terms.
    fn terms(pcs: &Self::Pcs) -> Vec<Term>;

    /// `log2` of the number of vectors that one commitment may stand for until it is opened.
    fn list_bits(_: &Self::Pcs) -> f64 {
        0.0
    }

    /// Absorbs a commitment.
    fn observe(pcs: &Self::Pcs, commitment: &Self::Commitment, challenger: &mut Self::Challenger);

    /// Commits to a vector and absorbs the commitment. The masks N and N' of the opening's rounds are for a scheme that has columns for them
    /// ([`Masks::IN_VECTOR`]); others find them in the vector.
    ///
    /// Errors: the scheme's own, as text.
    fn commit(
        pcs: &Self::Pcs,
        vector: Vec<F>,
        masks: [&[K]; 2],
        challenger: &mut Self::Challenger,
    ) -> Result<(Self::Commitment, Self::Data), String>;

    /// The committed vector.
    fn vector(data: &Self::Data) -> &[F];

    /// Opens the vector at points, and shows the masks to be the committed ones.
    ///
    /// Errors: the scheme's own, as text.
    fn open(
        pcs: &Self::Pcs,
        opened: (&Self::Commitment, Self::Data),
        asked: (Vec<Vec<K>>, Option<Masked<'_>>),
        challenger: &mut Self::Challenger,
    ) -> Result<Self::PcsProof, String>;

    /// The values that an opening proof claims, point by point.
    fn values(proof: &Self::PcsProof) -> Vec<K>;

    /// Checks an opening proof.
    ///
    /// Errors: `commitment.opening`.
    fn verify(
        pcs: &Self::Pcs,
        opened: (&Self::Commitment, &Self::PcsProof),
        asked: (Vec<Vec<K>>, Option<Masked<'_>>),
        challenger: &mut Self::Challenger,
    ) -> Result<(), Reject>;
}

/// A hash with its Merkle trees and its transcript.
pub trait Suite: Copy + Debug + Send + Sync + 'static {
    /// Name of [`Hiding`] over this suite.
    const KIND: Kind;
    /// Salted Merkle trees.
    type Salted: p3_commit::Mmcs<F>;
    /// The transcript's challenger.
    type Challenger: FieldChallenger<F>
        + GrindingChallenger<Witness = F>
        + CanSampleUniformBits<F>
        + CanObserve<<Self::Salted as p3_commit::Mmcs<F>>::Commitment>
        + Clone;

    /// Trees whose salts come from the generator.
    fn salted(salts: StdRng) -> Self::Salted;

    /// See [`Profile::challenger`].
    fn challenger(binding: &[u8; 32]) -> Self::Challenger;
}

/// The hiding commitment over a suite.
#[derive(Clone, Copy, Debug)]
pub struct Hiding<S>(PhantomData<S>);

impl<S: Suite> Profile for Hiding<S> {
    const KIND: Kind = S::KIND;
    type Challenger = S::Challenger;
    type Commitment = <S::Salted as p3_commit::Mmcs<F>>::Commitment;
    type Masks = MaskProof;
    type PcsProof = ZkWhirProof<F, K, S::Salted>;
    type Pcs = HidingWhirPcs<K, F, Radix2DFTSmallBatch<F>, S::Salted, S::Challenger, StdRng>;
    type Data = HidingWhirProverData<F, K, S::Salted>;

    fn challenger(binding: &[u8; 32]) -> Self::Challenger {
        S::challenger(binding)
    }

    fn scheme(log: usize, salts: StdRng, masks: StdRng) -> Result<Self::Pcs, Reject> {
        let config: ZkWhirConfig<K, F, S::Challenger> = commitment::config(log)?;
        Ok(HidingWhirPcs::new(config, Radix2DFTSmallBatch::default(), S::salted(salts), masks))
    }

    fn terms(pcs: &Self::Pcs) -> Vec<Term> {
        commitment::terms(&pcs.config)
    }

    fn observe(pcs: &Self::Pcs, commitment: &Self::Commitment, challenger: &mut Self::Challenger) {
        pcs.observe_commitment(commitment, challenger);
    }

    fn commit(
        pcs: &Self::Pcs,
        vector: Vec<F>,
        _: [&[K]; 2],
        challenger: &mut Self::Challenger,
    ) -> Result<(Self::Commitment, Self::Data), String> {
        pcs.commit(Poly::new(vector), challenger).map_err(|e| e.to_string())
    }

    fn vector(data: &Self::Data) -> &[F] {
        data.message.as_slice()
    }

    fn open(
        pcs: &Self::Pcs,
        (commitment, data): (&Self::Commitment, Self::Data),
        (points, _): (Vec<Vec<K>>, Option<Masked<'_>>),
        challenger: &mut Self::Challenger,
    ) -> Result<Self::PcsProof, String> {
        // The scheme's verifier absorbs the commitment once more at the start of an opening.
        pcs.observe_commitment(commitment, challenger);
        pcs.open(data, points.into_iter().map(Point::new).collect(), challenger).map_err(|e| e.to_string())
    }

    fn values(proof: &Self::PcsProof) -> Vec<K> {
        proof.evals.clone()
    }

    fn verify(
        pcs: &Self::Pcs,
        (commitment, proof): (&Self::Commitment, &Self::PcsProof),
        (points, _): (Vec<Vec<K>>, Option<Masked<'_>>),
        challenger: &mut Self::Challenger,
    ) -> Result<(), Reject> {
        pcs.verify(commitment, proof, challenger, points.into_iter().map(Point::new).collect())
            .map_err(|e| Reject::new("commitment.opening", "a valid opening", e))
    }
}

/// Base elements of salt in a leaf: 155 bits.
pub const SALT: usize = 5;

/// BLAKE3 everywhere: fast on a device.
#[derive(Clone, Copy, Debug)]
pub struct Blake;

/// The profile of devices: [`Blake`], hiding.
pub type Device = Hiding<Blake>;

impl Suite for Blake {
    const KIND: Kind = Kind::Device;
    type Salted = MerkleTreeHidingMmcs<
        F,
        u8,
        SerializingHasher<Blake3>,
        CompressionFunctionFromHasher<Blake3, 2, 32>,
        StdRng,
        2,
        32,
        SALT,
    >;
    type Challenger = ByteChallenger;

    fn salted(salts: StdRng) -> Self::Salted {
        let hash = SerializingHasher::new(Blake3);
        MerkleTreeHidingMmcs::new(hash, CompressionFunctionFromHasher::new(Blake3), 0, salts)
    }

    fn challenger(binding: &[u8; 32]) -> Self::Challenger {
        transcript::bytes(binding)
    }
}

//! What a proof states, and its verification.
//!
//! Public: the program (without private weights), the commitment to each input and its public elements, the commitment to private weights,
//! the outputs, and a context (job, device, nonce, chain). All of it is absorbed before the first challenge.
//!
//! > I know inputs (and weights) that open the commitments and on which the program, in exact integer arithmetic, gives these outputs.

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use proofmesh_proof::chain::Chain;
use proofmesh_proof::engine::{self, Proof};
use proofmesh_proof::field::F;
use proofmesh_proof::profile::{Device, Kind, Profile};
use proofmesh_proof::reject::Reject;
use proofmesh_proof::soundness;

use crate::arith::{Arithmetized, Builder};
use crate::assemble;
use crate::hash::{self, Digest, Packing, Salt};
use crate::lattice::{self, Image};
use crate::limits;
use crate::program::{Program, ProgramError, ValueType, WeightMode};
use crate::tensor::Tensor;

/// Version of statements and proof files.
pub const VERSION: u8 = 2;

/// One input of a batch, as the statement shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputStatement {
    /// Commitment to the private elements.
    pub commitment: Digest,
    /// The public elements, row-major.
    pub public: Vec<i32>,
}

/// The whole public statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// The program; private weights are absent.
    pub program: Program,
    /// Commitment to the weights, in private mode.
    pub weights: Option<Digest>,
    /// The inputs in order.
    pub inputs: Vec<InputStatement>,
    /// Public words of each input, in the order of [`Program::outputs`].
    pub outputs: Vec<Vec<i32>>,
    /// Public words about the whole batch, in the order of [`Program::outputs`].
    pub batch_outputs: Vec<i32>,
    /// Job, device, nonce, chain: any bytes, bound by the proof.
    pub context: Vec<u8>,
}

/// What a proof file says it proves. A verifier holds it against its own statement, so that a mismatch is refused by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claimed {
    /// [`VERSION`] in the low four bits, the number of the profile in the others.
    pub format: u8,
    /// [`Statement::model_id`].
    pub model: [u8; 32],
    /// A digest of each input's commitment and public elements.
    pub inputs: Vec<[u8; 32]>,
    /// Digest of the outputs.
    pub outputs: [u8; 32],
    /// Digest of the context.
    pub context: [u8; 32],
}

impl Claimed {
    /// The version of the format.
    pub fn version(&self) -> u8 {
        self.format & 15
    }

    /// The profile of the proof.
    ///
    /// Errors: `statement.profile`: a number that names none.
    pub fn profile(&self) -> Result<Kind, Reject> {
        Kind::of(self.format >> 4)
            .ok_or_else(|| Reject::new("statement.profile", "a profile of this version", self.format >> 4))
    }
}

/// Domain-separated BLAKE3.
pub(crate) fn blake(domain: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(domain);
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}

/// Canonical bytes of plain data.
fn bytes<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_allocvec(value).expect("plain data always encodes")
}

/// How a proof file names its context.
pub(crate) fn context_digest(context: &[u8]) -> [u8; 32] {
    blake("proofmesh context 1", &[context])
}

/// Names a model: its program as verifiers see it, and the commitment to its weights if they are private.
pub fn model_id(program: &Program, weights: Option<&Digest>) -> [u8; 32] {
    let none: &[u8] = &[];
    blake("proofmesh model 1", &[&bytes(&program.public_part()), weights.map_or(none, |w| w.as_slice())])
}

/// How a program's private input elements are absorbed.
pub fn input_packing(program: &Program) -> Packing {
    Packing::of(program.input.private_elements().len(), program.input.interval)
}

/// A commitment, and the ring element behind its digest if it is a lattice commitment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// What the statement shows.
    pub digest: Digest,
    /// What the proof file carries.
    pub image: Option<Image>,
}

impl Committed {
    fn lattice(cells: &[F]) -> Self {
        let image = lattice::product(cells).image;
        Self { digest: image.digest(cells.len()), image: Some(image) }
    }
}

/// The images of a statement's lattice commitments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Images {
    /// Of private weights.
    pub weights: Option<Image>,
    /// Of each input, where inputs are large; else empty.
    pub inputs: Vec<Image>,
}

impl Images {
    /// As a proof file holds them: the weights', then the inputs'.
    pub fn encode(&self) -> Vec<Vec<u8>> {
        self.weights.iter().chain(&self.inputs).map(Image::encode).collect()
    }
}

/// The commitment to an input's private elements under a salt; zeros if it has none.
///
/// Errors: an input that does not fit the program.
pub fn commit_input(program: &Program, input: &Tensor, salt: &Salt) -> Result<Committed, ProgramError> {
    let interval = program.input.interval;
    if input.shape != program.input.shape || input.data.len() != input.shape.len() {
        return Err(ProgramError::Input("the shape is not the program's".into()));
    }
    if input.data.iter().any(|v| *v < interval.lo || *v > interval.hi) {
        return Err(ProgramError::Input("a value lies outside the input's interval".into()));
    }
    if assemble::has_large_input(program) {
        return Ok(Committed::lattice(&assemble::input_cells(program, input, salt)));
    }
    let values = assemble::private_values(program, input);
    let digest =
        if values.is_empty() { [0; 32] } else { hash::digest(input_packing(program), &values, salt) };
    Ok(Committed { digest, image: None })
}

/// The commitment to a program's private weights under a salt; the same for any number of proofs.
///
/// Errors: a program that does not check.
pub fn commit_weights(program: &Program, salt: &Salt) -> Result<Committed, ProgramError> {
    let types = program.check()?;
    program.require_weights()?;
    Ok(Committed::lattice(&assemble::weight_cells(program, &types, salt)))
}

impl Statement {
    /// Names the model.
    pub fn model_id(&self) -> [u8; 32] {
        model_id(&self.program, self.weights.as_ref())
    }

    /// What a proof file of this statement says it proves, under a profile.
    pub fn claimed(&self, profile: Kind) -> Claimed {
        // Parts carry their lengths, so a batch without words of its own cannot be taken for one that has them.
        let (outputs, batch) = (bytes(&self.outputs), bytes(&self.batch_outputs));
        let parts: &[&[u8]] = if self.batch_outputs.is_empty() { &[&outputs] } else { &[&outputs, &batch] };
        Claimed {
            format: VERSION | profile.number() << 4,
            model: self.model_id(),
            inputs: self.inputs.iter().map(|i| blake("proofmesh input 1", &[&bytes(i)])).collect(),
            outputs: blake("proofmesh outputs 1", parts),
            context: context_digest(&self.context),
        }
    }

    /// The digest that the transcript of a profile's proof starts from.
    pub fn binding(&self, profile: Kind) -> [u8; 32] {
        blake("proofmesh statement 1", &[&bytes(&self.claimed(profile))])
    }

    /// Checks that the statement fits its program.
    ///
    /// Errors: `statement.program`, `statement.batch`, `statement.input`, `statement.output`, `statement.weights`, `statement.size`,
    /// `commitment.encoding`.
    pub fn check(&self) -> Result<(), Reject> {
        let types =
            self.program.check().map_err(|e| Reject::new("statement.program", "a valid program", e))?;
        let batch = self.inputs.len();
        if batch == 0 || batch > limits::MAX_BATCH || self.outputs.len() != batch {
            return Err(Reject::new("statement.batch", "as many outputs as inputs, at least one", batch));
        }
        let public = self.program.input.public_elements().len();
        let interval = self.program.input.interval;
        let outside = |v: &i32| *v < interval.lo || *v > interval.hi;
        if self.inputs.iter().any(|i| i.public.len() != public || i.public.iter().any(outside)) {
            return Err(Reject::new("statement.input", "public elements that fit the program", "others"));
        }
        if self.program.input.private_elements().is_empty()
            && self.inputs.iter().any(|i| i.commitment != [0; 32])
        {
            return Err(Reject::new(
                "statement.input",
                "a commitment of zeros where nothing is private",
                "another",
            ));
        }
        if !self.program.input.private_elements().is_empty() && !assemble::has_large_input(&self.program) {
            self.inputs.iter().try_for_each(|i| hash::elements(&i.commitment).map(drop))?;
        }
        let private = self.program.weights == WeightMode::Private;
        let mut convs = self.program.nodes.iter().filter(|n| n.op.has_weights()).peekable();
        let expected = private && convs.peek().is_some();
        if self.weights.is_some() != expected
            || private != expected
            || convs.any(|n| n.op.lacks_weights() != private)
        {
            let expected = "a commitment exactly where weights are private";
            return Err(Reject::new("statement.weights", expected, "otherwise"));
        }
        match assemble::work(&self.program, &types, batch) {
            work if work <= limits::MAX_WORK => {}
            work => return Err(Reject::new("statement.size", limits::MAX_WORK, work)),
        }
        self.outputs.iter().try_for_each(|words| self.check_outputs(&types, words, false))?;
        self.check_outputs(&types, &self.batch_outputs, true)
    }

    /// Checks that one input's words, or the batch's, are possible results: the field is smaller than 32 bits, so others would alias.
    fn check_outputs(&self, types: &[ValueType], words: &[i32], batch: bool) -> Result<(), Reject> {
        let mut rest = words;
        for output in &self.program.outputs {
            let expected = output.words(&types[output.value()], self.inputs.len());
            if expected.batch != batch {
                continue;
            }
            let Some((own, after)) = rest.split_at_checked(expected.count) else {
                return Err(Reject::new(
                    "statement.output",
                    "as many words as the program gives",
                    words.len(),
                ));
            };
            rest = after;
            let (lo, hi) = (expected.interval.lo, expected.interval.hi);
            if let Some(word) = own.iter().find(|w| **w < lo || **w > hi) {
                return Err(Reject::new("statement.output", alloc::format!("{lo} to {hi}"), word));
            }
        }
        if rest.is_empty() {
            return Ok(());
        }
        Err(Reject::new("statement.output", "as many words as the program gives", words.len()))
    }

    /// The vectors behind the lattice commitments: name of the check, digest, and length in cells of each.
    ///
    /// Errors: as [`Statement::check`].
    fn vectors(&self) -> Result<Vec<(&'static str, &Digest, usize)>, Reject> {
        self.check()?;
        let mut all = Vec::new();
        if let Some(digest) = &self.weights {
            all.push(("statement.weights", digest, assemble::weight_cell_count(&self.program)?));
        }
        if assemble::has_large_input(&self.program) {
            let cells = assemble::input_cell_count(&self.program);
            all.extend(self.inputs.iter().map(|i| ("statement.input", &i.commitment, cells)));
        }
        Ok(all)
    }

    /// Images of nothing, as many as the statement's: the system's sizes do not depend on them.
    ///
    /// Errors: as [`Statement::check`].
    pub fn blank_images(&self) -> Result<Images, Reject> {
        let count = self.vectors()?.len();
        let weights = self.weights.map(|_| Image::zero());
        let inputs = alloc::vec![Image::zero(); count - usize::from(weights.is_some())];
        Ok(Images { weights, inputs })
    }

    /// Reads the images that a proof file carries, and holds each against the statement's digest.
    ///
    /// Errors: `statement.weights`, `statement.input`: another count, length, spelling or image; and as [`Statement::check`].
    pub fn images(&self, encoded: &[Vec<u8>]) -> Result<Images, Reject> {
        let vectors = self.vectors()?;
        if encoded.len() != vectors.len() {
            let check = vectors.first().map_or("statement.input", |v| v.0);
            return Err(Reject::new(check, alloc::format!("{} images", vectors.len()), encoded.len()));
        }
        let mut images = Images::default();
        for ((check, digest, cells), bytes) in vectors.into_iter().zip(encoded) {
            let image = Image::decode(bytes)
                .ok_or_else(|| Reject::new(check, "4,096 canonical bytes of an image", bytes.len()))?;
            if image.digest(cells) != *digest {
                return Err(Reject::new(check, "the image of the statement's commitment", "another"));
            }
            if check == "statement.weights" {
                images.weights = Some(image);
            } else {
                images.inputs.push(image);
            }
        }
        Ok(images)
    }

    /// The claims of this statement, for the images behind its lattice commitments.
    ///
    /// Errors: as [`Statement::check`].
    pub fn system(&self, images: &Images) -> Result<Arithmetized, Reject> {
        self.check()?;
        assemble::build(Builder::new(self.inputs.len(), None), self, images, None)
    }
}

/// A proof with what it says it proves.
#[derive(Clone, Serialize, Deserialize)]
struct File {
    claimed: Claimed,
    images: Vec<Vec<u8>>,
    proof: Vec<u8>,
}

/// What a proof file holds.
#[derive(Clone)]
pub struct ProofFile<P: Profile = Device> {
    /// What it says it proves.
    pub claimed: Claimed,
    /// Encodings of [`Images`], not yet checked.
    pub images: Vec<Vec<u8>>,
    /// The proof.
    pub proof: Proof<P>,
}

/// Canonical bytes of a proof file.
pub fn encode_proof<P: Profile>(file: &ProofFile<P>) -> Vec<u8> {
    let ProofFile { claimed, images, proof } = file;
    bytes(&File { claimed: claimed.clone(), images: images.clone(), proof: proof.encode() })
}

/// Reads a proof file up to the proof itself.
fn read(file: &[u8]) -> Result<File, Reject> {
    if file.len() > engine::MAX_PROOF_BYTES {
        return Err(Reject::new("proof.size", engine::MAX_PROOF_BYTES, file.len()));
    }
    let malformed = || Reject::new("proof.encoding", "canonical bytes", "malformed bytes");
    let (decoded, rest): (File, _) = postcard::take_from_bytes(file).map_err(|_| malformed())?;
    if !rest.is_empty() || bytes(&decoded) != file {
        return Err(malformed());
    }
    Ok(decoded)
}

/// What a proof file says it proves. Nothing has been checked but its form.
///
/// Errors: `proof.size`, `proof.encoding`.
pub fn claimed_by(file: &[u8]) -> Result<Claimed, Reject> {
    read(file).map(|file| file.claimed)
}

/// Reads a proof file of one profile.
///
/// Errors: `proof.size`, `proof.encoding`; `statement.profile`: the file is of another profile.
pub fn decode_proof<P: Profile>(file: &[u8]) -> Result<ProofFile<P>, Reject> {
    let File { claimed, images, proof } = read(file)?;
    match claimed.profile()? {
        profile if profile == P::KIND => Ok(ProofFile { claimed, images, proof: Proof::decode(&proof)? }),
        other => Err(Reject::new("statement.profile", P::KIND.name(), other.name())),
    }
}

/// Verifies a proof file against a statement that the verifier has put together itself. The file names its profile; every profile that is
/// accepted here is zero-knowledge.
///
/// ```no_run
/// # fn main() -> Result<(), proofmesh_proof::reject::Reject> {
/// # let (statement, file): (proofmesh_graph::statement::Statement, Vec<u8>) = unimplemented!();
/// proofmesh_graph::statement::verify(&statement, &file)?;
/// # Ok(()) }
/// ```
///
/// Errors: the first check that fails: `statement.model`, `.input`, `.batch-order`, `.output`, `.context` where the file speaks of
/// another statement; `statement.profile`: a profile that is not accepted; `statement.weights`, `.input` where it carries another image
/// than the statement's commitment; otherwise the check of the proof system.
pub fn verify(statement: &Statement, file: &[u8]) -> Result<(), Reject> {
    match claimed_by(file)?.profile()? {
        Kind::Device => verify_as::<Device>(statement, file),
        Kind::Chain => verify_as::<Chain>(statement, file),
        Kind::Plain => Err(Reject::new("statement.profile", "a profile that hides", Kind::Plain.name())),
        Kind::Hired => Err(Reject::new("statement.profile", "a profile of proof files", Kind::Hired.name())),
    }
}

/// [`verify`] for proofs of one profile only.
///
/// Errors: as [`verify`]; `statement.profile`: the file is of another profile.
pub fn verify_as<P: Profile>(statement: &Statement, file: &[u8]) -> Result<(), Reject> {
    let ProofFile { claimed, images, proof } = decode_proof::<P>(file)?;
    statement.check()?;
    compare(&statement.claimed(P::KIND), &claimed)?;
    let arithmetized = statement.system(&statement.images(&images)?)?;
    engine::verify(&arithmetized.system, &statement.binding(P::KIND), &proof)
}

/// Names the first difference between two statements.
fn compare(own: &Claimed, said: &Claimed) -> Result<(), Reject> {
    let differs = |check, a: &dyn core::fmt::Debug, b: &dyn core::fmt::Debug| {
        Err(Reject::new(check, alloc::format!("{a:02x?}"), alloc::format!("{b:02x?}")))
    };
    if own.version() != said.version() {
        return differs("statement.version", &own.version(), &said.version());
    }
    if own.model != said.model {
        return differs("statement.model", &own.model, &said.model);
    }
    if own.inputs != said.inputs {
        let sorted = |list: &[[u8; 32]]| {
            let mut list = list.to_vec();
            list.sort_unstable();
            list
        };
        let same = sorted(&own.inputs) == sorted(&said.inputs);
        let check = if same { "statement.batch-order" } else { "statement.input" };
        return Err(Reject::new(
            check,
            "the statement's inputs",
            if same { "the same in another order" } else { "others" },
        ));
    }
    if own.outputs != said.outputs {
        return differs("statement.output", &own.outputs, &said.outputs);
    }
    if own.context != said.context {
        return differs("statement.context", &own.context, &said.context);
    }
    Ok(())
}

/// Every error term of a profile's proof of this statement, and `-log2` of their sum.
///
/// Errors: as [`Statement::system`].
pub fn soundness(statement: &Statement, profile: Kind) -> Result<(Vec<soundness::Term>, f64), Reject> {
    let arithmetized = statement.system(&statement.blank_images()?)?;
    let terms = profile.terms(&arithmetized.system)?;
    let total = soundness::total_bits(&terms);
    Ok((terms, total))
}

//! Wrapped proofs, as a node makes them: the plain proof of a job, or a proof that hides and that another handed over; the circuit that
//! verifies it, one Groth16 proof around that (docs/spec/wrap.md).

use crate::fault::{Fault, Result};
use proofmesh_graph::program::Program;
use proofmesh_graph::statement::Statement;
use proofmesh_proof::reject::Reject;
use proofmesh_prover::{Job, ProveError, prove_hired, prove_plain};
use proofmesh_wrap::groth16::{self, PROOF_BYTES, VerifyingKey};
use proofmesh_wrap::keys::{Key, Origin, hex};
use proofmesh_wrap::r1cs::Builder;
use proofmesh_wrap::{hired, plain, statement, verifier};
use rand::RngExt;
use rand::rngs::StdRng;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

/// A wrapped proof and what a contract needs beside it.
#[derive(Clone, Debug)]
pub struct Wrapped {
    /// What it states.
    pub statement: Statement,
    /// The bytes whose digest is the public input.
    pub preimage: Vec<u8>,
    /// The public input, big-endian.
    pub public_input: [u8; 32],
    /// `A`, `B`, `C` as a contract reads them.
    pub proof: [u8; PROOF_BYTES],
}

impl Wrapped {
    /// A proof of a statement, whose preimage follows.
    ///
    /// # Errors
    /// Those of [`statement::preimage`].
    pub fn of(of: Statement, proof: [u8; PROOF_BYTES]) -> Result<Self> {
        let preimage = statement::preimage(&of).map_err(refused)?;
        Ok(Wrapped { public_input: verifier::binding(&of).map_err(refused)?, statement: of, preimage, proof })
    }
}

/// The circuit of a program and batch size, without a witness.
///
/// # Errors
/// `wrap.lattice` and others of [`statement::preimage`].
pub fn blank(program: &Program, batch: usize) -> Result<Builder> {
    let statement = statement::blank(program, batch).map_err(refused)?;
    plain::circuit(&statement, None).map_err(refused)
}

/// As [`blank`], the circuit of proofs that hide: for whoever wraps what another proved.
///
/// # Errors
/// As there.
pub fn blank_hired(program: &Program, batch: usize) -> Result<Builder> {
    let statement = statement::blank(program, batch).map_err(refused)?;
    hired::circuit(&statement, None).map_err(refused)
}

/// The digest that names the circuit of a program and batch size, and so its keys.
///
/// # Errors
/// As [`blank`].
pub fn circuit(program: &Program, batch: usize) -> Result<[u8; 32]> {
    Ok(blank(program, batch)?.digest())
}

/// Whether a circuit is that of proofs that hide; the digest must be of one of the two circuits of a program and batch size.
///
/// # Errors
/// As [`blank`], and `wrap.key` for the circuit of another program or batch size.
pub fn is_hired(program: &Program, batch: usize, circuit: &[u8; 32]) -> Result<bool> {
    let (hired, plain) = (blank_hired(program, batch)?.digest(), blank(program, batch)?.digest());
    if *circuit != hired && *circuit != plain {
        let expected = format!("a key of the circuit {} (plain) or {} (hired)", hex(&plain), hex(&hired));
        return Err(Fault::refused("wrap.key", expected, hex(circuit)));
    }
    Ok(*circuit == hired)
}

/// What a circuit is called by the kind of proofs that it verifies.
#[must_use]
pub const fn kind(hired: bool) -> &'static str {
    if hired {
        "hired: wraps what another proved, by a proof that hides"
    } else {
        "plain: wraps what its prover proved"
    }
}

/// Where a directory keeps the key of a circuit.
#[must_use]
pub fn key_path(dir: &Path, circuit: &[u8; 32]) -> PathBuf {
    dir.join("wrap").join(format!("{}.key", hex(circuit)))
}

/// Makes a development key for a circuit from fresh randomness, which is forgotten; still nobody else can know that it was.
///
/// # Errors
/// `wrap.setup`.
pub fn set_up(circuit: &Builder, rng: &mut StdRng) -> Result<Key> {
    let proving = groth16::development_key(circuit, &rng.random()).map_err(refused)?;
    Ok(Key { origin: Origin::Development, circuit: circuit.digest(), proving })
}

/// Writes a key's file, whole or not at all; gives its SHA-256.
///
/// # Errors
/// `file.*`.
pub fn save(key: &Key, path: &Path) -> Result<[u8; 32]> {
    let unwritten = path.with_extension("part");
    let io = |error: std::io::Error| Fault::file(path, &error);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(io)?;
    }
    let hash = key.write(BufWriter::new(std::fs::File::create(&unwritten).map_err(io)?)).map_err(io)?;
    std::fs::rename(&unwritten, path).map_err(io)?;
    Ok(hash)
}

/// Reads a key of a circuit.
///
/// # Errors
/// `wrap.key`, also for the key of another circuit.
pub fn open(path: &Path, circuit: &[u8; 32], hash: Option<&[u8; 32]>) -> Result<Key> {
    let key = open_any(path, hash)?;
    if key.circuit != *circuit {
        let expected = format_args!("a key of the circuit {}", hex(circuit)).to_string();
        return Err(Fault::refused("wrap.key", expected, hex(&key.circuit)));
    }
    Ok(key)
}

/// Reads a key of whatever circuit.
///
/// # Errors
/// `wrap.key`.
pub fn open_any(path: &Path, hash: Option<&[u8; 32]>) -> Result<Key> {
    Key::open(path, hash).map_err(refused)
}

/// The key of a program and batch size that a directory keeps; a development key is made, which takes minutes, where there is none.
///
/// # Errors
/// As [`blank`], [`set_up`], [`open`].
pub fn key(dir: &Path, program: &Program, batch: usize) -> Result<Key> {
    let circuit = blank(program, batch)?;
    let path = key_path(dir, &circuit.digest());
    if path.exists() {
        return open(&path, &circuit.digest(), None);
    }
    eprintln!(
        "making a DEVELOPMENT key for {} constraints (minutes): whoever ran this could forge, no money may depend on it",
        circuit.constraints()
    );
    let key = set_up(&circuit, &mut crate::zk::os_rng()?)?;
    save(&key, &path)?;
    Ok(key)
}

/// Proves a job and wraps the proof. The job's context has 32 bytes. The result was checked against the key.
///
/// # Errors
/// `wrap.context`, `wrap.lattice`, `wrap.key` for the key of another circuit, `prover.failed`.
pub fn wrap(job: &Job<'_>, key: &Key, rng: &mut StdRng) -> Result<Wrapped> {
    wrap_watched(job, key, rng, &mut |_| ())
}

/// As [`wrap`]; `watch` hears of each of the three stages as it begins.
///
/// # Errors
/// As there.
pub fn wrap_watched(
    job: &Job<'_>,
    key: &Key,
    rng: &mut StdRng,
    watch: &mut dyn FnMut(&'static str),
) -> Result<Wrapped> {
    watch("plain proof");
    let (of, proof) = prove_plain(job, verifier::binding, rng).map_err(unproved)?;
    watch("circuit");
    let circuit = plain::circuit(&of, Some(&proof));
    around(of, circuit, key, watch)
}

/// Proves a job so that a stranger can wrap it: the statement, and the bytes of a proof that hides.
///
/// # Errors
/// `wrap.context`, `wrap.lattice`, `prover.failed`.
pub fn hide(job: &Job<'_>, rng: &mut StdRng) -> Result<(Statement, Vec<u8>)> {
    let (of, proof) = prove_hired(job, verifier::binding, rng).map_err(unproved)?;
    Ok((of, proof.encode()))
}

/// Wraps a proof of [`hide`] that another handed over; it is checked first. The result was checked against the key.
///
/// # Errors
/// `wrap.key` for the key of another circuit; the verifier's for a proof that does not hold.
pub fn wrap_handed(
    of: Statement,
    proof: &[u8],
    key: &Key,
    watch: &mut dyn FnMut(&'static str),
) -> Result<Wrapped> {
    watch("check");
    let proof = hired::accept(&of, proof).map_err(refused)?;
    watch("circuit");
    let circuit = hired::circuit(&of, Some(&proof));
    around(of, circuit, key, watch)
}

fn unproved(error: ProveError) -> Fault {
    match error {
        ProveError::Program(error) => error.into(),
        ProveError::Statement(reject) => refused(reject),
        error => Fault::trouble("prover.failed", "a proof", error),
    }
}

/// One Groth16 proof around a circuit with its witness.
fn around(
    of: Statement,
    circuit: std::result::Result<Builder, Reject>,
    key: &Key,
    watch: &mut dyn FnMut(&'static str),
) -> Result<Wrapped> {
    let circuit = circuit.map_err(refused)?;
    if circuit.digest() != key.circuit {
        return Err(Fault::refused("wrap.key", hex(&circuit.digest()), hex(&key.circuit)));
    }
    watch("wrap");
    let proof = groth16::encode(&groth16::prove(&circuit, &key.proving).map_err(refused)?);
    check(&key.proving.vk, &of, &proof)?;
    Wrapped::of(of, proof)
}

/// A refusal of the wrap keeps its name.
fn refused(reject: Reject) -> Fault {
    Fault::refused(reject.check, reject.expected, reject.got)
}

/// Checks a wrapped proof of a statement, as a contract would.
///
/// # Errors
/// `wrap.encoding`, `wrap.proof`, those of [`statement::preimage`].
pub fn check(key: &VerifyingKey, of: &Statement, proof: &[u8; PROOF_BYTES]) -> Result<()> {
    let public = statement::public_input(of).map_err(refused)?;
    groth16::verify(key, public, &groth16::decode(proof).map_err(refused)?).map_err(refused)
}

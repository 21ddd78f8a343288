//! Proofs for chains: our verifier of plain and of hired proofs as a circuit, and one Groth16 proof around it.
//!
//! [`verifier`] is the circuit, [`whir`] and [`hired`] the part of it that opens the commitment, [`statement`] its one public input. Below them [`circuit`]
//! computes with elements of K, [`scalar`] hands it to `proofmesh_proof`'s own text, [`transcript`] draws challenges, and [`r1cs`] holds the
//! constraints. [`groth16`] proves and verifies, [`keys`] and [`r1cs_file`] are files, [`development`] has verification keys in seconds.
//!
//! ```no_run
//! # fn main() -> Result<(), proofmesh_proof::reject::Reject> {
//! # let (statement, proof): (proofmesh_graph::statement::Statement, proofmesh_proof::engine::Proof<proofmesh_proof::plain::Plain>) = unimplemented!();
//! use proofmesh_wrap::{groth16, plain, statement};
//! // Once a program and batch size; a development key is for tests.
//! let key = groth16::development_key(&plain::circuit(&statement, None)?, &[7; 32])?;
//! // The plain proof must be bound to `verifier::binding(&statement)`.
//! let wrapped = groth16::prove(&plain::circuit(&statement, Some(&proof))?, &key)?;
//! groth16::verify(&key.vk, statement::public_input(&statement)?, &wrapped)?;
//! # Ok(()) }
//! ```
#![doc = include_str!("../../../docs/spec/wrap.md")]

pub mod bits;
pub mod bound;
pub mod circuit;
pub mod development;
pub mod groth16;
pub mod hired;
pub mod keys;
pub mod plain;
pub mod poseidon;
pub mod qap;
pub mod queries;
pub mod r1cs;
pub mod r1cs_file;
pub mod scalar;
pub mod sha256;
pub mod statement;
pub mod transcript;
pub mod verifier;
pub mod whir;
pub mod zkey;

//! A small language of claims over one committed vector, and the engine that checks them.
//!
//! [`system`] is the language, [`plan`] the layout that follows from it, [`engine`] the check; [`logup`], [`claims`] and [`opening`] are its
//! three stages and [`commitment`] the vector commitment below. [`sponge`] and [`poseidon`] are the hashes of the chain suite,
//! [`soundness`] sums the error terms. The protocol is in docs/spec/zkml.md.
#![no_std]
extern crate alloc;

pub mod chain;
pub mod claims;
pub mod commitment;
pub mod engine;
pub mod field;
pub mod hired;
pub mod lattice;
pub mod logup;
pub mod opening;
pub mod plain;
pub mod plan;
pub mod poseidon;
pub mod profile;
pub mod reject;
pub mod scalar;
pub mod soundness;
pub mod sponge;
pub mod sumcheck;
pub mod system;
pub mod transcript;

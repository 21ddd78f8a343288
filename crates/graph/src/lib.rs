//! What is computed and what must therefore hold: integer tensors and programs, statements, and their verification.
//!
//! [`program`] and [`op`] say what is computed; [`arith`] and [`assemble`] what must hold of an execution, as claims of
//! [`proofmesh_proof::system`]; [`statement`] what a proof states and whether it does.
#![no_std]
extern crate alloc;

pub mod arith;
pub mod assemble;
pub mod hash;
pub mod lattice;
pub mod limits;
pub mod op;
pub mod outputs;
pub mod parts;
pub mod program;
pub mod rescale;
pub mod sentences;
pub mod statement;
pub mod tensor;
pub mod value;
pub mod window;
pub mod words;

//! What is computed and what must therefore hold: integer tensors and programs, statements, and their verification.
#![no_std]
extern crate alloc;

pub mod limits;
pub mod op;
pub mod program;
pub mod tensor;

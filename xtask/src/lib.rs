//! Checks that the project keeps of itself.

pub mod tidy;

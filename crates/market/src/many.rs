//! Signatures, many at once: one sum with random weights instead of an equation each.

pub(crate) mod accounts;
pub mod devices;

//! The `proofmesh` command.
fn main() {}

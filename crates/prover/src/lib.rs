//! Proofmesh: prover.

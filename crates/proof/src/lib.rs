//! Proofmesh: proof.

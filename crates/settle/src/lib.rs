//! Proofmesh: settle.

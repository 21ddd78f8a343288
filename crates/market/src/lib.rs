//! Proofmesh: market.

//! Proofmesh: model.

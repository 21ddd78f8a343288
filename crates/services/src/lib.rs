//! Proofmesh: services.

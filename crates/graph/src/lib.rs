//! Proofmesh: graph.

//! Products and quotients of two activations.

use proofmesh_graph::op::Op;

use super::Grid;
use super::lower::Layer;

impl Layer<'_> {
    pub(super) fn multiply(&self, _: f32) -> Result<(Op, Grid), String> {
        Err("products of two activations are not supported".into())
    }

    pub(super) fn matmul(&self, _: bool, _: f32) -> Result<(Op, Grid), String> {
        Err("products of two activations are not supported".into())
    }

    pub(super) fn divide(&self) -> Result<(Op, Grid), String> {
        Err("quotients of two activations are not supported".into())
    }
}

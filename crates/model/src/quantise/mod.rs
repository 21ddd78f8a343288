//! Float graph to integer program.
//!
//! A value `v` of the float graph becomes integers `q` with `v = s q`, no zero point: the input is stored minus its own. A layer
//! `y = W x + b` with scales `s_x`, `s_y` and one shift `k` gets the weights `round(W s_x 2^k / s_y)` and the biases `round(b 2^k / s_y)`, so that its
//! accumulator shifted right by `k` is `y / s_y`. Weights are as wide as that makes them; there is no weight scale to choose, per tensor or per
//! channel. Figures: docs/decisions/0003-scales.md.
//!
//! [`settings`] picks the sizes, [`lower`] makes the program.

pub(crate) mod lower;
pub(crate) mod settings;

use proofmesh_graph::program::Interval;

/// Integers of a value: `v = scale * q`, `q` in `interval`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grid {
    pub scale: f64,
    pub interval: Interval,
}

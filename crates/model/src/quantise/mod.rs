//! Float graph to integer program.
//!
//! Element `c, y, x` of a value is `s_c q`, q an integer, no zero point: the input is stored minus its own.
//! A layer `y = W x + b` with scales `s_i` of its operand's channels, `t_o` of its result's channels and a
//! shift `k` gets the weights `round(W[o, i] s_i 2^k / t_o)` and the biases `round(b[o] 2^k / t_o)`, so
//! that its accumulator shifted right by `k` is `y / t_o`. Weights are as wide as that makes them: there is
//! no weight scale to choose, per tensor or per channel. A value that only linear layers and pools read may
//! have one scale a channel, as their weights take it up; every other value has one scale. Figures:
//! docs/decisions/0003-scales.md.
//!
//! [`settings`] picks the sizes, [`lower`] makes the program.

mod bits;
mod joint;
pub(crate) mod lower;
mod products;
mod sensitivity;
pub(crate) mod settings;

use proofmesh_graph::program::Interval;

/// Integers of a value: `v = scales[c] * q`, `q` in `interval`.
#[derive(Clone, Debug)]
pub(crate) struct Grid {
    /// One a channel.
    pub scales: Vec<f64>,
    pub interval: Interval,
}

impl Grid {
    /// One scale for all channels.
    pub fn uniform(scale: f64, channels: usize, interval: Interval) -> Self {
        Self { scales: vec![scale; channels], interval }
    }

    /// The scale of a value that has only one.
    pub fn scale(&self) -> f64 {
        self.scales.first().copied().unwrap_or(1.0)
    }
}

//! Integer tensors. Every value of a program is `[channels, height, width]`; signals are `[c, 1, w]`, vectors `[c, 1, 1]`.

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Sizes of the three axes, without the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Shape {
    /// Channels.
    pub c: usize,
    /// Rows.
    pub h: usize,
    /// Columns.
    pub w: usize,
}

impl Shape {
    /// A shape from its three sizes.
    pub const fn new(c: usize, h: usize, w: usize) -> Self {
        Self { c, h, w }
    }

    /// Number of elements; saturates rather than overflows.
    pub const fn len(&self) -> usize {
        self.c.saturating_mul(self.h).saturating_mul(self.w)
    }

    /// Whether an axis is empty.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The axes in order.
    pub const fn axes(&self) -> [usize; 3] {
        [self.c, self.h, self.w]
    }

    /// Row-major index of an element.
    pub const fn at(&self, c: usize, y: usize, x: usize) -> usize {
        (c * self.h + y) * self.w + x
    }
}

/// A tensor of integers in row-major order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Sizes.
    pub shape: Shape,
    /// `shape.len()` values.
    pub data: Vec<i32>,
}

impl Tensor {
    /// A tensor of zeros.
    pub fn zeros(shape: Shape) -> Self {
        Self { shape, data: alloc::vec![0; shape.len()] }
    }

    /// A tensor from its values, or `None` if the count is not the shape's.
    pub fn new(shape: Shape, data: Vec<i32>) -> Option<Self> {
        (data.len() == shape.len()).then_some(Self { shape, data })
    }
}

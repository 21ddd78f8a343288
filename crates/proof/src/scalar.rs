//! What the reduction of a proof computes with: elements of `K`, or the wires of a circuit that stand for them.
//!
//! The check of look-ups, sums and linear claims is written once, over a [`Scalar`] and a [`crate::transcript::Channel`]. The native verifier
//! runs it on `K`; a circuit runs the same text on wires, so that the two cannot drift.

use p3_field::{Algebra, Field};

use crate::field::{F, K};

/// An element of `K` as an arithmetic knows it.
///
/// `equals` and `differs` are *demands*: natively they compare; a circuit constrains its wires and answers true.
pub trait Scalar: Algebra<F> + Algebra<K> + Copy {
    /// Its inverse; `None` for a known 0. A circuit demands that there is one.
    fn reciprocal(self) -> Option<Self>;

    /// Whether it equals another.
    fn equals(self, other: Self) -> bool;

    /// Whether it differs from a known element.
    fn differs(self, other: K) -> bool;

    /// The same element, spelt by a circuit as shortly as can be: worth its price where many products share it. Natively nothing.
    #[must_use]
    fn reduced(self) -> Self {
        self
    }
}

impl Scalar for K {
    fn reciprocal(self) -> Option<Self> {
        self.try_inverse()
    }

    fn equals(self, other: Self) -> bool {
        self == other
    }

    fn differs(self, other: Self) -> bool {
        self != other
    }
}

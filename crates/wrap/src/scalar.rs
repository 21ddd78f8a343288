//! The circuit's [`Scalar`]: with it the reduction of `proofmesh_proof`, the text of the native verifier, runs on wires.

use core::fmt::{self, Debug};
use core::iter::{Product, Sum};
use core::ops::{Add, AddAssign, Mul, MulAssign, Neg, Sub, SubAssign};

use p3_field::{Algebra, Field, PrimeCharacteristicRing};
use proofmesh_proof::field::{F, K};
use proofmesh_proof::scalar::Scalar;

use crate::circuit::{Circuit, Handle, Id};

/// A constant, or an element of a circuit.
#[derive(Clone, Copy)]
pub enum Wire<'c> {
    /// Known to everybody: free.
    Known(K),
    /// What the circuit computes.
    At(&'c Circuit, Id),
}

impl Wire<'_> {
    fn handle(self) -> Handle {
        match self {
            Self::Known(value) => Handle::Known(value),
            Self::At(_, id) => Handle::Wire(id),
        }
    }

    /// Its value in this assignment.
    pub fn value(self) -> K {
        match self {
            Self::Known(value) => value,
            Self::At(circuit, id) => circuit.value(id),
        }
    }
}

impl Debug for Wire<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(value) => write!(f, "{value:?}"),
            Self::At(_, id) => write!(f, "wire {id}"),
        }
    }
}

impl Default for Wire<'_> {
    fn default() -> Self {
        Self::ZERO
    }
}

impl From<K> for Wire<'_> {
    fn from(value: K) -> Self {
        Self::Known(value)
    }
}

impl From<F> for Wire<'_> {
    fn from(value: F) -> Self {
        Self::Known(K::from(value))
    }
}

/// An operation of the circuit, by operator: on two wires, and on a wire and a constant of either field.
macro_rules! operator {
    ($trait:ident, $method:ident, $assign:ident, $assign_method:ident, $run:path, $($rule:pat if $guard:expr => $result:expr),*) => {
        impl<'c> $trait for Wire<'c> {
            type Output = Self;

            fn $method(self, other: Self) -> Self {
                match (self, other) {
                    (Self::Known(a), Self::Known(b)) => Self::Known($trait::$method(a, b)),
                    $($rule if $guard => $result,)*
                    (Self::At(c, _), _) | (_, Self::At(c, _)) => Self::At(c, $run(c, self.handle(), other.handle())),
                }
            }
        }

        impl $assign for Wire<'_> {
            fn $assign_method(&mut self, other: Self) {
                *self = $trait::$method(*self, other);
            }
        }

        operator!(@constant F, $trait, $method, $assign, $assign_method);
        operator!(@constant K, $trait, $method, $assign, $assign_method);
    };
    (@constant $field:ty, $trait:ident, $method:ident, $assign:ident, $assign_method:ident) => {
        impl $trait<$field> for Wire<'_> {
            type Output = Self;

            fn $method(self, other: $field) -> Self {
                $trait::$method(self, Self::from(other))
            }
        }

        impl $assign<$field> for Wire<'_> {
            fn $assign_method(&mut self, other: $field) {
                *self = $trait::$method(*self, Self::from(other));
            }
        }
    };
}

operator!(
    Add, add, AddAssign, add_assign, Circuit::add,
    (Self::Known(k), wire) | (wire, Self::Known(k)) if k == K::ZERO => wire
);
operator!(Sub, sub, SubAssign, sub_assign, Circuit::subtract, (wire, Self::Known(k)) if k == K::ZERO => wire);
operator!(
    Mul, mul, MulAssign, mul_assign, Circuit::multiply,
    (Self::Known(k), _) | (_, Self::Known(k)) if k == K::ZERO => Self::ZERO,
    (Self::Known(k), wire) | (wire, Self::Known(k)) if k == K::ONE => wire
);

impl Neg for Wire<'_> {
    type Output = Self;

    fn neg(self) -> Self {
        Self::ZERO - self
    }
}

impl Sum for Wire<'_> {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::ZERO, Add::add)
    }
}

impl Product for Wire<'_> {
    fn product<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::ONE, Mul::mul)
    }
}

impl PrimeCharacteristicRing for Wire<'_> {
    type PrimeSubfield = F;

    const ZERO: Self = Self::Known(K::ZERO);
    const ONE: Self = Self::Known(K::ONE);
    const TWO: Self = Self::Known(K::TWO);
    const NEG_ONE: Self = Self::Known(K::NEG_ONE);

    fn from_prime_subfield(f: F) -> Self {
        Self::from(f)
    }
}

impl Algebra<F> for Wire<'_> {}
impl Algebra<K> for Wire<'_> {}

impl Scalar for Wire<'_> {
    fn reciprocal(self) -> Option<Self> {
        match self {
            Self::Known(value) => value.try_inverse().map(Self::Known),
            Self::At(circuit, id) => Some(Self::At(circuit, circuit.invert(id))),
        }
    }

    fn equals(self, other: Self) -> bool {
        match self - other {
            Self::Known(value) => value == K::ZERO,
            Self::At(circuit, id) => {
                circuit.vanish(id);
                true
            }
        }
    }

    fn differs(self, other: K) -> bool {
        (self - other).reciprocal().is_some()
    }

    fn reduced(self) -> Self {
        if let Self::At(circuit, id) = self {
            circuit.reduce(id);
        }
        self
    }
}

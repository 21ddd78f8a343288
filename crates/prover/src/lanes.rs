//! Arithmetic on one element of `K`, or on as many as a vector register holds, in one piece of code.
//!
//! A build without vector instructions has registers of one element: the same code, no second path.

use p3_field::extension::PackedQuinticTrinomialExtensionField;
use p3_field::{
    Algebra, BasedVectorSpace, Field, PackedField, PackedFieldPow2, PackedValue, PrimeCharacteristicRing,
};
use proofmesh_proof::field::{F, K};

/// A vector register of base field elements.
pub type PackedF = <F as Field>::Packing;
/// Lanes of a register, a power of two.
pub const WIDTH: usize = <PackedF as PackedValue>::WIDTH;
/// As many elements of `K` as the register `P` has lanes, one a lane.
pub type Lane<P> = PackedQuinticTrinomialExtensionField<F, P>;
/// Elements of `K` in vector registers.
pub type PackedK = Lane<PackedF>;
/// A single element of `K`, where a table is shorter than a register.
pub type SingleK = Lane<F>;

/// `WIDTH` elements of `K`, at least one, computed on together.
pub trait Lanes: Algebra<K> + Copy + Send + Sync {
    /// Elements in one value.
    const WIDTH: usize;

    /// `WIDTH` elements.
    fn load(values: &[K]) -> Self;
    /// Writes `WIDTH` elements.
    fn store(self, values: &mut [K]);
    /// Packs a table whose length is a multiple of the width.
    fn pack(values: &[K]) -> Vec<Self> {
        values.chunks_exact(Self::WIDTH).map(Self::load).collect()
    }

    /// The elements in order.
    fn unpack(values: &[Self]) -> Vec<K> {
        let mut out = K::zero_vec(values.len() * Self::WIDTH);
        out.chunks_exact_mut(Self::WIDTH).zip(values).for_each(|(o, v)| v.store(o));
        out
    }

    /// The sum over the lanes.
    fn total(self) -> K {
        Self::unpack(&[self]).into_iter().sum()
    }
}

impl<P: PackedField<Scalar = F>> Lanes for Lane<P> {
    const WIDTH: usize = P::WIDTH;

    fn load(values: &[K]) -> Self {
        Self::from_basis_coefficients_fn(|i| P::from_fn(|lane| values[lane].as_basis_coefficients_slice()[i]))
    }

    fn store(self, values: &mut [K]) {
        let limbs: &[P] = self.as_basis_coefficients_slice();
        for (lane, value) in values.iter_mut().enumerate().take(P::WIDTH) {
            *value = K::from_basis_coefficients_fn(|i| limbs[i].as_slice()[lane]);
        }
    }
}

/// Splits two registers by one bit of the lane, `block` its value: the lanes of both in which it is 0, and those in which it is 1.
///
/// The second register's lanes take the places of bit 1 in both results. With one lane the registers are the results.
#[inline]
pub fn split<P: PackedFieldPow2<Scalar = F>>(a: Lane<P>, b: Lane<P>, block: usize) -> (Lane<P>, Lane<P>) {
    let (x, y): (&[P], &[P]) = (a.as_basis_coefficients_slice(), b.as_basis_coefficients_slice());
    let pairs: [(P, P); 5] = std::array::from_fn(|i| x[i].interleave(y[i], block));
    (Lane::from_basis_coefficients_fn(|i| pairs[i].0), Lane::from_basis_coefficients_fn(|i| pairs[i].1))
}

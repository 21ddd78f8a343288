//! Claims over the elements of a shape, and operands that are repeated along axes where they have one element.

use alloc::string::String;
use alloc::vec::Vec;
use p3_field::{Field, PrimeCharacteristicRing};
use proofmesh_proof::field::F;
use proofmesh_proof::system::{Axis, ColumnId, Expr, SumClaim, Term};

use super::{Builder, Logs, column, real_tau};
use crate::tensor::Shape;

/// The shape of an elementwise result: along each axis the operands' sizes are equal, or one of them is 1.
pub fn broadcast(a: Shape, b: Shape) -> Option<Shape> {
    let one = |(x, y): (usize, usize)| match (x, y) {
        (1, n) | (n, 1) => Some(n),
        (n, m) => (n == m).then_some(n),
    };
    let [(ac, bc), (ah, bh), (aw, bw)] = [(a.c, b.c), (a.h, b.h), (a.w, b.w)];
    Some(Shape::new(one((ac, bc))?, one((ah, bh))?, one((aw, bw))?))
}

/// For every element of `to`, row-major, the row-major index of the element of `from` that is repeated there.
pub fn repeated(from: Shape, to: Shape) -> impl Iterator<Item = usize> {
    let at = |size: usize, i: usize| if size == 1 { 0 } else { i };
    (0..to.c).flat_map(move |c| {
        (0..to.h)
            .flat_map(move |y| (0..to.w).map(move |x| from.at(at(from.c, c), at(from.h, y), at(from.w, x))))
    })
}

impl Builder<'_> {
    /// A value-shaped column read at each element of a shape that it broadcasts to: one variable a bit of that shape.
    pub fn broadcast_rows(&self, coef: F, of: ColumnId, from: Shape, to: Shape) -> Term {
        let own = Logs::new(self.batch, from).axes;
        let all = Logs::new(self.batch, to).ranges(0);
        // An axis of one element has no bits: its cells are repeated along whatever variables the shape has there.
        let axes = all.into_iter().zip(own).filter(|(range, log)| range.len() == *log);
        column(coef, of, axes.map(|(range, _)| Axis::Var(range)).collect())
    }

    /// The same at tau, zero outside the real elements along repeated axes.
    pub fn broadcast_at_tau(&mut self, coef: F, of: ColumnId, from: Shape, to: Shape) -> Term {
        let (own, logs) = (Logs::new(self.batch, from).axes, Logs::new(self.batch, to));
        self.reserve(logs.total());
        let sizes = [self.batch, to.c, to.h, to.w];
        let axes = logs.ranges(0).into_iter().zip(own).zip(sizes);
        let read = |((range, log), size): ((core::ops::Range<usize>, usize), usize)| {
            if range.len() == log { Axis::Tau(range) } else { real_tau(range, size) }
        };
        column(coef, of, axes.map(read).collect())
    }

    /// Demands `sum_p coef_p * prod factors = rhs` at every element of a shape: the factors are read by [`Builder::broadcast_rows`], the
    /// right side at tau.
    pub fn pointwise(
        &mut self,
        name: impl Into<String>,
        shape: Shape,
        products: Vec<(F, Vec<usize>)>,
        factors: Vec<Expr>,
        rhs: Expr,
    ) {
        let total = Logs::new(self.batch, shape).total();
        self.reserve(total);
        // A sum needs a variable; one that nothing depends on counts everything twice.
        let scale = if total == 0 { F::TWO.inverse() } else { F::ONE };
        self.sum(SumClaim {
            name: name.into(),
            vars: total.max(1),
            eq: (total > 0).then_some((0..total, 0..total)),
            products: products.into_iter().map(|(coef, of)| (coef * scale, of)).collect(),
            factors,
            rhs,
        });
    }
}

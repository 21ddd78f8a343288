//! Claims over the elements of a shape, and operands that are repeated along axes where they have one element.

use alloc::string::String;
use alloc::vec::Vec;
use p3_field::{Field, PrimeCharacteristicRing};
use proofmesh_proof::field::{F, log2_ceil};
use proofmesh_proof::system::{Axis, ColumnId, Expr, SumClaim, SumPoint, Term};

use super::{Builder, Logs, column, entry, real_tau, wire};
use crate::tensor::Shape;

/// The shape of an elementwise result: along each axis the operands' sizes are equal, or one of them is 1.
pub fn broadcast(a: Shape, b: Shape) -> Option<Shape> {
    let one = |(x, y): (usize, usize)| match (x, y) {
        (1, n) | (n, 1) => Some(n),
        (n, m) => (n == m).then_some(n),
    };
    Some(Shape::new(one((a.c, b.c))?, one((a.h, b.h))?, one((a.w, b.w))?))
}

/// For every element of `to`, row-major, the row-major index of the element of `from` that is repeated there.
pub fn repeated(from: Shape, to: Shape) -> impl Iterator<Item = usize> {
    let at = |size: usize, i: usize| if size == 1 { 0 } else { i };
    let places = (0..to.c).flat_map(move |c| (0..to.h).map(move |y| (c, y)));
    places
        .flat_map(move |(c, y)| (0..to.w).map(move |x| from.at(at(from.c, c), at(from.h, y), at(from.w, x))))
}

/// For every element of one plane of `to` the element of the plane of `from` that is repeated there; `None` where all are one element or
/// the planes are the same.
fn spread(from: Shape, to: Shape) -> Option<Vec<usize>> {
    let same = (from.h, from.w) == (to.h, to.w);
    let plane = |s: Shape| Shape { c: 1, ..s };
    (!same && from.h * from.w > 1).then(|| repeated(plane(from), plane(to)).collect())
}

impl Builder<'_> {
    /// A value-shaped column read at each element of a shape that it broadcasts to: one variable a bit of that shape.
    pub fn broadcast_rows(&self, coef: F, of: ColumnId, from: Shape, to: Shape) -> Term {
        let [batch, channel, plane] = Logs::new(self.batch, to).ranges();
        // An axis of one element has no bits: its cell is repeated along whatever variables the shape has there.
        let mut axes = alloc::vec![Axis::Var(batch)];
        if from.c == to.c {
            axes.push(Axis::Var(channel));
        }
        if let Some(cells) = spread(from, to) {
            let entries = cells.into_iter().enumerate().map(|(v, i)| entry(0, v, i, F::ONE)).collect();
            axes.push(wire(0..0, plane, log2_ceil(from.h * from.w), entries));
        } else if from.h * from.w == to.h * to.w {
            axes.push(Axis::Var(plane));
        }
        column(coef, of, axes)
    }

    /// The same at tau; zero outside the real elements along repeated axes.
    pub fn broadcast_at_tau(&mut self, coef: F, of: ColumnId, from: Shape, to: Shape) -> Term {
        let logs = Logs::new(self.batch, to);
        self.reserve(logs.total());
        let [batch, channel, plane] = logs.ranges();
        let whole = |same: bool, range, len| if same { Axis::Tau(range) } else { real_tau(range, len) };
        let mut axes = alloc::vec![Axis::Tau(batch), whole(from.c == to.c, channel, to.c)];
        axes.push(match spread(from, to) {
            Some(cells) => {
                let entries = cells.into_iter().enumerate().map(|(t, i)| entry(t, 0, i, F::ONE)).collect();
                wire(plane, 0..0, log2_ceil(from.h * from.w), entries)
            }
            None => whole(from.h * from.w == to.h * to.w, plane, to.h * to.w),
        });
        column(coef, of, axes)
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
            point: SumPoint::Tau,
            vars: total.max(1),
            eq: (total > 0).then_some((0..total, 0..total)),
            products: products.into_iter().map(|(coef, of)| (coef * scale, of)).collect(),
            factors,
            rhs,
        });
    }
}

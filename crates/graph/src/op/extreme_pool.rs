//! Largest (or smallest) element of windows of each channel. Padding is never chosen.
//!
//! With `chosen` a committed weight for every window position: `y - x_j` is never negative, `chosen_j * (y - x_j) = 0`, and the weights of
//! the real positions sum to 1; so some position has a weight other than 0, and y is its element.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;
use p3_field::PrimeCharacteristicRing;
use proofmesh_proof::field::{F, log2_ceil};
use proofmesh_proof::system::{Axis, ColumnId, Expr, SumClaim, SumPoint, Term};
use serde::{Deserialize, Serialize};

use super::{Operator, Site, Window, WindowAxis, padded, unary};
use crate::arith::{Builder, Logs, Plane, column, entry, expr, real_var, wire};
use crate::tensor::{Shape, Tensor};
use crate::value::{ValueType, WeightMode};
use crate::window::plane_reads;

/// Maximum or minimum over sliding windows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtremePool {
    /// Kernel, stride, padding.
    pub window: Window,
    /// Minimum instead of maximum.
    pub smallest: bool,
}

impl Operator for ExtremePool {
    fn check(&self, operands: &[ValueType], _: WeightMode) -> Result<ValueType, String> {
        let a = unary(operands)?;
        let [h, w] = self.window.axes(a.shape.h, a.shape.w)?;
        Ok(ValueType { shape: Shape::new(a.shape.c, h.output, w.output), interval: a.interval })
    }

    fn execute(&self, operands: &[&Tensor]) -> Tensor {
        let a = operands[0];
        let [h, w] = self.window.axes(a.shape.h, a.shape.w).expect("checked before execution");
        let mut out = Tensor::zeros(Shape::new(a.shape.c, h.output, w.output));
        for c in 0..a.shape.c {
            for y in 0..h.output {
                for x in 0..w.output {
                    let rows = (0..h.kernel).filter_map(|k| h.source(y, k));
                    let all = rows
                        .flat_map(|iy| (0..w.kernel).filter_map(|k| w.source(x, k)).map(move |ix| (iy, ix)));
                    let values = all.map(|(iy, ix)| a.data[a.shape.at(c, iy, ix)]);
                    let best = if self.smallest { values.min() } else { values.max() };
                    let at = out.shape.at(c, y, x);
                    out.data[at] =
                        best.expect("padding is smaller than the kernel, so every window holds an element");
                }
            }
        }
        out
    }

    fn work(&self, operands: &[ValueType], result: Shape, batch: usize) -> u64 {
        let window = padded(Shape::new(1, self.window.kernel[0], self.window.kernel[1]), 1);
        // Differences, their indicator and the choices' sums are wired each.
        let wires = 3 * self.window.work(operands[0].shape.h, operands[0].shape.w);
        padded(result, batch).saturating_mul(2 * window + 2).saturating_add(wires)
    }

    fn constrain(&self, builder: &mut Builder<'_>, site: &Site<'_>) -> ColumnId {
        let (a, shape) = (site.operands[0], site.ty.shape);
        let axes = self.window.axes(a.ty.shape.h, a.ty.shape.w).expect("checked before constraining");
        let y = builder.value_column(site.name, shape, |_, trace| site.result(trace));
        let site_axes = Axes::new(builder.batch, shape, axes);
        let chosen = builder.column(alloc::format!("{}.chosen", site.name), site_axes.vars, |traces| {
            site_axes.chosen(traces.values.iter().map(|t| (&t[site.inputs[0]], &t[site.id])))
        });
        builder.plane(chosen, Plane::new(shape.h * shape.w));
        let difference = site_axes.difference(y, a.column, if self.smallest { -F::ONE } else { F::ONE });
        let size = i64::from(a.ty.interval.hi) - i64::from(a.ty.interval.lo) + 1;
        let name = |what: &str| alloc::format!("{}: {what}", site.name);
        let size = 1 << log2_ceil(size as usize);
        builder.range(&name("extreme"), size, site_axes.vars, difference.clone(), site_axes.real());
        builder.reserve(site_axes.vars);
        builder.sum(SumClaim {
            name: name("chosen"),
            point: SumPoint::Tau,
            vars: site_axes.vars,
            eq: Some((0..site_axes.vars, 0..site_axes.vars)),
            products: alloc::vec![(F::ONE, alloc::vec![0, 1])],
            factors: alloc::vec![
                expr(alloc::vec![column(F::ONE, chosen, alloc::vec![Axis::Var(0..site_axes.vars)])]),
                difference,
            ],
            rhs: Expr::default(),
        });
        let one = builder.constant_at_tau(-F::ONE, shape);
        builder.linear(name("one chosen"), expr(alloc::vec![site_axes.chosen_sum(chosen), one]));
        y
    }

    fn multiply_adds(&self, _: &[ValueType]) -> u64 {
        0
    }
}

/// The coordinates of the claims: `(batch, channel, window position, output)`.
struct Axes {
    batch: usize,
    output: Shape,
    window: [WindowAxis; 2],
    ranges: [Range<usize>; 4],
    vars: usize,
    reads: Vec<[usize; 3]>,
}

impl Axes {
    fn new(batch: usize, output: Shape, window: [WindowAxis; 2]) -> Self {
        let plane = output.h * output.w;
        let mut logs = [batch, output.c, window[0].kernel * window[1].kernel, plane].map(log2_ceil);
        if logs.iter().sum::<usize>() == 0 {
            logs[2] = 1; // A sum needs a variable; its upper half reads as padding.
        }
        let mut next = 0;
        let ranges = logs.map(|n| {
            next += n;
            next - n..next
        });
        let reads = plane_reads(&window);
        Self { batch, output, window, ranges, vars: next, reads }
    }

    /// Window position and output as one index.
    fn joint(&self, k: usize, o: usize) -> usize {
        k << self.ranges[3].len() | o
    }

    fn joint_range(&self) -> Range<usize> {
        self.ranges[2].start..self.ranges[3].end
    }

    /// `sign * (y - x_j)`.
    fn difference(&self, y: ColumnId, x: ColumnId, sign: F) -> Expr {
        let [b, c, _, o] = self.ranges.clone().map(Axis::Var);
        let reads = self.reads.iter().map(|[o, k, i]| entry(0, self.joint(*k, *o), *i, F::ONE)).collect();
        let input =
            wire(0..0, self.joint_range(), log2_ceil(self.window[0].input * self.window[1].input), reads);
        expr(alloc::vec![
            column(sign, y, alloc::vec![b.clone(), c.clone(), o]),
            column(-sign, x, alloc::vec![b, c, input]),
        ])
    }

    /// Indicator of real inputs, channels, and window positions that read a real element.
    fn real(&self) -> Vec<Axis> {
        let reads = self.reads.iter().map(|[o, k, _]| entry(0, self.joint(*k, *o), 0, F::ONE)).collect();
        alloc::vec![
            real_var(self.ranges[0].clone(), self.batch),
            real_var(self.ranges[1].clone(), self.output.c),
            wire(0..0, self.joint_range(), 0, reads),
        ]
    }

    /// The weights of the real positions of each window, summed, at tau.
    fn chosen_sum(&self, chosen: ColumnId) -> Term {
        let [b, c, o] = Logs::new(self.batch, self.output).ranges();
        let reads = self.reads.iter().map(|[o, k, _]| entry(*o, 0, self.joint(*k, *o), F::ONE)).collect();
        let sums = wire(o, 0..0, self.joint_range().len(), reads);
        column(F::ONE, chosen, alloc::vec![Axis::Tau(b), Axis::Tau(c), sums])
    }

    /// The column of weights: 1 at the first position of each window that holds the extreme.
    fn chosen<'t>(&self, pairs: impl Iterator<Item = (&'t Tensor, &'t Tensor)>) -> Vec<F> {
        let mut cells = alloc::vec![F::ZERO; 1 << self.vars];
        let channel_log = self.ranges[1].len();
        for (b, (x, y)) in pairs.enumerate() {
            for c in 0..self.output.c {
                for (oy, ox) in (0..self.output.h).flat_map(|oy| (0..self.output.w).map(move |ox| (oy, ox))) {
                    let (dy, dx) = self.position(x, y.data[y.shape.at(c, oy, ox)], c, oy, ox);
                    let place = dy * self.window[1].kernel + dx;
                    let joint = self.joint(place, oy * self.output.w + ox);
                    cells[(b << channel_log | c) << self.joint_range().len() | joint] = F::ONE;
                }
            }
        }
        cells
    }

    /// The first position of a window whose element is the given one.
    fn position(&self, x: &Tensor, value: i32, c: usize, oy: usize, ox: usize) -> (usize, usize) {
        let [h, w] = &self.window;
        let all = (0..h.kernel).flat_map(|dy| (0..w.kernel).map(move |dx| (dy, dx)));
        let mut holding = all.filter(|(dy, dx)| match (h.source(oy, *dy), w.source(ox, *dx)) {
            (Some(iy), Some(ix)) => x.data[x.shape.at(c, iy, ix)] == value,
            _ => false,
        });
        holding.next().expect("the extreme is an element of its window")
    }
}

//! Convolution with constant weights; with a kernel as large as its input it is a dense layer.
//!
//! `acc[o, y, x] = bias[o] + sum_{i, dy, dx} W[o, i, dy, dx] * a[g(o) * I + i, y*s + dy - p, x*s + dx - p]`, then [`Rescale`].

use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use core::ops::Range;
use p3_field::PrimeCharacteristicRing;
use proofmesh_proof::field::{F, int, log2_ceil};
use proofmesh_proof::system::{Axis, ColumnId, Term};

use super::{Operator, PrivateWeights, Reach, Rescale, Site, Window, WindowAxis, convolve, padded, unary};
use crate::arith::{Accumulator, Builder, Logs, RowSum, column, entry, expr, public, real_var, wire};
use crate::lattice;
use crate::limits;
use crate::tensor::{Shape, Tensor};
use crate::value::{Interval, ValueType, WeightMode};
use crate::window::plane_reads;

/// A convolution's attributes and weights.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conv {
    /// Output channels over all groups.
    pub out_channels: usize,
    /// Groups; as many as channels is a depthwise layer.
    pub groups: usize,
    /// Kernel, stride, padding (with zeros).
    pub window: Window,
    /// `[out_channels][in_channels / groups][kh][kw]`, row-major. Empty in the public part of a private model.
    pub weights: Vec<i32>,
    /// One a channel, in accumulator scale. Empty in the public part of a private model.
    pub bias: Vec<i32>,
    /// How the accumulator becomes an activation.
    pub rescale: Rescale,
}

impl Conv {
    /// Input channels of one group, for an operand with `c` channels.
    pub fn group_inputs(&self, c: usize) -> usize {
        c / self.groups
    }

    /// Output channels of one group.
    pub fn group_outputs(&self) -> usize {
        self.out_channels / self.groups
    }

    /// Weights of one output channel.
    fn terms(&self, operand: ValueType) -> usize {
        self.group_inputs(operand.shape.c) * self.window.places()
    }

    /// Bits of a private weight, at most [`limits::PRIVATE_WEIGHT_BITS`]: the most for which the accumulator stays within
    /// [`limits::MAX_PRIVATE_SUM`] whatever the weights are. It follows from what the program shows, so prover and verifier agree on it; every
    /// weight is proven to lie in `[-2^(bits-1), 2^(bits-1))`. docs/decisions/0011-private-weight-bits.md.
    pub fn private_bits(&self, operand: ValueType) -> u32 {
        let fits = |bits: &u32| self.private_sum(operand, *bits) <= limits::MAX_PRIVATE_SUM;
        let fewest = 2;
        (fewest..=limits::PRIVATE_WEIGHT_BITS).rev().find(fits).unwrap_or(fewest)
    }

    /// Largest `|acc|` for private weights of so many bits.
    fn private_sum(&self, operand: ValueType, bits: u32) -> i64 {
        let sum = (self.terms(operand) as i64).saturating_mul(operand.interval.magnitude());
        sum.saturating_mul(1 << (bits - 1)).saturating_add(1 << (self.private_bias_bits() - 1))
    }

    /// Bits of a private bias: [`limits::PRIVATE_BIAS_BITS`], or less where the shift is small, so that biases alone give at most `2^17`
    /// quotients.
    pub fn private_bias_bits(&self) -> u32 {
        limits::PRIVATE_BIAS_BITS.min(17 + self.rescale.shift.min(limits::MAX_SHIFT))
    }

    /// Where the accumulator can lie, for the operand's interval and zeros in the padding. Public weights: by each row's positive and negative
    /// weights; private: by shape alone.
    pub fn reach(&self, operand: ValueType, mode: WeightMode) -> Reach {
        let terms = self.terms(operand);
        let x = operand.interval;
        let x = Interval { lo: x.lo.min(0), hi: x.hi.max(0) };
        match mode {
            WeightMode::Public => {
                let row = |(row, b): (&[i32], &i32)| {
                    let bias = Reach { lo: i64::from(*b), hi: i64::from(*b) };
                    row.iter().fold(bias, |sum, w| sum.plus(Reach::scaled(x, *w)))
                };
                let rows = self.weights.chunks(terms.max(1)).zip(&self.bias).map(row);
                let all = rows.reduce(|a, b| Reach { lo: a.lo.min(b.lo), hi: a.hi.max(b.hi) });
                all.unwrap_or(Reach::symmetric(0))
            }
            WeightMode::Private => Reach::symmetric(self.private_sum(operand, self.private_bits(operand))),
        }
    }

    /// Every accumulator, bias included, before the rescale.
    pub fn accumulate(&self, a: &Tensor) -> Vec<i64> {
        convolve::accumulate(self, a)
    }

    /// The accumulator on the rows of the result.
    pub(super) fn accumulator(&self, builder: &Builder<'_>, site: &Site<'_>) -> Accumulator<'_> {
        let a = site.operands[0];
        let axes = Axes::new(self, a.ty.shape, builder.batch, site.ty.shape);
        let factors =
            alloc::vec![expr(axes.weights(self, site.private)), expr(alloc::vec![axes.operand(a.column)])];
        let each = |trace: &Vec<Tensor>| self.accumulate(site.read(trace)[0]);
        Accumulator {
            linear: axes.bias(self, site.private),
            sum: Some(RowSum { vars: axes.vars(), factors, bias: &self.bias }),
            values: builder.each_trace(each),
        }
    }
}

impl Operator for Conv {
    fn check(&self, operands: &[ValueType], mode: WeightMode) -> Result<ValueType, String> {
        let a = unary(operands)?;
        if self.groups == 0
            || !a.shape.c.is_multiple_of(self.groups)
            || !self.out_channels.is_multiple_of(self.groups)
            || self.out_channels == 0
        {
            return Err(alloc::format!(
                "{} groups do not divide {} input and {} output channels",
                self.groups,
                a.shape.c,
                self.out_channels
            ));
        }
        let [h, w] = self.window.axes(a.shape.h, a.shape.w)?;
        let shape = Shape::new(self.out_channels, h.output, w.output);
        let count = self
            .out_channels
            .checked_mul(self.group_inputs(a.shape.c))
            .and_then(|n| n.checked_mul(h.kernel * w.kernel))
            .filter(|n| *n <= limits::MAX_ELEMENTS)
            .ok_or("the weight tensor is too large")?;
        let hidden = mode == WeightMode::Private && self.weights.is_empty() && self.bias.is_empty();
        if !hidden && (self.weights.len() != count || self.bias.len() != self.out_channels) {
            return Err(alloc::format!(
                "has {} weights and {} biases, needs {count} and {}",
                self.weights.len(),
                self.bias.len(),
                self.out_channels
            ));
        }
        if mode == WeightMode::Private {
            let (w, b) = (self.private_bits(a), self.private_bias_bits());
            let inside = |v: &i32, bits: u32| (-1i64 << (bits - 1)..1 << (bits - 1)).contains(&i64::from(*v));
            if !self.weights.iter().all(|v| inside(v, w)) || !self.bias.iter().all(|v| inside(v, b)) {
                return Err(alloc::format!(
                    "a private weight needs more than the {w} bits that {} terms leave, or a private bias more than {b}: \
                     import with fewer weight bits",
                    self.terms(a)
                ));
            }
        }
        self.rescale.quotients(self.reach(a, mode))?;
        Ok(ValueType { shape, interval: self.rescale.clamp })
    }

    fn execute(&self, operands: &[&Tensor]) -> Tensor {
        let a = operands[0];
        let [h, w] = self.window.axes(a.shape.h, a.shape.w).expect("checked before execution");
        let data = self.accumulate(a).into_iter().map(|acc| self.rescale.apply(acc)).collect();
        Tensor { shape: Shape::new(self.out_channels, h.output, w.output), data }
    }

    fn rescale_reach(&self, operands: &[ValueType], mode: WeightMode) -> Option<(Rescale, Reach)> {
        Some((self.rescale, self.reach(operands[0], mode)))
    }

    fn work(&self, operands: &[ValueType], result: Shape, batch: usize) -> u64 {
        let weights = Shape::new(
            self.out_channels,
            self.group_inputs(operands[0].shape.c),
            self.window.kernel[0] * self.window.kernel[1],
        );
        // Three columns and two look-ups a result; a private weight is a cell, a look-up and a coefficient of a public element.
        let windows = self.window.work(operands[0].shape.h, operands[0].shape.w);
        5 * padded(result, batch) + 4 * padded(weights, 1) + windows
    }

    fn constrain(&self, builder: &mut Builder<'_>, site: &Site<'_>) -> ColumnId {
        let reach = self.reach(site.operands[0].ty, site.mode);
        let accumulator = self.accumulator(builder, site);
        builder.rescale(site.name, site.ty.shape, (self.rescale, reach), &accumulator)
    }

    fn multiply_adds(&self, operands: &[ValueType]) -> u64 {
        let a = operands[0].shape;
        self.window.axes(a.h, a.w).map_or(0, |[h, w]| {
            (self.out_channels * h.output * w.output * self.group_inputs(a.c) * h.kernel * w.kernel) as u64
        })
    }
}

/// The coordinates of the sum: the result's row `(batch, out channel, plane)`, variables `(group, in channel, window position)`.
struct Axes {
    groups: usize,
    input: Shape,
    batch: usize,
    output: Shape,
    window: [WindowAxis; 2],
    row: [Range<usize>; 3],
    var: [Range<usize>; 3],
}

impl Axes {
    fn new(conv: &Conv, input: Shape, batch: usize, output: Shape) -> Self {
        let window = conv.window.axes(input.h, input.w).expect("checked before constraining");
        let mut logs = [conv.groups, conv.group_inputs(input.c), conv.window.places()].map(log2_ceil);
        if logs.iter().sum::<usize>() == 0 {
            logs[1] = 1; // A sum needs a variable.
        }
        let mut next = 0;
        let var = logs.map(|n| {
            next += n;
            next - n..next
        });
        Self {
            groups: conv.groups,
            input,
            batch,
            output,
            window,
            row: Logs::new(batch, output).ranges(),
            var,
        }
    }

    fn vars(&self) -> usize {
        self.var[2].end
    }

    /// `W(row_o, .)`, restricted to real indices.
    fn weights(&self, conv: &Conv, private: Option<&PrivateWeights>) -> Vec<Term> {
        let [group, inner, place] = self.var.clone();
        if let Some(private) = private {
            return private.weights.terms(F::ONE, |axis, span| match axis {
                0 => span.axis(self.row[1].clone(), group.clone(), |o| (o, o / conv.group_outputs())),
                1 => span.var(inner.clone()),
                _ => span.var(place.clone()),
            });
        }
        let sizes = [conv.group_inputs(self.input.c), conv.window.places()];
        let outer = (0..conv.out_channels).map(|o| entry(o, o / conv.group_outputs(), o, F::ONE)).collect();
        let mut axes = alloc::vec![wire(self.row[1].clone(), group, self.row[1].len(), outer)];
        for (var, size) in [inner, place].into_iter().zip(sizes) {
            let log = log2_ceil(size);
            axes.push(if 1 << var.len() == size {
                Axis::Var(var)
            } else {
                wire(0..0, var, log, (0..size).map(|v| entry(0, v, v, F::ONE)).collect())
            });
        }
        alloc::vec![public(F::ONE, conv.padded_weights(self.input.c), axes)]
    }

    /// `a` at the window of the row: what each weight multiplies. Zero in the padding of the row.
    fn operand(&self, of: ColumnId) -> Term {
        let [group, inner, place] = self.var.clone();
        let channels = group.start..inner.end;
        let log = log2_ceil(self.input.c);
        let groups = 1 << group.len();
        let aligned =
            channels.len() == log && (groups == 1 || 1 << inner.len() == self.input.c >> group.len());
        let channel = if aligned {
            Axis::Var(channels)
        } else {
            let per_group = self.input.c / self.groups;
            let cells = (0..self.input.c)
                .map(|c| entry(0, ((c / per_group) << inner.len()) | (c % per_group), c, F::ONE));
            wire(0..0, channels, log, cells.collect())
        };
        let [b, _, o] = self.row.clone();
        let batch = wire(b.clone(), 0..0, b.len(), (0..self.batch).map(|i| entry(i, 0, i, F::ONE)).collect());
        let batch = if 1 << b.len() == self.batch { Axis::Tau(b) } else { batch };
        let reads = plane_reads(&self.window);
        let plane = log2_ceil(self.input.h * self.input.w);
        let identity = place.is_empty() && reads.len() == 1 << plane && reads.iter().all(|[o, _, i]| o == i);
        let plane = if identity {
            Axis::Tau(o)
        } else {
            wire(o, place, plane, reads.into_iter().map(|[o, k, i]| entry(o, k, i, F::ONE)).collect())
        };
        column(F::ONE, of, alloc::vec![batch, channel, plane])
    }

    /// The bias over the real rows.
    fn bias(&self, conv: &Conv, private: Option<&PrivateWeights>) -> Vec<Term> {
        let [b, o, p] = self.row.clone();
        let real = |range: &Range<usize>, len: usize| {
            (1 << range.len() != len).then(|| real_var(range.clone(), len))
        };
        let channels = real(&o, conv.out_channels)
            .map(|_| {
                wire(
                    0..0,
                    o.clone(),
                    o.len(),
                    (0..conv.out_channels).map(|c| entry(0, c, c, F::ONE)).collect(),
                )
            })
            .unwrap_or(Axis::Var(o.clone()));
        let (real_b, real_p) = (real(&b, self.batch), real(&p, self.output.h * self.output.w));
        let axes = real_b.iter().chain([&channels]).chain(&real_p).cloned().collect();
        match private {
            Some(private) => {
                // One tensor of both digits, or one a digit.
                let each = 2 / private.bias.len();
                let mut terms = Vec::new();
                for (first, tensor) in (0..2).step_by(each).zip(&private.bias) {
                    let digit =
                        |i: usize| entry(0, 0, i, int(1 << (lattice::CELL_BITS as usize * (first + i))));
                    let digits = wire(0..0, 0..0, log2_ceil(each), (0..each).map(digit).collect());
                    terms.extend(tensor.terms(F::ONE, |axis, span| match axis {
                        0 => span.var(o.clone()),
                        _ => digits.clone(),
                    }));
                }
                for term in &mut terms {
                    term.axes.splice(1..1, real_b.clone());
                    term.axes.extend(real_p.clone());
                }
                terms.push(public(F::ONE, alloc::vec![int(lattice::HALF); 1 << o.len()], axes));
                terms
            }
            None => {
                let mut values = alloc::vec![F::ZERO; 1 << o.len()];
                for (v, b) in values.iter_mut().zip(&conv.bias) {
                    *v = int(i64::from(*b));
                }
                alloc::vec![public(F::ONE, values, axes)]
            }
        }
    }
}

impl Conv {
    /// `log2` of the axes `[out][in / groups][kernel plane]` of the padded weight tensor, for an operand with `c` channels.
    pub fn weight_logs(&self, c: usize) -> [usize; 3] {
        [self.out_channels, self.group_inputs(c), self.window.places()].map(log2_ceil)
    }

    /// Padded index of the row-major weight `i`.
    pub fn weight_cell(&self, c: usize, i: usize) -> usize {
        let [_, inner_log, plane_log] = self.weight_logs(c);
        let (rest, place) = (i / self.window.places(), i % self.window.places());
        let (o, inner) = (rest / self.group_inputs(c), rest % self.group_inputs(c));
        (o << inner_log | inner) << plane_log | place
    }

    /// The weights as a padded tensor.
    pub fn padded_weights(&self, c: usize) -> Vec<F> {
        let [_, inner_log, plane_log] = self.weight_logs(c);
        let mut cells = alloc::vec![F::ZERO; 1 << self.weight_logs(c).iter().sum::<usize>()];
        let (inner, place) = (self.group_inputs(c), self.window.places());
        for (row, weights) in self.weights.chunks(place).enumerate() {
            let start = ((row / inner) << inner_log | (row % inner)) << plane_log;
            cells[start..].iter_mut().zip(weights).for_each(|(cell, w)| *cell = int(i64::from(*w)));
        }
        cells
    }
}

//! The sums of a convolution, fast and exact: windows laid out as rows of 16-bit words, dot products of four output channels at a time.
//!
//! Most time of a run goes here (VGG-16 on a 32 by 32 image: 314 million multiply-adds). Where every weight and activation fits 16 bits
//! and no sum can pass 32, the inner loop is `i32 += i16 * i16` over slices of one length, which compilers turn into one multiply-add
//! of eight (SSE2) or sixteen (AVX2) pairs. Everything else takes [`plain`], which is also what the fast loops are tested against.

use alloc::vec;
use alloc::vec::Vec;

use super::{Conv, WindowAxis};
use crate::tensor::{Shape, Tensor};

/// Windows laid out at a time: they and four rows of weights stay in the second-level cache.
const BLOCK: usize = 64;
/// Rows are padded with zeros to a multiple of this, so that the inner loop has no rest.
const LANES: usize = 16;

/// Every sum of a convolution, bias included, before the rescale: `[out_channels][h][w]`, row-major.
///
/// Preconditions: the operand fits the layer ([`super::Operator::check`] passed) and the weights are present.
pub fn accumulate(conv: &Conv, a: &Tensor) -> Vec<i64> {
    let [h, w] = conv.window.axes(a.shape.h, a.shape.w).expect("checked before execution");
    let layer = Layer { conv, a, h, w, inputs: conv.group_inputs(a.shape.c), outputs: conv.group_outputs() };
    if !layer.is_narrow() {
        return plain(conv, a);
    }
    let sums = if layer.inputs == 1 { layer.by_rows() } else { layer.by_windows() };
    sums.into_iter().map(i64::from).collect()
}

/// The same sums by the definition, one after the other, in 64 bits.
pub fn plain(conv: &Conv, a: &Tensor) -> Vec<i64> {
    let [h, w] = conv.window.axes(a.shape.h, a.shape.w).expect("checked before execution");
    let out = Shape::new(conv.out_channels, h.output, w.output);
    let mut sums = vec![0i64; out.len()];
    let (gi, go) = (conv.group_inputs(a.shape.c), conv.group_outputs());
    let row = gi * h.kernel * w.kernel;
    for o in 0..conv.out_channels {
        let weights = &conv.weights[o * row..(o + 1) * row];
        for y in 0..h.output {
            for x in 0..w.output {
                let mut acc = i64::from(conv.bias[o]);
                for i in 0..gi {
                    let plane = (o / go) * gi + i;
                    for dy in 0..h.kernel {
                        let Some(iy) = h.source(y, dy) else { continue };
                        for dx in 0..w.kernel {
                            let Some(ix) = w.source(x, dx) else { continue };
                            let weight = weights[(i * h.kernel + dy) * w.kernel + dx];
                            acc += i64::from(weight) * i64::from(a.data[a.shape.at(plane, iy, ix)]);
                        }
                    }
                }
                sums[out.at(o, y, x)] = acc;
            }
        }
    }
    sums
}

/// A convolution on one operand.
struct Layer<'a> {
    conv: &'a Conv,
    a: &'a Tensor,
    h: WindowAxis,
    w: WindowAxis,
    /// Input channels of a group.
    inputs: usize,
    /// Output channels of a group.
    outputs: usize,
}

impl Layer<'_> {
    /// Weights of one output channel.
    fn row(&self) -> usize {
        self.inputs * self.h.kernel * self.w.kernel
    }

    /// Whether factors fit 16 bits and every partial sum 32.
    fn is_narrow(&self) -> bool {
        let fits = |v: &i32| i16::try_from(*v).is_ok();
        let largest = self.a.data.iter().map(|v| i64::from(*v).abs()).max().unwrap_or(0);
        let sum = |(row, bias): (&[i32], &i32)| {
            let norm: i64 = row.iter().map(|w| i64::from(*w).abs()).sum();
            norm.saturating_mul(largest).saturating_add(i64::from(*bias).abs())
        };
        let rows = self.conv.weights.chunks(self.row().max(1)).zip(&self.conv.bias);
        self.a.data.iter().all(fits)
            && self.conv.weights.iter().all(fits)
            && rows.map(sum).all(|bound| bound <= i64::from(i32::MAX))
    }

    /// One input channel a group: whole output rows, a weight at a time.
    fn by_rows(&self) -> Vec<i32> {
        let (h, w) = (&self.h, &self.w);
        let mut sums = Vec::with_capacity(self.conv.out_channels * h.output * w.output);
        for o in 0..self.conv.out_channels {
            let weights = &self.conv.weights[o * self.row()..(o + 1) * self.row()];
            for y in 0..h.output {
                let start = sums.len();
                sums.resize(start + w.output, self.conv.bias[o]);
                let out = &mut sums[start..];
                for dy in 0..h.kernel {
                    let Some(iy) = h.source(y, dy) else { continue };
                    let line = &self.a.data[self.a.shape.at(o / self.outputs, iy, 0)..][..w.input];
                    for (dx, weight) in weights[dy * w.kernel..(dy + 1) * w.kernel].iter().enumerate() {
                        let (from, until) = reach(w, dx);
                        if from >= until {
                            continue;
                        }
                        let read = &line[from * w.stride + dx - w.before..];
                        let out = &mut out[from..until];
                        if w.stride == 1 {
                            out.iter_mut().zip(read).for_each(|(sum, x)| *sum += weight * x);
                        } else {
                            let read = read.iter().step_by(w.stride);
                            out.iter_mut().zip(read).for_each(|(sum, x)| *sum += weight * x);
                        }
                    }
                }
            }
        }
        sums
    }

    /// Several input channels: windows as rows, dot products.
    fn by_windows(&self) -> Vec<i32> {
        let (row, places) = (self.row(), self.h.output * self.w.output);
        let padded = row.next_multiple_of(LANES);
        let groups = self.conv.groups;
        let mut sums = vec![0i32; self.conv.out_channels * places];
        let mut weights = vec![0i16; self.outputs * padded];
        let mut windows = vec![0i16; BLOCK.min(places) * padded];
        for group in 0..groups {
            let first = group * self.outputs;
            for (to, from) in weights
                .chunks_exact_mut(padded)
                .zip(self.conv.weights[first * row..(first + self.outputs) * row].chunks_exact(row))
            {
                to.iter_mut().zip(from).for_each(|(to, from)| *to = *from as i16);
            }
            for start in (0..places).step_by(BLOCK) {
                let count = BLOCK.min(places - start);
                self.lay_out(group, start, &mut windows[..count * padded], padded);
                let bias = &self.conv.bias[first..first + self.outputs];
                let out = &mut sums[first * places..(first + self.outputs) * places];
                products(&weights, &windows[..count * padded], padded, bias, &mut out[start..], places);
            }
        }
        sums
    }

    /// The windows at places `start..` of one group, each a row of `padded` words.
    fn lay_out(&self, group: usize, start: usize, windows: &mut [i16], padded: usize) {
        let (h, w) = (&self.h, &self.w);
        for (place, window) in (start..).zip(windows.chunks_exact_mut(padded)) {
            let (y, x) = (place / w.output, place % w.output);
            // The window's columns that lie inside the operand.
            let left = w.before.saturating_sub(x * w.stride);
            let right = (w.input + w.before).saturating_sub(x * w.stride).min(w.kernel);
            let rows = window.chunks_exact_mut(w.kernel).take(self.inputs * h.kernel);
            for (at, taps) in rows.enumerate() {
                let (i, dy) = (at / h.kernel, at % h.kernel);
                taps.fill(0);
                let Some(iy) = h.source(y, dy).filter(|_| left < right) else { continue };
                let column = x * w.stride + left - w.before;
                let line = &self.a.data[self.a.shape.at(group * self.inputs + i, iy, column)..];
                taps[left..right].iter_mut().zip(line).for_each(|(to, from)| *to = *from as i16);
            }
        }
    }
}

/// Outputs `from..until` read a real element at window position `k`.
fn reach(axis: &WindowAxis, k: usize) -> (usize, usize) {
    let from = axis.before.saturating_sub(k).div_ceil(axis.stride);
    let until = (axis.input + axis.before).saturating_sub(k).div_ceil(axis.stride);
    (from, until.min(axis.output))
}

/// `out[o * places + p] = bias[o] + <weights[o], windows[p]>`.
fn products(weights: &[i16], windows: &[i16], row: usize, bias: &[i32], out: &mut [i32], places: usize) {
    let mut o = 0;
    for (four, bias) in weights.chunks(4 * row).zip(bias.chunks(4)) {
        for (p, window) in windows.chunks_exact(row).enumerate() {
            if let [b0, b1, b2, b3] = bias {
                let sums = dot4(four, window);
                for (i, (sum, b)) in sums.into_iter().zip([b0, b1, b2, b3]).enumerate() {
                    out[(o + i) * places + p] = sum + b;
                }
            } else {
                for (i, (line, b)) in four.chunks_exact(row).zip(bias).enumerate() {
                    out[(o + i) * places + p] = dot(line, window) + b;
                }
            }
        }
        o += bias.len();
    }
}

fn dot(a: &[i16], b: &[i16]) -> i32 {
    a.iter().zip(b).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum()
}

/// Dot products of four rows, laid end to end, with one window.
fn dot4(rows: &[i16], window: &[i16]) -> [i32; 4] {
    let n = window.len();
    let (r0, rest) = rows.split_at(n);
    let (r1, rest) = rest.split_at(n);
    let (r2, r3) = rest.split_at(n);
    let mut sums = [0i32; 4];
    for i in 0..n {
        let x = i32::from(window[i]);
        sums[0] += i32::from(r0[i]) * x;
        sums[1] += i32::from(r1[i]) * x;
        sums[2] += i32::from(r2[i]) * x;
        sums[3] += i32::from(r3[i]) * x;
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::{Rescale, Window};
    use crate::value::Interval;
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    fn layer(rng: &mut StdRng, wide: bool) -> (Conv, Tensor) {
        let mut pick = |lo: usize, hi: usize| rng.random_range(lo..=hi);
        let (groups, gi, go) = (pick(1, 4), pick(1, 20), pick(1, 9));
        let (h, w) = (pick(1, 12), pick(1, 12));
        let kernel = [pick(1, h.min(5)), pick(1, w.min(5))];
        let pad = [kernel[0], kernel[1], kernel[0], kernel[1]].map(|k| pick(0, k - 1));
        let window = Window { kernel, stride: [pick(1, 3), pick(1, 3)], pad };
        let shape = Shape::new(groups * gi, h, w);
        let (most_w, most_x) = if wide { (1 << 20, 1 << 15) } else { (2000, 300) };
        let mut list = |n: usize, most: i32| (0..n).map(|_| rng.random_range(-most..=most)).collect();
        let conv = Conv {
            out_channels: groups * go,
            groups,
            window,
            weights: list(groups * go * gi * kernel[0] * kernel[1], most_w),
            bias: list(groups * go, 1 << 20),
            rescale: Rescale { shift: 0, clamp: Interval { lo: -1, hi: 1 } },
        };
        (conv, Tensor { shape, data: list(shape.len(), most_x) })
    }

    #[test]
    fn the_fast_sums_are_the_plain_ones() {
        let mut rng = StdRng::seed_from_u64(20);
        for case in 0..400 {
            let (conv, a) = layer(&mut rng, case % 8 == 0);
            assert_eq!(
                accumulate(&conv, &a),
                plain(&conv, &a),
                "case {case}: {:?} on {:?}",
                conv.window,
                a.shape
            );
        }
    }

    #[test]
    fn the_widest_words_do_not_wrap() {
        let window = Window { kernel: [1, 1], stride: [1, 1], pad: [0; 4] };
        let rescale = Rescale { shift: 0, clamp: Interval { lo: -1, hi: 1 } };
        let shape = Shape::new(2, 1, 1);
        for (w, x) in [(32767, 32767), (32767, -32768), (-32768, -32768), (32768, 1), (1, 32768)] {
            let conv =
                Conv { out_channels: 1, groups: 1, window, weights: vec![w; 2], bias: vec![7], rescale };
            let a = Tensor { shape, data: vec![x; 2] };
            assert_eq!(accumulate(&conv, &a), [2 * i64::from(w) * i64::from(x) + 7]);
        }
    }

    /// Speed, for people: `cargo test --release -p proofmesh-graph convolve -- --ignored --nocapture`.
    #[test]
    #[ignore = "a measurement"]
    fn speed() {
        extern crate std;
        for (c, o, size) in [(64, 64, 32), (128, 128, 16), (256, 256, 8), (512, 512, 4), (512, 512, 2)] {
            let window = Window { kernel: [3, 3], stride: [1, 1], pad: [1; 4] };
            let rescale = Rescale { shift: 0, clamp: Interval { lo: -1, hi: 1 } };
            let shape = Shape::new(c, size, size);
            let weights: Vec<i32> = (0..o * c * 9).map(|i| (i * 37 % 255) as i32 - 127).collect();
            let conv = Conv { out_channels: o, groups: 1, window, weights, bias: vec![0; o], rescale };
            let a = Tensor { shape, data: (0..shape.len()).map(|i| (i * 31 % 128) as i32).collect() };
            let macs = (o * c * 9 * size * size) as f64;
            for f in [accumulate, plain] {
                let start = std::time::Instant::now();
                core::hint::black_box(f(&conv, &a));
                let rate = macs / start.elapsed().as_secs_f64() / 1e9;
                std::println!("{c} to {o} channels, {size} by {size}: {rate:.2} G multiply-adds a second");
            }
        }
    }
}

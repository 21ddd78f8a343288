//! The float convolution: windows laid out as rows, dot products of four output channels at a time.
//!
//! Up to 512 products are summed in eight float32 lanes, those sums in float64: a relative error of some 1e-6, far below a step of
//! the integer program.

use proofmesh_graph::op::WindowAxis;
use proofmesh_graph::tensor::Shape;

use super::FloatConv;

/// Windows laid out at a time.
const BLOCK: usize = 64;
const LANES: usize = 8;
/// Products that are summed in float32.
const RUN: usize = 512;

/// The result of a layer, row-major.
///
/// Preconditions: the shapes were checked.
pub(super) fn conv(c: &FloatConv, from: Shape, to: Shape, x: &[f32]) -> Vec<f32> {
    let [h, w] = c.window.axes(from.h, from.w).expect("shapes were checked");
    let (inputs, outputs, places) = (from.c / c.groups, c.out_channels / c.groups, to.h * to.w);
    let (row, padded) = (c.row_len(), c.row_len().next_multiple_of(LANES));
    let mut weights = vec![0.0; outputs * padded];
    let mut windows = vec![0.0; BLOCK.min(places) * padded];
    let mut out = vec![0.0; to.len()];
    for group in 0..c.groups {
        let first = group * outputs;
        let own = c.weights[first * row..(first + outputs) * row].chunks_exact(row);
        weights.chunks_exact_mut(padded).zip(own).for_each(|(to, from)| to[..row].copy_from_slice(from));
        for start in (0..places).step_by(BLOCK) {
            let count = BLOCK.min(places - start);
            for (place, window) in (start..start + count).zip(windows.chunks_exact_mut(padded)) {
                let planes = group * inputs..(group + 1) * inputs;
                lay_out([&h, &w], [place / w.output, place % w.output], from, planes, x, window);
            }
            for (o, lines) in (first..).step_by(4).zip(weights.chunks(4 * padded)) {
                for (p, window) in windows.chunks_exact(padded).take(count).enumerate() {
                    let mut sums = [0.0; 4];
                    if lines.len() == 4 * padded {
                        sums = dots::<4>(lines, window);
                    } else {
                        let rest = lines.chunks_exact(padded).zip(&mut sums);
                        rest.for_each(|(line, sum)| *sum = dots::<1>(line, window)[0]);
                    }
                    for (i, sum) in sums.iter().take(lines.len() / padded).enumerate() {
                        let value = (sum + f64::from(c.bias[o + i])) as f32;
                        out[(o + i) * places + start + p] = c.clamp.apply(value);
                    }
                }
            }
        }
    }
    out
}

/// One window of the given planes as a row: zeros where it reads padding.
fn lay_out(
    [h, w]: [&WindowAxis; 2],
    [y, px]: [usize; 2],
    from: Shape,
    planes: std::ops::Range<usize>,
    x: &[f32],
    window: &mut [f32],
) {
    let taps = planes.flat_map(|plane| (0..h.kernel).map(move |dy| (plane, dy)));
    for ((plane, dy), line) in taps.zip(window.chunks_exact_mut(w.kernel)) {
        line.fill(0.0);
        let Some(iy) = h.source(y, dy) else { continue };
        for (dx, to) in line.iter_mut().enumerate() {
            if let Some(ix) = w.source(px, dx) {
                *to = x[from.at(plane, iy, ix)];
            }
        }
    }
}

/// Dot products of `N` rows, laid end to end, with one window.
fn dots<const N: usize>(rows: &[f32], window: &[f32]) -> [f64; N] {
    let n = window.len();
    let mut totals = [0.0; N];
    for start in (0..n).step_by(RUN) {
        let end = n.min(start + RUN);
        let mut sums = [[0f32; LANES]; N];
        for i in (start..end).step_by(LANES) {
            let x = &window[i..i + LANES];
            for (row, sum) in sums.iter_mut().enumerate() {
                let line = &rows[row * n + i..][..LANES];
                for l in 0..LANES {
                    sum[l] += line[l] * x[l];
                }
            }
        }
        totals.iter_mut().zip(sums).for_each(|(t, s)| *t += s.iter().map(|v| f64::from(*v)).sum::<f64>());
    }
    totals
}

//! What values a float graph's tensors take on a calibration set.

use proofmesh_graph::tensor::Shape;

use crate::float::{FloatGraph, run};
use crate::quantise::Grid;

/// Samples kept over all values together.
const MAX_SAMPLES: usize = 1 << 22;
/// Samples kept of one value.
const MAX_SAMPLES_EACH: usize = 1 << 15;

/// What a value took on.
#[derive(Clone, Debug)]
pub(crate) struct Observed {
    pub lo: f32,
    pub hi: f32,
    /// Largest absolute value of each channel.
    pub channels: Vec<f32>,
    /// An even subset of the values.
    pub samples: Vec<f32>,
    /// How much larger than seen it is taken to become: at least 1. See [`headroom`].
    pub headroom: f64,
}

/// Values of a channel from which on the largest of them is taken for the largest there is.
const ENOUGH: usize = 256;
/// Most that a value is widened by.
const MAX_HEADROOM: f64 = 2.0;

/// What rows of the same kind that calibration did not hold will exceed its largest values by, if each channel was seen `seen` times: as much,
/// on average over the channels, as one half of the calibration set exceeds the other. A dense layer's channel has one value a row; where rows
/// are few, clamping what it does on other rows costs far more than a coarser step.
fn headroom(seen: usize, halves: &[Vec<f32>; 2]) -> f64 {
    let ratio =
        |(a, b): (&f32, &f32)| (a.min(*b) > 0.0).then(|| f64::from(a.max(*b) / a.min(*b)).min(MAX_HEADROOM));
    let ratios: Vec<f64> = halves[0].iter().zip(&halves[1]).filter_map(ratio).collect();
    if seen >= ENOUGH || ratios.is_empty() { 1.0 } else { ratios.iter().sum::<f64>() / ratios.len() as f64 }
}

/// Runs the graph on every row; gives one observation a value, the input first.
///
/// Errors: a value is not finite, with the node's name.
pub(crate) fn observe(
    graph: &FloatGraph,
    shapes: &[Shape],
    rows: &[Vec<f32>],
) -> Result<Vec<Observed>, String> {
    let empty = |shape: &Shape| Observed {
        lo: f32::INFINITY,
        hi: f32::NEG_INFINITY,
        channels: vec![0.0; shape.c],
        samples: Vec::new(),
        headroom: 1.0,
    };
    let mut halves: Vec<[Vec<f32>; 2]> = shapes.iter().map(|s| [vec![0.0; s.c], vec![0.0; s.c]]).collect();
    let mut values: Vec<Observed> = shapes.iter().map(empty).collect();
    let each = (MAX_SAMPLES / shapes.len()).clamp(1, MAX_SAMPLES_EACH);
    for (number, row) in rows.iter().enumerate() {
        for (i, data) in run::trace(graph, shapes, row).iter().enumerate() {
            let o = &mut values[i];
            let plane = shapes[i].h * shapes[i].w;
            let step = (data.len() * rows.len()).div_ceil(each).max(1);
            for (j, v) in data.iter().enumerate() {
                if !v.is_finite() {
                    let name = if i == 0 { "input" } else { &graph.nodes[i - 1].name };
                    return Err(format!("value `{name}` is not finite on calibration row {number}"));
                }
                o.lo = o.lo.min(*v);
                o.hi = o.hi.max(*v);
                let half = usize::from(2 * number >= rows.len());
                for largest in [&mut o.channels[j / plane], &mut halves[i][half][j / plane]] {
                    *largest = largest.max(v.abs());
                }
                if (number * data.len() + j).is_multiple_of(step) {
                    o.samples.push(*v);
                }
            }
        }
    }
    for ((value, shape), halves) in values.iter_mut().zip(shapes).zip(&halves) {
        value.headroom = headroom(rows.len() * shape.h * shape.w, halves);
    }
    Ok(values)
}

/// How a value fills its integers on the calibration set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// Share of values more than half a step beyond the interval.
    pub clipped: f64,
    /// log2 of one more than the distance between a channel's extremes in steps, averaged over the channels.
    pub bits: f64,
}

/// How every value fills its grid, one a value.
pub(crate) fn usage(graph: &FloatGraph, shapes: &[Shape], rows: &[&[f32]], grids: &[Grid]) -> Vec<Usage> {
    let mut extremes: Vec<Vec<(f64, f64)>> = shapes.iter().map(|s| vec![(f64::MAX, f64::MIN); s.c]).collect();
    let mut beyond = vec![0usize; shapes.len()];
    for row in rows {
        for (i, data) in run::trace(graph, shapes, row).iter().enumerate() {
            let plane = shapes[i].h * shapes[i].w;
            let (lo, hi) = (f64::from(grids[i].interval.lo), f64::from(grids[i].interval.hi));
            for (j, v) in data.iter().enumerate() {
                let step = f64::from(*v) / grids[i].scales[j / plane];
                beyond[i] += usize::from(step > hi + 0.5 || step < lo - 0.5);
                let (least, most) = &mut extremes[i][j / plane];
                *least = least.min(step.clamp(lo, hi));
                *most = most.max(step.clamp(lo, hi));
            }
        }
    }
    let one = |i: usize| {
        let span: f64 = extremes[i].iter().map(|(least, most)| (most - least).max(0.0)).sum();
        Usage {
            clipped: beyond[i] as f64 / (rows.len() * shapes[i].len()).max(1) as f64,
            bits: (span / shapes[i].c as f64 + 1.0).log2(),
        }
    };
    (0..shapes.len()).map(one).collect()
}

impl Observed {
    /// The bound `b <= max |v|` for which rounding to `levels` steps of `b / levels` and clamping to `[-b,
    /// b]` errs least (mean square). With `clip = false`, the largest absolute value.
    pub fn bound(&self, levels: i32, clip: bool) -> f64 {
        let largest = f64::from(self.lo.abs().max(self.hi.abs()));
        if !clip || largest == 0.0 || self.samples.len() < 1024 {
            return largest;
        }
        let error = |bound: f64| -> f64 {
            let scale = bound / f64::from(levels);
            let err = |v: &f32| {
                let v = f64::from(*v);
                let rounded = (v / scale).round() * scale;
                (rounded.clamp(-bound, bound) - v).powi(2)
            };
            self.samples.iter().map(err).sum()
        };
        let tries = (8..=20).map(|i| largest * f64::from(i) / 20.0);
        tries
            .map(|b| (b, error(b)))
            .fold((largest, f64::INFINITY), |best, t| if t.1 <= best.1 { t } else { best })
            .0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headroom_is_what_halves_differ_by_and_only_where_rows_are_few() {
        let halves = [vec![1.0, 3.0, 0.0], vec![1.2, 2.0, 0.0]];
        assert!((headroom(96, &halves) - 1.35).abs() < 1e-6);
        assert_eq!(headroom(256, &halves), 1.0);
        assert_eq!(headroom(96, &[vec![1.0], vec![9.0]]), MAX_HEADROOM);
        assert_eq!(headroom(96, &[vec![0.0], vec![1.0]]), 1.0);
    }
}

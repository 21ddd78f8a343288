//! What values a float graph's tensors take on a calibration set.

use proofmesh_graph::tensor::Shape;

use crate::float::{FloatGraph, run};

/// Samples kept over all values together.
const MAX_SAMPLES: usize = 1 << 22;
/// Samples kept of one value.
const MAX_SAMPLES_EACH: usize = 1 << 15;

/// What a value took on.
#[derive(Clone, Debug)]
pub(crate) struct Observed {
    pub lo: f32,
    pub hi: f32,
    /// An even subset of the values.
    pub samples: Vec<f32>,
    /// Root mean square of the L2 norm of a whole tensor.
    pub mean_square: f64,
}

/// Observations of a graph.
#[derive(Clone, Debug)]
pub(crate) struct Observations {
    /// One a value, the input first.
    pub values: Vec<Observed>,
    /// The float output for each row.
    pub outputs: Vec<Vec<f32>>,
}

/// Runs the graph on every row.
///
/// Errors: a value is not finite, with the node's name.
pub(crate) fn observe(
    graph: &FloatGraph,
    shapes: &[Shape],
    rows: &[Vec<f32>],
) -> Result<Observations, String> {
    let empty = Observed { lo: f32::INFINITY, hi: f32::NEG_INFINITY, samples: Vec::new(), mean_square: 0.0 };
    let mut values = vec![empty; shapes.len()];
    let mut outputs = Vec::with_capacity(rows.len());
    let each = (MAX_SAMPLES / shapes.len()).clamp(1, MAX_SAMPLES_EACH);
    for (number, row) in rows.iter().enumerate() {
        let mut trace = run::trace(graph, shapes, row);
        for (i, data) in trace.iter().enumerate() {
            let o = &mut values[i];
            let step = (data.len() * rows.len()).div_ceil(each).max(1);
            for (j, v) in data.iter().enumerate() {
                if !v.is_finite() {
                    let name = if i == 0 { "input" } else { &graph.nodes[i - 1].name };
                    return Err(format!("value `{name}` is not finite on calibration row {number}"));
                }
                o.lo = o.lo.min(*v);
                o.hi = o.hi.max(*v);
                o.mean_square += f64::from(*v) * f64::from(*v);
                if (number * data.len() + j).is_multiple_of(step) {
                    o.samples.push(*v);
                }
            }
        }
        outputs.push(trace.swap_remove(graph.output));
    }
    for (o, shape) in values.iter_mut().zip(shapes) {
        o.mean_square /= (shape.len() * rows.len().max(1)) as f64;
    }
    Ok(Observations { values, outputs })
}

impl Observed {
    /// The bound `b <= max |v|` for which rounding to `levels` steps of `b / levels` and clamping to `[-b, b]` errs least (mean square).
    /// With `clip = false`, the largest absolute value.
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

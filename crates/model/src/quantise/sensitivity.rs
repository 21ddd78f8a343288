//! How far the output moves if one value alone is rounded to its grid: which tensors are worth more bits.

use super::lower::{Lowered, Source};
use super::settings::{Trials, owns_scale};
use crate::float::run;

/// Calibration rows that are looked at.
const ROWS: usize = 4;

/// Values that choose their scale, but the output, with the root mean square that their rounding moves the output by, over the output's
/// spread; the largest first.
pub(super) fn shares(source: &Source<'_>, lowered: &Lowered, trials: &Trials<'_>) -> Vec<(usize, f64)> {
    let (graph, shapes) = (source.graph, source.shapes);
    let owners = graph.nodes.iter().enumerate().filter(|(i, n)| owns_scale(&n.op) && i + 1 != graph.output);
    let mut moved: Vec<(usize, f64)> = owners.map(|(i, _)| (i + 1, 0.0)).collect();
    let (mut spread, mut count) = (0.0, 0.0);
    let rows = trials.inputs.len().min(ROWS);
    for row in 0..rows {
        let input = &trials.inputs[row * trials.inputs.len() / rows];
        let scale = source.input.scale();
        let real: Vec<f32> = input.data.iter().map(|q| (f64::from(*q) * scale) as f32).collect();
        let trace = run::trace(graph, shapes, &real);
        let output = &trace[graph.output];
        let mean = output.iter().map(|v| f64::from(*v)).sum::<f64>() / output.len().max(1) as f64;
        spread += output.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>();
        count += output.len() as f64;
        for (value, sum) in &mut moved {
            let grid = &lowered.grids[*value];
            let plane = shapes[*value].h * shapes[*value].w;
            let (lo, hi) = (f64::from(grid.interval.lo), f64::from(grid.interval.hi));
            let rounded = trace[*value].iter().enumerate().map(|(i, v)| {
                let scale = grid.scales[i / plane];
                ((f64::from(*v) / scale).round().clamp(lo, hi) * scale) as f32
            });
            let other = run::replay(graph, shapes, &trace, *value, rounded.collect());
            *sum += other.iter().zip(output).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
        }
    }
    let over = if spread > 0.0 { spread } else { f64::max(count, 1.0) };
    moved.iter_mut().for_each(|(_, sum)| *sum = (*sum / over).sqrt());
    moved.sort_by(|a, b| b.1.total_cmp(&a.1));
    moved
}

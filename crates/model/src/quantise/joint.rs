//! Groups of values that must have one scale: the operands of a selection and its result, values in one role at every step of a sequence.

use super::lower::{SAME_SCALE, Source};
use super::settings::{Settings, owns_scale};
use crate::float::FloatOp;

/// The groups, with the scale that each has so far.
pub(super) struct Joint {
    /// For each value the smallest value of its group.
    group: Vec<usize>,
    /// For each group with several members that choose a scale, its scale.
    scale: Vec<Option<f64>>,
    /// Whether the value chooses a scale.
    owner: Vec<bool>,
}

fn root(group: &[usize], mut value: usize) -> usize {
    while group[value] != value {
        value = group[value];
    }
    value
}

fn join(group: &mut [usize], a: usize, b: usize) {
    let (a, b) = (root(group, a), root(group, b));
    group[a.max(b)] = a.min(b);
}

impl Joint {
    /// The groups of a graph, each with the finest scale that its members' levels and the calibration set allow.
    pub fn of(source: &Source<'_>, settings: &Settings) -> Self {
        let graph = source.graph;
        let mut group: Vec<usize> = (0..=graph.nodes.len()).collect();
        let mut tied: Vec<(u32, usize)> = Vec::new();
        let mut owner = vec![false];
        for (i, node) in graph.nodes.iter().enumerate() {
            let value = i + 1;
            owner.push(owns_scale(&node.op));
            let inherits = matches!(
                node.op,
                FloatOp::MaxPool(_)
                    | FloatOp::MinPool(_)
                    | FloatOp::AveragePool(_)
                    | FloatOp::Gather { .. }
                    | FloatOp::Reshape(_)
            );
            if inherits {
                node.inputs.iter().for_each(|from| join(&mut group, *from, value));
            }
            if let Some(tie) = node.tie {
                match tied.iter().find(|(other, _)| *other == tie) {
                    Some((_, first)) => join(&mut group, *first, value),
                    None => tied.push((tie, value)),
                }
            }
        }
        let group: Vec<usize> = (0..group.len()).map(|v| root(&group, v)).collect();
        let mut scale: Vec<Option<f64>> = vec![None; group.len()];
        let mut members = vec![0usize; group.len()];
        for value in (1..group.len()).filter(|v| owner[*v]) {
            let observed = &source.observed[value];
            let bound = f64::from(observed.lo.abs().max(observed.hi.abs())) * observed.headroom;
            let own = if bound > 0.0 { bound } else { 1e-6 } / f64::from(settings.levels[value]);
            let shared = &mut scale[group[value]];
            *shared = Some(shared.map_or(own, |s: f64| s.max(own)));
            members[group[value]] += 1;
        }
        scale.iter_mut().zip(members).for_each(|(s, n)| *s = s.filter(|_| n > 1));
        Self { group, scale, owner }
    }

    /// The scale that a value must have.
    pub fn scale(&self, value: usize) -> Option<f64> {
        self.scale[self.group[value]].filter(|_| self.owner[value])
    }

    /// Tells what scale a value got; whether its group must take it and lowering begin again.
    pub fn widen(&mut self, value: usize, got: f64) -> bool {
        let Some(wanted) = self.scale(value) else { return false };
        let wider = got > wanted * (1.0 + SAME_SCALE);
        if wider {
            self.scale[self.group[value]] = Some(got);
        }
        wider
    }
}

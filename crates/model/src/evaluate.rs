//! How good a program is on labelled rows, beside the float model.

use proofmesh_graph::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::data::Array;
use crate::error::ImportError;
use crate::file::ModelFile;
use crate::model::FloatModel;
use crate::quantise::settings::argmax;

/// What a model's output means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// Logits; the largest one names the class.
    Classify,
    /// One logit; above zero means yes.
    Binary,
    /// The output should equal the input; the score is the mean square error.
    Reconstruct,
}

impl Task {
    /// The answer that an output stands for: class, yes or no; a reconstruction has none.
    pub(crate) fn answer<T: PartialOrd + Default>(self, output: &[T]) -> usize {
        match self {
            Self::Classify => argmax(output),
            Self::Binary => usize::from(output.first().is_some_and(|v| *v > T::default())),
            Self::Reconstruct => 0,
        }
    }
}

/// Figures of one model on labelled rows; those that the task has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Share of rows with the right class.
    pub accuracy: Option<f64>,
    /// Area under the ROC curve.
    pub auc: Option<f64>,
}

/// An integer program beside its float model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Rows.
    pub rows: usize,
    /// Of the integer program.
    pub integer: Score,
    /// Of the float model.
    pub float: Score,
    /// Share of rows with the same answer: class, or yes and no; 1 for a reconstruction.
    pub agreement: f64,
    /// Root mean square error of the output over its standard deviation.
    pub error: f64,
    /// Share of input numbers beyond the input's interval, which were clamped.
    pub clamped_inputs: f64,
}

/// Runs both models on every row.
///
/// Errors: rows or labels that do not fit the model; rows whose stored integers lie outside the input's
/// interval are clamped and counted.
pub fn evaluate(
    file: &ModelFile,
    float: &FloatModel,
    task: Task,
    xs: &Array,
    ys: &Array,
) -> Result<Evaluation, ImportError> {
    let rows = xs.rows();
    if rows == 0 || ys.values.len() != rows {
        return Err(ImportError::data("labels", format!("{} labels for {rows} rows", ys.values.len())));
    }
    let (mut integer, mut reference) = (Tally::new(task), Tally::new(task));
    let (mut error, mut spread, mut same, mut clamped) = (0.0, Spread::default(), 0usize, 0usize);
    for i in 0..rows {
        let real = file.meta.input.real(xs.row(i));
        let (input, outside) = file.meta.input.clamped(file.program.input.shape, xs.row(i))?;
        clamped += outside;
        let expected = float.run(&real)?;
        let got = file.real_output(&input)?;
        for (g, e) in got.iter().zip(&expected) {
            error += (f64::from(*g) - f64::from(*e)).powi(2);
            spread.add(f64::from(*e));
        }
        same += usize::from(task.answer(&got) == task.answer(&expected));
        integer.add(&got, &real, ys.values[i]);
        reference.add(&expected, &real, ys.values[i]);
    }
    let variance = spread.sum_of_squares();
    Ok(Evaluation {
        rows,
        integer: integer.score(),
        float: reference.score(),
        agreement: same as f64 / rows as f64,
        error: if variance > 0.0 { (error / variance).sqrt() } else { error.sqrt() },
        clamped_inputs: clamped as f64 / xs.values.len().max(1) as f64,
    })
}

#[derive(Default)]
struct Spread {
    count: f64,
    sum: f64,
    squares: f64,
}

impl Spread {
    fn add(&mut self, v: f64) {
        self.count += 1.0;
        self.sum += v;
        self.squares += v * v;
    }

    fn sum_of_squares(&self) -> f64 {
        if self.count > 0.0 { self.squares - self.sum * self.sum / self.count } else { 0.0 }
    }
}

/// Answers and scores against labels.
struct Tally {
    task: Task,
    rows: usize,
    right: usize,
    scored: Vec<(f32, bool)>,
}

impl Tally {
    fn new(task: Task) -> Self {
        Self { task, rows: 0, right: 0, scored: Vec::new() }
    }

    fn add(&mut self, output: &[f32], input: &[f32], label: f32) {
        self.rows += 1;
        match self.task {
            Task::Classify => self.right += usize::from(argmax(output) as f32 == label),
            Task::Binary => {
                let logit = output.first().copied().unwrap_or(0.0);
                self.right += usize::from((logit > 0.0) == (label != 0.0));
                self.scored.push((logit, label != 0.0));
            }
            Task::Reconstruct => {
                let squares: f32 = output.iter().zip(input).map(|(o, x)| (o - x).powi(2)).sum();
                self.scored.push((squares / output.len().max(1) as f32, label != 0.0));
            }
        }
    }

    fn score(mut self) -> Score {
        let accuracy = (self.task != Task::Reconstruct).then(|| self.right as f64 / self.rows.max(1) as f64);
        let auc = if self.task == Task::Classify { None } else { auc(&mut self.scored) };
        Score { accuracy, auc }
    }
}

/// Area under the ROC curve: the chance that a positive scores above a negative, ties counting half. `None`
/// without both kinds.
fn auc(scored: &mut [(f32, bool)]) -> Option<f64> {
    scored.sort_by(|a, b| a.0.total_cmp(&b.0));
    let positives = scored.iter().filter(|s| s.1).count() as f64;
    let negatives = scored.len() as f64 - positives;
    let mut wins = 0.0;
    let mut below = 0.0;
    for tie in scored.chunk_by(|a, b| a.0 == b.0) {
        let up = tie.iter().filter(|s| s.1).count() as f64;
        let down = tie.len() as f64 - up;
        wins += up * (below + down / 2.0);
        below += down;
    }
    (positives > 0.0 && negatives > 0.0).then(|| wins / (positives * negatives))
}

impl ModelFile {
    /// The model's output in real numbers for one input: scale times integer.
    ///
    /// Errors: the input is not the program's.
    pub fn real_output(&self, input: &Tensor) -> Result<Vec<f32>, ImportError> {
        let values = self.program.trace(input)?;
        let output = values
            .get(self.meta.output_value)
            .ok_or_else(|| ImportError::File("names an output value that the program lacks".into()))?;
        Ok(output.data.iter().map(|q| (f64::from(*q) * self.meta.output_scale) as f32).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auc_counts_ties_half_and_needs_both_kinds() {
        let mut apart = [(0.1, false), (0.2, false), (0.8, true)];
        assert_eq!(auc(&mut apart), Some(1.0));
        let mut tied = [(0.5, false), (0.5, true), (0.1, true), (0.9, false)];
        assert_eq!(auc(&mut tied), Some(0.125));
        assert_eq!(auc(&mut [(0.5, true)]), None);
    }
}

//! Sizes of a quantisation (levels a tensor, rows of the clamp table, shift) and the search for the
//! cheapest ones that are accurate enough.
//!
//! Cost is the rows of the tables that a proof pays for. Quality is measured by running the integer program
//! on calibration rows: the error of the output against the float model relative to the output's spread,
//! and how often the largest element is the same one.

use std::collections::BTreeMap;
use std::fmt;

use proofmesh_graph::limits;
use proofmesh_graph::program::{Program, WeightMode};
use proofmesh_graph::tensor::Tensor;

use super::lower::{Lowered, Source, lower};
use super::sensitivity;
use crate::error::ImportError;
use crate::evaluate::Task;
use crate::float::{Fine, FloatOp};
use crate::tables::Tables;

/// Levels above zero of an 8-bit value, and the next steps where that is too coarse: 12 bits, 16 bits.
pub(crate) const LEVELS: [i32; 4] = [127, 255, 2047, 32767];
/// Tensors that 16 bits are tried for, one at a time.
const MOST_WIDEST: usize = 12;
/// Rows of the clamp table that a 16-bit value needs.
const WIDE_ROWS_LOG2: u32 = 18;
/// Rows of the clamp table that the search starts from, as a power of two.
const WIDEST_ROWS_LOG2: u32 = 14;
/// The same with private weights: there tables are sized by shape alone, and smaller ones make results coarser layer by layer.
const WIDEST_PRIVATE_ROWS_LOG2: u32 = 18;
const NARROWEST_ROWS_LOG2: u32 = 9;
/// Shifts that the search considers.
const WIDEST_SHIFT: u32 = 11;
const MIDDLE_SHIFT: u32 = 9;
const NARROWEST_SHIFT: u32 = 7;
/// How much larger than measured errors are taken to be when rows are counted that they could turn.
const CAUTION: f64 = 3.0;
/// A smaller table is taken if the error grows by no more than this factor, or stays within the target.
const SLACK: f64 = 1.05;

/// Sizes of a quantisation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    /// Largest integer of each value; the output and values that inherit a scale ignore theirs.
    pub levels: Vec<i32>,
    /// Most rows of a clamp table, as a power of two.
    pub rows_log2: u32,
    /// The same for the table of the model's output, which has a clamp of its own.
    pub output_rows_log2: u32,
    /// Right shift of every layer (private layers may need more).
    pub shift: u32,
    /// Whether outliers are clipped where that lowers the mean square error.
    pub clip: bool,
    /// One scale a tensor, also where channels could have their own.
    pub uniform: bool,
}

impl Settings {
    fn with_rows(&self, rows_log2: u32, output_rows_log2: u32) -> Self {
        Self { rows_log2, output_rows_log2, ..self.clone() }
    }
}

/// How good is good enough.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    /// Root mean square error of the output over its standard deviation.
    pub error: f64,
    /// Share of rows with the same answer as the float model.
    pub agreement: f64,
    /// Share of rows that may be close to turning.
    pub fragile: f64,
}

/// What the integer program reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Quality {
    pub error: f64,
    pub agreement: f64,
    /// Share of rows whose answer would turn if the integer program's errors were [`CAUTION`] times what
    /// they are: rows that the model never saw lie closer to the border than those it was trained and
    /// calibrated on.
    pub fragile: f64,
}

impl From<Target> for Quality {
    fn from(target: Target) -> Self {
        let Target { error, agreement, fragile } = target;
        Self { error, agreement, fragile }
    }
}

impl fmt::Display for Quality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "error {:.3} of the output's spread, same answer on {:.1} % of the rows, {:.1} % close to turning",
            self.error,
            100.0 * self.agreement,
            100.0 * self.fragile
        )
    }
}

impl Quality {
    fn reaches(&self, target: Target) -> bool {
        self.error <= target.error && self.agreement >= target.agreement && self.fragile <= target.fragile
    }

    /// How many times too bad the worst of the three is; at most 1 where the target is reached.
    fn miss(&self, target: Target) -> f64 {
        let turned = (1.0 - self.agreement) / (1.0 - target.agreement);
        (self.error / target.error).max(turned).max(self.fragile / target.fragile)
    }
}

/// Calibration rows as the program's inputs, with the float outputs.
pub(crate) struct Trials<'a> {
    pub task: Task,
    pub inputs: &'a [Tensor],
    pub outputs: Vec<&'a [f32]>,
}

/// The chosen quantisation.
pub(crate) struct Chosen {
    pub lowered: Lowered,
    /// Why tensors got more than 8 bits, and whether the target was missed.
    pub notes: Vec<String>,
}

/// Index of the largest element, the first one on a tie.
pub(crate) fn argmax<T: PartialOrd>(values: &[T]) -> usize {
    (1..values.len()).fold(0, |best, i| if values[i] > values[best] { i } else { best })
}

/// Runs a program on the trials.
///
/// Errors: the program refuses an input.
pub(crate) fn measure(
    source: &Source<'_>,
    lowered: &Lowered,
    trials: &Trials<'_>,
) -> Result<Quality, ImportError> {
    let output = source.graph.output;
    let scale = lowered.grids[output].scale();
    let width = source.shapes[output].len();
    let count = trials.outputs.len().max(1) as f64;
    let mut mean = vec![0.0; width];
    for row in &trials.outputs {
        row.iter().zip(&mut mean).for_each(|(v, m)| *m += f64::from(*v) / count);
    }
    let (mut error, mut spread, mut same) = (0.0, 0.0, 0usize);
    let (mut margins, mut shifts) = (Vec::new(), 0.0);
    for (input, expected) in trials.inputs.iter().zip(&trials.outputs) {
        let got = lowered.program.run(input)?;
        for (i, (q, v)) in got.iter().zip(expected.iter()).enumerate() {
            error += (f64::from(*q) * scale - f64::from(*v)).powi(2);
            spread += (f64::from(*v) - mean[i]).powi(2);
        }
        if let Some((margin, reached)) = margins_of(trials.task, expected, &got, scale) {
            margins.push(margin);
            shifts += (reached - margin).powi(2);
        }
        same += usize::from(trials.task.answer(&got) == trials.task.answer(expected));
    }
    let error = if spread > 0.0 { (error / spread).sqrt() } else { error.sqrt() };
    let noise = CAUTION * (shifts / margins.len().max(1) as f64).sqrt();
    // The logistic function is within 0.01 of the normal distribution's tail.
    let turned = |margin: &f64| if noise > 0.0 { 1.0 / (1.0 + (1.702 * margin / noise).exp()) } else { 0.0 };
    let fragile = margins.iter().map(turned).sum::<f64>() / margins.len().max(1) as f64;
    Ok(Quality { error, agreement: same as f64 / count, fragile })
}

/// How far the float answer is from turning, and the same distance in the integer program.
fn margins_of(task: Task, expected: &[f32], got: &[i32], scale: f64) -> Option<(f64, f64)> {
    let real = |i: usize| f64::from(got[i]) * scale;
    match task {
        Task::Classify if expected.len() > 1 => {
            let first = argmax(expected);
            let others = (0..expected.len()).filter(|i| *i != first);
            let second = others.max_by(|a, b| expected[*a].total_cmp(&expected[*b]))?;
            Some((f64::from(expected[first]) - f64::from(expected[second]), real(first) - real(second)))
        }
        Task::Binary => {
            let sign = if expected.first()? > &0.0 { 1.0 } else { -1.0 };
            Some((sign * f64::from(expected[0]), sign * real(0)))
        }
        _ => None,
    }
}

struct Search<'a> {
    source: &'a Source<'a>,
    trials: &'a Trials<'a>,
    target: Target,
    best: Option<(Settings, Lowered, Quality)>,
}

impl Search<'_> {
    /// Lowers and measures.
    fn attempt(&self, settings: &Settings) -> Result<(Lowered, Quality), ImportError> {
        let lowered = lower(self.source, settings)?;
        let quality = measure(self.source, &lowered, self.trials)?;
        Ok((lowered, quality))
    }

    fn keep(&mut self, settings: Settings, (lowered, quality): (Lowered, Quality)) {
        self.best = Some((settings, lowered, quality));
    }

    fn quality(&self) -> Quality {
        self.best.as_ref().map_or(Quality { error: f64::INFINITY, agreement: 0.0, fragile: 1.0 }, |b| b.2)
    }

    /// Takes the settings if they are better than the best so far.
    fn improve(&mut self, settings: Settings) -> Result<bool, ImportError> {
        let tried = self.attempt(&settings)?;
        let (new, old) = (tried.1, self.quality());
        let better = new.error < old.error && new.agreement >= old.agreement - 0.005;
        if better {
            self.keep(settings, tried);
        }
        Ok(better)
    }

    /// Takes a step that makes proofs dearer, unless the target is reached already, and only if the step reaches it
    /// or at least halves what is missing; a large table for less is not worth its price. Gives the step's notes.
    fn if_worth(&mut self, step: fn(&mut Self, &mut Vec<String>)) -> Vec<String> {
        let (before, missed) = (self.best.clone(), self.quality().miss(self.target));
        let mut notes = Vec::new();
        if missed > 1.0 {
            step(self, &mut notes);
            let left = self.quality().miss(self.target);
            if left > 1.0 && left > missed / 2.0 {
                self.best = before;
                notes.clear();
            }
        }
        notes
    }

    /// Takes cheaper settings if they are still good enough.
    fn cheapen(&mut self, settings: Settings, floor: Target) -> bool {
        let Ok(lowered) = lower(self.source, &settings) else { return false };
        let rows = |l: &Lowered| Tables::of(&l.program).map_or(u64::MAX, |t| t.total_rows());
        if self.best.as_ref().is_none_or(|b| rows(&lowered) >= rows(&b.1)) {
            return false;
        }
        let Ok(quality) = measure(self.source, &lowered, self.trials) else { return false };
        let taken = quality.reaches(floor);
        if taken {
            self.keep(settings, (lowered, quality));
        }
        taken
    }
}

/// Values whose scale is their own: results of layers, sums, products and tables.
pub(super) fn owns_scale(op: &FloatOp) -> bool {
    matches!(
        op,
        FloatOp::Conv(_)
            | FloatOp::Sum { .. }
            | FloatOp::Curve(_)
            | FloatOp::Multiply { .. }
            | FloatOp::MatMul { .. }
            | FloatOp::Divide
            | FloatOp::ReduceSum { .. }
    )
}

/// The cheapest settings that reach the target, or the best ones there are.
///
/// Errors: as [`lower`].
pub(crate) fn choose(
    source: &Source<'_>,
    trials: &Trials<'_>,
    target: Target,
    clip: bool,
) -> Result<Chosen, ImportError> {
    let levels = |level: i32| -> Vec<i32> {
        let own = |fine: bool| if fine { LEVELS[2] } else { level };
        std::iter::once(level).chain(source.graph.nodes.iter().map(|n| own(n.fine.is_some()))).collect()
    };
    let private = source.weights == WeightMode::Private;
    let rows_log2 = if private { WIDEST_PRIVATE_ROWS_LOG2 } else { WIDEST_ROWS_LOG2 };
    let start = |level: i32| Settings {
        levels: levels(level),
        rows_log2,
        output_rows_log2: rows_log2,
        shift: WIDEST_SHIFT,
        clip,
        uniform: false,
    };
    let mut search = Search { source, trials, target, best: None };
    let mut notes = fine_notes(source);
    let first = start_or_widen(&search, start(LEVELS[0]))?;
    let settings = first.0.clone();
    search.keep(first.0, (first.1, first.2));
    if !search.quality().reaches(target) && private {
        // A channel's largest weight sizes its private row: channels with scales far apart make large ones.
        search.improve(Settings { uniform: true, ..settings.clone() })?;
    }
    if !search.quality().reaches(target) {
        let before = search.quality();
        let best = search.best.as_ref().map_or(settings.clone(), |b| b.0.clone());
        let wider = Settings { levels: levels(LEVELS[1]), ..best };
        if search.improve(wider)? {
            let (wide, narrow) = (LEVELS[1], LEVELS[0]);
            notes.push(format!("values above zero use 0..{wide}: 0..{narrow} was too coarse, {before}"));
        }
        widen_tensors(&mut search, &mut notes);
        notes.extend(search.if_worth(widen_further));
        if !private {
            notes.extend(search.if_worth(widen_rows));
        }
    }
    let reached = search.quality();
    if !reached.reaches(target) {
        notes.push(format!("the aim was missed: {}, aimed at {}", reached, Quality::from(target)));
    }
    let floor = Target {
        error: target.error.max(reached.error * SLACK),
        agreement: target.agreement.min(reached.agreement),
        fragile: target.fragile.max(reached.fragile * SLACK),
    };
    shrink(&mut search, floor);
    let (_, lowered, _) = search.best.ok_or_else(|| ImportError::Model("nothing to quantise".into()))?;
    notes.extend(private_notes(&lowered.program)?);
    Ok(Chosen { lowered, notes })
}

/// The settings, with a larger clamp table where the model needs one.
fn start_or_widen(
    search: &Search<'_>,
    settings: Settings,
) -> Result<(Settings, Lowered, Quality), ImportError> {
    let mut last = None;
    for rows_log2 in settings.rows_log2..=18 {
        let wider = settings.with_rows(rows_log2, rows_log2);
        match search.attempt(&wider) {
            Ok((lowered, quality)) => return Ok((wider, lowered, quality)),
            Err(why) => last = Some(why),
        }
    }
    Err(last.unwrap_or_else(|| ImportError::Model("nothing to quantise".into())))
}

/// Why some tensors have 12 bits from the start, one note a reason.
fn fine_notes(source: &Source<'_>) -> Vec<String> {
    let mut reasons: Vec<(Fine, Vec<&str>)> = Vec::new();
    for node in &source.graph.nodes {
        let Some(fine) = node.fine else { continue };
        match reasons.iter_mut().find(|(reason, _)| *reason == fine) {
            Some((_, names)) => names.push(&node.name),
            None => reasons.push((fine, vec![&node.name])),
        }
    }
    let note = |(fine, names): &(Fine, Vec<&str>)| {
        format!("{} tensors (first: `{}`) use 12 bits: {}", names.len(), names[0], fine.why())
    };
    reasons.iter().map(note).collect()
}

/// Which layers' private weights have fewer bits than others, one note a number of bits.
fn private_notes(program: &Program) -> Result<Vec<String>, ImportError> {
    if program.weights == WeightMode::Public {
        return Ok(Vec::new());
    }
    let types = program.check()?;
    let mut layers: BTreeMap<u32, Vec<&str>> = BTreeMap::new();
    for node in &program.nodes {
        let Some(conv) = node.op.conv() else { continue };
        layers.entry(conv.private_bits(types[node.inputs[0]])).or_default().push(&node.name);
    }
    let note = |(bits, names): (u32, Vec<&str>)| {
        format!(
            "private weights of {} layers (first: `{}`) have {bits} bits: their accumulators are bounded by shape alone",
            names.len(),
            names[0]
        )
    };
    Ok(layers.into_iter().filter(|(bits, _)| *bits < limits::PRIVATE_WEIGHT_BITS).map(note).collect())
}

/// Gives tensors more bits, those first whose rounding moves the output most: one, then one more, then twice as many each time. Errors add
/// up as squares: tensors with less than half of an equal share in the error that is allowed are not to blame, and keep their bits.
fn widen_tensors(search: &mut Search<'_>, notes: &mut Vec<String>) {
    let Some((settings, lowered, _)) = search.best.clone() else { return };
    let shares = sensitivity::shares(search.source, &lowered, search.trials);
    let worth = search.target.error / (2.0 * (shares.len().max(1) as f64).sqrt());
    let ranked: Vec<(usize, f64)> =
        shares.into_iter().filter(|(v, share)| settings.levels[*v] < LEVELS[2] && *share > worth).collect();
    let (mut tried, mut kept) = (0, 0);
    while tried < ranked.len() && !search.quality().reaches(search.target) {
        tried = (2 * tried).max(1).min(ranked.len());
        let mut wider = settings.clone();
        ranked[..tried].iter().for_each(|(v, _)| wider.levels[*v] = LEVELS[2]);
        // Where several tensors err alike, one alone may not help: more are tried, but only what helps is kept.
        if matches!(search.improve(wider), Ok(true)) {
            kept = tried;
        }
    }
    for (value, share) in &ranked[..kept] {
        notes.push(format!(
            "tensor `{}` uses 12 bits: rounding it to 8 alone moves the output by {share:.3} of its spread",
            search.source.graph.nodes[value - 1].name
        ));
    }
}

/// Gives 16 bits to single tensors for which 12 are still too coarse, those first whose rounding moves the output most.
fn widen_further(search: &mut Search<'_>, notes: &mut Vec<String>) {
    let Some((settings, lowered, _)) = search.best.clone() else { return };
    let shares = sensitivity::shares(search.source, &lowered, search.trials);
    let worth = search.target.error / 4.0;
    let coarse = |(value, share): &(usize, f64)| settings.levels[*value] == LEVELS[2] && *share > worth;
    for (value, share) in shares.into_iter().filter(coarse).take(MOST_WIDEST) {
        let Some((best, ..)) = &search.best else { return };
        let rows = |own: u32| own.max(WIDE_ROWS_LOG2);
        let mut wider = best.with_rows(rows(best.rows_log2), rows(best.output_rows_log2));
        wider.levels[value] = LEVELS[3];
        // A product of two such values may not fit the field: then it stays as it is.
        if matches!(search.improve(wider), Ok(true)) {
            notes.push(format!(
                "tensor `{}` uses 16 bits: rounding it to 12 alone moves the output by {share:.3} of its spread",
                search.source.graph.nodes[value - 1].name
            ));
        }
        if search.quality().reaches(search.target) {
            return;
        }
    }
}

/// Clamp tables as large as there are.
fn widen_rows(search: &mut Search<'_>, _: &mut Vec<String>) {
    if let Some((best, ..)) = search.best.clone() {
        // Settings that do not fit are no improvement.
        let _ = search.improve(best.with_rows(WIDE_ROWS_LOG2, WIDE_ROWS_LOG2));
    }
}

/// Smaller tables while the floor holds, once from the widest shift and once from a middle one: the
/// cheaper end of the two walks.
fn shrink(search: &mut Search<'_>, floor: Target) {
    let Some(start) = search.best.clone() else { return };
    shrink_rows_then_shift(search, floor);
    let Some(first) = search.best.replace(start.clone()) else { return };
    search.cheapen(Settings { shift: MIDDLE_SHIFT, ..start.0 }, floor);
    shrink_rows_then_shift(search, floor);
    let rows = |lowered: &Lowered| Tables::of(&lowered.program).map_or(u64::MAX, |t| t.total_rows());
    if search.best.as_ref().is_none_or(|second| rows(&first.1) <= rows(&second.1)) {
        search.best = Some(first);
    }
}

/// All tables, then the output's alone, then the others alone, then the remainders'.
fn shrink_rows_then_shift(search: &mut Search<'_>, floor: Target) {
    // With private weights fewer rows mean a larger shift, so cost has no single slope: try them all.
    let exhaustive = search.source.weights == WeightMode::Private;
    let both = |s: &Settings, rows: u32| s.with_rows(rows, rows);
    let output = |s: &Settings, rows: u32| s.with_rows(s.rows_log2, rows);
    let others = |s: &Settings, rows: u32| s.with_rows(rows, s.output_rows_log2);
    let steps: [fn(&Settings, u32) -> Settings; 3] = [both, output, others];
    for step in steps {
        let Some((settings, ..)) = search.best.clone() else { return };
        for rows_log2 in (NARROWEST_ROWS_LOG2..settings.rows_log2).rev() {
            if !search.cheapen(step(&settings, rows_log2), floor) && !exhaustive {
                break;
            }
        }
    }
    let Some((settings, ..)) = search.best.clone() else { return };
    for shift in (NARROWEST_SHIFT..settings.shift).rev() {
        if !search.cheapen(Settings { shift, ..settings.clone() }, floor) {
            break;
        }
    }
}

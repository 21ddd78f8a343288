//! The import: parse, fold, calibrate, choose sizes, lower, add outputs, report.

use proofmesh_graph::limits as bounds;
use proofmesh_graph::op::Op;
use proofmesh_graph::program::{Interval, Program};
use proofmesh_graph::tensor::{Shape, Tensor};

use crate::calibrate::{Usage, observe, usage};
use crate::data::{Array, Element, spread};
use crate::error::ImportError;
use crate::file::{Metadata, ModelFile};
use crate::fold::fold;
use crate::limits;
use crate::model::FloatModel;
use crate::options::{ImportOptions, InputScale};
use crate::output::with_outputs;
use crate::quantise::Grid;
use crate::quantise::lower::{Lowered, Source};
use crate::quantise::settings::{Target, Trials, choose, measure};
use crate::quantiser::{Kind, Quantiser};
use crate::report::{CalibrationReport, Report, TensorReport};
use crate::tables::Tables;

/// Calibration rows that the search for sizes runs on.
const TRIAL_ROWS: usize = 128;
/// Calibration rows that clipping and bits are counted on.
const USAGE_ROWS: usize = 256;
/// Levels on either side of zero of an input that is given as real values, and the next steps where that is too coarse.
const INPUT_LEVELS: [i32; 3] = [255, 2047, 32767];
/// Calibration rows that the input's levels are chosen on.
const INPUT_ROWS: usize = 32;
/// Share of calibration rows on which the largest element should be the float model's.
const TARGET_AGREEMENT: f64 = 0.99;

/// A finished import.
#[derive(Debug)]
pub struct Imported {
    /// Program and metadata, ready to be written.
    pub file: ModelFile,
    /// The float model, to compare with.
    pub float: FloatModel,
}

impl Imported {
    /// The integer program.
    pub fn program(&self) -> &Program {
        &self.file.program
    }

    /// What the import found.
    pub fn report(&self) -> &Report {
        &self.file.meta.report
    }
}

/// Turns an ONNX model into an integer program.
///
/// `calibration` holds typical inputs as data files hold them (see [`InputScale`]), one a row.
///
/// Errors: what [`FloatModel::parse`] refuses, calibration data that do not fit, a layer that fits no clamp
/// table, options that contradict the model.
pub fn import(onnx: &[u8], options: &ImportOptions, calibration: &Array) -> Result<Imported, ImportError> {
    let float = FloatModel::parse(onnx, options.onnx_output.as_deref())?;
    let graph = fold(float.graph().clone()).map_err(ImportError::Model)?;
    let shapes = graph.shapes().map_err(ImportError::Model)?;
    let affordable = (limits::MAX_CALIBRATION_WORK / float.parsed.multiply_adds.max(1)).max(16) as usize;
    let calibration =
        checked(calibration, graph.input)?.thinned(affordable.min(limits::MAX_CALIBRATION_ROWS));
    let (quantiser, fine_input) = fine_input(options, &calibration, &float)?;
    let (mut rows, mut inputs, mut outputs) = (Vec::new(), Vec::new(), Vec::new());
    for i in 0..calibration.rows() {
        let row = quantiser.real(calibration.row(i));
        // The model as parsed is the yardstick, not the folded one: a fault in folding would show.
        outputs.push(float.run(&row)?);
        rows.push(row);
        inputs.push(quantiser.clamped(graph.input, calibration.row(i))?.0);
    }
    let observed = observe(&graph, &shapes, &rows).map_err(|why| ImportError::data("calibration", why))?;
    let source = Source {
        name: &options.name,
        graph: &graph,
        shapes: &shapes,
        observed: &observed,
        input: Grid::uniform(quantiser.scale, graph.input.c, quantiser.interval),
        weights: options.weights,
    };
    let picked: Vec<usize> = spread(inputs.len(), TRIAL_ROWS.min(affordable.div_ceil(8)));
    let few: Vec<Tensor> = picked.iter().map(|i| inputs[*i].clone()).collect();
    let trials = Trials {
        task: options.task,
        inputs: &few,
        outputs: picked.iter().map(|i| outputs[*i].as_slice()).collect(),
    };
    let target =
        Target { error: options.target_error, agreement: TARGET_AGREEMENT, fragile: options.target_fragile };
    let chosen = choose(&source, &trials, target, options.clip)?;
    let all =
        Trials { task: options.task, inputs: &inputs, outputs: outputs.iter().map(Vec::as_slice).collect() };
    let quality = measure(&source, &chosen.lowered, &all)?;
    let calibration = CalibrationReport {
        rows: inputs.len(),
        error: quality.error,
        agreement: quality.agreement,
        fragile: quality.fragile,
    };
    let mut notes = float.parsed.notes.clone();
    notes.extend(fine_input);
    notes.extend(chosen.notes);
    let output_scale = chosen.lowered.grids[graph.output].scale();
    let program = with_outputs(chosen.lowered.program.clone(), (graph.output, output_scale), options)?;
    let some: Vec<&[f32]> = spread(rows.len(), USAGE_ROWS).into_iter().map(|i| rows[i].as_slice()).collect();
    let usage = usage(&graph, &shapes, &some, &chosen.lowered.grids);
    let report = report(&source, &chosen.lowered, &program, &float, calibration, notes, &usage)?;
    let meta = Metadata {
        input: quantiser,
        task: options.task,
        classes: options.classes.clone(),
        output_value: graph.output,
        output_scale,
        source_file: options.source_file.clone(),
        source_hash: *blake3::hash(onnx).as_bytes(),
        report,
    };
    let file = ModelFile { program, meta };
    file.validate()?;
    Ok(Imported { file, float })
}

/// The calibration set, its rows checked to be of the input's length.
fn checked(calibration: &Array, input: Shape) -> Result<&Array, ImportError> {
    if calibration.rows() == 0 || calibration.row_len() != input.len() {
        return Err(ImportError::data(
            "calibration",
            format!(
                "{} rows of {} numbers, the model reads {}",
                calibration.rows(),
                calibration.row_len(),
                input.len()
            ),
        ));
    }
    Ok(calibration)
}

/// The input's quantiser, with the fewest levels whose rounding alone moves the output by at most half of what is aimed at; and why there are
/// more than 255 of them.
fn fine_input(
    options: &ImportOptions,
    calibration: &Array,
    float: &FloatModel,
) -> Result<(Quantiser, Option<String>), ImportError> {
    let whole = float.parsed.whole_input;
    let mut quantiser = input_quantiser(options, calibration, whole, INPUT_LEVELS[0])?;
    if quantiser.kind != Kind::Real || options.input_interval.is_some() {
        return Ok((quantiser, None));
    }
    let rows: Vec<&[f32]> =
        spread(calibration.rows(), INPUT_ROWS).into_iter().map(|i| calibration.row(i)).collect();
    let exact = rows.iter().map(|row| float.run(row)).collect::<Result<Vec<_>, _>>()?;
    let mut note = None;
    for levels in &INPUT_LEVELS[1..] {
        let share = rounding_share(&quantiser, float, &rows, &exact)?;
        if share <= options.target_error / 2.0 {
            break;
        }
        note = Some(format!(
            "the input uses {} bits: with the step before, rounding it alone moves the output by {share:.3} of its spread",
            33 - (*levels as u32).leading_zeros()
        ));
        quantiser = input_quantiser(options, calibration, whole, *levels)?;
    }
    Ok((quantiser, note))
}

/// The root mean square that rounding the input moves the output by, over the output's spread.
fn rounding_share(
    quantiser: &Quantiser,
    float: &FloatModel,
    rows: &[&[f32]],
    exact: &[Vec<f32>],
) -> Result<f64, ImportError> {
    let width = exact.first().map_or(0, Vec::len);
    let mean = |i: usize| exact.iter().map(|row| f64::from(row[i])).sum::<f64>() / exact.len() as f64;
    let means: Vec<f64> = (0..width).map(mean).collect();
    let (mut moved, mut spread) = (0.0, 0.0);
    for (row, exact) in rows.iter().zip(exact) {
        let input = quantiser.clamped(float.graph().input, row)?.0;
        let rounded: Vec<f32> = input.data.iter().map(|q| (f64::from(*q) * quantiser.scale) as f32).collect();
        for ((got, exact), mean) in float.run(&rounded)?.iter().zip(exact).zip(&means) {
            moved += f64::from(got - exact).powi(2);
            spread += (f64::from(*exact) - mean).powi(2);
        }
    }
    Ok(if spread > 0.0 { (moved / spread).sqrt() } else { 0.0 })
}

fn input_quantiser(
    options: &ImportOptions,
    calibration: &Array,
    whole: bool,
    levels: i32,
) -> Result<Quantiser, ImportError> {
    let bad = |why: &str| Err(ImportError::Options(why.to_string()));
    let most = bounds::MAX_ACTIVATION;
    let stored = InputScale::Stored { sub: 0, div: 1.0 };
    if whole && !(options.input == stored || options.input == InputScale::Calibrated) {
        return bad("the model reads whole numbers: they have no scale, leave the input's scale out");
    }
    let quantiser = match if whole { stored } else { options.input } {
        InputScale::Stored { sub, div } => {
            if !(div.is_finite() && div > 0.0) || sub.unsigned_abs() > 1 << 16 {
                return bad("the input's div must be positive and its sub within 16 bits");
            }
            Quantiser {
                kind: Kind::Stored { sub },
                scale: 1.0 / div,
                interval: stored_interval(calibration, sub)?,
            }
        }
        InputScale::Range { lo, hi } => real_quantiser(lo, hi, levels)?,
        InputScale::Calibrated => {
            let fold = |f: fn(f32, f32) -> f32| calibration.values.iter().copied().fold(0.0, f);
            real_quantiser(fold(f32::min), fold(f32::max), levels)?
        }
    };
    let interval = match options.input_interval {
        Some((lo, hi)) if lo <= hi && -most <= lo && hi <= most => Interval { lo, hi },
        Some(_) => return bad("the input's interval is empty or beyond 16 bits"),
        None => quantiser.interval,
    };
    Ok(Quantiser { interval, ..quantiser })
}

/// Bounds of stored integers: the stored type's if calibration uses more than half of it, else what
/// calibration holds.
fn stored_interval(calibration: &Array, sub: i32) -> Result<Interval, ImportError> {
    if calibration.values.iter().any(|v| v.fract() != 0.0) {
        return Err(ImportError::data("calibration", "stored numbers must be whole"));
    }
    let bound = |start: f32, f: fn(f32, f32) -> f32| calibration.values.iter().copied().fold(start, f) as i64;
    let (low, high) = (bound(f32::INFINITY, f32::min), bound(f32::NEG_INFINITY, f32::max));
    let (low, high) = match calibration.element {
        Element::I8 if high - low >= 128 => (-128, 127),
        Element::U8 if high - low >= 128 => (0, 255),
        _ => (low, high),
    };
    let sub = i64::from(sub);
    let most = i64::from(bounds::MAX_ACTIVATION);
    if low - sub < -most || high - sub > most {
        return Err(ImportError::data(
            "calibration",
            format!("{low}..{high} minus {sub} needs more than 16 bits"),
        ));
    }
    Ok(Interval { lo: (low - sub) as i32, hi: (high - sub) as i32 })
}

fn real_quantiser(lo: f32, hi: f32, levels: i32) -> Result<Quantiser, ImportError> {
    let bound = f64::from(lo.abs().max(hi.abs()));
    if !(lo <= hi && bound.is_finite() && bound > 0.0) {
        return Err(ImportError::Options(format!("the input's range {lo} to {hi} is empty or not finite")));
    }
    let scale = bound / f64::from(levels);
    let at = |v: f32| (f64::from(v) / scale).round() as i32;
    Ok(Quantiser { kind: Kind::Real, scale, interval: Interval { lo: at(lo.min(0.0)), hi: at(hi.max(0.0)) } })
}

fn report(
    source: &Source<'_>,
    lowered: &Lowered,
    program: &Program,
    float: &FloatModel,
    calibration: CalibrationReport,
    notes: Vec<String>,
    usage: &[Usage],
) -> Result<Report, ImportError> {
    let types = program.check()?;
    let tensors = (0..source.shapes.len()).map(|v| tensor_report(source, lowered, v, usage[v])).collect();
    let mut shifts: Vec<u32> = Vec::new();
    let mut multiply_adds = 0;
    for node in &program.nodes {
        let operands: Vec<_> = node.inputs.iter().map(|i| types[*i]).collect();
        multiply_adds += node.op.row().multiply_adds(&operands);
        let rescale = node.op.row().rescale_reach(&operands, program.weights);
        shifts.extend(rescale.map(|(rescale, _)| rescale.shift));
    }
    let mut report = Report {
        operators: float.parsed.operators.iter().map(|(name, n)| (name.clone(), *n as u64)).collect(),
        parameters: float.parsed.parameters as u64,
        multiply_adds,
        tensors,
        shifts,
        tables: Tables::of(program)?,
        calibration,
        notes,
        warnings: Vec::new(),
        forecast: None,
    };
    report.warn();
    Ok(report)
}

fn tensor_report(source: &Source<'_>, lowered: &Lowered, value: usize, usage: Usage) -> TensorReport {
    let grid = &lowered.grids[value];
    let node = value.checked_sub(1).map(|i| (&source.graph.nodes[i], &lowered.program.nodes[i]));
    let weight_bits = match node.map(|n| &n.1.op) {
        Some(Op::Conv(op)) => {
            op.weights.iter().map(|w| 33 - w.unsigned_abs().leading_zeros()).max().unwrap_or(0)
        }
        _ => 0,
    };
    TensorReport {
        name: node.map_or_else(|| "input".to_string(), |n| n.0.name.clone()),
        value,
        shape: source.shapes[value].axes(),
        scale: grid.scales.iter().copied().fold(0.0, f64::max),
        finest_scale: grid.scales.iter().copied().fold(f64::MAX, f64::min),
        interval: grid.interval,
        clipped: usage.clipped,
        bits: usage.bits,
        weight_bits,
    }
}

//! What a proof will cost: exact counts of its work from the program's shape alone, and a model of time and memory over them.
//!
//! Counts do not depend on the machine. Time does: [`Machine::measured`] makes one small proof and compares its stages with those of the
//! machine that the model was fitted on, which covers its cores, its vector registers and whatever else runs on it at that moment.

use std::time::Instant;

use p3_field::PrimeCharacteristicRing;
use proofmesh_graph::arith::Arithmetized;
use proofmesh_graph::hash::Digest;
use proofmesh_graph::lattice::Image;
use proofmesh_graph::limits;
use proofmesh_graph::program::{Program, WeightMode};
use proofmesh_graph::statement::{InputStatement, Statement};
use proofmesh_proof::commitment;
use proofmesh_proof::field::F;
use proofmesh_proof::plan::{MIN_LOG, Plan};
use proofmesh_proof::profile::{Device, Kind};
use proofmesh_proof::soundness;
use proofmesh_proof::system::{Axis, Column, Expr, Lookup, Source, Stated, System, Table, TableValues, Term};
use proofmesh_proof::transcript::ByteChallenger;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

use crate::{ProveError, Stage, engine};

/// What a proof consists of, counted exactly.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// Multiply-adds of the program on all inputs.
    pub executed: u64,
    /// Committed cells, padding included.
    pub cells: u64,
    /// Elements of the first code word.
    pub code: u64,
    /// Leaves of the look-up tree, padding included.
    pub leaves: u64,
    /// Rows of look-ups and tables: the leaves that are computed.
    pub rows: u64,
    /// Elements that expressions read on their way to rows and to factors.
    pub reads: u64,
    /// Entries of the main sumcheck's factors.
    pub factors: u64,
    /// Elements of public tensors: weights, and what else the statement shows.
    pub public: u64,
}

/// A forecast for one proof.
#[derive(Clone, Debug, Serialize)]
pub struct Forecast {
    /// `log2` of the committed cells.
    pub cells_log2: usize,
    /// `log2` of the look-up tree's leaves.
    pub leaves_log2: usize,
    /// Size of the proof file.
    pub proof_bytes: usize,
    /// Proving time on the machine that was asked about.
    pub prove_ms: f64,
    /// Peak memory of a process that proves and has done nothing else.
    pub peak_bytes: usize,
    /// Proven soundness.
    pub soundness_bits: f64,
    /// The counts behind time and memory.
    pub work: Work,
}

/// How long a machine takes for the same work, beside the machine of docs/benchmarks.md (2 cores, built for the processor).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// For what every proof does whatever its size: challenges, queries, tasks handed to threads.
    pub fixed: f64,
    /// For what grows with the proof.
    pub growing: f64,
}

impl Default for Machine {
    fn default() -> Self {
        Self::REFERENCE
    }
}

impl Machine {
    /// The machine of docs/benchmarks.md.
    pub const REFERENCE: Self = Self { fixed: 1.0, growing: 1.0 };

    /// This machine now, by the medians of a few small proofs: some 100 ms.
    ///
    /// Errors: none that an honest proof of a fixed system can have; they are passed on nevertheless.
    pub fn measured() -> Result<Self, ProveError> {
        let mut times_of_all: [Vec<f64>; 2] = Default::default();
        for run in 0..=RUNS {
            let (_, times) = stage_times(|watch| {
                let mut rng = StdRng::seed_from_u64(run);
                engine::prove_watched::<Device>(sample(), &[0; 32], &mut rng, watch)
            })?;
            let of = |stages: &[Stage]| stages.iter().map(|s| times[*s as usize]).sum::<f64>();
            let grown = of(&[Stage::Commit, Stage::Lookups, Stage::Opening]);
            // The first run wakes the threads.
            if run > 0 {
                times_of_all[0].push(of(&[Stage::Queries]));
                times_of_all[1].push(grown);
            }
        }
        let [fixed, growing] = times_of_all.map(|mut times| {
            times.sort_by(f64::total_cmp);
            times[times.len() / 2]
        });
        Ok(Self { fixed: fixed / REFERENCE_MS[0], growing: growing / REFERENCE_MS[1] })
    }
}

/// Calibration proofs that count.
const RUNS: u64 = 5;

/// Makes a proof; gives it with the milliseconds of every stage, in the order of [`Stage::ALL`].
///
/// Errors: the proof's.
pub fn stage_times<T, E>(
    proof: impl FnOnce(&mut dyn FnMut(Stage)) -> Result<T, E>,
) -> Result<(T, [f64; Stage::ALL.len()]), E> {
    let mut times = [0.0; Stage::ALL.len()];
    let mut last: Option<(Stage, Instant)> = None;
    let mut enter = |next: Option<Stage>| {
        let now = Instant::now();
        if let Some((stage, since)) = last {
            times[stage as usize] += (now - since).as_secs_f64() * 1e3;
        }
        last = next.map(|stage| (stage, now));
    };
    let made = proof(&mut |stage| enter(Some(stage)))?;
    enter(None);
    Ok((made, times))
}

/// A system of 2^15 cells that are looked up in a range of 256, and cells that satisfy it.
fn sample() -> Arithmetized {
    let axes = vec![Axis::Var(0..SAMPLE_LOG)];
    let key = Expr { constant: F::ZERO, terms: vec![Term { coef: F::ONE, source: Source::Column(0), axes }] };
    let column = |name: &str, log| Column { name: name.into(), log };
    let system = System {
        columns: vec![column("bytes", SAMPLE_LOG), column("counts", 8)],
        tables: vec![Table { log: 8, first: 0, values: TableValues::Range, multiplicity: 1 }],
        lookups: vec![Lookup {
            name: "bytes".into(),
            table: 0,
            vars: SAMPLE_LOG,
            key,
            value: Expr::default(),
            real: Vec::new(),
        }],
        ..System::default()
    };
    let bytes = (0..1u32 << SAMPLE_LOG).map(|i| F::from_u32(i & 0xff)).collect();
    Arithmetized { system, cells: vec![bytes, Vec::new()], sums: Vec::new() }
}

/// `log2` of the calibration proof's column.
const SAMPLE_LOG: usize = 15;

/// Elements that an expression of `vars` variables reads.
fn reads(expr: &Expr, vars: usize) -> u64 {
    let term = |term: &Term| {
        let source: usize = term.axes.iter().map(Axis::log).sum();
        (1u64 << vars).max(1 << source)
    };
    expr.terms.iter().map(term).sum()
}

/// Counts a system's work; `executed` are the program's own multiply-adds.
fn count(system: &System, plan: &Plan, code_log: usize, executed: u64) -> Work {
    let rows = system.lookups.iter().map(|l| 1u64 << l.vars).chain(system.tables.iter().map(|t| 1 << t.log));
    let looked_up = system.lookups.iter().map(|l| reads(&l.key, l.vars) + reads(&l.value, l.vars));
    let summed = system.sums.iter().flat_map(|s| s.factors.iter().map(|f| reads(f, s.vars)));
    let expressions = || {
        let lookups = system.lookups.iter().flat_map(|l| [&l.key, &l.value]);
        let sums = system.sums.iter().flat_map(|s| s.factors.iter().chain([&s.rhs]));
        lookups.chain(sums).chain(system.linears.iter().map(|l| &l.expr))
    };
    let public = |term: &Term| match &term.source {
        Source::Public(values) | Source::Stated(Stated { values, .. }) => values.len() as u64,
        Source::Column(_) => 0,
    };
    Work {
        executed,
        cells: 1 << plan.log,
        code: 1 << code_log,
        leaves: 1 << plan.leaves.depth,
        rows: rows.sum(),
        reads: looked_up.chain(summed).sum(),
        factors: system.sums.iter().map(|s| (s.factors.len() as u64) << s.vars).sum(),
        public: expressions().flat_map(|e| &e.terms).map(public).sum(),
    }
}

/// Forecasts a proof of `batch` inputs on a machine.
///
/// Errors: a program that is refused or too large.
pub fn forecast(program: &Program, batch: usize, machine: Machine) -> Result<Forecast, ProveError> {
    let types = program.check()?;
    let public = vec![program.input.interval.lo; program.input.public_elements().len()];
    let input = InputStatement { commitment: Digest::default(), public };
    // Which class or bit comes out changes constants, not sizes.
    let (output, batch_outputs) = program.sample_outputs(&types, batch);
    let statement = Statement {
        program: program.public_part(),
        weights: (program.weights == WeightMode::Private).then(Digest::default),
        inputs: vec![input; batch],
        outputs: vec![output; batch],
        batch_outputs,
        context: Vec::new(),
    };
    let images = statement.blank_images()?;
    let system = statement.system(&images)?.system;
    let plan = Plan::new(&system, true)?;
    let config = commitment::config::<ByteChallenger>(plan.log)?;
    let executed = program.nodes.iter().map(|node| {
        let operands: Vec<_> = node.inputs.iter().map(|id| types[*id]).collect();
        node.op.row().multiply_adds(&operands)
    });
    let executed = executed.sum::<u64>() * batch as u64;
    let work = count(&system, &plan, plan.log + config.starting_log_inv_rate, executed);
    let elements: usize = plan.pad_count + 4 * plan.log + plan.main_values.len();
    Ok(Forecast {
        cells_log2: plan.log,
        leaves_log2: plan.leaves.depth,
        proof_bytes: pcs_bytes(plan.log) + 20 * elements + Image::BYTES * images.encode().len(),
        prove_ms: milliseconds(&work, machine),
        peak_bytes: peak_bytes(&work),
        soundness_bits: soundness::total_bits(&Kind::Device.terms(&system)?),
        work,
    })
}

/// Cuts `inputs` inputs into parts whose proofs each stay below `memory` bytes: all of one size but the last. The forecast is good to a
/// fifth, so a fifth is left free.
///
/// Sizes are powers of two, because the axis of inputs is padded to one.
///
/// Errors: [`ProveError::Memory`] when a proof of one input does not fit; a program that is refused.
pub fn parts(program: &Program, inputs: usize, memory: usize) -> Result<Vec<usize>, ProveError> {
    let mut size = 1;
    let peak = |size: usize| -> Result<usize, ProveError> {
        let expected = forecast(program, size, Machine::REFERENCE)?.peak_bytes;
        Ok(expected + expected / 5)
    };
    let needed = peak(1)?;
    if needed > memory {
        return Err(ProveError::Memory { needed, memory });
    }
    while size < inputs.min(limits::MAX_BATCH) {
        match peak((2 * size).min(inputs).min(limits::MAX_BATCH)) {
            Ok(next) if next <= memory => size = (2 * size).min(limits::MAX_BATCH),
            _ => break,
        }
    }
    let whole = inputs / size;
    Ok([size].repeat(whole).into_iter().chain(Some(inputs % size).filter(|rest| *rest > 0)).collect())
}

/// The commitment's opening proof at 2^14, 2^15, .. cells, as measured for docs/benchmarks.md; paths that queries share make it vary by 1 %.
const PCS_BYTES: [usize; 11] =
    [249_847, 274_050, 298_150, 332_400, 372_500, 437_500, 483_200, 526_600, 571_200, 651_771, 688_100];
/// Growth with each doubling beyond those, an extrapolation.
const PCS_BYTES_A_VARIABLE: usize = 55_000;

/// The commitment's opening proof.
fn pcs_bytes(log: usize) -> usize {
    let at = log - MIN_LOG;
    let measured = at.min(PCS_BYTES.len() - 1);
    PCS_BYTES[measured] + PCS_BYTES_A_VARIABLE * (at - measured)
}

/// Milliseconds of [`Machine::measured`]'s proof on the reference machine: its queries, and what grows with it.
const REFERENCE_MS: [f64; 2] = [10.5, 6.3];

/// The time of a proof, fitted to docs/benchmarks.md. Weights are read by one thread, cells by all; a cell of a vector beyond 2^20 cells,
/// which no cache holds, costs twice what it does in a smaller one. Leaves grow with cells, and have no term of their own.
fn milliseconds(work: &Work, machine: Machine) -> f64 {
    let beyond = work.cells.saturating_sub(1 << 20);
    let grown = [(1.2e-4, work.cells), (1.27e-4, beyond), (3.53e-4, work.factors), (9.1e-6, work.public)];
    11.3 * machine.fixed
        + machine.growing * grown.map(|(each, count)| each * count as f64).iter().sum::<f64>()
}

/// The memory of a proof, fitted to docs/benchmarks.md: the process, the public weights, look-ups' rows, what the allocator keeps of freed
/// columns, and the larger of two moments: the commitment's opening, or the tree of fractions when all its layers stand. Vector and code
/// word are there in both.
fn peak_bytes(work: &Work) -> usize {
    let opening = 44 * work.cells + 4 * work.code;
    let tree = 4 * work.cells + 4 * work.code + 48 * work.leaves;
    let kept = (20 * work.cells).min(16_000_000);
    (19_000_000 + 8 * work.public + 12 * work.rows + kept + opening.max(tree)) as usize
}

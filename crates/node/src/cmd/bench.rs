//! `proofmesh bench`: what proofs of models cost on this machine.

use crate::fault::{Fault, Result};
use crate::machine::{cpu_milliseconds, forget_peak, peak_megabytes, processor, vectors};
use crate::out::{Context, bar, median};
use crate::plot;
use proofmesh_graph::program::WeightMode;
use proofmesh_graph::statement;
use proofmesh_graph::tensor::Tensor;
use proofmesh_model::data::Array;
use proofmesh_model::{Imported, bundle, import, zoo};
use proofmesh_proof::plain::Plain;
use proofmesh_proof::profile::Kind;
use proofmesh_prover::{Job, Machine, ProveError, Stage, Work, forecast, prove_watched, salt, stage_times};
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// What is measured when nothing is named: MLPerf Tiny and LeNet-5.
const DEFAULT: [&str; 5] = ["autoencoder", "lenet5", "ds-cnn", "resnet8", "mobilenet"];

/// Arguments.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
Examples:
  proofmesh bench                                   MLPerf Tiny and LeNet-5, weights public
  proofmesh bench examples/digits --weights both --batch 1,16
  proofmesh bench examples/weather-qod --hash device,chain,plain
  proofmesh bench resnet8 vgg16 --runs 11 --plot bench.svg --json

Every row runs in a process of its own; its memory is that of one proof. Each run proves another row of the model's
test set and verifies the proof; figures are medians, one uncounted run first. Models by name are generated with seeded
weights (`proofmesh model make --list`). For the fastest code build with RUSTFLAGS='-C target-cpu=native'.")]
pub struct Args {
    /// Models: names of the zoo, or folders with a bundle.json
    #[arg(value_name = "MODEL")]
    models: Vec<String>,
    /// Runs that count
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    /// public, private or both
    #[arg(long, default_value = "public", value_parser = ["public", "private", "both"])]
    weights: String,
    /// Inputs in one proof
    #[arg(long, value_delimiter = ',', default_value = "1", value_name = "N,N")]
    batch: Vec<usize>,
    /// Profiles: device, chain, and plain, which hides nothing and is only for circuits
    #[arg(long, value_delimiter = ',', default_value = "device", value_parser = ["device", "chain", "plain"])]
    hash: Vec<String>,
    /// Writes a chart of times and memory
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// One row, in this process, of the model that lies in this folder
    #[arg(long, hide = true)]
    alone: Option<PathBuf>,
}

/// One model in one mode.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Row {
    /// Its name.
    pub model: String,
    /// `public` or `private`.
    pub weights: String,
    /// Profile of the proof.
    pub profile: String,
    /// Inputs in one proof.
    pub batch: usize,
    /// For one input.
    pub multiply_adds: u64,
    /// `log2` of the committed cells and of the look-up tree's leaves.
    pub cells_log2: usize,
    /// The same of the leaves.
    pub leaves_log2: usize,
    /// Median, milliseconds.
    pub prove_ms: f64,
    /// Every run, in order.
    pub prove_ms_runs: Vec<f64>,
    /// Median of each stage, milliseconds.
    pub stages_ms: BTreeMap<String, f64>,
    /// Median of what all threads computed, milliseconds; 0 where the system does not tell.
    pub cpu_ms: f64,
    /// Median, milliseconds.
    pub verify_ms: f64,
    /// Median.
    pub proof_bytes: f64,
    /// Of a process that reads the model and proves once; 0 where the system does not tell.
    pub peak_megabytes: f64,
    /// Most memory of the process in each stage of one proof.
    pub stages_megabytes: BTreeMap<String, f64>,
    /// Proven soundness.
    pub soundness_bits: f64,
    /// The integer program alone, one input, microseconds.
    pub plain_us: f64,
    /// What `forecast` says of the time, on this machine as it was while the row was measured.
    pub forecast_ms: f64,
    /// What it says of the memory.
    pub forecast_megabytes: f64,
    /// This machine beside the reference, as the forecast has it.
    pub machine: Machine,
    /// What it counts.
    pub work: Work,
}

#[derive(Serialize)]
struct Doc {
    version: &'static str,
    processor: String,
    threads: usize,
    vectors: &'static str,
    rows: Vec<Row>,
}

/// Runs.
pub fn run(args: Args, context: &Context) -> Result<()> {
    if let Some(batch) = args.batch.iter().find(|b| **b == 0 || **b > proofmesh_graph::limits::MAX_BATCH) {
        return Err(Fault::misuse("bench.batch", "at least one input", batch));
    }
    if let Some(folder) = &args.alone {
        let row = alone(&args, folder)?;
        return context.print(&row, || row.text());
    }
    let models: Vec<String> = match args.models.as_slice() {
        [] => DEFAULT.map(String::from).to_vec(),
        named => named.to_vec(),
    };
    let modes: &[&str] = match args.weights.as_str() {
        "both" => &["public", "private"],
        "private" => &["private"],
        _ => &["public"],
    };
    let folder = std::env::temp_dir().join(format!("proofmesh-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(|error| Fault::file(&folder, &error))?;
    let progress = bar((models.len() * modes.len() * args.hash.len() * args.batch.len()) as u64);
    let mut rows = Vec::new();
    for (model, weights) in models.iter().flat_map(|m| modes.iter().map(move |w| (m, *w))) {
        let prepared = prepare(model, weights, &folder);
        for (hash, batch) in args.hash.iter().flat_map(|h| args.batch.iter().map(move |b| (h, *b))) {
            let case = format!("{model}, {weights} weights, {hash}, batch {batch}");
            progress.set_message(case.clone());
            let row = prepared.as_ref().map_err(Clone::clone);
            match row.and_then(|()| in_own_process([model, weights, hash], batch, args.runs, &folder)) {
                Ok(row) => rows.push(row),
                Err(fault) => context.tell(&format!("{case}: {}: {}", fault.name, fault.got)),
            }
            progress.inc(1);
        }
    }
    let _ = std::fs::remove_dir_all(&folder);
    progress.finish_and_clear();
    if rows.is_empty() {
        return Err(Fault::trouble("bench.rows", "a model that proves", "none: see above"));
    }
    if let Some(path) = &args.plot {
        super::write_file(path, plot::bars(&rows)?.as_bytes())?;
        context.tell(&format!("chart: {}", path.display()));
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let doc =
        Doc { version: env!("CARGO_PKG_VERSION"), processor: processor(), threads, vectors: vectors(), rows };
    context.print(&doc, || doc.text())
}

impl Doc {
    fn text(&self) -> String {
        let head = format!("{}, {} threads, {}\n\n{HEAD}", self.processor, self.threads, self.vectors);
        self.rows.iter().fold(head, |text, row| format!("{text}\n{}", row.text()))
    }
}

const HEAD: &str = "\
| model | weights | profile | batch | multiply-adds | cells, leaves | prove ms | lowest to highest | an inference ms | CPU ms | verify ms \
| proof bytes | peak MB | bits | plain us | forecast ms (of measured) | forecast MB (of measured) |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|";

impl Row {
    fn text(&self) -> String {
        let part = |forecast: f64, measured: f64| match measured > 0.0 {
            true => format!("{forecast:.0} ({:.2})", forecast / measured),
            false => format!("{forecast:.0}"),
        };
        let runs = self.prove_ms_runs.iter().copied();
        format!(
            "| {} | {} | {} | {} | {} | 2^{}, 2^{} | {:.1} | {:.0} to {:.0} | {:.2} | {:.0} | {:.1} | {} | {:.0} | {:.1} | {:.0} | {} | {} |",
            self.model,
            self.weights,
            self.profile,
            self.batch,
            self.multiply_adds,
            self.cells_log2,
            self.leaves_log2,
            self.prove_ms,
            runs.clone().fold(f64::INFINITY, f64::min),
            runs.fold(0.0, f64::max),
            self.prove_ms / self.batch as f64,
            self.cpu_ms,
            self.verify_ms,
            self.proof_bytes,
            self.peak_megabytes,
            self.soundness_bits,
            self.plain_us,
            part(self.forecast_ms, self.prove_ms),
            part(self.forecast_megabytes, self.peak_megabytes),
        )
    }
}

/// One row, measured by this program started again.
fn in_own_process(case: [&str; 3], batch: usize, runs: u32, folder: &Path) -> Result<Row> {
    let [model, weights, hash] = case;
    let trouble = |error: &dyn std::fmt::Display| Fault::trouble("bench.process", "a row", error);
    let own = std::env::current_exe().map_err(|e| trouble(&e))?;
    let (batch, runs) = (batch.to_string(), runs.to_string());
    let mut args = vec!["--json", "bench", model, "--weights", weights, "--hash", hash];
    args.extend(["--batch", &batch, "--runs", &runs, "--alone"]);
    let output = Command::new(own).args(args).arg(folder).output().map_err(|e| trouble(&e))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(trouble(&said.lines().last().unwrap_or("the process died: too little memory?")));
    }
    serde_json::from_slice(&output.stdout).map_err(|e| trouble(&e))
}

/// The model file in a row's folder.
const MODEL: &str = "model.pmesh";
/// The inputs beside it: quantised, row after row, little-endian 32-bit words.
const ROWS: &str = "rows";

/// Imports a model and writes it with its test rows for the processes that measure it: what an import leaves behind
/// in memory is no part of a proof.
fn prepare(name: &str, weights: &str, folder: &Path) -> Result<()> {
    let weights = if weights == "private" { WeightMode::Private } else { WeightMode::Public };
    let (imported, rows) = load(name, weights)?;
    let mut data = Vec::new();
    for i in 0..rows.rows() {
        let row: Tensor = imported.file.quantise(rows.row(i))?;
        data.extend(row.data.iter().flat_map(|word| word.to_le_bytes()));
    }
    super::write_file(&folder.join(MODEL), &imported.file.encode()?)?;
    super::write_file(&folder.join(ROWS), &data)
}

/// A model with rows to prove.
fn load(name: &str, weights: WeightMode) -> Result<(Imported, Array)> {
    let path = Path::new(name);
    if path.is_dir() {
        let bundle = bundle::load(path)?;
        let model = bundle.models.first().ok_or_else(|| Fault::misuse("bench.bundle", "a model", name))?;
        let options = proofmesh_model::ImportOptions { weights, ..model.options() };
        let imported = import(&model.onnx()?, &options, &model.calibration()?)?;
        let rows = model.tests()?.into_iter().next();
        let rows = rows.ok_or_else(|| Fault::misuse("bench.bundle", "a test set", name))?;
        return Ok((imported, rows.x));
    }
    let made = zoo::find(name)?.make(1, zoo::Size::Full);
    let options = proofmesh_model::ImportOptions { weights, ..made.options() };
    let imported = import(&made.onnx, &options, &made.calibration)?;
    Ok((imported, made.test))
}

/// The most memory that each stage of one more proof holds.
fn peaks(
    profile: Kind,
    job: &Job<'_>,
    rng: &mut StdRng,
) -> std::result::Result<BTreeMap<String, f64>, ProveError> {
    let mut peaks = BTreeMap::new();
    let mut now: Option<Stage> = None;
    let mut enter = |next: Option<Stage>| {
        if let Some(stage) = now {
            peaks.insert(stage.name().to_owned(), peak_megabytes());
        }
        forget_peak();
        now = next;
    };
    prove_watched(profile, job, rng, &mut |stage| enter(Some(stage)))?;
    enter(None);
    Ok(peaks)
}

/// Measures one model in this process, which does nothing else.
fn alone(args: &Args, folder: &Path) -> Result<Row> {
    let name = args.models.first().map(Path::new).and_then(Path::file_name);
    let model = name.unwrap_or_default().to_string_lossy().into_owned();
    let file = super::model_at(Some(&folder.join(MODEL)))?;
    let data = super::read_file(&folder.join(ROWS), usize::MAX - 1)?;
    let words: Vec<i32> = data.as_chunks().0.iter().map(|bytes| i32::from_le_bytes(*bytes)).collect();
    let (batch, program) = (args.batch[0], &file.program);
    let profile = Kind::named(&args.hash[0])
        .filter(|kind| *kind != Kind::Hired)
        .ok_or_else(|| Fault::misuse("bench.hash", "device, chain or plain", &args.hash[0]))?;
    let rows: Vec<&[i32]> = words.chunks(program.input.shape.len()).collect();
    if rows.is_empty() {
        return Err(Fault::misuse("bench.rows", "a test set with rows", "none"));
    }
    let mut rng = crate::zk::os_rng()?;
    let unproved = |e: ProveError| Fault::trouble("bench.prove", "a proof", e);
    let weight_salt = Some(salt(&mut rng));
    let mut columns: [Vec<f64>; 5] = Default::default();
    let mut stages: [Vec<f64>; Stage::ALL.len()] = Default::default();
    let mut machines = Vec::new();
    let mut stages_megabytes = BTreeMap::new();
    let (mut soundness_bits, mut peak) = (0.0, 0.0);
    for run in 0..=args.runs as usize {
        let row = |b: usize| file.from_integers(rows[(run * batch + b) % rows.len()]);
        let inputs = (0..batch).map(row).collect::<std::result::Result<Vec<Tensor>, _>>()?;
        let salts: Vec<_> = inputs.iter().map(|_| salt(&mut rng)).collect();
        let start = Instant::now();
        program.run(&inputs[0]).map_err(|e| Fault::trouble("bench.run", "a result", e))?;
        let plain = start.elapsed().as_secs_f64() * 1e6;
        let job = Job { program, inputs: &inputs, salts: &salts, weight_salt, context: b"bench" };
        if run > 0 {
            machines.push(Machine::measured().map_err(unproved)?);
        }
        let (start, worked) = (Instant::now(), cpu_milliseconds());
        let (proved, times) =
            stage_times(|watch| prove_watched(profile, &job, &mut rng, watch)).map_err(unproved)?;
        let (proving, working) = (start.elapsed().as_secs_f64() * 1e3, cpu_milliseconds() - worked);
        let start = Instant::now();
        match profile {
            Kind::Plain => statement::verify_as::<Plain>(&proved.statement, &proved.file)?,
            _ => statement::verify(&proved.statement, &proved.file)?,
        }
        let verifying = start.elapsed().as_secs_f64() * 1e3;
        if run == 0 {
            // The first run warms caches: its time is not counted. Its memory is, since this process has done nothing else.
            peak = peak_megabytes();
            soundness_bits = statement::soundness(&proved.statement, profile)?.1;
            drop(proved);
            stages_megabytes = peaks(profile, &job, &mut rng).map_err(unproved)?;
            continue;
        }
        let figures = [proving, working, verifying, proved.file.len() as f64, plain];
        columns.iter_mut().zip(figures).for_each(|(column, figure)| column.push(figure));
        stages.iter_mut().zip(times).for_each(|(stage, time)| stage.push(time));
    }
    let factor = |of: fn(&Machine) -> f64| median(machines.iter().map(of).collect());
    let here = Machine { fixed: factor(|m| m.fixed), growing: factor(|m| m.growing) };
    let expected = forecast(program, batch, here).map_err(unproved)?;
    let prove_ms_runs = columns[0].clone();
    let [prove_ms, cpu_ms, verify_ms, proof_bytes, plain_us] = columns.map(median);
    Ok(Row {
        model,
        weights: args.weights.clone(),
        profile: profile.name().to_owned(),
        batch,
        multiply_adds: file.meta.report.multiply_adds,
        cells_log2: expected.cells_log2,
        leaves_log2: expected.leaves_log2,
        prove_ms,
        prove_ms_runs,
        stages_ms: Stage::ALL.iter().map(|s| s.name().to_owned()).zip(stages.map(median)).collect(),
        machine: here,
        cpu_ms,
        verify_ms,
        proof_bytes,
        peak_megabytes: peak,
        stages_megabytes,
        soundness_bits,
        plain_us,
        forecast_ms: expected.prove_ms,
        forecast_megabytes: expected.peak_bytes as f64 / f64::from(1 << 20),
        work: expected.work,
    })
}

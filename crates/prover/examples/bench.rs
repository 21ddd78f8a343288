//! The benchmark of docs/benchmarks.md: `cargo run --release -p proofmesh-prover --example bench -- [--runs N] BUNDLE_FOLDER..`
//!
//! Every model runs in a process of its own, so that the peak memory is the model's. Each run proves another row of the bundle's first test
//! set and verifies the proof; figures are medians.

use std::error::Error;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use proofmesh_graph::program::WeightMode;
use proofmesh_graph::statement;
use proofmesh_graph::tensor::Tensor;
use proofmesh_model::{bundle, import};
use proofmesh_prover::{Job, forecast, os_rng, prove, salt};

const DEFAULT_BUNDLES: [&str; 2] = ["examples/weather-qod", "examples/digits"];

fn main() -> Result<(), Box<dyn Error>> {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let mut runs = 11;
    if let Some(at) = args.iter().position(|a| a == "--runs") {
        runs = args.get(at + 1).ok_or("--runs needs a number")?.parse()?;
        args.drain(at..at + 2);
    }
    if let [flag, folder, model, mode, batch] = args.as_slice()
        && flag == "--one"
    {
        let batch = batch.parse()?;
        return one(Path::new(folder), model, mode == "private", batch, runs);
    }
    let folders = if args.is_empty() { DEFAULT_BUNDLES.map(String::from).to_vec() } else { args };
    println!(
        "| model | weights | batch | multiply-adds | cells, leaves | prove ms | prove CPU ms | verify ms | proof bytes | peak MB | bits | plain run us | forecast ms |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|---|");
    for folder in &folders {
        for model in bundle::load(Path::new(folder))?.models {
            for (mode, batch) in [("public", 1), ("private", 1), ("public", 16)] {
                let own =
                    ["--one", folder, model.file(), mode, &batch.to_string(), "--runs", &runs.to_string()]
                        .map(String::from);
                let status = Command::new(std::env::current_exe()?).args(own).status()?;
                if !status.success() {
                    println!("| {} {} | {mode} | {batch} | failed |", folder, model.file());
                }
            }
        }
    }
    Ok(())
}

/// One model in this process.
fn one(folder: &Path, file: &str, private: bool, batch: usize, runs: usize) -> Result<(), Box<dyn Error>> {
    let bundle = bundle::load(folder)?;
    let model = bundle.models.iter().find(|m| m.file() == file).ok_or("no such model")?;
    let mut options = model.options();
    if private {
        options.weights = WeightMode::Private;
    }
    let imported = import(&model.onnx()?, &options, &model.calibration()?)?;
    let program = imported.program();
    let tests = model.tests()?;
    let rows = &tests.first().ok_or("the bundle has no test set")?.x;
    let mut rng = os_rng()?;
    let [mut proving, mut working, mut verifying, mut plain, mut sizes] = [const { Vec::new() }; 5];
    let weight_salt = Some(salt(&mut rng));
    let mut bits = 0.0;
    for run in 0..runs + 1 {
        let row = |b: usize| imported.file.quantise(rows.row((run * batch + b) % rows.rows()));
        let inputs: Vec<Tensor> = (0..batch).map(row).collect::<Result<_, _>>()?;
        let salts: Vec<_> = inputs.iter().map(|_| salt(&mut rng)).collect();
        let start = Instant::now();
        program.run(&inputs[0])?;
        plain.push(start.elapsed().as_secs_f64() * 1e6);
        let job = Job { program, inputs: &inputs, salts: &salts, weight_salt, context: b"bench" };
        let (start, worked) = (Instant::now(), cpu_milliseconds());
        let proved = prove(&job, &mut rng)?;
        proving.push(start.elapsed().as_secs_f64() * 1e3);
        working.push(cpu_milliseconds() - worked);
        let start = Instant::now();
        statement::verify(&proved.statement, &proved.file)?;
        verifying.push(start.elapsed().as_secs_f64() * 1e3);
        sizes.push(proved.file.len() as f64);
        if run == 0 {
            bits = statement::soundness(&proved.statement)?.1;
            // The first run warms caches and is not counted.
            [&mut proving, &mut working, &mut verifying, &mut plain, &mut sizes]
                .into_iter()
                .for_each(Vec::clear);
        }
    }
    let expected = forecast(program, batch)?;
    println!(
        "| {} {} | {} | {batch} | {} | 2^{}, 2^{} | {:.1} | {:.1} | {:.1} | {} | {} | {bits:.1} | {:.0} | {:.0} |",
        bundle.name,
        file.trim_end_matches(".onnx"),
        if private { "private" } else { "public" },
        imported.report().multiply_adds,
        expected.cells_log2,
        expected.leaves_log2,
        median(&mut proving),
        median(&mut working),
        median(&mut verifying),
        median(&mut sizes),
        peak_megabytes(),
        median(&mut plain),
        expected.prove_ms,
    );
    Ok(())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// What all threads of this process have computed, where the system tells: on a shared machine steadier than the clock.
fn cpu_milliseconds() -> f64 {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let nanoseconds = threads.filter_map(|thread| {
        let times = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        times.split_whitespace().next()?.parse::<f64>().ok()
    });
    nanoseconds.sum::<f64>() / 1e6
}

/// Peak resident memory of this process, where the system tells.
fn peak_megabytes() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|l| l.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kilobytes.map_or("unknown".into(), |k| format!("{:.0}", k / 1024.0))
}

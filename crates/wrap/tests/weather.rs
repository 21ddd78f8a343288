//! The weather model's proofs, wrapped: sizes, times, memory. Not part of the suite:
//! `cargo test --release -p proofmesh-wrap --test weather -- --ignored --nocapture --test-threads 1`; add `hides` for the one that hides.

use std::path::Path;
use std::time::Instant;

use p3_field::PrimeCharacteristicRing;
use proofmesh_graph::arith::Builder as Assembly;
use proofmesh_graph::assemble::{self, Secrets};
use proofmesh_graph::program::WeightMode;
use proofmesh_graph::statement::Images;
use proofmesh_model::{bundle, import};
use proofmesh_proof::engine;
use proofmesh_proof::field::F;
use proofmesh_proof::hired::Hired;
use proofmesh_proof::plain::Plain;
use proofmesh_prover::{Job, prove_system_as, salt, state};
use proofmesh_wrap::groth16::{self, development_key};
use proofmesh_wrap::statement::public_input;
use proofmesh_wrap::verifier::{Wrapped, binding, circuit};
use rand::SeedableRng;
use rand::rngs::StdRng;

/// Most memory the process held, in MiB.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap_or("0");
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap_or(0) / 1024
}

/// Makes the kernel forget the peak so far.
fn forget_peak() {
    // Where this is not allowed the peak is that of the whole run: an upper bound.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

#[test]
#[ignore = "minutes, and gigabytes: see the file's first lines"]
fn a_weather_proof_is_wrapped() {
    wrap::<Plain>(1 << 20);
}

#[test]
#[ignore = "minutes, and gigabytes: see the file's first lines"]
fn a_weather_proof_that_hides_is_wrapped() {
    wrap::<Hired>(1 << 21);
}

fn wrap<P: Wrapped>(domain: usize) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/weather-qod");
    let bundle = bundle::load(&root).expect("the bundle");
    let model = &bundle.models[0];
    let mut options = model.options();
    options.weights = WeightMode::Public;
    let imported = import(&model.onnx().expect("the model"), &options, &model.calibration().expect("data"))
        .expect("the model imports");
    let program = imported.program();
    let mut rng = StdRng::seed_from_u64(4);
    let rows = &model.tests().expect("test sets")[0].x;
    let inputs = [imported.file.quantise(rows.row(3)).expect("a row fits")];
    let salts = [salt(&mut rng)];
    let job = Job { program, inputs: &inputs, salts: &salts, weight_salt: None, context: &[7; 32] };
    let (statement, images, traces) = state(&job).expect("a valid job");
    let secrets = Secrets { program, salts: &salts, weight_salt: [F::ZERO; 8] };
    let assembled = assemble::build(Assembly::new(1, Some(&traces)), &statement, &images, Some(&secrets));
    let clock = Instant::now();
    let proof = prove_system_as::<P>(
        assembled.expect("a program that fits"),
        &binding(&statement).expect("a statement that can be wrapped"),
        &mut rng,
    )
    .expect("an honest execution");
    println!("{} proof: {:.1} s, {} bytes", P::NAME, clock.elapsed().as_secs_f64(), proof.encode().len());
    let (system, clock) = (statement.system(&Images::default()).expect("as before").system, Instant::now());
    engine::verify::<P>(&system, &binding(&statement).expect("as before"), &proof).expect("a proof");
    println!("verified natively: {:.1} ms", clock.elapsed().as_secs_f64() * 1e3);
    forget_peak();
    let clock = Instant::now();
    let b = circuit(&statement, Some(&proof)).expect("a proof of the program's sizes");
    let entries: usize = b.matrices().iter().map(|m| m.entries()).sum();
    println!(
        "circuit: {} constraints, {} variables, {entries} entries",
        b.constraints(),
        b.assignment().len()
    );
    b.parts().iter().for_each(|(name, n)| println!("  {n:>8} {name}"));
    println!("circuit: {:.1} s, {} MiB", clock.elapsed().as_secs_f64(), peak());
    assert_eq!(b.broken(), None);
    assert!(groth16::domain(&b) <= domain);
    let clock = Instant::now();
    let key = development_key(&b, &[1; 32]).expect("a system of this size");
    println!("development key: {:.1} s, {} MiB", clock.elapsed().as_secs_f64(), peak());
    drop(b);
    forget_peak();
    let clock = Instant::now();
    let b = circuit(&statement, Some(&proof)).expect("as before");
    let wrapped = groth16::prove(&b, &key).expect("a witness");
    println!("wrap: {:.1} s, {} MiB with the key", clock.elapsed().as_secs_f64(), peak());
    let clock = Instant::now();
    groth16::verify(&key.vk, public_input(&statement).expect("as before"), &wrapped).expect("accepted");
    println!(
        "verify: {:.1} ms, {} bytes",
        clock.elapsed().as_secs_f64() * 1e3,
        groth16::encode(&wrapped).len()
    );
}

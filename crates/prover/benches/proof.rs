//! A proof's stages, whole proofs, verification and the program alone, by Criterion.
//!
//! ```sh
//! RUSTFLAGS="-C target-cpu=native" cargo bench -p proofmesh-prover --bench proof            # all, some three minutes
//! RUSTFLAGS="-C target-cpu=native" cargo bench -p proofmesh-prover --bench proof -- lenet5  # those with this in their name
//! ```
//!
//! A stage depends on what the stages before it drew, so each sample is a whole proof, of which the stage's part is counted.

use std::path::Path;
use std::time::Duration;

use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main, measurement::WallTime};
use proofmesh_graph::program::{Program, WeightMode};
use proofmesh_graph::statement;
use proofmesh_graph::tensor::Tensor;
use proofmesh_model::{ImportOptions, bundle, import, zoo};
use proofmesh_proof::profile::Kind;
use proofmesh_prover::{Job, Machine, Proved, Stage, forecast, prove, prove_watched, salt, stage_times};
use rand::SeedableRng;
use rand::rngs::StdRng;

/// A program and an input.
struct Case {
    program: Program,
    input: Tensor,
}

impl Case {
    /// The trained model of the weather stations.
    fn weather() -> Self {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/weather-qod"));
        let bundle = bundle::load(folder).expect("the bundle");
        let model = &bundle.models[0];
        let onnx = model.onnx().expect("a model");
        let calibration = model.calibration().expect("data");
        let imported = import(&onnx, &model.options(), &calibration).expect("a program");
        let rows = &model.tests().expect("test sets")[0].x;
        let input = imported.file.quantise(rows.row(0)).expect("an input");
        Self { program: imported.file.program, input }
    }

    /// A model of the zoo.
    fn zoo(name: &str, weights: WeightMode) -> Self {
        let made = zoo::find(name).expect("a model of the zoo").make(1, zoo::Size::Full);
        let options = ImportOptions { weights, ..made.options() };
        let imported = import(&made.onnx, &options, &made.calibration).expect("a program");
        let input = imported.file.quantise(made.test.row(0)).expect("an input");
        Self { program: imported.file.program, input }
    }

    /// One proof; `watch` hears of its stages.
    fn prove(&self, rng: &mut StdRng, watch: &mut dyn FnMut(Stage)) -> Proved {
        let salts = [salt(rng)];
        let weight_salt = Some(salt(rng));
        let inputs = std::slice::from_ref(&self.input);
        let job = Job { program: &self.program, inputs, salts: &salts, weight_salt, context: b"bench" };
        prove_watched(Kind::Device, &job, rng, watch).expect("a proof")
    }

    fn measure(&self, group: &mut BenchmarkGroup<'_, WallTime>) {
        let mut rng = StdRng::seed_from_u64(1);
        for stage in Stage::ALL {
            group.bench_function(stage.name(), |bencher| {
                bencher.iter_custom(|count| {
                    let one = |_| {
                        let proof = stage_times(|watch| Ok::<_, ()>(self.prove(&mut rng, watch)));
                        proof.expect("a proof").1[stage as usize]
                    };
                    Duration::from_secs_f64((0..count).map(one).sum::<f64>() / 1e3)
                });
            });
        }
        group.bench_function("prove", |bencher| bencher.iter(|| self.prove(&mut rng, &mut |_| ())));
        let proved = self.prove(&mut rng, &mut |_| ());
        group.bench_function("verify", |bencher| {
            bencher.iter(|| statement::verify(&proved.statement, &proved.file).expect("it holds"));
        });
        group.bench_function("run", |bencher| {
            bencher.iter(|| self.program.run(&self.input).expect("a result"));
        });
    }
}

/// Every stage of three models: a small one, one with private weights, a larger one.
fn models(criterion: &mut Criterion) {
    let cases = [
        ("weather-qod", Case::weather()),
        ("lenet5, private", Case::zoo("lenet5", WeightMode::Private)),
        ("ds-cnn", Case::zoo("ds-cnn", WeightMode::Public)),
    ];
    for (name, case) in cases {
        let mut group = criterion.benchmark_group(name);
        group
            .sample_size(20)
            .measurement_time(Duration::from_secs(2))
            .warm_up_time(Duration::from_millis(300));
        case.measure(&mut group);
    }
}

/// What is done before a proof: the forecast, this machine's factors, a batch of four.
fn around(criterion: &mut Criterion) {
    let case = Case::weather();
    let mut group = criterion.benchmark_group("around");
    group.sample_size(10);
    group.bench_function("forecast", |bencher| {
        bencher.iter(|| forecast(&case.program, 1, Machine::REFERENCE).expect("a program within the limits"));
    });
    group.bench_function("machine", |bencher| bencher.iter(|| Machine::measured().expect("a machine")));
    let mut rng = StdRng::seed_from_u64(2);
    let inputs = vec![case.input.clone(); 4];
    let salts: Vec<_> = inputs.iter().map(|_| salt(&mut rng)).collect();
    let job =
        Job { program: &case.program, inputs: &inputs, salts: &salts, weight_salt: None, context: b"bench" };
    group.bench_function("weather-qod, batch of 4", |bencher| {
        bencher.iter(|| prove(&job, &mut rng).expect("a proof"));
    });
}

criterion_group!(benches, models, around);
criterion_main!(benches);

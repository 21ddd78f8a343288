//! Wrapped proofs: a key of a small circuit made, kept and read, a proof wrapped with it; what is refused, by name.

use crate::place::{Place, run};
use proofmesh::wrapped;
use proofmesh_graph::op::{Conv, Op, Rescale, Window};
use proofmesh_graph::program::{InputSpec, Interval, Node, Output, Program, WeightMode};
use proofmesh_graph::tensor::{Shape, Tensor};
use proofmesh_prover::{Job, os_rng, salt};

/// Two inputs, of which these are public, onto one value: as small as a circuit gets.
pub fn program(public_channels: std::ops::Range<usize>) -> Program {
    let dense = Op::Conv(Conv {
        out_channels: 1,
        groups: 1,
        window: Window { kernel: [1, 1], stride: [1, 1], pad: [0; 4] },
        weights: vec![3, -5],
        bias: vec![10],
        rescale: Rescale { shift: 1, clamp: Interval { lo: -127, hi: 127 } },
    });
    let interval = Interval { lo: -127, hi: 127 };
    Program {
        name: "small".into(),
        input: InputSpec { shape: Shape::new(2, 1, 1), interval, public_channels },
        nodes: vec![Node { name: "dense".into(), op: dense, inputs: vec![0] }],
        outputs: vec![Output::Values(1)],
        weights: WeightMode::Public,
    }
}

/// `cargo test -p proofmesh --test node -- --ignored wrapped`: a key of even the smallest circuit takes a minute or more.
#[test]
#[ignore = "minutes: a key is made"]
fn a_kept_key_wraps_proofs_of_its_circuit_only() {
    let place = Place::new("wrapped");
    let program = program(0..2);
    let key = wrapped::key(&place.0, &program, 1).expect("a development key");
    let again = wrapped::key(&place.0, &program, 1).expect("the one that is kept");
    assert_eq!((key.circuit, &key), (wrapped::circuit(&program, 1).expect("a circuit"), &again));

    let mut rng = os_rng().expect("randomness");
    let inputs = [Tensor::new(program.input.shape, vec![40, -7]).expect("two elements")];
    let salts = [salt(&mut rng)];
    let job = Job { program: &program, inputs: &inputs, salts: &salts, weight_salt: None, context: &[7; 32] };
    let wrapped = wrapped::wrap(&job, &key, &mut rng).expect("a wrapped proof");
    // 165 / 2, rounded.
    assert_eq!(wrapped.statement.outputs, [[83]]);
    let check =
        |statement, proof| wrapped::check(&key.proving.vk, statement, proof).map_err(|fault| fault.name);
    assert_eq!(check(&wrapped.statement, &wrapped.proof), Ok(()));
    let mut other = wrapped.statement.clone();
    other.outputs[0][0] += 1;
    assert_eq!(check(&other, &wrapped.proof), Err("wrap.proof".to_owned()));
    let mut lie = wrapped.proof;
    lie[255] ^= 1;
    assert_eq!(check(&wrapped.statement, &lie), Err("wrap.encoding".to_owned()));

    let short = Job { context: &[7; 31], ..job };
    assert_eq!(wrapped::wrap(&short, &key, &mut rng).expect_err("31 bytes").name, "wrap.context");
    let path = wrapped::key_path(&place.0, &key.circuit);
    assert_eq!(wrapped::open(&path, &[0; 32], None).expect_err("another circuit").name, "wrap.key");
    assert_eq!(
        wrapped::open(&path, &key.circuit, Some(&[0; 32])).expect_err("another hash").name,
        "wrap.key"
    );
}

#[test]
fn a_command_without_its_key_says_what_to_do() {
    let place = Place::new("wrap-no-key");
    let dir = place.0.to_str().expect("a path in text");
    let input = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/weather-qod/test/x_i8.npy");
    let out = place.path("x.json");
    let out = out.to_str().expect("a path in text");
    let refused = run(&["--json", "--dir", dir, "wrap", "prove", "--input", input, "--out", out]);
    assert_eq!(refused.status.code(), Some(2));
    let talk = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(talk.contains("wrap.no-key") && talk.contains("set-up"), "{talk}");
}

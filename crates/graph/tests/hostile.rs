//! Hostile bytes: proof files, programs and statements from random, mutated and committed bytes. Nothing panics, memory stays bounded, and
//! what is refused is refused by name.
//!
//! `BLESS=1` rewrites the corpus from [`corpus`].

use std::path::{Path, PathBuf};

use proofmesh_graph::limits;
use proofmesh_graph::op::{
    Add, AveragePool, Conv, Divide, ExtremePool, Gather, Lut, MatMul, Multiply, Op, ReduceSum, Requantise,
    Rescale, Sum, Window,
};
use proofmesh_graph::program::{InputSpec, Interval, Node, Output, Program, WeightMode};
use proofmesh_graph::statement::{Claimed, InputStatement, Statement, VERSION, decode_proof};
use proofmesh_graph::tensor::Shape;
use proofmesh_proof::profile::Device;
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

/// Most memory that the process may have held at any time; a wrong length field would ask for far more.
const MAX_PEAK_BYTES: usize = 384 << 20;

/// Largest memory that the process has held, where the system tells.
fn peak_bytes() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<usize>().ok()? << 10)
}

fn memory_is_bounded() {
    if let Some(peak) = peak_bytes() {
        assert!(peak < MAX_PEAK_BYTES, "{peak} bytes");
    }
}

/// Names that a proof file's bytes may be refused with.
fn proof_file(bytes: &[u8]) {
    let check = decode_proof::<Device>(bytes).map(drop).expect_err("hostile bytes are no proof").check;
    assert!(["proof.encoding", "proof.size"].contains(&check), "{check}");
}

/// Reads bytes as a program and checks it; gives whether it was accepted.
fn program(bytes: &[u8]) -> bool {
    postcard::from_bytes::<Program>(bytes).is_ok_and(|program| {
        let hidden = program.public_part();
        assert_eq!(hidden.public_part(), hidden);
        program.check().is_ok()
    })
}

/// The check that refuses bytes as a statement; none if they make a system.
fn statement(bytes: &[u8]) -> Option<&'static str> {
    match postcard::from_bytes::<Statement>(bytes) {
        Err(_) => Some("encoding"),
        Ok(statement) => match statement.blank_images().and_then(|images| statement.system(&images)) {
            Err(reject) => {
                let names = ["statement.", "commitment.encoding", "system."];
                assert!(names.iter().any(|n| reject.check.starts_with(n)), "{reject}");
                Some(reject.check)
            }
            Ok(built) => {
                assert!(built.cells.iter().all(Vec::is_empty), "a verifier has no cells");
                None
            }
        },
    }
}

fn window(kernel: usize, pad: usize) -> Window {
    Window { kernel: [kernel; 2], stride: [1, 2], pad: [pad; 4] }
}

fn node(name: &str, op: Op, inputs: &[usize]) -> Node {
    Node { name: name.into(), op, inputs: inputs.to_vec() }
}

/// Every operator once.
fn every_operator(weights: WeightMode) -> Program {
    let clamp = Interval { lo: -90, hi: 100 };
    let whole = Rescale { shift: 0, clamp: Interval { lo: -32768, hi: 32768 } };
    let conv = Conv {
        out_channels: 2,
        groups: 1,
        window: window(2, 1),
        weights: (0..16).map(|i| i * 7 - 50).collect(),
        bias: vec![300, -400],
        rescale: Rescale { shift: 9, clamp },
    };
    let stepped = Conv { rescale: Rescale { shift: 9, clamp: Interval { lo: -2, hi: 2 } }, ..conv.clone() };
    let thresholds = (0..8).map(|i| 100 * (i % 4) - 150 + i).collect();
    let nodes = vec![
        node("conv", Op::Conv(conv), &[0]),
        node("add", Op::Add(Add { factors: [3, -2], rescale: Rescale { shift: 1, clamp } }), &[1, 1]),
        node("mean", Op::AveragePool(AveragePool { window: window(2, 0) }), &[2]),
        node("min", Op::ExtremePool(ExtremePool { window: window(1, 0), smallest: true }), &[3]),
        node("pick", Op::Gather(Gather { shape: Shape::new(1, 1, 3), index: vec![2, 0, 1] }), &[4]),
        node("table", Op::Lut(Lut { first: -90, table: (-90..=100).map(|x| x / 2).collect() }), &[5]),
        node("one", Op::Gather(Gather { shape: Shape::new(1, 1, 1), index: vec![1] }), &[6]),
        node("product", Op::Multiply(Multiply { rescale: Rescale { shift: 4, clamp } }), &[6, 7]),
        node(
            "scores",
            Op::MatMul(MatMul { transposed: true, rescale: Rescale { shift: 5, clamp } }),
            &[8, 8],
        ),
        node("curve", Op::Lut(Lut { first: -90, table: (1..=191).collect() }), &[8]),
        node(
            "sum",
            Op::ReduceSum(ReduceSum { axes: [false, false, true], factor: 1, rescale: whole }),
            &[10],
        ),
        node("share", Op::Divide(Divide { scale: 50 }), &[10, 11]),
        node("wider", Op::Gather(Gather { shape: Shape::new(1, 1, 2), index: vec![0, Gather::ZERO] }), &[9]),
        node("steps", Op::Requantise(Requantise { sum: Sum::Conv(stepped), thresholds }), &[0]),
    ];
    let interval = Interval { lo: -128, hi: 127 };
    Program {
        name: "hostile".into(),
        input: InputSpec { shape: Shape::new(2, 3, 3), interval, public_channels: 1..2 },
        nodes,
        outputs: vec![
            Output::Values(6),
            Output::ArgMax(6),
            Output::AtMost { value: 7, threshold: 4 },
            Output::Committed(12),
            Output::Sum(7),
            Output::CountAtMost { value: 7, threshold: 4 },
            Output::CountAtLeast { value: 9, threshold: 4 },
            Output::Increasing { value: 7, ends: true },
        ],
        weights,
    }
}

/// A statement that makes a system.
fn honest(weights: WeightMode) -> Statement {
    let program = every_operator(weights).public_part();
    let commitment = core::array::from_fn(|i| if i % 4 == 3 { 7 } else { i as u8 });
    let input = InputStatement { commitment, public: vec![5; 9] };
    Statement {
        program,
        weights: (weights == WeightMode::Private).then_some(commitment),
        inputs: vec![input; 2],
        outputs: vec![vec![1, 2, 3, 2, 0, 1, 2, 3, 4, 5, 6, 7, 8]; 2],
        batch_outputs: vec![-3, 1, 2, -4, 5],
        context: b"context".to_vec(),
    }
}

fn bytes(value: &impl serde::Serialize) -> Vec<u8> {
    postcard::to_allocvec(value).expect("plain data")
}

/// A length of 2^60 as postcard spells it.
const HUGE: [u8; 9] = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10];

/// A proof file's header, then the given bytes as the rest.
fn file(rest: &[u8]) -> Vec<u8> {
    let (model, outputs, context) = ([1; 32], [2; 32], [3; 32]);
    let claimed = Claimed { format: VERSION, model, inputs: vec![[4; 32]], outputs, context };
    [bytes(&claimed), rest.to_vec()].concat()
}

/// A program of one node over an input, and a statement of it with a batch.
fn huge(shape: Shape, op: Option<Op>, output: Output, batch: usize) -> Statement {
    let interval = Interval { lo: 0, hi: 1 };
    let nodes = op.into_iter().map(|op| node("huge", op, &[0])).collect();
    Statement {
        program: Program {
            name: String::new(),
            input: InputSpec { shape, interval, public_channels: 0..0 },
            nodes,
            outputs: vec![output],
            weights: WeightMode::Public,
        },
        weights: None,
        inputs: vec![InputStatement { commitment: [0; 32], public: vec![] }; batch],
        outputs: vec![vec![0]; batch],
        batch_outputs: vec![],
        context: vec![],
    }
}

/// Small programs that ask for much, each with the check that must refuse its statement.
fn bombs() -> Vec<(&'static str, Statement)> {
    let wide = |kernel: usize| Window { kernel: [1, kernel], stride: [1, 1], pad: [0; 4] };
    let mean = |kernel| Some(Op::AveragePool(AveragePool { window: wide(kernel) }));
    let extreme = |kernel| Some(Op::ExtremePool(ExtremePool { window: wide(kernel), smallest: false }));
    let line = |w| Shape::new(1, 1, w);
    let mut chain = huge(line(1 << 20), None, Output::ArgMax(0), 1);
    for i in 0..4096 {
        chain.program.nodes.push(node("", extreme(2).expect("an operator"), &[i]));
    }
    let mut repeated = huge(line(1 << 20), None, Output::ArgMax(0), 1);
    repeated.program.outputs = vec![Output::ArgMax(0); 4096];
    repeated.outputs = vec![vec![0; 4096]];
    // Windows at many places: wires, not cells, take the room.
    let windows = |op: fn(Window) -> Op| {
        let mut many = huge(line(1 << 14), Some(op(wide(256))), Output::ArgMax(1), 1);
        many.program.nodes = vec![many.program.nodes[0].clone(); 20];
        many
    };
    let product = Shape::new(1 << 40, 1 << 40, 1 << 40);
    let shift = Rescale { shift: u32::MAX, clamp: Interval { lo: i32::MIN, hi: i32::MAX } };
    let padded = Window { kernel: [usize::MAX; 2], stride: [usize::MAX; 2], pad: [usize::MAX - 1; 4] };
    let conv = |out_channels, groups, window, rescale| {
        Some(Op::Conv(Conv { out_channels, groups, window, weights: vec![], bias: vec![], rescale }))
    };
    let mut backwards = huge(line(3), None, Output::ArgMax(0), 1);
    backwards.program.input.public_channels = core::ops::Range { start: 1, end: 0 };
    let mut hollow = huge(line(3), None, Output::ArgMax(0), 1);
    hollow.program.input.interval = Interval { lo: i32::MIN, hi: i32::MAX };
    let mut crossed = huge(line(3), None, Output::ArgMax(0), 1);
    crossed.program.input.interval = Interval { lo: 1, hi: 0 };
    let unit = Rescale { shift: 0, clamp: Interval { lo: 0, hi: 1 } };
    let square = || {
        let mut outer = huge(Shape::new(1, 1 << 12, 1), None, Output::ArgMax(1), 4);
        outer.program.nodes = vec![node("", Op::MatMul(MatMul { transposed: true, rescale: unit }), &[0, 0])];
        outer
    };
    let repeated_product = || {
        let mut chain = huge(line(1 << 20), None, Output::ArgMax(0), 1);
        let product = Op::Multiply(Multiply { rescale: unit });
        chain.program.nodes = vec![node("", product, &[0, 0]); 40];
        chain
    };
    let reduce = |axes, factor, rescale| Some(Op::ReduceSum(ReduceSum { axes, factor, rescale }));
    let everything = Rescale { shift: 0, clamp: Interval { lo: i32::MIN, hi: i32::MAX } };
    vec![
        ("statement.size", huge(line(1 << 24), None, Output::ArgMax(0), 1)),
        ("statement.size", huge(line(1 << 20), None, Output::ArgMax(0), 4096)),
        ("statement.size", repeated),
        ("statement.size", chain),
        ("statement.program", huge(line(1 << 20), mean(1 << 10), Output::ArgMax(1), 1)),
        ("statement.program", huge(line(1 << 23), extreme(1 << 22), Output::ArgMax(1), 1)),
        ("statement.size", huge(line(1 << 14), extreme(1 << 8), Output::ArgMax(1), 64)),
        ("statement.size", windows(|window| Op::AveragePool(AveragePool { window }))),
        ("statement.size", windows(|window| Op::ExtremePool(ExtremePool { window, smallest: true }))),
        ("statement.program", huge(product, None, Output::ArgMax(0), 1)),
        ("statement.program", huge(line(0), None, Output::ArgMax(0), 1)),
        ("statement.program", huge(line(3), None, Output::ArgMax(usize::MAX), 1)),
        ("statement.program", huge(line(3), conv(1, 0, wide(1), shift), Output::ArgMax(1), 1)),
        ("statement.program", huge(line(3), conv(usize::MAX, 1, wide(1), shift), Output::ArgMax(1), 1)),
        ("statement.program", huge(line(3), conv(1, 1, padded, shift), Output::ArgMax(1), 1)),
        ("statement.program", huge(line(3), conv(0, usize::MAX, wide(0), shift), Output::ArgMax(1), 1)),
        ("statement.program", backwards),
        ("statement.program", hollow),
        ("statement.program", crossed),
        ("statement.batch", huge(line(3), None, Output::ArgMax(0), 4097)),
        ("statement.batch", huge(line(3), None, Output::ArgMax(0), 0)),
        ("statement.size", square()),
        ("statement.size", repeated_product()),
        ("statement.program", huge(line(1 << 20), None, Output::Committed(0), 8)),
        ("statement.program", huge(line(1 << 20), None, Output::Sum(0), 1)),
        (
            "statement.program",
            huge(line(3), Some(Op::Divide(Divide { scale: i32::MAX })), Output::ArgMax(1), 1),
        ),
        (
            "statement.program",
            huge(line(1 << 20), reduce([true; 3], i32::MIN, everything), Output::Sum(1), 1),
        ),
        ("statement.program", huge(line(1 << 20), reduce([true; 3], i32::MAX, shift), Output::Sum(1), 1)),
    ]
}

/// The committed corpus: name and bytes.
fn corpus() -> Vec<(String, Vec<u8>)> {
    let mut all = vec![
        ("proof-empty".into(), vec![]),
        ("proof-huge-inputs".into(), [&[VERSION][..], &[0; 32], &HUGE].concat()),
        ("proof-huge-body".into(), file(&HUGE)),
        ("proof-empty-body".into(), file(&[0])),
        ("proof-huge-root".into(), file(&[&[9][..], &HUGE].concat())),
        ("proof-huge-layers".into(), {
            // One root, then the three root elements of the look-ups, then a length.
            let body = [&[1][..], &[0; 32], &[0; 60], &HUGE].concat();
            file(&[&[body.len() as u8][..], &body].concat())
        }),
        ("proof-long-length".into(), file(&[0x80, 0x80, 0x80, 0x00])),
        ("proof-ones".into(), vec![0xff; 300]),
        ("program-empty".into(), vec![]),
        ("program-huge-name".into(), HUGE.to_vec()),
        ("program-ones".into(), vec![0xff; 64]),
    ];
    for (i, (check, statement)) in bombs().into_iter().enumerate() {
        let encoded = bytes(&statement);
        if encoded.len() < 4096 {
            all.push((format!("{check}-{i:02}"), encoded));
        }
    }
    all
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}

#[test]
fn the_corpus_is_refused_by_name() {
    if std::env::var_os("BLESS").is_some() {
        for (name, bytes) in corpus() {
            std::fs::write(folder().join(name + ".bin"), bytes).expect("the corpus is writable");
        }
    }
    let mut seen = 0;
    for entry in std::fs::read_dir(folder()).expect("the corpus is committed") {
        let path = entry.expect("a readable folder").path();
        let bytes = std::fs::read(&path).expect("a readable file");
        let name = path.file_stem().and_then(|n| n.to_str()).expect("a plain name").to_string();
        match name.split('-').next() {
            Some("proof") => proof_file(&bytes),
            Some("program") => assert!(!program(&bytes), "{name}"),
            Some(check) => assert_eq!(statement(&bytes), Some(check), "{name}"),
            None => panic!("{name}"),
        }
        seen += 1;
    }
    assert!(seen >= corpus().len(), "{seen} files");
    memory_is_bounded();
}

#[test]
fn statements_that_ask_for_too_much_are_refused_before_anything_is_allocated() {
    let before = std::time::Instant::now();
    for (i, (check, statement)) in bombs().into_iter().enumerate() {
        let refused = statement.blank_images().expect_err("too much").check;
        assert_eq!(refused, check, "bomb {i}");
    }
    println!("{} bombs in {:?}, peak {:?}", bombs().len(), before.elapsed(), peak_bytes());
    memory_is_bounded();
}

#[test]
fn random_bytes_are_no_proof_and_never_panic() {
    let mut rng = StdRng::seed_from_u64(90);
    for _ in 0..20_000 {
        let mut random = vec![0; rng.random_range(0..400)];
        rng.fill_bytes(&mut random);
        // Small bytes are read further than large ones.
        if rng.random() {
            random.iter_mut().for_each(|b| *b %= 5);
        }
        proof_file(&random);
        proof_file(&file(&random));
        program(&random);
        assert_ne!(statement(&random), None);
    }
    memory_is_bounded();
}

/// Changes a few bytes, or puts a huge length somewhere.
fn mutate(rng: &mut StdRng, honest: &[u8]) -> Vec<u8> {
    let mut lie = honest.to_vec();
    for _ in 0..rng.random_range(1..4) {
        if lie.is_empty() {
            break;
        }
        let at = rng.random_range(0..lie.len());
        match rng.random_range(0..6) {
            0 => lie[at] ^= 1 << rng.random_range(0..8),
            1 => lie[at] = rng.random(),
            2 => lie[at] = rng.random_range(0..4),
            3 => drop(lie.splice(at..at + 1, HUGE)),
            4 => drop(lie.remove(at)),
            _ => lie.truncate(at + 1),
        }
    }
    lie
}

#[test]
fn mutated_programs_and_statements_never_panic() {
    let mut rng = StdRng::seed_from_u64(91);
    let (mut programs, mut systems, mut refused) = (0, 0, std::collections::BTreeMap::new());
    for mode in [WeightMode::Public, WeightMode::Private] {
        let (a_program, a_statement) = (bytes(&every_operator(mode)), bytes(&honest(mode)));
        assert!(program(&a_program));
        assert_eq!(statement(&a_statement), None);
        for _ in 0..4000 {
            programs += usize::from(program(&mutate(&mut rng, &a_program)));
            match statement(&mutate(&mut rng, &a_statement)) {
                Some(check) => *refused.entry(check).or_insert(0) += 1,
                None => systems += 1,
            }
        }
    }
    // Mutations that change a weight or a name leave a program; the others must not all be stopped at the decoder.
    println!(
        "{programs} programs and {systems} systems of 8000; refused {refused:?}; peak {:?}",
        peak_bytes()
    );
    assert!(programs > 100 && systems > 100 && refused["statement.program"] > 100);
    memory_is_bounded();
}

#[test]
fn every_truncation_and_every_huge_length_is_refused_or_harmless() {
    let encoded = bytes(&honest(WeightMode::Public));
    for at in 0..encoded.len() {
        assert_eq!(statement(&encoded[..at]), Some("encoding"), "first {at} bytes");
        let mut lie = encoded[..at].to_vec();
        lie.extend(HUGE);
        lie.extend(&encoded[at + 1..]);
        statement(&lie);
    }
    memory_is_bounded();
}

#[test]
fn public_outputs_that_alias_in_the_field_are_refused() {
    let statement = honest(WeightMode::Public);
    let images = statement.blank_images().expect("an honest statement");
    assert!(statement.system(&images).is_ok());
    for (word, value) in [(0, 1 - 0x7f00_0001), (0, i32::MAX), (3, 3), (3, -1), (4, 2), (4, -1)] {
        let mut lie = statement.clone();
        lie.outputs[1][word] = value;
        assert_eq!(
            lie.system(&images).expect_err("no result").check,
            "statement.output",
            "word {word}: {value}"
        );
    }
    // Words of a committed output are field elements, of the batch a sum, counts and two values.
    for (word, value) in [(5, -1), (5, 0x7f00_0001), (12, i32::MIN)] {
        let mut lie = statement.clone();
        lie.outputs[0][word] = value;
        assert_eq!(
            lie.system(&images).expect_err("no result").check,
            "statement.output",
            "word {word}: {value}"
        );
    }
    let aliases = [(0, -3 - 0x7f00_0001i64), (0, 101), (1, 3), (1, -1), (2, 3), (3, -46), (4, 51)];
    for (word, value) in aliases {
        let mut lie = statement.clone();
        lie.batch_outputs[word] = value as i32;
        assert_eq!(
            lie.system(&images).expect_err("no result").check,
            "statement.output",
            "word {word}: {value}"
        );
    }
    for batch_outputs in [vec![], vec![-3, 1, 2, -4], vec![-3, 1, 2, -4, 5, 0]] {
        let lie = Statement { batch_outputs, ..statement.clone() };
        assert_eq!(lie.system(&images).expect_err("other words").check, "statement.output");
    }
    let mut lie = statement.clone();
    lie.inputs[0].commitment[..4].copy_from_slice(&0x7f00_0001u32.to_le_bytes());
    assert_eq!(lie.system(&images).expect_err("not canonical").check, "commitment.encoding");
    assert_eq!(limits::MAX_BATCH, 4096, "the bombs above are sized for this limit");
}

//! Small programs with inputs, their witnesses, and what of a system a witness violates.
#![allow(dead_code)] // Each test file uses a part.

use std::collections::BTreeSet;

use p3_field::PrimeCharacteristicRing;
use proofmesh_graph::arith::{Arithmetized, Builder, Logs, Traces};
use proofmesh_graph::assemble::{self, Secrets};
use proofmesh_graph::hash::{RATE, Salt};
use proofmesh_graph::op::{Conv, ExtremePool, Op, Rescale, Window};
use proofmesh_graph::program::{InputSpec, Interval, Node, Output, Program, WeightMode};
use proofmesh_graph::statement::{Images, Statement};
use proofmesh_graph::tensor::{Shape, Tensor};
use proofmesh_proof::field::F;
use proofmesh_proof::profile::Kind;
use proofmesh_proof::system::{SumClaim, SumPoint, System};
use proofmesh_prover::{Job, ProveError, Proved, prove, prove_as, salt, satisfied, state};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// A program and what one proof of it needs.
#[derive(Clone)]
pub struct Toy {
    pub program: Program,
    pub inputs: Vec<Tensor>,
    pub salts: Vec<Salt>,
    pub weight_salt: Salt,
    pub context: Vec<u8>,
}

/// Cells that are said to satisfy the system of a statement.
#[derive(Clone)]
pub struct Witness {
    pub statement: Statement,
    pub system: System,
    pub cells: Vec<Vec<F>>,
    /// The honest values of the sums inside look-ups' keys.
    pub sums: Vec<Vec<F>>,
}

/// A node.
pub fn node(name: &str, op: Op, inputs: &[usize]) -> Node {
    Node { name: name.into(), op, inputs: inputs.to_vec() }
}

/// A window without padding.
pub fn window(kernel: [usize; 2], stride: [usize; 2]) -> Window {
    Window { kernel, stride, pad: [0; 4] }
}

/// A rescale.
pub fn rescale(shift: u32, lo: i32, hi: i32) -> Rescale {
    Rescale { shift, clamp: Interval { lo, hi } }
}

/// A convolution from `from` to `to` channels with random weights below 60 in absolute value.
pub fn conv(
    rng: &mut StdRng,
    [from, to, groups]: [usize; 3],
    window: Window,
    rescale: Rescale,
    bias: i32,
) -> Op {
    let count = to * from / groups * window.kernel[0] * window.kernel[1];
    let weight = |_| match rng.random_range(-60..60) {
        0 => 1,
        w => w,
    };
    Op::Conv(Conv {
        out_channels: to,
        groups,
        window,
        weights: (0..count).map(weight).collect(),
        bias: vec![bias; to],
        rescale,
    })
}

/// A program over an input in `[-127, 127]`.
pub fn program(shape: [usize; 3], nodes: Vec<Node>, outputs: Vec<Output>, weights: WeightMode) -> Program {
    let [c, h, w] = shape;
    Program {
        name: "toy".into(),
        input: InputSpec {
            shape: Shape::new(c, h, w),
            interval: Interval { lo: -127, hi: 127 },
            public_channels: 0..0,
        },
        nodes,
        outputs,
        weights,
    }
}

/// The program of /vectors/proof.json: a convolution, a pool and a dense layer on a batch of two.
pub fn of_vectors(weights: WeightMode) -> Toy {
    let mut rng = StdRng::seed_from_u64(1);
    let nodes = vec![
        node("conv", conv(&mut rng, [1, 3, 1], window([2, 2], [1, 1]), rescale(7, 0, 127), 100), &[0]),
        node("max", Op::ExtremePool(ExtremePool { window: window([2, 2], [2, 1]), smallest: false }), &[1]),
        node("dense", conv(&mut rng, [3, 4, 1], window([1, 2], [1, 1]), rescale(7, -127, 127), -50), &[2]),
    ];
    let mut program = program([1, 3, 4], nodes, vec![Output::Values(3), Output::ArgMax(3)], weights);
    program.name = "vector".into();
    Toy::random(program, 2, 2)
}

impl Toy {
    /// A program on given inputs, salts from a seed.
    pub fn new(program: Program, inputs: Vec<Tensor>, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let salts = inputs.iter().map(|_| salt(&mut rng)).collect();
        let weight_salt = salt(&mut rng);
        Self { program, inputs, salts, weight_salt, context: b"job 7, device 3".to_vec() }
    }

    /// A program on random inputs.
    pub fn random(program: Program, batch: usize, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let (shape, Interval { lo, hi }) = (program.input.shape, program.input.interval);
        let mut tensor =
            |_| Tensor { shape, data: (0..shape.len()).map(|_| rng.random_range(lo..=hi)).collect() };
        let inputs = (0..batch).map(&mut tensor).collect();
        Self::new(program, inputs, seed + 1)
    }

    /// A program on inputs given as lists.
    pub fn with_inputs(program: Program, inputs: &[&[i32]]) -> Self {
        let shape = program.input.shape;
        let tensor = |data: &&[i32]| Tensor::new(shape, data.to_vec()).expect("as many values as elements");
        Self::new(program, inputs.iter().map(tensor).collect(), 77)
    }

    pub fn job(&self) -> Job<'_> {
        let Self { program, inputs, salts, weight_salt, context } = self;
        Job { program, inputs, salts, weight_salt: Some(*weight_salt), context }
    }

    /// An honest proof.
    pub fn prove(&self, seed: u64) -> Proved {
        prove(&self.job(), &mut StdRng::seed_from_u64(seed)).expect("an honest execution proves")
    }

    /// An honest proof under a profile.
    pub fn prove_as(&self, profile: Kind, seed: u64) -> Proved {
        let mut rng = StdRng::seed_from_u64(seed);
        prove_as(profile, &self.job(), &mut rng).expect("an honest execution proves")
    }

    /// The honest statement and its executions.
    pub fn state(&self) -> (Statement, Traces) {
        let (statement, _, traces) = state(&self.job()).expect("an honest job");
        (statement, traces)
    }

    /// The images of the honest lattice commitments.
    pub fn images(&self) -> Images {
        state(&self.job()).expect("an honest job").1
    }

    /// The cells of given executions under a given statement.
    pub fn witness_of(&self, statement: Statement, traces: &Traces) -> Witness {
        self.witness_with(statement, &self.images(), traces)
    }

    /// The same for images of other commitments.
    pub fn witness_with(&self, statement: Statement, images: &Images, traces: &Traces) -> Witness {
        let weight_salt =
            if self.program.weights == WeightMode::Private { self.weight_salt } else { [F::ZERO; RATE] };
        let secrets = Secrets { program: &self.program, salts: &self.salts, weight_salt };
        let builder = Builder::new(self.inputs.len(), Some(traces));
        let built = assemble::build(builder, &statement, images, Some(&secrets));
        let built = built.expect("a statement of the toy");
        Witness { statement, system: built.system, cells: built.cells, sums: built.sums }
    }

    /// The honest cells.
    pub fn witness(&self) -> Witness {
        let (statement, traces) = self.state();
        self.witness_of(statement, &traces)
    }

    /// Cells in which one element of a node's result is another value and everything after it, the statement's outputs included, agrees
    /// with that. The node's own quotient stays honest.
    pub fn forged(&self, node: &str, batch: usize, element: usize, value: i64) -> Witness {
        let id = 1 + self.program.nodes.iter().position(|n| n.name == node).expect("a node of the program");
        let (mut statement, honest) = self.state();
        let mut lied = Traces { values: honest.values.clone() };
        lied.values[batch][id].data[element] = value as i32;
        for (i, node) in self.program.nodes.iter().enumerate().skip(id) {
            let operands: Vec<&Tensor> = node.inputs.iter().map(|v| &lied.values[batch][*v]).collect();
            let result = node.op.row().execute(&operands);
            lied.values[batch][i + 1] = result;
        }
        statement.outputs[batch] = self.program.outputs_of(&lied.values[batch], &self.salts[batch]);
        if let Ok(words) = self.program.batch_outputs_of(&lied.values) {
            statement.batch_outputs = words;
        }
        // A last node's other columns are filled from its honest result.
        let traces = if id == self.program.nodes.len() { honest } else { lied };
        let mut witness = self.witness_of(statement, &traces);
        let at = self.cell(id, batch, element);
        witness.column(node)[at] = F::from_i64(value);
        witness
    }

    /// The honest executions under a statement with other public words: of one input, or of the batch.
    pub fn claiming(&self, batch: Option<usize>, word: usize, value: i32) -> Witness {
        let (mut statement, traces) = self.state();
        let words = batch.map_or(&mut statement.batch_outputs, |b| &mut statement.outputs[b]);
        assert_ne!(words[word], value, "the lie must be one");
        words[word] = value;
        self.witness_of(statement, &traces)
    }

    /// An honest witness, changed.
    pub fn changed(&self, change: impl FnOnce(&mut Witness)) -> Witness {
        let mut witness = self.witness();
        change(&mut witness);
        witness
    }

    /// Cell of an element of a value in its column.
    pub fn cell(&self, value: usize, batch: usize, element: usize) -> usize {
        let shape = self.program.check().expect("a well-formed toy")[value].shape;
        let logs = Logs::new(self.inputs.len(), shape);
        (batch << logs.element()) + logs.cell_of(shape, element)
    }
}

impl Witness {
    /// Index of the column with a name.
    pub fn index(&self, name: &str) -> usize {
        let found = self.system.columns.iter().position(|c| c.name == name);
        found.unwrap_or_else(|| panic!("no column `{name}`"))
    }

    /// A column's cells.
    pub fn column(&mut self, name: &str) -> &mut Vec<F> {
        let index = self.index(name);
        &mut self.cells[index]
    }

    /// A cell as a small signed integer.
    pub fn small(&self, name: &str, cell: usize) -> i64 {
        let v = i64::from(p3_field::PrimeField32::as_canonical_u32(&self.cells[self.index(name)][cell]));
        let p = i64::from(<F as p3_field::PrimeField32>::ORDER_U32);
        if v > p / 2 { v - p } else { v }
    }

    /// An element of a value, in whichever piece of the value's column it lies.
    pub fn element(&mut self, toy: &Toy, value: usize, batch: usize, element: usize) -> &mut F {
        let name = if value == 0 { "input" } else { &toy.program.nodes[value - 1].name };
        if self.system.columns.iter().any(|c| c.name == name) {
            return &mut self.column(name)[toy.cell(value, batch, element)];
        }
        let shape = toy.program.check().expect("a well-formed toy")[value].shape;
        let [batch_log, channel_log, _] = Logs::new(toy.inputs.len(), shape).axes;
        let (channel, place) = (element / (shape.h * shape.w), element % (shape.h * shape.w));
        let start = |c: &str| c.strip_prefix(name)?.strip_prefix(" [")?.strip_suffix("..]")?.parse().ok();
        let pieces = self.system.columns.iter().enumerate();
        let starts = pieces.filter_map(|(i, c)| Some((start(&c.name)?, i))).filter(|(s, _)| *s <= place);
        let (start, piece): (usize, usize) = starts.max().expect("a piece holds the element");
        let log = self.system.columns[piece].log - batch_log - channel_log;
        &mut self.cells[piece][((batch << channel_log | channel) << log) + place - start]
    }

    /// Adds to a cell.
    pub fn add(&mut self, name: &str, cell: usize, delta: i64) {
        self.column(name)[cell] += F::from_i64(delta);
    }

    /// What the prover is given.
    pub fn arithmetized(self) -> Arithmetized {
        Arithmetized { system: self.system, cells: self.cells, sums: self.sums }
    }

    /// The claim that the prover names, if it refuses.
    pub fn named(&self) -> Option<String> {
        name(satisfied(&self.system, self.cells.clone(), &mut StdRng::seed_from_u64(99)))
    }

    /// The names of all claims that the cells violate, each judged alone.
    pub fn violated(&self) -> BTreeSet<String> {
        self.violated_among("")
    }

    /// The same among the claims whose name starts with the prefix.
    pub fn violated_among(&self, prefix: &str) -> BTreeSet<String> {
        let System { columns, tables, lookups, sums, linears, tau_len } = &self.system;
        let bare = System {
            columns: columns.clone(),
            tables: tables.clone(),
            tau_len: *tau_len,
            ..System::default()
        };
        let ours = |name: &str| name.starts_with(prefix);
        let keyed = |at: usize| {
            let inner = sums.iter().filter(move |s| s.point == SumPoint::Row(at));
            inner.map(|s| SumClaim { point: SumPoint::Row(0), ..s.clone() }).collect()
        };
        let lookups = lookups.iter().enumerate().filter(|(_, l)| ours(&l.name));
        let alone = sums.iter().filter(|s| ours(&s.name) && s.point == SumPoint::Tau);
        let linears = linears.iter().filter(|l| ours(&l.name));
        let lookups =
            lookups.map(|(at, l)| System { lookups: vec![l.clone()], sums: keyed(at), ..bare.clone() });
        let alone = alone.map(|s| System { sums: vec![s.clone()], ..bare.clone() });
        let linears = linears.map(|l| System { linears: vec![l.clone()], ..bare.clone() });
        let mut rng = StdRng::seed_from_u64(98);
        let judge = |one: System| name(satisfied(&one, self.cells.clone(), &mut rng));
        lookups.chain(alone).chain(linears).filter_map(judge).collect()
    }
}

/// Asserts that exactly the named claims refuse the cells, and that the prover names the first of them.
pub fn refused(what: &str, witness: &Witness, claims: &[&str]) {
    let expected: BTreeSet<String> = claims.iter().map(|c| c.to_string()).collect();
    assert_eq!(witness.violated(), expected, "{what}");
    match witness.named() {
        Some(name) => assert!(expected.contains(&name), "{what}: the prover named `{name}`"),
        None => assert!(expected.is_empty(), "{what}: the prover named nothing"),
    }
}

/// Asserts that the named claims refuse the cells, and at most those of the second list beside them: a remainder that moves may stay in
/// range.
pub fn refused_by(what: &str, witness: &Witness, claims: &[&str], perhaps: &[&str]) {
    let violated = witness.violated();
    let known = |c: &String| claims.contains(&c.as_str()) || perhaps.contains(&c.as_str());
    assert!(
        claims.iter().all(|c| violated.contains(*c)) && violated.iter().all(known),
        "{what}: {violated:?}"
    );
    assert!(witness.named().is_some(), "{what}: the prover named nothing");
}

/// The name in a refusal.
fn name(result: Result<(), ProveError>) -> Option<String> {
    match result {
        Ok(()) => None,
        Err(ProveError::Unsatisfied(name)) => Some(name),
        Err(other) => panic!("no claim refuses: {other}"),
    }
}

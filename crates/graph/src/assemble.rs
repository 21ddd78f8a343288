//! Puts a statement's system together: input and its commitment, private weights and theirs, one operator after the other, outputs.

use alloc::vec::Vec;
use p3_field::PrimeCharacteristicRing;
use proofmesh_proof::field::{F, int};
use proofmesh_proof::lattice::{RING, RING_LOG};
use proofmesh_proof::reject::Reject;
use proofmesh_proof::system::Axis;

use crate::arith::{
    Absorbed, Arithmetized, Builder, Layout, Logs, SmallTensor, Stretch, ValueColumn, column, entry, expr,
    stated, wire,
};
use crate::hash::{RATE, Salt};
use crate::lattice::{self, SALT_BLOCKS};
use crate::limits;
use crate::op::{Conv, PrivateWeights, Site, padded};
use crate::outputs::{self, output_salts};
use crate::program::{InputSpec, Interval, Output, Program, ValueType, WeightMode};
use crate::statement::{Images, Statement, input_packing};
use crate::tensor::Tensor;
use crate::words::{Class, Word, Words};

/// The prover's secrets beside the traces.
pub struct Secrets<'a> {
    /// The whole program, private weights included.
    pub program: &'a Program,
    /// One salt an input.
    pub salts: &'a [Salt],
    /// Salt of the weights' commitment.
    pub weight_salt: Salt,
}

/// The private elements of an input, offset to be non-negative.
pub fn private_values(program: &Program, input: &Tensor) -> Vec<u32> {
    let lo = i64::from(program.input.interval.lo);
    program.input.private_elements().into_iter().map(|i| (i64::from(input.data[i]) - lo) as u32).collect()
}

/// Biases of so many bits as `low + 2^12 high + 2^11`, both digits signed: low ones of 12 bits, high ones of the rest. Together where both have
/// 12.
fn bias_digits(conv: &Conv) -> Vec<(SmallTensor, Vec<i32>)> {
    let bits = conv.private_bias_bits() - lattice::CELL_BITS;
    let half = lattice::HALF as i32;
    let v = |bias: &i32| bias + (1 << (bits + lattice::CELL_BITS - 1));
    let low = |bias: &i32| (v(bias) & 0xfff) - half;
    let high = |bias: &i32| (v(bias) >> lattice::CELL_BITS) - (1 << (bits - 1));
    let tensor = |bits, digits| SmallTensor { shape: alloc::vec![conv.out_channels, digits], bits };
    if bits == lattice::CELL_BITS {
        let both = conv.bias.iter().flat_map(|b| [low(b), high(b)]).collect();
        return alloc::vec![(tensor(bits, 2), both)];
    }
    let each = |bits, values| (tensor(bits, 1), values);
    let (low, high) = (conv.bias.iter().map(low).collect(), conv.bias.iter().map(high).collect());
    alloc::vec![each(lattice::CELL_BITS, low), each(bits, high)]
}

fn convs(program: &Program) -> impl Iterator<Item = (usize, &Conv)> {
    program.nodes.iter().enumerate().filter_map(|(i, n)| n.op.conv().map(|op| (i, op)))
}

/// Where private weights lie in their vector: of each convolution the weights `[out][in / groups][kernel]`, then the bias' digits.
fn weight_layout(program: &Program, types: &[ValueType]) -> Layout {
    let tensors = convs(program).flat_map(|(i, conv)| {
        let operand = types[program.nodes[i].inputs[0]];
        let shape = alloc::vec![conv.out_channels, conv.group_inputs(operand.shape.c), conv.window.places()];
        let weights = SmallTensor { shape, bits: conv.private_bits(operand) };
        core::iter::once(weights).chain(bias_digits(conv).into_iter().map(|(tensor, _)| tensor))
    });
    Layout::new(tensors.collect())
}

/// The vector of all private weights, with the salt of its commitment. The types are the program's.
pub fn weight_cells(program: &Program, types: &[ValueType], salt: &Salt) -> Vec<F> {
    let tensors = |(_, conv): (usize, &Conv)| {
        let digits: Vec<Vec<i32>> = bias_digits(conv).into_iter().map(|(_, digits)| digits).collect();
        core::iter::once(conv.weights.clone()).chain(digits)
    };
    let values: Vec<Vec<i32>> = convs(program).flat_map(tensors).collect();
    lattice::salted(weight_layout(program, types).cells(&values), salt)
}

/// Cells of the private weights' vector, salt included.
///
/// Errors: a program that does not check.
pub fn weight_cell_count(program: &Program) -> Result<usize, Reject> {
    let types = program.check().map_err(|e| Reject::new("statement.program", "a valid program", e))?;
    Ok((weight_layout(program, &types).blocks() + SALT_BLOCKS) * RING)
}

/// Cells of one large input's vector, salt included.
pub fn input_cell_count(program: &Program) -> usize {
    (1 << Logs::new(1, program.input.shape).element()) + SALT_BLOCKS * RING
}

/// Whether an input's commitment is a lattice one: it then costs a cell for each of its elements, and a salt of 21,504.
pub fn has_large_input(program: &Program) -> bool {
    let InputSpec { shape, interval, public_channels } = &program.input;
    let span = i64::from(interval.hi) - i64::from(interval.lo);
    // Claims over whole columns count on zeros as padding, which must be bounded like elements.
    let zeros = interval.lo <= 0 && interval.hi >= 0;
    zeros
        && public_channels.is_empty()
        && shape.len() > limits::MAX_ABSORBED
        && span < 1 << lattice::CELL_BITS
}

/// The cells of one large input: its elements as they lie in the column, padding that passes for elements, and salt.
pub fn input_cells(program: &Program, input: &Tensor, salt: &Salt) -> Vec<F> {
    lattice::salted(padded_input(&program.input, input), salt)
}

/// One input's part of its column.
fn padded_input(spec: &InputSpec, input: &Tensor) -> Vec<F> {
    let logs = Logs::new(1, spec.shape);
    let spare = 0.clamp(spec.interval.lo, spec.interval.hi);
    let mut cells = alloc::vec![int(i64::from(spare)); 1 << logs.element()];
    for (i, v) in input.data.iter().enumerate() {
        cells[logs.cell_of(spec.shape, i)] = int(i64::from(*v));
    }
    cells
}

/// About how many cells, look-ups and wire entries a statement takes, before anything is allocated. The types are the program's.
pub fn work(program: &Program, types: &[ValueType], batch: usize) -> u64 {
    // An input value is a cell, a look-up, and with its digit a share of a permutation's 160 cells. A salt cell of a lattice commitment is
    // a cell, a look-up and a coefficient of a public element.
    let mut total = padded(types[0].shape, batch).saturating_mul(32);
    let salts = if has_large_input(program) { batch.next_power_of_two() } else { 0 };
    let salts = salts + usize::from(program.weights == WeightMode::Private);
    total = total.saturating_add((salts * 3 * (SALT_BLOCKS + 2) * RING) as u64);
    for (i, node) in program.nodes.iter().enumerate() {
        let operands: Vec<ValueType> = node.inputs.iter().map(|id| types[*id]).collect();
        total = total.saturating_add(node.op.row().work(&operands, types[i + 1].shape, batch));
    }
    // A committed output costs what an input does and the wires of two permutations, a count a table.
    let output = |o: &Output| match o {
        Output::Committed(v) => {
            (1 << 14) + padded(types[*v].shape, batch).saturating_mul(32) + 320 * batch as u64
        }
        other => padded(types[other.value()].shape, batch).saturating_mul(8),
    };
    program.outputs.iter().fold(total, |total, o| total.saturating_add(output(o)))
}

/// Builds the system; with secrets and traces also the cells.
pub fn build(
    mut b: Builder<'_>,
    statement: &Statement,
    images: &Images,
    secrets: Option<&Secrets<'_>>,
) -> Result<Arithmetized, Reject> {
    let program = &statement.program;
    let types = program.check().map_err(|e| Reject::new("statement.program", "a valid program", e))?;
    let words = Words::new(statement, &types)?;
    let private = match program.weights {
        WeightMode::Private => Some(private_weights(&mut b, program, &types, secrets)),
        WeightMode::Public => None,
    };
    let (first, large) = if has_large_input(program) {
        let (value, stretches) = large_input(&mut b, program, types[0], secrets);
        (value, Some(stretches))
    } else {
        (input(&mut b, program, &words, types[0], secrets), None)
    };
    let mut columns = alloc::vec![first];
    for node in &program.nodes {
        let operands: Vec<ValueType> = node.inputs.iter().map(|id| types[*id]).collect();
        if let Some((rescale, reach)) = node.op.row().rescale_reach(&operands, program.weights) {
            b.announce_clamp(rescale, reach);
        }
    }
    for (i, node) in program.nodes.iter().enumerate() {
        let operands: Vec<ValueColumn> = node.inputs.iter().map(|id| columns[*id]).collect();
        // The prover's copy of the node holds the private weights that its accumulators need.
        let op = secrets.map_or(&node.op, |s| &s.program.nodes[i].op);
        let site = Site {
            name: &node.name,
            id: i + 1,
            inputs: &node.inputs,
            operands: &operands,
            ty: types[i + 1],
            mode: program.weights,
            private: private.as_ref().and_then(|p| p.nodes[i].as_ref()),
        };
        columns.push(ValueColumn { column: op.row().constrain(&mut b, &site), ty: types[i + 1] });
    }
    let (mut word, mut batch_word, mut class) = (0, 0, 0);
    for (i, output) in program.outputs.iter().enumerate() {
        let value = columns[output.value()];
        let outputs::Words { count, batch, .. } = output.words(&value.ty, b.batch);
        let claimed: Vec<&[Word]> = if batch {
            batch_word += count;
            alloc::vec![&words.batch[batch_word - count..batch_word]]
        } else {
            word += count;
            words.outputs.iter().map(|o| &o[word - count..word]).collect()
        };
        let classes: Vec<&Class> = match output {
            Output::ArgMax(_) => {
                class += 1;
                words.classes.iter().map(|input| &input[class - 1]).collect()
            }
            _ => Vec::new(),
        };
        let salts = secrets.filter(|_| matches!(output, Output::Committed(_)));
        let salts = salts.map(|s| output_salts(s.program, s.salts, i));
        let name = alloc::format!("output {i}");
        let site = outputs::Site {
            name: &name,
            value,
            id: output.value(),
            claimed: &claimed,
            classes: &classes,
            salts,
        };
        outputs::constrain(&mut b, output, &site);
    }
    if let Some(private) = &private {
        let image =
            images.weights.as_ref().ok_or_else(|| Reject::new("statement.weights", "an image", "none"))?;
        b.image("weight commitment", &private.stretches, core::slice::from_ref(image));
    }
    if let Some(stretches) = &large {
        if images.inputs.len() != b.batch {
            return Err(Reject::new(
                "statement.input",
                alloc::format!("{} images", b.batch),
                images.inputs.len(),
            ));
        }
        b.image("input commitment", stretches, &images.inputs);
    }
    Ok(b.finish())
}

/// A large input's column, bounded in every cell, and what its commitment covers: the column, then salt.
fn large_input(
    b: &mut Builder<'_>,
    program: &Program,
    ty: ValueType,
    secrets: Option<&Secrets<'_>>,
) -> (ValueColumn, Vec<Stretch>) {
    let spec = &program.input;
    let Interval { lo, hi } = spec.interval;
    let (vars, element) = (Logs::new(b.batch, spec.shape).total(), Logs::new(1, spec.shape).element());
    let column_id = b.column("input", vars, |traces| {
        let mut cells: Vec<F> =
            traces.values.iter().flat_map(|trace| padded_input(spec, &trace[0])).collect();
        cells.resize(1 << vars, int(i64::from(0.clamp(lo, hi))));
        cells
    });
    let mut key = expr(alloc::vec![column(F::ONE, column_id, alloc::vec![Axis::Var(0..vars)])]);
    key.constant = int(-i64::from(lo));
    b.range("input: interval", i64::from(hi) - i64::from(lo) + 1, vars, key, Vec::new());
    let inputs = b.traces.iter().flat_map(|t| &t.values).zip(secrets.iter().flat_map(|s| s.salts));
    let salts: Vec<Vec<F>> =
        inputs.map(|(trace, salt)| lattice::salt_cells(salt, &padded_input(spec, &trace[0]))).collect();
    let log = element - RING_LOG;
    let mut stretches = alloc::vec![Stretch { first: 0, log, column: column_id }];
    let salts: Vec<&[F]> = salts.iter().map(Vec::as_slice).collect();
    let blocks = 1 << log..(1 << log) + SALT_BLOCKS;
    stretches.extend(b.small_cells("input commitment", lattice::CELL_BITS, b.batch, blocks, &salts));
    (ValueColumn { column: column_id, ty }, stretches)
}

/// The input's column: bounded, equal to the public elements where they are public, committed elsewhere.
fn input(
    b: &mut Builder<'_>,
    program: &Program,
    words: &Words,
    ty: ValueType,
    secrets: Option<&Secrets<'_>>,
) -> ValueColumn {
    let spec = &program.input;
    let column_id =
        b.value_column("input", spec.shape, |_, trace| trace[0].data.iter().map(|v| i64::from(*v)).collect());
    b.interval("input: interval", column_id, spec.shape, spec.interval);
    let logs = Logs::new(b.batch, spec.shape);
    let shown = spec.public_elements();
    if !shown.is_empty() {
        let mut values = alloc::vec![Word::PADDING; 1 << logs.total()];
        for (i, input) in words.inputs.iter().enumerate() {
            for (element, word) in shown.iter().zip(&input.public) {
                values[(i << logs.element()) + logs.cell_of(spec.shape, *element)] = *word;
            }
        }
        let [batch, c, plane] = logs.ranges();
        b.reserve(plane.end);
        let channels = wire(
            c.clone(),
            0..0,
            c.len(),
            spec.public_channels.clone().map(|i| entry(i, 0, i, F::ONE)).collect(),
        );
        let read = alloc::vec![Axis::Tau(batch.clone()), channels, Axis::Tau(plane)];
        let known = stated(-F::ONE, &values, alloc::vec![Axis::Tau(batch.start..logs.total())]);
        b.linear("input: public elements", expr(alloc::vec![column(F::ONE, column_id, read), known]));
    }
    let hidden = spec.private_elements();
    let absorbed: Vec<Absorbed> = hidden
        .iter()
        .map(|i| Absorbed {
            column: column_id,
            cell: logs.cell_of(spec.shape, *i),
            offset: -i64::from(spec.interval.lo),
        })
        .collect();
    if !absorbed.is_empty() {
        let digests: Vec<[Word; RATE]> = words.inputs.iter().filter_map(|i| i.digest).collect();
        let witness = match (b.traces, secrets) {
            (Some(t), Some(s)) => {
                let values = t.values.iter().map(|trace| private_values(program, &trace[0])).collect();
                Some((values, s.salts.to_vec()))
            }
            _ => None,
        };
        b.sponge("input commitment", input_packing(program), &absorbed, &digests, witness);
    }
    ValueColumn { column: column_id, ty }
}

/// The private weights' columns, and where each convolution's tensors lie in them.
struct Private {
    stretches: Vec<Stretch>,
    nodes: Vec<Option<PrivateWeights>>,
}

/// Columns of private weights and salt: every cell is range-checked, and bound by the commitment's image.
fn private_weights(
    b: &mut Builder<'_>,
    program: &Program,
    types: &[ValueType],
    secrets: Option<&Secrets<'_>>,
) -> Private {
    let layout = weight_layout(program, types);
    let cells = secrets.map(|s| weight_cells(s.program, types, &s.weight_salt));
    let stretches = layout.columns(b, "weight commitment", SALT_BLOCKS, cells.as_deref());
    let mut tensors = layout.tensors(&stretches).into_iter();
    let mut nodes = alloc::vec![None; program.nodes.len()];
    for (i, conv) in convs(program) {
        if let Some(weights) = tensors.next() {
            let bias = tensors.by_ref().take(bias_digits(conv).len()).collect();
            nodes[i] = Some(PrivateWeights { weights, bias });
        }
    }
    Private { stretches, nodes }
}

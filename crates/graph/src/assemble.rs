//! Puts a statement's system together: input and its commitment, private weights and theirs, one operator after the other, outputs.

use alloc::vec::Vec;
use p3_field::PrimeCharacteristicRing;
use proofmesh_proof::field::{F, int, log2_ceil};
use proofmesh_proof::reject::Reject;
use proofmesh_proof::system::{Axis, ColumnId};

use crate::arith::{
    Absorbed, Arithmetized, Builder, Logs, ValueColumn, column, entry, expr, public, real_var, wire,
};
use crate::hash::{self, Packing, Salt};
use crate::limits;
use crate::op::{Conv, PrivateWeights, Site, padded};
use crate::outputs::{self, output_salts};
use crate::program::{Output, Program, ValueType, WeightMode};
use crate::statement::{Statement, input_packing};
use crate::tensor::Tensor;

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

/// 12-bit digits of `bias + 2^23`.
fn bias_limbs(bias: i32) -> [u32; 2] {
    let v = (i64::from(bias) + (1 << (limits::PRIVATE_BIAS_BITS - 1))) as u32;
    [v & 0xfff, v >> 12]
}

fn convs(program: &Program) -> impl Iterator<Item = (usize, &Conv)> {
    program.nodes.iter().enumerate().filter_map(|(i, n)| n.op.conv().map(|op| (i, op)))
}

/// How weights and bias limbs are absorbed.
fn weight_packing(len: usize) -> Packing {
    let bits = limits::PRIVATE_WEIGHT_BITS;
    Packing { len, bits: bits as usize, offset: 1 << (bits - 1) }
}

/// All private weights and bias limbs in the order in which their commitment absorbs them.
pub fn weight_values(program: &Program) -> (Packing, Vec<u32>) {
    let half = 1i64 << (limits::PRIVATE_WEIGHT_BITS - 1);
    let mut values = Vec::new();
    for (_, conv) in convs(program) {
        values.extend(conv.weights.iter().map(|w| (i64::from(*w) + half) as u32));
        values.extend(conv.bias.iter().flat_map(|b| bias_limbs(*b)));
    }
    (weight_packing(values.len()), values)
}

/// About how many cells, look-ups and wire entries a statement takes, before anything is allocated. The types are the program's.
pub fn work(program: &Program, types: &[ValueType], batch: usize) -> u64 {
    // An input value is a cell, a look-up, and with its digit a share of a permutation's 160 cells.
    let mut total = padded(types[0].shape, batch).saturating_mul(32);
    for (i, node) in program.nodes.iter().enumerate() {
        let operands: Vec<ValueType> = node.inputs.iter().map(|id| types[*id]).collect();
        total = total.saturating_add(node.op.row().work(&operands, types[i + 1].shape, batch));
    }
    // A committed output costs what an input does, a count a table.
    let output = |o: &Output| match o {
        Output::Committed(v) => padded(types[*v].shape, batch).saturating_mul(32),
        other => padded(types[other.value()].shape, batch).saturating_mul(8),
    };
    program.outputs.iter().fold(total, |total, o| total.saturating_add(output(o)))
}

/// Builds the system; with secrets and traces also the cells.
pub fn build(
    mut b: Builder<'_>,
    statement: &Statement,
    secrets: Option<&Secrets<'_>>,
) -> Result<Arithmetized, Reject> {
    let program = &statement.program;
    let types = program.check().map_err(|e| Reject::new("statement.program", "a valid program", e))?;
    let private = match program.weights {
        WeightMode::Private => private_weights(&mut b, statement, &types, secrets)?,
        WeightMode::Public => alloc::vec![None; program.nodes.len()],
    };
    let mut columns = alloc::vec![input(&mut b, statement, types[0], secrets)?];
    for node in &program.nodes {
        let operands: Vec<ValueType> = node.inputs.iter().map(|id| types[*id]).collect();
        if let Some((rescale, bound)) = node.op.row().rescale_bound(&operands, program.weights) {
            b.announce_clamp(rescale, bound);
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
            private: private[i],
        };
        columns.push(ValueColumn { column: op.row().constrain(&mut b, &site), ty: types[i + 1] });
    }
    let (mut word, mut batch_word) = (0, 0);
    for (i, output) in program.outputs.iter().enumerate() {
        let value = columns[output.value()];
        let words = output.words(&value.ty, b.batch);
        let claimed: Vec<&[i32]> = if words.batch {
            batch_word += words.count;
            alloc::vec![&statement.batch_outputs[batch_word - words.count..batch_word]]
        } else {
            word += words.count;
            statement.outputs.iter().map(|o| &o[word - words.count..word]).collect()
        };
        let salts = secrets.filter(|_| matches!(output, Output::Committed(_)));
        let salts = salts.map(|s| output_salts(s.program, s.salts, i));
        let name = alloc::format!("output {i}");
        let site = outputs::Site { name: &name, value, id: output.value(), claimed: &claimed, salts };
        outputs::constrain(&mut b, output, &site)?;
    }
    Ok(b.finish())
}

/// The input's column: bounded, equal to the public elements where they are public, committed elsewhere.
fn input(
    b: &mut Builder<'_>,
    statement: &Statement,
    ty: ValueType,
    secrets: Option<&Secrets<'_>>,
) -> Result<ValueColumn, Reject> {
    let spec = &statement.program.input;
    let column_id =
        b.value_column("input", spec.shape, |_, trace| trace[0].data.iter().map(|v| i64::from(*v)).collect());
    b.interval("input: interval", column_id, spec.shape, spec.interval);
    let logs = Logs::new(b.batch, spec.shape);
    let shown = spec.public_elements();
    if !shown.is_empty() {
        let mut values = alloc::vec![F::ZERO; 1 << logs.total()];
        for (i, input) in statement.inputs.iter().enumerate() {
            for (element, v) in shown.iter().zip(&input.public) {
                values[(i << logs.element()) + logs.cell_of(spec.shape, *element)] = int(i64::from(*v));
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
        let known = public(-F::ONE, values, alloc::vec![Axis::Tau(batch.start..logs.total())]);
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
        let digests =
            statement.inputs.iter().map(|i| hash::elements(&i.commitment)).collect::<Result<Vec<_>, _>>()?;
        let witness = match (b.traces, secrets) {
            (Some(t), Some(s)) => {
                let values =
                    t.values.iter().map(|trace| private_values(&statement.program, &trace[0])).collect();
                Some((values, s.salts.to_vec()))
            }
            _ => None,
        };
        b.sponge("input commitment", input_packing(&statement.program), &absorbed, &digests, witness);
    }
    Ok(ValueColumn { column: column_id, ty })
}

/// Columns of private weights, range-checked and committed.
fn private_weights(
    b: &mut Builder<'_>,
    statement: &Statement,
    types: &[ValueType],
    secrets: Option<&Secrets<'_>>,
) -> Result<Vec<Option<PrivateWeights>>, Reject> {
    let program = &statement.program;
    let half = 1i64 << (limits::PRIVATE_WEIGHT_BITS - 1);
    let mut all = alloc::vec![None; program.nodes.len()];
    let mut absorbed = Vec::new();
    for (i, shown) in convs(program) {
        let name = &program.nodes[i].name;
        let channels = types[program.nodes[i].inputs[0]].shape.c;
        let logs = shown.weight_logs(channels);
        let sizes = [shown.out_channels, shown.group_inputs(channels), shown.window.len()];
        let own = secrets.and_then(|s| s.program.nodes[i].op.conv());
        let log = logs.iter().sum();
        let weights = b.column(alloc::format!("{name}.weights"), log, |_| {
            own.map(|o| o.padded_weights(channels)).unwrap_or_default()
        });
        let bias_log = log2_ceil(shown.out_channels) + 1;
        let bias = b.column(alloc::format!("{name}.bias"), bias_log, |_| {
            let mut cells = alloc::vec![F::ZERO; 1 << bias_log];
            for (o, v) in own.iter().flat_map(|o| &o.bias).enumerate() {
                let [low, high] = bias_limbs(*v);
                (cells[2 * o], cells[2 * o + 1]) = (int(i64::from(low)), int(i64::from(high)));
            }
            cells
        });
        let mut real = Vec::new();
        let mut start = 0;
        for (n, size) in logs.into_iter().zip(sizes) {
            real.push(real_var(start..start + n, size));
            start += n;
        }
        let read = |of: ColumnId, log: usize| column(F::ONE, of, alloc::vec![Axis::Var(0..log)]);
        let mut key = expr(alloc::vec![read(weights, log)]);
        key.constant = int(half);
        b.range(&alloc::format!("{name}: weight"), 2 * half, log, key, real);
        let real = alloc::vec![real_var(0..bias_log - 1, shown.out_channels)];
        b.range(
            &alloc::format!("{name}: bias limb"),
            1 << 12,
            bias_log,
            expr(alloc::vec![read(bias, bias_log)]),
            real,
        );
        let count = sizes.iter().product::<usize>();
        absorbed.extend((0..count).map(|w| Absorbed {
            column: weights,
            cell: shown.weight_cell(channels, w),
            offset: half,
        }));
        absorbed.extend((0..2 * shown.out_channels).map(|cell| Absorbed { column: bias, cell, offset: 0 }));
        all[i] = Some(PrivateWeights { weights, bias });
    }
    let packing = weight_packing(absorbed.len());
    if let Some(digest) = statement.weights.as_ref().filter(|_| !absorbed.is_empty()) {
        let digest = hash::elements(digest)?;
        let witness = secrets.map(|s| (alloc::vec![weight_values(s.program).1], alloc::vec![s.weight_salt]));
        b.sponge("weight commitment", packing, &absorbed, &[digest], witness);
    }
    Ok(all)
}

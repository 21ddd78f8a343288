//! Outputs: what words each makes public, and the claims that bind them to a value.
//!
//! Words are range-checked when the statement is ([`Output::words`]): the field has 31 bits, a word 32, and others would alias. A batch's
//! sum stays below p/2 by [`crate::limits`].

use alloc::string::String;
use alloc::vec::Vec;
use p3_field::{PrimeCharacteristicRing, PrimeField32};
use proofmesh_proof::field::{F, int, log2_ceil};
use proofmesh_proof::system::{Axis, ColumnId, Expr, Term};

use crate::arith::{
    Absorbed, Accumulator, Builder, Logs, RowSum, ValueColumn, column, entry, expr, real_tau, real_var,
    stated, wire,
};
use crate::hash::{self, Packing, RATE, Salt};
use crate::limits;
use crate::program::{Output, Program, ProgramError};
use crate::rescale::{Reach, Rescale};
use crate::statement::model_id;
use crate::tensor::Tensor;
use crate::value::{Interval, ValueId, ValueType};
use crate::words::{Class, Word};

/// The public words that an output gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Words {
    /// How many.
    pub count: usize,
    /// Once for the whole batch, instead of once an input.
    pub batch: bool,
    /// What each can be.
    pub interval: Interval,
}

impl Output {
    /// The words that it gives about a value of this type in a batch.
    pub fn words(&self, ty: &ValueType, batch: usize) -> Words {
        let one = |batch, lo, hi| Words { count: 1, batch, interval: Interval { lo, hi } };
        let inputs = batch.min(limits::MAX_BATCH) as i32;
        match *self {
            Self::Values(_) => Words { count: ty.shape.len(), batch: false, interval: ty.interval },
            Self::ArgMax(_) => one(false, 0, ty.shape.len() as i32 - 1),
            Self::AtMost { .. } => one(false, 0, 1),
            Self::Committed(_) => Words { count: RATE, ..one(false, 0, F::ORDER_U32 as i32 - 1) },
            Self::Sum(_) => one(true, ty.interval.lo * inputs, ty.interval.hi * inputs),
            Self::CountAtMost { .. } | Self::CountAtLeast { .. } => one(true, 0, inputs),
            Self::Increasing { ends, .. } => {
                Words { count: if ends { 2 } else { 0 }, batch: true, interval: ty.interval }
            }
        }
    }

    /// Whether it speaks of a value's only element.
    pub fn needs_one_element(&self) -> bool {
        !matches!(self, Self::Values(_) | Self::ArgMax(_) | Self::Committed(_))
    }

    /// Its threshold, if it has one.
    pub fn threshold(&self) -> Option<i32> {
        match *self {
            Self::AtMost { threshold, .. }
            | Self::CountAtMost { threshold, .. }
            | Self::CountAtLeast { threshold, .. } => Some(threshold),
            _ => None,
        }
    }
}

impl Program {
    /// The public words of one input's trace, in the order of the outputs. `salt` is that of the input's commitment: committed outputs use
    /// salts that follow from it.
    pub fn outputs_of(&self, values: &[Tensor], salt: &Salt) -> Vec<i32> {
        let mut out = Vec::new();
        for (i, output) in self.outputs.iter().enumerate() {
            let data = &values[output.value()].data;
            match *output {
                Output::Values(_) => out.extend_from_slice(data),
                Output::ArgMax(_) => {
                    let best = (1..data.len()).fold(0, |best, i| if data[i] > data[best] { i } else { best });
                    out.push(best as i32);
                }
                Output::AtMost { threshold, .. } => out.push(i32::from(data[0] <= threshold)),
                Output::Committed(value) => {
                    let types = self.check().expect("a program with a trace was checked");
                    let packing = packing(&types[value]);
                    let salt = output_salts(self, core::slice::from_ref(salt), i)[0];
                    let digest = hash::digest(packing, &offset(data, packing), &salt);
                    let words = digest.as_chunks::<4>().0;
                    out.extend(words.iter().map(|w| i32::from_le_bytes(*w)));
                }
                Output::Sum(_)
                | Output::CountAtMost { .. }
                | Output::CountAtLeast { .. }
                | Output::Increasing { .. } => {}
            }
        }
        out
    }

    /// The public words that a batch's traces give together, in the order of the outputs.
    ///
    /// Errors: a value that should never decrease does.
    pub fn batch_outputs_of(&self, traces: &[Vec<Tensor>]) -> Result<Vec<i32>, ProgramError> {
        let mut out = Vec::new();
        for output in &self.outputs {
            let each = || traces.iter().map(|trace| trace[output.value()].data[0]);
            match *output {
                Output::Sum(_) => out.push(each().sum()),
                Output::CountAtMost { threshold, .. } => {
                    out.push(each().filter(|v| *v <= threshold).count() as i32);
                }
                Output::CountAtLeast { threshold, .. } => {
                    out.push(each().filter(|v| *v >= threshold).count() as i32);
                }
                Output::Increasing { ends, .. } => {
                    if let Some(i) = each().zip(each().skip(1)).position(|(now, next)| next < now) {
                        return Err(ProgramError::Input(alloc::format!(
                            "a value that must not decrease does from input {i} of the batch to the next: put the inputs in order"
                        )));
                    }
                    if ends {
                        out.extend(each().next().into_iter().chain(each().next_back()));
                    }
                }
                Output::Values(_) | Output::ArgMax(_) | Output::AtMost { .. } | Output::Committed(_) => {}
            }
        }
        Ok(out)
    }

    /// How many public words one input gives.
    pub fn output_len(&self, types: &[ValueType]) -> usize {
        let words = self.outputs.iter().map(|o| o.words(&types[o.value()], 1));
        words.filter(|w| !w.batch).map(|w| w.count).sum()
    }

    /// Words that are in range, of one input and of the batch: for statements about no input in particular.
    pub fn sample_outputs(&self, types: &[ValueType], batch: usize) -> (Vec<i32>, Vec<i32>) {
        let (mut one, mut all) = (Vec::new(), Vec::new());
        for words in self.outputs.iter().map(|o| o.words(&types[o.value()], batch)) {
            let list = if words.batch { &mut all } else { &mut one };
            list.extend(core::iter::repeat_n(words.interval.lo, words.count));
        }
        (one, all)
    }
}

/// How a committed output is absorbed: like an input of its shape and interval, so that a later proof can take it as its own.
fn packing(ty: &ValueType) -> Packing {
    Packing::of(ty.shape.len(), ty.interval)
}

/// Values as they are absorbed.
fn offset(data: &[i32], packing: Packing) -> Vec<u32> {
    data.iter().map(|v| (i64::from(*v) + packing.offset) as u32).collect()
}

/// The salts of committed output `index`, one an input. Each follows from the salt of the input's commitment, so that whoever can open the
/// input can open the output, and from the program, so that equal outputs of two programs do not show.
pub fn output_salts(program: &Program, inputs: &[Salt], index: usize) -> Vec<Salt> {
    let model = model_id(program, None);
    let salt = |input: &Salt| {
        let mut hasher = blake3::Hasher::new_derive_key("proofmesh output salt 1");
        hasher.update(&model).update(&(index as u64).to_le_bytes());
        for v in input {
            hasher.update(&v.as_canonical_u32().to_le_bytes());
        }
        let mut reader = hasher.finalize_xof();
        core::array::from_fn(|_| {
            let mut bytes = [0; 8];
            reader.fill(&mut bytes);
            F::from_u64(u64::from_le_bytes(bytes))
        })
    };
    inputs.iter().map(salt).collect()
}

/// An output in a statement.
pub struct Site<'a> {
    /// Its name in refusals.
    pub name: &'a str,
    /// The value that it speaks of.
    pub value: ValueColumn,
    /// Its words: a group an input, or one group for the batch.
    pub claimed: &'a [&'a [Word]],
    /// Of an [`Output::ArgMax`], the class of each input.
    pub classes: &'a [&'a Class],
    /// That value's id in a trace.
    pub id: ValueId,
    /// On the prover's side, salts for a committed output, one an input.
    pub salts: Option<Vec<Salt>>,
}

impl Site<'_> {
    /// The value's only element of every input, with a weight each.
    fn elements(&self, axis: Axis) -> Term {
        column(F::ONE, self.value.column, alloc::vec![axis])
    }
}

/// The claims of one output.
pub fn constrain(b: &mut Builder<'_>, output: &Output, site: &Site<'_>) {
    let name = |what: &str| alloc::format!("{}: {what}", site.name);
    let batch = 0..log2_ceil(b.batch);
    let log = batch.len();
    let total =
        |of: core::ops::Range<usize>| wire(0..0, 0..0, log, of.map(|i| entry(0, 0, i, F::ONE)).collect());
    let equals = |term: Term, word: usize| {
        expr(alloc::vec![term, stated(-F::ONE, &site.claimed[0][word..word + 1], Vec::new())])
    };
    match *output {
        Output::Values(_) => values(b, site),
        Output::ArgMax(_) => largest(b, site),
        Output::AtMost { threshold, .. } => at_most(b, threshold, site),
        Output::Committed(_) => committed(b, site),
        Output::Sum(_) => b.linear(name("sum"), equals(site.elements(total(0..b.batch)), 0)),
        Output::CountAtMost { threshold, .. } | Output::CountAtLeast { threshold, .. } => {
            let least = matches!(output, Output::CountAtLeast { .. });
            let bits = compared(b, threshold, least, site);
            let sum = column(F::ONE, bits, alloc::vec![total(0..b.batch)]);
            b.linear(name("count"), equals(sum, 0));
        }
        Output::Increasing { ends, .. } => {
            let interval = site.value.ty.interval;
            if b.batch > 1 {
                let pairs = 0..b.batch - 1;
                let steps = pairs.clone().flat_map(|i| [entry(0, i, i + 1, F::ONE), entry(0, i, i, -F::ONE)]);
                let step = site.elements(wire(0..0, batch.clone(), log, steps.collect()));
                let size = i64::from(interval.hi) - i64::from(interval.lo) + 1;
                let size = 1 << log2_ceil(size as usize);
                let real = alloc::vec![real_var(batch, pairs.end)];
                b.range(&name("increasing"), size, log, expr(alloc::vec![step]), real);
            }
            if ends {
                let last = b.batch - 1;
                b.linear(name("first"), equals(site.elements(total(0..1)), 0));
                b.linear(name("last"), equals(site.elements(total(last..b.batch)), 1));
            }
        }
    }
}

/// Every element is the claimed word.
fn values(b: &mut Builder<'_>, site: &Site<'_>) {
    let shape = site.value.ty.shape;
    let logs = Logs::new(b.batch, shape);
    let mut cells = alloc::vec![Word::PADDING; 1 << logs.total()];
    for (i, words) in site.claimed.iter().enumerate() {
        for (element, word) in words.iter().enumerate() {
            cells[(i << logs.element()) + logs.cell_of(shape, element)] = *word;
        }
    }
    let committed = b.at_tau(F::ONE, site.value.column, shape);
    let known = stated(-F::ONE, &cells, alloc::vec![Axis::Tau(0..logs.total())]);
    b.linear(String::from(site.name), expr(alloc::vec![committed, known]));
}

/// `logit[class] - logit[j] - [j < class]` is never negative: the class is the first of the largest.
///
/// `logit[class]` is a sum in the look-up's key, over all inputs and elements, of `[same input] [is the class] logit`.
fn largest(b: &mut Builder<'_>, site: &Site<'_>) {
    let ValueType { shape, interval } = site.value.ty;
    let logs = Logs::new(b.batch, shape);
    if logs.total() == 0 {
        // One input of one element has one class, and the statement's words are held to the classes that there are.
        return;
    }
    let (batch, all) = (0..logs.axes[0], || 0..logs.total());
    let mut is = alloc::vec![Word::PADDING; 1 << logs.total()];
    let mut above = is.clone();
    for (i, class) in site.classes.iter().enumerate() {
        for j in 0..shape.len() {
            let cell = (i << logs.element()) + logs.cell_of(shape, j);
            (is[cell], above[cell]) = (class.is[j], class.above[j]);
        }
    }
    let same = (0..b.batch).map(|i| entry(i, i, i, F::ONE)).collect();
    let same = wire(batch.clone(), batch.clone(), batch.len(), same);
    // Rows of padding have no sum: what the builder fills in there is 0.
    let [_, c, plane] = logs.ranges();
    let (channels, places) = (real_tau(c, shape.c), real_tau(plane, shape.h * shape.w));
    let axes = alloc::vec![same, Axis::Var(batch.end..logs.total()), channels, places];
    let picked = stated(F::ONE, &is, axes);
    let logits = column(F::ONE, site.value.column, alloc::vec![Axis::Var(all())]);
    let top = |trace: &Vec<Tensor>| {
        let data = &trace[site.id].data;
        alloc::vec![i64::from(data.iter().copied().max().unwrap_or(0)); data.len()]
    };
    let top = Accumulator {
        linear: Vec::new(),
        sum: Some(RowSum {
            vars: logs.total(),
            factors: alloc::vec![expr(alloc::vec![picked]), expr(alloc::vec![logits])],
            bias: &[],
        }),
        values: b.each_trace(top),
    };
    let key = expr(alloc::vec![
        column(-F::ONE, site.value.column, alloc::vec![Axis::Var(all())]),
        stated(-F::ONE, &above, alloc::vec![Axis::Var(all())]),
    ]);
    let log = log2_ceil((i64::from(interval.hi) - i64::from(interval.lo) + 1) as usize);
    b.range_around(&alloc::format!("{}: largest", site.name), log as u32, shape, key, (1, &top));
}

/// The bit of each input at tau is its word.
fn at_most(b: &mut Builder<'_>, threshold: i32, site: &Site<'_>) {
    let bits = compared(b, threshold, false, site);
    let batch = 0..log2_ceil(b.batch);
    let mut words = alloc::vec![Word::PADDING; 1 << batch.len()];
    words.iter_mut().zip(site.claimed).for_each(|(word, claimed)| *word = claimed[0]);
    b.reserve(batch.end);
    let bits = column(F::ONE, bits, alloc::vec![Axis::Tau(batch.clone())]);
    let known = stated(-F::ONE, &words, alloc::vec![Axis::Tau(batch)]);
    b.linear(alloc::format!("{}: bit", site.name), expr(alloc::vec![bits, known]));
}

/// A column with one bit an input, 0 beyond: whether its value is at least, or else at most, the threshold.
///
/// bit = clamp(key, 0, 1), where key is at least 1 exactly for the inputs that count: v - least + 1 or most + 1 - v.
fn compared(b: &mut Builder<'_>, threshold: i32, least: bool, site: &Site<'_>) -> ColumnId {
    let batch = 0..log2_ceil(b.batch);
    let log = batch.len();
    let bits = b.column(alloc::format!("{}.counted", site.name), log, |traces| {
        let mut cells = alloc::vec![F::ZERO; 1 << log];
        for (cell, trace) in cells.iter_mut().zip(&traces.values) {
            let v = trace[site.id].data[0];
            *cell = F::from_bool(if least { v >= threshold } else { v <= threshold });
        }
        cells
    });
    let sign = if least { 1 } else { -1 };
    let constant = 1 - sign * i64::from(threshold);
    let mut read = site.elements(Axis::Var(batch.clone()));
    read.coef = int(sign);
    let key = Expr { constant: int(constant), terms: alloc::vec![read] };
    let bit = expr(alloc::vec![column(F::ONE, bits, alloc::vec![Axis::Var(batch.clone())])]);
    let rescale = Rescale { shift: 0, clamp: Interval { lo: 0, hi: 1 } };
    let table = b.clamp_table(rescale, Reach::symmetric(distance(site.value.ty.interval, threshold)));
    let name = alloc::format!("{}: threshold", site.name);
    b.lookup(name, table, log, key, bit, alloc::vec![real_var(batch, b.batch)]);
    bits
}

/// The words are the digest of the value's elements under a salt, as if it were the input of another program.
fn committed(b: &mut Builder<'_>, site: &Site<'_>) {
    let ty = site.value.ty;
    let packing = packing(&ty);
    let logs = Logs::new(b.batch, ty.shape);
    let cell =
        |i| Absorbed { column: site.value.column, cell: logs.cell_of(ty.shape, i), offset: packing.offset };
    let absorbed: Vec<Absorbed> = (0..ty.shape.len()).map(cell).collect();
    let digest = |words: &&[Word]| core::array::from_fn(|i| words[i]);
    let digests: Vec<[Word; RATE]> = site.claimed.iter().map(digest).collect();
    let witness = b.traces.zip(site.salts.clone()).map(|(traces, salts)| {
        (traces.values.iter().map(|trace| offset(&trace[site.id].data, packing)).collect(), salts)
    });
    b.sponge(site.name, packing, &absorbed, &digests, witness);
}

/// One more than the largest distance between a value of the interval and the threshold.
fn distance(interval: Interval, threshold: i32) -> i64 {
    let t = i64::from(threshold);
    (i64::from(interval.hi) - t).abs().max((t - i64::from(interval.lo)).abs()) + 1
}

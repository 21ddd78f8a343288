//! A batch that is too large for one proof, cut into parts: consecutive inputs, a proof each, one statement about all.
//!
//! A part is proven under a context of its own, derived from the whole statement's context and from the part's place among the inputs. So
//! a proof speaks of one place only: a part that is missing, stands twice or in another's place is refused, and no part passes for a
//! statement by itself. The whole statement holds if every part does: each input is in exactly one of them.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;
use proofmesh_proof::reject::Reject;

use crate::limits::MAX_BATCH;
use crate::program::Program;
use crate::statement::{self, Statement, blake};

/// Most parts of one batch.
pub const MAX_PARTS: usize = 1 << 16;

/// Where a batch is cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The input after each part's last.
    ends: Vec<usize>,
}

impl Cut {
    /// Parts of the given numbers of inputs, in order.
    ///
    /// Errors: `parts.size`: no part, too many, or one without inputs or with more than one proof takes.
    pub fn new(sizes: &[usize]) -> Result<Self, Reject> {
        let fits = |size: &usize| *size > 0 && *size <= MAX_BATCH;
        if sizes.is_empty() || sizes.len() > MAX_PARTS || !sizes.iter().all(fits) {
            let expected = alloc::format!("1 to {MAX_PARTS} parts of 1 to {MAX_BATCH} inputs");
            return Err(Reject::new("parts.size", expected, "others"));
        }
        let mut end = 0;
        let next = |size: &usize| {
            end += size;
            end
        };
        Ok(Self { ends: sizes.iter().map(next).collect() })
    }

    /// Number of parts, at least one.
    pub fn parts(&self) -> usize {
        self.ends.len()
    }

    /// Number of inputs.
    pub fn inputs(&self) -> usize {
        self.ends[self.ends.len() - 1]
    }

    /// The inputs of a part.
    pub fn range(&self, part: usize) -> Range<usize> {
        let start = if part == 0 { 0 } else { self.ends[part - 1] };
        start..self.ends[part]
    }

    /// The context that a part is proven under.
    pub fn context(&self, whole: &[u8], part: usize) -> [u8; 32] {
        let Range { start, end } = self.range(part);
        let place = [start, end, self.inputs()].map(|n| (n as u64).to_le_bytes());
        blake("proofmesh part 1", &[whole, place.as_flattened()])
    }

    /// Whether a program's batches can be cut: a number over the whole batch cannot be put together from the parts' numbers.
    ///
    /// Errors: `parts.batch-output`.
    pub fn fits(program: &Program) -> Result<(), Reject> {
        let types = program.check().map_err(|e| Reject::new("statement.program", "a valid program", e))?;
        match program.outputs.iter().any(|o| o.words(&types[o.value()], 1).batch) {
            true => Err(Reject::new(
                "parts.batch-output",
                "outputs of single inputs, or all inputs in one proof",
                "an output over the whole batch",
            )),
            false => Ok(()),
        }
    }

    /// What a part states.
    ///
    /// Errors: `parts.inputs`: the statement is about another number of inputs, so a part is missing or too many; and as [`Cut::fits`].
    pub fn statement(&self, whole: &Statement, part: usize) -> Result<Statement, Reject> {
        if whole.inputs.len() != self.inputs() || whole.outputs.len() != self.inputs() {
            let expected = alloc::format!("parts of {} inputs in all", whole.inputs.len());
            return Err(Reject::new("parts.inputs", expected, self.inputs()));
        }
        Self::fits(&whole.program)?;
        let range = self.range(part);
        Ok(Statement {
            program: whole.program.clone(),
            weights: whole.weights,
            inputs: whole.inputs[range.clone()].to_vec(),
            outputs: whole.outputs[range].to_vec(),
            batch_outputs: Vec::new(),
            context: self.context(&whole.context, part).to_vec(),
        })
    }

    /// Verifies the proof of one part.
    ///
    /// Errors: `parts.order` where it is the proof of another part; else as [`Cut::statement`] and [`statement::verify`].
    pub fn verify(&self, whole: &Statement, part: usize, file: &[u8]) -> Result<(), Reject> {
        let own = self.statement(whole, part)?;
        let said = statement::claimed_by(file)?.context;
        let speaks_of = |p: &usize| statement::context_digest(&self.context(&whole.context, *p)) == said;
        if !speaks_of(&part)
            && let Some(other) = (0..self.parts()).find(speaks_of)
        {
            return Err(Reject::new("parts.order", self.name(part), self.name(other)));
        }
        statement::verify(&own, file)
    }

    /// A part, for people.
    pub fn name(&self, part: usize) -> String {
        alloc::format!("part {} of {}", part + 1, self.parts())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::{InputSpec, Interval, Output, WeightMode};
    use crate::statement::InputStatement;
    use crate::tensor::Shape;

    fn statement(inputs: usize, output: Output) -> Statement {
        let interval = Interval { lo: 0, hi: 9 };
        let input = InputSpec { shape: Shape::new(1, 1, 1), interval, public_channels: 0..0 };
        let program = Program {
            name: "one number".into(),
            input,
            nodes: Vec::new(),
            outputs: alloc::vec![output],
            weights: WeightMode::Public,
        };
        let input = |i: usize| InputStatement { commitment: [i as u8; 32], public: Vec::new() };
        Statement {
            program,
            weights: None,
            inputs: (0..inputs).map(input).collect(),
            outputs: (0..inputs as i32).map(|i| alloc::vec![i]).collect(),
            batch_outputs: Vec::new(),
            context: alloc::vec![7],
        }
    }

    #[test]
    fn every_input_is_in_one_part_and_every_part_has_a_context_of_its_own() {
        let whole = statement(7, Output::Values(0));
        let cut = Cut::new(&[3, 3, 1]).expect("a cut");
        let parts: Vec<Statement> = (0..3).map(|p| cut.statement(&whole, p).expect("a part")).collect();
        let joined: Vec<_> = parts.iter().flat_map(|p| p.inputs.clone()).collect();
        assert_eq!((joined, parts[1].outputs[0][0]), (whole.inputs.clone(), 3));
        let other = Cut::new(&[3, 4]).expect("a cut");
        let mut contexts: Vec<_> = parts.iter().map(|p| p.context.clone()).collect();
        contexts.extend([0, 1].map(|p| other.context(&whole.context, p).to_vec()));
        contexts.extend([
            cut.context(&[8], 0).to_vec(),
            Cut::new(&[3, 3]).expect("a cut").context(&[7], 0).to_vec(),
        ]);
        let count = contexts.len();
        contexts.sort();
        contexts.dedup();
        // The first part of three inputs among seven is the same wherever the rest is cut.
        assert_eq!(contexts.len(), count - 1);
    }

    #[test]
    fn what_does_not_add_up_is_refused_by_name() {
        let whole = statement(7, Output::Values(0));
        let check = |sizes: &[usize], whole: &Statement| {
            Cut::new(sizes).and_then(|cut| cut.statement(whole, 0)).map(drop).map_err(|r| r.check)
        };
        assert_eq!(check(&[3, 4], &whole), Ok(()));
        for wrong in [&[3, 3][..], &[3, 5], &[7, 7]] {
            assert_eq!(check(wrong, &whole), Err("parts.inputs"));
        }
        for wrong in [&[][..], &[7, 0], &[usize::MAX, 8], &[MAX_BATCH + 1]] {
            assert_eq!(check(wrong, &whole), Err("parts.size"));
        }
        assert_eq!(check(&[3, 4], &statement(7, Output::Sum(0))), Err("parts.batch-output"));
    }
}

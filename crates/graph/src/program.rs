//! Programs: what is computed, in exact integer arithmetic.
//!
//! Value 0 is the input, value `i + 1` the result of node `i`. A program is data; the meaning of each node is in [`crate::op`].

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ops::Range;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::hash::Salt;
use crate::limits;
use crate::op::Op;
use crate::tensor::{Shape, Tensor};

pub use crate::value::{Interval, ValueId, ValueType, WeightMode};

/// The program's one input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputSpec {
    /// Sizes.
    pub shape: Shape,
    /// Every element lies in it; proven.
    pub interval: Interval,
    /// Channels whose values are part of the public statement (a reference feed, a seed). The others are committed and hidden.
    pub public_channels: Range<usize>,
}

impl InputSpec {
    /// Row-major indices of the elements that are committed and hidden, in the order in which the commitment absorbs them.
    pub fn private_elements(&self) -> Vec<usize> {
        let plane = self.shape.h * self.shape.w;
        (0..self.shape.len()).filter(|i| !self.public_channels.contains(&(i / plane))).collect()
    }

    /// Bytes that a public element takes where a contract hashes it: 1, 2 or 4, the fewest that hold the interval in two's complement.
    pub fn public_bytes(&self) -> u8 {
        let fits = |bytes: &u8| {
            let half = 1i64 << (8 * bytes - 1);
            -half <= i64::from(self.interval.lo) && i64::from(self.interval.hi) < half
        };
        [1, 2].into_iter().find(fits).unwrap_or(4)
    }

    /// Row-major indices of the public elements.
    pub fn public_elements(&self) -> Vec<usize> {
        let plane = self.shape.h * self.shape.w;
        (0..self.shape.len()).filter(|i| self.public_channels.contains(&(i / plane))).collect()
    }
}

/// One step of the computation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Name in the source model; appears in errors.
    pub name: String,
    /// What it does.
    pub op: Op,
    /// What it reads: earlier values only.
    pub inputs: Vec<ValueId>,
}

/// What the statement makes public about a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    /// Every element, row-major.
    Values(ValueId),
    /// The index of the largest element (the first one on a tie), nothing else.
    ArgMax(ValueId),
    /// One bit: whether the value's only element is at most `threshold`.
    AtMost {
        /// A value with one element.
        value: ValueId,
        /// In the value's own integer scale.
        threshold: i32,
    },
    /// A salted hash of every element: eight words. A later proof can take the value as its input, under the same commitment.
    Committed(ValueId),
    /// One word for the whole batch: the sum of the value's only element over all inputs.
    Sum(ValueId),
    /// One word for the whole batch: for how many inputs the value's only element is at most `threshold`.
    CountAtMost {
        /// A value with one element.
        value: ValueId,
        /// In the value's own integer scale.
        threshold: i32,
    },
    /// One word for the whole batch: for how many inputs the value's only element is at least `threshold`.
    CountAtLeast {
        /// A value with one element.
        value: ValueId,
        /// In the value's own integer scale.
        threshold: i32,
    },
    /// The value's only element never decreases from one input of the batch to the next: a counter, a clock.
    Increasing {
        /// A value with one element.
        value: ValueId,
        /// Whether its first and its last value are public: two words for the whole batch.
        ends: bool,
    },
}

impl Output {
    /// The value that it speaks of.
    pub fn value(&self) -> ValueId {
        match *self {
            Self::Values(v)
            | Self::ArgMax(v)
            | Self::AtMost { value: v, .. }
            | Self::Committed(v)
            | Self::Sum(v)
            | Self::CountAtMost { value: v, .. }
            | Self::CountAtLeast { value: v, .. }
            | Self::Increasing { value: v, .. } => v,
        }
    }
}

/// An integer program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// For people; bound by the program's id all the same.
    pub name: String,
    /// The input.
    pub input: InputSpec,
    /// Steps in order.
    pub nodes: Vec<Node>,
    /// What becomes public, in order.
    pub outputs: Vec<Output>,
    /// Whether the weights are shown.
    pub weights: WeightMode,
}

/// Why a program is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProgramError {
    /// A node's attributes, inputs or bounds do not hold together.
    #[error("node `{node}`: {reason}")]
    Node {
        /// The node's name.
        node: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The program as a whole is out of bounds.
    #[error("program: {0}")]
    Program(String),
    /// An input tensor does not fit the program.
    #[error("input: {0}")]
    Input(String),
}

impl Program {
    /// Checks the program and gives the type of every value.
    ///
    /// Errors: an operand that does not exist, a shape that does not fit, an accumulator that could overflow, a size beyond [`limits`].
    pub fn check(&self) -> Result<Vec<ValueType>, ProgramError> {
        let bad = |reason: &str| ProgramError::Program(reason.to_string());
        let spec = &self.input;
        if self.nodes.len() > limits::MAX_NODES {
            return Err(bad("too many nodes"));
        }
        if spec.shape.is_empty() || spec.shape.len() > limits::MAX_ELEMENTS {
            return Err(bad("the input is empty or too large"));
        }
        if spec.public_channels.start > spec.public_channels.end || spec.public_channels.end > spec.shape.c {
            return Err(bad("the public channels lie outside the input"));
        }
        let fits = |i: Interval| i.lo <= i.hi && i.magnitude() <= i64::from(limits::MAX_ACTIVATION);
        if !fits(spec.interval) {
            return Err(bad("the input's interval is empty or beyond 16 bits"));
        }
        let mut types = alloc::vec![ValueType { shape: spec.shape, interval: spec.interval }];
        for node in &self.nodes {
            let fail = |reason: String| ProgramError::Node { node: node.name.clone(), reason };
            if node.inputs.len() > limits::MAX_OPERANDS {
                return Err(fail(alloc::format!("more than {} operands", limits::MAX_OPERANDS)));
            }
            let mut operands = Vec::with_capacity(node.inputs.len());
            for &id in &node.inputs {
                operands.push(
                    *types
                        .get(id)
                        .ok_or_else(|| fail("reads a value that does not exist yet".to_string()))?,
                );
            }
            let result = node.op.row().check(&operands, self.weights).map_err(fail)?;
            if result.shape.is_empty() || result.shape.len() > limits::MAX_ELEMENTS || !fits(result.interval)
            {
                return Err(fail("the result is empty, too large, or beyond 16 bits".to_string()));
            }
            types.push(result);
        }
        if self.outputs.is_empty() || self.outputs.len() > limits::MAX_NODES {
            return Err(bad("a program needs at least one output"));
        }
        for output in &self.outputs {
            let ty = types
                .get(output.value())
                .ok_or_else(|| bad("an output names a value that does not exist"))?;
            if output.needs_one_element() && ty.shape.len() != 1 {
                return Err(bad(
                    "an output about a number needs a value with one element: pick it or sum it up",
                ));
            }
            if matches!(output, Output::Committed(_)) && ty.shape.len() > limits::MAX_ABSORBED {
                return Err(bad(
                    "a committed output has too many elements for the sponge: sum it up or pick some",
                ));
            }
            if output.threshold().is_some_and(|t| t.unsigned_abs() > limits::MAX_ACTIVATION as u32) {
                return Err(bad("a threshold must fit in 16 bits"));
            }
        }
        Ok(types)
    }

    /// Runs the program on one input and gives every value (the input first).
    ///
    /// Errors: a program that [`Program::check`] refuses, an input of another shape or out of its interval.
    pub fn trace(&self, input: &Tensor) -> Result<Vec<Tensor>, ProgramError> {
        self.check()?;
        self.require_weights()?;
        let spec = &self.input;
        if input.shape != spec.shape || input.data.len() != spec.shape.len() {
            return Err(ProgramError::Input("the shape is not the program's".to_string()));
        }
        if input.data.iter().any(|v| *v < spec.interval.lo || *v > spec.interval.hi) {
            return Err(ProgramError::Input("a value lies outside the input's interval".to_string()));
        }
        let mut values = alloc::vec![input.clone()];
        for node in &self.nodes {
            let operands: Vec<&Tensor> = node.inputs.iter().map(|&id| &values[id]).collect();
            let result = node.op.row().execute(&operands);
            values.push(result);
        }
        Ok(values)
    }

    /// Refuses the public part of a private program, which cannot be run or committed to.
    pub fn require_weights(&self) -> Result<(), ProgramError> {
        match self.nodes.iter().find(|n| n.op.lacks_weights()) {
            Some(node) => Err(ProgramError::Node {
                node: node.name.clone(),
                reason: "its private weights are not here".to_string(),
            }),
            None => Ok(()),
        }
    }

    /// Runs the program on one input and gives its public words, one after the other; committed outputs under a salt of zeros.
    ///
    /// Errors: as [`Program::trace`].
    pub fn run(&self, input: &Tensor) -> Result<Vec<i32>, ProgramError> {
        Ok(self.outputs_of(&self.trace(input)?, &Salt::default()))
    }

    /// The program as a verifier in the given mode sees it: without weights and biases where they are private.
    pub fn public_part(&self) -> Self {
        let mut shown = self.clone();
        if self.weights == WeightMode::Private {
            shown.nodes.iter_mut().for_each(|n| n.op.hide_weights());
        }
        shown
    }
}

//! What a proof shows: from words such as `count(min(0)<=-40)` to the program's outputs.

use std::str::FromStr;

use proofmesh_graph::limits as bounds;
use proofmesh_graph::op::{ExtremePool, Gather, Op, Window};
use proofmesh_graph::program::{Node, Output, Program, ValueId};
use proofmesh_graph::tensor::Shape;
use serde::{Deserialize, Serialize};

use crate::error::ImportError;
use crate::evaluate::Task;
use crate::options::ImportOptions;

/// Which extreme of a channel is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Extreme {
    /// The smallest element.
    Min,
    /// The largest element.
    Max,
}

/// One number of each input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Number {
    /// An element of the model's output; its only one if none is named. Thresholds on it are real numbers.
    Output(Option<usize>),
    /// The extreme of an input channel over the whole window. Thresholds are the program's input integers (stored number minus `sub`).
    Extreme {
        /// Input channel.
        channel: usize,
        /// Which extreme.
        extreme: Extreme,
    },
    /// One element of an input channel. Thresholds as for an extreme.
    Input {
        /// Input channel.
        channel: usize,
        /// Row-major in the channel.
        element: usize,
    },
}

/// An output of the program.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum OutputChoice {
    /// Every element of the model's output.
    Values,
    /// Index of the largest element of the model's output.
    ArgMax,
    /// A salted hash of the model's output, which a later proof can take as its input.
    Committed,
    /// One bit an input: whether the number is at most a threshold.
    AtMost {
        /// What is compared.
        number: Number,
        /// With what.
        threshold: f64,
    },
    /// One number for the whole batch: the sum over all inputs.
    Sum(Number),
    /// One number for the whole batch: for how many inputs the number is at most a threshold.
    CountAtMost {
        /// What is compared.
        number: Number,
        /// With what.
        threshold: f64,
    },
    /// One number for the whole batch: for how many inputs the number is at least a threshold.
    CountAtLeast {
        /// What is compared.
        number: Number,
        /// With what.
        threshold: f64,
    },
    /// The number never decreases from one input of the batch to the next.
    Increasing {
        /// Which number.
        number: Number,
        /// Whether the first and the last one are shown.
        ends: bool,
    },
}

/// The forms, for errors and help.
const FORMS: &str = "values, argmax, committed, NUMBER<=T, sum(NUMBER), count(NUMBER<=T), count(NUMBER>=T), increasing(NUMBER), \
     increasing(NUMBER,ends), where NUMBER is output, output(I), min(CHANNEL), max(CHANNEL), input(CHANNEL), input(CHANNEL,I)";

/// What stands between `name(` and the last bracket.
fn inside<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')')
}

impl Number {
    fn read(text: &str) -> Option<Self> {
        if text == "output" {
            return Some(Self::Output(None));
        }
        if let Some(element) = inside(text, "output") {
            return Some(Self::Output(Some(element.parse().ok()?)));
        }
        if let Some(place) = inside(text, "input") {
            let (channel, element) = place.split_once(',').unwrap_or((place, "0"));
            return Some(Self::Input { channel: channel.parse().ok()?, element: element.parse().ok()? });
        }
        let extreme = |name, extreme| {
            let channel = inside(text, name)?.parse().ok()?;
            Some(Self::Extreme { channel, extreme })
        };
        extreme("min", Extreme::Min).or_else(|| extreme("max", Extreme::Max))
    }
}

/// `NUMBER` and its threshold around a sign.
fn compared(text: &str, sign: &str) -> Option<(Number, f64)> {
    let (number, threshold) = text.split_once(sign)?;
    let threshold: f64 = threshold.parse().ok()?;
    threshold.is_finite().then_some((Number::read(number)?, threshold))
}

fn read(text: &str) -> Option<OutputChoice> {
    let choice = match text {
        "values" => OutputChoice::Values,
        "argmax" => OutputChoice::ArgMax,
        "committed" => OutputChoice::Committed,
        _ => {
            if let Some(number) = inside(text, "sum") {
                OutputChoice::Sum(Number::read(number)?)
            } else if let Some(test) = inside(text, "count") {
                match compared(test, "<=") {
                    Some((number, threshold)) => OutputChoice::CountAtMost { number, threshold },
                    None => {
                        let (number, threshold) = compared(test, ">=")?;
                        OutputChoice::CountAtLeast { number, threshold }
                    }
                }
            } else if let Some(number) = inside(text, "increasing") {
                let shown = number.strip_suffix(",ends");
                let number = Number::read(shown.unwrap_or(number))?;
                OutputChoice::Increasing { number, ends: shown.is_some() }
            } else {
                let (number, threshold) = compared(text, "<=")?;
                OutputChoice::AtMost { number, threshold }
            }
        }
    };
    Some(choice)
}

impl FromStr for OutputChoice {
    type Err = ImportError;

    /// Reads `values`, `argmax`, `committed`, `min(0)<=-40`, `sum(output)`, `count(output(2)>=0.5)`, `increasing(input(0,3),ends)`.
    fn from_str(text: &str) -> Result<Self, ImportError> {
        let plain: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        read(&plain).ok_or_else(|| ImportError::Options(format!("output `{text:.60}` is none of {FORMS}")))
    }
}

/// A program that gets its outputs.
struct Shown<'a> {
    program: &'a mut Program,
    /// The model's output, its elements, and the real value of integer 1.
    result: ValueId,
    elements: usize,
    scale: f64,
}

/// The program, whose model gives value `result` in steps of `scale`, with the outputs and public channels that the options ask for.
pub(crate) fn with_outputs(
    mut program: Program,
    (result, scale): (ValueId, f64),
    options: &ImportOptions,
) -> Result<Program, ImportError> {
    let shape = program.input.shape;
    if options.public_channels.start > options.public_channels.end || options.public_channels.end > shape.c {
        return Err(ImportError::Options(format!(
            "public channels {:?} of an input with {} channels",
            options.public_channels, shape.c
        )));
    }
    program.input.public_channels = options.public_channels.clone();
    let elements = program.check()?[result].shape.len();
    let classify = options.task == Task::Classify && elements > 1;
    let default = [if classify { OutputChoice::ArgMax } else { OutputChoice::Values }];
    let wanted = if options.outputs.is_empty() { &default[..] } else { &options.outputs };
    program.outputs.clear();
    for choice in wanted {
        let mut shown = Shown { program: &mut program, result, elements, scale };
        let output = shown.output(*choice)?;
        program.outputs.push(output);
    }
    program.check()?;
    Ok(program)
}

impl Shown<'_> {
    fn output(&mut self, choice: OutputChoice) -> Result<Output, ImportError> {
        Ok(match choice {
            OutputChoice::Values => Output::Values(self.result),
            OutputChoice::ArgMax if self.elements > 1 => Output::ArgMax(self.result),
            OutputChoice::ArgMax => {
                return Err(ImportError::Options("argmax of an output with one element: use values".into()));
            }
            OutputChoice::Committed => Output::Committed(self.result),
            OutputChoice::AtMost { number, threshold } => Output::AtMost {
                value: self.number(number)?,
                threshold: self.step(number, threshold, f64::floor)?,
            },
            OutputChoice::Sum(number) => Output::Sum(self.number(number)?),
            OutputChoice::CountAtMost { number, threshold } => Output::CountAtMost {
                value: self.number(number)?,
                threshold: self.step(number, threshold, f64::floor)?,
            },
            OutputChoice::CountAtLeast { number, threshold } => Output::CountAtLeast {
                value: self.number(number)?,
                threshold: self.step(number, threshold, f64::ceil)?,
            },
            OutputChoice::Increasing { number, ends } => {
                Output::Increasing { value: self.number(number)?, ends }
            }
        })
    }

    /// A threshold in the number's own integers: a real one of the model's output is rounded so that what it separates stays separated.
    fn step(&self, number: Number, threshold: f64, round: fn(f64) -> f64) -> Result<i32, ImportError> {
        let step = match number {
            Number::Output(_) => round(threshold / self.scale),
            _ if threshold.fract() == 0.0 => threshold,
            _ => {
                return Err(ImportError::Options(format!(
                    "threshold {threshold} on an input channel: input integers are whole"
                )));
            }
        };
        if step.abs() > f64::from(bounds::MAX_ACTIVATION) {
            return Err(ImportError::Options(format!(
                "threshold {threshold} is {step} steps, beyond 16 bits"
            )));
        }
        Ok(step as i32)
    }

    /// A value that holds the number alone.
    fn number(&mut self, number: Number) -> Result<ValueId, ImportError> {
        let bad = |why: String| Err(ImportError::Options(why));
        let Shape { c, h, w } = self.program.input.shape;
        let plane = h * w;
        match number {
            Number::Output(None) if self.elements == 1 => Ok(self.result),
            Number::Output(None) => {
                bad(format!("the model's output has {} elements: name one, output(0)", self.elements))
            }
            Number::Output(Some(element)) if element >= self.elements => {
                bad(format!("element {element} of an output with {}", self.elements))
            }
            Number::Output(Some(_)) if self.elements == 1 => Ok(self.result),
            Number::Output(Some(element)) => {
                let pick = Gather { shape: Shape::new(1, 1, 1), index: vec![element as u32] };
                Ok(self.node("output", "element", Op::Gather(pick), self.result))
            }
            Number::Extreme { channel, .. } | Number::Input { channel, .. } if channel >= c => {
                bad(format!("channel {channel} of an input with {c} channels"))
            }
            Number::Input { element, .. } if element >= plane => {
                bad(format!("element {element} of a channel with {plane}"))
            }
            Number::Input { channel, element } => {
                let pick =
                    Gather { shape: Shape::new(1, 1, 1), index: vec![(channel * plane + element) as u32] };
                Ok(self.node("reading", "element", Op::Gather(pick), 0))
            }
            Number::Extreme { channel, extreme } => {
                let index = (channel * plane..(channel + 1) * plane).map(|i| i as u32).collect();
                let pick = Op::Gather(Gather { shape: Shape::new(1, h, w), index });
                let picked = self.node("trigger", "channel", pick, 0);
                let window = Window { kernel: [h, w], stride: [1, 1], pad: [0; 4] };
                let pool = ExtremePool { window, smallest: extreme == Extreme::Min };
                Ok(self.node("trigger", "extreme", Op::ExtremePool(pool), picked))
            }
        }
    }

    /// The node that does this already, or a new one, named after the output that asks for it.
    fn node(&mut self, what: &str, part: &str, op: Op, operand: ValueId) -> ValueId {
        let nodes = &mut self.program.nodes;
        if let Some(same) = nodes.iter().position(|n| n.op == op && n.inputs == [operand]) {
            return same + 1;
        }
        let name = format!("{what}{}.{part}", self.program.outputs.len());
        nodes.push(Node { name, op, inputs: vec![operand] });
        nodes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_no_other() {
        let min = Number::Extreme { channel: 0, extreme: Extreme::Min };
        let reading = Number::Input { channel: 2, element: 7 };
        let cases = [
            ("values", OutputChoice::Values),
            ("argmax", OutputChoice::ArgMax),
            ("committed", OutputChoice::Committed),
            ("min(0) <= -40", OutputChoice::AtMost { number: min, threshold: -40.0 }),
            ("output<=0.25", OutputChoice::AtMost { number: Number::Output(None), threshold: 0.25 }),
            ("sum(output(3))", OutputChoice::Sum(Number::Output(Some(3)))),
            ("sum(input(2, 7))", OutputChoice::Sum(reading)),
            ("count(min(0)<=-40)", OutputChoice::CountAtMost { number: min, threshold: -40.0 }),
            ("count(input(2,7)>=9)", OutputChoice::CountAtLeast { number: reading, threshold: 9.0 }),
            ("increasing(input(2,7))", OutputChoice::Increasing { number: reading, ends: false }),
            ("increasing(input(2,7),ends)", OutputChoice::Increasing { number: reading, ends: true }),
        ];
        for (text, choice) in cases {
            assert_eq!(text.parse::<OutputChoice>().unwrap(), choice, "{text}");
        }
        for text in
            ["", "sum()", "min(0)>=3", "count(min(0))", "sum(min(0)<=3)", "output<=nan", "increasing(x)"]
        {
            let why = text.parse::<OutputChoice>().unwrap_err().to_string();
            assert!(why.contains("increasing(NUMBER,ends)"), "{why}");
        }
    }
}

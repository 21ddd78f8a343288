//! What a statement says of its outputs, in words.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::program::{Output, Program};
use crate::statement::Statement;
use crate::value::ValueId;

/// Words of one output that are spelt out; more are counted.
const SPELT: usize = 64;

/// The value's name: that of the node that gives it, or `input`.
fn name(program: &Program, value: ValueId) -> &str {
    value.checked_sub(1).and_then(|i| program.nodes.get(i)).map_or("input", |node| &node.name)
}

fn list(words: &[i32]) -> String {
    if words.len() > SPELT {
        format!("{:?} and {} more", &words[..SPELT], words.len() - SPELT)
    } else {
        format!("{words:?}")
    }
}

impl Statement {
    /// One sentence an output, in the order of the program's: what it says of which value, and with which words. Values are named by the
    /// nodes that give them and counted in their own integers.
    ///
    /// Whether any of it is true is for a proof to show. Empty for a program that [`Program::check`] refuses.
    pub fn sentences(&self) -> Vec<String> {
        let Ok(types) = self.program.check() else { return Vec::new() };
        let inputs = self.inputs.len();
        let (mut word, mut batch_word) = (0, 0);
        let sentence = |output: &Output| {
            let words = output.words(&types[output.value()], inputs);
            let next = if words.batch { &mut batch_word } else { &mut word };
            let range = *next..*next + words.count;
            *next = range.end;
            let of = name(&self.program, output.value());
            if words.batch {
                return about_batch(output, of, inputs, self.batch_outputs.get(range).unwrap_or_default());
            }
            let each = self.outputs.iter().map(|o| o.get(range.clone()).unwrap_or_default());
            match output {
                Output::ArgMax(_) => format!(
                    "the largest element of `{of}` is number {}",
                    list(&each.flatten().copied().collect::<Vec<_>>())
                ),
                Output::AtMost { threshold, .. } => {
                    let bits = each.map(|bit| if bit == [1] { "yes" } else { "no" }).collect::<Vec<_>>();
                    format!("`{of}` <= {threshold}: {}", bits.join(", "))
                }
                Output::Committed(_) => {
                    let digest = |words: &[i32]| {
                        words
                            .iter()
                            .flat_map(|w| w.to_le_bytes())
                            .map(|b| format!("{b:02x}"))
                            .collect::<String>()
                    };
                    let digests: Vec<String> = each.map(|words| format!("0x{}", digest(words))).collect();
                    format!("`{of}` is committed to: {}", digests.join(", "))
                }
                _ => format!("`{of}` is {}", each.map(list).collect::<Vec<_>>().join(", ")),
            }
        };
        self.program.outputs.iter().map(sentence).collect()
    }
}

/// The sentence of an output about a batch of so many inputs.
fn about_batch(output: &Output, of: &str, inputs: usize, words: &[i32]) -> String {
    let word = words.first().map_or("?".to_string(), i32::to_string);
    match output {
        Output::Sum(_) => format!("`{of}` adds up to {word} over {inputs} inputs"),
        Output::CountAtMost { threshold, .. } => {
            format!("`{of}` <= {threshold} for {word} of {inputs} inputs")
        }
        Output::CountAtLeast { threshold, .. } => {
            format!("`{of}` >= {threshold} for {word} of {inputs} inputs")
        }
        _ => match words {
            [first, last] => format!("`{of}` never decreases over {inputs} inputs, from {first} to {last}"),
            _ => format!("`{of}` never decreases over {inputs} inputs"),
        },
    }
}

//! The words of a statement: every number in which two statements about one program and one batch size can differ.
//!
//! A system's claims read them by [`proofmesh_proof::system::Stated`] tensors, so that a circuit made for a program serves all its
//! statements. Most words are the statement's own; some follow from one of those by a [`Rule`] that a circuit has to constrain.

use alloc::vec::Vec;
use p3_field::PrimeCharacteristicRing;
use proofmesh_proof::field::{F, int};
use proofmesh_proof::reject::Reject;

use crate::assemble;
use crate::hash::{self, RATE};
use crate::program::Output;
use crate::statement::Statement;
use crate::value::ValueType;

/// What a word is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The statement gives it.
    Given,
    /// 1 if the word at `of` is `value`, else 0. The words about one `of` are exactly one 1.
    Is {
        /// Index of the word compared.
        of: u32,
        /// What it is compared with.
        value: u32,
    },
    /// 1 if the word at `of` is above `value`, else 0.
    Above {
        /// Index of the word compared.
        of: u32,
        /// What it is compared with.
        value: u32,
    },
}

/// A word where a claim reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word {
    /// Its value in the statement at hand.
    pub value: F,
    /// One more than its index; 0 for padding, which is 0 in every statement.
    pub id: u32,
}

impl Word {
    /// Padding.
    pub const PADDING: Self = Self { value: F::ZERO, id: 0 };
}

/// The words of one input.
#[derive(Clone, Debug, Default)]
pub struct InputWords {
    /// The digest that commits to its private elements; absent where nothing is hashed in the proof.
    pub digest: Option<[Word; RATE]>,
    /// Its public elements.
    pub public: Vec<Word>,
}

/// A class as claims read it.
#[derive(Clone, Debug, Default)]
pub struct Class {
    /// For each class, whether it is the one.
    pub is: Vec<Word>,
    /// For each class, whether the one is above it.
    pub above: Vec<Word>,
}

/// All words of a statement, in one order: inputs (digest, public elements), outputs of each input, outputs of the batch, then what
/// follows from classes.
#[derive(Clone, Debug, Default)]
pub struct Words {
    /// What each is.
    pub rules: Vec<Rule>,
    /// What each is in the statement at hand.
    pub values: Vec<F>,
    /// Of each input.
    pub inputs: Vec<InputWords>,
    /// Of each input's outputs.
    pub outputs: Vec<Vec<Word>>,
    /// Of the batch's outputs.
    pub batch: Vec<Word>,
    /// `classes[input][k]`: of the k-th [`Output::ArgMax`].
    pub classes: Vec<Vec<Class>>,
}

impl Words {
    fn push(&mut self, rule: Rule, value: F) -> Word {
        self.rules.push(rule);
        self.values.push(value);
        Word { value, id: self.values.len() as u32 }
    }

    fn given(&mut self, words: &[i32]) -> Vec<Word> {
        words.iter().map(|v| self.push(Rule::Given, int(i64::from(*v)))).collect()
    }

    fn class(&mut self, word: Word, value: i32, count: usize) -> Class {
        let of = word.id - 1;
        let is = |v: usize| (Rule::Is { of, value: v as u32 }, F::from_bool(value == v as i32));
        let above = |v: usize| (Rule::Above { of, value: v as u32 }, F::from_bool(value > v as i32));
        let is = (0..count).map(is).map(|(rule, v)| self.push(rule, v)).collect();
        let above = (0..count).map(above).map(|(rule, v)| self.push(rule, v)).collect();
        Class { is, above }
    }

    /// The words of a checked statement; the types are its program's.
    ///
    /// Errors: `commitment.encoding`, `statement.output`.
    pub fn new(statement: &Statement, types: &[ValueType]) -> Result<Self, Reject> {
        let program = &statement.program;
        let hashed = !program.input.private_elements().is_empty() && !assemble::has_large_input(program);
        let mut words = Self::default();
        for input in &statement.inputs {
            let digest = hashed.then(|| hash::elements(&input.commitment)).transpose()?;
            let digest = digest.map(|elements| elements.map(|e| words.push(Rule::Given, e)));
            let public = words.given(&input.public);
            words.inputs.push(InputWords { digest, public });
        }
        for outputs in &statement.outputs {
            let given = words.given(outputs);
            words.outputs.push(given);
        }
        words.batch = words.given(&statement.batch_outputs);
        for (input, claimed) in statement.outputs.iter().enumerate() {
            let mut classes = Vec::new();
            let mut next = 0;
            for output in &program.outputs {
                let count = output.words(&types[output.value()], statement.inputs.len());
                if let Output::ArgMax(value) = output {
                    let (class, len) = (claimed[next], types[*value].shape.len());
                    if !(0..len as i32).contains(&class) {
                        return Err(Reject::new("statement.output", "a class of the model", class));
                    }
                    classes.push(words.class(words.outputs[input][next], class, len));
                }
                next += if count.batch { 0 } else { count.count };
            }
            words.classes.push(classes);
        }
        Ok(words)
    }
}

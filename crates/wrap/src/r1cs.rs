//! Rank-one constraint systems over BN254's scalar field, built together with their witness.
//!
//! A constraint says `<a, z> <b, z> = <c, z>` for the assignment `z = (1, public input, witness..)`. Constants cost nothing: a product with
//! one is a linear form. What is built depends on the *shape* of what is verified, never on values, so that one key serves all proofs of
//! a shape (`Builder::digest` names what was built, and tests compare it between proofs).

use std::collections::HashMap;

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, BigInteger, Field, PrimeField};

/// Index into the assignment: 0 is the constant 1, 1 the public input, the rest witness.
pub type Var = u32;

/// Public inputs of every circuit here: the digest of the statement.
pub const PUBLIC_INPUTS: usize = 1;

/// A linear form: ascending variables, no zero coefficients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form(pub Vec<(Var, Fr)>);

impl Form {
    /// `self + scale * other`.
    fn plus_scaled(&self, other: &Self, scale: Fr) -> Self {
        let mut sum = Vec::with_capacity(self.0.len() + other.0.len());
        let (mut a, mut b) = (self.0.iter().peekable(), other.0.iter().peekable());
        loop {
            match (a.peek(), b.peek()) {
                (Some(x), Some(y)) if x.0 == y.0 => {
                    let coefficient = x.1 + y.1 * scale;
                    if coefficient != Fr::ZERO {
                        sum.push((x.0, coefficient));
                    }
                    a.next();
                    b.next();
                }
                (Some(x), y) if y.is_none_or(|y| x.0 < y.0) => {
                    sum.push(**x);
                    a.next();
                }
                (_, Some(y)) => {
                    sum.push((y.0, y.1 * scale));
                    b.next();
                }
                _ => return Self(sum),
            }
        }
    }
}

/// A linear form and its value.
#[derive(Clone, Debug, Default)]
pub struct Num {
    /// What the constraints see.
    pub form: Form,
    /// What it is worth in this assignment.
    pub value: Fr,
}

impl Num {
    /// A known value.
    pub fn constant(value: Fr) -> Self {
        Self { form: Form(if value == Fr::ZERO { vec![] } else { vec![(0, value)] }), value }
    }

    /// Its value if it is known to everybody.
    pub fn known(&self) -> Option<Fr> {
        match self.form.0[..] {
            [] => Some(Fr::ZERO),
            [(0, value)] => Some(value),
            _ => None,
        }
    }

    /// `self + scale * other`.
    #[must_use]
    pub fn plus_scaled(&self, other: &Self, scale: Fr) -> Self {
        if scale == Fr::ZERO {
            return self.clone();
        }
        Self { form: self.form.plus_scaled(&other.form, scale), value: self.value + other.value * scale }
    }

    /// `self + other`.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        self.plus_scaled(other, Fr::ONE)
    }

    /// `self - other`.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        self.plus_scaled(other, -Fr::ONE)
    }

    /// `scale * self`.
    #[must_use]
    pub fn scaled(&self, scale: Fr) -> Self {
        if scale == Fr::ZERO {
            return Self::default();
        }
        let form = Form(self.form.0.iter().map(|(v, c)| (*v, *c * scale)).collect());
        Self { form, value: self.value * scale }
    }

    /// `self + constant`.
    #[must_use]
    pub fn shifted(&self, constant: Fr) -> Self {
        self.plus(&Self::constant(constant))
    }

    /// `sum of weight * term`.
    pub fn sum<'a>(terms: impl IntoIterator<Item = (Fr, &'a Self)>) -> Self {
        let (mut all, mut value): (Vec<(Var, Fr)>, _) = (Vec::new(), Fr::ZERO);
        for (weight, term) in terms {
            all.extend(term.form.0.iter().map(|(v, c)| (*v, *c * weight)));
            value += term.value * weight;
        }
        all.sort_by_key(|(v, _)| *v);
        let mut form: Vec<(Var, Fr)> = Vec::with_capacity(all.len());
        for (v, c) in all {
            match form.last_mut() {
                Some(last) if last.0 == v => last.1 += c,
                _ => form.push((v, c)),
            }
        }
        form.retain(|(_, c)| *c != Fr::ZERO);
        Self { form: Form(form), value }
    }
}

/// One of the three matrices, row by row; coefficients by index, as few values occur.
#[derive(Clone, Debug, Default)]
pub struct Matrix {
    /// End of each row in `entries`.
    ends: Vec<u32>,
    /// Variable and index of its coefficient.
    entries: Vec<(Var, u32)>,
}

impl Matrix {
    /// Variables and indices of coefficients of a row.
    pub fn row(&self, i: usize) -> &[(Var, u32)] {
        let start = if i == 0 { 0 } else { self.ends[i - 1] as usize };
        &self.entries[start..self.ends[i] as usize]
    }

    /// Entries in all.
    pub fn entries(&self) -> usize {
        self.entries.len()
    }
}

/// A constraint system under construction, with its assignment.
pub struct Builder {
    /// The assignment, `z[0] = 1`.
    assignment: Vec<Fr>,
    matrices: [Matrix; 3],
    coefficients: Vec<Fr>,
    interned: HashMap<Fr, u32>,
    /// Name of the part each constraint belongs to.
    parts: Vec<(&'static str, usize)>,
    part: usize,
    of_part: Vec<u16>,
}

impl Builder {
    /// A system without constraints whose public input has the given value.
    pub fn new(public: Fr) -> Self {
        Self {
            assignment: vec![Fr::ONE, public],
            matrices: Default::default(),
            coefficients: Vec::new(),
            interned: HashMap::new(),
            parts: vec![("other", 0)],
            part: 0,
            of_part: Vec::new(),
        }
    }

    /// The public input.
    pub fn public(&self) -> Num {
        Num { form: Form(vec![(1, Fr::ONE)]), value: self.assignment[1] }
    }

    /// A new variable with a value that the prover chose.
    pub fn witness(&mut self, value: Fr) -> Num {
        let var = Var::try_from(self.assignment.len()).expect("fewer than 2^32 variables");
        self.assignment.push(value);
        Num { form: Form(vec![(var, Fr::ONE)]), value }
    }

    /// Constraints from now on belong to this part; gives the name of the part so far, to return to.
    pub fn enter(&mut self, name: &'static str) -> &'static str {
        let before = self.parts[self.part].0;
        self.part = self.parts.iter().position(|p| p.0 == name).unwrap_or_else(|| {
            self.parts.push((name, 0));
            self.parts.len() - 1
        });
        before
    }

    /// Demands `a * b = c`.
    pub fn enforce(&mut self, a: &Num, b: &Num, c: &Num) {
        for (matrix, num) in self.matrices.iter_mut().zip([a, b, c]) {
            for (var, coefficient) in &num.form.0 {
                let index = *self.interned.entry(*coefficient).or_insert_with(|| {
                    self.coefficients.push(*coefficient);
                    (self.coefficients.len() - 1) as u32
                });
                matrix.entries.push((*var, index));
            }
            matrix.ends.push(u32::try_from(matrix.entries.len()).expect("fewer than 2^32 entries"));
        }
        self.parts[self.part].1 += 1;
        self.of_part.push(self.part as u16);
    }

    /// Demands `a = b`.
    pub fn equal(&mut self, a: &Num, b: &Num) {
        self.enforce(a, &Num::constant(Fr::ONE), b);
    }

    /// `a * b`: a new variable and one constraint, or a linear form if either is known.
    pub fn product(&mut self, a: &Num, b: &Num) -> Num {
        match (a.known(), b.known()) {
            (Some(k), _) => b.scaled(k),
            (_, Some(k)) => a.scaled(k),
            _ => {
                let c = self.witness(a.value * b.value);
                self.enforce(a, b, &c);
                c
            }
        }
    }

    /// The same value as one variable; a known value stays.
    pub fn variable(&mut self, num: &Num) -> Num {
        if num.form.0.len() <= 1 {
            return num.clone();
        }
        let v = self.witness(num.value);
        self.equal(num, &v);
        v
    }

    /// Number of constraints.
    pub fn constraints(&self) -> usize {
        self.of_part.len()
    }

    /// Constraints of each part, in the order in which the parts were entered.
    pub fn parts(&self) -> &[(&'static str, usize)] {
        &self.parts
    }

    /// The assignment.
    pub fn assignment(&self) -> &[Fr] {
        &self.assignment
    }

    /// A value of the assignment changed: for tests that a wrong witness is refused.
    pub fn assign(&mut self, var: Var, value: Fr) {
        self.assignment[var as usize] = value;
    }

    /// The matrices A, B and C.
    pub fn matrices(&self) -> &[Matrix; 3] {
        &self.matrices
    }

    /// The values that the matrices' entries point at.
    pub fn coefficients(&self) -> &[Fr] {
        &self.coefficients
    }

    /// `<row, z>` of one matrix.
    pub fn evaluate(&self, matrix: usize, row: usize) -> Fr {
        let terms = self.matrices[matrix].row(row).iter();
        terms.map(|(v, c)| self.assignment[*v as usize] * self.coefficients[*c as usize]).sum()
    }

    /// The first constraint that the assignment breaks, with the part it belongs to.
    pub fn broken(&self) -> Option<(usize, &'static str)> {
        let holds = |i: &usize| self.evaluate(0, *i) * self.evaluate(1, *i) == self.evaluate(2, *i);
        let first = (0..self.constraints()).find(|i| !holds(i))?;
        Some((first, self.parts[self.of_part[first] as usize].0))
    }

    /// A digest of the matrices: two systems are the same circuit if and only if it is equal.
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key("proofmesh wrap circuit 1");
        let mut word = |v: u32| {
            hasher.update(&v.to_le_bytes());
        };
        word(self.assignment.len() as u32);
        for matrix in &self.matrices {
            word(matrix.ends.len() as u32);
            matrix.ends.iter().for_each(|e| word(*e));
            matrix.entries.iter().for_each(|(v, c)| {
                word(*v);
                word(*c);
            });
        }
        for c in &self.coefficients {
            hasher.update(&c.into_bigint().to_bytes_le());
        }
        *hasher.finalize().as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_merge_and_constants_are_free() {
        let mut b = Builder::new(Fr::from(7u64));
        let (x, y) = (b.witness(Fr::from(3u64)), b.witness(Fr::from(5u64)));
        let sum = x.plus(&y).minus(&x);
        assert_eq!(sum.form, y.form);
        assert_eq!(Num::sum([(Fr::ONE, &x), (Fr::ONE, &y), (-Fr::ONE, &x)]).form, y.form);
        assert_eq!(x.minus(&x).known(), Some(Fr::ZERO));
        b.product(&x, &Num::constant(Fr::from(9u64)));
        assert_eq!(b.constraints(), 0);
        let z = b.product(&x.plus(&y), &y);
        assert_eq!((z.value, b.broken()), (Fr::from(40u64), None));
        let before = b.enter("sum");
        b.equal(&z.shifted(-Fr::from(33u64)), &b.public());
        b.enter(before);
        assert_eq!((b.broken(), b.parts()), (None, &[("other", 1), ("sum", 1)][..]));
        b.assign(1, Fr::from(8u64));
        assert_eq!(b.broken(), Some((1, "sum")));
    }
}

//! Arithmetic of `K = F[T]/(T^5 + T^2 - 1)`, F of p = 2^31 - 2^24 + 1, inside BN254's field, reduced as late as can be.
//!
//! An element is five *limbs*, its coefficients: integers modulo r that stand for their classes modulo p. Sums are linear and free. A product
//! of polynomials of degree 4 has nine coefficients, new variables that nine constraints tie to the factors, one at each of the points
//! 0, infinity, +-1, +-2, +-3, 4 (two polynomials of degree 8 that agree there are equal); folding them by `T^5 = 1 - T^2` is linear. Limbs
//! grow instead of being reduced; [`Bound`]s say how far, and before a product could pass [`crate::bound::LIMIT_BITS`] the larger factor is
//! reduced in place: `x = q p + rest`, both ranges checked by bits. Seven or so products share one reduction.
//!
//! Equal operations on equal operands are one wire: what the verifier computes twice is constrained once.

use std::cell::{RefCell, RefMut};
use std::collections::HashMap;

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, BigInteger256, Field, PrimeField};
use p3_field::{BasedVectorSpace, PrimeField32};
use proofmesh_proof::field::{F, K};

use crate::bits::{P, divide, power_of_two, range, split, split_canonical};
use crate::bound::Bound;
use crate::r1cs::{Builder, Num};

/// Coefficients of an element.
const DEGREE: usize = 5;
/// Longest linear form that a limb keeps before it becomes a variable: one constraint instead of long rows in every later product.
const LONGEST_FORM: usize = 48;
/// An element with larger limbs is reduced when it becomes a factor for the second time.
const SHARED_BITS: u32 = 100;
/// Points at which products are tied to their factors, after 0 and infinity.
const POINTS: [i64; 7] = [1, -1, 2, -2, 3, -3, 4];

/// Index of an element among a circuit's.
pub type Id = u32;

/// What is known of an element's limbs beside their bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spelling {
    /// Integers, of either sign.
    Integers,
    /// 31 bits each, one of the one or two such integers of their class.
    Reduced,
    /// 31 bits each, and the only ones: digits that the prover sent and that are hashed as they are, or canonical ones.
    Digits,
}

/// An element: at most five limbs, the others 0, none above the bound in absolute value.
struct Node {
    limbs: Vec<Num>,
    bound: Bound,
    spelling: Spelling,
    /// Products that it is a factor of.
    uses: u32,
}

/// An operand as the table of operations knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Operand {
    Wire(Id),
    Known([u32; DEGREE]),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Operation {
    Add,
    Subtract,
    Multiply,
    Invert,
}

/// What a circuit is made of.
struct Inner {
    builder: Builder,
    nodes: Vec<Node>,
    done: HashMap<(Operation, Operand, Operand), Id>,
}

/// A circuit under construction, shared by the handles into it.
pub struct Circuit(RefCell<Inner>);

/// A small integer as an element of BN254's field.
fn integer(v: i64) -> Fr {
    Fr::from(v)
}

/// The coefficients of a known element.
pub fn coefficients(value: K) -> [u32; DEGREE] {
    let basis: &[F] = value.as_basis_coefficients_slice();
    core::array::from_fn(|i| basis[i].as_canonical_u32())
}

/// The representative of least absolute value.
fn centred(coefficient: u32) -> i64 {
    let v = i64::from(coefficient);
    if v > P as i64 / 2 { v - P as i64 } else { v }
}

/// The non-negative integer below r / 2 that a value stands for, or minus that of its opposite.
fn signed(value: Fr) -> (bool, BigInteger256) {
    let (plus, minus) = (value.into_bigint(), (-value).into_bigint());
    if plus <= minus { (false, plus) } else { (true, minus) }
}

/// `floor(x / p)` and the remainder of the integer that a value stands for.
fn quotient(value: Fr) -> (Fr, u64) {
    let (negative, mut q) = signed(value);
    let rest = divide(&mut q, P);
    let q = Fr::from_bigint(q).expect("smaller than what was divided");
    match (negative, rest) {
        (false, _) => (q, rest),
        (true, 0) => (-q, 0),
        (true, _) => (-q - Fr::ONE, P - rest),
    }
}

/// Folds nine (or fewer) coefficients by `T^5 = 1 - T^2`: the five weights of each coefficient.
fn folding(k: usize) -> &'static [(usize, i64)] {
    // T^5 = 1 - T^2, T^6 = T - T^3, T^7 = T^2 - T^4, T^8 = T^3 - T^5 = -1 + T^2 + T^3.
    const ROWS: [&[(usize, i64)]; 9] = [
        &[(0, 1)],
        &[(1, 1)],
        &[(2, 1)],
        &[(3, 1)],
        &[(4, 1)],
        &[(0, 1), (2, -1)],
        &[(1, 1), (3, -1)],
        &[(2, 1), (4, -1)],
        &[(0, -1), (2, 1), (3, 1)],
    ];
    ROWS[k]
}

/// `sum of x^i * limbs[i]`.
fn evaluate(limbs: &[Num], x: i64) -> Num {
    let mut power = Fr::ONE;
    Num::sum(limbs.iter().map(|l| {
        let term = (power, l);
        power *= integer(x);
        term
    }))
}

impl Inner {
    fn push(&mut self, mut limbs: Vec<Num>, bound: Bound, spelling: Spelling) -> Id {
        assert!(bound.fits(), "a limb stays below the limit");
        for limb in &mut limbs {
            if limb.form.0.len() > LONGEST_FORM {
                *limb = self.builder.variable(limb);
            }
        }
        while limbs.last().is_some_and(|l| l.known() == Some(Fr::ZERO)) {
            limbs.pop();
        }
        self.nodes.push(Node { limbs, bound, spelling, uses: 0 });
        (self.nodes.len() - 1) as Id
    }

    /// Limbs and bound of an operand.
    fn operand(&self, of: Operand) -> (Vec<Num>, Bound) {
        match of {
            Operand::Wire(id) => {
                let node = &self.nodes[id as usize];
                (node.limbs.clone(), node.bound)
            }
            Operand::Known(value) => {
                let length = DEGREE - value.iter().rev().take_while(|c| **c == 0).count();
                let limbs = value[..length].iter().map(|c| Num::constant(integer(centred(*c)))).collect();
                let largest = value.iter().map(|c| centred(*c).unsigned_abs()).max().unwrap_or(0);
                (limbs, Bound::new(largest))
            }
        }
    }

    /// Replaces the limbs by their remainders modulo p, below 2^31.
    ///
    /// For `|x| <= B`: `x = q p + rest` with `0 <= rest < 2^31` and `-Q <= q`, `q + Q < 2^n`, where `Q = floor(B / p) + 1` and 2^n is the next
    /// power of two after 2 Q. Both sides are below r / 2 in absolute value (`2^n p <= 8 B + 8 p`), so the equation holds between integers.
    fn reduce(&mut self, id: Id) {
        let Node { limbs, bound, .. } = &self.nodes[id as usize];
        let (limbs, most) = (limbs.clone(), Quotients::of(*bound));
        let limbs = limbs
            .iter()
            .map(|x| {
                let (_, rest) = quotient(x.value);
                if x.known().is_some() {
                    return Num::constant(Fr::from(rest));
                }
                let rest = self.builder.witness(Fr::from(rest));
                range(&mut self.builder, &rest, 31);
                most.check(&mut self.builder, &x.minus(&rest));
                rest
            })
            .collect();
        let node = &mut self.nodes[id as usize];
        (node.limbs, node.bound, node.spelling) = (limbs, Bound::DIGIT, Spelling::Reduced);
    }

    /// Reduces operands until the bound of a result, a function of theirs, is within the limit.
    fn make_room(&mut self, a: Operand, b: Operand, result: impl Fn(Bound, Bound) -> Bound) -> Bound {
        loop {
            let ((_, x), (_, y)) = (self.bound(a), self.bound(b));
            let bound = result(x, y);
            if bound.fits() {
                return bound;
            }
            let larger = if x.exceeds(y) { a } else { b };
            let Operand::Wire(id) = larger else { panic!("a known element is below p") };
            assert!(
                self.nodes[id as usize].bound.exceeds(Bound::DIGIT),
                "two digits' product is far below the limit"
            );
            self.reduce(id);
        }
    }

    /// Counts a use as a factor; a large element that is used again is reduced once, or every product of it would be.
    fn count(&mut self, of: Operand) {
        let Operand::Wire(id) = of else { return };
        let node = &mut self.nodes[id as usize];
        node.uses += 1;
        if node.uses > 1 && node.bound.bits() > SHARED_BITS {
            self.reduce(id);
        }
    }

    fn bound(&self, of: Operand) -> (usize, Bound) {
        match of {
            Operand::Wire(id) => (self.nodes[id as usize].limbs.len(), self.nodes[id as usize].bound),
            Operand::Known(_) => {
                let (limbs, bound) = self.operand(of);
                (limbs.len(), bound)
            }
        }
    }

    fn linear(&mut self, a: Operand, b: Operand, sign: Fr) -> Id {
        let bound = self.make_room(a, b, Bound::plus);
        let ((x, _), (y, _)) = (self.operand(a), self.operand(b));
        let zero = Num::default();
        let limb = |i| x.get(i).unwrap_or(&zero).plus_scaled(y.get(i).unwrap_or(&zero), sign);
        let limbs = (0..x.len().max(y.len())).map(limb).collect();
        self.push(limbs, bound, Spelling::Integers)
    }

    fn multiply(&mut self, a: Operand, b: Operand) -> Id {
        let ((la, _), (lb, _)) = (self.bound(a), self.bound(b));
        if la == 0 || lb == 0 {
            return self.push(Vec::new(), Bound::ZERO, Spelling::Digits);
        }
        self.count(a);
        self.count(b);
        let terms = Bound::new(folded_products(la, lb));
        let bound = self.make_room(a, b, |x, y| x.times(y).times(terms));
        let ((x, _), (y, _)) = (self.operand(a), self.operand(b));
        let known = matches!(a, Operand::Known(_)) || matches!(b, Operand::Known(_));
        let product = if known { self.scale(&x, &y) } else { self.tie(&x, &y) };
        let limbs = (0..DEGREE)
            .map(|i| {
                let parts =
                    product.iter().enumerate().flat_map(|(k, c)| folding(k).iter().map(move |f| (f, c)));
                Num::sum(parts.filter(|(f, _)| f.0 == i).map(|(f, c)| (integer(f.1), c)))
            })
            .collect();
        self.push(limbs, bound, Spelling::Integers)
    }

    /// Coefficients of a product with a known factor.
    fn scale(&self, x: &[Num], y: &[Num]) -> Vec<Num> {
        let (wires, known) = if y.iter().all(|l| l.known().is_some()) { (x, y) } else { (y, x) };
        let weight = |l: &Num| l.known().expect("the factor is known");
        let coefficient = |k: usize| {
            let pairs = (0..=k).filter(|i| *i < wires.len() && k - i < known.len());
            Num::sum(pairs.map(|i| (weight(&known[k - i]), &wires[i])))
        };
        (0..wires.len() + known.len() - 1).map(coefficient).collect()
    }

    /// Coefficients of a product: as many variables and constraints as there are.
    fn tie(&mut self, x: &[Num], y: &[Num]) -> Vec<Num> {
        let count = x.len() + y.len() - 1;
        let before = self.builder.enter("products");
        let value = |k: usize| {
            let pairs = (0..=k).filter(|i| *i < x.len() && k - i < y.len());
            pairs.map(|i| x[i].value * y[k - i].value).sum()
        };
        let product: Vec<Num> = (0..count).map(|k| self.builder.witness(value(k))).collect();
        self.builder.enforce(&x[0], &y[0], &product[0]);
        if count > 1 {
            self.builder.enforce(&x[x.len() - 1], &y[y.len() - 1], &product[count - 1]);
        }
        for point in &POINTS[..count.saturating_sub(2)] {
            let at = |limbs: &[Num]| evaluate(limbs, *point);
            self.builder.enforce(&at(x), &at(y), &at(&product));
        }
        self.builder.enter(before);
        product
    }

    /// Demands that an element is 0 modulo p.
    fn vanish(&mut self, id: Id) {
        let before = self.builder.enter("equalities");
        let Node { limbs, bound, .. } = &self.nodes[id as usize];
        let (limbs, most) = (limbs.clone(), Quotients::of(*bound));
        for limb in &limbs {
            most.check(&mut self.builder, limb);
        }
        self.builder.enter(before);
    }

    fn inputs(&mut self, value: &[u32]) -> Id {
        let digit = |c: &u32| {
            let digit = self.builder.witness(Fr::from(*c));
            range(&mut self.builder, &digit, 31);
            digit
        };
        let limbs = value.iter().map(digit).collect();
        self.push(limbs, Bound::DIGIT, Spelling::Digits)
    }
}

/// Largest number of products of limbs in one limb of a product of elements with so many.
fn folded_products(la: usize, lb: usize) -> u64 {
    let pairs = |k: usize| (0..=k).filter(|i| *i < la && k - i < lb).count() as u64;
    let mut limbs = [0; DEGREE];
    for k in 0..la + lb - 1 {
        folding(k).iter().for_each(|(i, _)| limbs[*i] += pairs(k));
    }
    // Coefficients before folding are sums of fewer products than this, so they are within the same bound.
    let most = limbs.into_iter().max().unwrap_or(1);
    most.max((0..la + lb - 1).map(pairs).max().unwrap_or(1))
}

/// The range of the quotients by p of integers within a bound.
struct Quotients {
    /// `Q`: `-Q <= q`.
    least: BigInteger256,
    /// `q + Q < 2^bits`.
    bits: usize,
}

impl Quotients {
    fn of(bound: Bound) -> Self {
        // Q = 2^(bits of B / p): a power of two not below floor(B / p) + 1, so that q + Q fits one bit more.
        let log = bound.over(P).bits() as usize;
        Self { least: power_of_two(log).into_bigint(), bits: log + 1 }
    }

    /// Demands that a number is p times an integer of the range.
    fn check(&self, b: &mut Builder, multiple: &Num) {
        let inverse = Fr::from(P).inverse().expect("not 0");
        let least = Fr::from_bigint(self.least).expect("below the modulus");
        split(b, &multiple.scaled(inverse).shifted(least), self.bits);
    }
}

impl Circuit {
    /// An empty circuit whose public input has the given value.
    pub fn new(public: Fr) -> Self {
        Self(RefCell::new(Inner { builder: Builder::new(public), nodes: Vec::new(), done: HashMap::new() }))
    }

    /// The constraints below, for gadgets that are not about K.
    ///
    /// # Panics
    /// If it is held already.
    pub fn builder(&self) -> RefMut<'_, Builder> {
        RefMut::map(self.0.borrow_mut(), |inner| &mut inner.builder)
    }

    /// The finished system.
    pub fn into_builder(self) -> Builder {
        self.0.into_inner().builder
    }

    /// An element of the proof: five digits of 31 bits. Not canonical: what is hashed are the digits themselves, which fix their classes.
    pub fn element(&self, value: K) -> Id {
        self.0.borrow_mut().inputs(&coefficients(value))
    }

    /// A base element of the proof.
    pub fn base(&self, value: F) -> Id {
        self.0.borrow_mut().inputs(&[value.as_canonical_u32()])
    }

    /// An element of up to five limbs that are known to be non-negative and below `2^31`.
    pub fn of_digits(&self, digits: Vec<Num>) -> Id {
        self.0.borrow_mut().push(digits, Bound::DIGIT, Spelling::Digits)
    }

    /// An element of one limb that is known to be within a bound in absolute value.
    pub fn of_integer(&self, value: Num, bound: Bound) -> Id {
        self.0.borrow_mut().push(vec![value], bound, Spelling::Integers)
    }

    /// The digits of an element of the proof or of [`Circuit::of_digits`], `count` of them: canonical ones for any other element.
    ///
    /// # Panics
    /// For an element of more limbs.
    pub fn digits(&self, id: Id, count: usize) -> Vec<Num> {
        let inner = &mut *self.0.borrow_mut();
        if inner.nodes[id as usize].spelling == Spelling::Integers {
            inner.reduce(id);
        }
        if inner.nodes[id as usize].spelling == Spelling::Reduced {
            let limbs = inner.nodes[id as usize].limbs.clone();
            limbs.iter().for_each(|l| {
                split_canonical(&mut inner.builder, l);
            });
            inner.nodes[id as usize].spelling = Spelling::Digits;
        }
        let mut digits = inner.nodes[id as usize].limbs.clone();
        assert!(digits.len() <= count, "an element of no more limbs than are asked for");
        digits.resize(count, Num::default());
        digits
    }

    /// Replaces an element's limbs by their remainders, if they may be larger.
    pub(crate) fn reduce(&self, id: Id) {
        let inner = &mut *self.0.borrow_mut();
        if inner.nodes[id as usize].bound.exceeds(Bound::DIGIT) {
            inner.reduce(id);
        }
    }

    /// `a + b`.
    pub(crate) fn add(&self, a: Handle, b: Handle) -> Id {
        self.run(Operation::Add, a, b, |inner, a, b| inner.linear(a, b, Fr::ONE))
    }

    /// `a - b`.
    pub(crate) fn subtract(&self, a: Handle, b: Handle) -> Id {
        self.run(Operation::Subtract, a, b, |inner, a, b| inner.linear(a, b, -Fr::ONE))
    }

    /// `a * b`.
    pub(crate) fn multiply(&self, a: Handle, b: Handle) -> Id {
        self.run(Operation::Multiply, a, b, Inner::multiply)
    }

    /// `1 / a`; demands that there is one.
    pub(crate) fn invert(&self, a: Id) -> Id {
        self.run(Operation::Invert, Handle::Wire(a), Handle::Wire(a), |inner, a, _| {
            let Operand::Wire(id) = a else { unreachable!("an element") };
            let value = value_of(&inner.nodes[id as usize]);
            let inverse = p3_field::Field::try_inverse(&value).unwrap_or_default();
            let inverse = inner.inputs(&coefficients(inverse));
            let product = inner.multiply(a, Operand::Wire(inverse));
            let one = Operand::Known([1, 0, 0, 0, 0]);
            let difference = inner.linear(Operand::Wire(product), one, -Fr::ONE);
            inner.vanish(difference);
            inverse
        })
    }

    /// Demands `a = 0`.
    pub(crate) fn vanish(&self, a: Id) {
        self.0.borrow_mut().vanish(a);
    }

    /// The value that an element has in this assignment.
    pub fn value(&self, id: Id) -> K {
        value_of(&self.0.borrow().nodes[id as usize])
    }

    fn run(
        &self,
        op: Operation,
        a: Handle,
        b: Handle,
        make: impl FnOnce(&mut Inner, Operand, Operand) -> Id,
    ) -> Id {
        let (mut x, mut y) = (a.operand(), b.operand());
        if matches!(op, Operation::Add | Operation::Multiply) && rank(&x) > rank(&y) {
            (x, y) = (y, x);
        }
        let inner = &mut *self.0.borrow_mut();
        if let Some(id) = inner.done.get(&(op, x, y)) {
            return *id;
        }
        let id = make(inner, x, y);
        inner.done.insert((op, x, y), id);
        id
    }
}

/// Order of operands of an operation that commutes.
fn rank(operand: &Operand) -> (u32, [u32; DEGREE]) {
    match operand {
        Operand::Wire(id) => (*id, [0; DEGREE]),
        Operand::Known(value) => (u32::MAX, *value),
    }
}

/// An operand of an operation on elements.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Handle {
    /// An element of the circuit.
    Wire(Id),
    /// A constant.
    Known(K),
}

impl Handle {
    fn operand(self) -> Operand {
        match self {
            Self::Wire(id) => Operand::Wire(id),
            Self::Known(value) => Operand::Known(coefficients(value)),
        }
    }
}

fn value_of(node: &Node) -> K {
    let class = |l: Option<&Num>| F::new(l.map_or(0, |l| quotient(l.value).1) as u32);
    K::from_basis_coefficients_fn(|i| class(node.limbs.get(i)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scalar::Wire;
    use p3_field::{Field as _, PrimeCharacteristicRing};
    use proofmesh_proof::scalar::Scalar;
    use rand::{RngExt, SeedableRng, rngs::StdRng};

    fn edges(rng: &mut StdRng) -> Vec<K> {
        let top = F::from_u64(P - 1);
        let mut all = vec![K::ZERO, K::ONE, K::NEG_ONE, K::from(top), K::from_basis_coefficients_fn(|_| top)];
        all.push(K::from_basis_coefficients_fn(|i| if i == 4 { F::TWO } else { F::ZERO }));
        all.extend((0..6).map(|_| rng.random::<K>()));
        all
    }

    fn wire(c: &Circuit, value: K) -> Wire<'_> {
        Wire::At(c, c.element(value))
    }

    #[test]
    fn arithmetic_is_the_field_s() {
        let mut rng = StdRng::seed_from_u64(1);
        let values = edges(&mut rng);
        let c = Circuit::new(Fr::ZERO);
        for &a in &values {
            for &b in &values {
                let (x, y) = (wire(&c, a), wire(&c, b));
                for (got, expected) in [
                    (x + y, a + b),
                    (x - y, a - b),
                    (x * y, a * b),
                    (x * b - y * a + K::TWO, K::TWO),
                    (-x * x * y, -a * a * b),
                    (x * F::from_u32(77) + b, a * F::from_u32(77) + b),
                ] {
                    assert_eq!(got.value(), expected);
                    assert!(got.equals(Wire::Known(expected)));
                }
                if a != K::ZERO {
                    assert_eq!(x.reciprocal().expect("a wire").value(), a.inverse());
                }
            }
        }
        assert_eq!(c.into_builder().broken(), None);
    }

    #[test]
    fn long_chains_reduce_and_keep_their_class() {
        let mut rng = StdRng::seed_from_u64(2);
        let c = Circuit::new(Fr::ZERO);
        let top = K::from_basis_coefficients_fn(|_| F::from_u64(P - 1));
        let (mut x, mut expected) = (wire(&c, top), top);
        let mut sum = (Wire::ZERO, K::ZERO);
        for i in 0..120u32 {
            let factor = if i % 3 == 0 { top } else { rng.random() };
            let w = if i % 5 == 0 { Wire::Known(factor) } else { wire(&c, factor) };
            x *= w;
            expected *= factor;
            if i % 4 == 0 {
                x = x * x - w;
                expected = expected * expected - factor;
            }
            sum = (sum.0 + x * w, sum.1 + expected * factor);
            assert_eq!(x.value(), expected, "{i}");
        }
        assert!(x.equals(Wire::Known(expected)) && sum.0.equals(Wire::Known(sum.1)));
        let b = c.into_builder();
        assert_eq!(b.broken(), None);
        assert!(b.constraints() > 10_000);
    }

    #[test]
    fn base_elements_cost_a_limb_and_known_factors_nothing() {
        let c = Circuit::new(Fr::ZERO);
        let (x, y) = (Wire::At(&c, c.base(F::from_u32(9))), wire(&c, K::TWO));
        let before = c.builder().constraints();
        assert_eq!((x * x).value(), K::from_u32(81));
        assert_eq!(c.builder().constraints() - before, 1);
        let _ = x * y;
        assert_eq!(c.builder().constraints() - before, 6);
        let _ = (y * y, y * y, (x + y) * K::from_u32(3), x * y);
        assert_eq!(c.builder().constraints() - before, 15, "what was computed is not computed again");
    }

    #[test]
    fn lies_are_refused() {
        let mut rng = StdRng::seed_from_u64(3);
        let (a, b): (K, K) = (rng.random(), rng.random());
        // A false claim.
        let c = Circuit::new(Fr::ZERO);
        let (x, y) = (wire(&c, a), wire(&c, b));
        assert!((x * y * x * y * x * y).equals(Wire::Known((a * b).cube() + K::ONE)));
        assert_eq!(c.into_builder().broken().map(|b| b.1), Some("equalities"));
        // No inverse of 0; no difference of equals.
        let c = Circuit::new(Fr::ZERO);
        assert!(wire(&c, K::ZERO).reciprocal().is_some());
        assert!(c.into_builder().broken().is_some());
        let c = Circuit::new(Fr::ZERO);
        assert!(wire(&c, a).differs(a));
        assert!(c.into_builder().broken().is_some());
        // Every variable of a product, a reduction, an inverse and an equality is tied down.
        let c = Circuit::new(Fr::ZERO);
        let (x, y) = (wire(&c, a), wire(&c, b));
        let power = (0..9).fold(x, |acc, _| acc * y);
        let inverse = power.reciprocal().expect("a wire");
        let _ = inverse.equals(Wire::Known((a * b.exp_u64(9)).inverse()));
        let mut builder = c.into_builder();
        assert_eq!(builder.broken(), None);
        for var in 2..builder.assignment().len() {
            let value = builder.assignment()[var];
            for other in [value + Fr::ONE, value + Fr::from(P), value - Fr::from(P)] {
                builder.assign(var as u32, other);
                assert!(builder.broken().is_some(), "variable {var}");
            }
            builder.assign(var as u32, value);
        }
    }

    #[test]
    fn digits_of_results_are_canonical() {
        let c = Circuit::new(Fr::ZERO);
        let id = |w: Wire<'_>| if let Wire::At(_, id) = w { id } else { panic!("a wire") };
        let (x, y) = (wire(&c, K::NEG_ONE), wire(&c, K::NEG_ONE));
        let sent = c.digits(id(x), 5);
        assert_eq!(sent[0].value, Fr::from(P - 1));
        let before = c.builder().constraints();
        c.digits(id(x), 5);
        assert_eq!(c.builder().constraints(), before, "digits that were sent are there");
        let digits = c.digits(id(x + y), 5);
        assert_eq!((digits[0].value, digits[1].value), (Fr::from(P - 2), Fr::ZERO));
        let mut b = c.into_builder();
        assert_eq!(b.broken(), None);
        // The other spelling of a small class does not pass.
        let (var, value) = (digits[1].form.0[0].0, digits[1].value);
        b.assign(var, value + Fr::from(P));
        assert!(b.broken().is_some());
    }

    #[test]
    fn what_is_built_does_not_depend_on_values() {
        let build = |seed: u64| {
            let mut rng = StdRng::seed_from_u64(seed);
            let c = Circuit::new(Fr::from(seed));
            let (x, y) = (wire(&c, rng.random()), wire(&c, if seed == 0 { K::ZERO } else { rng.random() }));
            let z = (0..20).fold(x, |acc, _| acc * y + x).reciprocal().expect("a wire");
            let _ = z.equals(x);
            c.into_builder().digest()
        };
        assert_eq!(build(0), build(5));
        assert_eq!(build(6), build(5));
    }
}

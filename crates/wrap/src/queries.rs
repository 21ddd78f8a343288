//! Opened rows of a code: their digits, their paths to a tree's cap, and the places of the domain that they stand for.

use std::collections::BTreeMap;

use ark_bn254::Fr;
use ark_ff::AdditiveGroup;
use p3_field::{BasedVectorSpace, PrimeCharacteristicRing, PrimeField32, TwoAdicField};
use proofmesh_proof::field::{F, K};
use proofmesh_proof::scalar::Scalar;

use crate::bits::select;
use crate::circuit::{Circuit, Id};
use crate::poseidon::Poseidon;
use crate::r1cs::{Builder, Num};
use crate::scalar::Wire;
use crate::transcript::{Transcript, leaf, node};

/// Base elements of an element of K.
pub(crate) const DEGREE: usize = 5;

/// Opened positions of one code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Queries {
    /// Witness of the work before the positions are drawn.
    pub work: F,
    /// Base elements of each position's row, those of its salt last.
    pub rows: Vec<Vec<F>>,
    /// The siblings that the rows do not determine, from the leaves up, left to right.
    pub siblings: Vec<Fr>,
}

impl Queries {
    /// Zeros: so many rows of so many digits.
    pub(crate) fn blank(rows: usize, width: usize) -> Self {
        Self { work: F::ZERO, rows: vec![vec![F::ZERO; width]; rows], siblings: Vec::new() }
    }

    /// Whether all lists have the lengths of another's; the siblings that are left out depend on the positions.
    pub(crate) fn fits(&self, blank: &Self) -> bool {
        self.rows.len() == blank.rows.len()
            && self.rows.iter().zip(&blank.rows).all(|(a, b)| a.len() == b.len())
    }
}

/// Demands that a leaf at an index, with the siblings on its path, leads to the cap.
pub(crate) fn climb(
    b: &mut Builder,
    poseidon: &Poseidon,
    digits: &[Num],
    (index, path): (&[Num], Vec<Fr>),
    cap: &[Num],
) {
    b.enter("Merkle paths");
    let mut hash = leaf(b, poseidon, digits);
    let (low, high) = index.split_at(path.len());
    for (bit, sibling) in low.iter().zip(path) {
        let sibling = b.witness(sibling);
        let left = select(b, bit, &sibling, &hash);
        let right = hash.plus(&sibling).minus(&left);
        hash = node(b, poseidon, &left, &right);
    }
    let root = choose(b, high, cap);
    b.equal(&hash, &root);
}

/// The entry of a table at an index given by its bits, the lowest first.
fn choose(b: &mut Builder, bits: &[Num], table: &[Num]) -> Num {
    bits.iter().fold(table.to_vec(), |table, bit| {
        table.chunks(2).map(|pair| select(b, bit, &pair[1], &pair[0])).collect()
    })[0]
        .clone()
}

/// A row's elements, and the digits that are hashed.
pub(crate) fn read_row<'c>(circuit: &'c Circuit, row: &[F], base: bool) -> (Vec<Wire<'c>>, Vec<Num>) {
    let ids: Vec<Id> = if base {
        row.iter().map(|v| circuit.base(*v)).collect()
    } else {
        let elements = row.as_chunks::<DEGREE>().0;
        elements.iter().map(|c| circuit.element(K::from_basis_coefficients_fn(|i| c[i]))).collect()
    };
    let count = if base { 1 } else { DEGREE };
    let digits = ids.iter().flat_map(|id| circuit.digits(*id, count)).collect();
    (ids.into_iter().map(|id| Wire::At(circuit, id)).collect(), digits)
}

/// Each position's siblings from the leaf up, from those of a pruned proof and the hashes that the rows determine; zeros beyond them, which
/// satisfy nothing.
pub(crate) fn restore(
    queries: &Queries,
    positions: &[usize],
    height: usize,
    transcript: &Transcript<'_>,
) -> Vec<Vec<Fr>> {
    let mut scratch = Builder::new(Fr::ZERO);
    let mut level: BTreeMap<usize, Fr> = BTreeMap::new();
    for (position, row) in positions.iter().zip(&queries.rows) {
        let digits: Vec<Num> = row.iter().map(|v| Num::constant(Fr::from(v.as_canonical_u32()))).collect();
        let hash = leaf(&mut scratch, transcript.poseidon, &digits);
        level.entry(*position).or_insert(hash.value);
    }
    let mut sent = queries.siblings.iter().copied();
    let mut paths = vec![Vec::new(); positions.len()];
    for depth in 0..height {
        let mut full = level.clone();
        for position in level.keys() {
            full.entry(position ^ 1).or_insert_with(|| sent.next().unwrap_or_default());
        }
        for (path, position) in paths.iter_mut().zip(positions) {
            path.push(full[&((position >> depth) ^ 1)]);
        }
        let pairs = full.iter().filter(|(position, _)| *position % 2 == 0);
        level = pairs
            .map(|(position, left)| {
                let [left, right] = [*left, full[&(position + 1)]].map(Num::constant);
                (position / 2, node(&mut scratch, transcript.poseidon, &left, &right).value)
            })
            .collect();
    }
    paths
}

/// `sum of a_i b_i`, as far as both go.
pub(crate) fn inner<'c>(a: &[Wire<'c>], b: &[Wire<'c>]) -> Wire<'c> {
    a.iter().zip(b).map(|(x, y)| *x * *y).sum()
}

/// Demands that two elements are equal.
pub(crate) fn demand<'c>(a: Wire<'c>, b: Wire<'c>) {
    // A circuit's comparison is a constraint; between constants it is decided here, and there are none.
    assert!(a.equals(b), "constants of a circuit differ");
}

/// A place of a domain, the generator to the power of an index: all its powers are products of looked-up ones, one a window of the index' bits.
pub(crate) struct Place<'c> {
    circuit: &'c Circuit,
    bits: usize,
    /// First bit of each window, and the products of the subsets of its bits; a function of bits is a linear form in them.
    windows: Vec<(usize, Vec<Num>)>,
}

impl<'c> Place<'c> {
    /// The place of an index, given by its bits, the lowest first, in windows of these widths.
    pub(crate) fn new(circuit: &'c Circuit, index: &[Num], widths: &[usize]) -> Self {
        let (b, mut first, mut windows) = (&mut *circuit.builder(), 0, Vec::new());
        for width in widths {
            let mut products = vec![Num::constant(Fr::from(1u64))];
            for bit in &index[first..first + width] {
                for i in 0..products.len() {
                    let with = b.product(&products[i], bit);
                    products.push(with);
                }
            }
            windows.push((first, products));
            first += width;
        }
        assert_eq!(first, index.len(), "the windows cover the index");
        Self { circuit, bits: index.len(), windows }
    }

    /// The place to a power; 31 bits a window that the power depends on.
    pub(crate) fn power(&self, exponent: usize) -> Wire<'c> {
        let generator = F::two_adic_generator(self.bits).exp_u64(exponent as u64);
        let factors: Vec<Wire<'c>> = (self.windows.iter())
            .map(|(first, products)| (generator.exp_power_of_2(*first), products))
            .filter(|(step, _)| *step != F::ONE)
            .map(|(step, products)| {
                let value = |i: usize| Fr::from(step.exp_u64(i as u64).as_canonical_u32());
                let mut weights: Vec<Fr> = (0..products.len()).map(value).collect();
                for j in 0..products.len().trailing_zeros() {
                    for i in (0..weights.len()).filter(|i| i >> j & 1 == 1) {
                        let without = weights[i ^ (1 << j)];
                        weights[i] -= without;
                    }
                }
                let looked_up = Num::sum(weights.into_iter().zip(products));
                Wire::At(self.circuit, self.circuit.of_digits(vec![looked_up]))
            })
            .collect();
        factors.into_iter().product()
    }
}

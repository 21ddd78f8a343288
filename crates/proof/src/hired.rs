//! The profile [`Hired`]: proofs that hide and that a circuit verifies cheaply, so that a stranger can wrap them.
//!
//! Its commitment is one interleaved Reed-Solomon code, opened by a combination of its columns (Ligero, eprint 2022/1608, and Brakedown,
//! 2021/1043, with a tensor as the combination), not a WHIR of several codes: in a circuit a query costs a path in every code that it meets, and
//! HVZK-WHIR meets two more for each of its masks' codes. Trees are salted and under a cap, hash and transcript those of [`crate::sponge`].
//!
//! *Commitment.* The vector's `2^n` cells are `2^k` *chunks* of `M` cells, by the first k variables. Column b of the code is
//! `f_b(X) + X^M r_b(X)` at the `L` places of a subgroup, `f_b` the chunk and `r_b` as many random coefficients as there are queries, T. Beside the
//! chunks stand three columns over K, five base columns each: `G`, a uniform vector of M elements; `N` and `N'`, the masks of the opening's
//! rounds and the second ones ([`crate::opening`]), as the lowest coefficients; all with T random coefficients from `X^M` on. A leaf is a row.
//!
//! *Opening at s.* With `u = sum_b eq(s_high, b) f_b`, the value is `<u, eq(s_low, .)>`. The prover sends `mu = <g, eq(s_low, .)>`, gets gamma, sends
//! `v = g + gamma u` with its random coefficients, and those of `R = N + t N'`; gets eta; works; opens T rows. Checked: `<v, eq(s_low, .)> = mu + gamma
//! value`, and at every opened place x, `v(x) + eta R(x) = G(x) + gamma sum_b eq(s_high, b) U_b(x) + eta (N(x) + t N'(x))`.
//!
//! Why this is sound and hides: docs/spec/soundness.md. The point must be drawn after the commitment, as the opening's rounds do.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::RefCell;
use p3_challenger::{CanObserve, CanSampleBits, FieldChallenger, GrindingChallenger};
use p3_commit::Mmcs;
use p3_dft::{Radix2DFTSmallBatch, TwoAdicSubgroupDft};
use p3_field::{BasedVectorSpace, PrimeCharacteristicRing, TwoAdicField};
use p3_matrix::dense::RowMajorMatrix;
use p3_matrix::{Dimensions, Matrix};
use p3_merkle_tree::MerkleTreeHidingMmcs;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

use crate::chain::Poseidon;
use crate::field::{F, K, eq_table, extension_at};
use crate::opening::{ColumnMasks, Masked};
use crate::plan::MIN_LOG;
use crate::profile::{Kind, Profile, Suite};
use crate::reject::Reject;
use crate::soundness::{TARGET_BITS, Term, over_field, term, total_bits};
use crate::sponge::Sponge;

/// The profile of proofs that are handed to whoever wraps them.
#[derive(Clone, Copy, Debug)]
pub struct Hired;

/// Salted trees.
pub type Trees = <Poseidon as Suite>::Salted;
/// `log2` of the roots that a tree is cut off at.
pub const CAP_LOG: usize = 7;
/// Bits of work before rows are drawn.
pub const WORK_BITS: usize = 16;
/// Coordinates of an element of K.
pub const DEGREE: usize = 5;
/// Most rows that are opened.
const MAX_QUERIES: usize = 160;

/// Sizes of the code for one size of vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// `log2` of the vector's cells.
    pub log: usize,
    /// `log2` of the chunks.
    pub fold: usize,
    /// `log2` of the code's places over a chunk's cells.
    pub rate: usize,
    /// Rows that are opened, T.
    pub queries: usize,
}

impl Shape {
    /// The shape for `2^log` cells. Chunks are four to eight times fewer than a chunk has cells: a row's digits and the sent vector then cost a circuit
    /// about the same. The rate is 2^-5, beyond 2^20 cells 2^-2, to bound memory.
    ///
    /// Errors: `commitment.size` for an unsupported size.
    pub fn of(log: usize) -> Result<Self, Reject> {
        let refused = |why| Reject::new("commitment.size", why, log);
        if log < MIN_LOG {
            return Err(refused("a larger vector"));
        }
        let shape = |queries| Self { log, fold: (log - 3) / 2, rate: if log <= 20 { 5 } else { 2 }, queries };
        let enough = |shape: &Self| total_bits(&shape.terms()) >= TARGET_BITS + 0.5;
        let found =
            (2..MAX_QUERIES).map(shape).find(|shape| shape.dimension() < shape.length() && enough(shape));
        found.ok_or_else(|| refused("a size with 100 proven bits"))
    }

    /// Cells of a chunk, M.
    pub fn message(&self) -> usize {
        1 << (self.log - self.fold)
    }

    /// Coefficients of a column.
    pub fn dimension(&self) -> usize {
        self.message() + self.queries
    }

    /// `log2` of the code's places.
    pub fn index_bits(&self) -> usize {
        self.log - self.fold + self.rate
    }

    /// Places of the code, L.
    pub fn length(&self) -> usize {
        1 << self.index_bits()
    }

    /// Base elements of a row, without its salt.
    pub fn width(&self) -> usize {
        (1 << self.fold) + 3 * DEGREE
    }

    /// Masks of the opening's rounds.
    pub fn masks(&self) -> usize {
        2 * self.log
    }

    /// What the transcript absorbs before the roots.
    pub fn seed(&self) -> [F; 6] {
        let kind = usize::from(Kind::Hired.number());
        [kind, self.log, self.fold, self.rate, self.queries, WORK_BITS].map(F::from_usize)
    }

    /// Positions at which a word may differ from the code's nearest word for that to be the only one.
    fn radius(&self) -> usize {
        (self.length() - self.dimension()) / 2
    }

    /// The commitment's error terms.
    pub fn terms(&self) -> Vec<Term> {
        let length = self.length() as f64;
        let kept = 1.0 - self.radius() as f64 / length;
        let name = alloc::format!(
            "commitment: {} queries at rate {}/{}",
            self.queries,
            self.dimension(),
            self.length()
        );
        let lines = self.fold as f64 + 3.0;
        alloc::vec![
            term(name, -(self.queries as f64) * libm::log2(kept) + WORK_BITS as f64, WORK_BITS),
            term(
                "commitment, proximity gaps: code length x (folds + 3) / |K|",
                over_field(lines * length),
                0
            ),
            term("commitment, masked value: 1 / |K|", over_field(1.0), 0),
        ]
    }

    /// The place of an index.
    fn place(&self, index: usize) -> F {
        F::two_adic_generator(self.index_bits()).exp_u64(index as u64)
    }
}

/// The scheme for one size.
pub struct Scheme {
    /// Its sizes.
    pub shape: Shape,
    trees: Trees,
    masks: RefCell<StdRng>,
}

/// What a prover keeps between committing and opening.
pub struct Data {
    vector: Vec<F>,
    /// Random coefficients of each chunk.
    random: Vec<Vec<F>>,
    /// `G`, `N` and `N'` with their random coefficients, all [`Shape::dimension`] long.
    masks: [Vec<K>; 3],
    tree: <Trees as Mmcs<F>>::ProverData<RowMajorMatrix<F>>,
}

/// An opening.
#[derive(Clone, Serialize, Deserialize)]
pub struct Opening {
    /// The claimed value.
    pub value: K,
    /// `mu`.
    pub masked: K,
    /// `v`, its random coefficients last.
    pub combined: Vec<K>,
    /// Random coefficients of `R`.
    pub masks: Vec<K>,
    /// Witness of the work.
    pub work: F,
    /// Opened rows.
    pub rows: Vec<Vec<F>>,
    /// Their salts and siblings.
    pub paths: <Trees as Mmcs<F>>::MultiProof,
}

/// Sets a column over K, five base columns wide, of a matrix of coefficients.
fn set(values: &mut [F], width: usize, first: usize, column: &[K]) {
    for (row, element) in values.chunks_mut(width).zip(column) {
        row[first..first + DEGREE].copy_from_slice(element.as_basis_coefficients_slice());
    }
}

impl Scheme {
    /// A column over K: a message, zeros, and random coefficients from `X^M` on.
    fn column(&self, mut message: Vec<K>, rng: &mut StdRng) -> Vec<K> {
        message.resize(self.shape.message(), K::ZERO);
        message.extend((0..self.shape.queries).map(|_| rng.random::<K>()));
        message
    }

    /// The code of chunks with their random coefficients, and of columns over K: a row a place.
    fn code(&self, vector: &[F], random: &[Vec<F>], columns: &[Vec<K>]) -> RowMajorMatrix<F> {
        let (shape, width) = (&self.shape, self.shape.width());
        let mut values = F::zero_vec(width << shape.index_bits());
        for (b, (chunk, random)) in vector.chunks(shape.message()).zip(random).enumerate() {
            let column = values.iter_mut().skip(b).step_by(width);
            column.zip(chunk.iter().chain(random)).for_each(|(cell, c)| *cell = *c);
        }
        for (i, column) in columns.iter().enumerate() {
            set(&mut values, width, (1 << shape.fold) + i * DEGREE, column);
        }
        Radix2DFTSmallBatch::default().dft_batch(RowMajorMatrix::new(values, width)).to_row_major_matrix()
    }
}

impl Profile for Hired {
    const KIND: Kind = Kind::Hired;
    type Challenger = Sponge;
    type Commitment = <Trees as Mmcs<F>>::Commitment;
    type Masks = ColumnMasks;
    type PcsProof = Opening;
    type Pcs = Scheme;
    type Data = Data;

    fn challenger(binding: &[u8; 32]) -> Self::Challenger {
        Sponge::new(binding)
    }

    fn scheme(log: usize, salts: StdRng, masks: StdRng) -> Result<Self::Pcs, Reject> {
        use crate::sponge::{Leaves, Nodes};
        let trees = MerkleTreeHidingMmcs::new(Leaves, Nodes, CAP_LOG, salts);
        Ok(Scheme { shape: Shape::of(log)?, trees, masks: RefCell::new(masks) })
    }

    fn terms(pcs: &Self::Pcs) -> Vec<Term> {
        pcs.shape.terms()
    }

    fn observe(pcs: &Self::Pcs, commitment: &Self::Commitment, challenger: &mut Self::Challenger) {
        challenger.observe_slice(&pcs.shape.seed());
        challenger.observe(commitment.clone());
    }

    fn commit(
        pcs: &Self::Pcs,
        vector: Vec<F>,
        masks: [&[K]; 2],
        challenger: &mut Self::Challenger,
    ) -> Result<(Self::Commitment, Self::Data), String> {
        let shape = &pcs.shape;
        let rng = &mut StdRng::from_rng(&mut *pcs.masks.borrow_mut());
        let random: Vec<Vec<F>> =
            (0..1 << shape.fold).map(|_| (0..shape.queries).map(|_| rng.random()).collect()).collect();
        let uniform = (0..shape.message()).map(|_| rng.random()).collect();
        let columns = [uniform, masks[0].to_vec(), masks[1].to_vec()].map(|m| pcs.column(m, rng));
        let code = pcs.code(&vector, &random, &columns);
        let (commitment, tree) = pcs.trees.commit_matrix(code);
        Self::observe(pcs, &commitment, challenger);
        Ok((commitment, Data { vector, random, masks: columns, tree }))
    }

    fn vector(data: &Self::Data) -> &[F] {
        &data.vector
    }

    fn open(
        pcs: &Self::Pcs,
        (_, data): (&Self::Commitment, Self::Data),
        (points, masked): (Vec<Vec<K>>, Option<Masked<'_>>),
        challenger: &mut Self::Challenger,
    ) -> Result<Self::PcsProof, String> {
        let ([point], Some(Masked { t, .. })) = (&points[..], masked) else {
            return Err("one point, and masks".to_string());
        };
        let shape = &pcs.shape;
        let (high, low) = point.split_at(shape.fold);
        let mut folded = K::zero_vec(shape.dimension());
        let chunks = data.vector.chunks(shape.message()).zip(&data.random);
        for ((chunk, random), weight) in chunks.zip(eq_table(high, K::ONE)) {
            let cells = chunk.iter().chain(random);
            folded.iter_mut().zip(cells).for_each(|(sum, c)| *sum += weight * *c);
        }
        let [uniform, first, second] = &data.masks;
        let [value, masked] = [&folded, uniform].map(|v| extension_at(low, &v[..shape.message()]));
        challenger.observe_algebra_element(masked);
        let gamma: K = challenger.sample_algebra_element();
        let combined: Vec<K> = uniform.iter().zip(&folded).map(|(g, u)| *g + gamma * *u).collect();
        let both = first.iter().zip(second).map(|(n, m)| *n + t * *m);
        let masks: Vec<K> = both.skip(shape.message()).collect();
        challenger.observe_algebra_slice(&combined);
        challenger.observe_algebra_slice(&masks);
        let _eta: K = challenger.sample_algebra_element();
        let work = challenger.grind(WORK_BITS);
        let positions: Vec<usize> =
            (0..shape.queries).map(|_| challenger.sample_bits(shape.index_bits())).collect();
        let (rows, paths) = pcs.trees.open_multi_batch(&positions, &data.tree);
        let rows = rows.into_iter().flatten().collect();
        Ok(Opening { value, masked, combined, masks, work, rows, paths })
    }

    fn values(proof: &Self::PcsProof) -> Vec<K> {
        alloc::vec![proof.value]
    }

    fn verify(
        pcs: &Self::Pcs,
        (commitment, proof): (&Self::Commitment, &Self::PcsProof),
        (points, masked): (Vec<Vec<K>>, Option<Masked<'_>>),
        challenger: &mut Self::Challenger,
    ) -> Result<(), Reject> {
        let refused = |expected, got: &str| Err(Reject::new("commitment.opening", expected, got));
        let shape = &pcs.shape;
        let ([point], Some(Masked { t, masks })) = (&points[..], masked) else {
            return refused("one point, and masks", "others");
        };
        let fits = commitment.num_roots() == 1 << CAP_LOG
            && proof.combined.len() == shape.dimension()
            && proof.masks.len() == shape.queries
            && masks.len() == shape.masks()
            && proof.rows.len() == shape.queries
            && proof.rows.iter().all(|row| row.len() == shape.width());
        if point.len() != shape.log || !fits {
            return refused("an opening of the commitment's sizes", "another");
        }
        challenger.observe_algebra_element(proof.masked);
        let gamma: K = challenger.sample_algebra_element();
        challenger.observe_algebra_slice(&proof.combined);
        challenger.observe_algebra_slice(&proof.masks);
        let eta: K = challenger.sample_algebra_element();
        let (high, low) = point.split_at(shape.fold);
        if extension_at(low, &proof.combined[..shape.message()]) != proof.masked + gamma * proof.value {
            return refused("the masked value of the combination", "another");
        }
        if !challenger.check_witness(WORK_BITS, proof.work) {
            return refused("a witness of the work", "none");
        }
        let positions: Vec<usize> =
            (0..shape.queries).map(|_| challenger.sample_bits(shape.index_bits())).collect();
        let sizes = [Dimensions { width: shape.width(), height: shape.length() }];
        let rows: Vec<Vec<&[F]>> = proof.rows.iter().map(|row| alloc::vec![&row[..]]).collect();
        if let Err(why) = pcs.trees.verify_multi_batch(commitment, &sizes, &positions, &rows, &proof.paths) {
            return refused("rows of the commitment", &why.to_string());
        }
        let mut combined = proof.combined.clone();
        combined.iter_mut().zip(masks).for_each(|(c, m)| *c += eta * *m);
        combined[shape.message()..].iter_mut().zip(&proof.masks).for_each(|(c, m)| *c += eta * *m);
        let weights = eq_table(high, K::ONE);
        for (position, row) in positions.iter().zip(&proof.rows) {
            let place = shape.place(*position);
            let left = combined.iter().rev().fold(K::ZERO, |acc, c| acc * place + *c);
            let (chunks, columns) = row.split_at(1 << shape.fold);
            let folded: K = weights.iter().zip(chunks).map(|(w, c)| *w * *c).sum();
            let [g, n, m] = [0, 1, 2].map(|i| {
                K::from_basis_coefficients_slice(&columns[i * DEGREE..][..DEGREE]).expect("five coordinates")
            });
            if left != g + gamma * folded + eta * (n + t * m) {
                return refused("a combination of the opened rows", "another");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::boxed::Box;

    const LOG: usize = MIN_LOG;

    /// A scheme, a vector, masks, what a proof would ask.
    struct Scene {
        pcs: Scheme,
        vector: Vec<F>,
        masks: [Vec<K>; 2],
        point: Vec<K>,
        t: K,
    }

    impl Scene {
        fn new(seed: u64) -> Self {
            let mut rng = StdRng::seed_from_u64(seed);
            let pcs = Hired::scheme(LOG, StdRng::seed_from_u64(1), StdRng::seed_from_u64(2)).expect("a size");
            let mut elements = |n: usize| -> Vec<K> { (0..n).map(|_| rng.random()).collect() };
            let masks = [elements(2 * LOG), elements(2 * LOG)];
            let (point, t) = (elements(LOG), elements(1)[0]);
            let vector = (0..1 << LOG).map(|_| rng.random()).collect();
            Self { pcs, vector, masks, point, t }
        }

        /// `R = N + t N'`.
        fn sum(&self) -> Vec<K> {
            self.masks[0].iter().zip(&self.masks[1]).map(|(n, m)| *n + self.t * *m).collect()
        }

        fn open(&self, commitment: &<Hired as Profile>::Commitment, data: Data) -> Opening {
            let sum = self.sum();
            let asked = (alloc::vec![self.point.clone()], Some(Masked { t: self.t, masks: &sum }));
            Hired::open(&self.pcs, (commitment, data), asked, &mut self.sponge(commitment))
                .expect("an opening")
        }

        /// The transcript after the commitment.
        fn sponge(&self, commitment: &<Hired as Profile>::Commitment) -> Sponge {
            let mut sponge = Sponge::new(&[7; 32]);
            Hired::observe(&self.pcs, commitment, &mut sponge);
            sponge
        }

        fn check(
            &self,
            commitment: &<Hired as Profile>::Commitment,
            opening: &Opening,
            (point, t, sum): (&[K], K, &[K]),
        ) -> Result<(), String> {
            let asked = (alloc::vec![point.to_vec()], Some(Masked { t, masks: sum }));
            let verdict =
                Hired::verify(&self.pcs, (commitment, opening), asked, &mut self.sponge(commitment));
            verdict.map_err(|refused| refused.expected)
        }
    }

    #[test]
    fn the_value_is_the_extension_at_the_point_and_nothing_else_passes() {
        let scene = Scene::new(3);
        let masks = [&scene.masks[0][..], &scene.masks[1][..]];
        let (commitment, data) =
            Hired::commit(&scene.pcs, scene.vector.clone(), masks, &mut Sponge::new(&[7; 32]))
                .expect("a tree");
        let opening = scene.open(&commitment, data);
        let elements: Vec<K> = scene.vector.iter().map(|v| K::from(*v)).collect();
        assert_eq!(opening.value, extension_at(&scene.point, &elements));
        let (point, t, sum) = (&scene.point[..], scene.t, scene.sum());
        assert_eq!(scene.check(&commitment, &opening, (point, t, &sum)), Ok(()));

        const VALUE: &str = "the masked value of the combination";
        const ROWS: &str = "a combination of the opened rows";
        const SIZES: &str = "an opening of the commitment's sizes";
        const TREE: &str = "rows of the commitment";
        type Lie = (&'static str, Box<dyn Fn(&mut Opening)>);
        let lies: Vec<Lie> = alloc::vec![
            (VALUE, Box::new(|o| o.value += K::ONE)),
            (VALUE, Box::new(|o| o.masked += K::ONE)),
            (VALUE, Box::new(|o| o.combined[5] += K::ONE)),
            (SIZES, Box::new(|o| o.combined.truncate(9))),
            (SIZES, Box::new(|o| o.masks.push(K::ONE))),
            (SIZES, Box::new(|o| drop(o.rows.pop()))),
            (SIZES, Box::new(|o| o.rows[4].push(F::ONE))),
            ("a witness of the work", Box::new(|o| o.work += F::ONE)),
            (TREE, Box::new(|o| o.rows[0][1] += F::ONE)),
            (TREE, Box::new(|o| o.rows[1][40] += F::ONE)),
            (TREE, Box::new(|o| o.paths.0[2][0][4] += F::ONE)),
            (TREE, Box::new(|o| o.paths.1.sibling_hashes.truncate(3))),
        ];
        for (i, (check, lie)) in lies.iter().enumerate() {
            let mut wrong = opening.clone();
            lie(&mut wrong);
            assert_eq!(scene.check(&commitment, &wrong, (point, t, &sum)), Err((*check).into()), "lie {i}");
        }
        let mut elsewhere = point.to_vec();
        elsewhere[0] += K::ONE;
        assert_eq!(scene.check(&commitment, &opening, (&elsewhere, t, &sum)), Err(ROWS.into()));
        assert_eq!(scene.check(&commitment, &opening, (point, t + K::ONE, &sum)), Err(ROWS.into()));
        let mut others = sum.clone();
        others[2 * LOG - 1] += K::ONE;
        assert_eq!(scene.check(&commitment, &opening, (point, t, &others)), Err(ROWS.into()));
    }

    #[test]
    fn a_prover_with_other_masks_or_a_word_that_is_no_codeword_is_refused() {
        let scene = Scene::new(4);
        let other = Scene::new(5);
        let masks = [&other.masks[0][..], &scene.masks[1][..]];
        let (commitment, mut data) =
            Hired::commit(&scene.pcs, scene.vector.clone(), masks, &mut Sponge::new(&[7; 32]))
                .expect("a tree");
        data.masks[0][..2 * LOG].copy_from_slice(&scene.masks[0]);
        let opening = scene.open(&commitment, data);
        let (point, sum) = (&scene.point[..], scene.sum());
        let refused = Err("a combination of the opened rows".into());
        assert_eq!(scene.check(&commitment, &opening, (point, scene.t, &sum)), refused);

        // One column that is a codeword on a little more than half the places, another on the rest.
        let masks = [&scene.masks[0][..], &scene.masks[1][..]];
        let (_, data) = Hired::commit(&scene.pcs, scene.vector.clone(), masks, &mut Sponge::new(&[7; 32]))
            .expect("a tree");
        let mut vector = scene.vector.clone();
        vector[3] += F::ONE;
        let [mut code, mixed] =
            [&scene.vector, &vector].map(|v| scene.pcs.code(v, &data.random, &data.masks));
        let from = code.values.len() * 11 / 20 / code.width * code.width;
        code.values[from..].copy_from_slice(&mixed.values[from..]);
        let (commitment, tree) = scene.pcs.trees.commit_matrix(code);
        let opening = scene.open(&commitment, Data { tree, ..data });
        assert_eq!(scene.check(&commitment, &opening, (point, scene.t, &sum)), refused);
    }

    #[test]
    fn every_size_reaches_the_target_and_the_opened_rows_fit_their_randomness() {
        for log in MIN_LOG..=24 {
            let shape = Shape::of(log).expect("a supported size");
            assert!(total_bits(&shape.terms()) >= TARGET_BITS + 0.5, "{shape:?}");
            assert!(
                shape.dimension() * 2 <= shape.length() && shape.index_bits() <= F::TWO_ADICITY,
                "{shape:?}"
            );
            assert!(shape.masks() <= shape.message());
        }
        assert_eq!(Shape::of(MIN_LOG - 1).expect_err("too small").check, "commitment.size");
    }
}

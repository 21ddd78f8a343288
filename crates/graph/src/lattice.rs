//! Lattice commitments: to private weights, and to inputs too large for the sponge.
//!
//! A vector of small cells is cut into blocks `w_j` of 1,024, elements of `R = F[X]/(X^1024 + 1)`; its *image* is `u = sum_j a_j w_j`, the
//! `a_j` public and uniform ([`proofmesh_proof::lattice`]). The statement shows a digest of u, the proof file carries u. Two openings with
//! cells in an interval of `2^12` integers solve ring-SIS with entries below `2^12`: docs/decisions/0008-lattice-commitment.md.
//!
//! The last [`SALT_BLOCKS`] blocks are uniform 12-bit salt. Over the choice of the `a_j`, u is then within
//! `1/2 sqrt((1 + |F| / 2^(12 * 21))^1024 - 1) < 2^-106` of uniform whatever the other blocks are (regularity: Micciancio, Computational
//! Complexity 16, 2007, Theorem 4.2; a proof for this ring is in the note).
//!
//! Proofs need no arithmetic modulo `X^1024 + 1`: with `P = sum_j a_j w_j` over `F[X]` and h its coefficients from 1,024 on,
//! `P = u + (X^1024 + 1) h`, an identity of polynomials that is checked at one random point.

use alloc::vec::Vec;
use p3_dft::{Radix2DFTSmallBatch, TwoAdicSubgroupDft};
use p3_field::{PrimeCharacteristicRing, PrimeField32};
use p3_matrix::dense::RowMajorMatrix;
use proofmesh_proof::field::{F, int};
use proofmesh_proof::lattice::{RING, element};

use crate::hash::{Digest, Salt};

/// Blocks of salt in a commitment.
pub const SALT_BLOCKS: usize = 21;
/// A cell takes one of `2^12` consecutive values.
pub const CELL_BITS: u32 = 12;
/// Cells of weights and salt lie in `[-HALF, HALF)`.
pub const HALF: i64 = 1 << (CELL_BITS - 1);

/// Blocks transformed at once.
const BATCH: usize = 64;

/// `u`: an element of R, constant coefficient first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image(Vec<F>);

impl Image {
    /// Bytes of its encoding.
    pub const BYTES: usize = 4 * RING;

    /// The image of nothing.
    pub fn zero() -> Self {
        Self(F::zero_vec(RING))
    }

    /// Its 1,024 coefficients.
    pub fn coefficients(&self) -> &[F] {
        &self.0
    }

    /// Canonical bytes: four a coefficient, little-endian.
    pub fn encode(&self) -> Vec<u8> {
        self.0.iter().flat_map(|c| c.as_canonical_u32().to_le_bytes()).collect()
    }

    /// Reads canonical bytes; `None` for another length or a coefficient beyond the field.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != Self::BYTES {
            return None;
        }
        let words = bytes.as_chunks::<4>().0.iter().map(|b| u32::from_le_bytes(*b));
        let coefficients: Option<Vec<F>> =
            words.map(|w| (w < F::ORDER_U32).then(|| F::from_u32(w))).collect();
        coefficients.map(Self)
    }

    /// The public commitment: a digest of u and of the vector's length in cells.
    pub fn digest(&self, cells: usize) -> Digest {
        let mut hasher = blake3::Hasher::new_derive_key("proofmesh lattice commitment 1");
        hasher.update(&(cells as u64).to_le_bytes());
        hasher.update(&self.encode());
        *hasher.finalize().as_bytes()
    }
}

/// `P = sum_j a_j w_j` over `F[X]`, as `u + (X^1024 + 1) h`.
#[derive(Clone, Debug)]
pub struct Product {
    /// `u`.
    pub image: Image,
    /// `h`.
    pub high: Vec<F>,
}

/// Values of polynomials of degree below 1,024, one a block, at the 2,048th roots of unity: `[root][block]`.
fn spectra(dft: &Radix2DFTSmallBatch<F>, coefficients: &[F]) -> Vec<F> {
    let blocks = coefficients.len() / RING;
    let mut rows = F::zero_vec(2 * RING * blocks);
    for (block, cells) in coefficients.chunks(RING).enumerate() {
        for (i, c) in cells.iter().enumerate() {
            rows[i * blocks + block] = *c;
        }
    }
    dft.dft_batch(RowMajorMatrix::new(rows, blocks)).values
}

/// The product for a vector of cells, a multiple of 1,024 of them.
pub fn product(cells: &[F]) -> Product {
    let dft = Radix2DFTSmallBatch::default();
    let mut sums = F::zero_vec(2 * RING);
    for (batch, part) in cells.chunks(BATCH * RING).enumerate() {
        let blocks = part.len() / RING;
        let public: Vec<F> = (0..blocks).flat_map(|j| element(batch * BATCH + j)).collect();
        let (a, w) = (spectra(&dft, &public), spectra(&dft, part));
        for (sum, (a, w)) in sums.iter_mut().zip(a.chunks(blocks).zip(w.chunks(blocks))) {
            *sum += a.iter().zip(w).map(|(a, w)| *a * *w).sum::<F>();
        }
    }
    let mut low = dft.idft(sums);
    let high = low.split_off(RING);
    low.iter_mut().zip(&high).for_each(|(l, h)| *l -= *h); // X^1024 = -1
    Product { image: Image(low), high }
}

/// The salt cells of a commitment. They depend on the cells too: one salt used for two vectors does not give one mask to both.
pub fn salt_cells(salt: &Salt, cells: &[F]) -> Vec<F> {
    let words = salt.iter().chain(cells);
    let bytes: Vec<u8> = words.flat_map(|w| w.as_canonical_u32().to_le_bytes()).collect();
    let mut stream = blake3::Hasher::new_derive_key("proofmesh lattice salt 1").update(&bytes).finalize_xof();
    let mut bytes = alloc::vec![0; 2 * SALT_BLOCKS * RING];
    stream.fill(&mut bytes);
    let words = bytes.as_chunks::<2>().0.iter().map(|b| i64::from(u16::from_le_bytes(*b)));
    words.map(|w| int((w & (2 * HALF - 1)) - HALF)).collect()
}

/// Cells with their salt.
pub fn salted(mut cells: Vec<F>, salt: &Salt) -> Vec<F> {
    let salt = salt_cells(salt, &cells);
    cells.extend(salt);
    cells
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng, rngs::StdRng};

    fn cells(blocks: usize, seed: u64) -> Vec<F> {
        let mut rng = StdRng::seed_from_u64(seed);
        (0..blocks * RING).map(|_| int(rng.random_range(-HALF..HALF))).collect()
    }

    #[test]
    fn products_are_the_schoolbooks() {
        // 65 blocks: one more than a batch.
        for blocks in [1, 3, BATCH + 1] {
            let cells = cells(blocks, 9);
            let mut long = F::zero_vec(2 * RING);
            for (j, w) in cells.chunks(RING).enumerate() {
                for (i, a) in element(j).iter().enumerate() {
                    long[i..i + RING].iter_mut().zip(w).for_each(|(p, c)| *p += *a * *c);
                }
            }
            let negacyclic: Vec<F> = (0..RING).map(|i| long[i] - long[RING + i]).collect();
            let made = product(&cells);
            assert_eq!((made.image.coefficients(), &made.high[..]), (&negacyclic[..], &long[RING..]));
        }
    }

    #[test]
    fn digests_tell_salts_lengths_and_cells_apart() {
        let (a, b) = (cells(2, 1), cells(2, 2));
        let digest = |cells: &[F], salt: F| {
            let all = salted(cells.to_vec(), &[salt; 8]);
            product(&all).image.digest(all.len())
        };
        assert_eq!(digest(&a, F::ONE), digest(&a, F::ONE));
        assert_ne!(digest(&a, F::ONE), digest(&b, F::ONE));
        assert_ne!(digest(&a, F::ONE), digest(&a, F::TWO));
        let image = product(&a).image;
        assert_ne!(image.digest(2 * RING), image.digest(3 * RING));
        // The salt is not a mask that two vectors share: the difference of images is not that of the cells.
        assert_ne!(salt_cells(&[F::ONE; 8], &a), salt_cells(&[F::ONE; 8], &b));
    }

    #[test]
    fn salts_fill_their_range_evenly() {
        let salt = salt_cells(&[F::TWO; 8], &[]);
        assert_eq!(salt.len(), SALT_BLOCKS * RING);
        let mut counts = [0u32; 16];
        for cell in &salt {
            let shifted = (*cell + int(HALF)).as_canonical_u32();
            assert!(shifted < 1 << CELL_BITS);
            counts[shifted as usize >> (CELL_BITS - 4)] += 1;
        }
        // 1,344 a bin, standard deviation 35.
        assert!(counts.iter().all(|c| (1134..1554).contains(c)), "{counts:?}");
    }

    #[test]
    fn images_have_one_encoding() {
        let image = product(&cells(1, 4)).image;
        let bytes = image.encode();
        assert_eq!(Image::decode(&bytes), Some(image));
        assert_eq!(Image::decode(&bytes[1..]), None);
        assert_eq!(Image::decode(&[&bytes[..], &[0]].concat()), None);
        let mut beyond = bytes;
        beyond[..4].copy_from_slice(&F::ORDER_U32.to_le_bytes());
        assert_eq!(Image::decode(&beyond), None);
    }
}

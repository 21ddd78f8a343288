//! Keys of a ceremony: the `.zkey` format of snarkjs (groth16, format 1), read against our own circuit.
//!
//! *Established here.* The file is for BN254 and has the circuit's sizes; its matrices A and B are the circuit's, entry by entry, the rows of
//! the public values included; every point is on its curve and in the group of order r; beta and delta are one number in both groups, and so
//! is B of every variable; gamma is 1, as snarkjs has it; delta is not 1: somebody contributed.
//!
//! *Not established here*, and what `snarkjs zkey verify CIRCUIT.r1cs POWERS.ptau KEY.zkey` is for: that tau, alpha and beta are those of the
//! powers-of-tau file, that the points (C of the variables, which the file has only in points, among them) are the circuit's at tau, and that
//! every contribution follows from the one before. Whether a contributor forgot what they drew, nothing establishes.
//!
//! Little-endian. Sections, in any order: 2, the header (moduli, sizes, alpha, beta, gamma, delta); 3, points of the public values; 4, entries
//! of A and B; 5 to 7, A in G1, B in G1 and in G2; 8, the other variables' points; 9, [`crate::qap`]'s places; 10, contributions. Coordinates
//! are in Montgomery form, entries of A and B twice.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom};

use ark_bn254::{Bn254, Fq, Fq2, Fr, G1Affine, G1Projective, G2Affine, G2Projective};
use ark_ec::pairing::Pairing;
use ark_ec::{AffineRepr, CurveGroup, VariableBaseMSM};
use ark_ff::{BigInteger, BigInteger256, Field, PrimeField, Zero};
use ark_groth16::{ProvingKey, VerifyingKey};
use proofmesh_proof::reject::Reject;
use sha2::{Digest, Sha256};

use crate::groth16::domain;
use crate::keys::{Key, Origin};
use crate::r1cs::{Builder, PUBLIC_INPUTS};

/// Bytes of a field element.
const ELEMENT: usize = 32;
/// Bytes of an entry of A or B.
const ENTRY: usize = 12 + ELEMENT;
/// Sums with random 16-bit factors that points are checked by. A point outside the group of order r has a part of an order of at least 10,069
/// (the smallest factor of G2's cofactor), which a sum misses with probability below `2^-13`: together below `2^-130`.
const SUMS: usize = 10;

/// A key that belongs to the circuit.
#[derive(Debug)]
pub struct Imported {
    /// The key.
    pub key: Key,
    /// Contributions that the file lists; their chain is snarkjs' to verify.
    pub contributions: u32,
}

fn refused(check: &'static str, expected: impl core::fmt::Display, got: impl core::fmt::Display) -> Reject {
    Reject::new(check, expected, got)
}

fn unread(e: io::Error) -> Reject {
    refused("ceremony.file", "a whole .zkey file", e)
}

/// A file and where its sections are.
struct File<R> {
    bytes: R,
    sections: BTreeMap<u32, (u64, u64)>,
}

impl<R: Read + Seek> File<R> {
    fn open(mut bytes: R) -> Result<Self, Reject> {
        let end = bytes.seek(SeekFrom::End(0)).map_err(unread)?;
        bytes.rewind().map_err(unread)?;
        let mut file = Self { bytes, sections: BTreeMap::new() };
        let magic = file.array::<4>()?;
        let (version, count) = (file.word()?, file.word()?);
        if (&magic, version) != (b"zkey", 1) || count > 64 {
            return Err(refused("ceremony.file", "a .zkey file of format 1", "another"));
        }
        let mut at = 12;
        for _ in 0..count {
            file.bytes.seek(SeekFrom::Start(at)).map_err(unread)?;
            let (kind, length) = (file.word()?, u64::from_le_bytes(file.array()?));
            at = at.checked_add(12).and_then(|at| at.checked_add(length)).unwrap_or(u64::MAX);
            if at > end || file.sections.insert(kind, (at - length, length)).is_some() {
                return Err(refused(
                    "ceremony.file",
                    "each section once and whole",
                    format!("section {kind}"),
                ));
            }
        }
        Ok(file)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Reject> {
        let mut bytes = [0; N];
        self.bytes.read_exact(&mut bytes).map_err(unread)?;
        Ok(bytes)
    }

    fn word(&mut self) -> Result<u32, Reject> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// Goes to a section, which must have so many bytes, or at least so many.
    fn enter(&mut self, kind: u32, length: u64, exact: bool) -> Result<(), Reject> {
        let (at, got) = self.sections.get(&kind).copied().unwrap_or((0, 0));
        if got < length || (exact && got != length) || got == 0 {
            return Err(refused("ceremony.sizes", format!("{length} bytes in section {kind}"), got));
        }
        self.bytes.seek(SeekFrom::Start(at)).map_err(unread)?;
        Ok(())
    }

    /// A coordinate.
    fn coordinate(&mut self) -> Result<Fq, Reject> {
        let limbs = self.array::<ELEMENT>()?;
        let limbs = limbs.as_chunks::<8>().0;
        let mut raw = BigInteger256::default();
        raw.0.iter_mut().zip(limbs).for_each(|(l, bytes)| *l = u64::from_le_bytes(*bytes));
        if raw >= Fq::MODULUS {
            return Err(refused("ceremony.point", "coordinates below q", "a larger one"));
        }
        Ok(Fq::new_unchecked(raw))
    }

    fn g1(&mut self) -> Result<G1Affine, Reject> {
        let (x, y) = (self.coordinate()?, self.coordinate()?);
        if x.is_zero() && y.is_zero() {
            return Ok(G1Affine::zero());
        }
        let p = G1Affine::new_unchecked(x, y);
        // The curve's order is r: whatever is on it is in the group.
        p.is_on_curve()
            .then_some(p)
            .ok_or_else(|| refused("ceremony.point", "points of the curve", "another"))
    }

    /// A point of the twist; whether it is in the group of order r is checked for all at once.
    fn g2(&mut self) -> Result<G2Affine, Reject> {
        let [a, b, c, d] = [self.coordinate()?, self.coordinate()?, self.coordinate()?, self.coordinate()?];
        if [a, b, c, d].iter().all(Zero::is_zero) {
            return Ok(G2Affine::zero());
        }
        let p = G2Affine::new_unchecked(Fq2::new(a, b), Fq2::new(c, d));
        p.is_on_curve()
            .then_some(p)
            .ok_or_else(|| refused("ceremony.point", "points of the twist", "another"))
    }

    fn points<P>(
        &mut self,
        kind: u32,
        count: usize,
        read: impl Fn(&mut Self) -> Result<P, Reject>,
    ) -> Result<Vec<P>, Reject> {
        let each = if kind == 7 { 4 * ELEMENT } else { 2 * ELEMENT };
        self.enter(kind, (count * each) as u64, true)?;
        (0..count).map(|_| read(self)).collect()
    }
}

/// Reads a `.zkey` file of the circuit. `watch` hears what is being done.
///
/// Errors: `ceremony.file` (another format, a file that ends early), `ceremony.sizes`, `ceremony.coefficients` (another circuit),
/// `ceremony.point`, `ceremony.pairing` (points that contradict each other), `ceremony.delta` (nobody contributed), `wrap.random`.
pub fn import(
    bytes: impl Read + Seek,
    circuit: &Builder,
    mut watch: impl FnMut(&'static str),
) -> Result<Imported, Reject> {
    let mut file = File::open(bytes)?;
    let variables = circuit.assignment().len();
    let places = domain(circuit);
    watch("sizes");
    file.enter(2, (8 + 2 * ELEMENT + 12 + 18 * ELEMENT) as u64, true)?;
    for (name, modulus) in [("q", Fq::MODULUS), ("r", Fr::MODULUS)] {
        if file.word()? != ELEMENT as u32 || file.array::<ELEMENT>()?[..] != modulus.to_bytes_le() {
            return Err(refused("ceremony.sizes", format!("BN254's {name}"), "another"));
        }
    }
    for (what, expected) in [("variables", variables), ("public inputs", PUBLIC_INPUTS), ("places", places)] {
        let got = file.word()?;
        if got as usize != expected {
            return Err(refused("ceremony.sizes", format!("{expected} {what}"), got));
        }
    }
    let (alpha_g1, beta_g1, beta_g2, gamma_g2) = (file.g1()?, file.g1()?, file.g2()?, file.g2()?);
    let (delta_g1, delta_g2) = (file.g1()?, file.g2()?);
    file.enter(10, 68, false)?;
    file.array::<64>()?;
    let contributions = file.word()?;
    let one = G1Affine::generator();
    if contributions == 0 || delta_g1 == one || [delta_g1, alpha_g1, beta_g1].iter().any(AffineRepr::is_zero)
    {
        return Err(refused(
            "ceremony.delta",
            "a key that somebody contributed to (`snarkjs zkey contribute`)",
            "none",
        ));
    }
    watch("matrices");
    matrices(&mut file, circuit)?;
    watch("points");
    let gamma_abc_g1 = file.points(3, 1 + PUBLIC_INPUTS, File::g1)?;
    let vk = VerifyingKey { alpha_g1, beta_g2, gamma_g2, delta_g2, gamma_abc_g1 };
    let proving = ProvingKey::<Bn254> {
        vk,
        beta_g1,
        delta_g1,
        a_query: file.points(5, variables, File::g1)?,
        b_g1_query: file.points(6, variables, File::g1)?,
        b_g2_query: file.points(7, variables, File::g2)?,
        h_query: file.points(9, places, File::g1)?,
        l_query: file.points(8, variables - 1 - PUBLIC_INPUTS, File::g1)?,
    };
    watch("pairings");
    same_numbers(&proving)?;
    watch("hash");
    file.bytes.rewind().map_err(unread)?;
    let mut hash = Sha256::new();
    let mut block = vec![0; 1 << 16];
    loop {
        match file.bytes.read(&mut block).map_err(unread)? {
            0 => break,
            n => hash.update(&block[..n]),
        }
    }
    let origin = Origin::Ceremony { zkey: hash.finalize().into() };
    Ok(Imported { key: Key { origin, circuit: circuit.digest(), proving }, contributions })
}

/// Compares A and B, entry by entry in the order of the `.r1cs` file, then the rows of the public values.
fn matrices(file: &mut File<impl Read + Seek>, circuit: &Builder) -> Result<(), Reject> {
    let of_matrices: usize = circuit.matrices()[..2].iter().map(|m| m.entries()).sum();
    let count = of_matrices + 1 + PUBLIC_INPUTS;
    file.enter(4, 4 + (count * ENTRY) as u64, true)?;
    if file.word()? as usize != count {
        return Err(refused("ceremony.coefficients", format!("{count} entries"), "another number"));
    }
    // R^2 for R = 2^256: Montgomery form twice.
    let twice = Fr::from(2u64).pow([512]);
    let spelt = |c: Fr| (c * twice).into_bigint().to_bytes_le();
    let spellings: Vec<Vec<u8>> = circuit.coefficients().iter().map(|c| spelt(*c)).collect();
    let unit = spelt(Fr::ONE);
    let mut expect = |matrix: usize, row: usize, variable: u32, value: &[u8]| {
        let entry = file.array::<ENTRY>()?;
        let words = [matrix as u32, row as u32, variable].map(u32::to_le_bytes);
        let same = entry[..12] == words.concat() && entry[12..] == *value;
        let other = || {
            refused(
                "ceremony.coefficients",
                format!("this circuit's row {row} of {}", ["A", "B"][matrix]),
                "another",
            )
        };
        same.then_some(()).ok_or_else(other)
    };
    for row in 0..circuit.constraints() {
        for (matrix, entries) in circuit.matrices()[..2].iter().enumerate() {
            for (variable, coefficient) in entries.row(row) {
                expect(matrix, row, *variable, &spellings[*coefficient as usize])?;
            }
        }
    }
    (0..=PUBLIC_INPUTS).try_for_each(|i| expect(0, circuit.constraints() + i, i as u32, &unit))
}

/// Checks that what stands in both groups is one number, and that G2's points are in the group of order r.
fn same_numbers(key: &ProvingKey<Bn254>) -> Result<(), Reject> {
    let (one, two) = (G1Affine::generator(), G2Affine::generator());
    let same = |a: G1Affine, b: G2Affine| {
        b.is_in_correct_subgroup_assuming_on_curve() && Bn254::pairing(a, two) == Bn254::pairing(one, b)
    };
    let contradiction = |what| Err(refused("ceremony.pairing", format!("one {what} in both groups"), "two"));
    if key.vk.gamma_g2 != two {
        return Err(refused("ceremony.pairing", "gamma 1", "another"));
    }
    if !same(key.beta_g1, key.vk.beta_g2) {
        return contradiction("beta");
    }
    if !same(key.delta_g1, key.vk.delta_g2) {
        return contradiction("delta");
    }
    let mut random = vec![0; 2 * key.b_g1_query.len()];
    for _ in 0..SUMS {
        getrandom::fill(&mut random).map_err(|e| refused("wrap.random", "randomness", e))?;
        let factors: Vec<u16> = random.as_chunks::<2>().0.iter().map(|b| u16::from_le_bytes(*b)).collect();
        let a = G1Projective::msm_u16(&key.b_g1_query, &factors).into_affine();
        let b = G2Projective::msm_u16(&key.b_g2_query, &factors).into_affine();
        if !same(a, b) {
            return contradiction("B");
        }
    }
    Ok(())
}

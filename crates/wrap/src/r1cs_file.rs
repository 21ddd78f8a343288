//! The `.r1cs` format of iden3 (`r1csfile`, version 1), as snarkjs reads it for its set-up ceremonies.
//!
//! Little-endian throughout. Sections: 1, the header (field, numbers of wires, of public and private values, of constraints); 2, for each
//! constraint its three rows as pairs of wire and coefficient; 3, a label for each wire, here the wire itself. Wires are our variables: 0
//! is the constant 1, then the public input, then the witness.

use ark_bn254::Fr;
use ark_ff::{BigInteger, PrimeField};

use crate::r1cs::{Builder, PUBLIC_INPUTS};

/// Bytes of a field element.
const ELEMENT: usize = 32;

/// The file of a constraint system.
pub fn encode(b: &Builder) -> Vec<u8> {
    let wires = b.assignment().len();
    let entries: usize = b.matrices().iter().map(|m| m.entries()).sum();
    let rows = 12 * b.constraints() + (4 + ELEMENT) * entries;
    let mut out = Vec::with_capacity(128 + rows + 8 * wires);
    out.extend(b"r1cs");
    words(&mut out, [1, 3]);
    section(&mut out, 1, 4 + ELEMENT + 4 * 4 + 8 + 4);
    words(&mut out, [ELEMENT]);
    out.extend(Fr::MODULUS.to_bytes_le());
    // No public outputs, the public input, the private rest.
    words(&mut out, [wires, 0, PUBLIC_INPUTS, wires - 1 - PUBLIC_INPUTS]);
    out.extend((wires as u64).to_le_bytes());
    words(&mut out, [b.constraints()]);
    section(&mut out, 2, rows);
    let coefficients: Vec<Vec<u8>> = b.coefficients().iter().map(|c| c.into_bigint().to_bytes_le()).collect();
    for i in 0..b.constraints() {
        for matrix in b.matrices() {
            let row = matrix.row(i);
            words(&mut out, [row.len()]);
            for (wire, coefficient) in row {
                words(&mut out, [*wire as usize]);
                out.extend(&coefficients[*coefficient as usize]);
            }
        }
    }
    section(&mut out, 3, 8 * wires);
    (0..wires as u64).for_each(|wire| out.extend(wire.to_le_bytes()));
    out
}

fn words<const N: usize>(out: &mut Vec<u8>, values: [usize; N]) {
    values.iter().for_each(|v| out.extend((*v as u32).to_le_bytes()));
}

fn section(out: &mut Vec<u8>, kind: u32, length: usize) {
    out.extend(kind.to_le_bytes());
    out.extend((length as u64).to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three rows of wires and coefficients.
    type Rows = [Vec<(u32, Fr)>; 3];

    /// A reader of the format, from its description.
    fn read(bytes: &[u8]) -> (Vec<u32>, Vec<Rows>) {
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!((&bytes[..4], word(4), word(8)), (&b"r1cs"[..], 1, 3));
        let (mut at, mut sections) = (12, Vec::new());
        while at < bytes.len() {
            let length = u64::from_le_bytes(bytes[at + 4..at + 12].try_into().unwrap()) as usize;
            sections.push((word(at), at + 12, length));
            at += 12 + length;
        }
        assert_eq!(at, bytes.len());
        assert_eq!(sections.iter().map(|s| s.0).collect::<Vec<_>>(), [1, 2, 3]);
        let start = sections[0].1;
        assert_eq!(bytes[start + 4..start + 36], Fr::MODULUS.to_bytes_le());
        let numbers: Vec<u32> = [36, 40, 44, 48, 60].iter().map(|o| word(start + o)).collect();
        let mut at = sections[1].1;
        let mut constraints = Vec::new();
        for _ in 0..numbers[4] {
            let row = [(); 3].map(|()| {
                let count = word(at);
                at += 4;
                let terms = (0..count).map(|_| {
                    let term = (word(at), Fr::from_le_bytes_mod_order(&bytes[at + 4..at + 36]));
                    at += 36;
                    term
                });
                terms.collect()
            });
            constraints.push(row);
        }
        assert_eq!((at, sections[2].2), (sections[1].1 + sections[1].2, 8 * numbers[0] as usize));
        (numbers, constraints)
    }

    #[test]
    fn files_say_the_same_constraints() {
        let mut b = Builder::new(Fr::from(9u64));
        let x = b.witness(Fr::from(3u64));
        let (y, public) = (b.product(&x, &x), b.public());
        b.equal(&y.shifted(-Fr::from(2u64)), &public.shifted(-Fr::from(2u64)));
        let (numbers, constraints) = read(&encode(&b));
        assert_eq!(numbers, [4, 0, 1, 2, 2]);
        for (i, rows) in constraints.iter().enumerate() {
            let value =
                |row: &Vec<(u32, Fr)>| row.iter().map(|(v, c)| b.assignment()[*v as usize] * c).sum::<Fr>();
            for (m, row) in rows.iter().enumerate() {
                assert_eq!(value(row), b.evaluate(m, i));
            }
        }
    }
}

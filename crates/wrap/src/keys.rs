//! Keys as files.
//!
//! A file opens with a line for people that says where the key comes from, then the digest of the circuit it is for, for a ceremony's key the
//! SHA-256 of the `.zkey` that it was read from, then arkworks' uncompressed encoding. A proving key's file ends with the SHA-256 of all
//! before; its points are trusted by that: they were checked when the file was made, and a caller who has it from others names the hash.

use std::io::{self, Read, Write};

use ark_bn254::Bn254;
use ark_groth16::{ProvingKey, VerifyingKey};
use ark_serialize::{CanonicalDeserialize, CanonicalSerialize};
use proofmesh_proof::reject::Reject;
use sha2::{Digest, Sha256};

use crate::r1cs::PUBLIC_INPUTS;

/// Most bytes of a proving key's file: a circuit of about `2^23` rows.
pub const MAX_KEY_BYTES: u64 = 4 << 30;
/// Bytes of a SHA-256.
const HASH: usize = 32;

/// Where a key comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A seed that somebody knows, who can forge.
    Development,
    /// A ceremony: sound if one of its contributors forgot what they drew.
    Ceremony {
        /// SHA-256 of the `.zkey` file.
        zkey: [u8; HASH],
    },
}

impl Origin {
    /// First line of a key's file.
    fn line(&self, what: &str) -> String {
        match self {
            Self::Development => format!(
                "proofmesh wrap 2: DEVELOPMENT {what} key. Whoever knows its seed forges proofs: no money may depend on it.\n"
            ),
            Self::Ceremony { .. } => {
                format!("proofmesh wrap 2: {what} key of a ceremony; then circuit, SHA-256 of the .zkey.\n")
            }
        }
    }

    /// What a file opens with.
    fn head(&self, what: &str, circuit: &[u8; 32]) -> Vec<u8> {
        let zkey = match self {
            Self::Development => &[][..],
            Self::Ceremony { zkey } => zkey,
        };
        [self.line(what).as_bytes(), circuit, zkey].concat()
    }

    /// What stands before the encoded key.
    fn read(what: &str, bytes: &mut impl Read) -> Result<(Self, [u8; 32]), Reject> {
        let malformed = |got: &dyn core::fmt::Display| {
            Reject::new(
                "wrap.key",
                format!("a {what} key made by `proofmesh wrap set-up` or `ceremony import`"),
                got,
            )
        };
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') && line.len() < 160 {
            let mut byte = [0];
            bytes.read_exact(&mut byte).map_err(|_| malformed(&"the end of the file"))?;
            line.extend(byte);
        }
        let mut word = || {
            let mut word = [0; HASH];
            bytes.read_exact(&mut word).map(|()| word).map_err(|_| malformed(&"the end of the file"))
        };
        if line == Self::Development.line(what).as_bytes() {
            return Ok((Self::Development, word()?));
        }
        let none = Self::Ceremony { zkey: [0; HASH] };
        if line == none.line(what).as_bytes() {
            let (circuit, zkey) = (word()?, word()?);
            return Ok((Self::Ceremony { zkey }, circuit));
        }
        Err(malformed(&"another file"))
    }
}

/// A key pair for one circuit.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// Where it comes from.
    pub origin: Origin,
    /// [`crate::r1cs::Builder::digest`] of the circuit.
    pub circuit: [u8; 32],
    /// The keys.
    pub proving: ProvingKey<Bn254>,
}

/// Passes bytes on and hashes them.
struct Hashing<T> {
    inner: T,
    hash: Sha256,
}

impl<T> Hashing<T> {
    fn new(inner: T) -> Self {
        Self { inner, hash: Sha256::new() }
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl Key {
    /// Writes the file of the proving key; gives the SHA-256 that it ends with and by which it is known.
    ///
    /// Errors: those of the writer.
    pub fn write(&self, out: impl Write) -> io::Result<[u8; 32]> {
        let mut out = Hashing::new(out);
        out.write_all(&self.origin.head("proving", &self.circuit))?;
        self.proving.serialize_uncompressed(&mut out).map_err(io::Error::other)?;
        let hash: [u8; HASH] = out.hash.finalize().into();
        out.inner.write_all(&hash)?;
        out.inner.flush()?;
        Ok(hash)
    }

    /// The file of the verification key.
    pub fn verification(&self) -> Vec<u8> {
        let mut bytes = self.origin.head("verification", &self.circuit);
        self.proving.vk.serialize_uncompressed(&mut bytes).expect("memory takes any number of bytes");
        bytes
    }

    /// Reads a proving key's file of `length` bytes, twice: its hash first, that of the caller if there is one, then its points, unchecked.
    ///
    /// Errors: `wrap.key`: another hash, another kind of file, a file that ends early or late.
    pub fn read<R: Read>(
        mut open: impl FnMut() -> io::Result<R>,
        length: u64,
        expected: Option<&[u8; 32]>,
    ) -> Result<Self, Reject> {
        let read = |e: io::Error| Reject::new("wrap.key", "a file that can be read", e);
        let bad = |e: &dyn core::fmt::Display| Reject::new("wrap.key", "a whole proving key", e);
        let Some(body) = length.checked_sub(HASH as u64).filter(|_| length <= MAX_KEY_BYTES) else {
            return Err(Reject::new(
                "wrap.key",
                format!("a file of {HASH} to {MAX_KEY_BYTES} bytes"),
                length,
            ));
        };
        let mut file = open().map_err(read)?;
        let mut sink = Hashing::new(io::sink());
        io::copy(&mut file.by_ref().take(body), &mut sink).map_err(read)?;
        let (hash, mut said): ([u8; HASH], _) = (sink.hash.finalize().into(), [0; HASH]);
        file.read_exact(&mut said).map_err(read)?;
        if said != hash || expected.is_some_and(|expected| *expected != hash) {
            return Err(Reject::new("wrap.key", hex(expected.unwrap_or(&said)), hex(&hash)));
        }
        let mut points = open().map_err(read)?.take(body);
        let (origin, circuit) = Origin::read("proving", &mut points)?;
        let proving = ProvingKey::deserialize_uncompressed_unchecked(&mut points).map_err(|e| bad(&e))?;
        if points.limit() != 0 {
            return Err(bad(&format!("{} more bytes", points.limit())));
        }
        Ok(Self { origin, circuit, proving })
    }

    /// [`Key::read`] of a file on disk.
    ///
    /// Errors: as there.
    pub fn open(path: &std::path::Path, expected: Option<&[u8; 32]>) -> Result<Self, Reject> {
        let length = std::fs::metadata(path).map_or(0, |m| m.len());
        Self::read(|| Ok(io::BufReader::with_capacity(1 << 20, std::fs::File::open(path)?)), length, expected)
    }
}

/// A verification key: where it comes from, the circuit's digest, and the key, every point of it checked.
///
/// Errors: `wrap.key`: another kind of file, malformed or trailing bytes, a point outside its group, not one public input.
pub fn decode_verification(mut bytes: &[u8]) -> Result<(Origin, [u8; 32], VerifyingKey<Bn254>), Reject> {
    let (origin, circuit) = Origin::read("verification", &mut bytes)?;
    // The only list has two points: a length that says more is refused before memory is asked for.
    if bytes.len() > 2048 {
        return Err(Reject::new("wrap.key", "a verification key", format!("{} bytes", bytes.len())));
    }
    let decoded = VerifyingKey::<Bn254>::deserialize_uncompressed(&mut bytes)
        .map_err(|e| Reject::new("wrap.key", "a verification key", e))?;
    if !bytes.is_empty() || decoded.gamma_abc_g1.len() != 1 + PUBLIC_INPUTS {
        return Err(Reject::new("wrap.key", "a key with one public input", decoded.gamma_abc_g1.len()));
    }
    Ok((origin, circuit, decoded))
}

/// Bytes for people.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::groth16::{development_key, prove, sha256, verify};
    use crate::r1cs::Builder;
    use ark_bn254::Fr;

    fn square(x: u64) -> Builder {
        let mut b = Builder::new(Fr::from(x * x));
        let x = b.witness(Fr::from(x));
        let (y, public) = (b.product(&x, &x), b.public());
        b.equal(&y, &public);
        b
    }

    fn read(bytes: &[u8], hash: Option<&[u8; 32]>) -> Result<Key, Reject> {
        Key::read(|| Ok(bytes), bytes.len() as u64, hash)
    }

    #[test]
    fn keys_are_read_back_whole_and_by_their_hash() {
        let b = square(3);
        let proving = development_key(&b, &[1; 32]).unwrap();
        for (origin, said) in
            [(Origin::Development, "DEVELOPMENT"), (Origin::Ceremony { zkey: [7; 32] }, "of a ceremony")]
        {
            let key = Key { origin, circuit: b.digest(), proving: proving.clone() };
            let mut file = Vec::new();
            let hash = key.write(&mut file).unwrap();
            let check = key.verification();
            let first = String::from_utf8_lossy(&file[..120]);
            assert!(first.starts_with("proofmesh wrap 2: ") && first.contains(said), "{first}");
            assert_eq!(hash, sha256(&file[..file.len() - 32]));
            assert_eq!(read(&file, Some(&hash)).unwrap(), key);
            let (of, circuit, vk) = decode_verification(&check).unwrap();
            assert_eq!((of, circuit), (origin, b.digest()));
            assert_eq!(
                verify(&vk, Fr::from(9u64), &prove(&b, &read(&file, None).unwrap().proving).unwrap()),
                Ok(())
            );
            let refused = |bytes: &[u8], hash| read(bytes, hash).map(drop).unwrap_err().check;
            assert_eq!(refused(&file, Some(&[0; 32])), "wrap.key");
            assert_eq!(refused(&check, None), "wrap.key");
            for cut in [0, 31, 200, file.len() - 1] {
                assert_eq!(refused(&file[..cut], None), "wrap.key", "{cut} bytes");
            }
            for at in [0, 100, 200, file.len() - 1] {
                let mut lie = file.clone();
                lie[at] ^= 1;
                assert_eq!(refused(&lie, None), "wrap.key", "byte {at}");
            }
            for cut in [0, 10, check.len() - 1] {
                assert_eq!(decode_verification(&check[..cut]).map(drop).unwrap_err().check, "wrap.key");
            }
            let mut lie = check.clone();
            let last = lie.len() - 40;
            lie[last] ^= 1;
            assert_eq!(decode_verification(&lie).map(drop).unwrap_err().check, "wrap.key");
        }
    }
}

//! Keys as files, named by the SHA-256 of their bytes.
//!
//! A file opens with a line for people that says what kind of key it is, then the digest of the circuit it is for, then arkworks'
//! uncompressed encoding. A proving key is large, and its points are trusted by the file's hash: they are read without checks only if the
//! caller names the hash it expects.

use ark_bn254::Bn254;
use ark_groth16::{ProvingKey, VerifyingKey};
use ark_serialize::{CanonicalDeserialize, CanonicalSerialize};
use proofmesh_proof::reject::Reject;

use crate::groth16::sha256;
use crate::r1cs::PUBLIC_INPUTS;

/// First line of a proving key made from a seed.
const DEVELOPMENT: &[u8] = b"proofmesh wrap 1: DEVELOPMENT proving key. Whoever knows its seed forges proofs: no money may depend on it.\n";
/// First line of its verification key.
const DEVELOPMENT_CHECK: &[u8] =
    b"proofmesh wrap 1: DEVELOPMENT verification key. Whoever knows its seed forges proofs: no money may depend on it.\n";

/// A key pair for one circuit, from a seed that somebody knows.
pub struct DevelopmentKey {
    /// [`crate::r1cs::Builder::digest`] of the circuit.
    pub circuit: [u8; 32],
    /// The keys.
    pub proving: ProvingKey<Bn254>,
}

fn encode(line: &[u8], circuit: &[u8; 32], key: &impl CanonicalSerialize) -> Vec<u8> {
    let mut bytes = [line, circuit].concat();
    key.serialize_uncompressed(&mut bytes).expect("memory takes any number of bytes");
    bytes
}

/// The circuit and the encoded key behind a first line.
fn split<'a>(line: &[u8], bytes: &'a [u8]) -> Result<([u8; 32], &'a [u8]), Reject> {
    let rest = bytes.strip_prefix(line).and_then(|rest| rest.split_first_chunk::<32>());
    rest.map(|(circuit, key)| (*circuit, key))
        .ok_or_else(|| Reject::new("wrap.key", String::from_utf8_lossy(line).trim_end(), "another file"))
}

impl DevelopmentKey {
    /// The file of the proving key.
    pub fn encode(&self) -> Vec<u8> {
        encode(DEVELOPMENT, &self.circuit, &self.proving)
    }

    /// The file of the verification key.
    pub fn encode_verification(&self) -> Vec<u8> {
        encode(DEVELOPMENT_CHECK, &self.circuit, &self.proving.vk)
    }

    /// Reads a proving key whose file has the given SHA-256.
    ///
    /// Errors: `wrap.key`: another hash, another kind of file, malformed or trailing bytes.
    pub fn decode(bytes: &[u8], hash: &[u8; 32]) -> Result<Self, Reject> {
        if sha256(bytes) != *hash {
            return Err(Reject::new("wrap.key", hex(hash), hex(&sha256(bytes))));
        }
        let (circuit, mut key) = split(DEVELOPMENT, bytes)?;
        let proving = ProvingKey::deserialize_uncompressed_unchecked(&mut key)
            .map_err(|e| Reject::new("wrap.key", "a proving key", e))?;
        if !key.is_empty() {
            return Err(Reject::new("wrap.key", "no bytes after the key", key.len()));
        }
        Ok(Self { circuit, proving })
    }
}

/// Reads a verification key: the circuit's digest, and the key, every point of it checked.
///
/// Errors: `wrap.key`: another kind of file, malformed or trailing bytes, a point outside its group, not one public input.
pub fn decode_verification(bytes: &[u8]) -> Result<([u8; 32], VerifyingKey<Bn254>), Reject> {
    let (circuit, mut key) = split(DEVELOPMENT_CHECK, bytes)?;
    // The only list has two points: a length that says more is refused before memory is asked for.
    if key.len() > 2048 {
        return Err(Reject::new("wrap.key", "a verification key", format!("{} bytes", key.len())));
    }
    let decoded = VerifyingKey::<Bn254>::deserialize_uncompressed(&mut key)
        .map_err(|e| Reject::new("wrap.key", "a verification key", e))?;
    if !key.is_empty() || decoded.gamma_abc_g1.len() != 1 + PUBLIC_INPUTS {
        return Err(Reject::new("wrap.key", "a key with one public input", decoded.gamma_abc_g1.len()));
    }
    Ok((circuit, decoded))
}

/// Bytes for people.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::groth16::{development_key, prove, verify};
    use crate::r1cs::Builder;
    use ark_bn254::Fr;

    fn square(x: u64) -> Builder {
        let mut b = Builder::new(Fr::from(x * x));
        let x = b.witness(Fr::from(x));
        let (y, public) = (b.product(&x, &x), b.public());
        b.equal(&y, &public);
        b
    }

    #[test]
    fn keys_are_read_back_by_their_hash_only() {
        let b = square(3);
        let key = DevelopmentKey { circuit: b.digest(), proving: development_key(&b, &[1; 32]).unwrap() };
        let (file, check) = (key.encode(), key.encode_verification());
        assert!(file.starts_with(b"proofmesh wrap 1: DEVELOPMENT"));
        let read = DevelopmentKey::decode(&file, &sha256(&file)).unwrap();
        assert_eq!((read.circuit, &read.proving), (b.digest(), &key.proving));
        let (circuit, vk) = decode_verification(&check).unwrap();
        assert_eq!(circuit, b.digest());
        assert_eq!(verify(&vk, Fr::from(9u64), &prove(&b, &read.proving).unwrap()), Ok(()));
        let refused =
            |bytes: &[u8], hash: &[u8; 32]| DevelopmentKey::decode(bytes, hash).map(drop).unwrap_err().check;
        assert_eq!(refused(&file, &[0; 32]), "wrap.key");
        assert_eq!(refused(&check, &sha256(&check)), "wrap.key");
        let longer = [&file[..], &[0]].concat();
        assert_eq!(refused(&longer, &sha256(&longer)), "wrap.key");
        for cut in [0, 10, check.len() - 1] {
            assert_eq!(decode_verification(&check[..cut]).map(drop).unwrap_err().check, "wrap.key");
        }
        let mut lie = check.clone();
        let last = lie.len() - 40;
        lie[last] ^= 1;
        assert_eq!(decode_verification(&lie).map(drop).unwrap_err().check, "wrap.key");
    }
}

//! Keys that are named by `did:key`: those of sensors and of their makers, Ed25519 or P-256.
//!
//! A [`Did`] is a public key with its kind, so that the same bytes as a key of the other kind are somebody else. Text:
//! `did:key:z6Mk...` (multicodec 0xed, 32 bytes) and `did:key:zDn...` (multicodec 0x1200, the compressed point, 33 bytes), base 58.
//! A P-256 key is what secure elements have; its signature is ECDSA with SHA-256 (FIPS 186-5), `r || s`.
//! Devices of the market, which sign receipts, have Ed25519 keys ([`proofmesh_market::Device`]) and no other.
//!
//! *High s.* Of an ECDSA signature `(r, s)` anybody makes `(r, n - s)`. Neither FIPS 186-5 nor RFC 9053 (section 2.1)
//! asks for the low one, and secure elements give either, so both are taken off the wire. [`Signature::normal`] makes them one there;
//! [`Did::verify`] refuses the high one (`did.high-s`), so that nothing is kept or signed over in two forms.
//!
//! Refuses: `did.text`, `did.key` (no point of the curve), `did.high-s`, `did.signature`, `did.secret`.

use p256::ecdsa::signature::{Signer, Verifier};
use p256::ecdsa::{SigningKey, VerifyingKey};
use proofmesh_market::{Device, DeviceSecret, DeviceSignature, Refusal};
use std::fmt;
use zeroize::Zeroize;

/// Bytes of a compressed point of P-256 (SEC 1, section 2.3.3).
pub const P256_KEY_BYTES: usize = 33;
/// Multicodec 0x1200 as a varint.
const MULTICODEC_P256: [u8; 2] = [0x80, 0x24];
/// Characters of either text: `did:key:z` and 47 or 48 of base 58.
const TEXT_CHARS_MAX: usize = 57;

/// A public key and what kind it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Did {
    /// Ed25519, as devices of the market have.
    Ed25519(Device),
    /// P-256, the compressed point. That it is one is checked when a text is read, and with each signature.
    P256([u8; P256_KEY_BYTES]),
}

/// A signature of either kind, 64 bytes: RFC 8032's, or ECDSA's `r || s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature(pub [u8; 64]);

impl serde::Serialize for Signature {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        serde::Serialize::serialize(&DeviceSignature(self.0), to)
    }
}

impl<'de> serde::Deserialize<'de> for Signature {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        <DeviceSignature as serde::Deserialize>::deserialize(from).map(|signature| Signature(signature.0))
    }
}

impl Signature {
    /// For ECDSA the form with the low s; any other is as it was.
    #[must_use]
    pub fn normal(self, signer: &Did) -> Self {
        let Did::P256(_) = signer else { return self };
        let Ok(signature) = p256::ecdsa::Signature::from_slice(&self.0) else { return self };
        Signature(signature.normalize_s().to_bytes().into())
    }
}

impl Did {
    /// Checks a signature over a message, strictly.
    ///
    /// # Errors
    /// `did.key` when the key is no point of its curve, `did.high-s`, `did.signature`.
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), Refusal> {
        let refused = |got: &str| Refusal::new("did.signature", format_args!("the signature of {self}"), got);
        match self {
            Did::Ed25519(device) => {
                device.verify_bytes(message, &DeviceSignature(signature.0)).map_err(|refusal| Refusal {
                    name: if refusal.name == "key.device" { "did.key" } else { "did.signature" },
                    ..refusal
                })
            }
            Did::P256(point) => {
                let key = verifying_key(point)?;
                let parsed = p256::ecdsa::Signature::from_slice(&signature.0)
                    .map_err(|_| refused("r or s that is zero or not below the order"))?;
                if signature.normal(self) != *signature {
                    return Err(Refusal::new("did.high-s", "the signature with the low s", "the other one"));
                }
                key.verify(message, &parsed).map_err(|_| refused("another"))
            }
        }
    }

    /// What names it in files: the text behind `did:key:`.
    #[must_use]
    pub fn file_name(&self) -> String {
        let text = self.to_string();
        text.rsplit(':').next().unwrap_or_default().to_owned()
    }

    /// Multicodec prefix and key: 34 or 35 bytes, of which the first two say how many follow.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Did::Ed25519(device) => [&[0xed, 0x01], &device.0[..]].concat(),
            Did::P256(point) => [&MULTICODEC_P256, &point[..]].concat(),
        }
    }
}

fn verifying_key(point: &[u8; P256_KEY_BYTES]) -> Result<VerifyingKey, Refusal> {
    let refused = || Refusal::new("did.key", "a compressed point of P-256", "another 33 bytes");
    // The library also reads a form of 33 bytes that begins with 5: a second text for the same key.
    if !matches!(point[0], 2 | 3) {
        return Err(refused());
    }
    VerifyingKey::from_sec1_bytes(point).map_err(|_| refused())
}

impl From<Device> for Did {
    fn from(device: Device) -> Self {
        Did::Ed25519(device)
    }
}

impl fmt::Display for Did {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "did:key:z{}", bs58::encode(self.to_bytes()).into_string())
    }
}

impl fmt::Debug for Did {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for Did {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let refused = |got: &str| Refusal::new("did.text", "did:key:z6Mk... or did:key:zDn...", got);
        if text.len() > TEXT_CHARS_MAX {
            return Err(refused(&format!("{} characters", text.len())));
        }
        let digits = text.strip_prefix("did:key:z").ok_or_else(|| refused("another text"))?;
        let bytes =
            bs58::decode(digits).into_vec().map_err(|_| refused("characters that are not base 58"))?;
        let Some(point) = bytes.strip_prefix(&MULTICODEC_P256) else {
            return text.parse().map(Did::Ed25519).map_err(|_| refused("a key of another kind"));
        };
        let point = point.try_into().map_err(|_| refused("a P-256 key of another length"))?;
        verifying_key(&point)?;
        Ok(Did::P256(point))
    }
}

impl serde::Serialize for Did {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Did {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = <String as serde::Deserialize>::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A secret key of either kind. Wiped on drop; not printed.
#[derive(Clone)]
pub enum DidSecret {
    /// Ed25519.
    Ed25519(DeviceSecret),
    /// P-256.
    P256(SigningKey),
}

impl DidSecret {
    /// The P-256 secret with these bytes; they are wiped.
    ///
    /// # Errors
    /// `did.secret` when the number is zero or not below the order of the group (about one draw in 2^32).
    pub fn p256(mut bytes: [u8; 32]) -> Result<Self, Refusal> {
        let key = SigningKey::from_slice(&bytes);
        bytes.zeroize();
        key.map(DidSecret::P256)
            .map_err(|_| Refusal::new("did.secret", "1 <= secret < order of P-256", "another number"))
    }

    /// Its public key.
    #[must_use]
    pub fn did(&self) -> Did {
        match self {
            DidSecret::Ed25519(secret) => Did::Ed25519(secret.device()),
            DidSecret::P256(key) => {
                let point = key.verifying_key().to_sec1_point(true);
                Did::P256(point.as_bytes().try_into().expect("a compressed point has 33 bytes"))
            }
        }
    }

    /// Signs a message; deterministic (RFC 8032, RFC 6979), with the low s. Its caller sees to it that no message of one purpose
    /// can be read as one of another: none is 32 bytes long.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Signature {
        match self {
            DidSecret::Ed25519(secret) => Signature(secret.sign_bytes(message).0),
            DidSecret::P256(key) => {
                let signature: p256::ecdsa::Signature = key.sign(message);
                Signature(signature.normalize_s().to_bytes().into())
            }
        }
    }
}

impl From<DeviceSecret> for DidSecret {
    fn from(secret: DeviceSecret) -> Self {
        DidSecret::Ed25519(secret)
    }
}

impl fmt::Debug for DidSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DidSecret({})", self.did())
    }
}

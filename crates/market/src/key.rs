//! Keys: accounts (secp256k1, named by a 20-byte Ethereum address) and devices (Ed25519, named by `did:key`).
//!
//! Secrets are arguments, and so is randomness: a secret is made from 32 bytes that the caller drew. Signing
//! is deterministic (RFC 6979; RFC 8032). Account signatures are `r || s || v` with v 27 or 28 and low s
//! (EIP-2, so that nobody can turn one signature into a second); device signatures by the rule of
//! [`crate::many::devices`], the same for one and for many.
//!
//! Refuses: `key.secret`, `key.device`, `key.device-text`, `key.address-text`, `signature.account`,
//! `signature.device`.

use crate::hash::{Hash32, fixed_bytes, keccak};
use crate::many::devices;
use crate::refusal::Refusal;
use ed25519_dalek::Signer;
use k256::ecdsa::{RecoveryId, Signature as EcdsaSignature, SigningKey, VerifyingKey};
use std::fmt;
use zeroize::{Zeroize, Zeroizing};

fixed_bytes!(
    /// An account: the last 20 bytes of Keccak-256 of its secp256k1 public key.
    Address, 20, "key.address-text"
);

fixed_bytes!(
    /// An account's signature over a 32-byte digest: `r || s || v`, v 27 or 28, low s.
    AccountSignature, 65, "signature.account"
);

fixed_bytes!(
    /// A device's Ed25519 signature over a 32-byte digest.
    DeviceSignature, 64, "signature.device"
);

/// A device: its Ed25519 public key. Text form `did:key:z6Mk...`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Device(pub [u8; 32]);

/// Multicodec prefix of an Ed25519 public key (0xed as a varint) in a `did:key`.
const DID_KEY_ED25519: [u8; 2] = [0xed, 0x01];
/// Characters of a `did:key` of an Ed25519 key: `did:key:z` and 47 of base 58.
const DID_KEY_CHARS: usize = 56;

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [0u8; 34];
        bytes[..2].copy_from_slice(&DID_KEY_ED25519);
        bytes[2..].copy_from_slice(&self.0);
        write!(f, "did:key:z{}", bs58::encode(bytes).into_string())
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for Device {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let refused = || {
            Refusal::new(
                "key.device-text",
                "did:key:z6Mk...",
                format_args!("{} characters", text.chars().count()),
            )
        };
        let digits =
            text.strip_prefix("did:key:z").filter(|_| text.len() == DID_KEY_CHARS).ok_or_else(refused)?;
        let bytes = bs58::decode(digits).into_vec().map_err(|_| refused())?;
        let key = bytes.strip_prefix(&DID_KEY_ED25519).ok_or_else(refused)?;
        Ok(Device(key.try_into().map_err(|_| refused())?))
    }
}

impl serde::Serialize for Device {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if to.is_human_readable() { to.collect_str(self) } else { Hash32(self.0).serialize(to) }
    }
}

impl<'de> serde::Deserialize<'de> for Device {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        if from.is_human_readable() {
            let text = <String as serde::Deserialize>::deserialize(from)?;
            return text.parse().map_err(serde::de::Error::custom);
        }
        Hash32::deserialize(from).map(|hash| Device(hash.0))
    }
}

impl Device {
    /// Checks that `signature` is this device's over `digest` (RFC 8032, canonical points, no small-order keys).
    ///
    /// # Errors
    /// `key.device` when the key is no point of the curve or one of small order, `signature.device` when the
    /// signature does not hold.
    pub fn verify(&self, digest: &Hash32, signature: &DeviceSignature) -> Result<(), Refusal> {
        self.verify_bytes(&digest.0, signature)
    }

    /// Checks a signature over a message of any length, by the same rule: what formats with a to-be-signed text of
    /// their own (COSE) ask for.
    ///
    /// # Errors
    /// As [`Device::verify`].
    pub fn verify_bytes(&self, message: &[u8], signature: &DeviceSignature) -> Result<(), Refusal> {
        devices::verify(self, message, signature)
    }
}

/// The form of an account's signature.
const FORM: &str = "r || s || v, v 27 or 28, low s";

impl AccountSignature {
    /// The account that signed `digest`.
    ///
    /// # Errors
    /// `signature.account` when v is not 27 or 28, s is high, or no key has this signature.
    pub fn recover(&self, digest: &Hash32) -> Result<Address, Refusal> {
        self.recover_key(digest).map(|key| address_of(&key))
    }

    /// The key that signed `digest`.
    ///
    /// # Errors
    /// As [`AccountSignature::recover`].
    pub(crate) fn recover_key(&self, digest: &Hash32) -> Result<VerifyingKey, Refusal> {
        let (signature, y_is_odd) = self.parse()?;
        let id = RecoveryId::new(y_is_odd, false);
        VerifyingKey::recover_from_prehash(&digest.0, &signature, id)
            .map_err(|_| Refusal::new("signature.account", FORM, "a signature of no key"))
    }

    /// `r` and `s`, and whether the point's y is odd.
    pub(crate) fn parse(&self) -> Result<(EcdsaSignature, bool), Refusal> {
        let refused = |got: &str| Refusal::new("signature.account", FORM, got);
        let v = self.0[64];
        if v != 27 && v != 28 {
            return Err(refused(&format!("v = {v}")));
        }
        let signature =
            EcdsaSignature::from_slice(&self.0[..64]).map_err(|_| refused("r or s out of range"))?;
        if signature.normalize_s() != signature {
            return Err(refused("a high s"));
        }
        Ok((signature, v == 28))
    }

    /// Checks that `account` signed `digest`.
    ///
    /// # Errors
    /// `signature.account`, also when another account signed.
    pub fn verify(&self, digest: &Hash32, account: &Address) -> Result<(), Refusal> {
        let signer = self.recover(digest)?;
        if signer == *account { Ok(()) } else { Err(Refusal::new("signature.account", account, signer)) }
    }
}

pub(crate) fn address_of(key: &VerifyingKey) -> Address {
    let point = key.to_sec1_point(false); // 0x04 || x || y
    let hash = keccak(&point.as_bytes()[1..]);
    let mut address = [0u8; 20];
    address.copy_from_slice(&hash.0[12..]);
    Address(address)
}

/// An account's secret key. Wiped on drop; not printed.
#[derive(Clone)]
pub struct AccountSecret(SigningKey);

impl AccountSecret {
    /// The secret with these bytes; they are wiped.
    ///
    /// # Errors
    /// `key.secret` when the number is zero or not below the order of the group (about one draw in 2^128).
    pub fn from_bytes(mut bytes: [u8; 32]) -> Result<Self, Refusal> {
        let key = SigningKey::from_slice(&bytes);
        bytes.zeroize();
        key.map(AccountSecret)
            .map_err(|_| Refusal::new("key.secret", "1 <= secret < order of secp256k1", "another number"))
    }

    /// The account of this secret.
    #[must_use]
    pub fn address(&self) -> Address {
        address_of(self.0.verifying_key())
    }

    /// Signs a digest. Deterministic.
    #[must_use]
    pub fn sign(&self, digest: &Hash32) -> AccountSignature {
        let (signature, id) = self.0.sign_prehash_recoverable(&digest.0);
        let mut bytes = [0u8; 65];
        bytes[..64].copy_from_slice(&signature.to_bytes());
        bytes[64] = 27 + u8::from(id.is_y_odd());
        AccountSignature(bytes)
    }

    /// The secret's bytes, for a key store. Wiped on drop.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes().into())
    }
}

impl fmt::Debug for AccountSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountSecret({})", self.address())
    }
}

/// A device's secret key. Wiped on drop; not printed.
#[derive(Clone)]
pub struct DeviceSecret(ed25519_dalek::SigningKey);

impl DeviceSecret {
    /// The secret with these bytes (RFC 8032 seed); they are wiped.
    #[must_use]
    pub fn from_bytes(mut bytes: [u8; 32]) -> Self {
        let key = ed25519_dalek::SigningKey::from_bytes(&bytes);
        bytes.zeroize();
        DeviceSecret(key)
    }

    /// The device of this secret.
    #[must_use]
    pub fn device(&self) -> Device {
        Device(self.0.verifying_key().to_bytes())
    }

    /// Signs a digest. Deterministic.
    #[must_use]
    pub fn sign(&self, digest: &Hash32) -> DeviceSignature {
        self.sign_bytes(&digest.0)
    }

    /// Signs a message of any length. Deterministic. Its caller sees to it that no message of one purpose can
    /// be read as one of another: none is 32 bytes long.
    #[must_use]
    pub fn sign_bytes(&self, message: &[u8]) -> DeviceSignature {
        DeviceSignature(self.0.sign(message).to_bytes())
    }

    /// The secret's bytes, for a key store. Wiped on drop.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }
}

impl fmt::Debug for DeviceSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceSecret({})", self.device())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(byte: u8) -> AccountSecret {
        AccountSecret::from_bytes([byte; 32]).expect("a small number is below the order")
    }

    /// n, the order of secp256k1 (SEC 2, section 2.4.1).
    const ORDER: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xba,
        0xae, 0xdc, 0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41,
    ];

    #[test]
    fn a_malleated_signature_is_refused() {
        let digest = keccak(b"digest");
        let mut signature = account(1).sign(&digest);
        assert_eq!(signature.recover(&digest), Ok(account(1).address()));
        // s' = n - s with the other v recovers the same key: the second signature that low s forbids.
        let mut borrow = 0i32;
        for i in (0..32).rev() {
            let difference = i32::from(ORDER[i]) - i32::from(signature.0[32 + i]) - borrow;
            borrow = i32::from(difference < 0);
            signature.0[32 + i] = difference.rem_euclid(256) as u8;
        }
        signature.0[64] = 55 - signature.0[64];
        let refusal = signature.recover(&digest).expect_err("high s");
        assert_eq!((refusal.name, refusal.got.as_str()), ("signature.account", "a high s"));
    }

    #[test]
    fn other_values_of_v_are_refused() {
        let digest = keccak(b"digest");
        let signature = account(1).sign(&digest);
        for v in (0..=255u8).filter(|v| *v != 27 && *v != 28) {
            let mut lie = signature;
            lie.0[64] = v;
            assert_eq!(lie.recover(&digest).expect_err("v").name, "signature.account");
        }
        assert_eq!(AccountSignature([0; 65]).recover(&digest).expect_err("zero").name, "signature.account");
        assert_eq!(
            signature.verify(&digest, &account(2).address()).expect_err("another").name,
            "signature.account"
        );
    }

    #[test]
    fn a_small_order_device_key_is_refused() {
        // The identity point signs anything under the loose rules: R = identity, s = 0.
        let mut identity = [0u8; 32];
        identity[0] = 1;
        let mut signature = [0u8; 64];
        signature[0] = 1;
        let refusal =
            Device(identity).verify(&keccak(b"any"), &DeviceSignature(signature)).expect_err("weak key");
        assert_eq!(refusal.name, "key.device");
        let mut off_curve = [0u8; 32];
        off_curve[0] = 2;
        assert_eq!(
            Device(off_curve)
                .verify(&keccak(b"any"), &DeviceSignature(signature))
                .expect_err("no point")
                .name,
            "key.device"
        );
    }

    #[test]
    fn secrets_out_of_range_are_refused_and_secrets_are_not_printed() {
        assert_eq!(AccountSecret::from_bytes([0; 32]).expect_err("zero").name, "key.secret");
        assert_eq!(AccountSecret::from_bytes(ORDER).expect_err("order").name, "key.secret");
        assert!(!format!("{:?}", account(7)).contains(&hex::encode([7; 32])));
        assert!(!format!("{:?}", DeviceSecret::from_bytes([7; 32])).contains(&hex::encode([7; 32])));
    }

    #[test]
    fn the_address_of_a_known_key_is_the_known_address() {
        // Secret 1: the generator point; its address is in the test suites of many Ethereum libraries.
        let mut one = [0u8; 32];
        one[31] = 1;
        let address = AccountSecret::from_bytes(one).expect("one").address();
        assert_eq!(address.to_string(), "0x7e5f4552091a69125d5dfcb7b8c2659029395bdf");
    }

    #[test]
    fn text_of_another_length_is_no_address() {
        let address = account(1).address();
        assert_eq!(address.to_string().parse(), Ok(address));
        for lie in ["", "0x", "7e5f", &address.to_string()[..41], &format!("{address}0")] {
            assert_eq!(lie.parse::<Address>().expect_err("no address").name, "key.address-text", "{lie}");
        }
    }

    #[test]
    fn did_key_text_goes_both_ways_and_others_are_refused() {
        let device = DeviceSecret::from_bytes([9; 32]).device();
        let text = device.to_string();
        assert!(text.starts_with("did:key:z6Mk"), "{text}");
        assert_eq!(text.len(), DID_KEY_CHARS);
        assert_eq!(text.parse(), Ok(device));
        let x25519 = "did:key:z6LSbysY2xFMRpGMhb7tFTLMpeuPRaqaWM1yECx2AtzE3KCc"; // another multicodec
        for lie in [
            "",
            "did:key:z",
            "did:key:z6Mk",
            x25519,
            &text.replace("z6Mk", "z6Mj"),
            &format!("{text}1"),
            &text[1..],
        ] {
            assert_eq!(lie.parse::<Device>().expect_err("no device").name, "key.device-text", "{lie}");
        }
    }
}

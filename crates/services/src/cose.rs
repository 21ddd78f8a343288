//! A signed reading as `COSE_Sign1` (RFC 9052): what a device with a key of its own publishes.
//!
//! Payload: the bytes of [`crate::reading`]. Protected header: `{1: -8}` (EdDSA, here Ed25519) or `{1: -7}` (ES256 with P-256,
//! RFC 9053, section 2.1), by the kind of the device's key, nothing else; the names of RFC 9864 (-9, -19) are not taken. Unprotected header:
//! `4` (kid), the device's public key of 32 or 33 bytes; others are ignored. External data: `proofmesh/reading/v1`. With or without
//! tag 18. The signature is the one of [`SignedReading`], so both forms go into each other without the key; of ES256 either s
//! is taken, and the low one is what is kept ([`crate::did`]).
//!
//! Refuses: `cose.form`, `cose.algorithm` (another, or the one of the other kind of key), `cose.key`, and `reading.form` for another
//! payload.

use crate::did::Did;
use crate::reading::{SIGNED_READING_BYTES_MAX, SignedReading, protected};
use coset::iana::Algorithm;
use coset::{CborSerializable, CoseSign1, HeaderBuilder, TaggedCborSerializable};
use proofmesh_market::Refusal;

/// Most bytes of a message: the smallest form has 204.
pub const MESSAGE_BYTES_MAX: usize = 1_024;

/// The message, tagged.
///
/// # Errors
/// Never with this header; `cose.form` if the encoder refuses.
pub fn encode(signed: &SignedReading) -> Result<Vec<u8>, Refusal> {
    let device = &signed.reading.device;
    let algorithm = match device {
        Did::Ed25519(_) => Algorithm::EdDSA,
        Did::P256(_) => Algorithm::ES256,
    };
    let message = CoseSign1 {
        protected: coset::ProtectedHeader {
            original_data: None,
            header: HeaderBuilder::new().algorithm(algorithm).build(),
        },
        unprotected: HeaderBuilder::new().key_id(key(device).to_vec()).build(),
        payload: Some(signed.reading.encode()),
        signature: signed.signature.0.to_vec(),
    };
    message.to_tagged_vec().map_err(|error| Refusal::new("cose.form", "a message", error))
}

/// Reads a message. The signature is not verified here ([`crate::reading::Chain::accept`] does).
///
/// # Errors
/// `cose.form`, `cose.algorithm`, `cose.key`, `reading.form`.
pub fn decode(bytes: &[u8]) -> Result<SignedReading, Refusal> {
    if bytes.len() > MESSAGE_BYTES_MAX {
        let expected = format!("at most {MESSAGE_BYTES_MAX} bytes");
        return Err(Refusal::new("cose.form", expected, format_args!("{} bytes", bytes.len())));
    }
    let tagged = bytes.first() == Some(&0xd2);
    let message = if tagged { CoseSign1::from_tagged_slice(bytes) } else { CoseSign1::from_slice(bytes) };
    let message =
        message.map_err(|error| Refusal::new("cose.form", "a COSE_Sign1 of a reading", error.to_string()))?;
    let payload = message.payload.unwrap_or_default();
    let length = payload.len().saturating_add(message.signature.len());
    if length > SIGNED_READING_BYTES_MAX || message.signature.len() != 64 {
        let got = format!("{} and {} bytes", payload.len(), message.signature.len());
        return Err(Refusal::new("cose.form", "94 or 95, and 64 bytes", got));
    }
    let mut signed = SignedReading::decode(&[payload, message.signature].concat())?;
    let device = signed.reading.device;
    // What the device signed has exactly this header: any other would be another signature.
    if message.protected.original_data.as_deref() != Some(&protected(&device)) {
        let expected = match device {
            Did::Ed25519(_) => "the protected header {1: -8}, EdDSA, of an Ed25519 key",
            Did::P256(_) => "the protected header {1: -7}, ES256, of a P-256 key",
        };
        return Err(Refusal::new("cose.algorithm", expected, "another"));
    }
    let kid = &message.unprotected.key_id;
    if !kid.is_empty() && kid != key(&device) {
        return Err(Refusal::new("cose.key", format_args!("the key of {device}"), "another"));
    }
    signed.signature = signed.signature.normal(&device);
    Ok(signed)
}

fn key(device: &Did) -> &[u8] {
    match device {
        Did::Ed25519(device) => &device.0,
        Did::P256(point) => point,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::did::DidSecret;
    use crate::reading::{Reading, Values};
    use proofmesh_market::{DeviceSecret, Hash32};

    fn both() -> [SignedReading; 2] {
        let p256 = DidSecret::p256([7; 32]).expect("below the order");
        [signed(DeviceSecret::from_bytes([7; 32]).into()), signed(p256)]
    }

    fn signed(secret: DidSecret) -> SignedReading {
        let values = Values { temp_centi_c: Some(-125), rh_centi_pct: Some(8_100), pressure_pa: None };
        let reading = Reading {
            device: secret.did(),
            number: 3,
            time_s: 1_358_830_800,
            previous: Hash32([5; 32]),
            values,
        };
        reading.sign(&secret).expect("its own key")
    }

    #[test]
    fn the_standard_library_asks_for_the_signature_that_the_device_made() {
        for signed in both() {
            let message =
                CoseSign1::from_tagged_slice(&encode(&signed).expect("encodes")).expect("a COSE_Sign1");
            let asked = message.tbs_data(b"proofmesh/reading/v1");
            assert_eq!(asked, signed.reading.to_be_signed());
            signed.reading.device.verify(&asked, &signed.signature).expect("holds");
        }
    }

    #[test]
    fn both_forms_go_into_each_other_and_others_are_refused_by_name() {
        for (signed, other) in both().into_iter().zip([0x26, 0x27]) {
            let tagged = encode(&signed).expect("encodes");
            assert_eq!(decode(&tagged), Ok(signed));
            assert_eq!(decode(&tagged[1..]), Ok(signed), "without the tag");
            let name = |bytes: &[u8]| decode(bytes).expect_err("another").name;
            let changed = |at: usize, to: u8| {
                let mut bytes = tagged.clone();
                bytes[at] = to;
                bytes
            };
            assert_eq!(name(&changed(5, other)), "cose.algorithm", "of the other kind of key");
            assert_eq!(name(&changed(5, 0x28)), "cose.algorithm", "-9, ESP256");
            assert_eq!(name(&changed(10, tagged[10] ^ 1)), "cose.key");
            assert_eq!(name(&tagged[..tagged.len() - 1]), "cose.form");
            assert_eq!(name(&[&tagged[..], &[0]].concat()), "cose.form");
            assert_eq!(name(&[0x84; MESSAGE_BYTES_MAX + 1]), "cose.form");
            for (at, byte) in tagged.iter().enumerate() {
                for bit in 0..8 {
                    // Never a panic; what still reads differs in the reading, its signature, or not at all (a header).
                    if let Ok(read) = decode(&changed(at, byte ^ 1 << bit)) {
                        let holds = read.reading.device.verify(&read.reading.to_be_signed(), &read.signature);
                        assert!(holds.is_err() || read == signed, "byte {at} bit {bit}");
                    }
                }
            }
        }
    }
}

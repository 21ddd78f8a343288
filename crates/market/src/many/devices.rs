//! Signatures of devices (Ed25519): the rule of one, and many at once.
//!
//! The rule is algorithm 2 of Chalkias, Garillot and Nikolaenko, "Taming the Many EdDSAs" (SSR 2020): the key's point A and the signature's
//! point R are spelled canonically, A has no small order, `s` is below the group's order L, and
//! `8 (s B - R - k A) = 0` with `k = SHA-512(R || A || message) mod L`. It is RFC 8032's own equation (section 5.1.7); the factor 8 is what
//! lets one signature and many be verified by the same rule, so that no two checkers disagree. Of one key and message, only who
//! has the secret can make two signatures that hold.
//!
//! Many are one sum with weights `z` of 128 bits: `8 ((sum z s) B - sum z R - sum z k A) = 0`, the terms of one key put together.
//!
//! Error bound: after the factor 8 everything is in the group of prime order L, where one equation that does not hold is made good by at
//! most one value of its weight, 2^-128. Weights are `H(H(all claims) || number)`: nobody can choose a claim after its weight, and
//! who tries `t` lists of claims succeeds with at most `t * 2^-128`. A sum that does not hold says only that: each is
//! then verified by itself.

use crate::hash::{Hash32, keccak};
use crate::key::{Device, DeviceSignature};
use crate::refusal::Refusal;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{IsIdentity, VartimeMultiscalarMul};
use sha2::{Digest, Sha512};
use std::collections::{BTreeMap, BTreeSet};

/// That a device signed a digest.
pub type DeviceClaim = (Hash32, DeviceSignature, Device);

/// Fewer are cheaper one by one.
const TOGETHER_MIN: usize = 4;
/// Claims of one sum: a lie costs its neighbours, at most so many, a verification each.
const TOGETHER_MAX: usize = 1 << 14;
/// Devices whose points are kept.
const KEYS_MAX: usize = 1 << 16;

/// The only spelling of a point: `y` below `p = 2^255 - 19`, and no sign where `x` is 0.
fn is_canonical(bytes: &[u8; 32]) -> bool {
    let mut y = *bytes;
    y[31] &= 0x7f;
    let middle = |byte: u8| y[1..31].iter().all(|other| *other == byte);
    let below_p = !(y[31] == 0x7f && middle(0xff) && y[0] >= 0xed);
    let one = y[0] == 1 && middle(0) && y[31] == 0;
    let minus_one = y[0] == 0xec && middle(0xff) && y[31] == 0x7f;
    below_p && (*bytes == y || !(one || minus_one))
}

fn point(bytes: &[u8; 32]) -> Option<EdwardsPoint> {
    if is_canonical(bytes) { CompressedEdwardsY(*bytes).decompress() } else { None }
}

/// A device's point; `None` when its bytes are the canonical spelling of none, or of one that anybody can sign for.
fn key(device: &Device) -> Option<EdwardsPoint> {
    point(&device.0).filter(|key| !key.is_small_order())
}

/// A signature as numbers: R, s and k.
struct Parts {
    r: EdwardsPoint,
    s: Scalar,
    k: Scalar,
}

impl Parts {
    fn of(device: &Device, message: &[u8], signature: &DeviceSignature) -> Option<Self> {
        let (r, s) = signature.0.split_at(32);
        let (r, s): (&[u8; 32], [u8; 32]) = (r.try_into().ok()?, s.try_into().ok()?);
        let s = Option::<Scalar>::from(Scalar::from_canonical_bytes(s))?;
        let hash = Sha512::new().chain_update(r).chain_update(device.0).chain_update(message).finalize();
        Some(Parts { r: point(r)?, s, k: Scalar::from_bytes_mod_order_wide(&hash.into()) })
    }

    fn hold(&self, key: &EdwardsPoint) -> bool {
        let sum = EdwardsPoint::vartime_double_scalar_mul_basepoint(&-self.k, key, &self.s) - self.r;
        sum.mul_by_cofactor().is_identity()
    }
}

/// Whether a device signed a message.
///
/// # Errors
/// `key.device`, `signature.device`.
pub(crate) fn verify(device: &Device, message: &[u8], signature: &DeviceSignature) -> Result<(), Refusal> {
    let no_key = || Refusal::new("key.device", "a point of Ed25519, not of small order", device);
    let key = key(device).ok_or_else(no_key)?;
    let held = Parts::of(device, message, signature).is_some_and(|parts| parts.hold(&key));
    if held {
        return Ok(());
    }
    Err(Refusal::new("signature.device", format_args!("the signature of {device}"), "another"))
}

/// Points of devices that signed before.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys(BTreeMap<Device, EdwardsPoint>);

impl Keys {
    fn learn(&mut self, device: &Device) -> Option<EdwardsPoint> {
        if let Some(known) = self.0.get(device) {
            return Some(*known);
        }
        let key = key(device)?;
        if self.0.len() >= KEYS_MAX {
            self.0.clear();
        }
        self.0.insert(*device, key);
        Some(key)
    }
}

/// Whether each device signed the digest beside it.
pub(crate) fn verify_all(keys: &mut Keys, claims: &[DeviceClaim]) -> Vec<bool> {
    claims.chunks(TOGETHER_MAX).flat_map(|some| verify_some(keys, some)).collect()
}

fn verify_some(keys: &mut Keys, claims: &[DeviceClaim]) -> Vec<bool> {
    let parts: Vec<Option<(Parts, EdwardsPoint)>> = claims
        .iter()
        .map(|(digest, signature, device)| {
            Some((Parts::of(device, &digest.0, signature)?, keys.learn(device)?))
        })
        .collect();
    let together = parts.iter().flatten().count();
    if together >= TOGETHER_MIN && sum_holds(claims, &parts) {
        return parts.iter().map(Option::is_some).collect();
    }
    parts.iter().map(|known| known.as_ref().is_some_and(|(parts, key)| parts.hold(key))).collect()
}

/// Whether the equations of all that have parts hold, but for the error bound in the head of this file.
fn sum_holds(claims: &[DeviceClaim], parts: &[Option<(Parts, EdwardsPoint)>]) -> bool {
    let mut text = Vec::with_capacity(claims.len() * (32 + 64 + 32));
    for (digest, signature, device) in claims {
        text.extend_from_slice(&digest.0);
        text.extend_from_slice(&signature.0);
        text.extend_from_slice(&device.0);
    }
    let seed = keccak(&text);
    let (mut of_base, mut of_keys) = (Scalar::ZERO, BTreeMap::<&Device, (Scalar, EdwardsPoint)>::new());
    let (mut scalars, mut points) =
        (Vec::with_capacity(2 * claims.len()), Vec::with_capacity(2 * claims.len()));
    for (number, (claim, known)) in claims.iter().zip(parts).enumerate() {
        let Some((parts, key)) = known else { continue };
        let hash = keccak(&[&seed.0[..], &(number as u64).to_be_bytes()].concat());
        let mut weight = [0; 32];
        weight[..16].copy_from_slice(&hash.0[..16]);
        let z = Scalar::from_bytes_mod_order(weight); // 128 bits: nothing to reduce
        of_base += z * parts.s;
        of_keys.entry(&claim.2).or_insert((Scalar::ZERO, *key)).0 += z * parts.k;
        scalars.push(z);
        points.push(-parts.r);
    }
    for (scalar, key) in of_keys.into_values() {
        scalars.push(scalar);
        points.push(-key);
    }
    scalars.push(of_base);
    points.push(curve25519_dalek::constants::ED25519_BASEPOINT_POINT);
    EdwardsPoint::vartime_multiscalar_mul(&scalars, &points).mul_by_cofactor().is_identity()
}

/// Signatures of devices that were verified before they are asked for; what it does not know is verified when asked for.
#[derive(Clone, Debug, Default)]
pub struct Known(BTreeSet<DeviceClaim>);

impl Known {
    /// Nothing is known.
    pub const NOTHING: &'static Known = &Known(BTreeSet::new());

    /// Those of the claims that hold, verified many at once.
    #[must_use]
    pub fn of(claims: impl IntoIterator<Item = DeviceClaim>) -> Self {
        let claims: Vec<_> = claims.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
        let holds = verify_all(&mut Keys::default(), &claims);
        Known(claims.into_iter().zip(holds).filter_map(|(claim, holds)| holds.then_some(claim)).collect())
    }

    /// Whether a device signed a digest: as [`Device::verify`], but quick for what is known.
    ///
    /// # Errors
    /// As there.
    pub fn verify(
        &self,
        device: &Device,
        digest: &Hash32,
        signature: &DeviceSignature,
    ) -> Result<(), Refusal> {
        if self.0.contains(&(*digest, *signature, *device)) {
            return Ok(());
        }
        device.verify(digest, signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::DeviceSecret;
    use curve25519_dalek::constants::EIGHT_TORSION;

    fn claims(count: u16) -> Vec<DeviceClaim> {
        let claim = |n: u16| {
            let secret = DeviceSecret::from_bytes([1 + (n % 5) as u8; 32]);
            let digest = keccak(&n.to_be_bytes());
            (digest, secret.sign(&digest), secret.device())
        };
        (0..count).map(claim).collect()
    }

    fn sum(claims: &[DeviceClaim]) -> bool {
        let mut keys = Keys::default();
        let parts: Vec<_> = claims
            .iter()
            .map(|(digest, signature, device)| {
                Some((Parts::of(device, &digest.0, signature)?, keys.learn(device)?))
            })
            .collect();
        parts.iter().all(Option::is_some) && sum_holds(claims, &parts)
    }

    #[test]
    fn honest_signatures_hold_together() {
        for count in [0, 1, 3, 4, 60, 400] {
            let claims = claims(count);
            assert!(verify_all(&mut Keys::default(), &claims).iter().all(|holds| *holds), "{count}");
            if count > 0 {
                assert!(sum(&claims), "{count}");
            }
        }
    }

    #[test]
    fn the_sum_holds_of_no_other_digest_key_r_or_s() {
        let honest = claims(40);
        for place in 0..honest.len() {
            let other = honest[(place + 1) % honest.len()];
            for lie in 0..4 {
                let mut claims = honest.clone();
                match lie {
                    0 => claims[place].0 = other.0,
                    1 => claims[place].2 = other.2,
                    2 => claims[place].1.0[..32].copy_from_slice(&other.1.0[..32]),
                    _ => claims[place].1.0[32..].copy_from_slice(&other.1.0[32..]),
                }
                assert!(!sum(&claims), "lie {lie} at {place}");
                let holds = verify_all(&mut Keys::default(), &claims);
                let wrong: Vec<_> = (0..claims.len()).filter(|at| !holds[*at]).collect();
                assert_eq!(wrong, [place], "lie {lie}");
            }
        }
    }

    #[test]
    fn two_lies_that_would_cancel_each_other_without_weights_are_found() {
        let honest = claims(20);
        let mut claims = honest.clone();
        (claims[0].1, claims[5].1) = (honest[5].1, honest[0].1); // of one device
        let holds = verify_all(&mut Keys::default(), &claims);
        assert_eq!((0..20).filter(|at| !holds[*at]).collect::<Vec<_>>(), [0, 5]);
    }

    /// A signature by the secret `a` with a point of the torsion group added to R: what only the owner of a secret can make.
    fn twisted(torsion: EdwardsPoint, number: u8) -> DeviceClaim {
        use curve25519_dalek::constants::ED25519_BASEPOINT_POINT as BASE;
        let (a, nonce) = (Scalar::from(77u64), Scalar::from(1_000 + u64::from(number)));
        let device = Device((BASE * a).compress().to_bytes());
        let (digest, r) = (keccak(&[number]), (BASE * nonce + torsion).compress().to_bytes());
        let hash = Sha512::new().chain_update(r).chain_update(device.0).chain_update(digest.0).finalize();
        let k = Scalar::from_bytes_mod_order_wide(&hash.into());
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&r);
        signature[32..].copy_from_slice(&(nonce + k * a).to_bytes());
        (digest, DeviceSignature(signature), device)
    }

    #[test]
    fn alone_and_together_agree_about_points_of_small_order() {
        for torsion in EIGHT_TORSION {
            let claims: Vec<_> = (0..30).map(|number| twisted(torsion, number)).collect();
            for (digest, signature, device) in &claims {
                assert!(device.verify(digest, signature).is_ok());
            }
            assert!(sum(&claims));
        }
        for key in EIGHT_TORSION {
            let weak = Device(key.compress().to_bytes());
            let (digest, signature, _) = twisted(EIGHT_TORSION[0], 1);
            assert_eq!(weak.verify(&digest, &signature).expect_err("weak").name, "key.device");
            assert!(!verify_all(&mut Keys::default(), &vec![(digest, signature, weak); 5])[0]);
        }
    }

    #[test]
    fn other_spellings_of_points_and_numbers_are_refused() {
        let mut sign = [0; 32];
        (sign[0], sign[31]) = (1, 0x80); // 1 with the sign of an x that is 0
        let mut minus_one = [0xff; 32]; // -1 with it
        minus_one[0] = 0xec;
        assert!(!is_canonical(&sign) && !is_canonical(&minus_one));
        for low in 0xed..=0xff {
            let mut large = [0xff; 32];
            (large[0], large[31]) = (low, 0x7f); // p and above
            assert!(!is_canonical(&large));
            large[31] = 0xff;
            assert!(!is_canonical(&large));
        }
        minus_one[31] = 0x7f;
        sign[31] = 0;
        assert!(is_canonical(&minus_one) && is_canonical(&sign) && is_canonical(&[0; 32]));
        // s + L is the same number.
        let (digest, mut signature, device) = claims(1)[0];
        let order: [u8; 32] = (Scalar::ZERO - Scalar::ONE).to_bytes();
        let mut carry = 1u16; // L = (L - 1) + 1
        for (place, byte) in signature.0[32..].iter_mut().zip(order) {
            let sum = u16::from(*place) + u16::from(byte) + carry;
            (*place, carry) = (sum as u8, sum >> 8);
        }
        assert_eq!(carry, 0);
        assert_eq!(device.verify(&digest, &signature).expect_err("s + L").name, "signature.device");
    }

    #[test]
    fn what_is_not_known_is_verified_when_asked_for() {
        let mut claims = claims(12);
        claims[7].1.0[40] ^= 1;
        let known = Known::of(claims.iter().copied());
        assert_eq!(known.0.len(), 11);
        for (number, (digest, signature, device)) in claims.iter().enumerate() {
            assert_eq!(known.verify(device, digest, signature).is_ok(), number != 7);
            assert_eq!(Known::NOTHING.verify(device, digest, signature).is_ok(), number != 7);
        }
    }
}

//! Signatures of accounts, many at once.
//!
//! ECDSA over secp256k1 with its recovery bit names the point `R`, so a signature `(R, s)` of a digest `e` by the key `Q` is an
//! equation: `u G + v Q - R = 0` with `u = e/s`, `v = r/s`. Many of them are one sum with random weights `z` of 128 bits:
//! `(sum z u) G + sum (z v) Q - sum z R = 0`, a multiplication of many points at once (Pippenger's buckets), some 15
//! times cheaper than to recover each key. Keys are learned by recovery, one for each account.
//!
//! Error bound: the group has prime order, so if one equation does not hold, the sum holds for at most one value of its
//! weight, 2^-128. Weights are `H(H(all claims) || number)`, so nobody can choose a claim after its weight; who tries
//! `t` lists of claims succeeds with at most `t * 2^-128`. A sum that does not hold says only that: each is
//! then verified by itself.

use crate::hash::{Hash32, keccak};
use crate::key::{AccountSignature, Address};
use k256::ecdsa::VerifyingKey;
use k256::elliptic_curve::ops::Reduce;
use k256::elliptic_curve::point::DecompressPoint;
use k256::elliptic_curve::subtle::Choice;
use k256::{AffinePoint, FieldBytes, ProjectivePoint, Scalar};
use std::collections::BTreeMap;

/// That an account signed a digest.
pub(crate) type AccountClaim = (Hash32, AccountSignature, Address);

/// Accounts whose keys are kept.
const KEYS_MAX: usize = 1 << 16;

/// Fewer are cheaper one by one.
const TOGETHER_MIN: usize = 16;

/// Keys of accounts that signed before.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys(BTreeMap<Address, AffinePoint>);

/// Whether each account signed the digest beside it.
pub(crate) fn verify_all(keys: &mut Keys, claims: &[AccountClaim]) -> Vec<bool> {
    let mut holds = vec![false; claims.len()];
    let mut together = Vec::new();
    for (number, (digest, signature, account)) in claims.iter().enumerate() {
        if keys.0.contains_key(account) {
            if let Some(parts) = Parts::of(digest, signature) {
                together.push((number, parts));
            }
        } else if let Ok(key) = signature.recover_key(digest)
            && crate::key::address_of(&key) == *account
        {
            holds[number] = true;
            keys.learn(*account, &key);
        }
    }
    let all = together.len() >= TOGETHER_MIN && sum_holds(keys, claims, &together);
    for (number, _) in together {
        let (digest, signature, account) = &claims[number];
        holds[number] = all || signature.verify(digest, account).is_ok();
    }
    holds
}

impl Keys {
    fn learn(&mut self, account: Address, key: &VerifyingKey) {
        if self.0.len() >= KEYS_MAX {
            self.0.clear();
        }
        self.0.insert(account, *key.as_affine());
    }
}

/// A signature of the form that recovery accepts, as numbers.
struct Parts {
    digest: Scalar,
    r: Scalar,
    s: Scalar,
    point: AffinePoint,
}

impl Parts {
    fn of(digest: &Hash32, signature: &AccountSignature) -> Option<Self> {
        let (parsed, y_is_odd) = signature.parse().ok()?; // r and s are above zero and below the order
        let (r, s) = parsed.split_scalars();
        let point = AffinePoint::decompress(&r.to_bytes(), Choice::from(u8::from(y_is_odd)));
        let point = Option::<AffinePoint>::from(point)?;
        let digest = <Scalar as Reduce<FieldBytes>>::reduce(&digest.0.into());
        Some(Parts { digest, r: *r, s: *s, point })
    }
}

/// Whether all equations hold, but for the error bound in the head of this file.
fn sum_holds(keys: &Keys, claims: &[AccountClaim], parts: &[(usize, Parts)]) -> bool {
    let mut text = Vec::with_capacity(parts.len() * (32 + 65 + 20));
    for (number, _) in parts {
        let (digest, signature, account) = &claims[*number];
        text.extend_from_slice(&digest.0);
        text.extend_from_slice(&signature.0);
        text.extend_from_slice(&account.0);
    }
    let seed = keccak(&text);
    let inverses = inverted(parts.iter().map(|(_, parts)| parts.s));
    let (mut of_generator, mut of_keys) = (Scalar::ZERO, BTreeMap::<Address, Scalar>::new());
    let mut terms = Vec::with_capacity(2 * parts.len());
    for ((number, parts), inverse) in parts.iter().zip(inverses) {
        let hash = keccak(&[&seed.0[..], &(*number as u64).to_be_bytes()].concat());
        let mut weight = FieldBytes::default();
        weight[16..].copy_from_slice(&hash.0[16..]);
        let z = <Scalar as Reduce<FieldBytes>>::reduce(&weight); // 128 bits: nothing to reduce
        let scaled = z * inverse;
        of_generator += scaled * parts.digest;
        *of_keys.entry(claims[*number].2).or_insert(Scalar::ZERO) += scaled * parts.r;
        terms.push((weight, -parts.point));
    }
    for (account, scalar) in of_keys {
        let Some(key) = keys.0.get(&account) else { return false };
        terms.push((scalar.to_bytes(), *key));
    }
    terms.push((of_generator.to_bytes(), AffinePoint::GENERATOR));
    multiplied(&terms) == ProjectivePoint::IDENTITY
}

/// The inverses of numbers that are not zero, by one inversion of their product.
fn inverted(numbers: impl Iterator<Item = Scalar>) -> Vec<Scalar> {
    let numbers: Vec<Scalar> = numbers.collect();
    let mut products = Vec::with_capacity(numbers.len());
    let mut product = Scalar::ONE;
    for number in &numbers {
        products.push(product); // of all before it
        product *= number;
    }
    let mut inverse = Option::<Scalar>::from(product.invert()).unwrap_or(Scalar::ZERO);
    for (place, number) in products.iter_mut().zip(&numbers).rev() {
        *place *= inverse;
        inverse *= number;
    }
    products
}

/// The sum of points times numbers (big-endian): for each digit of four bits, or of eight where there are many, points go
/// to the bucket of their digit, and the buckets are summed with their numbers.
fn multiplied(terms: &[(FieldBytes, AffinePoint)]) -> ProjectivePoint {
    let bits = if terms.len() < 400 { 4 } else { 8 };
    let digit_of = |number: &FieldBytes, digit: usize| match (bits, digit % 2) {
        (8, _) => number[digit],
        (_, 0) => number[digit / 2] >> 4,
        _ => number[digit / 2] & 15,
    };
    let mut sum = ProjectivePoint::IDENTITY;
    for digit in 0..256 / bits {
        for _ in 0..bits {
            sum = sum.double();
        }
        let mut buckets = [ProjectivePoint::IDENTITY; 255];
        let mut highest = 0;
        for (number, point) in terms {
            let bucket = usize::from(digit_of(number, digit));
            if bucket > 0 {
                buckets[bucket - 1] += point;
                highest = highest.max(bucket);
            }
        }
        let mut running = ProjectivePoint::IDENTITY;
        for bucket in buckets[..highest].iter().rev() {
            running += bucket;
            sum += running;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::AccountSecret;

    fn claims(count: u16) -> Vec<AccountClaim> {
        let claim = |n: u16| {
            let secret = AccountSecret::from_bytes([1 + (n % 5) as u8; 32]).expect("a secret");
            let digest = keccak(&n.to_be_bytes());
            (digest, secret.sign(&digest), secret.address())
        };
        (0..count).map(claim).collect()
    }

    #[test]
    fn honest_signatures_hold_together() {
        for count in [0, 1, 5, 6, 60, 400] {
            let (mut keys, claims) = (Keys::default(), claims(count));
            for _ in 0..2 {
                assert!(verify_all(&mut keys, &claims).iter().all(|holds| *holds), "{count}");
            }
        }
        // The sum is what said so: it holds of all of them, and of no other digest, key, r, s or v.
        let (mut keys, claims) = (Keys::default(), claims(40));
        verify_all(&mut keys, &claims);
        let sum = |claims: &[AccountClaim]| {
            let parts: Option<Vec<_>> =
                claims.iter().map(|(digest, signature, _)| Parts::of(digest, signature)).collect();
            parts.is_some_and(|parts| {
                sum_holds(&keys, claims, &parts.into_iter().enumerate().collect::<Vec<_>>())
            })
        };
        assert!(sum(&claims));
        for place in 0..claims.len() {
            let other = claims[(place + 1) % claims.len()];
            for lie in 0..5 {
                let mut claims = claims.clone();
                match lie {
                    0 => claims[place].0 = other.0,
                    1 => claims[place].2 = other.2,
                    2 => claims[place].1.0[..32].copy_from_slice(&other.1.0[..32]),
                    3 => claims[place].1.0[32..64].copy_from_slice(&other.1.0[32..64]),
                    _ => claims[place].1.0[64] ^= 27 ^ 28,
                }
                assert!(!sum(&claims), "lie {lie} at {place}");
            }
        }
    }

    #[test]
    fn one_lie_among_many_is_found_and_stops_no_other() {
        let honest = claims(30);
        for (place, byte) in [(0, 0), (3, 31), (12, 32), (17, 63), (29, 64)] {
            let (mut keys, mut claims) = (Keys::default(), honest.clone());
            verify_all(&mut keys, &honest);
            claims[place].1.0[byte] ^= 1;
            for keys in [keys, Keys::default()] {
                let holds = verify_all(&mut keys.clone(), &claims);
                let expected: Vec<bool> = claims
                    .iter()
                    .map(|(digest, signature, account)| signature.verify(digest, account).is_ok())
                    .collect();
                assert_eq!(holds, expected);
                assert_eq!(holds.iter().filter(|holds| !**holds).count(), 1);
            }
        }
    }

    #[test]
    fn two_lies_that_would_cancel_each_other_without_weights_are_found() {
        // u G + v Q - R summed without weights is the same when two signatures of one key exchange their digests' equations.
        let (mut keys, honest) = (Keys::default(), claims(20));
        verify_all(&mut keys, &honest);
        let mut claims = honest.clone();
        (claims[0].1, claims[5].1) = (honest[5].1, honest[0].1); // of one account
        let holds = verify_all(&mut keys, &claims);
        assert!(!holds[0] && !holds[5]);
        assert_eq!(holds.iter().filter(|holds| **holds).count(), 18);
    }
}

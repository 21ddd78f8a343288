//! Whose a sensor is: signed, numbered statements, each naming the one before.
//!
//! Statement 0 gives the sensor to its first owner: the sensor's key signs, and the owner. Each one after it gives the sensor
//! to another (the owner and the next one sign) or, with nobody to give it to, revokes it for good (the owner signs). Owners are
//! accounts of the market. A statement counts from its second on: what was measured before belongs to the owner before.
//!
//! Signed, big-endian: `"proofmesh/title/v1" || key || number u64 || previous digest 32 || Unix second u64 || 0, or 1 and the
//! owner's 20 bytes`, key with its multicodec prefix; `digest = H(that)`. An account signs the digest, a sensor the bytes.
//! Encoding: what is signed without its first 18 bytes, then the giver's signature (64 bytes a sensor's, 65 an owner's), then the next owner's
//! if there is one.
//!
//! An owner can sign two statements of one number. The first that a reader saw counts there, and the second is named; without
//! a ledger that orders them, two readers may have seen two firsts (docs/devices.md).
//!
//! Refuses: `title.form`, `title.other-sensor`, `title.replayed`, `title.forked`, `title.gap`, `title.previous`,
//! `title.revoked`, `title.time-not-later`, `title.full`, `title.signature`; for readings `reading.revoked`,
//! `reading.not-owner`.

use crate::did::{Did, DidSecret, P256_KEY_BYTES, Signature};
use crate::wire::{array, u64_at};
use proofmesh_market::{AccountSecret, AccountSignature, Address, Device, Hash32, Refusal, keccak};

/// Statements of a sensor.
pub const STATEMENTS_MAX: usize = 256;
/// Most bytes of an encoded statement.
pub const STATEMENT_BYTES_MAX: usize = 2 + P256_KEY_BYTES + 8 + 32 + 8 + 21 + 65 + 65;
const TAG: &[u8] = b"proofmesh/title/v1";

/// Who gives a sensor to whom, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The sensor.
    pub sensor: Did,
    /// From 0, no gaps.
    pub number: u64,
    /// Digest of the statement before, zero for number 0.
    pub previous: Hash32,
    /// From this Unix second on.
    pub time_s: u64,
    /// The owner from then on; `None` revokes.
    pub to: Option<Address>,
}

/// The signature of who gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// By the sensor, of statement 0.
    Sensor(Signature),
    /// By the owner, of those after it.
    Owner(AccountSignature),
}

impl Statement {
    fn message(&self) -> Vec<u8> {
        let mut bytes = [TAG, &self.sensor.to_bytes(), &self.number.to_be_bytes()].concat();
        bytes.extend_from_slice(&self.previous.0);
        bytes.extend_from_slice(&self.time_s.to_be_bytes());
        bytes.push(u8::from(self.to.is_some()));
        bytes.extend(self.to.iter().flat_map(|to| to.0));
        bytes
    }

    /// What the next statement names.
    #[must_use]
    pub fn digest(&self) -> Hash32 {
        keccak(&self.message())
    }

    /// Signs statement 0 as the sensor; its owner signs with [`SignedStatement::take`].
    #[must_use]
    pub fn give_as_sensor(self, secret: &DidSecret) -> SignedStatement {
        let given = Given::Sensor(secret.sign(&self.message()));
        SignedStatement { statement: self, given, taken: None }
    }

    /// Signs as the owner; who comes after signs with [`SignedStatement::take`], a revocation is done.
    #[must_use]
    pub fn give(self, owner: &AccountSecret) -> SignedStatement {
        SignedStatement { statement: self, given: Given::Owner(owner.sign(&self.digest())), taken: None }
    }
}

/// A statement with its signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedStatement {
    /// The statement.
    pub statement: Statement,
    /// Who gives.
    pub given: Given,
    /// Who takes; `None` as long as it has not signed, and of a revocation.
    pub taken: Option<AccountSignature>,
}

impl SignedStatement {
    /// Signs as who comes after.
    #[must_use]
    pub fn take(self, owner: &AccountSecret) -> Self {
        SignedStatement { taken: Some(owner.sign(&self.statement.digest())), ..self }
    }

    /// The canonical bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.statement.message().split_off(TAG.len());
        match &self.given {
            Given::Sensor(signature) => bytes.extend_from_slice(&signature.0),
            Given::Owner(signature) => bytes.extend_from_slice(&signature.0),
        }
        bytes.extend(self.taken.iter().flat_map(|signature| signature.0));
        bytes
    }

    /// Reads the canonical bytes. Signatures are not verified here.
    ///
    /// # Errors
    /// `title.form` when the bytes are not exactly what [`SignedStatement::encode`] makes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Refusal> {
        let refused =
            || Refusal::new("title.form", "a statement of version 1", format_args!("{} bytes", bytes.len()));
        let mut rest = bytes;
        let mut next = |length: usize| {
            let (front, back) = rest.split_at_checked(length).ok_or_else(refused)?;
            rest = back;
            Ok::<&[u8], Refusal>(front)
        };
        let sensor = match next(2)? {
            [0xed, 0x01] => Did::Ed25519(Device(array(next(32)?))),
            [0x80, 0x24] => Did::P256(array(next(P256_KEY_BYTES)?)),
            _ => return Err(refused()),
        };
        let number = u64_at(next(8)?, 0);
        let previous = Hash32(array(next(32)?));
        let time_s = u64_at(next(8)?, 0);
        let to = match next(1)? {
            [0] => None,
            [1] => Some(Address(array(next(20)?))),
            _ => return Err(refused()),
        };
        let given = match number {
            0 => Given::Sensor(Signature(array(next(64)?))),
            _ => Given::Owner(AccountSignature(array(next(65)?))),
        };
        let taken = if rest.is_empty() {
            None
        } else {
            Some(AccountSignature(rest.try_into().map_err(|_| refused())?))
        };
        let statement = Statement { sensor, number, previous, time_s, to };
        if (number == 0 && to.is_none()) || (to.is_none() && taken.is_some()) {
            return Err(refused());
        }
        Ok(SignedStatement { statement, given, taken })
    }

    fn verify(&self, owner: Option<&Address>) -> Result<(), Refusal> {
        let Statement { sensor, to, .. } = &self.statement;
        let refused =
            |who: String| Refusal::new("title.signature", format_args!("the signature of {who}"), "another");
        let digest = self.statement.digest();
        let given = match (&self.given, owner) {
            (Given::Sensor(signature), None) => sensor.verify(&self.statement.message(), signature).is_ok(),
            (Given::Owner(signature), Some(owner)) => signature.verify(&digest, owner).is_ok(),
            _ => false,
        };
        if !given {
            return Err(refused(owner.map_or(sensor.to_string(), Address::to_string)));
        }
        let Some(to) = to else { return Ok(()) };
        let taken = self.taken.is_some_and(|signature| signature.verify(&digest, to).is_ok());
        if taken { Ok(()) } else { Err(refused(to.to_string())) }
    }
}

/// The statements of a sensor, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Title {
    sensor: Did,
    taken: Vec<(Hash32, u64, Option<Address>)>, // digest, second, owner from then on
}

impl Title {
    /// Of a sensor that is nobody's yet.
    #[must_use]
    pub fn new(sensor: Did) -> Self {
        Title { sensor, taken: Vec::new() }
    }

    /// The statement that would come next.
    #[must_use]
    pub fn next(&self, time_s: u64, to: Option<Address>) -> Statement {
        let previous = self.taken.last().map_or(Hash32::ZERO, |(digest, ..)| *digest);
        Statement { sensor: self.sensor, number: self.taken.len() as u64, previous, time_s, to }
    }

    /// Statements so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.taken.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }

    /// The owner now: the one after the last statement.
    #[must_use]
    pub fn owner(&self) -> Option<Address> {
        self.taken.last().and_then(|(.., owner)| *owner)
    }

    /// The second from which on it is revoked.
    #[must_use]
    pub fn revoked_s(&self) -> Option<u64> {
        self.taken.last().filter(|(.., owner)| owner.is_none()).map(|(_, time_s, _)| *time_s)
    }

    /// Takes a statement; on a refusal nothing changes.
    ///
    /// # Errors
    /// `title.other-sensor`; `title.replayed`, one that was taken; `title.forked`, another of a number that was taken, rightly
    /// signed: its owner gave the sensor twice; `title.gap`, `title.previous`, `title.revoked`, `title.time-not-later`, `title.full`,
    /// `title.signature`.
    pub fn take(&mut self, signed: &SignedStatement) -> Result<(), Refusal> {
        let statement = &signed.statement;
        if statement.sensor != self.sensor {
            return Err(Refusal::new("title.other-sensor", self.sensor, statement.sensor));
        }
        let (next, digest) = (self.taken.len() as u64, statement.digest());
        if statement.number > next {
            return Err(Refusal::new("title.gap", format_args!("statement {next}"), statement.number));
        }
        let at = statement.number as usize; // at most `next`, a length
        if let Some((seen, ..)) = self.taken.get(at) {
            let expected = format_args!("statement {next}");
            if *seen == digest {
                return Err(Refusal::new("title.replayed", expected, statement.number));
            }
            signed.verify(self.owner_before(at).as_ref())?;
            let got = format_args!("another statement {}: {digest}, not {seen}", statement.number);
            return Err(Refusal::new("title.forked", expected, got));
        }
        if let Some(revoked_s) = self.revoked_s() {
            return Err(Refusal::new(
                "title.revoked",
                "no statement",
                format_args!("revoked at {revoked_s}"),
            ));
        }
        let (previous, last_s) = self.taken.last().map_or((Hash32::ZERO, None), |(d, s, _)| (*d, Some(*s)));
        if statement.previous != previous {
            return Err(Refusal::new("title.previous", previous, statement.previous));
        }
        if let Some(last_s) = last_s.filter(|last_s| statement.time_s <= *last_s) {
            let expected = format_args!("after {last_s}");
            return Err(Refusal::new("title.time-not-later", expected, statement.time_s));
        }
        if at == STATEMENTS_MAX && statement.to.is_some() {
            return Err(Refusal::new(
                "title.full",
                format_args!("at most {STATEMENTS_MAX}, or a revocation"),
                at,
            ));
        }
        signed.verify(self.owner_before(at).as_ref())?;
        self.taken.push((digest, statement.time_s, statement.to));
        Ok(())
    }

    fn owner_before(&self, at: usize) -> Option<Address> {
        at.checked_sub(1).and_then(|before| self.taken[before].2)
    }

    /// Whether a reading of this second is this owner's to hand in.
    ///
    /// # Errors
    /// `reading.revoked`, `reading.not-owner`.
    pub fn allow(&self, owner: &Address, time_s: u64) -> Result<(), Refusal> {
        if let Some(revoked_s) = self.revoked_s().filter(|revoked_s| time_s >= *revoked_s) {
            return Err(Refusal::new("reading.revoked", format_args!("before {revoked_s}"), time_s));
        }
        let then = self.taken.iter().rev().find(|(_, from_s, _)| *from_s <= time_s);
        match then.and_then(|(.., then)| *then) {
            Some(then) if then == *owner => Ok(()),
            Some(then) => Err(Refusal::new("reading.not-owner", owner, format_args!("{then} at {time_s}"))),
            None => Err(Refusal::new("reading.not-owner", owner, format_args!("nobody's at {time_s}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proofmesh_market::DeviceSecret;

    fn account(byte: u8) -> AccountSecret {
        AccountSecret::from_bytes([byte; 32]).expect("below the order")
    }

    fn sensors() -> [DidSecret; 2] {
        [DeviceSecret::from_bytes([7; 32]).into(), DidSecret::p256([7; 32]).expect("below the order")]
    }

    /// Bound to account 1 at 100, given to account 2 at 200.
    fn given(sensor: &DidSecret) -> (Title, [SignedStatement; 2]) {
        let mut title = Title::new(sensor.did());
        let first = title.next(100, Some(account(1).address())).give_as_sensor(sensor).take(&account(1));
        title.take(&first).expect("bound");
        let second = title.next(200, Some(account(2).address())).give(&account(1)).take(&account(2));
        title.take(&second).expect("given");
        (title, [first, second])
    }

    #[test]
    fn readings_belong_to_the_owner_of_their_second() {
        for sensor in sensors() {
            let (mut title, _) = given(&sensor);
            let name = |title: &Title, byte, time_s| {
                title.allow(&account(byte).address(), time_s).err().map_or("allowed", |refusal| refusal.name)
            };
            assert_eq!(name(&title, 1, 99), "reading.not-owner");
            assert_eq!((name(&title, 1, 100), name(&title, 1, 199)), ("allowed", "allowed"));
            assert_eq!(
                (name(&title, 1, 200), name(&title, 2, 199)),
                ("reading.not-owner", "reading.not-owner")
            );
            assert_eq!(name(&title, 2, u64::MAX), "allowed");
            let revocation = title.next(300, None).give(&account(2));
            title.take(&revocation).expect("revoked");
            assert_eq!((name(&title, 2, 299), name(&title, 2, 300)), ("allowed", "reading.revoked"));
            assert_eq!(name(&title, 1, 150), "allowed", "what was measured before stays");
            let again = title.next(400, Some(account(3).address())).give(&account(2)).take(&account(3));
            assert_eq!(title.take(&again).expect_err("for good").name, "title.revoked");
        }
    }

    #[test]
    fn replays_forks_and_every_other_lie_are_refused_by_name() {
        for sensor in sensors() {
            let (mut title, [first, second]) = given(&sensor);
            let whole = title.clone();
            let mut name = |signed: &SignedStatement| title.take(signed).expect_err("a lie").name;
            assert_eq!((name(&first), name(&second)), ("title.replayed", "title.replayed"));
            // The old owner sells the sensor again, to another and to itself.
            for (to, byte) in [(account(3), 3), (account(1), 1)] {
                let statement = Statement { to: Some(to.address()), ..second.statement };
                assert_eq!(name(&statement.give(&account(1)).take(&account(byte))), "title.forked");
                assert_eq!(name(&statement.give(&account(3)).take(&account(byte))), "title.signature");
                assert_eq!(name(&statement.give(&account(1))), "title.signature", "not taken");
            }
            // The sensor's key binds it once more.
            let again = Statement { to: Some(account(3).address()), ..first.statement };
            assert_eq!(name(&again.give_as_sensor(&sensor).take(&account(3))), "title.forked");
            let next = whole.next(300, Some(account(3).address()));
            let signed = |statement: Statement| statement.give(&account(2)).take(&account(3));
            assert_eq!(name(&next.give(&account(1)).take(&account(3))), "title.signature", "the old owner");
            assert_eq!(name(&next.give(&account(2)).take(&account(2))), "title.signature", "not who takes");
            assert_eq!(name(&next.give(&account(2))), "title.signature", "nobody took it");
            let sensors_word = SignedStatement { taken: signed(next).taken, ..next.give_as_sensor(&sensor) };
            assert_eq!(name(&sensors_word), "title.signature", "the sensor gives itself away once");
            assert_eq!(name(&signed(Statement { number: 3, ..next })), "title.gap");
            assert_eq!(name(&signed(Statement { previous: Hash32::ZERO, ..next })), "title.previous");
            assert_eq!(name(&signed(Statement { time_s: 200, ..next })), "title.time-not-later");
            let others =
                Statement { sensor: Did::Ed25519(DeviceSecret::from_bytes([8; 32]).device()), ..next };
            assert_eq!(name(&signed(others)), "title.other-sensor");
            assert_eq!(title, whole, "a refusal changes nothing");
            title.take(&signed(next)).expect("the owner and the next one");
            assert_eq!(title.owner(), Some(account(3).address()));
        }
    }

    #[test]
    fn a_title_is_bounded_and_can_still_be_revoked() {
        let [sensor, _] = sensors();
        let mut title = Title::new(sensor.did());
        let owner = account(1);
        for number in 0..STATEMENTS_MAX as u64 {
            let next = title.next(number, Some(owner.address()));
            let signed = if number == 0 { next.give_as_sensor(&sensor) } else { next.give(&owner) };
            title.take(&signed.take(&owner)).expect("room");
        }
        let more = title.next(1_000, Some(owner.address())).give(&owner).take(&owner);
        assert_eq!(title.take(&more).expect_err("full").name, "title.full");
        title.take(&title.next(1_000, None).give(&owner)).expect("revoked");
    }

    #[test]
    fn a_statement_has_one_form_and_each_bit_of_it_counts() {
        for sensor in sensors() {
            let (_, statements) = given(&sensor);
            let revocation = given(&sensor).0.next(300, None).give(&account(2));
            for (number, signed) in statements.iter().chain([&revocation]).enumerate() {
                let bytes = signed.encode();
                assert!(bytes.len() <= STATEMENT_BYTES_MAX);
                assert_eq!(SignedStatement::decode(&bytes), Ok(*signed));
                for length in 0..bytes.len() {
                    if let Ok(short) = SignedStatement::decode(&bytes[..length]) {
                        assert!(short.taken.is_none(), "not taken yet: {length} of {}", bytes.len());
                    }
                }
                assert!(SignedStatement::decode(&[&bytes[..], &[0]].concat()).is_err());
                let mut title = Title::new(sensor.did());
                for earlier in &statements[..number.min(2)] {
                    title.take(earlier).expect("in order");
                }
                for bit in 0..bytes.len() * 8 {
                    let mut changed = bytes.clone();
                    changed[bit / 8] ^= 1 << (bit % 8);
                    if let Ok(read) = SignedStatement::decode(&changed) {
                        assert_eq!(read.encode(), changed);
                        assert!(
                            title.clone().take(&read).is_err(),
                            "bit {bit} of {number} is bound by nothing"
                        );
                    }
                }
            }
        }
    }
}

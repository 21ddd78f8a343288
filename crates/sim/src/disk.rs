//! A disk that loses its tail: what was not synced is gone after a crash, the last record may be torn in the middle,
//! and some disks lose records that they said were safe.

use crate::chance::Chance;
use proofmesh_market::{Hash32, keccak};

/// An append-only file of records, each with its hash before it, as bytes.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    bytes: Vec<u8>,
    synced: usize,
    ends: Vec<usize>,
}

impl Disk {
    /// Appends a record; safe only after [`Disk::sync`].
    pub fn append(&mut self, record: &[u8]) {
        self.bytes.extend_from_slice(&(record.len() as u64).to_be_bytes());
        self.bytes.extend_from_slice(&keccak(record).0);
        self.bytes.extend_from_slice(record);
        self.ends.push(self.bytes.len());
    }

    /// Everything so far is on the platter.
    pub fn sync(&mut self) {
        self.synced = self.bytes.len();
    }

    /// Power fails: what was not synced is cut at a random byte; a lying disk loses up to two synced records too.
    pub fn crash(&mut self, lies: bool, chance: &mut Chance) {
        let mut kept = self.synced;
        if lies {
            let back = chance.below(3) as usize;
            kept = self.ends.iter().rev().nth(back).copied().unwrap_or(0).min(self.synced);
        }
        kept += chance.below((self.bytes.len() - kept) as u64 + 1) as usize;
        self.bytes.truncate(kept);
        self.recover();
    }

    fn recover(&mut self) {
        let whole: usize = self.records().iter().map(|record| record.len() + 40).sum();
        self.bytes.truncate(whole); // a torn record is cut off
        self.ends.retain(|end| *end <= whole);
        self.synced = whole;
    }

    /// The whole records.
    #[must_use]
    pub fn records(&self) -> Vec<&[u8]> {
        let mut records = Vec::new();
        let mut rest = &self.bytes[..];
        while let Some((head, body)) = rest.split_at_checked(40) {
            let (length, hash) = head.split_at(8);
            let length = length.iter().fold(0usize, |sum, byte| sum << 8 | usize::from(*byte));
            let Some((record, after)) = body.split_at_checked(length) else { break };
            if keccak(record) != Hash32(hash.try_into().unwrap_or_default()) {
                break;
            }
            records.push(record);
            rest = after;
        }
        records
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_synced_survives_and_what_was_torn_is_cut() {
        for seed in 0..200 {
            let mut chance = Chance::stream(seed, "disk", 0);
            let mut disk = Disk::default();
            disk.append(b"one");
            disk.append(b"two");
            disk.sync();
            disk.append(b"three");
            let mut lying = disk.clone();
            disk.crash(false, &mut chance);
            let records = disk.records();
            assert!(records == [&b"one"[..], b"two"] || records == [&b"one"[..], b"two", b"three"], "{seed}");
            lying.crash(true, &mut chance);
            assert!(lying.records().len() <= 3);
            lying.append(b"next");
            assert_eq!(lying.records().last(), Some(&&b"next"[..]), "{seed}");
        }
    }
}

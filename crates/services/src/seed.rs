//! Public seeds as a side input: random words that nobody knew before a second was over.
//!
//! A possession challenge is drawn with the seed of the round's end. It reaches a check as the feed
//! [`seed_feed`] of [`References`]: 8 words, the seed published first at or after that second. Whoever
//! checks takes the seeds from the log ([`Seeds::note`]), so all find the same: the `logHash` of the epoch that
//! closed first at or after the second, or, in a guarded market, the value of the first beacon round that ends
//! at or after it, whose secrets may be revealed only then. With an epoch's `logHash` its poster can try
//! several contents; with the beacon, whoever reveals last has two choices for its penalty.

use crate::reference::{References, Row};
use proofmesh_market::{Device, Event, Hash32, State, What, keccak};
use std::collections::BTreeMap;

/// Words of a seed.
pub const SEED_WORDS: usize = 8;

/// The name of the feed of seeds: `H("proofmesh/seeds/v1")`.
#[must_use]
pub fn seed_feed() -> Hash32 {
    keccak(b"proofmesh/seeds/v1")
}

/// Seeds by the second at which each became public. Only appended to, so that what it said of a second it
/// says for ever.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seeds {
    by_second: BTreeMap<u64, [i32; SEED_WORDS]>,
}

impl Seeds {
    /// Appends a seed that became public at `at_s`. One that is not later than the last, or is the last again,
    /// changes nothing: of two at one second the first counts.
    pub fn publish(&mut self, at_s: u64, seed: &Hash32) {
        let mut words = [0; SEED_WORDS];
        for (word, bytes) in words.iter_mut().zip(seed.0.as_chunks::<4>().0) {
            *word = i32::from_be_bytes(*bytes);
        }
        let last = self.by_second.last_key_value();
        if last.is_none_or(|(last_s, last)| at_s > *last_s && words != *last) {
            self.by_second.insert(at_s, words);
        }
    }

    /// Takes the seed out of an event, if it brings one; `state` is the one that has just taken the event. A
    /// fold over the whole log gives every seed.
    pub fn note(&mut self, event: &Event, state: &State) {
        match (&event.what, state.guarded()) {
            (What::EpochClosed { .. }, None) => self.publish(event.at_s, &state.log_hash()),
            // A round without any secret has no value of its own: the one before stands, and is none.
            (What::BeaconClosed { round }, Some(guarded)) if guarded.beacon.value != Hash32::ZERO => {
                self.publish(guarded.round_end_s(*round), &guarded.beacon.value);
            }
            _ => {}
        }
    }

    /// Every seed so far: the second at which it became public, and its words.
    #[must_use]
    pub fn rows(&self) -> &BTreeMap<u64, [i32; SEED_WORDS]> {
        &self.by_second
    }

    /// The seed that became public first at or after `at_s`.
    #[must_use]
    pub fn after(&self, at_s: u64) -> Option<&[i32; SEED_WORDS]> {
        self.by_second.range(at_s..).next().map(|(_, words)| words)
    }
}

impl References for Seeds {
    fn reference(&self, commitment: &Hash32, _: &Device, at_s: u64) -> Option<Row<'_>> {
        if *commitment != seed_feed() {
            return None;
        }
        self.after(at_s).map(|words| Row { words, word_bytes: 4 })
    }
}

/// Feeds with seeds beside them.
#[derive(Clone, Copy)]
pub struct WithSeeds<'a> {
    /// Every feed but the seeds.
    pub feeds: &'a dyn References,
    /// The seeds.
    pub seeds: &'a Seeds,
}

impl References for WithSeeds<'_> {
    fn reference(&self, commitment: &Hash32, device: &Device, at_s: u64) -> Option<Row<'_>> {
        let of: &dyn References = if *commitment == seed_feed() { self.seeds } else { self.feeds };
        of.reference(commitment, device, at_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::NoReferences;

    #[test]
    fn a_second_has_one_seed_for_ever() {
        let mut seeds = Seeds::default();
        assert_eq!(seeds.after(0), None);
        seeds.publish(10, &Hash32([1; 32]));
        let first = *seeds.after(3).expect("published");
        seeds.publish(10, &Hash32([2; 32]));
        seeds.publish(9, &Hash32([3; 32]));
        seeds.publish(15, &Hash32([1; 32]));
        seeds.publish(20, &Hash32([4; 32]));
        assert_eq!((seeds.after(3), seeds.after(10)), (Some(&first), Some(&first)));
        assert_eq!(seeds.after(11), Some(&[0x0404_0404; 8]));
        assert_eq!(seeds.after(21), None, "not known yet");
        let both = WithSeeds { feeds: &NoReferences, seeds: &seeds };
        let row = Some(Row { words: &[0x0404_0404; 8], word_bytes: 4 });
        assert_eq!(both.reference(&seed_feed(), &Device([0; 32]), 11), row);
        assert_eq!(both.reference(&Hash32::ZERO, &Device([0; 32]), 11), None);
    }
}

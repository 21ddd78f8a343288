//! The network: every message may be late, lost, doubled, or cut off by a partition. It never holds a message for
//! longer than [`LIFETIME_S`], which is what a restarted node waits for.

use crate::chance::Chance;

/// Longest time a message is under way, seconds.
pub const LIFETIME_S: u64 = 3_600;

/// A machine's way to the coordinator.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// Messages lost, per thousand.
    pub lost: u64,
    /// Messages doubled, per thousand.
    pub doubled: u64,
    /// Longest delay, seconds.
    pub delay_s: u64,
}

impl Link {
    /// A common line.
    pub const GOOD: Link = Link { lost: 20, doubled: 10, delay_s: 20 };
    /// A radio at its limit.
    pub const SLOW: Link = Link { lost: 300, doubled: 50, delay_s: LIFETIME_S };
}

/// Partitions: from when to when which half of the machines is cut off.
#[derive(Clone, Debug)]
pub struct Network {
    chance: Chance,
    cuts: Vec<(u64, u64, u64)>,
}

impl Network {
    /// A network with `cuts` partitions of up to 9 hours in the span, each of a random third of the machines.
    #[must_use]
    pub fn new(seed: u64, cuts: u64, from_s: u64, days: u64) -> Self {
        let mut chance = Chance::stream(seed, "network", 0);
        let cuts = (0..cuts)
            .map(|_| {
                let begin = from_s + chance.below(days * 86_400);
                (begin, begin + 600 + chance.below(9 * 3_600), chance.below(3))
            })
            .collect();
        Network { chance, cuts }
    }

    /// When copies of a message sent now arrive: none, one or two times.
    pub fn send(&mut self, link: Link, machine: u64, now_s: u64) -> Vec<u64> {
        let cut =
            self.cuts.iter().any(|(from, to, third)| (*from..*to).contains(&now_s) && machine % 3 == *third);
        if cut || self.chance.happens(link.lost) {
            return Vec::new();
        }
        let copies = 1 + u64::from(self.chance.happens(link.doubled));
        (0..copies).map(|_| now_s + 1 + self.chance.below(link.delay_s)).collect()
    }
}

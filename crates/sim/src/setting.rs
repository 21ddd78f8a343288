//! What a run is given: the seed, the size, the rules, and what goes wrong.

use crate::strategies::Strategy;
use proofmesh_market::{Guards, Usd};
use std::collections::BTreeMap;

/// Micro-USD of whole cents.
#[must_use]
pub const fn cents(cents: u64) -> Usd {
    Usd::from_micro(cents * 10_000)
}

/// A day, seconds.
pub const DAY_S: u64 = 86_400;
/// When the market opens.
pub const START_S: u64 = 1_800_000_000 - 1_800_000_000 % DAY_S;
/// What an honest window costs its node: machine, power, proof. Four fifths of the price that the feed moves around,
/// so that not working is a temptation.
pub const WORK: Usd = cents(80);
/// What a device with a maker's certificate costs.
pub const DEVICE: Usd = cents(6_000);
/// Renting a machine for one measurement.
pub const RENT: Usd = cents(500);

/// The rules of a run. Everything but [`Regime::emission_ppm`] is a parameter of the production rules; each of them is
/// turned off in a test that then sees a liar win.
#[derive(Clone, Debug)]
pub struct Regime {
    /// The guards; `None` for a market without them.
    pub guards: Option<Guards>,
    /// Whether devices need a maker's certificate.
    pub makers: bool,
    /// Base penalty of being caught.
    pub penalty: Usd,
    /// Whether buyers pay for the class `genuine` alone.
    pub genuine_only: bool,
    /// What a network that pays for volume would add, parts per million of the price. The market has no such rule.
    pub emission_ppm: u64,
    /// Seconds that a restarted node waits before it signs.
    pub linger_s: u64,
    /// Seconds after a verdict before money settles.
    pub hold_s: u64,
}

impl Default for Regime {
    fn default() -> Self {
        let guards = Guards {
            round_s: DAY_S / 2,
            reveal_s: DAY_S,
            reveal_penalty: cents(500),
            checker_pledge: cents(5_000),
            recheck_ppm: 200_000,
            prior_caught: 6,
            prior_missed: 3,
            pledge_min: cents(1_000),
            listing_fee: cents(100),
            quality_receipts: 10,
            quality_ppm: 500_000,
            absences: 2,
            rest_s: 14 * DAY_S,
            jail_after: 3,
            makers: Vec::new(), // the world's own maker is put in
        };
        Regime {
            guards: Some(guards),
            makers: true,
            penalty: cents(300),
            genuine_only: true,
            emission_ppm: 0,
            linger_s: 2 * crate::network::LIFETIME_S,
            hold_s: 7 * DAY_S,
        }
    }
}

/// What goes wrong, per thousand machines or per thousand machine days.
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    /// Crashes, per thousand machine days.
    pub crashes: u64,
    /// Disks that lose what they called safe, per thousand machines.
    pub lying_disks: u64,
    /// Slow links, per thousand machines.
    pub slow_links: u64,
    /// Machines that go wrong once and work wrongly until their owner mends them, per thousand.
    pub misconfigured: u64,
    /// Machines that leave or come in the middle, per thousand.
    pub churn: u64,
    /// Partitions of a run.
    pub cuts: u64,
    /// Crashes of the coordinator, per thousand days.
    pub coordinator: u64,
}

impl Default for Faults {
    fn default() -> Self {
        Faults {
            crashes: 30,
            lying_disks: 100,
            slow_links: 100,
            misconfigured: 50,
            churn: 100,
            cuts: 4,
            coordinator: 30,
        }
    }
}

/// One run.
#[derive(Clone, Debug)]
pub struct Setting {
    /// All chance comes from it.
    pub seed: u64,
    /// Days of work; another four weeks let everything settle.
    pub days: u64,
    /// Real stations.
    pub nodes: u64,
    /// Liars among them, per cent.
    pub liars: u64,
    /// Checkers.
    pub checkers: u64,
    /// Colluding checkers, per cent of them (and so of their stake), rounded down.
    pub colluders: u64,
    /// The strategy of all liars; `None`: all strategies in turn.
    pub strategy: Option<&'static Strategy>,
    /// Parameters in place of a strategy's own, by its name.
    pub choices: BTreeMap<&'static str, Vec<u64>>,
    /// The rules.
    pub regime: Regime,
    /// What goes wrong.
    pub faults: Faults,
    /// Fold the log once more at the end and compare.
    pub audit: bool,
}

impl Setting {
    /// The run of a seed with everything at its usual value.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Setting {
            seed,
            days: 90,
            nodes: 40,
            liars: 30,
            checkers: 10,
            colluders: 30,
            strategy: None,
            choices: BTreeMap::new(),
            regime: Regime::default(),
            faults: Faults::default(),
            audit: false,
        }
    }

    /// A small world for many seeds: a dozen stations of which four lie, four checkers of which one is bought.
    #[must_use]
    pub fn small(seed: u64) -> Self {
        let mut setting = Setting { days: 8, nodes: 12, liars: 34, checkers: 4, ..Setting::new(seed) };
        setting.faults.crashes = 100;
        setting.faults.coordinator = 100;
        if let Some(guards) = &mut setting.regime.guards {
            guards.round_s = DAY_S;
        }
        setting
    }

    /// The parameters of a strategy in this run.
    #[must_use]
    pub fn choice(&self, strategy: &Strategy) -> Vec<u64> {
        let usual = || strategy.parameters.iter().map(|parameter| parameter.usual).collect();
        self.choices.get(strategy.name).cloned().unwrap_or_else(usual)
    }
}

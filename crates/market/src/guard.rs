//! Guards: what makes lying a loss where a check can miss. Switched on by one event, [`crate::What::GuardsSet`],
//! before the first job; a market without them is as it was.
//!
//! - **Stake.** A lie that is missed gains its price, one that is caught costs a fine. With a detection rate `d`,
//!   lying loses when `fine >= gain (1 - d) / d` ([`required`]; Becker 1968, "Crime and Punishment"). The market
//!   measures `d` itself ([`Detection`]), and takes no offer whose pledge could not pay that fine.
//! - **Chance.** Nodes, checkers and second checks are drawn by a beacon ([`Beacon`]): every checker commits to a
//!   secret before a round and reveals it after; what is drawn was written down in between.
//! - **Second instance.** A receipt that a first checker blames, a sample of the others, everything a caught node
//!   still has unsettled, and every dispute go to the panel of all checkers ([`Panel`]); the majority decides, and
//!   whoever signed the other way loses the pledge. A check is deterministic, so honest checkers never differ.
//! - **Rest.** A node that is caught is frozen at once, each time for twice as long, and starts again from nothing
//!   after several times. One that stays away, or whose work is mostly refused, gets no work for a while.

use crate::event::Rules;
use crate::hash::{Hash32, Words, tag};
use crate::key::{Address, Device};
use crate::limits::{CHECKERS_MAX, MAKERS_MAX, SPAN_S_MAX};
use crate::money::{PPM, Usd};
use crate::refusal::{Refusal, require};
use crate::verdict::Verdict;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Least detection rate that a stake is computed with, parts per million.
pub const DETECTION_PPM_MIN: u64 = 10_000;
/// Most: whoever pays for being caught often buys no cheaper stake than this.
pub const DETECTION_PPM_MAX: u64 = 990_000;
/// Least number of checkers of a guarded market: a majority of fewer is no second opinion.
pub const PANEL_MIN: usize = 3;

/// The guards of one market, fixed by the event that sets them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guards {
    /// Seconds of a round of the beacon.
    pub round_s: u64,
    /// Seconds after a round in which its secrets may be revealed; also how long a drawn checker has before the
    /// next in rank may judge.
    pub reveal_s: u64,
    /// What a checker loses that committed to a secret and did not reveal it, or that a panel waited for in vain.
    pub reveal_penalty: Usd,
    /// Least pledge of a checker to be drawn, to sit on a panel and to commit; lost by a verdict that a panel
    /// overturns.
    pub checker_pledge: Usd,
    /// Chance that a judged receipt goes to the panel, parts per million.
    pub recheck_ppm: u64,
    /// Lies caught by first checks that the measurement starts with.
    pub prior_caught: u64,
    /// Lies missed by first checks that the measurement starts with.
    pub prior_missed: u64,
    /// Least pledge of an offer.
    pub pledge_min: Usd,
    /// Price of an offer by a node that has none: a new identity, or one that was put to rest.
    pub listing_fee: Usd,
    /// Judged receipts after which a node's quality is looked at.
    pub quality_receipts: u32,
    /// Least part of them that must have been accepted, parts per million.
    pub quality_ppm: u64,
    /// Open jobs in a row without any receipt after which a drawn node is put to rest.
    pub absences: u32,
    /// Seconds of the first rest; each further one is twice as long.
    pub rest_s: u64,
    /// Times caught after which the whole pledge is lost and the node starts from nothing.
    pub jail_after: u32,
    /// Accounts whose certificates make a device count; empty: every bound device counts.
    pub makers: Vec<Address>,
}

impl Guards {
    /// Refuses guards that could not hold.
    ///
    /// # Errors
    /// `guards.checkers`, `guards.span`, `guards.recheck`, `guards.prior`, `guards.quality`, `guards.count`,
    /// `guards.makers`.
    pub(crate) fn require_sound(&self, rules: &Rules) -> Result<(), Refusal> {
        let count = rules.checkers.len();
        let distinct = rules.checkers.iter().collect::<BTreeSet<_>>().len();
        let expected = format_args!("{PANEL_MIN} to {CHECKERS_MAX}, each once");
        require(count >= PANEL_MIN && distinct == count, "guards.checkers", expected, distinct)?;
        for span_s in [self.round_s, self.reveal_s, self.rest_s] {
            require(
                (1..=SPAN_S_MAX).contains(&span_s),
                "guards.span",
                format_args!("1 to {SPAN_S_MAX}"),
                span_s,
            )?;
        }
        let recheck = self.recheck_ppm;
        require((1..=PPM).contains(&recheck), "guards.recheck", format_args!("1 to {PPM} ppm"), recheck)?;
        let prior = self.prior_caught;
        require(
            (1..=PPM).contains(&prior) && self.prior_missed <= PPM,
            "guards.prior",
            "1 to a million",
            prior,
        )?;
        require(
            self.quality_ppm <= PPM,
            "guards.quality",
            format_args!("at most {PPM} ppm"),
            self.quality_ppm,
        )?;
        let least = self.quality_receipts.min(self.absences).min(self.jail_after);
        require(least > 0, "guards.count", "at least 1", least)?;
        require(self.makers.len() <= MAKERS_MAX, "guards.makers", MAKERS_MAX, self.makers.len())
    }

    /// The most that one receipt may cost its buyer, so that a checker who lets a lie pass for it loses by it:
    /// `checker_pledge * q / (1 - q)` with the chance `q` of a second check.
    #[must_use]
    pub fn receipt_max(&self) -> Usd {
        let (q, most) = (u128::from(self.recheck_ppm), u128::from(u64::MAX));
        let missed = u128::from(PPM) - q;
        let max = (u128::from(self.checker_pledge.micro()) * q).checked_div(missed).unwrap_or(most);
        Usd::from_micro(max.min(most) as u64)
    }
}

/// What must be lost when caught, for lying not to pay: `ceil(gain * (1 - d) / d)`, `d` in parts per million.
#[must_use]
pub fn required(gain: Usd, detection_ppm: u64) -> Usd {
    let d = u128::from(detection_ppm.clamp(DETECTION_PPM_MIN, DETECTION_PPM_MAX));
    let fine = (u128::from(gain.micro()) * (u128::from(PPM) - d)).div_ceil(d);
    Usd::from_micro(u64::try_from(fine).unwrap_or(u64::MAX))
}

/// How many lies were caught, and how many are known or estimated to have been missed.
///
/// A lie that a panel finds in the random sample stands for `1 / q` lies that passed a first check (Horvitz and
/// Thompson 1952); lies found otherwise count once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Detection {
    /// Refused by the first checker and by the panel.
    pub caught: u64,
    /// Accepted by the first checker, in millionths of a lie.
    pub missed_ppm: u64,
}

impl Detection {
    /// The chance that a lie is caught by its first check, or passes and is caught by the sample, in parts per
    /// million: `f + (1 - f) q`.
    #[must_use]
    pub fn rate_ppm(&self, guards: &Guards) -> u64 {
        let caught = (u128::from(self.caught) + u128::from(guards.prior_caught)) * u128::from(PPM);
        let missed = u128::from(self.missed_ppm) + u128::from(guards.prior_missed) * u128::from(PPM);
        let first = caught * u128::from(PPM) / (caught + missed); // prior_caught > 0: guards.prior
        let rest = u128::from(PPM) - first;
        let rate = first + rest * u128::from(guards.recheck_ppm) / u128::from(PPM);
        (rate as u64).clamp(DETECTION_PPM_MIN, DETECTION_PPM_MAX)
    }
}

/// A node's offer to work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The most that may be unjudged or unsettled at a time, at the buyers' prices.
    pub exposure: Usd,
    /// First Unix second at which it no longer counts.
    pub until_s: u64,
}

/// What a node's offers of a service take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The least unit price.
    pub least: Usd,
    /// Jobs that name no device, so many at a time.
    pub open: u16,
    /// Nonce of the order that said so.
    pub nonce: u64,
}

/// A node's part of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The most it can cost the buyer.
    pub value: Usd,
    /// The most units that the node is paid.
    pub units: u64,
    /// Units accepted so far.
    pub paid: u64,
    /// Whether any receipt came.
    pub came: bool,
    /// Unix second of the draw.
    pub drawn_s: u64,
    /// Whether the job names no device: the draw chose its node, not the buyer.
    pub open: bool,
    /// Whether a stand-in was drawn while nothing had come: half of its time was over, and pay was left.
    pub stood_in: bool,
}

/// What the guards know of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// Its offers, by service.
    pub listings: BTreeMap<Hash32, Listing>,
    /// What they take, by service; anything where it said nothing.
    pub limits: BTreeMap<Hash32, Limits>,
    /// Ends of the offers that its last rest took back, by service: an offer that is made again ends later.
    pub rested: BTreeMap<Hash32, u64>,
    /// Its parts of jobs that are not over.
    pub parts: BTreeMap<Hash32, Part>,
    /// Receipts judged since its quality was last looked at.
    pub judged: u32,
    /// Those accepted.
    pub accepted: u32,
    /// Open jobs in a row without any receipt.
    pub absent: u32,
    /// No work before this Unix second.
    pub rest_until_s: u64,
    /// Times put to rest.
    pub rests: u32,
    /// Unix second at which it was last caught; what it delivered until then is paid for.
    pub caught_s: Option<u64>,
}

impl Member {
    /// The value of its parts of jobs.
    #[must_use]
    pub fn at_risk(&self) -> Usd {
        let sum = |sum: Usd, part: &Part| sum.checked_add(part.value).unwrap_or(Usd::from_micro(u64::MAX));
        self.parts.values().fold(Usd::ZERO, sum)
    }

    /// Its parts of jobs that name no device, and that it has brought nothing for.
    #[must_use]
    pub fn open_parts(&self) -> usize {
        self.parts.values().filter(|part| part.open && !part.came).count()
    }
}

/// The beacon: commit, collect, reveal, value. A round is a span of time; what arrives in it is drawn with its value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beacon {
    /// The oldest round without a value.
    pub next: u64,
    /// The newest value; zero before the first.
    pub value: Hash32,
    /// Commitments by round and checker.
    pub commitments: BTreeMap<u64, BTreeMap<Address, Hash32>>,
    /// Secrets by round and checker.
    pub secrets: BTreeMap<u64, BTreeMap<Address, Hash32>>,
}

/// A pending receipt whose checkers are drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drawn {
    /// Unix second of the draw.
    pub at_s: u64,
    /// Checkers in the order of the draw.
    pub checkers: Vec<Address>,
}

/// Why a panel sits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The first checker blamed the node.
    Blamed,
    /// The beacon drew it.
    Sampled,
    /// Its node was caught with another receipt.
    Escalated,
    /// The buyer or the node disputed.
    Disputed,
}

/// All checkers that may decide about a receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panel {
    /// Why it sits.
    pub why: Why,
    /// Unix second.
    pub opened_s: u64,
    /// Who may vote.
    pub seats: Vec<Address>,
    /// Votes, the first verdict among them.
    pub votes: BTreeMap<Address, Verdict>,
    /// The first verdict.
    pub first: Verdict,
}

/// The guards and everything that they remember.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guarded {
    /// The guards.
    pub guards: Guards,
    /// Unix second at which round 0 began.
    pub since_s: u64,
    /// Nodes that ever offered.
    pub members: BTreeMap<Address, Member>,
    /// Devices with a maker's certificate.
    pub certified: BTreeSet<Device>,
    /// Next nonce of an account's pledges.
    pub nonces: BTreeMap<Address, u64>,
    /// The beacon.
    pub beacon: Beacon,
    /// Jobs to be drawn, by round.
    pub open_jobs: BTreeMap<u64, Vec<Hash32>>,
    /// Jobs that name no device, by the Unix second from which on others are drawn for nodes that brought nothing.
    pub stand_ins: BTreeMap<u64, Vec<Hash32>>,
    /// Receipts whose checker is to be drawn, by round.
    pub unassigned: BTreeMap<u64, Vec<Hash32>>,
    /// Judged receipts that the sample may still take, by the round of their verdict.
    pub unsampled: BTreeMap<u64, Vec<Hash32>>,
    /// Drawn checkers of pending receipts.
    pub drawn: BTreeMap<Hash32, Drawn>,
    /// Open panels.
    pub panels: BTreeMap<Hash32, Panel>,
    /// The measurement, by service.
    pub detection: BTreeMap<Hash32, Detection>,
}

impl Guarded {
    pub(crate) fn new(guards: Guards, since_s: u64) -> Self {
        Guarded {
            guards,
            since_s,
            members: BTreeMap::new(),
            certified: BTreeSet::new(),
            nonces: BTreeMap::new(),
            beacon: Beacon::default(),
            open_jobs: BTreeMap::new(),
            stand_ins: BTreeMap::new(),
            unassigned: BTreeMap::new(),
            unsampled: BTreeMap::new(),
            drawn: BTreeMap::new(),
            panels: BTreeMap::new(),
            detection: BTreeMap::new(),
        }
    }

    /// The round that a second lies in.
    #[must_use]
    pub fn round(&self, at_s: u64) -> u64 {
        at_s.saturating_sub(self.since_s) / self.guards.round_s // above zero: guards.span
    }

    /// The first Unix second after a round.
    #[must_use]
    pub fn round_end_s(&self, round: u64) -> u64 {
        self.since_s.saturating_add(round.saturating_add(1).saturating_mul(self.guards.round_s))
    }

    /// The measured detection rate of a service, parts per million.
    #[must_use]
    pub fn detection_ppm(&self, service: &Hash32) -> u64 {
        self.detection.get(service).copied().unwrap_or_default().rate_ppm(&self.guards)
    }

    /// The pledge that an offer of this size needs now.
    #[must_use]
    pub fn pledge_for(&self, exposure: Usd, service: &Hash32) -> Usd {
        required(exposure, self.detection_ppm(service)).max(self.guards.pledge_min)
    }

    /// True when a device counts: any, or certified ones when there are makers.
    #[must_use]
    pub fn counts(&self, device: &Device) -> bool {
        self.guards.makers.is_empty() || self.certified.contains(device)
    }
}

/// What a checker commits to: `H(abi.encode(H("proofmesh/beacon/v1"), checker, round, secret))`. Nobody else's
/// commitment fits, so copying one gains nothing.
#[must_use]
pub fn beacon_commitment(checker: &Address, round: u64, secret: &Hash32) -> Hash32 {
    Words::new().hash(&tag("proofmesh/beacon/v1")).address(&checker.0).uint(round).hash(secret).keccak()
}

/// The value of a round: `H(abi.encode(H("proofmesh/beacon-value/v1"), round, previous value, root, secrets...))`,
/// secrets in ascending order of their checkers; `root` is the log hash of the newest closed epoch, which the chain
/// has.
#[must_use]
pub fn beacon_value(
    round: u64,
    previous: &Hash32,
    root: &Hash32,
    secrets: &BTreeMap<Address, Hash32>,
) -> Hash32 {
    let words = Words::new().hash(&tag("proofmesh/beacon-value/v1")).uint(round).hash(previous).hash(root);
    secrets.values().fold(words, |words, secret| words.hash(secret)).keccak()
}

/// The rank of an account in a draw: the lowest win. `kind` is `proofmesh/beacon-node/v1` or
/// `proofmesh/beacon-checker/v1`, `about` the job or the receipt.
#[must_use]
pub fn beacon_rank(kind: &'static str, value: &Hash32, about: &Hash32, account: &Address) -> Hash32 {
    Words::new().hash(&tag(kind)).hash(value).hash(about).address(&account.0).keccak()
}

/// Whether the sample takes a receipt: the first 8 bytes of `H(abi.encode(H("proofmesh/beacon-sample/v1"), value,
/// receipt))`, modulo a million, below `recheck_ppm` (off by less than 2^-44).
#[must_use]
pub fn is_sampled(value: &Hash32, receipt: &Hash32, recheck_ppm: u64) -> bool {
    let hash = Words::new().hash(&tag("proofmesh/beacon-sample/v1")).hash(value).hash(receipt).keccak();
    let number = hash.0[..8].iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
    number % PPM < recheck_ppm
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lie_loses_by_its_fine_at_every_rate() {
        for gain in [1, 7, 999_999, 1_000_000, u64::from(u32::MAX)] {
            for d in [DETECTION_PPM_MIN, 333_333, 500_000, 730_000, DETECTION_PPM_MAX] {
                let fine = required(Usd::from_micro(gain), d).micro();
                let (won, lost) = (u128::from(gain) * u128::from(PPM - d), u128::from(fine) * u128::from(d));
                assert!(lost >= won, "gain {gain}, d {d}, fine {fine}");
                assert!(u128::from(fine - 1) * u128::from(d) < won, "no more than needed");
            }
        }
        assert_eq!(required(Usd::from_micro(u64::MAX), 0), Usd::from_micro(u64::MAX));
    }
}

//! The owner comes first: what a node may do with its owner's machine and data, and what it did.
//!
//! [`Policy`] (limits and grants) is in `nodes/NAME/owner.json` and is read again before every window, so a change
//! counts for the next one, also for a node in another process. [`Journal`] (what the node did, and what it did not
//! and why) is in `nodes/NAME/journal.json`. Time is an argument; hours and days are UTC.
//!
//! Refuses: `owner.practice`, `owner.outside-hours`, `owner.windows-a-day`, `owner.least-price`, `owner.no-grant`;
//! changes: `owner.limits`, `grant.purpose`, `grant.until`, `grant.too-many`, `grant.unknown`, `grant.withdrawn`.

pub mod journal;

use crate::engine::blobs::replace;
use crate::fault::{Fault, Result};
use proofmesh_market::{Address, Hash32, Job, Usd};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

pub use journal::{Entry, Journal};

/// Seconds of a day.
pub const DAY_S: u64 = 86_400;
/// Grants that a node keeps, withdrawn ones included.
pub const GRANTS_MAX: usize = 256;
/// Characters of a grant's purpose.
pub const PURPOSE_CHARS_MAX: usize = 120;
/// Most windows a day that an owner can allow.
pub const WINDOWS_A_DAY_MAX: u32 = 100_000;

/// What a node may take of its owner's machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// First hour of the day in which it works, UTC, 0 to 23.
    pub from_hour: u8,
    /// The hour in which it stops, UTC, 0 to 23; the same as the first: it works all day. May lie past midnight.
    pub until_hour: u8,
    /// Share of the time that it may prove, 1 to 100: after a proof it rests.
    pub cpu_share_pct: u8,
    /// Windows that it proves a day.
    pub windows_a_day: u32,
    /// Jobs that pay less for a unit are left alone.
    pub least_price: Usd,
    /// Everything is done and checked, nothing is signed or handed in.
    pub practice: bool,
    /// Power that the machine draws more while it proves; the owner's figure.
    pub watts: u16,
    /// What a kWh costs the owner.
    pub price_kwh: Usd,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            from_hour: 0,
            until_hour: 0,
            cpu_share_pct: 100,
            windows_a_day: WINDOWS_A_DAY_MAX,
            least_price: Usd::ZERO,
            practice: false,
            watts: 15,
            price_kwh: Usd::from_micro(300_000),
        }
    }
}

impl Limits {
    /// Whether these are limits at all.
    ///
    /// # Errors
    /// `owner.limits`.
    pub fn check(&self) -> Result<()> {
        let bad = |expected: &str, got: u64| Err(Fault::misuse("owner.limits", expected, got));
        if self.from_hour > 23 || self.until_hour > 23 {
            return bad("hours of 0 to 23", u64::from(self.from_hour.max(self.until_hour)));
        }
        if !(1..=100).contains(&self.cpu_share_pct) {
            return bad("a share of the CPU of 1 to 100 %", u64::from(self.cpu_share_pct));
        }
        if self.windows_a_day > WINDOWS_A_DAY_MAX {
            return bad("at most 100000 windows a day", u64::from(self.windows_a_day));
        }
        Ok(())
    }

    /// Whether the node works at this second.
    ///
    /// # Errors
    /// `owner.outside-hours`.
    pub fn require_hours(&self, now_s: u64) -> Result<()> {
        let hour = (now_s % DAY_S / 3_600) as u8;
        let (from, until) = (self.from_hour, self.until_hour);
        let inside = if from < until { from <= hour && hour < until } else { from <= hour || hour < until };
        if inside || from == until {
            return Ok(());
        }
        let expected = format!("{from:02}:00 to {until:02}:00 UTC, as the owner says");
        Err(Fault::refused("owner.outside-hours", expected, format_args!("{hour:02}:00 UTC")))
    }

    /// Milliseconds of rest after so many of proving, so that the share is kept; at most ten minutes.
    #[must_use]
    pub fn rest_ms(&self, busy_ms: f64) -> u64 {
        let share = f64::from(self.cpu_share_pct.clamp(1, 100));
        (busy_ms * (100.0 - share) / share).clamp(0.0, 600_000.0) as u64
    }

    /// What so many milliseconds of proving cost in power, in micro-USD rounded up.
    #[must_use]
    pub fn power_cost(&self, busy_ms: f64) -> Usd {
        let kwh = busy_ms / 3_600_000.0 * f64::from(self.watts) / 1_000.0;
        Usd::from_micro((kwh * self.price_kwh.micro() as f64).ceil() as u64)
    }
}

/// Leave to use a device's readings: for a model, to a buyer, for a purpose, until a date.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// Its number, from 1.
    pub id: u64,
    /// The model that may see the readings; `None` for any.
    pub model: Option<Hash32>,
    /// The buyer who may be told what it says; `None` for any.
    pub buyer: Option<Address>,
    /// For what.
    pub purpose: String,
    /// Unix second from which it holds.
    pub given_s: u64,
    /// Unix second at which it ends; `None` for never.
    pub until_s: Option<u64>,
    /// Unix second at which it was withdrawn.
    pub withdrawn_s: Option<u64>,
}

impl Grant {
    /// Whether it covers a job now.
    #[must_use]
    pub fn covers(&self, job: &Job, now_s: u64) -> bool {
        self.withdrawn_s.is_none()
            && self.until_s.is_none_or(|until_s| now_s < until_s)
            && self.model.is_none_or(|model| model == job.model)
            && self.buyer.is_none_or(|buyer| buyer == job.buyer)
    }
}

/// A grant that an owner wants to give.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantDoc {
    /// The model; `None` for any.
    pub model: Option<Hash32>,
    /// The buyer; `None` for any.
    pub buyer: Option<Address>,
    /// For what.
    pub purpose: String,
    /// Unix second at which it ends; `None` for never.
    pub until_s: Option<u64>,
}

/// What an owner decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Station whose recording the device replays.
    pub station: String,
    /// Limits.
    pub limits: Limits,
    /// Grants, withdrawn ones too.
    pub grants: Vec<Grant>,
}

impl Policy {
    /// Of a node that just started: no limits, and one grant to anybody, which its owner can withdraw.
    #[must_use]
    pub fn new(station: &str, now_s: u64) -> Self {
        let grant = Grant {
            id: 1,
            model: None,
            buyer: None,
            purpose: "paid windows, to whoever pays".to_owned(),
            given_s: now_s,
            until_s: None,
            withdrawn_s: None,
        };
        Policy { station: station.to_owned(), limits: Limits::default(), grants: vec![grant] }
    }

    /// Gives a grant and its number.
    ///
    /// # Errors
    /// `grant.purpose`, `grant.until`, `grant.too-many`.
    pub fn give(&mut self, doc: GrantDoc, now_s: u64) -> Result<u64> {
        let length = doc.purpose.chars().count();
        if !(1..=PURPOSE_CHARS_MAX).contains(&length) || doc.purpose.chars().any(char::is_control) {
            let expected = format!("1 to {PURPOSE_CHARS_MAX} characters on one line");
            return Err(Fault::misuse("grant.purpose", expected, format_args!("{length} characters")));
        }
        if let Some(until_s) = doc.until_s.filter(|until_s| *until_s <= now_s) {
            return Err(Fault::misuse("grant.until", format_args!("a second after {now_s}"), until_s));
        }
        if self.grants.len() >= GRANTS_MAX {
            return Err(Fault::refused("grant.too-many", GRANTS_MAX, self.grants.len()));
        }
        let id = self.grants.last().map_or(1, |last| last.id + 1);
        let GrantDoc { model, buyer, purpose, until_s } = doc;
        self.grants.push(Grant { id, model, buyer, purpose, given_s: now_s, until_s, withdrawn_s: None });
        Ok(id)
    }

    /// Withdraws a grant.
    ///
    /// # Errors
    /// `grant.unknown`, `grant.withdrawn`.
    pub fn withdraw(&mut self, id: u64, now_s: u64) -> Result<()> {
        let grant = self.grants.iter_mut().find(|grant| grant.id == id);
        let grant = grant.ok_or_else(|| Fault::refused("grant.unknown", "a grant of this node", id))?;
        if grant.withdrawn_s.is_some() {
            return Err(Fault::refused("grant.withdrawn", "a grant that holds", id));
        }
        grant.withdrawn_s = Some(now_s);
        Ok(())
    }

    /// Whether a job's next window may be worked on, after what the node did today.
    ///
    /// # Errors
    /// `owner.no-grant`, `owner.least-price`, `owner.outside-hours`, `owner.windows-a-day`.
    pub fn allow(&self, job: &Job, windows_today: u32, now_s: u64) -> Result<()> {
        if !self.grants.iter().any(|grant| grant.covers(job, now_s)) {
            let got = format!("model {} for {}", job.model, job.buyer);
            return Err(Fault::refused("owner.no-grant", "a grant of the owner that holds", got));
        }
        let least = self.limits.least_price;
        if job.unit_price < least {
            return Err(Fault::refused("owner.least-price", least, job.unit_price));
        }
        self.limits.require_hours(now_s)?;
        let most = self.limits.windows_a_day;
        if windows_today >= most {
            let expected = format!("at most {most} windows a day, as the owner says");
            return Err(Fault::refused("owner.windows-a-day", expected, windows_today));
        }
        Ok(())
    }

    /// The policy of a node, if its owner has one.
    ///
    /// # Errors
    /// `owner.json`, `file.io`.
    pub fn read(node_dir: &Path) -> Result<Option<Self>> {
        read_json(&policy_path(node_dir), "owner.json")
    }

    /// Makes it durable.
    ///
    /// # Errors
    /// `file.io`.
    pub fn write(&self, node_dir: &Path) -> Result<()> {
        write_json(&policy_path(node_dir), "owner.json", self)
    }
}

fn policy_path(node_dir: &Path) -> PathBuf {
    node_dir.join("owner.json")
}

/// A JSON file, `None` when it is missing.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path, name: &str) -> Result<Option<T>> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Fault::file(path, &error)),
    };
    let doc = serde_json::from_slice(&text);
    doc.map(Some).map_err(|error| Fault::trouble(name, format_args!("a record in {}", path.display()), error))
}

/// Replaces a JSON file.
pub(crate) fn write_json(path: &Path, name: &str, doc: &impl Serialize) -> Result<()> {
    let text = serde_json::to_vec(doc).map_err(|error| Fault::trouble(name, "a record", error))?;
    replace(path, &text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::log::tests::temp_dir;
    use crate::operator::tests::job;
    use proofmesh_services::inference::SERVICE;
    use proofmesh_services::window::WINDOW_S;

    fn refusal(policy: &Policy, windows_today: u32, now_s: u64) -> String {
        let job = job(SERVICE.id(), WINDOW_S);
        policy.allow(&job, windows_today, now_s).err().map_or("allowed".to_owned(), |fault| fault.name)
    }

    #[test]
    fn each_limit_refuses_by_its_own_name() {
        let mut policy = Policy::new("EWR", 0);
        assert_eq!(refusal(&policy, 7, 3 * 3_600), "allowed");
        policy.limits = Limits { from_hour: 22, until_hour: 6, windows_a_day: 7, ..Limits::default() };
        for (hour, expected) in
            [(21, "owner.outside-hours"), (22, "allowed"), (5, "allowed"), (6, "owner.outside-hours")]
        {
            assert_eq!(refusal(&policy, 0, hour * 3_600), expected, "hour {hour}");
        }
        policy.limits = Limits { from_hour: 9, until_hour: 17, windows_a_day: 7, ..Limits::default() };
        assert_eq!(refusal(&policy, 6, 5 * DAY_S + 9 * 3_600), "allowed");
        assert_eq!(refusal(&policy, 7, 5 * DAY_S + 9 * 3_600), "owner.windows-a-day");
        assert_eq!(refusal(&policy, 0, 17 * 3_600), "owner.outside-hours");
        policy.limits = Limits { least_price: Usd::from_micro(2), ..Limits::default() };
        assert_eq!(refusal(&policy, 0, 0), "owner.least-price");
    }

    #[test]
    fn a_grant_holds_for_whom_and_how_long_it_says_until_it_is_withdrawn() {
        let mut policy = Policy::new("EWR", 0);
        policy.withdraw(1, 5).expect("the first");
        assert_eq!(refusal(&policy, 0, 6), "owner.no-grant");
        assert!(policy.withdraw(1, 7).expect_err("again").is("grant.withdrawn"));
        assert!(policy.withdraw(9, 7).expect_err("another").is("grant.unknown"));
        let doc = |model, buyer, until_s| GrantDoc { model, buyer, purpose: "frost".to_owned(), until_s };
        policy.give(doc(Some(Hash32([9; 32])), None, None), 10).expect("another model");
        policy.give(doc(None, Some(Address([9; 20])), None), 10).expect("another buyer");
        assert_eq!(refusal(&policy, 0, 11), "owner.no-grant");
        assert_eq!(
            policy.give(doc(Some(Hash32::ZERO), Some(Address([1; 20])), Some(20)), 10).expect("fits"),
            4
        );
        assert_eq!(
            (refusal(&policy, 0, 19).as_str(), refusal(&policy, 0, 20).as_str()),
            ("allowed", "owner.no-grant")
        );
        assert!(policy.give(doc(None, None, Some(10)), 10).expect_err("over").is("grant.until"));
        let long = GrantDoc { purpose: "x".repeat(PURPOSE_CHARS_MAX + 1), ..doc(None, None, None) };
        assert!(policy.give(long, 10).expect_err("long").is("grant.purpose"));
    }

    #[test]
    fn what_is_no_limit_is_misuse_and_a_share_makes_the_node_rest() {
        for bad in [
            Limits { from_hour: 24, ..Limits::default() },
            Limits { cpu_share_pct: 0, ..Limits::default() },
            Limits { cpu_share_pct: 101, ..Limits::default() },
            Limits { windows_a_day: WINDOWS_A_DAY_MAX + 1, ..Limits::default() },
        ] {
            assert!(bad.check().expect_err("no limit").is("owner.limits"));
        }
        Limits::default().check().expect("the default");
        let quarter = Limits { cpu_share_pct: 25, ..Limits::default() };
        assert_eq!((quarter.rest_ms(40.0), Limits::default().rest_ms(40.0)), (120, 0));
        // An hour at 15 W and 0.30 USD a kWh.
        assert_eq!(Limits::default().power_cost(3_600_000.0), Usd::from_micro(4_500));
    }

    #[test]
    fn a_policy_survives_and_a_damaged_one_is_named() {
        let dir = temp_dir("policy");
        assert_eq!(Policy::read(&dir).expect("none"), None);
        let mut policy = Policy::new("JFK", 3);
        policy.limits.practice = true;
        policy.write(&dir).expect("written");
        assert_eq!(Policy::read(&dir).expect("read"), Some(policy));
        std::fs::write(dir.join("owner.json"), b"{").expect("damaged");
        assert!(Policy::read(&dir).expect_err("damaged").is("owner.json"));
        std::fs::remove_dir_all(dir).expect("cleaned");
    }
}

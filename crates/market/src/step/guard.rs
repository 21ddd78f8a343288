//! Guarded markets: pledges, offers, certificates; who may be drawn; what being caught costs.

use super::{Effect, Fold};
use crate::guard::{Guarded, Guards, Limits, Listing, Member, Part, required};
use crate::hash::Hash32;
use crate::job::Job;
use crate::key::Address;
use crate::ledger::{Move, Purse, Target};
use crate::limits::{SPAN_S_MAX, TIME_S_MAX};
use crate::money::Usd;
use crate::order::{Certify, Limit, Offer, Pledge, Signed};
use crate::receipt::Receipt;
use crate::refusal::{Refusal, require};
use crate::state::{ReceiptStatus, Standing, State};
use crate::verdict::Verdict;

/// Seconds from the draw, and from the end of a job's windows, to its deadline below which nobody's absence counts.
const WORK_S_MIN: u64 = 3_600;

/// When stand-ins are drawn for nodes of a job that were drawn by `drawn_s` and bring nothing: when half of their time is over, if
/// both halves are long enough for work.
pub(super) fn stand_in_s(job: &Job, drawn_s: u64) -> Option<u64> {
    let from_s = drawn_s.max(job.window_until_s);
    let half_s = job.deadline_s.saturating_sub(from_s) / 2;
    (job.devices.is_empty() && half_s >= WORK_S_MIN).then(|| from_s.saturating_add(half_s))
}
/// Doublings of a rest or a freeze, at most.
const DOUBLINGS_MAX: u32 = 12;

/// `span_s` doubled for each time before, at most a year.
pub(super) fn doubled(span_s: u64, times: u32) -> u64 {
    let doublings = times.saturating_sub(1).min(DOUBLINGS_MAX);
    span_s.saturating_mul(1 << doublings).min(SPAN_S_MAX)
}

/// A node's part of a job that is drawn at `drawn_s`: an equal share of its units, rounded up.
pub(super) fn part_of(job: &Job, drawn_s: u64) -> Part {
    let units = job.max_units.div_ceil(u64::from(job.slots.max(1)));
    let value = job.unit_price.checked_mul(units).unwrap_or(Usd::from_micro(u64::MAX));
    Part { value, units, paid: 0, came: false, drawn_s, open: job.devices.is_empty(), stood_in: false }
}

impl Fold<'_> {
    /// The guards, or `guards.not-set`.
    pub(super) fn guarded(&self) -> Result<&Guarded, Refusal> {
        let guarded = self.state.guarded.as_ref();
        guarded.ok_or_else(|| Refusal::new("guards.not-set", "a market with guards", "one without"))
    }

    pub(super) fn guards_set(self, guards: &Guards) -> Result<Vec<Effect>, Refusal> {
        require(self.state.guarded.is_none(), "guards.already-set", "guards once", "a second time")?;
        let jobs = self.state.jobs.len();
        require(jobs == 0, "guards.after-a-job", "guards before the first job", jobs)?;
        guards.require_sound(self.rules)?;
        self.state.guarded = Some(Guarded::new(guards.clone(), self.at_s));
        Ok(Vec::new())
    }

    pub(super) fn pledged(self, order: &Signed<Pledge>) -> Result<Vec<Effect>, Refusal> {
        order.verify(&self.rules.domain)?;
        let Pledge { account, total, nonce } = order.order;
        let next = self.guarded()?.nonces.get(&account).copied().unwrap_or_default();
        require(nonce == next, "pledge.nonce", next, nonce)?;
        let have = self.state.pledge(&account);
        let (balance, pledge) = (Purse::Balance(account), Purse::Pledge(account));
        let step = match total.checked_sub(have) {
            Some(more) => Move { from: balance, to: Target::Purse(pledge), amount: more },
            None => {
                require(self.is_free(&account)?, "pledge.at-stake", "an account with nothing open", account)?;
                let less = have.checked_sub(total).unwrap_or_default(); // total < have
                Move { from: pledge, to: Target::Purse(balance), amount: less }
            }
        };
        self.state.ledger.post(&[step], "pledge.balance-short")?;
        if let Some(guarded) = &mut self.state.guarded {
            guarded.nonces.insert(account, nonce + 1); // below 2^64: one event each
        }
        Ok(Vec::new())
    }

    /// True when nothing that an account did can still cost it its pledge.
    fn is_free(&self, account: &Address) -> Result<bool, Refusal> {
        let guarded = self.guarded()?;
        let standing = self.state.nodes.get(account).is_none_or(|node| node.standing == Standing::Active);
        let parts = guarded.members.get(account).is_none_or(|member| member.parts.is_empty());
        let committed = guarded.beacon.commitments.values().any(|round| round.contains_key(account));
        let sits = guarded.panels.values().any(|panel| panel.seats.contains(account));
        let involved = |digest: &Hash32| {
            let delivered = &self.state.receipts[digest];
            let checked = |verdict: &Verdict| verdict.checker() == account;
            delivered.signed.receipt.node == *account
                || matches!(&delivered.status, ReceiptStatus::Accepted { verdict, .. } if checked(verdict))
                || matches!(&delivered.status, ReceiptStatus::Refused { verdict: Some(verdict), .. } if checked(verdict))
        };
        let open = self.state.unsettled.values().chain(guarded.unsampled.values().flatten());
        Ok(standing && parts && !committed && !sits && !open.into_iter().any(involved))
    }

    pub(super) fn offered(mut self, order: &Signed<Offer>) -> Result<Vec<Effect>, Refusal> {
        order.verify(&self.rules.domain)?;
        let Offer { node, service, exposure, until_s } = order.order;
        let guarded = self.guarded()?;
        let known = self.node(&node)?;
        let standing = known.standing;
        require(
            standing == Standing::Active,
            "offer.standing",
            "an active node",
            format_args!("{standing:?}"),
        )?;
        let measured = known.capabilities.keys().any(|(able, _)| *able == service);
        require(measured, "offer.not-measured", "a measured capability", service)?;
        require(!exposure.is_zero(), "offer.exposure", "a value above zero", exposure)?;
        let in_time = until_s > self.at_s && until_s <= TIME_S_MAX;
        require(in_time, "offer.until", format_args!("after {}", self.at_s), until_s)?;
        let member = guarded.members.get(&node).cloned().unwrap_or_default();
        require(self.at_s >= member.rest_until_s, "offer.resting", member.rest_until_s, self.at_s)?;
        let (need, have) = (guarded.pledge_for(exposure, &service), self.state.pledge(&node));
        require(have >= need, "offer.pledge-short", need, have)?;
        // Anybody could hand in again the offer that a rest took back.
        let before_s = member.rested.get(&service).copied().unwrap_or_default();
        require(until_s > before_s, "offer.until", format_args!("after {before_s}"), until_s)?;
        let listed_s = member.listings.get(&service).map_or(0, |listing| listing.until_s);
        require(until_s >= listed_s, "offer.until", format_args!("{listed_s} or later"), until_s)?;
        if member.listings.is_empty() {
            let amount = guarded.guards.listing_fee;
            let fee = Move { from: Purse::Balance(node), to: Target::Vault, amount };
            self.state.ledger.post(&[fee], "offer.fee-short")?;
        }
        self.member(&node, |member| {
            member.listings.insert(service, Listing { exposure, until_s });
        });
        Ok(Vec::new())
    }

    pub(super) fn limited(mut self, order: &Signed<Limit>) -> Result<Vec<Effect>, Refusal> {
        order.verify(&self.rules.domain)?;
        let Limit { node, service, least, open, nonce } = order.order;
        let guarded = self.guarded()?;
        let known = self.node(&node)?;
        let measured = known.capabilities.keys().any(|(able, _)| *able == service);
        require(measured, "limit.not-measured", "a measured capability", service)?;
        let last = guarded.members.get(&node).and_then(|member| member.limits.get(&service));
        let last = last.map(|limits| limits.nonce);
        let fresh = last.is_none_or(|last| nonce > last);
        require(fresh, "limit.nonce", format_args!("above {}", last.unwrap_or_default()), nonce)?;
        self.member(&node, |member| {
            member.limits.insert(service, Limits { least, open, nonce });
        });
        Ok(Vec::new())
    }

    pub(super) fn device_certified(self, order: &Signed<Certify>) -> Result<Vec<Effect>, Refusal> {
        order.verify(&self.rules.domain)?;
        let Certify { maker, device } = order.order;
        let guarded = self.guarded()?;
        require(
            guarded.guards.makers.contains(&maker),
            "certificate.not-a-maker",
            "a maker of this market",
            maker,
        )?;
        let fresh = !guarded.certified.contains(&device);
        require(fresh, "certificate.repeated", "a device not certified before", device)?;
        if let Some(guarded) = &mut self.state.guarded {
            guarded.certified.insert(device);
        }
        Ok(Vec::new())
    }

    /// Changes what the guards know of a node; nothing happens in a market without guards.
    pub(super) fn member(&mut self, node: &Address, change: impl FnOnce(&mut Member)) {
        if let Some(guarded) = &mut self.state.guarded {
            change(guarded.members.entry(*node).or_default());
        }
    }

    /// What every receipt of a guarded market must meet besides: its device counts, and no checker would gain by
    /// letting it pass.
    pub(super) fn require_guarded(&self, receipt: &Receipt, gross: Usd) -> Result<(), Refusal> {
        let Some(guarded) = &self.state.guarded else { return Ok(()) };
        let device = receipt.device;
        require(
            guarded.counts(&device),
            "receipt.device-uncertified",
            "a device with a certificate",
            device,
        )?;
        let most = guarded.guards.receipt_max();
        require(gross <= most, "receipt.above-checker-pledge", format_args!("at most {most}"), gross)
    }

    /// No node is paid more than its part of a job.
    pub(super) fn require_part(&self, receipt: &Receipt) -> Result<(), Refusal> {
        let Some(guarded) = &self.state.guarded else { return Ok(()) };
        let part = guarded.members.get(&receipt.node).and_then(|member| member.parts.get(&receipt.job));
        let left = part.map_or(u64::MAX, |part| part.units.saturating_sub(part.paid));
        require(receipt.units <= left, "receipt.share-reached", format_args!("at most {left}"), receipt.units)
    }

    /// Counts a judged receipt; a node whose work is mostly refused is put to rest.
    pub(super) fn note_quality(&mut self, node: &Address, accepted: bool) -> Option<Effect> {
        let guards = self.state.guarded.as_ref()?.guards.clone();
        let mut poor = false;
        self.member(node, |member| {
            member.judged = member.judged.saturating_add(1);
            member.accepted = member.accepted.saturating_add(u32::from(accepted));
            if member.judged >= guards.quality_receipts {
                let (good, all) = (u64::from(member.accepted), u64::from(member.judged));
                poor = good * crate::money::PPM < all * guards.quality_ppm;
                (member.judged, member.accepted) = (0, 0);
            }
        });
        if poor { self.rest(node) } else { None }
    }

    /// A node's part of a job is over. One that never came is counted, if its offer took the job, and not the buyer its
    /// node; if there was time for work, after the draw and after the windows; and if its pay was left, at the end or when a
    /// stand-in was drawn. What it brought of jobs whose buyer chose it makes up for none.
    pub(super) fn part_over(&mut self, node: &Address, job: &Hash32, left: Usd) -> Option<Effect> {
        let absences = self.state.guarded.as_ref()?.guards.absences;
        let active = self.state.nodes.get(node).is_some_and(|known| known.standing == Standing::Active);
        let job_s = self.state.jobs.get(job).map(|posted| (posted.job.window_until_s, posted.job.deadline_s));
        let in_time = |part: &Part| {
            job_s.is_some_and(|(until_s, deadline_s)| {
                until_s.max(part.drawn_s).saturating_add(WORK_S_MIN) <= deadline_s
            })
        };
        let mut gone = false;
        self.member(node, |member| match member.parts.remove(job) {
            Some(part) if part.came && part.open => member.absent = 0,
            Some(part) if part.came => {}
            Some(part) if part.open && active && (part.stood_in || left >= part.value) && in_time(&part) => {
                member.absent = member.absent.saturating_add(1);
                gone = member.absent >= absences;
            }
            _ => {}
        });
        if gone { self.rest(node) } else { None }
    }

    /// No work for a while, and a new offer after it.
    fn rest(&mut self, node: &Address) -> Option<Effect> {
        let (first_s, at_s) = (self.state.guarded.as_ref()?.guards.rest_s, self.at_s);
        let mut until_s = 0;
        self.member(node, |member| {
            member.rests = member.rests.saturating_add(1);
            member.rest_until_s = at_s + doubled(first_s, member.rests); // both bounded: limits.rs
            until_s = member.rest_until_s;
            let ended = std::mem::take(&mut member.listings).into_iter();
            member.rested.extend(ended.map(|(service, listing)| (service, listing.until_s)));
            (member.judged, member.accepted, member.absent) = (0, 0, 0);
        });
        Some(Effect::Rested { node: *node, until_s })
    }

    /// Takes from a pledge, as far as it goes.
    pub(super) fn fine(&mut self, account: &Address, amount: Usd) -> Option<Effect> {
        let amount = amount.min(self.state.pledge(account));
        let fine = Move { from: Purse::Pledge(*account), to: Target::Vault, amount };
        let posted = !amount.is_zero() && self.state.ledger.post(&[fine], "pledge.short").is_ok();
        posted.then_some(Effect::Fined { account: *account, amount })
    }

    /// True when a receipt was delivered before its node was last caught.
    pub(super) fn was_caught_since(&self, digest: &Hash32) -> bool {
        let Some(delivered) = self.state.receipts.get(digest) else { return false };
        let guarded = self.state.guarded.as_ref();
        let member = guarded.and_then(|guarded| guarded.members.get(&delivered.signed.receipt.node));
        member.and_then(|member| member.caught_s).is_some_and(|caught_s| delivered.at_s <= caught_s)
    }

    /// A panel found that a node's receipt does not hold: it is frozen at once and fined once, by what it has at
    /// risk; everything of it that is not settled goes to the panel. For what it delivered before it was last caught
    /// it has paid: nothing more.
    pub(super) fn caught(&mut self, receipt: &Receipt, detection_ppm: u64) -> Vec<Effect> {
        let (node, at_event, since_s) = (receipt.node, self.state.events, self.at_s);
        let Some(jail_after) = self.state.guarded.as_ref().map(|guarded| guarded.guards.jail_after) else {
            return Vec::new();
        };
        let held: Vec<Hash32> = self.state.unsettled.values().copied().collect();
        let mine = |digest: &Hash32| self.state.receipts[digest].signed.receipt.node == node;
        let held: Vec<Hash32> = held.into_iter().filter(mine).collect();
        let waiting: Vec<Hash32> =
            self.state.jobs.values().flat_map(|posted| &posted.pending).copied().filter(mine).collect();
        let gross = |sum: Usd, digest: &Hash32| {
            let receipt = &self.state.receipts[digest].signed.receipt;
            self.price(receipt).ok().and_then(|price| sum.checked_add(price.gross)).unwrap_or(sum)
        };
        let paid_for = self.was_caught_since(&receipt.digest(&self.rules.domain));
        let own = self.price(receipt).map_or(Usd::ZERO, |price| price.gross);
        let gain = held.iter().chain(&waiting).fold(own, gross);
        let Some(known) = self.state.nodes.get_mut(&node) else { return Vec::new() };
        if known.standing != Standing::Active || paid_for {
            return Vec::new();
        }
        known.standing = Standing::Frozen { since_s, at_event };
        known.penalties = known.penalties.saturating_add(1);
        let penalties = known.penalties;
        self.member(&node, |member| member.caught_s = Some(since_s));
        let jailed = penalties.is_multiple_of(jail_after); // above zero: guards.count
        let mut effects = vec![Effect::Frozen { node, strikes: 1 }];
        let fine = required(gain, detection_ppm).checked_add(self.rules.penalty);
        let fine = if jailed { self.state.pledge(&node) } else { fine.unwrap_or(Usd::from_micro(u64::MAX)) };
        effects.extend(self.fine(&node, fine));
        if jailed {
            effects.extend(self.rest(&node));
        }
        for digest in held {
            effects.extend(self.open_panel(&digest, crate::guard::Why::Escalated));
        }
        effects
    }
}

impl State {
    /// True when the guards let a node be drawn for a job: an offer that takes it and has room, and a pledge that covers it.
    pub(crate) fn is_guarded_fit(&self, node: &Address, job: &Job, at_s: u64) -> bool {
        let Some(guarded) = &self.guarded else { return true };
        let Some(member) = guarded.members.get(node) else { return false };
        let Some(listing) = member.listings.get(&job.service) else { return false };
        let value = part_of(job, at_s).value;
        let room = member.at_risk().checked_add(value).is_some_and(|sum| sum <= listing.exposure);
        let covered = self.pledge(node) >= guarded.pledge_for(listing.exposure, &job.service);
        // What a node must not be silent about it has offered: from its price on, and open jobs only if it says so.
        let taken = member.limits.get(&job.service).is_none_or(|limits| {
            job.unit_price >= limits.least && (limits.open > 0 || !job.devices.is_empty())
        });
        // A part holds its node's pledge until the job is over: no longer than the node offered itself.
        let judge_s = self.rules.as_ref().map_or(0, |rules| rules.judge_s);
        let in_time = job.deadline_s.saturating_add(judge_s) <= listing.until_s;
        room && covered && taken && in_time && at_s < listing.until_s && at_s >= member.rest_until_s
    }

    /// True when a node has as few open jobs that it takes one more. It may be drawn for one that was posted while it had more.
    pub(crate) fn is_free_for(&self, node: &Address, job: &Job) -> bool {
        let member = self.guarded.as_ref().and_then(|guarded| guarded.members.get(node));
        let limits = member.and_then(|member| Some((member, member.limits.get(&job.service)?)));
        limits.is_none_or(|(member, limits)| {
            !job.devices.is_empty() || member.open_parts() < usize::from(limits.open)
        })
    }
}

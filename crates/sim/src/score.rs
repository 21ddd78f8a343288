//! Who won: read from the final state, the fines, and what each machine knows that it lied about.

use crate::machine::Machine;
use crate::report::{Report, Row, replay};
use crate::strategies::STRATEGIES;
use crate::work::SLASHED;
use crate::world::World;
use proofmesh_market::{Address, Hash32, Usd};
use std::collections::{BTreeMap, BTreeSet};

fn micro(usd: Usd) -> i128 {
    i128::from(usd.micro())
}

impl World {
    /// The report of a run that is over.
    #[must_use]
    pub fn score(&self) -> Report {
        let mut report = Report { runs: 1, ..Report::default() };
        report.events = self.coordinator.events() as u64;
        report.refusals = self.coordinator.refusals.clone();
        let how = replay(&self.setting);
        report.failures = self.coordinator.failures.iter().map(|what| format!("{what}: {how}")).collect();
        let lies: BTreeSet<Hash32> =
            self.machines.iter().flat_map(|machine| machine.score.lies.iter().copied()).collect();
        self.money(&mut report, &lies);
        self.honest(&mut report, &lies);
        for strategy in &STRATEGIES {
            let played = |machine: &&Machine| machine.strategy.is_some_and(|of| of.name == strategy.name);
            let liars: Vec<&Machine> = self.machines.iter().filter(played).collect();
            if !liars.is_empty() {
                report.rows.push(self.row(strategy.name, &liars));
            }
        }
        report
    }

    /// What honest buyers paid, and for what.
    fn money(&self, report: &mut Report, lies: &BTreeSet<Hash32>) {
        let buyers: BTreeSet<Address> = self.buyers.iter().map(|buyer| buyer.address()).collect();
        let mut earned = 0i128;
        for (digest, delivered) in self.state().receipts() {
            report.receipts += 1;
            let receipt = &delivered.signed.receipt;
            let buyer = self.state().jobs().get(&receipt.job).map(|posted| posted.job.buyer);
            let Some((share, fee)) = self.is_paid(digest) else { continue };
            if !buyer.is_some_and(|buyer| buyers.contains(&buyer)) {
                continue;
            }
            report.paid_micro += share.micro() + fee.micro();
            // A lie, or a day that the model did not call genuine and a friend let pass.
            let other_class =
                self.setting.regime.genuine_only && delivered.signed.output_words().first() != Some(&0);
            if lies.contains(digest) || other_class {
                report.invalid_micro += share.micro() + fee.micro();
            }
            let honest =
                self.index_of.get(&receipt.node).is_some_and(|index| self.machines[*index].is_honest());
            if honest {
                report.honest_windows += 1;
                earned += micro(share);
            }
        }
        let costs: i128 =
            self.machines.iter().filter(|machine| machine.is_honest()).map(|m| m.score.costs).sum();
        report.honest_window_micro = ((earned - costs) / i128::from(report.honest_windows.max(1))) as i64;
    }

    /// Who of the honest was penalised, and why.
    fn honest(&self, report: &mut Report, lies: &BTreeSet<Hash32>) {
        let mut fines: BTreeMap<Address, Vec<Option<Hash32>>> = BTreeMap::new();
        for fine in &self.coordinator.fines {
            fines.entry(fine.account).or_default().push(fine.about);
        }
        let none = Vec::new();
        for machine in self.machines.iter().filter(|machine| machine.is_honest()) {
            let node = machine.node.address();
            let fined = fines.get(&node).unwrap_or(&none);
            let wrongly = |about: &Option<Hash32>| about.is_none_or(|about| !lies.contains(&about));
            let frozen = self.coordinator.frozen.contains(&node) && !machine.was_broken;
            let wronged = fined.iter().any(wrongly) || frozen || self.coordinator.jailed.contains(&node);
            report.honest += 1;
            report.wronged += u64::from(wronged);
            if wronged {
                let jailed = self.coordinator.jailed.contains(&node);
                let why = format!("fined {}, frozen {frozen}, jailed {jailed}", fined.len());
                report.wronged_by.push(format!("seed {}: node {}: {why}", self.setting.seed, machine.index));
            }
            let stays = machine.until_s == u64::MAX && !machine.was_broken;
            report.honest_rested += u64::from(self.coordinator.rested.contains(&node) && stays);
            if machine.was_broken {
                report.broken += 1;
                report.broken_fined += u64::from(!fined.is_empty());
                report.broken_fines_most = report.broken_fines_most.max(fined.len() as u64);
            }
        }
        for checker in self.checkers.iter().filter(|checker| !checker.friend) {
            report.honest += 1;
            let Some(fined) = fines.get(&checker.account.address()) else { continue };
            report.wronged += 1;
            let about = fined.iter().flatten().count();
            let why = format!("fined {}, of them {about} by panels", fined.len());
            report.wronged_by.push(format!("seed {}: checker {}: {why}", self.setting.seed, checker.index));
        }
    }

    fn row(&self, name: &str, liars: &[&Machine]) -> Row {
        let nodes: BTreeSet<Address> = liars.iter().map(|machine| machine.node.address()).collect();
        let own: BTreeSet<Address> = liars.iter().map(|machine| machine.purchaser.address()).collect();
        let friends: BTreeSet<Address> = self
            .checkers
            .iter()
            .filter(|checker| checker.friend)
            .map(|checker| checker.account.address())
            .collect();
        let listing_fee = self.state().guarded().map_or(Usd::ZERO, |guarded| guarded.guards.listing_fee);
        let mut row = Row { strategy: name.to_owned(), ..Row::default() };
        let mut profit = 0i128;
        for machine in liars {
            row.liars += u64::from(!machine.fake);
            row.told += machine.score.told;
            let fees = machine.score.listings.saturating_sub(u64::from(!machine.fake));
            profit -= machine.score.forgone + machine.score.spent + micro(listing_fee) * i128::from(fees);
            if self.coordinator.jailed.contains(&machine.node.address()) {
                profit -= micro(SLASHED);
            }
            for digest in &machine.score.lies {
                if let Some((share, _)) = self.is_paid(digest) {
                    row.paid += 1;
                    profit += micro(share);
                }
            }
        }
        for (digest, delivered) in self.state().receipts() {
            let receipt = &delivered.signed.receipt;
            let buyer = self.state().jobs().get(&receipt.job).map(|posted| posted.job.buyer);
            if !nodes.contains(&receipt.node) || !buyer.is_some_and(|buyer| own.contains(&buyer)) {
                continue;
            }
            // Bought from itself: the price went out, the share came in (of lies it is counted above).
            let Some((share, fee)) = self.is_paid(digest) else { continue };
            let lie = liars.iter().any(|machine| machine.score.lies.contains(digest));
            profit -= micro(fee) + if lie { micro(share) } else { 0 };
            profit += (micro(share) + micro(fee)) * i128::from(self.setting.regime.emission_ppm) / 1_000_000;
        }
        let mut fines = 0i128;
        for fine in &self.coordinator.fines {
            let receipt = fine.about.and_then(|about| self.state().receipts().get(&about));
            let about_own = receipt.is_some_and(|found| nodes.contains(&found.signed.receipt.node));
            let friends_own = friends.contains(&fine.account);
            // Friends' other fines, for blame and for secrets kept, are the colluders'.
            let stray = friends_own
                && name == "collude"
                && !receipt.is_some_and(|found| self.is_liar(&found.signed.receipt.node));
            if nodes.contains(&fine.account) || friends_own && about_own || stray {
                fines += micro(fine.amount);
            }
        }
        row.fines_micro = fines as i64;
        row.profit_micro = (profit - fines) as i64;
        row.runs = 1;
        row.profit_squares = u128::from(row.profit_micro.unsigned_abs() / 10_000).pow(2);
        row
    }

    fn is_liar(&self, node: &Address) -> bool {
        self.index_of.get(node).is_some_and(|index| !self.machines[*index].is_honest())
    }
}

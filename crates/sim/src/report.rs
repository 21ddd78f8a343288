//! What came out of a run, and of many.

use crate::confidence::{self, Interval, Verdict};
use crate::setting::Setting;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;

/// One strategy in one run, or summed over many.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Its name.
    pub strategy: String,
    /// Liars that played it.
    pub liars: u64,
    /// Lies told.
    pub told: u64,
    /// Lies that were paid and settled.
    pub paid: u64,
    /// What lying brought them, against honest work in the same windows; micro-USD. Work lost while frozen is not
    /// counted, so it flatters them.
    pub profit_micro: i64,
    /// Fines, of the liars and of checkers about their receipts; micro-USD.
    pub fines_micro: i64,
    /// Runs in which it was played.
    pub runs: u64,
    /// Sum of the squares of what it brought in each run, square cents.
    pub profit_squares: u128,
}

impl Row {
    /// Where its mean profit of a run lies, USD; `None` for too few runs.
    #[must_use]
    pub fn interval(&self) -> Option<Interval> {
        confidence::of_mean(self.runs, self.profit_micro as f64 / 1e6, self.profit_squares as f64 / 1e4)
    }

    /// Whether lying loses: [`Verdict::Holds`] when the whole interval is below zero.
    #[must_use]
    pub fn loses(&self) -> Verdict {
        self.interval().map_or(Verdict::Undecided, |interval| interval.at_most(0.0))
    }
}

/// One run, or the sum of many.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Runs.
    pub runs: u64,
    /// Events taken.
    pub events: u64,
    /// Receipts delivered.
    pub receipts: u64,
    /// Paid out of honest buyers' money, micro-USD.
    pub paid_micro: u64,
    /// Of it, to invalid work.
    pub invalid_micro: u64,
    /// Honest nodes and checkers.
    pub honest: u64,
    /// Of them, fined, frozen or jailed without an invalid receipt, or without having missed a duty while up.
    pub wronged: u64,
    /// Who they were and why, with the run.
    pub wronged_by: Vec<String>,
    /// Honest nodes that worked wrongly for a while.
    pub broken: u64,
    /// Of them, fined: once each before they were frozen.
    pub broken_fined: u64,
    /// Most fines of one of them.
    pub broken_fines_most: u64,
    /// Honest nodes that were put to rest.
    pub honest_rested: u64,
    /// What an honest window brought its node on average, after its cost; micro-USD.
    pub honest_window_micro: i64,
    /// Windows of honest nodes that were paid.
    pub honest_windows: u64,
    /// Each strategy, in the order of the table.
    pub rows: Vec<Row>,
    /// Refusals by name.
    pub refusals: BTreeMap<String, u64>,
    /// What should never happen, with its seed.
    pub failures: Vec<String>,
}

impl Report {
    /// Adds another run.
    pub fn add(&mut self, other: &Report) {
        let income = i128::from(self.honest_window_micro) * i128::from(self.honest_windows)
            + i128::from(other.honest_window_micro) * i128::from(other.honest_windows);
        self.runs += other.runs;
        self.events += other.events;
        self.receipts += other.receipts;
        self.paid_micro += other.paid_micro;
        self.invalid_micro += other.invalid_micro;
        self.honest += other.honest;
        self.wronged += other.wronged;
        self.broken += other.broken;
        self.broken_fined += other.broken_fined;
        self.broken_fines_most = self.broken_fines_most.max(other.broken_fines_most);
        self.honest_rested += other.honest_rested;
        self.honest_windows += other.honest_windows;
        self.honest_window_micro = (income / i128::from(self.honest_windows.max(1))) as i64;
        for row in &other.rows {
            match self.rows.iter_mut().find(|known| known.strategy == row.strategy) {
                Some(known) => {
                    known.liars += row.liars;
                    known.told += row.told;
                    known.paid += row.paid;
                    known.profit_micro += row.profit_micro;
                    known.fines_micro += row.fines_micro;
                    known.runs += row.runs;
                    known.profit_squares += row.profit_squares;
                }
                None => self.rows.push(row.clone()),
            }
        }
        for (name, count) in &other.refusals {
            *self.refusals.entry(name.clone()).or_default() += count;
        }
        self.wronged_by.extend(other.wronged_by.iter().cloned());
        self.failures.extend(other.failures.iter().cloned());
    }

    /// Part of honest buyers' money that was paid for invalid work, per cent.
    #[must_use]
    pub fn invalid_percent(&self) -> f64 {
        100.0 * self.invalid_micro as f64 / self.paid_micro.max(1) as f64
    }

    /// Part of the honest that were penalised wrongly, per cent.
    #[must_use]
    pub fn wronged_percent(&self) -> f64 {
        100.0 * self.wronged as f64 / self.honest.max(1) as f64
    }

    /// Whether at most one in a thousand of the honest is penalised wrongly, with 95 % confidence.
    #[must_use]
    pub fn spares_the_honest(&self) -> Verdict {
        confidence::of_share(self.wronged, self.honest).at_most(0.001)
    }

    /// The row of a strategy.
    #[must_use]
    pub fn row(&self, strategy: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.strategy == strategy)
    }

    /// As text for people.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = format!(
            "{:<16} {:>6} {:>8} {:>6} {:>9} {:>14} {:>12}  {}\n",
            "strategy", "liars", "lies", "paid", "detected", "profit/liar", "fines/liar", "a run, 95 %"
        );
        for row in &self.rows {
            let each = |micro: i64| micro as f64 / 1e6 / row.liars.max(1) as f64;
            let caught = 100.0 * (row.told - row.paid.min(row.told)) as f64 / row.told.max(1) as f64;
            let detected = if row.told == 0 { "-".to_owned() } else { format!("{caught:.1} %") };
            let (profit, fines) = (each(row.profit_micro), each(row.fines_micro));
            let _ = writeln!(
                text,
                "{:<16} {:>6} {:>8} {:>6} {detected:>9} {profit:>10.3} USD {fines:>8.2} USD  {}",
                row.strategy,
                row.liars,
                row.told,
                row.paid,
                said(row)
            );
        }
        let _ = writeln!(text, "\nruns {}, events {}, receipts {}", self.runs, self.events, self.receipts);
        let paid = self.paid_micro as f64 / 1e6;
        let _ = writeln!(text, "paid to invalid work     {:.3} % of {paid:.2} USD", self.invalid_percent());
        let _ = writeln!(
            text,
            "honest wrongly penalised {:.3} % ({} of {}; at most 0.1 %: {}); put to rest {}",
            self.wronged_percent(),
            self.wronged,
            self.honest,
            self.spares_the_honest().word(),
            self.honest_rested
        );
        for who in &self.wronged_by {
            let _ = writeln!(text, "  {who}");
        }
        let _ = writeln!(
            text,
            "honest that went wrong   {}, fined {}, at most {} times each",
            self.broken, self.broken_fined, self.broken_fines_most
        );
        let window = self.honest_window_micro as f64 / 1e6;
        let _ = writeln!(
            text,
            "an honest window earns   {window:.3} USD after its cost ({} paid)",
            self.honest_windows
        );
        for failure in &self.failures {
            let _ = writeln!(text, "FAILURE {failure}");
        }
        text
    }
}

/// What a row says of itself: the interval of what it brings in a run, and the verdict.
fn said(row: &Row) -> String {
    let Some(Interval { low, high }) = row.interval() else { return "undecided: too few runs".to_owned() };
    let word = match row.loses() {
        Verdict::Holds => "loses",
        Verdict::Missed => "WINS",
        Verdict::Undecided => "undecided",
    };
    format!("{low:.2} to {high:.2} USD: {word}")
}

/// How to see a run again.
#[must_use]
pub fn replay(setting: &Setting) -> String {
    let strategy =
        setting.strategy.map_or(String::new(), |strategy| format!(" --strategy {}", strategy.name));
    let (seed, days, nodes) = (setting.seed, setting.days, setting.nodes);
    format!("proofmesh sim --seed {seed} --days {days} --nodes {nodes} --liars {}%{strategy}", setting.liars)
}

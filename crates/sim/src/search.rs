//! Best responses: each liar turns its own parameters, one after the other, as long as its profit over some seeds
//! rises. The grids are small, so this finds the best of them or a local best: `proofmesh sim --search`.

use crate::setting::Setting;
use crate::strategies::Strategy;
use crate::{Report, run};

/// What a search found.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Found {
    /// The strategy.
    pub strategy: String,
    /// Its parameters, in the order of its row.
    pub choice: Vec<u64>,
    /// Profit for each liar, micro-USD.
    pub profit_micro: i64,
    /// Points tried.
    pub tried: u64,
}

/// Profit for each liar of a choice, over seeds.
#[must_use]
pub fn profit(strategy: &'static Strategy, choice: &[u64], base: &Setting, seeds: &[u64]) -> i64 {
    let mut sum = Report::default();
    for seed in seeds {
        let mut setting = Setting { seed: *seed, strategy: Some(strategy), ..base.clone() };
        setting.choices.insert(strategy.name, choice.to_vec());
        sum.add(&run(&setting));
    }
    sum.row(strategy.name).map_or(0, |row| row.profit_micro / i64::try_from(row.liars.max(1)).unwrap_or(1))
}

/// Climbs from the usual parameters, one coordinate at a time, until none is better.
#[must_use]
pub fn best_response(strategy: &'static Strategy, base: &Setting, seeds: &[u64]) -> Found {
    let mut choice: Vec<u64> = strategy.parameters.iter().map(|parameter| parameter.usual).collect();
    let mut best = profit(strategy, &choice, base, seeds);
    let mut tried = 1;
    loop {
        let before = best;
        for (place, parameter) in strategy.parameters.iter().enumerate() {
            for value in parameter.values {
                let mut other = choice.clone();
                other[place] = *value;
                if other == choice {
                    continue;
                }
                tried += 1;
                let found = profit(strategy, &other, base, seeds);
                if found > best {
                    (best, choice) = (found, other);
                }
            }
        }
        if best == before {
            return Found { strategy: strategy.name.to_owned(), choice, profit_micro: best, tried };
        }
    }
}

//! How sure a sweep is: intervals for means over runs and for shares, so that a verdict from few seeds says that it is none.

/// Least number of runs that a mean is judged by.
pub const RUNS_MIN: u64 = 5;
/// Two-sided 95 % of the normal distribution.
const Z: f64 = 1.959_964;
/// The same for twelve strategies at once (Bonferroni): 1 - 0.05 / 24.
const Z_OF_TWELVE: f64 = 2.865_2;

/// Where a number lies, with 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Interval {
    /// What it says about an aim of at most `aim`.
    #[must_use]
    pub fn at_most(self, aim: f64) -> Verdict {
        if self.high <= aim {
            Verdict::Holds
        } else if self.low > aim {
            Verdict::Missed
        } else {
            Verdict::Undecided
        }
    }
}

/// What a sweep says about an aim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The whole interval keeps it.
    Holds,
    /// The whole interval misses it.
    Missed,
    /// The seeds are too few to say.
    Undecided,
}

impl Verdict {
    /// For tables.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Holds => "holds",
            Verdict::Missed => "missed",
            Verdict::Undecided => "undecided",
        }
    }
}

/// The interval of a mean over `runs` independent runs, from the sum and the sum of squares of what each gave: Student's,
/// simultaneous for the twelve strategies. `None` for fewer than [`RUNS_MIN`] runs.
#[must_use]
pub fn of_mean(runs: u64, sum: f64, squares: f64) -> Option<Interval> {
    if runs < RUNS_MIN {
        return None;
    }
    let count = runs as f64;
    let mean = sum / count;
    let variance = ((squares - sum * mean) / (count - 1.0)).max(0.0);
    let reach = student(Z_OF_TWELVE, count - 1.0) * (variance / count).sqrt();
    Some(Interval { low: mean - reach, high: mean + reach })
}

/// Student's quantile from the normal one (Cornish and Fisher's expansion; Abramowitz and Stegun 26.7.5): below 2 % too
/// small at four degrees of freedom, and better with more.
fn student(z: f64, degrees: f64) -> f64 {
    let (z3, z5, z7, z9) = (z.powi(3), z.powi(5), z.powi(7), z.powi(9));
    z + (z3 + z) / (4.0 * degrees)
        + (5.0 * z5 + 16.0 * z3 + 3.0 * z) / (96.0 * degrees.powi(2))
        + (3.0 * z7 + 19.0 * z5 + 17.0 * z3 - 15.0 * z) / (384.0 * degrees.powi(3))
        + (79.0 * z9 + 776.0 * z7 + 1482.0 * z5 - 1920.0 * z3 - 945.0 * z) / (92_160.0 * degrees.powi(4))
}

/// The interval of a share from `hits` among `of` (Wilson 1927).
#[must_use]
pub fn of_share(hits: u64, of: u64) -> Interval {
    if of == 0 {
        return Interval { low: 0.0, high: 1.0 };
    }
    let (count, share) = (of as f64, hits as f64 / of as f64);
    let middle = share + Z * Z / (2.0 * count);
    let reach = Z * (share * (1.0 - share) / count + Z * Z / (4.0 * count * count)).sqrt();
    let whole = 1.0 + Z * Z / count;
    Interval { low: ((middle - reach) / whole).max(0.0), high: ((middle + reach) / whole).min(1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_and_shares_are_those_of_the_tables() {
        // Student's two-sided 95 %: 2.776 with 4 degrees of freedom, 2.262 with 9, 1.984 with 99.
        for (degrees, known) in [(4.0, 2.776), (9.0, 2.262), (99.0, 1.984)] {
            assert!((student(Z, degrees) / known - 1.0).abs() < 0.003, "{degrees}: {}", student(Z, degrees));
        }
        // Wilson's interval of 1 of 10 is 0.0179 to 0.4042, of 0 of 100 it is 0 to 0.0370.
        let (some, none) = (of_share(1, 10), of_share(0, 100));
        assert!((some.low - 0.0179).abs() < 1e-4 && (some.high - 0.4042).abs() < 1e-4, "{some:?}");
        assert!(none.low == 0.0 && (none.high - 0.0370).abs() < 1e-4, "{none:?}");
    }

    #[test]
    fn few_or_scattered_runs_decide_nothing() {
        assert_eq!(of_mean(4, -400.0, 40_000.0), None);
        let scattered = of_mean(6, -6.0, 600.0).expect("enough runs");
        assert_eq!(scattered.at_most(0.0), Verdict::Undecided);
        let clear = of_mean(6, -60.0, 601.0).expect("enough runs");
        assert_eq!(clear.at_most(0.0), Verdict::Holds);
        let lost = of_mean(6, 60.0, 601.0).expect("enough runs");
        assert_eq!(lost.at_most(0.0), Verdict::Missed);
    }
}

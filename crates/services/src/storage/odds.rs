//! The probabilities behind the choices of this service. For people who choose terms; nothing here decides
//! what is paid.

use super::pieces::Coding;

/// Probability that an object is lost when `gone` of `operators` vanish at once, its pieces with distinct
/// operators drawn at random: more than `n - k` of the `n` are among the gone (hypergeometric tail). 1 when
/// there are fewer operators than pieces.
#[must_use]
pub fn loss(coding: Coding, operators: u32, gone: u32) -> f64 {
    let (n, k) = (u32::from(coding.n()), u32::from(coding.k()));
    if operators < n || gone > operators {
        return 1.0;
    }
    let all = ln_choose(operators, n);
    let exactly = |lost: u32| {
        if lost > gone || n - lost > operators - gone {
            return 0.0;
        }
        (ln_choose(gone, lost) + ln_choose(operators - gone, n - lost) - all).exp()
    };
    (n - k + 1..=n).map(exactly).sum::<f64>().min(1.0)
}

fn ln_choose(from: u32, take: u32) -> f64 {
    (1..=take).map(|i| (f64::from(from - take + i) / f64::from(i)).ln()).sum()
}

/// Probability that a node without a fraction of its chunks still answers a round of `questions`.
#[must_use]
pub fn round_passed(dropped: f64, questions: u16) -> f64 {
    (1.0 - dropped).powi(i32::from(questions))
}

/// Probability that such a node is not frozen after `rounds`, when `freeze_after` refusals in a row freeze.
#[must_use]
pub fn not_frozen(dropped: f64, questions: u16, rounds: u32, freeze_after: usize) -> f64 {
    let passed = round_passed(dropped, questions);
    let mut in_row = vec![0.0; freeze_after.max(1)]; // probability of so many refusals in a row, not frozen
    in_row[0] = 1.0;
    for _ in 0..rounds {
        let fine = in_row.iter().sum::<f64>() * passed;
        in_row.rotate_right(1);
        for refused in &mut in_row[1..] {
            *refused *= 1.0 - passed;
        }
        in_row[0] = fine;
    }
    in_row.iter().sum()
}

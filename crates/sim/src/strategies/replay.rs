//! The same receipt again, or old readings under a new commitment, honestly proven: a proof says what was computed,
//! not that the readings are of today. The model says so, 974 times in a thousand.

use super::{Act, Parameter, RATES, Setup, Situation, Strategy};

/// The row.
pub const ROW: Strategy = Strategy {
    name: "replay",
    about: "its last receipt, or old readings, again",
    parameters: &[
        Parameter { name: "rate", values: RATES, usual: 300 },
        Parameter { name: "readings", values: &[0, 1], usual: 0 },
    ],
    setup: Setup::ordinary,
    act,
};

fn act(at: &mut Situation<'_>) -> Act {
    let lie = if at.choice[1] == 1 { Act::Forged } else { Act::Again };
    at.at_rate(at.choice[0], lie)
}

//! The likely answer without work: most days are genuine and without frost, so why compute it?

use super::{Act, Parameter, RATES, Setup, Situation, Strategy};

/// The row.
pub const ROW: Strategy = Strategy {
    name: "lazy",
    about: "the likely answer without work",
    parameters: &[
        Parameter { name: "rate", values: RATES, usual: 300 },
        Parameter { name: "honest windows first", values: &[0, 10, 30], usual: 0 },
    ],
    setup: Setup::ordinary,
    act,
};

fn act(at: &mut Situation<'_>) -> Act {
    if at.windows < at.choice[1] { Act::Honest } else { at.at_rate(at.choice[0], Act::Idle) }
}

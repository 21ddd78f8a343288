//! Made up outputs with bytes in place of a proof; saves the whole work.

use super::{Act, Parameter, RATES, Setup, Situation, Strategy};

/// The row.
pub const ROW: Strategy = Strategy {
    name: "wrong-result",
    about: "made up outputs, no proof",
    parameters: &[
        Parameter { name: "rate", values: RATES, usual: 300 },
        Parameter { name: "stops when caught", values: &[0, 1], usual: 1 },
    ],
    setup: Setup::ordinary,
    act,
};

fn act(at: &mut Situation<'_>) -> Act {
    if at.caught && at.choice[1] == 1 { Act::Honest } else { at.at_rate(at.choice[0], Act::Wrong) }
}

//! Two different receipts for one place in the node's chain: two windows paid with one piece of work.

use super::{Act, Parameter, RATES, Setup, Situation, Strategy};

/// The row.
pub const ROW: Strategy = Strategy {
    name: "equivocation",
    about: "two receipts for one place, to be paid twice",
    parameters: &[Parameter { name: "rate", values: RATES, usual: 300 }],
    setup: Setup::ordinary,
    act,
};

fn act(at: &mut Situation<'_>) -> Act {
    at.at_rate(at.choice[0], Act::Twice)
}

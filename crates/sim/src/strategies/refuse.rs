//! Takes its place in the draw and does nothing: others do not get the slot, buyers wait.

use super::{Act, Parameter, RATES, Setup, Situation, Strategy};

/// The row.
pub const ROW: Strategy = Strategy {
    name: "refusal",
    about: "is drawn and does nothing",
    parameters: &[Parameter { name: "rate", values: RATES, usual: 300 }],
    setup: Setup::ordinary,
    act,
};

fn act(at: &mut Situation<'_>) -> Act {
    at.at_rate(at.choice[0], Act::Nothing)
}

//! Somebody else's output and proof, which are public once delivered.

use super::{Act, Parameter, RATES, Setup, Situation, Strategy};

/// The row.
pub const ROW: Strategy = Strategy {
    name: "copied-result",
    about: "another node's output and proof",
    parameters: &[Parameter { name: "rate", values: RATES, usual: 300 }],
    setup: Setup::ordinary,
    act,
};

fn act(at: &mut Situation<'_>) -> Act {
    at.at_rate(at.choice[0], Act::Copy)
}

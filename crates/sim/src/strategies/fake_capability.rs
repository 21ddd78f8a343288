//! Measured on a rented machine, then drawn for work that it cannot do: sends bytes, or nothing.

use super::{Act, Parameter, Setup, Situation, Strategy};

/// The row.
pub const ROW: Strategy = Strategy {
    name: "fake-capability",
    about: "measured on a rented machine, cannot work",
    parameters: &[Parameter { name: "sends", values: &[0, 1], usual: 0 }],
    setup,
    act,
};

fn setup(_: &[u64]) -> Setup {
    Setup { unable: true, ..Setup::default() }
}

fn act(at: &mut Situation<'_>) -> Act {
    if at.choice[0] == 1 { Act::Wrong } else { Act::Nothing }
}

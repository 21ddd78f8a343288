//! Buys its own work: the money goes round, the fee does not come back. With lies in it, the work is not even done.

use super::{Act, Parameter, Setup, Situation, Strategy};

/// The row.
pub const ROW: Strategy = Strategy {
    name: "wash",
    about: "buys its own work",
    parameters: &[
        Parameter { name: "units a week", values: &[7, 28], usual: 7 },
        Parameter { name: "lies", values: &[0, 1000], usual: 0 },
    ],
    setup,
    act,
};

fn setup(choice: &[u64]) -> Setup {
    Setup { washed: choice[0], ..Setup::default() }
}

fn act(at: &mut Situation<'_>) -> Act {
    at.at_rate(at.choice[1], Act::Idle)
}

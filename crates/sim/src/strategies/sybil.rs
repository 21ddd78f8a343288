//! Many nodes that are one: made up devices, with the real station's readings or with forged ones, honestly proven.

use super::{Act, Parameter, Setup, Situation, Strategy};

/// The row.
pub const ROW: Strategy = Strategy {
    name: "sybil",
    about: "made up stations with copied or forged readings",
    parameters: &[
        Parameter { name: "nodes", values: &[1, 2, 4], usual: 1 },
        Parameter { name: "certified devices", values: &[0, 1], usual: 0 },
        Parameter { name: "forged readings", values: &[0, 1], usual: 0 },
    ],
    setup,
    act,
};

fn setup(choice: &[u64]) -> Setup {
    Setup { fakes: choice[0], certified: choice[1] == 1, real_works: true, ..Setup::default() }
}

fn act(at: &mut Situation<'_>) -> Act {
    if at.choice[2] == 1 { Act::Forged } else { Act::Neighbour }
}

//! Liars with friends among the checkers: up to 30 % of the checkers' stake lets their lies pass, blames honest nodes,
//! or keeps secrets of the beacon back.

use super::{Act, Parameter, RATES, Setup, Situation, Strategy};

/// The row.
pub const ROW: Strategy = Strategy {
    name: "collude",
    about: "lies that befriended checkers let pass",
    parameters: &[
        Parameter { name: "rate", values: RATES, usual: 300 },
        Parameter { name: "help", values: &[200, 1000], usual: 1000 },
        Parameter { name: "blame", values: &[0, 20], usual: 0 },
        Parameter { name: "keep secrets", values: &[0, 100], usual: 0 },
    ],
    setup,
    act,
};

fn setup(choice: &[u64]) -> Setup {
    Setup { checkers: Some([choice[1], choice[2], choice[3]]), ..Setup::default() }
}

fn act(at: &mut Situation<'_>) -> Act {
    at.at_rate(at.choice[0], Act::Wrong)
}

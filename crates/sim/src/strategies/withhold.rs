//! Receipts whose evidence nobody gets to see.

use super::{Act, Parameter, RATES, Setup, Situation, Strategy};

/// The row.
pub const ROW: Strategy = Strategy {
    name: "withheld-data",
    about: "receipts without their evidence",
    parameters: &[Parameter { name: "rate", values: RATES, usual: 300 }],
    setup: Setup::ordinary,
    act,
};

fn act(at: &mut Situation<'_>) -> Act {
    at.at_rate(at.choice[0], Act::Withhold)
}

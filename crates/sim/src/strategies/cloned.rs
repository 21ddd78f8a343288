//! One device, its key copied to several nodes: each claims the windows of the same sensor.

use super::{Act, Parameter, Setup, Situation, Strategy};

/// The row.
pub const ROW: Strategy = Strategy {
    name: "cloned-device",
    about: "one device's key under several nodes",
    parameters: &[Parameter { name: "clones", values: &[1, 3], usual: 1 }],
    setup,
    act,
};

fn setup(choice: &[u64]) -> Setup {
    Setup { fakes: choice[0], one_device: true, real_works: true, ..Setup::default() }
}

fn act(_: &mut Situation<'_>) -> Act {
    Act::Neighbour
}

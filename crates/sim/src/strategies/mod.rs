//! Ways to lie, one file each, one row each in [`STRATEGIES`]. A strategy says which identities it makes up, and what
//! it does with a window that it was drawn for; its parameters are what [`crate::search`] turns to find its best
//! response to the rules.

mod cloned;
mod collude;
mod copied;
mod equivocate;
mod fake_capability;
mod lazy;
mod refuse;
mod replay;
mod sybil;
mod wash;
mod withhold;
mod wrong_result;

use crate::chance::Chance;

/// What a node does with a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// The work.
    Honest,
    /// An output that it made up, with bytes in place of a proof.
    Wrong,
    /// No work: the likely output, no proof.
    Idle,
    /// Somebody else's newest output and proof.
    Copy,
    /// Its own last receipt again.
    Again,
    /// Old or made up readings, honestly proven.
    Forged,
    /// A neighbour's readings as its own, honestly proven.
    Neighbour,
    /// Nothing.
    Nothing,
    /// The work, and a second receipt for the same place in its chain, for another window.
    Twice,
    /// A receipt whose evidence it keeps.
    Withhold,
}

/// What a strategy knows when it decides.
pub struct Situation<'a> {
    /// Its parameters.
    pub choice: &'a [u64],
    /// Windows that it was asked for before.
    pub windows: u64,
    /// Whether it was caught before.
    pub caught: bool,
    /// Whether a friend will check, when that can be known beforehand.
    pub friend: Option<bool>,
    /// Its own chance.
    pub chance: &'a mut Chance,
}

impl Situation<'_> {
    /// Lies this often, per thousand windows, and works otherwise.
    pub fn at_rate(&mut self, per_mille: u64, lie: Act) -> Act {
        if self.friend.unwrap_or(true) && self.chance.happens(per_mille) { lie } else { Act::Honest }
    }
}

/// Identities and jobs of a strategy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Setup {
    /// Made up nodes besides the real one.
    pub fakes: u64,
    /// Whether they have devices with certificates, bought.
    pub certified: bool,
    /// Whether they use the real node's device.
    pub one_device: bool,
    /// Whether it cannot do the work at all, and rents a machine to be measured.
    pub unable: bool,
    /// Units a week that it buys from itself.
    pub washed: u64,
    /// Whether the made up nodes alone lie, and the real one works.
    pub real_works: bool,
    /// First verdicts in which a colluding checker helps a liar, per thousand; honest receipts it blames; secrets of
    /// the beacon it keeps.
    pub checkers: Option<[u64; 3]>,
}

impl Setup {
    /// One real node with its own device and nobody else, whatever the parameters.
    pub fn ordinary(_: &[u64]) -> Self {
        Self::default()
    }
}

/// One parameter of a strategy.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// Values that the search tries.
    pub values: &'static [u64],
    /// Its value when nobody searches: a liar that is worth catching, not its best response, which is to lie least.
    pub usual: u64,
}

/// One way to lie.
#[derive(Debug)]
pub struct Strategy {
    /// Stable name.
    pub name: &'static str,
    /// For people.
    pub about: &'static str,
    /// What it can turn.
    pub parameters: &'static [Parameter],
    /// Identities and jobs.
    pub setup: fn(&[u64]) -> Setup,
    /// What to do with a window.
    pub act: fn(&mut Situation<'_>) -> Act,
}

/// Rates of lying that a search tries, per thousand windows.
const RATES: &[u64] = &[20, 100, 300, 1_000];

/// All of them.
pub static STRATEGIES: [Strategy; 12] = [
    equivocate::ROW,
    wrong_result::ROW,
    lazy::ROW,
    copied::ROW,
    replay::ROW,
    cloned::ROW,
    sybil::ROW,
    wash::ROW,
    collude::ROW,
    fake_capability::ROW,
    withhold::ROW,
    refuse::ROW,
];

/// The strategy of this name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Strategy> {
    STRATEGIES.iter().find(|strategy| strategy.name == name)
}

//! Who takes part in the tests, when, and by which parameters.

use proofmesh_market::{AccountSecret, Address, Usd};
use proofmesh_settle::{DeployParams, Signer};

/// Midnight of a day; also the genesis time of the chains under test.
pub const START: u64 = 1_767_225_600;
pub const WINDOW: u64 = 3_600;
pub const DAY: u64 = 86_400;

pub fn usd(dollars: u64) -> Usd {
    Usd::from_micro(dollars * 1_000_000)
}

pub fn secret(n: u8) -> AccountSecret {
    AccountSecret::from_bytes([n; 32]).expect("small")
}

pub fn signer(n: u8) -> Signer {
    Signer::new(&secret(n))
}

pub fn who(n: u8) -> Address {
    secret(n).address()
}

// The cast, by the byte of their secrets.
pub const GOVERNOR: u8 = 1;
pub const POSTER: u8 = 2;
pub const AUDITOR: u8 = 3;
pub const BUYER: u8 = 4;
pub const STRANGER: u8 = 9;

pub fn params(salt: u64) -> DeployParams {
    DeployParams {
        salt,
        poster: who(POSTER),
        auditor: who(AUDITOR),
        governor: who(GOVERNOR),
        challenge_window_s: WINDOW,
        response_time_s: 600,
        poster_bond: usd(100),
        challenge_bond: usd(10),
        unbonding_delay_s: DAY,
        verifier_delay_s: DAY / 2,
    }
}

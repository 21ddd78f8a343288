//! What is kept, and how: one JSON value a key, keys of fixed lengths under one-byte prefixes.

use crate::msg::Instantiate;
use crate::refused::{refuse, require, Result};
use cosmwasm_std::{
    from_json, to_json_vec, Addr, BankMsg, Binary, Coin, DepsMut, Env, MessageInfo, Storage, Uint64,
};
use proofmesh_market::{Address, Domain, Epoch, Hash32, Usd};
use serde::{de::DeserializeOwned, Deserialize, Serialize};

/// Without a new standing posting for this long, anybody may open the exit.
pub const EXIT_DELAY_S: u64 = 30 * 86_400;
/// Epochs that may wait for finality at once; bounds every loop here.
pub const PENDING_MAX: u64 = 64;
/// Bytes of a verification key.
pub const KEY_BYTES: usize = 576;

/// Key of [`Config`].
pub const CONFIG: &[u8] = b"c";
/// Key of [`Books`].
pub const BOOKS: &[u8] = b"b";

/// A call with what it may touch.
pub struct Call<'a> {
    /// Storage and host functions.
    pub deps: DepsMut<'a>,
    /// Sender and funds.
    pub info: MessageInfo,
    /// Now, Unix.
    pub now_s: u64,
}

impl Call<'_> {
    /// The funds sent: one coin of the denomination of account, at most 2^64 - 1, not zero.
    ///
    /// Errors: `funds.denom`, `funds.amount`.
    pub fn funds(&self, config: &Config) -> Result<Usd> {
        let [coin] = &self.info.funds[..] else {
            return refuse(
                "funds.denom",
                format_args!("one coin of {}", config.denom),
                self.info.funds.len(),
            );
        };
        require(coin.denom == config.denom, "funds.denom", &config.denom, &coin.denom)?;
        match Uint64::try_from(coin.amount) {
            Ok(amount) if !amount.is_zero() => Ok(Usd::from_micro(amount.u64())),
            _ => refuse("funds.amount", "1 to 2^64 - 1", coin.amount),
        }
    }

    /// Refuses with `name` unless `who` sends.
    pub fn require_sender(&self, who: &Addr, name: &'static str) -> Result<()> {
        require(self.info.sender == *who, name, who, &self.info.sender)
    }
}

/// What never changes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Config {
    /// Denomination of account.
    pub denom: String,
    /// Registers models' keys.
    pub governor: Addr,
    /// Posts.
    pub poster: Addr,
    /// May veto.
    pub auditor: Option<Addr>,
    /// See [`Instantiate::challenge_window_s`].
    pub challenge_window_s: u64,
    /// See [`Instantiate::response_s`].
    pub response_s: u64,
    /// See [`Instantiate::poster_bond`].
    pub poster_bond: Usd,
    /// See [`Instantiate::challenge_bond`].
    pub challenge_bond: Usd,
    /// Receipts and orders are signed for this.
    pub domain: Domain,
}

impl Config {
    /// Reads a set-up.
    ///
    /// Errors: `config.denom`, `config.times`, `config.bond`; addresses that are none.
    pub fn new(deps: &DepsMut<'_>, env: &Env, msg: Instantiate) -> Result<Self> {
        require(!msg.denom.is_empty(), "config.denom", "a denomination", "none")?;
        // The exit must never open before an epoch posted in time could have become final.
        let times = msg.challenge_window_s.saturating_add(msg.response_s);
        require(times < EXIT_DELAY_S, "config.times", format_args!("below {EXIT_DELAY_S} s in all"), times)?;
        require(!msg.challenge_bond.is_zero(), "config.bond", "a bond above zero", msg.challenge_bond)?;
        let contract = deps.api.addr_canonicalize(env.contract.address.as_str())?;
        Ok(Config {
            denom: msg.denom,
            governor: deps.api.addr_validate(&msg.governor)?,
            poster: deps.api.addr_validate(&msg.poster)?,
            auditor: msg.auditor.map(|auditor| deps.api.addr_validate(&auditor)).transpose()?,
            challenge_window_s: msg.challenge_window_s,
            response_s: msg.response_s,
            poster_bond: msg.poster_bond,
            challenge_bond: msg.challenge_bond,
            domain: Domain::of_contract(&format!("cosmos:{}", env.block.chain_id), contract.as_slice()),
        })
    }

    /// The contract's.
    pub fn load(storage: &dyn Storage) -> Result<Self> {
        load(storage, CONFIG)?.map_or_else(|| refuse("config.none", "a contract that was set up", "none"), Ok)
    }

    /// A payment in the denomination of account.
    pub fn pay(&self, to: &Addr, amount: Usd) -> BankMsg {
        BankMsg::Send { to_address: to.to_string(), amount: vec![Coin::new(amount.micro(), &self.denom)] }
    }

    /// Destroys money that nobody earned.
    pub fn burn(&self, amount: Usd) -> BankMsg {
        BankMsg::Burn { amount: vec![Coin::new(amount.micro(), &self.denom)] }
    }
}

/// The sums.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Books {
    /// All deposits ever.
    pub deposits: Usd,
    /// All claims ever.
    pub claimed: Usd,
    /// `deposits` at the last posting, rolled back or not.
    pub accounted: Usd,
    /// The poster's bond that lies here.
    pub bond: Usd,
    /// Newest posted epoch.
    pub latest: u64,
    /// Newest final epoch.
    pub last_final: u64,
    /// Postings so far.
    pub posts: u32,
    /// Challenges open now, in all epochs.
    pub open_challenges: u32,
    /// True for ever once the forced exit is open.
    pub exit_open: bool,
    /// When the contract began; the poster's silence counts from here.
    pub began_s: u64,
}

impl Books {
    /// Nothing owed.
    pub fn new(began_s: u64) -> Self {
        Books {
            deposits: Usd::ZERO,
            claimed: Usd::ZERO,
            accounted: Usd::ZERO,
            bond: Usd::ZERO,
            latest: 0,
            last_final: 0,
            posts: 0,
            open_challenges: 0,
            exit_open: false,
            began_s,
        }
    }
}

/// A posted epoch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Posted {
    /// What it says.
    pub epoch: Epoch,
    /// When, Unix.
    pub at_s: u64,
    /// Number of this posting: an epoch's number can be posted again after a rollback.
    pub post: u32,
    /// Open challenges.
    pub open: u32,
}

/// An account.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Account {
    /// All that was ever put in for it.
    pub deposited: Usd,
    /// All that it ever took out by claims.
    pub claimed: Usd,
    /// Where it is paid.
    pub payee: Option<Addr>,
    /// Of the newest order that named a payee; orders count from 1.
    pub nonce: u64,
    /// Deposits made since posting number `fresh_post`: the exit returns them in full.
    pub fresh: Usd,
    /// See `fresh`.
    pub fresh_post: u32,
    /// True once it left.
    pub exited: bool,
}

/// A challenge of one receipt of one posting.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Challenge {
    /// Who asks.
    pub challenger: Addr,
    /// Until when the poster can answer; `None` when that is over.
    pub deadline_s: Option<u64>,
    /// The epoch.
    pub epoch: u64,
}

/// A model's verification key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Model {
    /// 576 bytes.
    pub key: Binary,
    /// When it was registered, Unix.
    pub since_s: u64,
}

/// The key of an epoch's record.
pub fn epoch_key(number: u64) -> Vec<u8> {
    [b"e", &number.to_be_bytes()[..]].concat()
}

/// The key of an account's record.
pub fn account_key(account: &Address) -> Vec<u8> {
    [b"a", &account.0[..]].concat()
}

/// The key of a challenge's record.
pub fn challenge_key(post: u32, digest: &Hash32) -> Vec<u8> {
    [b"h", &post.to_be_bytes()[..], &digest.0].concat()
}

/// The key of a model's record.
pub fn model_key(model: &Hash32) -> Vec<u8> {
    [b"m", &model.0[..]].concat()
}

/// A posted epoch, or nothing.
pub fn epoch(storage: &dyn Storage, number: u64) -> Result<Option<Posted>> {
    load(storage, &epoch_key(number))
}

/// An account's record, empty if there is none.
pub fn account(storage: &dyn Storage, account: &Address) -> Result<Account> {
    Ok(load(storage, &account_key(account))?.unwrap_or_default())
}

/// A value, or nothing.
pub fn load<T: DeserializeOwned>(storage: &dyn Storage, key: &[u8]) -> Result<Option<T>> {
    Ok(storage.get(key).map(from_json).transpose()?)
}

/// Keeps a value.
pub fn save<T: Serialize>(storage: &mut dyn Storage, key: &[u8], value: &T) -> Result<()> {
    storage.set(key, &to_json_vec(value)?);
    Ok(())
}

/// `a + b` of sums that deposits bound.
pub fn plus(a: Usd, b: Usd) -> Result<Usd> {
    a.checked_add(b).map_or_else(|| refuse("funds.amount", "a sum below 2^64", b), Ok)
}

/// `a - b` where a rule of the contract keeps `b` below `a`.
pub fn minus(a: Usd, b: Usd) -> Result<Usd> {
    a.checked_sub(b).map_or_else(|| refuse("books.broken", format_args!("at most {a}"), b), Ok)
}

//! How a verb looks before it sends, and again while other transactions take its nonce.

use alloy::primitives::{B256, U256};
use alloy::providers::Provider;

use super::Evm;
use super::abi::{self, Books, Frost, Place};
use crate::*;
use proofmesh_market::{Device, Hash32 as Hash, Usd};

/// `reach!(self, by, look, to, call)`: answers `Already` if `look` is true, else sends `call` to `to`;
/// again if the nonce went elsewhere. `look` is between two readings of the nonce and the call is sent with it: what
/// acts on a state that the account has changed meanwhile is never mined.
macro_rules! reach {
    ($self:ident, $by:expr, $look:expr, $to:expr, $call:expr) => {
        $crate::evm::look::reach_within!($self, $by, $look, $to, $call, None)
    };
}

/// As `reach!`, for calls that have a proof checked: their gas limit is the chain profile's.
macro_rules! prove {
    ($self:ident, $by:expr, $look:expr, $to:expr, $call:expr) => {
        $crate::evm::look::reach_within!($self, $by, $look, $to, $call, $self.sender.profile().proofs.limit)
    };
}

macro_rules! reach_within {
    ($self:ident, $by:expr, $look:expr, $to:expr, $call:expr, $limit:expr) => {{
        $self.sender.same_chain().await?;
        for _ in 0..=ATTEMPTS {
            let nonce = $self.sender.mined_nonce($by.address()).await?;
            if $look {
                return Ok(Done::Already);
            }
            // The look itself may send what the call needs (an approval).
            if $self.sender.mined_nonce($by.address()).await? != nonce {
                continue;
            }
            if let Some(outcome) = $self.transact($by, nonce, $to, $call, $limit).await? {
                return Ok(outcome);
            }
        }
        Err(nonce_taken($by))
    }};
}

pub(super) use {prove, reach, reach_within};

/// Status byte of a registered and unrevoked thing.
pub(super) const ACTIVE: u8 = 1;

pub(super) fn hashes(proof: &[Hash]) -> Vec<B256> {
    proof.iter().map(|h| h.0.into()).collect()
}

/// A place on a roll as the registry takes it.
pub(super) fn spot(place: &RollPlace) -> Result<Place> {
    let maker = place.maker.try_into().map_err(|_| SettleError::bad("maker", "more than 24 bits"))?;
    Ok(Place { maker, index: place.index, proof: place.proof.map(|h| h.0.into()) })
}

/// What is missing from `have` to `want`, zero if nothing.
pub(super) fn gap(want: Usd, have: Usd) -> Usd {
    want.checked_sub(have).unwrap_or_default()
}

pub(super) fn lack(want: Usd, have: Usd) -> U256 {
    U256::from(gap(want, have).micro())
}

pub(super) fn conflict(
    what: String,
    expected: &impl std::fmt::Debug,
    found: &impl std::fmt::Debug,
) -> SettleError {
    SettleError::Conflict { what, expected: format!("{expected:?}"), found: format!("{found:?}") }
}

impl<P: Provider> Evm<P> {
    pub(super) async fn challenge_open(&self, epoch: u64, digest: Hash) -> Result<bool> {
        let posted = self.sender.view(self.books, Books::epochsCall { epoch }).await?;
        let call = Books::challengeOfCall { post: posted.post, digest: digest.0.into() };
        let found = self.sender.view(self.books, call).await?;
        // Rolled back or never posted: nothing is open there.
        Ok(posted.post != 0 && found.deadline != 0)
    }

    pub(super) async fn counted(&self, id: Hash, report: &CoverReport) -> Result<bool> {
        let Some(cover) = self.cover(id).await? else { return Ok(false) };
        let receipt = &report.receipt.receipt;
        let Some(second) = receipt.window_start.checked_sub(cover.start) else { return Ok(false) };
        let station = self.station_of(id, receipt.device, receipt.job, receipt.model).await?;
        let Some(station) = station else { return Ok(false) };
        Ok(second % 86_400 == 0 && self.cover_day(id, second / 86_400).await?[station])
    }

    pub(super) async fn station_of(
        &self,
        id: Hash,
        device: Device,
        job: Hash,
        model: Hash,
    ) -> Result<Option<usize>> {
        let (id, device, job, model) = (id.0.into(), device.0.into(), job.0.into(), model.0.into());
        let number = self.sender.view(self.frost, Frost::stationOfCall { id, device, job, model }).await?;
        match number.try_into() {
            Ok(n @ 0..=3usize) => Ok(n.checked_sub(1)),
            _ => Err(SettleError::WrongChain(format!("station {number} of three"))),
        }
    }

    /// True if the roll of the maker `by` has a device at place `first`; refuses a place that leaves a gap.
    pub(super) async fn appended(&self, by: &Signer, first: u32) -> Result<bool> {
        let maker = self.sender.view(self.roll, abi::Roll::makerIdCall { account: by.address() }).await?;
        let count = self.roll(maker.to()).await?.count;
        if count < first {
            return Err(conflict(format!("places before {first} of the roll"), &first, &count));
        }
        Ok(count > first)
    }
}

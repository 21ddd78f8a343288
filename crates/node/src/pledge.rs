//! What a node has at stake in a guarded market, and what it offers: pledge, offer, return after a freeze.

use crate::buyer::fund;
use crate::client::Client;
use crate::fault::{Fault, Result};
use proofmesh_market::order::{Limit, Offer, Pledge, Thaw};
use proofmesh_market::{AccountSecret, Hash32, Signed, Usd, What};
use proofmesh_settle::Settlement;

/// What a node offers when its owner says nothing else: work worth so much at a time, at the buyers' prices.
pub const EXPOSURE: Usd = Usd::from_micro(100_000_000);
/// Seconds that an offer counts.
const OFFER_S: u64 = 365 * 86_400;

/// What a node takes on of one service.
#[derive(Clone, Copy, Debug)]
pub struct Takes {
    /// Work worth so much at a time, at the buyers' prices.
    pub exposure: Usd,
    /// The least unit price.
    pub least: Usd,
    /// Jobs that name no device, so many at a time: from these alone a node may not stay away.
    pub open: u16,
}

impl Takes {
    /// Jobs that name a device of the node, from a price on.
    #[must_use]
    pub fn named(least: Usd) -> Self {
        Takes { exposure: EXPOSURE, least, open: 0 }
    }
}

/// Offers to work for a service, as far as it has not: says what it takes, pledges what that needs, pays the fee of a
/// first offer, and offers. Nothing happens in a market without guards. Gives the test money minted.
///
/// # Errors
/// `limit.*`, `offer.*`, `pledge.*`, the chain's refusals.
pub async fn offer(
    client: &Client,
    settlement: &dyn Settlement,
    node: &AccountSecret,
    service: Hash32,
    takes: Takes,
) -> Result<Usd> {
    let Takes { exposure, least, open } = takes;
    let account = node.address();
    let Some(guards) = client.guards().await? else { return Ok(Usd::ZERO) };
    let status = client.status().await?;
    let known = guards.members.iter().find(|member| member.node == account);
    let known = known.ok_or_else(|| Fault::refused("node.unknown", "an enrolled node", account))?;
    let said = known.limits.iter().find(|limit| limit.service == service);
    if !said.is_some_and(|said| said.least == least && said.open == open) {
        // Before the offer: nothing else is drawn in between.
        let nonce = said.map_or(0, |said| said.nonce.saturating_add(1));
        let order = Limit { node: account, service, least, open, nonce };
        client.order(&What::Limited(Signed::new(order, &status.domain, node)?)).await?;
    }
    // Offers of other services stand on the same pledge: it covers the largest of them.
    let need = guards.pledge_for(exposure, &service);
    let more = need.checked_sub(known.pledge).unwrap_or_default();
    let fee = if known.listings.is_empty() { guards.guards.listing_fee } else { Usd::ZERO };
    let wanted = more.checked_add(fee).unwrap_or(more);
    let minted = if wanted.is_zero() { Usd::ZERO } else { fund(client, settlement, node, wanted).await? };
    if !more.is_zero() {
        let order = Pledge { account, total: need, nonce: known.nonce };
        client.order(&What::Pledged(Signed::new(order, &status.domain, node)?)).await?;
    }
    let stands = |(of, room, until_s): &(Hash32, Usd, u64)| {
        *of == service && *room >= exposure && *until_s > status.now_s.saturating_add(OFFER_S / 2)
    };
    if !known.listings.iter().any(stands) {
        let order = Offer { node: account, service, exposure, until_s: status.now_s.saturating_add(OFFER_S) };
        client.order(&What::Offered(Signed::new(order, &status.domain, node)?)).await?;
    }
    Ok(minted)
}

/// Lets a frozen node work again once its time is over; its operator's account is its own.
///
/// # Errors
/// `thaw.not-frozen`, `thaw.too-soon`, with the second from which it may.
pub async fn thaw(client: &Client, node: &AccountSecret) -> Result<()> {
    let account = node.address();
    let frozen = match client.guards().await? {
        Some(guards) => guards.members.into_iter().find(|it| it.node == account).and_then(|it| it.frozen),
        None => None,
    };
    let (_, frozen_at) = frozen
        .ok_or_else(|| Fault::refused("thaw.not-frozen", "a frozen node of a guarded market", account))?;
    let order = Thaw { operator: account, node: account, frozen_at };
    let domain = client.status().await?.domain;
    client.order(&What::NodeThawed(Signed::new(order, &domain, node)?)).await.map(drop)
}

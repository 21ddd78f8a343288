//! Who calls, and how often: requests a second for each key, and for each address that calls without one.
//!
//! Refuses: `api.too-fast` (429, with Retry-After). A wrong key counts as none; the routes that need one refuse it.

use super::listen::Peer;
use crate::fault::{Fault, Result};
use crate::keys::{Caller, Keyring};
use axum::body::Body;
use axum::extract::Request;
use axum::http::header;
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

/// Requests a second of an address without a key.
pub const ADDRESS_PER_SECOND: u32 = 200;
/// Requests that it may send at once.
pub const ADDRESS_BURST: u32 = 1_000;
/// Addresses that are remembered.
const ADDRESSES_MAX: usize = 10_000;

/// Who calls, or why nobody known.
#[derive(Clone)]
pub(super) struct Identity(pub(super) Result<Caller>);

/// The keys, and who called how often.
pub(super) struct Access {
    ring: Arc<Keyring>,
    addresses: DefaultKeyedRateLimiter<IpAddr>,
    keys: Mutex<BTreeMap<String, Arc<DefaultDirectRateLimiter>>>, // as many as there are keys
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Access({:?})", self.ring)
    }
}

fn a_second(requests: u32) -> Quota {
    Quota::per_second(NonZeroU32::new(requests).unwrap_or(NonZeroU32::MIN))
}

impl Access {
    pub(super) fn new(ring: Arc<Keyring>) -> Self {
        let burst = NonZeroU32::new(ADDRESS_BURST).unwrap_or(NonZeroU32::MIN);
        let addresses = RateLimiter::keyed(a_second(ADDRESS_PER_SECOND).allow_burst(burst));
        Access { ring, addresses, keys: Mutex::default() }
    }

    /// Who calls.
    pub(super) fn identify(&self, request: &Request<Body>, now_s: u64) -> Result<Identity> {
        let given = request.headers().get(header::AUTHORIZATION).and_then(|given| given.to_str().ok());
        let who = self.ring.who(given.map(|given| given.strip_prefix("Bearer ").unwrap_or(given)), now_s);
        match &who {
            Ok(caller) => self.limiter(caller).check().map_err(|_| {
                let expected = format!("at most {} requests a second with this key", caller.per_second);
                Fault::refused("api.too-fast", expected, "more")
            })?,
            Err(fault) if !fault.is("owner.key") => return Err(fault.clone()),
            Err(_) => {
                let peer =
                    request.extensions().get::<Peer>().map_or(IpAddr::from([127, 0, 0, 1]), |peer| peer.0);
                if self.addresses.len() >= ADDRESSES_MAX {
                    self.addresses.retain_recent();
                }
                self.addresses.check_key(&peer).map_err(|_| {
                    let expected = format!("at most {ADDRESS_PER_SECOND} requests a second without a key");
                    Fault::refused("api.too-fast", expected, "more")
                })?;
            }
        }
        Ok(Identity(who))
    }

    fn limiter(&self, caller: &Caller) -> Arc<DefaultDirectRateLimiter> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Arc::new(RateLimiter::direct(a_second(caller.per_second)));
        keys.entry(caller.key.clone()).or_insert_with(fresh).clone()
    }
}

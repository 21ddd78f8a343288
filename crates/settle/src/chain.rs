//! Which kinds of chains there are, one row per URL scheme, and an open chain.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use alloy::providers::{DynProvider, Provider, ProviderBuilder};
use alloy::rpc::client::RpcClient;
use proofmesh_market::Address as Account;

use crate::embedded::{Clock, Embedded};
use crate::evm::Evm;
use crate::probe::{Probe, probe};
use crate::profile::{ChainProfile, EMBEDDED_CHAIN_ID, profile};
use crate::remote::Remote;
use crate::{DeployParams, Deployment, Result, SettleError, Settlement, Signer};

type Opening = Pin<Box<dyn Future<Output = Result<Chain>> + Send>>;

/// A kind of chain.
pub struct ChainKind {
    /// URL scheme, without the colon.
    pub scheme: &'static str,
    /// What follows the scheme, for people.
    pub form: &'static str,
    open: fn(String, Clock) -> Opening,
}

/// Every kind of chain, by URL scheme.
pub const CHAINS: &[ChainKind] = &[
    ChainKind {
        scheme: "embedded",
        form: "embedded:<directory>, or embedded: alone for a chain in memory",
        open: |url, clock| Box::pin(async move { open_embedded(&url, clock) }),
    },
    ChainKind {
        scheme: "http",
        form: "http://<host>:<port>",
        open: |url, _| Box::pin(async move { open_http(&url).await }),
    },
];

/// An open chain, with or without our contracts on it.
#[derive(Clone)]
pub struct Chain {
    provider: DynProvider,
    chain_id: u64,
    profile: ChainProfile,
    embedded: Option<Embedded>,
}

impl Chain {
    /// Opens the chain that `url` names. `clock` gives the time of an embedded chain and is not used by
    /// others.
    ///
    /// # Errors
    /// `settle.bad-input` for an unknown scheme, `settle.store` or `settle.rpc` if the chain does not open.
    pub async fn open(url: &str, clock: Clock) -> Result<Self> {
        let scheme = url.split(':').next().unwrap_or_default();
        let Some(kind) = CHAINS.iter().find(|k| k.scheme == scheme && url.len() > scheme.len()) else {
            let forms: Vec<_> = CHAINS.iter().map(|k| k.form).collect();
            let why = format!("{url:?} is none of: {}", forms.join("; "));
            return Err(SettleError::bad("chain url", why));
        };
        (kind.open)(url.to_owned(), clock).await
    }

    /// A chain in memory that has a row's prices, limits, fees and chain id, to run there what is meant for the real
    /// one: `rich` accounts can pay. It differs from the row in this: a block comes at once and is final, and time
    /// can be made to pass. What is signed for it would also be good on the chain of that id: use keys of its own.
    ///
    /// # Errors
    /// `settle.bad-input` for the row of any other chain, which has no chain id.
    pub fn rehearse(row: &ChainProfile, clock: Clock, rich: &[Account]) -> Result<Self> {
        if row.is_any() {
            return Err(SettleError::bad(
                "chain",
                "this row is for chains of any id: name one that has its own",
            ));
        }
        let embedded = Embedded::like(row, clock, rich)?;
        let at_hand = profile(EMBEDDED_CHAIN_ID);
        let profile = ChainProfile {
            confirmations: at_hand.confirmations,
            block_ms: at_hand.block_ms,
            poll_ms: at_hand.poll_ms,
            wait_ms: at_hand.wait_ms,
            development: true,
            ..*row
        };
        let provider = embedded.provider();
        Ok(Self { provider, chain_id: row.chain_id, profile, embedded: Some(embedded) })
    }

    /// Puts the contracts on the chain, as far as they are not there yet. Safe to call again, also after a
    /// crash in the middle.
    ///
    /// # Errors
    /// `settle.wrong-chain` if a chain that is no development chain is not what its row says: the failed checks, and
    /// what to do.
    pub async fn deploy(&self, by: &Signer, params: &DeployParams) -> Result<Arc<dyn Settlement>> {
        self.must_hold(None).await?;
        Ok(Arc::new(Evm::deploy(self.provider.clone(), self.chain_id, self.profile, by, params).await?))
    }

    /// Attaches to contracts that stand on the chain.
    ///
    /// # Errors
    /// `settle.wrong-chain` if the chain id differs, a chain with a row is not what the row says, or a contract's code
    /// is not ours.
    pub async fn attach(&self, deployment: &Deployment) -> Result<Arc<dyn Settlement>> {
        let evm = Evm::attach(self.provider.clone(), self.chain_id, self.profile, deployment).await?;
        self.must_hold(Some(deployment)).await?;
        Ok(Arc::new(evm))
    }

    /// Asks the chain whether it is what `row` says (its own row without one), and whether the contracts of a
    /// deployment are ours to the byte.
    ///
    /// # Errors
    /// `settle.rpc` if it does not answer at all; whatever it answers is in the result.
    pub async fn probe(&self, row: Option<&ChainProfile>, deployment: Option<&Deployment>) -> Result<Probe> {
        probe(&self.provider, row.unwrap_or(&self.profile), deployment).await
    }

    /// Refuses a chain that a probe fails on. On a development chain nothing is worth anything.
    async fn must_hold(&self, deployment: Option<&Deployment>) -> Result<()> {
        match self.profile.development {
            true => Ok(()),
            false => self.probe(None, deployment).await?.holds(),
        }
    }

    /// The row of the table that it is treated by.
    pub fn profile(&self) -> &ChainProfile {
        &self.profile
    }

    /// EIP-155 chain id.
    pub fn chain_id(&self) -> u64 {
        self.chain_id
    }

    /// The embedded chain itself, to serve it over HTTP or to move its clock.
    pub fn embedded(&self) -> Option<&Embedded> {
        self.embedded.as_ref()
    }
}

fn open_embedded(url: &str, clock: Clock) -> Result<Chain> {
    let dir = url.strip_prefix("embedded:").unwrap_or_default();
    let embedded = if dir.is_empty() {
        Embedded::in_memory(EMBEDDED_CHAIN_ID, clock)?
    } else {
        Embedded::open(Path::new(dir), EMBEDDED_CHAIN_ID, clock)?
    };
    let profile = *profile(EMBEDDED_CHAIN_ID);
    Ok(Chain {
        provider: embedded.provider(),
        chain_id: EMBEDDED_CHAIN_ID,
        profile,
        embedded: Some(embedded),
    })
}

async fn open_http(url: &str) -> Result<Chain> {
    let parsed = url.parse().map_err(|e| SettleError::bad("chain url", format!("{url:?}: {e}")))?;
    let client = RpcClient::new(Remote::new(parsed)?, false);
    let provider = ProviderBuilder::default().connect_client(client).erased();
    let chain_id = provider.get_chain_id().await.map_err(|e| SettleError::Rpc(e.to_string()))?;
    Ok(Chain { provider, chain_id, profile: *profile(chain_id), embedded: None })
}

//! Which chains there are: one row per URL scheme, one row per known chain.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use alloy::providers::{DynProvider, Provider, ProviderBuilder};
use alloy::rpc::client::RpcClient;

use crate::embedded::{Clock, Embedded};
use crate::evm::Evm;
use crate::{DeployParams, Deployment, Result, SettleError, Settlement, Signer};

/// How fees are set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GasPolicy {
    /// Gas costs nothing here.
    Free,
    /// EIP-1559: twice the newest base fee plus the node's suggested tip.
    Market,
}

/// What proofs cost on a chain. A transaction that has one checked gets a fixed limit: an estimate searches for
/// the least gas that does not fail, and every try that runs out in the middle of a pairing looks like a false
/// proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProofGas {
    /// Gas that a verifier gives to the addition, the multiplication and the pairing product of BN254: twice the
    /// chain's price, since a verifier is for ever and prices move. An invalid point burns this and no more.
    pub caps: [u64; 3],
    /// Gas limit of a transaction that has one proof checked.
    pub limit: u64,
}

/// EIP-1108: addition 150, multiplication 6,000, four pairings 181,000.
const ETHEREUM: ProofGas = ProofGas { caps: [300, 12_000, 362_000], limit: 800_000 };
/// PIP-88 (Polygon PoS, since May 2026): 540, 12,600, 271,500.
const POLYGON: ProofGas = ProofGas { caps: [1_080, 25_200, 543_000], limit: 1_200_000 };

/// Constants of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainProfile {
    /// Name for people.
    pub name: &'static str,
    /// EIP-155 chain id; 0 in the row that fits any other.
    pub chain_id: u64,
    /// Blocks, counting its own, after which a transaction counts as settled.
    pub confirmations: u64,
    /// Fees.
    pub gas: GasPolicy,
    /// Prices of precompiles, and what a transaction with a proof may use.
    pub proofs: ProofGas,
    /// Pause between two looks at the chain, milliseconds.
    pub poll_ms: u64,
    /// How long a verb waits for its transaction, milliseconds.
    pub wait_ms: u64,
    /// True if time can be made to pass.
    pub development: bool,
}

/// Chain id of the embedded chain.
pub const EMBEDDED_CHAIN_ID: u64 = 7_066_001;

/// Known chains. The last row fits any chain that has no row of its own.
pub const PROFILES: &[ChainProfile] = &[
    ChainProfile {
        name: "embedded",
        chain_id: EMBEDDED_CHAIN_ID,
        confirmations: 1,
        gas: GasPolicy::Free,
        proofs: ETHEREUM,
        poll_ms: 2,
        wait_ms: 20_000,
        development: true,
    },
    ChainProfile {
        name: "anvil",
        chain_id: 31_337,
        confirmations: 1,
        gas: GasPolicy::Market,
        proofs: ETHEREUM,
        poll_ms: 20,
        wait_ms: 20_000,
        development: true,
    },
    ChainProfile {
        name: "polygon",
        chain_id: 137,
        confirmations: 16,
        gas: GasPolicy::Market,
        proofs: POLYGON,
        poll_ms: 2_000,
        wait_ms: 180_000,
        development: false,
    },
    ChainProfile {
        name: "iotex",
        chain_id: 4_689,
        confirmations: 2,
        gas: GasPolicy::Market,
        proofs: ETHEREUM,
        poll_ms: 2_500,
        wait_ms: 120_000,
        development: false,
    },
    ChainProfile {
        name: "evm",
        chain_id: 0,
        confirmations: 12,
        gas: GasPolicy::Market,
        proofs: POLYGON,
        poll_ms: 4_000,
        wait_ms: 300_000,
        development: false,
    },
];

/// The profile of a chain id.
pub fn profile(chain_id: u64) -> &'static ChainProfile {
    let any = &PROFILES[PROFILES.len() - 1];
    PROFILES.iter().find(|p| p.chain_id == chain_id).unwrap_or(any)
}

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

    /// Puts the contracts on the chain, as far as they are not there yet. Safe to call again, also after a
    /// crash in the middle.
    pub async fn deploy(&self, by: &Signer, params: &DeployParams) -> Result<Arc<dyn Settlement>> {
        Ok(Arc::new(Evm::deploy(self.provider.clone(), self.chain_id, by, params).await?))
    }

    /// Attaches to contracts that stand on the chain.
    ///
    /// # Errors
    /// `settle.wrong-chain` if the chain id differs or a contract's code is not ours.
    pub async fn attach(&self, deployment: &Deployment) -> Result<Arc<dyn Settlement>> {
        Ok(Arc::new(Evm::attach(self.provider.clone(), self.chain_id, deployment).await?))
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
    Ok(Chain { provider: embedded.provider(), chain_id: EMBEDDED_CHAIN_ID, embedded: Some(embedded) })
}

async fn open_http(url: &str) -> Result<Chain> {
    let parsed = url.parse().map_err(|e| SettleError::bad("chain url", format!("{url:?}: {e}")))?;
    let provider = ProviderBuilder::default().connect_client(RpcClient::new_http(parsed)).erased();
    let chain_id = provider.get_chain_id().await.map_err(|e| SettleError::Rpc(e.to_string()))?;
    Ok(Chain { provider, chain_id, embedded: None })
}

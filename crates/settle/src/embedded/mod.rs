//! A whole EVM chain in this process: revm over a redb file, one signed transaction a block, free gas, time
//! from a given [`Clock`].
//!
//! It is a real EVM with the rules of the Prague fork, or of any row of the table of chains, reached through the
//! same alloy provider as a remote chain. What it is not: a network.
//! State root, transactions root and receipts root of its headers are zero, so nothing can be proved from
//! its headers to others.

mod clock;
mod execute;
mod http;
mod rpc;
mod rules;
mod store;
mod transport;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use alloy::consensus::{Header, TxEnvelope};
use alloy::eips::eip2718::{Decodable2718, Encodable2718};
use alloy::primitives::{Address, B256};
use alloy::providers::{DynProvider, Provider, ProviderBuilder};
use alloy::rpc::client::RpcClient;
use serde_json::Value;

pub use clock::Clock;
pub use http::{HttpServer, Limits};
pub use rpc::RpcError;
use store::{Genesis, NewBlock, Snapshot, Store};

use rules::Rules;

use crate::evm::{PROXY, PROXY_CODE};
use crate::{ChainProfile, EMBEDDED_CHAIN_ID, Result, SettleError, profile};

/// Largest time that the chain can reach; leaves room for contracts that add delays to it.
const MAX_TIME: u64 = 1 << 40;

/// An embedded chain. Clones share it.
#[derive(Clone)]
pub struct Embedded(Arc<Inner>);

struct Inner {
    rules: Rules,
    clock: Clock,
    store: Store,
    /// Held while a block is made: the next one starts from its state.
    making: Mutex<()>,
}

impl Embedded {
    /// Opens the chain in `dir`, or starts one there. One process at a time.
    ///
    /// # Errors
    /// `settle.store` if the directory or file cannot be used, `settle.wrong-chain` if another chain id is
    /// in it.
    pub fn open(dir: &Path, chain_id: u64, clock: Clock) -> Result<Self> {
        std::fs::create_dir_all(dir).map_err(|e| SettleError::Store(format!("{}: {e}", dir.display())))?;
        let rules = Rules::of(profile(EMBEDDED_CHAIN_ID), chain_id);
        Self::start(Store::open(&dir.join("chain.redb"))?, rules, clock, Vec::new())
    }

    /// A chain that ends with the last clone.
    pub fn in_memory(chain_id: u64, clock: Clock) -> Result<Self> {
        let rules = Rules::of(profile(EMBEDDED_CHAIN_ID), chain_id);
        Self::start(Store::in_memory()?, rules, clock, Vec::new())
    }

    /// A chain in memory by the rules of `row`: its chain id, fork, prices, block gas and kind of fee. `rich`
    /// accounts have native money to pay fees with.
    pub fn like(row: &ChainProfile, clock: Clock, rich: &[proofmesh_market::Address]) -> Result<Self> {
        let rich = rich.iter().map(|account| account.0.into()).collect();
        Self::start(Store::in_memory()?, Rules::of(row, row.chain_id), clock, rich)
    }

    fn start(store: Store, rules: Rules, clock: Clock, rich: Vec<Address>) -> Result<Self> {
        let timestamp = clock.now().min(MAX_TIME);
        let code = vec![(PROXY, PROXY_CODE)];
        let genesis = Genesis { chain_id: rules.chain_id, timestamp, code, rich };
        let header = Header {
            timestamp: genesis.timestamp,
            gas_limit: rules.block_gas,
            base_fee_per_gas: Some(rules.base_fee),
            ..Header::default()
        };
        store.begin(&genesis, &header)?;
        Ok(Self(Arc::new(Inner { rules, clock, store, making: Mutex::new(()) })))
    }

    /// An alloy provider that answers in this process.
    pub fn provider(&self) -> DynProvider {
        let client = RpcClient::new(transport::InProcess(self.clone()), true);
        ProviderBuilder::default().connect_client(client).erased()
    }

    /// Answers one JSON-RPC call, whatever it says.
    ///
    /// # Errors
    /// A JSON-RPC error: unknown method, bad parameters, refused transaction, revert (with the revert
    /// data).
    pub fn rpc(&self, method: &str, params: Value) -> std::result::Result<Value, RpcError> {
        rpc::answer(self, method, params)
    }

    /// Lets `seconds` pass from the next block on.
    ///
    /// # Errors
    /// `settle.bad-input` if that is beyond the largest time.
    pub fn increase_time(&self, seconds: u64) -> Result<()> {
        let _making = self.making();
        let snapshot = self.0.store.snapshot()?;
        let offset = snapshot.time_offset()?.checked_add(seconds).filter(|o| *o <= MAX_TIME);
        let offset = offset.ok_or_else(|| SettleError::bad("time", "too far ahead"))?;
        Ok(self.0.store.set_time_offset(offset)?)
    }

    /// Makes a block without a transaction, so that time passes for readers too.
    pub fn mine(&self) -> Result<u64> {
        let _making = self.making();
        let snapshot = self.0.store.snapshot()?;
        let header = self.next_header(&snapshot)?;
        let number = header.number;
        self.0.store.append(&NewBlock { header, state: Default::default(), transaction: None })?;
        Ok(number)
    }

    fn making(&self) -> MutexGuard<'_, ()> {
        // The guard protects no data: a panic while it was held left the store at a whole block.
        self.0.making.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn snapshot(&self) -> Result<Snapshot> {
        Ok(self.0.store.snapshot()?)
    }

    /// Header of the block that would be made now. Time never goes back; equal times are allowed, since
    /// several blocks may fall in a second.
    fn next_header(&self, snapshot: &Snapshot) -> Result<Header> {
        let parent = snapshot.head()?;
        let now = self.0.clock.now().saturating_add(snapshot.time_offset()?).min(MAX_TIME);
        Ok(Header {
            parent_hash: parent.hash_slow(),
            number: parent.number + 1,
            timestamp: now.max(parent.timestamp),
            gas_limit: self.0.rules.block_gas,
            base_fee_per_gas: Some(self.0.rules.base_fee),
            ..Header::default()
        })
    }

    /// Executes a signed transaction as the next block.
    fn submit(&self, raw: &[u8]) -> std::result::Result<B256, RpcError> {
        let mut rest = raw;
        let tx = TxEnvelope::decode_2718(&mut rest).map_err(RpcError::bad_params)?;
        if !rest.is_empty() {
            return Err(RpcError::bad_params("bytes after the transaction"));
        }
        let hash = *tx.tx_hash();
        let _making = self.making();
        let snapshot = self.snapshot()?;
        if snapshot.transaction(hash)?.is_some() {
            return Err(RpcError::refused("already known"));
        }
        let header = self.next_header(&snapshot)?;
        let block = execute::transaction(&self.0.rules, snapshot, header, &tx, tx.encoded_2718())?;
        self.0.store.append(&block)?;
        Ok(hash)
    }
}

//! The JSON-RPC methods of the embedded chain: what alloy, viem and cast ask of a node, and the two that
//! let time pass.

use alloy::consensus::transaction::Recovered;
use alloy::consensus::{BlockHeader, Header, Transaction as _, TxEnvelope, transaction::SignerRecoverable};
use alloy::eips::eip2718::Decodable2718;
use alloy::primitives::{Address, B256, Bytes, U64, U256};
use alloy::rpc::types::{
    Block, BlockId, BlockNumberOrTag, BlockTransactions, FeeHistory, Filter, FilterBlockOption, Log,
    Transaction, TransactionReceipt, TransactionRequest,
};
use revm::DatabaseRef;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::store::Snapshot;
use super::{Embedded, execute};
use crate::SettleError;

/// Blocks that one log query may span.
const MAX_LOG_BLOCKS: u64 = 50_000;
/// Logs that one query may give.
const MAX_LOGS: usize = 10_000;
/// Blocks of one fee history.
const MAX_FEE_BLOCKS: u64 = 1_024;

/// An error as JSON-RPC has it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message} ({code})")]
pub struct RpcError {
    /// JSON-RPC code: -32601 no such method, -32602 bad parameters, -32000 refused, 3 revert, -32603
    /// internal.
    pub code: i64,
    /// For people.
    pub message: String,
    /// Revert data, hex.
    pub data: Option<String>,
}

impl RpcError {
    fn new(code: i64, message: impl ToString) -> Self {
        Self { code, message: message.to_string(), data: None }
    }

    pub(crate) fn bad_params(why: impl ToString) -> Self {
        Self::new(-32_602, why)
    }

    pub(crate) fn refused(why: impl ToString) -> Self {
        Self::new(-32_000, why)
    }

    pub(crate) fn internal(why: impl ToString) -> Self {
        Self::new(-32_603, why)
    }

    pub(crate) fn no_method(method: &str) -> Self {
        let shown: String = method.chars().take(64).collect();
        Self::new(-32_601, format!("no method {shown}"))
    }

    pub(crate) fn revert(data: &[u8]) -> Self {
        let data = Some(format!("0x{}", alloy::hex::encode(data)));
        Self { code: 3, message: "execution reverted".to_owned(), data }
    }
}

impl From<SettleError> for RpcError {
    fn from(e: SettleError) -> Self {
        match e {
            SettleError::BadInput { .. } => Self::bad_params(e),
            other => Self::internal(other),
        }
    }
}

type Answer = std::result::Result<Value, RpcError>;

/// Positional parameters.
struct Params(Vec<Value>);

impl Params {
    fn new(params: Value) -> std::result::Result<Self, RpcError> {
        match params {
            Value::Array(list) => Ok(Self(list)),
            Value::Null => Ok(Self(Vec::new())),
            _ => Err(RpcError::bad_params("parameters must be a list")),
        }
    }

    /// Takes parameter `i`; a missing one reads as null.
    fn take<T: DeserializeOwned>(&mut self, i: usize) -> std::result::Result<T, RpcError> {
        let value = self.0.get_mut(i).map(Value::take).unwrap_or_default();
        serde_json::from_value(value).map_err(|e| RpcError::bad_params(format!("parameter {i}: {e}")))
    }

    /// Seconds as a number or as hex: tools differ.
    fn seconds(&mut self, i: usize) -> std::result::Result<u64, RpcError> {
        match self.0.get(i).and_then(Value::as_u64) {
            Some(n) => Ok(n),
            None => self.take::<U64>(i).map(|n| n.to()),
        }
    }
}

fn json(value: impl serde::Serialize) -> Answer {
    serde_json::to_value(value).map_err(RpcError::internal)
}

pub(crate) fn answer(chain: &Embedded, method: &str, params: Value) -> Answer {
    let mut p = Params::new(params)?;
    let snapshot = chain.snapshot()?;
    match method {
        "web3_clientVersion" => json(concat!("proofmesh-embedded/", env!("CARGO_PKG_VERSION"))),
        "net_version" => json(chain.0.rules.chain_id.to_string()),
        "eth_chainId" => json(U64::from(chain.0.rules.chain_id)),
        "eth_syncing" => json(false),
        "eth_accounts" => json([(); 0]),
        "eth_blockNumber" => json(U64::from(snapshot.head()?.number)),
        "eth_gasPrice" => json(U64::from(chain.0.rules.base_fee)),
        "eth_maxPriorityFeePerGas" | "eth_blobBaseFee" => json(U64::ZERO),
        "eth_feeHistory" => fee_history(chain, &snapshot, &mut p),
        "eth_getBalance" => {
            let account: Address = p.take(0)?;
            newest(&snapshot, &mut p, 1)?;
            json(snapshot.basic_ref(account)?.map_or(U256::ZERO, |a| a.balance))
        }
        "eth_getTransactionCount" => {
            let account: Address = p.take(0)?;
            newest(&snapshot, &mut p, 1)?;
            json(U64::from(snapshot.basic_ref(account)?.map_or(0, |a| a.nonce)))
        }
        "eth_getCode" => {
            let account: Address = p.take(0)?;
            newest(&snapshot, &mut p, 1)?;
            json(snapshot.code(account)?)
        }
        "eth_getStorageAt" => {
            let (account, slot): (Address, U256) = (p.take(0)?, p.take(1)?);
            newest(&snapshot, &mut p, 2)?;
            json(B256::from(snapshot.storage_ref(account, slot)?))
        }
        "eth_getBlockByNumber" => {
            let number = number_of(&snapshot, p.take(0)?)?;
            block(&snapshot, number, p.take::<Option<bool>>(1)?.unwrap_or(false))
        }
        "eth_getBlockByHash" => match snapshot.number(p.take(0)?)? {
            Some(number) => block(&snapshot, number, p.take::<Option<bool>>(1)?.unwrap_or(false)),
            None => Ok(Value::Null),
        },
        "eth_call" => {
            let request: TransactionRequest = p.take(0)?;
            newest(&snapshot, &mut p, 1)?;
            let header = chain.next_header(&snapshot)?;
            let most = chain.0.rules.transaction_gas;
            let gas = request.gas.unwrap_or(most).min(most);
            json(execute::call(&chain.0.rules, &snapshot, &header, &request, gas)?.output)
        }
        "eth_estimateGas" => {
            let request: TransactionRequest = p.take(0)?;
            newest(&snapshot, &mut p, 1)?;
            estimate(chain, &snapshot, &request)
        }
        "eth_sendRawTransaction" => json(chain.submit(&p.take::<Bytes>(0)?)?),
        "eth_getTransactionByHash" => transaction(&snapshot, p.take(0)?),
        "eth_getTransactionReceipt" => match snapshot.receipt(p.take(0)?)? {
            Some(bytes) => serde_json::from_slice(&bytes).map_err(RpcError::internal),
            None => Ok(Value::Null),
        },
        "eth_getLogs" => logs(&snapshot, p.take(0)?),
        "evm_increaseTime" => {
            let seconds = p.seconds(0)?;
            chain.increase_time(seconds)?;
            json(seconds)
        }
        "evm_mine" => {
            chain.mine()?;
            json(U64::ZERO)
        }
        other => Err(RpcError::no_method(other)),
    }
}

/// Refuses a question about an older state: only the newest is kept.
fn newest(snapshot: &Snapshot, p: &mut Params, i: usize) -> std::result::Result<(), RpcError> {
    let at = match p.take::<Option<BlockId>>(i)? {
        None => return Ok(()),
        Some(BlockId::Number(n)) => number_of(snapshot, n)?,
        Some(BlockId::Hash(h)) => snapshot.number(h.block_hash)?.unwrap_or(u64::MAX),
    };
    if at == snapshot.head()?.number {
        return Ok(());
    }
    Err(RpcError::refused("only the state of the newest block is kept"))
}

fn number_of(snapshot: &Snapshot, tag: BlockNumberOrTag) -> std::result::Result<u64, RpcError> {
    Ok(match tag {
        BlockNumberOrTag::Number(n) => n,
        BlockNumberOrTag::Earliest => 0,
        // One node makes all blocks, so the newest is final; none is pending.
        _ => snapshot.head()?.number,
    })
}

fn stored_transaction(
    snapshot: &Snapshot,
    header: &Header,
    hash: B256,
) -> std::result::Result<Option<Transaction>, RpcError> {
    let Some(raw) = snapshot.transaction(hash)? else { return Ok(None) };
    let tx = TxEnvelope::decode_2718(&mut raw.as_slice()).map_err(RpcError::internal)?;
    let from = tx.recover_signer().map_err(RpcError::internal)?;
    let tx_price = Some(tx.effective_gas_price(header.base_fee_per_gas));
    Ok(Some(Transaction {
        inner: Recovered::new_unchecked(tx, from),
        block_hash: Some(header.hash_slow()),
        block_number: Some(header.number),
        transaction_index: Some(0),
        effective_gas_price: tx_price,
        block_timestamp: Some(header.timestamp),
    }))
}

fn transaction(snapshot: &Snapshot, hash: B256) -> Answer {
    let Some(receipt) = receipt(snapshot, hash)? else { return Ok(Value::Null) };
    let number = receipt.block_number.unwrap_or_default();
    match snapshot.header(number)? {
        Some(header) => json(stored_transaction(snapshot, &header, hash)?),
        None => Ok(Value::Null),
    }
}

fn receipt(snapshot: &Snapshot, hash: B256) -> std::result::Result<Option<TransactionReceipt>, RpcError> {
    match snapshot.receipt(hash)? {
        Some(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(RpcError::internal),
        None => Ok(None),
    }
}

fn block(snapshot: &Snapshot, number: u64, full: bool) -> Answer {
    let Some(header) = snapshot.header(number)? else { return Ok(Value::Null) };
    let hash = snapshot.block_tx(number)?;
    let transactions = match hash {
        Some(hash) if full => {
            BlockTransactions::Full(stored_transaction(snapshot, &header, hash)?.into_iter().collect())
        }
        hash => BlockTransactions::Hashes(hash.into_iter().collect()),
    };
    json(Block::new(alloy::rpc::types::Header::new(header), transactions))
}

fn fee_history(chain: &Embedded, snapshot: &Snapshot, p: &mut Params) -> Answer {
    let asked = p.seconds(0)?.clamp(1, MAX_FEE_BLOCKS);
    let newest = number_of(snapshot, p.take(1)?)?.min(snapshot.head()?.number);
    let percentiles = p.take::<Option<Vec<f64>>>(2)?.unwrap_or_default();
    if percentiles.len() > 100 {
        return Err(RpcError::bad_params("more than 100 percentiles"));
    }
    let count = asked.min(newest + 1);
    let n = usize::try_from(count).map_err(RpcError::internal)?;
    json(FeeHistory {
        oldest_block: newest + 1 - count,
        base_fee_per_gas: vec![chain.0.rules.base_fee.into(); n + 1],
        gas_used_ratio: vec![0.0; n],
        reward: Some(vec![vec![0; percentiles.len()]; n]),
        ..FeeHistory::default()
    })
}

/// The smallest gas limit that succeeds, to within 1 in 64. Gas used is not enough: calls keep back a 64th,
/// and refunds come at the end.
fn estimate(chain: &Embedded, snapshot: &Snapshot, request: &TransactionRequest) -> Answer {
    let header = chain.next_header(snapshot)?;
    let run = |gas| execute::call(&chain.0.rules, snapshot, &header, request, gas);
    let most = chain.0.rules.transaction_gas;
    let mut high = request.gas.unwrap_or(most).min(most);
    let mut low = run(high)?.gas;
    if run(low).is_ok() {
        return json(U64::from(low));
    }
    while high - low > low / 64 {
        // Nearer to what was used than to the limit: success is likely just above.
        let middle = (low + (high - low) / 2).min(low.saturating_mul(2));
        match run(middle) {
            Ok(_) => high = middle,
            Err(_) => low = middle,
        }
    }
    json(U64::from(high))
}

fn logs(snapshot: &Snapshot, filter: Filter) -> Answer {
    let (first, last) = match filter.block_option {
        FilterBlockOption::AtBlockHash(hash) => {
            let number = snapshot.number(hash)?.ok_or_else(|| RpcError::refused("no such block"))?;
            (number, number)
        }
        FilterBlockOption::Range { from_block, to_block } => (
            number_of(snapshot, from_block.unwrap_or_default())?,
            number_of(snapshot, to_block.unwrap_or_default())?,
        ),
    };
    let last = last.min(snapshot.head()?.number);
    if last.saturating_sub(first) >= MAX_LOG_BLOCKS {
        return Err(RpcError::refused(format!("more than {MAX_LOG_BLOCKS} blocks")));
    }
    let mut found: Vec<Log> = Vec::new();
    for number in first..=last {
        let Some(header) = snapshot.header(number)? else { continue };
        if !filter.matches_bloom(header.logs_bloom()) {
            continue;
        }
        let Some(hash) = snapshot.block_tx(number)? else { continue };
        let Some(receipt) = receipt(snapshot, hash)? else { continue };
        let logs = receipt.inner.logs().iter();
        found.extend(
            logs.filter(|l| filter.matches_address(l.address()) && filter.matches_topics(l.topics()))
                .cloned(),
        );
        if found.len() > MAX_LOGS {
            return Err(RpcError::refused(format!("more than {MAX_LOGS} logs")));
        }
    }
    json(found)
}

/// The answer to one call as a JSON-RPC document.
pub(crate) fn envelope(id: Value, answer: Answer) -> Value {
    match answer {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(e) => {
            let mut error = json!({ "code": e.code, "message": e.message });
            if let Some(data) = e.data {
                error["data"] = Value::String(data);
            }
            json!({ "jsonrpc": "2.0", "id": id, "error": error })
        }
    }
}

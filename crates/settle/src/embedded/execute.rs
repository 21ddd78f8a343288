//! One transaction or call through revm.

use alloy::consensus::transaction::SignerRecoverable;
use alloy::consensus::{
    Eip658Value, Header, Receipt, ReceiptEnvelope, ReceiptWithBloom, Transaction, TxEnvelope, TxReceipt,
    TxType,
};
use alloy::primitives::{Address, Bytes, TxKind};
use alloy::rpc::types::{Log, TransactionReceipt, TransactionRequest};
use revm::context::result::{EVMError, ExecutionResult, InvalidTransaction, Output};
use revm::context::{BlockEnv, TxEnv};
use revm::database_interface::WrapDatabaseRef;
use revm::{Context, ExecuteEvm, MainBuilder, MainContext};

use super::rpc::RpcError;
use super::rules::Rules;
use super::store::{NewBlock, NewTransaction, Snapshot, StoreError};

type Ran = std::result::Result<revm::context::result::ResultAndState, RpcError>;

fn run(rules: &Rules, snapshot: &Snapshot, header: &Header, tx: TxEnv, call: bool) -> Ran {
    let mut cfg = rules.cfg();
    // A call has no nonce of its own.
    cfg.disable_nonce_check = call;
    let block = BlockEnv {
        number: revm::primitives::U256::from(header.number),
        timestamp: revm::primitives::U256::from(header.timestamp),
        gas_limit: header.gas_limit,
        // A call pays nothing.
        basefee: if call { 0 } else { rules.base_fee },
        ..BlockEnv::default()
    };
    let context = Context::mainnet().with_db(WrapDatabaseRef(snapshot)).with_cfg(cfg).with_block(block);
    let mut evm = context.build_mainnet().with_precompiles(rules.precompiles());
    evm.transact(tx).map_err(|e| match e {
        EVMError::Database(e) => RpcError::from(e),
        // As other nodes say it: callers go by the words.
        EVMError::Transaction(InvalidTransaction::NonceTooLow { .. }) => RpcError::refused("nonce too low"),
        EVMError::Transaction(e) => RpcError::refused(e),
        other => RpcError::refused(other),
    })
}

impl From<StoreError> for RpcError {
    fn from(e: StoreError) -> Self {
        RpcError::internal(e)
    }
}

fn kind_of(tx: &TxEnvelope) -> std::result::Result<TxType, RpcError> {
    match tx.tx_type() {
        TxType::Eip4844 | TxType::Eip7702 => Err(RpcError::refused("transaction type not supported here")),
        kind => Ok(kind),
    }
}

/// Runs a signed transaction on the newest state; gives the block that holds it. A revert is a mined
/// failure, not an error.
pub(crate) fn transaction(
    rules: &Rules,
    snapshot: Snapshot,
    mut header: Header,
    tx: &TxEnvelope,
    raw: Vec<u8>,
) -> std::result::Result<NewBlock, RpcError> {
    let kind = kind_of(tx)?;
    // Recovery refuses a high s.
    let from = tx.recover_signer().map_err(RpcError::refused)?;
    let env = TxEnv::builder()
        .caller(from)
        .gas_limit(tx.gas_limit())
        .gas_price(tx.max_fee_per_gas())
        .gas_priority_fee(tx.max_priority_fee_per_gas())
        .kind(tx.kind())
        .value(tx.value())
        .data(tx.input().clone())
        .nonce(tx.nonce())
        .chain_id(tx.chain_id())
        .access_list(tx.access_list().cloned().unwrap_or_default())
        .build()
        .map_err(|e| RpcError::refused(format!("{e:?}")))?;
    let ran = run(rules, &snapshot, &header, env, false)?;

    let hash = *tx.tx_hash();
    let gas_used = ran.result.tx_gas_used();
    let contract_address = match &ran.result {
        ExecutionResult::Success { output: Output::Create(_, at), .. } => *at,
        _ => None,
    };
    let success = ran.result.is_success();
    let logs = if success { ran.result.into_logs() } else { Vec::new() };
    let receipt = Receipt { status: Eip658Value::Eip658(success), cumulative_gas_used: gas_used, logs };
    header.gas_used = gas_used;
    header.logs_bloom = receipt.with_bloom_ref().logs_bloom;
    let block_hash = header.hash_slow();
    let logs = receipt.logs.into_iter().enumerate().map(|(i, inner)| Log {
        inner,
        block_hash: Some(block_hash),
        block_number: Some(header.number),
        block_timestamp: Some(header.timestamp),
        transaction_hash: Some(hash),
        transaction_index: Some(0),
        log_index: Some(i as u64),
        removed: false,
    });
    let inner = ReceiptWithBloom {
        receipt: Receipt { status: receipt.status, cumulative_gas_used: gas_used, logs: logs.collect() },
        logs_bloom: header.logs_bloom,
    };
    let inner = match kind {
        TxType::Eip2930 => ReceiptEnvelope::Eip2930(inner),
        TxType::Eip1559 => ReceiptEnvelope::Eip1559(inner),
        _ => ReceiptEnvelope::Legacy(inner),
    };
    let receipt = TransactionReceipt {
        inner,
        transaction_hash: hash,
        transaction_index: Some(0),
        block_hash: Some(block_hash),
        block_number: Some(header.number),
        gas_used,
        effective_gas_price: tx.effective_gas_price(Some(rules.base_fee)),
        blob_gas_used: None,
        blob_gas_price: None,
        from,
        to: tx.to(),
        contract_address,
    };
    let receipt = serde_json::to_vec(&receipt).map_err(RpcError::internal)?;
    Ok(NewBlock { header, state: ran.state, transaction: Some(NewTransaction { hash, raw, receipt }) })
}

/// What a call gave.
pub(crate) struct Called {
    pub(crate) output: Bytes,
    pub(crate) gas: u64,
}

/// Runs a call on the newest state and changes nothing. Free of charge for the caller, whatever price it
/// names.
///
/// # Errors
/// A revert, with its data; any other failure of execution.
pub(crate) fn call(
    rules: &Rules,
    snapshot: &Snapshot,
    header: &Header,
    request: &TransactionRequest,
    gas_limit: u64,
) -> std::result::Result<Called, RpcError> {
    let env = TxEnv::builder()
        .caller(request.from.unwrap_or(Address::ZERO))
        .gas_limit(gas_limit)
        .kind(request.to.unwrap_or(TxKind::Create))
        .value(request.value.unwrap_or_default())
        .data(request.input.input().cloned().unwrap_or_default())
        .chain_id(Some(rules.chain_id))
        .access_list(request.access_list.clone().unwrap_or_default())
        .build()
        .map_err(|e| RpcError::refused(format!("{e:?}")))?;
    let result = run(rules, snapshot, header, env, true)?.result;
    let gas = result.tx_gas_used();
    match result {
        ExecutionResult::Success { output, .. } => Ok(Called { output: output.into_data(), gas }),
        ExecutionResult::Revert { output, .. } => Err(RpcError::revert(&output)),
        ExecutionResult::Halt { reason, .. } => {
            Err(RpcError::refused(format!("execution failed: {reason:?}")))
        }
    }
}

//! Sending so that a crash at any moment does no harm.
//!
//! A transaction always takes the account's *mined* nonce, never the pending one. So if an earlier run sent
//! the same verb's transaction and
//! crashed before it saw the receipt, the new one competes for the same nonce and at most one of the two is
//! mined. When the nonce is gone
//! without our hash being mined, the verb looks at the chain again (see `verbs.rs`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use alloy::consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy::eips::eip2718::Encodable2718;
use alloy::primitives::{Address, B256, Bytes, TxKind};
use alloy::providers::Provider;
use alloy::rpc::types::{TransactionInput, TransactionReceipt, TransactionRequest};
use alloy::signers::SignerSync;
use alloy::sol_types::SolCall;

use super::revert;
use crate::{ChainProfile, GasPolicy, Result, SettleError, Signer};

/// Looks that a receipt may be missing although the nonce is used, before we believe that another
/// transaction took it.
const MISSING_LOOKS: u32 = 5;

/// A contract on the chain, with the name that errors show.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) address: Address,
}

/// A mined transaction, or the news that the nonce went to another one.
pub(crate) enum Sending {
    Mined(Box<TransactionReceipt>),
    NonceGone(u64),
}

pub(crate) struct Sender<P> {
    provider: P,
    chain_id: u64,
    profile: &'static ChainProfile,
    /// One transaction of an account at a time.
    turns: Mutex<HashMap<Address, Arc<tokio::sync::Mutex<()>>>>,
}

impl<P: Provider> Sender<P> {
    pub(crate) fn new(provider: P, chain_id: u64, profile: &'static ChainProfile) -> Self {
        Self { provider, chain_id, profile, turns: Mutex::default() }
    }

    pub(crate) fn provider(&self) -> &P {
        &self.provider
    }

    pub(crate) fn profile(&self) -> &'static ChainProfile {
        self.profile
    }

    /// Reads: calls a view and decodes what it returns.
    pub(crate) async fn view<C: SolCall>(&self, to: Target, call: C) -> Result<C::Return> {
        let request = TransactionRequest::default()
            .to(to.address)
            .input(TransactionInput::new(call.abi_encode().into()));
        let data = self.provider.call(request).await.map_err(|e| revert::from_rpc(to.name, e))?;
        C::abi_decode_returns_validate(&data)
            .map_err(|e| SettleError::Rpc(format!("{}.{}: {e}", to.name, C::SIGNATURE)))
    }

    /// Writes: one transaction, mined and confirmed. `limit` is its gas limit; without one it is estimated.
    pub(crate) async fn send(
        &self,
        by: &Signer,
        to: Target,
        data: Vec<u8>,
        limit: Option<u64>,
    ) -> Result<Sending> {
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            turns.entry(by.address()).or_default().clone()
        };
        let _turn = turn.lock().await;

        // A refusal shows here, by name, before anything is signed.
        let request = TransactionRequest::default()
            .from(by.address())
            .to(to.address)
            .input(TransactionInput::new(data.clone().into()));
        let gas_limit = match limit {
            Some(limit) => {
                let tried = self.provider.call(request.clone().gas_limit(limit)).await;
                tried.map_err(|e| revert::from_rpc(to.name, e))?;
                limit
            }
            None => {
                let estimate = self.provider.estimate_gas(request.clone()).await;
                let estimate = estimate.map_err(|e| revert::from_rpc(to.name, e))?;
                // Storage that another transaction frees or fills meanwhile changes the price.
                estimate.saturating_add(estimate / 4)
            }
        };
        let nonce = self.mined_nonce(by.address()).await?;
        let (max_fee_per_gas, max_priority_fee_per_gas) = self.fees().await?;
        let tx = TxEip1559 {
            chain_id: self.chain_id,
            nonce,
            gas_limit,
            max_fee_per_gas,
            max_priority_fee_per_gas,
            to: TxKind::Call(to.address),
            input: data.into(),
            ..TxEip1559::default()
        };
        let signature =
            by.0.sign_hash_sync(&tx.signature_hash()).map_err(|e| SettleError::bad("signer", e))?;
        let envelope = TxEnvelope::Eip1559(tx.into_signed(signature));
        let hash = *envelope.tx_hash();
        if let Err(e) = self.provider.send_raw_transaction(&envelope.encoded_2718()).await {
            // Known already, or the nonce is held or gone: all three mean that one of ours is on its way or
            // mined. Anything else is a failure.
            let text = e.to_string().to_lowercase();
            let ours = [
                "already known",
                "already imported",
                "replacement transaction underpriced",
                "could not replace",
                "replacementnotallowed",
                "nonce too low",
                "nonce too small",
            ];
            if !ours.iter().any(|t| text.contains(t)) {
                return Err(revert::from_rpc(to.name, e));
            }
        }
        match self.wait(by.address(), nonce, hash).await? {
            Sending::Mined(receipt) if !receipt.status() => {
                // Mined but refused: the state changed between estimate and block. Ask again for the
                // reason.
                match self.provider.call(request).await {
                    Err(e) => Err(revert::from_rpc(to.name, e)),
                    Ok(_) => Err(revert::reverted(to.name, &[])),
                }
            }
            other => Ok(other),
        }
    }

    async fn wait(&self, account: Address, nonce: u64, hash: B256) -> Result<Sending> {
        let mut waited_ms = 0;
        let mut missing = 0;
        loop {
            if let Some(receipt) = self.receipt(hash).await? {
                let block = receipt.block_number.unwrap_or(u64::MAX);
                let head = self.head().await?;
                if block.saturating_add(self.profile.confirmations) <= head.saturating_add(1) {
                    return Ok(Sending::Mined(Box::new(receipt)));
                }
                missing = 0;
            } else if self.mined_nonce(account).await? > nonce {
                missing += 1;
                if missing >= MISSING_LOOKS {
                    return Ok(Sending::NonceGone(nonce));
                }
            }
            if waited_ms >= self.profile.wait_ms {
                return Err(SettleError::Pending { tx: hash.to_string(), waited_ms });
            }
            tokio::time::sleep(Duration::from_millis(self.profile.poll_ms)).await;
            waited_ms += self.profile.poll_ms;
        }
    }

    async fn fees(&self) -> Result<(u128, u128)> {
        match self.profile.gas {
            GasPolicy::Free => Ok((0, 0)),
            GasPolicy::Market => {
                let f = self.provider.estimate_eip1559_fees().await.map_err(rpc)?;
                Ok((f.max_fee_per_gas, f.max_priority_fee_per_gas))
            }
        }
    }

    pub(crate) async fn head(&self) -> Result<u64> {
        self.provider.get_block_number().await.map_err(rpc)
    }

    pub(crate) async fn code(&self, at: Address) -> Result<Bytes> {
        self.provider.get_code_at(at).await.map_err(rpc)
    }

    async fn receipt(&self, hash: B256) -> Result<Option<TransactionReceipt>> {
        self.provider.get_transaction_receipt(hash).await.map_err(rpc)
    }

    async fn mined_nonce(&self, account: Address) -> Result<u64> {
        self.provider.get_transaction_count(account).latest().await.map_err(rpc)
    }
}

/// An RPC failure that is no revert.
pub(crate) fn rpc(e: impl std::fmt::Display) -> SettleError {
    SettleError::Rpc(e.to_string())
}

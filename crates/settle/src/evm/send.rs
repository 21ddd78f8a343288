//! Sending so that a crash at any moment does no harm, and a node that lies or dies does little.
//!
//! A transaction takes the nonce that was the account's when the caller looked at the chain (`look.rs`), a *mined*
//! one, never the pending one. So if an earlier run sent the same verb's transaction and crashed before it saw the
//! receipt, the new one competes for the same nonce and at most one of the two is mined. When the nonce is gone
//! without our hash being mined, the verb looks at the chain again.
//!
//! A node is believed in what only it can know, and checked in what can be: that it is still the same chain, that a
//! receipt is that of our transaction in a block of the chain it shows, with the nonce used; that prices and
//! estimates stay below the row's bounds. One that lies consistently can still make believe: ask one of your own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use alloy::consensus::{BlockHeader, SignableTransaction, TxEip1559, TxEnvelope, TxLegacy};
use alloy::eips::BlockNumberOrTag;
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
/// Looks after which a transaction is handed to the node again: pools drop some.
const LOOKS_BEFORE_RESENDING: u32 = 10;
/// Blocks whose tips are asked for, and the percentile of their transactions.
const TIP_BLOCKS: u64 = 10;
const TIP_PERCENTILE: f64 = 20.0;
/// Times that a transaction of an earlier run with our nonce is outbid, by an eighth each (nodes ask for a tenth).
const MOST_BIDS: u32 = 12;

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
    profile: ChainProfile,
    /// One transaction of an account at a time.
    turns: Mutex<HashMap<Address, Arc<tokio::sync::Mutex<()>>>>,
}

impl<P: Provider> Sender<P> {
    pub(crate) fn new(provider: P, chain_id: u64, profile: ChainProfile) -> Self {
        Self { provider, chain_id, profile, turns: Mutex::default() }
    }

    pub(crate) fn provider(&self) -> &P {
        &self.provider
    }

    pub(crate) fn profile(&self) -> &ChainProfile {
        &self.profile
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

    /// Refuses to go on if the node is on another chain than when it was opened.
    pub(crate) async fn same_chain(&self) -> Result<()> {
        let now = self.provider.get_chain_id().await.map_err(rpc)?;
        if now == self.chain_id {
            return Ok(());
        }
        let why = format!("the node was on chain {} and is on chain {now} now", self.chain_id);
        Err(SettleError::WrongChain(why))
    }

    /// Writes: one transaction with this nonce, mined and confirmed. `limit` is its gas limit; without one it is
    /// estimated.
    pub(crate) async fn send(
        &self,
        by: &Signer,
        nonce: u64,
        to: Target,
        data: Vec<u8>,
        limit: Option<u64>,
    ) -> Result<Sending> {
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            turns.entry(by.address()).or_default().clone()
        };
        let _turn = turn.lock().await;
        self.same_chain().await?;

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
                let limit = estimate.saturating_add(estimate / 4);
                let most = self.profile.transaction_gas();
                if estimate > most {
                    return Err(rpc(format!("the node estimates {estimate} gas, a transaction has {most}")));
                }
                limit.min(most)
            }
        };
        let mut fees = self.fees().await?;
        let mut bids = 0;
        let (hash, raw) = loop {
            let (hash, raw) = self.sign(by, nonce, to, &data, gas_limit, fees)?;
            let Err(e) = self.provider.send_raw_transaction(&raw).await else { break (hash, raw) };
            let text = e.to_string().to_lowercase();
            let is = |any: &[&str]| any.iter().any(|t| text.contains(t));
            // A transaction with our nonce, an earlier run's or another's, is on its way and pays no less: outbid it,
            // since at most one of the two is mined and it may be stuck. As long as the row's bound allows.
            if is(&["replacement transaction underpriced", "could not replace", "replacementnotallowed"]) {
                match fees.outbid().filter(|f| f.max <= self.profile.max_fee) {
                    Some(more) if bids < MOST_BIDS => (fees, bids) = (more, bids + 1),
                    _ => break (hash, raw),
                }
            } else if is(&["already known", "already imported", "nonce too low", "nonce too small"]) {
                break (hash, raw);
            } else {
                return Err(revert::from_rpc(to.name, e));
            }
        };
        match self.wait(by.address(), nonce, hash, &raw).await? {
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

    /// The signed transaction, with its hash.
    fn sign(
        &self,
        by: &Signer,
        nonce: u64,
        to: Target,
        data: &[u8],
        gas_limit: u64,
        fees: Fees,
    ) -> Result<(B256, Vec<u8>)> {
        let (to, input) = (TxKind::Call(to.address), Bytes::copy_from_slice(data));
        let signed = |hash: B256| by.0.sign_hash_sync(&hash).map_err(|e| SettleError::bad("signer", e));
        let envelope = if self.profile.gas == GasPolicy::Legacy {
            let (chain_id, gas_price) = (Some(self.chain_id), fees.max);
            let tx = TxLegacy { chain_id, nonce, gas_price, gas_limit, to, input, ..TxLegacy::default() };
            let signature = signed(tx.signature_hash())?;
            TxEnvelope::Legacy(tx.into_signed(signature))
        } else {
            let tx = TxEip1559 {
                chain_id: self.chain_id,
                nonce,
                gas_limit,
                max_fee_per_gas: fees.max,
                max_priority_fee_per_gas: fees.tip,
                to,
                input,
                ..TxEip1559::default()
            };
            let signature = signed(tx.signature_hash())?;
            TxEnvelope::Eip1559(tx.into_signed(signature))
        };
        Ok((*envelope.tx_hash(), envelope.encoded_2718()))
    }

    async fn wait(&self, account: Address, nonce: u64, hash: B256, raw: &[u8]) -> Result<Sending> {
        let mut waited_ms = 0;
        let (mut looks, mut missing) = (0, 0);
        loop {
            let used = self.mined_nonce(account).await? > nonce;
            if let Some(receipt) = self.receipt(hash, account).await? {
                let block = receipt.block_number.unwrap_or(u64::MAX);
                let head = self.head().await?;
                let deep = block.saturating_add(self.profile.confirmations) <= head.saturating_add(1);
                if used && deep {
                    return Ok(Sending::Mined(Box::new(receipt)));
                }
                missing = 0;
            } else if used {
                missing += 1;
                if missing >= MISSING_LOOKS {
                    return Ok(Sending::NonceGone(nonce));
                }
            } else {
                looks += 1;
                if looks % LOOKS_BEFORE_RESENDING == 0 {
                    // Known still, or in a block meanwhile: the next look tells.
                    let _ = self.provider.send_raw_transaction(raw).await;
                }
            }
            if waited_ms >= self.profile.wait_ms {
                return Err(SettleError::Pending { tx: hash.to_string(), waited_ms });
            }
            tokio::time::sleep(Duration::from_millis(self.profile.poll_ms)).await;
            waited_ms += self.profile.poll_ms;
        }
    }

    /// What gas costs now.
    async fn fees(&self) -> Result<Fees> {
        let most = self.profile.max_fee;
        let (price, fees) = match self.profile.gas {
            GasPolicy::Free => return Ok(Fees { max: 0, tip: 0 }),
            GasPolicy::Legacy => {
                let price = self.provider.get_gas_price().await.map_err(rpc)?;
                (price, Fees { max: price, tip: price })
            }
            GasPolicy::Market => {
                let newest = BlockNumberOrTag::Latest;
                let history = self.provider.get_fee_history(TIP_BLOCKS, newest, &[TIP_PERCENTILE]).await;
                let history = history.map_err(rpc)?;
                let base = history.base_fee_per_gas.last().copied().unwrap_or_default();
                let tips = history.reward.unwrap_or_default().into_iter().filter_map(|r| r.first().copied());
                let mut tips: Vec<u128> = tips.filter(|tip| *tip > 0).collect();
                tips.sort_unstable();
                let tip = tips.get(tips.len() / 2).copied().unwrap_or(1);
                (base.saturating_add(tip), Fees { max: base.saturating_mul(2).saturating_add(tip), tip })
            }
        };
        if price > most {
            return Err(SettleError::FeeTooHigh { asked: price, most });
        }
        Ok(Fees { max: fees.max.min(most), ..fees })
    }

    pub(crate) async fn head(&self) -> Result<u64> {
        self.provider.get_block_number().await.map_err(rpc)
    }

    pub(crate) async fn code(&self, at: Address) -> Result<Bytes> {
        self.provider.get_code_at(at).await.map_err(rpc)
    }

    /// The receipt of our transaction, if it is in a block of the chain that the node shows now.
    async fn receipt(&self, hash: B256, from: Address) -> Result<Option<TransactionReceipt>> {
        let Some(receipt) = self.provider.get_transaction_receipt(hash).await.map_err(rpc)? else {
            return Ok(None);
        };
        if receipt.transaction_hash != hash || receipt.from != from {
            return Err(rpc("the node gave the receipt of another transaction"));
        }
        let (Some(number), Some(block_hash)) = (receipt.block_number, receipt.block_hash) else {
            return Ok(None);
        };
        let block = self.provider.get_block_by_number(number.into()).await.map_err(rpc)?;
        let there = block.is_some_and(|b| b.header.number() == number && b.header.hash == block_hash);
        Ok(there.then_some(receipt))
    }

    pub(crate) async fn mined_nonce(&self, account: Address) -> Result<u64> {
        self.provider.get_transaction_count(account).latest().await.map_err(rpc)
    }
}

/// Price of a unit of gas, wei.
#[derive(Clone, Copy)]
struct Fees {
    max: u128,
    tip: u128,
}

impl Fees {
    /// An eighth more of both, which is more than the tenth that nodes ask of a replacement. `None` if that is no
    /// number.
    fn outbid(self) -> Option<Self> {
        let more = |x: u128| x.checked_add(x / 8)?.checked_add(1);
        Some(Self { max: more(self.max)?, tip: more(self.tip)? })
    }
}

/// An RPC failure that is no revert.
pub(crate) fn rpc(e: impl std::fmt::Display) -> SettleError {
    SettleError::Rpc(e.to_string())
}

//! The EVM implementation of [`Settlement`](crate::Settlement), for any chain that an alloy provider
//! reaches.

pub mod abi;
mod deploy;
mod events;
mod look;
mod revert;
mod send;
mod verbs;

use alloy::primitives::{Address, B256, U256};
use alloy::providers::Provider;
use alloy::sol_types::SolCall;

use proofmesh_market::{Address as Account, Hash32 as Hash, Usd};

use crate::{ChainProfile, DeployParams, Deployment, Done, Result, Sent, SettleError, Signer};
pub(crate) use deploy::{PROXY, PROXY_CODE};
use send::{Sender, Sending, Target};

/// Times that a verb looks again after its nonce went to another transaction.
pub(crate) const ATTEMPTS: u32 = 5;

/// Our contracts on one EVM chain.
pub struct Evm<P> {
    sender: Sender<P>,
    deployment: Deployment,
    token: Target,
    books: Target,
    roll: Target,
    bonds: Target,
    frost: Target,
    hand: Target,
}

impl<P: Provider> Evm<P> {
    /// Puts on the chain what is missing of a deployment, and attaches to it.
    ///
    /// # Errors
    /// `settle.wrong-chain` if the chain lacks the deterministic deployment proxy; those of sending.
    pub async fn deploy(
        provider: P,
        chain_id: u64,
        profile: ChainProfile,
        by: &Signer,
        params: &DeployParams,
    ) -> Result<Self> {
        let sender = Sender::new(provider, chain_id, profile);
        let deployment = deploy::deploy(&sender, chain_id, by, params).await?;
        Ok(Self::with(sender, deployment))
    }

    /// Attaches to a deployment.
    ///
    /// # Errors
    /// `settle.wrong-chain` if the chain id differs, or the contracts are not there or not ours.
    pub async fn attach(
        provider: P,
        chain_id: u64,
        profile: ChainProfile,
        deployment: &Deployment,
    ) -> Result<Self> {
        if chain_id != deployment.chain_id {
            let why = format!("chain id {chain_id}, the record says {}", deployment.chain_id);
            return Err(SettleError::WrongChain(why));
        }
        let sender = Sender::new(provider, chain_id, profile);
        deploy::check(&sender, deployment).await?;
        Ok(Self::with(sender, deployment.clone()))
    }

    fn with(sender: Sender<P>, deployment: Deployment) -> Self {
        let target = |name, at: Account| Target { name, address: at.0.into() };
        Self {
            token: target("TestUSD", deployment.token),
            books: target("Settlement", deployment.settlement),
            roll: target("Registry", deployment.registry),
            bonds: target("Stake", deployment.stake),
            frost: target("WeatherCover", deployment.cover),
            hand: target("Delivery", deployment.delivery),
            sender,
            deployment,
        }
    }

    /// Sends one call with the nonce that was the account's when the caller looked at the chain; an estimate without
    /// a gas limit. `None` if another transaction took the nonce, so that the caller must look again.
    async fn transact<C: SolCall>(
        &self,
        by: &Signer,
        nonce: u64,
        to: Target,
        call: C,
        limit: Option<u64>,
    ) -> Result<Option<Done>> {
        match self.sender.send(by, nonce, to, call.abi_encode(), limit).await? {
            Sending::NonceGone(_) => Ok(None),
            Sending::Mined(r) => Ok(Some(Done::Sent(Sent {
                tx: hash(r.transaction_hash),
                block: r.block_number.unwrap_or_default(),
                gas: r.gas_used,
            }))),
        }
    }

    /// Lets `spender` take `amount` of the signer's tokens, if it may not already.
    async fn allow(&self, by: &Signer, spender: Target, amount: Usd) -> Result<()> {
        let amount = U256::from(amount.micro());
        for _ in 0..=ATTEMPTS {
            let nonce = self.sender.mined_nonce(by.address()).await?;
            let seen = abi::Token::allowanceCall { owner: by.address(), spender: spender.address };
            if self.sender.view(self.token, seen).await? >= amount {
                return Ok(());
            }
            let call = abi::Token::approveCall { spender: spender.address, amount };
            self.transact(by, nonce, self.token, call, None).await?;
        }
        Err(nonce_taken(by))
    }
}

fn nonce_taken(by: &Signer) -> SettleError {
    // The nonce itself moved on with every look; the last one says nothing.
    SettleError::NonceTaken { account: by.address().to_string(), nonce: 0 }
}

/// A 256-bit (or narrower) amount of the chain as ours.
fn money(amount: impl TryInto<u64>) -> Result<Usd> {
    amount
        .try_into()
        .map(Usd::from_micro)
        .map_err(|_| SettleError::WrongChain("an amount on the chain does not fit 64 bits".to_owned()))
}

fn account(address: Address) -> Account {
    Account(address.into_array())
}

fn hash(word: B256) -> Hash {
    Hash(word.0)
}

//! Putting the contracts on a chain, at addresses that follow from their code and parameters (CREATE2
//! through the deterministic
//! deployment proxy). A contract that is there already is left alone, so a deployment that crashed is
//! finished by calling again.

use std::sync::LazyLock;

use alloy::primitives::{Address, B256, Bytes, U256, address, bytes};
use alloy::providers::Provider;
use alloy::sol_types::SolValue;
use serde::Deserialize;

use super::abi::Config;
use super::send::{Sender, Sending, Target};
use crate::{DeployParams, Deployment, Result, SettleError, Signer, VerifierKey};

/// The proxy that many chains have at this address (it is the same transaction, without chain id,
/// everywhere).
pub(crate) const PROXY: Address = address!("4e59b44847b379578588920cA78FbF26c0B4956C");
/// Its code: takes salt || creation code, CREATE2s it, returns the address.
pub(crate) const PROXY_CODE: Bytes = bytes!(
    "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe03601600081602082378035828234f58015156039578182fd5b8082525050506014600cf3"
);

/// A compiled contract as committed.
#[derive(Deserialize)]
pub(crate) struct Artifact {
    /// Creation code.
    bytecode: Bytes,
    /// Runtime code, immutables zero.
    #[serde(rename = "deployedBytecode")]
    runtime: Bytes,
}

macro_rules! artifact {
    ($name:literal) => {
        LazyLock::new(|| {
            serde_json::from_str(include_str!(concat!("../../../../contracts/artifacts/", $name, ".json")))
                .expect("a committed artifact is well-formed (tests read all of them)")
        })
    };
}

static TOKEN: LazyLock<Artifact> = artifact!("TestUSD");
static REGISTRY: LazyLock<Artifact> = artifact!("Registry");
static SETTLEMENT: LazyLock<Artifact> = artifact!("Settlement");
static TRANSITIONS: LazyLock<Artifact> = artifact!("Transitions");
static DELIVERY: LazyLock<Artifact> = artifact!("Delivery");
static VERIFIER: LazyLock<Artifact> = artifact!("Groth16Verifier");
static STAKE: LazyLock<Artifact> = artifact!("Stake");
static COVER: LazyLock<Artifact> = artifact!("WeatherCover");

/// One contract of a plan.
struct Step {
    name: &'static str,
    artifact: &'static Artifact,
    /// Creation code with constructor arguments.
    init: Vec<u8>,
    address: Address,
}

/// The contracts in order of creation, for given parameters.
struct Plan(Vec<Step>);

impl Plan {
    fn new(p: &DeployParams) -> Self {
        let salt = B256::from(U256::from(p.salt));
        let step = |name, artifact: &'static Artifact, args: Vec<u8>| {
            let init = [artifact.bytecode.as_ref(), &args].concat();
            let address = PROXY.create2_from_code(salt, &init);
            Step { name, artifact, init, address }
        };
        let governor = Address::from(p.governor.0);
        let token = step("TestUSD", &TOKEN, governor.abi_encode());
        let delay = U256::from(p.verifier_delay_s);
        let registry = step("Registry", &REGISTRY, (governor, delay).abi_encode_params());
        let transitions = step("Transitions", &TRANSITIONS, Vec::new());
        let config = Config {
            token: token.address,
            registry: registry.address,
            transitions: transitions.address,
            poster: p.poster.0.into(),
            auditor: p.auditor.0.into(),
            challengeWindow: p.challenge_window_s,
            responseTime: p.response_time_s,
            posterBond: p.poster_bond.micro().into(),
            challengeBond: p.challenge_bond.micro().into(),
        };
        let settlement = step("Settlement", &SETTLEMENT, config.abi_encode());
        let of_settlement = (settlement.address, registry.address).abi_encode_params();
        let delivery = step("Delivery", &DELIVERY, of_settlement);
        let stake_args = (token.address, delivery.address, p.unbonding_delay_s).abi_encode_params();
        let stake = step("Stake", &STAKE, stake_args);
        let cover_args = (token.address, delivery.address).abi_encode_params();
        let cover = step("WeatherCover", &COVER, cover_args);
        Self(vec![token, registry, transitions, settlement, delivery, stake, cover])
    }

    fn record(&self, chain_id: u64, first_block: u64, params: &DeployParams) -> Deployment {
        let at = |i: usize| super::account(self.0[i].address);
        Deployment {
            chain_id,
            first_block,
            token: at(0),
            registry: at(1),
            transitions: at(2),
            settlement: at(3),
            delivery: at(4),
            stake: at(5),
            cover: at(6),
            params: params.clone(),
        }
    }
}

/// Creates what is missing and gives the record.
pub(crate) async fn deploy<P: Provider>(
    sender: &Sender<P>,
    chain_id: u64,
    by: &Signer,
    params: &DeployParams,
) -> Result<Deployment> {
    if sender.code(PROXY).await?.is_empty() {
        let why = format!("no deterministic deployment proxy at {PROXY}");
        return Err(SettleError::WrongChain(why));
    }
    let first_block = sender.head().await?;
    let plan = Plan::new(params);
    let salt = B256::from(U256::from(params.salt));
    let mut created = 0;
    for step in &plan.0 {
        created += create(sender, by, salt, &step.init, step.address).await?;
    }
    // Events start at the first block of ours. If an earlier run made some of the contracts, we do not know
    // it: read from the beginning.
    let fresh = created == plan.0.len();
    let record = plan.record(chain_id, if fresh { first_block } else { 0 }, params);
    check(sender, &record).await?;
    Ok(record)
}

/// Creates a contract if it is not there; says how many were created. A sending that lost its nonce to an earlier
/// run's looks whether that one created the contract.
async fn create<P: Provider>(
    sender: &Sender<P>,
    by: &Signer,
    salt: B256,
    init: &[u8],
    address: Address,
) -> Result<usize> {
    let proxy = Target { name: "deployment proxy", address: PROXY };
    let (mut created, mut tries) = (0, 0);
    while sender.code(address).await?.is_empty() {
        let nonce = sender.mined_nonce(by.address()).await?;
        match sender.send(by, nonce, proxy, [salt.as_slice(), init].concat(), None).await? {
            Sending::Mined(_) => created += 1,
            Sending::NonceGone(_) if tries < super::ATTEMPTS => tries += 1,
            Sending::NonceGone(nonce) => {
                let account = by.address().to_string();
                return Err(SettleError::NonceTaken { account, nonce });
            }
        }
    }
    Ok(created)
}

/// Puts the verifier of a key on the chain, if it is not there. Its address follows from the code, the key and the
/// chain's caps, so anybody can check which key a verifier has.
pub(crate) async fn verifier<P: Provider>(
    sender: &Sender<P>,
    by: &Signer,
    key: &VerifierKey,
) -> Result<Address> {
    let caps = sender.profile().proofs.caps.iter().flat_map(|gas| U256::from(*gas).to_be_bytes::<32>());
    let init: Vec<u8> = VERIFIER.bytecode.iter().copied().chain(key.0.iter().copied()).chain(caps).collect();
    let address = PROXY.create2_from_code(B256::ZERO, &init);
    create(sender, by, B256::ZERO, &init, address).await?;
    Ok(address)
}

/// Refuses a record whose addresses do not follow from its parameters, or whose contracts are not there or
/// not ours.
pub(crate) async fn check<P: Provider>(sender: &Sender<P>, record: &Deployment) -> Result<()> {
    let plan = Plan::new(&record.params);
    if plan.record(record.chain_id, record.first_block, &record.params) != *record {
        let why = "the record's addresses do not follow from its parameters and our contracts";
        return Err(SettleError::WrongChain(why.to_owned()));
    }
    for step in &plan.0 {
        let code = sender.code(step.address).await?;
        // The address commits to the creation code; the length is a last check that the chain runs the same
        // EVM.
        if code.len() != step.artifact.runtime.len() {
            let why = format!("no {} of ours at {}", step.name, step.address);
            return Err(SettleError::WrongChain(why));
        }
    }
    Ok(())
}

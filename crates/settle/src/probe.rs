//! What must be asked of a live chain before money goes there: is it the chain of its row, do the precompiles that
//! the contracts call answer, and rightly, what does gas cost, do blocks hold what we send, is the code at our
//! addresses ours.

use alloy::consensus::BlockHeader;
use alloy::primitives::{Address, Bytes, U256, address, hex, keccak256};
use alloy::providers::{DynProvider, Provider};
use alloy::rpc::types::{TransactionInput, TransactionRequest};
use alloy::sol_types::SolValue;
use proofmesh_market::AccountSecret;
use serde::Serialize;

use crate::embedded::{Clock, Embedded};
use crate::evm::{Evm, PROXY};
use crate::profile::{EMBEDDED_CHAIN_ID, profile};
use crate::{ChainProfile, DataFee, Deployment, GasPolicy, Result, SettleError, Signer};

const BN254_ADD: Address = address!("0000000000000000000000000000000000000006");
const BN254_MUL: Address = address!("0000000000000000000000000000000000000007");
const BN254_PAIRING: Address = address!("0000000000000000000000000000000000000008");
const P256: Address = address!("0000000000000000000000000000000000000100");
/// The OP stack's oracle of data fees.
const GAS_PRICE_ORACLE: Address = address!("420000000000000000000000000000000000000f");
/// Gas of a call beside the precompile's own: the transaction and 768 bytes of calldata at the dearest price.
const CALL_GAS: u64 = 100_000;
/// Bytes of a delivery with its proof, signed: what the data fee is asked for.
const DELIVERY_BYTES: u64 = 2_048;
/// Most gas that any transaction of ours takes (the deployment of Settlement), rounded up; docs/chains.md.
const LARGEST_TRANSACTION: u64 = 8_000_000;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// As the row says.
    Holds,
    /// Not as the row says: nothing should be sent there.
    Fails,
    /// The row says nothing about it, or it only matters to some: read it.
    Note,
}

/// One question to the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Stable name.
    pub name: &'static str,
    /// How it ended.
    pub outcome: Outcome,
    /// What the row says.
    pub expected: String,
    /// What the chain said.
    pub got: String,
    /// What to do about it, empty if nothing.
    pub to_do: String,
}

/// What a chain answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Probe {
    /// Row that it was held against.
    pub row: &'static str,
    /// Its chain id.
    pub chain_id: u64,
    /// All questions.
    pub checks: Vec<Check>,
}

impl Probe {
    /// Ok if no check failed.
    ///
    /// # Errors
    /// `settle.wrong-chain` with every check that failed and what to do.
    pub fn holds(&self) -> Result<()> {
        let failed = self.checks.iter().filter(|c| c.outcome == Outcome::Fails);
        let lines: Vec<_> = failed
            .map(|c| format!("{}: expected {}, got {}; {}", c.name, c.expected, c.got, c.to_do))
            .collect();
        match lines.is_empty() {
            true => Ok(()),
            false => Err(SettleError::WrongChain(format!("row {}: {}", self.row, lines.join(" | ")))),
        }
    }

    fn note(&mut self, name: &'static str, expected: impl ToString, got: impl ToString, to_do: &str) {
        let (expected, got, to_do) = (expected.to_string(), got.to_string(), to_do.to_owned());
        self.checks.push(Check { name, outcome: Outcome::Note, expected, got, to_do });
    }

    fn check(
        &mut self,
        name: &'static str,
        holds: bool,
        expected: impl ToString,
        got: impl ToString,
        to_do: &str,
    ) {
        let outcome = if holds { Outcome::Holds } else { Outcome::Fails };
        let to_do = if holds { String::new() } else { to_do.to_owned() };
        self.checks.push(Check {
            name,
            outcome,
            expected: expected.to_string(),
            got: got.to_string(),
            to_do,
        });
    }
}

/// Asks everything. Errors of the connection end it; whatever the chain answers is a check.
pub(crate) async fn probe(
    provider: &DynProvider,
    row: &ChainProfile,
    deployment: Option<&Deployment>,
) -> Result<Probe> {
    let rpc = |e: alloy::transports::TransportError| SettleError::Rpc(e.to_string());
    let chain_id = provider.get_chain_id().await.map_err(rpc)?;
    let mut out = Probe { row: row.name, chain_id, checks: Vec::new() };
    if row.is_any() {
        out.note(
            "chain-id",
            "a row of its own",
            chain_id,
            "nothing is known of this chain: see the notes below",
        );
    } else {
        let expected = match row.test_ids {
            [] => row.chain_id.to_string(),
            more => format!("{} (or {more:?})", row.chain_id),
        };
        let to_do = "this is another chain: use the URL of the right one, or the row of this one";
        out.check("chain-id", row.is_for(chain_id), expected, chain_id, to_do);
    }
    precompiles(provider, row, &mut out).await?;

    let block = provider.get_block_by_number(Default::default()).await.map_err(rpc)?;
    let block = block.ok_or_else(|| SettleError::Rpc("the chain has no newest block".to_owned()))?;
    let gas = block.header.gas_limit();
    let to_do = "blocks are too small for the contracts: they cannot be deployed here";
    out.check("block-gas", gas >= LARGEST_TRANSACTION, format!("at least {LARGEST_TRANSACTION}"), gas, to_do);
    if gas < row.block_gas {
        out.note("block-gas-of-row", row.block_gas, gas, "smaller than the row says: mend the row");
    }
    let base = block.header.base_fee_per_gas();
    let has = base.map_or("no base fee".to_owned(), |b| format!("base fee {b} wei"));
    match row.gas {
        GasPolicy::Free => out.note("fees", "no fees", has, ""),
        GasPolicy::Market => {
            out.check("fees", base.is_some(), "a base fee (EIP-1559)", has, "set the row's fees to legacy");
        }
        GasPolicy::Legacy => out.note("fees", "one price, eth_gasPrice", has, ""),
    }
    if row.gas != GasPolicy::Free {
        let price = provider.get_gas_price().await.map_err(rpc)?;
        let to_do = "wait for a lower price, or raise the row's max_fee";
        let most = format!("at most {} wei", row.max_fee);
        out.check("gas-price", price <= row.max_fee, most, format!("{price} wei"), to_do);
    }
    if row.data_fee == DataFee::FromBalance {
        data_fee(provider, &mut out).await;
    }
    let there = !provider.get_code_at(PROXY).await.map_err(rpc)?.is_empty();
    let what = format!("the deterministic deployment proxy at {PROXY}");
    let to_do = "have it deployed first (one transaction without chain id, known everywhere)";
    match deployment {
        None => out.check("deployment-proxy", there, what, if there { "there" } else { "nothing" }, to_do),
        Some(deployment) => code(provider, chain_id, deployment, &mut out).await?,
    }
    Ok(out)
}

/// One call; `None` if the chain refuses it.
async fn call(provider: &DynProvider, to: Address, input: Vec<u8>, gas: u64) -> Result<Option<Bytes>> {
    let request =
        TransactionRequest::default().to(to).gas_limit(gas).input(TransactionInput::new(input.into()));
    match provider.call(request).await {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.is_error_resp() => Ok(None),
        Err(e) => Err(SettleError::Rpc(e.to_string())),
    }
}

/// The generators of BN254 (EIP-197's encoding: of a coordinate of G2 the imaginary part first) and what follows
/// from them.
fn generators() -> ([U256; 2], [U256; 2], [U256; 4]) {
    let word = |text: &str| U256::from_str_radix(text, 16).unwrap_or_default();
    let q = word("30644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd47");
    let g1 = [U256::from(1), U256::from(2)];
    let negative = [U256::from(1), q - U256::from(2)];
    let g2 = [
        word("198e9393920d483a7260bfb731fb5d25f1aa493335a9e71297e485b7aef312c2"),
        word("1800deef121f1e76426a00665e5c4479674322d4f75edadd46debd5cd992f6ed"),
        word("090689d0585ff075ec9e99ad690c3395bc4b313370b38ef355acdadcd122975b"),
        word("12c85ea5db8c6deb4aab71808dcb408fe3d1e7690c43d37b4ce6cc0166fa7daa"),
    ];
    (g1, negative, g2)
}

/// BN254 by known answers, each with the gas that a verifier would give it; P-256 by a known signature.
async fn precompiles(provider: &DynProvider, row: &ChainProfile, out: &mut Probe) -> Result<()> {
    let (g1, negative, g2) = generators();
    let doubled = [
        "030644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd3",
        "15ed738c0e0a7c92e7845f96b2ae9c0a68a6a449e3538fc7ff3ebf7a5a18a2c4",
    ];
    let doubled = hex::decode(doubled.concat()).unwrap_or_default();
    let words = |lists: &[&[U256]]| -> Vec<u8> {
        lists.iter().flat_map(|l| l.iter()).flat_map(|w| w.to_be_bytes::<32>()).collect()
    };
    let pairs = |signs: [&[U256]; 4]| words(&signs.map(|p| [p, &g2[..]]).concat());
    let mut off = g2;
    off[3] += U256::from(1);
    let [add, mul, pairing] = row.proofs.caps;
    let one = U256::from(1).abi_encode();
    let missing = "no Groth16 proof can be checked here: another chain, or a verifier in Solidity";
    let dear =
        "the row's caps are below this chain's prices, or the precompile is not there: mend the row's prices";
    for (name, to, input, cap, expected, to_do) in [
        ("bn254-add", BN254_ADD, words(&[&g1, &g1]), add, Some(doubled.clone()), dear),
        ("bn254-mul", BN254_MUL, words(&[&g1, &[U256::from(2)]]), mul, Some(doubled), dear),
        (
            "bn254-pairing-true",
            BN254_PAIRING,
            pairs([&g1, &negative, &g1, &negative]),
            pairing,
            Some(one.clone()),
            dear,
        ),
        ("bn254-pairing-false", BN254_PAIRING, pairs([&g1; 4]), pairing, Some(vec![0; 32]), missing),
        ("bn254-pairing-invalid", BN254_PAIRING, words(&[&g1, &off]), pairing, None, missing),
    ] {
        let got = call(provider, to, input, cap.saturating_add(CALL_GAS)).await?;
        let shown = |x: &Option<Vec<u8>>| {
            x.as_ref().map_or("a refusal".to_owned(), |b| format!("0x{}", hex::encode(&b[..b.len().min(64)])))
        };
        let got = got.map(|b| b.to_vec());
        let label = format!("{} within {cap} gas", shown(&expected));
        out.check(name, got == expected, label, shown(&got), to_do);
    }
    let got = call(provider, P256, p256_known_good(), CALL_GAS).await?;
    let there = got.is_some_and(|b| *b == one);
    let got = if there { "answers rightly" } else { "not there" };
    let refused = "Delivery refuses P-256 devices here (MissingPrecompile): enrol devices to their node, or use another chain";
    match (row.is_any(), row.prices.p256) {
        (true, _) => out.note("p256", "unknown", got, if there { "" } else { refused }),
        (false, Some(price)) => out.check("p256", there, format!("at 0x100, {price} gas"), got, refused),
        (false, None) if there => {
            out.note("p256", "not there", got, "the row can be mended: it is there now")
        }
        (false, None) => out.check("p256", true, "not there", got, ""),
    }
    Ok(())
}

/// Wycheproof, ecdsa_secp256r1_sha256_p1363: a valid signature with r = 5 and s = 1.
fn p256_known_good() -> Vec<u8> {
    let [r, s] = [5u8, 1].map(|n| U256::from(n).to_be_bytes::<32>());
    let hash = hex!("bb5a52f42f9c9261ed4361f59422a1e30036e7c32b270c8807a419feca605023");
    let x = hex!("a71af64de5126a4a4e02b7922d66ce9415ce88a4c9d25514d91082c8725ac957");
    let y = hex!("5d47723c8fbe580bb369fec9c2665d8e30a435b9932645482e7c9f11e872296b");
    [hash, r, s, x, y].concat()
}

/// What the data of a delivery would cost now, by the OP stack's oracle.
async fn data_fee(provider: &DynProvider, out: &mut Probe) {
    let selector = &keccak256("getL1FeeUpperBound(uint256)")[..4];
    let input = [selector, &U256::from(DELIVERY_BYTES).to_be_bytes::<32>()].concat();
    let answer = call(provider, GAS_PRICE_ORACLE, input, CALL_GAS).await.ok().flatten();
    let got = match answer.as_deref().and_then(|b| U256::abi_decode(b).ok()) {
        Some(wei) => format!("at most {wei} wei now"),
        None => "no answer".to_owned(),
    };
    let to_do = "keep native money for it beside gas";
    out.note("data-fee", format!("the fee of {DELIVERY_BYTES} bytes, by the oracle"), got, to_do);
}

/// Compares the code at each address with what the same deployment gives on a chain of our own: constructors write
/// constants into code, so the artifact alone does not say what must be there.
async fn code(provider: &DynProvider, chain_id: u64, deployment: &Deployment, out: &mut Probe) -> Result<()> {
    let to_do = "these are not the contracts of this version: do not use this deployment record";
    if deployment.chain_id != chain_id {
        let to_do = "this record is of another chain: use that chain's URL";
        out.check("deployment", false, format!("chain {}", deployment.chain_id), chain_id, to_do);
        return Ok(());
    }
    let ours = Embedded::in_memory(chain_id, Clock::fixed(0))?;
    let anybody = Signer::new(&AccountSecret::from_bytes([1; 32]).map_err(|e| SettleError::bad("key", e))?);
    let free = *profile(EMBEDDED_CHAIN_ID);
    Evm::deploy(ours.provider(), chain_id, free, &anybody, &deployment.params).await?;
    let d = deployment;
    let contracts = [
        ("code-token", d.token),
        ("code-registry", d.registry),
        ("code-transitions", d.transitions),
        ("code-settlement", d.settlement),
        ("code-delivery", d.delivery),
        ("code-stake", d.stake),
        ("code-cover", d.cover),
    ];
    for (name, at) in contracts {
        let at = Address::from(at.0);
        let rpc = |e: alloy::transports::TransportError| SettleError::Rpc(e.to_string());
        let (want, got) =
            tokio::try_join!(ours.provider().get_code_at(at), provider.get_code_at(at)).map_err(rpc)?;
        let good = !got.is_empty() && got == want;
        out.check(name, good, format!("code {}", keccak256(want)), format!("code {}", keccak256(got)), to_do);
    }
    Ok(())
}

//! What shows that a receipt deserves its pay, checked by the contract alone; and delivery of a receipt that it shows, without any poster.
//!
//! The service's own check runs here, handed the Groth16 verifier where a node hands it the native one; the market's own rules hold the
//! receipt against its job. Signatures are checked by the chain's host functions: the node's (secp256k1) and, which an EVM cannot, the
//! device's (Ed25519, by ZIP-215's rules).
//!
//! Refuses: `receipt.*` of the market, `inference.*` of the service, `evidence.public-words`, `model.unknown`, `delivery.replayed`.

use crate::groth16::Key;
use crate::msg::{Consume, Evidence};
use crate::refused::{refuse, require, Result};
use crate::state::{load, model_key, Call, Config, Model};
use cosmwasm_std::{to_json_binary, Api, Deps, Response, WasmMsg};
use proofmesh_market::order::Order;
use proofmesh_market::receipt::output_bytes;
use proofmesh_market::{
    keccak, statement, tree, AccountSignature, Address, Case, Device, Domain, Hash32, Known, SignedReceipt,
};
use proofmesh_services::inference::{self, Catalogue, ModelCard, ProofCheck, Rejection, Stated};
use proofmesh_services::reference::{row_leaf, References, Row};
use proofmesh_services::Engines;

/// Half the order of secp256k1, big-endian: s above it is the second signature of the same (EIP-2).
const HALF_ORDER: [u8; 32] = [
    0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x5d,
    0x57, 0x6e, 0x73, 0x57, 0xa4, 0x50, 0x1d, 0xdf, 0xe9, 0x2f, 0x46, 0x68, 0x1b, 0x20, 0xa0,
];

/// Refuses with `name` unless `account` signed `digest`: r || s || v, v 27 or 28, low s.
pub fn require_signed(
    api: &dyn Api,
    account: &Address,
    digest: &Hash32,
    signature: &AccountSignature,
    name: &'static str,
) -> Result<()> {
    let [rs @ .., v] = &signature.0;
    let canonical = (*v == 27 || *v == 28) && rs[32..] <= HALF_ORDER[..];
    let key = if canonical { api.secp256k1_recover_pubkey(&digest.0, rs, v - 27).ok() } else { None };
    // 0x04 || x || y
    let signer = key.filter(|key| key.len() == 65).map(|key| keccak(&key[1..]).0[12..] == account.0);
    require(signer == Some(true), name, account, "another signature")
}

/// Refuses a service whose evidence cannot be checked here: what it cannot answer for must not be asked.
pub fn require_inference(service: &Hash32) -> Result<()> {
    let expected = keccak(inference::SERVICE.tag.as_bytes());
    require(*service == expected, "receipt.wrong-service", expected, service)
}

/// The wrapped proof's verifier, as a service meets it.
struct Wrapped(Key);

impl ProofCheck for Wrapped {
    fn verify(
        &self,
        model: [u8; 32],
        input: [u8; 32],
        public_input: &[i32],
        output: &[i32],
        context: [u8; 32],
        proof: &[u8],
    ) -> core::result::Result<(), Rejection> {
        let [model, context, input] = [model, context, input].map(Hash32);
        let statement =
            statement::public_input(&model, &context, &input, &output_bytes(public_input), output);
        self.0.verify(&statement, proof).map_err(|refusal| Rejection {
            check: refusal.name.trim_start_matches("groth16.").to_owned(),
            expected: refusal.expected,
            got: refusal.got,
        })
    }

    /// Whatever the market's checkers saw, what comes here is wrapped.
    fn verify_hidden(&self, of: &Stated<'_>, proof: &[u8]) -> core::result::Result<(), Rejection> {
        self.verify(of.model, of.input, of.public_input, of.output, of.context, proof)
    }
}

/// The model as the proof binds it: counts of words are part of the statement, and one key serves one count.
struct Card(ModelCard);

impl Catalogue for Card {
    fn card(&self, _: &Hash32) -> Option<&ModelCard> {
        Some(&self.0)
    }
}

/// The one row of a feed that the evidence opens. How wide its elements are is the model's circuit's to know: leaf and statement hash the
/// same bytes, which are taken here in groups of four.
struct Opened<'a> {
    shown: &'a Evidence,
    groups: Vec<i32>,
    device: Device,
    window_start: u64,
}

impl References for Opened<'_> {
    fn reference(&self, commitment: &Hash32, device: &Device, window_start_s: u64) -> Option<Row<'_>> {
        let leaf = row_leaf(device, window_start_s, &self.shown.public_words);
        let held = tree::verify(commitment, &leaf, &self.shown.feed_proof);
        let row = Row { words: &self.groups, word_bytes: 4 };
        (held && *device == self.device && window_start_s == self.window_start).then_some(row)
    }
}

/// Returns the name of the key only if the evidence holds for the receipt, whose digest this is.
pub fn check(
    deps: Deps<'_>,
    domain: &Domain,
    now_s: u64,
    signed: &SignedReceipt,
    digest: &Hash32,
    shown: &Evidence,
) -> Result<Hash32> {
    let receipt = &signed.receipt;
    require_inference(&receipt.service)?;
    let output = keccak(signed.output_bytes());
    require(output == receipt.output, "receipt.output-differs", receipt.output, output)?;
    let job_id = shown.job.digest(domain);
    require(job_id == receipt.job, "receipt.wrong-job", receipt.job, job_id)?;
    shown.job.require_kept(receipt, now_s)?;
    require_signed(deps.api, &receipt.node, digest, &signed.node_signature, "receipt.node-signature")?;
    let by_device = deps.api.ed25519_verify(&digest.0, &signed.device_signature.0, &receipt.device.0);
    require(by_device == Ok(true), "receipt.device-signature", receipt.device, "another signature")?;
    let Some(model) = load::<Model>(deps.storage, &model_key(&receipt.model))? else {
        return refuse("model.unknown", "a model with a key", receipt.model);
    };
    let (groups, rest) = shown.public_words.as_slice().as_chunks::<4>();
    require(
        rest.is_empty(),
        "evidence.public-words",
        "whole groups of four bytes",
        shown.public_words.len(),
    )?;
    let groups: Vec<i32> = groups.iter().map(|group| i32::from_be_bytes(*group)).collect();
    let card = Card(ModelCard {
        name: String::new(),
        output_words: signed.output_bytes().len() / 4,
        public_words: groups.len(),
        word_bytes: 4,
        classes: Vec::new(),
        multiply_adds: 0,
    });
    let row = Opened { shown, groups, device: receipt.device, window_start: receipt.window_start };
    let engines = Engines {
        proofs: &Wrapped(Key::read(&model.key)?),
        models: &card,
        references: &row,
        known: Known::NOTHING,
    };
    let context = receipt.context(domain);
    let case = Case {
        job_id: &job_id,
        job: &shown.job,
        receipt: signed,
        digest,
        context: &context,
        evidence: &shown.proof,
    };
    let units = (inference::SERVICE.check)(&case, &engines)?;
    require(units == receipt.units, "receipt.wrong-units", units, receipt.units)?;
    Ok(keccak(&model.key))
}

/// Checks one receipt and hands it to a consumer in the same transaction: all or nothing. The sender is never looked at.
pub fn deliver(
    call: Call<'_>,
    consumer: &str,
    id: Hash32,
    signed: &SignedReceipt,
    shown: &Evidence,
) -> Result<Response> {
    let config = Config::load(call.deps.storage)?;
    let consumer = call.deps.api.addr_validate(consumer)?;
    let receipt = &signed.receipt;
    let digest = receipt.digest(&config.domain);
    // A node's number is used once by an agreement, whatever the receipt of that number says.
    let place = [&id.0[..], &receipt.node.0, &receipt.sequence.to_be_bytes(), consumer.as_bytes()].concat();
    let mark = [b"d", &keccak(&place).0[..]].concat();
    let fresh = call.deps.storage.get(&mark).is_none();
    require(fresh, "delivery.replayed", "a receipt that this agreement did not get", digest)?;
    let key_hash = check(call.deps.as_ref(), &config.domain, call.now_s, signed, &digest, shown)?;
    call.deps.storage.set(&mark, &[1]);
    let result =
        Consume::Deliver { id, receipt: receipt.clone(), digest, output: signed.output_words(), key_hash };
    let message =
        WasmMsg::Execute { contract_addr: consumer.into(), msg: to_json_binary(&result)?, funds: Vec::new() };
    Ok(Response::new().add_message(message).add_attribute("delivered", digest.to_string()))
}

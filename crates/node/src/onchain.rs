//! What contracts need to judge a model's receipts: its verifier in the registry, and the evidence that opens a receipt.
//!
//! A circuit, and so a key, is of one program ([docs/spec/wrap.md](../../../docs/spec/wrap.md)), so every model has a verifier class of its own.
//! While a model has no verifier, none of its receipts can be demanded on chain; from the moment it has one, whoever posts epochs must be able
//! to answer for them, or loses the bond.

use crate::client::Client;
use crate::fault::{Fault, Result};
use crate::wrapped;
use proofmesh_market::{Address, Hash32, Job, Receipt, SignedReceipt};
use proofmesh_model::ModelFile;
use proofmesh_services::inference::Terms;
use proofmesh_services::reference::{ReferenceTable, References, Row, packed};
use proofmesh_settle::{ChainProfile, Evidence, Settlement, Signer, VerifierKey};
use proofmesh_wrap::development;
use proofmesh_wrap::groth16::{KEY_WORDS, key_words};
use proofmesh_wrap::keys::{Origin, decode_verification, hex};
use serde::Serialize;

/// Where a model stands in the registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "verifier", rename_all = "kebab-case")]
pub enum Registered {
    /// No contract checks its proofs.
    None,
    /// This contract does.
    Set {
        /// Its address.
        address: Address,
        /// Name of its key.
        key: Hash32,
    },
    /// This contract will, once the registry's delay is over and somebody registers the model again.
    Announced {
        /// Its address.
        address: Address,
        /// Name of its key.
        key: Hash32,
        /// Seconds between announcement and acceptance.
        delay_s: u64,
    },
}

/// What checks a model's proofs on chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verifier {
    /// Its key.
    pub key: VerifierKey,
    /// Whether it takes what a stranger wrapped. Then the poster can answer for every receipt of a wrappable proof, whatever its node does, and
    /// jobs have to ask for such proofs; else only the node that made a receipt can.
    pub hired: bool,
}

/// The verifier class of a model: the first four bytes of its id.
#[must_use]
pub fn class_of(model: &Hash32) -> u32 {
    let [a, b, c, d, ..] = model.0;
    u32::from_be_bytes([a, b, c, d])
}

/// Registers a model, as far as it is not, with the verifier of `key` if there is one. A model that is registered without one gets it after the
/// registry's delay: this announces it, and accepts it when called again once `ready`. Safe to call again, also after a crash in the middle.
///
/// # Errors
/// `model.other-verifier` when the model has the verifier of another key, `model.shared-class`; the contract's, by name.
pub async fn register(
    settlement: &dyn Settlement,
    governor: &Signer,
    model: Hash32,
    key: Option<&VerifierKey>,
    ready: bool,
) -> Result<Registered> {
    let (class, known) = (class_of(&model), settlement.model(model).await?);
    let Some(key) = key else {
        if known.is_none() {
            settlement.register_model(governor, model, model, class).await?;
        }
        return Ok(Registered::None);
    };
    let (name, address) = (key.hash(), settlement.deploy_verifier(governor, key).await?);
    let set = Registered::Set { address, key: name };
    let delay_s = settlement.deployment().params.verifier_delay_s;
    let announced = Registered::Announced { address, key: name, delay_s };
    let Some(known) = known else {
        if ready {
            settlement.set_verifier(governor, class, address).await?;
        }
        settlement.register_model(governor, model, model, class).await?;
        if ready {
            return Ok(set);
        }
        // New to the chain alone: blocks were taken back, and there are receipts that could not be answered for.
        settlement.propose_verifier(governor, class, address).await?;
        return Ok(announced);
    };
    match settlement.verifier_of(model).await? {
        Some(found) if found == address => return Ok(set),
        Some(found) => return Err(Fault::refused("model.other-verifier", address, found)),
        None if known.verifier_class != class => {
            let found = known.verifier_class;
            return Err(Fault::refused("model.shared-class", "a model in a class of its own", found));
        }
        None => {}
    }
    settlement.propose_verifier(governor, class, address).await?;
    if !ready {
        return Ok(announced);
    }
    match settlement.accept_verifier(governor, class).await {
        Err(error) if error.revert_name() == Some("TooEarly") => Ok(announced),
        accepted => accepted.map(|_| set).map_err(Fault::from),
    }
}

/// A verification key as contracts take it.
#[must_use]
pub fn verifier_key(words: &[[u8; 32]; KEY_WORDS]) -> VerifierKey {
    let mut bytes = Box::new([0; 32 * KEY_WORDS]);
    bytes.copy_from_slice(words.as_flattened());
    VerifierKey(bytes)
}

/// The keys in verification keys' files that are for circuits of these models, plain or hired, by model.
///
/// # Errors
/// `proof.wrap.key` for another file, `model.verifier-unused` for the key of another circuit, `model.verifier-twice`, `model.development-key` for one that money must not
/// depend on where the chain is no development chain.
pub fn verifiers(
    files: &[Vec<u8>],
    models: &[ModelFile],
    chain: &ChainProfile,
) -> Result<Vec<Option<Verifier>>> {
    let mut keys = vec![None; models.len()];
    let mut circuits = Vec::new();
    for file in files {
        let (origin, circuit, key) = decode_verification(file)?;
        if origin == Origin::Development && !chain.development {
            return Err(Fault::refused(
                "model.development-key",
                format_args!("a ceremony's key on {}", chain.name),
                "a DEVELOPMENT key",
            ));
        }
        let key = verifier_key(&key_words(&key));
        if circuits.is_empty() {
            // A contract takes what its key is for: proofs wrapped by their provers, or by others.
            for (at, ModelFile { program, .. }) in models.iter().enumerate() {
                circuits.push((wrapped::blank(program, 1)?.digest(), at, false));
                circuits.push((wrapped::blank_hired(program, 1)?.digest(), at, true));
            }
        }
        let unused = || {
            Fault::misuse("model.verifier-unused", "the key of one of the models' circuits", hex(&circuit))
        };
        let found = circuits.iter().find(|(known, _, _)| *known == circuit);
        let (_, at, hired) = found.ok_or_else(unused)?;
        let verifier = Verifier { key, hired: *hired };
        if let Some(Verifier { key: other, .. }) = keys[*at].replace(verifier) {
            return Err(Fault::misuse("model.verifier-twice", "one key a model", other.hash()));
        }
    }
    Ok(keys)
}

/// The DEVELOPMENT verification key of a model's circuit, in seconds: whoever knows `seed` forges proofs for it.
///
/// # Errors
/// `proof.wrap.*` for a model that cannot be wrapped.
pub fn development_verifier(model: &ModelFile, seed: &[u8; 32]) -> Result<VerifierKey> {
    let circuit = wrapped::blank(&model.program, 1)?;
    Ok(verifier_key(&key_words(&development::verification_key(&circuit, seed)?)))
}

/// The feed that a receipt's public words come from, and their row; nothing if its terms name no feed.
///
/// Errors: `reference.missing` when the feed says nothing of the window; the API's.
async fn with_row<T>(
    client: &Client,
    receipt: &Receipt,
    job: &Job,
    read: impl FnOnce(&ReferenceTable, Row<'_>) -> Option<T>,
) -> Result<Option<T>> {
    let terms = Terms::decode(&job.terms).map_err(|reason| Fault::from(&reason))?;
    let Some(feed) = terms.feed else { return Ok(None) };
    let table = client.feed(&feed).await?;
    let start_s = receipt.window_start;
    let read = table.reference(&feed, &receipt.device, start_s).and_then(|row| read(&table, row));
    let missing =
        || Fault::refused("reference.missing", format_args!("a row for {start_s} in feed {feed}"), "none");
    read.ok_or_else(missing).map(Some)
}

/// The public words of a receipt's window; none if its terms name no feed.
///
/// # Errors
/// `reference.missing` when the feed says nothing of the window; the API's.
pub async fn public_words(client: &Client, receipt: &Receipt) -> Result<Vec<i32>> {
    let job = client.job(&receipt.job).await?.job;
    Ok(with_row(client, receipt, &job, |_, row| Some(row.words.to_vec())).await?.unwrap_or_default())
}

/// What opens a receipt to a contract, with its wrapped proof: the job, its terms, and the window's public words in the job's feed.
///
/// # Errors
/// `reference.missing` when the feed says nothing of the window; the API's.
pub async fn evidence(client: &Client, receipt: SignedReceipt, proof: Vec<u8>) -> Result<Evidence> {
    let of = &receipt.receipt;
    let job = client.job(&of.job).await?.job;
    let opened =
        with_row(client, of, &job, |table, row| packed(row).zip(table.proof(&of.device, of.window_start)));
    let (public_words, feed_proof) = opened.await?.unwrap_or_default();
    Ok(Evidence { receipt, job, public_words, feed_proof, proof })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_have_classes_of_their_own() {
        assert_eq!(class_of(&Hash32::ZERO), 0);
        let mut id = Hash32([0xff; 32]);
        id.0[3] = 1;
        assert_eq!(class_of(&id), 0xffff_ff01);
    }
}

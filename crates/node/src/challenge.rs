//! The auditor's side of the challenge game (docs/spec/market.md, "Epoch").
//!
//! A poster that settles a receipt has to publish it: without receipt and path nobody can use it, neither for a cover nor for anything else. So an
//! auditor takes the receipts that an epoch was published with, sees that they are what the chain's root stands for, checks each with its
//! evidence as a stranger would, and demands a proof on chain for those that are worth nothing. The poster answers with the wrapped proof
//! or loses its bond. Roots for which nothing is published are the veto's.

use crate::audit::verify_receipt;
use crate::client::Client;
use crate::fault::{Fault, Kind, Result};
use crate::hire::name_of;
use crate::onchain::{evidence, public_words};
use crate::wire::ReasonDoc;
use crate::{wrapped, zk};
use proofmesh_market::tree::{Tree, receipt_leaf};
use proofmesh_market::{Domain, Hash32, Receipt, SignedReceipt, Usd};
use proofmesh_services::inference::{SERVICE, Stated, Terms};
use proofmesh_settle::{Done, Evidence, Settlement, Signer};
use serde::Serialize;
use std::path::Path;

/// The receipts of an epoch, in the order of its tree.
#[derive(Clone, Debug)]
pub struct Published {
    /// The epoch.
    pub epoch: u64,
    /// Its receipts.
    pub receipts: Vec<SignedReceipt>,
}

impl Published {
    /// What a coordinator publishes of an epoch.
    ///
    /// # Errors
    /// `epoch.unknown`, `receipt.*`, the API's.
    pub async fn of(client: &Client, epoch: u64) -> Result<Self> {
        let mut receipts = Vec::new();
        for digest in client.epoch(epoch).await?.receipts {
            receipts.push(SignedReceipt::decode(&client.receipt(&digest).await?.wire.0)?);
        }
        Ok(Published { epoch, receipts })
    }

    /// Siblings from a receipt's leaf to the root; `None` when it is not in the epoch.
    #[must_use]
    pub fn path(&self, domain: &Domain, digest: &Hash32) -> Option<Vec<Hash32>> {
        let at = self.receipts.iter().position(|signed| signed.receipt.digest(domain) == *digest)?;
        self.tree(domain).proof(at)
    }

    fn tree(&self, domain: &Domain) -> Tree {
        Tree::new(self.receipts.iter().map(|signed| receipt_leaf(&signed.receipt.digest(domain))).collect())
    }
}

/// A receipt that a pending epoch settles and that is not worth its pay.
#[derive(Clone, Debug, Serialize)]
pub struct Wrong {
    /// The epoch.
    pub epoch: u64,
    /// Digest of the receipt.
    pub digest: Hash32,
    /// Why it is worth nothing.
    pub reason: ReasonDoc,
    /// The receipt.
    #[serde(skip)]
    pub receipt: SignedReceipt,
    /// Siblings from its leaf to the epoch's receipts root.
    #[serde(skip)]
    pub path: Vec<Hash32>,
}

/// Checks every receipt that an epoch of the chain was published with.
///
/// # Errors
/// `challenge.not-posted`, `challenge.withheld` when these receipts are not what the chain's root stands for; trouble with what is needed to check.
pub async fn wrong(
    client: &Client,
    settlement: &dyn Settlement,
    published: &Published,
) -> Result<Vec<Wrong>> {
    let (epoch, domain) = (published.epoch, settlement.deployment().domain());
    let posted = settlement.epoch(epoch).await?;
    let posted =
        posted.ok_or_else(|| Fault::refused("challenge.not-posted", "an epoch of the chain", epoch))?;
    let tree = published.tree(&domain);
    if tree.root() != posted.epoch.receipts_root {
        let expected =
            format!("the receipts of root {}; without them only a veto is left", posted.epoch.receipts_root);
        return Err(Fault::refused("challenge.withheld", expected, tree.root()));
    }
    let mut found = Vec::new();
    for (at, receipt) in published.receipts.iter().enumerate() {
        match verify_receipt(client, receipt).await {
            Ok(_) => {}
            Err(fault) if fault.kind == Kind::Refused => found.push(Wrong {
                epoch,
                digest: receipt.receipt.digest(&domain),
                reason: fault.into(),
                receipt: receipt.clone(),
                path: tree.proof(at).unwrap_or_default(),
            }),
            Err(fault) => return Err(fault),
        }
    }
    Ok(found)
}

/// Demands a proof of a receipt that a pending epoch settles, with the challenge bond of `by`.
///
/// # Errors
/// `chain.NoVerifier` for a model that had no verifier before the epoch was posted; the contract's other refusals.
pub async fn open(
    settlement: &dyn Settlement,
    by: &Signer,
    epoch: u64,
    receipt: &Receipt,
    path: &[Hash32],
) -> Result<Done> {
    Ok(settlement.challenge(by, epoch, receipt, path).await?)
}

/// How a challenge that nobody answered ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Won {
    /// What the accuser has more than before the end: its own bond, and half of the poster's.
    pub received: Usd,
    /// What the poster lost.
    pub lost: Usd,
    /// Gas of the ending.
    pub gas: u64,
}

/// Answers a challenge with the evidence of its receipt: the challenger's bond goes to the poster. Gives the gas.
///
/// # Errors
/// `challenge.not-open`; the contract's refusals.
pub async fn answer(
    settlement: &dyn Settlement,
    by: &Signer,
    epoch: u64,
    evidence: &Evidence,
) -> Result<u64> {
    Ok(ended(settlement.answer(by, epoch, evidence).await?, epoch)?.gas())
}

/// Whoever ends a challenge wants to know that it was this call that did.
fn ended(done: Done, epoch: u64) -> Result<Done> {
    match done {
        Done::Already => Err(Fault::refused(
            "challenge.not-open",
            format_args!("an open challenge of this receipt in epoch {epoch}"),
            "none: it was answered or ended before, or never made",
        )),
        sent @ Done::Sent(_) => Ok(sent),
    }
}

/// Answers a challenge without the node that made the receipt: wraps the proof that is its evidence by the key that `dir` keeps. Gives the gas.
/// Half a minute to minutes of all cores, gigabytes of memory.
///
/// # Errors
/// `challenge.not-wrappable` for a proof that only its node can wrap, `wrap.no-key`, `challenge.other-key`; those of [`answer`].
pub async fn defend(
    client: &Client,
    settlement: &dyn Settlement,
    by: &Signer,
    (epoch, signed): (u64, SignedReceipt),
    dir: &Path,
    watch: &mut (dyn FnMut(&'static str) + Send),
) -> Result<u64> {
    let receipt = &signed.receipt;
    let job = client.job(&receipt.job).await?.job;
    let wrappable =
        job.service == SERVICE.id() && Terms::decode(&job.terms).is_ok_and(|terms| terms.wrappable);
    if !wrappable {
        let expected = "a receipt of a job for wrappable proofs; of others `proofmesh node wrap` on the machine that made it, and --proof";
        return Err(Fault::refused("challenge.not-wrappable", expected, receipt.job));
    }
    let model = client.model(&receipt.model).await?;
    let public = public_words(client, receipt).await?;
    let context = receipt.context(&settlement.deployment().domain());
    let output = signed.output_words();
    let stated = Stated {
        model: receipt.model.0,
        input: receipt.input.0,
        public_input: &public,
        output: &output,
        context: context.0,
    };
    let (statement, proof) = (zk::stated_of(&model, &stated), client.blob(&receipt.evidence).await?);
    let asked = client.verifier(&receipt.model).await?.map(|key| key.hash());
    let wrapped = tokio::task::block_in_place(|| {
        watch("reading the key");
        let circuit = wrapped::blank_hired(&model.program, 1)?.digest();
        let path = wrapped::key_path(dir, &circuit);
        if !path.exists() {
            let expected = "`proofmesh wrap set-up --hiding`, or a ceremony's key in its place";
            return Err(Fault::misuse("wrap.no-key", expected, path.display()));
        }
        let key = wrapped::open(&path, &circuit, None)?;
        let name = name_of(&key.proving.vk);
        if asked != Some(name) {
            let asked = asked.map_or("none".to_owned(), |asked| asked.to_string());
            return Err(Fault::refused(
                "challenge.other-key",
                format_args!("key {asked}, the contract's"),
                name,
            ));
        }
        wrapped::wrap_handed(statement, &proof, &key, watch)
    })?;
    let evidence = evidence(client, signed, wrapped.proof.to_vec()).await?;
    answer(settlement, by, epoch, &evidence).await
}

/// Ends a challenge whose time is over: the epoch and all after it are struck, the poster's bond goes half to the challenger and half to nobody.
///
/// # Errors
/// `challenge.not-open`; `chain.TooEarly`, the contract's other refusals.
pub async fn resolve(settlement: &dyn Settlement, by: &Signer, epoch: u64, digest: Hash32) -> Result<Won> {
    let before = (settlement.balance_of(by.account()).await?, settlement.poster_bond().await?);
    let done = ended(settlement.resolve(by, epoch, digest).await?, epoch)?;
    let after = (settlement.balance_of(by.account()).await?, settlement.poster_bond().await?);
    Ok(Won {
        received: after.0.checked_sub(before.0).unwrap_or_default(),
        lost: before.1.checked_sub(after.1).unwrap_or_default(),
        gas: done.gas(),
    })
}

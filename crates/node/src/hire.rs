//! Wrapping for hire through the market: a buyer posts a job about one statement, with a proof that hides, which the coordinator keeps as it keeps
//! evidence; a node that offers the service fetches it, checks it, wraps it, and hands in a receipt whose evidence is the Groth16 proof; the buyer
//! takes these 256 bytes to a contract.
//!
//! Refuses: `wrap.key-unknown`, `wrap.hired-key`, `wrap.not-my-work`, `wrap.price`, `wrap.batch`, `wrap.not-wrapped`, and the names of the service.

use crate::buyer::fund;
use crate::client::Client;
use crate::engine::blobs::replace;
use crate::fault::{Fault, Result};
use crate::member::Member;
use crate::pledge::{EXPOSURE, Takes};
use crate::wire::{Delivered, HandOverDoc, Hex, JobDoc, MeasureDoc};
use crate::wrapped::{self, Wrapped, wrap_handed, wrap_watched};
use crate::{onchain, zk};
use proofmesh_graph::statement::Statement;
use proofmesh_graph::tensor::Tensor;
use proofmesh_market::receipt::output_hash;
use proofmesh_market::{AccountSecret, Assurance, Device, Hash32, Job, Receipt, Signed, Usd, What, keccak};
use proofmesh_model::ModelFile;
use proofmesh_services::inference::Stated;
use proofmesh_services::wrap::{Handed, SERVICE, Terms};
use proofmesh_wrap::groth16::{PROOF_BYTES, VerifyingKey, key_words};
use proofmesh_wrap::keys::Key;
use rand::Rng;
use std::path::{Path, PathBuf};

/// Seconds after which a node shows again that it can wrap; the market forgets it after 90 days.
const MEASURED_S: u64 = 60 * 86_400;

/// Hears of each stage of a wrap as it begins.
pub type Watch<'a> = &'a mut (dyn FnMut(&'static str) + Send);

/// A contract's name of a key.
#[must_use]
pub fn name_of(key: &VerifyingKey) -> Hash32 {
    onchain::verifier_key(&key_words(key)).hash()
}

/// A node that wraps statements of one model by one key.
pub struct Wrapper {
    member: Member,
    model: ModelFile,
    id: Hash32,
    key: Key,
    key_name: Hash32,
    hired: bool,
    least: Usd,
}

impl Wrapper {
    /// Opens a node of this name, and joins the market with it; the first time, and every two months, it shows that it can wrap, which takes as long as a
    /// job. It takes jobs that pay `least` or more, of those that name no device `open` at a time: each has an hour at least.
    ///
    /// # Errors
    /// `wrap.key` for a key of another model, `wrap.hired-key`, `wrap.key-unknown`; the market's and the chain's refusals.
    pub async fn join(
        client: Client,
        (dir, name): (&Path, &str),
        (model, key): (ModelFile, Key),
        (least, open): (Usd, u16),
        watch: Watch<'_>,
    ) -> Result<Self> {
        let id = zk::model_id(&model)?;
        let hired = tokio::task::block_in_place(|| wrapped::is_hired(&model.program, 1, &key.circuit))?;
        if !hired && has_private(&model) {
            let expected = "a key of the hired circuit (`proofmesh wrap set-up --hiding`): strangers' private input comes in proofs that hide";
            return Err(Fault::refused("wrap.hired-key", expected, wrapped::kind(hired)));
        }
        let key_name = name_of(&key.proving.vk);
        let member = Member::open(client, dir, name).await?;
        if member.settlement.verifier_of_key(key_name).await?.is_none() {
            let expected = "the key of a contract of this market (`proofmesh up --verifier`)";
            return Err(Fault::refused("wrap.key-unknown", expected, key_name));
        }
        member.join(member.client.status().await?.rules.min_stake).await?;
        let wrapper = Wrapper { member, model, id, key, key_name, hired, least };
        wrapper.be_measured(watch).await?;
        let takes = Takes { exposure: EXPOSURE, least, open };
        wrapper.member.offer(SERVICE.id(), takes).await?;
        wrapper.member.resume().await?;
        Ok(wrapper)
    }

    /// Where it notes until when it counts as measured for its key.
    fn note(&self) -> PathBuf {
        self.member.dir().join("wraps").join(hex::encode(self.key_name.0))
    }

    /// Wraps an input of its own choice under the coordinator's challenge, unless it did so lately.
    async fn be_measured(&self, watch: Watch<'_>) -> Result<()> {
        let (node, now_s) = (self.member.address(), self.member.client.status().await?.now_s);
        let noted = std::fs::read_to_string(self.note()).ok().and_then(|text| text.parse::<u64>().ok());
        if noted.is_some_and(|until_s| now_s < until_s) {
            return Ok(());
        }
        let context = self.member.client.challenge(&node).await?.context;
        let words = vec![
            crate::coordinator::middle(self.model.program.input.interval);
            self.model.program.input.shape.len()
        ];
        let wrapped = tokio::task::block_in_place(|| self.prove(&words, &context, watch))?;
        let of = &wrapped.statement;
        let doc = MeasureDoc {
            node,
            model: self.id,
            input: Hash32(of.inputs[0].commitment),
            output: of.outputs[0].clone(),
            proof: Hex(wrapped.proof.to_vec()),
            key: Some(self.key_name),
        };
        self.member.client.measure(&doc).await?;
        replace(&self.note(), now_s.saturating_add(MEASURED_S).to_string().as_bytes())
    }

    /// Proves words and wraps the proof, by whichever circuit its key is of.
    fn prove(&self, words: &[i32], context: &Hash32, watch: Watch<'_>) -> Result<Wrapped> {
        let mut rng = zk::os_rng()?;
        let inputs: [Tensor; 1] = [self.model.from_integers(words)?];
        let salts = [proofmesh_prover::salt(&mut rng)];
        let program = &self.model.program;
        let job = proofmesh_prover::Job {
            program,
            inputs: &inputs,
            salts: &salts,
            weight_salt: None,
            context: &context.0,
        };
        if self.hired {
            let (of, proof) = wrapped::hide(&job, &mut rng)?;
            wrap_handed(of, &proof, &self.key, watch)
        } else {
            wrap_watched(&job, &self.key, &mut rng, watch)
        }
    }

    /// Its account and its device.
    #[must_use]
    pub fn who(&self) -> (proofmesh_market::Address, Device) {
        (self.member.address(), self.member.device.device())
    }

    /// Wrapping jobs that it was drawn for and has handed nothing in for, but for those that another was faster with.
    ///
    /// # Errors
    /// The API's.
    pub async fn assigned(&self) -> Result<Vec<JobDoc>> {
        let node = self.member.address();
        let mine = |job: &JobDoc| {
            let work = job.units < job.job.max_units;
            job.status == "assigned" && job.job.service == SERVICE.id() && job.nodes.contains(&node) && work
        };
        let mut jobs = Vec::new();
        for job in self.member.client.jobs_of(&node).await?.into_iter().filter(mine) {
            if self.member.client.receipts_of(&job.id).await?.iter().all(|receipt| receipt.node != node) {
                jobs.push(job);
            }
        }
        Ok(jobs)
    }

    /// Does a job: fetches what is handed over, checks and wraps it, hands in the receipt. Nothing is signed about a proof that does not hold.
    ///
    /// # Errors
    /// `wrap.not-my-work`, `wrap.price`, `wrap.terms`, `wrap.handed`; `blob.*`; the verifier's name for a proof that does not hold.
    pub async fn work(&self, doc: &JobDoc, watch: Watch<'_>) -> Result<Delivered> {
        let job = &doc.job;
        let terms = Terms::decode(&job.terms).map_err(|reason| Fault::from(&reason))?;
        if job.model != self.id || terms.key != self.key_name || (terms.own && terms.handed.is_none()) {
            let expected =
                format!("model {}, key {}, a proof handed over or public input", self.id, self.key_name);
            return Err(Fault::refused("wrap.not-my-work", expected, doc.id));
        }
        if job.unit_price < self.least {
            return Err(Fault::refused(
                "wrap.price",
                format_args!("at least {} USD", self.least),
                job.unit_price,
            ));
        }
        let wrapped = match terms.handed.filter(|_| job.input != Hash32::ZERO) {
            Some(named) => {
                let bytes = self.member.client.blob(&named).await?;
                let words = zk::card(&self.model)?.output_words;
                let handed = Handed::decode(&bytes, words).map_err(|reason| Fault::from(&reason))?;
                let of = statement(&self.model, job, &terms, &handed.output);
                tokio::task::block_in_place(|| wrap_handed(of, &handed.proof, &self.key, watch))?
            }
            None => tokio::task::block_in_place(|| self.prove(&terms.public, &terms.context, watch))?,
        };
        let signed = self.sign(doc, &wrapped).await?;
        self.member.hand_in(&signed, &wrapped.proof).await
    }

    async fn sign(&self, doc: &JobDoc, wrapped: &Wrapped) -> Result<proofmesh_market::SignedReceipt> {
        let (output, place) = (&wrapped.statement.outputs[0], self.member.place().await?);
        let receipt = Receipt {
            job: doc.id,
            sequence: place.next_sequence,
            node: self.member.address(),
            device: self.member.device.device(),
            service: SERVICE.id(),
            model: self.id,
            input: doc.job.input,
            output: output_hash(output),
            units: 1,
            // One statement: one window, the job's first second, so that it is paid once.
            window_start: doc.job.window_from_s,
            window_end: doc.job.window_from_s.saturating_add(1),
            evidence: keccak(&wrapped.proof),
            previous: place.head,
        };
        Ok(receipt.sign(&self.member.domain, output, &self.member.device, &self.member.account)?)
    }
}

fn has_private(model: &ModelFile) -> bool {
    !model.program.input.private_elements().is_empty()
}

/// What a job is about, with the output that somebody says it has.
fn statement(model: &ModelFile, job: &Job, terms: &Terms, output: &[i32]) -> Statement {
    let (input, context) = (job.input.0, terms.context.0);
    zk::stated_of(model, &Stated { model: job.model.0, input, public_input: &terms.public, output, context })
}

/// A statement to be wrapped.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The statement: one input, a context of 32 bytes.
    pub statement: Statement,
    /// A proof of it that hides; `None` for a model whose input is all public.
    pub proof: Option<Vec<u8>>,
    /// Name of the key: [`name_of`].
    pub key: Hash32,
    /// Dollars.
    pub price: Usd,
    /// Seconds from now in which it is wanted.
    pub open_s: u64,
    /// The devices of nodes that may do it, ascending; any if there are none.
    pub devices: Vec<Device>,
}

/// Posts a job, and hands over its proof. Gives the job's id.
///
/// # Errors
/// `wrap.batch`, `wrap.context`; the coordinator's refusals.
pub async fn order(client: &Client, buyer: &AccountSecret, wanted: Wanted) -> Result<Hash32> {
    let Wanted { statement, proof, key, price, open_s, devices } = wanted;
    let ([input], [output]) = (&statement.inputs[..], &statement.outputs[..]) else {
        return Err(Fault::refused("wrap.batch", "a statement about one input", statement.inputs.len()));
    };
    let context: [u8; 32] = statement.context[..]
        .try_into()
        .map_err(|_| Fault::refused("wrap.context", "32 bytes", statement.context.len()))?;
    let handed = proof.map(|proof| Handed { output: output.clone(), proof });
    let terms = Terms {
        own: false,
        context: Hash32(context),
        key,
        handed: handed.as_ref().map(Handed::digest),
        public: input.public.clone(),
    };
    let mut salt = [0; 32];
    zk::os_rng()?.fill_bytes(&mut salt);
    let status = client.status().await?;
    let job = Job {
        buyer: buyer.address(),
        salt: Hash32(salt),
        service: SERVICE.id(),
        model: Hash32(statement.model_id()),
        input: Hash32(if handed.is_some() { input.commitment } else { [0; 32] }),
        unit_price: price,
        max_units: 1,
        window_from_s: status.now_s.saturating_sub(1),
        window_until_s: status.now_s,
        deadline_s: status.now_s.saturating_add(open_s),
        assurance: Assurance::Proof,
        slots: 1,
        cell: 0,
        devices,
        terms: terms.encode(),
    };
    fund(client, &*client.settlement().await?, buyer, job.escrow()?).await?;
    let Signed { order, signature } = Signed::new(job, &status.domain, buyer)?;
    match handed {
        Some(handed) => {
            client.hand_over(&HandOverDoc { order, signature, handed: Hex(handed.encode()) }).await
        }
        None => client.order(&What::JobPosted(Signed { order, signature })).await,
    }
}

/// What came of a job: the statement, and the 256 bytes, checked by the caller's own copy of the key. `None` while nothing is accepted.
///
/// # Errors
/// `wrap.not-my-work` for another job or key; `wrap.not-wrapped` when it ended without a proof; `wrap.proof`, `wrap.encoding` for a proof that does not hold.
pub async fn collect(
    client: &Client,
    model: &ModelFile,
    job: &Hash32,
    key: &VerifyingKey,
) -> Result<Option<(Statement, [u8; PROOF_BYTES])>> {
    let doc = client.job(job).await?;
    let terms = Terms::decode(&doc.job.terms).map_err(|reason| Fault::from(&reason))?;
    let (id, name) = (zk::model_id(model)?, name_of(key));
    if doc.job.service != SERVICE.id() || doc.job.model != id || terms.key != name {
        let expected = format!("a wrapping job of model {id} and key {name}");
        return Err(Fault::refused("wrap.not-my-work", expected, job));
    }
    let receipts = client.receipts_of(job).await?;
    let Some(receipt) = receipts.iter().find(|it| matches!(it.status.as_str(), "accepted" | "settled"))
    else {
        if doc.status == "ended" {
            return Err(Fault::refused("wrap.not-wrapped", "an accepted receipt before the job's end", job));
        }
        return Ok(None);
    };
    let evidence = client.blob(&receipt.evidence).await?;
    let length = evidence.len();
    let proof = evidence
        .try_into()
        .map_err(|_| Fault::refused("wrap.encoding", format_args!("{PROOF_BYTES} bytes"), length))?;
    let of = statement(model, &doc.job, &terms, &receipt.output);
    wrapped::check(key, &of, &proof)?;
    Ok(Some((of, proof)))
}

//! The operator node: takes a device's signed readings, proves each day of its jobs, hands in receipts, as a
//! [`Member`] of the market.

use crate::client::Client;
use crate::device::{Readings, Source};
use crate::engine::keys::Keys;
use crate::fault::{Fault, Kind, Result};
use crate::member::Member;
use crate::owner::Policy;
use crate::pledge::Takes;
use crate::weather::{PHASE_S, STATIONS, date};
use crate::wire::{Delivered, Hex, MeasureDoc, NodeDoc, ReasonDoc};
use crate::zk;
use proofmesh_graph::statement::{self, Statement};
use proofmesh_market::receipt::{context, output_hash};
use proofmesh_market::{
    AccountSecret, Address, DeviceSecret, Hash32, Job, Receipt, SignedReceipt, Usd, keccak,
};
use proofmesh_model::ModelFile;
use proofmesh_services::inference::{SERVICE, Terms};
use proofmesh_services::window::WINDOW_S;
use proofmesh_wrap::hired;
use proofmesh_wrap::keys::Key;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::Instant;

/// Windows of one job that a node looks at.
const WINDOWS_MAX: u64 = 4_096;

/// A node with one station.
pub struct Operator {
    member: Member,
    salt_seed: [u8; 32],
    station: usize,
    source: Source,
}

/// What became of one day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DayDoc {
    /// Station.
    pub station: String,
    /// Date.
    pub date: String,
    /// `paid`, `refused`, `pending` (its checkers are still to be drawn), `skipped` (nothing was proved), or `practised` (nothing was handed in).
    pub outcome: String,
    /// Why not.
    pub reason: Option<ReasonDoc>,
    /// Digest of the receipt, if there is one.
    pub receipt: Option<Hash32>,
    /// Words of the public output.
    pub output: Vec<i32>,
    /// Milliseconds to prove.
    pub prove_ms: f64,
    /// Bytes of the proof.
    pub proof_bytes: usize,
    /// Milliseconds to check, as the coordinator measured.
    pub check_ms: f64,
}

/// A proved day before it is signed.
pub struct ProvedDay {
    /// First second.
    pub start_s: u64,
    /// What is proved.
    pub statement: Statement,
    /// The proof.
    pub proof: Vec<u8>,
    /// Of the kind that a stranger can wrap.
    pub wrappable: bool,
    /// Milliseconds.
    pub prove_ms: f64,
}

impl Operator {
    /// A node of this name with these readings; keys under `dir/keys`, outbox under `dir/nodes/NAME`.
    ///
    /// # Errors
    /// `key.*`, `api.*`, the chain's.
    pub async fn new(
        client: Client,
        dir: &Path,
        name: &str,
        station: usize,
        readings: impl Into<Readings>,
    ) -> Result<Self> {
        let keys = Keys::open(&dir.join("keys"))?;
        let member = Member::open(client, dir, name).await?;
        let source = Source::new(readings.into(), member.device.clone());
        Ok(Operator { member, salt_seed: keys.seed(&format!("{name}-salt"))?, station, source })
    }

    /// Its account.
    #[must_use]
    pub fn account(&self) -> Address {
        self.member.address()
    }

    /// Its account's secret, for a claim or an order.
    #[must_use]
    pub fn secret(&self) -> &AccountSecret {
        &self.member.account
    }

    /// Its device's secret.
    #[must_use]
    pub fn device(&self) -> &DeviceSecret {
        &self.member.device
    }

    /// Its station's name.
    #[must_use]
    pub fn station(&self) -> &'static str {
        STATIONS[self.station]
    }

    /// Joins the market, as far as it has not: on chain (node, stake, device) and in the log (enrolment,
    /// device). Gives the test money minted.
    ///
    /// # Errors
    /// The market's and the chain's refusals.
    pub async fn join(&self, stake: Usd) -> Result<Usd> {
        self.member.join(stake).await
    }

    /// Pledges and offers its work, where the market has guards: [`Member::offer`]. It is drawn for jobs that name its
    /// device and pay what its owner asks.
    ///
    /// # Errors
    /// `limit.*`, `offer.*`, `pledge.*`, `owner.json`, the chain's.
    pub async fn offer(&self) -> Result<Usd> {
        let policy = Policy::read(self.member.dir())?;
        let least = policy.map_or(Usd::ZERO, |policy| policy.limits.least_price);
        self.member.offer(SERVICE.id(), Takes::named(least)).await
    }

    /// Proves an input of its own choice under the coordinator's challenge, unless it was measured for the
    /// model, and offers its work. Gives the test money minted for its pledge.
    ///
    /// # Errors
    /// `measure.*`, `offer.*`, `pledge.*`.
    pub async fn be_measured(&self, model: &ModelFile) -> Result<Usd> {
        let id = zk::model_id(model)?;
        let known: NodeDoc = self.member.client.node(&self.account()).await?;
        if known.capabilities.iter().any(|(model, _)| *model == id) {
            return self.offer().await;
        }
        let challenge = self.member.client.challenge(&self.account()).await?;
        let zero = crate::coordinator::middle(model.program.input.interval);
        let words = vec![zero; model.program.input.shape.len()];
        let proved =
            tokio::task::block_in_place(|| zk::prove(model, &words, self.salt(&[]), &challenge.context))?;
        let doc = MeasureDoc {
            node: self.account(),
            model: id,
            input: Hash32(proved.statement.inputs[0].commitment),
            output: proved.statement.outputs[0].clone(),
            proof: Hex(proved.file),
            key: None,
        };
        self.member.client.measure(&doc).await?;
        self.offer().await
    }

    /// The seed of a commitment's salt: known to this node alone, the same for one purpose.
    fn salt(&self, purpose: &[u8]) -> [u8; 32] {
        let tag = keccak(b"proofmesh/salt/v1");
        keccak(&[&tag.0[..], &self.salt_seed, purpose].concat()).0
    }

    /// Lets a recorded device measure until a day's last reading and those that a gap at its end may need, and
    /// takes the readings in. Live readings come by themselves.
    ///
    /// # Errors
    /// `reading.*`.
    pub fn hear(&mut self, start_s: u64) -> Result<()> {
        self.source.hear(start_s)
    }

    /// The words of a day's own readings.
    ///
    /// # Errors
    /// `window.incomplete`, `window.*`.
    pub fn words(&self, start_s: u64) -> Result<Vec<i32>> {
        Ok(self.source.day(start_s)?.words())
    }

    /// Proves a day under the context of the receipt that comes next, by the kind of proof that the job's terms ask for.
    ///
    /// # Errors
    /// `window.incomplete`, `reference.missing`, `prover.failed`.
    pub async fn prove(
        &self,
        model: &ModelFile,
        (id, job): (&Hash32, &Job),
        own: &[i32],
        public: &[i32],
        start_s: u64,
    ) -> Result<ProvedDay> {
        let terms = Terms::decode(&job.terms).map_err(|reason| Fault::from(&reason))?;
        let node = self.member.client.node(&self.account()).await?;
        let context = context(
            &self.member.domain,
            id,
            node.next_sequence,
            &self.account(),
            &self.member.device.device(),
        );
        let words = [own, public].concat();
        let salt = self.salt(&[&id.0[..], &start_s.to_be_bytes()].concat());
        let began = Instant::now();
        let (statement, proof) = tokio::task::block_in_place(|| {
            if terms.wrappable {
                return zk::hide(model, &words, salt, &context);
            }
            zk::prove(model, &words, salt, &context).map(|proved| (proved.statement, proved.file))
        })?;
        let prove_ms = began.elapsed().as_secs_f64() * 1_000.0;
        Ok(ProvedDay { start_s, statement, proof, wrappable: terms.wrappable, prove_ms })
    }

    /// Wraps the proof of a receipt of this node's for contracts, from the readings that it still has. Minutes of both cores, gigabytes of memory.
    ///
    /// # Errors
    /// `window.incomplete`, `proof.wrap.*`; `receipt.wrong-input` when the readings are no longer those that the receipt commits to.
    pub fn wrap(
        &self,
        model: &ModelFile,
        key: &Key,
        receipt: &SignedReceipt,
        public: &[i32],
    ) -> Result<[u8; 256]> {
        let (words, salt, context) = self.again(receipt, public)?;
        let wrapped = zk::wrap(model, &words, salt, &context, key)?;
        require_input(receipt, &wrapped.statement)?;
        Ok(wrapped.proof)
    }

    /// Proves a receipt of this node's again so that a stranger can wrap the proof, which hides the readings. Seconds.
    ///
    /// # Errors
    /// As [`Operator::wrap`].
    pub fn hide(
        &self,
        model: &ModelFile,
        receipt: &SignedReceipt,
        public: &[i32],
    ) -> Result<(Statement, Vec<u8>)> {
        let (words, salt, context) = self.again(receipt, public)?;
        let (statement, proof) = zk::hide(model, &words, salt, &context)?;
        require_input(receipt, &statement)?;
        Ok((statement, proof))
    }

    /// Words, salt's seed and context of a receipt of this node's.
    fn again(&self, receipt: &SignedReceipt, public: &[i32]) -> Result<(Vec<i32>, [u8; 32], Hash32)> {
        let start_s = receipt.receipt.window_start;
        let words = [self.words(start_s)?, public.to_vec()].concat();
        let salt = self.salt(&[&receipt.receipt.job.0[..], &start_s.to_be_bytes()].concat());
        Ok((words, salt, receipt.receipt.context(&self.member.domain)))
    }

    /// Signs the receipt of a proved day, at the node's next place, claiming `output`.
    ///
    /// # Errors
    /// `api.*`, `receipt.*`.
    pub async fn sign(
        &self,
        job: &Hash32,
        model: Hash32,
        day: &ProvedDay,
        output: &[i32],
    ) -> Result<SignedReceipt> {
        let node = self.member.place().await?;
        let receipt = Receipt {
            job: *job,
            sequence: node.next_sequence,
            node: self.account(),
            device: self.member.device.device(),
            service: SERVICE.id(),
            model,
            input: Hash32(day.statement.inputs[0].commitment),
            output: output_hash(output),
            units: 1,
            window_start: day.start_s,
            window_end: day.start_s + WINDOW_S,
            evidence: keccak(&day.proof),
            previous: node.head,
        };
        Ok(receipt.sign(&self.member.domain, output, &self.member.device, &self.member.account)?)
    }

    /// Makes a receipt durable, then hands it in: [`Member::hand_in`].
    ///
    /// # Errors
    /// `outbox.taken`; the coordinator's refusals.
    pub async fn hand_in(&self, receipt: &SignedReceipt, proof: &[u8]) -> Result<Delivered> {
        self.member.hand_in(receipt, proof).await
    }

    /// Hands in again what an earlier run signed and may not have delivered. Gives what became of it.
    ///
    /// # Errors
    /// `file.io`, `receipt.*`.
    pub async fn resume(&self) -> Result<Option<Delivered>> {
        self.member.resume().await
    }

    /// One day of a job: heard, proved, signed, handed in. Days that cannot be proved are said to be skipped,
    /// with the reason.
    ///
    /// # Errors
    /// Trouble; a refusal of the receipt is an outcome.
    pub async fn work(
        &mut self,
        model: &ModelFile,
        id: &Hash32,
        job: &Job,
        public: Option<&[i32]>,
        start_s: u64,
    ) -> Result<DayDoc> {
        let day = match self.proved(model, (id, job), public, start_s).await? {
            Ok(day) => day,
            Err(skipped) => return Ok(skipped),
        };
        let output = day.statement.outputs[0].clone();
        let receipt = self.sign(id, job.model, &day, &output).await?;
        let delivered = self.hand_in(&receipt, &day.proof).await?;
        Ok(self.done(&day, delivered))
    }

    /// One day as in [`Operator::work`], but the proof is checked here and nothing is signed or handed in.
    ///
    /// # Errors
    /// Trouble, and `proof.*` if the node's own proof does not check.
    pub async fn practise(
        &mut self,
        model: &ModelFile,
        job: (&Hash32, &Job),
        public: Option<&[i32]>,
        start_s: u64,
    ) -> Result<DayDoc> {
        let day = match self.proved(model, job, public, start_s).await? {
            Ok(day) => day,
            Err(skipped) => return Ok(skipped),
        };
        let began = Instant::now();
        tokio::task::block_in_place(|| {
            if day.wrappable {
                hired::accept(&day.statement, &day.proof).map(drop)
            } else {
                statement::verify(&day.statement, &day.proof)
            }
        })?;
        let check_ms = began.elapsed().as_secs_f64() * 1_000.0;
        Ok(DayDoc {
            station: self.station().to_owned(),
            date: date(start_s),
            outcome: "practised".to_owned(),
            reason: None,
            receipt: None,
            output: day.statement.outputs[0].clone(),
            prove_ms: day.prove_ms,
            proof_bytes: day.proof.len(),
            check_ms,
        })
    }

    /// A day heard and proved, or what is said of a day that cannot be.
    async fn proved(
        &mut self,
        model: &ModelFile,
        job: (&Hash32, &Job),
        public: Option<&[i32]>,
        start_s: u64,
    ) -> Result<std::result::Result<ProvedDay, DayDoc>> {
        self.hear(start_s)?;
        let own = match self.words(start_s) {
            Err(fault) if fault.kind == Kind::Refused => return Ok(Err(self.skipped(start_s, fault))),
            own => own?,
        };
        let Some(public) = public else {
            let fault = Fault::refused("reference.missing", "complete readings of both neighbours", "a gap");
            return Ok(Err(self.skipped(start_s, fault)));
        };
        self.prove(model, job, &own, public, start_s).await.map(Ok)
    }

    fn skipped(&self, start_s: u64, fault: Fault) -> DayDoc {
        DayDoc {
            station: self.station().to_owned(),
            date: date(start_s),
            outcome: "skipped".to_owned(),
            reason: Some(fault.into()),
            receipt: None,
            output: Vec::new(),
            prove_ms: 0.0,
            proof_bytes: 0,
            check_ms: 0.0,
        }
    }

    fn done(&self, day: &ProvedDay, delivered: Delivered) -> DayDoc {
        DayDoc {
            station: self.station().to_owned(),
            date: date(day.start_s),
            outcome: match delivered.receipt.status.as_str() {
                "accepted" | "settled" => "paid",
                "pending" => "pending",
                _ => "refused",
            }
            .to_owned(),
            reason: delivered.receipt.reason,
            receipt: Some(delivered.receipt.digest),
            output: day.statement.outputs[0].clone(),
            prove_ms: day.prove_ms,
            proof_bytes: day.proof.len(),
            check_ms: delivered.check_ms,
        }
    }
}

fn require_input(receipt: &SignedReceipt, statement: &Statement) -> Result<()> {
    let stated = Hash32(statement.inputs[0].commitment);
    if stated == receipt.receipt.input {
        return Ok(());
    }
    Err(Fault::refused("receipt.wrong-input", receipt.receipt.input, stated))
}

/// Whether a job asks for what this node does: whole days of the weather service. Anything else would cost it strikes.
///
/// # Errors
/// `node.not-my-work`.
pub fn require_fit(job: &Job) -> Result<()> {
    let terms = Terms::decode(&job.terms).map_err(|reason| Fault::from(&reason))?;
    let days = terms.window_s == WINDOW_S && terms.phase_s == PHASE_S;
    if job.service != SERVICE.id() || !days {
        return Err(Fault::refused("node.not-my-work", "whole days of the inference service", job.service));
    }
    Ok(())
}

/// First seconds of the windows that a job asks for.
#[must_use]
pub fn windows(job: &Job) -> Vec<u64> {
    let Ok(terms) = Terms::decode(&job.terms) else { return Vec::new() };
    let (length_s, phase_s) =
        if terms.window_s == 0 { (WINDOW_S, PHASE_S) } else { (terms.window_s, terms.phase_s) };
    let ahead_s = (phase_s + length_s - job.window_from_s % length_s) % length_s;
    let first_s = job.window_from_s.saturating_add(ahead_s);
    let count = job.window_until_s.saturating_sub(first_s) / length_s;
    (0..count.min(WINDOWS_MAX))
        .map(|number| first_s.saturating_add(number.saturating_mul(length_s)))
        .collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proofmesh_market::Assurance;

    /// A job of a buyer at one micro-USD a unit.
    pub(crate) fn job(service: Hash32, window_s: u64) -> Job {
        let terms = Terms { class: Some(0), window_s, phase_s: PHASE_S, ..Terms::default() };
        Job {
            buyer: Address([1; 20]),
            salt: Hash32::ZERO,
            service,
            model: Hash32::ZERO,
            input: Hash32::ZERO,
            unit_price: proofmesh_market::Usd::from_micro(1),
            max_units: 1,
            window_from_s: 0,
            window_until_s: u64::MAX,
            deadline_s: u64::MAX,
            assurance: Assurance::Proof,
            slots: 1,
            cell: 0,
            devices: Vec::new(),
            terms: terms.encode(),
        }
    }

    #[test]
    fn a_job_that_is_not_this_nodes_work_is_refused_by_name() {
        require_fit(&job(SERVICE.id(), WINDOW_S)).expect("whole days");
        for other in [job(SERVICE.id(), 2 * WINDOW_S), job(Hash32([7; 32]), WINDOW_S)] {
            assert_eq!(require_fit(&other).expect_err("refused").name, "node.not-my-work");
        }
    }
}

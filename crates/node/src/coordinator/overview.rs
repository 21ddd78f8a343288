//! What there is to see in sum: members, the newest receipts and epochs, model cards, the money over time.

use super::Coordinator;
use crate::fault::{Fault, Result};
use crate::tally::NEWEST;
use crate::wire::overview::{
    ChainEpochDoc, EconomicsDoc, EpochsDoc, MemberDoc, ModelDoc, NewsDoc, PayoutDoc, PlacedDevice, PriceDoc,
    TensorDoc,
};
use crate::wire::{EpochDoc, NodeDoc, ReceiptDoc};
use crate::zk::{card, model_id};
use proofmesh_market::state::{DeliveredReceipt, ReceiptStatus};
use proofmesh_market::{Address, Hash32, Job, State, Usd};
use proofmesh_model::ModelFile;
use proofmesh_prover::{Machine, forecast};
use proofmesh_services::by_id;
use std::collections::BTreeMap;
use std::sync::PoisonError;

impl Coordinator {
    /// How far the log is.
    #[must_use]
    pub fn news_now(&self) -> NewsDoc {
        NewsDoc { events: self.with_state(State::events), now_s: self.time().now_s() }
    }

    /// All nodes with their devices and sums.
    #[must_use]
    pub fn members(&self) -> Vec<MemberDoc> {
        self.with_state(|state| {
            let mut members: BTreeMap<Address, MemberDoc> = state
                .nodes()
                .iter()
                .map(|(address, node)| (*address, member(NodeDoc::of(address, node))))
                .collect();
            for (device, binding) in state.devices() {
                if let Some(member) = members.get_mut(&binding.node) {
                    member.devices.push(PlacedDevice { device: *device, cell: binding.cell });
                }
            }
            for delivered in state.receipts().values() {
                if let Some(member) = members.get_mut(&delivered.signed.receipt.node) {
                    count(member, delivered);
                }
            }
            members.into_values().collect()
        })
    }

    /// The newest receipts, newest first.
    #[must_use]
    pub fn newest_receipts(&self) -> Vec<ReceiptDoc> {
        self.with_tally(|state, tally| {
            let found = tally.newest().filter_map(|digest| state.receipts().get_key_value(digest));
            found.map(|(digest, delivered)| ReceiptDoc::of(digest, delivered)).collect()
        })
    }

    /// The newest epochs, newest first.
    #[must_use]
    pub fn newest_epochs(&self) -> EpochsDoc {
        self.with_state(|state| {
            let newest = state.epochs().iter().rev().take(NEWEST);
            let epochs = newest.map(|closed| EpochDoc {
                epoch: closed.epoch.clone(),
                posted: state.posted().get(&closed.epoch.number).copied(),
                receipts: closed.receipts.clone(),
                balances: closed.balances.clone(),
            });
            EpochsDoc { count: state.epochs().len() as u64, epochs: epochs.collect() }
        })
    }

    /// An epoch as the contract has it.
    ///
    /// # Errors
    /// `epoch.not-posted.unknown`, the chain's.
    pub async fn chain_epoch(&self, number: u64) -> Result<ChainEpochDoc> {
        let found = self.settlement().epoch(number).await?;
        let found =
            found.ok_or_else(|| Fault::refused("epoch.not-posted.unknown", "an epoch on chain", number))?;
        let deployment = self.settlement().deployment();
        Ok(ChainEpochDoc {
            epoch: found.epoch,
            posted_s: found.posted_at,
            is_final: found.is_final,
            chain_id: deployment.chain_id,
            settlement: deployment.settlement,
        })
    }

    /// The cards of all models.
    ///
    /// # Errors
    /// `program.refused`, `model.too-large`.
    pub fn model_cards(&self) -> Result<Vec<ModelDoc>> {
        let models = self.models.read().unwrap_or_else(PoisonError::into_inner);
        let files: Vec<&ModelFile> = models.ids().iter().filter_map(|id| models.get(id)).collect();
        files.into_iter().map(|file| self.model_card(file)).collect()
    }

    fn model_card(&self, file: &ModelFile) -> Result<ModelDoc> {
        let (id, card) = (model_id(file)?, card(file)?);
        let expected = forecast(&file.program, 1, Machine::REFERENCE)
            .map_err(|error| Fault::refused("model.too-large", "a program that can be proved", error))?;
        let tally = self.with_tally(|_, tally| tally.model(&id));
        let said = (0..card.classes.len()).map(|class| {
            i32::try_from(class).ok().and_then(|class| tally.said.get(&class)).copied().unwrap_or_default()
        });
        let said = said.collect();
        let (meta, report) = (&file.meta, &file.meta.report);
        let shape = |shape: [usize; 3]| shape.map(|side| side as u64).to_vec();
        let tensors = report.tensors.iter().map(|tensor| TensorDoc {
            name: tensor.name.clone(),
            shape: shape(tensor.shape),
            bits: tensor.bits,
            weight_bits: tensor.weight_bits,
            clipped: tensor.clipped,
        });
        let input = &file.program.input;
        Ok(ModelDoc {
            id,
            name: card.name,
            task: format!("{:?}", meta.task).to_lowercase(),
            classes: card.classes,
            source_file: meta.source_file.clone(),
            source_hash: Hash32(meta.source_hash),
            input_shape: report.tensors.first().map_or(Vec::new(), |tensor| shape(tensor.shape)),
            private_words: (input.shape.len() - card.public_words) as u64,
            public_words: card.public_words as u64,
            output_words: card.output_words as u64,
            parameters: report.parameters,
            multiply_adds: report.multiply_adds,
            operators: report.operators.clone(),
            tensors: tensors.collect(),
            calibration_rows: report.calibration.rows as u64,
            calibration_error: report.calibration.error,
            calibration_agreement: report.calibration.agreement,
            prove_ms: expected.prove_ms,
            proof_bytes: expected.proof_bytes as u64,
            peak_bytes: expected.peak_bytes as u64,
            soundness_bits: expected.soundness_bits,
            jobs: tally.jobs,
            said,
            notes: report.notes.iter().chain(&report.warnings).cloned().collect(),
        })
    }

    /// What the job's service thinks a unit is worth.
    ///
    /// # Errors
    /// `service.unknown`, `inference.model-unknown`.
    pub fn suggested_price(&self, job: &Job) -> Result<Usd> {
        let service =
            by_id(&job.service).ok_or_else(|| Fault::refused("service.unknown", "a service", job.service))?;
        self.with_engines(&self.shared([]), |engines| (service.price)(job, engines))
            .map_err(|reason| Fault::from(&reason))
    }

    /// Money over time, from the log and from the chain's events.
    ///
    /// # Errors
    /// The chain's.
    pub async fn economics(&self) -> Result<EconomicsDoc> {
        let mut doc = self.with_state(ledger_side);
        doc.poster_bond = self.settlement().poster_bond().await?;
        self.sync_chain().await?;
        let flows = self.chain_flows().await;
        (doc.deposited, doc.claimed) = (flows.deposited, flows.claimed);
        (doc.burned, doc.covers_paid) = (flows.burned, flows.covers_paid);
        Ok(doc)
    }
}

/// For people to look at: a sum beyond 2^64 micro-USD stands still.
pub(super) fn sum(a: Usd, b: Usd) -> Usd {
    a.checked_add(b).unwrap_or(Usd::from_micro(u64::MAX))
}

fn member(node: NodeDoc) -> MemberDoc {
    let devices = Vec::new();
    MemberDoc { node, devices, paid: 0, refused: 0, pending: 0, earned: Usd::ZERO, last_s: None }
}

fn count(member: &mut MemberDoc, delivered: &DeliveredReceipt) {
    member.last_s = member.last_s.max(Some(delivered.at_s));
    match &delivered.status {
        ReceiptStatus::Pending => member.pending += 1,
        ReceiptStatus::Refused { .. } => member.refused += 1,
        ReceiptStatus::Accepted { share, .. } | ReceiptStatus::Settled { share, .. } => {
            member.paid += 1;
            member.earned = sum(member.earned, *share);
        }
    }
}

fn ledger_side(state: &State) -> EconomicsDoc {
    let none = Usd::ZERO;
    let mut payouts: Vec<PayoutDoc> = Vec::new();
    for closed in state.epochs() {
        let (number, total) = (closed.epoch.number, closed.epoch.total);
        payouts.push(PayoutDoc { epoch: number, receipts: 0, shares: none, fees: none, total });
    }
    let mut refusals: BTreeMap<&str, u64> = BTreeMap::new();
    for delivered in state.receipts().values() {
        match &delivered.status {
            ReceiptStatus::Refused { reason, .. } => *refusals.entry(reason.name()).or_default() += 1,
            ReceiptStatus::Settled { epoch, share, fee, .. } => {
                let index = usize::try_from(*epoch).unwrap_or_default().wrapping_sub(1);
                if let Some(payout) = payouts.get_mut(index) {
                    payout.receipts += 1;
                    payout.shares = sum(payout.shares, *share);
                    payout.fees = sum(payout.fees, *fee);
                }
            }
            ReceiptStatus::Pending | ReceiptStatus::Accepted { .. } => {}
        }
    }
    let mut refusals: Vec<_> = refusals.into_iter().map(|(name, count)| (name.to_owned(), count)).collect();
    refusals.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let mut prices: Vec<_> = state.jobs().iter().collect();
    prices.sort_by_key(|(id, posted)| (posted.job.deadline_s, **id));
    let price = |(id, posted): (&Hash32, &proofmesh_market::state::PostedJob)| PriceDoc {
        job: *id,
        model: posted.job.model,
        buyer: posted.job.buyer,
        deadline_s: posted.job.deadline_s,
        unit_price: posted.job.unit_price,
        units: posted.units,
        max_units: posted.job.max_units,
    };
    EconomicsDoc {
        fee_ppm: state.rules().map_or(0, |rules| rules.fee_ppm),
        payouts,
        prices: prices.into_iter().map(price).collect(),
        refusals,
        deposited: none,
        claimed: none,
        burned: none,
        stakes: state.nodes().values().fold(none, |total, node| sum(total, node.stake)),
        poster_bond: none,
        vault: proofmesh_market::conservation(state).vault,
        covers_paid: none,
    }
}

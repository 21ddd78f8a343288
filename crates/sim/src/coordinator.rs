//! The coordinator of this world: the production state machine behind a log on a disk that can lose its tail.
//!
//! As in production: the state is asked first, the record is made safe, and only then is anything acknowledged; what
//! there is to do next is read from the state alone, so a crash forgets nothing.

use proofmesh_market::limits::EVIDENCE_BYTES_MAX;
use proofmesh_market::{
    Address, Effect, Event, Hash32, Refusal, SignedReceipt, State, Usd, What, conservation, keccak,
};
use std::collections::{BTreeMap, BTreeSet};

/// A fine, and the receipt that it was about, when it was about one.
#[derive(Clone, Copy, Debug)]
pub struct Fine {
    /// Who paid.
    pub account: Address,
    /// How much.
    pub amount: Usd,
    /// The receipt of the panel.
    pub about: Option<Hash32>,
}

/// State, log, evidence, and what was seen go by.
#[derive(Clone, Debug, Default)]
pub struct Coordinator {
    /// The fold of the log.
    pub state: State,
    /// Evidence by its hash.
    pub blobs: BTreeMap<Hash32, Vec<u8>>,
    /// Fines, in order.
    pub fines: Vec<Fine>,
    /// Nodes ever frozen.
    pub frozen: BTreeSet<Address>,
    /// Nodes ever put to rest.
    pub rested: BTreeSet<Address>,
    /// Nodes that equivocated.
    pub jailed: BTreeSet<Address>,
    /// Refusals by name.
    pub refusals: BTreeMap<String, u64>,
    /// Receipts acknowledged.
    pub acknowledged: BTreeSet<Hash32>,
    /// What should never happen.
    pub failures: Vec<String>,
    log: Vec<Vec<u8>>,
    safe: Option<Box<(State, usize)>>,
}

impl Coordinator {
    /// Takes an event now.
    ///
    /// # Errors
    /// The market's refusal.
    pub fn take(&mut self, now_s: u64, what: What) -> Result<Vec<Effect>, Refusal> {
        let about = match &what {
            What::PanelVoted(verdict) => Some(*verdict.receipt()),
            What::PanelLapsed { receipt } => Some(*receipt),
            _ => None,
        };
        let event = Event { at_s: now_s.max(self.state.now_s()), what };
        let record = event.encode()?;
        let effects = self.state.step(&event).inspect_err(|refusal| {
            *self.refusals.entry(refusal.name.to_owned()).or_default() += 1;
        })?;
        self.log.push(record);
        let sums = conservation(&self.state);
        if !sums.holds() {
            self.failures.push(format!("event {}: money is not conserved: {sums:?}", self.log.len()));
        }
        for effect in &effects {
            self.note(effect, about);
        }
        Ok(effects)
    }

    fn note(&mut self, effect: &Effect, about: Option<Hash32>) {
        match effect {
            Effect::Fined { account, amount } => {
                self.fines.push(Fine { account: *account, amount: *amount, about });
            }
            Effect::Frozen { node, .. } => {
                self.frozen.insert(*node);
            }
            Effect::Rested { node, .. } => {
                self.rested.insert(*node);
            }
            Effect::Equivocated { node, .. } => {
                self.jailed.insert(*node);
            }
            Effect::ReceiptRefused { reason, .. } => {
                *self.refusals.entry(reason.name().to_owned()).or_default() += 1;
            }
            _ => {}
        }
    }

    /// Takes in a receipt with its evidence, in production's order: form, evidence, blob, log; then acknowledges.
    ///
    /// # Errors
    /// `receipt.evidence-too-long`, `receipt.wrong-evidence`, the market's.
    pub fn take_in(
        &mut self,
        now_s: u64,
        signed: &SignedReceipt,
        evidence: &[u8],
    ) -> Result<Hash32, Refusal> {
        let refuse = |name, expected: String, got: String| Refusal { name, expected, got };
        if evidence.len() > EVIDENCE_BYTES_MAX {
            let got = evidence.len().to_string();
            return Err(refuse("receipt.evidence-too-long", EVIDENCE_BYTES_MAX.to_string(), got));
        }
        let found = keccak(evidence);
        if found != signed.receipt.evidence {
            *self.refusals.entry("receipt.wrong-evidence".to_owned()).or_default() += 1;
            let expected = signed.receipt.evidence.to_string();
            return Err(refuse("receipt.wrong-evidence", expected, found.to_string()));
        }
        let domain = self.state.rules().map(|rules| rules.domain);
        let domain = domain.ok_or_else(|| refuse("market.not-open", "open".into(), "not".into()))?;
        let digest = signed.receipt.digest(&domain);
        self.blobs.insert(found, evidence.to_vec());
        let effects = self.take(now_s, What::Delivered(signed.clone()))?;
        if !effects.iter().any(|effect| matches!(effect, Effect::Equivocated { .. })) {
            self.acknowledged.insert(digest);
        }
        Ok(digest)
    }

    /// A place to start folding from after a crash. Production folds from the beginning; by determinism the state is
    /// the same, which [`Coordinator::audit`] checks on whole logs.
    pub fn mark(&mut self) {
        self.safe = Some(Box::new((self.state.clone(), self.log.len())));
    }

    /// Power fails in the middle of the append of one more record: it is torn and cut off, and the rest is folded
    /// again from its bytes.
    pub fn crash(&mut self, torn: &What, keep_bytes: u64) {
        let torn = Event { at_s: self.state.now_s(), what: torn.clone() };
        let Some(safe) = self.safe.clone() else { return };
        let (mut state, from) = *safe;
        if let Ok(bytes) = torn.encode() {
            let kept = &bytes[..(keep_bytes % bytes.len() as u64) as usize];
            if Event::decode(kept).is_ok() {
                self.failures.push("a torn record decodes".to_owned());
            }
        }
        for record in &self.log[from..] {
            let folded = Event::decode(record).and_then(|event| state.step(&event));
            if let Err(refusal) = folded {
                self.failures.push(format!("a logged event is refused after a restart: {refusal}"));
            }
        }
        if state != self.state {
            self.failures.push("a restart folds to another state".to_owned());
        }
        self.state = state;
    }

    /// Events in the log.
    #[must_use]
    pub fn events(&self) -> usize {
        self.log.len()
    }

    /// Every acknowledged receipt is there, and, if asked, a second fold of the whole log gives the same state.
    pub fn audit(&mut self, whole: bool) {
        let lost =
            self.acknowledged.iter().filter(|digest| !self.state.receipts().contains_key(digest)).count();
        if lost > 0 {
            self.failures.push(format!("{lost} acknowledged receipts are lost"));
        }
        if !whole {
            return;
        }
        match proofmesh_market::audit::audit(self.log.iter().map(Vec::as_slice), &[]) {
            Ok(state) if state == self.state => {}
            Ok(_) => self.failures.push("the log folds to another state".to_owned()),
            Err(difference) => self.failures.push(format!("the log does not fold: {difference:?}")),
        }
    }
}

//! A node: keys, a disk, a link, an outbox, and an owner. An honest one writes down what it signed before it sends it,
//! sends one receipt at a time until it is acknowledged, and after a crash waits until nothing of it can still be
//! under way, then goes on where the coordinator and its disk agree.

use crate::chance::{Chance, bytes};
use crate::disk::Disk;
use crate::network::Link;
use crate::strategies::{Setup, Strategy};
use proofmesh_market::{AccountSecret, DeviceSecret, Domain, Hash32, Receipt, Refusal, SignedReceipt, State};
use std::collections::{BTreeSet, VecDeque};

/// A signed receipt with its evidence.
#[derive(Clone, Debug)]
pub struct Parcel {
    /// The receipt.
    pub signed: SignedReceipt,
    /// The evidence, empty when it is withheld.
    pub evidence: Vec<u8>,
}

impl Parcel {
    fn encode(&self) -> Vec<u8> {
        let wire = self.signed.encode();
        [&(wire.len() as u64).to_be_bytes()[..], &wire, &self.evidence].concat()
    }

    fn decode(record: &[u8]) -> Option<Self> {
        let (length, rest) = record.split_at_checked(8)?;
        let length = length.iter().fold(0usize, |sum, byte| sum << 8 | usize::from(*byte));
        let (wire, evidence) = rest.split_at_checked(length)?;
        Some(Parcel { signed: SignedReceipt::decode(wire).ok()?, evidence: evidence.to_vec() })
    }
}

/// What lying brought a machine, against honest work in the same windows. Micro-USD.
#[derive(Clone, Debug, Default)]
pub struct Score {
    /// Digests of its invalid receipts.
    pub lies: BTreeSet<Hash32>,
    /// Lies told, those refused at the door among them.
    pub told: u64,
    /// What honest work would have earned where it lied.
    pub forgone: i128,
    /// What lying cost outside the market: devices, rent, proofs of what is not true; and fees of made up identities.
    pub spent: i128,
    /// What its work cost, all of it.
    pub costs: i128,
    /// Listings paid for.
    pub listings: u64,
}

/// A node of this world.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Its number.
    pub index: u64,
    /// Its account, which is its own operator.
    pub node: AccountSecret,
    /// Its device.
    pub device: DeviceSecret,
    /// The account that it buys from itself with.
    pub purchaser: AccountSecret,
    /// How it lies, if it does.
    pub strategy: Option<&'static Strategy>,
    /// Parameters of the strategy.
    pub choice: Vec<u64>,
    /// Its strategy's identities.
    pub setup: Setup,
    /// A made up node beside a real one.
    pub fake: bool,
    /// Its device has a certificate.
    pub certified: bool,
    /// Its line.
    pub link: Link,
    /// Its journal.
    pub disk: Disk,
    /// Its disk loses what it called safe.
    pub lying_disk: bool,
    /// It runs.
    pub up: bool,
    /// It signs nothing before this second.
    pub quiet_until_s: u64,
    /// Signed, not acknowledged.
    pub outbox: VecDeque<Parcel>,
    /// Number of its next receipt.
    pub sequence: u64,
    /// Digest of its last receipt.
    pub head: Hash32,
    /// Windows to do: first second, and job.
    pub todo: BTreeSet<(u64, Hash32)>,
    /// Jobs that it was drawn for.
    pub jobs: Vec<Hash32>,
    /// It works wrongly from this second until its owner mends it.
    pub broken_from_s: u64,
    /// It was ever wrong.
    pub was_broken: bool,
    /// First second in the network.
    pub from_s: u64,
    /// First second no longer in it.
    pub until_s: u64,
    /// Windows that its strategy was asked about.
    pub windows: u64,
    /// The newest receipt that it sent.
    pub last: Option<Parcel>,
    /// Its own chance.
    pub chance: Chance,
    /// What lying brought.
    pub score: Score,
}

impl Machine {
    /// A machine of a seed.
    ///
    /// # Panics
    /// Never: a hash is below the order of the curve but for one in 2^128.
    #[must_use]
    pub fn new(seed: u64, index: u64) -> Self {
        let account = |name| AccountSecret::from_bytes(bytes(seed, name, index).0).expect("below the order");
        Machine {
            index,
            node: account("node"),
            device: DeviceSecret::from_bytes(bytes(seed, "device", index).0),
            purchaser: account("purchaser"),
            strategy: None,
            choice: Vec::new(),
            setup: Setup::default(),
            fake: false,
            certified: true,
            link: Link::GOOD,
            disk: Disk::default(),
            lying_disk: false,
            up: true,
            quiet_until_s: 0,
            outbox: VecDeque::new(),
            sequence: 0,
            head: Hash32::ZERO,
            todo: BTreeSet::new(),
            jobs: Vec::new(),
            broken_from_s: u64::MAX,
            was_broken: false,
            from_s: 0,
            until_s: u64::MAX,
            windows: 0,
            last: None,
            chance: Chance::stream(seed, "machine", index),
            score: Score::default(),
        }
    }

    /// An honest machine: whatever happens to it, it may not be penalised for a lie.
    #[must_use]
    pub fn is_honest(&self) -> bool {
        self.strategy.is_none()
    }

    /// Signs its next receipt, writes it down, and puts it into the outbox.
    ///
    /// # Errors
    /// What signing refuses.
    pub fn sign(
        &mut self,
        domain: &Domain,
        receipt: Receipt,
        output: &[i32],
        evidence: Vec<u8>,
    ) -> Result<Hash32, Refusal> {
        let receipt = Receipt { sequence: self.sequence, previous: self.head, ..receipt };
        let signed = receipt.sign(domain, output, &self.device, &self.node)?;
        let digest = signed.receipt.digest(domain);
        let parcel = Parcel { signed, evidence };
        self.disk.append(&parcel.encode());
        self.disk.sync(); // before anything leaves the machine
        self.last = Some(parcel.clone());
        self.outbox.push_back(parcel);
        self.sequence += 1;
        self.head = digest;
        Ok(digest)
    }

    /// Power fails.
    pub fn crash(&mut self) {
        self.up = false;
        self.outbox.clear();
        self.disk.crash(self.lying_disk, &mut self.chance);
    }

    /// After a crash: what the disk holds and the coordinator does not is sent again; what neither holds is done again.
    pub fn rejoin(&mut self, state: &State, domain: &Domain, windows: impl Fn(&Hash32) -> Vec<u64>) {
        self.go_on_from(state);
        let parcels: Vec<Parcel> = self.disk.records().into_iter().filter_map(Parcel::decode).collect();
        for parcel in parcels {
            let fits = parcel.signed.receipt.sequence == self.sequence
                && parcel.signed.receipt.previous == self.head;
            if fits {
                self.sequence += 1;
                self.head = parcel.signed.receipt.digest(domain);
                self.outbox.push_back(parcel);
            }
        }
        let chain =
            state.nodes().get(&self.node.address()).map(|node| node.chain.clone()).unwrap_or_default();
        let known = chain.iter().map(|digest| &state.receipts()[digest].signed.receipt);
        let waiting = self.outbox.iter().map(|parcel| &parcel.signed.receipt);
        let done: BTreeSet<(u64, Hash32)> =
            known.chain(waiting).map(|receipt| (receipt.window_start, receipt.job)).collect();
        let all = self.jobs.iter().flat_map(|job| windows(job).into_iter().map(|start_s| (start_s, *job)));
        self.todo = all.filter(|window| !done.contains(window)).collect();
    }

    /// Takes the coordinator's word for where its chain stands.
    pub fn go_on_from(&mut self, state: &State) {
        self.outbox.clear();
        if let Some(node) = state.nodes().get(&self.node.address()) {
            (self.sequence, self.head) = (node.next_sequence(), node.head());
        }
    }
}

//! Events: everything that ever happens, in one append-only log. All state is a fold of it.
//!
//! Bytes of an event: the version byte `0x01`, then postcard (LEB128 integers, variant index, lengths before
//! lists) of `(at_s, what)` in the order of the declarations below. The form is canonical: what is decoded is
//! encoded again and compared, so one event has one byte string and one place in the log's hash chain. New
//! variants are appended; none is moved.
//!
//! Refuses: `event.version`, `event.too-long`, `event.malformed`, `event.not-canonical`.

use crate::domain::Domain;
use crate::epoch::Epoch;
use crate::guard::Guards;
use crate::hash::{Hash32, Words, keccak, keccak_pair, tag};
use crate::job::Job;
use crate::key::{Address, DeviceSignature};
use crate::limits::EVENT_BYTES_MAX;
use crate::money::Usd;
use crate::order::{
    BeaconCommit, Bind, Certify, Dispute, Enroll, Limit, Measured, Offer, Pledge, Signed, Thaw, Withdraw,
};
use crate::receipt::SignedReceipt;
use crate::refusal::{Refusal, require};
use crate::verdict::Verdict;
use serde::{Deserialize, Serialize};

/// Version byte of an event's bytes.
pub const EVENT_VERSION: u8 = 1;

/// Where on a chain something was seen: a log entry of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ChainRef {
    /// The transaction's hash.
    pub tx: Hash32,
    /// Index of the log entry in its block.
    pub log_index: u32,
}

/// The rules of one market, fixed by its first event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// The deployment that everything is signed for.
    pub domain: Domain,
    /// Gets the fees.
    pub vault: Address,
    /// Fee, parts per million of the unit price; at least 20,000.
    pub fee_ppm: u64,
    /// Accounts whose verdicts and measurements count.
    pub checkers: Vec<Address>,
    /// Least stake, as seen on chain, for a node to get work.
    pub min_stake: Usd,
    /// Refusals in a row by its own malfunction that freeze a node; at least 1.
    pub freeze_after: u32,
    /// Seconds that a frozen node stays frozen at least.
    pub freeze_s: u64,
    /// What a node loses of its stake when it is frozen: once, however many receipts still wait.
    pub penalty: Usd,
    /// Bond of each side of a dispute.
    pub bond: Usd,
    /// Seconds after a verdict in which it may be disputed; an accepted receipt settles after them.
    pub dispute_window_s: u64,
    /// Seconds after which an undecided dispute lapses.
    pub resolve_s: u64,
    /// Seconds after a job's deadline in which waiting receipts may still be judged.
    pub judge_s: u64,
}

/// One event: when, and what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Unix second at which the coordinator took it in; never falls along the log.
    pub at_s: u64,
    /// What happened.
    pub what: What,
}

/// What happened. The order of the variants is part of the encoding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(
    clippy::large_enum_variant,
    reason = "events are moved once, into the log; boxing would only hide the size"
)]
pub enum What {
    /// The market opens with its rules. The first event, and no other.
    Opened(Rules),
    /// A deposit was seen on chain; counted once for each place on the chain.
    DepositSeen {
        /// Where.
        chain_ref: ChainRef,
        /// Whose.
        account: Address,
        /// How much.
        amount: Usd,
    },
    /// A node joins, or changes its operator.
    NodeEnrolled(Signed<Enroll>),
    /// A node's stake as a block of the chain shows it.
    StakeSeen {
        /// The node.
        node: Address,
        /// The stake.
        stake: Usd,
        /// The block; never falls.
        block: u64,
    },
    /// A checker measured a capability.
    CapabilityMeasured(Signed<Measured>),
    /// A device is bound to a node, by both.
    DeviceBound {
        /// The node's order.
        bind: Signed<Bind>,
        /// The device's signature over the order's digest.
        consent: DeviceSignature,
    },
    /// The coordinator commits to a secret, [`draw_commitment`], before it knows the job that will use it.
    DrawCommitted {
        /// `H(tag, secret)`.
        commitment: Hash32,
    },
    /// A job is posted: its price goes into escrow, and it takes the oldest unused commitment.
    JobPosted(Signed<Job>),
    /// The secret is revealed, and nodes are drawn with it.
    Assigned {
        /// The job.
        job: Hash32,
        /// The secret behind the job's commitment.
        secret: Hash32,
    },
    /// A receipt came in.
    Delivered(SignedReceipt),
    /// A receipt was checked.
    Judged(Verdict),
    /// The buyer or the node asks for a second check.
    DisputeOpened(Signed<Dispute>),
    /// Another checker decided a dispute.
    DisputeResolved(Verdict),
    /// Nobody decided in time: bonds go back, the first verdict stands.
    DisputeLapsed {
        /// Digest of the receipt.
        receipt: Hash32,
    },
    /// A job is over: its deadline passed, or its escrow is spent. The rest goes back to the buyer.
    JobEnded {
        /// The job.
        job: Hash32,
    },
    /// An account asks for balance to be claimable.
    WithdrawalAsked(Signed<Withdraw>),
    /// A frozen node works again.
    NodeThawed(Signed<Thaw>),
    /// An epoch closes: what is due settles, and the roots are taken.
    EpochClosed {
        /// Its number, from 1, no gaps.
        epoch: u64,
    },
    /// The chain took the epoch.
    EpochPosted {
        /// What was posted.
        epoch: Epoch,
        /// Where.
        chain_ref: ChainRef,
    },
    /// The guards of the market are set: once, before the first job.
    GuardsSet(Guards),
    /// An account's pledge changes.
    Pledged(Signed<Pledge>),
    /// A node offers to work.
    Offered(Signed<Offer>),
    /// A maker certifies a device.
    DeviceCertified(Signed<Certify>),
    /// A checker commits to its secret of the next round.
    BeaconCommitted(Signed<BeaconCommit>),
    /// A checker's secret of a round that is over. The commitment says whose it is.
    BeaconRevealed {
        /// The checker.
        checker: Address,
        /// The round.
        round: u64,
        /// The secret behind its commitment.
        secret: Hash32,
    },
    /// All secrets are there, or their time is over: the round has a value, and everything that waited for it is
    /// drawn.
    BeaconClosed {
        /// The round.
        round: u64,
    },
    /// A member of a panel votes.
    PanelVoted(Verdict),
    /// A panel's time is over: the votes that are there decide.
    PanelLapsed {
        /// Digest of the receipt.
        receipt: Hash32,
    },
    /// A node says what its offers take.
    Limited(Signed<Limit>),
}

impl Event {
    /// The canonical bytes.
    ///
    /// # Errors
    /// `event.too-long` when they would be more than a log takes.
    pub fn encode(&self) -> Result<Vec<u8>, Refusal> {
        let bytes = postcard::to_extend(self, vec![EVENT_VERSION])
            .map_err(|error| Refusal::new("event.malformed", "an event that encodes", error))?;
        require(bytes.len() <= EVENT_BYTES_MAX, "event.too-long", EVENT_BYTES_MAX, bytes.len())?;
        Ok(bytes)
    }

    /// Reads an event's bytes. Signatures are not verified here.
    ///
    /// # Errors
    /// `event.too-long`, `event.version`, `event.malformed`, `event.not-canonical` (also for trailing bytes).
    pub fn decode(bytes: &[u8]) -> Result<Self, Refusal> {
        require(bytes.len() <= EVENT_BYTES_MAX, "event.too-long", EVENT_BYTES_MAX, bytes.len())?;
        let (version, body) =
            bytes.split_first().ok_or_else(|| Refusal::new("event.version", EVENT_VERSION, "no byte"))?;
        require(*version == EVENT_VERSION, "event.version", EVENT_VERSION, version)?;
        let event: Event = postcard::from_bytes(body)
            .map_err(|error| Refusal::new("event.malformed", "the fields of an event", error))?;
        let canonical = event.encode()?;
        require(
            canonical == bytes,
            "event.not-canonical",
            format_args!("{} bytes", canonical.len()),
            bytes.len(),
        )?;
        Ok(event)
    }
}

/// An event with `H` of its bytes: what the log's hash chain takes. A hash that is not of these bytes gives a head that no journal and
/// no epoch has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    event: Event,
    hash: Hash32,
}

impl Entry {
    /// An event that is new, and its bytes.
    ///
    /// # Errors
    /// As [`Event::encode`].
    pub fn write(event: Event) -> Result<(Self, Vec<u8>), Refusal> {
        let bytes = event.encode()?;
        Ok((Entry { hash: keccak(&bytes), event }, bytes))
    }

    /// Reads bytes whose `H` is known already: [`Event::decode`] takes none but those that the event has.
    ///
    /// # Errors
    /// As [`Event::decode`].
    pub fn read(bytes: &[u8], hash: Hash32) -> Result<Self, Refusal> {
        debug_assert_eq!(keccak(bytes), hash, "the hash of other bytes");
        Ok(Entry { event: Event::decode(bytes)?, hash })
    }

    /// The event.
    #[must_use]
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// `H` of its bytes.
    #[must_use]
    pub fn hash(&self) -> &Hash32 {
        &self.hash
    }
}

/// The log's hash chain: `h_i = H(h_{i-1} || H(bytes))`.
#[must_use]
pub fn chain_log(head: &Hash32, event_bytes: &[u8]) -> Hash32 {
    keccak_pair(head, &keccak(event_bytes))
}

/// What a coordinator commits to: `H(abi.encode(H("proofmesh/draw/v1"), secret))`.
#[must_use]
pub fn draw_commitment(secret: &Hash32) -> Hash32 {
    Words::new().hash(&tag("proofmesh/draw/v1")).hash(secret).keccak()
}

//! Orders: what an account may ask for, each signed by it (EIP-712) so that a coordinator can only pass it
//! on.
//!
//! | order | signer | asks |
//! |---|---|---|
//! | [`Enroll`] | node | to be a node, run by an operator |
//! | [`Measured`] | checker | that a node's capability be counted until a date |
//! | [`Bind`] | node, and the device itself | that a device work for this node |
//! | [`crate::job::Job`] | buyer | work, with its price in escrow |
//! | [`Withdraw`] | account | that spendable balance become claimable on chain |
//! | [`Dispute`] | buyer or node | a second check, with a bond |
//! | [`Thaw`] | operator | that a frozen node work again |
//! | [`Pledge`] | node or checker | that so much of its balance be at stake |
//! | [`Offer`] | node | to be drawn for a service, up to a value |
//! | [`Limit`] | node | to be drawn from a price on, and for so many open jobs at a time |
//! | [`Certify`] | maker | that a device count |
//! | [`BeaconCommit`] | checker | to bind its part of a round's randomness |
//!
//! Refuses: `order.signature`.

use crate::domain::{Domain, struct_words};
use crate::hash::Hash32;
use crate::key::{AccountSecret, AccountSignature, Address, Device, DeviceSecret, DeviceSignature};
use crate::money::Usd;
use crate::refusal::Refusal;
use serde::{Deserialize, Serialize};

/// Something an account can sign.
pub trait Order {
    /// The account that must sign.
    fn signer(&self) -> Address;
    /// The EIP-712 struct hash.
    fn struct_hash(&self) -> Hash32;

    /// The EIP-712 digest.
    fn digest(&self, domain: &Domain) -> Hash32 {
        domain.digest(&self.struct_hash())
    }
}

/// An order and its signer's signature. The fields are public: nothing counts before [`Signed::verify`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed<T> {
    /// What is asked.
    pub order: T,
    /// The signer's signature over the digest.
    pub signature: AccountSignature,
}

impl<T: Order> Signed<T> {
    /// Signs an order.
    ///
    /// # Errors
    /// `order.signature` when the secret is not the signer's.
    pub fn new(order: T, domain: &Domain, secret: &AccountSecret) -> Result<Self, Refusal> {
        if secret.address() != order.signer() {
            return Err(Refusal::new("order.signature", order.signer(), secret.address()));
        }
        let signature = secret.sign(&order.digest(domain));
        Ok(Signed { order, signature })
    }

    /// Verifies the signature and gives the digest.
    ///
    /// # Errors
    /// `order.signature`.
    pub fn verify(&self, domain: &Domain) -> Result<Hash32, Refusal> {
        let digest = self.order.digest(domain);
        self.signature
            .verify(&digest, &self.order.signer())
            .map_err(|refusal| Refusal::new("order.signature", refusal.expected, refusal.got))?;
        Ok(digest)
    }
}

/// A node asks to be enrolled, or, with the next nonce, to change its operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enroll {
    /// The node's account.
    pub node: Address,
    /// Who runs it. Operators of checkers get no work, nor may checkers judge their own.
    pub operator: Address,
    /// 0 the first time, then one more each time.
    pub nonce: u64,
}

impl Order for Enroll {
    fn signer(&self) -> Address {
        self.node
    }

    fn struct_hash(&self) -> Hash32 {
        struct_words("Enroll(address node,address operator,uint64 nonce)")
            .address(&self.node.0)
            .address(&self.operator.0)
            .uint(self.nonce)
            .keccak()
    }
}

/// A checker measured that a node can do a service with a model. Nothing self-reported gets work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// Who measured.
    pub checker: Address,
    /// The node.
    pub node: Address,
    /// The service.
    pub service: Hash32,
    /// The model; zero for any of the service.
    pub model: Hash32,
    /// First Unix second at which it no longer counts.
    pub expires_s: u64,
}

impl Order for Measured {
    fn signer(&self) -> Address {
        self.checker
    }

    fn struct_hash(&self) -> Hash32 {
        struct_words("Measured(address checker,address node,bytes32 service,bytes32 model,uint64 expires)")
            .address(&self.checker.0)
            .address(&self.node.0)
            .hash(&self.service)
            .hash(&self.model)
            .uint(self.expires_s)
            .keccak()
    }
}

/// A device is bound to a node: both sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    /// The node's account.
    pub node: Address,
    /// The device.
    pub device: Device,
    /// Where it stands: a cell's number (H3), 0 for nowhere in particular.
    pub cell: u64,
}

impl Order for Bind {
    fn signer(&self) -> Address {
        self.node
    }

    fn struct_hash(&self) -> Hash32 {
        struct_words("Bind(address node,bytes32 device,uint64 cell)")
            .address(&self.node.0)
            .hash(&Hash32(self.device.0))
            .uint(self.cell)
            .keccak()
    }
}

impl Bind {
    /// The device's consent: its signature over the digest.
    #[must_use]
    pub fn consent(&self, domain: &Domain, device: &DeviceSecret) -> DeviceSignature {
        device.sign(&self.digest(domain))
    }
}

/// An account asks that part of its spendable balance become claimable on chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdraw {
    /// The account.
    pub account: Address,
    /// How much.
    pub amount: Usd,
    /// How many withdrawals the account asked for before.
    pub nonce: u64,
}

impl Order for Withdraw {
    fn signer(&self) -> Address {
        self.account
    }

    fn struct_hash(&self) -> Hash32 {
        struct_words("Withdraw(address account,uint64 amount,uint64 nonce)")
            .address(&self.account.0)
            .uint(self.amount.micro())
            .uint(self.nonce)
            .keccak()
    }
}

/// The buyer disputes an accepted receipt, or the node a refused one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dispute {
    /// Who disputes.
    pub by: Address,
    /// Digest of the receipt.
    pub receipt: Hash32,
}

impl Order for Dispute {
    fn signer(&self) -> Address {
        self.by
    }

    fn struct_hash(&self) -> Hash32 {
        struct_words("Dispute(address by,bytes32 receipt)").address(&self.by.0).hash(&self.receipt).keccak()
    }
}

/// The operator says that the fault of a frozen node is mended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thaw {
    /// The node's operator.
    pub operator: Address,
    /// The node.
    pub node: Address,
    /// Event number at which the node was frozen, so that one order thaws once.
    pub frozen_at: u64,
}

impl Order for Thaw {
    fn signer(&self) -> Address {
        self.operator
    }

    fn struct_hash(&self) -> Hash32 {
        struct_words("Thaw(address operator,address node,uint64 frozenAt)")
            .address(&self.operator.0)
            .address(&self.node.0)
            .uint(self.frozen_at)
            .keccak()
    }
}

/// An account asks that its pledge be this much from now on: the difference moves from or to its balance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pledge {
    /// A node or a checker.
    pub account: Address,
    /// The whole pledge afterwards.
    pub total: Usd,
    /// How many such orders the account gave before.
    pub nonce: u64,
}

impl Order for Pledge {
    fn signer(&self) -> Address {
        self.account
    }

    fn struct_hash(&self) -> Hash32 {
        struct_words("Pledge(address account,uint64 total,uint64 nonce)")
            .address(&self.account.0)
            .uint(self.total.micro())
            .uint(self.nonce)
            .keccak()
    }
}

/// A node offers to be drawn for a service. Its pledge must cover what it could gain by lying.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// The node.
    pub node: Address,
    /// The service.
    pub service: Hash32,
    /// The most, at the buyers' prices, that its jobs may be worth at a time.
    pub exposure: Usd,
    /// First Unix second at which the offer no longer counts.
    pub until_s: u64,
}

impl Order for Offer {
    fn signer(&self) -> Address {
        self.node
    }

    fn struct_hash(&self) -> Hash32 {
        struct_words("Offer(address node,bytes32 service,uint64 exposure,uint64 until)")
            .address(&self.node.0)
            .hash(&self.service)
            .uint(self.exposure.micro())
            .uint(self.until_s)
            .keccak()
    }
}

/// A node says what its offers of a service take. Before its first such order they take any price and any number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// The node.
    pub node: Address,
    /// The service.
    pub service: Hash32,
    /// The least unit price.
    pub least: Usd,
    /// Jobs that name no device, so many at a time; 0: only jobs that name a device of this node.
    pub open: u16,
    /// Above the last one for this service: an old order says nothing any more.
    pub nonce: u64,
}

impl Order for Limit {
    fn signer(&self) -> Address {
        self.node
    }

    fn struct_hash(&self) -> Hash32 {
        struct_words("Limit(address node,bytes32 service,uint64 least,uint16 open,uint64 nonce)")
            .address(&self.node.0)
            .hash(&self.service)
            .uint(self.least.micro())
            .uint(u64::from(self.open))
            .uint(self.nonce)
            .keccak()
    }
}

/// A maker says that it made a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certify {
    /// The maker.
    pub maker: Address,
    /// The device.
    pub device: Device,
}

impl Order for Certify {
    fn signer(&self) -> Address {
        self.maker
    }

    fn struct_hash(&self) -> Hash32 {
        struct_words("Certify(address maker,bytes32 device)")
            .address(&self.maker.0)
            .hash(&Hash32(self.device.0))
            .keccak()
    }
}

/// A checker binds its part of a round's randomness: [`crate::guard::beacon_commitment`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BeaconCommit {
    /// The checker.
    pub checker: Address,
    /// The round, which must be the next.
    pub round: u64,
    /// The commitment.
    pub commitment: Hash32,
}

impl Order for BeaconCommit {
    fn signer(&self) -> Address {
        self.checker
    }

    fn struct_hash(&self) -> Hash32 {
        struct_words("BeaconCommit(address checker,uint64 round,bytes32 commitment)")
            .address(&self.checker.0)
            .uint(self.round)
            .hash(&self.commitment)
            .keccak()
    }
}

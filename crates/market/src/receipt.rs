//! A receipt: one unit of work, signed by the device and by the node, chained to the node's previous receipt.
//!
//! States, for a receipt `r` in a domain `D` (docs/spec/market.md):
//! - `digest(r) = H(0x1901 || D || H(typeHash || 13 words))`, which both keys sign;
//! - `context(r) = H(abi.encode(chainId, settlement, job, sequence, node, device))`, which the proof is bound
//!   to, so that a proof made for one receipt checks for no other job, node, device, place in the node's
//!   chain, or chain;
//! - `output = H(output bytes)`, the words big-endian two's complement.
//!
//! The wire form is canonical: decoding accepts exactly the bytes that encoding makes.
//!
//! Refuses: `receipt.version`, `receipt.short`, `receipt.output-too-long`, `receipt.output-length`,
//! `receipt.trailing`, `receipt.output-differs`, `receipt.device-signature`, `receipt.node-signature`.

use crate::domain::{Domain, struct_words};
use crate::hash::{Hash32, Words, keccak};
use crate::key::{AccountSecret, AccountSignature, Address, Device, DeviceSecret, DeviceSignature};
use crate::limits::OUTPUT_BYTES_MAX;
use crate::many::accounts::AccountClaim;
use crate::many::devices::DeviceClaim;
use crate::refusal::{Refusal, require};
use serde::{Deserialize, Serialize};

/// The EIP-712 type string.
pub const RECEIPT_TYPE: &str = "Receipt(bytes32 job,uint64 sequence,address node,bytes32 device,bytes32 service,bytes32 model,\
    bytes32 input,bytes32 output,uint64 units,uint64 windowStart,uint64 windowEnd,bytes32 evidence,\
    bytes32 previous)";
/// Version byte of the wire form.
pub const WIRE_VERSION: u8 = 1;
/// Bytes of the 13 fields on the wire: 8 hashes, an address, 4 integers.
const FIELD_BYTES: usize = 8 * 32 + 20 + 4 * 8;
/// Bytes of the shortest wire form: no output.
pub const WIRE_BYTES_MIN: usize = 1 + FIELD_BYTES + 4 + 64 + 65;
/// Bytes of the longest wire form.
pub const WIRE_BYTES_MAX: usize = WIRE_BYTES_MIN + OUTPUT_BYTES_MAX;

/// The signed fields, in the order of the type string.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The job.
    pub job: Hash32,
    /// How many receipts this node made before this one.
    pub sequence: u64,
    /// The node's account.
    pub node: Address,
    /// The device whose data was used.
    pub device: Device,
    /// The service, `H("proofmesh/inference/v1")`.
    pub service: Hash32,
    /// The model id.
    pub model: Hash32,
    /// Salted commitment to the private input.
    pub input: Hash32,
    /// `H(output bytes)`.
    pub output: Hash32,
    /// Units of work claimed.
    pub units: u64,
    /// First second of the window, Unix.
    pub window_start: u64,
    /// First second after the window, Unix.
    pub window_end: u64,
    /// `H(evidence)`; for a proof, of its bytes.
    pub evidence: Hash32,
    /// Digest of the node's previous receipt, zero for its first.
    pub previous: Hash32,
}

impl Receipt {
    /// The EIP-712 struct hash.
    #[must_use]
    pub fn struct_hash(&self) -> Hash32 {
        struct_words(RECEIPT_TYPE)
            .hash(&self.job)
            .uint(self.sequence)
            .address(&self.node.0)
            .hash(&Hash32(self.device.0))
            .hash(&self.service)
            .hash(&self.model)
            .hash(&self.input)
            .hash(&self.output)
            .uint(self.units)
            .uint(self.window_start)
            .uint(self.window_end)
            .hash(&self.evidence)
            .hash(&self.previous)
            .keccak()
    }

    /// The EIP-712 digest: the receipt's name, and what both keys sign.
    #[must_use]
    pub fn digest(&self, domain: &Domain) -> Hash32 {
        domain.digest(&self.struct_hash())
    }

    /// The 32-byte context that this receipt's proof must be bound to. Known before the proof is made.
    #[must_use]
    pub fn context(&self, domain: &Domain) -> Hash32 {
        context(domain, &self.job, self.sequence, &self.node, &self.device)
    }

    /// Signs with both keys. `output` is the public output whose hash the receipt carries.
    ///
    /// # Errors
    /// `receipt.output-differs` or `receipt.output-too-long` when `output` is not what the receipt says;
    /// `receipt.node-signature` or `receipt.device-signature` when a secret is not that of the key named in
    /// the receipt.
    pub fn sign(
        self,
        domain: &Domain,
        output: &[i32],
        device: &DeviceSecret,
        node: &AccountSecret,
    ) -> Result<SignedReceipt, Refusal> {
        let output = output_bytes(output);
        require(output.len() <= OUTPUT_BYTES_MAX, "receipt.output-too-long", OUTPUT_BYTES_MAX, output.len())?;
        require(keccak(&output) == self.output, "receipt.output-differs", self.output, keccak(&output))?;
        require(node.address() == self.node, "receipt.node-signature", self.node, node.address())?;
        require(device.device() == self.device, "receipt.device-signature", self.device, device.device())?;
        let digest = self.digest(domain);
        Ok(SignedReceipt {
            device_signature: device.sign(&digest),
            node_signature: node.sign(&digest),
            receipt: self,
            output,
        })
    }
}

/// The context of a proof before its receipt exists: see [`Receipt::context`].
#[must_use]
pub fn context(domain: &Domain, job: &Hash32, sequence: u64, node: &Address, device: &Device) -> Hash32 {
    Words::new()
        .uint(domain.chain_id)
        .address(&domain.settlement.0)
        .hash(job)
        .uint(sequence)
        .address(&node.0)
        .hash(&Hash32(device.0))
        .keccak()
}

/// The bytes of a public output: each word 4 bytes, big-endian two's complement.
#[must_use]
pub fn output_bytes(words: &[i32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// `H(output bytes)`: what [`Receipt::output`] must be.
#[must_use]
pub fn output_hash(words: &[i32]) -> Hash32 {
    keccak(&output_bytes(words))
}

/// A receipt, its public output, and both signatures over its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedReceipt {
    /// The signed fields.
    pub receipt: Receipt,
    output: Vec<u8>,
    /// The device's signature over the digest.
    pub device_signature: DeviceSignature,
    /// The node's signature over the digest.
    pub node_signature: AccountSignature,
}

impl SignedReceipt {
    /// Puts a receipt together from parts that came separately. Nothing is verified but the output's form.
    ///
    /// # Errors
    /// `receipt.output-too-long`, `receipt.output-length`.
    pub fn from_parts(
        receipt: Receipt,
        output: Vec<u8>,
        device_signature: DeviceSignature,
        node_signature: AccountSignature,
    ) -> Result<Self, Refusal> {
        require_output(output.len())?;
        Ok(SignedReceipt { receipt, output, device_signature, node_signature })
    }

    /// The public output's bytes, a multiple of 4.
    #[must_use]
    pub fn output_bytes(&self) -> &[u8] {
        &self.output
    }

    /// The public output's words.
    #[must_use]
    pub fn output_words(&self) -> Vec<i32> {
        self.output.as_chunks::<4>().0.iter().map(|word| i32::from_be_bytes(*word)).collect()
    }

    /// Verifies the output's hash, the node's signature and the device's, and gives the digest.
    ///
    /// # Errors
    /// `receipt.output-differs`, `receipt.node-signature`, `receipt.device-signature`.
    pub fn verify(&self, domain: &Domain) -> Result<Hash32, Refusal> {
        self.require_output()?;
        let digest = self.receipt.digest(domain);
        self.node_signature
            .verify(&digest, &self.receipt.node)
            .map_err(|refusal| Refusal::new("receipt.node-signature", refusal.expected, refusal.got))?;
        self.require_device(&digest)?;
        Ok(digest)
    }

    fn require_output(&self) -> Result<(), Refusal> {
        let output = keccak(&self.output);
        require(output == self.receipt.output, "receipt.output-differs", self.receipt.output, output)
    }

    fn require_device(&self, digest: &Hash32) -> Result<(), Refusal> {
        self.receipt
            .device
            .verify(digest, &self.device_signature)
            .map_err(|refusal| Refusal::new("receipt.device-signature", refusal.expected, refusal.got))
    }

    /// Verifies all but the signatures, and gives what they say: that the node's account and the device signed the digest.
    pub(crate) fn claims(&self, domain: &Domain) -> Result<(AccountClaim, DeviceClaim), Refusal> {
        self.require_output()?;
        let digest = self.receipt.digest(domain);
        let node = (digest, self.node_signature, self.receipt.node);
        Ok((node, (digest, self.device_signature, self.receipt.device)))
    }

    /// The canonical wire form, version 1.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let r = &self.receipt;
        let mut wire = Vec::with_capacity(WIRE_BYTES_MIN + self.output.len());
        wire.push(WIRE_VERSION);
        wire.extend_from_slice(&r.job.0);
        wire.extend_from_slice(&r.sequence.to_be_bytes());
        wire.extend_from_slice(&r.node.0);
        for hash in [&r.device.0, &r.service.0, &r.model.0, &r.input.0, &r.output.0] {
            wire.extend_from_slice(hash);
        }
        for integer in [r.units, r.window_start, r.window_end] {
            wire.extend_from_slice(&integer.to_be_bytes());
        }
        wire.extend_from_slice(&r.evidence.0);
        wire.extend_from_slice(&r.previous.0);
        // `from_parts`, `sign` and `decode` bound the output by OUTPUT_BYTES_MAX.
        wire.extend_from_slice(&u32::try_from(self.output.len()).expect("bounded when built").to_be_bytes());
        wire.extend_from_slice(&self.output);
        wire.extend_from_slice(&self.device_signature.0);
        wire.extend_from_slice(&self.node_signature.0);
        wire
    }

    /// Reads the wire form. Signatures are not verified here; allocates the output only, after its length has
    /// been checked.
    ///
    /// # Errors
    /// `receipt.version`, `receipt.short`, `receipt.output-too-long`, `receipt.output-length`,
    /// `receipt.trailing`.
    pub fn decode(wire: &[u8]) -> Result<Self, Refusal> {
        let mut from = Reader { rest: wire, read: 0 };
        let version = from.take::<1>()?[0];
        require(version == WIRE_VERSION, "receipt.version", WIRE_VERSION, version)?;
        let receipt = Receipt {
            job: Hash32(from.take()?),
            sequence: u64::from_be_bytes(from.take()?),
            node: Address(from.take()?),
            device: Device(from.take()?),
            service: Hash32(from.take()?),
            model: Hash32(from.take()?),
            input: Hash32(from.take()?),
            output: Hash32(from.take()?),
            units: u64::from_be_bytes(from.take()?),
            window_start: u64::from_be_bytes(from.take()?),
            window_end: u64::from_be_bytes(from.take()?),
            evidence: Hash32(from.take()?),
            previous: Hash32(from.take()?),
        };
        let length = usize::try_from(u32::from_be_bytes(from.take()?)).unwrap_or(usize::MAX);
        require_output(length)?;
        let output = from.slice(length)?.to_vec();
        let device_signature = DeviceSignature(from.take()?);
        let node_signature = AccountSignature(from.take()?);
        require(from.rest.is_empty(), "receipt.trailing", "no byte after the signatures", from.rest.len())?;
        Ok(SignedReceipt { receipt, output, device_signature, node_signature })
    }
}

fn require_output(length: usize) -> Result<(), Refusal> {
    require(length <= OUTPUT_BYTES_MAX, "receipt.output-too-long", OUTPUT_BYTES_MAX, length)?;
    require(length.is_multiple_of(4), "receipt.output-length", "whole 4-byte words", length)
}

/// Takes fixed lengths off the front of the wire.
struct Reader<'a> {
    rest: &'a [u8],
    read: usize,
}

impl<'a> Reader<'a> {
    fn slice(&mut self, length: usize) -> Result<&'a [u8], Refusal> {
        let (front, rest) = self.rest.split_at_checked(length).ok_or_else(|| {
            Refusal::new(
                "receipt.short",
                format_args!("{length} bytes at {}", self.read),
                format_args!("{}", self.rest.len()),
            )
        })?;
        self.rest = rest;
        self.read += length;
        Ok(front)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Refusal> {
        let mut bytes = [0u8; N];
        bytes.copy_from_slice(self.slice(N)?);
        Ok(bytes)
    }
}

/// The JSON form, for people and pages.
#[derive(Serialize, Deserialize)]
struct Parts {
    receipt: Receipt,
    output_bytes: String,
    device_signature: DeviceSignature,
    node_signature: AccountSignature,
}

/// JSON: the parts with `0x` text. Binary formats: the wire form.
impl Serialize for SignedReceipt {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if !to.is_human_readable() {
            return to.serialize_bytes(&self.encode());
        }
        let parts = Parts {
            receipt: self.receipt.clone(),
            output_bytes: format!("0x{}", hex::encode(&self.output)),
            device_signature: self.device_signature,
            node_signature: self.node_signature,
        };
        parts.serialize(to)
    }
}

impl<'de> Deserialize<'de> for SignedReceipt {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        if !from.is_human_readable() {
            let wire = <&'de [u8]>::deserialize(from)?;
            return SignedReceipt::decode(wire).map_err(serde::de::Error::custom);
        }
        let parts = Parts::deserialize(from)?;
        let digits =
            parts.output_bytes.strip_prefix("0x").filter(|digits| digits.len() <= 2 * OUTPUT_BYTES_MAX);
        let output = digits
            .and_then(|digits| hex::decode(digits).ok())
            .ok_or_else(|| serde::de::Error::custom("output_bytes: 0x text"))?;
        SignedReceipt::from_parts(parts.receipt, output, parts.device_signature, parts.node_signature)
            .map_err(serde::de::Error::custom)
    }
}

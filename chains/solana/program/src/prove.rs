//! A receipt shown to a consumer: its digest, the node's signature, its wrapped proof; once for each consumer.
//!
//! The consumer is a program that calls this with an address of its own as signer, and reads from the return data the digest and `H` of the
//! public words as the feed has them. What the chain's packet (1,232 bytes) has no room for is the consumer's to hold against its own
//! agreement: the job, the feed's root of these words, and the device, whose Ed25519 signature an instruction of the chain's own
//! program can show beside this one.

use crate::books::{digest, domain_words, require_books, require_governor};
use crate::bytes::{address, word, Hash, Reader};
use crate::groth16::{check_key, verify, KEY_BYTES};
use crate::record::{now_s, require_is, Maker};
use crate::refusal::{require, Refusal};
use crate::syscall::{keccak, recover, set_return_data, sha256};
use pinocchio::error::ProgramError;
use pinocchio::{AccountView, Address, ProgramResult};

const MODEL: u8 = b'm';
const MODEL_HEAD: usize = 65;
const MARK: u8 = b'd';
const MARK_HEAD: usize = 65;
const WORDS_MAX: usize = 256;

const RECEIPT_TYPE: &[u8] = b"Receipt(bytes32 job,uint64 sequence,address node,bytes32 device,bytes32 service,bytes32 model,\
    bytes32 input,bytes32 output,uint64 units,uint64 windowStart,uint64 windowEnd,bytes32 evidence,bytes32 previous)";

/// The governor gives a model its verification key, once and for ever.
pub fn register(program: &Address, accounts: &mut [AccountView], data: &mut Reader<'_>) -> ProgramResult {
    let [governor, books, model, _system] = accounts else { return Err(Refusal::WrongAccount.into()) };
    let (id, key): (Hash, [u8; KEY_BYTES]) = (data.take()?, data.take()?);
    data.end()?;
    let of = require_books(program, books)?;
    require_governor(&books.try_borrow()?, governor)?;
    check_key(&key)?;
    Maker { program, payer: governor, space: MODEL_HEAD + KEY_BYTES }.make(model, (MODEL, &of, &id))?;
    model.try_borrow_mut()?[MODEL_HEAD..].copy_from_slice(&key);
    Ok(())
}

/// Returns only if the proof holds for the statement under a registered key: for an instruction before another program's, or a call.
pub fn verify_proof(program: &Address, accounts: &mut [AccountView], data: &mut Reader<'_>) -> ProgramResult {
    let [model] = accounts else { return Err(Refusal::WrongAccount.into()) };
    let (statement, proof) = (data.take()?, data.take()?);
    data.end()?;
    require(model.owned_by(program) && model.data_len() == MODEL_HEAD + KEY_BYTES, Refusal::WrongAccount)?;
    let model = model.try_borrow()?;
    require(model[0] == MODEL, Refusal::WrongAccount)?;
    verify(&model[MODEL_HEAD..], &statement, &proof)
}

/// The fields of a receipt, in the order of its type.
struct Receipt {
    job: Hash,
    sequence: u64,
    node: [u8; 20],
    device: Hash,
    service: Hash,
    model: Hash,
    input: Hash,
    output: Hash,
    units: u64,
    window: [u64; 2],
    evidence: Hash,
    previous: Hash,
}

impl Receipt {
    fn read(from: &mut Reader<'_>) -> Result<Self, ProgramError> {
        Ok(Receipt {
            job: from.take()?,
            sequence: from.u64()?,
            node: from.take()?,
            device: from.take()?,
            service: from.take()?,
            model: from.take()?,
            input: from.take()?,
            output: from.take()?,
            units: from.u64()?,
            window: [from.u64()?, from.u64()?],
            evidence: from.take()?,
            previous: from.take()?,
        })
    }

    fn struct_hash(&self) -> Hash {
        keccak(&[
            &keccak(&[RECEIPT_TYPE]),
            &self.job,
            &word(self.sequence),
            &address(&self.node),
            &self.device,
            &self.service,
            &self.model,
            &self.input,
            &self.output,
            &word(self.units),
            &word(self.window[0]),
            &word(self.window[1]),
            &self.evidence,
            &self.previous,
        ])
    }

    fn context(&self, books: &[u8]) -> Hash {
        let [chain, settlement] = domain_words(books);
        keccak(&[&chain, &settlement, &self.job, &word(self.sequence), &address(&self.node), &self.device])
    }
}

/// Checks a receipt for a consumer; leaves its digest and the hash of the public words as return data.
pub fn prove(program: &Address, accounts: &mut [AccountView], data: &mut Reader<'_>) -> ProgramResult {
    let [consumer, payer, books, model, mark, _system] = accounts else {
        return Err(Refusal::WrongAccount.into());
    };
    let receipt = Receipt::read(data)?;
    let (signature, proof) = (data.take()?, data.take()?);
    let count = usize::from(u16::from_be_bytes(data.take()?));
    require(count <= WORDS_MAX, Refusal::Malformed)?;
    let public = data.slice(4 * count)?;
    let output = data.0;
    require(output.len().is_multiple_of(4) && output.len() <= 4 * WORDS_MAX, Refusal::Malformed)?;

    let of = require_books(program, books)?;
    require(consumer.is_signer(), Refusal::NotAllowed)?;
    require_is(program, model, (MODEL, &of, &receipt.model))?;
    require(keccak(&[output]) == receipt.output, Refusal::WrongOutput)?;
    require(receipt.window[1] <= now_s()?, Refusal::WindowNotOver)?;
    let (digest, context) = {
        let books = books.try_borrow()?;
        (digest(&books, &receipt.struct_hash()), receipt.context(&books))
    };
    require(recover(&digest, &signature) == Some(receipt.node), Refusal::NotSigned)?;

    let name =
        keccak(&[&consumer.address().to_bytes(), &receipt.node, &(receipt.sequence >> 8).to_be_bytes()]);
    Maker { program, payer, space: MARK_HEAD + 32 }.make_or_is(mark, (MARK, &of, &name))?;
    {
        let mut mark = mark.try_borrow_mut()?;
        let place = MARK_HEAD + (receipt.sequence as usize & 255) / 8;
        let bit = 1 << (receipt.sequence & 7);
        require(mark[place] & bit == 0, Refusal::AlreadyDelivered)?;
        mark[place] |= bit;
    }
    let model = model.try_borrow()?;
    let shown = Shown {
        key: &model[MODEL_HEAD..],
        receipt: &receipt,
        context: &context,
        public,
        output,
        proof: &proof,
    };
    let words_hash = shown.check()?;
    let mut result = [0; 64];
    result[..32].copy_from_slice(&digest);
    result[32..].copy_from_slice(&words_hash);
    set_return_data(&result);
    Ok(())
}

/// What a statement is made of, and its proof.
struct Shown<'a> {
    key: &'a [u8],
    receipt: &'a Receipt,
    context: &'a Hash,
    public: &'a [u8],
    output: &'a [u8],
    proof: &'a [u8; 256],
}

impl Shown<'_> {
    /// The statement (docs/spec/market.md) and its proof; gives `H` of the public words.
    #[inline(never)]
    fn check(&self) -> Result<Hash, ProgramError> {
        let Shown { key, receipt, context, public, output, proof } = *self;
        let count = |bytes: &[u8]| ((bytes.len() / 4) as u32).to_be_bytes();
        let mut statement = sha256(&[
            &receipt.model,
            context,
            &1u32.to_be_bytes(),
            &receipt.input,
            &count(public),
            public,
            &count(output),
            output,
        ]);
        statement[0] &= 0x1f;
        verify(key, &statement, proof)?;
        Ok(keccak(&[public]))
    }
}

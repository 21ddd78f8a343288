//! The settlement for Solana: epoch roots, cumulative claims, wrapped proofs, and rolls of millions of devices behind one root each.
//!
//! Trees, digests, statements, keys and proofs are those of docs/spec/market.md; money is lamports. One program serves many settlements: a
//! settlement is an account whose address commits to its poster, its auditor, its times and its chain's name, so nobody can set up
//! another's. Differences from the EVM's settlement, and what each verb costs: docs/chains-other.md.
//!
//! An instruction is one byte, the verb's number, and its arguments, integers big-endian:
//!
//! | n | verb | arguments | accounts (w: written, s: signer) |
//! |---|---|---|---|
//! | 0 | open | poster, auditor, governor, H(chain), window u64 | payer ws, books w, system |
//! | 1 | deposit | account 20, amount u64 | payer ws, books w, record w, system |
//! | 2 | post | number u64, balances root, receipts root, log hash, total u64 | poster s, books w |
//! | 3 | veto | number u64 | auditor s, books w |
//! | 4 | name payee | account 20, payee 32, nonce u64, signature 65 | payer ws, books, record w, system |
//! | 5 | claim | account 20, cumulative u64, path 32 each | books w, record w, payee w |
//! | 6 | open exit | | books w |
//! | 7 | exit | account 20 | books w, record w, payee w |
//! | 8 | register | model 32, key 576 | governor ws, books, model w, system |
//! | 9 | prove | receipt 308, signature 65, proof 256, u16 public words, 2 bytes each, output words, 4 bytes each | consumer s, payer ws, books, model, mark w, system |
//! | 10 | append devices | subtree 32, height u8 | maker ws, roll w, system |
//! | 11 | check device | index u32, key 32, owner 20, cell u64, path 24 x 32 | roll |
//! | 12 | verify proof | statement 32, proof 256 | model |
//!
//! Every refusal is a custom error, the number of a [`refusal::Refusal`].
#![no_std]

mod books;
mod bytes;
mod groth16;
mod prove;
mod record;
mod refusal;
mod roll;
mod syscall;

use bytes::Reader;
use pinocchio::{AccountView, Address, ProgramResult};
use refusal::Refusal;

pinocchio::program_entrypoint!(process, 8);
pinocchio::nostd_panic_handler!();

/// One verb. Either all of it happens or, with a refusal, nothing.
fn process(program: &Address, accounts: &mut [AccountView], data: &[u8]) -> ProgramResult {
    let data = &mut Reader(data);
    let [verb] = data.take()?;
    match verb {
        0 => books::open(program, accounts, data),
        1 => books::deposit(program, accounts, data),
        2 => books::post(program, accounts, data),
        3 => books::veto(program, accounts, data),
        4 => books::name_payee(program, accounts, data),
        5 => books::claim(program, accounts, data),
        6 => books::open_exit(program, accounts, data),
        7 => books::exit(program, accounts, data),
        8 => prove::register(program, accounts, data),
        9 => prove::prove(program, accounts, data),
        10 => roll::append(program, accounts, data),
        11 => roll::check(program, accounts, data),
        12 => prove::verify_proof(program, accounts, data),
        _ => Err(Refusal::Malformed.into()),
    }
}

//! Accounts of this program: one byte of kind, the 32 bytes of what it belongs to, its key, then its own data.
//!
//! An account is made at the canonical address of these three, once; afterwards its owner and its first bytes say what it is, so an address is
//! derived only when an account is made.

use crate::refusal::{require, Refusal};
use pinocchio::cpi::{invoke_signed, Seed, Signer};
use pinocchio::error::ProgramError;
use pinocchio::instruction::{InstructionAccount, InstructionView};
use pinocchio::sysvars::{clock::Clock, rent::Rent, Sysvar};
use pinocchio::{AccountView, Address, ProgramResult};

/// The system program.
const SYSTEM: Address = Address::new_from_array([0; 32]);

/// Now, Unix.
pub fn now_s() -> Result<u64, ProgramError> {
    u64::try_from(Clock::get()?.unix_timestamp).map_err(|_| Refusal::Malformed.into())
}

/// Lamports from a signer to any account.
pub fn transfer(from: &AccountView, to: &AccountView, lamports: u64) -> ProgramResult {
    let mut data = [2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    data[4..].copy_from_slice(&lamports.to_le_bytes());
    let accounts =
        [InstructionAccount::writable_signer(from.address()), InstructionAccount::writable(to.address())];
    let call = InstructionView { program_id: &SYSTEM, data: &data, accounts: &accounts };
    invoke_signed(&call, &[from, to], &[])
}

/// Lamports out of an account of this program, which keeps what its data needs.
pub fn pay(from: &mut AccountView, to: &mut AccountView, lamports: u64) -> ProgramResult {
    require(from.address() != to.address(), Refusal::WrongAccount)?;
    let left = from.lamports().checked_sub(lamports).ok_or(Refusal::BadAmount)?;
    let sum = to.lamports().checked_add(lamports).ok_or(Refusal::BadAmount)?;
    from.set_lamports(left);
    to.set_lamports(sum);
    Ok(())
}

/// True if the account was made by [`Maker::make`] with these.
pub fn is(program: &Address, account: &AccountView, (kind, of, key): (u8, &[u8; 32], &[u8])) -> bool {
    let head = 33 + key.len();
    account.owned_by(program)
        && account.data_len() >= head
        && account
            .try_borrow()
            .is_ok_and(|data| data[0] == kind && data[1..33] == of[..] && data[33..head] == *key)
}

/// Refuses another account than that.
pub fn require_is(program: &Address, account: &AccountView, name: (u8, &[u8; 32], &[u8])) -> ProgramResult {
    require(is(program, account, name), Refusal::WrongAccount)
}

/// What an account is made with. (A call of this machine has five arguments at most.)
pub struct Maker<'a> {
    /// This program.
    pub program: &'a Address,
    /// Who pays its rent.
    pub payer: &'a AccountView,
    /// Bytes of its data.
    pub space: usize,
}

impl Maker<'_> {
    /// Makes an account at the canonical address of kind, owner and key, and writes these first. Lamports that somebody sent there before are
    /// no obstacle.
    pub fn make(&self, account: &mut AccountView, (kind, of, key): (u8, &[u8; 32], &[u8])) -> ProgramResult {
        let Maker { program, payer, space } = *self;
        require(account.owned_by(&SYSTEM) && account.is_data_empty(), Refusal::Exists)?;
        let kinds = [kind];
        let (address, bump) =
            Address::try_find_program_address(&[&kinds, of, key], program).ok_or(Refusal::WrongAccount)?;
        require(*account.address() == address, Refusal::WrongAccount)?;
        let rent = Rent::get()?.try_minimum_balance(space)?;
        if account.lamports() < rent {
            transfer(payer, account, rent - account.lamports())?;
        }
        let bumps = [bump];
        let seeds = [Seed::from(&kinds), Seed::from(of), Seed::from(key), Seed::from(&bumps)];
        let signer = [Signer::from(&seeds)];
        let mut allocate = [8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        allocate[4..].copy_from_slice(&(space as u64).to_le_bytes());
        let mut assign = [0; 36];
        assign[0] = 1;
        assign[4..].copy_from_slice(program.as_array());
        let accounts = [InstructionAccount::writable_signer(&address)];
        for data in [&allocate[..], &assign[..]] {
            let call = InstructionView { program_id: &SYSTEM, data, accounts: &accounts };
            invoke_signed(&call, &[&*account], &signer)?;
        }
        let mut data = account.try_borrow_mut()?;
        data[0] = kind;
        data[1..33].copy_from_slice(of);
        data[33..33 + key.len()].copy_from_slice(key);
        Ok(())
    }

    /// Makes the account if it is not there.
    pub fn make_or_is(&self, account: &mut AccountView, name: (u8, &[u8; 32], &[u8])) -> ProgramResult {
        if is(self.program, account, name) {
            Ok(())
        } else {
            self.make(account, name)
        }
    }
}

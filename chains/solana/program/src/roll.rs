//! A maker's devices as one incremental tree of 24 levels (docs/spec/market.md, "Roll of devices"): one account, whatever their number.
//!
//! Data after the head: root 32, count u32, pending 24 x 32 (the left subtrees that wait for their right neighbour).

use crate::bytes::{address, at, put, word, Hash, Reader};
use crate::record::{require_is, Maker};
use crate::refusal::{require, Refusal};
use crate::syscall::keccak;
use pinocchio::{AccountView, Address, ProgramResult};

const KIND: u8 = b'r';
const DEPTH: usize = 24;
const ROOT: usize = 33;
const COUNT: usize = 65;
const PENDING: usize = 69;
const SPACE: usize = PENDING + DEPTH * 32;

fn pair(left: &Hash, right: &Hash) -> Hash {
    keccak(&[left, right])
}

/// Appends 2^height devices by the root of their subtree (height 0: one device, its leaf). What is in it is the maker's word.
pub fn append(program: &Address, accounts: &mut [AccountView], data: &mut Reader<'_>) -> ProgramResult {
    let [maker, roll, _system] = accounts else { return Err(Refusal::WrongAccount.into()) };
    let (subtree, [height]): (Hash, [u8; 1]) = (data.take()?, data.take()?);
    data.end()?;
    let height = usize::from(height);
    require(maker.is_signer(), Refusal::NotAllowed)?;
    require(subtree != [0; 32], Refusal::Malformed)?;
    let name = maker.address().to_bytes();
    Maker { program, payer: maker, space: SPACE }.make_or_is(roll, (KIND, &name, &[]))?;
    let mut roll = roll.try_borrow_mut()?;
    let first = u32::from_be_bytes(at(&roll, COUNT));
    require(height <= DEPTH && first & ((1 << height) - 1) == 0, Refusal::Misaligned)?;
    let count = first + (1 << height);
    require(count <= 1 << DEPTH, Refusal::Misaligned)?;
    let (mut node, mut empty, mut kept) = (subtree, [0; 32], false);
    for level in 0..DEPTH {
        if level >= height {
            let place = PENDING + 32 * level;
            if first >> level & 1 == 1 {
                node = pair(&at(&roll, place), &node);
            } else {
                // The first left place on the way up is what later batches will need.
                if !kept {
                    put(&mut roll, place, &node);
                    kept = true;
                }
                node = pair(&node, &empty);
            }
        }
        empty = pair(&empty, &empty);
    }
    put(&mut roll, ROOT, &node);
    put(&mut roll, COUNT, &count.to_be_bytes());
    Ok(())
}

/// Returns only if the device is on the roll at that place: for another program's instruction before its own, or a call.
pub fn check(program: &Address, accounts: &mut [AccountView], data: &mut Reader<'_>) -> ProgramResult {
    let [roll] = accounts else { return Err(Refusal::WrongAccount.into()) };
    let index = u32::from_be_bytes(data.take()?);
    let (key, owner, cell): (Hash, [u8; 20], u64) = (data.take()?, data.take()?, data.u64()?);
    let path = data.hashes()?;
    require(path.len() == DEPTH, Refusal::Malformed)?;
    require(roll.owned_by(program) && roll.data_len() == SPACE, Refusal::WrongAccount)?;
    let maker: Hash = at(&roll.try_borrow()?, 1);
    require_is(program, roll, (KIND, &maker, &[]))?;
    let roll = roll.try_borrow()?;
    require(index < u32::from_be_bytes(at(&roll, COUNT)), Refusal::NotOnRoll)?;
    let mut node = keccak(&[&keccak(&[&key, &address(&owner), &word(cell)])]);
    for (level, sibling) in path.iter().enumerate() {
        node = if index >> level & 1 == 1 { pair(sibling, &node) } else { pair(&node, sibling) };
    }
    require(node == at(&roll, ROOT), Refusal::NotOnRoll)
}

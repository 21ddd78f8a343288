//! Money: deposits in, one root per epoch, cumulative claims out, the auditor's veto, the forced exit.
//!
//! What holds whatever the poster does: claims never exceed the final epoch's total, which never exceeds deposits or falls; money goes
//! only to the payee that an account named for this settlement; an epoch is final only after the window; depositors can leave when the
//! poster is silent for 30 days. There is no upgrade in these rules: who deploys must give up the program's upgrade authority.

use crate::bytes::{address, at, minus, plus, put, put_u64, u64_at, word, Hash, Reader};
use crate::record::{is, now_s, pay, require_is, transfer, Maker};
use crate::refusal::{require, Refusal};
use crate::syscall::{keccak, recover};
use pinocchio::error::ProgramError;
use pinocchio::{AccountView, Address, ProgramResult};

const KIND: u8 = b'b';
const POSTER: usize = 33;
const AUDITOR: usize = 65;
const GOVERNOR: usize = 97;
const CHAIN: usize = 129;
const WINDOW: usize = 161;
const CONFIG_END: usize = 169;
const SEPARATOR: usize = 169;
const SETTLEMENT: usize = 201;
const DEPOSITS: usize = 221;
const CLAIMED: usize = 229;
const ACCOUNTED: usize = 237;
const LATEST: usize = 245;
const FINAL: usize = 253;
const POSTS: usize = 261;
const BEGAN: usize = 269;
const EXIT_OPEN: usize = 277;
/// Balances root 32, receipts root 32, log hash 32, total u64, posted at u64; epoch n at place n modulo their number.
const EPOCHS: usize = 278;
const EPOCH_BYTES: usize = 112;
/// One of them is the newest final epoch, the others may wait.
const EPOCHS_KEPT: u64 = 16;
const SPACE: usize = EPOCHS + EPOCHS_KEPT as usize * EPOCH_BYTES;

/// Without a new standing posting for this long, anybody may open the exit.
const EXIT_DELAY_S: u64 = 30 * 86_400;

const RECORD: u8 = b'a';
const DEPOSITED: usize = 53;
const TAKEN: usize = 61;
const PAYEE: usize = 69;
const NONCE: usize = 101;
const FRESH: usize = 109;
const FRESH_POST: usize = 117;
const EXITED: usize = 125;
const RECORD_SPACE: usize = 126;

fn epoch_at(number: u64) -> usize {
    EPOCHS + (number % EPOCHS_KEPT) as usize * EPOCH_BYTES
}

/// The total of an epoch that is kept; nothing for epoch 0.
fn total(books: &[u8], number: u64) -> u64 {
    if number == 0 {
        0
    } else {
        u64_at(books, epoch_at(number) + 96)
    }
}

/// Refuses another account than a settlement's books; gives its address's bytes.
pub fn require_books(program: &Address, books: &AccountView) -> Result<Hash, ProgramError> {
    require(books.owned_by(program) && books.data_len() == SPACE, Refusal::WrongAccount)?;
    require(books.try_borrow()?[0] == KIND, Refusal::WrongAccount)?;
    Ok(books.address().to_bytes())
}

/// Counts as final what is so by now: an epoch waits for all before it.
fn finalise(books: &mut [u8], now: u64) {
    let (latest, window) = (u64_at(books, LATEST), u64_at(books, WINDOW));
    let mut last = u64_at(books, FINAL);
    while last < latest && now >= u64_at(books, epoch_at(last + 1) + 104).saturating_add(window) {
        last += 1;
    }
    put_u64(books, FINAL, last);
}

/// Makes a settlement whose address commits to its config.
pub fn open(program: &Address, accounts: &mut [AccountView], data: &mut Reader<'_>) -> ProgramResult {
    let [payer, books, _system] = accounts else { return Err(Refusal::WrongAccount.into()) };
    let config: [u8; CONFIG_END - POSTER] = data.0.try_into().map_err(|_| Refusal::Malformed)?;
    let window = u64_at(&config, WINDOW - POSTER);
    // The exit must never open before an epoch posted in time could have become final.
    require(window < EXIT_DELAY_S, Refusal::BadConfig)?;
    Maker { program, payer, space: SPACE }.make(books, (KIND, &keccak(&[&config]), &[]))?;
    let address_of_books = books.address().to_bytes();
    let mut data = books.try_borrow_mut()?;
    put(&mut data, POSTER, &config);
    // The domain, as `Domain::of_contract` of crates/market makes it.
    let chain: Hash = at(&data, CHAIN);
    let mut settlement = [0; 20];
    settlement.copy_from_slice(&keccak(&[&chain, &address_of_books])[12..]);
    let separator = keccak(&[
        &keccak(&[b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"]),
        &keccak(&[b"Proofmesh"]),
        &keccak(&[b"1"]),
        &word(u64_at(&chain, 0)),
        &address(&settlement),
    ]);
    put(&mut data, SEPARATOR, &separator);
    put(&mut data, SETTLEMENT, &settlement);
    put_u64(&mut data, BEGAN, now_s()?);
    Ok(())
}

/// The EIP-712 digest of a struct's hash in the settlement's domain.
pub fn digest(books: &[u8], struct_hash: &Hash) -> Hash {
    keccak(&[b"\x19\x01", &books[SEPARATOR..SEPARATOR + 32], struct_hash])
}

/// Chain id and settlement, as words of a context.
pub fn domain_words(books: &[u8]) -> [Hash; 2] {
    [word(u64_at(books, CHAIN)), address(&at(books, SETTLEMENT))]
}

/// Refuses unless the governor signs.
pub fn require_governor(books: &[u8], who: &AccountView) -> ProgramResult {
    require(who.is_signer() && who.address().to_bytes() == at::<32>(books, GOVERNOR), Refusal::NotAllowed)
}

/// Lamports of the payer become the account's.
pub fn deposit(program: &Address, accounts: &mut [AccountView], data: &mut Reader<'_>) -> ProgramResult {
    let [payer, books, record, _system] = accounts else { return Err(Refusal::WrongAccount.into()) };
    let (account, amount): ([u8; 20], u64) = (data.take()?, data.u64()?);
    data.end()?;
    let of = require_books(program, books)?;
    require(amount > 0, Refusal::BadAmount)?;
    Maker { program, payer, space: RECORD_SPACE }.make_or_is(record, (RECORD, &of, &account))?;
    {
        let (mut books, mut record) = (books.try_borrow_mut()?, record.try_borrow_mut()?);
        require(books[EXIT_OPEN] == 0, Refusal::ExitOpen)?;
        let deposits = plus(u64_at(&books, DEPOSITS), amount)?;
        put_u64(&mut books, DEPOSITS, deposits);
        let deposited = plus(u64_at(&record, DEPOSITED), amount)?;
        put_u64(&mut record, DEPOSITED, deposited);
        let posts = u64_at(&books, POSTS);
        let fresh = if u64_at(&record, FRESH_POST) == posts { u64_at(&record, FRESH) } else { 0 };
        put_u64(&mut record, FRESH, plus(fresh, amount)?);
        put_u64(&mut record, FRESH_POST, posts);
    }
    transfer(payer, books, amount)
}

/// The poster posts the next epoch.
pub fn post(program: &Address, accounts: &mut [AccountView], data: &mut Reader<'_>) -> ProgramResult {
    let [poster, books] = accounts else { return Err(Refusal::WrongAccount.into()) };
    let (number, roots, sum): (u64, [u8; 96], u64) = (data.u64()?, data.take()?, data.u64()?);
    data.end()?;
    require_books(program, books)?;
    let now = now_s()?;
    let mut books = books.try_borrow_mut()?;
    let by_poster = poster.is_signer() && poster.address().to_bytes() == at::<32>(&books, POSTER);
    require(by_poster, Refusal::NotAllowed)?;
    require(books[EXIT_OPEN] == 0, Refusal::ExitOpen)?;
    finalise(&mut books, now);
    let (latest, last) = (u64_at(&books, LATEST), u64_at(&books, FINAL));
    require(Some(number) == latest.checked_add(1), Refusal::EpochOutOfOrder)?;
    require(latest - last < EPOCHS_KEPT - 1, Refusal::TooManyPending)?;
    require(sum >= total(&books, latest), Refusal::TotalFell)?;
    let deposits = u64_at(&books, DEPOSITS);
    require(sum <= deposits, Refusal::TotalExceedsDeposits)?;
    let place = epoch_at(number);
    put(&mut books, place, &roots);
    put_u64(&mut books, place + 96, sum);
    put_u64(&mut books, place + 104, now);
    put_u64(&mut books, LATEST, number);
    put_u64(&mut books, ACCOUNTED, deposits);
    let posts = plus(u64_at(&books, POSTS), 1)?;
    put_u64(&mut books, POSTS, posts);
    Ok(())
}

/// The auditor strikes a pending epoch and all after it. Moves no money.
pub fn veto(program: &Address, accounts: &mut [AccountView], data: &mut Reader<'_>) -> ProgramResult {
    let [auditor, books] = accounts else { return Err(Refusal::WrongAccount.into()) };
    let number = data.u64()?;
    data.end()?;
    require_books(program, books)?;
    let now = now_s()?;
    let mut books = books.try_borrow_mut()?;
    let by_auditor = auditor.is_signer() && auditor.address().to_bytes() == at::<32>(&books, AUDITOR);
    require(by_auditor, Refusal::NotAllowed)?;
    finalise(&mut books, now);
    let pending = number > u64_at(&books, FINAL) && number <= u64_at(&books, LATEST);
    require(pending, Refusal::EpochOutOfOrder)?;
    put_u64(&mut books, LATEST, number - 1);
    Ok(())
}

/// An account names where it is paid, by an order that it signed for this settlement. Anybody may bring it.
pub fn name_payee(program: &Address, accounts: &mut [AccountView], data: &mut Reader<'_>) -> ProgramResult {
    let [payer, books, record, _system] = accounts else { return Err(Refusal::WrongAccount.into()) };
    let (account, payee, nonce): ([u8; 20], Hash, u64) = (data.take()?, data.take()?, data.u64()?);
    let signature = data.take()?;
    data.end()?;
    let of = require_books(program, books)?;
    let struct_hash = keccak(&[
        &keccak(&[b"Payee(address account,bytes payee,uint64 nonce)"]),
        &address(&account),
        &keccak(&[&payee]),
        &word(nonce),
    ]);
    let signed = recover(&digest(&books.try_borrow()?, &struct_hash), &signature) == Some(account);
    require(signed, Refusal::NotSigned)?;
    Maker { program, payer, space: RECORD_SPACE }.make_or_is(record, (RECORD, &of, &account))?;
    let mut record = record.try_borrow_mut()?;
    require(nonce > u64_at(&record, NONCE), Refusal::Replayed)?;
    put_u64(&mut record, NONCE, nonce);
    put(&mut record, PAYEE, &payee);
    Ok(())
}

/// Pays what the newest final root owes an account beyond what it has claimed. Anybody; the payee gets the money.
pub fn claim(program: &Address, accounts: &mut [AccountView], data: &mut Reader<'_>) -> ProgramResult {
    let [books, record, payee] = accounts else { return Err(Refusal::WrongAccount.into()) };
    let (account, cumulative): ([u8; 20], u64) = (data.take()?, data.u64()?);
    let path = data.hashes()?;
    require(path.len() <= 64, Refusal::WrongPath)?;
    let of = require_books(program, books)?;
    require_is(program, record, (RECORD, &of, &account))?;
    let paid = {
        let now = now_s()?;
        let (mut books, mut record) = (books.try_borrow_mut()?, record.try_borrow_mut()?);
        finalise(&mut books, now);
        let last = u64_at(&books, FINAL);
        require(last != 0, Refusal::NothingFinal)?;
        let leaf = keccak(&[&keccak(&[&address(&account), &word(cumulative)])]);
        let root = path.iter().fold(leaf, |node, sibling| {
            if node <= *sibling {
                keccak(&[&node, sibling])
            } else {
                keccak(&[sibling, &node])
            }
        });
        require(root == at(&books, epoch_at(last)), Refusal::WrongPath)?;
        let taken = u64_at(&record, TAKEN);
        require(cumulative > taken, Refusal::NothingToClaim)?;
        require(
            payee.address().to_bytes() == at::<32>(&record, PAYEE) && u64_at(&record, NONCE) > 0,
            Refusal::WrongPayee,
        )?;
        let paid = cumulative - taken;
        // The leaves are the poster's word; that they add up to no more than the total is enforced here.
        let left = minus(total(&books, last), u64_at(&books, CLAIMED))?;
        require(paid <= left, Refusal::ClaimExceedsTotal)?;
        put_u64(&mut record, TAKEN, cumulative);
        let claimed = plus(u64_at(&books, CLAIMED), paid)?;
        put_u64(&mut books, CLAIMED, claimed);
        paid
    };
    pay(books, payee, paid)
}

/// Opens the exit, on final books, if the newest standing posting is old. For ever.
pub fn open_exit(program: &Address, accounts: &mut [AccountView], data: &mut Reader<'_>) -> ProgramResult {
    let [books] = accounts else { return Err(Refusal::WrongAccount.into()) };
    data.end()?;
    require_books(program, books)?;
    let now = now_s()?;
    let mut books = books.try_borrow_mut()?;
    require(books[EXIT_OPEN] == 0, Refusal::ExitOpen)?;
    finalise(&mut books, now);
    let latest = u64_at(&books, LATEST);
    require(u64_at(&books, FINAL) == latest, Refusal::TooEarly)?;
    let last = if latest == 0 { u64_at(&books, BEGAN) } else { u64_at(&books, epoch_at(latest) + 104) };
    require(now >= last.saturating_add(EXIT_DELAY_S), Refusal::TooEarly)?;
    books[EXIT_OPEN] = 1;
    Ok(())
}

/// Pays an account its part of what no root accounts for, once: deposits since the last posting in full, older ones in proportion. The sum of
/// exits is at most `deposits - total`; what roots owe stays for claims.
pub fn exit(program: &Address, accounts: &mut [AccountView], data: &mut Reader<'_>) -> ProgramResult {
    let [books, record, payee] = accounts else { return Err(Refusal::WrongAccount.into()) };
    let account: [u8; 20] = data.take()?;
    data.end()?;
    let of = require_books(program, books)?;
    require(is(program, record, (RECORD, &of, &account)), Refusal::WrongAccount)?;
    let paid = {
        let (books, mut record) = (books.try_borrow()?, record.try_borrow_mut()?);
        require(books[EXIT_OPEN] == 1, Refusal::TooEarly)?;
        require(record[EXITED] == 0, Refusal::AlreadyExited)?;
        require(
            payee.address().to_bytes() == at::<32>(&record, PAYEE) && u64_at(&record, NONCE) > 0,
            Refusal::WrongPayee,
        )?;
        let recent =
            if u64_at(&record, FRESH_POST) == u64_at(&books, POSTS) { u64_at(&record, FRESH) } else { 0 };
        let older = minus(u64_at(&record, DEPOSITED), recent)?;
        let accounted = u64_at(&books, ACCOUNTED);
        let unowed = minus(accounted, total(&books, u64_at(&books, LATEST)))?;
        let share = share_down(older, unowed, accounted)?;
        let paid = plus(recent, share)?;
        require(paid > 0, Refusal::BadAmount)?;
        record[EXITED] = 1;
        paid
    };
    pay(books, payee, paid)
}

/// `floor(amount part / whole)` with `part <= whole`; nothing of nothing. By long division: the machine has no 128-bit one.
fn share_down(amount: u64, part: u64, whole: u64) -> Result<u64, ProgramError> {
    if whole == 0 {
        return Ok(0);
    }
    require(part <= whole, Refusal::BadAmount)?;
    // quotient and rest of (the amount's bits so far) part / whole, the highest bit first
    let (mut quotient, mut rest) = (0u64, 0u64);
    for bit in (0..64).rev() {
        let (double, above) = rest.overflowing_add(rest);
        let (mut sum, mut carry) = (double, above || double >= whole);
        quotient = quotient.wrapping_add(quotient);
        if carry {
            sum = sum.wrapping_sub(whole);
            quotient += 1;
        }
        if amount >> bit & 1 == 1 {
            let (more, above) = sum.overflowing_add(part);
            carry = above || more >= whole;
            sum = if carry { more.wrapping_sub(whole) } else { more };
            quotient += u64::from(carry);
        }
        rest = sum;
    }
    Ok(quotient)
}

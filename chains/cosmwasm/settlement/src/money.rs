//! The accounts' side: deposits, payees, claims, the forced exit.

use crate::epochs::{books_at, posted, total};
use crate::evidence::require_signed;
use crate::refused::{refuse, require, Result};
use crate::state::{account, account_key, minus, plus, save, Account, Call, Config, BOOKS, EXIT_DELAY_S};
use cosmwasm_std::{Addr, CanonicalAddr, Response};
use proofmesh_market::order::Order;
use proofmesh_market::tree::{balance_leaf, verify};
use proofmesh_market::{AccountSignature, Address, Hash32, Payee, Usd};

/// The funds sent become the account's.
pub fn deposit(call: Call<'_>, of: Address) -> Result<Response> {
    let config = Config::load(call.deps.storage)?;
    let amount = call.funds(&config)?;
    let mut books = books_at(call.deps.storage, call.now_s)?;
    require(!books.exit_open, "exit.open", "a contract that goes on", "an open exit")?;
    let mut record = account(call.deps.storage, &of)?;
    books.deposits = plus(books.deposits, amount)?;
    record.deposited = plus(record.deposited, amount)?;
    let fresh = if record.fresh_post == books.posts { record.fresh } else { Usd::ZERO };
    (record.fresh, record.fresh_post) = (plus(fresh, amount)?, books.posts);
    save(call.deps.storage, &account_key(&of), &record)?;
    save(call.deps.storage, BOOKS, &books)?;
    Ok(Response::new()
        .add_attribute("account", of.to_string())
        .add_attribute("deposited", record.deposited.micro().to_string()))
}

/// The account says where it is paid, by an order with its own key. Anybody may bring the order.
pub fn name_payee(call: Call<'_>, order: Payee, signature: AccountSignature) -> Result<Response> {
    let config = Config::load(call.deps.storage)?;
    let mut record = account(call.deps.storage, &order.account)?;
    let above = format_args!("above {}", record.nonce);
    require(order.nonce > record.nonce, "payee.replayed", above, order.nonce)?;
    let canonical = CanonicalAddr::from(order.payee.as_slice());
    let length = canonical.len();
    require(length == 20 || length == 32, "payee.address", "20 or 32 bytes", length)?;
    let payee = call.deps.api.addr_humanize(&canonical)?;
    require_signed(
        call.deps.api,
        &order.account,
        &order.digest(&config.domain),
        &signature,
        "payee.signature",
    )?;
    record.nonce = order.nonce;
    record.payee = Some(payee.clone());
    save(call.deps.storage, &account_key(&order.account), &record)?;
    Ok(Response::new().add_attribute("account", order.account.to_string()).add_attribute("payee", payee))
}

/// Pays what the newest final root owes the account beyond what it has claimed.
pub fn claim(call: Call<'_>, of: Address, cumulative: Usd, proof: &[Hash32]) -> Result<Response> {
    let config = Config::load(call.deps.storage)?;
    let mut books = books_at(call.deps.storage, call.now_s)?;
    require(books.last_final != 0, "claim.nothing-final", "a final epoch", "none")?;
    let root = posted(call.deps.storage, books.last_final)?.epoch;
    let held = verify(&root.balances_root, &balance_leaf(&of, cumulative), proof);
    require(held, "claim.path", format_args!("a path to {}", root.balances_root), "another root")?;
    let mut record = account(call.deps.storage, &of)?;
    let already = record.claimed;
    require(cumulative > already, "claim.nothing", format_args!("above {already}"), cumulative)?;
    let payee = payee(&record, &of)?;
    let paid = minus(cumulative, record.claimed)?;
    // The leaves are the poster's word; that they add up to no more than the total is enforced here.
    let left = minus(root.total, books.claimed)?;
    require(paid <= left, "claim.exceeds-total", format_args!("at most {left}"), paid)?;
    record.claimed = cumulative;
    books.claimed = plus(books.claimed, paid)?;
    save(call.deps.storage, &account_key(&of), &record)?;
    save(call.deps.storage, BOOKS, &books)?;
    Ok(Response::new()
        .add_message(config.pay(&payee, paid))
        .add_attribute("account", of.to_string())
        .add_attribute("cumulative", cumulative.micro().to_string()))
}

fn payee(record: &Account, of: &Address) -> Result<Addr> {
    record.payee.clone().map_or_else(|| refuse("claim.no-payee", "a payee named by the account", of), Ok)
}

/// Opens the exit, on final books, if the newest standing posting is old.
pub fn open_exit(call: Call<'_>) -> Result<Response> {
    let mut books = books_at(call.deps.storage, call.now_s)?;
    require(!books.exit_open, "exit.open", "a contract that goes on", "an open exit")?;
    require(books.last_final == books.latest, "exit.epochs-pending", "no pending epoch", books.latest)?;
    let last_s = match books.latest {
        0 => books.began_s,
        latest => posted(call.deps.storage, latest)?.at_s,
    };
    let from_s = last_s + EXIT_DELAY_S;
    require(call.now_s >= from_s, "exit.too-early", from_s, call.now_s)?;
    books.exit_open = true;
    save(call.deps.storage, BOOKS, &books)?;
    Ok(Response::new().add_attribute("exit", "open"))
}

/// Pays an account its part of what no root accounts for, once: deposits since the last posting in full (no root can have spent them), older
/// ones in proportion, since the contract cannot see whose the rest is. The sum of exits is at most `deposits - total`; what roots
/// owe stays for claims.
pub fn exit(call: Call<'_>, of: Address) -> Result<Response> {
    let config = Config::load(call.deps.storage)?;
    let books = books_at(call.deps.storage, call.now_s)?;
    require(books.exit_open, "exit.not-open", "an open exit", "a contract that goes on")?;
    let mut record = account(call.deps.storage, &of)?;
    require(!record.exited, "exit.already", "an account that is still here", of)?;
    let recent = if record.fresh_post == books.posts { record.fresh } else { Usd::ZERO };
    let older = minus(record.deposited, recent)?;
    let unowed = minus(books.accounted, total(call.deps.storage, books.latest)?)?;
    let paid = plus(recent, share_down(older, unowed, books.accounted))?;
    require(!paid.is_zero(), "exit.nothing", "an amount above zero", paid)?;
    let payee = payee(&record, &of)?;
    record.exited = true;
    save(call.deps.storage, &account_key(&of), &record)?;
    Ok(Response::new().add_message(config.pay(&payee, paid)).add_attribute("account", of.to_string()))
}

/// `floor(amount part / whole)` with `part <= whole`; nothing of nothing.
fn share_down(amount: Usd, part: Usd, whole: Usd) -> Usd {
    let product = u128::from(amount.micro()) * u128::from(part.micro());
    let share = product.checked_div(u128::from(whole.micro())).unwrap_or(0);
    Usd::from_micro(u64::try_from(share).expect("at most the amount"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_rounded_down_and_never_more_than_the_amount() {
        let usd = Usd::from_micro;
        assert_eq!(share_down(usd(10), usd(1), usd(3)), usd(3));
        assert_eq!(share_down(usd(u64::MAX), usd(u64::MAX), usd(u64::MAX)), usd(u64::MAX));
        assert_eq!(share_down(usd(5), Usd::ZERO, Usd::ZERO), Usd::ZERO);
    }
}

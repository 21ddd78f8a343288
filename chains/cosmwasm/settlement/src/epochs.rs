//! The poster's side: its bond, the roots, their finality, the auditor's veto.

use crate::groth16::Key;
use crate::refused::{refuse, require, Result};
use crate::state::{
    epoch, epoch_key, load, minus, model_key, plus, save, Books, Call, Config, Model, Posted, BOOKS,
    PENDING_MAX,
};
use cosmwasm_std::{Binary, Response, Storage};
use proofmesh_market::tree::{receipt_leaf, verify};
use proofmesh_market::{Epoch, Hash32, Usd};

/// The books with every epoch counted as final that is so by now. Finality is a prefix: an epoch waits for all before it. At most
/// [`PENDING_MAX`] steps.
pub fn books_at(storage: &dyn Storage, now_s: u64) -> Result<Books> {
    let Some(mut books) = load::<Books>(storage, BOOKS)? else {
        return refuse("config.none", "a contract that was set up", "none");
    };
    let window_s =
        if books.last_final < books.latest { Config::load(storage)?.challenge_window_s } else { 0 };
    while books.last_final < books.latest {
        let next = posted(storage, books.last_final + 1)?;
        if next.open != 0 || now_s < next.at_s + window_s {
            break;
        }
        books.last_final += 1;
    }
    Ok(books)
}

/// An epoch that must be there.
pub fn posted(storage: &dyn Storage, number: u64) -> Result<Posted> {
    epoch(storage, number)?.map_or_else(|| refuse("epoch.unknown", "a posted epoch", number), Ok)
}

/// The total of an epoch; nothing for epoch 0.
pub fn total(storage: &dyn Storage, number: u64) -> Result<Usd> {
    Ok(epoch(storage, number)?.map_or(Usd::ZERO, |posted| posted.epoch.total))
}

/// Refuses an epoch that is not posted, or final.
pub fn require_pending(books: &Books, number: u64) -> Result<()> {
    let pending = number > books.last_final && number <= books.latest;
    let expected = format_args!("{} to {}", books.last_final.saturating_add(1), books.latest);
    require(pending, "epoch.not-pending", expected, number)
}

/// True if a final epoch holds a receipt.
pub fn is_settled(
    storage: &dyn Storage,
    now_s: u64,
    digest: Hash32,
    number: u64,
    proof: &[Hash32],
) -> Result<bool> {
    if number == 0 || number > books_at(storage, now_s)?.last_final {
        return Ok(false);
    }
    Ok(verify(&posted(storage, number)?.epoch.receipts_root, &receipt_leaf(&digest), proof))
}

/// The poster adds to its bond.
pub fn bond(call: Call<'_>) -> Result<Response> {
    let config = Config::load(call.deps.storage)?;
    call.require_sender(&config.poster, "poster.not")?;
    let mut books = books_at(call.deps.storage, call.now_s)?;
    books.bond = plus(books.bond, call.funds(&config)?)?;
    save(call.deps.storage, BOOKS, &books)?;
    Ok(Response::new().add_attribute("bond", books.bond.to_string()))
}

/// The poster takes from its bond, while no epoch waits for finality.
pub fn unbond(call: Call<'_>, amount: Usd) -> Result<Response> {
    let config = Config::load(call.deps.storage)?;
    call.require_sender(&config.poster, "poster.not")?;
    let mut books = books_at(call.deps.storage, call.now_s)?;
    require(books.last_final == books.latest, "poster.bond-in-use", "no pending epoch", books.latest)?;
    let enough = !amount.is_zero() && amount <= books.bond;
    require(enough, "poster.bond-too-small", format_args!("1 to {}", books.bond.micro()), amount.micro())?;
    books.bond = minus(books.bond, amount)?;
    save(call.deps.storage, BOOKS, &books)?;
    Ok(Response::new().add_message(config.pay(&config.poster, amount)))
}

/// The governor gives a model its key, once: a key that can be swapped could be swapped for one that agrees to anything.
pub fn register_model(call: Call<'_>, model: Hash32, key: &Binary) -> Result<Response> {
    let config = Config::load(call.deps.storage)?;
    call.require_sender(&config.governor, "governor.not")?;
    let known = load::<Model>(call.deps.storage, &model_key(&model))?.is_some();
    require(!known, "model.exists", "a model without a key", model)?;
    let hash = Key::check(key)?;
    save(call.deps.storage, &model_key(&model), &Model { key: key.clone(), since_s: call.now_s })?;
    Ok(Response::new().add_attribute("model", model.to_string()).add_attribute("key", hash.to_string()))
}

/// The poster posts the next epoch.
pub fn post(call: Call<'_>, epoch: Epoch) -> Result<Response> {
    let config = Config::load(call.deps.storage)?;
    call.require_sender(&config.poster, "poster.not")?;
    let mut books = books_at(call.deps.storage, call.now_s)?;
    require(!books.exit_open, "exit.open", "a contract that goes on", "an open exit")?;
    require(books.bond >= config.poster_bond, "poster.bond-too-small", config.poster_bond, books.bond)?;
    require(epoch.number == books.latest + 1, "epoch.number", books.latest + 1, epoch.number)?;
    let pending = books.latest - books.last_final;
    require(pending < PENDING_MAX, "epoch.too-many-pending", format_args!("below {PENDING_MAX}"), pending)?;
    let before = total(call.deps.storage, books.latest)?;
    require(epoch.total >= before, "epoch.total-fell", format_args!("at least {before}"), epoch.total)?;
    let most = books.deposits;
    require(
        epoch.total <= most,
        "epoch.total-exceeds-deposits",
        format_args!("at most {most}"),
        epoch.total,
    )?;
    books.posts += 1;
    books.latest = epoch.number;
    books.accounted = books.deposits;
    let posted = Posted { epoch, at_s: call.now_s, post: books.posts, open: 0 };
    save(call.deps.storage, &epoch_key(books.latest), &posted)?;
    save(call.deps.storage, BOOKS, &books)?;
    Ok(Response::new()
        .add_attribute("epoch", books.latest.to_string())
        .add_attribute("post", books.posts.to_string())
        .add_attribute("balances_root", posted.epoch.balances_root.to_string())
        .add_attribute("receipts_root", posted.epoch.receipts_root.to_string())
        .add_attribute("log_hash", posted.epoch.log_hash.to_string())
        .add_attribute("total", posted.epoch.total.micro().to_string()))
}

/// The auditor strikes a pending epoch and all after it.
pub fn veto(call: Call<'_>, number: u64) -> Result<Response> {
    let config = Config::load(call.deps.storage)?;
    let auditor = config.auditor.as_ref();
    require(auditor == Some(&call.info.sender), "auditor.not", "the auditor", &call.info.sender)?;
    let mut books = books_at(call.deps.storage, call.now_s)?;
    require_pending(&books, number)?;
    roll_back(call.deps.storage, &mut books, number)?;
    save(call.deps.storage, BOOKS, &books)?;
    Ok(Response::new().add_attribute("rolled_back", number.to_string()))
}

/// Forgets `from` and all epochs after it; their challengers get their bonds back by `refund_challenge`.
pub fn roll_back(storage: &mut dyn Storage, books: &mut Books, from: u64) -> Result<()> {
    for number in from..=books.latest {
        books.open_challenges -= posted(storage, number)?.open;
        storage.remove(&epoch_key(number));
    }
    books.latest = from - 1;
    Ok(())
}

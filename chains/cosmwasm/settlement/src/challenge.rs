//! The challenge game: a receipt of a pending epoch is asked for; a wrapped proof answers, or the deadline does.

use crate::epochs::{books_at, posted, require_pending, roll_back};
use crate::evidence;
use crate::msg::Evidence;
use crate::refused::{refuse, require, Result};
use crate::state::{
    challenge_key, epoch, epoch_key, load, model_key, plus, save, Call, Challenge, Config, Model, BOOKS,
};
use cosmwasm_std::{Response, Storage};
use proofmesh_market::tree::{receipt_leaf, verify};
use proofmesh_market::{Hash32, Receipt, SignedReceipt, Usd};

/// Asks for one receipt. Its model must have had a key before the epoch was posted: one registered afterwards could be one that accepts
/// nothing. The epoch and all after it wait; each open challenge gives the poster more time, so that a flood cannot outrun its prover.
pub fn open(call: Call<'_>, number: u64, receipt: &Receipt, proof: &[Hash32]) -> Result<Response> {
    let config = Config::load(call.deps.storage)?;
    let mut books = books_at(call.deps.storage, call.now_s)?;
    require_pending(&books, number)?;
    let mut held = posted(call.deps.storage, number)?;
    let closes_s = held.at_s + config.challenge_window_s;
    let until = format_args!("before {closes_s}");
    require(call.now_s < closes_s, "challenge.window-closed", until, call.now_s)?;
    evidence::require_inference(&receipt.service)?;
    let model = load::<Model>(call.deps.storage, &model_key(&receipt.model))?;
    let known = model.is_some_and(|model| model.since_s < held.at_s);
    require(known, "model.unknown", "a model that had a key before the posting", receipt.model)?;
    let digest = receipt.digest(&config.domain);
    let inside = verify(&held.epoch.receipts_root, &receipt_leaf(&digest), proof);
    require(
        inside,
        "challenge.path",
        format_args!("a path to {}", held.epoch.receipts_root),
        "another root",
    )?;
    let key = challenge_key(held.post, &digest);
    let asked = load::<Challenge>(call.deps.storage, &key)?.is_some();
    require(!asked, "challenge.exists", "a receipt that nobody asked for in this posting", digest)?;
    let funds = call.funds(&config)?;
    require(funds == config.challenge_bond, "challenge.bond", config.challenge_bond, funds)?;
    books.open_challenges += 1;
    held.open += 1;
    let deadline_s = call.now_s + config.response_s.saturating_mul(u64::from(books.open_challenges));
    let challenger = call.info.sender.clone();
    save(call.deps.storage, &key, &Challenge { challenger, deadline_s: Some(deadline_s), epoch: number })?;
    save(call.deps.storage, &epoch_key(number), &held)?;
    save(call.deps.storage, BOOKS, &books)?;
    Ok(Response::new()
        .add_attribute("challenged", digest.to_string())
        .add_attribute("post", held.post.to_string())
        .add_attribute("deadline", deadline_s.to_string()))
}

/// An open challenge and its deadline.
fn standing(storage: &dyn Storage, post: u32, digest: &Hash32) -> Result<(Challenge, u64)> {
    let challenge = load::<Challenge>(storage, &challenge_key(post, digest))?;
    match challenge.and_then(|challenge| challenge.deadline_s.map(|deadline_s| (challenge, deadline_s))) {
        Some(standing) => Ok(standing),
        None => refuse("challenge.none", "an open challenge", digest),
    }
}

/// Closes a challenge; its record stays, so that a receipt is asked for once per posting.
fn close(storage: &mut dyn Storage, post: u32, digest: &Hash32, challenge: Challenge) -> Result<()> {
    save(storage, &challenge_key(post, digest), &Challenge { deadline_s: None, ..challenge })
}

/// Answers with the receipt's evidence; the poster gets the challenger's bond.
pub fn answer(call: Call<'_>, number: u64, receipt: &SignedReceipt, shown: &Evidence) -> Result<Response> {
    let config = Config::load(call.deps.storage)?;
    let mut books = books_at(call.deps.storage, call.now_s)?;
    let digest = receipt.receipt.digest(&config.domain);
    let Some(mut held) = epoch(call.deps.storage, number)? else {
        return refuse("challenge.none", "an open challenge", digest);
    };
    let (challenge, deadline_s) = standing(call.deps.storage, held.post, &digest)?;
    require(call.now_s <= deadline_s, "challenge.late", format_args!("by {deadline_s}"), call.now_s)?;
    evidence::check(call.deps.as_ref(), &config.domain, call.now_s, receipt, &digest, shown)?;
    close(call.deps.storage, held.post, &digest, challenge)?;
    held.open -= 1;
    books.open_challenges -= 1;
    save(call.deps.storage, &epoch_key(number), &held)?;
    save(call.deps.storage, BOOKS, &books)?;
    let won = config.pay(&config.poster, config.challenge_bond);
    Ok(Response::new().add_message(won).add_attribute("answered", digest.to_string()))
}

/// After the deadline: the epoch and all after it fall; half of the poster's bond to the challenger with its own, half burned, so that a
/// poster that accuses itself loses too.
pub fn resolve(call: Call<'_>, number: u64, digest: Hash32) -> Result<Response> {
    let config = Config::load(call.deps.storage)?;
    let mut books = books_at(call.deps.storage, call.now_s)?;
    let Some(held) = epoch(call.deps.storage, number)? else {
        return refuse("challenge.none", "an open challenge", digest);
    };
    let (challenge, deadline_s) = standing(call.deps.storage, held.post, &digest)?;
    require(call.now_s > deadline_s, "challenge.too-early", format_args!("after {deadline_s}"), call.now_s)?;
    let reward = Usd::from_micro(books.bond.micro() / 2);
    let burned = Usd::from_micro(books.bond.micro() - reward.micro());
    let back = plus(reward, config.challenge_bond)?;
    let challenger = challenge.challenger.clone();
    close(call.deps.storage, held.post, &digest, challenge)?;
    books.bond = Usd::ZERO;
    roll_back(call.deps.storage, &mut books, number)?;
    save(call.deps.storage, BOOKS, &books)?;
    let mut response = Response::new().add_message(config.pay(&challenger, back));
    response = response.add_attribute("slashed", digest.to_string());
    if !burned.is_zero() {
        response = response.add_message(config.burn(burned));
    }
    Ok(response)
}

/// Returns the bond of a challenge whose posting fell for another reason.
pub fn refund(call: Call<'_>, post: u32, digest: Hash32) -> Result<Response> {
    let config = Config::load(call.deps.storage)?;
    let (challenge, _) = standing(call.deps.storage, post, &digest)?;
    let stands = epoch(call.deps.storage, challenge.epoch)?.is_some_and(|held| held.post == post);
    require(!stands, "challenge.still-standing", "a posting that fell", post)?;
    let challenger = challenge.challenger.clone();
    close(call.deps.storage, post, &digest, challenge)?;
    let back = config.pay(&challenger, config.challenge_bond);
    Ok(Response::new().add_message(back).add_attribute("refunded", digest.to_string()))
}

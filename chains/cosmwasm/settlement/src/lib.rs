//! The settlement for CosmWasm chains: deposits in, one root per epoch, cumulative claims out, wrapped proofs checked by the contract.
//!
//! What holds whatever the poster does is what holds of contracts/src/Settlement.sol: all claims together never exceed the total of the final
//! epoch, which never exceeds deposits or falls; money goes only to the payee that an account named for this contract; an epoch is final
//! only after a window in which the auditor may veto it and anybody may challenge a receipt, which a wrapped proof answers or the bond is
//! lost; depositors can leave when the poster is silent for 30 days. There is no `migrate`, no pause, and nobody who can take money.
//!
//! Rules and encodings are those of `proofmesh-market` and `proofmesh-services`, called and not copied. What differs from the EVM's
//! settlement: docs/chains-other.md.
//!
//! Every refusal is text that begins with a stable name, `area.what: expected ..., got ...`.

pub mod challenge;
pub mod epochs;
pub mod evidence;
pub mod groth16;
pub mod money;
pub mod msg;
pub mod refused;
pub mod state;

use cosmwasm_std::{entry_point, to_json_binary, Binary, Deps, DepsMut, Env, MessageInfo, Response};
use msg::{Execute, Instantiate, Query};
use refused::{require, Result};
use state::{Books, Config};

/// Sets the contract up; the sender has no rights by it.
#[entry_point]
pub fn instantiate(deps: DepsMut, env: Env, _info: MessageInfo, msg: Instantiate) -> Result<Response> {
    let config = Config::new(&deps, &env, msg)?;
    state::save(deps.storage, state::CONFIG, &config)?;
    state::save(deps.storage, state::BOOKS, &Books::new(env.block.time.seconds()))?;
    Ok(Response::new().add_attribute("separator", config.domain.separator().to_string()))
}

/// One verb.
#[entry_point]
pub fn execute(deps: DepsMut, env: Env, info: MessageInfo, msg: Execute) -> Result<Response> {
    let paying = matches!(msg, Execute::Deposit { .. } | Execute::BondPoster {} | Execute::Challenge { .. });
    // Coins that no verb asked for would lie here for ever.
    require(paying || info.funds.is_empty(), "funds.unasked", "no coins", info.funds.len())?;
    let call = state::Call { deps, info, now_s: env.block.time.seconds() };
    match msg {
        Execute::Deposit { account } => money::deposit(call, account),
        Execute::NamePayee { order, signature } => money::name_payee(call, order, signature),
        Execute::Claim { account, cumulative, proof } => money::claim(call, account, cumulative, &proof),
        Execute::OpenExit {} => money::open_exit(call),
        Execute::Exit { account } => money::exit(call, account),
        Execute::BondPoster {} => epochs::bond(call),
        Execute::UnbondPoster { amount } => epochs::unbond(call, amount),
        Execute::RegisterModel { model, key } => epochs::register_model(call, model, &key),
        Execute::PostEpoch { epoch } => epochs::post(call, epoch),
        Execute::Veto { epoch } => epochs::veto(call, epoch),
        Execute::Challenge { epoch, receipt, proof } => challenge::open(call, epoch, &receipt, &proof),
        Execute::Answer { epoch, receipt, evidence } => challenge::answer(call, epoch, &receipt, &evidence),
        Execute::Resolve { epoch, digest } => challenge::resolve(call, epoch, digest),
        Execute::RefundChallenge { post, digest } => challenge::refund(call, post, digest),
        Execute::Deliver { consumer, id, receipt, evidence } => {
            evidence::deliver(call, &consumer, id, &receipt, &evidence)
        }
    }
}

/// One question.
#[entry_point]
pub fn query(deps: Deps, env: Env, msg: Query) -> Result<Binary> {
    let now_s = env.block.time.seconds();
    let answer = match msg {
        Query::Config {} => to_json_binary(&Config::load(deps.storage)?),
        Query::Books {} => to_json_binary(&epochs::books_at(deps.storage, now_s)?),
        Query::Epoch { number } => to_json_binary(&state::epoch(deps.storage, number)?),
        Query::Account { account } => to_json_binary(&state::account(deps.storage, &account)?),
        Query::IsSettled { digest, epoch, proof } => {
            to_json_binary(&epochs::is_settled(deps.storage, now_s, digest, epoch, &proof)?)
        }
        Query::VerifyProof { key, statement, proof } => {
            groth16::Key::read(&key)?.verify(&statement.0, &proof)?;
            to_json_binary(&true)
        }
    };
    Ok(answer?)
}

//! From an RPC failure to an error of ours: revert data becomes the Solidity error's name.

use alloy::sol_types::SolInterface;
use alloy::transports::{RpcError, TransportErrorKind};

use super::abi::{Bonds, Books, Frost, Hand, Library, Pairing, Roll, Rules, Token};
use crate::SettleError;

type Decoder = fn(&[u8]) -> Option<(String, String)>;

/// Interfaces and how to read their errors. Errors that several contracts share by name and arguments share
/// a selector: the first row names them,
/// unless the caller knows which contract it called.
const DECODERS: &[(&str, Decoder)] = &[
    ("Settlement", decode::<Books::BooksErrors>),
    ("Registry", decode::<Roll::RollErrors>),
    ("Stake", decode::<Bonds::BondsErrors>),
    ("WeatherCover", decode::<Frost::FrostErrors>),
    ("Delivery", decode::<Hand::HandErrors>),
    ("Groth16Verifier", decode::<Pairing::PairingErrors>),
    ("Transitions", decode::<Rules::RulesErrors>),
    ("TestUSD", decode::<Token::TokenErrors>),
    ("library", decode::<Library::LibraryErrors>),
];

fn decode<E: SolInterface + std::fmt::Debug>(data: &[u8]) -> Option<(String, String)> {
    // `Variant(Error { field: value })`, as derived by `Debug`: the variant is the Solidity name, the rest
    // are the arguments.
    let text = format!("{:?}", E::abi_decode_validate(data).ok()?);
    let (name, rest) = text.split_once('(').unwrap_or((&text, ""));
    let inner = rest.strip_suffix(')').unwrap_or(rest);
    let detail = inner.strip_prefix(name).unwrap_or(inner).trim();
    Some((name.to_owned(), detail.to_owned()))
}

/// The error that `data` encodes. `called` is the contract that was called and is asked first.
pub(crate) fn reverted(called: &'static str, data: &[u8]) -> SettleError {
    let mut rows: Vec<_> = DECODERS.iter().collect();
    rows.sort_by_key(|(contract, _)| *contract != called);
    for (contract, decoder) in rows {
        if let Some((name, detail)) = decoder(data) {
            return SettleError::Reverted { contract, name, detail };
        }
    }
    SettleError::Reverted {
        contract: "?",
        name: "Unknown".to_owned(),
        detail: format!("0x{}", alloy::hex::encode(data)),
    }
}

/// The error behind a failed RPC call to `called`.
pub(crate) fn from_rpc(called: &'static str, e: RpcError<TransportErrorKind>) -> SettleError {
    if let RpcError::ErrorResp(payload) = &e {
        if let Some(data) = payload.as_revert_data() {
            return reverted(called, &data);
        }
        if payload.message.contains("revert") {
            return reverted(called, &[]);
        }
    }
    SettleError::Rpc(e.to_string())
}

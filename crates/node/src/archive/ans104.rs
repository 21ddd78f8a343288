//! A bundle of ANS-104: signed data items, as Arweave's gateways unpack them from one transaction.
//!
//! `items u256 || (bytes u256, id 32) of each || items`, little-endian. Item: `kind of signature u16 (2: Ed25519) || signature 64 ||
//! public key 32 || no target || no anchor || tags u64 || bytes of the tags u64 || tags (Avro) || data`; the signature is over the deep
//! hash (SHA-384) of its parts, the id is the SHA-256 of the signature. Tags here: `Name`, `Content-Type`, `App-Name`. Written
//! here because it is two hashes and lengths. Source: ANS-104, sections 1 and 2. Posting it takes a wallet with AR: that is the
//! user's, with any uploader.

use super::{BYTES_MAX, FILES_MAX, Files, NAME_MAX, damaged, form, require_bounds};
use crate::fault::{Fault, Result};
use proofmesh_market::{Device, DeviceSecret, DeviceSignature};
use sha2::{Digest, Sha256, Sha384};

const ED25519: [u8; 2] = [2, 0];
/// Bytes of an item before its tags.
const HEAD_BYTES: usize = 2 + 64 + 32 + 1 + 1 + 8 + 8;
/// Most bytes of an item's tags (ANS-104, section 2).
const TAG_BYTES_MAX: usize = 4_096;
const APP: &str = "Proofmesh";
const TYPE: &str = "application/octet-stream";

/// The deep hash of one part.
fn deep(part: &[u8]) -> Vec<u8> {
    let tag = Sha384::digest(format!("blob{}", part.len()));
    Sha384::digest([&tag[..], &Sha384::digest(part)].concat()).to_vec()
}

/// What the owner of an item signs.
fn signed(owner: &Device, tags: &[u8], data: &[u8]) -> Vec<u8> {
    let parts: [&[u8]; 8] = [b"dataitem", b"1", b"2", &owner.0, b"", b"", tags, data];
    let start = Sha384::digest(format!("list{}", parts.len())).to_vec();
    parts.iter().fold(start, |hash, part| Sha384::digest([hash, deep(part)].concat()).to_vec())
}

/// A number of Avro: zigzag, 7 bits a byte. Lengths here are small and not negative.
fn long(value: usize, to: &mut Vec<u8>) {
    let mut value = value << 1;
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

fn tags(name: &str) -> Vec<u8> {
    let tags = [("App-Name", APP), ("Content-Type", TYPE), ("Name", name)];
    let mut bytes = Vec::new();
    long(tags.len(), &mut bytes);
    for text in tags.iter().flat_map(|(name, value)| [name, value]) {
        long(text.len(), &mut bytes);
        bytes.extend_from_slice(text.as_bytes());
    }
    long(0, &mut bytes);
    bytes
}

fn item(secret: &DeviceSecret, name: &str, data: &[u8]) -> Vec<u8> {
    let (owner, tags) = (secret.device(), tags(name));
    let signature = secret.sign_bytes(&signed(&owner, &tags, data));
    let mut item = [&ED25519[..], &signature.0, &owner.0, &[0, 0], &3u64.to_le_bytes()].concat();
    item.extend_from_slice(&(tags.len() as u64).to_le_bytes());
    item.extend_from_slice(&tags);
    item.extend_from_slice(data);
    item
}

fn wide(value: usize) -> [u8; 32] {
    let mut wide = [0; 32];
    wide[..8].copy_from_slice(&(value as u64).to_le_bytes());
    wide
}

/// Writes files as items, signed with this key.
///
/// # Errors
/// `archive.too-large`.
pub fn write(files: &Files, secret: &DeviceSecret) -> Result<Vec<u8>> {
    require_bounds(files)?;
    let items: Vec<Vec<u8>> = files.iter().map(|(name, data)| item(secret, name, data)).collect();
    let mut bundle = wide(items.len()).to_vec();
    for item in &items {
        bundle.extend_from_slice(&wide(item.len()));
        bundle.extend_from_slice(&Sha256::digest(&item[2..66]));
    }
    items.iter().for_each(|item| bundle.extend_from_slice(item));
    Ok(bundle)
}

fn narrow(bytes: &[u8]) -> Result<usize> {
    let (low, high) = bytes.split_at(8); // of 8 or 32 bytes
    let value = low.iter().rev().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
    let small = high.iter().all(|byte| *byte == 0) && value <= BYTES_MAX as u64 + 8_192;
    if small { Ok(value as usize) } else { Err(form("lengths within an archive's bounds")) }
}

/// Reads a bundle as [`write()`] makes it: every item is checked against its id and its signature, and all are of one key.
///
/// # Errors
/// `archive.form`, `archive.damaged`, `archive.too-large`.
pub fn read(bundle: &[u8]) -> Result<(Files, Device)> {
    let mut rest = bundle;
    let mut next = |length: usize| {
        let (front, back) = rest.split_at_checked(length).ok_or_else(|| form("more bytes of a bundle"))?;
        rest = back;
        Ok::<&[u8], Fault>(front)
    };
    let count = narrow(next(32)?)?;
    if count == 0 || count > FILES_MAX {
        return Err(form("a bundle of files"));
    }
    let index = next(count * 64)?;
    let (mut files, mut owners) = (Files::new(), Vec::new());
    for about in index.chunks_exact(64) {
        let item = next(narrow(&about[..32])?)?;
        let (head, body) = item.split_at_checked(HEAD_BYTES).ok_or_else(|| form("a data item"))?;
        let owner = Device(head[66..98].try_into().map_err(|_| form("a public key"))?);
        let signature = DeviceSignature(head[2..66].try_into().map_err(|_| form("a signature"))?);
        let tag_bytes = narrow(&head[108..])?;
        if head[..2] != ED25519 || head[98..100] != [0, 0] || tag_bytes > TAG_BYTES_MAX {
            return Err(form("an item with an Ed25519 key, without target and anchor"));
        }
        let (found, data) = body.split_at_checked(tag_bytes).ok_or_else(|| form("tags"))?;
        if Sha256::digest(signature.0)[..] != about[32..] {
            return Err(damaged("the id of an item"));
        }
        if owner.verify_bytes(&signed(&owner, found, data), &signature).is_err() {
            return Err(damaged("the signature of an item"));
        }
        let name = name(found)?;
        if head[100..108] != 3u64.to_le_bytes() || files.insert(name, data.to_vec()).is_some() {
            return Err(form("items of an archive, with names that differ"));
        }
        owners.push(owner);
    }
    let whole = rest.is_empty() && owners.iter().all(|owner| *owner == owners[0]);
    require_bounds(&files)?;
    if whole { Ok((files, owners[0])) } else { Err(form("items of one key and nothing behind them")) }
}

/// The name in tags as [`tags`] writes them.
fn name(found: &[u8]) -> Result<String> {
    let other = || form("the tags App-Name, Content-Type and Name");
    let shell = tags("");
    let (front, back) = shell.split_at(shell.len() - 2); // the length of the name, the end
    let text = found.strip_prefix(front).and_then(|rest| rest.strip_suffix(&back[1..])).ok_or_else(other)?;
    let text = text.get(if text.len() > 64 { 2 } else { 1 }..).ok_or_else(other)?; // after its length
    let name = std::str::from_utf8(text).map_err(|_| other())?;
    if name.len() <= NAME_MAX && tags(name) == found { Ok(name.to_owned()) } else { Err(other()) }
}

//! Archives: named files in a form that others keep and read: an IPFS CAR ([`car`]), an Arweave ANS-104 bundle ([`ans104`]), or a
//! bucket of blobs.
//!
//! What is archived of an object is its record and its sealed bytes ([`OBJECT`], [`SEALED`]): whoever reads it learns its size and
//! nothing else, and whoever has the key needs neither keeper nor coordinator to bring it back. The key is in no archive.
//!
//! Refuses: `archive.form`, `archive.damaged`, `archive.too-large`, `archive.unknown`.

pub mod ans104;
pub mod car;

use crate::engine::blobs::Blobs;
use crate::fault::{Fault, Result};
use proofmesh_market::{Hash32, keccak};
use std::collections::BTreeMap;

/// The record of an object.
pub const OBJECT: &str = "object.json";
/// Its sealed bytes.
pub const SEALED: &str = "sealed";
/// Most bytes of an archive: it is held in memory.
pub const BYTES_MAX: usize = 300 << 20;
/// Most files of an archive.
pub const FILES_MAX: usize = 4_096;
/// Bytes of a part in a bucket.
const PART_BYTES: usize = 1 << 20;
/// Longest name of a file.
pub const NAME_MAX: usize = 255;

/// Files by their names.
pub type Files = BTreeMap<String, Vec<u8>>;

fn form(expected: &str) -> Fault {
    Fault::refused("archive.form", expected, "another form")
}

fn damaged(expected: impl std::fmt::Display) -> Fault {
    Fault::refused("archive.damaged", expected, "other bytes")
}

/// Checks what is to be written.
fn require_bounds(files: &Files) -> Result<()> {
    let bytes: usize = files.values().map(Vec::len).sum();
    let names = files.keys().all(|name| !name.is_empty() && name.len() <= NAME_MAX && !name.contains('/'));
    if bytes > BYTES_MAX || files.is_empty() || files.len() > FILES_MAX || !names {
        let expected = format_args!("1 to {FILES_MAX} files, {BYTES_MAX} bytes in all");
        return Err(Fault::refused(
            "archive.too-large",
            expected,
            format_args!("{} files, {bytes} bytes", files.len()),
        ));
    }
    Ok(())
}

/// Puts files into a store of blobs, in parts, and last the list of them; gives the list's hash, by which [`from_blobs`] finds all.
///
/// # Errors
/// `archive.too-large`, the store's.
pub fn to_blobs(blobs: &dyn Blobs, files: &Files) -> Result<Hash32> {
    require_bounds(files)?;
    let mut list: BTreeMap<&str, Vec<Hash32>> = BTreeMap::new();
    for (name, bytes) in files {
        let parts: Vec<&[u8]> = bytes.chunks(PART_BYTES).collect();
        blobs.put_all(&parts)?;
        list.insert(name, parts.into_iter().map(keccak).collect());
    }
    let text = serde_json::to_vec(&list).map_err(|error| Fault::trouble("archive.form", "a list", error))?;
    blobs.put(&text)
}

/// Reads back what [`to_blobs`] put: each part is checked against its hash by the store.
///
/// # Errors
/// `archive.unknown`, `archive.form`, `archive.too-large`, `blob.damaged`, the store's.
pub fn from_blobs(blobs: &dyn Blobs, list: &Hash32) -> Result<Files> {
    let get = |hash: &Hash32| {
        let none = || Fault::refused("archive.unknown", "an archive of this bucket", hash);
        blobs.get(hash)?.ok_or_else(none)
    };
    let list: BTreeMap<String, Vec<Hash32>> =
        serde_json::from_slice(&get(list)?).map_err(|_| form("the list of an archive"))?;
    let (mut files, mut total) = (Files::new(), 0);
    for (name, parts) in list {
        let mut content = Vec::new();
        for part in &parts {
            let part = get(part)?;
            total += part.len();
            if total > BYTES_MAX || part.is_empty() {
                return Err(form("parts within an archive's bounds"));
            }
            content.extend_from_slice(&part);
        }
        files.insert(name, content);
    }
    require_bounds(&files)?;
    Ok(files)
}

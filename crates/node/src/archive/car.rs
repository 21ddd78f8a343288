//! A CAR, version 1: blocks by their content identifiers, as IPFS nodes import and export them.
//!
//! `varint length || header`, then blocks, `varint length || CID || bytes`. Header: the CBOR of `{"roots": [CID], "version": 1}`. CIDs are
//! version 1 with sha2-256. The root is a UnixFS directory (dag-pb); a file of at most [`LEAF_BYTES`] is a raw block, a longer one a
//! UnixFS node over raw leaves, which is what `ipfs add --cid-version 1 --chunker size-1048576` makes of it. Written here because it is a few varints around
//! SHA-256: the crates for it bring a CBOR, a protobuf and an async stack. Sources: the CARv1 specification, the specifications of dag-pb
//! and UnixFS v1 (ipld.io, specs.ipfs.tech).

use super::{BYTES_MAX, FILES_MAX, Files, damaged, form, require_bounds};
use crate::fault::{Fault, Result};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Bytes of a leaf.
pub const LEAF_BYTES: usize = 1 << 20;
/// The CBOR of a header up to its root's 36 bytes: map, "roots", list of one, tag 42, bytes, identity prefix.
const HEADER_HEAD: &[u8] = b"\xa2\x65roots\x81\xd8\x2a\x58\x25\x00";
/// Its end: "version", 1.
const HEADER_TAIL: &[u8] = b"\x67version\x01";
const RAW: u8 = 0x55;
const DAG_PB: u8 = 0x70;
const DIRECTORY: u64 = 1;
const FILE: u64 = 2;

/// Version 1, codec, sha2-256, 32 bytes.
type Cid = [u8; 36];

fn cid(codec: u8, block: &[u8]) -> Cid {
    let mut cid = [0; 36];
    cid[..4].copy_from_slice(&[1, codec, 0x12, 0x20]);
    cid[4..].copy_from_slice(&Sha256::digest(block));
    cid
}

/// An archive and its root's text (base 32), by which IPFS names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Car {
    /// `bafy...`.
    pub root: String,
    /// The file.
    pub bytes: Vec<u8>,
}

/// Base 32 (RFC 4648) in lower case without padding, behind the `b` of multibase.
fn text(cid: &Cid) -> String {
    let mut text = String::from("b");
    let (mut held, mut bits) = (0u32, 0);
    for byte in cid.iter().chain([&0]) {
        (held, bits) = (held << 8 | u32::from(*byte), bits + 8);
        while bits >= 5 && text.len() < 1 + (36 * 8usize).div_ceil(5) {
            bits -= 5;
            text.push(char::from(b"abcdefghijklmnopqrstuvwxyz234567"[(held >> bits & 31) as usize]));
        }
        held &= 0xff; // what is left has fewer than 5 bits
    }
    text
}

fn varint(mut value: u64, to: &mut Vec<u8>) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

/// A field of a protobuf message: a number, or bytes.
fn number(field: u64, value: u64, to: &mut Vec<u8>) {
    varint(field << 3, to);
    varint(value, to);
}

fn bytes(field: u64, value: &[u8], to: &mut Vec<u8>) {
    varint(field << 3 | 2, to);
    varint(value.len() as u64, to);
    to.extend_from_slice(value);
}

struct Link<'a> {
    cid: Cid,
    name: &'a str,
    /// Bytes of everything below it, blocks of nodes too.
    size: u64,
}

/// A dag-pb node: links, then data.
fn node(links: &[Link<'_>], data: &[u8]) -> Vec<u8> {
    let mut node = Vec::new();
    for link in links {
        let mut one = Vec::new();
        bytes(1, &link.cid, &mut one);
        bytes(2, link.name.as_bytes(), &mut one);
        number(3, link.size, &mut one);
        bytes(2, &one, &mut node);
    }
    bytes(1, data, &mut node);
    node
}

/// Writes files as a directory.
///
/// # Errors
/// `archive.too-large`.
pub fn write(files: &Files) -> Result<Car> {
    require_bounds(files)?;
    let mut blocks: Vec<(Cid, Vec<u8>)> = Vec::new();
    let mut entries = Vec::new();
    for (name, content) in files {
        let leaves: Vec<&[u8]> =
            if content.is_empty() { vec![&[]] } else { content.chunks(LEAF_BYTES).collect() };
        let mut links = Vec::new();
        let mut data = Vec::new();
        number(1, FILE, &mut data);
        number(3, content.len() as u64, &mut data);
        for leaf in leaves {
            let link = Link { cid: cid(RAW, leaf), name: "", size: leaf.len() as u64 };
            number(4, link.size, &mut data);
            blocks.push((link.cid, leaf.to_vec()));
            links.push(link);
        }
        if let [only] = &links[..] {
            entries.push(Link { cid: only.cid, name, size: only.size });
        } else {
            let block = node(&links, &data);
            let size = block.len() as u64 + content.len() as u64;
            entries.push(Link { cid: cid(DAG_PB, &block), name, size });
            blocks.push((cid(DAG_PB, &block), block));
        }
    }
    let mut data = Vec::new();
    number(1, DIRECTORY, &mut data);
    let directory = node(&entries, &data); // names in order of their bytes, as a map has them
    let root = cid(DAG_PB, &directory);
    blocks.push((root, directory));
    let mut car = Vec::new();
    varint((HEADER_HEAD.len() + 36 + HEADER_TAIL.len()) as u64, &mut car);
    for part in [HEADER_HEAD, &root, HEADER_TAIL] {
        car.extend_from_slice(part);
    }
    let mut written = std::collections::BTreeSet::new();
    for (cid, block) in blocks.iter().rev() {
        if written.insert(cid) {
            varint((36 + block.len()) as u64, &mut car);
            car.extend_from_slice(cid);
            car.extend_from_slice(block);
        }
    }
    Ok(Car { root: text(&root), bytes: car })
}

/// What is left of bytes that are read from the front.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (front, back) = self.0.split_at_checked(length).ok_or_else(|| form("more bytes of a CAR"))?;
        self.0 = back;
        Ok(front)
    }

    fn varint(&mut self) -> Result<u64> {
        let mut value = 0;
        for shift in (0..63).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(form("a varint of at most 63 bits"))
    }

    fn sized(&mut self) -> Result<&'a [u8]> {
        let length = self.varint()?;
        self.take(usize::try_from(length).map_err(|_| form("a length"))?)
    }

    /// The next field of a protobuf message: its number, and a number or bytes.
    fn field(&mut self) -> Result<(u64, u64, &'a [u8])> {
        let key = self.varint()?;
        match key & 7 {
            0 => Ok((key >> 3, self.varint()?, &[])),
            2 => Ok((key >> 3, 0, self.sized()?)),
            _ => Err(form("fields of dag-pb and UnixFS")),
        }
    }
}

/// Links (identifier, name) of a node, and its UnixFS type.
fn parse(node: &[u8]) -> Result<(Vec<(Cid, &str)>, u64)> {
    let (mut links, mut kind, mut rest) = (Vec::new(), 0, Rest(node));
    while !rest.0.is_empty() {
        match rest.field()? {
            (2, _, link) => {
                let (mut to, mut name, mut rest) = (None, "", Rest(link));
                while !rest.0.is_empty() {
                    match rest.field()? {
                        (1, _, cid) => {
                            to = Some(cid.try_into().map_err(|_| form("a CID of version 1 with sha2-256"))?)
                        }
                        (2, _, bytes) => {
                            name = std::str::from_utf8(bytes).map_err(|_| form("a name in UTF-8"))?
                        }
                        _ => {}
                    }
                }
                links.push((to.ok_or_else(|| form("a link with a CID"))?, name));
            }
            (1, _, data) => {
                let mut rest = Rest(data);
                while !rest.0.is_empty() {
                    if let (1, value, _) = rest.field()? {
                        kind = value;
                    }
                }
            }
            _ => return Err(form("links and data of a dag-pb node")),
        }
    }
    Ok((links, kind))
}

/// Reads a CAR with one directory of files, as [`write()`] makes it; each block is checked against its identifier.
///
/// # Errors
/// `archive.form`, `archive.damaged`, `archive.too-large`.
pub fn read(car: &[u8]) -> Result<Files> {
    let large =
        || Fault::refused("archive.too-large", format_args!("{FILES_MAX} files, {BYTES_MAX} bytes"), "more");
    let mut rest = Rest(car);
    let header = rest.sized()?;
    let root = header.strip_prefix(HEADER_HEAD).and_then(|rest| rest.strip_suffix(HEADER_TAIL));
    let root: Cid =
        root.and_then(|cid| cid.try_into().ok()).ok_or_else(|| form("a CAR of version 1 with one root"))?;
    let mut blocks: BTreeMap<Cid, &[u8]> = BTreeMap::new();
    while !rest.0.is_empty() {
        let mut block = Rest(rest.sized()?);
        let (named, block) = (block.take(36)?, block.0);
        let found = cid(named[1], block);
        if found != named {
            return Err(damaged(format_args!("the block at byte {}", car.len() - rest.0.len())));
        }
        blocks.insert(found, block);
    }
    let block =
        |cid: &Cid| blocks.get(cid).copied().ok_or_else(|| damaged(format_args!("the block {}", text(cid))));
    let (entries, kind) = parse(block(&root)?)?;
    if kind != DIRECTORY || root[1] != DAG_PB || entries.len() > FILES_MAX {
        return Err(form("a directory of files"));
    }
    let (mut files, mut total) = (Files::new(), 0);
    for (cid, name) in entries {
        let mut content = Vec::new();
        let leaves = if cid[1] == RAW {
            vec![(cid, "")]
        } else {
            match parse(block(&cid)?)? {
                (leaves, FILE) if leaves.iter().all(|(cid, _)| cid[1] == RAW) => leaves,
                _ => return Err(form("files of raw leaves")),
            }
        };
        for (leaf, _) in leaves {
            let leaf = block(&leaf)?;
            total += leaf.len();
            if total > BYTES_MAX {
                return Err(large());
            }
            content.extend_from_slice(leaf);
        }
        if files.insert(name.to_owned(), content).is_some() {
            return Err(form("names that differ"));
        }
    }
    require_bounds(&files)?;
    Ok(files)
}

//! Where pieces go: distinct operators, drawn with a seed that came after the object was committed to.
//!
//! Candidates are ranked by the BLAKE3 hash of `seed || object || device`; the lowest take a piece each, at
//! most one an operator. So one operator's end costs an object one piece, and nobody can place itself.
//!
//! Refuses: `storage.operators`.

use proofmesh_market::{Address, Device, Hash32, Refusal};
use std::collections::BTreeSet;

/// A device that offers room, and who runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The device.
    pub device: Device,
    /// Who runs its node.
    pub operator: Address,
}

/// The devices of pieces 0 to `n - 1`. The same device twice among the candidates counts once.
///
/// # Errors
/// `storage.operators` when fewer than `n` operators offer room.
pub fn place(
    candidates: &[Candidate],
    object: &Hash32,
    seed: &Hash32,
    n: u16,
) -> Result<Vec<Device>, Refusal> {
    let rank = |candidate: &Candidate| {
        let mut hasher = blake3::Hasher::new_derive_key("proofmesh 2026 placement v1");
        hasher.update(&seed.0).update(&object.0).update(&candidate.device.0);
        (*hasher.finalize().as_bytes(), candidate.device, candidate.operator)
    };
    let mut ranked: Vec<([u8; 32], Device, Address)> = candidates.iter().map(rank).collect();
    ranked.sort_unstable();
    let mut operators = BTreeSet::new();
    let distinct = ranked.into_iter().filter(|(_, _, operator)| operators.insert(*operator));
    let devices: Vec<Device> = distinct.map(|(_, device, _)| device).take(usize::from(n)).collect();
    if devices.len() < usize::from(n) {
        return Err(Refusal::new("storage.operators", format_args!("{n} operators"), devices.len()));
    }
    Ok(devices)
}

//! Storage through the network: [`keeper`] is the node that holds pieces on its own disk and shows them each round,
//! [`store`] the client that seals, cuts, places, fetches and repairs, [`leave`] how a keeper goes without loss. What a piece, a round and a challenge are:
//! docs/spec/services.md, `proofmesh_services::storage`.

pub mod keeper;
pub mod leave;
pub mod store;

use proofmesh_market::{Address, Device};
use proofmesh_services::storage::DAY_S;
use serde::{Deserialize, Serialize};

/// Largest piece that travels between client and keeper at once: it is held in memory on both sides.
pub const PIECE_BYTES_MAX: usize = 32 << 20;

/// Seconds after the last round in which its receipt may still come, and in which a keeper still holds the piece.
pub const GRACE_S: u64 = 7 * DAY_S;

/// Who keeps, as it says of itself; the client compares it with the market.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeeperDoc {
    /// The node's account.
    pub node: Address,
    /// The device that jobs name.
    pub device: Device,
    /// Bytes that it still has room for.
    pub room: u64,
    /// It takes nothing more and gives its pieces away.
    pub leaving: bool,
}

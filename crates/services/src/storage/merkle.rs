//! The commitment to a piece: a Merkle tree (BLAKE3) over its chunks of 256 bytes, and openings of them.
//!
//! `leaf_i = B(0x00 || i u64 || chunk)`, `node = B(0x01 || left || right)`, where a missing right side is 32
//! zero bytes; `commitment = B(0x02 || bytes u64 || root)`. Integers are big-endian. Length and place are
//! bound, so an opening of `depth = ceil(log2(chunks))` hashes shows one chunk at one place and no other, but
//! for a collision of BLAKE3 (128 bits).
//!
//! Refuses: `storage.piece-size`.

use proofmesh_market::{Hash32, Refusal};

/// Bytes of a chunk.
pub const CHUNK_BYTES: usize = 256;
/// Largest piece: 1 GiB.
pub const PIECE_BYTES_MAX: u64 = 1 << 30;

/// A 32-byte hash of the tree.
pub type Digest = [u8; 32];
const MISSING: Digest = [0; 32];

fn hash(tag: u8, first: &[u8], second: &[u8]) -> Digest {
    *blake3::Hasher::new().update(&[tag]).update(first).update(second).finalize().as_bytes()
}

/// Whether a piece may have this length: whole chunks, 1 chunk to [`PIECE_BYTES_MAX`].
#[must_use]
pub fn is_piece_size(bytes: u64) -> bool {
    bytes > 0 && bytes <= PIECE_BYTES_MAX && bytes.is_multiple_of(CHUNK_BYTES as u64)
}

/// Chunks of a piece.
#[must_use]
pub fn chunks(bytes: u64) -> u64 {
    bytes / CHUNK_BYTES as u64
}

/// Hashes of an opening: `ceil(log2(chunks))`.
#[must_use]
pub fn depth(bytes: u64) -> usize {
    chunks(bytes).next_power_of_two().trailing_zeros() as usize
}

/// What a job's `input` is: the commitment to a piece of `bytes` with this root.
#[must_use]
pub fn commitment(bytes: u64, root: &Digest) -> Hash32 {
    Hash32(hash(2, &bytes.to_be_bytes(), root))
}

/// The tree of a piece in memory: an eighth of the piece, twice over.
#[derive(Clone, Debug)]
pub struct Tree {
    bytes: u64,
    levels: Vec<Vec<Digest>>, // leaves first, the root alone last
}

impl Tree {
    /// The tree of a piece.
    ///
    /// # Errors
    /// `storage.piece-size`.
    pub fn new(piece: &[u8]) -> Result<Self, Refusal> {
        let bytes = piece.len() as u64;
        if !is_piece_size(bytes) {
            let expected = format!("whole chunks of {CHUNK_BYTES} bytes, at most {PIECE_BYTES_MAX} bytes");
            return Err(Refusal::new("storage.piece-size", expected, bytes));
        }
        let leaf = |(index, chunk): (usize, &[u8])| hash(0, &(index as u64).to_be_bytes(), chunk);
        let mut levels = vec![piece.chunks(CHUNK_BYTES).enumerate().map(leaf).collect::<Vec<Digest>>()];
        while levels[levels.len() - 1].len() > 1 {
            let below = &levels[levels.len() - 1];
            let above = below.chunks(2).map(|two| hash(1, &two[0], two.get(1).unwrap_or(&MISSING))).collect();
            levels.push(above);
        }
        Ok(Tree { bytes, levels })
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> Digest {
        self.levels[self.levels.len() - 1][0]
    }

    /// The commitment.
    #[must_use]
    pub fn commitment(&self) -> Hash32 {
        commitment(self.bytes, &self.root())
    }

    /// The siblings of a chunk from the leaf up; `None` for a chunk that the piece does not have.
    #[must_use]
    pub fn path(&self, index: u64) -> Option<Vec<Digest>> {
        let mut at = usize::try_from(index).ok().filter(|at| *at < self.levels[0].len())?;
        let below_root = &self.levels[..self.levels.len() - 1];
        let sibling = |level: &Vec<Digest>| {
            let found = level.get(at ^ 1).copied().unwrap_or(MISSING);
            at /= 2;
            found
        };
        Some(below_root.iter().map(sibling).collect())
    }
}

/// The root that a chunk at `index` with this path has.
#[must_use]
pub fn climb(index: u64, chunk: &[u8], path: &[Digest]) -> Digest {
    let leaf = hash(0, &index.to_be_bytes(), chunk);
    let up = |(node, at): (Digest, u64), sibling: &Digest| {
        let node = if at.is_multiple_of(2) { hash(1, &node, sibling) } else { hash(1, sibling, &node) };
        (node, at / 2)
    };
    path.iter().fold((leaf, index), up).0
}

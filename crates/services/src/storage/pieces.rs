//! A sealed object as `n` pieces of which any `k` give it back (Reed-Solomon over GF(2^16), the Leopard form
//! of Lin, Al-Naffouri, Han and Chung). Pieces 0 to `k - 1` are the object itself, padded with zeros.
//!
//! Bytes of a manifest, version 1, big-endian: `0x01 || k u16 || n u16 || sealed bytes u64 || n commitments of
//! 32`. The client keeps it; it says what each piece must be, so that no piece is believed.
//!
//! Refuses: `storage.coding`, `storage.object-size`, `storage.manifest-form`, `storage.piece-unknown`,
//! `storage.piece-differs`, `storage.pieces-missing`, and `storage.piece-size` of [`super::merkle`].

use super::merkle::{CHUNK_BYTES, PIECE_BYTES_MAX, Tree};
use super::seal::{OBJECT_BYTES_MAX, SEAL_BYTES};
use proofmesh_market::{Hash32, Refusal};
use std::collections::BTreeMap;

/// Most pieces of an object.
pub const PIECES_MAX: u16 = 256;
const VERSION: u8 = 1;
const HEAD_BYTES: usize = 1 + 2 + 2 + 8;

/// How an object is cut: any `k` of `n` pieces give it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coding {
    k: u16,
    n: u16,
}

impl Coding {
    /// The coding for objects that must outlive 30 % of all operators at once: any 24 of 80 pieces, 3.3 times
    /// the object. See [`super::odds`].
    pub const DURABLE: Coding = Coding { k: 24, n: 80 };

    /// Any `k` of `n`, `1 <= k < n <= 256`.
    ///
    /// # Errors
    /// `storage.coding`.
    pub fn new(k: u16, n: u16) -> Result<Self, Refusal> {
        if k == 0 || k >= n || n > PIECES_MAX {
            let expected = format!("1 <= k < n <= {PIECES_MAX}");
            return Err(Refusal::new("storage.coding", expected, format_args!("{k} of {n}")));
        }
        Ok(Coding { k, n })
    }

    /// Pieces that suffice.
    #[must_use]
    pub fn k(self) -> u16 {
        self.k
    }

    /// All pieces.
    #[must_use]
    pub fn n(self) -> u16 {
        self.n
    }

    /// Bytes of each piece of an object: whole chunks, at least one.
    fn piece_bytes(self, sealed: u64) -> u64 {
        let chunk = CHUNK_BYTES as u64;
        sealed.div_ceil(u64::from(self.k)).div_ceil(chunk).max(1) * chunk // sealed is bounded
    }

    /// Cuts a sealed object into its pieces and says what they are.
    ///
    /// # Errors
    /// `storage.object-size`.
    pub fn split(self, sealed: &[u8]) -> Result<(Manifest, Vec<Vec<u8>>), Refusal> {
        if sealed.len() > OBJECT_BYTES_MAX + SEAL_BYTES {
            return Err(Refusal::new("storage.object-size", OBJECT_BYTES_MAX + SEAL_BYTES, sealed.len()));
        }
        let piece_bytes = usize::try_from(self.piece_bytes(sealed.len() as u64)).unwrap_or(usize::MAX);
        let mut padded = sealed.to_vec();
        padded.resize(piece_bytes * usize::from(self.k), 0);
        let mut pieces: Vec<Vec<u8>> = padded.chunks(piece_bytes).map(<[u8]>::to_vec).collect();
        let spare = usize::from(self.n - self.k);
        let recovery = reed_solomon_simd::encode(usize::from(self.k), spare, &pieces).map_err(coding)?;
        pieces.extend(recovery);
        let commitments =
            pieces.iter().map(|piece| Ok(Tree::new(piece)?.commitment())).collect::<Result<_, Refusal>>()?;
        Ok((Manifest { coding: self, sealed_bytes: sealed.len() as u64, commitments }, pieces))
    }
}

fn coding(error: reed_solomon_simd::Error) -> Refusal {
    Refusal::new("storage.coding", "pieces of one code", error)
}

/// What the client keeps of an object, beside its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    coding: Coding,
    sealed_bytes: u64,
    commitments: Vec<Hash32>,
}

impl Manifest {
    /// How the object was cut.
    #[must_use]
    pub fn coding(&self) -> Coding {
        self.coding
    }

    /// Bytes of each piece.
    #[must_use]
    pub fn piece_bytes(&self) -> u64 {
        self.coding.piece_bytes(self.sealed_bytes)
    }

    /// The commitment to each piece, by its number: the `input` of its job.
    #[must_use]
    pub fn commitments(&self) -> &[Hash32] {
        &self.commitments
    }

    /// The canonical bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&self.coding.k.to_be_bytes());
        bytes.extend_from_slice(&self.coding.n.to_be_bytes());
        bytes.extend_from_slice(&self.sealed_bytes.to_be_bytes());
        bytes.extend(self.commitments.iter().flat_map(|commitment| commitment.0));
        bytes
    }

    /// Reads a manifest; exactly the bytes that [`Manifest::encode`] makes.
    ///
    /// # Errors
    /// `storage.manifest-form`, `storage.coding`, `storage.object-size`.
    pub fn decode(bytes: &[u8]) -> Result<Self, Refusal> {
        let form = || Refusal::new("storage.manifest-form", "a manifest, version 1", bytes.len());
        let (head, rest) = bytes.split_first_chunk::<HEAD_BYTES>().ok_or_else(form)?;
        let [version, k0, k1, n0, n1, length @ ..] = *head;
        let coding = Coding::new(u16::from_be_bytes([k0, k1]), u16::from_be_bytes([n0, n1]))?;
        let sealed_bytes = u64::from_be_bytes(length);
        let (commitments, trailing) = rest.as_chunks::<32>();
        if version != VERSION || !trailing.is_empty() || commitments.len() != usize::from(coding.n) {
            return Err(form());
        }
        if sealed_bytes > (OBJECT_BYTES_MAX + SEAL_BYTES) as u64 {
            return Err(Refusal::new("storage.object-size", OBJECT_BYTES_MAX + SEAL_BYTES, sealed_bytes));
        }
        Ok(Manifest { coding, sealed_bytes, commitments: commitments.iter().map(|c| Hash32(*c)).collect() })
    }

    /// Checks that `piece` is piece `number` of the object.
    ///
    /// # Errors
    /// `storage.piece-unknown`, `storage.piece-differs`.
    pub fn require(&self, number: u16, piece: &[u8]) -> Result<(), Refusal> {
        let expected = self.commitments.get(usize::from(number));
        let expected = expected.ok_or_else(|| {
            Refusal::new("storage.piece-unknown", format_args!("below {}", self.coding.n), number)
        })?;
        let right_size = piece.len() as u64 == self.piece_bytes() && piece.len() as u64 <= PIECE_BYTES_MAX;
        let found = if right_size { Tree::new(piece)?.commitment() } else { Hash32::ZERO };
        if found != *expected {
            let got = format!("{} bytes, {found}", piece.len());
            return Err(Refusal::new("storage.piece-differs", expected, got));
        }
        Ok(())
    }

    /// The sealed object from any `k` of its pieces. Every piece is checked first: a false one is a refusal,
    /// not a false object.
    ///
    /// # Errors
    /// `storage.pieces-missing`, `storage.piece-unknown`, `storage.piece-differs`.
    pub fn join(&self, pieces: &BTreeMap<u16, Vec<u8>>) -> Result<Vec<u8>, Refusal> {
        let mut object: Vec<u8> = self.originals(pieces)?.into_iter().flatten().collect();
        object.truncate(usize::try_from(self.sealed_bytes).unwrap_or(usize::MAX));
        Ok(object)
    }

    /// Rebuilds piece `missing` from any `k` others; what comes back has the committed root.
    ///
    /// # Errors
    /// As [`Manifest::join`].
    pub fn repair(&self, pieces: &BTreeMap<u16, Vec<u8>>, missing: u16) -> Result<Vec<u8>, Refusal> {
        let Coding { k, n } = self.coding;
        let mut originals = self.originals(pieces)?;
        let rebuilt = if missing < k {
            originals.swap_remove(usize::from(missing))
        } else {
            let mut spare =
                reed_solomon_simd::encode(usize::from(k), usize::from(n - k), &originals).map_err(coding)?;
            let at = usize::from(missing - k);
            if at < spare.len() { spare.swap_remove(at) } else { Vec::new() } // refused below
        };
        self.require(missing, &rebuilt)?;
        Ok(rebuilt)
    }

    /// Pieces 0 to `k - 1`, rebuilt where they are missing.
    fn originals(&self, pieces: &BTreeMap<u16, Vec<u8>>) -> Result<Vec<Vec<u8>>, Refusal> {
        let Coding { k, n } = self.coding;
        for (number, piece) in pieces {
            self.require(*number, piece)?;
        }
        if pieces.len() < usize::from(k) {
            return Err(Refusal::new("storage.pieces-missing", format_args!("{k} pieces"), pieces.len()));
        }
        let given = || pieces.range(..k).map(|(number, piece)| (usize::from(*number), piece));
        let spare = pieces.range(k..).map(|(number, piece)| (usize::from(number - k), piece));
        let rebuilt = if given().count() == usize::from(k) {
            Default::default()
        } else {
            reed_solomon_simd::decode(usize::from(k), usize::from(n - k), given(), spare).map_err(coding)?
        };
        let original = |number: u16| {
            let at = usize::from(number);
            let found = pieces.get(&number).or_else(|| rebuilt.get(&at)).cloned();
            found
                .ok_or_else(|| Refusal::new("storage.pieces-missing", format_args!("piece {number}"), "none"))
        };
        (0..k).map(original).collect()
    }
}

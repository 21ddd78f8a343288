//! A round's challenge and its answer.
//!
//! Questions are drawn with a seed that nobody knew before the round was over: the BLAKE3 stream (derive-key
//! mode, context `proofmesh 2026 possession challenge v1`) of `seed 32 || job 32 || node 20 || device 32 ||
//! round u64`; each 16 bytes, big-endian, modulo the number of chunks, are one question (bias below 2^-100).
//! They are drawn with replacement, so a node without a fraction `f` of its chunks answers a round of `q` with
//! probability `(1 - f)^q`.
//!
//! Bytes of an answer, version 1: `0x01 || root 32 || for each question: chunk 256 || path 32 * depth`. The
//! length follows from the terms alone.
//!
//! Refuses: `storage.evidence-length`, `storage.evidence-form`, `storage.wrong-commitment`,
//! `storage.chunk-wrong`, `storage.piece-differs`.

use super::merkle::{CHUNK_BYTES, Digest, Tree, chunks, climb, commitment, depth};
use proofmesh_market::{Address, Device, Hash32, Refusal};

const VERSION: u8 = 1;

/// What is asked of a node about a piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    bytes: u64,
    questions: Vec<u64>,
}

/// Whose challenge it is: everything beside the seed that draws it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The job's id.
    pub job: &'a Hash32,
    /// Who must answer.
    pub node: &'a Address,
    /// The device that holds the piece.
    pub device: &'a Device,
    /// The round, from 0.
    pub round: u64,
}

impl Challenge {
    /// Draws `count` questions about a piece of `bytes`, which is a piece's size.
    #[must_use]
    pub fn draw(seed: &Hash32, asked: &Asked<'_>, bytes: u64, count: u16) -> Self {
        let mut stream = blake3::Hasher::new_derive_key("proofmesh 2026 possession challenge v1");
        stream.update(&seed.0).update(&asked.job.0).update(&asked.node.0).update(&asked.device.0);
        let mut stream = stream.update(&asked.round.to_be_bytes()).finalize_xof();
        let chunks = u128::from(chunks(bytes).max(1));
        let draw = |_| {
            let mut bytes = [0; 16];
            stream.fill(&mut bytes);
            (u128::from_be_bytes(bytes) % chunks) as u64 // below chunks
        };
        Challenge { bytes, questions: (0..count).map(draw).collect() }
    }

    /// Numbers of the chunks asked for, in order, repeats and all.
    #[must_use]
    pub fn questions(&self) -> &[u64] {
        &self.questions
    }

    /// Exact length of an answer.
    #[must_use]
    pub fn answer_bytes(&self) -> usize {
        1 + 32 + self.questions.len() * self.opening_bytes()
    }

    fn opening_bytes(&self) -> usize {
        CHUNK_BYTES + 32 * depth(self.bytes)
    }

    /// Answers from the piece and its tree: the evidence of a receipt.
    ///
    /// # Errors
    /// `storage.piece-differs` when the piece is shorter than the one asked about.
    pub fn answer(&self, piece: &[u8], tree: &Tree) -> Result<Vec<u8>, Refusal> {
        let mut answer = Vec::with_capacity(self.answer_bytes());
        answer.push(VERSION);
        answer.extend_from_slice(&tree.root());
        for question in &self.questions {
            let at = usize::try_from(*question).unwrap_or(usize::MAX).saturating_mul(CHUNK_BYTES);
            let chunk = piece.get(at..at.saturating_add(CHUNK_BYTES)).zip(tree.path(*question));
            let (chunk, path) = chunk.ok_or_else(|| {
                Refusal::new("storage.piece-differs", format_args!("{} bytes", self.bytes), piece.len())
            })?;
            answer.extend_from_slice(chunk);
            answer.extend(path.into_iter().flatten());
        }
        Ok(answer)
    }

    /// Checks an answer against the committed piece, without the piece.
    ///
    /// # Errors
    /// The names in the head of this file; the first question with a wrong chunk or path.
    pub fn verify(&self, committed: &Hash32, answer: &[u8]) -> Result<(), Refusal> {
        let length = self.answer_bytes();
        if answer.len() != length {
            return Err(Refusal::new("storage.evidence-length", length, answer.len()));
        }
        let form = || Refusal::new("storage.evidence-form", "an answer, version 1", "another form");
        let rest = answer.strip_prefix(&[VERSION]).ok_or_else(form)?;
        let (root, openings) = rest.split_first_chunk::<32>().ok_or_else(form)?;
        let shown = commitment(self.bytes, root);
        if shown != *committed {
            return Err(Refusal::new("storage.wrong-commitment", committed, shown));
        }
        for (question, opening) in self.questions.iter().zip(openings.chunks_exact(self.opening_bytes())) {
            let (chunk, path) = opening.split_at(CHUNK_BYTES);
            let path: &[Digest] = path.as_chunks().0;
            if climb(*question, chunk, path) != *root {
                let expected = format!("chunk {question} of the committed piece");
                return Err(Refusal::new("storage.chunk-wrong", expected, "another chunk or path"));
            }
        }
        Ok(())
    }
}

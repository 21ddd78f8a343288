//! Work for all cores: many things that do not hang together ([`on_all_cores`], [`shared_out`]), and records read ahead for one thread that
//! folds them in order ([`read_ahead`]).

use proofmesh_market::audit::{Read, read};
use proofmesh_market::{Ahead, Event, Hash32, What};
use std::sync::mpsc::sync_channel;
use std::thread;

/// Records that one thread reads at a time; signatures are verified in batches of as many.
const PIECE: usize = 16_384;

/// Shows every record as an event, in order, until one is not wanted any more: decoded, and its signatures verified, ahead of
/// its turn. `hashes` has `H` of each record. Memory: some ten thousand events a core.
///
/// # Errors
/// What `take` fails with.
///
/// # Panics
/// Not as many hashes as records.
pub fn read_ahead<R: AsRef<[u8]> + Sync, E>(
    records: &[R],
    hashes: &[Hash32],
    mut take: impl FnMut(Read) -> Result<(), E>,
) -> Result<(), E> {
    assert_eq!(records.len(), hashes.len(), "one hash a record");
    // What everything is signed for stands in the first record.
    let domain = match records.first().map(|record| Event::decode(record.as_ref())) {
        Some(Ok(Event { what: What::Opened(rules), .. })) => Some(rules.domain),
        _ => None,
    };
    let lanes = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let pieces: Vec<_> = (0..lanes)
            .map(|lane| {
                let (give, pieces) = sync_channel(1);
                scope.spawn(move || {
                    let mut ahead = domain.map(Ahead::new);
                    let pieces = records.chunks(PIECE).zip(hashes.chunks(PIECE));
                    for (piece, hashes) in pieces.skip(lane).step_by(lanes) {
                        if give.send(read_piece(piece, hashes, ahead.as_mut())).is_err() {
                            return; // whoever folds has stopped
                        }
                    }
                });
                pieces
            })
            .collect();
        for lane in pieces.iter().cycle() {
            let Ok(piece) = lane.recv() else { break }; // this lane had the last piece, or would have had the next
            for read in piece {
                take(read)?;
            }
        }
        Ok(())
    })
}

fn read_piece<R: AsRef<[u8]>>(records: &[R], hashes: &[Hash32], ahead: Option<&mut Ahead>) -> Vec<Read> {
    let mut all: Vec<Read> =
        records.iter().zip(hashes).map(|(record, hash)| read(record.as_ref(), *hash)).collect();
    if let Some(ahead) = ahead {
        let verified = ahead.verify(all.iter().flatten().map(|(entry, _)| &entry.event().what));
        for ((_, known), verified) in all.iter_mut().flatten().zip(verified) {
            *known = verified;
        }
    }
    all
}

/// Does something with each of many, on all cores; results in their order.
pub fn on_all_cores<T: Sync, R: Send>(many: &[T], each: impl Fn(&T) -> R + Sync) -> Vec<R> {
    shared_out(many, |part| part.iter().map(&each).collect())
}

/// Gives each core a share of many, to do together; results one after the other.
pub fn shared_out<T: Sync, R: Send>(many: &[T], share: impl Fn(&[T]) -> Vec<R> + Sync) -> Vec<R> {
    let lanes = std::thread::available_parallelism().map_or(1, usize::from).min(many.len());
    if lanes <= 1 {
        return share(many);
    }
    std::thread::scope(|scope| {
        let parts = many.chunks(many.len().div_ceil(lanes));
        let running: Vec<_> = parts.map(|part| scope.spawn(|| share(part))).collect();
        let ended = running.into_iter().map(std::thread::ScopedJoinHandle::join);
        ended.flat_map(|part| part.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}

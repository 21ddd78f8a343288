//! Small blobs in one file: what comes together is written at once and made durable by one sync, where a file each would
//! take several.
//!
//! The file is a [`Log`] whose records are the blobs; an unfinished end was never acknowledged and is cut off. Memory: some
//! 60 bytes a blob, to find it by its hash.

use super::log::{Log, places, scan};
use crate::fault::{Fault, Result};
use proofmesh_market::limits::EVENT_BYTES_MAX;
use proofmesh_market::{Hash32, keccak};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard};

/// Longest blob that is packed.
pub(super) const PACKED_BYTES_MAX: usize = EVENT_BYTES_MAX;

/// First byte and length of each blob.
type Places = BTreeMap<Hash32, (u64, u32)>;

/// A file of small blobs. Whoever reads does not wait for a disk that makes others durable.
#[derive(Debug)]
pub(super) struct Pack {
    path: PathBuf,
    /// To append to; none when it is only looked at.
    log: Mutex<Option<Log>>,
    /// To read from; none before there is a file.
    file: Option<File>,
    /// Of what is durable.
    places: RwLock<Places>,
}

impl Pack {
    /// Opens or starts the file, and locks it.
    ///
    /// # Errors
    /// As [`Log::open`].
    pub(super) fn open(path: &Path) -> Result<Self> {
        let opened = Log::open(path)?;
        let places =
            opened.hashes.into_iter().zip(places(opened.records.iter().map(Vec::as_slice))).collect();
        let file = File::open(path).map_err(|error| Fault::file(path, &error))?;
        Ok(Pack::of(path, Some(opened.log), Some(file), places))
    }

    /// Looks into the file, if there is one, without changing or locking it.
    ///
    /// # Errors
    /// `log.*`, `file.io`.
    pub(super) fn look(path: &Path) -> Result<Self> {
        match std::fs::read(path) {
            Ok(bytes) => {
                let found = scan(&bytes)?;
                let places = found.hashes.into_iter().zip(places(found.records.iter().copied())).collect();
                let file = File::open(path).map_err(|error| Fault::file(path, &error))?;
                Ok(Pack::of(path, None, Some(file), places))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Ok(Pack::of(path, None, None, Places::new()))
            }
            Err(error) => Err(Fault::file(path, &error)),
        }
    }

    fn of(path: &Path, log: Option<Log>, file: Option<File>, places: Places) -> Self {
        Pack { path: path.to_owned(), log: Mutex::new(log), file, places: RwLock::new(places) }
    }

    fn places(&self) -> RwLockReadGuard<'_, Places> {
        self.places.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps blobs of 1 to [`PACKED_BYTES_MAX`] bytes: all durable when this returns; after an error, some.
    ///
    /// # Errors
    /// As [`Log::append`].
    pub(super) fn put_all(&self, many: &[&[u8]]) -> Result<()> {
        let mut new: Vec<(Hash32, &[u8])> = many.iter().map(|bytes| (keccak(bytes), *bytes)).collect();
        // A panic while it was held left places of finished appends only.
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(log) = &mut *log else {
            let expected = "a directory that was opened to write";
            return Err(Fault::trouble("blob.look-only", expected, self.path.display()));
        };
        let mut seen = BTreeSet::new();
        {
            let known = self.places();
            new.retain(|(hash, _)| !known.contains_key(hash) && seen.insert(*hash));
        }
        let records: Vec<&[u8]> = new.iter().map(|(_, bytes)| *bytes).collect();
        log.append(&records)?;
        let added = log.places();
        let added = new.iter().map(|(hash, _)| *hash).zip(added[added.len() - new.len()..].iter().copied());
        self.places.write().unwrap_or_else(PoisonError::into_inner).extend(added);
        Ok(())
    }

    /// The bytes that were kept with this hash, not compared with it yet.
    ///
    /// # Errors
    /// `file.io`.
    pub(super) fn get(&self, hash: &Hash32) -> Result<Option<Vec<u8>>> {
        let place = self.places().get(hash).copied();
        let (Some((at, length)), Some(file)) = (place, &self.file) else { return Ok(None) };
        let mut bytes = vec![0; length as usize];
        file.read_exact_at(&mut bytes, at).map_err(|error| Fault::file(&self.path, &error))?;
        Ok(Some(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::log::tests::temp_dir;

    #[test]
    fn a_pack_that_was_cut_off_has_what_it_acknowledged_and_goes_on() {
        let dir = temp_dir("pack");
        let path = dir.join("pack");
        assert_eq!(Pack::look(&path).expect("nothing yet").get(&keccak(b"a")).expect("reads"), None);
        let pack = Pack::open(&path).expect("opens");
        pack.put_all(&[b"a", b"b", b"a"]).expect("kept");
        let acknowledged = std::fs::metadata(&path).expect("a file").len();
        pack.put_all(&[b"b", b"the third"]).expect("kept");
        drop(pack);
        let whole = std::fs::read(&path).expect("reads");
        for cut in acknowledged as usize..=whole.len() {
            std::fs::write(&path, &whole[..cut]).expect("cut");
            for pack in [Pack::look(&path).expect("looks"), Pack::open(&path).expect("opens")] {
                assert_eq!(pack.get(&keccak(b"a")).expect("reads"), Some(b"a".to_vec()));
                assert_eq!(pack.get(&keccak(b"b")).expect("reads"), Some(b"b".to_vec()));
                let third = pack.get(&keccak(b"the third")).expect("reads");
                assert_eq!(third.is_some(), cut == whole.len(), "cut at {cut}");
            }
        }
        assert_eq!(whole.len() as u64 - acknowledged, 16 + 9, "what is there is not written again");
        assert!(
            Pack::look(&path).expect("looks").put_all(&[b"c"]).expect_err("no writer").is("blob.look-only")
        );
        std::fs::remove_dir_all(dir).expect("cleaned");
    }
}

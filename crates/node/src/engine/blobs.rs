//! Evidence by its Keccak-256. A store of it, [`Blobs`], has one conformance suite (`tests/node/blobs.rs`); embedded, it is
//! [`Files`], one file each, but what comes in batches of small ones, which is packed in one (`pack.rs`); by URL,
//! [`super::s3`].
//!
//! A file's write: to a temporary file, fsync, rename, fsync the directory. So a name is never seen with other bytes
//! than its own, and a name that was acknowledged stays. Reading checks the hash: `blob.damaged`.

use super::crash;
use super::log::sync_parent;
use super::pack::{PACKED_BYTES_MAX, Pack};
use crate::fault::{Fault, Result};
use proofmesh_market::{Hash32, keccak};
use std::fmt::Display;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes by their hash, each written once.
pub trait Blobs: Send + Sync + std::fmt::Debug {
    /// Keeps bytes: durable when this returns. Bytes that are there are kept again without harm.
    ///
    /// # Errors
    /// `file.io`; `blobs.unreachable`, `blobs.refused` of a server.
    fn put(&self, bytes: &[u8]) -> Result<Hash32>;

    /// Keeps many: all durable when this returns; after an error, some.
    ///
    /// # Errors
    /// As [`Self::put`].
    fn put_all(&self, many: &[&[u8]]) -> Result<()> {
        many.iter().try_for_each(|bytes| self.put(bytes).map(drop))
    }

    /// The bytes with this hash, or `None`.
    ///
    /// # Errors
    /// `blob.damaged`, `file.io`; `blobs.unreachable`, `blobs.refused` of a server.
    fn get(&self, hash: &Hash32) -> Result<Option<Vec<u8>>>;
}

/// Other bytes than those that were kept.
pub(super) fn damaged(hash: &Hash32, place: impl Display, got: impl Display) -> Fault {
    Fault::trouble("blob.damaged", format_args!("{hash} in {place}; restore it from a copy"), got)
}

/// A directory of blobs.
#[derive(Debug)]
pub struct Files {
    dir: PathBuf,
    temporary: AtomicU64,
    pack: Pack,
}

impl Files {
    /// Opens or makes the directory; unfinished writes of an earlier process are removed.
    ///
    /// # Errors
    /// `file.io`.
    pub fn open(dir: &Path) -> Result<Self> {
        let temporary = dir.join("tmp");
        if temporary.exists() {
            fs::remove_dir_all(&temporary).map_err(|error| Fault::file(&temporary, &error))?;
        }
        fs::create_dir_all(&temporary).map_err(|error| Fault::file(&temporary, &error))?;
        Ok(Files { dir: dir.to_owned(), temporary: AtomicU64::new(0), pack: Pack::open(&dir.join("pack"))? })
    }

    /// Looks into a directory without changing it.
    ///
    /// # Errors
    /// `log.*` of a damaged pack, `file.io`.
    pub fn look(dir: &Path) -> Result<Self> {
        Ok(Files { dir: dir.to_owned(), temporary: AtomicU64::new(0), pack: Pack::look(&dir.join("pack"))? })
    }

    /// Where the bytes with this hash are or would be.
    #[must_use]
    pub fn path(&self, hash: &Hash32) -> PathBuf {
        let name = hex::encode(hash.0);
        self.dir.join(&name[..2]).join(name)
    }
}

impl Blobs for Files {
    fn put(&self, bytes: &[u8]) -> Result<Hash32> {
        let hash = keccak(bytes);
        let path = self.path(&hash);
        if !path.exists() {
            let number = self.temporary.fetch_add(1, Ordering::Relaxed);
            write_durably(&self.dir.join("tmp").join(number.to_string()), &path, bytes)?;
        } else {
            // Another call may have renamed it and not yet made the name durable.
            sync_parent(&path)?;
        }
        Ok(hash)
    }

    fn put_all(&self, many: &[&[u8]]) -> Result<()> {
        let small = |bytes: &&[u8]| (1..=PACKED_BYTES_MAX).contains(&bytes.len());
        let (small, large): (Vec<&[u8]>, Vec<&[u8]>) = many.iter().copied().partition(small);
        self.pack.put_all(&small)?;
        large.iter().try_for_each(|bytes| self.put(bytes).map(drop))
    }

    fn get(&self, hash: &Hash32) -> Result<Option<Vec<u8>>> {
        let (bytes, place) = match self.pack.get(hash)? {
            Some(bytes) => (bytes, None),
            None => {
                let path = self.path(hash);
                match fs::read(&path) {
                    Ok(bytes) => (bytes, Some(path)),
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                    Err(error) => return Err(Fault::file(&path, &error)),
                }
            }
        };
        let found = keccak(&bytes);
        if found == *hash {
            return Ok(Some(bytes));
        }
        Err(damaged(hash, place.unwrap_or_else(|| self.dir.join("pack")).display(), found))
    }
}

/// Writes a whole file or nothing: temporary file, fsync, rename, fsync of the directory.
pub(crate) fn write_durably(temporary: &Path, path: &Path, bytes: &[u8]) -> Result<()> {
    let parent = path.parent().unwrap_or(Path::new("."));
    if !parent.exists() {
        fs::create_dir_all(parent).map_err(|error| Fault::file(parent, &error))?;
        sync_parent(parent)?;
    }
    let write = || {
        let mut file = File::create(temporary)?;
        if crash::here() {
            file.write_all(&bytes[..bytes.len() / 2])?;
            crash::die();
        }
        file.write_all(bytes)?;
        file.sync_all()?;
        crash::point();
        fs::rename(temporary, path)
    };
    write().map_err(|error| Fault::file(path, &error))?;
    crash::point();
    sync_parent(path)
}

/// Replaces a small file: readers see the old or the new one.
///
/// # Errors
/// `file.io`.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    write_durably(&path.with_extension("new"), path, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::log::tests::temp_dir;

    #[test]
    fn changed_bytes_are_refused_and_unfinished_writes_vanish() {
        let dir = temp_dir("blobs");
        let blobs = Files::open(&dir).expect("opens");
        let hash = blobs.put(b"proof").expect("kept");
        assert_eq!(blobs.put(b"proof").expect("again"), hash);
        assert_eq!(blobs.get(&hash).expect("read").as_deref(), Some(&b"proof"[..]));
        assert_eq!(blobs.get(&Hash32::ZERO).expect("none"), None);
        fs::write(blobs.path(&hash), b"prooF").expect("damage");
        assert!(blobs.get(&hash).expect_err("damaged").is("blob.damaged"));
        fs::write(dir.join("tmp/7"), b"half").expect("an unfinished write");
        drop(blobs);
        Files::open(&dir).expect("opens");
        assert!(!dir.join("tmp/7").exists());
        fs::remove_dir_all(dir).expect("cleaned");
    }
}

//! Keys in a directory: `NAME.account` (secp256k1), `NAME.device` (Ed25519) and `NAME.p256`, 32 bytes as hexadecimal text,
//! readable by their owner alone.
//!
//! A key that is asked for and missing is made from the machine's randomness. What is there and is no key is
//! refused: `key.file`.

use super::blobs::write_durably;
use crate::fault::{Fault, Result};
use proofmesh_market::{AccountSecret, DeviceSecret};
use proofmesh_services::did::DidSecret;
use rand::Rng;
use std::fs;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Longest name of a key.
pub const NAME_MAX: usize = 32;

/// A directory of keys.
#[derive(Clone, Debug)]
pub struct Keys {
    dir: PathBuf,
}

impl Keys {
    /// The keys in `dir`, which is made if it is missing.
    ///
    /// # Errors
    /// `file.io`.
    pub fn open(dir: &Path) -> Result<Self> {
        let make = || {
            fs::create_dir_all(dir)?;
            fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
        };
        make().map_err(|error| Fault::file(dir, &error))?;
        Ok(Keys { dir: dir.to_owned() })
    }

    /// The account of this name, made if it is missing.
    ///
    /// # Errors
    /// `key.name`, `key.file`, `file.io`.
    pub fn account(&self, name: &str) -> Result<AccountSecret> {
        let bytes = self.bytes(name, "account")?;
        AccountSecret::from_bytes(bytes).map_err(|refusal| Fault::trouble("key.file", refusal.expected, name))
    }

    /// The device of this name, made if it is missing.
    ///
    /// # Errors
    /// `key.name`, `key.file`, `file.io`.
    pub fn device(&self, name: &str) -> Result<DeviceSecret> {
        Ok(DeviceSecret::from_bytes(self.bytes(name, "device")?))
    }

    /// The P-256 key of a sensor of this name, made if it is missing.
    ///
    /// # Errors
    /// `key.name`, `key.file`, `file.io`.
    pub fn p256(&self, name: &str) -> Result<DidSecret> {
        let bytes = self.bytes(name, "p256")?;
        DidSecret::p256(bytes).map_err(|refusal| Fault::trouble("key.file", refusal.expected, name))
    }

    /// A secret of this name for another purpose, made if it is missing.
    ///
    /// # Errors
    /// `key.name`, `key.file`, `file.io`.
    pub fn seed(&self, name: &str) -> Result<[u8; 32]> {
        self.bytes(name, "seed")
    }

    /// True when there is such an account.
    #[must_use]
    pub fn has_account(&self, name: &str) -> bool {
        self.dir.join(format!("{name}.account")).exists()
    }

    fn bytes(&self, name: &str, kind: &str) -> Result<[u8; 32]> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if name.is_empty() || name.len() > NAME_MAX || !name.bytes().all(plain) {
            return Err(Fault::misuse("key.name", "1 to 32 of a-z 0-9 -", format_args!("{name:.40}")));
        }
        let path = self.dir.join(format!("{name}.{kind}"));
        match fs::read_to_string(&path) {
            Ok(text) => {
                let mut bytes = [0; 32];
                hex::decode_to_slice(text.trim(), &mut bytes)
                    .map_err(|_| Fault::trouble("key.file", "64 hexadecimal digits", path.display()))?;
                Ok(bytes)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => make(&path),
            Err(error) => Err(Fault::file(&path, &error)),
        }
    }
}

fn make(path: &Path) -> Result<[u8; 32]> {
    let mut bytes = [0; 32];
    crate::zk::os_rng()?.fill_bytes(&mut bytes);
    let temporary = path.with_extension("new");
    let io = |error: std::io::Error| Fault::file(path, &error);
    // Made first with its mode, so that the secret is never readable by others; the write below keeps the
    // mode.
    let mut options = fs::OpenOptions::new();
    options.create(true).write(true).truncate(true).mode(0o600).open(&temporary).map_err(io)?;
    write_durably(&temporary, path, hex::encode(bytes).as_bytes())?;
    Ok(bytes)
}

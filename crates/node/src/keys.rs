//! API keys: who calls, and what the call may do. The machine's owner has the key of `keys/owner.seed`; others get keys of
//! their own, shown once and kept as hashes in `keys/api.json` (mode 600).
//!
//! A key belongs to a [`Tenant`] and has [`Scope`]s. What a tenant owns is apart from what others own: its nodes (named when
//! a key is made), and a buyer's account with a budget of its own. A tenant's name of another's node is unknown to it.
//!
//! Text of a key: `pm_ID_SECRET`, 8 and 64 hexadecimal digits of the machine's randomness. Kept: `H("proofmesh/api-key/v1" ||
//! text)`; 256 bits need no slow hash. Changes of the file count from the next request on.
//!
//! Refuses: `owner.key`, `api.scope`; `tenant.form`, `scope.form`, `key.operate`, `key.until`, `key.rate`, `key.node`, `key.too-many`,
//! `key.unknown`, `api.json`.

use crate::engine::blobs::write_durably;
use crate::engine::keys::{Keys, NAME_MAX};
use crate::fault::{Fault, Result};
use crate::owner::read_json;
use proofmesh_market::{Hash32, keccak};
use rand::Rng;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

/// Name of the machine's owner among tenants.
pub const LOCAL: &str = "local";
/// Keys that are kept, revoked ones included.
pub const KEYS_MAX: usize = 1_024;
/// Requests a second of a key, unless it says otherwise.
pub const PER_SECOND: u32 = 50;
/// Most requests a second that a key can be given; what the owner's has.
pub const PER_SECOND_MAX: u32 = 10_000;

/// What a call needs a key for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Hand in what accounts and nodes signed: orders, receipts, measurements; feeds.
    Submit,
    /// See one's own nodes and purchases.
    View,
    /// Say what one's own nodes may do; push their readings.
    Run,
    /// Quote, buy, budget, withdraw, claim, with one's own built-in key.
    Money,
    /// See how the machine is.
    Monitor,
    /// Close epochs; on development chains test money, enrolment, time. The machine's owner alone.
    Operate,
}

/// All scopes.
pub const SCOPES: [Scope; 6] =
    [Scope::Submit, Scope::View, Scope::Run, Scope::Money, Scope::Monitor, Scope::Operate];

impl Scope {
    /// As in the API's description and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Scope::Submit => "submit",
            Scope::View => "view",
            Scope::Run => "run",
            Scope::Money => "money",
            Scope::Monitor => "monitor",
            Scope::Operate => "operate",
        }
    }

    /// For people.
    #[must_use]
    pub fn about(self) -> &'static str {
        match self {
            Scope::Submit => "hand in what accounts and nodes signed; feeds",
            Scope::View => "see own nodes and purchases",
            Scope::Run => "limits, grants and readings of own nodes",
            Scope::Money => "quote, buy, budget, withdraw, claim with the tenant's built-in key",
            Scope::Monitor => "metrics of the machine",
            Scope::Operate => "close epochs, development calls; the machine's owner alone",
        }
    }
}

impl FromStr for Scope {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self> {
        let found = SCOPES.into_iter().find(|scope| scope.name() == text);
        found.ok_or_else(|| {
            let names = SCOPES.map(Scope::name).join(", ");
            Fault::misuse("scope.form", format_args!("one of {names}"), format_args!("{text:.40}"))
        })
    }
}

/// Whose: 1 to 32 of `a-z 0-9 -`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tenant(String);

impl Tenant {
    /// The machine's owner.
    #[must_use]
    pub fn local() -> Self {
        Tenant(LOCAL.to_owned())
    }

    /// True for the machine's owner.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.0 == LOCAL
    }
}

impl Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Tenant {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if (1..=NAME_MAX).contains(&text.len()) && text.bytes().all(plain) {
            return Ok(Tenant(text.to_owned()));
        }
        Err(Fault::misuse("tenant.form", "1 to 32 of a-z 0-9 -", format_args!("{text:.40}")))
    }
}

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// For whom.
    pub tenant: Tenant,
    /// With which key: its id, or `owner`.
    pub key: String,
    /// Requests a second.
    pub per_second: u32,
    scopes: BTreeSet<Scope>,
}

impl Caller {
    /// Whether the key opens this.
    ///
    /// # Errors
    /// `api.scope`.
    pub fn require(&self, scope: Scope) -> Result<()> {
        if self.scopes.contains(&scope) {
            return Ok(());
        }
        let got = self.scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>().join(", ");
        let expected = format!("a key with the scope {}", scope.name());
        Err(Fault::refused("api.scope", expected, format_args!("key {} with {got}", self.key)))
    }
}

/// A key as it is kept and listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRow {
    /// Its id: the part of its text that is no secret.
    pub id: String,
    /// Hash of its text.
    pub hash: Hash32,
    /// Whose.
    pub tenant: Tenant,
    /// What it opens.
    pub scopes: BTreeSet<Scope>,
    /// Requests a second.
    pub per_second: u32,
    /// Unix second of its making.
    pub made_s: u64,
    /// Unix second at which it ends; `None` for never.
    pub until_s: Option<u64>,
    /// Unix second at which it was revoked.
    pub revoked_s: Option<u64>,
}

/// `keys/api.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    keys: Vec<KeyRow>,
    nodes: BTreeMap<String, Tenant>, // nodes that are not the machine owner's
}

/// A key that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedKey {
    /// Whose.
    pub tenant: Tenant,
    /// What it opens.
    pub scopes: BTreeSet<Scope>,
    /// Nodes that become the tenant's.
    pub nodes: Vec<String>,
    /// Requests a second.
    pub per_second: u32,
    /// Unix second at which it ends.
    pub until_s: Option<u64>,
}

/// A key that was just made. Its text is nowhere else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MadeKey {
    /// The key.
    pub key: String,
    /// What is kept of it.
    pub row: KeyRow,
}

/// Which version of the file was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Version {
    inode: u64,
    bytes: u64,
    seconds: i64,
    nanoseconds: i64,
}

/// All keys of a machine.
#[derive(Debug)]
pub struct Keyring {
    path: PathBuf,
    owner: [u8; 32],
    read: Mutex<(Version, Arc<Stored>)>,
}

fn hash_of(text: &str) -> Hash32 {
    keccak(&[b"proofmesh/api-key/v1", text.as_bytes()].concat())
}

impl Keyring {
    /// The keys in a state directory; the owner's is made if it is missing.
    ///
    /// # Errors
    /// `key.file`, `api.json`, `file.io`.
    pub fn open(dir: &Path) -> Result<Self> {
        let keys = dir.join("keys");
        let owner = Keys::open(&keys)?.seed("owner")?;
        let ring = Keyring { path: keys.join("api.json"), owner, read: Mutex::default() };
        ring.stored()?;
        Ok(ring)
    }

    /// The owner's key as text.
    #[must_use]
    pub fn owner_key(&self) -> String {
        hex::encode(self.owner)
    }

    /// The file as it is now; read again when it was replaced.
    fn stored(&self) -> Result<Arc<Stored>> {
        let version = match std::fs::metadata(&self.path) {
            Ok(data) => Version {
                inode: data.ino(),
                bytes: data.size(),
                seconds: data.mtime(),
                nanoseconds: data.mtime_nsec(),
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Version::default(),
            Err(error) => return Err(Fault::file(&self.path, &error)),
        };
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.0 != version {
            let stored: Stored = read_json(&self.path, "api.json")?.unwrap_or_default();
            *read = (version, Arc::new(stored));
        }
        Ok(read.1.clone())
    }

    /// Who calls with this text. Hashes are compared, so that time tells nothing about a key.
    ///
    /// # Errors
    /// `owner.key`.
    pub fn who(&self, given: Option<&str>, now_s: u64) -> Result<Caller> {
        let no = |got: &str| {
            let expected =
                "Authorization: Bearer KEY, the owner's (keys/owner.seed) or one of `proofmesh api key new`";
            Fault::refused("owner.key", expected, got)
        };
        let given = given.ok_or_else(|| no("no key"))?;
        if hash_of(given) == hash_of(&self.owner_key()) {
            let scopes = SCOPES.into_iter().collect();
            let (tenant, key) = (Tenant::local(), "owner".to_owned());
            return Ok(Caller { tenant, key, per_second: PER_SECOND_MAX, scopes });
        }
        let hash = hash_of(given);
        let stored = self.stored()?;
        let row = stored.keys.iter().find(|row| row.hash == hash).ok_or_else(|| no("another key"))?;
        if row.revoked_s.is_some() {
            return Err(no("a key that was revoked"));
        }
        if row.until_s.is_some_and(|until_s| until_s <= now_s) {
            return Err(no("a key whose time is over"));
        }
        let KeyRow { id, tenant, scopes, per_second, .. } = row.clone();
        Ok(Caller { tenant, key: id, per_second, scopes })
    }

    /// Whose a node is.
    ///
    /// # Errors
    /// `api.json`, `file.io`.
    pub fn tenant_of(&self, node: &str) -> Result<Tenant> {
        Ok(self.stored()?.nodes.get(node).cloned().unwrap_or_else(Tenant::local))
    }

    /// All keys, as they are kept.
    ///
    /// # Errors
    /// `api.json`, `file.io`.
    pub fn list(&self) -> Result<Vec<KeyRow>> {
        Ok(self.stored()?.keys.clone())
    }

    /// Makes a key. Its text is in the answer and nowhere else.
    ///
    /// # Errors
    /// `key.*`, `file.io`.
    pub fn make(&self, wanted: WantedKey, now_s: u64) -> Result<MadeKey> {
        let WantedKey { tenant, scopes, nodes, per_second, until_s } = wanted;
        let owners_alone = [Scope::Operate, Scope::Monitor];
        if !tenant.is_local() && owners_alone.iter().any(|scope| scopes.contains(scope)) {
            let expected = "scopes submit, view, run, money for a tenant: the machine is its owner's";
            return Err(Fault::refused("key.operate", expected, "operate or monitor"));
        }
        if scopes.is_empty() {
            return Err(Fault::misuse("scope.form", "at least one --scope", "none"));
        }
        if !(1..=PER_SECOND_MAX).contains(&per_second) {
            let expected = format!("1 to {PER_SECOND_MAX} requests a second");
            return Err(Fault::misuse("key.rate", expected, per_second));
        }
        if let Some(until_s) = until_s.filter(|until_s| *until_s <= now_s) {
            return Err(Fault::misuse("key.until", format_args!("a second after {now_s}"), until_s));
        }
        self.change(|stored| {
            if stored.keys.len() >= KEYS_MAX {
                stored.keys.retain(|row| row.revoked_s.is_none());
            }
            if stored.keys.len() >= KEYS_MAX {
                let expected = format!("at most {KEYS_MAX} keys (`proofmesh api key revoke`)");
                return Err(Fault::refused("key.too-many", expected, stored.keys.len()));
            }
            for node in nodes {
                let known = stored.nodes.get(&node);
                if known.is_some_and(|known| *known != tenant) {
                    let expected = format!("a node of {tenant} or of the machine's owner");
                    return Err(Fault::refused("key.node", expected, format_args!("{node}, another's")));
                }
                node.parse::<Tenant>().map_err(|fault| Fault { name: "key.node".to_owned(), ..fault })?;
                if !tenant.is_local() {
                    stored.nodes.insert(node, tenant.clone());
                }
            }
            let (mut id, mut secret) = ([0; 4], [0; 32]);
            let mut rng = crate::zk::os_rng()?;
            rng.fill_bytes(&mut id);
            rng.fill_bytes(&mut secret);
            let id = hex::encode(id);
            let key = format!("pm_{id}_{}", hex::encode(secret));
            let hash = hash_of(&key);
            let row =
                KeyRow { id, hash, tenant, scopes, per_second, made_s: now_s, until_s, revoked_s: None };
            stored.keys.push(row.clone());
            Ok(MadeKey { key, row })
        })
    }

    /// Revokes a key: no request with it is answered from now on.
    ///
    /// # Errors
    /// `key.unknown`, `file.io`.
    pub fn revoke(&self, id: &str, now_s: u64) -> Result<KeyRow> {
        self.change(|stored| {
            let row = stored.keys.iter_mut().find(|row| row.id == id);
            let row = row.ok_or_else(|| {
                Fault::refused(
                    "key.unknown",
                    "the id of a key (`proofmesh api key list`)",
                    format_args!("{id:.40}"),
                )
            })?;
            row.revoked_s.get_or_insert(now_s);
            Ok(row.clone())
        })
    }

    /// One change at a time, also among processes.
    fn change<T>(&self, change: impl FnOnce(&mut Stored) -> Result<T>) -> Result<T> {
        let lock = self.path.with_extension("lock");
        let io = |error: std::io::Error| Fault::file(&lock, &error);
        let held = private(&lock).map_err(io)?;
        held.lock().map_err(io)?;
        let mut stored = Stored::clone(&*self.stored()?);
        let done = change(&mut stored)?;
        let text = serde_json::to_vec_pretty(&stored)
            .map_err(|error| Fault::trouble("api.json", "a record", error))?;
        // Made first with its mode: the write below keeps it.
        let temporary = self.path.with_extension("new");
        private(&temporary).map_err(|error| Fault::file(&temporary, &error))?;
        write_durably(&temporary, &self.path, &text)?;
        Ok(done)
    }
}

/// A file for its owner alone.
fn private(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::log::tests::temp_dir;
    use std::os::unix::fs::PermissionsExt;

    fn wanted(tenant: &str, scopes: &[Scope]) -> WantedKey {
        WantedKey {
            tenant: tenant.parse().expect("a name"),
            scopes: scopes.iter().copied().collect(),
            nodes: Vec::new(),
            per_second: PER_SECOND,
            until_s: None,
        }
    }

    #[test]
    fn a_key_opens_what_it_says_until_it_ends_and_is_kept_as_a_hash() {
        let dir = temp_dir("keyring");
        let ring = Keyring::open(&dir).expect("opens");
        let made = ring.make(wanted("alice", &[Scope::View]), 10).expect("made");
        let other = Keyring::open(&dir).expect("another process");
        let caller = other.who(Some(&made.key), 11).expect("known");
        assert_eq!((caller.tenant.to_string().as_str(), &caller.key), ("alice", &made.row.id));
        caller.require(Scope::View).expect("its scope");
        assert!(caller.require(Scope::Money).expect_err("not its scope").is("api.scope"));
        let path = dir.join("keys/api.json");
        let kept = std::fs::read_to_string(&path).expect("kept");
        let secret = made.key.rsplit('_').next().expect("a secret");
        assert!(!kept.contains(secret) && kept.contains(&made.row.id));
        assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        for given in
            [None, Some(""), Some("owner"), Some(&made.key[..made.key.len() - 1]), Some(kept.as_str())]
        {
            assert!(other.who(given, 11).expect_err("no key").is("owner.key"), "{given:?}");
        }
        ring.revoke(&made.row.id, 12).expect("revoked");
        assert!(other.who(Some(&made.key), 12).expect_err("revoked").got.contains("revoked"));
        assert!(ring.revoke("00000000", 12).expect_err("none").is("key.unknown"));
        let short = WantedKey { until_s: Some(20), ..wanted("alice", &[Scope::View]) };
        let short = ring.make(short, 12).expect("made");
        other.who(Some(&short.key), 19).expect("its time");
        assert!(other.who(Some(&short.key), 20).expect_err("over").got.contains("over"));
        assert!(other.who(Some(&other.owner_key()), 20).expect("the owner").tenant.is_local());
        std::fs::remove_dir_all(dir).expect("cleaned");
    }

    #[test]
    fn a_tenant_gets_neither_the_machine_nor_anothers_node() {
        let dir = temp_dir("tenants");
        let ring = Keyring::open(&dir).expect("opens");
        for scope in [Scope::Operate, Scope::Monitor] {
            assert!(ring.make(wanted("alice", &[scope]), 1).expect_err("the owner's").is("key.operate"));
        }
        ring.make(wanted(LOCAL, &[Scope::Monitor]), 1).expect("the owner's own");
        let with = |tenant: &str, node: &str| WantedKey {
            nodes: vec![node.to_owned()],
            ..wanted(tenant, &[Scope::View])
        };
        ring.make(with("alice", "ewr"), 1).expect("the owner gives a node away");
        assert_eq!(ring.tenant_of("ewr").expect("known").to_string(), "alice");
        assert!(ring.tenant_of("jfk").expect("known").is_local());
        assert!(ring.make(with("bob", "ewr"), 1).expect_err("alice's").is("key.node"));
        assert!(ring.make(with("bob", "../x"), 1).expect_err("no name").is("key.node"));
        assert!(ring.make(wanted("bob", &[]), 1).expect_err("none").is("scope.form"));
        let fast = WantedKey { per_second: 0, ..wanted("bob", &[Scope::View]) };
        assert!(ring.make(fast, 1).expect_err("none").is("key.rate"));
        for name in ["", "A", "a/b", "a_b"] {
            assert!(name.parse::<Tenant>().expect_err("no name").is("tenant.form"));
        }
        std::fs::remove_dir_all(dir).expect("cleaned");
    }
}

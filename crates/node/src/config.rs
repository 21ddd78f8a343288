//! The configuration of a machine: TOML, numbered, signed by the owner's key, checked and tried before it counts, reversible.
//!
//! `DIR/config/NUMBER.toml` is a version as its owner wrote it, `NUMBER.json` its [`Seal`]: hash, the version before, when, and the signature of
//! `keys/owner.account`. `current` names the version that counts. A new version is
//! written, checked ([`Settings::parse`]) and tried ([`Settings::try_out`]); only then it is sealed and `current` replaced. Going back makes a new
//! version with old text: history only grows. What was changed by another hand is refused when it is read.
//!
//! Refuses: `config.syntax`, `config.unknown-key` (with the nearest name), `config.value`, `config.too-large`, `config.signature`, `config.hash`,
//! `config.version-unknown`, `config.json`, and what trying it finds: `config.port`, `config.chain`, `config.engine`, `config.broker`.

use crate::api::shape::{Named, Shape, Types};
use crate::device::mqtt::Broker;
use crate::engine::blobs::replace;
use crate::engine::keys::Keys;
use crate::engine::place::{Engines, probe};
use crate::fault::{Fault, Result};
use crate::out::UpDoc;
use crate::owner::{Limits, Policy, read_json, write_json};
use crate::weather::station;
use proofmesh_market::{AccountSignature, Hash32, keccak};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Bytes of a version.
pub const BYTES_MAX: usize = 64 << 10;
/// How long a broker may take to answer when a version is tried.
const BROKER_PATIENCE: Duration = Duration::from_secs(3);

/// What a machine is told to do. What is left out has the value that `proofmesh config show` shows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The servers.
    pub api: ApiSettings,
    /// The chain and the market on it.
    pub chain: ChainSettings,
    /// What the coordinator keeps its state in.
    pub engines: Engines,
    /// Nodes by name.
    pub nodes: BTreeMap<String, NodeSettings>,
    /// Devices.
    pub devices: DeviceSettings,
    /// What is watched.
    pub monitor: MonitorSettings,
}

/// Ports on 127.0.0.1; 0 for any free one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApiSettings {
    /// Of the API and the page.
    pub port: u16,
    /// Of the chain's JSON-RPC.
    pub rpc_port: u16,
}

impl Default for ApiSettings {
    fn default() -> Self {
        ApiSettings { port: 7_166, rpc_port: 7_167 }
    }
}

/// The chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChainSettings {
    /// Another chain than the embedded one; empty for that.
    pub url: String,
    /// Seconds in which a posted epoch can be challenged, for a new market.
    pub challenge_window_s: u64,
    /// Seconds in which a verdict can be disputed, for a new market.
    pub dispute_window_s: u64,
    /// Close and post an epoch every so many seconds; 0 for never.
    pub epoch_every_s: u64,
}

impl Default for ChainSettings {
    fn default() -> Self {
        ChainSettings { url: String::new(), challenge_window_s: 3_600, dispute_window_s: 0, epoch_every_s: 0 }
    }
}

/// A node of this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NodeSettings {
    /// The station that it stands at.
    pub station: String,
    /// Its readings are pushed or come from the broker, not from a recording.
    pub live: bool,
    /// What it may take of the machine; written into its policy when this version begins to count.
    pub limits: Option<Limits>,
}

/// Devices.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeviceSettings {
    /// The broker that live nodes listen to, `mqtt://HOST:PORT`; empty for none.
    pub mqtt: String,
}

/// What is watched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MonitorSettings {
    /// Run a canary job every so many seconds; 0 for never.
    pub canary_every_s: u64,
    /// An OpenTelemetry collector, `http://127.0.0.1:4318`; empty for none.
    pub otlp: String,
}

impl Settings {
    /// Reads a version's text.
    ///
    /// # Errors
    /// `config.too-large`, `config.syntax`, `config.unknown-key`, `config.value`.
    pub fn parse(text: &str) -> Result<Self> {
        if text.len() > BYTES_MAX {
            return Err(Fault::refused(
                "config.too-large",
                format_args!("at most {BYTES_MAX} bytes"),
                text.len(),
            ));
        }
        let one_line = |error: &dyn std::fmt::Display| error.to_string().trim().replace('\n', " ");
        let table: toml::Table =
            text.parse().map_err(|error| Fault::refused("config.syntax", "TOML", one_line(&error)))?;
        let mut types = Types::default();
        let shape = types.add::<Settings>();
        let shape = shape.map_err(|error| Fault::trouble("config.shape", "settings with a shape", error))?;
        require_known(&toml::Value::Table(table.clone()), &shape, &types, "")?;
        let settings: Settings = filled(table).try_into().map_err(|error: toml::de::Error| {
            Fault::refused("config.value", "values of the right kind", one_line(&error))
        })?;
        settings.check()?;
        Ok(settings)
    }

    /// Whether the values make sense together.
    fn check(&self) -> Result<()> {
        let bad = |key: &str, fault: Fault| {
            let Fault { expected, got, .. } = fault;
            Fault::refused("config.value", format_args!("{key}: {expected}"), got)
        };
        for (name, node) in &self.nodes {
            name.parse::<crate::keys::Tenant>().map_err(|fault| bad("nodes", fault))?; // the same form
            station(&node.station).map_err(|fault| bad(&format!("nodes.{name}.station"), fault))?;
            if let Some(limits) = &node.limits {
                limits.check().map_err(|fault| bad(&format!("nodes.{name}.limits"), fault))?;
            }
        }
        self.broker().map_err(|fault| bad("devices.mqtt", fault))?;
        self.engines.check().map_err(|fault| bad("engines", fault))?;
        for (key, url) in [("chain.url", &self.chain.url), ("monitor.otlp", &self.monitor.otlp)] {
            if !url.is_empty() && !url.starts_with("http://") && !url.starts_with("https://") {
                return Err(bad(
                    key,
                    Fault::misuse("", "http://HOST:PORT, or empty", format_args!("{url:.60}")),
                ));
            }
        }
        let most = crate::coordinator::WINDOW_MAX_S;
        if self.chain.challenge_window_s > most {
            let got = self.chain.challenge_window_s;
            return Err(bad(
                "chain.challenge_window_s",
                Fault::misuse("", format_args!("at most {most}"), got),
            ));
        }
        Ok(())
    }

    /// The broker, if there is one.
    ///
    /// # Errors
    /// `mqtt.url`.
    pub fn broker(&self) -> Result<Option<Broker>> {
        let url = self.devices.mqtt.as_str();
        if url.is_empty() { Ok(None) } else { url.parse().map(Some) }
    }

    /// Tries what can be tried without changing anything: ports are free or this directory's own coordinator's, the chain
    /// answers and is the one of the directory, engines answer, the broker takes a connection.
    ///
    /// # Errors
    /// `config.port`, `config.chain`, `config.engine`, `config.broker`.
    pub async fn try_out(&self, dir: &Path) -> Result<()> {
        let here: Option<UpDoc> = read_json(&dir.join("up.json"), "up.json").unwrap_or_default();
        for (key, port) in [("api.port", self.api.port), ("api.rpc_port", self.api.rpc_port)] {
            let own = here.as_ref().is_some_and(|doc| {
                [Some(&doc.api), doc.rpc.as_ref()]
                    .into_iter()
                    .flatten()
                    .any(|url| url.ends_with(&format!(":{port}")))
            });
            let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            if !own && let Err(error) = TcpListener::bind(at) {
                return Err(Fault::refused(
                    "config.port",
                    format_args!("{key}: a port that is free, or 0"),
                    format_args!("{port}: {error}"),
                ));
            }
        }
        if !self.chain.url.is_empty() {
            let found = chain_id(&self.chain.url).await.map_err(|fault| {
                Fault::refused(
                    "config.chain",
                    format_args!("chain.url: a chain that answers at {}", self.chain.url),
                    fault.got,
                )
            })?;
            let deployed =
                crate::coordinator::read_deployment(dir)?.map(|deployment| deployment.domain().chain_id);
            if let Some(wanted) = deployed.filter(|wanted| *wanted != found) {
                return Err(Fault::refused(
                    "config.chain",
                    format_args!("chain.url: the chain {wanted} of deployment.json"),
                    found,
                ));
            }
        }
        probe(&self.engines).map_err(|fault| Fault {
            name: "config.engine".to_owned(),
            kind: crate::fault::Kind::Refused,
            ..fault
        })?;
        if let Some(broker) = self.broker()? {
            require_broker(&broker).map_err(|fault| Fault {
                name: "config.broker".to_owned(),
                kind: crate::fault::Kind::Refused,
                ..fault
            })?;
        }
        Ok(())
    }

    /// Writes the limits of this version into the policies of its nodes.
    ///
    /// # Errors
    /// `owner.json`, `file.io`.
    pub fn apply_limits(&self, dir: &Path, now_s: u64) -> Result<()> {
        for (name, node) in &self.nodes {
            if let Some(limits) = node.limits {
                let place = dir.join("nodes").join(name);
                let policy = Policy::read(&place)?.unwrap_or_else(|| Policy::new(&node.station, now_s));
                Policy { limits, ..policy }.write(&place)?;
            }
        }
        Ok(())
    }
}

/// Id of the chain at a URL.
///
/// # Errors
/// `chain.unreachable`.
pub async fn chain_id(url: &str) -> Result<u64> {
    let away = |got: &dyn std::fmt::Display| {
        Fault::trouble("chain.unreachable", format_args!("a chain that answers at {url}"), got)
    };
    let http = reqwest::Client::builder().timeout(BROKER_PATIENCE).build().map_err(|error| away(&error))?;
    let ask = serde_json::json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": [] });
    let answer = http.post(url).json(&ask).send().await.map_err(|error| away(&error))?;
    let answer: serde_json::Value = answer.json().await.map_err(|error| away(&error))?;
    let id = answer["result"]
        .as_str()
        .and_then(|text| u64::from_str_radix(text.trim_start_matches("0x"), 16).ok());
    id.ok_or_else(|| away(&format_args!("no eth_chainId: {answer:.80}")))
}

/// Whether a broker takes a connection.
///
/// # Errors
/// `mqtt.broker`.
pub fn require_broker(broker: &Broker) -> Result<()> {
    use std::net::ToSocketAddrs;
    let (host, port) = broker.address();
    let away = |got: &dyn std::fmt::Display| {
        Fault::trouble("mqtt.broker", format_args!("a broker that answers at {host}:{port}"), got)
    };
    let mut last = "no such host".to_owned();
    for at in (host, port).to_socket_addrs().map_err(|error| away(&error))? {
        match TcpStream::connect_timeout(&at, BROKER_PATIENCE) {
            Ok(_) => return Ok(()),
            Err(error) => last = error.to_string(),
        }
    }
    Err(away(&last))
}

/// Whether every key is a known one. Reading into [`Settings`] would refuse it as well, but without a hint.
fn require_known(value: &toml::Value, shape: &Shape, types: &Types, at: &str) -> Result<()> {
    let Some(table) = value.as_table() else { return Ok(()) };
    let below = |key: &str| if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") };
    match shape {
        Shape::Optional(of) => require_known(value, of, types, at),
        Shape::Map(of) => {
            table.iter().try_for_each(|(key, value)| require_known(value, of, types, &below(key)))
        }
        Shape::Named(name) => {
            let Some(Named::Fields(fields)) = types.0.get(name) else { return Ok(()) };
            for (key, value) in table {
                let Some((_, of)) = fields.iter().find(|(field, _)| field == key) else {
                    let nearest = fields.iter().min_by_key(|(field, _)| distance(field, key));
                    let nearest =
                        nearest.map_or(String::new(), |(field, _)| format!("{}, perhaps", below(field)));
                    return Err(Fault::refused("config.unknown-key", nearest, below(key)));
                };
                require_known(value, of, types, &below(key))?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Least number of insertions, deletions and replacements that make one text of the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(64).enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// Limits that say nothing of a value leave it at its default: what is fixed of them in a version is readable.
fn filled(mut table: toml::Table) -> toml::Table {
    let usual = toml::Table::try_from(Limits::default()).unwrap_or_default();
    let nodes = table.get_mut("nodes").and_then(toml::Value::as_table_mut);
    for node in nodes.into_iter().flat_map(|nodes| nodes.iter_mut().map(|(_, node)| node)) {
        let limits = node.get_mut("limits").and_then(toml::Value::as_table_mut);
        let Some(limits) = limits else { continue };
        for (key, value) in &usual {
            limits.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
    table
}

/// What is signed of a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    /// Its number, from 1.
    pub number: u64,
    /// Keccak-256 of its text.
    pub hash: Hash32,
    /// Digest of the seal before; zero for the first.
    pub previous: Hash32,
    /// Unix second of its making.
    pub at_s: u64,
    /// The version whose text it has again, if it goes back.
    pub back_to: Option<u64>,
    /// The owner's signature over the digest.
    pub signature: AccountSignature,
}

impl Seal {
    /// What is signed: `H("proofmesh/config/v1" || number || time || back_to or 0 || hash || digest of the seal before)`.
    fn digest(&self) -> Hash32 {
        let numbers = [self.number, self.at_s, self.back_to.unwrap_or(0)].map(u64::to_be_bytes).concat();
        keccak(&[&b"proofmesh/config/v1"[..], &numbers, &self.hash.0, &self.previous.0].concat())
    }
}

/// `current`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Current {
    number: u64,
}

/// All versions of a directory.
#[derive(Debug)]
pub struct History {
    state: PathBuf,
    dir: PathBuf,
    keys: Keys,
}

impl History {
    /// The versions of a state directory.
    ///
    /// # Errors
    /// `file.io`.
    pub fn open(dir: &Path) -> Result<Self> {
        Ok(History { state: dir.to_owned(), dir: dir.join("config"), keys: Keys::open(&dir.join("keys"))? })
    }

    fn file(&self, number: u64, ending: &str) -> PathBuf {
        self.dir.join(format!("{number:06}.{ending}"))
    }

    /// Number of the version that counts; 0 when there is none.
    ///
    /// # Errors
    /// `config.json`, `file.io`.
    pub fn current(&self) -> Result<u64> {
        let current: Option<Current> = read_json(&self.dir.join("current"), "config.json")?;
        Ok(current.map_or(0, |current| current.number))
    }

    fn seal(&self, number: u64) -> Result<Seal> {
        let seal: Option<Seal> = read_json(&self.file(number, "json"), "config.json")?;
        let seal = seal.ok_or_else(|| {
            let expected = format!("a version from 1 to {}", self.current().unwrap_or_default());
            Fault::refused("config.version-unknown", expected, number)
        })?;
        let signer = self.keys.account("owner")?.address();
        let signed = seal.number == number && seal.signature.verify(&seal.digest(), &signer).is_ok();
        if signed {
            return Ok(seal);
        }
        Err(Fault::refused(
            "config.signature",
            format_args!("version {number} signed by keys/owner.account"),
            "another",
        ))
    }

    /// The text of a version, if it is the one that its owner sealed.
    ///
    /// # Errors
    /// `config.version-unknown`, `config.signature`, `config.hash`, `file.io`.
    pub fn text(&self, number: u64) -> Result<String> {
        let (seal, path) = (self.seal(number)?, self.file(number, "toml"));
        let text = std::fs::read_to_string(&path).map_err(|error| Fault::file(&path, &error))?;
        let found = keccak(text.as_bytes());
        if found == seal.hash {
            return Ok(text);
        }
        let expected =
            format!("{} in {} (`proofmesh config set --file` takes a change)", seal.hash, path.display());
        Err(Fault::refused("config.hash", expected, found))
    }

    /// The settings that count.
    ///
    /// # Errors
    /// As [`History::text`] and [`Settings::parse`].
    pub fn settings(&self) -> Result<Settings> {
        match self.current()? {
            0 => Ok(Settings::default()),
            number => Settings::parse(&self.text(number)?),
        }
    }

    /// All seals, oldest first, each chained to the one before.
    ///
    /// # Errors
    /// As [`History::text`].
    pub fn seals(&self) -> Result<Vec<Seal>> {
        let (mut seals, mut previous) = (Vec::new(), Hash32::ZERO);
        for number in 1..=self.current()? {
            let seal = self.seal(number)?;
            if seal.previous != previous {
                return Err(Fault::refused(
                    "config.signature",
                    format_args!("version {number} after {previous}"),
                    seal.previous,
                ));
            }
            previous = seal.digest();
            seals.push(seal);
        }
        Ok(seals)
    }

    /// Checks, tries, seals a text; from then on it counts.
    ///
    /// # Errors
    /// What is wrong with it: nothing has changed then.
    pub async fn set(&self, text: &str, back_to: Option<u64>, now_s: u64) -> Result<Seal> {
        let settings = Settings::parse(text)?;
        settings.try_out(&self.state).await?;
        let before = self.current()?;
        let previous = if before == 0 { Hash32::ZERO } else { self.seal(before)?.digest() };
        let (number, hash) = (before + 1, keccak(text.as_bytes()));
        let signature = AccountSignature([0; 65]);
        let mut seal = Seal { number, hash, previous, at_s: now_s, back_to, signature };
        seal.signature = self.keys.account("owner")?.sign(&seal.digest());
        replace(&self.file(number, "toml"), text.as_bytes())?;
        write_json(&self.file(number, "json"), "config.json", &seal)?;
        write_json(&self.dir.join("current"), "config.json", &Current { number })?;
        settings.apply_limits(&self.state, now_s)?;
        Ok(seal)
    }
}

/// A text with one value changed; `key` is dotted, `value` TOML or plain text.
///
/// # Errors
/// `config.syntax`.
pub fn with(text: &str, key: &str, value: &str) -> Result<String> {
    let syntax = |got: &dyn std::fmt::Display| {
        Fault::refused("config.syntax", "TOML", got.to_string().replace('\n', " "))
    };
    let mut table: toml::Table = text.parse().map_err(|error: toml::de::Error| syntax(&error))?;
    let parsed = format!("x = {value}").parse::<toml::Table>().ok().and_then(|mut found| found.remove("x"));
    let value = parsed.unwrap_or_else(|| toml::Value::String(value.to_owned()));
    let mut place = &mut table;
    let mut parts: Vec<&str> = key.split('.').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        let below = place.entry(part).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        place = below.as_table_mut().ok_or_else(|| syntax(&format_args!("{part} of {key} is no table")))?;
    }
    place.insert(last.to_owned(), value);
    toml::to_string(&table).map_err(|error| syntax(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::log::tests::temp_dir;

    const TEXT: &str = "[api]\nport = 0\nrpc_port = 0\n\n[nodes.ewr]\nstation = \"EWR\"\n";

    #[test]
    fn what_is_unknown_is_refused_with_the_nearest_name() {
        for (text, got, nearest) in [
            ("[api]\nprot = 1", "api.prot", "api.port, perhaps"),
            ("[apis]\nport = 1", "apis", "api, perhaps"),
            ("[nodes.ewr]\nstation = \"EWR\"\nlife = true", "nodes.ewr.life", "nodes.ewr.live, perhaps"),
            (
                "[nodes.ewr.limits]\npractise = true",
                "nodes.ewr.limits.practise",
                "nodes.ewr.limits.practice, perhaps",
            ),
            ("[monitor]\ncanary_every = 1", "monitor.canary_every", "monitor.canary_every_s, perhaps"),
        ] {
            let fault = Settings::parse(text).expect_err("unknown");
            assert_eq!(
                (fault.name.as_str(), fault.got.as_str(), fault.expected.as_str()),
                ("config.unknown-key", got, nearest)
            );
        }
        for (text, name) in [
            ("[api", "config.syntax"),
            ("[api]\nport = 65536", "config.value"),
            ("[api]\nport = \"x\"", "config.value"),
            ("[nodes.EWR]\nstation = \"EWR\"", "config.value"),
            ("[nodes.ewr]\nstation = \"XYZ\"", "config.value"),
            ("[devices]\nmqtt = \"http://x\"", "config.value"),
            ("[chain]\nurl = \"ftp://x\"", "config.value"),
            ("[chain]\nchallenge_window_s = 9999999", "config.value"),
        ] {
            assert_eq!(Settings::parse(text).expect_err(text).name, name, "{text}");
        }
        assert!(Settings::parse(&" ".repeat(BYTES_MAX + 1)).expect_err("large").is("config.too-large"));
        assert_eq!(Settings::parse("").expect("nothing"), Settings::default());
        let shown = toml::to_string(&Settings::default()).expect("TOML");
        assert_eq!(Settings::parse(&shown).expect("what is shown"), Settings::default());
        assert_eq!((distance("port", "prot"), distance("", "abc"), distance("abc", "abc")), (2, 3, 0));
    }

    #[tokio::test]
    async fn versions_are_sealed_tried_and_go_back() {
        let dir = temp_dir("config");
        let history = History::open(&dir).expect("opens");
        assert_eq!(history.settings().expect("none"), Settings::default());
        history.set(TEXT, None, 10).await.expect("the first");
        let text = with(TEXT, "nodes.ewr.limits", "{ from_hour = 9, until_hour = 17, practice = true }");
        history.set(&text.expect("TOML"), None, 20).await.expect("the second");
        let policy = Policy::read(&dir.join("nodes/ewr")).expect("read").expect("written");
        assert!(policy.limits.practice && policy.station == "EWR", "its limits count");
        // What does not work changes nothing.
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = taken.local_addr().expect("bound").port();
        let bad = with(TEXT, "api.port", &port.to_string()).expect("TOML");
        assert!(history.set(&bad, None, 30).await.expect_err("taken").is("config.port"));
        let bad = with(TEXT, "devices.mqtt", "mqtt://127.0.0.1:1").expect("TOML");
        assert!(history.set(&bad, None, 30).await.expect_err("nobody").is("config.broker"));
        let bad = with(TEXT, "chain.url", "http://127.0.0.1:1").expect("TOML");
        assert!(history.set(&bad, None, 30).await.expect_err("nobody").is("config.chain"));
        assert_eq!(history.current().expect("read"), 2);
        let back = history.set(&history.text(1).expect("the first"), Some(1), 40).await.expect("back");
        assert_eq!((back.number, history.text(3).expect("read").as_str()), (3, TEXT));
        assert_eq!(history.seals().expect("chained").len(), 3);
        assert!(history.text(9).expect_err("none").is("config.version-unknown"));
        // Another hand.
        std::fs::write(dir.join("config/000003.toml"), TEXT.replace("EWR", "JFK")).expect("written");
        assert!(history.settings().expect_err("changed").is("config.hash"));
        let seal = std::fs::read_to_string(dir.join("config/000002.json")).expect("read");
        std::fs::write(dir.join("config/000003.json"), seal).expect("written");
        assert!(history.settings().expect_err("moved").is("config.signature"));
        std::fs::remove_dir_all(dir).expect("cleaned");
    }
}

//! The journal in PostgreSQL: one row a record, one statement and one transaction an append, however many records it has.
//!
//! *One writer.* The schema `proofmesh` has one row that names the writer's token. Whoever opens the journal for writing
//! raises it, and every append is one statement that inserts only while its token stands, holding the row against a change
//! until it is committed. So of two coordinators on one journal the earlier one can append nothing more, whatever it
//! believes and however late its statement arrives: `journal.fenced`. An advisory lock of the session comes before that, so
//! that a coordinator that lives is not deposed by mistake: `log.in-use`.
//!
//! *A lost connection* leaves it open whether the last append is in. The next session raises the token first, which ends
//! every statement of the earlier one, and then looks.
//!
//! Rows carry the head of the market's hash chain after them: what was changed, moved or dropped is refused,
//! `log.record-damaged`. A server that acknowledges before its disk does is refused: `journal.not-durable`.

use super::place::Engines;
use super::speak::{ANSWER, wait};
use super::{Journal, Opened, Records, crash};
use crate::fault::{Fault, Result};
use proofmesh_market::event::chain_log;
use proofmesh_market::hash::keccak_pair;
use proofmesh_market::limits::EVENT_BYTES_MAX;
use proofmesh_market::{Hash32, keccak};
use rand::Rng;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::fmt::{self, Display};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

/// How long an append waits for a server that was there a moment ago.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long opening waits for the lock: the server takes a moment to notice that a writer died.
const DEAD_FOR: Duration = Duration::from_secs(3);
const AGAIN: Duration = Duration::from_millis(50);
/// Rows of one read.
const PAGE: usize = 512;
/// The advisory lock's number: `proofmsh`.
const LOCK: i64 = i64::from_be_bytes(*b"proofmsh");

const TABLES: &str = "
    CREATE SCHEMA IF NOT EXISTS proofmesh;
    CREATE TABLE IF NOT EXISTS proofmesh.journal (number bigint PRIMARY KEY, record bytea NOT NULL, head bytea NOT NULL);
    CREATE TABLE IF NOT EXISTS proofmesh.writer
        (one boolean PRIMARY KEY DEFAULT true CHECK (one), token bigint NOT NULL, holder bigint, moved_to text);
    INSERT INTO proofmesh.writer (token) VALUES (0) ON CONFLICT DO NOTHING;";
const APPEND: &str = "
    INSERT INTO proofmesh.journal (number, record, head)
    SELECT added.number, added.record, added.head
    FROM (SELECT token FROM proofmesh.writer WHERE token = $4 AND moved_to IS NULL FOR SHARE) AS mine,
         unnest($1::bigint[], $2::bytea[], $3::bytea[]) AS added (number, record, head)";
const SEAL: &str = "UPDATE proofmesh.writer SET moved_to = $1 WHERE token = $2";
const MOVED_TO: &str = "SELECT moved_to FROM proofmesh.writer";
const LOOK: &str = "SELECT head FROM proofmesh.journal WHERE number = $1";
const DURABLE: &str = "SELECT current_setting('fsync'), current_setting('synchronous_commit')";
const RAISE: &str = "
    UPDATE proofmesh.writer SET token = token + 1, holder = $1 WHERE holder = $1 OR NOT $2
    RETURNING token, moved_to";
const READ: &str =
    "SELECT number, record, head FROM proofmesh.journal WHERE number >= $1 ORDER BY number LIMIT $2";

type Answer<T> = std::result::Result<T, tokio_postgres::Error>;

/// Where a server is: `postgres://USER@HOST:PORT/DATABASE`. The password comes from `PGPASSWORD`.
///
/// With `?sslmode=verify-full` the connection is encrypted, and the server has to have a certificate of its name, from an authority that
/// the machine trusts or from one in the file that `&sslrootcert=FILE` names (PEM). Without, it is plain.
#[derive(Clone)]
pub struct At {
    config: Box<Config>,
    name: String,
    tls: Option<MakeRustlsConnect>,
}

/// What a URL says of TLS.
enum Trust {
    /// Authorities of the machine.
    Machine,
    /// Those of a file.
    File(PathBuf),
}

/// Takes what is about TLS out of a URL: the rest, and what it says.
fn trust_of(url: &str) -> Result<(String, Option<Trust>)> {
    let bad = |got: &str| {
        Fault::misuse("engine.tls", "sslmode=verify-full or sslmode=disable, sslrootcert=FILE", got)
    };
    let Some((place, query)) = url.split_once('?') else { return Ok((url.to_owned(), None)) };
    let (mut rest, mut wanted, mut file) = (Vec::new(), None, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            // What it asks for without a name to check, an encrypted line to anybody, is not offered.
            Some(("sslmode", "verify-full")) => wanted = Some(true),
            Some(("sslmode", "disable")) => wanted = Some(false),
            Some(("sslmode", other)) => return Err(bad(other)),
            Some(("sslrootcert", path)) => file = Some(PathBuf::from(path)),
            _ => rest.push(pair),
        }
    }
    let trust = match (wanted, file) {
        (Some(true), None) => Some(Trust::Machine),
        (Some(true), Some(path)) => Some(Trust::File(path)),
        (_, Some(_)) => return Err(bad("sslrootcert without sslmode=verify-full")),
        (_, None) => None,
    };
    let rest = if rest.is_empty() { place.to_owned() } else { format!("{place}?{}", rest.join("&")) };
    Ok((rest, trust))
}

impl Trust {
    fn connector(&self) -> Result<MakeRustlsConnect> {
        let bad = |got: &dyn Display| Fault::misuse("engine.tls", "certificates of authorities, in PEM", got);
        let (found, place) = match self {
            Trust::Machine => (rustls_native_certs::load_native_certs().certs, "this machine".to_owned()),
            Trust::File(path) => {
                let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
                let found: Vec<_> =
                    read.map_err(|error| bad(&format_args!("{}: {error}", path.display())))?;
                (found, path.display().to_string())
            }
        };
        let mut roots = RootCertStore::empty();
        let (taken, _) = roots.add_parsable_certificates(found);
        if taken == 0 {
            return Err(bad(&format_args!("none in {place}")));
        }
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| bad(&error))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(MakeRustlsConnect::new(config))
    }
}

impl fmt::Debug for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl At {
    /// Reads a URL.
    ///
    /// # Errors
    /// `engine.url`, `engine.password`, `engine.tls`.
    pub fn parse(url: &str) -> Result<Self> {
        let (url, trust) = trust_of(url)?;
        let tls = trust.map(|trust| trust.connector()).transpose()?;
        let mut config: Config = url.parse().map_err(|error| {
            Fault::misuse("engine.url", "postgres://USER@HOST:PORT/DATABASE", format_args!("{error}"))
        })?;
        if config.get_password().is_some() {
            let got = "a password in a URL, which logs and other users see";
            return Err(Fault::misuse("engine.password", "the password in PGPASSWORD", got));
        }
        if let Ok(password) = std::env::var("PGPASSWORD") {
            config.password(password);
        }
        config.connect_timeout(ANSWER).application_name("proofmesh");
        config.ssl_mode(if tls.is_some() { SslMode::Require } else { SslMode::Disable });
        let host = match config.get_hosts().first() {
            Some(Host::Tcp(host)) => host.clone(),
            Some(Host::Unix(path)) => path.display().to_string(),
            None => return Err(Fault::misuse("engine.url", "postgres://USER@HOST:PORT/DATABASE", "no host")),
        };
        let port = config.get_ports().first().copied().unwrap_or(5_432);
        let name = format!("PostgreSQL at {host}:{port}");
        Ok(At { config: Box::new(config), name, tls })
    }

    fn away(&self, got: impl Display) -> Fault {
        let expected = format!("{} to answer; start it, what waits goes on by itself", self.name);
        Fault::trouble("journal.unreachable", expected, got)
    }

    /// What an error of the server is: one that may pass (the server is away or starts), or one that stays.
    fn fault(&self, error: &tokio_postgres::Error) -> Fault {
        let passes = [
            SqlState::ADMIN_SHUTDOWN,
            SqlState::CRASH_SHUTDOWN,
            SqlState::CANNOT_CONNECT_NOW,
            SqlState::TOO_MANY_CONNECTIONS,
        ];
        match error.as_db_error() {
            Some(said) if !passes.contains(said.code()) => {
                let got = format!("{} ({})", said.message(), said.code().code());
                Fault::trouble("journal.refused", format_args!("{} to agree", self.name), got)
            }
            Some(said) => self.away(said.message()),
            None if error.to_string().starts_with("error performing TLS handshake") => {
                let expected =
                    format!("{} with a certificate of that name that is trusted (sslrootcert)", self.name);
                Fault::trouble("journal.tls", expected, reason(error))
            }
            None => self.away(reason(error)),
        }
    }

    async fn connect(&self) -> Result<Client> {
        // A connection ends with its client, and its errors are the client's.
        let connected = match &self.tls {
            Some(tls) => self.config.connect(tls.clone()).await.map(|(client, connection)| {
                tokio::spawn(connection);
                client
            }),
            None => self.config.connect(NoTls).await.map(|(client, connection)| {
                tokio::spawn(connection);
                client
            }),
        };
        connected.map_err(|error| self.fault(&error))
    }

    async fn in_time<T>(&self, asked: impl Future<Output = Answer<T>>) -> Result<T> {
        match tokio::time::timeout(ANSWER, asked).await {
            Ok(answer) => answer.map_err(|error| self.fault(&error)),
            Err(_) => Err(self.away(format_args!("no answer within {} s", ANSWER.as_secs()))),
        }
    }

    /// Whether a server answers there; gives its version.
    ///
    /// # Errors
    /// `journal.unreachable`, `journal.refused`.
    pub fn probe(&self) -> Result<String> {
        let at = self.clone();
        wait(async move {
            let client = at.connect().await?;
            let row = at.in_time(client.query_one("SHOW server_version", &[])).await?;
            Ok(row.get(0))
        })
    }
}

impl At {
    /// Where the journal there goes on, if it was moved.
    ///
    /// # Errors
    /// `journal.unreachable`, `journal.refused`; `engines.json` when it says nothing that can be read.
    pub fn moved_to(&self) -> Result<Option<Engines>> {
        let at = self.clone();
        let place: Option<String> = wait(async move {
            let client = at.connect().await?;
            Ok(at.in_time(client.query_one(MOVED_TO, &[])).await?.get(0))
        })?;
        let read = |text: String| {
            serde_json::from_str(&text).map_err(|error| {
                Fault::trouble("engines.json", format_args!("engines in moved_to of {}", self.name), error)
            })
        };
        place.map(read).transpose()
    }
}

/// An error with its causes: the outermost says little.
fn reason(error: &tokio_postgres::Error) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
    format!("{error}{}", cause.unwrap_or_default())
}

/// Reads records without asking to be the writer.
#[derive(Debug)]
pub struct Reader {
    at: At,
    client: Mutex<Option<Arc<Client>>>,
}

/// A whole journal.
#[derive(Debug, Default)]
pub struct All {
    /// The records.
    pub records: Vec<Vec<u8>>,
    /// `H` of each.
    pub hashes: Vec<Hash32>,
    /// Head of the hash chain.
    pub head: Hash32,
}

/// A row: its number, record and head.
type Row = (u64, Vec<u8>, Vec<u8>);

impl Reader {
    /// A reader of the journal there; connects when it is asked.
    #[must_use]
    pub fn new(at: At) -> Self {
        Reader { at, client: Mutex::new(None) }
    }

    fn rows(&self, from: u64, most: usize) -> Result<Vec<Row>> {
        let mut place = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, known) = (self.at.clone(), place.take().filter(|client| !client.is_closed()));
        let (client, rows) = wait(async move {
            let client = match known {
                Some(client) => client,
                None => Arc::new(at.connect().await?),
            };
            let (from, most) = (i64::try_from(from).unwrap_or(i64::MAX), most as i64);
            let rows = at.in_time(client.query(READ, &[&from, &most])).await?;
            let rows = rows.iter().map(|row| (row.get::<_, i64>(0) as u64, row.get(1), row.get(2))).collect();
            Ok((client, rows))
        })?;
        *place = Some(client);
        Ok(rows)
    }

    /// Records `from ..`, at most `most`.
    ///
    /// # Errors
    /// `journal.unreachable`.
    pub fn read(&self, from: u64, most: usize) -> Result<Vec<Vec<u8>>> {
        Ok(self.rows(from, most)?.into_iter().map(|(_, record, _)| record).collect())
    }

    /// All records, each held against the hash chain.
    ///
    /// # Errors
    /// `log.record-damaged`, `journal.unreachable`.
    pub fn all(&self) -> Result<All> {
        let mut all = All::default();
        loop {
            let page = self.rows(all.records.len() as u64, PAGE)?;
            let whole = page.len() < PAGE;
            for (number, record, mark) in page {
                let hash = keccak(&record);
                all.head = keccak_pair(&all.head, &hash);
                let here = number == all.records.len() as u64;
                if !here || mark != all.head.0 || record.len() > EVENT_BYTES_MAX {
                    let expected = "rows as they were written; restore the database from a copy";
                    return Err(Fault::trouble("log.record-damaged", expected, format_args!("row {number}")));
                }
                all.records.push(record);
                all.hashes.push(hash);
            }
            if whole {
                return Ok(all);
            }
        }
    }
}

/// A session that holds the lock and the token.
#[derive(Debug)]
struct Session {
    client: Client,
    append: Statement,
    token: i64,
}

/// Becomes the writer: a new one, or with `again` the same that it was, in a new session.
async fn hold(at: &At, holder: i64, again: bool) -> Result<Session> {
    let client = at.connect().await?;
    let begun = Instant::now();
    loop {
        let row = at.in_time(client.query_one("SELECT pg_try_advisory_lock($1)", &[&LOCK])).await?;
        if row.get(0) {
            break;
        }
        if begun.elapsed() > DEAD_FOR {
            let expected = format!("no other coordinator on the journal of {}", at.name);
            return Err(Fault::trouble("log.in-use", expected, "one that is connected"));
        }
        tokio::time::sleep(AGAIN).await;
    }
    at.in_time(client.batch_execute(TABLES)).await?;
    let row = at.in_time(client.query_one(DURABLE, &[])).await?;
    let (fsync, commit): (String, String) = (row.get(0), row.get(1));
    if fsync == "off" || commit == "off" {
        let expected = format!("fsync and synchronous_commit on at {}", at.name);
        return Err(Fault::refused("journal.not-durable", expected, format_args!("{fsync} and {commit}")));
    }
    let Some(row) = at.in_time(client.query_opt(RAISE, &[&holder, &again])).await? else {
        return Err(fenced(at));
    };
    if let Some(place) = row.get::<_, Option<String>>(1) {
        return Err(moved(&place));
    }
    let token = row.get(0);
    let append = at.in_time(client.prepare(APPEND)).await?;
    Ok(Session { client, append, token })
}

fn fenced(at: &At) -> Fault {
    let expected = format!("to be the only coordinator on the journal of {}; stop this one", at.name);
    Fault::trouble("journal.fenced", expected, "another took over")
}

/// The journal has gone on elsewhere.
fn moved(place: &str) -> Fault {
    Fault::trouble(
        "journal.moved",
        format_args!("the engines that it was moved to, {place}"),
        "a journal that was moved there",
    )
}

/// The journal, with the right to append.
#[derive(Debug)]
pub struct Postgres {
    reader: Arc<Reader>,
    session: Option<Session>,
    holder: i64,
    head: Hash32,
    len: u64,
    /// The server answered last time: it is worth waiting for.
    was_there: bool,
}

impl Postgres {
    /// Opens or starts the journal of a database, for writing.
    ///
    /// # Errors
    /// `log.in-use`, `log.record-damaged`, `journal.*`.
    pub fn open(at: At) -> Result<Opened> {
        let holder = crate::zk::os_rng()?.next_u64() as i64;
        let asked = at.clone();
        let session = wait(async move { hold(&asked, holder, false).await })?;
        let reader = Arc::new(Reader::new(at));
        let All { records, hashes, head } = reader.all()?;
        let len = records.len() as u64;
        let journal = Postgres { reader, session: Some(session), holder, head, len, was_there: true };
        Ok(Opened { journal: Box::new(journal), records, hashes, torn_bytes: 0 })
    }
}

impl Journal for Postgres {
    fn append(&mut self, records: &[&[u8]]) -> Result<()> {
        super::require_records(records)?;
        if records.is_empty() {
            return Ok(());
        }
        let (mut rows, mut head, len) = (Rows::default(), self.head, self.len);
        for (number, record) in (len..).zip(records) {
            head = chain_log(&head, record);
            rows.numbers.push(number as i64); // far below 2^63
            rows.records.push(record.to_vec());
            rows.heads.push(head.0.to_vec());
        }
        let (at, holder, added) = (self.reader.at.clone(), self.holder, records.len() as u64);
        let mut session = self.session.take();
        let patience = if self.was_there { PATIENCE } else { Duration::ZERO };
        crash::point();
        let (session, done) = wait(async move {
            let begun = Instant::now();
            loop {
                let done = append(&at, &mut session, holder, &rows).await;
                match &done {
                    Err(fault) if fault.is("journal.unreachable") => session = None,
                    _ => return Ok((session, done)),
                }
                if begun.elapsed() >= patience {
                    return Ok((session, done));
                }
                tokio::time::sleep(AGAIN).await;
            }
        })?;
        (self.session, self.was_there) = (session, done.is_ok());
        done?;
        crash::point();
        (self.head, self.len) = (head, len + added);
        Ok(())
    }

    fn seal(&mut self, moved_to: &Engines) -> Result<()> {
        let place = serde_json::to_string(moved_to)
            .map_err(|error| Fault::trouble("engines.json", "engines", error))?;
        let (at, holder, mut session) = (self.reader.at.clone(), self.holder, self.session.take());
        self.session = wait(async move {
            if session.as_ref().is_none_or(|session| session.client.is_closed()) {
                session = Some(hold(&at, holder, true).await?);
            }
            let Some(it) = &session else { return Err(at.away("no session")) };
            match at.in_time(it.client.execute(SEAL, &[&place, &it.token])).await? {
                1 => Ok(session),
                _ => Err(fenced(&at)),
            }
        })?;
        Ok(())
    }

    fn head(&self) -> Hash32 {
        self.head
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn reader(&self) -> Records {
        let reader = self.reader.clone();
        Arc::new(move |from, most| reader.read(from, most))
    }
}

/// What one append inserts, by columns.
#[derive(Default)]
struct Rows {
    numbers: Vec<i64>,
    records: Vec<Vec<u8>>,
    heads: Vec<Vec<u8>>,
}

/// One attempt.
async fn append(at: &At, place: &mut Option<Session>, holder: i64, rows: &Rows) -> Result<()> {
    if place.as_ref().is_none_or(|session| session.client.is_closed()) {
        *place = Some(hold(at, holder, true).await?);
    }
    let Some(session) = place else { return Err(at.away("no session")) };
    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
        [&rows.numbers, &rows.records, &rows.heads, &session.token];
    let answer = tokio::time::timeout(ANSWER, session.client.execute(&session.append, &values)).await;
    match answer {
        Ok(Ok(0)) => Err(fenced(at)),
        Ok(Ok(_)) => Ok(()), // a statement is done as a whole
        // There are records of these numbers: ours, whose answer was lost with the session before, or another's. Heads say
        // which, the last one for all before it.
        Ok(Err(error)) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => {
            let row = at.in_time(session.client.query_opt(LOOK, &[&rows.numbers.last()])).await?;
            let same =
                row.is_some_and(|row| Some(row.get::<_, &[u8]>(0)) == rows.heads.last().map(Vec::as_slice));
            if same { Ok(()) } else { Err(fenced(at)) }
        }
        Ok(Err(error)) => Err(at.fault(&error)),
        Err(_) => Err(at.away(format_args!("no answer within {} s", ANSWER.as_secs()))),
    }
}

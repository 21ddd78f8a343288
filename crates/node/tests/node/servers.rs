//! Real servers for engines on free ports of this machine, started and stopped by the test: Debian's `postgresql`.

use crate::place::Place;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to start; one that was killed repairs itself first.
const STARTS: Duration = Duration::from_secs(60);

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    free.local_addr().expect("bound").port()
}

/// The first of some files that is there.
pub fn found(mut places: impl Iterator<Item = PathBuf>) -> Option<PathBuf> {
    places.find(|path| path.is_file())
}

/// Says aloud that a test is skipped, or fails if `variable` asks for the server.
pub fn absent(package: &str, variable: &str) {
    let why = format!("skipped: {package} not installed, apt-get install {package}");
    assert!(std::env::var_os(variable).is_none(), "{why}");
    // Not captured by the test harness, so that nobody takes a skipped test for a passed one.
    use std::io::Write;
    writeln!(std::io::stderr(), "{why}").expect("stderr");
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().expect("id runs");
    id.stdout.starts_with(b"0\n")
}

/// A PostgreSQL server with a cluster of its own.
pub struct PostgresServer {
    place: Place,
    bin: PathBuf,
    port: u16,
    databases: std::cell::Cell<u32>,
    running: Option<Child>,
}

impl PostgresServer {
    /// One that runs; `None`, said aloud, when it is not installed. With `POSTGRES_REQUIRED` that is a failure.
    pub fn start() -> Option<Self> {
        let versions =
            (13..40).rev().map(|version| format!("/usr/lib/postgresql/{version}/bin/postgres").into());
        let Some(postgres) = found(versions) else {
            absent("postgresql", "POSTGRES_REQUIRED");
            return None;
        };
        let bin = postgres.parent().expect("a directory").to_owned();
        let (place, databases) = (Place::new("postgres"), std::cell::Cell::new(0));
        let mut server = PostgresServer { place, bin, port: free_port(), databases, running: None };
        if is_root() {
            let owned = Command::new("chown").arg("postgres").arg(&server.place.0).status();
            assert!(owned.expect("chown runs").success());
        }
        let mut made = server.command("initdb");
        made.args([
            "--auth=trust",
            "--username=proofmesh",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
            "-D",
        ]);
        let made = made.arg(server.place.path("data")).output().expect("initdb runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        server.go_on();
        Some(server)
    }

    /// One of its programs, as a user that is not root: PostgreSQL refuses to be root's.
    fn command(&self, program: &str) -> Command {
        let program = self.bin.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir(&self.place.0).stdin(Stdio::null());
        command
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// URL of a database on a server at an address.
    pub fn url_at(address: SocketAddr, database: &str) -> String {
        format!("postgres://proofmesh@{address}/{database}")
    }

    /// URL of a new database.
    pub fn fresh(&self) -> String {
        self.databases.set(self.databases.get() + 1);
        let name = format!("market{}", self.databases.get());
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        Self::url_at(self.address(), &name)
    }

    /// Says something to a database, as its administrator; gives the first column of the answer.
    pub fn sql(&self, database: &str, text: &str) -> Vec<String> {
        let mut psql = Command::new(self.bin.join("psql"));
        psql.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "proofmesh", "-d", database]);
        let said = psql.args(["-v", "ON_ERROR_STOP=1", "-qtAc", text]).output().expect("psql runs");
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        String::from_utf8_lossy(&said.stdout).lines().map(str::to_owned).collect()
    }

    /// Starts it, again if need be: a cluster whose server was killed is held by its last children for a moment.
    pub fn go_on(&mut self) {
        let begun = Instant::now();
        while !self.answers() {
            assert!(begun.elapsed() < STARTS, "PostgreSQL does not answer: {}", self.log());
            if self.running.as_mut().is_none_or(|child| child.try_wait().expect("a child").is_some()) {
                let log = std::fs::OpenOptions::new().create(true).append(true).open(self.place.path("log"));
                let mut command = self.command("postgres");
                command.arg("-D").arg(self.place.path("data")).args(["-p", &self.port.to_string()]);
                command.args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]);
                command.stdout(Stdio::null()).stderr(log.expect("a log"));
                self.running = Some(command.spawn().expect("it starts"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Gives it a certificate of some names, and speaks TLS with whoever asks from now on. Gives the file of the authority.
    pub fn certify(&self, names: &[&str]) -> PathBuf {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut authority = rcgen::CertificateParams::new(Vec::new()).expect("an authority");
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = || rcgen::KeyPair::generate().expect("a key");
        let authority = rcgen::CertifiedIssuer::self_signed(authority, key()).expect("an authority");
        let own = key();
        let certificate = rcgen::CertificateParams::new(names).expect("names").signed_by(&own, &authority);
        let data = self.place.path("data");
        let files = [
            ("server.crt", certificate.expect("a certificate").pem()),
            ("server.key", own.serialize_pem()),
            ("authority.crt", authority.pem()),
        ];
        for (name, text) in files {
            let path = data.join(name);
            std::fs::write(&path, text).expect("written");
            // The server takes no key that others may read, and is not root.
            let done = Command::new("chmod").arg("600").arg(&path).status().expect("chmod runs");
            assert!(done.success());
            if is_root() {
                let done = Command::new("chown").arg("postgres").arg(&path).status().expect("chown runs");
                assert!(done.success());
            }
        }
        self.sql("postgres", "ALTER SYSTEM SET ssl = on");
        self.sql("postgres", "SELECT pg_reload_conf()");
        let begun = Instant::now();
        while self.sql("postgres", "SHOW ssl") != ["on"] {
            assert!(begun.elapsed() < STARTS, "no TLS: {}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        data.join("authority.crt")
    }

    fn answers(&self) -> bool {
        let mut ready = Command::new(self.bin.join("pg_isready"));
        ready.args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()]);
        self.running.is_some() && ready.status().expect("pg_isready runs").success()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.place.path("log")).unwrap_or_default()
    }

    /// kill -9.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.running.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        if let Some(mut child) = self.running.take() {
            let _ = Command::new("kill").args(["-QUIT", &child.id().to_string()]).status();
            let _ = child.wait();
        }
    }
}

/// A wire between a client and a server that can be cut when a message has passed and its answer has not.
pub struct Wire {
    /// Where clients connect.
    pub address: SocketAddr,
    cut: std::sync::Arc<std::sync::atomic::AtomicBool>,
    room: std::sync::Arc<std::sync::atomic::AtomicUsize>,
}

impl Wire {
    /// One to a server; ends with the test's process.
    pub fn to(server: SocketAddr) -> Self {
        use std::sync::atomic::Ordering;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("bound");
        let cut = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let room = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(usize::MAX));
        let (wish, most) = (cut.clone(), room.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(server) else { continue };
                let ends = || (client.try_clone().expect("an end"), server.try_clone().expect("an end"));
                let ((mut from_client, mut to_server), (mut to_client, mut from_server)) = (ends(), ends());
                let (asks, most, mut passed) = (wish.clone(), most.clone(), 0);
                let cutting = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
                let cuts = cutting.clone();
                std::thread::spawn(move || {
                    carry(&mut from_client, &mut to_server, |bytes| {
                        passed += bytes.len();
                        if passed > most.load(Ordering::SeqCst) {
                            most.store(usize::MAX, Ordering::SeqCst);
                            return false;
                        }
                        // From here on answers of this connection are lost.
                        if asks.swap(false, Ordering::SeqCst) {
                            cutting.store(true, Ordering::SeqCst);
                        }
                        true
                    });
                });
                std::thread::spawn(move || {
                    carry(&mut from_server, &mut to_client, |_| !cuts.load(Ordering::SeqCst));
                });
            }
        });
        Wire { address, cut, room }
    }

    /// The next connection that sends more bytes than these ends in the middle of them.
    pub fn cut_after(&self, bytes: usize) {
        self.room.store(bytes, std::sync::atomic::Ordering::SeqCst);
    }

    /// The next message reaches the server; its answer does not come back, and the connection ends.
    pub fn cut(&self) {
        self.cut.store(true, std::sync::atomic::Ordering::SeqCst);
    }
}

/// Carries bytes until one side ends or `passes` says no; then both sides end.
fn carry(from: &mut TcpStream, to: &mut TcpStream, mut passes: impl FnMut(&[u8]) -> bool) {
    use std::io::{Read, Write};
    let mut bytes = vec![0; 1 << 16];
    while let Ok(count) = from.read(&mut bytes) {
        if count == 0 || !passes(&bytes[..count]) || to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(std::net::Shutdown::Both);
    let _ = to.shutdown(std::net::Shutdown::Both);
}

/// The last part of a database's URL.
pub fn database(url: &str) -> &str {
    Path::new(url).file_name().and_then(|name| name.to_str()).expect("a database")
}

//! A real NATS server with JetStream on a free port, started and stopped by the test: Debian's `nats-server`.

use crate::place::Place;
use crate::servers::{absent, found, free_port};
use async_nats::jetstream::{self, stream::Config};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A server with a store of its own.
pub struct NatsServer {
    place: Place,
    binary: PathBuf,
    port: u16,
    running: Option<Child>,
}

impl NatsServer {
    /// One that runs; `None`, said aloud, when it is not installed. With `NATS_REQUIRED` that is a failure.
    pub fn start() -> Option<Self> {
        let places = ["/usr/sbin/nats-server", "/usr/bin/nats-server", "/usr/local/bin/nats-server"];
        let Some(binary) = found(places.into_iter().map(PathBuf::from)) else {
            absent("nats-server", "NATS_REQUIRED");
            return None;
        };
        let mut server = NatsServer { place: Place::new("nats"), binary, port: free_port(), running: None };
        server.go_on();
        Some(server)
    }

    /// Starts it, again if need be.
    pub fn go_on(&mut self) {
        let mut command = Command::new(&self.binary);
        command.args(["-a", "127.0.0.1", "-p", &self.port.to_string(), "-js", "-sd"]).arg(&self.place.0);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.running = Some(command.spawn().expect("it starts"));
        let (begun, address) = (Instant::now(), SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)));
        while TcpStream::connect(address).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(30), "nats-server does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// kill -9.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.running.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// URL of a stream.
    pub fn url(&self, stream: &str) -> String {
        format!("nats://127.0.0.1:{}/{stream}", self.port)
    }

    async fn context(&self) -> jetstream::Context {
        let address = format!("127.0.0.1:{}", self.port);
        jetstream::new(async_nats::connect(address).await.expect("answers"))
    }

    /// Takes a stream away, with all that is in it.
    pub async fn forget(&self, stream: &str) {
        self.context().await.delete_stream(stream).await.expect("gone");
    }

    /// Makes a stream that keeps its messages for a minute.
    pub async fn make_forgetful(&self, stream: &str) {
        let (name, subjects) = (stream.to_owned(), vec![format!("{stream}.events")]);
        let max_age = Duration::from_secs(60);
        let config = Config { name, subjects, max_age, allow_direct: true, ..Config::default() };
        self.context().await.create_stream(config).await.expect("made");
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}

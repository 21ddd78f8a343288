//! A real S3 server in this process: crates.io's `s3s-fs`, which checks signatures and keeps objects as files.

use crate::place::Place;
use hyper_util::rt::TokioIo;
use proofmesh::engine::s3::Caller;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use tokio::runtime::{Builder, Runtime};

/// The server's only bucket.
const BUCKET: &str = "evidence";
/// Who may ask.
pub const KEYS: [(&str, &str); 2] =
    [("AWS_ACCESS_KEY_ID", "tester"), ("AWS_SECRET_ACCESS_KEY", "of-this-test")];

/// A server with one bucket.
pub struct S3Server {
    place: Place,
    address: SocketAddr,
    running: Option<Runtime>,
}

impl S3Server {
    /// One that runs.
    pub fn start() -> Self {
        let place = Place::new("s3");
        std::fs::create_dir(place.path(BUCKET)).expect("a bucket");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, crate::servers::free_port()));
        let mut server = S3Server { place, address, running: None };
        server.go_on();
        server
    }

    /// Starts it, again if need be.
    pub fn go_on(&mut self) {
        let files = FileSystem::new(&self.place.0).expect("a directory");
        let [(_, key), (_, secret)] = KEYS;
        let mut service = S3ServiceBuilder::new(files);
        service.set_auth(SimpleAuth::from_single(key, secret));
        let service = service.build();
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a thread");
        let listener = loop {
            match TcpListener::bind(self.address) {
                Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => std::thread::yield_now(),
                bound => break bound.expect("its port"),
            }
        };
        listener.set_nonblocking(true).expect("a socket");
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
            while let Ok((socket, _)) = listener.accept().await {
                let http = hyper::server::conn::http1::Builder::new();
                tokio::spawn(http.serve_connection(TokioIo::new(socket), service.clone()));
            }
        });
        self.running = Some(runtime);
    }

    /// Ends every connection, and takes none more.
    pub fn kill(&mut self) {
        if let Some(runtime) = self.running.take() {
            runtime.shutdown_background();
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// URL of a part of the bucket on a server at an address.
    pub fn url_at(address: SocketAddr, prefix: &str) -> String {
        format!("s3://{BUCKET}/{prefix}?endpoint=http://{address}")
    }

    /// URL of a part of the bucket.
    pub fn url(&self, prefix: &str) -> String {
        Self::url_at(self.address, prefix)
    }

    /// The file that an object is.
    pub fn file(&self, object: &str) -> PathBuf {
        self.place.path(BUCKET).join(object)
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Whom the server lets in.
pub fn caller() -> Caller {
    let [(_, key), (_, secret)] = KEYS;
    Caller { key: key.to_owned(), secret: secret.to_owned(), token: None, region: "us-east-1".to_owned() }
}

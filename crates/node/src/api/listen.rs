//! Connections: so many at a time, each with bounded time for a request's head, all let finish when the server stops.

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot, watch};
use tower::Service;

/// Connections at a time; who comes then waits.
const CONNECTIONS_MAX: usize = 1_024;
/// How long the head of a request may take, and a connection may wait for the next.
const HEAD: Duration = Duration::from_secs(30);
/// How long requests may go on after the server was stopped.
const FINISH: Duration = Duration::from_secs(5);
/// After an error of the listening socket, which is one of the machine (no more files).
const AGAIN: Duration = Duration::from_millis(100);

/// The other side's address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) IpAddr);

/// Serves connections until it is stopped or the handle is gone.
pub(super) async fn accept(listener: TcpListener, app: Router, mut stop: oneshot::Receiver<()>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let (stopping, stopped) = watch::channel(());
    loop {
        let next = async {
            let place = places.clone().acquire_owned().await;
            (listener.accept().await, place)
        };
        tokio::select! {
            _ = &mut stop => break,
            (accepted, place) = next => match accepted {
                Ok((stream, peer)) => {
                    let connection = connection(stream, Peer(peer.ip()), app.clone(), stopped.clone());
                    tokio::spawn(async move {
                        connection.await;
                        drop(place);
                    });
                }
                Err(_) => tokio::time::sleep(AGAIN).await,
            },
        }
    }
    drop(stopping); // tells every connection
}

async fn connection(stream: TcpStream, peer: Peer, app: Router, mut stopped: watch::Receiver<()>) {
    let answer = service_fn(move |request: Request<hyper::body::Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        app.clone().call(request) // a router is always ready
    });
    // A small answer must not wait for the acknowledgement of the one before.
    let _ = stream.set_nodelay(true);
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(stream), answer);
    let mut serving = std::pin::pin!(serving);
    tokio::select! {
        // What goes wrong with a connection concerns its other side alone.
        _ = serving.as_mut() => {}
        _ = stopped.changed() => {
            serving.as_mut().graceful_shutdown();
            let _ = tokio::time::timeout(FINISH, serving).await;
        }
    }
}

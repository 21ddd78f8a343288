//! A coordinator with its servers, running.

use crate::api::{Server, serve};
use crate::client::Client;
use crate::coordinator::{Config, Coordinator};
use crate::fault::Result;
use crate::own::Own;
use proofmesh_settle::embedded::{HttpServer, Limits};
use std::net::SocketAddr;
use std::sync::Arc;

/// A running coordinator. Its servers stop when it is dropped.
pub struct Up {
    /// The coordinator.
    pub coordinator: Arc<Coordinator>,
    /// URL of its API.
    pub api: String,
    /// URL of its chain's JSON-RPC.
    pub rpc: Option<String>,
    servers: (Server, Option<HttpServer>),
}

impl Up {
    /// Starts a coordinator and serves it and its embedded chain on loopback.
    ///
    /// # Errors
    /// As [`Coordinator::open`] and [`serve`].
    pub async fn start(
        config: Config,
        api: SocketAddr,
        rpc: SocketAddr,
        tell: &dyn Fn(&str),
    ) -> Result<Self> {
        let remote = config.chain.clone();
        let coordinator = Coordinator::open(config, tell).await?;
        let chain_server = match coordinator.chain().embedded() {
            Some(chain) => Some(chain.serve(rpc, Limits::default()).await?),
            None => None,
        };
        let rpc = chain_server.as_ref().map(|server| format!("http://{}", server.address())).or(remote);
        let server = serve(coordinator.clone(), rpc.clone(), api).await?;
        Ok(Up { coordinator, api: server.url(), rpc, servers: (server, chain_server) })
    }

    /// The page's address, with the owner's key.
    #[must_use]
    pub fn page(&self) -> String {
        self.servers.0.page()
    }

    /// The owner's side of it.
    #[must_use]
    pub fn own(&self) -> &Own {
        self.servers.0.own()
    }

    /// A client of its API, with the owner's key.
    ///
    /// # Errors
    /// `api.url`.
    pub fn client(&self) -> Result<Client> {
        Ok(Client::new(&self.api)?.with_key(self.own().key()))
    }
}

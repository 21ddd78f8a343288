//! A node that lies or dies on demand: it stands between the client and an honest chain.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use alloy::providers::{DynProvider, Provider, ProviderBuilder};
use alloy::rpc::client::RpcClient;
use alloy::rpc::json_rpc::{RequestPacket, Response, ResponsePacket, ResponsePayload};
use alloy::transports::{RpcError, TransportError, TransportErrorKind, TransportFut};
use serde_json::Value;
use serde_json::value::to_raw_value;
use tower::Service;

/// What the node does with one call.
pub enum Does {
    /// Passes it on and gives the honest answer.
    Honest,
    /// Passes it on and changes the answer.
    Changes(Box<dyn FnOnce(Value) -> Value + Send>),
    /// Gives this answer and passes nothing on.
    Says(Value),
    /// Breaks the connection before it passes the call on.
    DiesBefore,
    /// Passes the call on and breaks the connection before the answer.
    DiesAfter,
}

type Script = Box<dyn FnMut(usize, &str, &Value) -> Does + Send>;

/// The node.
#[derive(Clone)]
pub struct Proxy {
    honest: DynProvider,
    script: Arc<Mutex<Script>>,
    calls: Arc<AtomicUsize>,
    sent: Arc<AtomicUsize>,
}

impl Proxy {
    /// `script` gets the number of the call, its method and its parameters.
    pub fn new(
        honest: DynProvider,
        script: impl FnMut(usize, &str, &Value) -> Does + Send + 'static,
    ) -> Self {
        let script: Script = Box::new(script);
        Self { honest, script: Arc::new(Mutex::new(script)), calls: Arc::default(), sent: Arc::default() }
    }

    pub fn provider(&self) -> DynProvider {
        ProviderBuilder::default().connect_client(RpcClient::new(self.clone(), true)).erased()
    }

    /// Calls so far.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// Transactions that were handed to it so far.
    pub fn sent(&self) -> usize {
        self.sent.load(Ordering::SeqCst)
    }

    async fn answer(self, packet: RequestPacket) -> Result<ResponsePacket, TransportError> {
        let RequestPacket::Single(request) = packet else { panic!("no batches are asked") };
        let method = request.method().to_owned();
        let params: Value =
            request.params().map_or(Value::Null, |p| serde_json::from_str(p.get()).expect("JSON"));
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        if method == "eth_sendRawTransaction" {
            self.sent.fetch_add(1, Ordering::SeqCst);
        }
        let does = (self.script.lock().expect("no panic"))(number, &method, &params);
        let broken = || TransportErrorKind::custom_str("the connection broke");
        let honest = || self.honest.raw_request::<_, Value>(method.clone().into(), params.clone());
        let payload = match does {
            Does::DiesBefore => return Err(broken()),
            Does::DiesAfter => {
                let _ = honest().await;
                return Err(broken());
            }
            Does::Says(value) => Ok(value),
            Does::Honest => honest().await,
            Does::Changes(change) => honest().await.map(change),
        };
        let payload = match payload {
            Ok(value) => ResponsePayload::Success(to_raw_value(&value).expect("JSON")),
            Err(RpcError::ErrorResp(error)) => ResponsePayload::Failure(error),
            Err(other) => return Err(other),
        };
        Ok(ResponsePacket::Single(Response { id: request.id().clone(), payload }))
    }
}

impl Service<RequestPacket> for Proxy {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, packet: RequestPacket) -> Self::Future {
        Box::pin(self.clone().answer(packet))
    }
}

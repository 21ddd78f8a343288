//! JSON-RPC over HTTP to a node that may be anybody's: answers of bounded size and time, no redirects, ids that
//! must match.

use std::task::{Context, Poll};
use std::time::Duration;

use alloy::rpc::json_rpc::{RequestPacket, ResponsePacket};
use alloy::transports::{TransportError, TransportErrorKind, TransportFut};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Url};
use tower::Service;

use crate::{Result, SettleError};

/// Largest answer that is read. The largest that is asked for, logs of a thousand blocks, is far smaller.
const MAX_ANSWER_BYTES: usize = 16 << 20;
/// From the first byte sent to the last one read.
const MOST_TIME: Duration = Duration::from_secs(30);
/// Of an answer that is no JSON-RPC, shown to people.
const SHOWN_BYTES: usize = 200;

/// A node somewhere.
#[derive(Clone)]
pub(crate) struct Remote {
    client: Client,
    url: Url,
}

impl Remote {
    pub(crate) fn new(url: Url) -> Result<Self> {
        let client = Client::builder().timeout(MOST_TIME).redirect(reqwest::redirect::Policy::none()).build();
        Ok(Self { client: client.map_err(|e| SettleError::Rpc(e.to_string()))?, url })
    }

    async fn ask(self, packet: RequestPacket) -> std::result::Result<ResponsePacket, TransportError> {
        let body = serde_json::to_vec(&packet).map_err(TransportError::ser_err)?;
        let request = self.client.post(self.url).header(CONTENT_TYPE, "application/json").body(body);
        let mut response = request.send().await.map_err(TransportErrorKind::custom)?;
        let status = response.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(TransportErrorKind::custom)? {
            if bytes.len() + chunk.len() > MAX_ANSWER_BYTES {
                let why = format!("the node's answer is larger than {MAX_ANSWER_BYTES} bytes");
                return Err(TransportErrorKind::custom_str(&why));
            }
            bytes.extend_from_slice(&chunk);
        }
        let shown = || String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN_BYTES)]).into_owned();
        let answer: ResponsePacket = match serde_json::from_slice(&bytes) {
            Ok(answer) => answer,
            Err(_) if !status.is_success() => {
                return Err(TransportErrorKind::http_error(status.as_u16(), shown()));
            }
            Err(e) => return Err(TransportError::deser_err(e, shown())),
        };
        if let (RequestPacket::Single(asked), ResponsePacket::Single(got)) = (&packet, &answer)
            && *asked.id() != got.id
        {
            return Err(TransportErrorKind::custom_str("the node answered another question"));
        }
        Ok(answer)
    }
}

impl Service<RequestPacket> for Remote {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::result::Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, packet: RequestPacket) -> Self::Future {
        Box::pin(self.clone().ask(packet))
    }
}

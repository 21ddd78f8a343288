//! The embedded chain as an alloy transport: no socket, no copy of the protocol, the same `rpc` function as
//! over HTTP.

use std::task::{Context, Poll};

use alloy::rpc::json_rpc::{
    ErrorPayload, RequestPacket, Response, ResponsePacket, ResponsePayload, SerializedRequest,
};
use alloy::transports::{TransportError, TransportErrorKind, TransportFut};
use serde_json::Value;
use serde_json::value::to_raw_value;
use tower::Service;

use super::Embedded;

/// Answers in this process.
#[derive(Clone)]
pub(crate) struct InProcess(pub(crate) Embedded);

impl InProcess {
    fn answer(&self, request: &SerializedRequest) -> Result<Response, TransportError> {
        let params = match request.params() {
            Some(raw) => serde_json::from_str(raw.get()).map_err(TransportErrorKind::custom)?,
            None => Value::Null,
        };
        let payload = match self.0.rpc(request.method(), params) {
            Ok(value) => ResponsePayload::Success(to_raw_value(&value).map_err(TransportErrorKind::custom)?),
            Err(e) => ResponsePayload::Failure(ErrorPayload {
                code: e.code,
                message: e.message.into(),
                data: match e.data {
                    Some(data) => Some(to_raw_value(&data).map_err(TransportErrorKind::custom)?),
                    None => None,
                },
            }),
        };
        Ok(Response { id: request.id().clone(), payload })
    }

    fn answer_all(&self, packet: &RequestPacket) -> Result<ResponsePacket, TransportError> {
        match packet {
            RequestPacket::Single(request) => self.answer(request).map(ResponsePacket::Single),
            RequestPacket::Batch(requests) => {
                requests.iter().map(|r| self.answer(r)).collect::<Result<_, _>>().map(ResponsePacket::Batch)
            }
        }
    }
}

impl Service<RequestPacket> for InProcess {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, packet: RequestPacket) -> Self::Future {
        let chain = self.clone();
        // Executing and committing block for milliseconds: not on a thread that others' tasks need.
        Box::pin(async move {
            tokio::task::spawn_blocking(move || chain.answer_all(&packet))
                .await
                .map_err(TransportErrorKind::custom)?
        })
    }
}

//! The client of a coordinator's API: what every command and every node speaks.

use crate::api::BODY_BYTES_MAX;
use crate::fault::{Fault, Result};
use crate::wire::overview::{GuardsDoc, MemberDoc};
use crate::wire::{
    AccountDoc, BalanceDoc, ChallengeDoc, ClosedDoc, DeliverDoc, Delivered, DoneDoc, EnrolDeviceDoc,
    EpochDoc, FaucetDoc, FeedDoc, HandOverDoc, Hex, IdDoc, JobDoc, LogDoc, MeasureDoc, MintedDoc, MoveDoc,
    MovedDoc, NodeDoc, PAGE, PassTimeDoc, ReadyDoc, ReceiptDoc, ReceiptProofDoc, StatusDoc,
};
use proofmesh_market::{Address, Device, Hash32, SignedReceipt, Usd, What, keccak};
use proofmesh_settle::{Chain, Clock, Settlement, VerifierKey};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// How long a call may take: closing an epoch waits for a chain.
const PATIENCE: Duration = Duration::from_secs(120);
/// Bytes of an answer: a model file or a page of the log.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// A coordinator's API.
#[derive(Clone, Debug)]
pub struct Client {
    url: String,
    key: Option<String>,
    http: reqwest::Client,
}

impl Client {
    /// The API at a URL, `http://127.0.0.1:7166`.
    ///
    /// # Errors
    /// `api.url`.
    pub fn new(url: &str) -> Result<Self> {
        let bad = |got: &dyn std::fmt::Display| Fault::misuse("api.url", "http://127.0.0.1:PORT", got);
        if !url.starts_with("http://") {
            return Err(bad(&url));
        }
        // No proxy: loopback answers to this machine only.
        let http =
            reqwest::Client::builder().timeout(PATIENCE).no_proxy().build().map_err(|error| bad(&error))?;
        Ok(Client { url: url.trim_end_matches('/').to_owned(), key: None, http })
    }

    /// The same with an API key: whoever runs the coordinator learns it.
    #[must_use]
    pub fn with_key(self, key: String) -> Self {
        Client { key: Some(key), ..self }
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Vec<u8>> {
        let gone = |error: reqwest::Error| {
            Fault::trouble(
                "api.unreachable",
                format_args!("a coordinator at {} (start `proofmesh up`)", self.url),
                error,
            )
        };
        let request = match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        };
        let mut response = request.send().await.map_err(gone)?;
        let status = response.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(gone)? {
            if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(Fault::trouble(
                    "api.answer",
                    format_args!("at most {ANSWER_BYTES_MAX} bytes"),
                    "more",
                ));
            }
            bytes.extend_from_slice(&chunk);
        }
        if status.is_success() {
            return Ok(bytes);
        }
        let fault: Fault = serde_json::from_slice(&bytes)
            .map_err(|_| Fault::trouble("api.answer", "a document of docs/openapi.json", status))?;
        Err(fault)
    }

    pub(crate) async fn bytes(&self, path: &str) -> Result<Vec<u8>> {
        self.send(self.http.get(format!("{}{path}", self.url))).await
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        document(&self.bytes(path).await?)
    }

    pub(crate) async fn put(&self, path: &str, body: Vec<u8>) -> Result<Vec<u8>> {
        self.send(self.http.put(format!("{}{path}", self.url)).body(body)).await
    }

    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str, doc: &impl Serialize) -> Result<T> {
        document(&self.send(self.http.post(format!("{}{path}", self.url)).json(doc)).await?)
    }

    /// `GET /v1/status`.
    ///
    /// # Errors
    /// As every call here: the coordinator's refusal by its name, or `api.*`.
    pub async fn status(&self) -> Result<StatusDoc> {
        self.get("/v1/status").await
    }

    /// `GET /v1/openapi.json`: its description.
    ///
    /// # Errors
    /// `api.*`.
    pub async fn description(&self) -> Result<serde_json::Value> {
        self.get("/v1/openapi.json").await
    }

    /// The chain and contracts that the coordinator settles on, with the caller's own keys.
    ///
    /// # Errors
    /// `chain.not-served`, the chain's.
    pub async fn settlement(&self) -> Result<Arc<dyn Settlement>> {
        let status = self.status().await?;
        let rpc = status.rpc.ok_or_else(|| {
            Fault::trouble("chain.not-served", "JSON-RPC of the coordinator's chain", "a coordinator without")
        })?;
        let chain = Chain::open(&rpc, Clock::system()).await?;
        Ok(chain.attach(&status.deployment).await?)
    }

    /// `GET /v1/accounts/ACCOUNT`.
    pub async fn account(&self, account: &Address) -> Result<AccountDoc> {
        self.get(&format!("/v1/accounts/{account}")).await
    }

    /// `GET /v1/nodes/NODE`.
    pub async fn node(&self, node: &Address) -> Result<NodeDoc> {
        self.get(&format!("/v1/nodes/{node}")).await
    }

    /// `GET /v1/nodes/NODE/challenge`.
    pub async fn challenge(&self, node: &Address) -> Result<ChallengeDoc> {
        self.get(&format!("/v1/nodes/{node}/challenge")).await
    }

    /// A list, page by page.
    async fn pages<T: DeserializeOwned>(&self, path: &str, id: fn(&T) -> Hash32) -> Result<Vec<T>> {
        let (mut all, mut ids): (Vec<T>, BTreeSet<Hash32>) = (Vec::new(), BTreeSet::new());
        loop {
            let after = all.last().map_or(String::new(), |last| format!("&after={}", id(last)));
            let page: Vec<T> = self.get(&format!("{path}?limit={PAGE}{after}")).await?;
            let last = page.len() < PAGE;
            if !page.iter().all(|doc| ids.insert(id(doc))) {
                return Err(Fault::trouble("api.answer", "a page of others than those before it", path));
            }
            all.extend(page);
            if last {
                return Ok(all);
            }
        }
    }

    /// `GET /v1/jobs`: all of them.
    pub async fn jobs(&self) -> Result<Vec<JobDoc>> {
        self.pages("/v1/jobs", |doc: &JobDoc| doc.id).await
    }

    /// `GET /v1/nodes/NODE/jobs`: those that a node was drawn for and that are not over.
    pub async fn jobs_of(&self, node: &Address) -> Result<Vec<JobDoc>> {
        self.pages(&format!("/v1/nodes/{node}/jobs"), |doc: &JobDoc| doc.id).await
    }

    /// `GET /v1/nodes`.
    pub async fn members(&self) -> Result<Vec<MemberDoc>> {
        self.get("/v1/nodes").await
    }

    /// `GET /v1/seeds/AT`: the public seed that came first at or after a second.
    pub async fn seed(&self, at_s: u64) -> Result<Hash32> {
        let doc: IdDoc = self.get(&format!("/v1/seeds/{at_s}")).await?;
        Ok(doc.id)
    }

    /// `POST /v1/ready`.
    pub async fn ready(&self, doc: &ReadyDoc) -> Result<DoneDoc> {
        self.post("/v1/ready", doc).await
    }

    /// `GET /v1/guards`: `None` in a market without them.
    pub async fn guards(&self) -> Result<Option<GuardsDoc>> {
        match self.get("/v1/guards").await {
            Err(fault) if fault.is("guards.unknown") => Ok(None),
            doc => doc.map(Some),
        }
    }

    /// `GET /v1/jobs/JOB`.
    pub async fn job(&self, job: &Hash32) -> Result<JobDoc> {
        self.get(&format!("/v1/jobs/{job}")).await
    }

    /// `GET /v1/jobs/JOB/receipts`: all of them, in the order of their windows.
    pub async fn receipts_of(&self, job: &Hash32) -> Result<Vec<ReceiptDoc>> {
        let path = format!("/v1/jobs/{job}/receipts");
        let mut docs = self.pages(&path, |doc: &ReceiptDoc| doc.digest).await?;
        docs.sort_by_key(|doc| (doc.window_start_s, doc.sequence));
        Ok(docs)
    }

    /// `GET /v1/receipts/DIGEST`.
    pub async fn receipt(&self, digest: &Hash32) -> Result<ReceiptDoc> {
        self.get(&format!("/v1/receipts/{digest}")).await
    }

    /// `GET /v1/receipts/DIGEST/proof`.
    pub async fn receipt_proof(&self, digest: &Hash32) -> Result<ReceiptProofDoc> {
        self.get(&format!("/v1/receipts/{digest}/proof")).await
    }

    /// `GET /v1/epochs/NUMBER`.
    pub async fn epoch(&self, number: u64) -> Result<EpochDoc> {
        self.get(&format!("/v1/epochs/{number}")).await
    }

    /// `GET /v1/epochs/NUMBER/balances/ACCOUNT`.
    pub async fn balance_proof(&self, number: u64, account: &Address) -> Result<BalanceDoc> {
        self.get(&format!("/v1/epochs/{number}/balances/{account}")).await
    }

    /// `GET /v1/log/FROM`.
    pub async fn log_page(&self, from: u64) -> Result<LogDoc> {
        self.get(&format!("/v1/log/{from}")).await
    }

    /// `GET /v1/blobs/HASH`, its hash checked.
    pub async fn blob(&self, hash: &Hash32) -> Result<Vec<u8>> {
        let bytes = self.bytes(&format!("/v1/blobs/{hash}")).await?;
        let found = keccak(&bytes);
        if found == *hash { Ok(bytes) } else { Err(Fault::trouble("blob.damaged", hash, found)) }
    }

    /// `GET /v1/models/ID`, its id checked.
    pub async fn model(&self, id: &Hash32) -> Result<proofmesh_model::ModelFile> {
        let file = crate::zk::read_model(&self.bytes(&format!("/v1/models/{id}")).await?)?;
        let found = crate::zk::model_id(&file)?;
        if found == *id { Ok(file) } else { Err(Fault::trouble("model.another", id, found)) }
    }

    /// `GET /v1/models/ID/verifier`: the key by which the model's wrapped proofs are checked, if it has one. Whoever needs a certain key asks for its name.
    pub async fn verifier(&self, id: &Hash32) -> Result<Option<VerifierKey>> {
        let bytes = match self.bytes(&format!("/v1/models/{id}/verifier")).await {
            Err(fault) if fault.is("verifier.unknown") => return Ok(None),
            bytes => bytes?,
        };
        let length = bytes.len();
        let words =
            bytes.try_into().map_err(|_| Fault::trouble("model.verifier-key", "576 bytes", length))?;
        Ok(Some(VerifierKey(words)))
    }

    /// `GET /v1/feeds/COMMITMENT`, its commitment checked.
    pub async fn feed(&self, commitment: &Hash32) -> Result<proofmesh_services::reference::ReferenceTable> {
        let doc: FeedDoc = self.get(&format!("/v1/feeds/{commitment}")).await?;
        let table = doc.table()?;
        let found = table.commitment();
        if found == *commitment { Ok(table) } else { Err(Fault::trouble("feed.another", commitment, found)) }
    }

    /// `POST /v1/feeds`.
    pub async fn add_feed(&self, feed: &FeedDoc) -> Result<Hash32> {
        let done: IdDoc = self.post("/v1/feeds", feed).await?;
        Ok(done.id)
    }

    /// `POST /v1/orders`: the order's digest.
    pub async fn order(&self, what: &What) -> Result<Hash32> {
        let done: IdDoc = self.post("/v1/orders", what).await?;
        Ok(done.id)
    }

    /// `POST /v1/jobs`: a wrapping job with what it hands over; its id.
    pub async fn hand_over(&self, doc: &HandOverDoc) -> Result<Hash32> {
        let done: IdDoc = self.post("/v1/jobs", doc).await?;
        Ok(done.id)
    }

    /// `POST /v1/receipts`.
    pub async fn deliver(&self, receipt: &SignedReceipt, evidence: &[u8]) -> Result<Delivered> {
        self.deliver_bytes(receipt.encode(), evidence.to_vec()).await
    }

    /// `POST /v1/receipts`, answered as soon as the receipt is durable.
    pub async fn deliver_at_once(&self, receipt: &SignedReceipt, evidence: &[u8]) -> Result<Delivered> {
        let (receipt, evidence) = (Hex(receipt.encode()), Hex(evidence.to_vec()));
        self.post("/v1/receipts", &DeliverDoc { receipt, evidence, at_once: Some(true) }).await
    }

    /// `POST /v1/receipts` with any bytes.
    pub async fn deliver_bytes(&self, receipt: Vec<u8>, evidence: Vec<u8>) -> Result<Delivered> {
        debug_assert!(2 * (receipt.len() + evidence.len()) < BODY_BYTES_MAX);
        self.post(
            "/v1/receipts",
            &DeliverDoc { receipt: Hex(receipt), evidence: Hex(evidence), at_once: None },
        )
        .await
    }

    /// `POST /v1/measure`.
    pub async fn measure(&self, doc: &MeasureDoc) -> Result<DoneDoc> {
        self.post("/v1/measure", doc).await
    }

    /// `POST /v1/epochs`: closes an epoch and posts it.
    pub async fn close_epoch(&self) -> Result<ClosedDoc> {
        self.post("/v1/epochs", &serde_json::json!({})).await
    }

    /// `POST /v1/epochs/again/RECEIPT`: the same, with a receipt that cost the bond before, by the owner's word.
    pub async fn close_epoch_again(&self, receipt: &Hash32) -> Result<ClosedDoc> {
        self.post(&format!("/v1/epochs/again/{receipt}"), &serde_json::json!({})).await
    }

    /// `POST /v1/move`: a move takes as long as it takes, and an answer two minutes at most.
    pub async fn move_to(&self, doc: &MoveDoc) -> Result<MovedDoc> {
        self.post("/v1/move", doc).await
    }

    /// `POST /v1/dev/faucet`: what was minted.
    pub async fn faucet(&self, account: Address, balance: Usd) -> Result<Usd> {
        let done: MintedDoc = self.post("/v1/dev/faucet", &FaucetDoc { account, balance }).await?;
        Ok(done.minted)
    }

    /// `POST /v1/dev/devices`.
    pub async fn enrol_device(&self, device: Device, owner: Address, cell: u64) -> Result<DoneDoc> {
        self.post("/v1/dev/devices", &EnrolDeviceDoc { device, owner, cell }).await
    }

    /// `POST /v1/dev/pass-time`.
    pub async fn pass_time(&self, seconds: u64) -> Result<DoneDoc> {
        self.post("/v1/dev/pass-time", &PassTimeDoc { seconds }).await
    }
}

fn document<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes)
        .map_err(|error| Fault::trouble("api.answer", "a document of docs/openapi.json", error))
}

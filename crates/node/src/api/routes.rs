//! The API as a table: every route with what it needs, takes and gives. The router is built from it and so is the
//! description ([`super::openapi`]), so that no route is without one.

use super::shape::{Shape, Types};
use super::{BODY_BYTES_MAX, SMALL_BODY_BYTES_MAX, Served, live, market, openapi, own};
use crate::buyer::ClaimDoc;
use crate::device::intake::TakenDoc;
use crate::keys::Scope;
use crate::own::{BudgetDoc, BuyerDoc, OwnDoc, OwnNodeDoc, QuoteDoc, WantedDoc};
use crate::owner::{GrantDoc, Limits};
use crate::wire::overview::{ChainEpochDoc, EconomicsDoc, EpochsDoc, GuardsDoc, MemberDoc, ModelDoc};
use crate::wire::{
    AccountDoc, BalanceDoc, ChallengeDoc, ClosedDoc, DeliverDoc, Delivered, DoneDoc, EnrolDeviceDoc,
    EpochDoc, FaucetDoc, FeedDoc, HandOverDoc, IdDoc, JobDoc, LogDoc, MeasureDoc, MintedDoc, MoveDoc,
    MovedDoc, NodeDoc, PassTimeDoc, ReadyDoc, ReceiptDoc, ReceiptProofDoc, StatusDoc,
};
use axum::routing::{MethodRouter, get, post};
use proofmesh_services::senml::PACK_BYTES_MAX;

/// The shape of a document.
pub type ShapeOf = fn(&mut Types) -> Result<Shape, String>;

/// What a route takes as its body.
#[derive(Clone, Copy, Debug)]
pub enum Takes {
    /// Nothing: a GET.
    Nothing,
    /// A POST whose body is not read.
    Anything,
    /// A JSON document.
    Json(ShapeOf),
    /// An order of [`openapi::ORDERS`].
    Order,
    /// Readings in the media types of docs/devices.md.
    Readings,
}

/// What a route gives.
#[derive(Clone, Copy, Debug)]
pub enum Gives {
    /// A JSON document.
    Json(ShapeOf),
    /// Bytes.
    Bytes,
    /// Server-sent events.
    Events,
    /// The description of the API.
    Description,
    /// Prometheus' text format.
    Metrics,
}

/// A route.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// Its path; `{names}` are of [`openapi::PARAMETERS`].
    pub path: &'static str,
    /// One line for people.
    pub about: &'static str,
    /// What the caller's key must open; `None` for anybody: what the log says is public.
    pub scope: Option<Scope>,
    /// Its body.
    pub takes: Takes,
    /// Most bytes of the body.
    pub body_bytes_max: usize,
    /// Its answer.
    pub gives: Gives,
    /// It creates money or jobs: done once for an `Idempotency-Key`.
    pub once: bool,
    /// A list that is given page by page: takes `after` and `limit`.
    pub paged: bool,
    /// What answers.
    pub run: fn() -> MethodRouter<Served>,
}

impl Route {
    /// True for a POST.
    #[must_use]
    pub fn is_post(&self) -> bool {
        !matches!(self.takes, Takes::Nothing)
    }

    const fn once(mut self) -> Self {
        self.once = true;
        self
    }

    const fn paged(mut self) -> Self {
        self.paged = true;
        self
    }

    const fn up_to(mut self, bytes: usize) -> Self {
        self.body_bytes_max = bytes;
        self
    }

    const fn for_key(mut self, scope: Scope) -> Self {
        self.scope = Some(scope);
        self
    }
}

const fn read(
    path: &'static str,
    about: &'static str,
    gives: Gives,
    run: fn() -> MethodRouter<Served>,
) -> Route {
    Route {
        path,
        about,
        scope: None,
        takes: Takes::Nothing,
        body_bytes_max: 0,
        gives,
        once: false,
        paged: false,
        run,
    }
}

const fn call(
    path: &'static str,
    scope: Scope,
    about: &'static str,
    takes: Takes,
    gives: Gives,
    run: fn() -> MethodRouter<Served>,
) -> Route {
    let body_bytes_max = SMALL_BODY_BYTES_MAX;
    Route { path, about, scope: Some(scope), takes, body_bytes_max, gives, once: false, paged: false, run }
}

macro_rules! json {
    ($of:ty) => {
        Gives::Json(Types::add::<$of>)
    };
}

macro_rules! takes {
    ($of:ty) => {
        Takes::Json(Types::add::<$of>)
    };
}

/// All routes.
pub const ROUTES: &[Route] = &[
    read("/v1/openapi.json", "This description", Gives::Description, || get(openapi::serve)),
    read(
        "/v1/status",
        "Domain, contracts, JSON-RPC of the chain, rules, models, epochs, where all money is",
        json!(StatusDoc),
        || get(market::status),
    ),
    read(
        "/v1/events",
        "Server-sent events: `news` with a NewsDoc whenever something happened; at most 64 listeners",
        Gives::Events,
        || get(live::events),
    ),
    read("/v1/nodes", "All nodes with devices, cells and sums", json!(Vec<MemberDoc>), || {
        get(market::members)
    }),
    read("/v1/nodes/{node}", "Standing, stake, place of the next receipt", json!(NodeDoc), || {
        get(market::node)
    }),
    read("/v1/nodes/{node}/challenge", "What it has to prove to be measured", json!(ChallengeDoc), || {
        get(market::challenge)
    }),
    read(
        "/v1/accounts/{account}",
        "Spendable balance, cumulative balance, next nonce",
        json!(AccountDoc),
        || get(market::account),
    ),
    read(
        "/v1/nodes/{node}/jobs",
        "Jobs that it was drawn for and that are not over, by their ids",
        json!(Vec<JobDoc>),
        || get(market::jobs_of),
    )
    .paged(),
    read("/v1/jobs", "All jobs, by their ids", json!(Vec<JobDoc>), || get(market::jobs)).paged(),
    read("/v1/jobs/{job}", "A job", json!(JobDoc), || get(market::job)),
    read("/v1/jobs/{job}/receipts", "A job's receipts, as they came", json!(Vec<ReceiptDoc>), || {
        get(market::receipts_of)
    })
    .paged(),
    read("/v1/receipts", "The newest 256 receipts, newest first", json!(Vec<ReceiptDoc>), || {
        get(market::newest_receipts)
    }),
    read("/v1/receipts/{receipt}", "A receipt and what became of it", json!(ReceiptDoc), || {
        get(market::receipt)
    }),
    read("/v1/receipts/{receipt}/proof", "Its Merkle proof for a contract", json!(ReceiptProofDoc), || {
        get(market::receipt_proof)
    }),
    read("/v1/epochs", "The newest 256 epochs", json!(EpochsDoc), || get(market::newest_epochs)),
    read("/v1/epochs/{epoch}", "Roots and balances of an epoch", json!(EpochDoc), || get(market::epoch)),
    read("/v1/epochs/{epoch}/chain", "An epoch as the contract has it now", json!(ChainEpochDoc), || {
        get(market::chain_epoch)
    }),
    read(
        "/v1/epochs/{epoch}/balances/{account}",
        "An account's Merkle proof for a claim",
        json!(BalanceDoc),
        || get(market::balance_proof),
    ),
    read("/v1/models", "Model cards", json!(Vec<ModelDoc>), || get(market::model_cards)),
    read("/v1/models/{model}", "A model file", Gives::Bytes, || get(market::model)),
    read(
        "/v1/models/{model}/verifier",
        "The key by which its wrapped proofs are checked, 18 words of 32 bytes; a job names it by Keccak-256",
        Gives::Bytes,
        || get(market::verifier),
    ),
    read("/v1/economics", "Prices, payouts, refusals, money by place", json!(EconomicsDoc), || {
        get(market::economics)
    }),
    read(
        "/v1/guards",
        "Pledges, offers, freezes, rests, seats, panels, the beacon; refused in a market without guards",
        json!(GuardsDoc),
        || get(market::guards),
    ),
    read(
        "/v1/seeds/{second}",
        "The public seed that came first at or after a second that is over",
        json!(IdDoc),
        || get(market::seed),
    ),
    read("/v1/log/{record}", "Up to 512 records of the event log, for an audit", json!(LogDoc), || {
        get(market::log_page)
    }),
    read("/v1/blobs/{blob}", "Evidence by its hash", Gives::Bytes, || get(market::blob)),
    read("/v1/feeds/{feed}", "A feed of public side inputs by its commitment", json!(FeedDoc), || {
        get(market::feed)
    }),
    read("/metrics", "How the machine is, for Prometheus (docs/monitoring.md)", Gives::Metrics, || {
        get(market::metrics)
    })
    .for_key(Scope::Monitor),
    call(
        "/v1/orders",
        Scope::Submit,
        "Takes an order that an account signed",
        Takes::Order,
        json!(IdDoc),
        || post(market::order),
    )
    .once(),
    call(
        "/v1/jobs",
        Scope::Submit,
        "Takes a wrapping job with the proof that it hands over, which hides; checked before any node is drawn",
        takes!(HandOverDoc),
        json!(IdDoc),
        || post(market::hand_over),
    )
    .up_to(BODY_BYTES_MAX)
    .once(),
    call(
        "/v1/receipts",
        Scope::Submit,
        "Takes a receipt with its evidence, checks and judges it; answered when all of it is on disk",
        takes!(DeliverDoc),
        json!(Delivered),
        || post(market::deliver),
    )
    .up_to(BODY_BYTES_MAX),
    call(
        "/v1/measure",
        Scope::Submit,
        "Takes a proof under the node's challenge, or a wrapped one: a measured capability",
        takes!(MeasureDoc),
        json!(DoneDoc),
        || post(market::measure),
    )
    .up_to(BODY_BYTES_MAX),
    call(
        "/v1/ready",
        Scope::Submit,
        "Takes an answer to the node's challenge about storage or metered work: a measured capability",
        takes!(ReadyDoc),
        json!(DoneDoc),
        || post(market::ready),
    )
    .up_to(BODY_BYTES_MAX),
    call(
        "/v1/feeds",
        Scope::Submit,
        "Takes a feed, gives its commitment",
        takes!(FeedDoc),
        json!(IdDoc),
        || post(market::add_feed),
    )
    .up_to(BODY_BYTES_MAX),
    read(
        "/v1/own",
        "Own nodes (limits, grants, journal, earnings) and the built-in buyer",
        json!(OwnDoc),
        || get(own::all),
    )
    .for_key(Scope::View),
    read("/v1/own/nodes/{name}", "One of them", json!(OwnNodeDoc), || get(own::node)).for_key(Scope::View),
    call(
        "/v1/own/nodes/{name}/readings",
        Scope::Run,
        "Readings pushed to a live node (docs/devices.md)",
        Takes::Readings,
        json!(TakenDoc),
        || post(own::push),
    )
    .up_to(PACK_BYTES_MAX),
    call(
        "/v1/own/nodes/{name}/limits",
        Scope::Run,
        "What the node may; counts from its next window on",
        takes!(Limits),
        json!(OwnNodeDoc),
        || post(own::set_limits),
    ),
    call(
        "/v1/own/nodes/{name}/grants",
        Scope::Run,
        "Gives leave to use the node's readings",
        takes!(GrantDoc),
        json!(OwnNodeDoc),
        || post(own::give),
    ),
    call(
        "/v1/own/nodes/{name}/grants/{grant}/withdraw",
        Scope::Run,
        "Withdraws a grant",
        Takes::Anything,
        json!(OwnNodeDoc),
        || post(own::withdraw_grant),
    ),
    call(
        "/v1/own/quote",
        Scope::Money,
        "What days of a device would cost",
        takes!(WantedDoc),
        json!(QuoteDoc),
        || post(own::quote),
    ),
    call(
        "/v1/own/jobs",
        Scope::Money,
        "Buys days of a device with the built-in key",
        takes!(WantedDoc),
        json!(IdDoc),
        || post(own::buy),
    )
    .once(),
    call(
        "/v1/own/budget",
        Scope::Money,
        "What the built-in key may spend a day",
        takes!(BudgetDoc),
        json!(BuyerDoc),
        || post(own::set_budget),
    ),
    call(
        "/v1/own/withdraw",
        Scope::Money,
        "Asks for the buyer's spendable money",
        Takes::Anything,
        json!(AccountDoc),
        || post(own::withdraw),
    )
    .once(),
    call(
        "/v1/own/claim/{name}",
        Scope::Money,
        "Claims for an own node, or for `buyer`",
        Takes::Anything,
        json!(ClaimDoc),
        || post(own::claim),
    )
    .once(),
    call(
        "/v1/epochs",
        Scope::Operate,
        "Closes an epoch and posts its roots",
        Takes::Anything,
        json!(ClosedDoc),
        || post(market::close_epoch),
    )
    .once(),
    call(
        "/v1/epochs/again/{receipt}",
        Scope::Operate,
        "The same, also with this receipt, which nobody proved when the chain asked, and which cost the bond",
        Takes::Anything,
        json!(ClosedDoc),
        || post(market::close_epoch_again),
    )
    .once(),
    call(
        "/v1/move",
        Scope::Operate,
        "Moves the journal, the evidence or both to other engines while the market goes on; again until it is done, if it takes long",
        takes!(MoveDoc),
        json!(MovedDoc),
        || post(market::move_to),
    ),
    call(
        "/v1/dev/faucet",
        Scope::Operate,
        "Development chains only: test money",
        takes!(FaucetDoc),
        json!(MintedDoc),
        || post(market::faucet),
    )
    .once(),
    call(
        "/v1/dev/devices",
        Scope::Operate,
        "Development chains only: enrols a device",
        takes!(EnrolDeviceDoc),
        json!(DoneDoc),
        || post(market::enrol_device),
    ),
    call(
        "/v1/dev/pass-time",
        Scope::Operate,
        "Development chains only: lets time pass",
        takes!(PassTimeDoc),
        json!(DoneDoc),
        || post(market::pass_time),
    ),
];

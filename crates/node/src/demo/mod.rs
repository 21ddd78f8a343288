//! The whole story with one command: real readings, real proofs, a real coordinator and chain, spoken to over
//! loopback as anybody would.
//!
//! Three stations replay January 2013. EWR and JFK are honest; LGA's device shows manipulated days of the
//! example's test file on [`LIES`]. Nothing is scripted but who lies when: what is paid and what is refused
//! is what the model, the proofs, the market and the contracts say.

mod lies;
mod money;
mod poster;
mod proven;
mod stage;
mod table;

pub use poster::PosterDoc;
pub use proven::{AnsweredDoc, ProvenDoc};
pub use table::table;

use crate::audit::{AuditDoc, of_url};
use crate::buyer::CoverDoc;
use crate::fault::{Fault, Result};
use crate::operator::DayDoc;
use crate::out::{Context, bar, median, open_page};
use crate::weather::{CLASSES, STATIONS, date};
use crate::wire::{ClosedDoc, ReasonDoc};
use crate::work::Worker;
use proofmesh_market::{Address, Hash32, Usd};
use proofmesh_services::window::WINDOW_S;
use serde::Serialize;
use stage::Stage;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// First day.
pub const FIRST: &str = "2013-01-01";
/// Days that are offered for.
pub const MONTH: u64 = 31;
/// Days of an epoch.
const WEEK: u64 = 7;
/// The station that lies.
pub const LIAR: usize = 2;
/// When it lies, and how: class of the model.
pub const LIES: [(&str, usize); 4] =
    [("2013-01-22", 1), ("2013-01-23", 2), ("2013-01-24", 3), ("2013-01-26", 2)];

/// How the demo is run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Days that are replayed.
    pub days: u64,
    /// Keep the directory.
    pub keep: bool,
    /// Where; `None` for a directory of its own that is removed unless kept.
    pub dir: Option<PathBuf>,
    /// Show the page in a browser while the story is told.
    pub open: bool,
    /// The chain; `None` for the embedded one.
    pub chain: Option<String>,
    /// What pays the farmer.
    pub proof: Proof,
    /// Where the wrap's key is kept between runs.
    pub keys: PathBuf,
}

/// What the farmer's cover is paid by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Proof {
    /// Settled receipts, each of which a contract can be asked to demand a proof of.
    Challenge,
    /// Groth16 proofs that the contract checks, without any epoch.
    Onchain,
}

/// A day with what its device did.
#[derive(Clone, Debug, Serialize)]
pub struct ToldDay {
    /// What became of it.
    #[serde(flatten)]
    pub day: DayDoc,
    /// How the device lied; `None` for an honest day.
    pub lie: Option<&'static str>,
}

/// A lie and its refusal.
#[derive(Clone, Debug, Serialize)]
pub struct LieDoc {
    /// What was tried.
    pub lie: &'static str,
    /// Digest of the receipt, if it took its place in its node's chain.
    pub receipt: Option<Hash32>,
    /// The refusal.
    pub refused: ReasonDoc,
}

/// Money that moved to somebody.
#[derive(Clone, Debug, Serialize)]
pub struct PaidDoc {
    /// Who, in the story.
    pub who: String,
    /// The account.
    pub account: Address,
    /// For what.
    pub why: String,
    /// How much.
    pub amount: Usd,
}

/// Medians over all proofs.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ProofsDoc {
    /// How many.
    pub count: usize,
    /// Milliseconds to prove.
    pub prove_ms: f64,
    /// Bytes.
    pub proof_bytes: f64,
    /// Milliseconds to check.
    pub check_ms: f64,
}

/// Everything that the demo found.
#[derive(Clone, Debug, Serialize)]
pub struct DemoDoc {
    /// Where its state is, if it was kept.
    pub dir: Option<PathBuf>,
    /// Seconds in all.
    pub seconds: f64,
    /// The model's id.
    pub model: Hash32,
    /// Every station day.
    pub days: Vec<ToldDay>,
    /// Medians.
    pub proofs: ProofsDoc,
    /// Epochs with their gas.
    pub epochs: Vec<ClosedDoc>,
    /// The farmer's cover.
    pub cover: CoverDoc,
    /// The day of frost that paid, and what the last report cost.
    pub cover_paid: Option<(String, u64)>,
    /// Who was paid what.
    pub paid: Vec<PaidDoc>,
    /// Test money minted, and found again on all accounts and contracts.
    pub minted: Usd,
    /// As found.
    pub found: Usd,
    /// Lies and their refusals.
    pub lies: Vec<LieDoc>,
    /// Receipts of frost that the contract checked the proofs of, with `--proof onchain`.
    pub proven: Vec<ProvenDoc>,
    /// An honest receipt that was challenged, with `--proof onchain`.
    pub answered: Option<AnsweredDoc>,
    /// The lie of the poster, and what it lost.
    pub poster: Option<PosterDoc>,
    /// The audit.
    pub audit: AuditDoc,
    /// What is taken on trust.
    pub trust: [&'static str; 4],
}

/// What is taken on trust today.
pub const TRUST: [&str; 4] = [
    "The poster, for balances: a receipt that it settles has to stand a challenge on chain, or costs it its bond; that \
     balances grow by what receipts give is its word, vetoed in the challenge window and found out by `proofmesh \
     audit` from public data. The contract's verification key is a DEVELOPMENT key here: whoever knows its seed forges.",
    "The reference: the neighbours' readings are public airport data, published by the buyer as a feed that \
     the job commits to.",
    "The device: its key signs each receipt with the commitment to the day. Nobody outside the node checks that \
     the commitment opens to the readings that the device signed, and whether the sensor stood in the field is \
     what the model judges, and it errs.",
    "The model: it was trained on days 1 to 20 of each month; what it says from the 22nd on is on days that \
     it never saw.",
];

/// The poster, where the farmer is paid by proofs.
const NO_POSTER: &str = "The poster, for what stations are paid, and not for the farmer: the contract checked the proofs that paid, whatever \
     any epoch says. Its verification key is a DEVELOPMENT key here: whoever made it could forge; a market's comes from a \
     ceremony.";

/// A directory that vanishes unless it is kept.
struct Place {
    dir: PathBuf,
    keep: bool,
}

impl Place {
    fn new(plan: &Plan) -> Result<Self> {
        let own = || std::env::temp_dir().join(format!("proofmesh-demo-{}", std::process::id()));
        let dir = plan.dir.clone().unwrap_or_else(own);
        if dir.join("log").exists() {
            return Err(Fault::misuse("demo.dir-in-use", "a directory without a market", dir.display()));
        }
        Ok(Place { dir, keep: plan.keep || plan.dir.is_some() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.keep {
            // What cannot be removed is in the system's own place for such.
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}

/// The story that was told, with everything that it happened on still running.
pub struct Told {
    /// What it found.
    pub doc: DemoDoc,
    stage: Stage,
    _place: Place, // removed after the stage, unless kept
}

impl Told {
    /// The page's address, with the owner's key.
    #[must_use]
    pub fn page(&self) -> String {
        self.stage.page()
    }

    /// The three nodes without the story: each can go on at its own station.
    #[must_use]
    pub fn workers(&self) -> &[Worker] {
        &self.stage.workers
    }
}

/// Tells the story.
///
/// # Errors
/// Trouble, or a refusal where the story expects none.
pub async fn tell(plan: &Plan, context: &Context) -> Result<Told> {
    let place = Place::new(plan)?;
    let began = Instant::now();
    let mut stage = Stage::build(&place.dir, plan, context).await?;
    if plan.open {
        context.tell(&format!("page        {}", stage.page()));
        open_page(&stage.page(), context);
    }
    context.tell(&format!("{} days of three stations: each is proved, checked, settled", plan.days));
    let days = month(&mut stage, plan.days, context).await?;
    let lies = lies::tell(&mut stage, &days).await?;
    let poster = poster::tell(&mut stage, &lies, context).await?;
    stage.finish().await?;
    let audit = of_url(&stage.client).await?;
    let (minted, found) = money::count(&stage).await?;
    if minted != found {
        return Err(Fault::trouble("demo.not-conserved", minted, found));
    }
    let doc = DemoDoc {
        dir: place.keep.then(|| absolute(&place.dir)),
        seconds: began.elapsed().as_secs_f64(),
        model: stage.model_id,
        proofs: proofs(&days),
        days,
        epochs: std::mem::take(&mut stage.epochs),
        cover: crate::buyer::cover(&*stage.settlement, stage.cover).await?,
        cover_paid: stage.cover_paid.clone(),
        paid: std::mem::take(&mut stage.paid),
        minted,
        found,
        lies,
        proven: std::mem::take(&mut stage.proven),
        answered: stage.answered.take(),
        poster,
        audit,
        trust: [
            if plan.proof == Proof::Onchain { NO_POSTER } else { TRUST[0] },
            TRUST[1],
            TRUST[2],
            TRUST[3],
        ],
    };
    Ok(Told { doc, stage, _place: place })
}

fn absolute(dir: &Path) -> PathBuf {
    std::fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned())
}

/// Every day, every station, a week an epoch.
async fn month(stage: &mut Stage, days: u64, context: &Context) -> Result<Vec<ToldDay>> {
    let bar = bar(days * STATIONS.len() as u64);
    let mut told = Vec::new();
    for number in 0..days {
        let start_s = stage.first_s + number * WINDOW_S;
        stage.reach(start_s + stage::HEARD_S).await?;
        for (station, name) in STATIONS.iter().enumerate() {
            bar.set_message(format!("{name} {}", date(start_s)));
            let day = stage.day(station, start_s).await?;
            let lie = lie_on(station, &day.date).map(|class| CLASSES[class]);
            bar.suspend(|| aloud(&day, lie, context));
            told.push(ToldDay { day, lie });
            bar.inc(1);
        }
        proven::deliver(stage, start_s, context).await?;
        if number % WEEK == WEEK - 1 {
            bar.suspend(|| context.tell(&format!("{}: an epoch is closed, posted, final", date(start_s))));
            stage.settle().await?;
        }
    }
    bar.finish_and_clear();
    Ok(told)
}

/// Says what is not the usual.
fn aloud(day: &DayDoc, lie: Option<&str>, context: &Context) {
    let did = lie.map_or(String::new(), |lie| format!(" (the device shows a {lie} day)"));
    if let Some(reason) = &day.reason {
        let what = format!("{} {} {}{did}", day.station, day.date, day.outcome);
        let why = if day.outcome == "skipped" { &reason.expected } else { &reason.got };
        context.tell(&format!("  {what}: {}: {why}", reason.name));
    } else if lie.is_some() {
        context.tell(&format!("  {} {} paid{did}: the model took it for genuine", day.station, day.date));
    }
}

/// The class that a station's device shows on a date, if it lies.
fn lie_on(station: usize, date: &str) -> Option<usize> {
    let lie = LIES.iter().find(|(day, _)| *day == date && station == LIAR);
    lie.map(|(_, class)| *class)
}

fn proofs(days: &[ToldDay]) -> ProofsDoc {
    let proved: Vec<&DayDoc> =
        days.iter().map(|told| &told.day).filter(|day| day.receipt.is_some()).collect();
    let middle = |of: fn(&DayDoc) -> f64| median(proved.iter().map(|day| of(day)).collect());
    ProofsDoc {
        count: proved.len(),
        prove_ms: middle(|day| day.prove_ms),
        proof_bytes: middle(|day| day.proof_bytes as f64),
        check_ms: middle(|day| day.check_ms),
    }
}

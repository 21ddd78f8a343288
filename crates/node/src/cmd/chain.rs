//! `proofmesh chain`: the rows of known chains, and a live chain held against its row.

use crate::fault::{Fault, Result};
use crate::out::Context;
use proofmesh_settle::{
    Chain, ChainProfile, Clock, Deployment, Outcome, PROFILES, Probe, profile, profile_named,
};
use std::path::{Path, PathBuf};

/// Most bytes of a deployment record.
const MAX_RECORD_BYTES: usize = 1 << 16;

/// Subcommands.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Every chain that has a row
    List,
    /// A row, with the source of each figure
    #[command(after_help = "Example:\n  proofmesh chain show polygon\n  proofmesh chain show 8453 --json")]
    Show {
        /// Name or chain id
        row: String,
    },
    /// Ask a live chain whether its row holds
    #[command(after_help = "Example:\n  proofmesh chain probe http://127.0.0.1:8545 --as polygon\n\n\
        Exit code 1 if a check fails; each failed check says what to do.")]
    Probe {
        /// Where the chain answers, http://HOST:PORT
        chain: String,
        /// Row that it must be [default: the row of its chain id]
        #[arg(long = "as", value_name = "ROW")]
        row: Option<String>,
        /// Compare the contracts of this record too (deployment.json of a coordinator's directory)
        #[arg(long, value_name = "FILE")]
        deployment: Option<PathBuf>,
    },
}

/// Runs.
pub async fn run(command: Command, context: &Context) -> Result<()> {
    match command {
        Command::List => {
            context.print(&PROFILES, || PROFILES.iter().map(line).collect::<Vec<_>>().join("\n"))
        }
        Command::Show { row } => {
            let row = find(&row)?;
            context.print(row, || describe(row))
        }
        Command::Probe { chain, row, deployment } => {
            let row = row.as_deref().map(find).transpose()?;
            let deployment = deployment.as_deref().map(record).transpose()?;
            let chain = Chain::open(&chain, Clock::system()).await?;
            let probe = chain.probe(row, deployment.as_ref()).await?;
            context.print(&probe, || report(&probe))?;
            let failed: Vec<_> = probe.checks.iter().filter(|c| c.outcome == Outcome::Fails).collect();
            match failed.first() {
                None => Ok(()),
                Some(first) => Err(Fault::refused(
                    format_args!("chain.{}", first.name),
                    format_args!("{} ({})", first.expected, first.to_do),
                    &first.got,
                )),
            }
        }
    }
}

fn find(name: &str) -> Result<&'static ChainProfile> {
    let by_id = |id: u64| Some(profile(id)).filter(|row| !row.is_any());
    profile_named(name).or_else(|| name.parse().ok().and_then(by_id)).ok_or_else(|| {
        let names: Vec<_> = PROFILES.iter().map(|row| row.name).collect();
        Fault::misuse("chain.unknown", names.join(", "), format_args!("{name:.40}"))
    })
}

fn record(path: &Path) -> Result<Deployment> {
    serde_json::from_slice(&super::read_file(path, MAX_RECORD_BYTES)?)
        .map_err(|error| Fault::refused("chain.deployment", "a record that `up` wrote", error))
}

fn id(row: &ChainProfile) -> String {
    if row.is_any() { "any".to_owned() } else { row.chain_id.to_string() }
}

fn line(row: &ChainProfile) -> String {
    format!("{:<13} {:>9}  {}", row.name, id(row), row.about)
}

fn describe(row: &ChainProfile) -> String {
    let tests: Vec<_> = row.test_ids.iter().map(u64::to_string).collect();
    let p = &row.prices;
    let mut lines = vec![
        format!("{}: {}", row.name, row.about),
        format!(
            "chain id       {}; test networks: {}",
            id(row),
            if tests.is_empty() { "none".into() } else { tests.join(", ") }
        ),
        format!(
            "rules          {:?}, {} gas a block, {} a transaction",
            row.fork,
            row.block_gas,
            row.transaction_gas()
        ),
        format!(
            "fees           {:?}, at most {} wei a gas; data fee {:?}",
            row.gas, row.max_fee, row.data_fee
        ),
        format!(
            "proofs         {} gas of precompiles a check; verifier's caps {:?}; limit of a transaction {}",
            p.groth16(),
            row.proofs.caps,
            row.proofs.limit.map_or("estimated".to_owned(), |gas| gas.to_string())
        ),
        format!(
            "P-256          {}",
            p.p256.map_or("not there".to_owned(), |gas| format!("at 0x100, {gas} gas"))
        ),
        format!("storage        cold read {}, cold write {}", p.cold_sload, p.cold_sstore),
        format!("transaction    {}, calldata {:?} a byte (zero, other)", p.transaction, p.calldata),
        format!(
            "finality       after {} blocks of {} ms; {} may be replaced",
            row.confirmations, row.block_ms, row.reorg_depth
        ),
    ];
    lines.extend(row.notes.iter().map(|note| format!("note           {note}")));
    lines.push("sources".to_owned());
    lines.extend(
        row.sources
            .iter()
            .map(|s| format!("  {}{}: {}", if s.assumed { "assumed, " } else { "" }, s.what, s.from)),
    );
    lines.join("\n")
}

fn report(probe: &Probe) -> String {
    let mut lines = vec![format!("chain {} against row {}", probe.chain_id, probe.row)];
    for check in &probe.checks {
        let mark = match check.outcome {
            Outcome::Holds => "ok   ",
            Outcome::Fails => "FAILS",
            Outcome::Note => "note ",
        };
        lines.push(format!("{mark} {}: {}", check.name, check.got));
        if check.outcome != Outcome::Holds {
            lines.push(format!("        expected {}", check.expected));
            if !check.to_do.is_empty() {
                lines.push(format!("        {}", check.to_do));
            }
        }
    }
    lines.join("\n")
}

//! `proofmesh api`: keys of the HTTP API, and its description.

use crate::api::openapi::describe;
use crate::fault::Result;
use crate::keys::{KeyRow, Keyring, MadeKey, PER_SECOND, WantedKey};
use crate::out::Context;
use crate::owner::DAY_S;
use crate::time::Time;

/// Subcommands.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Keys: who else may call, and what
    #[command(subcommand)]
    Key(KeyCommand),
    /// The API's description, OpenAPI 3.1
    Describe,
}

/// Subcommands of `api key`.
#[derive(Debug, clap::Subcommand)]
pub enum KeyCommand {
    /// Make a key; it is shown once and kept as a hash
    #[command(after_help = "\
Examples:
  proofmesh api key new alice --scope view --scope money          sees and buys, with a buyer's account of its own
  proofmesh api key new alice --scope view --scope run --node ewr  the node `ewr` becomes alice's
  proofmesh api key new local --scope monitor                     for Prometheus

Scopes: submit (hand in what accounts and nodes signed), view, run (limits, grants, readings of own nodes),
money (quote, buy, budget, withdraw, claim), monitor (metrics), operate (close epochs, development calls).
A tenant gets neither monitor nor operate. Call with `Authorization: Bearer KEY`, or PROOFMESH_KEY for commands.")]
    New {
        /// Whose: 1 to 32 of a-z 0-9 -; `local` is the machine's owner
        tenant: String,
        /// What it opens; may be repeated
        #[arg(long = "scope", required = true, value_name = "SCOPE")]
        scopes: Vec<String>,
        /// A node that becomes the tenant's; may be repeated
        #[arg(long = "node", value_name = "NAME")]
        nodes: Vec<String>,
        /// Requests a second
        #[arg(long, default_value_t = PER_SECOND, value_name = "REQUESTS")]
        per_second: u32,
        /// Days until it ends [default: never]
        #[arg(long, value_name = "DAYS")]
        days: Option<u64>,
    },
    /// All keys, without their secrets
    List,
    /// Revoke a key: counts from the next request on
    Revoke {
        /// Its id
        id: String,
    },
}

/// Runs. The keys are files of the directory, whether a coordinator runs there or not.
pub fn run(command: Command, context: &Context) -> Result<()> {
    let command = match command {
        Command::Describe => {
            let document = describe()?;
            return context.print(&document, || format!("{document:#}"));
        }
        Command::Key(command) => command,
    };
    let (ring, now_s) = (Keyring::open(&context.dir)?, Time::system().now_s());
    match command {
        KeyCommand::New { tenant, scopes, nodes, per_second, days } => {
            let scopes = scopes.iter().map(|scope| scope.parse()).collect::<Result<_>>()?;
            let until_s = days.map(|days| now_s.saturating_add(days.saturating_mul(DAY_S)));
            let wanted = WantedKey { tenant: tenant.parse()?, scopes, nodes, per_second, until_s };
            let made = ring.make(wanted, now_s)?;
            context.print(&made, || {
                let MadeKey { key, row } = &made;
                format!("{key}\n{}\nshown this once: keep it now", line(row, now_s))
            })
        }
        KeyCommand::List => {
            let rows = ring.list()?;
            context.print(&rows, || {
                let lines: Vec<String> = rows.iter().map(|row| line(row, now_s)).collect();
                if lines.is_empty() { "no keys but the owner's".to_owned() } else { lines.join("\n") }
            })
        }
        KeyCommand::Revoke { id } => {
            let row = ring.revoke(&id, now_s)?;
            context.print(&row, || line(&row, now_s))
        }
    }
}

fn line(row: &KeyRow, now_s: u64) -> String {
    let scopes = row.scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>().join(",");
    let standing = match (row.revoked_s, row.until_s) {
        (Some(_), _) => "revoked".to_owned(),
        (None, Some(until_s)) if until_s <= now_s => "over".to_owned(),
        (None, Some(until_s)) => format!("{} days left", (until_s - now_s).div_ceil(DAY_S)),
        (None, None) => "no end".to_owned(),
    };
    format!("{}  {:<12} {scopes}  {} a second  {standing}", row.id, row.tenant.to_string(), row.per_second)
}

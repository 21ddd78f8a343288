//! `proofmesh config`: the machine's configuration, checked, signed, numbered, reversible.

use crate::config::{History, Seal, Settings, with};
use crate::fault::{Fault, Result};
use crate::out::Context;
use crate::time::Time;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Subcommands.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Check a file, and try it, without changing anything
    Check {
        /// The file; without one the version that counts
        file: Option<PathBuf>,
    },
    /// The settings that count, defaults included; or a version as its owner wrote it
    Show {
        /// Its number
        #[arg(long)]
        version: Option<u64>,
    },
    /// Make a new version: checked, tried, signed with the owner's key; it counts if all of that holds
    #[command(after_help = "\
Examples:
  proofmesh config set --file new.toml
  proofmesh config set api.port 8080
  proofmesh config set nodes.ewr.station EWR
  proofmesh config set nodes.ewr.limits.practice true      prove and check, sign and hand in nothing

Limits count from a node's next window on, the rest from the next `proofmesh up`.")]
    Set {
        /// A key, as in `config show`: api.port
        #[arg(requires = "value", conflicts_with = "file", required_unless_present = "file")]
        key: Option<String>,
        /// Its value
        value: Option<String>,
        /// A whole file instead
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// All versions with their seals, checked
    History,
    /// Make the text of an earlier version count again, as a new version
    Rollback {
        /// Its number [default: the one before]
        version: Option<u64>,
    },
}

#[derive(Serialize)]
struct CheckDoc {
    ok: bool,
    settings: Settings,
}

/// Runs.
pub async fn run(command: Command, context: &Context) -> Result<()> {
    let (history, now_s) = (History::open(&context.dir)?, Time::system().now_s());
    match command {
        Command::Check { file } => {
            let settings = match &file {
                Some(path) => Settings::parse(&text(path)?)?,
                None => history.settings()?,
            };
            settings.try_out(&context.dir).await?;
            context.print(&CheckDoc { ok: true, settings }, || {
                "all keys known, all values fit, all of it tried".to_owned()
            })
        }
        Command::Show { version: None } => {
            let settings = history.settings()?;
            context.print(&settings, || toml::to_string(&settings).unwrap_or_default())
        }
        Command::Show { version: Some(number) } => {
            let text = history.text(number)?;
            context.print(&text, || text.clone())
        }
        Command::Set { key, value, file } => {
            let fresh = match (key, value, file) {
                (Some(key), Some(value), None) => {
                    let before = match history.current()? {
                        0 => String::new(),
                        number => history.text(number)?,
                    };
                    with(&before, &key, &value)?
                }
                (_, _, Some(path)) => text(&path)?,
                _ => return Err(Fault::misuse("config.set", "KEY VALUE, or --file FILE", "neither")),
            };
            said(&history.set(&fresh, None, now_s).await?, context)
        }
        Command::History => {
            let seals = history.seals()?;
            context.print(&seals, || {
                let lines: Vec<String> = seals.iter().map(line).collect();
                if lines.is_empty() {
                    "no version: everything has its default".to_owned()
                } else {
                    lines.join("\n")
                }
            })
        }
        Command::Rollback { version } => {
            let current = history.current()?;
            let number = version.unwrap_or(current.saturating_sub(1));
            let earlier = history.text(number)?;
            said(&history.set(&earlier, Some(number), now_s).await?, context)
        }
    }
}

fn text(path: &Path) -> Result<String> {
    let bytes = super::read_file(path, crate::config::BYTES_MAX)?;
    String::from_utf8(bytes).map_err(|error| Fault::refused("config.syntax", "TOML in UTF-8", error))
}

fn said(seal: &Seal, context: &Context) -> Result<()> {
    context.print(seal, || {
        format!(
            "{}\ncounts: limits from the next window on, the rest from the next `proofmesh up`",
            line(seal)
        )
    })
}

fn line(seal: &Seal) -> String {
    let back = seal.back_to.map_or(String::new(), |number| format!("  the text of {number} again"));
    format!("{:>6}  {}  {}{back}", seal.number, crate::weather::date(seal.at_s), seal.hash)
}

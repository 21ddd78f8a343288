//! `proofmesh up`: a coordinator with its embedded chain, until it is interrupted.

use crate::coordinator::{Config, MarketTerms};
use crate::fault::Result;
use crate::out::{Context, UpDoc};
use crate::time::Time;
use crate::up::Up;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  proofmesh up                                    API on 127.0.0.1:7166, JSON-RPC of the chain on 7167
  proofmesh up --port 0 --rpc-port 0 --json       any free ports, printed as JSON
  proofmesh up --chain http://127.0.0.1:8545      contracts on another EVM chain

A new market gets the weather-qod model, or every --model instead. State is in --dir: log, blobs, models,
feeds, keys, chain. Until proofs can be checked by a contract, whoever posts epochs is trusted to count
honestly; `proofmesh audit` finds out if not.")]
pub struct Args {
    /// Port of the API on 127.0.0.1; 0 for any free one
    #[arg(long, default_value_t = 7166)]
    port: u16,
    /// Port of the chain's JSON-RPC on 127.0.0.1; 0 for any free one
    #[arg(long, default_value_t = 7167)]
    rpc_port: u16,
    /// Another chain than the embedded one
    #[arg(long, value_name = "URL")]
    chain: Option<String>,
    /// A model file that jobs may ask for, instead of the weather model; may be repeated
    #[arg(long = "model", value_name = "FILE")]
    models: Vec<PathBuf>,
    /// Seconds in which a posted epoch can be challenged, for a new market
    #[arg(long, default_value_t = 3_600, value_name = "SECONDS")]
    challenge_window: u64,
    /// Seconds in which a verdict can be disputed, for a new market
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    dispute_window: u64,
    /// Close and post an epoch every so many seconds; 0 for never
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    epoch_every: u64,
}

/// Runs until SIGINT or SIGTERM.
pub async fn run(args: Args, context: &Context) -> Result<()> {
    let config = Config {
        dir: context.dir.clone(),
        chain: args.chain,
        time: Time::system(),
        terms: MarketTerms {
            challenge_window_s: args.challenge_window,
            dispute_window_s: args.dispute_window,
            ..MarketTerms::default()
        },
    };
    let at = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    let up = Up::start(config, at(args.port), at(args.rpc_port), &|text| context.tell(text)).await?;
    let known = up.coordinator.status(None)?.models;
    if known.is_empty() && args.models.is_empty() {
        up.coordinator.add_model(super::model_at(None)?).await?;
    }
    for path in &args.models {
        up.coordinator.add_model(super::model_at(Some(path))?).await?;
    }
    let doc = UpDoc { api: up.api.clone(), rpc: up.rpc.clone(), pid: std::process::id() };
    context.announce(&doc)?;
    context.print(&doc, || {
        let rpc = doc.rpc.as_deref().unwrap_or("-");
        format!(
            "coordinator {}\nchain       {rpc}\nstate       {}\nready; Ctrl-C stops",
            doc.api,
            context.dir.display()
        )
    })?;
    let mut closing = tokio::time::interval(Duration::from_secs(args.epoch_every.max(1)));
    closing.tick().await;
    loop {
        tokio::select! {
            () = interrupted() => break,
            _ = closing.tick(), if args.epoch_every > 0 => {
                if let Err(fault) = up.coordinator.close_epoch().await {
                    context.tell(&format!("epoch not posted, tried again at the next: {fault}"));
                }
            }
        }
    }
    context.tell("stopped");
    Ok(())
}

async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

//! `proofmesh sim`: the production rules in a deterministic world with liars.

use crate::fault::{Fault, Result};
use crate::out::{Context, bar};
use crate::plot;
use proofmesh_sim::strategies::by_name;
use proofmesh_sim::{Report, STRATEGIES, Setting, Verdict, search, sweep, wash};
use std::ops::Range;
use std::path::PathBuf;

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  proofmesh sim --seed 7                          90 days, 40 stations, 30 % liars of every kind
  proofmesh sim --seed 7 --strategy sybil         all liars play one strategy
  proofmesh sim --seeds 0..100 --plot sim.svg     a sweep; a chart of what lying brought
  proofmesh sim --seeds 0..1000 --small           many seeds of a small world
  proofmesh sim --strategy lazy --search          the liar turns its parameters until nothing is better
  proofmesh sim --wash 1000000                    states in which somebody pays itself
  proofmesh sim --list                            the strategies and their parameters

One seed is one run, event for event: a failure names the command that makes it again. Exit code 1 when an aim is
missed: 1 % of the money to invalid work, 0.1 % of the honest wronged, a strategy that wins. docs/sim.md says how to
read the table.")]
pub struct Args {
    /// All chance comes from it
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Many seeds instead: A..B
    #[arg(long, value_name = "A..B", value_parser = range)]
    seeds: Option<Range<u64>>,
    /// Working days [default: 90; small: 8]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=365))]
    days: Option<u64>,
    /// Real stations [default: 40; small: 12]
    #[arg(long, value_parser = clap::value_parser!(u64).range(4..=1_000))]
    nodes: Option<u64>,
    /// Liars among them, per cent
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    liars: Option<u64>,
    /// What all liars do [default: every strategy in turn]
    #[arg(long, value_name = "NAME")]
    strategy: Option<String>,
    /// Parameters of the strategy, in the order of --list
    #[arg(long, value_name = "N,N", value_delimiter = ',', requires = "strategy")]
    choice: Vec<u64>,
    /// A small world
    #[arg(long)]
    small: bool,
    /// Best response of the strategy, or of each
    #[arg(long)]
    search: bool,
    /// Random states of wash trading, and a tenth as many searched
    #[arg(long, value_name = "STATES")]
    wash: Option<u64>,
    /// Names of the strategies
    #[arg(long)]
    list: bool,
    /// Writes a chart
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// Threads of a sweep
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=256))]
    threads: u64,
}

fn range(text: &str) -> std::result::Result<Range<u64>, String> {
    let (from, to) = text.split_once("..").ok_or("A..B, 0..100")?;
    match (from.parse(), to.parse()) {
        (Ok(from), Ok(to)) if from < to => Ok(from..to),
        _ => Err("A..B with A below B".to_owned()),
    }
}

fn percent(text: &str) -> std::result::Result<u64, String> {
    let number = text.trim_end_matches('%').parse().ok().filter(|number| *number <= 100);
    number.ok_or_else(|| "0 to 100, or 30%".to_owned())
}

/// Runs.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    if args.list {
        return list(context);
    }
    if let Some(states) = args.wash {
        return washed(args, states, context);
    }
    let setting = setting(args)?;
    let seeds = args.seeds.clone().unwrap_or(args.seed..args.seed.saturating_add(1));
    if args.search {
        return searched(&setting, &seeds, context);
    }
    let progress = bar(seeds.end - seeds.start);
    let report = sweep(&setting, seeds, args.threads as usize, &|seed, _| {
        progress.set_message(format!("seed {seed}"));
        progress.inc(1);
    });
    progress.finish_and_clear();
    if let Some(path) = &args.plot {
        super::write_file(path, plot::profits(&report.rows)?.as_bytes())?;
    }
    context.print(&report, || report.table())?;
    judge(&report)
}

fn setting(args: &Args) -> Result<Setting> {
    let mut setting = if args.small { Setting::small(args.seed) } else { Setting::new(args.seed) };
    setting.days = args.days.unwrap_or(setting.days);
    setting.nodes = args.nodes.unwrap_or(setting.nodes);
    setting.liars = args.liars.unwrap_or(setting.liars);
    if let Some(name) = &args.strategy {
        let strategy = by_name(name)
            .ok_or_else(|| Fault::misuse("sim.strategy", "a name of `proofmesh sim --list`", name))?;
        if !args.choice.is_empty() {
            let (want, have) = (strategy.parameters.len(), args.choice.len());
            if want != have {
                return Err(Fault::misuse("sim.choice", format_args!("{want} parameters"), have));
            }
            setting.choices.insert(strategy.name, args.choice.clone());
        }
        setting.strategy = Some(strategy);
    }
    Ok(setting)
}

/// Exit code 1 and the name of the first aim that is missed with confidence; what the seeds are too few to decide is in
/// the table as undecided.
fn judge(report: &Report) -> Result<()> {
    if let Some(failure) = report.failures.first() {
        return Err(Fault::refused("sim.failure", "a run in which nothing impossible happens", failure));
    }
    if report.invalid_percent() > 1.0 {
        let got = format_args!("{:.3} %", report.invalid_percent());
        return Err(Fault::refused("sim.invalid-paid", "at most 1 % of the money to invalid work", got));
    }
    if report.spares_the_honest() == Verdict::Missed {
        let got = format_args!("{} of {}", report.wronged, report.honest);
        return Err(Fault::refused("sim.honest-penalised", "at most 0.1 % of the honest", got));
    }
    let winner = report.rows.iter().find(|row| row.loses() == Verdict::Missed);
    winner.map_or(Ok(()), |row| {
        let got = format_args!("{}: {} micro-USD in {} runs", row.strategy, row.profit_micro, row.runs);
        Err(Fault::refused("sim.strategy-wins", "every strategy loses", got))
    })
}

fn list(context: &Context) -> Result<()> {
    let rows: Vec<serde_json::Value> = STRATEGIES
        .iter()
        .map(|strategy| {
            let parameters: Vec<serde_json::Value> = strategy
                .parameters
                .iter()
                .map(|of| serde_json::json!({ "name": of.name, "values": of.values, "usual": of.usual }))
                .collect();
            serde_json::json!({ "name": strategy.name, "about": strategy.about, "parameters": parameters })
        })
        .collect();
    context.print(&rows, || {
        let line = |strategy: &proofmesh_sim::Strategy| {
            let named = |of: &proofmesh_sim::strategies::Parameter| {
                format!("{} {:?} (usually {})", of.name, of.values, of.usual)
            };
            let parameters: Vec<String> = strategy.parameters.iter().map(named).collect();
            format!("{:<16} {}\n{:<16}   {}", strategy.name, strategy.about, "", parameters.join("; "))
        };
        STRATEGIES.iter().map(line).collect::<Vec<_>>().join("\n")
    })
}

fn searched(setting: &Setting, seeds: &Range<u64>, context: &Context) -> Result<()> {
    let seeds: Vec<u64> = seeds.clone().collect();
    let chosen = STRATEGIES.iter().filter(|row| setting.strategy.is_none_or(|only| only.name == row.name));
    let mut found = Vec::new();
    for strategy in chosen {
        context.tell(&format!("searching {}", strategy.name));
        found.push(search::best_response(strategy, setting, &seeds));
    }
    context.print(&found, || {
        let line = |one: &search::Found| {
            let (usd, choice) = (one.profit_micro as f64 / 1e6, format!("{:?}", one.choice));
            format!("{:<16} best {choice:<20} {usd:>10.3} USD a liar, {} points", one.strategy, one.tried)
        };
        found.iter().map(line).collect::<Vec<_>>().join("\n")
    })?;
    let winner = found.iter().find(|one| one.profit_micro > 0);
    winner.map_or(Ok(()), |one| {
        Err(Fault::refused("sim.strategy-wins", "every strategy loses", format_args!("{one:?}")))
    })
}

fn washed(args: &Args, states: u64, context: &Context) -> Result<()> {
    let walk = wash::walk(args.seed, states);
    let search = wash::search(args.seed, states / 10);
    let doc = serde_json::json!({ "walk": walk, "search": search });
    context.print(&doc, || {
        let line = |name: &str, found: &wash::Found| {
            let usd = |micro: i64| micro as f64 / 1e6;
            let (best, settled) = (usd(found.best_micro), usd(found.best_settled_micro));
            let (states, washed) = (found.states, found.washed);
            format!("{name} {states} states, {washed} units washed, most ahead {best:.6} USD, once settled {settled:.6} USD")
        };
        format!("{}\n{}", line("random", &walk), line("search", &search))
    })?;
    let most = walk.best_micro.max(search.best_micro);
    if most > 0 || walk.broken + search.broken > 0 {
        return Err(Fault::refused("sim.wash-pays", "nobody gains by paying itself", most));
    }
    Ok(())
}

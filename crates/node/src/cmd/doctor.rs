//! `proofmesh doctor`: what is wrong, in plain words, and what to do next.

use crate::doctor::{Finding, State, look};
use crate::fault::{Fault, Result};
use crate::out::Context;

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Looks at disk, clock, configuration, ports, permissions of keys, log, chain, coordinator, version, receipts that
wait, broker, and memory against the models' forecast. Changes nothing.

Exit code 0: all of it works; 1: something does not (the names are on stderr).")]
pub struct Args {}

/// Runs.
pub async fn run(_: Args, context: &Context) -> Result<()> {
    let findings = look(context).await;
    context.print(&findings, || findings.iter().map(line).collect::<Vec<_>>().join("\n"))?;
    let ill: Vec<&str> =
        findings.iter().filter(|finding| finding.state == State::Ill).map(|finding| finding.name).collect();
    if ill.is_empty() {
        return Ok(());
    }
    Err(Fault::refused("doctor.ill", "everything to work: see what to do next above", ill.join(", ")))
}

fn line(finding: &Finding) -> String {
    let state = match finding.state {
        State::Well => "ok  ",
        State::Watch => "look",
        State::Ill => "ILL ",
    };
    let next = if finding.next.is_empty() {
        String::new()
    } else {
        format!("\n                  -> {}", finding.next)
    };
    format!("{state} {:<12} {}{next}", finding.name, finding.found)
}

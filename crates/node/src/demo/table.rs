//! The demo's end as text.

use super::{AnsweredDoc, DemoDoc, ProvenDoc, ToldDay};
use crate::weather::STATIONS;
use std::fmt::Write;

/// Width of running text.
const WIDTH: usize = 100;

/// The table, the lies, and how to look further.
#[must_use]
pub fn table(doc: &DemoDoc) -> String {
    let mut text = String::new();
    stations(&mut text, doc);
    refusals(&mut text, doc);
    money(&mut text, doc);
    let _ = writeln!(text, "\nLies, refused by name");
    for lie in &doc.lies {
        let _ = writeln!(text, "  {:<24} {}", lie.lie, lie.refused.name);
    }
    proven(&mut text, doc);
    accused(&mut text, doc);
    let audit = &doc.audit;
    let _ = writeln!(
        text,
        "\nAudit: {} events folded again, {} proofs checked again, {} epochs compared: no difference",
        audit.events, audit.verdicts, audit.epochs
    );
    let _ = writeln!(text, "\nTaken on trust");
    for trust in doc.trust {
        wrapped(&mut text, trust);
    }
    further(&mut text, doc);
    let _ = writeln!(text, "\n{:.1} s in all", doc.seconds);
    text
}

fn stations(text: &mut String, doc: &DemoDoc) {
    let _ = writeln!(
        text,
        "{:<9} {:>6} {:>8} {:>6} {:>9} {:>9}",
        "station", "days", "proved", "paid", "refused", "skipped"
    );
    for station in STATIONS {
        let of = |outcome: &str| {
            let days = doc.days.iter().filter(|told| told.day.station == station);
            days.filter(|told| told.day.outcome == outcome).count()
        };
        let (paid, refused, skipped) = (of("paid"), of("refused"), of("skipped"));
        let (days, proved) = (paid + refused + skipped, paid + refused);
        let _ = writeln!(text, "{station:<9} {days:>6} {proved:>8} {paid:>6} {refused:>9} {skipped:>9}");
    }
    let proofs = &doc.proofs;
    let _ = writeln!(
        text,
        "\n{} proofs, medians: {:.0} ms to prove, {:.0} KiB, {:.0} ms to check",
        proofs.count,
        proofs.prove_ms,
        proofs.proof_bytes / 1024.0,
        proofs.check_ms
    );
}

fn refusals(text: &mut String, doc: &DemoDoc) {
    let _ = writeln!(text, "\nRefused");
    for told in doc.days.iter().filter(|told| told.day.outcome == "refused") {
        let Some(reason) = &told.day.reason else { continue };
        let truth = told.lie.map_or("an honest day: here the model errs".to_owned(), |lie| {
            format!("the device showed a {lie} day")
        });
        let day = &told.day;
        let _ = writeln!(text, "  {} {}  {}: {}  ({truth})", day.station, day.date, reason.name, reason.got);
    }
    for told in doc.days.iter().filter(|told| told.day.outcome == "paid" && told.lie.is_some()) {
        let _ = writeln!(text, "  {} {}  a lie that passed", told.day.station, told.day.date);
    }
    let skipped: Vec<&ToldDay> = doc.days.iter().filter(|told| told.day.outcome == "skipped").collect();
    let of = |name: &str| {
        let named = |told: &&&ToldDay| told.day.reason.as_ref().is_some_and(|reason| reason.name == name);
        skipped.iter().filter(named).count()
    };
    let _ = writeln!(
        text,
        "Skipped: {} days with a gap too long in the station's readings (window.incomplete), {} in a \
         neighbour's (reference.missing)",
        of("window.incomplete"),
        of("reference.missing")
    );
}

fn money(text: &mut String, doc: &DemoDoc) {
    let _ = writeln!(text, "\nEpochs");
    for closed in &doc.epochs {
        let (epoch, total) = (closed.epoch.number, closed.epoch.total);
        let _ = writeln!(
            text,
            "  {epoch}  {:>3} receipts  {:>8} gas  {total} USD owed in all",
            closed.receipts, closed.gas
        );
    }
    let _ = writeln!(text, "\nPaid");
    for paid in &doc.paid {
        let _ = writeln!(text, "  {:<8} {:>11} USD  {}", paid.who, paid.amount.to_string(), paid.why);
    }
    if let Some((day, gas)) = &doc.cover_paid {
        let _ = writeln!(
            text,
            "  The contract paid the farmer for {day} in the call of the second report, {gas} gas."
        );
    } else {
        let _ =
            writeln!(text, "  The cover is {}: no day on which two stations proved frost.", doc.cover.state);
    }
    let _ = writeln!(text, "  {} USD minted, {} USD found on accounts and contracts", doc.minted, doc.found);
}

fn proven(text: &mut String, doc: &DemoDoc) {
    if doc.proven.is_empty() {
        return;
    }
    let _ = writeln!(text, "\nChecked by the contract itself, under a DEVELOPMENT key");
    for proven in &doc.proven {
        let ProvenDoc { station, date, wrap_s, gas, paid, .. } = proven;
        let _ = writeln!(
            text,
            "  {station} {date}  {wrap_s:.0} s to prove and wrap, {gas} gas, {paid} USD to the farmer"
        );
    }
    if let Some(answered) = &doc.answered {
        let AnsweredDoc { bond, challenge_gas, answer_gas, .. } = answered;
        let line = format!(
            "Somebody doubted the first of them on chain ({challenge_gas} gas): the poster answered with the same proof \
             ({answer_gas} gas), and has the doubter's {bond} USD."
        );
        wrapped(text, &line);
    }
}

fn accused(text: &mut String, doc: &DemoDoc) {
    let Some(poster) = &doc.poster else { return };
    let won = &poster.won;
    let _ = writeln!(text, "\nA poster that lies");
    for line in [
        format!(
            "It posts an epoch {} of its own, with the receipt of {} in it.",
            poster.epoch,
            super::lies::CHANGED_OUTPUT
        ),
        format!(
            "An auditor finds {} between log and chain, and {} in the receipt.",
            poster.audit, poster.reason.name
        ),
        format!(
            "It puts {} USD on it and demands the proof on chain ({} gas). The poster has none: it loses {} USD, the \
             auditor has {} USD back ({} gas), the rest is burned.",
            poster.challenge_bond, poster.challenge_gas, won.lost, won.received, won.gas
        ),
        format!(
            "The epoch is struck before anybody could claim from it: the {} USD stay the buyer's, who takes them out of \
             the honest epoch that follows.",
            poster.kept
        ),
    ] {
        wrapped(text, &line);
    }
}

fn further(text: &mut String, doc: &DemoDoc) {
    let Some(dir) = &doc.dir else {
        let _ =
            writeln!(text, "\nTo look further, keep what it leaves behind: proofmesh demo --dir demo-state");
        return;
    };
    let dir = dir.display();
    let receipt = doc
        .days
        .iter()
        .find_map(|told| told.day.receipt)
        .map_or("0x...".to_owned(), |digest| digest.to_string());
    let _ = writeln!(text, "\nTo look further");
    for line in [
        format!("proofmesh audit --dir {dir}                recompute everything"),
        format!("proofmesh up --dir {dir} &                 serve it again, then:"),
        format!("proofmesh receipt verify {receipt} --dir {dir}"),
        format!("proofmesh epoch show --dir {dir}"),
        format!("proofmesh cover status {} --dir {dir}", doc.cover.id),
        format!("proofmesh device readings lga --station LGA --from 2013-01-22 --dir {dir}"),
    ] {
        let _ = writeln!(text, "  {line}");
    }
}

/// Words in lines of at most [`WIDTH`] characters, the first line set out.
fn wrapped(text: &mut String, words: &str) {
    let mut line = String::from(" ");
    for word in words.split(' ') {
        if line.len() + 1 + word.len() > WIDTH {
            let _ = writeln!(text, "{line}");
            line = String::from("   ");
        }
        line.push(' ');
        line.push_str(word);
    }
    let _ = writeln!(text, "{line}");
}

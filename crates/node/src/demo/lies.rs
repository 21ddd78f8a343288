//! Four lies, each refused by name: another model, a changed output, a replayed receipt, someone else's
//! receipt.

use super::stage::Stage;
use super::{LIAR, LIES, LieDoc, ToldDay};
use crate::fault::{Fault, Result};
use crate::pledge::thaw;
use crate::weather::{STATIONS, day_start_s, forgery};
use crate::wire::{Delivered, ReasonDoc};
use proofmesh_graph::program::Output;
use proofmesh_market::SignedReceipt;
use proofmesh_services::window::{Day, HOUR_S, WINDOW_S};

/// The lie that the poster takes up.
pub(super) const CHANGED_OUTPUT: &str = "a changed output";

/// Tells them.
pub(super) async fn tell(stage: &mut Stage, days: &[ToldDay]) -> Result<Vec<LieDoc>> {
    // The day of the lies is over by then, however short the demo.
    stage.reach(shown()?.1 + WINDOW_S).await?;
    let mut lies = vec![another_model(stage).await?];
    // Caught: the panel froze it at once. It waits its day out, comes back, and lies again.
    let freeze_s = stage.client.status().await?.rules.freeze_s;
    stage.client.pass_time(freeze_s).await?;
    thaw(&stage.client, stage.operators[LIAR].secret()).await?;
    lies.push(changed_output(stage).await?);
    let paid = days.iter().find(|told| told.day.outcome == "paid" && told.day.station == STATIONS[0]);
    if let Some(digest) = paid.and_then(|told| told.day.receipt) {
        let known = stage.client.receipt(&digest).await?;
        let proof = stage.client.blob(&known.evidence).await?;
        lies.push(replayed(stage, known.wire.0.clone(), proof.clone()).await?);
        lies.push(someone_elses(stage, &known.wire.0, proof).await?);
    }
    Ok(lies)
}

/// The refusal of a lie; a lie that is paid is the end of the demo.
fn refused(lie: &'static str, delivered: Result<Delivered>) -> Result<LieDoc> {
    let (receipt, refused) = match delivered {
        Ok(delivered) => (Some(delivered.receipt.digest), delivered.receipt.reason),
        Err(fault) if fault.kind == crate::fault::Kind::Refused => {
            (None, Some(ReasonDoc { name: fault.name, expected: fault.expected, got: fault.got }))
        }
        Err(fault) => return Err(fault),
    };
    let refused = refused.ok_or_else(|| Fault::trouble("demo.lie-paid", "a refusal", lie))?;
    Ok(LieDoc { lie, receipt, refused })
}

/// What the liar's device shows on its first day of lies.
fn shown() -> Result<(Vec<i32>, u64)> {
    let (date, class) = LIES[0];
    let start_s = day_start_s(date)?;
    let forged = forgery(LIAR, date, class)?;
    let hours =
        forged.values.iter().enumerate().map(|(hour, values)| (start_s + hour as u64 * HOUR_S, *values));
    Ok((Day::new(&hours.collect(), start_s)?.words(), start_s))
}

/// A proof of a program of the node's own making: one that says frost at any temperature.
async fn another_model(stage: &Stage) -> Result<LieDoc> {
    let mut file = stage.model.clone();
    for output in &mut file.program.outputs {
        if let Output::AtMost { threshold, .. } = output {
            *threshold = file.program.input.interval.hi;
        }
    }
    let (words, start_s) = shown()?;
    let (node, job) = (&stage.operators[LIAR], &stage.jobs[LIAR]);
    let public = stage.public(LIAR, start_s).unwrap_or_default();
    let day = node.prove(&file, (&job.id, &job.job), &words, &public, start_s).await?;
    let receipt = node.sign(&job.id, job.job.model, &day, &[0, 1]).await?;
    refused("another model", node.hand_in(&receipt, &day.proof).await)
}

/// An honest proof of a day that is not genuine, and a receipt that says it is.
async fn changed_output(stage: &Stage) -> Result<LieDoc> {
    let (words, start_s) = shown()?;
    let (node, job) = (&stage.operators[LIAR], &stage.jobs[LIAR]);
    let public = stage.public(LIAR, start_s).unwrap_or_default();
    let day = node.prove(&stage.model, (&job.id, &job.job), &words, &public, start_s).await?;
    let claimed = if day.statement.outputs[0] == [0, 1] { [0, 0] } else { [0, 1] };
    let receipt = node.sign(&job.id, job.job.model, &day, &claimed).await?;
    refused(CHANGED_OUTPUT, node.hand_in(&receipt, &day.proof).await)
}

/// A paid receipt, handed in once more.
async fn replayed(stage: &Stage, receipt: Vec<u8>, proof: Vec<u8>) -> Result<LieDoc> {
    refused("a replayed receipt", stage.client.deliver_bytes(receipt, proof).await)
}

/// A paid receipt of another node, signed anew as one's own.
async fn someone_elses(stage: &Stage, wire: &[u8], proof: Vec<u8>) -> Result<LieDoc> {
    let thief = &stage.operators[1];
    let theirs = SignedReceipt::decode(wire)?;
    let place = stage.client.node(&thief.account()).await?;
    let mut receipt = theirs.receipt.clone();
    (receipt.node, receipt.sequence, receipt.previous) = (thief.account(), place.next_sequence, place.head);
    let signature = thief.secret().sign(&receipt.digest(&stage.domain));
    let stolen = SignedReceipt::from_parts(
        receipt,
        theirs.output_bytes().to_vec(),
        theirs.device_signature,
        signature,
    )?;
    // Not through the outbox: an honest node does not sign it.
    refused("someone else's receipt", stage.client.deliver(&stolen, &proof).await)
}

//! Talk with servers for callers that wait: the market's rules are not asynchronous, and an event has not happened
//! before its server says so.
//!
//! One thread of its own speaks, whatever runtime the caller is on or in.

use crate::fault::{Fault, Result};
use std::sync::{LazyLock, mpsc};
use std::time::Duration;
use tokio::runtime::{Builder, Handle, Runtime, RuntimeFlavor};

/// How long a server may take for one answer.
pub(super) const ANSWER: Duration = Duration::from_secs(5);

static SPEAKER: LazyLock<std::io::Result<Runtime>> = LazyLock::new(|| {
    Builder::new_multi_thread().worker_threads(1).thread_name("engines").enable_all().build()
});

/// Does the work on the thread that speaks, and waits for it.
///
/// # Errors
/// The work's; `machine.threads`.
pub(super) fn wait<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    let threads =
        |got: &dyn std::fmt::Display| Fault::trouble("machine.threads", "a thread that speaks", got);
    let speaker = SPEAKER.as_ref().map_err(|error| threads(error))?;
    let (tell, answer) = mpsc::sync_channel(1);
    speaker.spawn(async move {
        // Whoever waited has gone only with its process.
        let _ = tell.send(work.await);
    });
    let hear = move || answer.recv().map_err(|error| threads(&error))?;
    match Handle::try_current().map(|here| here.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(hear),
        _ => hear(),
    }
}

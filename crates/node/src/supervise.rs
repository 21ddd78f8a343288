//! Tasks that are started again when they end: after a panic, or because they could not go on. The pauses grow from one
//! second to a minute, and are short again after a task held for ten minutes.

use std::future::Future;
use std::time::{Duration, Instant};

/// The first pause.
const SHORTEST: Duration = Duration::from_secs(1);
/// The longest.
const LONGEST: Duration = Duration::from_secs(60);
/// A task that ran so long is well.
const WELL: Duration = Duration::from_secs(600);

/// The pause after so many ends in a row.
#[must_use]
pub fn pause(ends: u32) -> Duration {
    SHORTEST.saturating_mul(1 << ends.min(16)).min(LONGEST)
}

/// Runs what `start` gives, again whenever it ends, until this is dropped.
pub async fn supervise<F>(name: &str, tell: &(dyn Fn(&str) + Sync), mut start: impl FnMut() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut ends = 0;
    loop {
        let began = Instant::now();
        let mut running = tokio::task::JoinSet::new(); // ends with this
        running.spawn(start());
        let ended = running.join_next().await;
        let why = if matches!(ended, Some(Err(_))) { "it failed inside" } else { "it ended" };
        if began.elapsed() >= WELL {
            ends = 0;
        }
        let pause = pause(ends);
        tell(&format!("{name}: {why}; started again in {} s", pause.as_secs()));
        tokio::time::sleep(pause).await;
        ends += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn pauses_grow_and_end_at_a_minute() {
        let seconds: Vec<u64> = (0..9).map(|ends| pause(ends).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(pause(u32::MAX), LONGEST);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_task_that_fails_inside_is_started_again() {
        let (count, told) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let (counted, heard) = (count.clone(), told.clone());
        let tell = move |_: &str| {
            heard.fetch_add(1, Ordering::SeqCst);
        };
        let running = supervise("node", &tell, || {
            let counted = counted.clone();
            async move {
                let before = counted.fetch_add(1, Ordering::SeqCst);
                assert!(before > 0, "the first one fails");
                std::future::pending::<()>().await;
            }
        });
        let twice = async {
            while count.load(Ordering::SeqCst) < 2 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::select! {
            () = running => {}
            () = twice => {}
            () = tokio::time::sleep(LONGEST) => panic!("it was not started again"),
        }
        assert_eq!(told.load(Ordering::SeqCst), 1);
    }
}

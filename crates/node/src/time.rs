//! Time as an argument: the machine's clock, or one that stands where it is put. Both can be moved forward,
//! never back.

use proofmesh_settle::Clock;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How often a waiting task looks at a running clock.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A clock that the market and the embedded chain share. Clones move together.
#[derive(Clone, Debug)]
pub struct Time {
    runs: bool,
    ahead_s: Arc<AtomicU64>,
}

impl Time {
    /// The machine's clock.
    #[must_use]
    pub fn system() -> Self {
        Time { runs: true, ahead_s: Arc::new(AtomicU64::new(0)) }
    }

    /// Stands at a Unix second until it is moved.
    #[must_use]
    pub fn standing_at(at_s: u64) -> Self {
        Time { runs: false, ahead_s: Arc::new(AtomicU64::new(at_s)) }
    }

    /// Unix second.
    #[must_use]
    pub fn now_s(&self) -> u64 {
        let machine = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let base = if self.runs { machine() } else { 0 };
        base.saturating_add(self.ahead_s.load(Ordering::SeqCst))
    }

    /// Moves the clock to `at_s`, unless it is there already.
    pub fn reach(&self, at_s: u64) {
        let short_s = at_s.saturating_sub(self.now_s());
        self.ahead_s.fetch_add(short_s, Ordering::SeqCst);
    }

    /// Waits until `at_s`: sleeps where the clock runs, and moves it there where it stands.
    pub async fn wait_until(&self, at_s: u64) {
        if !self.runs {
            self.reach(at_s);
        }
        while self.now_s() < at_s {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Lets seconds pass.
    pub fn pass(&self, seconds: u64) {
        self.ahead_s.fetch_add(seconds, Ordering::SeqCst);
    }

    /// The same clock for a chain.
    #[must_use]
    pub fn for_chain(&self) -> Clock {
        let time = self.clone();
        Clock::from_fn(move || time.now_s())
    }
}

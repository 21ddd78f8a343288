//! Places where a test makes the process die, so that every moment of a write is met. Compiled in debug
//! builds only.
//!
//! `PROOFMESH_ABORT_AT=n` aborts at the n-th place passed, counted from 1: no destructor runs, no buffer is
//! flushed.

/// A place where the process may die. `true` asks the caller to do half of its write first and then call
/// [`die`].
#[cfg(debug_assertions)]
#[must_use]
pub fn here() -> bool {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    static AT: LazyLock<Option<u64>> =
        LazyLock::new(|| std::env::var("PROOFMESH_ABORT_AT").ok().and_then(|text| text.parse().ok()));
    static PASSED: AtomicU64 = AtomicU64::new(0);
    *AT == Some(PASSED.fetch_add(1, Ordering::SeqCst) + 1)
}

/// Never, in release builds.
#[cfg(not(debug_assertions))]
#[must_use]
#[inline(always)]
pub fn here() -> bool {
    false
}

/// Dies if this is the place.
pub fn point() {
    if here() {
        die();
    }
}

/// Ends the process as a kill would.
pub fn die() -> ! {
    std::process::abort()
}

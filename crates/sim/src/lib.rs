//! A world in which the production rules are attacked: [`proofmesh_market`]'s state machine and the services' checks,
//! a clock of its own, a network that loses messages, disks that lose their tail, machines that come, crash, go wrong
//! and leave, a price that moves, checkers of which some are bought, and twelve ways to lie, each of which may search
//! for its best response. Everything follows from one 64-bit seed: no wall clock, no other chance, no order of a hash
//! map. The same seed gives the same run, event for event.
//!
//! [`run`] makes one run, [`search::best_response`] lets a liar think, [`wash::search`] looks for a state in which
//! paying oneself pays. How to read the figures, and how to add a strategy: docs/sim.md.

pub mod chance;
pub mod checker;
pub mod confidence;
pub mod coordinator;
pub mod disk;
pub mod machine;
pub mod network;
pub mod physics;
mod population;
pub mod report;
mod score;
pub mod search;
pub mod setting;
pub mod strategies;
pub mod wash;

mod work;
pub mod world;

pub use confidence::Verdict;
pub use report::{Report, Row};
pub use setting::{Faults, Regime, Setting};
pub use strategies::{STRATEGIES, Strategy};

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Makes one run.
#[must_use]
pub fn run(setting: &Setting) -> Report {
    let mut world = world::World::new(setting.clone());
    world.run();
    world.score()
}

/// Makes the runs of many seeds on some threads and adds them up in the order of the seeds, so that the sum does not
/// depend on who was faster. `done` hears of every run.
#[must_use]
pub fn sweep(
    base: &Setting,
    seeds: Range<u64>,
    threads: usize,
    done: &(dyn Fn(u64, &Report) + Sync),
) -> Report {
    let next = AtomicU64::new(seeds.start);
    let reports: Mutex<BTreeMap<u64, Report>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let report = run(&Setting { seed, ..base.clone() });
                    done(seed, &report);
                    reports.lock().unwrap_or_else(PoisonError::into_inner).insert(seed, report);
                }
            });
        }
    });
    let mut sum = Report::default();
    for report in reports.into_inner().unwrap_or_else(PoisonError::into_inner).values() {
        sum.add(report);
    }
    sum
}

//! Runs over many seeds, and what the same liars win when a rule is off.
//!
//! The long runs are `#[ignore]`: `cargo test --release -p proofmesh-sim -- --ignored --nocapture`, or
//! `proofmesh sim --seeds 0..100`.

use proofmesh_sim::setting::cents;
use proofmesh_sim::strategies::by_name;
use proofmesh_sim::{Report, STRATEGIES, Setting, run, search, sweep, wash};

/// Seeds of the small world that every test run makes.
const SEEDS: u64 = 100;

fn threads() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZero::get)
}

fn hold(report: &Report) {
    println!("{}", report.table());
    assert!(report.failures.is_empty(), "{:?}", report.failures);
    assert!(report.invalid_percent() <= 1.0, "{} % paid to invalid work", report.invalid_percent());
    assert!(report.wronged_percent() <= 0.1, "{} of {} wronged", report.wronged, report.honest);
    assert!(report.broken_fines_most <= 1, "frozen before a second penalty");
    for row in &report.rows {
        assert!(row.profit_micro < 0, "{} wins {}", row.strategy, row.profit_micro);
    }
}

#[test]
fn liars_lose_over_many_seeds() {
    let report = sweep(&Setting::small(0), 0..SEEDS, threads(), &|_, _| {});
    hold(&report);
    assert_eq!(report.rows.len(), STRATEGIES.len());
    for row in
        report.rows.iter().filter(|row| !["cloned-device", "sybil", "wash"].contains(&row.strategy.as_str()))
    {
        assert!(row.told > 10, "{} told {} lies: too few to mean anything", row.strategy, row.told);
    }
    assert!(report.broken > 5 && report.broken_fined > 0, "nothing went wrong");
    assert!(report.invalid_micro > 0, "no lie ever got through: the checkers' friends did nothing");
}

#[test]
fn a_seed_is_a_run() {
    let mut setting = Setting::small(7);
    setting.audit = true; // the whole log, folded once more
    let report = run(&setting);
    assert_eq!(report.failures, Vec::<String>::new());
    assert_eq!(report, run(&setting));
    assert_ne!(report.events, run(&Setting::small(8)).events);
}

/// Profit of each liar of a strategy over a few seeds, in cents.
fn profit(name: &str, choice: &[u64], change: impl Fn(&mut Setting)) -> f64 {
    let mut base = Setting { days: 22, ..Setting::small(0) };
    base.faults.misconfigured = 0;
    change(&mut base);
    let strategy = by_name(name).expect("a row");
    search::profit(strategy, choice, &base, &[1, 2]) as f64 / 1e4
}

#[test]
fn without_draws_and_panels_bought_checkers_pay_for_lies() {
    let on = profit("wrong-result", &[1_000, 0], |_| {});
    let off = profit("wrong-result", &[1_000, 0], |setting| setting.regime.guards = None);
    assert!(on < -100.0 && off > 100.0, "on {on}, off {off}");
    let mut setting = Setting { days: 22, strategy: by_name("wrong-result"), ..Setting::small(3) };
    setting.choices.insert("wrong-result", vec![1_000, 0]);
    setting.regime.guards = None;
    let report = run(&setting);
    assert!(report.invalid_percent() > 10.0, "{}", report.table());
}

#[test]
fn without_certificates_made_up_stations_earn() {
    let honest = |setting: &mut Setting| setting.colluders = 0;
    let on = profit("sybil", &[4, 0, 0], honest);
    let off = profit("sybil", &[4, 0, 0], |setting| {
        honest(setting);
        setting.regime.makers = false;
    });
    assert!(on < 0.0 && off > 0.0, "on {on}, off {off}");
}

#[test]
fn without_the_class_in_the_terms_old_readings_are_paid() {
    let honest = |setting: &mut Setting| setting.colluders = 0;
    let on = profit("replay", &[1_000, 1], honest);
    let off = profit("replay", &[1_000, 1], |setting| {
        honest(setting);
        setting.regime.genuine_only = false;
    });
    assert!(on < 0.0 && off > 0.0, "on {on}, off {off}");
}

#[test]
fn where_volume_is_rewarded_wash_trading_pays() {
    let on = profit("wash", &[7, 0], |setting| setting.colluders = 0);
    let off = profit("wash", &[7, 0], |setting| {
        setting.colluders = 0;
        setting.regime.emission_ppm = 950_000;
    });
    assert!(on < 0.0 && off > 0.0, "on {on}, off {off}");
}

#[test]
fn a_node_that_does_not_wait_after_a_crash_is_sometimes_jailed() {
    let wronged = |linger_s: u64| {
        let mut base = Setting { liars: 0, days: 8, ..Setting::small(0) };
        base.regime.linger_s = linger_s;
        base.faults.crashes = 3_000;
        base.faults.lying_disks = 1_000;
        base.faults.slow_links = 1_000;
        sweep(&base, 24..40, threads(), &|_, _| {}).refusals.get("node.jailed").copied().unwrap_or(0)
    };
    assert_eq!(wronged(Setting::new(0).regime.linger_s), 0);
    assert!(wronged(0) > 0, "the faults are too mild to show anything");
}

#[test]
fn a_search_finds_what_pays_where_something_pays() {
    let mut base = Setting { days: 8, ..Setting::small(0) };
    base.regime.guards = None;
    let strategy = by_name("wrong-result").expect("a row");
    let found = search::best_response(strategy, &base, &[1]);
    assert_eq!((found.choice[0], found.profit_micro > 0), (1_000, true), "{found:?}");
}

#[test]
fn paying_oneself_never_pays() {
    let walk = wash::walk(1, 10_000);
    println!("{walk:?}");
    assert!(walk.best_micro <= 0 && walk.best_settled_micro < 0 && walk.broken == 0, "{walk:?}");
    assert!(walk.washed > 100, "{walk:?}");
    let search = wash::search(2, 1_000);
    println!("{search:?}");
    assert!(search.best_micro <= 0 && search.best_settled_micro < 0, "{search:?}");
}

#[test]
#[ignore = "a million states: `cargo test --release -p proofmesh-sim a_million -- --ignored --nocapture`"]
fn a_million_states_of_paying_oneself() {
    let halves: Vec<wash::Found> = std::thread::scope(|scope| {
        let walks: Vec<_> =
            (0..2u64).map(|half| scope.spawn(move || wash::walk(half << 32, 500_000))).collect();
        walks.into_iter().map(|walk| walk.join().expect("no panic")).collect()
    });
    println!("{halves:?}");
    assert!(
        halves.iter().all(|found| found.best_micro <= 0 && found.best_settled_micro < 0 && found.broken == 0)
    );
}

#[test]
#[ignore = "1,000 seeds of the small world: `cargo test --release -p proofmesh-sim thousand -- --ignored --nocapture`"]
fn a_thousand_seeds() {
    hold(&sweep(&Setting::small(0), 0..1_000, threads(), &|_, _| {}));
}

#[test]
#[ignore = "100 seeds of 90 days: `cargo test --release -p proofmesh-sim ninety -- --ignored --nocapture`"]
fn ninety_days() {
    let report = sweep(&Setting::new(0), 0..100, threads(), &|seed, one| {
        let rows: Vec<_> =
            one.rows.iter().map(|row| (row.profit_micro, row.liars, row.told, row.paid)).collect();
        let (paid, invalid) = (one.paid_micro, one.invalid_micro);
        println!(
            "seed {seed}: paid {paid}, invalid {invalid}, wronged {} of {}, {rows:?}",
            one.wronged, one.honest
        );
    });
    hold(&report);
    assert!(report.paid_micro > cents(100).micro());
}

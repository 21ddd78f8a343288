//! Wires mean their definition at every point, whichever way they get there.

use p3_field::PrimeCharacteristicRing;
use proofmesh_proof::field::{F, K, eq_table};
use proofmesh_proof::system::{Axis, AxisWeights, Entry, axis_weights};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::sync::Arc;

fn point(rng: &mut StdRng, n: usize) -> Vec<K> {
    (0..n).map(|_| rng.random()).collect()
}

/// The weights of `entries` by the definition: entry `(t, v, i)` adds `coef eq(tau, t) eq(x, v)` to cell i.
fn by_definition(entries: &[Entry], tau: &[K], x: &[K], log: usize) -> Vec<K> {
    let (et, ev) = (eq_table(tau, K::ONE), eq_table(x, K::ONE));
    let mut table = vec![K::ZERO; 1 << log];
    for e in entries {
        table[e.i as usize] += et[e.t as usize] * ev[e.v as usize] * e.coef;
    }
    table
}

#[test]
fn wires_are_their_definition() {
    let mut rng = StdRng::seed_from_u64(5);
    let (mut few, mut many) = (0, 0);
    for case in 0..300usize {
        let (log, tau_len, x_len) = (case % 10, rng.random_range(0..3), rng.random_range(0..3));
        // Around 1/log of the axis the way to a point changes.
        let counts =
            [0, 1, (1usize << log) / 4, (1 << log) / (log + 1), (1 << log) / log.max(1) + 1, 1 << log];
        let (t, v, i) = (1u32 << tau_len, 1u32 << x_len, 1u32 << log);
        let entry = |rng: &mut StdRng| Entry {
            t: rng.random_range(0..t),
            v: rng.random_range(0..v),
            // Few cells: several entries share one.
            i: rng.random_range(0..i) & !1,
            coef: rng.random::<F>(),
        };
        let entries: Vec<Entry> = (0..counts[case % counts.len()]).map(|_| entry(&mut rng)).collect();
        let (tau, x) = (point(&mut rng, tau_len), point(&mut rng, x_len));
        let expected = by_definition(&entries, &tau, &x, log);
        let axis = Axis::Wire { tau: 0..tau_len, var: 0..x_len, log, entries: Arc::new(entries) };
        let weights = axis_weights(&axis, &tau, &x);
        let AxisWeights::Wire { entries, .. } = &weights else { panic!("a wire's weights") };
        *if entries.len() * log < 1 << log { &mut few } else { &mut many } += 1;
        assert_eq!(weights.log(), log);
        assert_eq!(weights.table(), expected, "case {case}");
        let at = point(&mut rng, log);
        let value: K = eq_table(&at, K::ONE).iter().zip(&expected).map(|(e, w)| *e * *w).sum();
        assert_eq!(weights.at(&at), value, "case {case}");
    }
    assert!(few > 50 && many > 50, "{few} few, {many} many");
}

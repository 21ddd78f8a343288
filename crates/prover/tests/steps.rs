//! Lies about a step function: an honest witness of [`Requantise`] with derived values changed, and exactly the claims that must refuse it.

mod toys;

use p3_field::{Field, PrimeCharacteristicRing, PrimeField32};
use proofmesh_graph::op::{Add, Op, Requantise, Sum, Window};
use proofmesh_graph::program::{Output, WeightMode};
use proofmesh_graph::statement;
use proofmesh_proof::field::{F, int};
use rand::SeedableRng;
use rand::rngs::StdRng;
use toys::{Toy, conv, node, program, refused, refused_by, rescale, window};

const SHIFT: u32 = 9;
const WIDTH: i64 = 1 << SHIFT;
const HI: i64 = 20;

/// Thresholds of channel `c`: steps of 200 or 201, never as wide as the steps beyond the clamp.
fn thresholds(c: i32) -> impl Iterator<Item = i32> {
    (0..HI as i32).map(move |i| 201 * i - i / 3 - 900 + 40 * c)
}

/// A padded convolution with a list of thresholds a channel and a dense layer; every axis has padding.
fn layers(mode: WeightMode) -> Toy {
    let mut rng = StdRng::seed_from_u64(40);
    let padded = Window { kernel: [2, 3], stride: [1, 2], pad: [1, 1, 0, 1] };
    let Op::Conv(layer) = conv(&mut rng, [3, 3, 1], padded, rescale(SHIFT, 0, HI as i32), 30) else {
        unreachable!("a convolution")
    };
    let thresholds = (0..3).flat_map(thresholds).collect();
    let nodes = vec![
        node("steps", Op::Requantise(Requantise { sum: Sum::Conv(layer), thresholds }), &[0]),
        node("dense", conv(&mut rng, [3, 2, 1], window([3, 3], [1, 1]), rescale(9, -127, 127), -9), &[1]),
    ];
    Toy::random(program([3, 3, 5], nodes, vec![Output::Values(2)], mode), 3, 41)
}

/// `T(y)` of a channel, steps of the full width beyond the ends.
fn edge(c: usize, y: i64) -> i64 {
    let all: Vec<i64> = thresholds(c as i32).map(i64::from).collect();
    match y {
        0 => all[0] - WIDTH,
        y if y > HI => all[all.len() - 1] + WIDTH,
        y => all[y as usize - 1],
    }
}

#[test]
fn lies_about_a_step() {
    for mode in [WeightMode::Public, WeightMode::Private] {
        let toy = layers(mode);
        let honest = toy.witness();
        refused("honest", &honest, &[]);
        let shape = toy.program.check().unwrap()[1].shape;
        let plane = shape.h * shape.w;
        let find = |wanted: &dyn Fn(i64) -> bool, channels: std::ops::Range<usize>| {
            let all = (0..3).flat_map(|b| (0..shape.len()).map(move |i| (b, i)));
            let v = |(b, i): (usize, usize)| honest.small("steps.v", toy.cell(1, b, i));
            all.filter(|e| channels.contains(&(e.1 / plane)))
                .find(|e| wanted(v(*e)))
                .expect("such an element")
        };
        let at = |(b, i): (usize, usize)| toy.cell(1, b, i);
        let get = |what: &str, e| honest.small(what, at(e));
        let layer = toy.program.nodes[0].op.conv().expect("the steps of a convolution");
        let accumulator = |(b, i): (usize, usize)| layer.accumulate(&toy.inputs[b])[i];
        let offset =
            |e| accumulator(e) - get("steps.start", e) - WIDTH * (get("steps.v", e) - get("steps", e));
        // Result, unclamped result and both edges.
        let claim = |e: (usize, usize), y: i64, v: i64, [start, end]: [i64; 2]| {
            let mut w = toy.forged("steps", e.0, e.1, y);
            for (name, value) in [("steps.v", v), ("steps.start", start), ("steps.end", end)] {
                w.column(name)[at(e)] = int(value);
            }
            w
        };
        // The claims by their definitions, in integers.
        let lie = |what: &str, e: (usize, usize), y: i64, v: i64, [start, end]: [i64; 2], claims: &[&str]| {
            let c = e.1 / plane;
            let r = accumulator(e) - start - WIDTH * (v - y);
            let known = (0..=HI).contains(&y);
            let broken = [
                ("steps: clamp", v.clamp(0, HI) != y),
                ("steps: start", !known || start != edge(c, y)),
                ("steps: end", !known || end != edge(c, y + 1)),
                ("steps: from the start", !(0..WIDTH).contains(&r)),
                ("steps: to the end", !(0..WIDTH).contains(&(end - 1 - start - r))),
            ];
            let broken: Vec<&str> = broken.iter().filter(|b| b.1).map(|b| b.0).collect();
            assert!(claims.iter().all(|c| broken.contains(c)), "{what}: {broken:?}");
            refused(what, &claim(e, y, v, [start, end]), &broken);
        };
        let inside = find(&|v| (3..17).contains(&v), 0..2);
        let (c, y) = (inside.1 / plane, get("steps", inside));
        let edges = |y: i64| [edge(c, y), edge(c, y + 1)];
        lie("the honest claim", inside, y, y, edges(y), &[]);
        lie("one higher", inside, y + 1, y + 1, edges(y + 1), &["steps: from the start"]);
        lie("one lower", inside, y - 1, y - 1, edges(y - 1), &["steps: to the end"]);
        lie("an earlier start", inside, y, y, [edge(c, y - 1), edge(c, y + 1)], &["steps: start"]);
        lie("a later end", inside, y - 1, y - 1, [edge(c, y - 1), edge(c, y + 1)], &["steps: end"]);
        let other = [edge(c + 1, y), edge(c + 1, y + 1)];
        lie("another channel's edges", inside, y, y, other, &["steps: start", "steps: end"]);
        lie("beyond the clamp inside", inside, y, y - 1, edges(y), &["steps: clamp"]);

        let above = find(&|v| v > HI + 1, 0..3);
        let (c, v) = (above.1 / plane, get("steps.v", above));
        lie("not saturated", above, HI - 1, v - 1, [edge(c, HI - 1), edge(c, HI)], &["steps: clamp"]);
        let last = [edge(c, HI), edge(c, HI + 1)];
        lie("one width short above", above, HI, v - 1, last, &["steps: from the start"]);
        let below = find(&|v| v < -1, 0..3);
        let (c, v) = (below.1 / plane, get("steps.v", below));
        let first = [edge(c, 0), edge(c, 1)];
        lie("one width short below", below, 0, v + 1, first, &["steps: from the start"]);
        lie("not rectified", below, v, v, first, &["steps: clamp", "steps: start"]);

        let lone = |name: &str| {
            let mut w = toy.witness();
            w.add(name, at(inside), 1);
            w
        };
        let (from, to) = ("steps: from the start", "steps: to the end");
        let cases: [(&str, &[&str], &[&str]); 4] = [
            ("steps", &[from, to, "steps: clamp", "steps: end", "steps: start"], &["dense: remainder"]),
            ("steps.v", &[from, to, "steps: clamp"], &[]),
            ("steps.start", &["steps: start"], &[from]),
            ("steps.end", &["steps: end"], &[to]),
        ];
        cases.iter().for_each(|(name, claims, perhaps)| refused_by(name, &lone(name), claims, perhaps));

        // The equation holds in the field, not in the integers.
        let mut fraction = toy.witness();
        let (r, end) = (offset(inside), get("steps.end", inside));
        let delta = if get("steps.start", inside) + r + 1 < end { 1 } else { -1 };
        fraction.column("steps.v")[at(inside)] -= int(WIDTH).inverse() * int(delta);
        refused("an unclamped result off by a fraction", &fraction, &["steps: clamp"]);
        let p = i64::from(F::ORDER_U32);
        let (v, far) = (get("steps.v", above), p.div_euclid(WIDTH));
        let moved = offset(above) + p - far * WIDTH;
        let mut wrapped = toy.witness();
        wrapped.column("steps.v")[at(above)] = int(v) + F::from_i64(far + moved.div_euclid(WIDTH));
        refused("an accumulator off by p", &wrapped, &["steps: clamp"]);
    }
}

#[test]
fn layers_and_sums_with_steps_prove() {
    for mode in [WeightMode::Public, WeightMode::Private] {
        let toy = layers(mode);
        let proved = toy.prove(5);
        statement::verify(&proved.statement, &proved.file).expect("an honest proof verifies");
    }
    let add = Add { factors: [37, -21], rescale: rescale(5, -8, 8) };
    let sum =
        Op::Requantise(Requantise { sum: Sum::Add(add), thresholds: (-8..8).map(|i| 30 * i + 4).collect() });
    let nodes = vec![node("sum", sum, &[0, 0])];
    let toy = Toy::random(program([3, 2, 3], nodes, vec![Output::Values(1)], WeightMode::Public), 2, 4);
    let proved = toy.prove(6);
    statement::verify(&proved.statement, &proved.file).expect("an honest proof verifies");
}

#[test]
fn thresholds_that_do_not_ascend_or_reach_too_far_are_refused() {
    let with = |thresholds: Vec<i32>, shift: u32| {
        let add = Add { factors: [37, -21], rescale: rescale(shift, 0, 3) };
        let op = Op::Requantise(Requantise { sum: Sum::Add(add), thresholds });
        program([3, 1, 1], vec![node("sum", op, &[0, 0])], vec![Output::Values(1)], WeightMode::Public)
            .check()
    };
    assert!(with(vec![-5, 0, 32], 5).is_ok());
    assert!(with([[-5, 0, 32]; 3].concat(), 5).is_ok(), "a list a channel");
    for (what, thresholds, shift) in [
        ("descending", vec![0, 5, 4], 5),
        ("a step wider than the width", vec![-5, 0, 33], 5),
        ("too few", vec![0, 5], 5),
        ("two lists for three channels", [[0, 5, 6]; 2].concat(), 5),
        ("none", vec![], 5),
        ("beyond the field", vec![1 << 29; 3], 5),
        ("the ends of the type", vec![i32::MIN, 0, i32::MAX], 5),
        ("a shift past the limit", vec![0, 5, 6], 17),
        ("a shift past the word", vec![0, 5, 6], 99),
    ] {
        assert!(with(thresholds, shift).is_err(), "{what}");
    }
}

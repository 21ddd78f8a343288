//! Lies of a prover, operator by operator: an honest witness with a derived value changed, and exactly the claims that must refuse it.
//!
//! A consistent lie changes everything that follows from it too, so that one claim alone stands between it and a proof.

mod toys;

use p3_field::{Field, PrimeCharacteristicRing};
use proofmesh_graph::op::{Add, AveragePool, ExtremePool, Gather, Lut, Op, Window};
use proofmesh_graph::program::{Output, WeightMode};
use proofmesh_graph::tensor::{Shape, Tensor};
use proofmesh_proof::field::{F, int};
use proofmesh_proof::profile::Kind;
use proofmesh_prover::{ProveError, prove_system};
use rand::SeedableRng;
use rand::rngs::StdRng;
use toys::{Toy, Witness, conv, node, program, refused, refused_by, rescale, window};

const PRIVATE: WeightMode = WeightMode::Private;
const PUBLIC: WeightMode = WeightMode::Public;

/// An honest witness of the toy, changed.
fn changed(toy: &Toy, change: impl FnOnce(&mut Witness)) -> Witness {
    let mut witness = toy.witness();
    change(&mut witness);
    witness
}

/// A padded convolution with a ReLU and a dense layer, three outputs channels and a batch of three so that every axis has padding.
fn layers(mode: WeightMode) -> Toy {
    let mut rng = StdRng::seed_from_u64(40);
    let padded = Window { kernel: [2, 3], stride: [1, 2], pad: [1, 1, 0, 1] };
    let nodes = vec![
        node("conv", conv(&mut rng, [3, 3, 1], padded, rescale(9, 0, 20), 30), &[0]),
        node("dense", conv(&mut rng, [3, 2, 1], window([3, 3], [1, 1]), rescale(9, -127, 127), -9), &[1]),
    ];
    Toy::random(program([3, 3, 5], nodes, vec![Output::Values(2)], mode), 3, 41)
}

/// Batch and element of a value whose honest quotient satisfies the predicate.
fn find(toy: &Toy, name: &str, value: usize, wanted: impl Fn(i64) -> bool) -> (usize, usize) {
    let witness = toy.witness();
    let len = toy.program.check().unwrap()[value].shape.len();
    let mut all = (0..toy.inputs.len()).flat_map(|b| (0..len).map(move |i| (b, i)));
    all.find(|(b, i)| wanted(witness.small(name, toy.cell(value, *b, *i)))).expect("an element of this kind")
}

#[test]
fn honest_witnesses_violate_nothing() {
    for toy in [layers(PUBLIC), layers(PRIVATE), pools(), residual(), argmax(&[3, 9, -4]), threshold(5)] {
        refused("honest", &toy.witness(), &[]);
    }
}

#[test]
fn rescaled_layers() {
    for mode in [PUBLIC, PRIVATE] {
        let toy = layers(mode);
        let inside = find(&toy, "conv.q", 1, |q| (2..18).contains(&q));
        let above = find(&toy, "conv.q", 1, |q| q > 24);
        let below = find(&toy, "conv.q", 1, |q| q < -3);
        let at = |(b, i): (usize, usize)| toy.cell(1, b, i);
        let honest = toy.witness();
        let q = |e| honest.small("conv.q", at(e));
        let Op::Conv(first) = &toy.program.nodes[0].op else { panic!("the first layer is a convolution") };
        let r = |(b, i): (usize, usize)| first.accumulate(&toy.inputs[b])[i] + 256 - 512 * q((b, i));
        let forged = |(b, i): (usize, usize), y: i64| toy.forged("conv", b, i, y);
        let with = |e, y: i64, dq: F| {
            let mut w = forged(e, y);
            w.column("conv.q")[at(e)] += dq;
            w
        };

        let lone = changed(&toy, |w| w.add("conv", at(inside), 1));
        refused_by("result alone", &lone, &["conv: clamp"], &["dense: remainder"]);
        refused("consistent result", &forged(inside, q(inside) + 1), &["conv: clamp"]);
        refused("not saturated", &forged(above, q(above)), &["conv: clamp"]);
        refused("saturated one lower", &forged(above, 19), &["conv: clamp"]);
        refused("rectified away", &forged(inside, 0), &["conv: clamp"]);
        refused("not rectified", &forged(below, q(below)), &["conv: clamp"]);

        let lone = changed(&toy, |w| w.add("conv.q", at(inside), 1));
        refused("quotient alone", &lone, &["conv: remainder", "conv: clamp"]);
        let lone = changed(&toy, |w| w.add("conv.q", at(above), 1));
        refused("quotient alone, saturated", &lone, &["conv: remainder"]);

        let up = with(inside, q(inside) + 1, F::ONE);
        refused("remainder below 0, quotient adjusted", &up, &["conv: remainder"]);
        let down = with(inside, q(inside) - 1, -F::ONE);
        refused("remainder at 2^k, quotient adjusted", &down, &["conv: remainder"]);
        // 2^9 q + r is the same in the field, not in the integers.
        let step = if r(inside) < 256 { 1 } else { -1 };
        let fraction = with(inside, q(inside), -int(512).inverse() * int(step));
        refused("quotient off by a fraction", &fraction, &["conv: clamp"]);
        // Off by p itself: 512 q' + r' = 512 q + r + p has one solution with 0 <= r' < 512.
        let p = i64::from(<F as p3_field::PrimeField32>::ORDER_U32);
        let residue = (512 * q(inside) + r(inside) + p).rem_euclid(512);
        let far = (512 * q(inside) + r(inside) + p - residue) / 512;
        let wrapped = with(inside, 20, int(far - q(inside)));
        refused("accumulator off by p", &wrapped, &["conv: clamp"]);
        let wrapped = with(inside, 0, int(far - q(inside)));
        refused("accumulator off by p, rectified", &wrapped, &["conv: clamp"]);

        let last = find(&toy, "dense.q", 2, |q| (-100..100).contains(&q));
        let y = honest.small("dense", toy.cell(2, last.0, last.1));
        refused("last result", &toy.forged("dense", last.0, last.1, y + 1), &["dense: clamp"]);
        let lone = changed(&toy, |w| w.add("dense", toy.cell(2, last.0, last.1), 1));
        refused("last result alone", &lone, &["dense: clamp", "output 0"]);
    }
}

#[test]
fn inputs() {
    let toy = layers(PUBLIC);
    let (b, i) = find(&toy, "input", 0, |x| x < 126);
    let at = toy.cell(0, b, i);
    let copied = "input commitment: absorbed values";
    let remainder = &["conv: remainder"];
    refused_by("another value", &changed(&toy, |w| w.add("input", at, 1)), &[copied], remainder);
    for (value, claim) in [(128, "input: interval, upper"), (-128, "input: interval")] {
        let lie = changed(&toy, |w| w.column("input")[at] = int(value));
        refused_by("out of range", &lie, &[claim, copied], remainder);
    }
    // Padding in space is read by nothing.
    let spare = at | 15;
    assert!(
        toy.program.input.shape.h * toy.program.input.shape.w == 15,
        "the last cell of the plane is padding"
    );
    refused("padding", &changed(&toy, |w| w.column("input")[spare] = int(99)), &[]);
}

#[test]
fn another_input_than_the_committed_one() {
    let toy = layers(PUBLIC);
    let (honest, _) = toy.state();
    let mut other = toy.clone();
    other.inputs[1].data[3] ^= 1;
    let (mut statement, traces) = other.state();
    statement.inputs = honest.inputs.clone();
    refused("input", &other.witness_of(statement, &traces), &["input commitment: digest"]);
    let mut other = toy.clone();
    other.salts[2][7] += F::ONE;
    let (mut statement, traces) = other.state();
    statement.inputs = honest.inputs.clone();
    refused("salt", &other.witness_of(statement, &traces), &["input commitment: digest"]);
    let (mut statement, traces) = toy.state();
    statement.inputs.swap(0, 2);
    refused("exchanged", &toy.witness_of(statement, &traces), &["input commitment: digest"]);
}

#[test]
fn public_elements() {
    let mut toy = layers(PUBLIC);
    toy.program.input.public_channels = 1..2;
    refused("honest", &toy.witness(), &[]);
    let (mut statement, traces) = toy.state();
    statement.inputs[1].public[14] ^= 1;
    refused("statement", &toy.witness_of(statement, &traces), &["input: public elements"]);
    let shown = toy.program.input.public_elements()[4];
    let lie = changed(&toy, |w| w.column("input")[toy.cell(0, 1, shown)] = int(1));
    refused_by("column", &lie, &["input: public elements"], &["conv: remainder"]);
}

#[test]
fn sponges() {
    let toy = layers(PUBLIC);
    let claim = |what: &str| format!("input commitment: {what}");
    let (full, partial, copied) = (claim("full rounds"), claim("partial rounds"), claim("absorbed values"));
    let column = |what: &str| format!("input commitment.{what}");
    refused("message", &changed(&toy, |w| w.add(&column("message"), 0, 1)), &[&copied, &full]);
    refused("salt", &changed(&toy, |w| w.add(&column("salt"), 7, 1)), &[&full]);
    refused("partial", &changed(&toy, |w| w.add(&column("partial"), 3, 1)), &[&full, &partial]);
    refused("last partial", &changed(&toy, |w| w.add(&column("partial"), 19, 1)), &[&full, &partial]);
    // Round 3 feeds the partial rounds, round 7 the next permutation or the digest.
    refused("round 0", &changed(&toy, |w| w.add(&column("full"), 5, 1)), &[&full]);
    refused("round 3", &changed(&toy, |w| w.add(&column("full"), 50, 1)), &[&full, &partial]);
    refused("round 7", &changed(&toy, |w| w.add(&column("full"), 115, 1)), &[&full]);
    // A message digit moved between the places of one packed element: the same element, other values.
    let moved = changed(&toy, |w| {
        w.add(&column("message"), 0, -(1 << 8));
        w.add(&column("message"), 1, 1);
    });
    refused("another packing", &moved, &[&copied]);
    let (mut statement, traces) = toy.state();
    statement.inputs[0].commitment[0] ^= 1;
    refused("digest", &toy.witness_of(statement, &traces), &["input commitment: digest"]);
}

#[test]
fn no_real_cell_of_a_commitment_is_free() {
    let toy = layers(PUBLIC);
    let honest = toy.witness();
    // 45 values, 24 a permutation: 3 permutations of 4 for each of 3 lists of 4.
    for list in 0..3 {
        for block in 0..3 {
            for (name, log, real) in [("full", 7, 128), ("partial", 5, 20)] {
                for cell in (0..real).step_by(3) {
                    let mut lie = honest.clone();
                    lie.add(&format!("input commitment.{name}"), (((list << 2) + block) << log) + cell, 1);
                    let named = lie.named().unwrap_or_else(|| panic!("{name} {list} {block} {cell} is free"));
                    assert!(named.starts_with("input commitment: "), "{name} {list} {block} {cell}: {named}");
                }
            }
        }
    }
}

#[test]
fn no_digit_of_a_commitment_is_free() {
    // Digits beside the last value included: free ones would let an element, and so the digest, stay while a value changes.
    let honest = layers(PUBLIC).witness();
    let column = "input commitment.message";
    // Three lists of four.
    for cell in 0..honest.cells[honest.index(column)].len() / 4 * 3 {
        let mut lie = honest.clone();
        lie.add(column, cell, 1);
        let violated = lie.violated_among("input commitment");
        assert!(violated.contains("input commitment: absorbed values"), "digit {cell} is free");
    }
}

#[test]
fn no_real_cell_of_a_value_is_free() {
    for toy in [layers(PUBLIC), pools(), residual()] {
        let honest = toy.witness();
        let types = toy.program.check().expect("a well-formed toy");
        let names = std::iter::once("input").chain(toy.program.nodes.iter().map(|n| n.name.as_str()));
        for (id, name) in names.enumerate() {
            for column in [name.to_string(), format!("{name}.q")] {
                if !honest.system.columns.iter().any(|c| c.name == column) {
                    continue;
                }
                for (b, i) in
                    (0..toy.inputs.len()).flat_map(|b| (0..types[id].shape.len()).map(move |i| (b, i)))
                {
                    let mut lie = honest.clone();
                    lie.add(&column, toy.cell(id, b, i), 1);
                    assert!(lie.named().is_some(), "{column} of input {b}, element {i} is free");
                }
            }
        }
    }
}

/// A mean, a maximum with padding and a minimum over one input of negative values.
fn pools() -> Toy {
    let padded = Window { kernel: [2, 2], stride: [1, 1], pad: [1, 0, 0, 1] };
    let nodes = vec![
        node("mean", Op::AveragePool(AveragePool { window: window([3, 3], [1, 2]) }), &[0]),
        node("min", Op::ExtremePool(ExtremePool { window: window([1, 2], [1, 1]), smallest: true }), &[1]),
        node("max", Op::ExtremePool(ExtremePool { window: padded, smallest: false }), &[0]),
    ];
    let outputs = vec![Output::Values(2), Output::Values(3)];
    let mut toy = Toy::random(program([1, 3, 5], nodes, outputs, PUBLIC), 2, 50);
    toy.inputs.iter_mut().flat_map(|x| &mut x.data).for_each(|v| *v = -v.abs() - 1);
    toy.inputs.iter_mut().flat_map(|x| &mut x.data).for_each(|v| *v = (*v).max(-127));
    // A tie: the first two of the last row.
    let Tensor { data, .. } = &mut toy.inputs[0];
    (data[10], data[11]) = (-1, -1);
    toy
}

#[test]
fn means() {
    let toy = pools();
    let at = toy.cell(1, 1, 0);
    let honest = toy.witness();
    let y = honest.small("mean", at);
    let Op::AveragePool(pool) = &toy.program.nodes[0].op else { panic!("the first node is a mean") };
    assert_eq!(pool.divisor(), 9);
    let window: i64 = [0, 1, 2, 5, 6, 7, 10, 11, 12].iter().map(|i| i64::from(toy.inputs[1].data[*i])).sum();
    let r = window + 4 - 9 * y;
    assert!((0..9).contains(&r));
    // Of a remainder x the look-ups see x and 8 - x, in a table of 16 rows.
    let claims = |x: i64| {
        let outside = |key: i64| !(0..16).contains(&key);
        let names = [(outside(x), "mean: remainder"), (outside(8 - x), "mean: remainder, upper")];
        names.into_iter().filter(|(refuses, _)| *refuses).map(|(_, name)| name).collect::<Vec<_>>()
    };
    refused("one more", &toy.forged("mean", 1, 0, y + 1), &claims(r - 9));
    refused("one less", &toy.forged("mean", 1, 0, y - 1), &claims(r + 9));
    let step = if r < 8 { 1 } else { -1 };
    let mut fraction = toy.forged("mean", 1, 0, y);
    fraction.column("mean")[at] -= int(9).inverse() * int(step);
    let violated = fraction.violated();
    assert!(violated.iter().any(|c| c.starts_with("mean: mean")), "{violated:?}");
}

#[test]
fn extremes() {
    let toy = pools();
    let honest = toy.witness();
    // Window (0, 4) of the maximum holds one element, the input's (0, 4); window (2, 0) holds the tie in its second row.
    let (single, tied) = (toy.cell(3, 0, 4), toy.cell(3, 0, 10));
    let (y_single, y_tied) = (honest.small("max", single), honest.small("max", tied));
    assert_eq!(y_tied, -1);
    // Cell of (batch, channel 1, 2 dy + dx, 5 oy + ox) with 1 + 0 + 2 + 4 bits.
    let chosen =
        |b: usize, dy: usize, oy: usize, dx: usize, ox: usize| ((b * 2 + dy) * 2 + dx) * 16 + 5 * oy + ox;
    let (first, second) = (chosen(0, 1, 2, 0, 0), chosen(0, 1, 2, 1, 0));
    assert_eq!((honest.small("max.chosen", first), honest.small("max.chosen", second)), (1, 0));

    refused("too large", &toy.forged("max", 0, 4, y_single + 1), &["max: chosen"]);
    refused("too small", &toy.forged("max", 0, 4, y_single - 1), &["max: chosen", "max: extreme"]);
    // Another element of the window, chosen properly, that is not the largest.
    let elsewhere = honest.small("input", toy.cell(0, 0, 5));
    let mut smaller = toy.forged("max", 0, 10, elsewhere);
    smaller.column("max.chosen")[first] = F::ZERO;
    smaller.column("max.chosen")[chosen(0, 0, 2, 0, 0)] = F::ONE;
    refused("an element that is not the largest", &smaller, &["max: extreme"]);
    refused("nothing chosen", &changed(&toy, |w| w.add("max.chosen", first, -1)), &["max: one chosen"]);
    refused("chosen twice", &changed(&toy, |w| w.add("max.chosen", first, 1)), &["max: one chosen"]);
    let lie = changed(&toy, |w| w.add("max.chosen", chosen(0, 0, 2, 0, 0), 1));
    refused("a second choice", &lie, &["max: chosen", "max: one chosen"]);
    let split = changed(&toy, |w| {
        w.add("max.chosen", first, 6);
        w.add("max.chosen", second, -6);
    });
    refused("a choice split over a tie", &split, &[]);
    // All elements are negative: 0, as padding reads, would be the largest if padding could be chosen.
    let mut padding = toy.forged("max", 0, 4, 0);
    padding.column("max.chosen")[chosen(0, 1, 0, 0, 4)] = F::ZERO;
    padding.column("max.chosen")[chosen(0, 0, 0, 0, 4)] = F::ONE;
    refused("padding chosen", &padding, &["max: one chosen"]);
    let both = changed(&toy, |w| w.add("max.chosen", chosen(0, 0, 0, 0, 4), 1));
    refused("padding chosen beside the element", &both, &["max: chosen"]);

    let x = [0, 1].map(|i| honest.small("mean", toy.cell(1, 1, i)));
    let (low, high) = (x[0].min(x[1]), x[0].max(x[1]));
    assert!(low < high && honest.small("min", toy.cell(2, 1, 0)) == low, "{x:?}");
    let minimum = |y: i64, chosen: Option<usize>| {
        let mut w = claiming(&toy, 1, 0, y as i32);
        w.column("min")[toy.cell(2, 1, 0)] = int(y);
        if let Some(place) = chosen {
            w.column("min.chosen")[2..4].fill(F::ZERO);
            w.column("min.chosen")[2 + place] = F::ONE;
        }
        w
    };
    refused("a minimum too small", &minimum(low - 1, None), &["min: chosen"]);
    refused("a minimum between", &minimum(low + 1, None), &["min: chosen", "min: extreme"]);
    let larger = usize::from(x[1] == high);
    refused("the other element", &minimum(high, Some(larger)), &["min: extreme"]);
}

/// Two gathers, their weighted sum and a table.
fn residual() -> Toy {
    let reversed = Gather { shape: Shape::new(2, 1, 3), index: (0..6).rev().collect() };
    let mixed = Gather { shape: Shape::new(2, 1, 3), index: vec![0, 7, 2, 9, 4, 11] };
    let sum = Add { factors: [3, -5], rescale: rescale(2, -90, 100) };
    let table = (-90..=100).map(|x| if x < 0 { x / 8 } else { x }).collect();
    let nodes = vec![
        node("reversed", Op::Gather(reversed), &[0]),
        node("mixed", Op::Gather(mixed), &[0, 1]),
        node("sum", Op::Add(sum), &[0, 2]),
        node("leaky", Op::Lut(Lut { first: -90, table }), &[3]),
    ];
    let mut toy = Toy::random(program([2, 1, 3], nodes, vec![Output::Values(4)], PUBLIC), 3, 60);
    toy.inputs.iter_mut().flat_map(|x| &mut x.data).for_each(|v| *v /= 4);
    toy
}

#[test]
fn sums_gathers_and_tables() {
    let toy = residual();
    let honest = toy.witness();
    let value = |name: &str, id: usize| honest.small(name, toy.cell(id, 2, 1));
    refused("gather", &toy.forged("reversed", 2, 1, value("reversed", 1) ^ 1), &["reversed: picked"]);
    refused("gather of two", &toy.forged("mixed", 2, 1, value("mixed", 2) ^ 1), &["mixed: picked"]);
    refused("sum", &toy.forged("sum", 2, 1, value("sum", 3) + 1), &["sum: clamp"]);
    refused("table", &toy.forged("leaky", 2, 1, value("leaky", 4) + 1), &["leaky: table"]);
    let at = toy.cell(3, 2, 1);
    let q = honest.small("sum.q", at);
    for step in [1, -1] {
        let mut shifted = toy.forged("sum", 2, 1, q + step);
        shifted.add("sum.q", at, step);
        refused("quotient with its result", &shifted, &["sum: remainder"]);
    }
    let lie = changed(&toy, |w| w.add("sum.q", at, 1));
    refused("quotient alone", &lie, &["sum: remainder", "sum: clamp"]);
    refused(
        "last result alone",
        &changed(&toy, |w| w.add("leaky", toy.cell(4, 0, 0), 1)),
        &["leaky: table", "output 0"],
    );
}

/// One input of logits whose largest element's index is public.
fn argmax(logits: &[i32]) -> Toy {
    let identity =
        Gather { shape: Shape::new(logits.len(), 1, 1), index: (0..logits.len() as u32).collect() };
    let nodes = vec![node("logits", Op::Gather(identity), &[0])];
    Toy::with_inputs(program([logits.len(), 1, 1], nodes, vec![Output::ArgMax(1)], PUBLIC), &[logits])
}

/// A value of 5 held against a threshold.
fn threshold(threshold: i32) -> Toy {
    let identity = Gather { shape: Shape::new(1, 1, 1), index: vec![0] };
    let output = Output::AtMost { value: 1, threshold };
    Toy::with_inputs(
        program([1, 1, 1], vec![node("value", Op::Gather(identity), &[0])], vec![output], PUBLIC),
        &[&[5], &[5], &[6]],
    )
}

/// The honest executions under a statement whose public words are others.
fn claiming(toy: &Toy, batch: usize, word: usize, value: i32) -> Witness {
    let (mut statement, traces) = toy.state();
    assert_ne!(statement.outputs[batch][word], value, "the lie must be one");
    statement.outputs[batch][word] = value;
    toy.witness_of(statement, &traces)
}

#[test]
fn outputs() {
    let toy = layers(PUBLIC);
    let (statement, _) = toy.state();
    refused("value", &claiming(&toy, 2, 1, statement.outputs[2][1] ^ 1), &["output 0"]);

    for (logits, class, lies) in [
        (&[3, 9, -4][..], 1, &[0, 2][..]),
        (&[9, 3, 9], 0, &[1, 2]),
        (&[-127, -127, -127], 0, &[1, 2]),
        (&[-127, 127, 127, -127, 127], 1, &[0, 2, 3, 4]),
    ] {
        let toy = argmax(logits);
        assert_eq!(toy.state().0.outputs, [[class]]);
        for lie in lies {
            refused("class", &claiming(&toy, 0, 0, *lie), &["output 0: largest"]);
        }
        for outside in [-1, logits.len() as i32, i32::MAX, i32::MIN] {
            let (mut statement, _) = toy.state();
            statement.outputs[0][0] = outside;
            let check = statement.check().expect_err("no class").check;
            assert_eq!(check, "statement.output");
        }
    }

    for (theta, bits) in
        [(4, [0, 0, 0]), (5, [1, 1, 0]), (6, [1, 1, 1]), (-32768, [0, 0, 0]), (32768, [1, 1, 1])]
    {
        let toy = threshold(theta);
        assert_eq!(toy.state().0.outputs.concat(), bits);
        refused("honest bits", &toy.witness(), &[]);
        for (batch, bit) in bits.into_iter().enumerate() {
            refused("bit", &claiming(&toy, batch, 0, 1 - bit), &["output 0: bit"]);
            let counted = toy.changed(|w| w.add("output 0.counted", batch, 1 - 2 * i64::from(bit)));
            refused("counted", &counted, &["output 0: bit", "output 0: threshold"]);
            let (mut statement, _) = toy.state();
            statement.outputs[batch][0] = 2;
            assert_eq!(statement.check().expect_err("no bit").check, "statement.output");
        }
    }
}

#[test]
fn a_lie_gives_no_proof() {
    let toy = residual();
    let honest = toy.witness();
    let at = toy.cell(3, 2, 1);
    let table = toy.forged("leaky", 2, 1, honest.small("leaky", toy.cell(4, 2, 1)) + 1);
    let mut sum = honest.clone();
    sum.add("sum.q", at, 1);
    let mut sbox = honest.clone();
    sbox.add("input commitment.full", 5, 1);
    for (lie, expected) in [(table, "leaky: table"), (sum, "sum: remainder"), (sbox, "linear relations")] {
        let mut rng = StdRng::seed_from_u64(1);
        let binding = lie.statement.binding(Kind::Device);
        let result = prove_system(lie.arithmetized(), &binding, &mut rng);
        match result.err() {
            Some(ProveError::Unsatisfied(name)) => assert_eq!(name, expected),
            other => panic!("{expected}: {other:?}"),
        }
    }
}

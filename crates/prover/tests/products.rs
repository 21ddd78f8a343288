//! Products, quotients and sums of values: lies with the claims that refuse each, bounds, and edges.

mod graphs;
mod reference;
mod toys;

use graphs::{hold, proves};
use p3_field::{Field, PrimeCharacteristicRing, PrimeField32};
use proofmesh_graph::op::{Divide, Gather, Lut, MatMul, Multiply, Op, ReduceSum, Rescale};
use proofmesh_graph::program::{Interval, Output, Program, WeightMode};
use proofmesh_graph::tensor::Shape;
use proofmesh_proof::field::{F, int};
use toys::{Toy, Witness, node, program, refused, rescale};

const P: i64 = F::ORDER_U32 as i64;

/// A sum that is kept as it is.
fn exact(axes: [bool; 3]) -> Op {
    Op::ReduceSum(ReduceSum { axes, factor: 1, rescale: rescale(0, -32768, 32768) })
}

fn multiply(rescale: Rescale) -> Op {
    Op::Multiply(Multiply { rescale })
}

fn mat_mul(transposed: bool, rescale: Rescale) -> Op {
    Op::MatMul(MatMul { transposed, rescale })
}

/// A program whose last value is public.
fn last_of(shape: [usize; 3], nodes: Vec<(&str, Op, &[usize])>) -> Program {
    let outputs = vec![Output::Values(nodes.len())];
    let nodes = nodes.into_iter().map(|(name, op, inputs)| node(name, op, inputs)).collect();
    program(shape, nodes, outputs, WeightMode::Public)
}

/// Every row's sum, and each element times its row's sum; a batch of three.
fn scaled() -> Toy {
    let nodes = vec![
        ("sum", exact([false, false, true]), &[0][..]),
        ("product", multiply(rescale(8, -200, 200)), &[0, 1]),
    ];
    Toy::random(last_of([2, 3, 5], nodes), 3, 100)
}

/// A matrix product and the square of its result, the second factor transposed.
fn matrices() -> Toy {
    let other = Gather { shape: Shape::new(2, 5, 3), index: (0..30).rev().collect() };
    let nodes = vec![
        ("other", Op::Gather(other), &[0][..]),
        ("scores", mat_mul(false, rescale(9, -120, 120)), &[0, 1]),
        ("square", mat_mul(true, rescale(8, -100, 110)), &[2, 2]),
    ];
    Toy::random(last_of([2, 3, 5], nodes), 3, 110)
}

/// A share of each row: the magnitude over the sum of the row's magnitudes, from 1.
fn shares() -> Toy {
    let magnitude = Lut { first: -127, table: (-127i32..=127).map(i32::abs).collect() };
    let sum = ReduceSum { axes: [false, false, true], factor: 1, rescale: rescale(0, 1, 700) };
    let nodes = vec![
        ("magnitude", Op::Lut(magnitude), &[0][..]),
        ("total", Op::ReduceSum(sum), &[1]),
        ("share", Op::Divide(Divide { scale: 100 }), &[1, 2]),
    ];
    Toy::random(last_of([2, 3, 5], nodes), 3, 120)
}

/// The quotient of an element of the last value in an honest witness.
fn quotient(toy: &Toy, name: &str, id: usize, batch: usize, element: usize) -> i64 {
    toy.witness().small(&format!("{name}.q"), toy.cell(id, batch, element))
}

/// A batch and element whose quotient is inside the clamp by a margin.
fn inside(toy: &Toy, name: &str, id: usize, clamp: [i64; 2]) -> (usize, usize) {
    let len = toy.program.check().unwrap()[id].shape.len();
    let mut all = (0..toy.inputs.len()).flat_map(|b| (0..len).map(move |i| (b, i)));
    let fits = |(b, i): &(usize, usize)| (clamp[0]..=clamp[1]).contains(&quotient(toy, name, id, *b, *i));
    all.find(fits).expect("an unsaturated element")
}

/// The lies about a rescaled accumulator of a last node, `sums` being the claim that binds the accumulator; `cell` gives its place.
fn rescaled_lies(
    toy: &Toy,
    name: &str,
    id: usize,
    shift: u32,
    clamp: [i64; 2],
    sums: &str,
    cell: fn(&Toy, usize, usize) -> usize,
) {
    let (b, i) = inside(toy, name, id, clamp);
    let (at, q) = (toy.cell(id, b, i), quotient(toy, name, id, b, i));
    let claim = |what: &str| format!("{name}: {what}");
    let acc = format!("{name}.acc");
    let with = |y: i64, dq: F, da: i64| {
        let mut w = toy.forged(name, b, i, y);
        w.column(&format!("{name}.q"))[at] += dq;
        w.add(&acc, cell(toy, b, i), da);
        w
    };
    let width = 1i64 << shift;
    let r = toy.witness().small(&acc, cell(toy, b, i)) + width / 2 - width * q;
    assert!((0..width).contains(&r));
    refused("result", &with(q + 1, F::ZERO, 0), &[&claim("clamp")]);
    refused("quotient with its result", &with(q + 1, F::ONE, 0), &[&claim("remainder")]);
    refused("a lower quotient", &with(q - 1, -F::ONE, 0), &[&claim("remainder")]);
    refused("accumulator with its quotient", &with(q + 1, F::ONE, width), &[&claim(sums)]);
    let step = if r < width / 2 { 1 } else { -1 };
    refused("accumulator", &with(q, F::ZERO, step), &[&claim(sums)]);
    refused("quotient off by a fraction", &with(q, int(width).inverse() * int(-step), 0), &[&claim("clamp")]);
    // Off by p itself: 2^k q' + r' = 2^k q + r + p has one solution with 0 <= r' < 2^k.
    let far = (width * q + r + P).div_euclid(width);
    refused("accumulator off by p", &with(q, int(far - q), 0), &[&claim("clamp")]);
}

#[test]
fn honest_witnesses_violate_nothing() {
    for toy in [scaled(), matrices(), shares()] {
        refused("honest", &toy.witness(), &[]);
        hold(&toy).unwrap_or_else(|e| panic!("{e}"));
        proves(&toy, 1);
    }
}

#[test]
fn lies_about_products() {
    let toy = scaled();
    rescaled_lies(&toy, "product", 2, 8, [-190, 190], "products", |toy, b, i| toy.cell(2, b, i));
    let types = toy.program.check().unwrap();
    let sum = |b: usize, row: usize| toy.witness().small("sum", toy.cell(1, b, row));
    // Another row's sum, in the sum itself or in the product alone.
    let (b, row) = (1, 4);
    let other = (0..6).find(|r| sum(b, *r) != sum(b, row)).expect("rows of different sums");
    refused("another row's sum", &toy.forged("sum", b, row, sum(b, other)), &["sum: sums"]);
    let (rows, width) = (types[0].shape.h, types[0].shape.w);
    assert_eq!((rows, width), (3, 5));
    let moved = (0..30).find_map(|i| {
        let x = i64::from(toy.inputs[b].data[i]);
        let [honest, wrong] = [0, 1].map(|other| x * sum(b, (i / width + other) % 6));
        let (y, (q, _)) = (rescale(8, -200, 200).apply(wrong), rescale(8, -200, 200).divide(wrong));
        (honest != wrong && i64::from(y) == q).then_some((i, q, wrong - honest))
    });
    let (i, q, difference) = moved.expect("an element that tells the rows apart");
    let mut lie = toy.forged("product", b, i, q);
    let at = toy.cell(2, b, i);
    lie.column("product.q")[at] = int(q);
    lie.add("product.acc", at, difference);
    refused("a product with another row's sum", &lie, &["product: products"]);
}

#[test]
fn lies_about_matrix_products() {
    let toy = matrices();
    // Batch, channel, rows and columns of 3, 2, 3 and 3, each padded by itself.
    let cell = |_: &Toy, b: usize, i: usize| (b * 2 + i / 9) * 16 + i % 9 / 3 * 4 + i % 3;
    rescaled_lies(&toy, "square", 3, 8, [-95, 100], "accumulators", cell);
    // A consistent lie in the middle: the next product reads it, and its own claim refuses.
    let (b, i) = inside(&toy, "scores", 2, [-110, 110]);
    let q = quotient(&toy, "scores", 2, b, i);
    refused("a score", &toy.forged("scores", b, i, q + 1), &["scores: clamp"]);
    let mut moved = toy.forged("scores", b, i, q + 1);
    moved.add("scores.q", toy.cell(2, b, i), 1);
    refused("a score with its quotient", &moved, &["scores: remainder"]);
    moved.add("scores.acc", cell(&toy, b, i), 1 << 9);
    refused("a score with its sum", &moved, &["scores: accumulators"]);
    let value = |e: usize| toy.witness().small("other", toy.cell(1, 0, e));
    let (x, y) = (value(1), value(5));
    assert_ne!(x, y);
    let mut exchanged = toy.witness();
    exchanged.column("other")[toy.cell(1, 0, 1)] = int(y);
    exchanged.column("other")[toy.cell(1, 0, 5)] = int(x);
    refused("a factor's elements exchanged", &exchanged, &["other: picked", "scores: accumulators"]);
}

#[test]
fn lies_about_quotients() {
    let toy = shares();
    let honest = toy.witness();
    // An element of some size, by a divisor that another row has not.
    let small = |name: &str, id: usize, i: usize| honest.small(name, toy.cell(id, 1, i));
    let telling = |i: &usize| {
        let (divisor, other) = (small("total", 2, i / 5), small("total", 2, (i / 5 + 1) % 6));
        small("share", 3, *i) > 5 && divisor > 100 && (divisor - other).abs() > 40
    };
    let (b, i) = (1, (0..30).find(telling).expect("an element of some size"));
    let (at, total) = (toy.cell(3, b, i), toy.cell(2, b, i / 5));
    let (y, r) = (honest.small("share", at), honest.small("share.r", at));
    let divisor = honest.small("total", total);
    let with = |dy: i64, dr: i64| {
        let mut w = toy.forged("share", b, i, y + dy);
        w.add("share.r", at, dr);
        w
    };
    refused("quotient", &with(1, 0), &["share: division"]);
    refused("remainder", &with(0, if r > 0 { -1 } else { 1 }), &["share: division"]);
    let (above, below) = (with(-1, 2 * divisor), with(1, -2 * divisor));
    assert!(above.violated().contains("share: remainder below the divisor"));
    assert!(above.violated().is_subset(&names(&["share: remainder below the divisor", "share: remainder"])));
    assert!(below.violated().contains("share: remainder"));
    assert!(below.violated().is_subset(&names(&["share: remainder below the divisor", "share: remainder"])));
    // The same in the field, not in the integers: a fraction, and a dividend off by p.
    let mut fraction = with(0, if r > 0 { -1 } else { 1 });
    fraction.column("share")[at] += int(2 * divisor).inverse() * int(if r > 0 { 1 } else { -1 });
    only_output_beside(&fraction, "share: quotient");
    let sum = 2 * y * divisor + r + P;
    let mut wrapped = toy.witness();
    wrapped.column("share")[at] = int(sum / (2 * divisor));
    wrapped.column("share.r")[at] = int(sum % (2 * divisor));
    only_output_beside(&wrapped, "share: quotient");
    // A divisor of 0 would leave the quotient free.
    let mut zero = toy.witness();
    zero.column("total")[total] = F::ZERO;
    assert!(
        zero.violated().contains("total: clamp")
            && zero.violated().contains("share: remainder below the divisor")
    );
    // Another row's divisor: the quotient and remainder of that division.
    let other = honest.small("total", toy.cell(2, b, (i / 5 + 1) % 6));
    let n = 2 * y * divisor + r - divisor + other;
    let moved = with(n / (2 * other) - y, n % (2 * other) - r);
    assert!(n / (2 * other) != y && moved.violated().contains("share: division"), "{:?}", moved.violated());
}

/// A set of names.
fn names(of: &[&str]) -> std::collections::BTreeSet<String> {
    of.iter().map(|s| s.to_string()).collect()
}

/// A last value that is no small integer is refused by a claim and by the output.
fn only_output_beside(lie: &Witness, claim: &str) {
    assert_eq!(lie.violated(), names(&["output 0", claim]));
}

#[test]
fn lies_about_sums_and_zeros() {
    let nodes = vec![
        (
            "all",
            Op::ReduceSum(ReduceSum { axes: [true, false, true], factor: -7, rescale: rescale(5, -90, 90) }),
            &[0][..],
        ),
        (
            "wider",
            Op::Gather(Gather {
                shape: Shape::new(1, 1, 5),
                index: vec![0, Gather::ZERO, 1, 2, Gather::ZERO],
            }),
            &[1],
        ),
        ("last", exact([false, true, true]), &[2]),
    ];
    let toy = Toy::random(last_of([2, 3, 5], nodes), 3, 130);
    refused("honest", &toy.witness(), &[]);
    let (b, i) = inside(&toy, "all", 1, [-80, 80]);
    let q = quotient(&toy, "all", 1, b, i);
    refused("sum", &toy.forged("all", b, i, q + 1), &["all: clamp"]);
    let mut moved = toy.forged("all", b, i, q + 1);
    moved.add("all.q", toy.cell(1, b, i), 1);
    refused("sum with its quotient", &moved, &["all: remainder"]);
    refused("a zero that is none", &toy.forged("wider", b, 1, 1), &["wider: picked"]);
    refused("an element for a zero", &toy.forged("wider", b, 4, q), &["wider: picked"]);
    let last = toy.witness().small("last", toy.cell(3, b, 0));
    refused("exact sum", &toy.forged("last", b, 0, last + 1), &["last: sums"]);
    // The sum of the row reads five elements; what lies beside them is not among them.
    let padded = toy.changed(|w| {
        let at = toy.cell(2, b, 4) + 1;
        w.column("wider")[at] = int(50);
    });
    assert!(padded.violated().is_subset(&names(&["wider: picked"])), "{:?}", padded.violated());
    proves(&toy, 2);
}

#[test]
fn bounds() {
    let wide = |nodes: Vec<(&str, Op, &[usize])>, lo: i32, hi: i32| {
        let mut program = last_of([1, 1, 2], nodes);
        program.input.interval = Interval { lo, hi };
        program
    };
    let square = |shift: u32, lo: i32, hi: i32| {
        wide(vec![("square", multiply(rescale(shift, -30000, 30000)), &[0, 0][..])], lo, hi)
    };
    // 23170^2 = 536848900 < 2^29 = 536870912 < 23171^2.
    let toy = Toy::with_inputs(square(13, -23170, 23170), &[&[23170, -23170], &[0, 1]]);
    hold(&toy).unwrap_or_else(|e| panic!("{e}"));
    proves(&toy, 3);
    assert!(square(13, -23171, 0).check().is_err() && square(13, 0, 23171).check().is_err());
    assert!(square(11, -23170, 23170).check().is_err(), "more quotients than a clamp table holds");
    let pair = |lo: i32, hi: i32| {
        wide(vec![("dot", mat_mul(true, rescale(13, -30000, 30000)), &[0, 0][..])], lo, hi)
    };
    // 2 * 16384^2 = 2^29.
    let toy = Toy::with_inputs(pair(-16383, 16383), &[&[16383, -16383], &[-16383, 0]]);
    hold(&toy).unwrap_or_else(|e| panic!("{e}"));
    proves(&toy, 4);
    assert!(pair(-16384, 0).check().is_err());

    // Quotients of up to 2^15 by divisors of up to 2^13: 2 * (2^15 - 1) * 2^13 + 2^14 = 2^29.
    let divide = |scale: i32, lo: i32, hi: i32| {
        let table = Op::Lut(Lut { first: lo, table: (lo..=hi).map(|x| x.max(1)).collect() });
        wide(vec![("divisor", table, &[0][..]), ("share", Op::Divide(Divide { scale }), &[0, 1])], lo, hi)
    };
    let toy = Toy::with_inputs(divide(3, 0, 8192), &[&[8192, 8191], &[0, 1], &[2, 3]]);
    hold(&toy).unwrap_or_else(|e| panic!("{e}"));
    proves(&toy, 5);
    assert_eq!(toy.program.run(&toy.inputs[0]).unwrap(), [3, 3]);
    assert_eq!(toy.program.run(&toy.inputs[1]).unwrap(), [0, 3]);
    assert!(
        divide(4, 0, 8192).check().is_err(),
        "a quotient beyond 16 bits: 4 * 8192 + 1/2 is 2^15, and its table reaches 2^16"
    );
    assert!(divide(3, -1, 8192).check().is_err(), "a negative dividend");
    assert!(divide(0, 0, 8192).check().is_err(), "no scale");
    let by_zero = wide(vec![("share", Op::Divide(Divide { scale: 1 }), &[0, 0][..])], 0, 9);
    assert!(by_zero.check().is_err(), "a divisor that can be 0");
}

#[test]
fn quotients_round_half_up() {
    let shape = Shape::new(1, 1, 2);
    let share = Op::Divide(Divide { scale: 3 });
    for ([a, b], y) in
        [([1, 2], 2), ([1, 6], 1), ([1, 7], 0), ([0, 1], 0), ([5, 2], 8), ([5, 3], 5), ([100, 7], 43)]
    {
        let tensor = |v: i32| proofmesh_graph::tensor::Tensor::new(shape, vec![v; 2]).unwrap();
        assert_eq!(share.row().execute(&[&tensor(a), &tensor(b)]).data, [y; 2], "3 * {a} / {b}");
    }
}

#[test]
fn edges() {
    let unit = rescale(4, -127, 127);
    let ones = |op: Op| last_of([1, 1, 1], vec![("only", op, &[0, 0][..])]);
    let sum = |axes: [bool; 3], rescale| Op::ReduceSum(ReduceSum { axes, factor: 3, rescale });
    let mut positive = last_of([1, 1, 1], vec![("only", Op::Divide(Divide { scale: 7 }), &[0, 0][..])]);
    positive.input.interval = Interval { lo: 1, hi: 9 };
    let spread = |from: [usize; 3], axes: [bool; 3]| {
        last_of(
            from,
            vec![("sum", exact(axes), &[0][..]), ("product", multiply(rescale(9, -127, 127)), &[1, 0])],
        )
    };
    let outer = Gather { shape: Shape::new(3, 1, 5), index: (0..15).collect() };
    let column = Gather { shape: Shape::new(1, 7, 1), index: (0..7).collect() };
    let cases: Vec<(&str, Program)> = vec![
        ("one product", ones(multiply(unit))),
        ("one matrix of one", ones(mat_mul(false, unit))),
        ("one matrix of one, transposed", ones(mat_mul(true, unit))),
        ("one quotient", positive),
        ("no axis summed", last_of([2, 1, 3], vec![("only", sum([false; 3], unit), &[0][..])])),
        ("one axis of one", last_of([1, 1, 1], vec![("only", sum([true; 3], unit), &[0][..])])),
        (
            "everything summed",
            last_of([3, 5, 7], vec![("only", sum([true; 3], rescale(9, -127, 127)), &[0][..])]),
        ),
        ("repeated along channels", spread([3, 2, 5], [true, false, false])),
        ("repeated along rows", spread([3, 6, 5], [false, true, false])),
        ("repeated along columns", spread([2, 3, 7], [false, false, true])),
        ("repeated everywhere", spread([3, 3, 3], [true, true, true])),
        (
            "each repeated along the other's axis",
            last_of(
                [3, 5, 1],
                vec![
                    ("outer", Op::Gather(outer), &[0][..]),
                    ("column", Op::Gather(column), &[0]),
                    ("product", multiply(unit), &[1, 2]),
                ],
            ),
        ),
        ("an outer product", last_of([2, 5, 1], vec![("only", mat_mul(true, unit), &[0, 0][..])])),
        (
            "an inner product",
            last_of([3, 1, 9], vec![("only", mat_mul(true, rescale(10, -127, 127)), &[0, 0][..])]),
        ),
    ];
    for (i, (what, program)) in cases.into_iter().enumerate() {
        assert_eq!(program.check().err(), None, "{what}");
        for batch in [1, 3] {
            let toy = Toy::random(program.clone(), batch, i as u64);
            hold(&toy).unwrap_or_else(|e| panic!("{what}: {e}"));
            proves(&toy, i as u64);
        }
    }
}

#[test]
fn operands_that_do_not_fit_are_refused() {
    let unit = rescale(4, -127, 127);
    let pick = |c, h, w| Op::Gather(Gather { shape: Shape::new(c, h, w), index: vec![0; c * h * w] });
    let of = |other: Op, op: Op, operands: &[usize]| {
        last_of([2, 3, 5], vec![("other", other, &[0][..]), ("last", op, operands)]).check().is_ok()
    };
    assert!(of(pick(2, 1, 5), multiply(unit), &[0, 1]));
    assert!(!of(pick(2, 2, 5), multiply(unit), &[0, 1]));
    assert!(!of(pick(2, 3, 5), multiply(unit), &[0]));
    assert!(of(pick(2, 5, 4), mat_mul(false, unit_wide()), &[0, 1]));
    assert!(!of(pick(2, 5, 4), mat_mul(true, unit_wide()), &[0, 1]));
    assert!(of(pick(2, 4, 5), mat_mul(true, unit_wide()), &[0, 1]));
    assert!(!of(pick(1, 4, 5), mat_mul(true, unit_wide()), &[0, 1]), "another number of matrices");
    assert!(!of(pick(2, 4, 5), mat_mul(true, unit_wide()), &[1]));
    let share = || Op::Divide(Divide { scale: 1 });
    let positive = |c, h, w| {
        let mut program =
            last_of([2, 3, 5], vec![("other", pick(c, h, w), &[0][..]), ("last", share(), &[0, 1])]);
        program.input.interval = Interval { lo: 1, hi: 9 };
        program.check().is_ok()
    };
    assert!(positive(2, 3, 1) && positive(1, 1, 1) && positive(2, 3, 5));
    assert!(!positive(2, 3, 2) && !positive(2, 3, 10));
    let index = vec![0, 30];
    assert!(!of(Op::Gather(Gather { shape: Shape::new(1, 1, 2), index }), exact([true; 3]), &[0]));
}

fn unit_wide() -> Rescale {
    rescale(10, -127, 127)
}

/// A curve over all 16-bit values: rows cost what they should, and no more rows are possible.
#[test]
fn a_table_of_sixteen_bits() {
    let curve = |rows: i32| {
        Op::Lut(Lut { first: -32768, table: (0..rows).map(|i| (i * 31) % 65521 - 32760).collect() })
    };
    let mut program = last_of([3, 1, 5], vec![("curve", curve(1 << 16), &[0][..])]);
    program.input.interval = Interval { lo: -32768, hi: 32767 };
    let mut toy = Toy::random(program.clone(), 2, 140);
    (toy.inputs[0].data[0], toy.inputs[0].data[1]) = (-32768, 32767);
    hold(&toy).unwrap_or_else(|e| panic!("{e}"));
    let value = toy.witness().small("curve", toy.cell(1, 1, 14));
    refused("another row", &toy.forged("curve", 1, 14, value + 1), &["curve: table"]);
    proves(&toy, 6);
    let forecast = proofmesh_prover::forecast(&program, 2, proofmesh_prover::Machine::REFERENCE)
        .expect("a program within the limits");
    // The table's multiplicities and those of the input's range; the tree's leaves for both.
    assert_eq!((forecast.cells_log2, forecast.leaves_log2), (18, 18));
    program.nodes[0].op = curve((1 << 16) + 1);
    program.input.interval.hi = 32768;
    assert!(program.check().is_err(), "more rows than a table can have");
}

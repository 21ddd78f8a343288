//! Lattice commitments to private weights and large inputs: lies, hostile images, and what must stay as it is.

mod toys;

use p3_field::PrimeCharacteristicRing;
use proofmesh_graph::lattice::{Image, SALT_BLOCKS};
use proofmesh_graph::op::{AveragePool, Op, Window};
use proofmesh_graph::program::{Interval, Output, WeightMode};
use proofmesh_graph::statement::{self, ProofFile, decode_proof, encode_proof};
use proofmesh_proof::field::{F, int};
use proofmesh_proof::lattice::RING;
use proofmesh_proof::profile::Device;
use proofmesh_prover::Proved;
use rand::SeedableRng;
use rand::rngs::StdRng;
use toys::{Toy, Witness, conv, node, program, refused, refused_by, rescale, window};

/// An honest witness of the toy, changed.
fn changed(toy: &Toy, change: impl FnOnce(&mut Witness)) -> Witness {
    let mut witness = toy.witness();
    change(&mut witness);
    witness
}

/// Two layers. In one block lie weights `[3 -> 4][3 -> 4][6 -> 8]` and `[2][3 -> 4][9 -> 16]` at 0 and 128, digits of biases `[3 -> 4][2]`
/// and `[2][2]` at 256 and 264; then 21 blocks of salt: columns of 16, 4 and 2 blocks.
fn layers() -> Toy {
    let mut rng = StdRng::seed_from_u64(40);
    let padded = Window { kernel: [2, 3], stride: [1, 2], pad: [1, 1, 0, 1] };
    let nodes = vec![
        node("conv", conv(&mut rng, [3, 3, 1], padded, rescale(9, 0, 20), 30), &[0]),
        node("dense", conv(&mut rng, [3, 2, 1], window([3, 3], [1, 1]), rescale(9, -127, 127), -9), &[1]),
    ];
    Toy::random(program([3, 3, 5], nodes, vec![Output::Values(2)], WeightMode::Private), 3, 41)
}

/// A grouped and a plain convolution whose weights are cut into parts: `[20][12][9]` and `[10][20][1]`.
fn parts() -> Toy {
    let mut rng = StdRng::seed_from_u64(42);
    let nodes = vec![
        node("wide", conv(&mut rng, [12, 20, 1], window([3, 3], [1, 1]), rescale(10, 0, 127), 70), &[0]),
        node("groups", conv(&mut rng, [20, 20, 4], window([1, 2], [1, 1]), rescale(8, -127, 127), 5), &[1]),
        node("dense", conv(&mut rng, [20, 60, 1], window([2, 1], [1, 1]), rescale(8, -127, 127), -5), &[2]),
    ];
    Toy::random(program([12, 4, 4], nodes, vec![Output::Values(3)], WeightMode::Private), 2, 43)
}

/// The mean over an input of 4,160 elements: eight blocks an input, 21 blocks of salt.
fn large(batch: usize) -> Toy {
    let mean = Op::AveragePool(AveragePool { window: window([16, 13], [16, 13]) });
    let nodes = vec![node("mean", mean, &[0])];
    Toy::random(program([1, 64, 65], nodes, vec![Output::Values(1)], WeightMode::Public), batch, 44)
}

const IMAGE: &str = "weight commitment: image";
const BITS: &str = "weight commitment: 12 bits";

#[test]
fn honest_witnesses_violate_nothing() {
    for toy in [layers(), parts(), large(1), large(3)] {
        refused("honest", &toy.witness(), &[]);
    }
}

#[test]
fn private_weights() {
    let toy = layers();
    // A weight moves the remainders that it is part of; a small change may leave them in range.
    let moved = &["conv: remainder"];
    let (first, second, third) = ("weight commitment.0", "weight commitment.1", "weight commitment.2");
    refused_by("weight", &changed(&toy, |w| w.add(first, 0, 1)), &[IMAGE], moved);
    // A whole row of the second layer: what some of its weights multiply is 0 everywhere.
    let lie = changed(&toy, |w| (128..137).for_each(|cell| w.add(first, cell, 1)));
    refused_by("weights of the second layer", &lie, &[IMAGE], &["dense: remainder"]);
    for value in [2048, -2049] {
        let lie = changed(&toy, |w| w.column(first)[0] = int(value));
        refused_by("weight beyond 12 bits", &lie, &[BITS, IMAGE], moved);
    }
    refused_by("bias", &changed(&toy, |w| w.add(first, 258, 1)), &[IMAGE], moved);
    refused_by(
        "bias, high digit",
        &changed(&toy, |w| w.add(first, 259, 1)),
        &[IMAGE, "conv: remainder"],
        &[],
    );
    let borrowed = changed(&toy, |w| {
        w.add(first, 258, 4096);
        w.add(first, 259, -1);
    });
    refused("a digit borrowed, the bias the same", &borrowed, &[BITS, IMAGE]);
    // Padding of every axis, of the biases, and of the block.
    for cell in [6, 3 << 3, 3 << 5 | 1, 127, 262, 300, 1023] {
        refused("padding", &changed(&toy, |w| w.column(first)[cell] = int(-2048)), &[IMAGE]);
        refused(
            "padding out of range",
            &changed(&toy, |w| w.column(first)[cell] = int(2048)),
            &[BITS, IMAGE],
        );
    }
    for (column, cell) in [(first, 1024), (first, 16_383), (second, 7), (third, 0), (third, 2047)] {
        let flipped = |w: &mut Witness| {
            let delta = if w.small(column, cell) < 0 { 1 } else { -1 };
            w.add(column, cell, delta);
        };
        refused("salt", &changed(&toy, flipped), &[IMAGE]);
        refused("salt out of range", &changed(&toy, |w| w.column(column)[cell] = int(5000)), &[BITS, IMAGE]);
    }
    for cell in [0, 511, 1023] {
        refused("h", &changed(&toy, |w| w.add("weight commitment.h", cell, 1)), &[IMAGE]);
    }
}

#[test]
fn weights_of_a_layer_that_adds_up_much_have_fewer_bits() {
    // 18 terms of up to 32,000 leave 10 bits; the second layer reads small values.
    let mut toy = layers();
    toy.program.input.interval = Interval { lo: -32_000, hi: 32_000 };
    if let Op::Conv(conv) = &mut toy.program.nodes[0].op {
        conv.rescale.shift = 14;
        conv.weights[0] = -512;
        conv.weights[1] = 511;
    }
    let toy = Toy::random(toy.program, 2, 45);
    let types = toy.program.check().unwrap();
    let bits: Vec<u32> = (0..2)
        .map(|i| toy.program.nodes[i].op.conv().map_or(0, |conv| conv.private_bits(types[i])))
        .collect();
    assert_eq!(bits, [10, 12]);
    refused("honest", &toy.witness(), &[]);
    let (part, range) = ("weight commitment, 10-bit part.0", "weight commitment, 10-bit part: 10 bits");
    let moved = &["conv: remainder"];
    for value in [512, -513, 2047] {
        let lie = changed(&toy, |w| w.column(part)[0] = int(value));
        refused_by("weight beyond 10 bits", &lie, &[range, IMAGE], moved);
    }
    refused_by("another weight", &changed(&toy, |w| w.column(part)[0] = int(511)), &[IMAGE], moved);
    refused("padding", &changed(&toy, |w| w.column(part)[1000] = int(511)), &[IMAGE]);
    refused("padding out of range", &changed(&toy, |w| w.column(part)[1000] = int(512)), &[range, IMAGE]);
    proved(&toy);
    let mut wide = toy.program;
    if let Op::Conv(conv) = &mut wide.nodes[0].op {
        conv.weights[0] = 512;
    }
    let why = wide.check().unwrap_err().to_string();
    assert!(why.contains("10 bits that 18 terms leave"), "{why}");
}

#[test]
fn other_weights_than_the_committed_ones() {
    let toy = layers();
    let (statement, _) = toy.state();
    for change in 0..3 {
        let mut other = toy.clone();
        match (&mut other.program.nodes[change % 2].op, change) {
            (_, 2) => other.weight_salt[3] += int(1),
            (Op::Conv(conv), 0) => conv.weights[5] += 1,
            (Op::Conv(conv), _) => conv.bias[1] += 1,
            _ => unreachable!("both are convolutions"),
        }
        let (mut lie, traces) = other.state();
        assert_ne!(lie.weights, statement.weights, "the commitment binds");
        lie.weights = statement.weights;
        refused("other weights", &other.witness_with(lie, &toy.images(), &traces), &[IMAGE]);
    }
    let (honest, traces) = toy.state();
    let mut images = toy.images();
    images.weights = Some(Image::zero());
    refused("another image", &toy.witness_with(honest, &images, &traces), &[IMAGE]);
}

#[test]
fn no_cell_of_a_committed_vector_is_free() {
    for (toy, name, lists) in [(layers(), "weight commitment", 1), (large(2), "input commitment", 2)] {
        let honest = toy.witness();
        let columns = honest.system.columns.iter().enumerate();
        let ours: Vec<usize> = columns
            .filter(|(_, c)| c.name.starts_with(name) || (c.name == "input" && lists == 2))
            .map(|(i, _)| i)
            .collect();
        assert!(ours.len() >= 4);
        for column in ours {
            for cell in (0..honest.cells[column].len()).step_by(911) {
                let mut lie = honest.clone();
                lie.cells[column][cell] += F::ONE;
                let image = format!("{name}: image");
                assert!(lie.violated_among(&image).contains(&image), "column {column}, cell {cell} is free");
            }
        }
    }
}

#[test]
fn large_inputs() {
    let toy = large(3);
    let image = "input commitment: image";
    let at = toy.cell(0, 1, 70);
    let sign = if toy.witness().small("input", at) < 0 { 1 } else { -1 };
    let claims = toy.witness().system;
    let moved: Vec<&str> =
        claims.lookups.iter().map(|l| l.name.as_str()).filter(|n| n.starts_with("mean")).collect();
    refused_by("another value", &changed(&toy, |w| w.add("input", at, sign)), &[image], &moved);
    // A plane ends at 4,160 of 8,192 cells: padding counts, and is bounded.
    let spare = toy.cell(0, 1, 0) + 4160;
    refused("padding", &changed(&toy, |w| w.column("input")[spare] = int(9)), &[image]);
    let lie = changed(&toy, |w| w.column("input")[spare] = int(-128));
    refused("padding out of range", &lie, &["input: interval", image]);
    let lie = changed(&toy, |w| w.column("input")[spare] = int(128));
    refused("padding out of range", &lie, &["input: interval, upper", image]);
    refused(
        "salt",
        &changed(&toy, |w| w.column("input commitment.0")[5] = int(5000)),
        &["input commitment: 12 bits", image],
    );
    refused("h", &changed(&toy, |w| w.add("input commitment.h", 2 * RING + 1, 1)), &[image]);
    // The fourth of three inputs is nobody's.
    refused("no input", &changed(&toy, |w| w.add("input commitment.h", 3 * RING + 1, 1)), &[]);
    let (mut statement, traces) = toy.state();
    statement.inputs.swap(0, 2);
    let mut images = toy.images();
    images.inputs.swap(0, 2);
    refused("exchanged", &toy.witness_with(statement, &images, &traces), &[image]);
    // Padding of an interval without 0 passes for an element.
    let mut positive = large(2);
    positive.program.input.interval.lo = 5;
    positive.inputs.iter_mut().flat_map(|x| &mut x.data).for_each(|v| *v = (*v).max(5));
    refused("positive", &positive.witness(), &[]);
}

#[test]
fn zeta_is_no_coordinate_of_the_batch() {
    // No claim but the image reads challenges here: the largest class is a look-up.
    let mut toy = large(3);
    toy.program.outputs = vec![Output::ArgMax(1)];
    proved(&toy);
}

#[test]
fn small_inputs_public_channels_and_wide_intervals_keep_the_sponge() {
    let large = large(1);
    assert_eq!(large.images().inputs.len(), 1);
    let mut wide = large.clone();
    wide.program.input.interval.lo = -4000;
    let mut exact = large.clone();
    exact.program.input.interval.lo = 127 - 4095;
    assert_eq!((wide.images().inputs.len(), exact.images().inputs.len()), (0, 1));
    let mut shown = large;
    shown.program.input.public_channels = 0..1;
    assert_eq!(shown.images().inputs.len(), 0);
}

/// An honest proof, checked.
fn proved(toy: &Toy) -> Proved {
    let proved = toy.prove(7);
    statement::verify(&proved.statement, &proved.file).expect("an honest proof verifies");
    proved
}

#[test]
fn hostile_images_are_refused_by_name() {
    for (toy, check, count) in [(layers(), "statement.weights", 1), (large(2), "statement.input", 2)] {
        let proved = proved(&toy);
        let honest = decode_proof::<Device>(&proved.file).expect("an honest file");
        assert_eq!(honest.images.len(), count);
        let refusal = |change: &dyn Fn(&mut Vec<Vec<u8>>)| {
            let ProofFile { claimed, mut images, proof } = honest.clone();
            change(&mut images);
            let file = encode_proof(&ProofFile { claimed, images, proof });
            statement::verify(&proved.statement, &file).expect_err("a hostile image").check
        };
        assert_eq!(refusal(&|i| i.clear()), check);
        assert_eq!(refusal(&|i| i.push(i[0].clone())), check);
        assert_eq!(refusal(&|i| i[0].push(0)), check);
        assert_eq!(refusal(&|i| i[0].truncate(4095)), check);
        assert_eq!(refusal(&|i| i[0].resize(1 << 20, 0)), check);
        assert_eq!(refusal(&|i| i[count - 1][77] ^= 1), check);
        assert_eq!(refusal(&|i| i[0][..4].fill(0xff)), check);
        // The same coefficient, spelt beyond the prime: only small ones have a second spelling.
        let word = u32::from_le_bytes(honest.images[0][..4].try_into().expect("four bytes"));
        if let Some(beyond) = word.checked_add(0x7f00_0001) {
            assert_eq!(refusal(&|i| i[0][..4].copy_from_slice(&beyond.to_le_bytes())), check);
        }
    }
    // No image where none belongs.
    let mut plain = layers();
    plain.program.weights = WeightMode::Public;
    let proved = proved(&plain);
    let mut file = decode_proof::<Device>(&proved.file).expect("an honest file");
    file.images.push(Image::zero().encode());
    let refused = statement::verify(&proved.statement, &encode_proof(&file)).expect_err("an image too many");
    assert_eq!(refused.check, "statement.input");
}

#[test]
fn one_commitment_serves_many_proofs_and_tells_nothing_else_apart() {
    let toy = parts();
    let (first, second) = (proved(&toy), toy.prove(8));
    assert_eq!(first.statement, second.statement);
    assert_ne!(first.file, second.file);
    let mut moved = toy.clone();
    moved.context = b"another job".to_vec();
    moved.inputs[0].data[0] ^= 1;
    let moved = proved(&moved);
    assert_eq!(moved.statement.weights, first.statement.weights);
    let mut salted = toy.clone();
    salted.weight_salt[0] += int(1);
    assert_ne!(salted.state().0.weights, first.statement.weights);
}

#[test]
fn images_look_alike_whatever_they_hide() {
    // Means of coefficients over many salts, for all weights 0 and for all 2,047: both within five deviations of the middle.
    for weight in [0, 59] {
        let mut toy = layers();
        for n in &mut toy.program.nodes {
            if let Op::Conv(conv) = &mut n.op {
                conv.weights.fill(weight);
            }
        }
        let (mut sum, mut count) = (0.0, 0.0);
        for salt in 0..40 {
            toy.weight_salt[0] = int(salt);
            let image = statement::commit_weights(&toy.program, &toy.weight_salt).unwrap().image.unwrap();
            for c in image.coefficients() {
                sum += f64::from(p3_field::PrimeField32::as_canonical_u32(c)) / f64::from(0x7f00_0001u32);
                count += 1.0;
            }
        }
        let deviation = (sum / count - 0.5) * f64::sqrt(12.0 * count);
        assert!(deviation.abs() < 5.0, "{weight}: {deviation}");
    }
    assert_eq!(SALT_BLOCKS, 21, "the note's arithmetic is for this number");
}

//! Zero knowledge, tested: what a proof reveals does not tell two private inputs with the same public outputs apart.
//!
//! The plain build must stay at chance. The build with `--features unmasked-for-tests` has no masks, and there the same distinguishers must
//! win: otherwise they could not fail.

mod revealed;
mod toys;

use std::collections::BTreeMap;

use p3_field::{BasedVectorSpace, PrimeField32};
use proofmesh_graph::op::{ExtremePool, Op};
use proofmesh_graph::program::{Output, WeightMode};
use proofmesh_graph::statement::decode_proof;
use proofmesh_proof::field::{F, K};
use proofmesh_proof::profile::Device;
use rand::SeedableRng;
use rand::rngs::StdRng;
use revealed::revealed;
use toys::{Toy, conv, node, program, rescale, window};

/// Whether this build proves without masks.
const UNMASKED: bool = cfg!(feature = "unmasked-for-tests");
/// Proofs for each of the two inputs.
const PROOFS: usize = 400;
/// Classes of a histogram: eight degrees of freedom, whose tail has a closed form.
const CLASSES: usize = 9;
/// Probability of a false alarm over all statistics together.
const FALSE_ALARM: f64 = 1e-6;

/// A dense layer and a maximum of four values; the result saturates, whatever the input.
fn toy(input: [i32; 4]) -> Toy {
    let mut rng = StdRng::seed_from_u64(70);
    let nodes = vec![
        node("dense", conv(&mut rng, [4, 1, 1], window([1, 1], [1, 1]), rescale(4, 0, 9), 40_000), &[0]),
        node("max", Op::ExtremePool(ExtremePool { window: window([1, 1], [1, 1]), smallest: false }), &[1]),
    ];
    let program = program([4, 1, 1], nodes, vec![Output::Values(2)], WeightMode::Public);
    Toy::with_inputs(program, &[&input])
}

/// Two private inputs of one public output.
fn pair() -> [Toy; 2] {
    let pair = [toy([0; 4]), toy([127, -3, 55, -90])];
    assert_eq!(pair[0].state().0.outputs, pair[1].state().0.outputs);
    pair
}

/// Histograms of every place: each limb of each revealed element, by residue and by size.
type Histograms = BTreeMap<(String, usize, &'static str), [u32; CLASSES]>;

/// Histograms over many proofs; each proof has a fresh salt of its commitment, as a device makes it.
fn histograms(toy: &Toy, first_seed: u64) -> Histograms {
    let mut all = Histograms::new();
    for i in 0..PROOFS as u64 {
        let mut toy = toy.clone();
        toy.salts = Toy::random(toy.program.clone(), 1, first_seed + i).salts;
        let proof = decode_proof::<Device>(&toy.prove(first_seed + i).file).expect("an honest file").proof;
        for (place, element) in revealed(&proof) {
            let limbs: &[F] = element.as_basis_coefficients_slice();
            for (limb, v) in limbs.iter().enumerate() {
                let v = u64::from(v.as_canonical_u32());
                let sized = v * CLASSES as u64 / u64::from(F::ORDER_U32);
                for (kind, class) in [("residue", v % CLASSES as u64), ("size", sized)] {
                    all.entry((place.clone(), limb, kind)).or_default()[class as usize] += 1;
                }
            }
        }
    }
    all
}

/// Probability that chi-square with eight degrees of freedom exceeds `x`.
fn tail(x: f64) -> f64 {
    let h = x / 2.0;
    (-h).exp() * (1.0 + h + h * h / 2.0 + h * h * h / 6.0)
}

/// Chi-square of two histograms against their mean.
fn two_samples(a: &[u32; CLASSES], b: &[u32; CLASSES]) -> f64 {
    let term = |(x, y): (&u32, &u32)| {
        let (x, y) = (f64::from(*x), f64::from(*y));
        if x + y == 0.0 { 0.0 } else { (x - y) * (x - y) / (x + y) }
    };
    a.iter().zip(b).map(term).sum()
}

/// Chi-square of a histogram against uniformity.
fn uniformity(a: &[u32; CLASSES]) -> f64 {
    let mean = f64::from(a.iter().sum::<u32>()) / CLASSES as f64;
    a.iter().map(|x| (f64::from(*x) - mean) * (f64::from(*x) - mean) / mean).sum()
}

/// Places where a statistic is beyond chance, grouped by the message they belong to.
fn beyond_chance(statistics: &[((String, usize, &'static str), f64)]) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for ((place, _, _), x) in statistics {
        // Bonferroni over two statistics of every place.
        if tail(*x) < FALSE_ALARM / (2 * statistics.len()) as f64 {
            let message = place.split('[').next().expect("a first part").to_string();
            *found.entry(message).or_default() += 1;
        }
    }
    found
}

#[test]
fn revealed_values_tell_inputs_apart_only_without_masks() {
    let [a, b] = pair();
    let (a, b) = std::thread::scope(|scope| {
        let other = scope.spawn(|| histograms(&b, 20_000));
        (histograms(&a, 10_000), other.join().expect("proofs are made"))
    });
    assert!(a.keys().eq(b.keys()), "the shape of a proof depends on the input");
    let compared: Vec<_> = a.iter().map(|(k, x)| (k.clone(), two_samples(x, &b[k]))).collect();
    let uniform: Vec<_> = a.iter().chain(&b).map(|(k, x)| (k.clone(), uniformity(x))).collect();
    let (apart, skewed) = (beyond_chance(&compared), beyond_chance(&uniform));
    println!("{} places; inputs told apart at {apart:?}; not uniform at {skewed:?}", compared.len());
    if UNMASKED {
        // The tree's values alone do not separate these two inputs, but without masks they are not uniform either.
        assert!(apart.contains_key("main.values"), "without masks the inputs must be told apart: {apart:?}");
        for message in ["main.rounds", "main.values", "logup.layers", "opening.masks", "opening.cross"] {
            assert!(skewed.contains_key(message), "without masks {message} must not be uniform: {skewed:?}");
        }
    } else {
        assert!(apart.is_empty(), "the inputs are told apart: {apart:?}");
        assert!(skewed.is_empty(), "not uniform: {skewed:?}");
    }
}

#[test]
fn statistics_are_at_chance_on_uniform_values_and_win_on_a_small_bias() {
    // The instrument itself, on the field elements of a generator.
    use rand::RngExt;
    let mut rng = StdRng::seed_from_u64(5);
    let mut draw = |biased: bool| {
        let mut histogram = [0; CLASSES];
        for _ in 0..PROOFS {
            let v: F = rng.random();
            let class = v.as_canonical_u32() % CLASSES as u32;
            histogram[if biased && [3, 5].contains(&class) { 4 } else { class as usize }] += 1;
        }
        histogram
    };
    let threshold = FALSE_ALARM / 20_000.0;
    let (a, b, biased) = (draw(false), draw(false), draw(true));
    assert!(tail(two_samples(&a, &b)) > 1e-3 && tail(uniformity(&a)) > 1e-3);
    assert!(tail(two_samples(&a, &biased)) < threshold && tail(uniformity(&biased)) < threshold);
    assert!((tail(15.507) - 0.05).abs() < 1e-4, "the 5 percent point of eight degrees of freedom");
}

#[test]
fn equations_without_masks_tell_inputs_apart_only_without_masks() {
    // The distinguisher knows both candidates and every challenge: it holds each equation that the verifier derives against each candidate,
    // with all masks at zero. Columns that depend on the commitment's salt are unknown to it, so equations that read them are left out.
    let pair = pair();
    for (which, toy) in pair.iter().enumerate() {
        let proved = toy.prove(71 + which as u64);
        let replay = revealed::Replay::new(&proved);
        let vanishing = pair.each_ref().map(|candidate| {
            let witness = candidate.witness();
            let known =
                |name: &str| !name.starts_with("input commitment") && !name.starts_with("multiplicities");
            let judged = replay.equations.iter().filter(|e| {
                let reads =
                    |t: &proofmesh_proof::system::WeighedTerm| known(&witness.system.columns[t.column].name);
                !e.pads.is_empty() && !e.terms.is_empty() && e.terms.iter().all(reads)
            });
            let zero = vec![<K as p3_field::PrimeCharacteristicRing>::ZERO; replay.plan.pad_count];
            let vanishes =
                |e: &&proofmesh_proof::system::Affine| revealed::value(e, &witness.cells, &zero) == zero[0];
            let judged: Vec<_> = judged.collect();
            assert!(judged.len() >= 3, "too few equations to judge by");
            judged.iter().filter(|e| vanishes(e)).count()
        });
        let (own, other) = (vanishing[which], vanishing[1 - which]);
        if UNMASKED {
            assert!(own > other, "without masks the own candidate must fit better: {own} against {other}");
        } else {
            assert_eq!((own, other), (0, 0), "an equation holds without its masks");
        }
    }
}

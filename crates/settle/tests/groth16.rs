//! vectors/groth16.json: real Groth16 proofs (arkworks) and many lies about them, and the statements that a
//! contract computes. `BLESS=1` writes the file; without it, it must be the one that is committed. The contracts'
//! own tests read it (contracts/test/verifiers), and so may any other implementation.

mod toy;

use alloy::primitives::keccak256;
use ark_bn254::{Bn254, Fq, Fq2, Fr, G1Affine, G2Affine};
use ark_ff::{AdditiveGroup, BigInteger, PrimeField};
use ark_groth16::Groth16;
use proofmesh_market::receipt::output_bytes;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use toy::{Toy, g2, statement};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/groth16.json");

fn hex(bytes: &[u8]) -> String {
    format!("0x{}", alloy::hex::encode(bytes))
}

fn input(seed: &str) -> [u8; 32] {
    let mut bytes: [u8; 32] = Sha256::digest(seed).into();
    bytes[0] &= 0x1f;
    bytes
}

fn case(name: &str, input: &[u8; 32], proof: &[u8], refusal: &str) -> Value {
    json!({ "name": name, "input": hex(input), "proof": hex(proof), "refusal": refusal })
}

/// `value + more` as a 256-bit number; wraps round.
fn plus(value: &[u8], more: &[u8]) -> Vec<u8> {
    let mut carry = 0;
    let mut out = vec![0; 32];
    for i in (0..32).rev() {
        carry += u16::from(value[i]) + u16::from(more[i]);
        out[i] = carry as u8;
        carry >>= 8;
    }
    out
}

fn with(proof: &[u8], at: usize, word: &[u8]) -> Vec<u8> {
    let mut out = proof.to_vec();
    out[32 * at..32 * at + word.len()].copy_from_slice(word);
    out
}

/// True if arkworks' own verifier takes the proof that these bytes are.
fn accepts(toy: &Toy, statement: &[u8; 32], proof: &[u8]) -> bool {
    let word = |i: usize| Fq::from_be_bytes_mod_order(&proof[32 * i..32 * (i + 1)]);
    let point = |i: usize| G1Affine::new_unchecked(word(i), word(i + 1));
    let b = G2Affine::new_unchecked(Fq2::new(word(3), word(2)), Fq2::new(word(5), word(4)));
    let proof = ark_groth16::Proof { a: point(0), b, c: point(6) };
    let key = ark_groth16::prepare_verifying_key(&toy.keys.vk);
    let x = Fr::from_be_bytes_mod_order(statement);
    Groth16::<Bn254>::verify_proof(&key, &proof, &[x]).expect("one input")
}

/// A point of the twist outside the subgroup of order r.
fn off_subgroup() -> G2Affine {
    (1u64..)
        .filter_map(|i| G2Affine::get_point_from_x_unchecked(Fq2::new(Fq::from(i), Fq::ZERO), false))
        .find(|p| p.is_on_curve() && !p.is_in_correct_subgroup_assuming_on_curve())
        .expect("the cofactor is large")
}

fn cases(toy: &Toy) -> Vec<Value> {
    let mut out = Vec::new();
    let mut edge = ark_bn254::Fr::MODULUS.to_bytes_be();
    let order: [u8; 32] = edge.clone().try_into().expect("32 bytes");
    edge[31] -= 1;
    let inputs = [input("a"), input("b"), input("c"), [0; 32], edge.try_into().expect("32 bytes")];
    for (i, x) in inputs.iter().enumerate() {
        let proof = toy.prove(x, i as u64);
        assert!(accepts(toy, x, &proof));
        out.push(case(&format!("valid {i}"), x, &proof, ""));
    }
    let (x, proof) = (&inputs[0], toy.prove(&inputs[0], 7));
    out.push(case("another proof of the same", x, &proof, ""));
    let refused = "ProofRejected()";
    assert!(!accepts(toy, &inputs[1], &proof));
    out.push(case("another input", &inputs[1], &proof, refused));
    let other = Toy::new(2).prove(x, 7);
    out.push(case("another key", x, &other, refused));
    out.push(case(
        "A and C changed over",
        x,
        &with(&with(&proof, 0, &proof[192..]), 6, &proof[..64]),
        refused,
    ));
    let second = toy.prove(x, 8);
    for (name, at, range) in [("A", 0, 0..64), ("B", 2, 64..192), ("C", 6, 192..256)] {
        let mixed = with(&proof, at, &second[range.clone()]);
        assert!(!accepts(toy, x, &mixed));
        out.push(case(&format!("{name} of another proof"), x, &mixed, refused));
        out.push(case(&format!("{name} at infinity"), x, &with(&proof, at, &vec![0; range.len()]), refused));
    }
    let q = Fq::MODULUS.to_bytes_be();
    for at in 0..8 {
        let word = &proof[32 * at..32 * at + 32];
        let alias = with(&proof, at, &plus(word, &q));
        out.push(case(&format!("word {at} plus q"), x, &alias, "CoordinateTooLarge()"));
        let mut off = word.to_vec();
        off[31] ^= 1;
        out.push(case(&format!("word {at} off the curve"), x, &with(&proof, at, &off), "PointRejected()"));
    }
    // -A: on the curve, and another statement.
    let y = Fq::from_be_bytes_mod_order(&proof[32..64]);
    out.push(case("A negated", x, &with(&proof, 1, &(-y).into_bigint().to_bytes_be()), refused));
    let off = with(&proof, 2, &g2(&off_subgroup()));
    out.push(case("B outside the subgroup", x, &off, "PointRejected()"));
    out.push(case("input plus r", &plus(x, &order).try_into().expect("32"), &proof, "InputTooLarge()"));
    out.push(case("input r", &order, &proof, "InputTooLarge()"));
    out.push(case("input 2^256 - 1", &[0xff; 32], &proof, "InputTooLarge()"));
    let short = "BadLength(uint256)";
    out.push(case("a word short", x, &proof[..224], short));
    out.push(case("a byte short", x, &proof[..255], short));
    out.push(case("a byte long", x, &[&proof[..], &[0]].concat(), short));
    out.push(case("nothing", x, &[], short));
    out
}

fn row(model: [u8; 32], context: [u8; 32], input: [u8; 32], public: &[u8], output: &[i32]) -> Value {
    json!({
        "model": hex(&model), "context": hex(&context), "input": hex(&input),
        "public_words": hex(public), "output": hex(&output_bytes(output)),
        "public_input": hex(&statement(&model, &context, &input, public, output)),
    })
}

#[test]
fn the_vectors_are_what_arkworks_says() {
    let toy = Toy::new(1);
    let key = toy.key();
    let word = |seed: &str| keccak256(seed).0;
    let (model, context, commitment) = (word("model"), word("context"), word("input"));
    let many: Vec<u8> = (0..72u8).map(|i| i.wrapping_mul(37)).collect();
    let statements = [
        row(model, context, commitment, &[], &[0, 1]),
        row(model, context, commitment, &many, &[0, 1]),
        row(model, context, [0; 32], &output_bytes(&[i32::MIN, -1, i32::MAX]), &[]),
        // Words moved over from one list to the other are another statement.
        row(model, context, commitment, &[0; 4], &[1]),
        row(model, context, commitment, &output_bytes(&[0, 1]), &[]),
    ];
    let doc = json!({
        "about": "Groth16 over BN254, one public input; words 32 bytes big-endian, points of G2 with the imaginary part first (EIP-197). \
            refusal: the contract's error, empty for a valid proof. Made by crates/settle/tests/groth16.rs with a fixed seed: a key worth nothing.",
        "key": hex(&key),
        "key_hash": hex(keccak256(key).as_slice()),
        "off_subgroup": hex(&g2(&off_subgroup())),
        "cases": cases(&toy),
        "statements": statements,
    });
    let text = serde_json::to_string_pretty(&doc).expect("JSON") + "\n";
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(PATH, &text).expect("writes");
    }
    let committed = std::fs::read_to_string(PATH).expect("vectors/groth16.json is committed");
    assert!(committed == text, "vectors/groth16.json differs: if meant, run with BLESS=1 and commit");
}

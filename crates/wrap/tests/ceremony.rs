//! A small circuit through a real ceremony by snarkjs, from our `.r1cs` file to proofs that either side verifies.
//!
//! snarkjs is installed with the contracts (`npm ci` in contracts/). Where it is not, the test says that it was skipped; with
//! `SNARKJS_REQUIRED` set that is a failure.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::Command;

use ark_bn254::{Fq, Fq2, Fr, G1Affine, G2Affine};
use ark_ec::AffineRepr;
use ark_ff::{BigInteger, PrimeField};
use ark_groth16::Proof;
use proofmesh_wrap::bits::range;
use proofmesh_wrap::groth16;
use proofmesh_wrap::keys::Origin;
use proofmesh_wrap::r1cs::Builder;
use proofmesh_wrap::{r1cs_file, zkey};
use serde_json::{Value, json};

/// `x^3 + factor x - 3 = public`, x below 2^8.
fn cubic(x: u64, factor: u64) -> Builder {
    let mut b = Builder::new(Fr::from(x * x * x + factor * x) - Fr::from(3u64));
    let x = b.witness(Fr::from(x));
    range(&mut b, &x, 8);
    let square = b.product(&x, &x);
    let cube = b.product(&square, &x);
    let sum = cube.plus_scaled(&x, Fr::from(factor)).shifted(-Fr::from(3u64));
    let public = b.public();
    b.equal(&sum, &public);
    b
}

fn circuit(x: u64) -> Builder {
    cubic(x, 5)
}

/// snarkjs' command line, if it is installed.
fn snarkjs() -> Option<PathBuf> {
    let cli =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../contracts/node_modules/snarkjs/build/cli.cjs");
    if cli.exists() && Command::new("node").arg("--version").output().is_ok_and(|o| o.status.success()) {
        return Some(cli);
    }
    assert!(
        std::env::var_os("SNARKJS_REQUIRED").is_none(),
        "no {}: run `npm ci` in contracts/",
        cli.display()
    );
    eprintln!("*skipped*: snarkjs is not installed; run `npm ci` in contracts/");
    None
}

/// Runs snarkjs in a folder; gives whether it was content.
fn run(cli: &Path, folder: &Path, arguments: &str) -> bool {
    let output = Command::new("node")
        .arg(cli)
        .args(arguments.split(' '))
        .current_dir(folder)
        .output()
        .expect("node runs");
    let said = String::from_utf8_lossy(&output.stdout);
    eprintln!("snarkjs {arguments}: {}", said.lines().last().unwrap_or_default());
    output.status.success()
}

/// The `.wtns` format of iden3, version 2: section 1, bytes of an element, modulus, number of values; 2, the values.
fn witness(b: &Builder) -> Vec<u8> {
    let mut out = b"wtns".to_vec();
    let words = |out: &mut Vec<u8>, words: &[u32]| words.iter().for_each(|w| out.extend(w.to_le_bytes()));
    words(&mut out, &[2, 2, 1]);
    out.extend(40u64.to_le_bytes());
    words(&mut out, &[32]);
    out.extend(Fr::MODULUS.to_bytes_le());
    words(&mut out, &[b.assignment().len() as u32, 2]);
    out.extend((32 * b.assignment().len() as u64).to_le_bytes());
    b.assignment().iter().for_each(|v| out.extend(v.into_bigint().to_bytes_le()));
    out
}

fn strings(values: &[Fq]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

/// A proof as snarkjs writes it.
fn document(proof: &Proof<ark_bn254::Bn254>) -> Value {
    let g1 = |p: &G1Affine| strings(&[p.x, p.y, Fq::from(1u64)]);
    let (x, y) = (proof.b.x, proof.b.y);
    let b = [[x.c0, x.c1], [y.c0, y.c1], [Fq::from(1u64), Fq::from(0u64)]].map(|pair| strings(&pair));
    json!({ "pi_a": g1(&proof.a), "pi_b": b, "pi_c": g1(&proof.c), "protocol": "groth16", "curve": "bn128" })
}

fn read_document(document: &Value) -> Proof<ark_bn254::Bn254> {
    let number = |v: &Value| v.as_str().and_then(|s| s.parse::<Fq>().ok()).expect("a decimal number");
    let g1 = |v: &Value| G1Affine::new(number(&v[0]), number(&v[1]));
    let pair = |v: &Value| Fq2::new(number(&v[0]), number(&v[1]));
    let b = &document["pi_b"];
    Proof { a: g1(&document["pi_a"]), b: G2Affine::new(pair(&b[0]), pair(&b[1])), c: g1(&document["pi_c"]) }
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("snarkjs wrote it")).expect("a document")
}

/// What an import says of a file that was changed.
fn refusal(file: &[u8], of: &Builder) -> &'static str {
    zkey::import(Cursor::new(file), of, |_| ()).map(drop).expect_err("a lie").check
}

#[test]
fn a_ceremony_by_snarkjs_gives_a_key_of_ours() {
    let Some(cli) = snarkjs() else { return };
    let folder = std::env::temp_dir().join(format!("proofmesh-ceremony-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let at = |name: &str| folder.join(name);
    let blank = circuit(0);
    fs::write(at("c.r1cs"), r1cs_file::encode(&blank)).expect("written");
    for arguments in [
        "powersoftau new bn128 6 0.ptau",
        "powersoftau contribute 0.ptau 1.ptau -e=first",
        "powersoftau prepare phase2 1.ptau p.ptau",
        "groth16 setup c.r1cs p.ptau 0.zkey",
        "zkey contribute 0.zkey 1.zkey -e=second",
        "zkey beacon 1.zkey c.zkey 0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f 10",
        "zkey verify c.r1cs p.ptau c.zkey",
        "zkey export verificationkey c.zkey vk.json",
    ] {
        assert!(run(&cli, &folder, arguments), "{arguments}");
    }
    let file = fs::read(at("c.zkey")).expect("snarkjs wrote it");
    let imported = zkey::import(Cursor::new(&file), &blank, |_| ()).expect("a key of this circuit");
    assert_eq!(imported.contributions, 2);
    assert_eq!(imported.key.origin, Origin::Ceremony { zkey: groth16::sha256(&file) });
    let key = &imported.key.proving;

    // Ours, verified by both.
    let honest = circuit(12);
    let public = honest.assignment()[1];
    let ours = groth16::prove(&honest, key).expect("a witness");
    assert_eq!(groth16::verify(&key.vk, public, &ours), Ok(()));
    fs::write(at("ours.json"), document(&ours).to_string()).expect("written");
    fs::write(at("public.json"), json!([public.to_string()]).to_string()).expect("written");
    fs::write(at("other.json"), json!([(public + Fr::from(1u64)).to_string()]).to_string()).expect("written");
    assert!(run(&cli, &folder, "groth16 verify vk.json public.json ours.json"));
    assert!(!run(&cli, &folder, "groth16 verify vk.json other.json ours.json"));

    // Theirs, verified by us.
    fs::write(at("c.wtns"), witness(&honest)).expect("written");
    assert!(run(&cli, &folder, "groth16 prove c.zkey c.wtns theirs.json said.json"));
    let theirs = read_document(&read(&at("theirs.json")));
    assert_eq!(read(&at("said.json")), json!([public.to_string()]));
    assert_eq!(groth16::verify(&key.vk, public, &theirs), Ok(()));
    assert_eq!(
        groth16::verify(&key.vk, public + Fr::from(1u64), &theirs).expect_err("a lie").check,
        "wrap.proof"
    );

    // What is not a key of this circuit.
    assert_eq!(refusal(&fs::read(at("0.zkey")).expect("there"), &blank), "ceremony.delta");
    assert_eq!(refusal(&file[..file.len() / 2], &blank), "ceremony.file");
    let mut longer = circuit(0);
    longer.witness(Fr::from(1u64));
    assert_eq!(refusal(&file, &longer), "ceremony.sizes");
    assert_eq!(refusal(&file, &cubic(0, 6)), "ceremony.coefficients");
    // Changed bytes: of each section with points, of the header's delta, of an entry of A.
    for (section, offset, check) in [
        (2, 200, "ceremony.point"),
        (3, 3, "ceremony.point"),
        (4, 30, "ceremony.coefficients"),
        (7, 700, "ceremony.point"),
        (9, 5, "ceremony.point"),
    ] {
        let mut lie = file.clone();
        lie[start(&file, section) + offset] ^= 1;
        assert_eq!(refusal(&lie, &blank), check, "section {section}");
    }
    // Points that are points, but not these: B of one variable in G1 doubled, its sign changed in G2.
    let mut lie = file.clone();
    let b1 = start(&file, 6);
    let two = key.b_g1_query.iter().position(|p| !p.is_zero()).expect("a variable in B");
    let generator = start(&file, 2) + 8 + 64 + 12;
    lie.copy_within(generator..generator + 64, b1 + 64 * two);
    assert_eq!(refusal(&lie, &blank), "ceremony.pairing");
    fs::remove_dir_all(&folder).expect("ours");
}

/// First byte of a section.
fn start(file: &[u8], section: u32) -> usize {
    let mut at = 12;
    loop {
        let kind = u32::from_le_bytes(file[at..at + 4].try_into().expect("four bytes"));
        let length = u64::from_le_bytes(file[at + 4..at + 12].try_into().expect("eight bytes"));
        at += 12;
        if kind == section {
            return at;
        }
        at += length as usize;
    }
}

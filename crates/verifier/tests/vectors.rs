//! /vectors/verifier.json: honest proofs, lies of every kind and hostile bytes, each with the native verifier's verdict. Made by
//! `BLESS=1 cargo test -p proofmesh-verifier --test vectors`, checked otherwise; `bindings/wasm/test` holds WebAssembly against it.
//!
//! A case starts from a base (model file, document, proof: `/vectors/verifier/NAME.*`), each part of which may be changed by a splice
//! `[at, removed, inserted hex]`.

#[allow(dead_code)] // The prover asks each row for its name of the check; here the verdict is the answer.
#[path = "../../prover/tests/tamper_rows/mod.rs"]
mod tamper_rows;
#[path = "../../prover/tests/toys/mod.rs"]
mod toys;

use std::path::{Path, PathBuf};

use proofmesh_graph::program::WeightMode;
use proofmesh_graph::statement::{ProofFile, Statement, decode_proof, encode_proof};
use proofmesh_model::{bundle, import};
use proofmesh_proof::profile::{Blake, Device, Kind};
use proofmesh_prover::{Job, Proved, prove, salt};
use proofmesh_verifier::{StatementDoc, read_program, verify};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

/// The suite of the tamper table.
type S = Blake;
/// Its digests.
type Word = u8;
const WORDS: usize = 32;

fn zero() -> Word {
    0
}

fn alter(digest: &mut [Word; WORDS]) {
    digest[5] ^= 4;
}

/// Largest splice that is written down; a lie that needs more is left to the prover's own tests.
const MAX_SPLICE: usize = 256;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// An honest proof and another of the same statement.
struct Base {
    name: &'static str,
    model: Vec<u8>,
    document: Vec<u8>,
    statement: Statement,
    proof: Vec<u8>,
    other: Vec<u8>,
}

impl Base {
    fn new(name: &'static str, model: Vec<u8>, [proved, other]: [Proved; 2]) -> Self {
        let document = document(&proved.statement);
        Self { name, model, document, statement: proved.statement, proof: proved.file, other: other.file }
    }

    fn toy(name: &'static str, weights: WeightMode) -> Self {
        let toy = toys::of_vectors(weights);
        let program = postcard::to_allocvec(&toy.program.public_part()).expect("plain data");
        // The seed of /vectors/proof.json.
        Self::new(name, [b"PMESHMDL\x01\x00", program.as_slice()].concat(), [toy.prove(3), toy.prove(4)])
    }

    /// A day of the weather model.
    fn weather() -> Self {
        let bundle = bundle::load(&root().join("examples/weather-qod")).expect("the bundle");
        let model = &bundle.models[0];
        let calibration = model.calibration().expect("calibration data");
        let onnx = model.onnx().expect("the model");
        let file = import(&onnx, &model.options(), &calibration).expect("the model imports").file;
        let input = file.quantise(model.tests().expect("test sets")[0].x.row(7)).expect("a row fits");
        let mut rng = StdRng::seed_from_u64(41);
        let salts = [salt(&mut rng)];
        let job = Job {
            program: &file.program,
            inputs: &[input],
            salts: &salts,
            weight_salt: None,
            context: &[7; 32],
        };
        let proved = [(); 2].map(|()| prove(&job, &mut rng).expect("an honest execution proves"));
        let bytes = file.encode().expect("a model file");
        assert_eq!(read_program(&bytes).expect("a model file"), file.program);
        Self::new("weather", bytes, proved)
    }
}

fn document(statement: &Statement) -> Vec<u8> {
    serde_json::to_vec_pretty(&StatementDoc::of(statement)).expect("plain data")
}

/// A name, and what it makes of an honest statement.
type Lie = (&'static str, fn(&mut Statement));

/// The cases of one base.
struct Cases<'a> {
    base: &'a Base,
    out: Vec<Value>,
}

impl Cases<'_> {
    /// A case with the given parts; `None` where the base's own stays.
    fn add(&mut self, name: &str, model: Option<&[u8]>, document: Option<&[u8]>, proof: Option<&[u8]>) {
        let base = self.base;
        let parts = [(&base.model, model), (&base.document, document), (&base.proof, proof)];
        let verdict = verify(
            model.unwrap_or(&base.model),
            document.unwrap_or(&base.document),
            proof.unwrap_or(&base.proof),
        );
        assert_eq!(verdict.ok, name == "honest", "{} {name}", base.name);
        let splices = parts.map(|(from, to)| to.map(|to| splice(from, to)));
        if splices.iter().flatten().any(|(_, _, inserted)| inserted.len() > 2 * MAX_SPLICE) {
            return;
        }
        let [model, document, proof] = splices;
        let case = json!({
            "base": base.name,
            "name": name,
            "model": model,
            "document": document,
            "proof": proof,
            "verdict": verdict,
        });
        self.out.push(case);
    }

    fn proof(&mut self, name: &str, proof: &[u8]) {
        self.add(name, None, None, Some(proof));
    }

    /// A field of a proof changed, or a proof cut and spliced at random.
    fn lies_in_the_proof(&mut self) {
        let honest = decode_proof::<Device>(&self.base.proof).expect("an honest file");
        let other = decode_proof::<Device>(&self.base.other).expect("an honest file").proof;
        for row in tamper_rows::rows() {
            let mut lie = honest.clone();
            (row.change)(&mut lie.proof, &mut other.clone());
            self.proof(&row.name, &encode_proof(&lie));
        }
        self.hostile_bytes(&mut StdRng::seed_from_u64(42));
    }

    fn hostile_bytes(&mut self, rng: &mut StdRng) {
        let honest = self.base.proof.clone();
        for _ in 0..30 {
            let at = rng.random_range(0..honest.len());
            let mut lie = honest.clone();
            lie[at] ^= rng.random_range(1..=255u8);
            self.proof(&format!("byte {at}"), &lie);
        }
        for length in [0, 1, 32, 100, 170, 1000, honest.len() / 2, honest.len() - 1] {
            self.proof(&format!("first {length} bytes"), &honest[..length]);
        }
        self.proof("a byte more", &[honest.as_slice(), &[0]].concat());
        let mut random = vec![0; 200];
        rng.fill(random.as_mut_slice());
        self.proof("random bytes", &random);
        for name in ["ones", "huge-inputs", "huge-layers", "huge-root", "huge-body", "long-length"] {
            let path = root().join(format!("crates/graph/tests/corpus/proof-{name}.bin"));
            self.proof(name, &std::fs::read(path).expect("a corpus file"));
        }
    }

    /// Another statement, with the proof's own header and with one that agrees.
    fn false_statements(&mut self) {
        let honest = decode_proof::<Device>(&self.base.proof).expect("an honest file");
        let lies: [Lie; 8] = [
            ("an output", |s| s.outputs[0][0] ^= 1),
            ("an impossible output", |s| s.outputs[0][0] = i32::MAX),
            ("an output more", |s| s.outputs[0].push(0)),
            ("no inputs", |s| s.inputs.clear()),
            ("a commitment", |s| s.inputs[0].commitment[0] ^= 1),
            ("a commitment that is none", |s| s.inputs[0].commitment = [255; 32]),
            ("a context", |s| s.context.push(1)),
            ("commitment to weights", |s| s.weights = if s.weights.is_some() { None } else { Some([1; 32]) }),
        ];
        for (name, lie) in lies {
            let mut statement = self.base.statement.clone();
            lie(&mut statement);
            let document = document(&statement);
            self.add(name, None, Some(&document), None);
            let rewritten =
                encode_proof(&ProofFile { claimed: statement.claimed(Kind::Device), ..honest.clone() });
            self.add(&format!("{name}, header rewritten"), None, Some(&document), Some(&rewritten));
        }
        if self.base.statement.inputs.len() > 1 {
            let mut swapped = self.base.statement.clone();
            swapped.inputs.swap(0, 1);
            self.add("inputs swapped", None, Some(&document(&swapped)), None);
        }
    }

    fn hostile_documents(&mut self) {
        let text = String::from_utf8(self.base.document.clone()).expect("JSON is text");
        for (name, lie) in [
            ("no document", String::new()),
            ("null", "null".into()),
            ("a field unknown", text.replacen('{', "{\"holds\": true,", 1)),
            ("a field missing", text.replacen("\"context\"", "\"contexts\"", 1)),
            ("another model", text.replacen("\"model\": \"0x", "\"model\": \"0x00", 1)),
            ("a model's id of zeros", text.replacen(&text[14..80], &format!("0x{}", "0".repeat(64)), 1)),
            (
                "a number too large",
                text.replacen("\"outputs\": [\n    [\n", "\"outputs\": [[99999999999,", 1),
            ),
            ("deep nesting", "[".repeat(200)),
        ] {
            self.add(name, None, Some(lie.as_bytes()), None);
        }
    }

    fn hostile_models(&mut self) {
        let honest = self.base.model.clone();
        for length in [0, 8, 10, 20] {
            self.add(&format!("first {length} bytes of the model"), Some(&honest[..length]), None, None);
        }
        for at in [0, 8, 11, 24, 40, 60, 90] {
            let mut lie = honest.clone();
            lie[at] ^= 0x41;
            self.add(&format!("byte {at} of the model"), Some(&lie), None, None);
        }
    }
}

/// What to change to come from one string of bytes to another: place, bytes removed, bytes inserted in hex.
fn splice(from: &[u8], to: &[u8]) -> (usize, usize, String) {
    let head = from.iter().zip(to).take_while(|(a, b)| a == b).count();
    let tail = from[head..].iter().rev().zip(to[head..].iter().rev()).take_while(|(a, b)| a == b).count();
    (head, from.len() - tail - head, hex::encode(&to[head..to.len() - tail]))
}

/// Writes the file when blessing, and holds it against `made` otherwise.
fn hold(path: &Path, made: &[u8]) {
    if std::env::var_os("BLESS").is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("the vectors' folder is writable");
        std::fs::write(path, made).expect("the vectors' folder is writable");
    }
    let same = std::fs::read(path).is_ok_and(|committed| committed == made);
    assert!(
        same,
        "{} is not what this code makes; `cargo xtask bless` and read the difference",
        path.display()
    );
}

#[test]
fn verdicts_of_the_vectors_are_what_the_code_gives() {
    let bases =
        [Base::toy("public", WeightMode::Public), Base::toy("private", WeightMode::Private), Base::weather()];
    let folder = root().join("vectors");
    let mut cases = Vec::new();
    for base in &bases {
        for (kind, bytes) in [("pmesh", &base.model), ("json", &base.document), ("proof", &base.proof)] {
            hold(&folder.join(format!("verifier/{}.{kind}", base.name)), bytes);
        }
        let mut of_base = Cases { base, out: Vec::new() };
        of_base.add("honest", None, None, None);
        of_base.lies_in_the_proof();
        of_base.false_statements();
        of_base.hostile_documents();
        of_base.hostile_models();
        cases.extend(of_base.out);
    }
    let lines: Vec<String> = cases.iter().map(|case| format!("    {case}")).collect();
    let about = "Made by BLESS=1 cargo test -p proofmesh-verifier --test vectors. Splices: place, bytes removed, bytes inserted in hex.";
    let text = format!("{{\n  \"about\": \"{about}\",\n  \"cases\": [\n{}\n  ]\n}}\n", lines.join(",\n"));
    hold(&folder.join("verifier.json"), text.as_bytes());

    let checks: std::collections::BTreeSet<&str> =
        cases.iter().filter_map(|case| case["verdict"]["check"].as_str()).collect();
    println!("{} cases, refused by {checks:?}", cases.len());
    let committed: Value =
        serde_json::from_slice(&std::fs::read(folder.join("proof.json")).expect("vectors")).expect("JSON");
    let ids: Vec<Value> = bases[..2].iter().map(|b| json!(hex::encode(b.statement.model_id()))).collect();
    let listed: Vec<&Value> =
        committed["proofs"].as_array().expect("a list").iter().map(|p| &p["model"]).collect();
    assert_eq!(ids.iter().collect::<Vec<_>>(), listed, "the proofs of /vectors/proof.json are all here");
}

#[test]
fn stages_run_in_the_order_of_the_table() {
    // Of two lies the one that an earlier stage sees is named: so a refusal says that the stages before it passed.
    let base = Base::toy("order", WeightMode::Public);
    let honest = decode_proof::<Device>(&base.proof).expect("an honest file");
    let other = || decode_proof::<Device>(&base.other).expect("an honest file").proof;
    let mut by_stage = std::collections::BTreeMap::new();
    for row in tamper_rows::rows() {
        let mut lie = honest.clone();
        (row.change)(&mut lie.proof, &mut other());
        let verdict = verify(&base.model, &base.document, &encode_proof(&lie));
        by_stage.entry(verdict.checks.len()).or_insert(row);
    }
    assert!(by_stage.len() >= 4, "lies at four stages: {:?}", by_stage.keys());
    for (early, first) in &by_stage {
        for (late, second) in &by_stage {
            let mut lie = honest.clone();
            (first.change)(&mut lie.proof, &mut other());
            (second.change)(&mut lie.proof, &mut other());
            let verdict = verify(&base.model, &base.document, &encode_proof(&lie));
            if early < late {
                assert_eq!(verdict.checks.len(), *early, "{} and {}", first.name, second.name);
            }
        }
    }
}

//! The ONNX project's own operator cases, for every operator that the importer reads: the float model gives the case's numbers, and the integer program
//! gives them within what its scales allow. `conformance/make_cases.py` made the file of cases; docs/operators.md is made of what is found here
//! (`BLESS=1 cargo test -p proofmesh-model --test conformance` writes it).

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use proofmesh_model::data::{Array, Element};
use proofmesh_model::{FloatModel, ImportOptions, InputScale, OutputChoice, Task, import};
use serde::Deserialize;

/// The float model's error, as a share of one plus the number.
const FLOAT_ERROR: f32 = 5e-5;
/// The integer program's largest error, as a share of the largest number of the output: what 8 bits before and after one operator cost.
const INTEGER_ERROR: f32 = 0.02;

#[derive(Deserialize)]
struct Cases {
    from: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    op: String,
    /// Why it is out of scope.
    out: Option<String>,
    #[serde(default)]
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    model: String,
    input: Vec<Option<f64>>,
    output: Vec<Option<f64>>,
}

/// What became of a case.
#[derive(Clone, Debug, PartialEq)]
enum Found {
    /// The numbers of the case.
    Right,
    /// Not read, with the reason.
    Refused(String),
    /// Other numbers.
    Wrong(String),
}

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn cases() -> Cases {
    let packed = std::fs::read(here("tests/conformance/cases.json.z")).expect("the file of cases");
    let text = miniz_oxide::inflate::decompress_to_vec_zlib(&packed).expect("packed by zlib");
    serde_json::from_slice(&text).expect("well-formed")
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |c: u8| (c as char).to_digit(16).expect("a hexadecimal digit") as u8;
    text.as_bytes().chunks(2).map(|c| digit(c[0]) << 4 | digit(c[1])).collect()
}

fn floats(values: &[Option<f64>]) -> Vec<f32> {
    values.iter().map(|v| v.map_or(f32::NAN, |v| v as f32)).collect()
}

/// The float model against the case.
fn float(row: &Row, index: bool) -> Found {
    let model = match FloatModel::parse(&unhex(&row.model), None) {
        Ok(model) => model,
        Err(why) => return Found::Refused(reason(&why.to_string())),
    };
    let (input, expected) = (floats(&row.input), floats(&row.output));
    if input.iter().chain(&expected).any(|v| !v.is_finite()) {
        return Found::Refused("numbers that are not finite".into());
    }
    let got = match model.run(&input) {
        Ok(got) => got,
        Err(why) => return Found::Refused(reason(&why.to_string())),
    };
    // The index of the largest or smallest element is an output of the program over the values that the operator reads.
    if index {
        let best = (1..got.len()).fold(0, |best, i| if got[i] > got[best] { i } else { best });
        let right = expected == [best as f32];
        return if right { Found::Right } else { Found::Wrong(format!("{best} for {expected:?}")) };
    }
    if got.len() != expected.len() {
        return Found::Wrong(format!("{} numbers for {}", got.len(), expected.len()));
    }
    for (i, (g, e)) in got.iter().zip(&expected).enumerate() {
        if (g - e).abs() > FLOAT_ERROR * (1.0 + e.abs()) || g.is_nan() {
            return Found::Wrong(format!("element {i} is {g}, the case has {e}"));
        }
    }
    Found::Right
}

/// The integer program against the float model on the numbers that its input integers stand for.
fn integer(row: &Row, _: bool) -> Found {
    let input = floats(&row.input);
    let bytes = unhex(&row.model);
    let mut options = ImportOptions::new("case");
    (options.task, options.outputs) = (Task::Reconstruct, vec![OutputChoice::Values]);
    let largest = input.iter().fold(1e-3f32, |m, v| m.max(v.abs()));
    options.input = InputScale::Range { lo: -largest, hi: largest };
    // The case itself and the same numbers in other places: a calibration set.
    let count = 8.min(input.len()).max(1);
    let rows = (0..count).flat_map(|k| input.iter().cycle().skip(k).take(input.len()).copied()).collect();
    let calibration = Array::new(vec![count, input.len()], Element::Float, rows).expect("whole rows");
    let imported = match import(&bytes, &options, &calibration) {
        Ok(imported) => imported,
        Err(why) => return Found::Refused(reason(&why.to_string())),
    };
    let file = &imported.file;
    let quantised = file.quantise(&input).expect("a row of the input's size");
    let seen: Vec<f32> =
        quantised.data.iter().map(|q| (f64::from(*q) * file.meta.input.scale) as f32).collect();
    let (got, expected) = (file.real_output(&quantised), imported.float.run(&seen));
    let (Ok(got), Ok(expected)) = (got, expected) else { return Found::Wrong("does not run".into()) };
    let size = expected.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    let off = got.iter().zip(&expected).map(|(g, e)| (g - e).abs()).fold(0.0f32, f32::max);
    let bound = INTEGER_ERROR * size + 2.0 * file.meta.output_scale as f32;
    if got.len() == expected.len() && off <= bound {
        Found::Right
    } else {
        Found::Wrong(format!(
            "off by {off} where numbers reach {size} and the scale is {}",
            file.meta.output_scale
        ))
    }
}

/// A refusal without the names of this very case.
fn reason(text: &str) -> String {
    let text = text.split_once("): ").map_or(text, |(_, rest)| rest);
    let text = text.split_once("options: ").map_or(text, |(_, rest)| rest);
    text.split(": rebuild").next().unwrap_or(text).chars().take(110).collect()
}

/// All rows of a case as one.
fn judged(case: &Case, one: fn(&Row, bool) -> Found) -> Found {
    let all = case.rows.iter().map(|row| one(row, case.op.starts_with("Arg")));
    all.fold(Found::Right, |before, now| if before == Found::Right { now } else { before })
}

#[test]
fn every_case_of_a_claimed_operator_is_right_or_refused() {
    let cases = cases();
    let mut table: BTreeMap<&str, [usize; 4]> = BTreeMap::new();
    let mut reasons: BTreeMap<(&str, String), Vec<&str>> = BTreeMap::new();
    let mut wrong = Vec::new();
    for case in &cases.cases {
        let counts = table.entry(&case.op).or_default();
        counts[0] += 1;
        if let Some(why) = &case.out {
            reasons.entry((&case.op, why.clone())).or_default().push(&case.name);
            counts[3] += 1;
            continue;
        }
        match judged(case, float) {
            Found::Right => counts[1] += 1,
            Found::Wrong(why) => wrong.push(format!("{} in float: {why}", case.name)),
            Found::Refused(why) => {
                reasons.entry((&case.op, why)).or_default().push(&case.name);
                counts[3] += 1;
                continue;
            }
        }
        match judged(case, integer) {
            Found::Right => counts[2] += 1,
            Found::Wrong(why) => wrong.push(format!("{} in integers: {why}", case.name)),
            Found::Refused(why) => {
                reasons.entry((&case.op, format!("in integers: {why}"))).or_default().push(&case.name)
            }
        }
    }
    assert!(wrong.is_empty(), "{} cases are wrong:\n{}", wrong.len(), wrong.join("\n"));
    let total = table.values().fold([0; 4], |sum: [usize; 4], row| std::array::from_fn(|i| sum[i] + row[i]));
    let mut page = format!(
        "# ONNX operators, case by case\n\nMade by `BLESS=1 cargo test -p proofmesh-model --test conformance`; the test refuses a page that is not what it finds.\n\n\
         The cases are the ONNX project's own ({}), one operator each, for every operator that the importer reads; what each becomes in a program is in\n\
         [model.md](model.md). Of {} cases {} give the case's numbers in float (within {FLOAT_ERROR:e} of one plus the number), {} of these also as an integer\n\
         program (within {} % of the largest number plus two steps of the output), and {} are refused or out of scope. None is wrong.\n\n\
         | operator | cases | right in float | right in integers | refused or out of scope |\n|---|---|---|---|---|\n",
        cases.from,
        total[0],
        total[1],
        total[2],
        100.0 * INTEGER_ERROR,
        total[3]
    );
    for (op, [all, float, integer, out]) in &table {
        writeln!(page, "| {op} | {all} | {float} | {integer} | {out} |").expect("a string grows");
    }
    page.push_str("\n## Why not\n\n| operator | reason | cases |\n|---|---|---|\n");
    for ((op, why), names) in &reasons {
        let more = if names.len() > 4 { format!(" and {} more", names.len() - 4) } else { String::new() };
        let names: Vec<&str> = names.iter().take(4).copied().collect();
        writeln!(page, "| {op} | {} | {}{more} |", why.replace('|', "/"), names.join(", "))
            .expect("a string grows");
    }
    let path = here("../../docs/operators.md");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &page).expect("the page can be written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == page, "docs/operators.md is not what was found: run again with BLESS=1");
    assert!(total[1] >= 250 && total[2] >= 200, "{total:?}");
}

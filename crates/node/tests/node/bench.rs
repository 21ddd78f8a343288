//! `bench` measures what it says, and the forecast of memory holds. Time is not held: these builds are not the ones it speaks of.

use crate::place::{document, run};
use serde_json::Value;

#[test]
fn memory_is_within_a_fifth_of_its_forecast() {
    let digits = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/digits");
    let output = run(&["bench", digits, "lenet5", "--batch", "1,16", "--runs", "1", "--json"]);
    let measured: Value = document(&output);
    let rows = measured["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 4, "{}", String::from_utf8_lossy(&output.stderr));
    for row in rows {
        let figure = |name: &str| row[name].as_f64().expect("a figure");
        let stages: f64 =
            row["stages_ms"].as_object().expect("stages").values().filter_map(Value::as_f64).sum();
        assert!(stages > 0.9 * figure("prove_ms") && stages < 1.1 * figure("prove_ms"), "{row}");
        assert!(
            figure("verify_ms") > 0.0 && figure("proof_bytes") > 1e5 && figure("soundness_bits") >= 100.0
        );
        let peak = figure("peak_megabytes");
        if peak == 0.0 {
            eprintln!("this system does not tell how much memory a process took: not compared");
            continue;
        }
        let ratio = figure("forecast_megabytes") / peak;
        assert!((0.8..1.2).contains(&ratio), "{} of {peak} MB: {}", ratio, row["model"]);
    }
}

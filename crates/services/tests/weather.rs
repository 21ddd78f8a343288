//! The day windows of this crate against examples/weather-qod: every genuine row of its test file, and every
//! day that it leaves out.

use proofmesh_services::reading::Values;
use proofmesh_services::window::{Day, HOUR_S, reference};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

const STATIONS: [&str; 3] = ["EWR", "JFK", "LGA"];
type Hours = BTreeMap<u64, Values>;

fn bundle(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples/weather-qod").join(file)
}

/// Days since 1970-01-01 of a Gregorian date (H. Hinnant, chrono-compatible low-level date algorithms).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let of_era = y - era * 400;
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// `2013-01-31` at 05:00 UTC, midnight of the stations.
fn start_s(date: &str) -> u64 {
    let mut parts = date.split('-').map(|part| part.parse().expect("a number"));
    let mut next = || parts.next().expect("three parts");
    let day = days(next(), next(), next());
    (day * 86_400) as u64 + 5 * HOUR_S
}

/// Decimal text to hundredths, exactly.
fn centi(text: &str) -> Option<i32> {
    if text.is_empty() {
        return None;
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = format!("{whole}{fraction:0<2}");
    assert!(fraction.len() <= 2, "{text}");
    Some(digits.parse().expect("a decimal"))
}

fn stations() -> [Hours; 3] {
    let text = std::fs::read_to_string(bundle("data/outdoor_hourly.csv")).expect("the bundle's data");
    let mut lines = text.lines();
    let head: Vec<&str> = lines.next().expect("a head").split(',').collect();
    let mut all = [Hours::new(), Hours::new(), Hours::new()];
    for line in lines {
        let fields: Vec<&str> = line.split(',').collect();
        let (date, hour) = fields[0].split_once('T').expect("a date and an hour");
        let at_s = start_s(date) - 5 * HOUR_S + hour.parse::<u64>().expect("an hour") * HOUR_S;
        for (station, hours) in STATIONS.iter().zip(&mut all) {
            let value = |quantity: &str| {
                let column =
                    head.iter().position(|name| *name == format!("{station}_{quantity}")).expect("a column");
                centi(fields[column])
            };
            let [temp_centi_c, rh_centi_pct, pressure_pa] = ["temp_c", "rh_pct", "pressure_hpa"].map(value);
            hours.insert(at_s, Values { temp_centi_c, rh_centi_pct, pressure_pa });
        }
    }
    all
}

/// Rows of x_i8.npy, 144 each.
fn rows() -> Vec<Vec<i32>> {
    let bytes = std::fs::read(bundle("test/x_i8.npy")).expect("the bundle's test inputs");
    let head = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    bytes[head..]
        .chunks_exact(144)
        .map(|row| row.iter().map(|byte| i32::from(*byte as i8)).collect())
        .collect()
}

/// (station, date) of each row, `None` where the row is not genuine.
fn genuine() -> Vec<Option<(usize, String)>> {
    let text = std::fs::read_to_string(bundle("test/meta.csv")).expect("the bundle's notes");
    let row = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        let station = STATIONS.iter().position(|name| *name == fields[0]).expect("a station");
        (fields[2] == "0").then(|| (station, fields[1].to_owned()))
    };
    text.lines().skip(1).map(row).collect()
}

#[test]
fn every_genuine_row_is_built_from_the_readings() {
    let stations = stations();
    let rows = rows();
    let notes = genuine();
    assert_eq!(rows.len(), notes.len());
    let mut compared = 0;
    for (row, note) in rows.iter().zip(&notes) {
        let Some((station, date)) = note else { continue };
        let day = |of: usize| Day::new(&stations[of], start_s(date)).expect("a complete day");
        let neighbours: Vec<Day> = (0..3).filter(|other| other != station).map(day).collect();
        let mut words = day(*station).words();
        words.extend(reference(&neighbours.iter().collect::<Vec<_>>()).expect("two neighbours"));
        assert_eq!(&words, row, "{} {date}", STATIONS[*station]);
        compared += 1;
    }
    assert_eq!(compared, 249);
}

#[test]
fn every_day_that_the_bundle_leaves_out_is_incomplete() {
    let stations = stations();
    let kept: BTreeSet<String> = genuine().into_iter().flatten().map(|(_, date)| date).collect();
    let mut refused = 0;
    for (month, length) in [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 30].into_iter().enumerate() {
        for day in 22..=length {
            let date = format!("2013-{:02}-{day:02}", month + 1);
            let verdicts = stations.each_ref().map(|hours| Day::new(hours, start_s(&date)));
            let complete = verdicts.iter().all(Result::is_ok);
            assert_eq!(complete, kept.contains(&date), "{date}");
            for refusal in verdicts.into_iter().filter_map(Result::err) {
                assert_eq!(refusal.name, "window.incomplete");
                refused += 1;
            }
        }
    }
    assert!(refused > 0, "the data has days with gaps");
}

//! The weather-qod example as this binary carries it: model, hourly readings of three airport stations, and
//! manipulated days.
//!
//! Readings are public data of 2013 (CC0, examples/weather-qod/README.md). They play two parts that must not
//! be mixed up: recordings that a device replays as if it measured them (private), and the reference of a
//! station's neighbours (public airport data).

use crate::fault::{Fault, Result};
use proofmesh_market::{Device, Hash32};
use proofmesh_model::{Extreme, ImportOptions, Imported, InputScale, Number, OutputChoice, data, import};
use proofmesh_services::reading::Values;
use proofmesh_services::reference::ReferenceTable;
use proofmesh_services::window::{Day, HOUR_S, HOURS, QUANTITIES, WINDOW_S, WORD_BYTES, reference};
use std::collections::BTreeMap;

const ONNX: &[u8] = include_bytes!("../../../examples/weather-qod/model.onnx");
const CALIBRATION: &[u8] = include_bytes!("../../../examples/weather-qod/data/calib_x_i8.npy");
const HOURLY: &str = include_str!("../../../examples/weather-qod/data/outdoor_hourly.csv");
const TEST_ROWS: &[u8] = include_bytes!("../../../examples/weather-qod/test/x_i8.npy");
const TEST_NOTES: &str = include_str!("../../../examples/weather-qod/test/meta.csv");

/// The stations, as the data name them.
pub const STATIONS: [&str; 3] = ["EWR", "JFK", "LGA"];
/// Classes of the model, in order.
pub const CLASSES: [&str; 4] = ["genuine", "replay", "tampered", "stuck"];
/// A day begins at 05:00 UTC, midnight of the stations.
pub const PHASE_S: u64 = 5 * HOUR_S;
/// -5 degC in the model's input integers: round(40 * (-5 - 10) / 15).
pub const FROST_Q: i32 = -40;

/// Readings of a station by hour.
pub type Hours = BTreeMap<u64, Values>;

/// Imports the model: outputs are the class and the frost bit, the neighbours' channels are public.
///
/// # Errors
/// `model.*`: not with the bytes that the binary carries.
pub fn import_model() -> Result<Imported> {
    let mut options = ImportOptions::new("weather-qod");
    options.source_file = "model.onnx".to_owned();
    options.classes = CLASSES.map(str::to_owned).to_vec();
    options.public_channels = QUANTITIES..2 * QUANTITIES;
    options.input = InputScale::Stored { sub: 0, div: 40.0 };
    let coldest = Number::Extreme { channel: 0, extreme: Extreme::Min };
    let frost = OutputChoice::AtMost { number: coldest, threshold: f64::from(FROST_Q) };
    options.outputs = vec![OutputChoice::ArgMax, frost];
    Ok(import(ONNX, &options, &data::parse_npy(CALIBRATION)?)?)
}

/// Days since 1970-01-01 of a Gregorian date (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms",
/// days_from_civil).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let of_era = y - era * 400;
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The date of a Unix second, `2013-01-31` (the inverse, civil_from_days).
#[must_use]
pub fn date(at_s: u64) -> String {
    let z = (at_s / 86_400) as i64 + 719_468;
    let era = z.div_euclid(146_097);
    let of_era = z - era * 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let mp = (5 * of_year + 2) / 153;
    let (day, month) = (of_year - (153 * mp + 2) / 5 + 1, if mp < 10 { mp + 3 } else { mp - 9 });
    format!("{:04}-{month:02}-{day:02}", year_of_era + era * 400 + i64::from(month <= 2))
}

/// First second of the day that a station calls `2013-01-31`.
///
/// # Errors
/// `date.form`.
pub fn day_start_s(text: &str) -> Result<u64> {
    let refused = || Fault::misuse("date.form", "a date such as 2013-01-31", format_args!("{text:.20}"));
    let mut parts = text.split('-').map(|part| part.parse::<i64>().ok());
    let (Some(Some(year)), Some(Some(month)), Some(Some(day)), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(refused());
    };
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return Err(refused());
    }
    let start_s = (days(year, month, day) * 86_400) as u64 + PHASE_S;
    if date(start_s) == text { Ok(start_s) } else { Err(refused()) }
}

/// Decimal text with at most two places, in hundredths, exactly.
fn centi(text: &str) -> Option<i32> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 2 || text.is_empty() {
        return None;
    }
    format!("{whole}{fraction:0<2}").parse().ok()
}

/// Number of a station in [`STATIONS`].
///
/// # Errors
/// `station.unknown`.
pub fn station(name: &str) -> Result<usize> {
    let wanted = name.to_ascii_uppercase();
    STATIONS
        .iter()
        .position(|station| *station == wanted)
        .ok_or_else(|| Fault::misuse("station.unknown", STATIONS.join(", "), format_args!("{name:.20}")))
}

/// The three airport stations' public readings of the year.
#[must_use]
pub fn airports() -> [Hours; 3] {
    let mut lines = HOURLY.lines();
    let head: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    let column = |name: String| head.iter().position(|field| **field == name).unwrap_or(usize::MAX);
    let columns = STATIONS.map(|station| {
        ["temp_c", "rh_pct", "pressure_hpa"].map(|field| column(format!("{station}_{field}")))
    });
    let mut all = [Hours::new(), Hours::new(), Hours::new()];
    for line in lines {
        let fields: Vec<&str> = line.split(',').collect();
        let Some((date, hour)) = fields[0].split_once('T') else { continue };
        let (Ok(start_s), Ok(hour)) = (day_start_s(date), hour.parse::<u64>()) else { continue };
        for (hours, columns) in all.iter_mut().zip(&columns) {
            let [temp_centi_c, rh_centi_pct, pressure_pa] =
                columns.map(|at| fields.get(at).copied().and_then(centi));
            hours.insert(
                start_s - PHASE_S + hour * HOUR_S,
                Values { temp_centi_c, rh_centi_pct, pressure_pa },
            );
        }
    }
    all
}

/// The public reference of a station's day: the mean of its two neighbours at the airports; `None` when one
/// of them has a gap too long.
#[must_use]
pub fn neighbours(airports: &[Hours; 3], station: usize, start_s: u64) -> Option<Vec<i32>> {
    let others: Option<Vec<Day>> = (0..3)
        .filter(|other| *other != station)
        .map(|other| Day::new(&airports[other], start_s).ok())
        .collect();
    reference(&others?.iter().collect::<Vec<_>>()).ok()
}

/// The feed of these stations' devices for `days` days from `from_s`.
///
/// # Errors
/// `inference.reference-width`: never, as words are between -127 and 127.
pub fn feed(
    airports: &[Hours; 3],
    devices: &[(usize, Device)],
    from_s: u64,
    days: u64,
) -> Result<ReferenceTable> {
    let mut rows = BTreeMap::new();
    for (station, device) in devices {
        for start_s in (0..days).map(|day| from_s + day * WINDOW_S) {
            if let Some(words) = neighbours(airports, *station, start_s) {
                rows.insert((*device, start_s), words);
            }
        }
    }
    ReferenceTable::new(WORD_BYTES, rows).map_err(|reason| Fault::from(&reason))
}

/// A manipulated day of the bundle's test file: what a lying device shows on a date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forgery {
    /// True class, 1 to 3.
    pub label: usize,
    /// What was done, as the bundle notes it.
    pub kind: String,
    /// What the device shows, hour by hour.
    pub values: [Values; HOURS],
}

/// The bundle's manipulated day of a station, date and class (1 replay, 2 tampered, 3 stuck).
///
/// # Errors
/// `forgery.unknown`: the bundle has days 22 to the end of each month, where all readings are complete.
pub fn forgery(station: usize, date: &str, label: usize) -> Result<Forgery> {
    let wanted = |line: &str| {
        let mut fields = line.split(',');
        let found = (fields.next(), fields.next(), fields.next(), fields.next());
        let (Some(name), Some(day), Some(class), Some(kind)) = found else { return None };
        let same = name == STATIONS[station] && day == date && class == label.to_string();
        same.then(|| kind.to_owned())
    };
    let row = TEST_NOTES.lines().skip(1).enumerate().find_map(|(row, line)| Some((row, wanted(line)?)));
    let (row, kind) = row.filter(|_| label > 0).ok_or_else(|| {
        let expected = "a date from the 22nd on with complete readings, class replay, tampered or stuck";
        Fault::misuse("forgery.unknown", expected, format_args!("{} {date:.20} {label}", STATIONS[station]))
    })?;
    let rows = data::parse_npy(TEST_ROWS)?;
    let words: Vec<i32> = rows.row(row)[..QUANTITIES * HOURS].iter().map(|word| *word as i32).collect();
    Ok(Forgery { label, kind, values: shown(&words) })
}

/// Readings that quantise to these words: the middle of each step.
fn shown(words: &[i32]) -> [Values; HOURS] {
    // Centi-units: middles 10 degC, 60 %, 1015 hPa; steps 15/40 degC, 25/40 %, 10/40 hPa
    // (crates/services/src/window.rs).
    let value = |middle: i32, halves: i32, word: i32| Some(middle + (word * halves).div_euclid(2));
    std::array::from_fn(|hour| Values {
        temp_centi_c: value(1_000, 75, words[hour]),
        rh_centi_pct: value(6_000, 125, words[HOURS + hour]),
        pressure_pa: value(101_500, 50, words[2 * HOURS + hour]),
    })
}

/// The id under which all demo stations stand: one cell for the three.
pub const CELL: u64 = 1;

/// Salt that makes equal jobs differ.
#[must_use]
pub fn salt(text: &str) -> Hash32 {
    proofmesh_market::keccak(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_go_both_ways_and_others_are_refused() {
        for text in ["2013-01-01", "2012-02-29", "2013-12-31", "2000-03-01"] {
            assert_eq!(date(day_start_s(text).expect("a date")), text);
        }
        for lie in ["", "2013", "2013-02-29", "2013-13-01", "2013-01-00", "2013-01-01-01", "x-y-z", "1-1-1"] {
            assert!(day_start_s(lie).expect_err("no date").is("date.form"), "{lie}");
        }
    }

    #[test]
    fn a_forged_day_quantises_to_the_row_that_it_came_from() {
        let rows = data::parse_npy(TEST_ROWS).expect("the bundle's rows");
        let mut seen = 0;
        for (row, line) in TEST_NOTES.lines().skip(1).enumerate() {
            let fields: Vec<&str> = line.split(',').collect();
            let label: usize = fields[2].parse().expect("a class");
            if label == 0 {
                continue;
            }
            let forged = forgery(station(fields[0]).expect("a station"), fields[1], label).expect("is there");
            let start_s = day_start_s(fields[1]).expect("a date");
            let hours = (0..24).map(|hour| (start_s + hour * HOUR_S, forged.values[hour as usize])).collect();
            let words = Day::new(&hours, start_s).expect("complete").words();
            assert!(words.iter().zip(rows.row(row)).all(|(a, b)| *a as f32 == *b), "{line}");
            seen += 1;
        }
        assert_eq!(seen, 747);
        assert!(forgery(0, "2013-01-01", 1).expect_err("a training day").is("forgery.unknown"));
        assert!(forgery(0, "2013-01-22", 0).expect_err("no forgery").is("forgery.unknown"));
    }
}

//! 24 hourly readings of a station to one day window of the integers that weather-qod reads.
//!
//! `q = clamp(round(40 s), -127, 127)` with `s = (T - 10)/15, (RH - 60)/25, (P - 1015)/10` in degC, %, hPa;
//! round is half-to-even (numpy's `rint`). Gaps of at most 3 hours in one quantity are filled by a straight
//! line between the readings around them, which may lie outside the day. Everything is exact: a filled value
//! is a multiple of 1/12 of a centi-unit (lines have 2, 3 or 4 steps), a mean of n stations of 1/(12 n). The
//! Python of examples/weather-qod does the same in floats; the test compares every genuine row of its test
//! file.
//!
//! Refuses: `window.incomplete` (a longer gap; such a day is not proved), `window.hour-twice`,
//! `window.start`, `window.stations`, `window.range`.

use crate::reading::{Reading, Values};
use proofmesh_market::Refusal;
use std::collections::BTreeMap;

/// Hours of a window.
pub const HOURS: usize = 24;
/// Quantities of a station: temperature, humidity, pressure.
pub const QUANTITIES: usize = 3;
/// Bytes that a word of the model's input takes: it is between -127 and 127.
pub const WORD_BYTES: u8 = 1;
/// Hours that a line may fill.
pub const GAP_HOURS: u64 = 3;
/// Most stations whose mean is a reference.
pub const STATIONS_MAX: usize = 64;
/// Largest size of a value, in centi-units: 3,000 hPa, far from any weather.
pub const VALUE_MAX: i32 = 300_000;
/// Seconds of an hour.
pub const HOUR_S: u64 = 3_600;
/// Seconds of a window.
pub const WINDOW_S: u64 = HOURS as u64 * HOUR_S;

/// Twelfths of a centi-unit in one unit.
const UNIT: i64 = 1_200;
/// The middle of each quantity's scale, in twelfths of a centi-unit: 10 degC, 60 %, 1015 hPa.
const MIDDLE: [i64; QUANTITIES] = [10 * UNIT, 60 * UNIT, 1_015 * UNIT];
/// Twelfths of a centi-unit in one step of q: 15/40 degC, 25/40 %, 10/40 hPa.
const STEP: [i64; QUANTITIES] = [15 * UNIT / 40, 25 * UNIT / 40, 10 * UNIT / 40];

/// Readings by the hour they belong to (its first Unix second).
///
/// # Errors
/// `window.hour-twice`, `window.range`.
pub fn by_hour<'a>(
    readings: impl IntoIterator<Item = &'a Reading>,
) -> Result<BTreeMap<u64, Values>, Refusal> {
    let mut hours = BTreeMap::new();
    for reading in readings {
        let hour_s = reading.time_s - reading.time_s % HOUR_S;
        if let Some(value) = reading
            .values
            .array()
            .into_iter()
            .flatten()
            .find(|value| !(-VALUE_MAX..=VALUE_MAX).contains(value))
        {
            return Err(Refusal::new("window.range", format_args!("at most {VALUE_MAX} either way"), value));
        }
        if hours.insert(hour_s, reading.values).is_some() {
            return Err(Refusal::new("window.hour-twice", "one reading an hour", reading.number));
        }
    }
    Ok(hours)
}

/// A complete day of one station, gaps filled, exact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Day {
    start_s: u64,
    twelfths: [[i64; HOURS]; QUANTITIES], // of a centi-unit
}

impl Day {
    /// The 24 hours from `start_s`, a whole hour.
    ///
    /// # Errors
    /// `window.start`, `window.incomplete`.
    pub fn new(hours: &BTreeMap<u64, Values>, start_s: u64) -> Result<Self, Refusal> {
        if !start_s.is_multiple_of(HOUR_S) || start_s.checked_add(2 * WINDOW_S).is_none() {
            return Err(Refusal::new("window.start", "the first second of an hour", start_s));
        }
        let mut twelfths = [[0; HOURS]; QUANTITIES];
        for (quantity, row) in twelfths.iter_mut().enumerate() {
            for (hour, value) in row.iter_mut().enumerate() {
                let at_s = start_s + hour as u64 * HOUR_S;
                *value = filled(hours, quantity, at_s).ok_or_else(|| {
                    let name = ["temperature", "humidity", "pressure"][quantity];
                    Refusal::new(
                        "window.incomplete",
                        format_args!("{name}, gaps of at most {GAP_HOURS} h"),
                        format_args!("none at {at_s}"),
                    )
                })?;
            }
        }
        Ok(Day { start_s, twelfths })
    }

    /// First Unix second.
    #[must_use]
    pub fn start_s(&self) -> u64 {
        self.start_s
    }

    /// The station's own half of the model's input: 72 words, temperature, humidity, pressure, 24 each.
    #[must_use]
    pub fn words(&self) -> Vec<i32> {
        quantise(&[self])
    }
}

/// The neighbours' half of the model's input: the mean of their days, 72 words in the order of
/// [`Day::words`].
///
/// # Errors
/// `window.stations` when there are none or too many, or their days differ.
pub fn reference(days: &[&Day]) -> Result<Vec<i32>, Refusal> {
    let same = days.windows(2).all(|two| two[0].start_s == two[1].start_s);
    if days.is_empty() || days.len() > STATIONS_MAX || !same {
        let expected = format!("1 to {STATIONS_MAX} stations, one day");
        return Err(Refusal::new(
            "window.stations",
            expected,
            format_args!("{}, one day: {same}", days.len()),
        ));
    }
    Ok(quantise(days))
}

fn quantise(days: &[&Day]) -> Vec<i32> {
    let count = days.len() as i64;
    let mut words = Vec::with_capacity(QUANTITIES * HOURS);
    for quantity in 0..QUANTITIES {
        for hour in 0..HOURS {
            let sum: i64 = days.iter().map(|day| day.twelfths[quantity][hour]).sum();
            let steps = round_half_even(sum - count * MIDDLE[quantity], count * STEP[quantity]);
            words.push(steps.clamp(-127, 127) as i32);
        }
    }
    words
}

/// `numerator / denominator` to the nearest integer, halves to the even one. The denominator is above zero.
fn round_half_even(numerator: i64, denominator: i64) -> i64 {
    let floor = numerator.div_euclid(denominator);
    let twice = 2 * numerator.rem_euclid(denominator);
    let up = twice > denominator || (twice == denominator && floor % 2 != 0);
    floor + i64::from(up)
}

/// The value of an hour in twelfths of a centi-unit: as read, or on the line between the readings around a
/// gap of at most [`GAP_HOURS`].
fn filled(hours: &BTreeMap<u64, Values>, quantity: usize, at_s: u64) -> Option<i64> {
    let read = |at_s: u64| {
        hours.get(&at_s).and_then(|values| values.array()[quantity]).map(|value| 12 * i64::from(value))
    };
    if let Some(value) = read(at_s) {
        return Some(value);
    }
    let before = (1..=GAP_HOURS).find_map(|back| Some((back, read(at_s.checked_sub(back * HOUR_S)?)?)))?;
    let after = (1..=GAP_HOURS).find_map(|on| Some((on, read(at_s.checked_add(on * HOUR_S)?)?)))?;
    let steps = (before.0 + after.0) as i64; // 2, 3 or 4 when the gap is short enough: all divide 12
    (steps <= GAP_HOURS as i64 + 1).then(|| before.1 + (after.1 - before.1) / steps * before.0 as i64)
}

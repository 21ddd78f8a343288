//! SenML (RFC 8428): what sensors publish, in JSON or CBOR, to measured values.
//!
//! A pack is an array of records. Base fields (`bn`, `bt`, `bu`, `bv`) hold from their record on; a record's name is
//! `bn n`, its time `bt + t`, its value `bv + v`, its unit `u` or else `bu`. Times below 2^28 are relative to now
//! (section 4.5.3). Strict where the standard is: one kind of value a record, names of its alphabet, version 10,
//! labels that end in `_` and are not known are refused (section 4.4); others that are not known are ignored.
//! Sums (`s`, `bs`) and update times are read and not used. CBOR numbers are integers and floats; decimal fractions
//! (tag 4) are refused.
//!
//! Units that are readings: `Cel` and `K` (temperature), `%RH` (humidity), `Pa` and `hPa` (pressure; the second is
//! of RFC 8798). Records of other units are left alone. Records of one second are one reading.
//!
//! Refuses: `senml.too-large`, `senml.syntax`, `senml.too-many-records`, `senml.empty`, `senml.twice`,
//! `senml.must-understand`, `senml.type`, `senml.version`, `senml.name`, `senml.value`, `senml.number`,
//! `senml.time`, `senml.time-ahead`, `senml.no-reading`, `senml.range`.

use crate::reading::Values;
use crate::window::VALUE_MAX;
use proofmesh_market::Refusal;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt;

/// Most bytes of a pack.
pub const PACK_BYTES_MAX: usize = 16 << 10;
/// Most records of a pack.
pub const RECORDS_MAX: usize = 1_024;
/// Most characters of a record's name.
pub const NAME_CHARS_MAX: usize = 128;
/// Seconds that a sensor's clock may be ahead.
pub const AHEAD_S: u64 = 600;
/// Times below are relative to now (RFC 8428, section 4.5.3).
const RELATIVE_BELOW: f64 = 268_435_456.0;
/// Nested containers that the CBOR reader follows: a pack, a record, an unknown field.
const DEPTH_MAX: usize = 16;

/// How a pack is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `application/senml+json`.
    Json,
    /// `application/senml+cbor`.
    Cbor,
}

/// A resolved record (RFC 8428, section 4.6).
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Name of the sensor or parameter.
    pub name: String,
    /// Unit, if one is given.
    pub unit: Option<String>,
    /// Unix time in seconds, finite, not below zero.
    pub time_s: f64,
    /// The number; `None` for text, a truth value, data or a sum alone.
    pub value: Option<f64>,
}

/// What a sensor measured at a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// Unix second.
    pub time_s: u64,
    /// What it measured; at least one value.
    pub values: Values,
}

/// Labels in JSON and CBOR (RFC 8428, table 4).
const LABELS: [(&str, i64); 15] = [
    ("bn", -2),
    ("bt", -3),
    ("bu", -4),
    ("bv", -5),
    ("bs", -6),
    ("bver", -1),
    ("n", 0),
    ("u", 1),
    ("v", 2),
    ("vs", 3),
    ("vb", 4),
    ("s", 5),
    ("t", 6),
    ("ut", 7),
    ("vd", 8),
];
/// Labels of text; `vb` is a truth value, `vd` in CBOR bytes, all others are numbers.
const TEXTS: [&str; 5] = ["bn", "bu", "n", "u", "vs"];

/// A field as it came.
#[derive(Clone, Debug)]
enum Field {
    Number(f64),
    Text(String),
    Truth,
    Data,
}

/// A record as it came: fields in the order of [`LABELS`], and what is wrong with it as a whole.
#[derive(Default)]
struct Raw {
    fields: [Option<Field>; LABELS.len()],
    twice: Option<&'static str>,
    must_understand: Option<String>,
}

/// Records as they came, and whether there were too many.
struct Pack {
    records: Vec<Raw>,
    more: bool,
}

/// A label: a place in [`LABELS`], or another text or number.
enum Label {
    Known(usize),
    MustUnderstand(String),
    Other,
}

macro_rules! visited {
    ($visitor:ident, $for:ty, $expecting:literal, { $($body:tt)* }) => {
        impl<'de> Deserialize<'de> for $for {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                struct $visitor;
                impl<'de> Visitor<'de> for $visitor {
                    type Value = $for;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }

                    $($body)*
                }
                from.deserialize_any($visitor)
            }
        }
    };
}

visited!(LabelVisitor, Label, "a label", {
    fn visit_str<E: Error>(self, text: &str) -> Result<Label, E> {
        Ok(match LABELS.iter().position(|(label, _)| *label == text) {
            Some(place) => Label::Known(place),
            None if text.ends_with('_') => Label::MustUnderstand(text.chars().take(40).collect()),
            None => Label::Other,
        })
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Label, E> {
        Ok(LABELS.iter().position(|(_, label)| *label == number).map_or(Label::Other, Label::Known))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Label, E> {
        self.visit_i64(i64::try_from(number).unwrap_or(i64::MAX))
    }
});

visited!(FieldVisitor, Field, "a number, a text, a truth value or bytes", {
    fn visit_f64<E: Error>(self, number: f64) -> Result<Field, E> {
        Ok(Field::Number(number))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Field, E> {
        Ok(Field::Number(number as f64))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Field, E> {
        Ok(Field::Number(number as f64))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Field, E> {
        Ok(Field::Text(text.to_owned()))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Field, E> {
        Ok(Field::Truth)
    }

    fn visit_bytes<E: Error>(self, _: &[u8]) -> Result<Field, E> {
        Ok(Field::Data)
    }
});

visited!(RawVisitor, Raw, "a record", {
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut raw = Raw::default();
        while let Some(label) = map.next_key::<Label>()? {
            match label {
                Label::Known(place) => {
                    if raw.fields[place].replace(map.next_value()?).is_some() {
                        raw.twice = Some(LABELS[place].0);
                    }
                }
                Label::MustUnderstand(text) => {
                    raw.must_understand = Some(text);
                    map.next_value::<IgnoredAny>()?;
                }
                Label::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(raw)
    }
});

visited!(PackVisitor, Pack, "an array of records", {
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Pack, A::Error> {
        let mut records = Vec::new();
        while let Some(raw) = seq.next_element()? {
            if records.len() == RECORDS_MAX {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(Pack { records, more: true });
            }
            records.push(raw);
        }
        Ok(Pack { records, more: false })
    }
});

impl Raw {
    fn field(&self, label: &str) -> Option<&Field> {
        LABELS.iter().position(|(known, _)| *known == label).and_then(|place| self.fields[place].as_ref())
    }

    fn number(&self, label: &str) -> Option<f64> {
        if let Some(Field::Number(number)) = self.field(label) { Some(*number) } else { None }
    }

    fn text(&self, label: &str) -> Option<&str> {
        if let Some(Field::Text(text)) = self.field(label) { Some(text) } else { None }
    }

    /// That every field is of its kind and there once, and that there is one value or a sum.
    fn check(&self) -> Result<(), Refusal> {
        if let Some(label) = self.twice {
            return Err(Refusal::new("senml.twice", "a label once a record", label));
        }
        if let Some(label) = &self.must_understand {
            return Err(Refusal::new(
                "senml.must-understand",
                "labels of RFC 8428",
                format_args!("{label:?}"),
            ));
        }
        for ((label, _), field) in LABELS.iter().zip(&self.fields) {
            let fits = match field {
                None => true,
                Some(Field::Number(_)) => !TEXTS.contains(label) && *label != "vb" && *label != "vd",
                Some(Field::Text(_)) => TEXTS.contains(label) || *label == "vd",
                Some(Field::Truth) => *label == "vb",
                Some(Field::Data) => *label == "vd",
            };
            if !fits {
                return Err(Refusal::new("senml.type", "fields of the types of RFC 8428", label));
            }
            if matches!(field, Some(Field::Number(number)) if !number.is_finite()) {
                return Err(Refusal::new("senml.number", "a finite number", label));
            }
        }
        if self.number("bver").is_some_and(|version| version != 10.0) {
            return Err(Refusal::new("senml.version", "version 10 (RFC 8428)", "another"));
        }
        let values = ["v", "vs", "vb", "vd"].iter().filter(|label| self.field(label).is_some()).count();
        if values > 1 || values == 0 && self.field("s").is_none() {
            return Err(Refusal::new("senml.value", "one value or a sum a record", values));
        }
        Ok(())
    }
}

/// Reads a pack; `now_s` is what relative times are relative to.
///
/// # Errors
/// The names in the head of this file, but `senml.no-reading`, `senml.range`.
pub fn decode(form: Form, bytes: &[u8], now_s: u64) -> Result<Vec<Record>, Refusal> {
    if bytes.len() > PACK_BYTES_MAX {
        let expected = format!("at most {PACK_BYTES_MAX} bytes");
        return Err(Refusal::new("senml.too-large", expected, bytes.len()));
    }
    let syntax = |got: String| {
        let got: String = got.chars().take(120).collect();
        Refusal::new("senml.syntax", "an array of SenML records", got)
    };
    let pack: Pack = match form {
        Form::Json => serde_json::from_slice(bytes).map_err(|error| syntax(error.to_string()))?,
        Form::Cbor => {
            let mut rest = bytes;
            let pack = ciborium::de::from_reader_with_recursion_limit(&mut rest, DEPTH_MAX);
            let pack = pack.map_err(|error| syntax(error.to_string()))?;
            if !rest.is_empty() {
                return Err(syntax(format!("{} bytes after the pack", rest.len())));
            }
            pack
        }
    };
    if pack.more {
        return Err(Refusal::new("senml.too-many-records", format_args!("at most {RECORDS_MAX}"), "more"));
    }
    if pack.records.is_empty() {
        return Err(Refusal::new("senml.empty", "at least one record", "none"));
    }
    let (mut base_name, mut base_time, mut base_unit, mut base_value) = ("", 0.0, None, 0.0);
    let mut records = Vec::with_capacity(pack.records.len());
    for raw in &pack.records {
        raw.check()?;
        base_name = raw.text("bn").unwrap_or(base_name);
        base_time = raw.number("bt").unwrap_or(base_time);
        base_unit = raw.text("bu").or(base_unit);
        base_value = raw.number("bv").unwrap_or(base_value);
        let name = [base_name, raw.text("n").unwrap_or_default()].concat();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-:./_".contains(c);
        let starts = name.starts_with(|c: char| c.is_ascii_alphanumeric());
        if !starts || name.len() > NAME_CHARS_MAX || !name.chars().all(plain) {
            let expected = format!("1 to {NAME_CHARS_MAX} of A-Z a-z 0-9 - : . / _, first a letter or digit");
            return Err(Refusal::new("senml.name", expected, format_args!("{name:.40?}")));
        }
        let time = base_time + raw.number("t").unwrap_or(0.0);
        let time_s = if time < RELATIVE_BELOW { now_s as f64 + time } else { time };
        if time_s < 0.0 {
            return Err(Refusal::new("senml.time", "a second after 1970", time_s));
        }
        if time_s > now_s.saturating_add(AHEAD_S) as f64 {
            let expected = format!("at most {AHEAD_S} s after {now_s}; set the sensor's clock");
            return Err(Refusal::new("senml.time-ahead", expected, time_s));
        }
        let value = raw.number("v").map(|value| value + base_value);
        if value.is_some_and(|value| !value.is_finite()) {
            return Err(Refusal::new("senml.number", "a finite number", "v and bv"));
        }
        records.push(Record { name, unit: raw.text("u").or(base_unit).map(str::to_owned), time_s, value });
    }
    Ok(records)
}

/// What the records measured, by second, in order of time.
///
/// # Errors
/// `senml.no-reading` when no record is a reading, `senml.twice` for a quantity twice in a second, `senml.value`
/// for a text as a temperature, `senml.range` for what no weather is.
pub fn measured(records: &[Record]) -> Result<Vec<Measured>, Refusal> {
    let mut seconds: BTreeMap<u64, Values> = BTreeMap::new();
    for record in records {
        let Some((quantity, scale, zero)) = quantity(record.unit.as_deref()) else { continue };
        let value = record.value.ok_or_else(|| Refusal::new("senml.value", "a number", &record.name))?;
        let value = ((value - zero) * scale).round();
        if value.abs() > f64::from(VALUE_MAX) {
            let expected = format!("at most {VALUE_MAX} hundredths either way");
            return Err(Refusal::new("senml.range", expected, format_args!("{} of {value}", record.name)));
        }
        let values = seconds.entry(record.time_s as u64).or_default();
        let slot = match quantity {
            Quantity::Temperature => &mut values.temp_centi_c,
            Quantity::Humidity => &mut values.rh_centi_pct,
            Quantity::Pressure => &mut values.pressure_pa,
        };
        if slot.replace(value as i32).is_some() {
            return Err(Refusal::new("senml.twice", "a quantity once a second", &record.name));
        }
    }
    if seconds.is_empty() {
        return Err(Refusal::new("senml.no-reading", "a record in Cel, K, %RH, Pa or hPa", "none"));
    }
    Ok(seconds.into_iter().map(|(time_s, values)| Measured { time_s, values }).collect())
}

#[derive(Clone, Copy)]
enum Quantity {
    Temperature,
    Humidity,
    Pressure,
}

/// What a unit measures, the fixed-point units in one of it, and where its zero is.
fn quantity(unit: Option<&str>) -> Option<(Quantity, f64, f64)> {
    Some(match unit? {
        "Cel" => (Quantity::Temperature, 100.0, 0.0),
        "K" => (Quantity::Temperature, 100.0, 273.15),
        "%RH" => (Quantity::Humidity, 100.0, 0.0),
        "Pa" => (Quantity::Pressure, 1.0, 0.0),
        "hPa" => (Quantity::Pressure, 100.0, 0.0),
        _ => return None,
    })
}

/// One reading as a pack, times absolute. `name` is the base name, such as `urn:dev:ow:10e2073a01080063:`.
#[must_use]
pub fn encode(form: Form, name: &str, measured: &Measured) -> Vec<u8> {
    let names = [("temperature", "Cel", 100.0), ("humidity", "%RH", 100.0), ("pressure", "Pa", 1.0)];
    let mut records: Vec<Vec<(usize, serde_json::Value)>> = Vec::new();
    let place = |label: &str| LABELS.iter().position(|(known, _)| *known == label).unwrap_or_default();
    for ((n, unit, scale), value) in names.into_iter().zip(measured.values.array()) {
        let Some(value) = value else { continue };
        let mut record = Vec::new();
        if records.is_empty() {
            record.extend([(place("bn"), json!(name)), (place("bt"), json!(measured.time_s))]);
        }
        let v = (place("v"), json!(f64::from(value) / scale));
        record.extend([(place("n"), json!(n)), (place("u"), json!(unit)), v]);
        records.push(record);
    }
    match form {
        Form::Json => {
            let maps = records.into_iter().map(|record| {
                let fields = record.into_iter().map(|(place, value)| (LABELS[place].0.to_owned(), value));
                serde_json::Value::Object(fields.collect())
            });
            serde_json::Value::Array(maps.collect()).to_string().into_bytes()
        }
        Form::Cbor => {
            let maps: Vec<BTreeMap<i64, serde_json::Value>> = records
                .into_iter()
                .map(|record| record.into_iter().map(|(place, value)| (LABELS[place].1, value)).collect())
                .collect();
            let mut bytes = Vec::new();
            ciborium::into_writer(&maps, &mut bytes)
                .expect("a vector takes all bytes, these values all encode");
            bytes
        }
    }
}

//! SenML packs, honest and hostile: a committed corpus, and the same corpus with bytes changed by a fixed seed.

use proofmesh_services::reading::Values;
use proofmesh_services::senml::{Form, Measured, PACK_BYTES_MAX, RECORDS_MAX, decode, encode, measured};
use proofmesh_services::window::VALUE_MAX;

const NOW_S: u64 = 1_767_225_600;
const CORPUS: &str = include_str!("senml.corpus");

/// Form, what it leads to, payload.
fn corpus() -> Vec<(Form, &'static str, Vec<u8>)> {
    let lines = CORPUS.lines().filter(|line| !line.starts_with('#'));
    let read = |line: &'static str| {
        let mut fields = line.splitn(3, ' ');
        let (form, leads_to) = (fields.next().expect("a form"), fields.next().expect("a result"));
        let payload = fields.next().unwrap_or_default();
        if form == "json" {
            return (Form::Json, leads_to, payload.as_bytes().to_vec());
        }
        let digits: Vec<u32> = payload.chars().filter_map(|digit| digit.to_digit(16)).collect();
        assert!(digits.len().is_multiple_of(2), "{payload}");
        (Form::Cbor, leads_to, digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect())
    };
    lines.map(read).collect()
}

fn result(form: Form, payload: &[u8]) -> String {
    let records = match decode(form, payload, NOW_S) {
        Ok(records) => records,
        Err(refusal) => return refusal.name.to_owned(),
    };
    match measured(&records) {
        Ok(readings) => format!("{}/{}", records.len(), readings.len()),
        Err(refusal) if refusal.name == "senml.no-reading" => format!("{}/0", records.len()),
        Err(refusal) => refusal.name.to_owned(),
    }
}

#[test]
fn every_pack_of_the_corpus_leads_to_what_is_written_beside_it() {
    for (form, leads_to, payload) in corpus() {
        let got = result(form, &payload);
        assert_eq!(got, leads_to, "{}", String::from_utf8_lossy(&payload));
    }
    assert_eq!(result(Form::Json, &vec![b' '; PACK_BYTES_MAX + 1]), "senml.too-large");
    let many = format!("[{}{{}}]", "{},".repeat(RECORDS_MAX));
    assert_eq!(result(Form::Json, many.as_bytes()), "senml.too-many-records");
    let many = [vec![0x99, 0x3f, 0x00], vec![0xa0; 0x3f00]].concat();
    assert_eq!(result(Form::Cbor, &many), "senml.too-many-records");
}

#[test]
fn base_fields_hold_from_their_record_on() {
    let pack = br#"[{"bn":"a:","bt":1300000000,"bu":"Cel","bv":10,"n":"x","v":1.25},
        {"n":"y","t":5,"v":-10.01},{"bn":"b:","bv":0,"n":"z","u":"%RH","t":5,"v":55}]"#;
    let records = decode(Form::Json, pack, NOW_S).expect("a pack");
    let names: Vec<&str> = records.iter().map(|record| record.name.as_str()).collect();
    assert_eq!(names, ["a:x", "a:y", "b:z"]);
    let at = |time_s, temp, rh| Measured {
        time_s,
        values: Values { temp_centi_c: temp, rh_centi_pct: rh, pressure_pa: None },
    };
    let expected = vec![at(1_300_000_000, Some(1_125), None), at(1_300_000_005, Some(-1), Some(5_500))];
    assert_eq!(measured(&records), Ok(expected));
    let relative = decode(Form::Json, br#"[{"n":"x","u":"Cel","v":1,"t":-60}]"#, NOW_S).expect("a pack");
    assert_eq!(relative[0].time_s, (NOW_S - 60) as f64);
}

#[test]
fn a_reading_goes_through_both_forms_unchanged() {
    for word in [-VALUE_MAX, -4_015, -1, 0, 1, 7, 29_915, 101_325, VALUE_MAX] {
        let values = Values {
            temp_centi_c: Some(word),
            rh_centi_pct: (word > 0).then_some(word),
            pressure_pa: Some(-word),
        };
        let reading = Measured { time_s: 1_358_830_860, values };
        for form in [Form::Json, Form::Cbor] {
            let pack = encode(form, "urn:dev:ow:10e2073a01080063:", &reading);
            let records = decode(form, &pack, NOW_S).expect("our own");
            assert_eq!(measured(&records), Ok(vec![reading]), "{}", String::from_utf8_lossy(&pack));
        }
    }
}

/// xorshift64 (G. Marsaglia, 2003): the same bytes everywhere.
fn draw(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 16) as usize
}

#[test]
fn changed_packs_are_refused_by_name_or_read_within_bounds() {
    let corpus = corpus();
    let mut state = 0x5eed_0f5e_4d1b_0001;
    let (mut read, mut refused) = (0, 0);
    for _ in 0..40_000 {
        let (form, _, payload) = &corpus[draw(&mut state) % corpus.len()];
        let mut bytes = payload.clone();
        for _ in 0..1 + draw(&mut state) % 3 {
            let at = draw(&mut state) % (bytes.len() + 1);
            match draw(&mut state) % 4 {
                0 if at < bytes.len() => bytes[at] ^= 1 << (draw(&mut state) % 8),
                1 => bytes.insert(at, draw(&mut state) as u8),
                2 if at < bytes.len() => drop(bytes.remove(at)),
                _ => {
                    let (_, _, other) = &corpus[draw(&mut state) % corpus.len()];
                    let from = draw(&mut state) % (other.len() + 1);
                    bytes.truncate(at);
                    bytes.extend_from_slice(&other[from..]);
                }
            }
        }
        let records = match decode(*form, &bytes, NOW_S) {
            Ok(records) => records,
            Err(refusal) => {
                assert!(refusal.name.starts_with("senml."), "{}", refusal.name);
                assert!(refusal.got.len() < 1_000, "{refusal}");
                refused += 1;
                continue;
            }
        };
        read += 1;
        assert!((1..=RECORDS_MAX).contains(&records.len()));
        for record in &records {
            assert!(record.time_s >= 0.0 && record.time_s <= (NOW_S + 600) as f64, "{record:?}");
            assert!(record.value.is_none_or(f64::is_finite), "{record:?}");
        }
        if let Ok(readings) = measured(&records) {
            assert!(readings.windows(2).all(|pair| pair[0].time_s < pair[1].time_s));
            let values = readings.iter().flat_map(|reading| reading.values.array()).flatten();
            assert!(values.into_iter().all(|value| (-VALUE_MAX..=VALUE_MAX).contains(&value)));
        }
    }
    assert!(read > 1_000 && refused > 10_000, "{read} read, {refused} refused");
}

//! `proofmesh device`: keys of devices, and their signed readings.

use crate::device::{Device, forge};
use crate::engine::keys::Keys;
use crate::fault::{Fault, Result};
use crate::out::Context;
use crate::weather::{airports, day_start_s, forgery, station};
use crate::wire::Hex;
use proofmesh_market::Hash32;
use proofmesh_services::window::WINDOW_S;
use serde::Serialize;

/// Subcommands.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Make a device's key, or show the one that is there
    #[command(after_help = "Example:\n  proofmesh device new ewr")]
    New {
        /// Name of the device
        name: String,
    },
    /// Replay a recording as the device's signed, numbered, chained readings
    #[command(after_help = "Examples:
  proofmesh device readings ewr --station EWR --from 2013-01-22 --json
  proofmesh device readings lga --station LGA --from 2013-01-23 --show 2013-01-23=tampered")]
    Readings {
        /// Name of the device
        name: String,
        /// Station whose recording is replayed
        #[arg(long)]
        station: String,
        /// First day
        #[arg(long, value_name = "DATE")]
        from: String,
        /// Days
        #[arg(long, default_value_t = 1)]
        days: u64,
        /// Show a manipulated day instead of the real one
        #[arg(long, value_name = "DATE=CLASS")]
        show: Vec<String>,
    },
}

#[derive(Serialize)]
struct DeviceDoc {
    name: String,
    device: proofmesh_market::Device,
    key: Hash32,
}

#[derive(Serialize)]
struct ReadingDoc {
    number: u64,
    time_s: u64,
    temp_centi_c: Option<i32>,
    rh_centi_pct: Option<i32>,
    pressure_pa: Option<i32>,
    digest: Hash32,
    signed: Hex,
}

/// Reads `DATE=CLASS` and puts the manipulated day into a recording.
pub(super) fn show(recording: &mut crate::weather::Hours, station: usize, text: &str) -> Result<String> {
    let bad = || {
        Fault::misuse("show.form", "DATE=CLASS, class replay, tampered or stuck", format_args!("{text:.60}"))
    };
    let (date, class) = text.split_once('=').ok_or_else(bad)?;
    let label = crate::weather::CLASSES.iter().position(|name| *name == class).ok_or_else(bad)?;
    let forged = forgery(station, date, label)?;
    forge(recording, day_start_s(date)?, &forged);
    Ok(date.to_owned())
}

/// Runs.
pub fn run(command: Command, context: &Context) -> Result<()> {
    let keys = Keys::open(&context.dir.join("keys"))?;
    match command {
        Command::New { name } => {
            let device = keys.device(&name)?.device();
            let doc = DeviceDoc { name, device, key: Hash32(device.0) };
            context.print(&doc, || format!("{}\n{}", doc.device, doc.key))
        }
        Command::Readings { name, station: at, from, days, show: shows } => {
            let number = station(&at)?;
            let mut recording = airports()[number].clone();
            for text in &shows {
                show(&mut recording, number, text)?;
            }
            let from_s = day_start_s(&from)?;
            let mut device = Device::new(keys.device(&name)?);
            let readings =
                device.replay(&recording, from_s, from_s.saturating_add(days.min(366) * WINDOW_S))?;
            let docs: Vec<ReadingDoc> = readings
                .iter()
                .map(|signed| ReadingDoc {
                    number: signed.reading.number,
                    time_s: signed.reading.time_s,
                    temp_centi_c: signed.reading.values.temp_centi_c,
                    rh_centi_pct: signed.reading.values.rh_centi_pct,
                    pressure_pa: signed.reading.values.pressure_pa,
                    digest: signed.reading.digest(),
                    signed: Hex(signed.encode().to_vec()),
                })
                .collect();
            context.print(&docs, || table(&docs))
        }
    }
}

fn table(docs: &[ReadingDoc]) -> String {
    let value = |value: Option<i32>| value.map_or("-".to_owned(), |v| format!("{:.2}", f64::from(v) / 100.0));
    let row = |doc: &ReadingDoc| {
        let [t, rh, p] = [doc.temp_centi_c, doc.rh_centi_pct, doc.pressure_pa].map(value);
        format!(
            "{:>5}  {}  {t:>7} degC {rh:>7} % {p:>8} hPa  {:.18}",
            doc.number,
            doc.time_s,
            doc.digest.to_string()
        )
    };
    docs.iter().map(row).collect::<Vec<_>>().join("\n")
}

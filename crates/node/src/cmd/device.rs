//! `proofmesh device`: keys of devices, their signed readings, and the live ones' feed and counts.

use crate::device::feed::{Curve, Feed, FeedForm, packs};
use crate::device::intake::{Refused, bind, bound};
use crate::device::mqtt::{Broker, publish};
use crate::device::stream::{DayCount, Seen};
use crate::device::{Device, forge};
use crate::engine::keys::Keys;
use crate::fault::{Fault, Kind, Result};
use crate::out::Context;
use crate::time::Time;
use crate::weather::{airports, day_start_s, forgery, station};
use crate::wire::Hex;
use proofmesh_market::Hash32;
use proofmesh_services::did::Did;
use proofmesh_services::senml::{self, Form, Measured, PACK_BYTES_MAX};
use proofmesh_services::window::{GAP_HOURS, HOUR_S, WINDOW_S};
use serde::Serialize;
use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::Mutex;

/// Bytes of a file of packs: a year of a reading a minute.
const FILE_BYTES_MAX: usize = 64 << 20;

/// Subcommands.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Make a device's key, or show the one that is there
    #[command(after_help = "\
Examples:
  proofmesh device new ewr
  proofmesh device new roof --curve p256     a sensor's: for `device feed --form cose --curve p256`

Nodes of the market have Ed25519 keys; `device accept` binds a sensor with either.")]
    New {
        /// Name of the device
        name: String,
        /// Curve of its key
        #[arg(long, value_enum, default_value = "ed25519")]
        curve: Curve,
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
    /// A device's did:key, the sensor that is bound to its node, and its live readings day by day
    #[command(after_help = "\
Example:
  proofmesh device show ewr

A day's numbers begin where those of the day before end: readings or days that are left out show as a hole.")]
    Show {
        /// Name of the device
        name: String,
    },
    /// Bind a sensor with a key of its own to a node: only what it signed is taken from then on
    #[command(after_help = "\
Examples:
  proofmesh device accept ewr did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK
  proofmesh device accept ewr did:key:zDnaerDaTF5BXEavCrfRZEk316dpbLsfPDZ3WJ5hRTPFU2169     a P-256 key
  proofmesh device accept ewr none        the node's own key again

Counts for a node that is started after it.")]
    Accept {
        /// Name of the node
        name: String,
        /// The sensor's did:key, or `none`
        sensor: String,
    },
    /// Write a station's recording as SenML packs, one a line
    #[command(after_help = "Example:
  proofmesh device recording --station EWR --from 2013-01-22 --days 3 > readings.senml")]
    Recording {
        /// Station
        #[arg(long)]
        station: String,
        /// First day
        #[arg(long, value_name = "DATE")]
        from: String,
        /// Days; the hours around them that fill gaps come with them
        #[arg(long, default_value_t = 1)]
        days: u64,
    },
    /// Publish SenML packs to a broker; they are kept on disk until the broker has them
    #[command(after_help = "\
Examples:
  proofmesh device feed ewr --broker mqtt://127.0.0.1:1883 --file readings.senml
  sensor-driver | proofmesh device feed ewr --broker mqtt://127.0.0.1:1883 --file -     a pack a line, as they come
  proofmesh device feed ewr --broker mqtt://127.0.0.1:1883 --form cose --file -         signed with the key `ewr`
  proofmesh device feed ewr --broker mqtt://127.0.0.1:1883 --form cose --curve p256 --file -     with its P-256 key

Ends when everything is acknowledged. A broker that is away is waited for; what waits survives the process.")]
    Feed(FeedArgs),
}

/// Arguments of `device feed`.
#[derive(Debug, clap::Args)]
pub struct FeedArgs {
    /// Name of the device, and of the node that listens
    name: String,
    /// The broker
    #[arg(long, value_name = "mqtt://HOST:PORT")]
    broker: String,
    /// SenML packs in JSON, one after the other; `-` for standard input, one a line. Without it, only what waits is
    /// published
    #[arg(long)]
    file: Option<PathBuf>,
    /// How readings are published
    #[arg(long, value_enum, default_value = "json")]
    form: FeedForm,
    /// Curve of the key that signs in the form `cose`
    #[arg(long, value_enum, default_value = "ed25519")]
    curve: Curve,
}

#[derive(Serialize)]
struct ShownDevice {
    name: String,
    device: proofmesh_market::Device,
    sensor: Option<Did>,
    days: Vec<DayCount>,
    refused: Refused,
}

#[derive(Serialize)]
struct FedDoc {
    readings: u64,
    refused: u64,
}

#[derive(Serialize)]
struct DeviceDoc {
    name: String,
    device: Did,
    key: Hex,
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
pub async fn run(command: Command, context: &Context) -> Result<()> {
    let keys = Keys::open(&context.dir.join("keys"))?;
    match command {
        Command::New { name, curve } => {
            let device = curve.secret(&keys, &name)?.did();
            let key = match device {
                Did::Ed25519(device) => Hex(device.0.to_vec()),
                Did::P256(point) => Hex(point.to_vec()),
            };
            let doc = DeviceDoc { name, device, key };
            context.print(&doc, || format!("{}\n0x{}", doc.device, hex::encode(&doc.key.0)))
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
                    signed: Hex(signed.encode()),
                })
                .collect();
            context.print(&docs, || table(&docs))
        }
        Command::Show { name } => {
            let device = keys.device(&name)?.device();
            let dir = context.dir.join("nodes").join(&name);
            let sensor = bound(&dir)?;
            let seen = Seen::look(&dir, sensor.unwrap_or(device.into()))?;
            let (days, refused) = (seen.days().cloned().collect(), Refused::read(&dir)?);
            let doc = ShownDevice { name, device, sensor, days, refused };
            context.print(&doc, || shown(&doc))
        }
        Command::Accept { name, sensor } => {
            let device = keys.device(&name)?.device();
            let sensor = if sensor == "none" { None } else { Some(sensor.parse()?) };
            let dir = context.dir.join("nodes").join(&name);
            bind(&dir, sensor)?;
            let doc = ShownDevice { name, device, sensor, days: Vec::new(), refused: Refused::read(&dir)? };
            context.print(&doc, || shown(&doc))
        }
        Command::Recording { station: at, from, days } => {
            let number = station(&at)?;
            let recording = &airports()[number];
            let from_s = day_start_s(&from)?;
            let until_s = from_s.saturating_add(days.min(366) * WINDOW_S + GAP_HOURS * HOUR_S);
            let around = recording.range(from_s - GAP_HOURS * HOUR_S..until_s);
            let measured = around.map(|(time_s, values)| Measured { time_s: *time_s, values: *values });
            let packs: Vec<serde_json::Value> = measured
                .filter(|measured| measured.values.array().iter().any(Option::is_some))
                .map(|measured| {
                    senml::encode(Form::Json, &format!("{}:", at.to_ascii_lowercase()), &measured)
                })
                .map(|pack| serde_json::from_slice(&pack))
                .collect::<std::result::Result<_, _>>()
                .map_err(|error| Fault::trouble("stdout.json", "a pack", error))?;
            context.print(&packs, || packs.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
        }
        Command::Feed(args) => feed(args, context).await,
    }
}

fn shown(doc: &ShownDevice) -> String {
    let mut lines = vec![format!("device    {}", doc.device)];
    if let Some(sensor) = doc.sensor {
        let kind = if matches!(sensor, Did::P256(_)) { "P-256" } else { "Ed25519" };
        lines.push(format!("sensor    {sensor} ({kind}), and nothing unsigned"));
    }
    let mut next = doc.days.first().map_or(0, |day| day.first);
    for day in &doc.days {
        let hole = if day.first > next {
            format!(", numbers {next} to {} missing", day.first - 1)
        } else {
            String::new()
        };
        let by = if day.by_gateway > 0 { "gateway" } else { "device" };
        lines.push(format!(
            "{}  numbers {} to {}, {} readings in {} hours, signed by {by}{hole}",
            day.date,
            day.first,
            day.until.saturating_sub(1),
            day.readings,
            day.hours,
        ));
        next = day.until;
    }
    lines.extend(doc.refused.0.iter().map(|(name, count)| format!("refused   {count} x {name}")));
    lines.join("\n")
}

/// What the reader of packs and the publisher share.
struct Feeding {
    outbox: Mutex<crate::device::outbox::Outbox>,
    ended: AtomicBool,
    readings: AtomicU64,
    refused: AtomicU64,
}

async fn feed(args: FeedArgs, context: &Context) -> Result<()> {
    let broker: Broker = args.broker.parse()?;
    let (mut feed, outbox) = Feed::open(&context.dir, &args.name, args.form, args.curve)?;
    let feeding = Arc::new(Feeding {
        outbox: Mutex::new(outbox),
        ended: AtomicBool::new(false),
        readings: AtomicU64::new(0),
        refused: AtomicU64::new(0),
    });
    let (shared, talk, file) = (feeding.clone(), context.clone(), args.file);
    // A thread of its own, which does not hold up the end: standard input may stay silent for hours.
    let reading = std::thread::spawn(move || {
        let done = each_pack(file.as_deref(), &mut |pack| take(&mut feed, pack, &shared, &talk));
        shared.ended.store(true, Ordering::SeqCst);
        done
    });
    let done = || feeding.ended.load(Ordering::SeqCst);
    publish(&broker, &args.name, &feeding.outbox, &done, &|text| context.tell(text)).await?;
    reading.join().map_err(|_| Fault::trouble("machine.threads", "the reader of packs", "its end"))??;
    let count = |count: &AtomicU64| count.load(Ordering::SeqCst);
    let doc = FedDoc { readings: count(&feeding.readings), refused: count(&feeding.refused) };
    context.print(&doc, || format!("published {} readings, {} packs refused", doc.readings, doc.refused))
}

/// One pack into the outbox. A pack that is none is told and left out; what the outbox refuses ends the feed.
fn take(feed: &mut Feed, pack: &[u8], shared: &Feeding, talk: &Context) -> Result<()> {
    let now_s = Time::system().now_s();
    match feed.take(pack, now_s, &mut shared.outbox.blocking_lock(), &|text| talk.tell(text)) {
        Ok(count) => {
            shared.readings.fetch_add(count, Ordering::SeqCst);
            Ok(())
        }
        Err(fault) if fault.kind == Kind::Refused && fault.name.starts_with("senml.") => {
            shared.refused.fetch_add(1, Ordering::SeqCst);
            talk.tell(&format!("left out: {fault}"));
            Ok(())
        }
        Err(fault) => Err(fault),
    }
}

fn each_pack(file: Option<&Path>, take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
    match file {
        None => Ok(()),
        Some(path) if path == Path::new("-") => {
            let mut input = std::io::stdin().lock();
            loop {
                let mut line = Vec::new();
                let most = PACK_BYTES_MAX as u64 + 2; // the line's end, and one byte that is too many
                let read = input.by_ref().take(most).read_until(b'\n', &mut line);
                match read.map_err(|error| Fault::file(path, &error))? {
                    0 => return Ok(()),
                    _ if line.trim_ascii().is_empty() => {}
                    _ => take(&line)?,
                }
            }
        }
        Some(path) => {
            let bytes = super::read_file(path, FILE_BYTES_MAX)?;
            packs(&bytes)?.into_iter().try_for_each(take)
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

//! `proofmesh storage`: keep objects with the network, or keep pieces for it.

use crate::archive::{self, BYTES_MAX, Files, ans104, car};
use crate::engine::keys::Keys;
use crate::engine::s3::{At, Bucket, Caller};
use crate::fault::{Fault, Result};
use crate::out::Context;
use crate::storage::keeper::Keeper;
use crate::storage::store::{Keeping, ObjectDoc, Store};
use proofmesh_services::storage::pieces::Coding;
use serde::Serialize;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Largest object that these commands read into memory.
const OBJECT_BYTES_MAX: usize = 256 << 20;
/// How often a keeper looks for rounds that are over.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Subcommands.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "\
Examples:
  proofmesh storage serve a --port 7201                      in the coordinator's directory; b, c, ... the same way
  PROOFMESH_KEY=... proofmesh storage serve d --port 7204 --dir keeper-d --url http://127.0.0.1:7166
  proofmesh storage put photo.raw --at http://127.0.0.1:7201 --at http://127.0.0.1:7202 --at http://127.0.0.1:7203 --pieces 2/3
  proofmesh storage list
  proofmesh storage get 0x... photo.raw
  proofmesh storage repair 0x... --at http://127.0.0.1:7204
  proofmesh storage archive 0x... photo.car --to car             for IPFS; ans104 for Arweave; or into a bucket:
  AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=... proofmesh storage archive 0x... 's3://B/P?endpoint=http://HOST:PORT' --to s3
  proofmesh storage restore photo.car photo.raw --of car         with the key alone, keepers and coordinator gone
  proofmesh storage serve a --port 7201 --leave              its pieces go where the next repair puts them

A keeper with a directory of its own needs a key of the coordinator's (`proofmesh api key new`; to be given test money and
enrolled on a development chain, the owner's, keys/owner.seed).

Objects are sealed here before they are cut; the key stays in --dir. Any K of the N pieces give an object back. A keeper
is paid a day at a time, when it has shown the chunks that a seed from after the day asks for.")]
pub enum Command {
    /// Keep pieces on this machine's disk, show them each round, be paid
    Serve {
        /// Name of the node: its keys are NAME.account and NAME.device
        name: String,
        /// Port on 127.0.0.1; 0 for any free one
        #[arg(long, default_value_t = 0)]
        port: u16,
        /// Bytes of room
        #[arg(long, default_value_t = 1 << 30, value_name = "BYTES")]
        room: u64,
        /// Take nothing more, give every piece to the keeper that its buyer's `storage repair` names, then end
        #[arg(long)]
        leave: bool,
    },
    /// Seal a file, cut it, place and pay its pieces
    Put {
        /// The file
        file: PathBuf,
        /// A keeper; may be repeated, at least N of them by different operators
        #[arg(long = "at", value_name = "URL")]
        keepers: Vec<String>,
        /// Pieces that suffice, and all of them; 24/80 outlives 30 % of all operators at once
        #[arg(long, default_value = "24/80", value_name = "K/N")]
        pieces: String,
        /// Days to pay for
        #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3_650))]
        days: u64,
        /// Dollars for one piece a day; the service's suggestion if left out
        #[arg(long, value_name = "USD")]
        price: Option<String>,
        /// The built-in account that pays
        #[arg(long, default_value = "storer")]
        buyer: String,
    },
    /// Bring an object back
    Get {
        /// Its id
        id: String,
        /// Where to write it
        file: PathBuf,
        /// The account that it was put with
        #[arg(long, default_value = "storer")]
        buyer: String,
    },
    /// The objects of this directory
    List {
        /// The account that they were put with
        #[arg(long, default_value = "storer")]
        buyer: String,
    },
    /// Write an object, sealed as it is, into an archive
    Archive {
        /// Its id
        id: String,
        /// The file, or the bucket's URL
        to: PathBuf,
        /// What it is written as
        #[arg(long = "to", value_enum)]
        form: Form,
        /// The account that it was put with
        #[arg(long, default_value = "storer")]
        buyer: String,
    },
    /// Bring an object back from an archive, with the key alone
    Restore {
        /// The file, or the bucket's URL
        from: PathBuf,
        /// Where to write the object
        file: PathBuf,
        /// What the archive is
        #[arg(long, value_enum)]
        of: Form,
        /// Of a bucket: what `storage archive` printed
        #[arg(long, value_name = "HASH")]
        name: Option<String>,
        /// The account that it was put with
        #[arg(long, default_value = "storer")]
        buyer: String,
    },
    /// Rebuild and place again what is lost
    Repair {
        /// Id of the object
        id: String,
        /// A keeper that may take a piece; may be repeated
        #[arg(long = "at", value_name = "URL")]
        keepers: Vec<String>,
        /// The account that it was put with
        #[arg(long, default_value = "storer")]
        buyer: String,
    },
}

/// What an archive is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// A CAR, for IPFS
    Car,
    /// A bundle of ANS-104, for Arweave
    Ans104,
    /// Blobs in a bucket
    S3,
}

#[derive(Serialize)]
struct ArchivedDoc {
    name: String,
    bytes: usize,
}

fn bucket(url: &Path) -> Result<Bucket> {
    Bucket::open(At::parse(&url.to_string_lossy())?, &Caller::of_environment()?)
}

fn write(form: Form, files: &Files, to: &Path, keys: &Keys, buyer: &str) -> Result<ArchivedDoc> {
    let all = files.values().map(Vec::len).sum();
    let (name, bytes) = match form {
        Form::Car => {
            let car = car::write(files)?;
            super::write_file(to, &car.bytes)?;
            (car.root, car.bytes.len())
        }
        Form::Ans104 => {
            let secret = keys.device(&format!("{buyer}-archive"))?;
            let bundle = ans104::write(files, &secret)?;
            super::write_file(to, &bundle)?;
            (secret.device().to_string(), bundle.len())
        }
        Form::S3 => (archive::to_blobs(&bucket(to)?, files)?.to_string(), all),
    };
    Ok(ArchivedDoc { name, bytes })
}

fn read(form: Form, from: &Path, name: Option<&str>) -> Result<Files> {
    match form {
        Form::Car => car::read(&super::read_file(from, 2 * BYTES_MAX)?),
        Form::Ans104 => ans104::read(&super::read_file(from, 2 * BYTES_MAX)?).map(|(files, _)| files),
        Form::S3 => {
            let missing =
                || Fault::misuse("archive.name", "--name with what `storage archive` printed", "none");
            archive::from_blobs(&bucket(from)?, &super::parse(name.ok_or_else(missing)?, "hash")?)
        }
    }
}

/// Runs.
pub async fn run(command: Command, context: &Context) -> Result<()> {
    let command = match command {
        Command::Restore { from, file, of, name, buyer } => {
            let (doc, object) = tokio::task::block_in_place(|| {
                Store::restore(&context.dir, &buyer, &read(of, &from, name.as_deref())?)
            })?;
            super::write_file(&file, &object)?;
            return context.print(&doc, || format!("{} bytes of {}", object.len(), doc.name));
        }
        command => command,
    };
    let client = context.client()?;
    let store = async |buyer: &str| Store::open(client.clone(), &context.dir, buyer).await;
    match command {
        Command::Serve { name, port, room, leave } => {
            let keeper = Keeper::join(client.clone(), &context.dir, &name, room).await?;
            if leave {
                keeper.leave();
            }
            serve(&keeper, port, context).await
        }
        Command::Put { file, keepers, pieces, days, price, buyer } => {
            let object = super::read_file(&file, OBJECT_BYTES_MAX)?;
            let how = Keeping {
                coding: coding(&pieces)?,
                days,
                price: price.as_deref().map(super::dollars).transpose()?,
            };
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let doc = store(&buyer).await?.put(&name, &object, &keepers, how).await?;
            context.print(&doc, || line(&doc))
        }
        Command::Get { id, file, buyer } => {
            let (object, fetched) = store(&buyer).await?.get(&super::parse(&id, "object")?).await?;
            super::write_file(&file, &object)?;
            context.print(&fetched, || {
                let (came, missing) = (fetched.piece_ms.len(), fetched.missing.len());
                format!(
                    "{} bytes in {:.0} ms from {came} pieces; {missing} did not come",
                    fetched.bytes, fetched.ms
                )
            })
        }
        Command::Archive { id, to, form, buyer } => {
            let files = store(&buyer).await?.archived(&super::parse(&id, "object")?).await?;
            let keys = Keys::open(&context.dir.join("keys"))?;
            let doc = tokio::task::block_in_place(|| write(form, &files, &to, &keys, &buyer))?;
            context.print(&doc, || format!("{}\n{} bytes", doc.name, doc.bytes))
        }
        Command::Restore { .. } => Ok(()), // above: without a coordinator
        Command::List { buyer } => {
            let docs = store(&buyer).await?.list()?;
            context.print(&docs, || docs.iter().map(line).collect::<Vec<_>>().join("\n"))
        }
        Command::Repair { id, keepers, buyer } => {
            let lost = store(&buyer).await?.repair(&super::parse(&id, "object")?, &keepers).await?;
            context.print(&lost, || format!("{} pieces rebuilt and placed again: {lost:?}", lost.len()))
        }
    }
}

/// Serves and shows until interrupted, or until a keeper that leaves holds nothing more.
async fn serve(keeper: &Arc<Keeper>, port: u16, context: &Context) -> Result<()> {
    let listening = keeper.serve(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)).await?;
    let doc = serde_json::json!({ "url": listening.url, "keeper": keeper.doc() });
    context.print(&doc, || format!("keeper      {}\nready; Ctrl-C stops", listening.url))?;
    loop {
        if keeper.is_leaving() && keeper.owes().await.is_ok_and(|jobs| jobs == 0) {
            context.tell("nothing is held here any more");
            return Ok(());
        }
        tokio::select! {
            () = super::up::interrupted() => return Ok(()),
            () = tokio::time::sleep(LOOK_AGAIN) => match keeper.look().await {
                Ok(shown) => {
                    for one in shown {
                        let status = &one.delivered.receipt.status;
                        context.tell(&format!("round {} of {}: {status}", one.round, one.job));
                    }
                }
                Err(fault) => context.tell(&format!("tried again: {fault}")),
            },
        }
        for piece in keeper.sweep().await.unwrap_or_default() {
            context.tell(&format!("piece {piece} is over and deleted"));
        }
    }
}

fn coding(text: &str) -> Result<Coding> {
    let form = || Fault::misuse("storage.pieces", "K/N, 24/80", format_args!("{text:.20}"));
    let (k, n) = text.split_once('/').ok_or_else(form)?;
    let number = |text: &str| text.parse().map_err(|_| form());
    Ok(Coding::new(number(k)?, number(n)?)?)
}

fn line(doc: &ObjectDoc) -> String {
    format!("{}  {} pieces at {} USD a day  {}", doc.id, doc.pieces.len(), doc.price, doc.name)
}

//! `proofmesh sensor`: papers of sensors with keys of their own: who made them, whose they are, and that they no longer count.

use crate::device::enrol::{Enrolment, EnrolmentDoc, PAPER_BYTES_MAX, Paper, enrol, require, sensor};
use crate::device::feed::Curve;
use crate::engine::keys::Keys;
use crate::fault::{Fault, Result};
use crate::out::Context;
use crate::time::Time;
use crate::wire::Hex;
use proofmesh_market::Address;
use proofmesh_services::did::Did;
use proofmesh_services::maker::{BATCH_MAX, Certificate, Recall};
use proofmesh_services::title::{SignedStatement, Title};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Bytes of a list of keys: a full batch.
const KEYS_BYTES_MAX: usize = BATCH_MAX * 64;

/// Subcommands.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "\
Examples:
  proofmesh sensor batch acme --name 2026-11 --keys keys.txt --out certificates      the maker
  proofmesh sensor give roof --curve p256 --to 0x... > given.json                    the sensor's machine
  proofmesh sensor take ewr given.json > bound.json                                  the owner, at its node
  proofmesh sensor transfer ewr --to 0x... > given.json                              the owner, to another
  proofmesh sensor enrol ewr bound.json                                              whoever else should know

Owners are accounts: a node's own is told by `sensor show`. A paper counts at every node that has it, at its next reading.")]
pub enum Command {
    /// As a maker: one signature for a batch of sensors, a certificate for each
    Batch {
        /// Name of the maker's key, made if it is missing
        maker: String,
        /// How the batch is called
        #[arg(long)]
        name: String,
        /// The sensors' did:keys, one a line
        #[arg(long)]
        keys: PathBuf,
        /// Directory for the certificates
        #[arg(long)]
        out: PathBuf,
        /// Curve of the maker's key
        #[arg(long, value_enum, default_value = "ed25519")]
        curve: Curve,
    },
    /// As a maker: take back a sensor from now on, or its whole batch
    Recall {
        /// Name of the maker's key
        maker: String,
        /// The sensor's certificate
        certificate: PathBuf,
        /// All sensors of its batch
        #[arg(long)]
        batch: bool,
        /// Curve of the maker's key
        #[arg(long, value_enum, default_value = "ed25519")]
        curve: Curve,
    },
    /// As the sensor: give it to its first owner, who signs with `take`
    Give {
        /// Name of the sensor's key
        name: String,
        /// The owner's account
        #[arg(long, value_name = "ADDRESS")]
        to: String,
        /// Curve of the sensor's key
        #[arg(long, value_enum, default_value = "ed25519")]
        curve: Curve,
    },
    /// As its owner: give a node's sensor to another owner, who signs with `take`
    Transfer {
        /// Name of the node
        node: String,
        /// The next owner's account
        #[arg(long, value_name = "ADDRESS")]
        to: String,
    },
    /// As who comes next: sign what was given, and enrol it here
    Take {
        /// Name of the node that is bound to the sensor
        node: String,
        /// What was given
        paper: PathBuf,
    },
    /// As its owner: nothing that it measures from now on counts, for good
    Revoke {
        /// Name of the node
        node: String,
    },
    /// Take a certificate, a recall or a statement about a node's sensor
    Enrol {
        /// Name of the node
        node: String,
        /// The paper
        paper: PathBuf,
    },
    /// Take readings of this maker's sensors alone
    Require {
        /// Name of the node
        node: String,
        /// The maker's did:key, or `none`
        maker: String,
    },
    /// Who made a node's sensor, and whose it is
    Show {
        /// Name of the node
        node: String,
    },
}

#[derive(Serialize)]
struct BatchDoc {
    maker: Did,
    name: String,
    keys: usize,
    root: proofmesh_market::Hash32,
}

#[derive(Serialize)]
struct SensorDoc {
    node: String,
    account: Address,
    sensor: Did,
    #[serde(flatten)]
    enrolment: EnrolmentDoc,
}

/// Runs.
pub fn run(command: Command, context: &Context) -> Result<()> {
    let keys = Keys::open(&context.dir.join("keys"))?;
    let now_s = Time::system().now_s();
    let dir = |node: &str| context.dir.join("nodes").join(node);
    let paper = |paper: &Paper| context.print(paper, || serde_json::to_string(paper).unwrap_or_default());
    let statement = |signed: &SignedStatement| paper(&Paper::Statement(Hex(signed.encode())));
    let show = |node: String, account: Address| {
        let sensor = sensor(&dir(&node))?;
        let enrolment = Enrolment::look(&dir(&node), sensor)?.doc();
        let doc = SensorDoc { node, account, sensor, enrolment };
        context.print(&doc, || shown(&doc))
    };
    match command {
        Command::Batch { maker, name, keys: list, out, curve } => {
            let maker = curve.secret(&keys, &maker)?;
            let sensors = listed(&list)?;
            let certificates = Certificate::sign(&maker, &name, now_s, &sensors)?;
            std::fs::create_dir_all(&out).map_err(|error| Fault::file(&out, &error))?;
            let root = certificates[0].batch.root; // a batch has a key: maker.batch
            let doc = BatchDoc { maker: maker.did(), name, keys: sensors.len(), root };
            for certificate in certificates {
                let path = out.join(format!("{}.json", certificate.sensor.file_name()));
                let text = serde_json::to_vec(&Paper::Certificate(certificate));
                super::write_file(
                    &path,
                    &text.map_err(|error| Fault::trouble("paper.json", "a paper", error))?,
                )?;
            }
            context.print(&doc, || {
                format!("batch {:?} of {} keys by {}, in {}", doc.name, doc.keys, doc.maker, out.display())
            })
        }
        Command::Recall { maker, certificate, batch, curve } => {
            let Paper::Certificate(certificate) = read(&certificate)? else {
                return Err(Fault::misuse("recall.none", "a certificate", "another paper"));
            };
            let sensor = (!batch).then_some(certificate.sensor);
            let recall = Recall::sign(&curve.secret(&keys, &maker)?, certificate.batch.root, sensor, now_s);
            recall.verify(&certificate)?;
            paper(&Paper::Recall(recall))
        }
        Command::Give { name, to, curve } => {
            let secret = curve.secret(&keys, &name)?;
            let to = Some(super::parse(&to, "account")?);
            statement(&Title::new(secret.did()).next(now_s, to).give_as_sensor(&secret))
        }
        Command::Transfer { node, to } => {
            let owner = keys.account(&node)?; // a name that is none leads to no directory
            let to = Some(super::parse(&to, "account")?);
            statement(&title(&dir(&node), &owner.address())?.next(now_s, to).give(&owner))
        }
        Command::Take { node, paper: file } => {
            let owner = keys.account(&node)?;
            let Paper::Statement(wire) = read(&file)? else {
                return Err(Fault::misuse("title.form", "a statement", "another paper"));
            };
            let signed = SignedStatement::decode(&wire.0)?;
            if signed.statement.to != Some(owner.address()) {
                let got = signed.statement.to.map_or("nobody".to_owned(), |to| to.to_string());
                return Err(Fault::refused("title.not-yours", owner.address(), got));
            }
            let signed = signed.take(&owner);
            enrol(&dir(&node), &Paper::Statement(Hex(signed.encode())), now_s)?;
            statement(&signed)
        }
        Command::Revoke { node } => {
            let owner = keys.account(&node)?;
            let signed = title(&dir(&node), &owner.address())?.next(now_s, None).give(&owner);
            enrol(&dir(&node), &Paper::Statement(Hex(signed.encode())), now_s)?;
            statement(&signed)
        }
        Command::Enrol { node, paper } => {
            let account = keys.account(&node)?.address();
            enrol(&dir(&node), &read(&paper)?, now_s)?;
            show(node, account)
        }
        Command::Require { node, maker } => {
            let account = keys.account(&node)?.address();
            let maker = if maker == "none" { None } else { Some(maker.parse()?) };
            require(&dir(&node), maker)?;
            show(node, account)
        }
        Command::Show { node } => {
            let account = keys.account(&node)?.address();
            show(node, account)
        }
    }
}

/// The statements about a node's sensor, if it is this account's to give.
fn title(node_dir: &Path, owner: &Address) -> Result<Title> {
    let title = Enrolment::look(node_dir, sensor(node_dir)?)?.title;
    if title.owner() == Some(*owner) {
        return Ok(title);
    }
    let got = title.owner().map_or("nobody's".to_owned(), |owner| owner.to_string());
    Err(Fault::refused("title.not-yours", owner, got))
}

fn read(path: &Path) -> Result<Paper> {
    Paper::read(&super::read_file(path, PAPER_BYTES_MAX)?)
}

fn listed(path: &Path) -> Result<Vec<Did>> {
    let bytes = super::read_file(path, KEYS_BYTES_MAX)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    Ok(lines.map(str::parse).collect::<std::result::Result<_, _>>()?)
}

fn shown(doc: &SensorDoc) -> String {
    let EnrolmentDoc { maker, batch, owner, statements, revoked_s, recalled_s, forked, required } =
        &doc.enrolment;
    let mut lines =
        vec![format!("node      {}, account {}", doc.node, doc.account), format!("sensor    {}", doc.sensor)];
    if let (Some(maker), Some(batch)) = (maker, batch) {
        lines.push(format!("made by   {maker}, batch {batch}"));
    }
    if let Some(owner) = owner {
        lines.push(format!("owner     {owner}, by statement {}", statements.saturating_sub(1)));
    }
    lines.extend(revoked_s.map(|at_s| format!("revoked   by its owner at {at_s}")));
    lines.extend(recalled_s.map(|at_s| format!("recalled  by its maker at {at_s}")));
    if *forked {
        lines.push("forked    an owner gave it twice; the first that came here counts".to_owned());
    }
    lines.extend(required.map(|maker| format!("required  {maker}")));
    lines.join("\n")
}

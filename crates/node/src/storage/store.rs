//! The client of storage: seals an object with a key that stays here, cuts it into pieces of which any `k` suffice,
//! places each with another operator, pays a job a piece, and brings the object back, whoever is gone.
//!
//! What it needs later is in its directory: `keys/NAME-objects.seed` (the key) and `objects/ID.json` (the manifest and
//! where the pieces are). Without the key the pieces are noise; without the manifest nobody knows what to ask for.
//!
//! Refuses: `storage.object.unknown`, `storage.operators`, `storage.keeper`, and the names of
//! `proofmesh_services::storage`.

use super::leave::{HandoverDoc, LeaveDoc};
use super::{GRACE_S, KeeperDoc};
use crate::archive::{Files, OBJECT, SEALED};
use crate::buyer::{fund, post};
use crate::client::Client;
use crate::engine::blobs::replace;
use crate::engine::keys::Keys;
use crate::fault::{Fault, Result};
use crate::wire::Hex;
use proofmesh_market::{AccountSecret, Address, Assurance, Device, Domain, Hash32, Job, Usd, keccak};
use proofmesh_services::storage::handover::{Handover, SignedHandover};
use proofmesh_services::storage::pieces::{Coding, Manifest};
use proofmesh_services::storage::placement::{Candidate, place};
use proofmesh_services::storage::seal::{NONCE_BYTES, ObjectKey};
use proofmesh_services::storage::{DAY_S, QUESTIONS, SERVICE, Terms, fair_price};
use proofmesh_settle::Settlement;
use rand::Rng;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// How an object is kept.
#[derive(Clone, Copy, Debug)]
pub struct Keeping {
    /// How many pieces, and how many of them suffice.
    pub coding: Coding,
    /// Daily rounds that are paid.
    pub days: u64,
    /// Price of one piece a day; `None` for what the service suggests.
    pub price: Option<Usd>,
}

/// Where a piece is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacedPiece {
    /// The job that pays for it.
    pub job: Hash32,
    /// The keeper's address.
    pub url: String,
    /// The device that holds it.
    pub device: Device,
    /// Who runs it.
    pub operator: Address,
    /// The handover by which it came from a keeper that left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handover: Option<Hex>,
}

/// What the client keeps of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectDoc {
    /// Its id, the hash of the manifest.
    pub id: Hash32,
    /// For people.
    pub name: String,
    /// The manifest.
    pub manifest: Hex,
    /// First second of its first round.
    pub from_s: u64,
    /// The second at which its last round ends.
    pub until_s: u64,
    /// Price of one piece a day.
    pub price: Usd,
    /// Its pieces, by number.
    pub pieces: Vec<PlacedPiece>,
}

impl ObjectDoc {
    fn manifest(&self) -> Result<Manifest> {
        Ok(Manifest::decode(&self.manifest.0)?)
    }
}

/// What a fetch took.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FetchDoc {
    /// Bytes of the object.
    pub bytes: usize,
    /// Milliseconds in all.
    pub ms: f64,
    /// Milliseconds of each piece that came, by its number.
    pub piece_ms: BTreeMap<u16, f64>,
    /// Pieces asked for that did not come, or came changed.
    pub missing: Vec<u16>,
}

/// The client's side.
pub struct Store {
    client: Client,
    settlement: Arc<dyn Settlement>,
    domain: Domain,
    buyer: AccountSecret,
    key: ObjectKey,
    dir: PathBuf,
}

impl Store {
    /// The store of this name in a directory; its keys are made if they are missing.
    ///
    /// # Errors
    /// `key.*`, `api.*`.
    pub async fn open(client: Client, dir: &Path, name: &str) -> Result<Self> {
        let keys = Keys::open(&dir.join("keys"))?;
        Ok(Store {
            settlement: client.settlement().await?,
            domain: client.status().await?.domain,
            client,
            buyer: keys.account(name)?,
            key: ObjectKey::from_bytes(keys.seed(&format!("{name}-objects"))?),
            dir: dir.to_owned(),
        })
    }

    /// Seals, cuts, places, pays and hands over an object.
    ///
    /// # Errors
    /// `storage.operators` when fewer operators than pieces offer room; the keepers' and the market's refusals.
    pub async fn put(
        &self,
        name: &str,
        object: &[u8],
        keepers: &[String],
        how: Keeping,
    ) -> Result<ObjectDoc> {
        let mut nonce = [0; NONCE_BYTES];
        crate::zk::os_rng()?.fill_bytes(&mut nonce);
        let sealed = self.key.seal(nonce, object)?;
        let (manifest, pieces) = how.coding.split(&sealed)?;
        let id = keccak(&manifest.encode());
        let from_s = self.client.status().await?.now_s;
        let until_s = from_s.saturating_add(how.days.saturating_mul(DAY_S));
        let price = how.price.unwrap_or_else(|| fair_price(manifest.piece_bytes()));
        let offered = self.candidates(keepers, manifest.piece_bytes(), &BTreeSet::new()).await?;
        let places = self.places(&offered, &id, how.coding.n()).await?;
        let encoded = Hex(manifest.encode());
        let mut doc = ObjectDoc {
            id,
            name: name.to_owned(),
            manifest: encoded,
            from_s,
            until_s,
            price,
            pieces: Vec::new(),
        };
        for (number, (piece, keeper)) in pieces.iter().zip(places).enumerate() {
            let commitment = manifest.commitments()[number];
            let placed = self.hand_over(&doc, commitment, piece, keeper, from_s).await?;
            doc.pieces.push(placed);
            self.write(&doc)?;
        }
        Ok(doc)
    }

    /// Posts a piece's job from a second on, and gives the piece to its keeper.
    async fn hand_over(
        &self,
        doc: &ObjectDoc,
        commitment: Hash32,
        piece: &[u8],
        keeper: Offered,
        from_s: u64,
    ) -> Result<PlacedPiece> {
        let placed = self.hire(doc, commitment, piece.len() as u64, keeper, from_s).await?;
        Client::new(&placed.url)?.put(&format!("/pieces/{}", placed.job), piece.to_vec()).await?;
        Ok(placed)
    }

    /// Moves a piece from a keeper that leaves to another, without rebuilding or carrying it.
    async fn move_on(
        &self,
        doc: &ObjectDoc,
        number: usize,
        manifest: &Manifest,
        keeper: Offered,
        from_s: u64,
    ) -> Result<PlacedPiece> {
        let (old, commitment) = (&doc.pieces[number], manifest.commitments()[number]);
        let mut placed = self.hire(doc, commitment, manifest.piece_bytes(), keeper, from_s).await?;
        let to = LeaveDoc { job: placed.job, url: placed.url.clone() };
        let answer: HandoverDoc = Client::new(&old.url)?.post(&format!("/leave/{}", old.job), &to).await?;
        let signed = SignedHandover::decode(&answer.wire.0)?;
        signed.verify()?;
        let Handover { piece, from, to, .. } = signed.handover;
        if (piece, from, to) != (commitment, old.device, placed.device) {
            return Err(Fault::refused("storage.handover-form", "the handover of this piece", piece));
        }
        placed.handover = Some(answer.wire);
        Ok(placed)
    }

    /// Posts a piece's job from a second on.
    async fn hire(
        &self,
        doc: &ObjectDoc,
        commitment: Hash32,
        bytes: u64,
        keeper: Offered,
        from_s: u64,
    ) -> Result<PlacedPiece> {
        let terms = Terms { piece_bytes: bytes, round_s: DAY_S, unit_byte_days: bytes, questions: QUESTIONS };
        let mut salt = [0; 32];
        crate::zk::os_rng()?.fill_bytes(&mut salt);
        let job = Job {
            buyer: self.buyer.address(),
            salt: Hash32(salt),
            service: SERVICE.id(),
            model: Hash32::ZERO,
            input: commitment,
            unit_price: doc.price,
            max_units: (doc.until_s.saturating_sub(from_s) / DAY_S).max(1),
            window_from_s: from_s,
            window_until_s: doc.until_s,
            deadline_s: doc.until_s.saturating_add(GRACE_S),
            assurance: Assurance::Sampled,
            slots: 1,
            cell: 0,
            devices: vec![keeper.device],
            terms: terms.encode(),
        };
        let balance = self.client.account(&self.buyer.address()).await?.balance;
        let escrow = job.escrow()?;
        if balance < escrow {
            fund(&self.client, &*self.settlement, &self.buyer, escrow).await?;
        }
        let job = post(&self.client, &self.domain, &self.buyer, job).await?;
        let status = self.client.job(&job).await?.status;
        if status != "assigned" {
            return Err(Fault::refused("storage.keeper", "a keeper that the market lets work", keeper.url));
        }
        let Offered { url, device, operator } = keeper;
        Ok(PlacedPiece { job, url, device, operator, handover: None })
    }

    /// Keepers that answer, are what the market says of them, have room, and are run by nobody of `taken`.
    async fn candidates(
        &self,
        urls: &[String],
        room: u64,
        taken: &BTreeSet<Address>,
    ) -> Result<Vec<Offered>> {
        let members = self.client.members().await?;
        let mut offered = Vec::new();
        for url in urls {
            let Ok(doc) = Client::new(url)?.get::<KeeperDoc>("/keeper").await else { continue };
            let member = members.iter().find(|member| member.node.node == doc.node);
            let Some(member) =
                member.filter(|it| it.devices.iter().any(|placed| placed.device == doc.device))
            else {
                continue;
            };
            let operator = member.node.operator;
            let works = member.node.standing == "active" && doc.room >= room;
            if works && !taken.contains(&operator) {
                offered.push(Offered { url: url.clone(), device: doc.device, operator });
            }
        }
        Ok(offered)
    }

    /// Draws `n` of them, with a seed from after the object was fixed.
    async fn places(&self, offered: &[Offered], object: &Hash32, n: u16) -> Result<Vec<Offered>> {
        let candidates: Vec<Candidate> =
            offered.iter().map(|it| Candidate { device: it.device, operator: it.operator }).collect();
        let seed = self.client.seed(self.client.status().await?.now_s).await?;
        let devices = place(&candidates, object, &seed, n)?;
        let keeper = |device| offered.iter().find(|it| it.device == device).cloned();
        Ok(devices.into_iter().filter_map(keeper).collect())
    }

    /// Brings an object back from any `k` of its pieces; the others are not asked for.
    ///
    /// # Errors
    /// `storage.object.unknown`, `storage.pieces-missing`, `storage.wrong-key`.
    pub async fn get(&self, id: &Hash32) -> Result<(Vec<u8>, FetchDoc)> {
        let (doc, began) = (self.read(id)?, Instant::now());
        let manifest = doc.manifest()?;
        let (pieces, mut fetched) = fetch(&doc, &manifest, usize::from(manifest.coding().k())).await?;
        let object = tokio::task::block_in_place(|| self.key.open(&manifest.join(&pieces)?))?;
        (fetched.bytes, fetched.ms) = (object.len(), began.elapsed().as_secs_f64() * 1_000.0);
        Ok((object, fetched))
    }

    /// What goes into an archive of an object: its record and its sealed bytes.
    ///
    /// # Errors
    /// `storage.object.unknown`, `storage.pieces-missing`.
    pub async fn archived(&self, id: &Hash32) -> Result<Files> {
        let doc = self.read(id)?;
        let manifest = doc.manifest()?;
        let (pieces, _) = fetch(&doc, &manifest, usize::from(manifest.coding().k())).await?;
        let sealed = tokio::task::block_in_place(|| manifest.join(&pieces))?;
        let record = serde_json::to_vec(&doc)
            .map_err(|error| Fault::trouble("storage.object-json", "a record", error))?;
        Ok(Files::from([(OBJECT.to_owned(), record), (SEALED.to_owned(), sealed)]))
    }

    /// Opens an object out of an archive, with the key of this name in a directory; neither keeper nor coordinator is asked. The
    /// sealed bytes are those that the record's manifest commits to.
    ///
    /// # Errors
    /// `archive.form`, `archive.damaged`, `storage.wrong-key`, `key.*`.
    pub fn restore(dir: &Path, name: &str, files: &Files) -> Result<(ObjectDoc, Vec<u8>)> {
        let form = || {
            Fault::refused("archive.form", format_args!("{OBJECT} and {SEALED} of an object"), "other files")
        };
        let (record, sealed) = files.get(OBJECT).zip(files.get(SEALED)).ok_or_else(form)?;
        let doc: ObjectDoc = serde_json::from_slice(record).map_err(|_| form())?;
        let manifest = doc.manifest()?;
        let (again, _) = manifest.coding().split(sealed)?;
        if keccak(&doc.manifest.0) != doc.id || again.encode() != doc.manifest.0 {
            return Err(Fault::refused(
                "archive.damaged",
                format_args!("the sealed bytes of {}", doc.id),
                "others",
            ));
        }
        let key = ObjectKey::from_bytes(Keys::open(&dir.join("keys"))?.seed(&format!("{name}-objects"))?);
        Ok((doc, key.open(sealed)?))
    }

    /// Rebuilds every piece that does not come back whole, or whose node may not work any more, and places it with
    /// another operator for the days that are left; one of a keeper that leaves is handed over. Gives the numbers of
    /// the pieces.
    ///
    /// # Errors
    /// `storage.pieces-missing`, `storage.operators`, the keepers' and the market's refusals.
    pub async fn repair(&self, id: &Hash32, keepers: &[String]) -> Result<Vec<u16>> {
        let mut doc = self.read(id)?;
        let manifest = doc.manifest()?;
        let members = self.client.members().await?;
        let works = |device: &Device| {
            let of = members.iter().find(|it| it.devices.iter().any(|placed| placed.device == *device));
            of.is_some_and(|member| member.node.standing == "active")
        };
        let (mut pieces, _) = fetch(&doc, &manifest, doc.pieces.len()).await?;
        let leaving = leaving(&doc.pieces).await;
        let lost: Vec<u16> = (0..manifest.coding().n())
            .filter(|number| {
                let placed = &doc.pieces[usize::from(*number)];
                let stays = works(&placed.device) && !leaving.contains(&placed.device);
                !pieces.contains_key(number) || !stays
            })
            .collect();
        for number in &lost {
            let at = usize::from(*number);
            let taken = doc.pieces.iter().enumerate().filter(|(other, _)| *other != at);
            let mut taken: BTreeSet<Address> = taken.map(|(_, placed)| placed.operator).collect();
            taken.insert(doc.pieces[at].operator); // not the one that lost it
            let offered = self.candidates(keepers, manifest.piece_bytes(), &taken).await?;
            let keeper = self.places(&offered, id, 1).await?.remove(0); // place() gives one or refuses
            // Rounds begin where the object's do, so that days stay days.
            let passed = self.client.status().await?.now_s.saturating_sub(doc.from_s) / DAY_S;
            let from_s = doc.from_s.saturating_add(passed.saturating_mul(DAY_S));
            doc.pieces[at] = if pieces.contains_key(number) && leaving.contains(&doc.pieces[at].device) {
                self.move_on(&doc, at, &manifest, keeper, from_s).await?
            } else {
                let piece = match pieces.get(number) {
                    Some(piece) => piece.clone(),
                    None => tokio::task::block_in_place(|| manifest.repair(&pieces, *number))?,
                };
                let placed = self.hand_over(&doc, manifest.commitments()[at], &piece, keeper, from_s).await?;
                pieces.insert(*number, piece);
                placed
            };
            self.write(&doc)?;
        }
        Ok(lost)
    }

    /// The objects of this store.
    ///
    /// # Errors
    /// `storage.object-json`, `file.io`.
    pub fn list(&self) -> Result<Vec<ObjectDoc>> {
        let Ok(files) = std::fs::read_dir(self.dir.join("objects")) else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for file in files.flatten() {
            found.push(read(&file.path())?);
        }
        found.sort_by_key(|doc: &ObjectDoc| (doc.from_s, doc.id));
        Ok(found)
    }

    fn path(&self, id: &Hash32) -> PathBuf {
        self.dir.join("objects").join(format!("{}.json", hex::encode(id.0)))
    }

    fn read(&self, id: &Hash32) -> Result<ObjectDoc> {
        let path = self.path(id);
        if !path.exists() {
            return Err(Fault::refused("storage.object.unknown", "an object of `storage list`", id));
        }
        read(&path)
    }

    fn write(&self, doc: &ObjectDoc) -> Result<()> {
        let text = serde_json::to_vec_pretty(doc)
            .map_err(|error| Fault::trouble("storage.object-json", "a record", error))?;
        replace(&self.path(&doc.id), &text)
    }
}

/// A keeper that may take a piece.
#[derive(Clone, Debug)]
struct Offered {
    url: String,
    device: Device,
    operator: Address,
}

/// Devices of keepers that say that they leave.
async fn leaving(pieces: &[PlacedPiece]) -> BTreeSet<Device> {
    let mut leaving = BTreeSet::new();
    for placed in pieces {
        let Ok(client) = Client::new(&placed.url) else { continue };
        if let Ok(KeeperDoc { leaving: true, .. }) = client.get("/keeper").await {
            leaving.insert(placed.device);
        }
    }
    leaving
}

fn read(path: &Path) -> Result<ObjectDoc> {
    let text = std::fs::read(path).map_err(|error| Fault::file(path, &error))?;
    let json = |error: serde_json::Error| Fault::trouble("storage.object-json", path.display(), error);
    let doc: ObjectDoc = serde_json::from_slice(&text).map_err(json)?;
    let pieces = usize::from(doc.manifest()?.coding().n());
    if doc.pieces.len() > pieces || keccak(&doc.manifest.0) != doc.id {
        return Err(Fault::trouble("storage.object-json", "the record of an object", path.display()));
    }
    Ok(doc)
}

/// Asks for pieces until `enough` came whole.
async fn fetch(
    doc: &ObjectDoc,
    manifest: &Manifest,
    enough: usize,
) -> Result<(BTreeMap<u16, Vec<u8>>, FetchDoc)> {
    let (mut pieces, mut fetched) = (BTreeMap::new(), FetchDoc::default());
    for (number, placed) in (0u16..).zip(&doc.pieces) {
        if pieces.len() >= enough {
            break;
        }
        let began = Instant::now();
        let path = format!("/pieces/{}", manifest.commitments()[usize::from(number)]);
        let came = Client::new(&placed.url)?.bytes(&path).await;
        match came.ok().filter(|piece| manifest.require(number, piece).is_ok()) {
            Some(piece) => {
                fetched.piece_ms.insert(number, began.elapsed().as_secs_f64() * 1_000.0);
                pieces.insert(number, piece);
            }
            None => fetched.missing.push(number),
        }
    }
    Ok((pieces, fetched))
}

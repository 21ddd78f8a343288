//! What goes where: documents and text on stdout, talk and progress on stderr.

use crate::client::Client;
use crate::engine::blobs::replace;
use crate::fault::{Fault, Result};
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::PathBuf;

/// What all commands share.
#[derive(Clone, Debug)]
pub struct Context {
    /// Documents instead of text.
    pub json: bool,
    /// Where state and keys are.
    pub dir: PathBuf,
    /// The same, if the user chose it.
    pub chosen_dir: Option<PathBuf>,
    /// A coordinator's API; `None` for the one that runs in the directory.
    pub url: Option<String>,
}

/// Where a running coordinator of a directory is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpDoc {
    /// Its API.
    pub api: String,
    /// JSON-RPC of its chain.
    pub rpc: Option<String>,
    /// Its process.
    pub pid: u32,
    /// Its page, without the owner's key.
    pub page: String,
}

impl Context {
    /// Prints a result: the document with `--json`, else the text.
    ///
    /// # Errors
    /// `stdout.io`, `stdout.json`.
    pub fn print(&self, doc: &impl Serialize, text: impl FnOnce() -> String) -> Result<()> {
        let text = if self.json {
            serde_json::to_string(doc).map_err(|error| Fault::trouble("stdout.json", "a document", error))?
        } else {
            text()
        };
        let mut stdout = std::io::stdout().lock();
        match writeln!(stdout, "{}", text.trim_end()).and_then(|()| stdout.flush()) {
            // A reader that has seen enough (`| head`) is no trouble.
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(Fault::trouble("stdout.io", "a reader", error))
            }
            _ => Ok(()),
        }
    }

    /// Talks on stderr.
    pub fn tell(&self, text: &str) {
        eprintln!("{text}");
    }

    /// The coordinator: the one named, or the one that runs in the directory. With the key of `PROOFMESH_KEY`; without, with the
    /// owner's key of the directory, which no coordinator but the directory's own gets to see.
    ///
    /// # Errors
    /// `api.no-coordinator`.
    pub fn client(&self) -> Result<Client> {
        let path = self.dir.join("up.json");
        let here: Option<UpDoc> =
            std::fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok());
        let here = here.map(|doc| doc.api);
        let url = self.url.clone().or_else(|| here.clone()).ok_or_else(|| {
            let expected = "`proofmesh up` in this directory, or --url";
            Fault::trouble("api.no-coordinator", expected, format_args!("no {}", path.display()))
        })?;
        let client = Client::new(&url)?;
        if let Ok(key) = std::env::var("PROOFMESH_KEY") {
            return Ok(client.with_key(key));
        }
        let owner = self.dir.join("keys/owner.seed");
        match std::fs::read_to_string(owner) {
            Ok(key) if here.as_deref() == Some(client.url()) => Ok(client.with_key(key.trim().to_owned())),
            _ => Ok(client),
        }
    }

    /// Says where the coordinator of the directory is reached.
    ///
    /// # Errors
    /// `file.io`.
    pub fn announce(&self, doc: &UpDoc) -> Result<()> {
        let text = serde_json::to_vec(doc).map_err(|error| Fault::trouble("up.json", "a document", error))?;
        replace(&self.dir.join("up.json"), &text)
    }
}

/// Shows a page in the user's browser; where there is none, says so.
pub fn open_page(page: &str, context: &Context) {
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let quiet = std::process::Stdio::null;
    let opened = std::process::Command::new(opener).arg(page).stdout(quiet()).stderr(quiet()).spawn();
    if opened.is_err() {
        context.tell("no browser was found; open the page by hand");
    }
}

/// A bar on stderr with an estimate; silent when stderr is no terminal.
#[must_use]
pub fn bar(length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("  {bar:32} {pos}/{len}  {msg}  about {eta} left");
    let bar = ProgressBar::new(length);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// The middle value; 0 for none.
#[must_use]
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

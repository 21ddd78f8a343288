//! Messages that a broker has not acknowledged, on disk: what is measured while the network is away is kept.
//!
//! Two files: `FORM.log` (a [`Log`], each message durable before its reading counts as taken) and `FORM.sent`, how
//! many of them are acknowledged. The second is written now and then: after a crash some are sent again, which the
//! node that takes them tells by time or number. An outbox of signed readings is the device's own stream and is
//! kept whole; any other starts anew when everything is sent.

use crate::engine::blobs::replace;
use crate::engine::log::Log;
use crate::fault::{Fault, Result};
use std::path::{Path, PathBuf};

/// Bytes that an outbox holds: a month without network at a reading of 250 bytes every ten seconds.
pub const BYTES_MAX: u64 = 64 << 20;
/// Acknowledgements after which they are written down.
const WRITE_EVERY: u64 = 32;
/// Messages after which an outbox that is empty again starts anew.
const ANEW_AFTER: u64 = 4_096;

/// Messages for one topic.
#[derive(Debug)]
pub struct Outbox {
    log: Log,
    path: PathBuf,
    topic: String,
    keeps: bool,
    sent: u64,
    written: u64, // of `sent`
    bytes: u64,
}

impl Outbox {
    /// Opens or starts the outbox at `path`; gives the messages that are in it, sent ones too. `keeps`: it never
    /// starts anew.
    ///
    /// # Errors
    /// `log.*`, `outbox.sent`, `file.io`.
    pub fn open(path: &Path, topic: &str, keeps: bool) -> Result<(Self, Vec<Vec<u8>>)> {
        let parent = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(parent).map_err(|error| Fault::file(parent, &error))?;
        let opened = Log::open(path)?;
        let sent_path = path.with_extension("sent");
        let sent = match std::fs::read_to_string(&sent_path) {
            Ok(text) => text.trim().parse().map_err(|error| {
                Fault::trouble("outbox.sent", format_args!("a number in {}", sent_path.display()), error)
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
            Err(error) => return Err(Fault::file(&sent_path, &error)),
        };
        // A log that started anew before the count did: nothing of it is sent.
        let sent = if sent > opened.log.len() { 0 } else { sent };
        let bytes = opened.records.iter().map(|record| record.len() as u64).sum();
        let (path, topic) = (path.to_owned(), topic.to_owned());
        let mut outbox = Outbox { log: opened.log, path, topic, keeps, sent, written: sent, bytes };
        outbox.anew(1)?;
        Ok((outbox, opened.records))
    }

    /// Keeps a message: no crash loses it when this returns.
    ///
    /// # Errors
    /// `outbox.full`, `log.broken`, `file.io`.
    pub fn push(&mut self, message: &[u8]) -> Result<()> {
        if self.bytes + message.len() as u64 > BYTES_MAX {
            let expected = format!("at most {BYTES_MAX} bytes; connect the broker and feed on");
            return Err(Fault::refused("outbox.full", expected, self.bytes));
        }
        self.log.append(&[message])?;
        self.bytes += message.len() as u64;
        Ok(())
    }

    /// Messages that are not acknowledged.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.log.len() - self.sent
    }

    /// Topic and payload of a message that waits, 0 the oldest.
    ///
    /// # Errors
    /// `outbox.message`, `file.io`.
    pub fn message(&self, at: u64) -> Result<(String, Vec<u8>)> {
        let message = self.log.read(self.sent.saturating_add(at), 1)?.pop();
        let message = message.ok_or_else(|| Fault::trouble("outbox.message", "a message that waits", at))?;
        Ok((self.topic.clone(), message))
    }

    /// The oldest message that waits is acknowledged.
    ///
    /// # Errors
    /// `file.io`, `log.*`.
    pub fn acknowledged(&mut self) -> Result<()> {
        self.sent = self.log.len().min(self.sent + 1);
        if self.waiting() == 0 || self.sent - self.written >= WRITE_EVERY {
            self.write()?;
        }
        self.anew(ANEW_AFTER)
    }

    fn write(&mut self) -> Result<()> {
        replace(&self.path.with_extension("sent"), self.sent.to_string().as_bytes())?;
        self.written = self.sent;
        Ok(())
    }

    fn anew(&mut self, after: u64) -> Result<()> {
        if self.keeps || self.waiting() > 0 || self.log.len() < after {
            return Ok(());
        }
        std::fs::remove_file(&self.path).map_err(|error| Fault::file(&self.path, &error))?;
        self.log = Log::open(&self.path)?.log;
        (self.sent, self.bytes) = (0, 0);
        self.write()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::log::tests::temp_dir;

    #[test]
    fn what_is_not_acknowledged_is_there_after_a_crash_and_what_is_makes_room() {
        let dir = temp_dir("outbox");
        let path = dir.join("json.log");
        let open = |keeps| Outbox::open(&path, "proofmesh/a/json", keeps).expect("opens");
        let (mut outbox, _) = open(false);
        for number in 0..40u8 {
            outbox.push(&[number]).expect("kept");
        }
        for _ in 0..33 {
            outbox.acknowledged().expect("counted");
        }
        assert_eq!(outbox.message(0).expect("waits"), ("proofmesh/a/json".to_owned(), vec![33]));
        drop(outbox); // the 33rd acknowledgement was not written down yet
        let (mut outbox, records) = open(false);
        assert_eq!((records.len(), outbox.waiting()), (40, 8));
        assert_eq!(outbox.message(0).expect("waits").1, [32]);
        assert!(outbox.message(8).expect_err("no such").is("outbox.message"));
        for _ in 0..8 {
            outbox.acknowledged().expect("counted");
        }
        assert_eq!(outbox.waiting(), 0);
        drop(outbox);
        let (outbox, records) = open(false);
        assert_eq!((records.len(), outbox.waiting()), (40, 0));
        drop(outbox);
        let (mut outbox, records) = open(true);
        assert_eq!((records.len(), outbox.waiting()), (0, 0), "it started anew");
        outbox.push(b"x").expect("kept");
        outbox.acknowledged().expect("counted");
        drop(outbox);
        assert_eq!(open(true).1, [b"x"], "one that keeps does not");
        std::fs::write(dir.join("json.sent"), b"many").expect("damaged");
        assert!(Outbox::open(&path, "t", true).expect_err("damaged").is("outbox.sent"));
        std::fs::remove_dir_all(dir).expect("cleaned");
    }

    #[test]
    fn a_full_outbox_says_so_and_drops_nothing() {
        let dir = temp_dir("outbox-full");
        let (mut outbox, _) = Outbox::open(&dir.join("json.log"), "t", false).expect("opens");
        outbox.push(b"first").expect("kept");
        outbox.bytes = BYTES_MAX;
        assert!(outbox.push(b"one more").expect_err("full").is("outbox.full"));
        assert_eq!(outbox.waiting(), 1);
        std::fs::remove_dir_all(dir).expect("cleaned");
    }
}

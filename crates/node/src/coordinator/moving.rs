//! To other engines while the market goes on.

use super::Coordinator;
use crate::engine::moving::{Moving, PAGE};
use crate::engine::place::Engines;
use crate::fault::{Fault, Result};
use std::sync::PoisonError;
use std::time::Instant;

impl Coordinator {
    /// Moves the journal, the evidence or both. Most is copied while receipts come in; they wait for the rest. Blocks. Gives
    /// the milliseconds that they waited, 0 when everything was there already.
    ///
    /// # Errors
    /// `move.running`; as [`Moving`].
    pub fn move_to(&self, wanted: &Engines) -> Result<f64> {
        let Ok(_one_at_a_time) = self.moving.try_lock() else {
            return Err(Fault::refused("move.running", "one move at a time", "one that is under way"));
        };
        let Some(mut moving) = Moving::begin(&self.dir, wanted)? else { return Ok(0.0) };
        loop {
            let records = self.records(moving.copied(), PAGE)?;
            moving.page(&records, &**self.blobs.read().unwrap_or_else(PoisonError::into_inner))?;
            if records.len() < PAGE {
                break;
            }
        }
        // Evidence first, as whoever takes a receipt in: then the book.
        let began = Instant::now();
        let mut blobs = self.blobs.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(next) = self.book().move_to(moving, &self.dir, &**blobs)? {
            *blobs = next;
        }
        Ok(began.elapsed().as_secs_f64() * 1_000.0)
    }
}

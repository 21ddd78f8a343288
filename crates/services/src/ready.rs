//! Readiness: what a node shows before its first job of a service that has no model. It answers a challenge that nobody
//! knew before, with the same code that the work takes and with the device that will sign.
//!
//! It shows that the node runs this service with this device; how much room, energy or radio it has shows in its work
//! alone.

use crate::metered::{Line, Quantity, Range, SignedTick, Terms};
use crate::storage::QUESTIONS;
use crate::storage::challenge::{Asked, Challenge};
use crate::storage::merkle::Tree;
use proofmesh_market::{Address, Device, DeviceSecret, Hash32, Known, Refusal};

/// Bytes of the piece that a storage node is asked about.
const PIECE_BYTES: usize = 64 << 10;

/// The piece that follows from a challenge: the BLAKE3 stream in derive-key mode, context `proofmesh 2026 readiness
/// piece v1`.
fn piece(context: &Hash32) -> Vec<u8> {
    let mut bytes = vec![0; PIECE_BYTES];
    let mut stream = blake3::Hasher::new_derive_key("proofmesh 2026 readiness piece v1");
    stream.update(&context.0).finalize_xof().fill(&mut bytes);
    bytes
}

fn storage_challenge(context: &Hash32, node: &Address, device: &Device) -> Challenge {
    let asked = Asked { job: context, node, device, round: 0 };
    Challenge::draw(context, &asked, PIECE_BYTES as u64, QUESTIONS)
}

/// A storage node's answer about the piece that follows from `context`.
///
/// # Errors
/// None for this piece: it has the size that is asked about.
pub fn storage_answer(context: &Hash32, node: &Address, device: &Device) -> Result<Vec<u8>, Refusal> {
    let piece = piece(context);
    storage_challenge(context, node, device).answer(&piece, &Tree::new(&piece)?)
}

/// Checks [`storage_answer`].
///
/// # Errors
/// The names of [`crate::storage::challenge`].
pub fn check_storage(
    context: &Hash32,
    node: &Address,
    device: &Device,
    answer: &[u8],
) -> Result<(), Refusal> {
    let committed = Tree::new(&piece(context))?.commitment();
    storage_challenge(context, node, device).verify(&committed, answer)
}

/// The consumer of a rehearsal: its key follows from the challenge, so that both sides can sign.
fn consumer(context: &Hash32) -> DeviceSecret {
    DeviceSecret::from_bytes(context.0)
}

fn rehearsal(context: &Hash32, provider: Device) -> Line {
    let terms = Terms {
        quantity: Quantity::Bytes,
        consumer: consumer(context).device(),
        unit: 1,
        tick_s: 1,
        tick_max: 1,
        range_ticks: 1,
    };
    Line { job: *context, provider, from_s: 0, terms }
}

/// A provider's rehearsal of a metered line: two ticks, signed by its device and by the key that follows from `context`.
///
/// # Errors
/// None for these ticks.
pub fn metered_answer(context: &Hash32, provider: &DeviceSecret) -> Result<Vec<u8>, Refusal> {
    let line = rehearsal(context, provider.device());
    let signed = |number| {
        let tick = line.tick(number, number)?;
        let (provider, consumer) = (tick.sign(provider), tick.sign(&consumer(context)));
        Ok::<_, Refusal>(SignedTick { tick, provider, consumer })
    };
    Ok(Range { first: signed(0)?, last: signed(1)? }.encode())
}

/// Checks [`metered_answer`].
///
/// # Errors
/// The names of [`crate::metered::tick`].
pub fn check_metered(context: &Hash32, provider: &Device, answer: &[u8]) -> Result<(), Refusal> {
    Range::decode(answer)?.verify(&rehearsal(context, *provider), Known::NOTHING).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_for_one_challenge_one_node_one_device() {
        let (context, node) = (Hash32([3; 32]), Address([4; 20]));
        let secret = DeviceSecret::from_bytes([5; 32]);
        let device = secret.device();
        let answer = storage_answer(&context, &node, &device).expect("answered");
        check_storage(&context, &node, &device, &answer).expect("holds");
        let other = Hash32([9; 32]);
        assert_eq!(
            check_storage(&other, &node, &device, &answer).expect_err("no").name,
            "storage.wrong-commitment"
        );
        assert_eq!(
            check_storage(&context, &Address([8; 20]), &device, &answer).expect_err("no").name,
            "storage.chunk-wrong"
        );
        let answer = metered_answer(&context, &secret).expect("answered");
        check_metered(&context, &device, &answer).expect("holds");
        assert_eq!(check_metered(&other, &device, &answer).expect_err("no").name, "metered.other-job");
        let another = DeviceSecret::from_bytes([6; 32]).device();
        assert_eq!(
            check_metered(&context, &another, &answer).expect_err("no").name,
            "metered.other-provider"
        );
    }
}

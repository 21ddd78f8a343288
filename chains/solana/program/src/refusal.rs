//! Why an instruction is refused. The number is the custom error that the chain reports; test/names.mjs reads the names from here.

use pinocchio::error::ProgramError;

/// A refusal; its number is stable.
#[derive(Clone, Copy)]
pub enum Refusal {
    /// Bytes of another form than the verb's.
    Malformed = 1,
    /// Another account than the one that its place asks for.
    WrongAccount = 2,
    /// The signer is not who may do this.
    NotAllowed = 3,
    /// Times that would leave money without a way out.
    BadConfig = 4,
    /// Nothing, or a sum above 2^64.
    BadAmount = 5,
    /// Another number than the next, or one that is not pending.
    EpochOutOfOrder = 6,
    /// As many epochs wait as can.
    TooManyPending = 7,
    /// The total of an epoch is below that before it.
    TotalFell = 8,
    /// The total of an epoch is above all deposits.
    TotalExceedsDeposits = 9,
    /// No epoch is final yet.
    NothingFinal = 10,
    /// The path does not lead to the root.
    WrongPath = 11,
    /// All of it was claimed before.
    NothingToClaim = 12,
    /// The leaves add up to more than the epoch's total.
    ClaimExceedsTotal = 13,
    /// The account named no payee, or another one.
    WrongPayee = 14,
    /// An order not above the newest.
    Replayed = 15,
    /// A signature of another key or digest, or not the canonical one.
    NotSigned = 16,
    /// The exit is open.
    ExitOpen = 17,
    /// The exit is not open, or not yet.
    TooEarly = 18,
    /// The account left already.
    AlreadyExited = 19,
    /// A key with a point that is none, or at infinity.
    BadKey = 20,
    /// A public input not below the order.
    InputTooLarge = 21,
    /// A coordinate not below the modulus.
    CoordinateTooLarge = 22,
    /// A point of the proof is not of its group.
    PointRejected = 23,
    /// The proof does not hold for this input under this key.
    ProofRejected = 24,
    /// Output words that are not the receipt's.
    WrongOutput = 25,
    /// This consumer got the receipt before.
    AlreadyDelivered = 26,
    /// The window is not over.
    WindowNotOver = 27,
    /// The number of devices is no multiple of the subtree's size, or the roll is full.
    Misaligned = 28,
    /// The device is not at that place of the roll.
    NotOnRoll = 29,
    /// The account of that address is there already.
    Exists = 30,
}

impl From<Refusal> for ProgramError {
    fn from(refusal: Refusal) -> Self {
        ProgramError::Custom(refusal as u32)
    }
}

/// Refuses unless `holds`.
pub fn require(holds: bool, refusal: Refusal) -> Result<(), ProgramError> {
    if holds {
        Ok(())
    } else {
        Err(refusal.into())
    }
}

//! Bounds on what a program may ask for. A file or a statement beyond them is refused before any work is done on it.

/// Most nodes in a program.
pub const MAX_NODES: usize = 4096;
/// Most operands of a node.
pub const MAX_OPERANDS: usize = 256;
/// Most elements of one tensor or of one weight tensor.
pub const MAX_ELEMENTS: usize = 1 << 24;
/// Most (output, window position) pairs along one axis of a window, and most elements of a window.
pub const MAX_WINDOW_ENTRIES: u64 = 1 << 22;
/// Most cells, look-ups and wire entries of a statement, together: past it no proof exists, and nothing is allocated.
pub const MAX_WORK: u64 = 1 << 28;
/// Most private elements of an input that a sponge commits to; larger ones have a lattice commitment.
pub const MAX_ABSORBED: usize = 4096;
/// Most inputs in one proof.
pub const MAX_BATCH: usize = 1 << 12;
/// An accumulator must stay below this in absolute value: two such sides of an equation cannot differ by the field's prime.
pub const MAX_ACCUMULATOR: i64 = 1 << 29;
/// `|2^k q|` must stay at or below this.
pub const MAX_QUOTIENT_SIDE: i64 = 1 << 30;
/// Largest right shift of a rescale.
pub const MAX_SHIFT: u32 = 16;
/// Activations stay inside `[-2^15, 2^15)`.
pub const MAX_ACTIVATION: i32 = 1 << 15;
/// Rows in a clamp table, at most.
pub const MAX_CLAMP_ROWS_LOG2: usize = 18;
/// Rows in a look-up table that is given row by row, at most.
pub const MAX_LUT_ROWS: usize = 1 << 16;
/// A private weight lies in `[-2^11, 2^11)`, or in less where a layer adds up many ([`crate::op::Conv::private_bits`]).
pub const PRIVATE_WEIGHT_BITS: u32 = 12;
/// What a layer's private weights may make of its accumulator: seven eighths of [`MAX_ACCUMULATOR`], so that thresholds and a bias fit beside.
pub const MAX_PRIVATE_SUM: i64 = MAX_ACCUMULATOR / 8 * 7;
/// A private bias lies in `[-2^23, 2^23)`: two 12-bit limbs.
pub const PRIVATE_BIAS_BITS: u32 = 24;

// A batch's sum stays below p/2, whatever its values.
const _: () = assert!(MAX_BATCH as i64 * MAX_ACTIVATION as i64 <= MAX_QUOTIENT_SIDE);

//! Every bound on what comes from outside, by name. A size that is not here is fixed by its type.

/// Public output words (`i32`) of one receipt.
pub const OUTPUT_WORDS_MAX: usize = 1_024;
/// Bytes of the public output of one receipt.
pub const OUTPUT_BYTES_MAX: usize = OUTPUT_WORDS_MAX * 4;
/// Bytes of the evidence (a proof) of one receipt; hashed by [`crate::verdict::check`], never in the log.
pub const EVIDENCE_BYTES_MAX: usize = 4 << 20;
/// Bytes of one event in the log.
pub const EVENT_BYTES_MAX: usize = 16 << 10;
/// Bytes of a job's terms for its service.
pub const TERMS_BYTES_MAX: usize = 4_096;
/// Devices that one job may name.
pub const JOB_DEVICES_MAX: usize = 64;
/// Nodes that one job may be assigned to.
pub const JOB_SLOTS_MAX: u16 = 64;
/// Capabilities that one node may list.
pub const CAPABILITIES_MAX: usize = 64;
/// Checkers of one market.
pub const CHECKERS_MAX: usize = 64;
/// Makers whose certificates count in a guarded market.
pub const MAKERS_MAX: usize = 64;
/// Secrets committed to and not yet used by a job.
pub const DRAWS_MAX: usize = 4_096;
/// Bytes of the name of a refusal in a verdict.
pub const REASON_BYTES_MAX: usize = 64;
/// Bytes of each of a refusal's `expected` and `got` in a verdict.
pub const DETAIL_BYTES_MAX: usize = 160;
/// Least fee, parts per million of the price: the marginal payout stays at or below 0.98 of it.
pub const FEE_PPM_MIN: u64 = 20_000;
/// Most fee, parts per million of the price.
pub const FEE_PPM_MAX: u64 = 500_000;
/// Longest span that a rule of time may have: one year, in seconds.
pub const SPAN_S_MAX: u64 = 366 * 86_400;
/// Latest Unix second that an event may carry (the year 9999), so that adding spans cannot overflow.
pub const TIME_S_MAX: u64 = 253_402_300_799;

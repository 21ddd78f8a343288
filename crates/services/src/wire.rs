//! Fixed-width fields out of bytes whose length has been checked.

/// The big-endian integer of the 8 bytes from `at`.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + 8].iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// Exactly `N` bytes, which the caller took.
pub(crate) fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("the caller took N bytes")
}

//! Bytes in and out: instructions from the front, fixed places of an account's data, words of an `abi.encode`.

use crate::refusal::Refusal;
use pinocchio::error::ProgramError;

/// 32 bytes.
pub type Hash = [u8; 32];

/// Takes fixed lengths off the front.
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// The next `N` bytes.
    pub fn take<const N: usize>(&mut self) -> Result<[u8; N], ProgramError> {
        let (front, rest) = self.0.split_first_chunk().ok_or(Refusal::Malformed)?;
        self.0 = rest;
        Ok(*front)
    }

    /// The next bytes, as many as that.
    pub fn slice(&mut self, length: usize) -> Result<&'a [u8], ProgramError> {
        let (front, rest) = self.0.split_at_checked(length).ok_or(Refusal::Malformed)?;
        self.0 = rest;
        Ok(front)
    }

    /// The next integer.
    pub fn u64(&mut self) -> Result<u64, ProgramError> {
        Ok(u64::from_be_bytes(self.take()?))
    }

    /// The rest, as hashes.
    pub fn hashes(&self) -> Result<&'a [Hash], ProgramError> {
        let (hashes, rest) = self.0.as_chunks();
        if rest.is_empty() {
            Ok(hashes)
        } else {
            Err(Refusal::Malformed.into())
        }
    }

    /// Nothing may be left.
    pub fn end(&self) -> Result<(), ProgramError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Refusal::Malformed.into())
        }
    }
}

/// The `N` bytes at a fixed place of an account's data, whose length its kind says.
pub fn at<const N: usize>(data: &[u8], place: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&data[place..place + N]);
    out
}

/// The integer at a fixed place.
pub fn u64_at(data: &[u8], place: usize) -> u64 {
    u64::from_be_bytes(at(data, place))
}

/// Puts an integer at a fixed place.
pub fn put_u64(data: &mut [u8], place: usize, value: u64) {
    data[place..place + 8].copy_from_slice(&value.to_be_bytes());
}

/// Puts bytes at a fixed place.
pub fn put(data: &mut [u8], place: usize, bytes: &[u8]) {
    data[place..place + bytes.len()].copy_from_slice(bytes);
}

/// An unsigned integer as a word.
pub fn word(value: u64) -> Hash {
    let mut out = [0; 32];
    out[24..].copy_from_slice(&value.to_be_bytes());
    out
}

/// An address as a word.
pub fn address(value: &[u8; 20]) -> Hash {
    let mut out = [0; 32];
    out[12..].copy_from_slice(value);
    out
}

/// `a + b`, or a refusal.
pub fn plus(a: u64, b: u64) -> Result<u64, ProgramError> {
    a.checked_add(b).ok_or(Refusal::BadAmount.into())
}

/// `a - b`, or a refusal.
pub fn minus(a: u64, b: u64) -> Result<u64, ProgramError> {
    a.checked_sub(b).ok_or(Refusal::BadAmount.into())
}

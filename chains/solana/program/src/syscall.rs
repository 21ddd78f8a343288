//! What the chain computes for a program: hashes, points of BN254, recovery of a key. The only unsafe code.
#![expect(
    unsafe_code,
    reason = "system calls take addresses; each is of a live object of the length that the call reads or writes"
)]

use crate::bytes::Hash;
use pinocchio::syscalls;

const ADD: u64 = 0;
const MULTIPLY: u64 = 2;
const PAIRING: u64 = 3;

/// Keccak-256 of the parts, one after the other.
pub fn keccak(parts: &[&[u8]]) -> Hash {
    let mut out = [0; 32];
    // SAFETY: a slice of slices is what the call reads, 32 bytes are what it writes; it cannot fail but by stopping the program.
    unsafe { syscalls::sol_keccak256(parts.as_ptr().cast(), parts.len() as u64, out.as_mut_ptr()) };
    out
}

/// SHA-256 of the parts, one after the other.
pub fn sha256(parts: &[&[u8]]) -> Hash {
    let mut out = [0; 32];
    // SAFETY: as above.
    unsafe { syscalls::sol_sha256(parts.as_ptr().cast(), parts.len() as u64, out.as_mut_ptr()) };
    out
}

/// The address (EIP-55's bytes) of the key that signed: r || s || v, v 27 or 28, low s; nothing if there is none.
pub fn recover(digest: &Hash, signature: &[u8; 65]) -> Option<[u8; 20]> {
    /// Half the order of secp256k1, big-endian.
    const HALF_ORDER: Hash = [
        0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x5d,
        0x57, 0x6e, 0x73, 0x57, 0xa4, 0x50, 0x1d, 0xdf, 0xe9, 0x2f, 0x46, 0x68, 0x1b, 0x20, 0xa0,
    ];
    let [rs @ .., v] = signature;
    if !(*v == 27 || *v == 28) || rs[32..] > HALF_ORDER[..] {
        return None;
    }
    let mut key = [0; 64];
    // SAFETY: 32 and 64 bytes are what the call reads, 64 what it writes.
    let failed = unsafe {
        syscalls::sol_secp256k1_recover(digest.as_ptr(), u64::from(v - 27), rs.as_ptr(), key.as_mut_ptr())
    };
    let name = keccak(&[&key]);
    (failed == 0).then(|| {
        let mut address = [0; 20];
        address.copy_from_slice(&name[12..]);
        address
    })
}

fn group<const N: usize>(operation: u64, input: &[u8]) -> Option<[u8; N]> {
    let mut out = [0; N];
    // SAFETY: the input's length is given; N is what the operation writes, 64 or 32.
    let failed = unsafe {
        syscalls::sol_alt_bn128_group_op(operation, input.as_ptr(), input.len() as u64, out.as_mut_ptr())
    };
    (failed == 0).then_some(out)
}

/// The sum of two points of G1, 128 bytes; nothing if one is no point.
pub fn add(points: &[u8; 128]) -> Option<[u8; 64]> {
    group(ADD, points)
}

/// A multiple of a point of G1: point and scalar, 96 bytes.
pub fn multiply(point_and_scalar: &[u8; 96]) -> Option<[u8; 64]> {
    group(MULTIPLY, point_and_scalar)
}

/// True if the product of the pairings is one; nothing if a point is not of its group.
pub fn pairing_is_one(pairs: &[u8]) -> Option<bool> {
    group::<32>(PAIRING, pairs).map(|out| out[31] == 1 && out[..31] == [0; 31])
}

/// What a calling program reads.
pub fn set_return_data(data: &[u8]) {
    // SAFETY: the length is given.
    unsafe { syscalls::sol_set_return_data(data.as_ptr(), data.len() as u64) };
}

/// Memory operations that the compiler asks for by these names; the target has no library of them.
mod memory {
    use pinocchio::syscalls;

    #[no_mangle]
    extern "C" fn memcpy(to: *mut u8, from: *const u8, bytes: usize) -> *mut u8 {
        // SAFETY: the compiler's own call, of live memory of that length.
        unsafe { syscalls::sol_memcpy_(to, from, bytes as u64) };
        to
    }

    #[no_mangle]
    extern "C" fn memmove(to: *mut u8, from: *const u8, bytes: usize) -> *mut u8 {
        // SAFETY: as above.
        unsafe { syscalls::sol_memmove_(to, from, bytes as u64) };
        to
    }

    #[no_mangle]
    extern "C" fn memset(to: *mut u8, byte: i32, bytes: usize) -> *mut u8 {
        // SAFETY: as above.
        unsafe { syscalls::sol_memset_(to, byte as u8, bytes as u64) };
        to
    }

    #[no_mangle]
    extern "C" fn memcmp(a: *const u8, b: *const u8, bytes: usize) -> i32 {
        let mut order = 0;
        // SAFETY: as above.
        unsafe { syscalls::sol_memcmp_(a, b, bytes as u64, &mut order) };
        order
    }
}

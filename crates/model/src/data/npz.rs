//! One member of an `.npz` archive: ZIP with stored or deflated members. Source: PKWARE APPNOTE 6.3,
//! sections 4.3.7 and 4.3.12. No ZIP64, no encryption.

use crate::limits;

const CENTRAL: [u8; 4] = *b"PK\x01\x02";
const END: [u8; 4] = *b"PK\x05\x06";
const END_BYTES: usize = 22;

fn u16_at(bytes: &[u8], at: usize) -> Option<usize> {
    Some(usize::from(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?)))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<usize> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize)
}

/// A member's place, from the archive's directory.
struct Entry<'a> {
    name: &'a [u8],
    flags: usize,
    method: usize,
    packed: usize,
    unpacked: usize,
    header: usize,
}

/// The bytes of `name.npy`, or of the only member.
pub(super) fn member(bytes: &[u8], name: &str) -> Result<Vec<u8>, String> {
    let entries = directory(bytes).ok_or("is not a ZIP archive that we read")?;
    let wanted = format!("{name}.npy");
    let found = entries.iter().find(|e| e.name == wanted.as_bytes());
    let entry = match (found, entries.as_slice()) {
        (Some(entry), _) => entry,
        (None, [only]) => only,
        (None, _) => return Err(format!("holds no array `{name}`")),
    };
    if entry.flags & 1 != 0 {
        return Err("is encrypted".into());
    }
    if entry.unpacked > limits::MAX_DATA_BYTES {
        return Err(format!("unpacks to {} bytes, at most {}", entry.unpacked, limits::MAX_DATA_BYTES));
    }
    let packed = packed_bytes(bytes, entry).ok_or("a member lies outside the archive")?;
    match entry.method {
        0 => Ok(packed.to_vec()),
        8 => {
            let unpacked = miniz_oxide::inflate::decompress_to_vec_with_limit(packed, entry.unpacked);
            let unpacked = unpacked.map_err(|_| "a member does not unpack".to_string())?;
            if unpacked.len() == entry.unpacked {
                Ok(unpacked)
            } else {
                Err("a member is shorter than stated".into())
            }
        }
        other => Err(format!("compression method {other} is not read: use numpy.savez_compressed")),
    }
}

fn directory(bytes: &[u8]) -> Option<Vec<Entry<'_>>> {
    let last = bytes.len().checked_sub(END_BYTES)?;
    let earliest = last.saturating_sub(usize::from(u16::MAX));
    let end = (earliest..=last).rev().find(|at| bytes[*at..].starts_with(&END))?;
    let (count, mut at) = (u16_at(bytes, end + 10)?, u32_at(bytes, end + 16)?);
    let mut entries = Vec::new();
    for _ in 0..count.min(limits::MAX_NODES) {
        if !bytes.get(at..)?.starts_with(&CENTRAL) {
            return None;
        }
        let name_len = u16_at(bytes, at + 28)?;
        entries.push(Entry {
            name: bytes.get(at + 46..at + 46 + name_len)?,
            flags: u16_at(bytes, at + 8)?,
            method: u16_at(bytes, at + 10)?,
            packed: u32_at(bytes, at + 20)?,
            unpacked: u32_at(bytes, at + 24)?,
            header: u32_at(bytes, at + 42)?,
        });
        at += 46 + name_len + u16_at(bytes, at + 30)? + u16_at(bytes, at + 32)?;
    }
    Some(entries)
}

fn packed_bytes<'a>(bytes: &'a [u8], entry: &Entry<'_>) -> Option<&'a [u8]> {
    let start = entry.header + 30 + u16_at(bytes, entry.header + 26)? + u16_at(bytes, entry.header + 28)?;
    bytes.get(start..start.checked_add(entry.packed)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An archive with one member as numpy writes it.
    fn archive(name: &str, method: u16, packed: &[u8], unpacked: usize) -> Vec<u8> {
        let sizes = |out: &mut Vec<u8>| {
            out.extend((packed.len() as u32).to_le_bytes());
            out.extend((unpacked as u32).to_le_bytes());
            out.extend((name.len() as u16).to_le_bytes());
            out.extend([0, 0]);
        };
        let mut out = b"PK\x03\x04\x14\0\0\0".to_vec();
        out.extend(method.to_le_bytes());
        out.extend([0; 8]);
        sizes(&mut out);
        out.extend(name.as_bytes());
        out.extend(packed);
        let directory = out.len();
        out.extend(b"PK\x01\x02\x14\0\x14\0\0\0");
        out.extend(method.to_le_bytes());
        out.extend([0; 8]);
        sizes(&mut out);
        out.extend([0; 14]);
        out.extend(name.as_bytes());
        let length = out.len() - directory;
        out.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
        out.extend((length as u32).to_le_bytes());
        out.extend((directory as u32).to_le_bytes());
        out.extend([0, 0]);
        out
    }

    #[test]
    fn unpacks_a_deflated_member_and_no_more_than_it_states() {
        let plain = vec![7u8; 5000];
        let packed = miniz_oxide::deflate::compress_to_vec(&plain, 6);
        assert_eq!(member(&archive("x.npy", 8, &packed, plain.len()), "x").unwrap(), plain);
        assert_eq!(member(&archive("only.npy", 0, &plain, plain.len()), "x").unwrap(), plain);
        let bomb = archive("x.npy", 8, &packed, 100);
        assert!(member(&bomb, "x").unwrap_err().contains("does not unpack"));
        let short = archive("x.npy", 8, &packed, 6000);
        assert!(member(&short, "x").unwrap_err().contains("shorter than stated"));
    }

    #[test]
    fn every_cut_of_an_archive_is_refused() {
        let whole = archive("x.npy", 0, b"some bytes", 10);
        for n in 0..whole.len() {
            assert!(member(&whole[..n], "x").is_err(), "cut at {n}");
        }
    }
}

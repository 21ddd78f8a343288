//! `.npy`, versions 1 to 3. Source: NumPy enhancement proposal 1 (numpy.lib.format).

use super::{Array, Element};

/// Parses a file.
pub(super) fn parse(bytes: &[u8]) -> Result<Array, String> {
    let rest = bytes.strip_prefix(b"\x93NUMPY").ok_or("is not an .npy file")?;
    let (version, rest) = rest.split_at_checked(2).ok_or("ends in its header")?;
    let (length, rest) = match version[0] {
        1 => {
            let (n, rest) = rest.split_at_checked(2).ok_or("ends in its header")?;
            (usize::from(u16::from_le_bytes([n[0], n[1]])), rest)
        }
        2 | 3 => {
            let (n, rest) = rest.split_at_checked(4).ok_or("ends in its header")?;
            (u32::from_le_bytes([n[0], n[1], n[2], n[3]]) as usize, rest)
        }
        other => return Err(format!("version {other} is not known")),
    };
    let (header, body) = rest.split_at_checked(length).ok_or("ends in its header")?;
    let header = std::str::from_utf8(header).map_err(|_| "its header is not text")?;
    let kind = quoted(header, "'descr'").ok_or("its header names no element type")?;
    let order = after(header, "'fortran_order'").ok_or("its header names no order")?;
    if !order.starts_with("False") {
        return Err("is in Fortran order: save it with numpy.ascontiguousarray".into());
    }
    let shape = sizes(header).ok_or("its header names no shape")?;
    let (element, width) = match kind {
        "|i1" => (Element::I8, 1),
        "|u1" | "|b1" => (Element::U8, 1),
        "<i2" | "<u2" => (Element::Int, 2),
        "<i4" => (Element::Int, 4),
        "<i8" => (Element::Int, 8),
        "<f4" => (Element::Float, 4),
        "<f8" => (Element::Float, 8),
        other => return Err(format!("element type {other} is not read: save int8, uint8 or float32")),
    };
    let count = shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d)).and_then(|n| n.checked_mul(width));
    if count != Some(body.len()) {
        return Err(format!("{} bytes do not fill the shape {shape:?} of {kind}", body.len()));
    }
    Array::new(shape, element, decode(kind, body, width)?)
}

/// The bytes of a file, version 1, in the array's own element type (integers wider than a byte as i4).
pub(super) fn write(array: &Array) -> Vec<u8> {
    let kind = match array.element {
        Element::I8 => "|i1",
        Element::U8 => "|u1",
        Element::Int => "<i4",
        Element::Float => "<f4",
    };
    let sizes: Vec<String> = array.shape.iter().map(|d| format!("{d},")).collect();
    let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({}), }}", sizes.join(" "));
    // Magic, version, length and header together fill a multiple of 64 bytes, a line feed last.
    let length = (header.len() + 11).next_multiple_of(64) - 10;
    let mut out = b"\x93NUMPY\x01\x00".to_vec();
    out.extend((length as u16).to_le_bytes());
    out.extend(format!("{header:<width$}\n", width = length - 1).into_bytes());
    for v in &array.values {
        match array.element {
            Element::I8 => out.push(*v as i8 as u8),
            Element::U8 => out.push(*v as u8),
            Element::Int => out.extend((*v as i32).to_le_bytes()),
            Element::Float => out.extend(v.to_le_bytes()),
        }
    }
    out
}

/// What follows `key:` in the header.
fn after<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    let at = header.find(key)? + key.len();
    header[at..].trim_start().strip_prefix(':').map(str::trim_start)
}

fn quoted<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    after(header, key)?.strip_prefix('\'')?.split('\'').next()
}

fn sizes(header: &str) -> Option<Vec<usize>> {
    let list = after(header, "'shape'")?.strip_prefix('(')?.split(')').next()?;
    let fields = list.split(',').map(str::trim).filter(|f| !f.is_empty());
    let shape = fields.map(|f| f.parse().ok()).collect::<Option<Vec<usize>>>()?;
    (!shape.is_empty() && shape.len() <= crate::limits::MAX_RANK).then_some(shape)
}

fn decode(kind: &str, body: &[u8], width: usize) -> Result<Vec<f32>, String> {
    let exact = |v: i64| {
        if v.unsigned_abs() <= 1 << 24 { Ok(v as f32) } else { Err(format!("{v} is beyond 2^24")) }
    };
    let word = |c: &[u8]| {
        let mut bytes = [0u8; 8];
        bytes[..c.len()].copy_from_slice(c);
        u64::from_le_bytes(bytes)
    };
    let words = body.chunks_exact(width).map(word);
    match kind {
        "|i1" => Ok(words.map(|w| f32::from(w as i8)).collect()),
        "|u1" | "|b1" => Ok(words.map(|w| f32::from(w as u8)).collect()),
        "<i2" => Ok(words.map(|w| f32::from(w as i16)).collect()),
        "<u2" => Ok(words.map(|w| f32::from(w as u16)).collect()),
        "<i4" => words.map(|w| exact(i64::from(w as i32))).collect(),
        "<i8" => words.map(|w| exact(w as i64)).collect(),
        "<f4" => Ok(words.map(|w| f32::from_bits(w as u32)).collect()),
        _ => Ok(words.map(|w| f64::from_bits(w) as f32).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, body: &[u8]) -> Vec<u8> {
        let mut out = b"\x93NUMPY\x01\x00".to_vec();
        out.extend((header.len() as u16).to_le_bytes());
        out.extend(header.as_bytes());
        out.extend(body);
        out
    }

    #[test]
    fn what_is_written_reads_back() {
        for element in [Element::I8, Element::U8, Element::Int, Element::Float] {
            let array = Array::new(vec![2, 1, 3], element, vec![0.0, 1.0, 2.0, 3.0, 100.0, 127.0]).unwrap();
            let bytes = write(&array);
            assert_eq!(parse(&bytes), Ok(array));
            let body = if matches!(element, Element::I8 | Element::U8) { 6 } else { 24 };
            assert_eq!((bytes.len() - body) % 64, 0);
        }
    }

    #[test]
    fn reads_signed_bytes_and_refuses_what_does_not_fill_the_shape() {
        let header = "{'descr': '|i1', 'fortran_order': False, 'shape': (2, 2), }";
        let array = parse(&file(header, &[1, 255, 3, 128])).unwrap();
        assert_eq!(array.values, [1.0, -1.0, 3.0, -128.0]);
        assert_eq!((array.rows(), array.row(1)), (2, &[3.0, -128.0][..]));
        assert!(parse(&file(header, &[1, 2, 3])).unwrap_err().contains("do not fill"));
        let huge = "{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, 4294967296, 8), }";
        assert!(parse(&file(huge, &[])).unwrap_err().contains("do not fill"));
        assert!(
            parse(&file(&header.replace("False", "True"), &[1, 2, 3, 4])).unwrap_err().contains("Fortran")
        );
        let nan = "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }";
        assert!(parse(&file(nan, &f32::NAN.to_le_bytes())).unwrap_err().contains("not a number"));
    }
}

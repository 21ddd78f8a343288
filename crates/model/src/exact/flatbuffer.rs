//! The part of the FlatBuffers encoding that a TensorFlow Lite file needs, straight from the bytes.
//!
//! Source: FlatBuffers' internals document. Every offset is checked against the file, every count against a limit before anything is allocated;
//! nothing is followed that was not asked for, so that tables which point at each other cost nothing.

/// Why bytes are not what they should be.
pub(crate) type Malformed = String;

fn read<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], Malformed> {
    let end = at.checked_add(N).ok_or("an offset lies outside the file")?;
    let slice = bytes.get(at..end).ok_or("an offset lies outside the file")?;
    Ok(slice.try_into().expect("as many bytes as were asked for"))
}

/// One table: a record with optional fields.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Table<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// A vector inside the file.
#[derive(Clone, Copy, Debug)]
struct Vector<'a> {
    bytes: &'a [u8],
    start: usize,
    len: usize,
}

impl<'a> Table<'a> {
    /// The root table.
    pub fn root(bytes: &'a [u8]) -> Result<Self, Malformed> {
        Self::behind(bytes, 0)
    }

    /// The table that the offset at a place points to.
    fn behind(bytes: &'a [u8], at: usize) -> Result<Self, Malformed> {
        Ok(Self { bytes, at: behind(bytes, at)? })
    }

    /// Where field `i` lies, or `None` where it is left out.
    fn field(&self, i: usize) -> Result<Option<usize>, Malformed> {
        let back = i64::from(i32::from_le_bytes(read(self.bytes, self.at)?));
        let vtable = usize::try_from(self.at as i64 - back).map_err(|_| "an offset lies outside the file")?;
        let size = usize::from(u16::from_le_bytes(read(self.bytes, vtable)?));
        let slot = 4 + 2 * i;
        if slot + 2 > size {
            return Ok(None);
        }
        let offset = usize::from(u16::from_le_bytes(read(self.bytes, vtable + slot)?));
        Ok((offset != 0).then_some(self.at + offset))
    }

    /// A byte, or its default.
    pub fn byte(&self, i: usize, default: i8) -> Result<i8, Malformed> {
        self.field(i)?.map_or(Ok(default), |at| Ok(i8::from_le_bytes(read(self.bytes, at)?)))
    }

    /// An integer, or its default.
    pub fn int(&self, i: usize, default: i32) -> Result<i32, Malformed> {
        self.field(i)?.map_or(Ok(default), |at| Ok(i32::from_le_bytes(read(self.bytes, at)?)))
    }

    /// A table, or `None`.
    pub fn table(&self, i: usize) -> Result<Option<Self>, Malformed> {
        self.field(i)?.map(|at| Self::behind(self.bytes, at)).transpose()
    }

    fn vector(&self, i: usize, element: usize, most: usize) -> Result<Option<Vector<'a>>, Malformed> {
        let Some(at) = self.field(i)? else { return Ok(None) };
        let start = behind(self.bytes, at)?;
        let len = u32::from_le_bytes(read(self.bytes, start)?) as usize;
        let fits = start.checked_add(4).and_then(|s| s.checked_add(len.checked_mul(element)?));
        if len > most || fits.is_none_or(|end| end > self.bytes.len()) {
            return Err(format!("a list of {len} elements is longer than {most} or than the file"));
        }
        Ok(Some(Vector { bytes: self.bytes, start: start + 4, len }))
    }

    /// Bytes; empty where left out.
    pub fn bytes(&self, i: usize, most: usize) -> Result<&'a [u8], Malformed> {
        let vector = self.vector(i, 1, most)?;
        Ok(vector.map_or(&[], |v| &v.bytes[v.start..v.start + v.len]))
    }

    /// A text; empty where left out.
    pub fn text(&self, i: usize, most: usize) -> Result<String, Malformed> {
        String::from_utf8(self.bytes(i, most)?.to_vec()).map_err(|_| "a name is not UTF-8".into())
    }

    /// 32-bit integers; none where left out.
    pub fn ints(&self, i: usize, most: usize) -> Result<Vec<i32>, Malformed> {
        self.list(i, most, i32::from_le_bytes)
    }

    /// 64-bit integers; none where left out.
    pub fn longs(&self, i: usize, most: usize) -> Result<Vec<i64>, Malformed> {
        self.list(i, most, i64::from_le_bytes)
    }

    /// Floats; none where left out.
    pub fn floats(&self, i: usize, most: usize) -> Result<Vec<f32>, Malformed> {
        self.list(i, most, f32::from_le_bytes)
    }

    fn list<T, const N: usize>(
        &self,
        i: usize,
        most: usize,
        from: fn([u8; N]) -> T,
    ) -> Result<Vec<T>, Malformed> {
        let Some(v) = self.vector(i, N, most)? else { return Ok(Vec::new()) };
        (0..v.len).map(|k| Ok(from(read(v.bytes, v.start + k * N)?))).collect()
    }

    /// Tables; none where left out.
    pub fn tables(&self, i: usize, most: usize) -> Result<Vec<Self>, Malformed> {
        let Some(v) = self.vector(i, 4, most)? else { return Ok(Vec::new()) };
        (0..v.len).map(|k| Self::behind(v.bytes, v.start + 4 * k)).collect()
    }
}

/// Where the offset at a place points to.
fn behind(bytes: &[u8], at: usize) -> Result<usize, Malformed> {
    let offset = u32::from_le_bytes(read(bytes, at)?) as usize;
    at.checked_add(offset)
        .filter(|p| *p < bytes.len())
        .ok_or_else(|| "an offset lies outside the file".into())
}

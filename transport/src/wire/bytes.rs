//! Cuts fixed layouts into fields without an index that could fail.

use deut_common::codec::Malformed;

/// The `N` bytes at `AT`. The compiler checks that they lie inside.
#[must_use]
pub fn part<const AT: usize, const N: usize, const TOTAL: usize>(bytes: &[u8; TOTAL]) -> &[u8; N] {
    const { assert!(AT + N <= TOTAL) };
    match bytes[AT..].first_chunk() {
        Some(part) => part,
        None => unreachable!(),
    }
}

/// The `N` bytes at `AT`, to write to. The compiler checks that they lie inside.
#[must_use]
pub fn part_mut<const AT: usize, const N: usize, const TOTAL: usize>(
    bytes: &mut [u8; TOTAL],
) -> &mut [u8; N] {
    const { assert!(AT + N <= TOTAL) };
    match bytes[AT..].first_chunk_mut() {
        Some(part) => part,
        None => unreachable!(),
    }
}

/// Returns true if all bytes are zero.
#[must_use]
pub fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == 0)
}

/// Reads fields one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// A reader at the beginning of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// If fewer bytes are left.
    pub fn take<const N: usize>(&mut self) -> Result<&'a [u8; N], Malformed> {
        let (part, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(part)
    }

    /// The next `n` bytes.
    ///
    /// # Errors
    /// If fewer bytes are left.
    pub fn slice(&mut self, n: usize) -> Result<&'a [u8], Malformed> {
        let (part, rest) = self.0.split_at_checked(n).ok_or(Malformed)?;
        self.0 = rest;
        Ok(part)
    }

    /// The next byte.
    ///
    /// # Errors
    /// If no byte is left.
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        self.take::<1>().map(|&[byte]| byte)
    }

    /// The next two bytes as a big-endian number.
    ///
    /// # Errors
    /// If fewer bytes are left.
    pub fn u16(&mut self) -> Result<u16, Malformed> {
        self.take().map(|bytes| u16::from_be_bytes(*bytes))
    }

    /// The next four bytes as a big-endian number.
    ///
    /// # Errors
    /// If fewer bytes are left.
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        self.take().map(|bytes| u32::from_be_bytes(*bytes))
    }

    /// Ends reading: all that is left must be zero.
    ///
    /// # Errors
    /// If a byte that is left is not zero.
    pub fn zero_rest(self) -> Result<(), Malformed> {
        if is_zero(self.0) {
            Ok(())
        } else {
            Err(Malformed)
        }
    }

    /// Ends reading: nothing must be left.
    ///
    /// # Errors
    /// If bytes are left.
    pub fn nothing_left(self) -> Result<(), Malformed> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Malformed)
        }
    }
}

/// Writes fields one after the other into a buffer that is large enough by construction.
#[derive(Debug)]
pub struct Writer<'a>(&'a mut [u8]);

impl<'a> Writer<'a> {
    /// A writer at the beginning of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a mut [u8]) -> Self {
        Self(bytes)
    }

    /// Writes the next field. A field that does not fit is left out, which is a bug: debug builds panic.
    pub fn put(&mut self, field: &[u8]) {
        let free = std::mem::take(&mut self.0);
        let fits = field.len() <= free.len();
        debug_assert!(fits, "a layout does not add up");
        let (part, rest) = free.split_at_mut(if fits { field.len() } else { 0 });
        if fits {
            part.copy_from_slice(field);
        }
        self.0 = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_cut_where_they_say() {
        let mut bytes = [1, 2, 3, 4, 5];
        assert_eq!(part::<1, 3, _>(&bytes), &[2, 3, 4]);
        *part_mut::<3, 2, _>(&mut bytes) = [9, 9];
        assert_eq!(bytes, [1, 2, 3, 9, 9]);
    }

    #[test]
    fn a_reader_never_reads_beyond_the_end() {
        let mut reader = Reader::new(&[1, 0, 2, 0, 0]);
        assert_eq!(reader.u8(), Ok(1));
        assert_eq!(reader.u16(), Ok(2));
        assert_eq!(reader.u32(), Err(Malformed));
        assert_eq!(reader.zero_rest(), Ok(()));
        assert_eq!(reader.nothing_left(), Err(Malformed));
        assert_eq!(reader.slice(3), Err(Malformed));
        assert_eq!(reader.slice(2), Ok(&[0, 0][..]));
        assert_eq!(reader.nothing_left(), Ok(()));
        assert_eq!(Reader::new(&[0, 1]).zero_rest(), Err(Malformed));
    }

    #[test]
    fn a_writer_appends() {
        let mut bytes = [0; 4];
        let mut writer = Writer::new(&mut bytes);
        writer.put(&[1, 2]);
        writer.put(&[3]);
        assert_eq!(bytes, [1, 2, 3, 0]);
    }
}

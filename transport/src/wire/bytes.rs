//! Cutting fixed layouts into fields without an index that could fail.

use deut_common::codec::Malformed;

/// The `N` bytes at `AT`; that they lie inside is checked when compiling.
#[must_use]
pub fn part<const AT: usize, const N: usize, const TOTAL: usize>(bytes: &[u8; TOTAL]) -> &[u8; N] {
    const { assert!(AT + N <= TOTAL) };
    match bytes[AT..].first_chunk() {
        Some(part) => part,
        None => unreachable!(),
    }
}

/// The `N` bytes at `AT`, to write; that they lie inside is checked when compiling.
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

/// Whether all of it is zero.
#[must_use]
pub fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == 0)
}

/// Reads fields one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Starts at the beginning of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// There are fewer.
    pub fn take<const N: usize>(&mut self) -> Result<&'a [u8; N], Malformed> {
        let (part, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(part)
    }

    /// The next `n` bytes.
    ///
    /// # Errors
    /// There are fewer.
    pub fn slice(&mut self, n: usize) -> Result<&'a [u8], Malformed> {
        let (part, rest) = self.0.split_at_checked(n).ok_or(Malformed)?;
        self.0 = rest;
        Ok(part)
    }

    /// The next byte.
    ///
    /// # Errors
    /// There is none.
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        self.take::<1>().map(|&[byte]| byte)
    }

    /// The next two bytes as a number.
    ///
    /// # Errors
    /// There are fewer.
    pub fn u16(&mut self) -> Result<u16, Malformed> {
        self.take().map(|bytes| u16::from_be_bytes(*bytes))
    }

    /// The next four bytes as a number.
    ///
    /// # Errors
    /// There are fewer.
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        self.take().map(|bytes| u32::from_be_bytes(*bytes))
    }

    /// The end: all that is left is zero.
    ///
    /// # Errors
    /// It is not.
    pub fn zero_rest(self) -> Result<(), Malformed> {
        if is_zero(self.0) {
            Ok(())
        } else {
            Err(Malformed)
        }
    }

    /// The end: nothing is left.
    ///
    /// # Errors
    /// There is more.
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
    /// Starts at the beginning of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a mut [u8]) -> Self {
        Self(bytes)
    }

    /// The next field. What does not fit is left out (and is a bug: debug builds panic).
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

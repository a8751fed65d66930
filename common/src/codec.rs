//! Encodes values to bytes and back. This is the only file that calls bincode.
//!
//! The form: big-endian, fixed-width integers, no bytes for the lengths of arrays, at most [`LIMIT`] bytes, nothing left over.
//! Lists have a count of one or two bytes, where bincode would use eight; sums have one-byte tags of their own.

use bincode::{
    Decode, Encode,
    config::{BigEndian, Configuration, Fixint, Limit},
    de::{Decoder, read::Reader},
    enc::{Encoder, write::Writer},
    error::{DecodeError, EncodeError},
};

/// Length in bytes of the longest value: the data of a cell.
pub const LIMIT: usize = 1_160;

const CONFIG: Configuration<BigEndian, Fixint, Limit<LIMIT>> = bincode::config::standard()
    .with_big_endian()
    .with_fixed_int_encoding()
    .with_limit::<LIMIT>();

/// The bytes are not in the form that [`encode`] writes. The sender is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed")]
pub struct Malformed;

/// The value needs more bytes than there are. The caller is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value does not fit")]
pub struct DoesNotFit;

/// Encodes a value whose type bounds its length.
#[must_use]
pub fn encode<T: Encode>(value: &T) -> Vec<u8> {
    // Writing to a vector cannot fail for our types.
    bincode::encode_to_vec(value, CONFIG).unwrap_or_default()
}

/// Writes `value` to the beginning of `out`. Returns the number of bytes written.
///
/// # Errors
/// If `out` is too short.
pub fn encode_into<T: Encode>(value: &T, out: &mut [u8]) -> Result<usize, DoesNotFit> {
    bincode::encode_into_slice(value, out, CONFIG).map_err(|_| DoesNotFit)
}

/// Decodes a value that takes up all of `bytes`.
///
/// # Errors
/// If there are too few or too many bytes, or they are not in the form that [`encode`] writes.
pub fn decode<T: Decode<()>>(bytes: &[u8]) -> Result<T, Malformed> {
    match bincode::decode_from_slice(bytes, CONFIG) {
        Ok((value, used)) if used == bytes.len() => Ok(value),
        Ok(_) | Err(_) => Err(Malformed),
    }
}

/// The error for decoders that are written by hand.
#[must_use]
pub fn invalid() -> DecodeError {
    DecodeError::Other("not a valid value")
}

/// Reads `length` bytes, counted against [`LIMIT`].
///
/// # Errors
/// If there are fewer.
pub fn read_bytes<D: Decoder>(decoder: &mut D, length: usize) -> Result<Vec<u8>, DecodeError> {
    decoder.claim_bytes_read(length)?;
    let mut bytes = vec![0; length];
    decoder.reader().read(&mut bytes)?;
    Ok(bytes)
}

/// The list is longer than its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the list is longer than its bound")]
pub struct TooMany;

/// A list of at most `N` elements (`N` ≤ 255), encoded behind a count of one byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounded<T, const N: usize>(Vec<T>);

impl<T, const N: usize> Bounded<T, N> {
    /// An empty list.
    #[must_use]
    pub const fn new() -> Self {
        const { assert!(N <= 255) };
        Self(Vec::new())
    }

    /// A list of the first `N` of these elements.
    pub fn first_of(elements: impl IntoIterator<Item = T>) -> Self {
        const { assert!(N <= 255) };
        Self(elements.into_iter().take(N).collect())
    }

    /// The elements as a slice.
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        &self.0
    }

    /// The elements in their order.
    #[must_use]
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }

    /// Returns true if there are no elements.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T, const N: usize> Default for Bounded<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, const N: usize> TryFrom<Vec<T>> for Bounded<T, N> {
    type Error = TooMany;

    fn try_from(list: Vec<T>) -> Result<Self, TooMany> {
        const { assert!(N <= 255) };
        if list.len() > N {
            Err(TooMany)
        } else {
            Ok(Self(list))
        }
    }
}

impl<T: Encode, const N: usize> Encode for Bounded<T, N> {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        one_byte(self.0.len())?.encode(encoder)?;
        self.0.iter().try_for_each(|item| item.encode(encoder))
    }
}

impl<C, T: Decode<C>, const N: usize> Decode<C> for Bounded<T, N> {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let count = usize::from(u8::decode(decoder)?);
        if count > N {
            return Err(invalid());
        }
        // It grows as elements arrive, so a count without elements reserves nothing.
        let mut list = Vec::new();
        for _ in 0..count {
            list.push(T::decode(decoder)?);
        }
        Ok(Self(list))
    }
}

/// A string of at most `N` bytes (`N` ≤ 65,535), encoded behind a length of two bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundedBytes<const N: usize>(Vec<u8>);

impl<const N: usize> BoundedBytes<N> {
    /// A string of these bytes; `None` if there are more than `N`.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
        const { assert!(N <= 65_535) };
        (bytes.len() <= N).then_some(Self(bytes))
    }

    /// The bytes as a slice.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, without a copy.
    #[must_use]
    pub fn into_vec(self) -> Vec<u8> {
        self.0
    }
}

impl<const N: usize> Encode for BoundedBytes<N> {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        let length = u16::try_from(self.0.len()).map_err(|_| too_long())?;
        length.encode(encoder)?;
        encoder.writer().write(&self.0)
    }
}

impl<C, const N: usize> Decode<C> for BoundedBytes<N> {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let length = usize::from(u16::decode(decoder)?);
        if length > N {
            return Err(invalid());
        }
        read_bytes(decoder, length).map(Self)
    }
}

/// A string of at most `N` bytes (`N` ≤ 255), encoded behind a length of one byte.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShortBytes<const N: usize>(Vec<u8>);

impl<const N: usize> ShortBytes<N> {
    /// A string of these bytes; `None` if there are more than `N`.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
        const { assert!(N <= 255) };
        (bytes.len() <= N).then_some(Self(bytes))
    }

    /// The bytes as a slice.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

impl<const N: usize> Encode for ShortBytes<N> {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        one_byte(self.0.len())?.encode(encoder)?;
        encoder.writer().write(&self.0)
    }
}

impl<C, const N: usize> Decode<C> for ShortBytes<N> {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let length = usize::from(u8::decode(decoder)?);
        if length > N {
            return Err(invalid());
        }
        read_bytes(decoder, length).map(Self)
    }
}

fn one_byte(length: usize) -> Result<u8, EncodeError> {
    u8::try_from(length).map_err(|_| too_long())
}

const fn too_long() -> EncodeError {
    EncodeError::Other("longer than its bound")
}

#[cfg(test)]
mod tests {
    use super::*;

    type Small = Bounded<u16, 3>;

    #[test]
    fn integers_are_big_endian_and_arrays_bare() {
        let value = (0x0102_0304_u32, [9_u8, 8, 7], 0x0506_u16);
        let bytes = [1, 2, 3, 4, 9, 8, 7, 5, 6];
        let mut out = [0; 16];
        let written = encode_into(&value, &mut out).expect("9 bytes fit");
        assert_eq!(&out[..written], bytes);
        assert_eq!(encode(&value), bytes);
        assert_eq!(decode(&bytes), Ok(value));
    }

    #[test]
    fn too_short_too_long_and_no_room_are_refused() {
        assert_eq!(decode::<u32>(&[1, 2, 3]), Err(Malformed));
        assert_eq!(decode::<u32>(&[1, 2, 3, 4, 5]), Err(Malformed));
        assert_eq!(decode::<u32>(&[1, 2, 3, 4]), Ok(0x0102_0304));
        assert_eq!(encode_into(&1_u32, &mut [0; 3]), Err(DoesNotFit));
        assert_eq!(encode_into(&1_u32, &mut [0; 4]), Ok(4));
    }

    #[test]
    fn one_byte_counts_the_elements() {
        let list = Small::try_from(vec![1, 2]).expect("two fit");
        // count, 1, 2
        assert_eq!(encode(&list), [2, 0, 1, 0, 2]);
        assert_eq!(decode::<Small>(&[2, 0, 1, 0, 2]), Ok(list));
        assert_eq!(decode::<Small>(&[0]), Ok(Small::new()));
    }

    #[test]
    fn more_than_the_bound_is_refused_on_both_sides() {
        assert_eq!(Small::try_from(vec![1, 2, 3, 4]), Err(TooMany));
        assert!(Small::try_from(vec![1, 2, 3]).is_ok());
        assert_eq!(Small::first_of(1..9).into_vec(), [1, 2, 3]);
        assert!(decode::<Small>(&[4, 0, 1, 0, 2, 0, 3, 0, 4]).is_err());
        assert!(decode::<Small>(&[3, 0, 1, 0, 2, 0, 3]).is_ok());
    }

    #[test]
    fn every_truncation_and_a_trailing_byte_are_refused() {
        let bytes = [2, 0, 1, 0, 2];
        for cut in 0..bytes.len() {
            assert!(decode::<Small>(&bytes[..cut]).is_err(), "{cut} bytes");
        }
        assert!(decode::<Small>(&[2, 0, 1, 0, 2, 0]).is_err());
        assert!(decode::<Small>(&bytes).is_ok());
    }

    #[test]
    fn bytes_behind_lengths_of_one_and_two_bytes() {
        let (short, long) = (
            ShortBytes::<2>::new(vec![8, 9]),
            BoundedBytes::<2>::new(vec![8, 9]),
        );
        assert_eq!(encode(&short.expect("fits")), [2, 8, 9]);
        assert_eq!(encode(&long.expect("fits")), [0, 2, 8, 9]);
        assert!(ShortBytes::<2>::new(vec![0; 3]).is_none());
        assert!(BoundedBytes::<2>::new(vec![0; 3]).is_none());
        assert!(decode::<ShortBytes<2>>(&[3, 7, 8, 9]).is_err());
        assert!(decode::<BoundedBytes<2>>(&[0, 3, 7, 8, 9]).is_err());
        assert!(decode::<BoundedBytes<2>>(&[0, 2, 8]).is_err());
        assert!(decode::<BoundedBytes<2>>(&[0, 2, 8, 9]).is_ok());
    }
}

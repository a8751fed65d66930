//! A list with a greatest length, and one byte on the wire to count it.

use bincode::{
    Decode, Encode,
    de::Decoder,
    enc::Encoder,
    error::{DecodeError, EncodeError},
};

/// At most `N` elements (`N` ≤ 255). On the wire: `count 1 ‖ elements`.
///
/// The derive of bincode spends eight bytes on a length and has no bound but the whole message's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounded<T, const N: usize>(Vec<T>);

/// The list is longer than its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the list is longer than its bound")]
pub struct TooMany;

impl<T, const N: usize> Bounded<T, N> {
    /// The empty list.
    #[must_use]
    pub const fn new() -> Self {
        const { assert!(N <= 255) };
        Self(Vec::new())
    }

    /// The elements.
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        &self.0
    }

    /// The elements, as they were given.
    #[must_use]
    pub fn into_vec(self) -> Vec<T> {
        self.0
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
        let count =
            u8::try_from(self.0.len()).map_err(|_| EncodeError::Other("longer than its bound"))?;
        count.encode(encoder)?;
        self.0
            .iter()
            .try_for_each(|element| element.encode(encoder))
    }
}

impl<C, T: Decode<C>, const N: usize> Decode<C> for Bounded<T, N> {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let count = usize::from(u8::decode(decoder)?);
        if count > N {
            return Err(DecodeError::Other("longer than its bound"));
        }
        let mut list = Vec::with_capacity(count);
        for _ in 0..count {
            list.push(T::decode(decoder)?);
        }
        Ok(Self(list))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;

    type Small = Bounded<u16, 3>;

    #[test]
    fn one_byte_counts_the_elements() {
        let list = Small::try_from(vec![1, 2]).expect("two fit");
        let mut out = [0xee; 8];
        let written = codec::encode(&list, &mut out).expect("5 bytes fit");
        // count, 1, 2
        assert_eq!(&out[..written], [2, 0, 1, 0, 2]);
        assert_eq!(codec::decode::<Small>(&out[..written]), Ok(list));
        assert_eq!(codec::decode::<Small>(&[0]), Ok(Small::new()));
    }

    #[test]
    fn more_than_the_bound_is_refused_on_both_sides() {
        assert_eq!(Small::try_from(vec![1, 2, 3, 4]), Err(TooMany));
        assert!(Small::try_from(vec![1, 2, 3]).is_ok());
        assert!(codec::decode::<Small>(&[4, 0, 1, 0, 2, 0, 3, 0, 4]).is_err());
        assert!(codec::decode::<Small>(&[3, 0, 1, 0, 2, 0, 3]).is_ok());
    }

    #[test]
    fn every_truncation_and_a_trailing_byte_are_refused() {
        let bytes = [2, 0, 1, 0, 2];
        for cut in 0..bytes.len() {
            assert!(
                codec::decode::<Small>(&bytes[..cut]).is_err(),
                "{cut} bytes"
            );
        }
        assert!(codec::decode::<Small>(&[2, 0, 1, 0, 2, 0]).is_err());
        assert!(codec::decode::<Small>(&bytes).is_ok());
    }
}

//! The one place that names `bincode`: bodies are big-endian, fixed-width, bounded, without trailing bytes.
//!
//! Counts and tags take one byte and are written by hand: bincode's own take eight and four.
use crate::contact::{Contact, RawContact};
use bincode::{
    Decode, Encode,
    config::{BigEndian, Configuration, Fixint, Limit},
    de::{Decoder, read::Reader},
    enc::{Encoder, write::Writer},
    error::{DecodeError, EncodeError},
};

/// No body is longer than the longest answer; bincode refuses to read more than this.
const LIMIT: usize = crate::api::MAX_ANSWER_BODY;
const CONFIG: Configuration<BigEndian, Fixint, Limit<LIMIT>> = bincode::config::standard()
    .with_big_endian()
    .with_fixed_int_encoding()
    .with_limit::<LIMIT>();

/// The bytes are no message of the expected kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Encodes a message. Every message is bounded by its type, so there is nothing to fail.
pub(crate) fn encode<T: Encode>(message: &T) -> Vec<u8> {
    bincode::encode_to_vec(message, CONFIG).unwrap_or_default()
}

/// Decodes exactly one message.
pub(crate) fn decode<T: Decode<()>>(bytes: &[u8]) -> Result<T, Malformed> {
    match bincode::decode_from_slice(bytes, CONFIG) {
        Ok((message, used)) if used == bytes.len() => Ok(message),
        _ => Err(Malformed),
    }
}

/// The error of every hand-written decoder.
pub(crate) fn invalid() -> DecodeError {
    DecodeError::Other("not a valid message")
}

/// Up to `N` items (`N` ≤ 255) behind a count of one byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bounded<T, const N: usize>(Vec<T>);

impl<T, const N: usize> Bounded<T, N> {
    /// The first `N` of the items.
    pub(crate) fn first_of(items: impl IntoIterator<Item = T>) -> Self {
        const { assert!(N <= 255) };
        Self(items.into_iter().take(N).collect())
    }

    pub(crate) fn into_vec(self) -> Vec<T> {
        self.0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: Encode, const N: usize> Encode for Bounded<T, N> {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        u8::try_from(self.0.len())
            .unwrap_or(u8::MAX)
            .encode(encoder)?;
        self.0.iter().try_for_each(|item| item.encode(encoder))
    }
}

impl<C, T: Decode<C>, const N: usize> Decode<C> for Bounded<T, N> {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let count = usize::from(u8::decode(decoder)?);
        if count > N {
            return Err(invalid());
        }
        // Grows as items arrive: a count without items reserves nothing.
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(T::decode(decoder)?);
        }
        Ok(Self(items))
    }
}

/// Up to `N` bytes (`N` ≤ 65,535) behind a length of two bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BoundedBytes<const N: usize>(Vec<u8>);

impl<const N: usize> BoundedBytes<N> {
    pub(crate) fn new(bytes: Vec<u8>) -> Option<Self> {
        const { assert!(N <= 65_535) };
        (bytes.len() <= N).then_some(Self(bytes))
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn into_vec(self) -> Vec<u8> {
        self.0
    }
}

impl<const N: usize> Encode for BoundedBytes<N> {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        u16::try_from(self.0.len())
            .unwrap_or(u16::MAX)
            .encode(encoder)?;
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

/// Up to `N` bytes (`N` ≤ 255) behind a length of one byte.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ShortBytes<const N: usize>(Vec<u8>);

impl<const N: usize> ShortBytes<N> {
    pub(crate) fn new(bytes: Vec<u8>) -> Option<Self> {
        const { assert!(N <= 255) };
        (bytes.len() <= N).then_some(Self(bytes))
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

impl<const N: usize> Encode for ShortBytes<N> {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        u8::try_from(self.0.len())
            .unwrap_or(u8::MAX)
            .encode(encoder)?;
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

fn read_bytes<D: Decoder>(decoder: &mut D, length: usize) -> Result<Vec<u8>, DecodeError> {
    decoder.claim_bytes_read(length)?;
    let mut bytes = vec![0; length];
    decoder.reader().read(&mut bytes)?;
    Ok(bytes)
}

/// Contacts tell their own length, so they need no prefix.
impl Encode for RawContact {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        encoder.writer().write(self.as_bytes())
    }
}

impl<C> Decode<C> for RawContact {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let mut bytes = read_bytes(decoder, Contact::HEAD_LEN)?;
        let length = Self::length(&bytes).map_err(|_| invalid())?;
        bytes.extend(read_bytes(decoder, length - Contact::HEAD_LEN)?);
        Self::parse_all(&bytes).map_err(|_| invalid())
    }
}

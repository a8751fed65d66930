//! The only file that calls bincode: control payloads to bytes and back.
//!
//! Big-endian, fixed-width integers, no bytes for the lengths of arrays, at most [`LIMIT`] bytes, nothing left over.
//! Lists are [`crate::bounded::Bounded`]; sums carry their own one-byte tags outside.

use bincode::{
    Decode, Encode,
    config::{BigEndian, Configuration, Fixint, Limit},
};

use crate::wire::Malformed;

/// No payload is longer than the data of a cell.
pub const LIMIT: usize = 1_160;

const CONFIG: Configuration<BigEndian, Fixint, Limit<LIMIT>> = bincode::config::standard()
    .with_big_endian()
    .with_fixed_int_encoding()
    .with_limit::<LIMIT>();

/// The value needs more bytes than there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value does not fit")]
pub struct DoesNotFit;

/// Writes `value` to the beginning of `out` and tells how many bytes it took.
///
/// # Errors
/// `out` is too short.
pub fn encode<T: Encode>(value: &T, out: &mut [u8]) -> Result<usize, DoesNotFit> {
    bincode::encode_into_slice(value, out, CONFIG).map_err(|_| DoesNotFit)
}

/// Reads a value that takes up all of `bytes`.
///
/// # Errors
/// Too few bytes, too many, or not in the form that [`encode`] writes.
pub fn decode<T: Decode<()>>(bytes: &[u8]) -> Result<T, Malformed> {
    match bincode::decode_from_slice(bytes, CONFIG) {
        Ok((value, used)) if used == bytes.len() => Ok(value),
        Ok(_) | Err(_) => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_big_endian_and_arrays_bare() {
        let mut out = [0; 16];
        let written =
            encode(&(0x0102_0304_u32, [9_u8, 8, 7], 0x0506_u16), &mut out).expect("9 bytes fit");
        assert_eq!(&out[..written], [1, 2, 3, 4, 9, 8, 7, 5, 6]);
        assert_eq!(
            decode::<(u32, [u8; 3], u16)>(&out[..written]),
            Ok((0x0102_0304, [9, 8, 7], 0x0506))
        );
    }

    #[test]
    fn too_short_too_long_and_no_room_are_refused() {
        assert_eq!(decode::<u32>(&[1, 2, 3]), Err(Malformed));
        assert_eq!(decode::<u32>(&[1, 2, 3, 4, 5]), Err(Malformed));
        assert_eq!(decode::<u32>(&[1, 2, 3, 4]), Ok(0x0102_0304));
        assert_eq!(encode(&1_u32, &mut [0; 3]), Err(DoesNotFit));
        assert_eq!(encode(&1_u32, &mut [0; 4]), Ok(4));
    }
}

//! One number for all that happened: the same seed gives the same number, any difference another one.

/// A running hash, quick and not meant against anybody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trace(u64);

const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

impl Trace {
    /// The hash of all up to now.
    #[must_use]
    pub const fn value(self) -> u64 {
        self.0
    }

    pub(super) fn add(&mut self, number: u64) {
        let mixed = u128::from(self.0 ^ number ^ MULTIPLIER) * u128::from(MULTIPLIER);
        self.0 = (mixed as u64 ^ (mixed >> 64) as u64).wrapping_add(number);
    }

    pub(super) fn add_bytes(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        self.add(bytes.len() as u64);
        for word in words {
            self.add(u64::from_le_bytes(*word));
        }
        for byte in rest {
            self.add(u64::from(*byte));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(parts: &[&[u8]]) -> u64 {
        let mut trace = Trace::default();
        parts.iter().for_each(|part| trace.add_bytes(part));
        trace.value()
    }

    #[test]
    fn order_length_and_every_byte_count() {
        let one = of(&[b"abcdefgh", b"i"]);
        assert_eq!(one, of(&[b"abcdefgh", b"i"]));
        for other in [
            of(&[b"i", b"abcdefgh"]),
            of(&[b"abcdefghi"]),
            of(&[b"abcdefgh", b"j"]),
            of(&[b"abcdefgh", b"i", b""]),
            of(&[b"abcdeggh", b"i"]),
        ] {
            assert_ne!(one, other);
        }
    }
}

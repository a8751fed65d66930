//! The 160-bit id space and its XOR metric.
use sha1::{Digest, Sha1};
use std::fmt;

/// A point of the id space: a node's id (SHA-1 of its persona key) or the key of a record.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub [u8; 20]);

/// The key of a record, which is in the same space as node ids.
pub type Key = NodeId;

impl NodeId {
    /// Number of bytes of an id.
    pub const LEN: usize = 20;
    /// Number of bits of an id.
    pub const BITS: u32 = 160;

    /// The SHA-1 hash of `data`, as in BitTorrent's DHT.
    #[must_use]
    pub fn hash_of(data: &[u8]) -> Self {
        Self(Sha1::digest(data).into())
    }

    /// The XOR distance to `other`. It is symmetric, 0 only to the id itself, and for each distance there is one point.
    #[must_use]
    pub fn distance(&self, other: &Self) -> Distance {
        let mut bytes = self.0;
        for (byte, theirs) in bytes.iter_mut().zip(other.0) {
            *byte ^= theirs;
        }
        Distance(bytes)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Ids are keys: debug output shows only the first 32 bits, so that a log never holds a whole one.
impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "{a:02x}{b:02x}{c:02x}{d:02x}..")
    }
}

/// XOR of two ids, ordered as a big-endian number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Distance(pub [u8; 20]);

impl Distance {
    /// Number of leading bits that two ids at this distance share; 160 for equal ids.
    #[must_use]
    pub fn shared_bits(&self) -> u32 {
        let mut bits = 0;
        for byte in self.0 {
            bits += byte.leading_zeros();
            if byte != 0 {
                break;
            }
        }
        bits
    }

    /// The distance as a fraction of the whole space, 0.0 to 1.0, from its leading 64 bits.
    #[must_use]
    pub fn fraction(&self) -> f64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h]) as f64 / 2f64.powi(64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sha1_gives_the_examples_of_fips_180() {
        assert_eq!(
            NodeId::hash_of(b"abc").to_string(),
            "a9993e364706816aba3e25717850c26c9cd0d89d"
        );
        assert_eq!(
            NodeId::hash_of(b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")
                .to_string(),
            "84983e441c3bd26ebaae4aa1f95129e5e54670f1"
        );
        assert_eq!(
            NodeId::hash_of(b"").to_string(),
            "da39a3ee5e6b4b0d3255bfef95601890afd80709"
        );
    }

    #[test]
    fn shared_bits_counts_from_the_left() {
        let zero = NodeId([0; 20]);
        assert_eq!(zero.distance(&zero).shared_bits(), 160);
        for bit in 0..160u32 {
            let mut bytes = [0; 20];
            bytes[(bit / 8) as usize] = 0x80 >> (bit % 8);
            assert_eq!(zero.distance(&NodeId(bytes)).shared_bits(), bit);
        }
    }

    #[test]
    fn debug_output_shows_only_the_first_four_bytes() {
        assert_eq!(format!("{:?}", NodeId([0xab; 20])), "abababab..");
    }

    proptest! {
        #[test]
        fn the_metric_obeys_its_laws(a: [u8; 20], b: [u8; 20], c: [u8; 20]) {
            let (a, b, c) = (NodeId(a), NodeId(b), NodeId(c));
            prop_assert_eq!(a.distance(&b), b.distance(&a));
            prop_assert_eq!(a.distance(&b).0 == [0; 20], a == b);
            // Unidirectional: the distance determines the point.
            prop_assert_eq!(NodeId(a.distance(&b).0).distance(&a).0, b.0);
            // XOR of two legs is the third side, which is stronger than the triangle inequality.
            prop_assert_eq!(NodeId(a.distance(&b).0).distance(&NodeId(b.distance(&c).0)), a.distance(&c));
            prop_assert!(a.distance(&c).fraction() <= a.distance(&b).fraction() + b.distance(&c).fraction() + 1e-12);
        }
    }
}

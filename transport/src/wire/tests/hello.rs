use proptest::prelude::*;

use super::{hex, rule};
use crate::{ids::Gate, wire::hello::Hello};

const QUESTION: Hello = Hello::Question {
    gate: Gate([0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7]),
    nonce: [7; 16],
};

#[test]
fn golden_question() {
    let datagram = QUESTION.encode(rule(3, 1));
    // gate; kind; nonce; what was drawn
    let mut golden = hex("a0a1a2a3a4a5a6a7 01 07070707070707070707070707070707");
    golden.extend_from_slice(&rule::<64>(3, 1)[25..]);
    assert_eq!(datagram[..], golden);
    assert_eq!(Hello::decode(&datagram), Some(QUESTION));
}

#[test]
fn golden_echo() {
    let echo = Hello::Echo {
        nonce: rule(1, 0x10),
    };
    let datagram = echo.encode(rule(3, 1));
    // what was drawn; kind; nonce; what was drawn
    let mut golden = rule::<64>(3, 1)[..8].to_vec();
    golden.extend(hex("02 101112131415161718191a1b1c1d1e1f"));
    golden.extend_from_slice(&rule::<64>(3, 1)[25..]);
    assert_eq!(datagram[..], golden);
    assert_eq!(Hello::decode(&datagram), Some(echo));
}

#[test]
fn there_are_two_kinds() {
    let mut datagram = QUESTION.encode([0; 64]);
    let known = (0..=255).filter(|kind| {
        datagram[8] = *kind;
        Hello::decode(&datagram).is_some()
    });
    assert_eq!(known.collect::<Vec<u8>>(), [1, 2]);
}

#[test]
fn a_shorter_or_longer_datagram_is_none() {
    let datagram = QUESTION.encode([0; 64]);
    let take = |bytes: &[u8]| {
        bytes
            .try_into()
            .ok()
            .and_then(|bytes| Hello::decode(&bytes))
    };
    for cut in 0..64 {
        assert_eq!(take(&datagram[..cut]), None, "{cut} bytes");
    }
    assert_eq!(take(&[&datagram[..], &[0]].concat()), None);
    assert_eq!(take(&datagram), Some(QUESTION));
}

proptest! {
    #[test]
    fn what_decodes_encodes_to_the_same(bytes in prop::array::uniform32(any::<u8>()), kind in 0_u8..4) {
        let mut datagram = [0; 64];
        datagram[..32].copy_from_slice(&bytes);
        datagram[32..].copy_from_slice(&bytes);
        datagram[8] = kind;
        match Hello::decode(&datagram) {
            Some(hello) => prop_assert_eq!(hello.encode(datagram), datagram),
            None => prop_assert!(!(1..=2).contains(&kind)),
        }
    }
}

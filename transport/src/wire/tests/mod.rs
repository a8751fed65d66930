//! Golden bytes, round trips and refusals of every wire type.

mod cell;
mod datagram;
mod descriptor;
mod frame;
mod hello;
mod message;

use crate::{
    keys::RelayKeys,
    policy::{Policy, Profile},
    wire::descriptor::{Descriptor, PortRange},
};

/// Byte i is (a·i + b) mod 256, as in `tests/vectors/README.md`.
pub(crate) fn rule<const N: usize>(a: usize, b: usize) -> [u8; N] {
    std::array::from_fn(|i| ((a * i + b) % 256) as u8)
}

/// Bytes from hexadecimal; blanks are skipped.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    data_encoding::HEXLOWER_PERMISSIVE
        .decode(digits.as_bytes())
        .expect("hexadecimal digits")
}

/// The relay of the independent vectors.
pub(crate) fn keys() -> RelayKeys {
    RelayKeys::from_seed(&rule(3, 9))
}

pub(crate) fn production() -> Policy {
    Policy::new("example", Profile::Production).expect("a short name")
}

/// The descriptor of the independent vectors, which lies in a documentation network: for the test profile.
pub(crate) fn descriptor(network: crate::ids::NetworkId) -> Descriptor {
    let address = "198.51.100.7:4433".parse().expect("an address");
    let range = Some(PortRange {
        first: 5_000,
        last: 5_127,
    });
    Descriptor::sign(&keys(), network, address, range, 29_000_000, 29_001_440)
}

/// Checks that any byte behind `content` alone, made non-zero, is refused, and that the unchanged bytes are not.
pub(crate) fn padding_is_checked<const N: usize>(
    bytes: &[u8; N],
    content: usize,
    accepted: impl Fn(&[u8; N]) -> bool,
) {
    assert!(accepted(bytes));
    for at in content..N {
        let mut altered = *bytes;
        altered[at] = 1;
        assert!(!accepted(&altered), "byte {at} of the padding");
    }
}

//! RSA public keys of strangers: what is accepted has the one form that deut knows, and can be sealed to.

use std::sync::LazyLock;

use deut::rsa_suite::RealRsa;
use deut_transport::rsa::{RsaSuite, SPKI_LEN};

use super::{Depth, input::sized};

/// Everything before the modulus, and behind it the exponent 65,537: the same in every key of 2,048 bits.
const HEAD: usize = 33;
const TAIL: usize = 5;

static GENUINE: LazyLock<[u8; SPKI_LEN]> = LazyLock::new(|| *RealRsa.generate([1; 32]).public);

/// Any bytes, cut or filled to the length of a key.
#[must_use]
pub fn body(data: &[u8]) -> Depth {
    let spki: [u8; SPKI_LEN] = sized(data);
    let (message, seed) = ([7; 32], [9; 32]);
    let Ok(sealed) = RealRsa.seal(&spki, &message, seed) else {
        return Depth::Refused;
    };
    assert_eq!(spki[..HEAD], GENUINE[..HEAD]);
    assert_eq!(spki[SPKI_LEN - TAIL..], GENUINE[SPKI_LEN - TAIL..]);
    assert_eq!(RealRsa.seal(&spki, &message, seed).ok(), Some(sealed));
    Depth::Deep
}

/// Genuine keys.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    (1..=2)
        .map(|number| RealRsa.generate([number; 32]).public.to_vec())
        .collect()
}

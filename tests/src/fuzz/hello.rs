//! HELLO and its echo: whatever is read is written again byte for byte, and means the same.

use deut_transport::{ids::Gate, packet::HELLO_DATAGRAM, wire::hello::Hello};

use super::{Depth, input::sized};

/// Any bytes, cut or filled to the length of a HELLO.
#[must_use]
pub fn body(data: &[u8]) -> Depth {
    let bytes: [u8; HELLO_DATAGRAM] = sized(data);
    let Some(hello) = Hello::decode(&bytes) else {
        return Depth::Refused;
    };
    // The rest is random filling: written again over it, all of it comes out.
    assert_eq!(hello.encode(bytes), bytes, "{hello:?}");
    let other = hello.encode([0xa5; HELLO_DATAGRAM]);
    assert_eq!(Hello::decode(&other), Some(hello));
    Depth::Deep
}

/// One of each kind.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let question = Hello::Question {
        gate: Gate([3; 8]),
        nonce: [5; 16],
    };
    let echo = Hello::Echo { nonce: [5; 16] };
    [question, echo]
        .map(|hello| hello.encode([1; HELLO_DATAGRAM]).to_vec())
        .to_vec()
}

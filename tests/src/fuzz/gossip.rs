//! Gossip as the directory of a real transport takes it: whatever neighbours tell, only relays that answered for
//! themselves are listed, questions go only where a descriptor may point, and descriptors that break a rule are counted.

use deut_transport::wire::descriptor::Descriptor;

use super::{Depth, input::Input};
use crate::kit::{laboratory::Laboratory, peer::Peer, relay::sample};

/// Frames of one to six descriptors; each a real one, a changed one or any bytes.
#[must_use]
pub fn body(data: &[u8]) -> Depth {
    let mut input = Input::new(data);
    let mut neighbour = Peer::honest(1);
    let frames = 1 + input.below(4);
    let mut real = 0_u64;
    for _ in 0..frames {
        let count = 1 + input.below(6);
        let told: Vec<[u8; Descriptor::LEN]> =
            (0..count).map(|_| one(&mut input, &mut real)).collect();
        neighbour.gossip.push_back(told);
    }
    let mut laboratory = Laboratory::open(vec![neighbour, Peer::honest(2)]);
    laboratory.run(3_000_000);
    let relays = laboratory.client().relays();
    let fakes = [sample(1).1, sample(2).1];
    for relay in &relays {
        assert!(
            fakes.iter().any(|fake| fake.id() == relay.id),
            "nobody answered for it"
        );
        assert!(fakes.iter().any(|fake| fake.address == relay.address));
    }
    assert!(laboratory.client().audit().within_caps());
    Depth::deep_if(relays.len() > 1)
}

fn one(input: &mut Input<'_>, real: &mut u64) -> [u8; Descriptor::LEN] {
    let mode = input.u8();
    if mode >= 0xf0 {
        return input.array();
    }
    let (_, descriptor) = sample(1 + mode % 8);
    let mut bytes = *descriptor.bytes();
    if mode & 0x80 == 0x80 {
        input.mutate(&mut bytes);
    } else {
        *real += 1;
    }
    bytes
}

/// Real relays, changed ones, noise.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let mut noise = vec![0, 0, 0xf0];
    noise.resize(199, 0x33);
    vec![
        vec![0, 0, 1],
        vec![0, 5, 1, 2, 3, 4, 5, 6],
        vec![1, 1, 1, 0x81, 1, 0, 60, 8, 0, 2],
        noise,
    ]
}

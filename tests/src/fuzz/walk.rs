//! Walks: any element is taken or refused, any answer peeled or not; an answer that came back over up to twelve hops
//! opens as the endpoint wrote it, and after a change opens as that or not at all.

use deut_common::suite::SuiteRef;
use deut_transport::{
    crypto::{
        answer::EndpointAnswer,
        walk::{Hop, MAX_HOPS, MasterWalk},
    },
    wire::frame::{WALK_BLOCK, WALK_SEALED},
};
use rand::{Rng, SeedableRng, rngs::StdRng};

use super::{Depth, input::Input};
use crate::kit::relay::sample;

/// First byte: 0 an element, 1 an answer, else the number of hops and what is changed on the way.
#[must_use]
pub fn body(data: &[u8]) -> Depth {
    let mut input = Input::new(data);
    let mode = input.u8();
    let mut rng = StdRng::seed_from_u64(u64::from(mode));
    match mode {
        0 => element(&mut input, &mut rng),
        1 => {
            let (walk, _) = MasterWalk::start(&mut rng);
            let opened = walk.peel(&input.array(), &input.array());
            assert!(opened.is_none(), "nobody knows the keys");
            Depth::Refused
        }
        _ => chain(usize::from(mode) - 1, &mut input, &mut rng),
    }
}

fn element(input: &mut Input<'_>, rng: &mut StdRng) -> Depth {
    let bytes: [u8; 32] = input.array();
    let Ok(hop) = Hop::take(&bytes, rng) else {
        return Depth::Refused;
    };
    assert_eq!(hop.element(), &bytes);
    assert_ne!(bytes, [0; 32], "the identity is refused");
    let next = hop.next_element();
    let following = Hop::take(&next, rng).expect("its successor is an element too");
    assert_ne!(following.shared(), hop.shared());
    Depth::Deep
}

fn chain(hops: usize, input: &mut Input<'_>, rng: &mut StdRng) -> Depth {
    let hops = 1 + (hops - 1) % (MAX_HOPS + 2);
    let (walk, first) = MasterWalk::start(rng);
    let mut path = Vec::with_capacity(hops);
    let mut next = first;
    for _ in 0..hops {
        let hop = Hop::take(&next, rng).expect("an element");
        next = hop.next_element();
        path.push(hop);
    }
    let endpoint = path.last().expect("at least one");
    let (keys, descriptor) = sample(5);
    let mut address = descriptor.address;
    address.set_port(5_001 + u16::from(input.u8()) % 50);
    let answer = EndpointAnswer {
        descriptor,
        spki: Box::new([input.u8(); 294]),
        address,
        families: input.u8() % 4,
        expiry: input.u32(),
    };
    let mut sealed = answer.seal(&keys, endpoint);
    let mut block = [0; WALK_BLOCK];
    rng.fill_bytes(&mut block);
    let mut altered = false;
    for hop in path.iter().rev() {
        hop.wrap(&mut block, &mut sealed);
        altered |= change(input, &mut block, &mut sealed);
    }
    let opened = walk.peel(&block, &sealed);
    if hops > MAX_HOPS {
        assert!(opened.is_none(), "its slots fell out");
        return Depth::Refused;
    }
    let Some(opened) = opened else {
        assert!(altered, "an untouched answer opens");
        return Depth::Refused;
    };
    assert_eq!(opened.layers.len(), hops);
    assert_eq!(
        EndpointAnswer::open_and_verify(&SuiteRef::default(), &opened),
        Ok(answer)
    );
    Depth::Deep
}

/// What a relayer may do to what passes through it.
fn change(
    input: &mut Input<'_>,
    block: &mut [u8; WALK_BLOCK],
    sealed: &mut [u8; WALK_SEALED],
) -> bool {
    match input.u8() % 8 {
        1 => input.mutate(block),
        2 => input.mutate(sealed),
        _ => false,
    }
}

/// Elements good and bad, an answer from nowhere, walks of one to fourteen hops, untouched and changed.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let mut rng = StdRng::seed_from_u64(1);
    let (_, element) = MasterWalk::start(&mut rng);
    let mut forged = vec![1];
    forged.extend([element, element].concat());
    forged.resize(1_185, 9);
    let mut seeds = vec![
        [&[0], &element[..]].concat(),
        vec![0; 33],
        vec![0xff; 33],
        forged,
        vec![4, 1, 2, 3, 0, 0, 0, 9, 0, 0, 1, 1, 0, 0, 1],
        vec![4, 1, 2, 3, 0, 0, 0, 9, 2, 1, 0, 200, 1],
        // A change behind the last slot in use.
        vec![2, 1, 2, 3, 0, 0, 0, 9, 1, 1, 1, 100, 1],
    ];
    seeds.extend((2..=15).step_by(3).map(|mode| vec![mode, 0, 7, 1]));
    seeds
}

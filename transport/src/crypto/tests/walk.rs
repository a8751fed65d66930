use curve25519_dalek::{RistrettoPoint, Scalar};
use deut_common::suite::SuiteRef;
use proptest::prelude::*;
use rand::{Rng, rngs::StdRng};

use super::{rng, share_a_run};
use crate::{
    crypto::{
        answer::EndpointAnswer,
        walk::{BadElement, Hop, MasterWalk, WalkOpened},
    },
    drop_reason::DropReason,
    wire::{
        descriptor::Descriptor,
        tests::{descriptor, hex, keys, production, rule},
    },
};

type Onion = ([u8; 384], [u8; 800]);

/// Hops of a walk from E₁ on.
fn hops(first: [u8; 32], count: usize, rng: &mut StdRng) -> Vec<Hop> {
    let mut element = first;
    (0..count)
        .map(|_| {
            let hop = Hop::take(&element, rng).expect("a genuine element");
            element = hop.next_element();
            hop
        })
        .collect()
}

fn own() -> Descriptor {
    descriptor(production().network)
}

fn endpoint_answer(address: &str, families: u8) -> EndpointAnswer {
    EndpointAnswer {
        descriptor: own(),
        spki: Box::new(rule(17, 1)),
        address: address.parse().expect("an address"),
        families,
        expiry: 1_740_000_800,
    }
}

/// The answer as each hop passes it on, the endpoint's first.
fn answers(hops: &[Hop], rng: &mut StdRng) -> Vec<Onion> {
    let mut block = [0; 384];
    rng.fill_bytes(&mut block);
    let endpoint = hops.last().expect("an endpoint");
    let mut sealed = endpoint_answer("198.51.100.7:5003", 1).seal(&keys(), endpoint);
    hops.iter()
        .rev()
        .map(|hop| {
            hop.wrap(&mut block, &mut sealed);
            (block, sealed)
        })
        .collect()
}

fn walk(count: usize, seed: u64) -> (MasterWalk, Vec<Hop>, Vec<Onion>) {
    let mut rng = rng(seed);
    let (master, element) = MasterWalk::start(&mut rng);
    let hops = hops(element, count, &mut rng);
    let answers = answers(&hops, &mut rng);
    (master, hops, answers)
}

fn open((master, _, answers): &(MasterWalk, Vec<Hop>, Vec<Onion>)) -> Option<WalkOpened> {
    let (block, sealed) = answers.last()?;
    master.peel(block, sealed)
}

#[test]
fn master_and_hops_agree_for_one_to_twelve_hops() {
    for count in 1..=12 {
        let walk = walk(count, 1);
        let opened = open(&walk).expect("a genuine answer");
        let endpoint = walk.1.last().expect("an endpoint");
        assert_eq!(opened.layers.len(), count);
        assert_eq!(
            (&opened.element, &opened.reply),
            (endpoint.element(), endpoint.reply())
        );
        assert_eq!(&*opened.shared, endpoint.shared());
        let answer = EndpointAnswer::open_and_verify(&SuiteRef::default(), &opened)
            .expect("signed by the endpoint");
        assert_eq!(answer.descriptor, own());
        assert_eq!(
            (answer.families, answer.expiry, *answer.spki),
            (1, 1_740_000_800, rule(17, 1))
        );
        assert_eq!(
            answer.address,
            "198.51.100.7:5003".parse().expect("an address")
        );
    }
}

#[test]
fn layers_of_master_and_hops_fit_together() {
    for count in 1..=12 {
        let walk = walk(count, 2);
        let opened = open(&walk).expect("a genuine answer");
        let (mut nonce, mut body) = ([3; 16], [4; 1_179]);
        opened
            .layers
            .iter()
            .rev()
            .for_each(|layer| layer.prepare_forward(&mut nonce, &mut body));
        walk.1
            .iter()
            .for_each(|hop| hop.layers().forward(&mut nonce, &mut body));
        assert_eq!(
            (nonce, body),
            ([3; 16], [4; 1_179]),
            "forward, {count} hops"
        );
        walk.1
            .iter()
            .rev()
            .for_each(|hop| hop.layers().back(&mut nonce, &mut body));
        assert_ne!((nonce, body), ([3; 16], [4; 1_179]));
        opened
            .layers
            .iter()
            .for_each(|layer| layer.undo_back(&mut nonce, &mut body));
        assert_eq!((nonce, body), ([3; 16], [4; 1_179]), "back, {count} hops");
    }
}

#[test]
fn endpoint_keys_of_both_sides_fit_together() {
    let walk = walk(3, 3);
    let opened = open(&walk).expect("a genuine answer");
    let theirs = walk.1.last().expect("an endpoint").endpoint_keys();
    for (seals, opens) in [
        (&opened.endpoint.k0.forward, &theirs.k0.forward),
        (&theirs.k0.back, &opened.endpoint.k0.back),
    ] {
        let mut buf = [5; 32];
        seals.seal_in_place([0; 12], &[], &mut buf);
        assert!(
            opens
                .open_in_place([0; 12], &[], &mut buf)
                .is_ok_and(|text| text == [5; 16])
        );
    }
}

#[test]
fn thirteen_hops_are_one_too_many() {
    assert!(open(&walk(13, 4)).is_none());
    assert!(open(&walk(12, 4)).is_some());
}

#[test]
fn nothing_on_one_link_is_seen_on_another() {
    let (_, hops, answers) = walk(12, 5);
    for (i, (block, sealed)) in answers.iter().enumerate() {
        let one = [block.as_slice(), sealed].concat();
        for (later_block, later_sealed) in &answers[i + 1..] {
            assert!(!share_a_run(
                &one,
                &[later_block.as_slice(), later_sealed].concat()
            ));
        }
        assert!(share_a_run(&one, &one));
    }
    let mut elements: Vec<_> = hops.iter().map(Hop::element).collect();
    elements.sort();
    elements.dedup();
    assert_eq!(elements.len(), 12);
}

#[test]
fn a_forged_answer_destroys_nothing() {
    let walk = walk(4, 6);
    let mut rng = rng(60);
    for _ in 0..3 {
        let (mut block, mut sealed) = ([0; 384], [0; 800]);
        rng.fill_bytes(&mut block);
        rng.fill_bytes(&mut sealed);
        assert!(walk.0.peel(&block, &sealed).is_none());
        // with a genuine element in front
        block[..32].copy_from_slice(walk.1[0].reply());
        assert!(walk.0.peel(&block, &sealed).is_none());
    }
    assert!(open(&walk).is_some());
}

#[test]
fn any_altered_byte_of_the_answer_is_noticed() {
    let walk = walk(3, 7);
    let (block, sealed) = walk.2.last().expect("answers");
    for at in 0..96 {
        let mut altered = *block;
        altered[at] ^= 1;
        assert!(
            walk.0.peel(&altered, sealed).is_none(),
            "byte {at} of the three slots in use"
        );
    }
    for at in 0..800 {
        let mut altered = *sealed;
        altered[at] ^= 1;
        assert!(
            walk.0.peel(block, &altered).is_none(),
            "byte {at} of the sealed part"
        );
    }
    assert!(walk.0.peel(block, sealed).is_some());
}

#[test]
fn a_relayer_that_shows_another_y_loses_the_rest_of_the_path() {
    let mut rng = rng(8);
    let (master, element) = MasterWalk::start(&mut rng);
    let hops = hops(element, 3, &mut rng);
    let (block, sealed) = answers(&hops, &mut rng)[1];
    // the first hop wraps once as itself and once as somebody with another y
    let liar = Hop::take(&element, &mut rng).expect("a genuine element");
    for (hop, opens) in [(&hops[0], true), (&liar, false)] {
        let (mut block, mut sealed) = (block, sealed);
        hop.wrap(&mut block, &mut sealed);
        assert_eq!(master.peel(&block, &sealed).is_some(), opens);
    }
}

#[test]
fn a_relayer_cannot_pass_off_another_endpoints_answer_as_its_own() {
    let mut rng = rng(9);
    // it obtains a genuine answer of the endpoint by a walk of its own ...
    let (own_walk, own_element) = MasterWalk::start(&mut rng);
    let endpoint = Hop::take(&own_element, &mut rng).expect("a genuine element");
    let (block, sealed) = answers(std::slice::from_ref(&endpoint), &mut rng)[0];
    let stolen = own_walk.peel(&block, &sealed).expect("a genuine answer");
    assert!(EndpointAnswer::open_and_verify(&SuiteRef::default(), &stolen).is_ok());
    // ... and seals the signed bytes for the victim's walk, with its own keys
    let (victim, element) = MasterWalk::start(&mut rng);
    let relayer = Hop::take(&element, &mut rng).expect("a genuine element");
    let mut sealed = [0; 800];
    sealed[..784].copy_from_slice(&stolen.answer);
    relayer
        .endpoint_keys()
        .seal
        .seal_in_place([0; 12], &[], &mut sealed);
    let mut block = block;
    relayer.wrap(&mut block, &mut sealed);
    let opened = victim
        .peel(&block, &sealed)
        .expect("sealed with the right key");
    assert_eq!(
        EndpointAnswer::open_and_verify(&SuiteRef::default(), &opened),
        Err(DropReason::BadEndpointAnswer)
    );
}

#[test]
fn every_byte_of_the_endpoints_answer_is_signed_or_zero() {
    let mut opened = open(&walk(2, 10)).expect("a genuine answer");
    for at in 0..784 {
        opened.answer[at] ^= 1;
        assert_eq!(
            EndpointAnswer::open_and_verify(&SuiteRef::default(), &opened),
            Err(DropReason::BadEndpointAnswer),
            "byte {at}"
        );
        opened.answer[at] ^= 1;
    }
    opened.element[0] ^= 1;
    assert_eq!(
        EndpointAnswer::open_and_verify(&SuiteRef::default(), &opened),
        Err(DropReason::BadEndpointAnswer)
    );
    opened.element[0] ^= 1;
    opened.reply[0] ^= 1;
    assert_eq!(
        EndpointAnswer::open_and_verify(&SuiteRef::default(), &opened),
        Err(DropReason::BadEndpointAnswer)
    );
    opened.reply[0] ^= 1;
    assert!(EndpointAnswer::open_and_verify(&SuiteRef::default(), &opened).is_ok());
}

#[test]
fn the_answered_address_must_be_one_of_the_descriptor() {
    let mut rng = rng(11);
    for (address, families, fine) in [
        ("198.51.100.7:5127", 3, true),
        ("198.51.100.7:5128", 3, false),
        ("198.51.100.8:5003", 3, false),
        ("198.51.100.7:5003", 4, false),
    ] {
        let (master, element) = MasterWalk::start(&mut rng);
        let hop = Hop::take(&element, &mut rng).expect("a genuine element");
        let mut sealed = endpoint_answer(address, families).seal(&keys(), &hop);
        let mut block = [0; 384];
        hop.wrap(&mut block, &mut sealed);
        let opened = master
            .peel(&block, &sealed)
            .expect("sealed with the right key");
        assert_eq!(
            EndpointAnswer::open_and_verify(&SuiteRef::default(), &opened).is_ok(),
            fine,
            "{address} {families}"
        );
    }
}

#[test]
fn bad_elements_are_refused_by_hops_and_masters() {
    let good = RistrettoPoint::mul_base(&Scalar::from(5_u8))
        .compress()
        .to_bytes();
    assert!(Hop::take(&good, &mut rng(12)).is_ok());
    let walk = walk(2, 12);
    let (block, sealed) = walk.2.last().expect("answers");
    for bad in [
        "0000000000000000000000000000000000000000000000000000000000000000", // the identity
        "00ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff", // above 2^255
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // p
        "0100000000000000000000000000000000000000000000000000000000000000", // negative
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // no point
    ] {
        let bytes: [u8; 32] = hex(bad).try_into().expect("32 bytes");
        assert_eq!(
            Hop::take(&bytes, &mut rng(12)).err(),
            Some(BadElement),
            "{bad}"
        );
        let mut altered = *block;
        altered[..32].copy_from_slice(&bytes);
        assert!(walk.0.peel(&altered, sealed).is_none());
    }
    assert!(open(&walk).is_some());
}

#[test]
fn the_same_scalars_give_the_same_walk() {
    let (_, element) = MasterWalk::from_scalar(rule(1, 1));
    let (_, again) = MasterWalk::from_scalar(rule(1, 1));
    assert_eq!(element, again);
    let hop = |y| {
        *Hop::from_scalar(&element, y)
            .expect("a genuine element")
            .shared()
    };
    assert_eq!(hop(rule(2, 1)), hop(rule(2, 1)));
    assert_ne!(hop(rule(2, 1)), hop(rule(2, 2)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 1_184), element: [u8; 32]) {
        let (master, first) = MasterWalk::from_scalar([7; 32]);
        let mut block: [u8; 384] = bytes[..384].try_into().expect("384 bytes");
        let sealed: [u8; 800] = bytes[384..].try_into().expect("800 bytes");
        prop_assert!(master.peel(&block, &sealed).is_none());
        block[..32].copy_from_slice(&first);
        prop_assert!(master.peel(&block, &sealed).is_none());
        let _ = Hop::take(&element, &mut rng(1)).is_ok();
    }
}

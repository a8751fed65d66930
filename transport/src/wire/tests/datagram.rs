use deut_common::{suite::SuiteRef, time::Unix};
use proptest::prelude::*;
use rand::{SeedableRng, rngs::StdRng};

use super::{descriptor, hex, keys, production, rule};
use crate::{
    ids::NetworkId,
    keys::RelayKeys,
    wire::{
        datagram::{
            Datagram, Kind, Question, SessionHeader, parse_who_are_you, parse_who_are_you_answer,
            put_time, who_are_you, who_are_you_answer,
        },
        descriptor::{Descriptor, put_address},
    },
};

fn rng() -> StdRng {
    StdRng::seed_from_u64(1)
}

#[test]
fn the_first_byte_is_the_kind() {
    let mut known = 0;
    for byte in 0..=255 {
        let mut datagram = [0; 1_232];
        datagram[0] = byte;
        if let Some(kind) = Kind::of(&datagram) {
            assert_eq!(kind.byte(), byte);
            known += 1;
        }
    }
    assert_eq!(known, 5);
    let cookie = {
        let mut datagram = [0; 1_232];
        datagram[0] = 3;
        datagram
    };
    assert_eq!(Kind::of(&cookie), None);
}

#[test]
fn golden_question() {
    let datagram = who_are_you(NetworkId([0xb4, 0xeb, 0xac, 0xe9]), &rule(9, 2), &mut rng());
    // kind, version; network; nonce
    let head = hex("05 01 b4ebace9 020b141d262f38414a535c656e778089");
    assert_eq!(datagram[..22], head);
    assert!(
        datagram[22..].iter().filter(|&&byte| byte == 0).count() < 50,
        "the rest is random"
    );
    assert_eq!(Kind::of(&datagram), Some(Kind::WhoAreYou));
    assert_eq!(
        parse_who_are_you(&datagram),
        Question {
            network: NetworkId([0xb4, 0xeb, 0xac, 0xe9]),
            version: 1,
            nonce: rule(9, 2)
        }
    );
}

#[test]
fn golden_answer() {
    let own = descriptor(production().network);
    let datagram = who_are_you_answer(
        &keys(),
        &own,
        &rule(9, 2),
        "203.0.113.9:40000".parse().expect("an address"),
        &mut rng(),
    );
    // kind, version; network; nonce; asker's ip and port
    let head = hex("06 01 bbebade4 020b141d262f38414a535c656e778089
         00000000000000000000ffffcb007109 9c40");
    assert_eq!(datagram[..40], head);
    assert_eq!(datagram[40..236], own.bytes()[..]);
    // signature, from tests/vectors/walk.json
    let signature = hex(
        "9ed208e980a31d0d0260d83e6ed2547d78f5c679e9acc4ffe866549a8869d0c9
         92e225bb0f1dcb9fed7b278626af56ad9f2370dbe1c13ead23e82ac7c896e803",
    );
    assert_eq!(datagram[236..300], signature);
    assert!(
        datagram[300..].iter().filter(|&&byte| byte == 0).count() < 50,
        "the rest is random"
    );
}

#[test]
fn an_answer_is_verified_by_the_identity_that_signed_it() {
    let own = descriptor(production().network);
    let asker = "[2001:db8::9]:40000".parse().expect("an address");
    let datagram = who_are_you_answer(&keys(), &own, &[7; 16], asker, &mut rng());
    let answer = parse_who_are_you_answer(&datagram);
    assert_eq!(
        (answer.version, answer.network, answer.nonce),
        (1, production().network, [7; 16])
    );
    assert_eq!((answer.observed, &answer.descriptor), (asker, own.bytes()));
    assert!(answer.verify(
        &SuiteRef::default(),
        &Descriptor::decode(&answer.descriptor).expect("the flags agree")
    ));

    let other = RelayKeys::from_seed(&[1; 32]);
    let other = Descriptor::sign(
        &other,
        production().network,
        own.address,
        None,
        own.epoch,
        own.expiry,
    );
    assert!(!answer.verify(&SuiteRef::default(), &other));
    for at in 6..300 {
        let mut altered = datagram;
        altered[at] ^= 1;
        assert!(
            !parse_who_are_you_answer(&altered).verify(&SuiteRef::default(), &own),
            "byte {at}"
        );
    }
    // network and version of the answer are told by the descriptor; the rest is random
    for at in [300, 1_231] {
        let mut altered = datagram;
        altered[at] ^= 1;
        assert!(
            parse_who_are_you_answer(&altered).verify(&SuiteRef::default(), &own),
            "byte {at}"
        );
    }
}

#[test]
fn the_time_in_an_answer_is_its_signers_or_none() {
    let own = descriptor(production().network);
    let mut datagram = who_are_you_answer(&keys(), &own, &[7; 16], own.address, &mut rng());
    let read = |datagram: &Datagram| {
        let answer = parse_who_are_you_answer(datagram);
        (
            answer.verify(&SuiteRef::default(), &own),
            answer.time(&SuiteRef::default(), &own),
        )
    };
    // The answer of a relay that tells no time.
    assert_eq!(read(&datagram), (true, None));
    put_time(&mut datagram, &keys(), Unix(1_800_000_123));
    assert_eq!(read(&datagram), (true, Some(Unix(1_800_000_123))));
    for at in 300..372 {
        let mut altered = datagram;
        altered[at] ^= 1;
        assert_eq!(read(&altered), (true, None), "byte {at}");
    }
    // The time belongs to this question only.
    datagram[6] ^= 1;
    assert_eq!(read(&datagram), (false, None));
}

#[test]
fn the_observed_address_is_signed_in_its_wire_form() {
    let own = descriptor(production().network);
    let datagram = who_are_you_answer(&keys(), &own, &[7; 16], own.address, &mut rng());
    assert_eq!(datagram[22..40], put_address(own.address));
}

#[test]
fn golden_session_header() {
    let mut datagram: Datagram = [0xee; 1_232];
    let header = SessionHeader {
        index: 0x0102_0304,
        counter: 0x0506_0708_090a_0b0c,
    };
    header.write(&mut datagram);
    // kind, zero; index; counter
    assert_eq!(
        datagram[..17],
        hex("04 000000 01020304 05060708090a0b0c ee")
    );
    assert_eq!(SessionHeader::parse(&datagram), Some(header));
    for at in 0..4 {
        let mut altered = datagram;
        altered[at] ^= 1;
        assert_eq!(SessionHeader::parse(&altered), None, "byte {at}");
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 1_232)) {
        let datagram: Datagram = bytes.try_into().expect("that many");
        let _ = (Kind::of(&datagram), parse_who_are_you(&datagram), SessionHeader::parse(&datagram));
        let answer = parse_who_are_you_answer(&datagram);
        prop_assert!(!answer.verify(&SuiteRef::default(), &descriptor(production().network)));
    }
}

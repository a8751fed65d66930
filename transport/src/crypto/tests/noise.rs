use proptest::prelude::*;
use rand::Rng;

use super::rng;
use crate::{
    crypto::noise::{
        InitiationOpened, Initiator, NoiseError, Responder, Session, check_mac1, initiate,
        mac1_key, open_initiation, plaintext, plaintext_mut,
    },
    drop_reason::DropReason,
    ids::NetworkId,
    keys::RelayKeys,
    packet::RELAY_DATAGRAM,
    wire::{
        datagram::{Datagram, Kind, answer_receiver},
        descriptor::Descriptor,
        tests::{descriptor, hex},
    },
};

const NETWORK: NetworkId = NetworkId([1, 2, 3, 4]);
/// Microseconds.
const TIME: u64 = 1_740_000_000_000_001;

fn alice() -> RelayKeys {
    RelayKeys::from_seed(&[1; 32])
}

fn bob() -> RelayKeys {
    RelayKeys::from_seed(&[2; 32])
}

/// A descriptor of Alice's.
fn shown() -> Descriptor {
    Descriptor::sign(
        &alice(),
        NETWORK,
        descriptor(NETWORK).address,
        None,
        29_000_000,
        29_001_440,
    )
}

/// The keys of a relay as its descriptor shows them.
fn to(keys: &RelayKeys) -> Responder {
    Responder {
        network: NETWORK,
        identity: keys.identity(),
        link: keys.link(),
    }
}

fn dial(seed: u64) -> (Initiator, Datagram) {
    initiate(
        &alice(),
        &to(&bob()),
        0xa1a2_a3a4,
        Some(&shown()),
        TIME,
        &mut rng(seed),
    )
    .expect("a good key")
}

fn opened(datagram: &Datagram) -> Result<InitiationOpened, NoiseError> {
    open_initiation(&bob(), NETWORK, datagram, &mut rng(77))
}

/// Alice's and Bob's session.
fn sessions(seed: u64) -> (Session, Session) {
    let (mut initiator, initiation) = dial(seed);
    let (bobs, answer) = opened(&initiation)
        .expect("genuine")
        .answer(0xb1b2_b3b4, &mut rng(seed))
        .expect("genuine");
    let (alices, index) = initiator.open_answer(&answer).expect("genuine");
    (Session::new(alices, index), Session::new(bobs, 0xa1a2_a3a4))
}

fn sealed(session: &mut Session, text: u8) -> Datagram {
    let mut datagram = [0; RELAY_DATAGRAM];
    *plaintext_mut(&mut datagram) = [text; 1_200];
    session.seal(&mut datagram).expect("counters left");
    datagram
}

fn receive(session: &mut Session, datagram: &Datagram) -> Result<u8, DropReason> {
    let mut copy = *datagram;
    session.open(&mut copy)?;
    let [first, ..] = *plaintext(&copy);
    assert_eq!(plaintext(&copy), &[first; 1_200]);
    Ok(first)
}

#[test]
fn a_handshake_gives_both_the_same_keys() {
    let (mut initiator, initiation) = dial(1);
    assert_eq!(initiator.index(), 0xa1a2_a3a4);
    // kind, zero, sender's index
    assert_eq!(initiation[..8], hex("01 000000 a1a2a3a4"));
    assert!(check_mac1(
        &mac1_key(&bob().link()),
        &initiation,
        Kind::HandshakeInit
    ));
    let opened = opened(&initiation).expect("genuine");
    assert_eq!(
        (opened.remote_link, opened.sender_index),
        (alice().link(), 0xa1a2_a3a4)
    );
    assert_eq!(opened.descriptor.as_ref(), Some(shown().bytes()));
    assert_eq!(opened.time, TIME);

    let (bobs, answer) = opened.answer(0xb1b2_b3b4, &mut rng(2)).expect("genuine");
    // kind, zero, sender's index, receiver's index
    assert_eq!(answer[..12], hex("02 000000 b1b2b3b4 a1a2a3a4"));
    assert!(check_mac1(
        &mac1_key(&alice().link()),
        &answer,
        Kind::HandshakeAnswer
    ));
    assert_eq!(answer_receiver(&answer), 0xa1a2_a3a4);
    let (alices, index) = initiator.open_answer(&answer).expect("genuine");
    assert_eq!(index, 0xb1b2_b3b4);

    let (mut alice, mut bob) = (Session::new(alices, index), Session::new(bobs, 0xa1a2_a3a4));
    for text in 0..3 {
        let datagram = sealed(&mut alice, text);
        // kind, zero, receiver's index, counter
        assert_eq!(
            datagram[..16],
            [hex("04 000000 b1b2b3b4 00000000000000"), vec![text]].concat()
        );
        assert_eq!(receive(&mut bob, &datagram), Ok(text));
        let datagram = sealed(&mut bob, text);
        assert_eq!(receive(&mut alice, &datagram), Ok(text));
    }
    assert_eq!((alice.sent(), bob.sent()), (3, 3));
}

#[test]
fn a_client_hands_over_no_descriptor() {
    let (_, initiation) =
        initiate(&alice(), &to(&bob()), 7, None, TIME, &mut rng(3)).expect("a good key");
    let opened = opened(&initiation).expect("genuine");
    assert_eq!((opened.descriptor, opened.time), (None, TIME));
}

#[test]
fn a_descriptor_of_somebody_else_fails_the_handshake() {
    let stolen = descriptor(NETWORK);
    let (_, initiation) =
        initiate(&alice(), &to(&bob()), 7, Some(&stolen), TIME, &mut rng(3)).expect("a good key");
    assert_eq!(opened(&initiation).err(), Some(NoiseError::Refused));
}

#[test]
fn a_descriptor_with_another_relays_link_key_leads_nowhere() {
    // Mallory's descriptor shows Bob's link key: the handshake reaches Bob, who is not Mallory.
    let mallory = Responder {
        identity: RelayKeys::from_seed(&[3; 32]).identity(),
        ..to(&bob())
    };
    let (_, initiation) =
        initiate(&alice(), &mallory, 7, None, TIME, &mut rng(3)).expect("a good key");
    assert!(check_mac1(
        &mac1_key(&bob().link()),
        &initiation,
        Kind::HandshakeInit
    ));
    assert_eq!(opened(&initiation).err(), Some(NoiseError::Refused));
}

#[test]
fn an_altered_initiation_or_another_network_or_key_is_refused() {
    let (_, initiation) = dial(4);
    for at in (8..1_200).step_by(37).chain([8, 39, 40, 87, 88, 1_199]) {
        let mut altered = initiation;
        altered[at] ^= 1;
        assert_eq!(
            opened(&altered).err(),
            Some(NoiseError::Refused),
            "byte {at}"
        );
    }
    for at in 0..4 {
        let mut altered = initiation;
        altered[at] ^= 8;
        assert_eq!(
            opened(&altered).err(),
            Some(NoiseError::Malformed),
            "byte {at}"
        );
    }
    let elsewhere = open_initiation(&bob(), NetworkId([1, 2, 3, 5]), &initiation, &mut rng(1));
    assert_eq!(elsewhere.err(), Some(NoiseError::Refused));
    let somebody = open_initiation(
        &RelayKeys::from_seed(&[3; 32]),
        NETWORK,
        &initiation,
        &mut rng(1),
    );
    assert_eq!(somebody.err(), Some(NoiseError::Refused));
    assert!(opened(&initiation).is_ok());
}

#[test]
fn points_of_small_order_are_refused_everywhere() {
    let small = {
        let mut point = [0; 32];
        point[0] = 1;
        point
    };
    for point in [[0; 32], small] {
        let weak = Responder {
            link: point,
            ..to(&bob())
        };
        assert_eq!(
            initiate(&alice(), &weak, 7, None, TIME, &mut rng(5)).err(),
            Some(NoiseError::Refused)
        );
        let (_, mut initiation) = dial(5);
        initiation[8..40].copy_from_slice(&point);
        assert_eq!(opened(&initiation).err(), Some(NoiseError::Refused));
    }
    assert!(opened(&dial(5).1).is_ok());
}

#[test]
fn mac1_covers_everything_before_it_and_names_the_receiver() {
    let (_, initiation) = dial(6);
    let key = mac1_key(&bob().link());
    assert!(check_mac1(&key, &initiation, Kind::HandshakeInit));
    assert!(!check_mac1(
        &mac1_key(&alice().link()),
        &initiation,
        Kind::HandshakeInit
    ));
    assert!(!check_mac1(&key, &initiation, Kind::Session));
    for at in 0..1_216 {
        let mut altered = initiation;
        altered[at] ^= 1;
        assert!(
            !check_mac1(&key, &altered, Kind::HandshakeInit),
            "byte {at}"
        );
    }
    let mut altered = initiation;
    altered[1_216] ^= 1;
    assert!(
        check_mac1(&key, &altered, Kind::HandshakeInit),
        "MAC2 is not covered"
    );
}

#[test]
fn a_genuine_answer_opens_after_any_number_of_forged_ones() {
    let (mut initiator, initiation) = dial(7);
    let (bobs, genuine) = opened(&initiation)
        .expect("genuine")
        .answer(0xb1b2_b3b4, &mut rng(8))
        .expect("genuine");
    let forge = |change: &dyn Fn(&mut Datagram)| {
        let mut forged = genuine;
        change(&mut forged);
        forged
    };
    let forged: [Datagram; 7] = [
        forge(&|answer| answer[12] ^= 1),        // ephemeral key
        forge(&|answer| answer[12..44].fill(0)), // of small order
        forge(&|answer| answer[44] ^= 1),        // payload
        forge(&|answer| answer[1_199] ^= 1),     // tag
        forge(&|answer| rng(1).fill_bytes(&mut answer[12..])),
        forge(&|answer| answer[8] ^= 1), // another initiator's index
        forge(&|answer| answer[1] = 1),  // reserved byte
    ];
    for _ in 0..2 {
        for answer in &forged {
            assert!(initiator.open_answer(answer).is_err());
        }
    }
    // the answer of a handshake with another initiator who used the same index
    let (_, elsewhere) = dial(9);
    let (_, crossed) = opened(&elsewhere)
        .expect("genuine")
        .answer(1, &mut rng(10))
        .expect("genuine");
    assert_eq!(
        initiator.open_answer(&crossed).err(),
        Some(NoiseError::Refused)
    );

    let (alices, index) = initiator.open_answer(&genuine).expect("genuine");
    let (mut alice, mut bob) = (Session::new(alices, index), Session::new(bobs, 0xa1a2_a3a4));
    let datagram = sealed(&mut alice, 5);
    assert_eq!(receive(&mut bob, &datagram), Ok(5));
}

#[test]
fn replayed_and_altered_session_datagrams_are_refused() {
    let (mut alice, mut bob) = sessions(11);
    let first = sealed(&mut alice, 1);
    for at in (16..RELAY_DATAGRAM)
        .step_by(101)
        .chain([4, 15, 16, 1_215, 1_216, 1_231])
    {
        let mut altered = first;
        altered[at] ^= 1;
        assert_eq!(
            receive(&mut bob, &altered),
            Err(DropReason::LinkForged),
            "byte {at}"
        );
    }
    for at in 1..4 {
        let mut altered = first;
        altered[at] ^= 1;
        assert_eq!(
            receive(&mut bob, &altered),
            Err(DropReason::Malformed),
            "byte {at}"
        );
    }
    // a forged one does not use up the counter
    assert_eq!(receive(&mut bob, &first), Ok(1));
    assert_eq!(receive(&mut bob, &first), Err(DropReason::Replayed));
    let (second, third) = (sealed(&mut alice, 2), sealed(&mut alice, 3));
    assert_eq!(receive(&mut bob, &third), Ok(3));
    assert_eq!(receive(&mut bob, &second), Ok(2));
    assert_eq!(receive(&mut bob, &second), Err(DropReason::Replayed));
}

#[test]
fn a_datagram_older_than_the_window_is_refused() {
    let (mut alice, mut bob) = sessions(12);
    let old: Vec<_> = (0..2).map(|text| sealed(&mut alice, text)).collect();
    for _ in 2..1_024 {
        let _ = sealed(&mut alice, 9);
    }
    let newest = sealed(&mut alice, 9);
    assert_eq!(receive(&mut bob, &newest), Ok(9));
    assert_eq!(receive(&mut bob, &old[0]), Err(DropReason::Replayed));
    assert_eq!(receive(&mut bob, &old[1]), Ok(1));
}

#[test]
fn own_datagrams_and_those_of_other_sessions_do_not_open() {
    let (mut alice, mut bob) = sessions(13);
    let (mut others, _) = sessions(14);
    let datagram = sealed(&mut alice, 1);
    assert_eq!(receive(&mut alice, &datagram), Err(DropReason::LinkForged));
    assert_eq!(
        receive(&mut bob, &sealed(&mut others, 1)),
        Err(DropReason::LinkForged)
    );
    assert_eq!(receive(&mut bob, &datagram), Ok(1));
}

#[test]
fn no_two_datagrams_share_bytes_even_with_the_same_content() {
    let (mut alice, _) = sessions(15);
    let (one, two) = (sealed(&mut alice, 1), sealed(&mut alice, 1));
    assert!(!super::share_a_run(&one[16..], &two[16..]));
    assert!(!super::share_a_run(&dial(1).1[8..], &dial(2).1[8..]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), RELAY_DATAGRAM)) {
        let mut datagram: Datagram = bytes.try_into().expect("that many");
        let (mut initiator, _) = dial(16);
        let (mut alice, _) = sessions(16);
        for kind in [1, 2, 4] {
            datagram[..4].copy_from_slice(&[kind, 0, 0, 0]);
            datagram[8..12].copy_from_slice(&0xa1a2_a3a4_u32.to_be_bytes());
            prop_assert!(!check_mac1(&mac1_key(&bob().link()), &datagram, Kind::HandshakeInit));
            prop_assert!(opened(&datagram).is_err());
            prop_assert!(initiator.open_answer(&datagram).is_err());
            prop_assert!(alice.open(&mut datagram.clone()).is_err());
            datagram[8..16].copy_from_slice(&5_u64.to_be_bytes());
            prop_assert!(alice.open(&mut datagram.clone()).is_err());
        }
    }
}

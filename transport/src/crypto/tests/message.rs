use deut_common::{ids::PersonaKey, suite::SuiteRef};
use proptest::prelude::*;

use super::{rng, share_a_run};
use crate::{
    crypto::{
        Forged,
        message::{
            OpenedRequest, SealError, SealedRequest, gate, open_request, response_message_id,
            seal_request,
        },
    },
    drop_reason::DropReason,
    ids::{Gate, Service},
    keys::OpeningKey,
    wire::{message::RequestHeader, tests::rule},
};

fn persona() -> OpeningKey {
    OpeningKey::from_seed(&[5; 32])
}

fn header() -> RequestHeader {
    RequestHeader {
        request_id: rule(1, 1),
        reply: "198.51.100.7:5003".parse().expect("an address"),
        reply_gate: Gate([3; 8]),
        service: Service::KADEMLIA,
    }
}

fn request(body: &[u8], seed: u64) -> SealedRequest {
    seal_request(
        &SuiteRef::default(),
        &persona().public(),
        Gate([9; 8]),
        &header(),
        body,
        &mut rng(seed),
    )
    .expect("a good key")
}

fn open(request: &SealedRequest) -> OpenedRequest {
    open_request(&SuiteRef::default(), &persona(), &request.datagram).expect("genuine")
}

#[test]
fn request_and_response_come_through() {
    for length in [0, 1, 1_016] {
        let request = request(&vec![7; length], 1);
        assert_eq!(request.datagram[..8], [9; 8]);
        let opened = open(&request);
        assert_eq!((opened.header, opened.body), (header(), vec![7; length]));
        for length in [0, 1, 1_046] {
            let response = opened
                .responder
                .seal(Gate([3; 8]), &vec![8; length], &mut rng(2))
                .expect("fits");
            assert_eq!(response[..8], [3; 8]);
            assert_eq!(response_message_id(&response), request.pending.message_id);
            assert_eq!(request.pending.open(&response), Ok(vec![8; length]));
        }
    }
}

#[test]
fn what_does_not_fit_or_cannot_be_sealed_is_told() {
    let to = persona().public();
    let long = seal_request(
        &SuiteRef::default(),
        &to,
        Gate([9; 8]),
        &header(),
        &[0; 1_017],
        &mut rng(1),
    );
    assert_eq!(long.err(), Some(SealError::TooLong));
    let weak = {
        let mut key = [0; 32];
        key[0] = 1;
        PersonaKey(key)
    };
    assert_eq!(
        seal_request(
            &SuiteRef::default(),
            &weak,
            Gate([9; 8]),
            &header(),
            &[],
            &mut rng(1)
        )
        .err(),
        Some(SealError::BadKey)
    );
    let opened = open(&request(&[], 1));
    assert_eq!(
        opened
            .responder
            .seal(Gate([3; 8]), &[0; 1_047], &mut rng(1))
            .err(),
        Some(SealError::TooLong)
    );
}

#[test]
fn an_altered_request_or_another_persona_is_refused() {
    let request = request(&[7; 100], 3);
    for at in (0..1_120).step_by(53).chain([0, 7, 8, 38, 40, 1_119]) {
        let mut altered = request.datagram.clone();
        altered[at] ^= 1;
        assert_eq!(
            open_request(&SuiteRef::default(), &persona(), &altered).err(),
            Some(DropReason::BadRequest),
            "byte {at}"
        );
    }
    let mut low_order = request.datagram.clone();
    low_order[8..40].fill(0);
    assert_eq!(
        open_request(&SuiteRef::default(), &persona(), &low_order).err(),
        Some(DropReason::BadRequest)
    );
    let other = OpeningKey::from_seed(&[6; 32]);
    assert_eq!(
        open_request(&SuiteRef::default(), &other, &request.datagram).err(),
        Some(DropReason::BadRequest)
    );
    assert!(open_request(&SuiteRef::default(), &persona(), &request.datagram).is_ok());
}

#[test]
fn a_forged_altered_or_foreign_response_is_refused_and_harmless() {
    let (one, other) = (request(&[7; 100], 4), request(&[7; 100], 5));
    let response = open(&one)
        .responder
        .seal(Gate([3; 8]), b"answer", &mut rng(6))
        .expect("fits");
    for at in (8..1_120).step_by(53).chain([8, 23, 24, 55, 56, 1_119]) {
        let mut altered = response.clone();
        altered[at] ^= 1;
        assert_eq!(one.pending.open(&altered), Err(Forged), "byte {at}");
    }
    assert_eq!(other.pending.open(&response), Err(Forged));
    // somebody who saw the request's ID cannot answer in its name
    let mut foreign = open(&other)
        .responder
        .seal(Gate([3; 8]), b"answer", &mut rng(6))
        .expect("fits");
    foreign[8..24].copy_from_slice(&one.pending.message_id);
    assert_eq!(one.pending.open(&foreign), Err(Forged));
    assert_eq!(one.pending.open(&response), Ok(b"answer".to_vec()));
    // the gate is not covered: another copy's reply address may carry the same answer
    let mut moved = response;
    moved[0] ^= 1;
    assert_eq!(one.pending.open(&moved), Ok(b"answer".to_vec()));
}

#[test]
fn copies_of_a_request_share_nothing_that_can_be_seen() {
    let (one, copy) = (request(&[7; 1_016], 7), request(&[7; 1_016], 8));
    assert!(!share_a_run(&one.datagram[8..], &copy.datagram[8..]));
    assert_ne!(one.pending.message_id, copy.pending.message_id);
    assert_eq!(open(&one).header, open(&copy).header);
    let response = open(&one)
        .responder
        .seal(Gate([3; 8]), &[7; 1_016], &mut rng(9))
        .expect("fits");
    assert!(!share_a_run(&one.datagram[..], &response[..]));
    let again = open(&one)
        .responder
        .seal(Gate([3; 8]), &[7; 1_016], &mut rng(10))
        .expect("fits");
    assert!(!share_a_run(&response[24..], &again[24..]));
}

#[test]
fn gates_differ_by_key_and_address() {
    let (a, b) = (
        "198.51.100.7:5003".parse().expect("an address"),
        "198.51.100.7:5004".parse().expect("an address"),
    );
    assert_eq!(gate(&[1; 32], a), gate(&[1; 32], a));
    assert_ne!(gate(&[1; 32], a), gate(&[1; 32], b));
    assert_ne!(gate(&[1; 32], a), gate(&[2; 32], a));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 1_120)) {
        let mut datagram: [u8; 1_120] = bytes.try_into().expect("that many");
        prop_assert!(open_request(&SuiteRef::default(), &persona(), &datagram).is_err());
        let pending = request(&[], 11).pending;
        datagram[8..24].copy_from_slice(&pending.message_id);
        prop_assert_eq!(pending.open(&datagram), Err(Forged));
    }
}

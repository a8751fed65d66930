//! Whole datagrams from `tests/vectors/messages.json`, made by `messages.py` from `docs/protocol.md` alone.

use deut_common::suite::SuiteRef;
use serde_json::Value;

use super::rng;
use crate::{
    crypto::{
        aead::AeadKey,
        message::{gate, open_request, response_key_bytes, response_message_id},
        noise::{check_mac1, mac1_key, open_initiation},
    },
    ids::NetworkId,
    keys::{OpeningKey, RelayKeys},
    wire::{
        datagram::{Datagram, Kind},
        message::decode_response,
        tests::{hex, rule},
    },
};

const FILE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../tests/vectors/messages.json"
);

fn vectors() -> Value {
    let text = std::fs::read_to_string(FILE).expect("the vectors belong to the repository");
    serde_json::from_str(&text).expect("JSON")
}

fn bytes(value: &Value) -> Vec<u8> {
    hex(value.as_str().expect("a string"))
}

fn array<const N: usize>(value: &Value) -> [u8; N] {
    bytes(value).try_into().expect("that many bytes")
}

#[test]
fn a_request_that_somebody_else_sealed_opens_and_its_answer_is_sealed_with_what_they_export() {
    let v = &vectors()["request"];
    let persona = OpeningKey::from_seed(&array(&v["persona_seed"]));
    let datagram: [u8; 1_120] = array(&v["datagram"]);
    let to = v["to"].as_str().expect("text").parse().expect("an address");
    assert_eq!(persona.public().0, array(&v["persona"]));
    assert_eq!(datagram[..8], gate(&persona.public().0, to).0);

    let opened = open_request(&SuiteRef::default(), &persona, &datagram).expect("genuine");
    assert_eq!(opened.body, bytes(&v["body"]));
    let header = hex(
        // request id
        "11 64 b7 0a 5d b0 03 56 a9 fc 4f a2 f5 48 9b ee
         00000000 00000000 0000ffff c6336407 138b
         12 6b c4 1d 76 cf 28 81
         0001 0000 0064",
    );
    assert_eq!(header, bytes(&v["header"]));
    let plaintext = opened.header.encode(&opened.body).expect("it fits");
    assert_eq!(plaintext[..48], header);
    assert_eq!(opened.header.request_id, rule(83, 17));

    let answer = opened
        .responder
        .seal(opened.header.reply_gate, b"answer", &mut rng(1))
        .expect("it fits");
    let message_id: [u8; 16] = array(&v["message_id"]);
    assert_eq!(response_message_id(&answer), message_id);
    let (enc, nonce) = (&datagram[8..40], &answer[24..56]);
    let (key, aead_nonce) = response_key_bytes(
        &array(&v["secret"]),
        enc.try_into().expect("32 bytes"),
        nonce.try_into().expect("32 bytes"),
    );
    let mut plaintext = [0; 1_048];
    AeadKey::new(*key)
        .open_into(aead_nonce, &message_id, &answer[56..], &mut plaintext)
        .expect("sealed with what the context exports");
    assert_eq!(decode_response(&plaintext), Ok(&b"answer"[..]));
}

#[test]
fn an_initiation_that_somebody_else_made_opens_with_every_byte_of_its_payload() {
    let all = vectors();
    for (name, shows) in [("initiation", true), ("initiation_of_a_client", false)] {
        let v = &all[name];
        let responder = RelayKeys::from_seed(&array(&v["responder_seed"]));
        let initiator = RelayKeys::from_seed(&array(&v["initiator_seed"]));
        let datagram: Datagram = array(&v["datagram"]);
        // kind, zero, sender's index
        assert_eq!(datagram[..8], hex("01 000000 a1a2a3a4"));
        let key = mac1_key(&responder.link());
        assert!(check_mac1(&key, &datagram, Kind::HandshakeInit));

        let network = NetworkId(array(&v["network"]));
        let opened = open_initiation(&responder, network, &datagram, &mut rng(1));
        let opened = opened.expect("genuine");
        assert_eq!(
            (opened.remote_link, opened.sender_index),
            (initiator.link(), 0xa1a2_a3a4)
        );
        let time = v["time"].as_u64().expect("a number");
        // has_descriptor, descriptor or zero, time
        let payload = match &opened.descriptor {
            Some(descriptor) => [&[1][..], descriptor, &time.to_be_bytes()].concat(),
            None => [&[0; 197][..], &time.to_be_bytes()].concat(),
        };
        assert_eq!(payload, bytes(&v["payload"]));
        assert_eq!((opened.descriptor.is_some(), opened.time), (shows, time));
    }
}

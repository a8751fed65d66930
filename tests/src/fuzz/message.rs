//! Messages: headers and bodies are read and written again byte for byte; a sealed request or response with any covered
//! byte changed opens for nobody.

use deut_common::{ids::PersonaKey, suite::SuiteRef};
use deut_transport::{
    crypto::message::{Message, open_request, response_message_id, seal_request},
    ids::{Gate, Service},
    keys::OpeningKey,
    wire::{
        descriptor::take_address,
        message::{
            MAX_ANSWER_BODY, MAX_REQUEST_BODY, REQUEST_PLAINTEXT, RESPONSE_PLAINTEXT,
            RequestHeader, decode_response, encode_response,
        },
    },
};
use rand::{SeedableRng, rngs::StdRng};

use super::{
    Depth,
    frame::trimmed,
    input::{Input, sized},
};

const SEED: [u8; 32] = [0x55; 32];

/// First byte: 0 request plaintext, 1 response plaintext, 2 a message as it came, else a real one that is changed.
#[must_use]
pub fn body(data: &[u8]) -> Depth {
    let mut input = Input::new(data);
    match input.u8() % 4 {
        0 => request(&sized(input.rest())),
        1 => response(&sized(input.rest())),
        2 => {
            let message: Message = sized(input.rest());
            assert!(
                open_request(
                    &SuiteRef::default(),
                    &OpeningKey::from_seed(&SEED),
                    &message
                )
                .is_err()
            );
            Depth::Refused
        }
        _ => sealed(&mut input),
    }
}

fn request(plaintext: &[u8; REQUEST_PLAINTEXT]) -> Depth {
    let Ok((header, body)) = RequestHeader::decode(plaintext) else {
        return Depth::Refused;
    };
    assert!(body.len() <= MAX_REQUEST_BODY);
    assert_eq!(header.encode(body).as_ref(), Ok(plaintext));
    Depth::Deep
}

fn response(plaintext: &[u8; RESPONSE_PLAINTEXT]) -> Depth {
    let Ok(body) = decode_response(plaintext) else {
        return Depth::Refused;
    };
    assert!(body.len() <= MAX_ANSWER_BODY);
    assert_eq!(encode_response(body).as_ref(), Ok(plaintext));
    Depth::Deep
}

fn sealed(input: &mut Input<'_>) -> Depth {
    let persona = OpeningKey::from_seed(&SEED);
    let key = PersonaKey(deut_kademlia::PersonaSecret::from_seed(&SEED).public());
    let mut rng = StdRng::seed_from_u64(3);
    let header = RequestHeader {
        request_id: input.array(),
        reply: take_address(&input.array()),
        reply_gate: Gate(input.array()),
        service: Service(input.u16()),
    };
    let length = usize::from(input.u16());
    let mut body = vec![input.u8(); length];
    let request = seal_request(
        &SuiteRef::default(),
        &key,
        Gate([1; 8]),
        &header,
        &body,
        &mut rng,
    );
    assert_eq!(request.is_ok(), length <= MAX_REQUEST_BODY);
    let Ok(request) = request else {
        return Depth::Refused;
    };
    let mut altered = *request.datagram;
    if input.mutate(&mut altered) {
        assert!(
            open_request(&SuiteRef::default(), &persona, &altered).is_err(),
            "every byte is covered"
        );
    }
    let opened =
        open_request(&SuiteRef::default(), &persona, &request.datagram).expect("sealed to it");
    assert!(opened.header == header && opened.body == body);
    let answer_length = usize::from(input.u16());
    body.resize(answer_length, 9);
    let answer = opened.responder.seal(Gate([2; 8]), &body, &mut rng);
    assert_eq!(answer.is_ok(), answer_length <= MAX_ANSWER_BODY);
    let Ok(answer) = answer else {
        return Depth::Refused;
    };
    let mut altered = *answer;
    if input.mutate(&mut altered) {
        // The gate is the port's affair: it was looked at before.
        let covered = altered[8..] != answer[8..];
        assert_eq!(request.pending.open(&altered).is_err(), covered);
    }
    assert_eq!(response_message_id(&answer), request.pending.message_id);
    assert_eq!(request.pending.open(&answer), Ok(body));
    Depth::Deep
}

/// Plaintexts with short, long and no bodies; sealed ones, untouched and changed; one at each limit.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let header = RequestHeader {
        request_id: [1; 16],
        reply: ([10, 0, 0, 1], 4_001).into(),
        reply_gate: Gate([2; 8]),
        service: Service::KADEMLIA,
    };
    let plain = |body: &[u8]| {
        let plaintext = header.encode(body).expect("it fits");
        [&[0], trimmed(&plaintext).as_slice()].concat()
    };
    let answers = |body: &[u8]| {
        let plaintext = encode_response(body).expect("it fits");
        [&[1], trimmed(&plaintext).as_slice()].concat()
    };
    let sealed = |length: u16, changes: &[u8]| {
        let head = [&[3], &[7; 44][..], &length.to_be_bytes(), &[5]].concat();
        [head.as_slice(), changes].concat()
    };
    let mut noise = vec![2];
    noise.resize(1_121, 0x77);
    vec![
        plain(b"ping"),
        plain(&[9; MAX_REQUEST_BODY]),
        answers(b""),
        answers(&[9; MAX_ANSWER_BODY]),
        noise,
        sealed(20, &[0, 0, 30, 0]),
        sealed(1_016, &[1, 0, 9, 1, 0x04, 0x16, 1, 0, 3, 2]),
        sealed(1_017, &[]),
        sealed(5, &[0, 4, 0x17, 0]),
    ]
}

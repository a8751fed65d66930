//! Messages with the simulator's stand-in for curves: cheap, and as particular as real ones.

use deut_common::{ids::PersonaKey, suite::SuiteRef};
use deut_tests::curves;
use deut_transport::{
    crypto::message::{open_request, seal_request},
    ids::{Gate, Service},
    keys::OpeningKey,
    wire::message::RequestHeader,
};
use rand::{SeedableRng, rngs::StdRng};

#[test]
fn a_message_to_one_persona_does_not_open_for_another() {
    let suite = &curves::remembered();
    let (one, other) = (
        OpeningKey::from_seed(&[1; 32]),
        OpeningKey::from_seed(&[2; 32]),
    );
    let header = RequestHeader {
        request_id: [7; 16],
        reply: "198.51.100.7:5003".parse().expect("an address"),
        reply_gate: Gate([3; 8]),
        service: Service::KADEMLIA,
    };
    let mut rng = StdRng::seed_from_u64(5);
    let mut seal = |to: PersonaKey| {
        let sealed = seal_request(suite, &to, Gate([9; 8]), &header, b"body", &mut rng);
        sealed.expect("it fits")
    };
    let (sealed, copy) = (seal(one.public()), seal(one.public()));
    let opened = open_request(suite, &one, &sealed.datagram).expect("sealed to it");
    assert_eq!((&opened.header, &opened.body[..]), (&header, &b"body"[..]));
    assert!(open_request(suite, &other, &sealed.datagram).is_err());
    for at in [0, 8, 39, 40, 600, 1_119] {
        let mut altered = sealed.datagram.clone();
        altered[at] ^= 1;
        assert!(open_request(suite, &one, &altered).is_err(), "byte {at}");
    }
    let answer = opened.responder.seal(Gate([3; 8]), b"answer", &mut rng);
    let answer = answer.expect("it fits");
    assert_eq!(sealed.pending.open(&answer).as_deref(), Ok(&b"answer"[..]));
    assert!(copy.pending.open(&answer).is_err());
    // Control: it is the stand-in that was at work. The real one refuses this key.
    let mut weak = [0; 32];
    weak[0] = 1;
    let mut seal = |suite| {
        seal_request(
            suite,
            &PersonaKey(weak),
            Gate([9; 8]),
            &header,
            b"",
            &mut rng,
        )
    };
    assert!(seal(suite).is_ok());
    assert!(seal(&SuiteRef::default()).is_err());
}

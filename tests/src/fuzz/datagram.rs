//! The parts of a relay-port datagram that need no session: whatever is read is written again byte for byte.

use deut_common::suite::SuiteRef;
use deut_transport::{
    packet::{Packet, RELAY_DATAGRAM},
    wire::datagram::{
        self, Datagram, Kind, SessionHeader, VERSION, parse_who_are_you, parse_who_are_you_answer,
    },
    wire::descriptor::{Descriptor, put_address},
};
use rand::{SeedableRng, rngs::StdRng};

use super::{Depth, input::sized, transport};
use crate::kit::relay::sample;

/// Any bytes, as they came and cut or filled to the length of a datagram.
#[must_use]
pub fn body(data: &[u8]) -> Depth {
    let mut packet = Packet::copy_of(data);
    assert_eq!(packet.bytes(), &data[..data.len().min(Packet::CAPACITY)]);
    assert_eq!(
        packet.as_relay_mut().is_some(),
        data.len() == RELAY_DATAGRAM
    );
    let datagram: Datagram = sized(data);
    let Some(kind) = Kind::of(&datagram) else {
        return Depth::Refused;
    };
    assert_eq!(kind.byte(), datagram[0]);
    match kind {
        Kind::Session => session(&datagram),
        Kind::WhoAreYou => question(&datagram),
        Kind::WhoAreYouAnswer => answer(&datagram),
        Kind::HandshakeInit | Kind::HandshakeAnswer => {
            let index = datagram::answer_receiver(&datagram).to_be_bytes();
            assert_eq!(index, datagram[8..12]);
            Depth::Refused
        }
    }
}

fn session(datagram: &Datagram) -> Depth {
    let Some(header) = SessionHeader::parse(datagram) else {
        assert_ne!(datagram[1..4], [0; 3]);
        return Depth::Refused;
    };
    let mut again = [0xff; RELAY_DATAGRAM];
    header.write(&mut again);
    assert_eq!(again[..SessionHeader::LEN], datagram[..SessionHeader::LEN]);
    Depth::Deep
}

fn question(datagram: &Datagram) -> Depth {
    let asked = parse_who_are_you(datagram);
    let mut rng = StdRng::seed_from_u64(1);
    let again = datagram::who_are_you(asked.network, &asked.nonce, &mut rng);
    assert_eq!(again[2..22], datagram[2..22]);
    assert_eq!(
        asked.version == VERSION,
        again[..22] == datagram[..22],
        "the version is a byte of its own"
    );
    Depth::Deep
}

fn answer(datagram: &Datagram) -> Depth {
    let answer = parse_who_are_you_answer(datagram);
    let mut again = vec![Kind::WhoAreYouAnswer.byte(), answer.version];
    again.extend(answer.network.0);
    again.extend(answer.nonce);
    again.extend(put_address(answer.observed));
    again.extend(answer.descriptor);
    assert_eq!(again, datagram[..40 + Descriptor::LEN]);
    let Ok(descriptor) = Descriptor::decode(&answer.descriptor) else {
        return Depth::Refused;
    };
    if answer.verify(&SuiteRef::default(), &descriptor) {
        let mut altered = *datagram;
        altered[6] ^= 1;
        assert!(
            !parse_who_are_you_answer(&altered).verify(&SuiteRef::default(), &descriptor),
            "the nonce is signed"
        );
    }
    Depth::Deep
}

/// One real datagram of each kind, and one that is too short and too long.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = Vec::new();
    for datagram in transport::real_datagrams() {
        let kind = |bytes: &Vec<u8>| bytes.first().copied();
        if !seeds
            .iter()
            .any(|known| kind(known) == datagram.first().copied())
        {
            seeds.push(datagram);
        }
    }
    let (keys, own) = sample(3);
    let mut rng = StdRng::seed_from_u64(2);
    let asker = "[2001:db8::7]:4000".parse().expect("an address");
    seeds.push(datagram::who_are_you_answer(&keys, &own, &[9; 16], asker, &mut rng).to_vec());
    seeds.push(vec![4; 64]);
    seeds.push(vec![4; 1_281]);
    seeds
}

//! The link handshake: an initiation and an answer with some bytes changed never give a session, untouched ones always
//! do, and what is no handshake at all is refused.

use deut_transport::{
    crypto::noise::{self, Initiator, Session, initiate, open_initiation},
    keys::RelayKeys,
    packet::RELAY_DATAGRAM,
    wire::{
        datagram::{Datagram, Kind},
        frame::FrameBytes,
    },
};
use rand::{SeedableRng, rngs::StdRng};

use super::{
    Depth,
    input::{Input, sized},
};
use crate::{
    kit::{
        peer::sealed,
        relay::{responder, sample},
    },
    net::Net,
};

/// Behind MAC1 lie 16 bytes for a cookie, which nothing covers yet.
const COVERED: usize = RELAY_DATAGRAM - 16;

/// First byte: what to attack. Then how.
#[must_use]
pub fn body(data: &[u8]) -> Depth {
    let mut input = Input::new(data);
    let mode = input.u8();
    let (ours, theirs) = (
        RelayKeys::from_seed(&[1; 32]),
        RelayKeys::from_seed(&[2; 32]),
    );
    let mut rng = StdRng::seed_from_u64(u64::from(mode));
    let network = Net::policy().network;
    if mode & 1 == 0 {
        return raw(&ours, input.rest(), &mut rng);
    }
    let to = responder(ours.identity(), ours.link());
    let (_, shown) = sample(2);
    let shown = (mode & 2 == 2).then_some(&shown);
    let time = u64::from(input.u32());
    let (initiator, genuine) =
        initiate(&theirs, &to, input.u32(), shown, time, &mut rng).expect("good keys");
    let mut datagram = genuine;
    input.mutate(&mut datagram);
    let whole = datagram[..COVERED] == genuine[..COVERED];
    let key = noise::mac1_key(&ours.link());
    assert_eq!(
        noise::check_mac1(&key, &datagram, Kind::HandshakeInit),
        whole
    );
    // The MAC is left out on purpose: what is behind it must hold by itself.
    let opened = open_initiation(&ours, network, &datagram, &mut rng);
    let Ok(opened) = opened else {
        assert!(!whole, "a genuine initiation opens");
        return Depth::Refused;
    };
    assert_eq!(opened.remote_link, theirs.link());
    assert_eq!(opened.time, time);
    assert_eq!(opened.descriptor.as_ref(), shown.map(|shown| shown.bytes()));
    assert_eq!(
        datagram[8..RELAY_DATAGRAM - 32],
        genuine[8..RELAY_DATAGRAM - 32],
        "every byte of the Noise message is covered"
    );
    let their_name = opened.sender_index;
    let (keys, answer) = opened
        .answer(7, &mut rng)
        .expect("the ephemeral key is good");
    finish(
        initiator,
        Session::new(keys, their_name),
        &answer,
        &mut input,
    )
}

fn finish(
    mut initiator: Initiator,
    mut responder: Session,
    genuine: &Datagram,
    input: &mut Input<'_>,
) -> Depth {
    let mut altered = *genuine;
    if input.mutate(&mut altered[..RELAY_DATAGRAM - 32]) {
        // Only the responder's own name of the session lies in the open. Our name was in the open in the initiation: an
        // answer to one whose name was changed is none to ours.
        let same_but_name = altered[..4] == genuine[..4]
            && altered[8..] == genuine[8..]
            && answers(genuine, &initiator);
        let opened = initiator.open_answer(&altered);
        assert_eq!(opened.is_ok(), same_but_name);
        if opened.is_ok() {
            return Depth::Deep;
        }
    }
    let is_ours = answers(genuine, &initiator);
    let opened = initiator.open_answer(genuine);
    if !is_ours {
        assert!(opened.is_err());
        return Depth::Refused;
    }
    // After a forged answer the genuine one still opens.
    let (keys, their_name) = opened.expect("a genuine answer");
    let mut initiator = Session::new(keys, their_name);
    let frame: FrameBytes = sized(input.rest());
    for (from, to) in [(0, 1), (1, 0)] {
        let sessions = [&mut initiator, &mut responder];
        let [a, b] = sessions;
        let (sender, receiver) = if from < to { (a, b) } else { (b, a) };
        let mut bytes = sealed(sender, &frame).expect("a new session");
        let again = bytes;
        receiver.open(&mut bytes).expect("sealed by the other side");
        assert_eq!(noise::plaintext(&bytes), &frame);
        assert!(receiver.open(&mut again.clone()).is_err(), "once only");
    }
    Depth::Deep
}

/// Whether an answer names the session as the initiator does.
fn answers(answer: &Datagram, initiator: &Initiator) -> bool {
    u32::from_be_bytes(sized(&answer[8..12])) == initiator.index()
}

fn raw(ours: &RelayKeys, data: &[u8], rng: &mut StdRng) -> Depth {
    let datagram: Datagram = sized(data);
    let key = noise::mac1_key(&ours.link());
    for kind in [Kind::HandshakeInit, Kind::HandshakeAnswer, Kind::Session] {
        assert!(!noise::check_mac1(&key, &datagram, kind), "a forged MAC");
    }
    assert!(open_initiation(ours, Net::policy().network, &datagram, rng).is_err());
    Depth::Refused
}

/// Untouched, with a descriptor and without; altered at both steps; raw.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let mut altered = vec![3, 0, 0, 0, 9, 0, 0, 0, 7, 1, 0, 50, 1];
    altered.resize(64, 0);
    let mut answer = vec![1, 0, 0, 0, 9, 0, 0, 0, 7, 0, 1, 0, 60, 1];
    answer.resize(300, 5);
    let mut raw = vec![0, 1, 0, 0, 0];
    raw.resize(1_233, 7);
    vec![
        vec![1, 0, 0, 0, 1, 0, 0, 0, 2],
        vec![3, 0, 0, 0, 1],
        altered,
        answer,
        raw,
    ]
}

//! What the persona answers (protocol §8): each copy of a request through another of its tunnels, and those that carried
//! answers which did not arrive are tested. A real transport among relays that the tests play.

use std::collections::{BTreeMap, BTreeSet};

use deut_common::{ids::RelayId, suite::SuiteRef};
use deut_tests::kit::{laboratory::Laboratory, peer::Peer};
use deut_transport::{
    crypto::message::{gate, seal_request},
    ids::{Gate, Service},
    io::{Command, Event},
    keys::OpeningKey,
    wire::message::RequestHeader,
};
use rand::{SeedableRng, rngs::StdRng};

const SECOND: u64 = 1_000_000;
const SERVICE: Service = Service(300);

/// A tunnel as the relay where it ends names it.
type Tunnel = (RelayId, u32);

struct Rig {
    laboratory: Laboratory,
    persona: OpeningKey,
    rng: StdRng,
    asked: u8,
    copies: u8,
}

impl Rig {
    fn new(seed: u64, tunnels: usize) -> Self {
        let peers = (1..=9).map(Peer::honest).collect();
        let mut laboratory = Laboratory::with(0, peers, (1, tunnels));
        laboratory.introduce(0..9);
        let persona = OpeningKey::from_seed(&[8; 32]);
        let on = Command::Persona(Some(OpeningKey::from_seed(&[8; 32])));
        laboratory.command(on);
        laboratory.run(20 * SECOND);
        assert_eq!(laboratory.tunnels_up(), 1 + tunnels);
        Self {
            laboratory,
            persona,
            rng: StdRng::seed_from_u64(seed),
            asked: 0,
            copies: 0,
        }
    }

    /// Sends a copy of the newest request through the first of the persona's tunnels, and lets the persona answer.
    fn copy(&mut self) {
        self.copies += 1;
        let key = self.persona.public();
        let reply = "10.9.7.7:5007".parse().expect("an address");
        let header = RequestHeader {
            request_id: [self.asked; 16],
            reply,
            reply_gate: Gate([self.copies; 8]),
            service: SERVICE,
        };
        let mut at = self.addresses().into_iter();
        let delivered = at.any(|address| {
            let gate = gate(&key.0, address);
            let sealed = seal_request(
                &SuiteRef::default(),
                &key,
                gate,
                &header,
                &[self.asked],
                &mut self.rng,
            );
            self.laboratory.deliver(&sealed.expect("short").datagram)
        });
        assert!(delivered, "one of its gates is open");
        let told = self.laboratory.events().count();
        self.laboratory.run(0);
        let requests: Vec<_> = self
            .laboratory
            .events()
            .skip(told)
            .filter_map(|event| match event {
                Event::Request { reply, .. } => Some(*reply),
                _ => None,
            })
            .collect();
        for to in requests {
            let body = vec![self.asked];
            self.laboratory.command(Command::Reply { to, body });
        }
        self.laboratory.run(0);
    }

    fn addresses(&self) -> Vec<std::net::SocketAddr> {
        let peers = self.laboratory.peers.iter();
        peers
            .map(|peer| (peer.address.ip(), 5_001).into())
            .collect()
    }

    /// A new request.
    fn ask(&mut self) {
        self.asked += 1;
        self.laboratory.take_sent();
        self.copy();
    }

    /// The tunnels that carried answers since the request, in order.
    fn carried(&mut self) -> Vec<Tunnel> {
        let sent = self.laboratory.take_sent();
        sent.iter().map(|sent| sent.through).collect()
    }

    /// How often each tunnel was tested.
    fn echoed(&self) -> BTreeMap<Tunnel, usize> {
        let mut echoed = BTreeMap::new();
        for peer in &self.laboratory.peers {
            for id in &peer.echoed {
                *echoed.entry((peer.keys.id(), id.0)).or_default() += 1;
            }
        }
        echoed
    }
}

#[test]
fn each_copy_is_answered_through_another_tunnel_and_the_ones_before_are_tested() {
    for seed in 0..5 {
        let mut rig = Rig::new(seed, 4);
        rig.ask();
        rig.laboratory.run(SECOND);
        assert!(rig.echoed().is_empty(), "control: it was asked once");
        rig.copy();
        rig.laboratory.run(SECOND / 2);
        rig.copy();
        rig.laboratory.run(SECOND);
        let carried = rig.carried();
        assert_eq!(carried.len(), 3);
        let different: BTreeSet<Tunnel> = carried.iter().copied().collect();
        // One of the four brought the request: it never carries the answer.
        assert_eq!(different.len(), 3, "{carried:?}");
        let tested: BTreeSet<Tunnel> = rig.echoed().into_keys().collect();
        let doubted: BTreeSet<Tunnel> = carried[..2].iter().copied().collect();
        assert_eq!(tested, doubted);
    }
}

#[test]
fn where_there_are_no_others_the_same_tunnel_answers_again() {
    let mut rig = Rig::new(0, 2);
    rig.ask();
    rig.laboratory.run(SECOND);
    rig.copy();
    let carried = rig.carried();
    let [first, second] = carried.as_slice() else {
        panic!("{carried:?}")
    };
    assert_eq!(first, second);
}

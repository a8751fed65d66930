use std::sync::Arc;

use deut_common::time::{Now, Unix};

use super::*;
use crate::{
    config::{Config, Role},
    io::{Action, Output},
    keys::RelayKeys,
    links::Links,
    policy::{Policy, Profile},
    wire::{datagram::Kind, frame},
};

struct Node {
    cx: Context,
    links: Links,
    own: Descriptor,
}

impl Node {
    fn new(number: u8) -> Self {
        let policy = Policy::new("bottle", Profile::Test).expect("a short name");
        let now = Now {
            mono: Mono(0),
            unix: Unix(1_800_000_000),
        };
        let cx = Context::new(Config::new(policy, Role::Client), [number; 32], now);
        let keys = RelayKeys::from_seed(&[number; 32]);
        let network = cx.config.policy.network;
        let address = SocketAddr::from(([10, 0, 0, number], 4_000));
        let own = Descriptor::sign(&keys, network, address, None, 30_000_000, 30_001_440);
        let links = Links::new(Arc::new(keys), &cx);
        Self { cx, links, own }
    }

    fn dial(&mut self, to: &Self) -> LinkHandle {
        let (cx, own) = (&mut self.cx, Some(&self.own));
        self.links.dial(cx, own, &to.own).expect("below the caps")
    }

    /// Hands all that this side has sent to the other, which may refuse it.
    fn deliver(&mut self, other: &mut Self) {
        for output in std::mem::take(&mut self.cx.out) {
            let Output::Do(Action::Transmit { mut packet, .. }) = output else {
                continue;
            };
            let datagram = packet.as_relay_mut().expect("1,232 bytes");
            let (cx, links) = (&mut other.cx, &mut other.links);
            let _ = match Kind::of(datagram) {
                Some(Kind::HandshakeInit) => links.on_initiation(cx, self.own.address, datagram),
                Some(Kind::HandshakeAnswer) => links.on_answer(cx, datagram).map(drop),
                _ => links.open(cx, datagram).map(drop),
            };
            other.links.table.check();
        }
    }
}

impl Table {
    /// Checks that the indexes hold exactly what the links have.
    fn check(&self) {
        let links = || self.by_handle.values();
        let dials = links().filter_map(|link| Some(link.dial.as_ref()?.initiator.index()));
        let dials: Vec<u32> = dials.collect();
        assert_eq!(self.dials, dials.len());
        let sessions = links().flat_map(|link| link.sessions.indices());
        let indices: BTreeMap<u32, ()> = sessions.chain(dials).map(|i| (i, ())).collect();
        assert!(self.by_index.keys().eq(indices.keys()));
        let keys: BTreeMap<[u8; 32], ()> = links().map(|link| (link.key, ())).collect();
        assert!(self.by_key.keys().eq(keys.keys()));
    }
}

#[test]
fn the_indexes_follow_every_change_of_session_and_nothing_of_a_link_is_left() {
    let (mut one, mut two) = (Node::new(1), Node::new(2));
    let link = one.dial(&two);
    one.links.table.check();
    one.deliver(&mut two);
    two.deliver(&mut one);
    one.links
        .send(&mut one.cx, link, &frame::encode_keep_alive());
    for _ in 0..4 {
        one.deliver(&mut two);
        assert!(one.links.is_up(link) && two.links.is_up(LinkHandle(1)));
        one.links.renew(&mut one.cx, Some(&one.own), link, None);
        one.links.table.check();
        one.deliver(&mut two);
        two.deliver(&mut one);
    }
    assert_eq!(one.links.table.by_index.len(), 2, "current and previous");
    assert_eq!(one.links.of_relay(two.own.id()), Some(link));
    one.links.remove(&mut one.cx, link, false);
    one.links.table.check();
    assert_eq!(one.links.of_relay(two.own.id()), None);
}

#[test]
fn of_two_dials_that_cross_one_makes_the_session() {
    let (mut one, mut two) = (Node::new(1), Node::new(2));
    let (to_two, to_one) = (one.dial(&two), two.dial(&one));
    one.deliver(&mut two);
    two.deliver(&mut one);
    one.deliver(&mut two);
    assert_ne!(one.links.is_up(to_two), two.links.is_up(to_one));
    assert_eq!(one.links.table.dials + two.links.table.dials, 0);
}

//! One node announces many things on a torrent, so that readers no longer find what others announced before.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use deut_kademlia::{Announced, Query, QueryResult};

use super::Figure;
use crate::net::{Net, Suites, Tune};

const INFOHASH: [u8; 20] = [7; 20];
const SECOND: u64 = 1_000_000;
const MINUTE: u64 = 60 * SECOND;
const NODES: usize = 20;
/// Nodes that announce one address each, and go on doing so.
const HONEST: usize = 10;
const ATTACKER: usize = 12;
/// Those after the attacker read.
const FIRST_READER: usize = 13;
/// Announcements of the attacker in a second.
const PER_SECOND: u64 = 4;

/// The share of honest announcements that a reader finds after `tags` others came, and with none before that.
#[must_use]
pub fn figure(tags: u16) -> Figure {
    Figure {
        what: "honest announcements that a reader finds",
        without: found(tags, |config| config.kademlia.settling = u64::MAX),
        with: found(tags, |_| {}),
    }
}

fn found(tags: u16, tune: Tune) -> f64 {
    let mut net = Net::of_relays(41, Suites::stand_in(), NODES, tune);
    net.run_ready();
    net.run(MINUTE);
    for node in 0..HONEST {
        announce(&mut net, 1 + node, honest(node));
    }
    // Long enough for each to announce again.
    net.run(25 * MINUTE);
    for tag in 0..tags {
        let address = SocketAddrV4::new(Ipv4Addr::new(203, 0, 112, 1), 2_000 + tag);
        announce(&mut net, ATTACKER, address.into());
        net.run(SECOND / PER_SECOND);
    }
    net.run(20 * SECOND);
    let readers = FIRST_READER..NODES;
    let all = readers.len() * HONEST;
    let seen: usize = readers.map(|reader| read(&mut net, reader)).sum();
    seen as f64 / all as f64
}

fn honest(node: usize) -> SocketAddr {
    let port = 6_881 + u16::try_from(node).unwrap_or(0);
    SocketAddrV4::new(Ipv4Addr::new(198, 51, 99, 1), port).into()
}

fn announce(net: &mut Net, node: usize, address: SocketAddr) {
    let what = Announced::Address(address);
    let infohash = INFOHASH;
    net.query(node, Query::Announce { infohash, what });
}

/// How many of the honest announcements one lookup finds.
fn read(net: &mut Net, reader: usize) -> usize {
    let infohash = INFOHASH;
    let outcome = net.ask(reader, Query::GetPeers { infohash });
    let QueryResult::Peers(peers) = outcome.result else {
        return 0;
    };
    let is_found = |node: &usize| {
        let wanted = Announced::Address(honest(*node));
        peers.iter().any(|peer| peer.what == wanted)
    };
    (0..HONEST).filter(is_found).count()
}

//! What the endpoints and relayers of a lookup can read, with all the keys that they hold (threat model: hostile endpoints).

#![expect(clippy::print_stdout, reason = "figures for whoever reads along")]

use deut_common::suite::SuiteRef;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use deut::core::{CoreCommand, CoreConfig, CoreEvent};
use deut_kademlia::{Announced, NodeId, Query, QueryResult, layouts::Peers};
use deut_tests::{
    net::{Net, Sighting},
    observe::{
        capture::{self, SealedCopy, Told, is_relay, message_id},
        needles::Needles,
    },
    stand_in::StandIn,
};
use deut_transport::{
    config::Role,
    crypto::message::open_request,
    ids::{PoolId, Service, TunnelHandle},
    io::{Destination, TunnelChange},
    keys::OpeningKey,
    observe::Seen,
    wire::{
        cell::Cell,
        descriptor::{Descriptor, put_address},
    },
};
use rand::{Rng, SeedableRng, rngs::StdRng};

const RELAYS: usize = 16;

/// Something that a node other than the asker could read.
struct Piece {
    node: usize,
    what: &'static str,
    /// Signed data that is public: descriptors in gossip, contacts that are registered.
    public: bool,
    bytes: Vec<u8>,
}

/// The lookups of one node, seen from everywhere else.
struct Observed {
    pieces: Vec<Piece>,
    wire: Vec<Sighting>,
    asker: SocketAddr,
    /// The copies of its user's requests, by message ID.
    copies: BTreeMap<[u8; 16], SealedCopy>,
    /// Where its tunnels end.
    ends: BTreeMap<TunnelHandle, SocketAddr>,
    /// To be seen by nobody.
    secret: Vec<(&'static str, Vec<u8>)>,
    /// To be seen in public pieces only.
    public: Vec<(&'static str, Vec<u8>)>,
}

fn noise<const N: usize>(seed: u64) -> [u8; N] {
    let mut bytes = [0; N];
    StdRng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}

fn always_forwards(config: &mut CoreConfig) {
    if let Role::Relay { endpoint_ports, .. } = &mut config.transport.role {
        *endpoint_ports = None;
    }
}

fn key_of(result: QueryResult) -> NodeId {
    let QueryResult::Stored { key, at, .. } = result else {
        panic!("{result:?}")
    };
    assert!(at > 0);
    key
}

/// Sixteen relays, and a node of which they know nothing but what is public: a client, or a relay without endpoints.
fn observe(seed: u64, client: bool) -> Observed {
    let mut net = Net::of_relays(seed, Arc::new(StandIn), RELAYS, |_| {});
    let asker = if client {
        net.add_client(|_| {})
    } else {
        net.add_relay(always_forwards)
    };
    let told = capture::probe_all(&mut net);
    net.run_ready();
    net.run(10_000_000);
    let (infohash, value) = (noise::<20>(1), noise::<600>(2).to_vec());
    let persona = net.nodes[5].core.persona_key().expect("a persona");
    let dht_key = key_of(
        net.ask(
            5,
            Query::Announce {
                infohash,
                what: Announced::Persona(persona),
            },
        )
        .result,
    );
    let key = key_of(
        net.ask(
            3,
            Query::PutValue {
                value: value.clone(),
            },
        )
        .result,
    );

    // From here on everything is written down.
    told.iter()
        .for_each(|told| told.lock().expect("one thread").clear());
    let transcript = capture::wire(&mut net);
    let mut ends = ends(&net, asker);
    let put = noise::<500>(4).to_vec();
    let targets = (100..115)
        .map(|seed| NodeId(noise(seed)))
        .collect::<Vec<_>>();
    let advertised = "203.0.113.9:6881".parse().expect("an address");
    let found = net.ask(asker, Query::GetValue { key }).result;
    assert_eq!(found, QueryResult::Value(value.clone()));
    assert!(matches!(
        net.ask(asker, Query::GetPeers { infohash }).result,
        QueryResult::Peers(_)
    ));
    for &target in &targets {
        assert!(matches!(
            net.ask(asker, Query::FindNode { target }).result,
            QueryResult::Nodes(_)
        ));
        net.run(2_000_000);
    }
    let put_key = key_of(
        net.ask(asker, Query::PutValue { value: put.clone() })
            .result,
    );
    let own = key_of(
        net.ask(
            asker,
            Query::Announce {
                infohash: noise(5),
                what: Announced::Address(advertised),
            },
        )
        .result,
    );
    ends.extend(self::ends(&net, asker));
    net.tap = None;

    let mut secret = vec![
        ("infohash", infohash.to_vec()),
        ("infohash", noise::<20>(5).to_vec()),
    ];
    secret.extend([dht_key, own].map(|key| ("DHT key", key.0.to_vec())));
    secret.extend(
        [infohash, noise(5)].map(|hash| ("blinded key", Peers::of(&hash).blinded().to_vec())),
    );
    secret.extend(
        targets
            .into_iter()
            .chain([key, put_key])
            .map(|key| ("target", key.0.to_vec())),
    );
    secret.extend([value, put].map(|value| ("value", value)));
    secret.push(("announced address", put_address(advertised).to_vec()));
    let copies = user_copies(&net, &told, asker);
    secret.extend(
        copies
            .values()
            .map(|copy| ("request id", copy.header.request_id.to_vec())),
    );
    let address = net.nodes[asker].address;
    let mut public = vec![
        ("address", put_address(address).to_vec()),
        ("ip", put_address(address)[..16].to_vec()),
    ];
    let [identity, link, onion] = net.nodes[asker].relay_keys;
    public.extend([
        ("identity key", identity.to_vec()),
        ("link key", link.to_vec()),
        ("onion key", onion.to_vec()),
    ]);
    if let Some(bytes) = net.nodes[asker].core.own_descriptor() {
        let own = Descriptor::decode(&bytes).expect("its own");
        assert_eq!([own.identity, own.link, own.onion], [identity, link, onion]);
    }
    if let Some(key) = net.nodes[asker].core.persona_key() {
        public.push(("persona key", key.to_vec()));
    }
    let wire = transcript.take();
    Observed {
        pieces: pieces(&told, asker, &net, &wire),
        wire,
        asker: address,
        copies,
        ends,
        secret,
        public,
    }
}

fn ends(net: &Net, node: usize) -> BTreeMap<TunnelHandle, SocketAddr> {
    net.nodes[node]
        .core
        .tunnels(net.now())
        .iter()
        .map(|tunnel| (tunnel.handle, tunnel.address))
        .collect()
}

/// Copies that left through the pool for lookups.
fn user_copies(net: &Net, told: &[Told], asker: usize) -> BTreeMap<[u8; 16], SealedCopy> {
    let up = |(_, event): &(u64, CoreEvent)| match event {
        CoreEvent::Tunnel {
            handle,
            change: TunnelChange::Up {
                pool: PoolId::Lookup,
            },
        } => Some(*handle),
        _ => None,
    };
    let lookup: BTreeSet<TunnelHandle> = net.nodes[asker].events.iter().filter_map(up).collect();
    let mut copies = capture::copies(told);
    copies.retain(|_, copy| copy.node == asker && lookup.contains(&copy.tunnels.0));
    assert!(copies.len() > 30, "{}", copies.len());
    copies
}

/// All that anybody but the asker opened, and every datagram at anybody else's port.
fn pieces(told: &[Told], asker: usize, net: &Net, wire: &[Sighting]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (node, told) in told.iter().enumerate().filter(|(node, _)| *node != asker) {
        for seen in told.lock().expect("one thread").iter() {
            let (what, public, bytes) = match seen {
                Seen::Frame(frame) => ("frame", frame[0] == 4, frame.to_vec()),
                Seen::Cell(_, cell) => ("cell", cell[0] == 3, cell.clone()),
                _ => continue,
            };
            pieces.push(Piece {
                node,
                what,
                public,
                bytes,
            });
        }
    }
    let by_ip: BTreeMap<IpAddr, usize> = net
        .nodes
        .iter()
        .enumerate()
        .map(|(node, n)| (n.address.ip(), node))
        .collect();
    for seen in wire {
        let node = by_ip[&seen.to.ip()];
        if node != asker {
            // Handshakes are public here: a WhoAreYou answer is about whom it comes from.
            pieces.push(Piece {
                node,
                what: "datagram",
                public: is_relay(seen) && seen.bytes[0] == 6,
                bytes: seen.bytes.clone(),
            });
        }
    }
    pieces
}

fn search(pieces: &[Piece], needles: &Needles, public_too: bool) -> Vec<String> {
    let looked_at = pieces.iter().filter(|piece| public_too || !piece.public);
    let found = |piece: &Piece| {
        let names: Vec<String> = needles
            .find(&piece.bytes)
            .into_iter()
            .map(str::to_owned)
            .collect();
        let (what, node) = (piece.what, piece.node);
        names
            .into_iter()
            .map(move |name| format!("{name} in a {what} of node {node}"))
    };
    looked_at.flat_map(found).collect()
}

fn secrets(observed: &Observed) -> Needles {
    observed
        .secret
        .iter()
        .fold(Needles::new(), |needles, (name, bytes)| match *name {
            "announced address" => needles.whole(name, bytes),
            _ => needles.any_run(name, bytes),
        })
}

fn identities(observed: &Observed) -> Needles {
    observed
        .public
        .iter()
        .fold(Needles::new(), |needles, (name, bytes)| match *name {
            "address" | "ip" => needles.whole(name, bytes),
            _ => needles.any_run(name, bytes),
        })
}

/// Neither what is looked up nor who asks can be read anywhere.
fn blind(observed: &mut Observed) {
    let of = |what| {
        observed
            .pieces
            .iter()
            .filter(|piece| piece.what == what)
            .count()
    };
    println!(
        "{} frames, {} cells, {} datagrams, {} request copies",
        of("frame"),
        of("cell"),
        of("datagram"),
        observed.copies.len()
    );
    assert!(of("frame") > 3_000 && of("cell") > 200 && of("datagram") > 3_000);
    let (what, who) = (secrets(observed), identities(observed));
    assert_eq!(search(&observed.pieces, &what, true), [""; 0]);
    assert_eq!(search(&observed.pieces, &who, false), [""; 0]);
    // Where they are allowed: in what is asked, before the seal. Infohash and announced address never are.
    let asked: BTreeSet<&str> = observed
        .copies
        .values()
        .flat_map(|copy| what.find(&copy.body))
        .collect();
    let names = ["DHT key", "blinded key", "target", "value"];
    assert_eq!(asked, BTreeSet::from(names));
    // Twin: an endpoint that could read what passes, and one that was told for whom.
    let at = observed
        .pieces
        .iter()
        .position(|piece| piece.what == "cell")
        .expect("cells");
    let honest = observed.pieces[at].bytes.clone();
    for (name, bytes) in observed.secret.iter().chain(&observed.public) {
        observed.pieces[at].bytes[100..100 + bytes.len()].copy_from_slice(bytes);
        let leaked = &observed.pieces[at..=at];
        let found = [search(leaked, &what, true), search(leaked, &who, false)].concat();
        assert!(
            found.iter().any(|text| text.starts_with(name)),
            "{name}: {found:?}"
        );
        observed.pieces[at].bytes.clone_from(&honest);
    }
    // Twin: the ip at somebody who is no neighbour.
    assert_eq!(asker_at_endpoint_ports(observed), 0);
    let at = observed
        .wire
        .iter()
        .position(|seen| !is_relay(seen))
        .expect("messages");
    let honest = std::mem::replace(&mut observed.wire[at].from, observed.asker);
    assert_eq!(asker_at_endpoint_ports(observed), 1);
    observed.wire[at].from = honest;
}

/// Datagrams of the asker that reach an endpoint port: there its ip would stand beside a message.
fn asker_at_endpoint_ports(observed: &Observed) -> usize {
    let of_asker = |seen: &&Sighting| {
        seen.from.ip() == observed.asker.ip() || seen.to.ip() == observed.asker.ip()
    };
    observed
        .wire
        .iter()
        .filter(|seen| !is_relay(seen))
        .filter(of_asker)
        .count()
}

/// What passes the end of each tunnel, by its port: over the wire, or inside one node.
fn traffic(observed: &Observed) -> BTreeMap<SocketAddr, Vec<Vec<u8>>> {
    let mut traffic: BTreeMap<SocketAddr, Vec<Vec<u8>>> = BTreeMap::new();
    for seen in observed.wire.iter().filter(|seen| !is_relay(seen)) {
        traffic
            .entry(seen.from)
            .or_default()
            .push(seen.bytes.clone());
        traffic.entry(seen.to).or_default().push(seen.bytes.clone());
    }
    for piece in observed.pieces.iter().filter(|piece| piece.what == "cell") {
        let cell =
            Cell::decode(piece.bytes.as_slice().try_into().expect("a cell")).expect("a cell");
        if let Cell::Send { to, datagram } = cell {
            traffic.entry(to).or_default().push(datagram.to_vec());
        }
    }
    traffic
}

/// How many message IDs were found where their answers pass; complains about those found where their requests pass.
fn message_ids(observed: &Observed) -> (usize, Vec<String>) {
    let traffic = traffic(observed);
    let (mut answered, mut complaints) = (0, Vec::new());
    let passes = |at: &SocketAddr| traffic.get(at).map(Vec::as_slice).unwrap_or_default();
    for (id, copy) in &observed.copies {
        let reply = put_address(copy.header.reply);
        let id_only = || Needles::new().any_run("message id", id);
        let reply = id_only()
            .whole("reply gate", &copy.header.reply_gate.0)
            .whole("reply address", &reply);
        let (sender, asked) = (observed.ends[&copy.tunnels.0], copy.to);
        assert_ne!(
            sender, copy.header.reply,
            "the send tunnel is the reply tunnel"
        );
        let carried = passes(&asked)
            .iter()
            .any(|datagram| datagram[8..40] == copy.enc);
        assert!(carried, "the request is seen where it is asked");
        // The reply gate serves the whole lookup, so it may pass the same persona's endpoints with another answer.
        for (at, needles) in [(sender, reply), (asked, id_only())] {
            let found = passes(&at)
                .iter()
                .flat_map(|datagram| needles.find(datagram));
            complaints
                .extend(found.map(|name| format!("{name} at {at}, which carries the request")));
        }
        answered += usize::from(
            passes(&copy.header.reply)
                .iter()
                .any(|datagram| message_id(datagram) == *id),
        );
    }
    (answered, complaints)
}

fn answers_only(observed: &mut Observed) {
    let (answered, complaints) = message_ids(observed);
    println!(
        "{answered} of {} message IDs seen where the answer passes",
        observed.copies.len()
    );
    assert!(answered * 10 >= observed.copies.len() * 9);
    assert_eq!(complaints, [""; 0]);
    let answers: Needles = observed.copies.keys().fold(Needles::new(), |needles, id| {
        needles.whole("message id", id)
    });
    let elsewhere = |piece: &Piece| {
        let is_answer = |at: usize| {
            piece
                .bytes
                .get(at..at + 16)
                .is_some_and(|id| observed.copies.keys().any(|known| known == id))
        };
        let answer = is_answer(8) || is_answer(3 + 8) || is_answer(3 + 19 + 8);
        (!answer && !answers.find(&piece.bytes).is_empty())
            .then(|| format!("{} {:?}", piece.what, &piece.bytes[..48]))
    };
    let elsewhere: Vec<String> = observed.pieces.iter().filter_map(elsewhere).collect();
    assert_eq!(elsewhere, [""; 0]);
    // Twin: an answer that comes back the way that the request went.
    let at = observed
        .wire
        .iter()
        .position(|seen| !is_relay(seen) && observed.copies.contains_key(&message_id(&seen.bytes)));
    let at = at.expect("answers");
    let copy = &observed.copies[&message_id(&observed.wire[at].bytes)];
    let honest = std::mem::replace(&mut observed.wire[at].to, observed.ends[&copy.tunnels.0]);
    assert!(
        message_ids(observed)
            .1
            .iter()
            .any(|text| text.starts_with("message id"))
    );
    observed.wire[at].to = honest;
}

#[test]
fn nobody_reads_the_lookups_of_a_client() {
    let mut observed = observe(21, true);
    blind(&mut observed);
    answers_only(&mut observed);
    // Nothing about a client is public.
    assert_eq!(
        search(&observed.pieces, &identities(&observed), true),
        [""; 0]
    );
}

#[test]
fn nobody_reads_the_lookups_of_a_relay_with_a_persona() {
    let mut observed = observe(22, false);
    blind(&mut observed);
    answers_only(&mut observed);
    // Where it is allowed: its descriptor in gossip, its persona's key in the contact that it registers.
    let found = search(&observed.pieces, &identities(&observed), true);
    println!("{} public pieces name it", found.len());
    assert!(
        found
            .iter()
            .any(|text| text.starts_with("identity key in a frame")),
        "{found:?}"
    );
}

/// The control for what is sealed: the recipient, and only the recipient, finds the needles in a request.
#[test]
fn the_recipient_reads_what_the_endpoints_cannot() {
    let mut net = Net::of_relays(23, Arc::new(StandIn), RELAYS, |_| {});
    let asker = net.add_client(|_| {});
    net.run_ready();
    net.run(5_000_000);
    let told = capture::probe_all(&mut net);
    let transcript = capture::wire(&mut net);
    let recipient = OpeningKey::from_seed(&noise(7));
    let target = noise::<20>(8);
    let mut at: SocketAddr = net.nodes[2].address;
    at.set_port(at.port() + 1);
    let to = Destination {
        key: recipient.public(),
        at: vec![at],
    };
    net.command(
        asker,
        CoreCommand::Call {
            ticket: 1,
            service: Service(300),
            to,
            body: target.to_vec(),
        },
    );
    net.run(3_000_000);
    let copies = capture::copies(&told);
    let wire = transcript.take();
    let sealed = wire
        .iter()
        .find(|seen| !is_relay(seen) && seen.to == at)
        .expect("it is sent");
    // There are two copies, each with another reply address.
    let copy = copies
        .values()
        .find(|copy| copy.node == asker && sealed.bytes[8..40] == copy.enc)
        .expect("a copy");
    let needles = Needles::new()
        .any_run("target", &target)
        .any_run("request id", &copy.header.request_id);
    assert_eq!(
        search(&pieces(&told, asker, &net, &wire), &needles, true),
        [""; 0]
    );
    let opened = open_request(
        &SuiteRef::default(),
        &recipient,
        sealed.bytes.as_slice().try_into().expect("a message"),
    )
    .expect("sealed to it");
    let plaintext = opened.header.encode(&opened.body).expect("it fits");
    assert_eq!(needles.find(&plaintext), ["request id", "target"]);
    let reply = Needles::new().whole("reply address", &put_address(copy.header.reply));
    assert_eq!(reply.find(&plaintext), ["reply address"]);
}

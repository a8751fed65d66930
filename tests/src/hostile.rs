//! Nodes that do not play by the rules. They exist only here.

use std::sync::{Arc, Mutex, PoisonError};

use deut::core::Lie;
use deut_kademlia::{Contact, EndpointAddress, NodeId, PersonaSecret};
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};

use crate::net::{Misconduct, Net};

/// What a hostile node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing.
    None,
    /// As a relayer it swallows every third cell.
    Drop,
    /// As a relayer it holds each cell back for up to 2 s.
    Delay,
    /// As a relayer it alters every third cell.
    Corrupt,
    /// As a relayer it sends every cell twice.
    Replay,
    /// Its persona answers searches with made-up contacts close to what is searched, and says that it stored what it did
    /// not.
    MadeUp,
    /// Its persona answers searches with contacts of nodes that are gone.
    Stale,
    /// Its persona answers searches for values with others, and for mutable records with versions that nobody signed.
    WrongValues,
    /// Its persona answers searches for peers with forged entries.
    ForgedPeers,
    /// Its persona knows only hostile nodes, and says that it stored what it did not.
    OnlySybils,
    /// Its persona answers PINGs and nothing else.
    Silent,
}

/// What hostile personas of one network share.
#[derive(Default)]
pub struct Conspiracy {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    /// Contacts of hostile nodes as they are now.
    sybils: Vec<Contact>,
    /// Contacts of nodes that nobody answers for.
    ghosts: Vec<Contact>,
}

const FIND_NODE: u8 = 0x02;
const FIND_VALUE: u8 = 0x03;
const STORE: u8 = 0x04;
const NODES: u8 = 0x82;
const VALUE: u8 = 0x83;
const PEERS: u8 = 0x84;
const MUTABLE: u8 = 0x86;
const STORED: [u8; 2] = [0x85, 0];
const PEER_ENTRY: usize = 137;
/// Made-up personas per conspiracy: enough to be closer to any point than honest ones in networks of a thousand.
const GHOSTS: u16 = 4_000;

impl Conspiracy {
    /// Makes a node hostile.
    pub fn corrupt(&self, net: &mut Net, node: usize, kind: Kind, rng: &mut StdRng) {
        let conduct = Misconduct::default();
        net.nodes[node].misconduct = match kind {
            Kind::Drop => Some(Misconduct {
                drops: 333,
                ..conduct
            }),
            Kind::Delay => Some(Misconduct {
                delays_us: 2_000_000,
                ..conduct
            }),
            Kind::Corrupt => Some(Misconduct {
                corrupts: 333,
                ..conduct
            }),
            Kind::Replay => Some(Misconduct {
                replays: 1_000,
                ..conduct
            }),
            _ => None,
        };
        let of_dht = matches!(
            kind,
            Kind::MadeUp
                | Kind::Stale
                | Kind::WrongValues
                | Kind::ForgedPeers
                | Kind::OnlySybils
                | Kind::Silent
        );
        if of_dht {
            let shared = Arc::clone(&self.shared);
            let mut rng = StdRng::from_rng(rng);
            net.nodes[node]
                .core
                .set_liar(Box::new(move |body| lie(kind, &shared, body, &mut rng)));
        }
    }

    /// What the conspirators know of each other is brought up to date; made-up contacts are signed afresh.
    pub fn refresh(&self, net: &Net, hostile: &[usize], kind: Kind) {
        let now = net.now();
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let contact = |node: &usize| net.nodes[*node].core.persona_contact(net.now_at(*node));
        shared.sybils = hostile
            .iter()
            .filter(|node| net.nodes[**node].alive)
            .filter_map(contact)
            .collect();
        let minute = u32::try_from(now.unix.0 / 60).unwrap_or(0);
        shared.ghosts = match kind {
            Kind::MadeUp => (0..GHOSTS)
                .map(|number| ghost(number, minute + 10))
                .collect(),
            // What everybody accepted some minutes ago.
            Kind::Stale => (0..GHOSTS)
                .map(|number| ghost(number, minute - 1))
                .collect(),
            _ => Vec::new(),
        };
    }
}

/// A contact that is signed as it should be, and nobody listens there.
fn ghost(number: u16, until_minute: u32) -> Contact {
    let mut seed = [0x6e; 32];
    seed[..2].copy_from_slice(&number.to_be_bytes());
    let [high, low] = number.to_be_bytes();
    let address = EndpointAddress {
        ip: [10, 0, high, low].into(),
        port: 4_500,
    };
    Contact::sign(
        &PersonaSecret::from_seed(&seed),
        0,
        until_minute,
        &[address],
    )
    .expect("one IPv4 address")
}

fn lie(kind: Kind, shared: &Mutex<Shared>, body: &[u8], rng: &mut StdRng) -> Option<Lie> {
    let (what, target) = match *body.first()? {
        FIND_NODE => (FIND_NODE, body.get(1..21)?),
        FIND_VALUE => (FIND_VALUE, body.get(2..22)?),
        STORE => (STORE, &[0; 20][..]),
        _ => return None,
    };
    let target = NodeId(target.try_into().ok()?);
    let answer = |body: Vec<u8>| Some(Lie::Answer(body));
    let shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
    match (kind, what) {
        (Kind::Silent, _) => Some(Lie::Silence),
        (Kind::MadeUp | Kind::Stale | Kind::OnlySybils, STORE) => answer(STORED.to_vec()),
        (Kind::MadeUp | Kind::Stale, _) => answer(nodes(&shared.ghosts, &target, rng)),
        (Kind::OnlySybils, _) => answer(nodes(&shared.sybils, &target, rng)),
        (Kind::WrongValues, FIND_VALUE) if body.get(1) == Some(&1) => {
            let mut wrong = vec![VALUE];
            wrong.extend_from_slice(&token(rng));
            wrong.extend_from_slice(&300u16.to_be_bytes());
            wrong.extend((0..300).map(|_| rng.random::<u8>()));
            answer(wrong)
        }
        (Kind::WrongValues, FIND_VALUE) if body.get(1) == Some(&3) => {
            let mut wrong = vec![MUTABLE];
            wrong.extend_from_slice(&token(rng));
            wrong.extend_from_slice(&1_000i64.to_be_bytes());
            wrong.extend((0..64).map(|_| rng.random::<u8>()));
            wrong.extend_from_slice(&[0, 5]);
            wrong.extend_from_slice(b"3:lie");
            answer(wrong)
        }
        (Kind::ForgedPeers, FIND_VALUE) if body.get(1) == Some(&2) => {
            let mut forged = vec![PEERS];
            forged.extend_from_slice(&token(rng));
            forged.push(7);
            forged.extend((0..7 * PEER_ENTRY).map(|_| rng.random::<u8>()));
            answer(forged)
        }
        _ => None,
    }
}

fn token(rng: &mut StdRng) -> [u8; 8] {
    let mut token = [0; 8];
    rng.fill_bytes(&mut token);
    token
}

/// An answer with the eight of `known` that are closest to the target.
fn nodes(known: &[Contact], target: &NodeId, rng: &mut StdRng) -> Vec<u8> {
    let mut closest: Vec<&Contact> = known.iter().collect();
    closest.sort_unstable_by_key(|contact| target.distance(&contact.id()));
    closest.truncate(8);
    let mut body = vec![NODES];
    body.extend_from_slice(&token(rng));
    body.push(closest.len() as u8);
    for contact in closest {
        body.extend_from_slice(contact.as_bytes());
    }
    body
}

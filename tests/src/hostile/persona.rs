//! Personas that lie: made-up and old contacts, wrong values, forged peers, silence.

use std::sync::{Mutex, PoisonError};

use deut::core::Passage;
use deut_common::address::EndpointAddress;
use deut_kademlia::{Contact, NodeId, PersonaSecret};
use rand::{Rng, RngExt, rngs::StdRng};

use super::{Kind, Shared};

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

/// Made-up contacts, valid until this minute.
pub(super) fn ghosts(until_minute: u32) -> Vec<Contact> {
    (0..GHOSTS)
        .map(|number| ghost(number, until_minute))
        .collect()
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

pub(super) fn lie(kind: Kind, shared: &Mutex<Shared>, body: &[u8], rng: &mut StdRng) -> Passage {
    made_up(kind, shared, body, rng).unwrap_or(Passage::Through)
}

fn made_up(kind: Kind, shared: &Mutex<Shared>, body: &[u8], rng: &mut StdRng) -> Option<Passage> {
    let (what, target) = match *body.first()? {
        FIND_NODE => (FIND_NODE, body.get(1..21)?),
        FIND_VALUE => (FIND_VALUE, body.get(2..22)?),
        STORE => (STORE, &[0; 20][..]),
        _ => return None,
    };
    let target = NodeId(target.try_into().ok()?);
    let answer = |body: Vec<u8>| Some(Passage::Answer(body));
    let shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
    match (kind, what) {
        (Kind::Silent, _) => Some(Passage::Silence),
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{super::Conspiracy, *};
    use crate::{net::Net, stand_in::StandIn};
    use rand::SeedableRng;

    #[test]
    fn stale_contacts_are_those_of_nodes_that_were_there() {
        const GONE: usize = 5;
        let mut net = Net::of_relays(3, Arc::new(StandIn), 8, |_| {});
        let contact = |net: &Net| net.nodes[GONE].core.persona_contact(net.now());
        assert!(net.run_until(60_000_000, |net| contact(net).is_some()));
        let known = contact(&net).expect("just seen");
        let conspiracy = Conspiracy::default();
        let mut rng = StdRng::seed_from_u64(3);
        let mut told = |net: &Net| {
            conspiracy.refresh(net, &[], Kind::Stale);
            let mut request = vec![FIND_NODE];
            request.extend_from_slice(&known.id().0);
            match lie(Kind::Stale, &conspiracy.shared, &request, &mut rng) {
                // Type, token, number of contacts.
                Passage::Answer(body) => (body[9], body[10..].to_vec()),
                other => panic!("{other:?}"),
            }
        };
        // While all are there they make contacts up.
        assert_eq!(told(&net).0, 8);
        net.kill(GONE);
        assert_eq!(told(&net), (1, known.as_bytes().to_vec()));
        net.bury(GONE);
        assert_eq!(net.gone.len(), 1);
    }
}

//! What a peer does wrong as the endpoint of walks, or as a relayer that says it is.

use deut_transport::{
    crypto::{
        answer::EndpointAnswer,
        walk::{Hop, MasterWalk},
    },
    rsa::RsaSuite,
    wire::frame::{WALK_BLOCK, WALK_SEALED},
};

use super::Peer;
use crate::stand_in::StandIn;

/// One rule that it breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: an honest endpoint.
    None,
    /// Shows the descriptor of another relay beside an RSA key of its own, and signs that itself.
    SwapsKey,
    /// The same, with what that relay signed in another walk.
    SwapsKeyKeepsSignature,
    /// Passes on, unchanged, what another relay signed in a walk of its own.
    ReplaysAnswer,
    /// As a relayer: changes the place where the endpoint's RSA key lies.
    AltersInPassing,
    /// Shows, under its own name, an RSA key that is somebody else's.
    ShowsForeignKey,
    /// Answers the exchange for another RSA key than the master's.
    SealsToAnother,
}

impl Fault {
    /// The sealed part of a walk's answer, before the peer's own layer; `block` may already hold another's.
    pub(super) fn answer(
        self,
        peer: &mut Peer,
        hop: &Hop,
        block: &mut [u8; WALK_BLOCK],
    ) -> [u8; WALK_SEALED] {
        let mut answer = peer.endpoint_answer();
        match self {
            Self::None | Self::SealsToAnother => {}
            Self::SwapsKey => {
                answer = EndpointAnswer {
                    spki: answer.spki,
                    ..Peer::new(99).endpoint_answer()
                };
            }
            Self::SwapsKeyKeepsSignature => {
                let mut opened = genuine(&mut Peer::new(99));
                opened[196..490].copy_from_slice(answer.spki.as_slice());
                return reseal(hop, &opened);
            }
            Self::ReplaysAnswer => return reseal(hop, &genuine(&mut Peer::new(99))),
            Self::ShowsForeignKey => answer.spki = StandIn.generate([1; 32]).public,
            Self::AltersInPassing => {
                let endpoint = Peer::new(99);
                let last = Hop::take(&hop.next_element(), &mut peer.rng).expect("an element");
                let mut sealed = endpoint.endpoint_answer().seal(&endpoint.keys, &last);
                last.wrap(block, &mut sealed);
                sealed[196..490].iter_mut().for_each(|byte| *byte ^= 0x55);
                return sealed;
            }
        }
        answer.seal(&peer.keys, hop)
    }
}

/// The endpoint's answer as an honest relay gives it to a walk of its own: signed, and opened.
fn genuine(peer: &mut Peer) -> [u8; 784] {
    let (walk, element) = MasterWalk::start(&mut peer.rng);
    let hop = Hop::take(&element, &mut peer.rng).expect("an element");
    let mut sealed = peer.endpoint_answer().seal(&peer.keys, &hop);
    let mut block = [0; WALK_BLOCK];
    hop.wrap(&mut block, &mut sealed);
    walk.peel(&block, &sealed).expect("it is for us").answer
}

fn reseal(hop: &Hop, answer: &[u8; 784]) -> [u8; WALK_SEALED] {
    let mut sealed = [0; WALK_SEALED];
    sealed[..784].copy_from_slice(answer);
    hop.endpoint_keys()
        .seal
        .seal_in_place([0; 12], &[], &mut sealed);
    sealed
}

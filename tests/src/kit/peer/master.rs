//! Tunnels that a peer is master of, one hop long or as long as the walk went.

use deut_common::suite::SuiteRef;
use deut_transport::{
    crypto::{
        answer::EndpointAnswer,
        exchange::{Transcript, session_keys},
        layer::LayerKeys,
        tunnel::TunnelCipher,
        walk::MasterWalk,
    },
    ids::TunnelId,
    rsa::{OAEP_LEN, RsaSuite},
    wire::{
        cell::Cell,
        frame::{CELL_BODY, Control, WalkAnswer, WalkRequest},
    },
};
use rand::RngExt;
use zeroize::Zeroizing;

use super::{Peer, framed};
use crate::stand_in::StandIn;

/// One of them.
pub struct Master {
    /// What the peer chose for cells back.
    pub id_back: TunnelId,
    walk: MasterWalk,
    opened: Option<Opened>,
    /// Its part of the exchange, sealed and open.
    pending: Option<(Box<[u8; OAEP_LEN]>, [u8; 32])>,
}

/// What its walk brought.
struct Opened {
    id_fwd: TunnelId,
    layers: Vec<LayerKeys>,
    cipher: TunnelCipher,
    told: EndpointAnswer,
    element: [u8; 32],
    reply: [u8; 32],
    shared: Zeroizing<[u8; 32]>,
}

impl Master {
    /// Whether the exchange was confirmed.
    #[must_use]
    pub fn confirmed(&self) -> bool {
        let opened = self.opened.as_ref();
        opened.is_some_and(|opened| opened.cipher.has_session())
    }
}

impl Peer {
    /// Asks for a tunnel.
    pub fn walk(&mut self) {
        let (walk, element) = MasterWalk::start(&mut self.rng);
        let id_back = TunnelId(self.rng.random_range(1..u32::MAX));
        self.masters.push(Master {
            id_back,
            walk,
            opened: None,
            pending: None,
        });
        self.control(&Control::WalkRequest(WalkRequest { id_back, element }));
    }

    pub(super) fn walk_answered(&mut self, answer: &WalkAnswer) {
        let mut masters = self.masters.iter_mut();
        let asked =
            masters.find(|master| master.id_back == answer.id_back && master.opened.is_none());
        let Some(master) = asked else {
            return;
        };
        if let Some(opened) = master.walk.peel(&answer.block, &answer.sealed) {
            let told = EndpointAnswer::open_and_verify(&SuiteRef::default(), &opened);
            master.opened = Some(Opened {
                id_fwd: answer.id_fwd,
                layers: opened.layers,
                cipher: TunnelCipher::master(opened.endpoint.k0),
                told: told.expect("an honest endpoint"),
                element: opened.element,
                reply: opened.reply,
                shared: opened.shared,
            });
        }
    }

    /// Starts the exchange of a tunnel.
    pub fn exchange(&mut self, which: usize, number: u32) {
        let (seed, sealing) = (self.rng.random(), self.rng.random());
        let Some(master) = self.masters.get_mut(which) else {
            return;
        };
        let Some(opened) = &master.opened else {
            return;
        };
        let Ok(sealed) = StandIn.seal(&opened.told.spki, &seed, sealing) else {
            return;
        };
        let sealed = Box::new(sealed);
        master.pending = Some((sealed.clone(), seed));
        let spki = self.rsa.public.clone();
        let cell = Cell::Exchange {
            number,
            spki,
            sealed,
        };
        self.as_master(which, &cell);
    }

    /// Sends a cell as the master of a tunnel.
    pub fn as_master(&mut self, which: usize, cell: &Cell) {
        let master = self.masters.get_mut(which);
        if let Some(opened) = master.and_then(|master| master.opened.as_mut()) {
            let frame = framed(opened.id_fwd, cell, &mut opened.cipher, |nonce, body| {
                for layer in opened.layers.iter().rev() {
                    layer.prepare_forward(nonce, body);
                }
            });
            self.send(&frame);
        }
    }

    /// A cell for one of its masters; all that it looks for is the confirmation of an exchange.
    pub(super) fn cell_for_master(
        &mut self,
        id: TunnelId,
        nonce: &mut [u8; 16],
        body: &mut [u8; CELL_BODY],
    ) {
        let master = self.masters.iter_mut().find(|master| master.id_back == id);
        let Some(Master {
            opened: Some(opened),
            pending,
            ..
        }) = master
        else {
            return;
        };
        for layer in &opened.layers {
            layer.undo_back(nonce, body);
        }
        if let Ok(Cell::Exchanged {
            sealed,
            confirmation,
            ..
        }) = opened.cipher.open(*nonce, body)
            && let Some((oaep_m, seed_m)) = pending
        {
            let transcript = Transcript {
                element: &opened.element,
                reply: &opened.reply,
                endpoint_spki: &opened.told.spki,
                master_spki: &self.rsa.public,
                oaep_m,
                oaep_e: &sealed,
            };
            let seed_e = self.rsa.private.open(&sealed, [0; 32]);
            let (keys, expected) = session_keys(&opened.shared, &transcript, seed_m, &seed_e);
            if expected == confirmation {
                opened.cipher.set_session(keys);
            }
        }
    }
}

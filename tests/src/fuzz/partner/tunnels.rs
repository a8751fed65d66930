//! The tunnels of the partner: those that it is master of, and those that end at it.

use deut_common::suite::SuiteRef;
use deut_transport::{
    crypto::{
        answer::EndpointAnswer,
        exchange::{Transcript, session_keys},
        tunnel::TunnelCipher,
        walk::{Hop, MasterWalk},
    },
    ids::TunnelId,
    rsa::RsaSuite,
    wire::{
        cell::Cell,
        frame::{self, Control, FrameBytes, WALK_BLOCK, WalkAnswer, WalkRequest},
    },
};
use rand::{Rng, RngExt};

use super::{Asked, Master, Partner, Served};
use crate::{
    fuzz::{cell::keys, input::sized},
    net::START_UNIX,
    stand_in::StandIn,
};

impl Partner {
    /// Asks for a tunnel.
    pub fn walk(&mut self) {
        let (walk, element) = MasterWalk::start(&mut self.rng);
        let id_back = TunnelId(self.rng.random_range(1..u32::MAX));
        self.masters.push(Master {
            id_back,
            walk,
            opened: None,
            pending: None,
            confirmed: false,
        });
        self.control(&Control::WalkRequest(WalkRequest { id_back, element }));
    }

    pub(super) fn walk_answered(&mut self, answer: &WalkAnswer) {
        let Some(master) = self
            .masters
            .iter_mut()
            .find(|master| master.id_back == answer.id_back && master.opened.is_none())
        else {
            return;
        };
        if let Some(mut opened) = master.walk.peel(&answer.block, &answer.sealed) {
            let told = EndpointAnswer::open_and_verify(&SuiteRef::default(), &opened)
                .expect("an honest endpoint");
            // The cipher takes the keys; the opened walk keeps the rest.
            let placeholder = keys(0);
            let k0 = std::mem::replace(&mut opened.endpoint.k0, placeholder);
            let cipher = TunnelCipher::master(k0);
            master.opened = Some((opened, told, answer.id_fwd, cipher));
        }
    }

    /// Starts the exchange of a tunnel.
    pub fn exchange(&mut self, which: usize, number: u32) {
        let (seed, sealing) = (self.rng.random(), self.rng.random());
        let Some(master) = self.masters.get_mut(which) else {
            return;
        };
        let Some((_, told, ..)) = &master.opened else {
            return;
        };
        let Ok(sealed) = StandIn.seal(&told.spki, &seed, sealing) else {
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
        let Some(master) = self.masters.get_mut(which) else {
            return;
        };
        let Some((opened, _, id_fwd, cipher)) = &mut master.opened else {
            return;
        };
        let mut bytes = [0; 1_200];
        let body = frame::cell_body_mut(&mut bytes);
        let mut nonce = cipher.seal(cell, body);
        for layer in opened.layers.iter().rev() {
            layer.prepare_forward(&mut nonce, body);
        }
        frame::set_cell_header(&mut bytes, *id_fwd, nonce);
        self.send(&bytes);
    }

    /// Answers a walk request as its endpoint; `spoil` may change the answer.
    pub fn serve(&mut self, which: usize, spoil: impl FnOnce(&mut WalkAnswer)) {
        let Some(Asked { id_back, element }) = self.asked.get(which).copied() else {
            return;
        };
        let Ok(hop) = Hop::take(&element, &mut self.rng) else {
            return;
        };
        let mut address = self.address;
        address.set_port(5_001);
        let answer = EndpointAnswer {
            descriptor: self.shown.clone(),
            spki: self.rsa.public.clone(),
            address,
            families: 1,
            expiry: START_UNIX as u32 + 800,
        };
        let mut sealed = answer.seal(&self.keys, &hop);
        let mut block = [0; WALK_BLOCK];
        self.rng.fill_bytes(&mut block);
        hop.wrap(&mut block, &mut sealed);
        let id_fwd = TunnelId(self.rng.random_range(1..u32::MAX));
        let mut answer = WalkAnswer {
            id_back,
            id_fwd,
            block,
            sealed,
        };
        spoil(&mut answer);
        self.served.push(Served {
            id_back,
            id_fwd,
            layers: hop.layers(),
            cipher: TunnelCipher::endpoint(hop.endpoint_keys().k0),
            hop,
            exchanged: false,
        });
        self.control(&Control::WalkAnswer(Box::new(answer)));
    }

    /// Sends a cell as the endpoint of a tunnel.
    pub fn as_endpoint(&mut self, which: usize, cell: &Cell) {
        let Some(served) = self.served.get_mut(which) else {
            return;
        };
        let mut bytes = [0; 1_200];
        let body = frame::cell_body_mut(&mut bytes);
        let mut nonce = served.cipher.seal(cell, body);
        served.layers.back(&mut nonce, body);
        frame::set_cell_header(&mut bytes, served.id_back, nonce);
        self.send(&bytes);
    }

    pub(super) fn cell(&mut self, id: TunnelId, bytes: &mut FrameBytes) {
        let mut nonce = frame::cell_nonce(bytes);
        let body = frame::cell_body_mut(bytes);
        if let Some(at) = self.masters.iter().position(|master| master.id_back == id) {
            let master = &mut self.masters[at];
            if let Some((opened, told, _, cipher)) = &mut master.opened {
                for layer in &opened.layers {
                    layer.undo_back(&mut nonce, body);
                }
                if let Ok(Cell::Exchanged {
                    sealed,
                    confirmation,
                    ..
                }) = cipher.open(nonce, body)
                    && let Some((oaep_m, seed_m)) = &master.pending
                {
                    let transcript = Transcript {
                        element: &opened.element,
                        reply: &opened.reply,
                        endpoint_spki: &told.spki,
                        master_spki: &self.rsa.public,
                        oaep_m,
                        oaep_e: &sealed,
                    };
                    let seed_e = self.rsa.private.open(&sealed, [0; 32]);
                    let (keys, expected) =
                        session_keys(&opened.shared, &transcript, seed_m, &seed_e);
                    if expected == confirmation {
                        cipher.set_session(keys);
                        master.confirmed = true;
                    }
                }
            }
        } else if let Some(at) = self.served.iter().position(|served| served.id_fwd == id) {
            let served = &mut self.served[at];
            served.layers.forward(&mut nonce, body);
            if let Ok(cell) = served.cipher.open(nonce, body)
                && self.answers
            {
                self.answer(at, cell);
            }
        }
    }

    fn answer(&mut self, at: usize, cell: Cell) {
        let answer = match cell {
            Cell::Exchange {
                number,
                spki,
                sealed,
            } => {
                let seed_m = self.rsa.private.open(&sealed, [0; 32]);
                let (seed_e, sealing) = (self.rng.random(), self.rng.random());
                let Ok(oaep_e) = StandIn.seal(&spki, &seed_e, sealing) else {
                    return;
                };
                let served = &mut self.served[at];
                let transcript = Transcript {
                    element: served.hop.element(),
                    reply: served.hop.reply(),
                    endpoint_spki: &self.rsa.public,
                    master_spki: &spki,
                    oaep_m: &sealed,
                    oaep_e: &oaep_e,
                };
                let (keys, confirmation) =
                    session_keys(served.hop.shared(), &transcript, &seed_m, &seed_e);
                served.cipher.set_session(keys);
                served.exchanged = true;
                Cell::Exchanged {
                    number,
                    sealed: Box::new(oaep_e),
                    confirmation,
                }
            }
            Cell::SetGate { number, .. } => Cell::GateSet { number },
            Cell::Advertise { number, .. } => Cell::Advertised { number },
            Cell::Seeds { number } => Cell::SeedsAnswer {
                number,
                contacts: vec![sized::<120>(&number.to_be_bytes()).to_vec()],
            },
            Cell::Echo { number, data } => Cell::Echoed { number, data },
            Cell::Close { number } => Cell::Closed { number },
            Cell::Describe { number, .. } => Cell::Described {
                number,
                descriptor: Some(Box::new(*self.shown.bytes())),
            },
            _ => return,
        };
        self.as_endpoint(at, &answer);
    }
}

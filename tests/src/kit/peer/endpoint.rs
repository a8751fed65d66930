//! Tunnels that end at a peer.

use deut_transport::{
    crypto::{
        answer::EndpointAnswer,
        exchange::{Transcript, session_keys},
        layer::LayerKeys,
        tunnel::TunnelCipher,
        walk::Hop,
    },
    ids::{Gate, TunnelId},
    packet::MESSAGE_DATAGRAM,
    rsa::{OAEP_LEN, RsaSuite, SPKI_LEN},
    wire::{
        cell::Cell,
        frame::{CELL_BODY, Control, WALK_BLOCK, WalkAnswer, WalkRequest},
    },
};
use rand::{Rng, RngExt};

use super::{Fault, Peer, framed};
use crate::{kit::net::START_UNIX, stand_in::StandIn};

/// One of them.
pub struct Served {
    /// What the peer chose for cells from the master.
    pub id_fwd: TunnelId,
    id_back: TunnelId,
    hop: Hop,
    layers: LayerKeys,
    cipher: TunnelCipher,
    /// As the master set them.
    gates: [Option<Gate>; 2],
}

impl Served {
    /// Whether an exchange was answered.
    #[must_use]
    pub fn exchanged(&self) -> bool {
        self.cipher.has_session()
    }
}

impl Peer {
    /// Answers a walk request that waits, as its endpoint; `spoil` may change the answer.
    pub fn serve(&mut self, which: usize, spoil: impl FnOnce(&mut WalkAnswer)) {
        if let Some(request) = self.asked.get(which).copied() {
            self.end(request, Fault::None, spoil);
        }
    }

    pub(super) fn end(
        &mut self,
        WalkRequest { id_back, element }: WalkRequest,
        fault: Fault,
        spoil: impl FnOnce(&mut WalkAnswer),
    ) {
        let Ok(hop) = Hop::take(&element, &mut self.rng) else {
            return;
        };
        let mut block = [0; WALK_BLOCK];
        self.rng.fill_bytes(&mut block);
        let mut sealed = fault.answer(self, &hop, &mut block);
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
            id_fwd,
            id_back,
            layers: hop.layers(),
            cipher: TunnelCipher::endpoint(hop.endpoint_keys().k0),
            hop,
            gates: [None; 2],
        });
        self.control(&Control::WalkAnswer(Box::new(answer)));
    }

    /// What it tells masters about itself.
    pub(super) fn endpoint_answer(&self) -> EndpointAnswer {
        let mut address = self.address;
        address.set_port(5_001);
        EndpointAnswer {
            descriptor: self.own(),
            spki: self.rsa.public.clone(),
            address,
            families: 1,
            expiry: START_UNIX as u32 + 800,
        }
    }

    /// Sends a cell as the endpoint of a tunnel.
    pub fn as_endpoint(&mut self, which: usize, cell: &Cell) {
        if let Some(served) = self.served.get_mut(which) {
            let frame = framed(served.id_back, cell, &mut served.cipher, |nonce, body| {
                served.layers.back(nonce, body);
            });
            self.send(&frame);
        }
    }

    /// Takes in what came for one of its tunnels' gates; whether one of them has it.
    pub fn deliver(&mut self, datagram: &[u8; MESSAGE_DATAGRAM]) -> bool {
        let gate = datagram.first_chunk().copied().map(Gate);
        let mut served = self.served.iter();
        let found = served.position(|served| gate.is_some() && served.gates.contains(&gate));
        if let Some(which) = found {
            let datagram = Box::new(*datagram);
            self.as_endpoint(which, &Cell::Deliver { datagram });
        }
        found.is_some()
    }

    /// A cell for one of its endpoints.
    pub(super) fn cell_for_endpoint(
        &mut self,
        id: TunnelId,
        nonce: &mut [u8; 16],
        body: &mut [u8; CELL_BODY],
    ) {
        let Some(which) = self.served.iter().position(|served| served.id_fwd == id) else {
            return;
        };
        let served = &mut self.served[which];
        served.layers.forward(nonce, body);
        let opened = served.cipher.open(*nonce, body).ok();
        let answer = opened
            .filter(|_| self.answers)
            .and_then(|cell| self.answer(which, cell));
        if let Some(answer) = answer {
            self.as_endpoint(which, &answer);
        }
    }

    fn answer(&mut self, which: usize, cell: Cell) -> Option<Cell> {
        Some(match cell {
            Cell::Exchange {
                number,
                spki,
                sealed,
            } => self.exchanged(which, number, &spki, &sealed)?,
            Cell::SetGate { number, slot, gate } => {
                let gate = Some(gate).filter(|gate| gate.0 != [0; 8]);
                *self.served[which].gates.get_mut(usize::from(slot))? = gate;
                Cell::GateSet { number }
            }
            Cell::Advertise { number, .. } => Cell::Advertised { number },
            Cell::Seeds { number } => {
                let mut contact = vec![0; 120];
                contact[..4].copy_from_slice(&number.to_be_bytes());
                Cell::SeedsAnswer {
                    number,
                    contacts: vec![contact],
                }
            }
            Cell::Echo { number, data } => {
                self.echoed.push(self.served[which].id_fwd);
                Cell::Echoed { number, data }
            }
            Cell::Close { number } => Cell::Closed { number },
            Cell::Describe { number, .. } => Cell::Described {
                number,
                descriptor: Some(Box::new(*self.own().bytes())),
            },
            Cell::Send { to, datagram } => {
                self.sent.push((self.served[which].id_fwd, to, datagram));
                return None;
            }
            _ => return None,
        })
    }

    /// Its part of an exchange.
    fn exchanged(
        &mut self,
        which: usize,
        number: u32,
        master_spki: &[u8; SPKI_LEN],
        oaep_m: &[u8; OAEP_LEN],
    ) -> Option<Cell> {
        let seed_m = self.rsa.private.open(oaep_m, [0; 32]);
        let (seed_e, sealing) = (self.rng.random(), self.rng.random());
        let to: &[u8; SPKI_LEN] = match self.ends {
            Some(Fault::SealsToAnother) => &self.rsa.public,
            _ => master_spki,
        };
        let oaep_e = StandIn.seal(to, &seed_e, sealing).ok()?;
        let Served { hop, cipher, .. } = &mut self.served[which];
        let transcript = Transcript {
            element: hop.element(),
            reply: hop.reply(),
            endpoint_spki: &self.rsa.public,
            master_spki,
            oaep_m,
            oaep_e: &oaep_e,
        };
        let (keys, confirmation) = session_keys(hop.shared(), &transcript, &seed_m, &seed_e);
        cipher.set_session(keys);
        Some(Cell::Exchanged {
            number,
            sealed: Box::new(oaep_e),
            confirmation,
        })
    }
}

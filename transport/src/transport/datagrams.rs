//! Datagrams, by port and kind.

use std::{net::SocketAddr, sync::Arc};

use super::Transport;
use crate::observe::Direction;
use crate::{
    crypto::session::plaintext,
    drop_reason::DropReason,
    ids::{PoolId, Port},
    links::LinkEvent,
    packet::Packet,
    policy::Profile,
    relayer::routes::Route,
    wire::{
        datagram::{self, Datagram, Kind},
        frame::{self, Frame},
    },
};

impl Transport {
    /// `Ok(Some(address))`: the packet is to be sent on from the relay port.
    pub(super) fn on_datagram(
        &mut self,
        at: Port,
        from: SocketAddr,
        packet: &mut Packet,
    ) -> Result<Option<SocketAddr>, DropReason> {
        if self.master.is_shutting_down() {
            return Err(DropReason::ShuttingDown);
        }
        match at {
            Port::Relay => self.on_relay_datagram(from, packet),
            Port::Endpoint(token) => {
                let own = self.descriptor.as_ref().ok_or(DropReason::NotARelay)?;
                self.endpoint.on_datagram(
                    &mut self.cx,
                    &mut self.links,
                    own,
                    (token, from),
                    packet.bytes(),
                )?;
                Ok(None)
            }
        }
    }

    fn on_relay_datagram(
        &mut self,
        from: SocketAddr,
        packet: &mut Packet,
    ) -> Result<Option<SocketAddr>, DropReason> {
        let datagram = packet.as_relay_mut().ok_or(DropReason::BadLength)?;
        match Kind::of(datagram).ok_or(DropReason::UnknownKind)? {
            Kind::Session => return self.on_session(packet),
            Kind::WhoAreYou => self.on_question(from, datagram)?,
            Kind::WhoAreYouAnswer => {
                let events = self.directory.on_answer(&mut self.cx, from, datagram)?;
                self.on_directory_events(events);
            }
            Kind::HandshakeInit => {
                self.links.on_initiation(&mut self.cx, from, datagram)?;
            }
            Kind::HandshakeAnswer => {
                if let Some(event) = self.links.on_answer(&mut self.cx, datagram)? {
                    self.on_link_events(vec![event]);
                }
            }
        }
        Ok(None)
    }

    /// Stateless: the answer is as long as the question and costs two signatures.
    fn on_question(&mut self, from: SocketAddr, question: &Datagram) -> Result<(), DropReason> {
        let own = self.descriptor.as_ref().ok_or(DropReason::NotARelay)?;
        let source = match self.cx.config.policy.profile {
            Profile::Production => SocketAddr::new(from.ip(), 0),
            Profile::Test => from,
        };
        let now = self.cx.mono();
        if !self.questions_per_source.take(source, now) || !self.questions.take(now) {
            return Err(DropReason::RateLimited);
        }
        let asked = datagram::parse_who_are_you(question);
        let mut answer =
            datagram::who_are_you_answer(&self.keys, own, &asked.nonce, from, &mut self.cx.secrets);
        datagram::put_time(&mut answer, &self.keys, self.cx.now.unix);
        self.cx
            .transmit(Port::Relay, from, Packet::copy_of(&answer));
        Ok(())
    }

    fn on_session(&mut self, packet: &mut Packet) -> Result<Option<SocketAddr>, DropReason> {
        let datagram = packet.as_relay_mut().ok_or(DropReason::BadLength)?;
        let opened = self.links.open(&mut self.cx, datagram)?;
        self.cx.observers.frame_opened(plaintext(datagram));
        if opened.up {
            self.on_link_events(vec![LinkEvent::Up(opened.link)]);
        }
        let decoded = frame::decode(plaintext(datagram))?;
        let Frame::Cell { id } = decoded else {
            let decoded = super::frames::own(decoded);
            return self.on_frame(opened.link, decoded).map(|()| None);
        };
        match self
            .routes
            .get(opened.link, id)
            .ok_or(DropReason::UnknownTunnel)?
        {
            route @ (Route::Forward(_) | Route::Back(_)) => {
                let next = self.relays.pass(self.cx.now.mono, route, packet)?;
                self.links.seal(&mut self.cx, next, packet).map(Some)
            }
            Route::Served(id) => {
                let outcome = self.endpoint.on_cell(
                    &mut self.cx,
                    &mut self.links,
                    &self.directory,
                    id,
                    packet,
                );
                self.cx
                    .observers
                    .cell_judged(Direction::FromMaster, &outcome);
                self.on_cell_outcome(id, outcome?).map(|()| None)
            }
            Route::Master(handle) => {
                let mut parts = self.master_parts();
                let events = parts.master.on_cell(&mut parts.net, handle, packet);
                self.cx.observers.cell_judged(Direction::ToMaster, &events);
                self.on_master_events(events?).map(|()| None)
            }
            Route::Walk(_) => Err(DropReason::UnknownTunnel),
        }
    }

    /// Relays that were verified, left, or cannot be used.
    pub(super) fn on_directory_events(&mut self, events: Vec<crate::directory::DirectoryEvent>) {
        use crate::{directory::DirectoryEvent, io::Event, timers::Timer};
        for event in events {
            match event {
                DirectoryEvent::Verified { descriptor, new } => {
                    if new {
                        self.directory
                            .spread(&mut self.cx, &self.links, descriptor.id());
                    }
                    self.link_if_wanted(&descriptor);
                    for pool in PoolId::BOTH {
                        self.cx
                            .timers
                            .set_earlier(Timer::Pool(pool), self.cx.now.mono);
                    }
                }
                DirectoryEvent::Left => {}
                DirectoryEvent::Trouble(address, trouble) => {
                    self.cx.event(Event::Bootstrap { address, trouble })
                }
            }
        }
    }

    /// Bootstrap peers are dialled at once, others only while few links stand: gossip needs some.
    fn link_if_wanted(&mut self, descriptor: &Arc<crate::wire::descriptor::Descriptor>) {
        const FEW: usize = 3;
        let listed = self
            .directory
            .bootstrap
            .relays()
            .any(|relay| relay == descriptor.id());
        if listed || self.links.len() < FEW {
            self.links
                .dial(&mut self.cx, self.descriptor.as_ref(), descriptor);
        }
    }
}

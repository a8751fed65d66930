//! Timers and what sub-machines tell each other.

use super::Transport;
use crate::{
    calls::Carrier,
    drop_reason::DropReason,
    ids::{Gate, JobTicket, LinkHandle, PoolId, PortToken, TunnelHandle},
    io::{Event, PortError},
    links::{ControlToken, LinkEvent},
    master::{MasterEvent, Recipient},
    packet::MESSAGE_DATAGRAM,
    rsa::JobResult,
    timers::Timer,
    wire::bytes::part,
};

/// Timers served in one call, so that a clock that jumped cannot hold the driver.
const TIMERS_AT_ONCE: usize = 10_000;

impl Transport {
    pub(super) fn on_timeout(&mut self) {
        for _ in 0..TIMERS_AT_ONCE {
            let Some(timer) = self.cx.timers.pop_due(self.cx.now.mono) else {
                return;
            };
            self.on_timer(timer);
        }
    }

    fn on_timer(&mut self, timer: Timer) {
        let (cx, links, routes) = (&mut self.cx, &mut self.links, &mut self.routes);
        let master = &mut self.master;
        match timer {
            Timer::Link(link) => {
                let events = links.on_timer(cx, self.descriptor.as_ref(), link);
                self.on_link_events(events);
            }
            Timer::LinkProbe(link) => links.on_probe_timer(cx, link),
            Timer::Gossip(link) => self.directory.on_gossip_timer(cx, links, link),
            Timer::Directory => {
                let events = self.directory.on_timer(cx);
                self.on_directory_events(events);
            }
            Timer::Bootstrap => self.directory.on_bootstrap_timer(cx),
            Timer::Walk(id) => self.on_walk_timer(id),
            Timer::Relayed(id) => self.relays.on_timer(cx, links, routes, id),
            Timer::Served(id) => self.endpoint.on_timer(cx, links, routes, id),
            Timer::Ports => self.endpoint.on_ports_timer(cx),
            Timer::Hello(to) => self.endpoint.on_hello_timer(cx, to),
            Timer::Tunnel(handle) => {
                self.step_master(|master, net| master.on_timer(net, handle));
            }
            Timer::Pool(pool) => self.tend(pool),
            Timer::Call(ticket) => self
                .calls
                .on_timer(&mut Carrier { cx, master, links }, ticket),
            Timer::Group(group) => {
                self.calls
                    .on_group_timer(&mut Carrier { cx, master, links }, group);
            }
            Timer::Requests => self.requests.on_timer(cx),
            Timer::Descriptor => self.issue_descriptor(),
            Timer::Persist => self.directory.persist(cx),
        }
    }

    pub(super) fn tend(&mut self, pool: PoolId) {
        let mut parts = self.master_parts();
        let relays = parts.directory.len();
        let events = parts.master.tend(&mut parts.net, parts.walks, pool, relays);
        self.count(|this| this.on_master_events(events));
    }

    pub(super) fn on_link_events(&mut self, events: Vec<LinkEvent>) {
        for event in events {
            match event {
                LinkEvent::Up(link) => self.on_link_up(link),
                LinkEvent::Dead {
                    link,
                    relay,
                    silent,
                } => {
                    self.directory.link_down(link);
                    if let Some(relay) = relay.filter(|_| silent) {
                        let left = self.directory.silent(&mut self.cx, relay);
                        self.on_directory_events(left.into_iter().collect());
                    }
                    for route in self.routes.on_link(link) {
                        self.close_route(route, link);
                    }
                }
                LinkEvent::ControlFailed(_, ControlToken::Walk(walk)) => {
                    if let Some(relay) = self.walks.asked(walk) {
                        let left = self.directory.silent(&mut self.cx, relay);
                        self.on_directory_events(left.into_iter().collect());
                    }
                    self.retry_walk(walk);
                }
                LinkEvent::ControlFailed(_, ControlToken::Nobody | ControlToken::Probe) => {}
            }
        }
    }

    fn on_link_up(&mut self, link: LinkHandle) {
        self.directory.link_up(&mut self.cx, &mut self.links, link);
        let presented = self
            .links
            .get_mut(link)
            .and_then(|link| link.presented.take());
        if let Some(descriptor) = presented {
            self.links.name(link, &descriptor);
            let considered = self.directory.consider_decoded(&mut self.cx, &descriptor);
            self.count(|_| considered);
        }
    }

    pub(super) fn on_master_events(
        &mut self,
        events: impl IntoIterator<Item = MasterEvent>,
    ) -> Result<(), DropReason> {
        let mut result = Ok(());
        for event in events {
            match event {
                MasterEvent::ReplyGate => {
                    let (cx, master, links) = (&mut self.cx, &mut self.master, &mut self.links);
                    self.calls
                        .tunnels_changed(&mut Carrier { cx, master, links });
                }
                MasterEvent::Down(handle) => self.calls.tunnel_down(handle),
                MasterEvent::Message(via, datagram) => result = self.on_message(via, &datagram),
                MasterEvent::Addresses => {
                    let addresses = self.master.addresses(&self.cx);
                    self.cx.event(Event::OwnAddresses(addresses));
                }
            }
        }
        result
    }

    /// A message came out of a tunnel of ours.
    fn on_message(
        &mut self,
        via: TunnelHandle,
        datagram: &[u8; MESSAGE_DATAGRAM],
    ) -> Result<(), DropReason> {
        let (cx, master, links) = (&mut self.cx, &mut self.master, &mut self.links);
        let gate = Gate(*part::<0, 8, _>(datagram));
        match master.recipient(via, gate)? {
            Recipient::Caller => self.calls.on_response(cx, via, datagram),
            Recipient::Persona => {
                let carrier = &mut Carrier { cx, master, links };
                self.requests.on_request(carrier, via, datagram)
            }
        }
    }

    pub(super) fn on_port_opened(&mut self, token: PortToken, result: Result<(), PortError>) {
        let Some(own) = &self.descriptor else { return };
        let (cx, links, routes) = (&mut self.cx, &mut self.links, &mut self.routes);
        if let Some(walk) = self
            .endpoint
            .on_port_opened(cx, links, routes, own, (token, result))
        {
            self.answer_unopenable(&walk);
        }
    }

    pub(super) fn on_job(&mut self, ticket: JobTicket, result: &JobResult) {
        if self
            .endpoint
            .on_job(&mut self.cx, &mut self.links, ticket, result)
        {
            return;
        }
        let mut parts = self.master_parts();
        match parts.master.on_job(&mut parts.net, ticket, result) {
            Some(events) => self.count(|this| this.on_master_events(events)),
            None => self.cx.drops.count(DropReason::StaleJob),
        }
    }
}

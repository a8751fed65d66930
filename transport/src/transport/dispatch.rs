//! Timers, jobs, and news of the master and of walks for the other roles.

use super::Transport;
use crate::{
    drop_reason::DropReason,
    ids::{Gate, JobTicket, PoolId, TunnelHandle, WalkId},
    io::Event,
    master::{MasterEvent, Recipient},
    packet::MESSAGE_DATAGRAM,
    rsa::JobResult,
    timers::Timer,
    wire::bytes::part,
};

/// Number of timers served in one call, so that a clock that jumped cannot stop the driver.
const TIMERS_AT_ONCE: usize = 10_000;

impl Transport {
    pub(super) fn on_timeout(&mut self) {
        for _ in 0..TIMERS_AT_ONCE {
            let now = self.net.cx.now.mono;
            let Some(timer) = self.net.cx.timers.pop_due(now) else {
                return;
            };
            self.on_timer(timer);
        }
    }

    fn on_timer(&mut self, timer: Timer) {
        let net = &mut self.net;
        let (cx, links, directory) = (&mut net.cx, &mut net.links, &mut net.directory);
        match timer {
            Timer::Link(link) => {
                let events = links.on_timer(cx, net.own.descriptor(), link);
                self.on_link_events(events);
            }
            Timer::LinkProbe(link) => links.on_probe_timer(cx, link),
            Timer::Gossip(link) => directory.on_gossip_timer(cx, links, link),
            Timer::Directory => net.on_directory_timer(),
            Timer::Bootstrap => directory.on_bootstrap_timer(cx),
            Timer::Persist => directory.persist(cx),
            Timer::Descriptor => net.own.issue(cx),
            Timer::Walk(id) => {
                let failed = self.walks.on_timer(net, &mut self.endpoint, id);
                self.walk_failed(failed);
            }
            Timer::Relayed(id) => self.relayer.on_timer(net, id),
            Timer::Served(id) => self.endpoint.on_timer(net, id),
            Timer::Ports => self.endpoint.on_ports_timer(cx),
            Timer::Hello(to) => self.endpoint.on_hello_timer(cx, to),
            Timer::Tunnel(handle) => {
                let events = self.master.on_timer(net, handle);
                self.carry_on(events);
            }
            Timer::Pool(pool) => self.tend(pool),
            Timer::Call(ticket) => {
                let (calls, _, mut carrier) = self.messages();
                calls.on_timer(&mut carrier, ticket);
            }
            Timer::Group(group) => {
                let (calls, _, mut carrier) = self.messages();
                calls.on_group_timer(&mut carrier, group);
            }
            Timer::Requests => self.requests.on_timer(cx),
        }
    }

    pub(super) fn tend(&mut self, pool: PoolId) {
        let events = self.master.tend(&mut self.net, &mut self.walks, pool);
        self.carry_on(events);
    }

    pub(super) fn retry_walk(&mut self, id: WalkId) {
        let failed = self.walks.retry(&mut self.net, &mut self.endpoint, id);
        self.walk_failed(failed);
    }

    fn walk_failed(&mut self, tunnel: Option<TunnelHandle>) {
        if let Some(handle) = tunnel {
            self.master.walk_failed(&mut self.net.cx, handle);
        }
    }

    pub(super) fn on_job(&mut self, ticket: JobTicket, result: &JobResult) {
        let net = &mut self.net;
        if self.endpoint.on_job(net, ticket, result) {
            return;
        }
        match self.master.on_job(net, ticket, result) {
            Some(events) => self.carry_on(events),
            None => net.cx.drops.count(DropReason::StaleJob),
        }
    }

    /// News of the master outside the path of datagrams. Whatever is discarded is only counted.
    pub(super) fn carry_on(&mut self, events: impl IntoIterator<Item = MasterEvent>) {
        if let Err(reason) = self.on_master_events(events) {
            self.net.cx.drops.count(reason);
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
                    let (calls, _, mut carrier) = self.messages();
                    calls.tunnels_changed(&mut carrier);
                }
                MasterEvent::Down(handle) => self.calls.tunnel_down(handle),
                MasterEvent::Message(via, datagram) => result = self.on_message(via, &datagram),
                MasterEvent::Addresses => {
                    let addresses = self.master.addresses(&self.net.cx);
                    self.net.cx.event(Event::OwnAddresses(addresses));
                }
            }
        }
        result
    }

    /// A message came out of one of our tunnels.
    fn on_message(
        &mut self,
        via: TunnelHandle,
        datagram: &[u8; MESSAGE_DATAGRAM],
    ) -> Result<(), DropReason> {
        let gate = Gate(*part::<0, 8, _>(datagram));
        let recipient = self.master.recipient(via, gate)?;
        let (calls, requests, mut carrier) = self.messages();
        match recipient {
            Recipient::Caller => calls.on_response(&mut carrier.net.cx, via, datagram),
            Recipient::Persona => requests.on_request(&mut carrier, via, datagram),
        }
    }
}

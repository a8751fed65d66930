//! The tunnels of this node, as their master: built, kept alive, replaced before their end (protocol §6 and §7).
//!
//! A tunnel begins as a walk ([`builds`]). Once that is answered it is [`exchanging`], then [`confirmed`], then [`up`]: each state
//! is a type that the one before turns into. [`Master`] finds the tunnel and passes news of one part on to the others.

mod barren;
mod builds;
mod confirmed;
mod demand;
mod events;
mod exchanging;
mod keys;
mod life;
mod line;
mod liveness;
mod offer;
mod path;
mod persona;
mod pool;
mod readiness;
mod replacement;
mod reply;
mod requests;
mod seeds;
mod table;
mod up;

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc};

use deut_common::{
    ids::RelayId,
    time::{Mono, Unix},
};

use crate::{
    config::Limits,
    context::Context,
    drop_reason::DropReason,
    ids::{CallGroup, Gate, JobTicket, LinkHandle, PoolId, TunnelHandle},
    io::{DownReason, Event, TunnelChange},
    keys::OpeningKey,
    net::Net,
    per_pool::PerPool,
    rsa::{JobResult, RsaSuite},
    status::{Readiness, Size, TunnelView},
    timers::Timer,
    walks::{Walked, Walks},
    wire::{cell::Cell, descriptor::Descriptor, frame::FrameBytes},
};
use builds::Builds;
use demand::Demand;
pub(crate) use events::{MasterEvent, Recipient};
use exchanging::reaction;
use persona::Persona;
pub(crate) use readiness::Around;
use readiness::Standing;
use requests::{Answered, Overdue, Purpose};
use seeds::Seeds;
use table::{Tunnel, Tunnels};
pub(crate) use up::Up;

pub(crate) struct Master {
    builds: Builds,
    tunnels: Tunnels,
    persona: Persona,
    seeds: PerPool<Seeds>,
    shutting_down: bool,
}

impl Master {
    /// `ourselves` is the id of this node's relay, if it is one.
    pub(crate) fn new(suite: Arc<dyn RsaSuite>, ourselves: Option<RelayId>) -> Self {
        Self {
            builds: Builds::new(suite, ourselves),
            tunnels: Tunnels::default(),
            persona: Persona::default(),
            seeds: PerPool::default(),
            shutting_down: false,
        }
    }

    fn len(&self) -> usize {
        self.tunnels.len() + self.builds.len()
    }

    /// The numbers of own tunnels and RSA keys, with their caps.
    pub(crate) fn sizes(&self, limits: &Limits) -> [Size; 2] {
        let tunnels = limits.own_tunnels + 2 * limits.builds_at_once;
        let keys = limits.keys_in_store.max(8) + 8;
        [
            ("own tunnels", self.len(), tunnels),
            ("keys in store", self.builds.keys().len(), keys),
        ]
    }

    pub(crate) const fn is_shutting_down(&self) -> bool {
        self.shutting_down
    }

    /// All tunnels, oldest first, including those that are not up yet.
    pub(crate) fn views(&self, now: Mono) -> Vec<TunnelView> {
        self.tunnels.views(now)
    }

    /// The tunnel, if it is up.
    pub(crate) fn up(&self, handle: TunnelHandle) -> Option<&Up> {
        self.tunnels.up(handle)
    }

    /// Tunnels of a pool that messages may use now: the proven ones or, if there are none, the others.
    pub(crate) fn usable(&self, pool: PoolId) -> Vec<TunnelHandle> {
        self.tunnels.usable(pool)
    }

    pub(crate) const fn persona(&self) -> Option<&OpeningKey> {
        self.persona.secret()
    }

    /// The persona's addresses, each with the time at which it ends.
    pub(crate) fn addresses(&self, cx: &Context) -> Vec<(SocketAddr, Unix)> {
        self.tunnels.addresses(cx)
    }

    /// The node's readiness for lookups, with the reasons if it is not ready.
    pub(crate) fn readiness(&self, cx: &Context, around: &Around) -> Readiness {
        let standing = Standing {
            shutting_down: self.shutting_down,
            up: self.tunnels.proven(PoolId::Lookup),
            wanted: self.demand(around.relays).wanted(cx, PoolId::Lookup),
            doubted: self.tunnels.some_are_doubted(),
            builds_fail: self.builds.pool(PoolId::Lookup).keeps_failing(),
        };
        around.readiness(cx, &standing)
    }

    // Messages, which calls send and receive.

    /// Sends a message through a tunnel.
    pub(crate) fn send(
        &mut self,
        net: &mut Net,
        handle: TunnelHandle,
        message: &Cell,
    ) -> Result<(), DropReason> {
        let up = self.tunnels.up_mut(handle);
        up.ok_or(DropReason::UnknownTunnel)?.line.send(net, message)
    }

    /// The recipient of a message that came through this tunnel, given its gate.
    pub(crate) fn recipient(&self, via: TunnelHandle, gate: Gate) -> Result<Recipient, DropReason> {
        let tunnel = self.tunnels.get(via).ok_or(DropReason::UnknownTunnel)?;
        tunnel.recipient(gate)
    }

    /// From now on the tunnel brings the answers of this group.
    pub(crate) fn serve(&mut self, handle: TunnelHandle, group: CallGroup) {
        if let Some(up) = self.tunnels.up_mut(handle) {
            up.serve(group);
        }
    }

    /// A group ended: its reply tunnels get new gates.
    pub(crate) fn renew_replies(&mut self, net: &mut Net, group: CallGroup) {
        let served = |up: &&mut Up| up.reply().group() == Some(group);
        for up in self.tunnels.ups_mut().filter(served) {
            up.renew_reply(net);
        }
    }

    /// A message over this tunnel was not answered: tests whether the tunnel is alive.
    pub(crate) fn doubt(&mut self, net: &mut Net, handle: TunnelHandle) {
        if let Some(up) = self.tunnels.up_mut(handle) {
            up.ask_if_alive(net);
        }
    }

    // Commands of the application.

    /// Switches the persona. The tunnels of the old one end, since their addresses link them to it.
    pub(crate) fn set_persona(
        &mut self,
        net: &mut Net,
        secret: Option<OpeningKey>,
    ) -> Vec<MasterEvent> {
        if !self.persona.switch(secret) {
            return Vec::new();
        }
        let pool = PoolId::Persona;
        self.builds.forget(pool);
        let mut events = Vec::new();
        for handle in self.tunnels.handles(Some(pool)) {
            events.extend(self.close(net, handle));
        }
        net.cx.timers.set_earlier(Timer::Pool(pool), net.cx.mono());
        events
    }

    /// Sends the persona's newest contact to all its endpoints.
    pub(crate) fn advertise(&mut self, net: &mut Net, contact: Vec<u8>) {
        self.persona.set_contact(contact);
        for up in self.tunnels.ups_mut() {
            if up.pool() == PoolId::Persona {
                up.advertise(net, self.persona.contact());
            }
        }
    }

    /// Asks some tunnels of a pool for contacts now, and others as they come up.
    pub(crate) fn want_seeds(&mut self, net: &mut Net, pool: PoolId) {
        self.seeds.get_mut(pool).want(net, &mut self.tunnels, pool);
    }

    /// Replaces one tunnel of a pool by another, which may end elsewhere.
    pub(crate) fn move_on(&mut self, cx: &mut Context, pool: PoolId) -> Option<MasterEvent> {
        let (handle, stays_ms) = replacement::to_move(cx, &self.tunnels, pool)?;
        self.tunnels.up_mut(handle)?.give_way(cx, stays_ms);
        MasterEvent::addresses_of(pool)
    }

    /// Sends an echo through every tunnel that is up.
    pub(crate) fn echo_all(&mut self, net: &mut Net) {
        for up in self.tunnels.ups_mut() {
            up.request(net, Purpose::Echo { told: true });
        }
    }

    /// Ends all tunnels politely and builds no more.
    pub(crate) fn shut_down(&mut self, net: &mut Net) {
        self.shutting_down = true;
        for handle in self.tunnels.handles(None) {
            self.close(net, handle);
        }
    }

    /// We could not act for a while, so any tunnel may be gone: each has to answer before it counts again. Returns the links to
    /// their first hops.
    pub(crate) fn doubt_all(&mut self, cx: &mut Context) -> BTreeSet<(LinkHandle, RelayId)> {
        let links = self.tunnels.ups_mut().map(|up| up.doubt(cx)).collect();
        for pool in PoolId::BOTH {
            cx.timers.set_earlier(Timer::Pool(pool), cx.mono());
        }
        links
    }

    // Builds, up to the exchange of keys.

    const fn demand(&self, relays: usize) -> Demand<'_> {
        Demand {
            builds: &self.builds,
            tunnels: &self.tunnels,
            persona: &self.persona,
            shutting_down: self.shutting_down,
            relays,
        }
    }

    /// Starts builds as far as keys, caps and pauses allow, closes surplus suspects, and plans early replacements.
    pub(crate) fn tend(
        &mut self,
        net: &mut Net,
        walks: &mut Walks,
        pool: PoolId,
    ) -> Vec<MasterEvent> {
        let relays = net.directory.len();
        let mut events = Vec::new();
        for handle in replacement::surplus_suspects(&self.tunnels, pool) {
            events.extend(self.down(net, handle, DownReason::Silent));
        }
        let cx = &mut net.cx;
        replacement::replace_outgrown(cx, &mut self.tunnels, pool, relays);
        let demand = self.demand(relays);
        let missing = demand.missing(cx, pool);
        let all_missing = missing + demand.missing(cx, pool.other());
        let first = self.tunnels.of(PoolId::Lookup).count() < cx.config.ready_at;
        self.builds.keys_mut().order(cx, all_missing, first);
        if missing == 0 || relays == 0 {
            return events;
        }
        let at = self.builds.pool_mut(pool).next_build(cx.mono(), relays);
        if at > cx.mono() {
            cx.timers.set_earlier(Timer::Pool(pool), at);
            return events;
        }
        for _ in 0..missing {
            let limits = &cx.config.limits;
            let full = self.demand(relays).building(pool) >= limits.builds_at_once
                || self.len() >= limits.own_tunnels;
            if full || !self.builds.start(cx, walks, pool) {
                break;
            }
        }
        events
    }

    /// One of our walks failed.
    pub(crate) fn walk_failed(&mut self, cx: &mut Context, handle: TunnelHandle) {
        self.builds.walk_failed(cx, handle);
    }

    /// One of our walks was answered. If our directory does not know the endpoint, another endpoint is asked, if there is one.
    pub(crate) fn on_walk_answer(
        &mut self,
        net: &mut Net,
        walked: &Walked,
    ) -> Result<(), DropReason> {
        let mut exchanging = self.builds.answered(net, walked)?;
        let (pool, far) = (exchanging.line.pool(), exchanging.line.far());
        let other = self.tunnels.ending_elsewhere(&mut net.cx, pool, far.relay);
        let other = other.and_then(|other| self.tunnels.up_mut(other));
        match other.filter(|_| !far.known) {
            Some(other) => {
                exchanging.await_check(&mut net.cx);
                let describe = Purpose::Describe {
                    tunnel: walked.handle,
                    relay: far.relay,
                };
                other.request(net, describe);
            }
            None => exchanging.wait(&mut net.cx),
        }
        self.tunnels
            .insert(Tunnel::Exchanging(Box::new(exchanging)));
        Ok(())
    }

    /// The worker finished a job; `None` if the ticket is not ours.
    pub(crate) fn on_job(
        &mut self,
        net: &mut Net,
        ticket: JobTicket,
        result: &JobResult,
    ) -> Option<Vec<MasterEvent>> {
        if self.builds.on_job(&mut net.cx, ticket, result) {
            return Some(Vec::new());
        }
        let exchanging = self.tunnels.awaiting(ticket)?;
        let handle = exchanging.line.handle();
        let session = match result {
            JobResult::Opened(seed_e) => {
                let until = reaction(&mut net.cx);
                exchanging.session(seed_e).map(|session| (session, until))
            }
            JobResult::Refused | JobResult::Key(_) => Err(DropReason::TableFull),
        };
        let (session, until) = match session {
            Ok(confirmed) => confirmed,
            Err(reason) => {
                net.cx.drops.count(reason);
                return Some(self.down(net, handle, DownReason::Closed));
            }
        };
        if let Some(Tunnel::Exchanging(exchanging)) = self.tunnels.remove(handle) {
            let confirmed = exchanging.confirm(session, until);
            self.tunnels.insert(Tunnel::Confirmed(Box::new(confirmed)));
            net.cx.timers.set(Timer::Tunnel(handle), until);
        }
        Some(Vec::new())
    }

    // Cells and time.

    /// A cell came back to its master.
    pub(crate) fn on_cell(
        &mut self,
        net: &mut Net,
        handle: TunnelHandle,
        frame: &mut FrameBytes,
    ) -> Result<Vec<MasterEvent>, DropReason> {
        let tunnel = self.tunnels.get_mut(handle);
        let tunnel = tunnel.ok_or(DropReason::UnknownTunnel)?;
        let cell = tunnel.line_mut().open(frame)?;
        if let Tunnel::Up(up) = tunnel {
            up.liveness_mut().heard(net.cx.mono());
        }
        if let Cell::Deliver { datagram } = cell {
            return Ok(vec![MasterEvent::Message(handle, datagram)]);
        }
        let number = cell.number().ok_or(DropReason::UnexpectedCell)?;
        let answered = tunnel.answered(number)?;
        let events = self.on_answer(net, handle, &answered, cell);
        if let Some(tunnel) = self.tunnels.get_mut(handle) {
            tunnel.line_mut().next_request(net);
            tunnel.plan(&mut net.cx);
        }
        events
    }

    /// The endpoint of this tunnel answered a request.
    fn on_answer(
        &mut self,
        net: &mut Net,
        handle: TunnelHandle,
        answered: &Answered,
        cell: Cell,
    ) -> Result<Vec<MasterEvent>, DropReason> {
        match (&answered.purpose, cell) {
            (Purpose::Exchange { .. }, cell) => {
                let exchanging = self.tunnels.exchanging_mut(handle);
                exchanging
                    .ok_or(DropReason::UnexpectedCell)?
                    .exchanged(&mut net.cx, cell)?;
            }
            (&Purpose::ReplyGate(gate), Cell::GateSet { .. }) => {
                self.on_reply_gate(net, handle, gate);
                return Ok(vec![MasterEvent::ReplyGate]);
            }
            (Purpose::PersonaGate(_), Cell::GateSet { .. }) => {
                if let Some(up) = self.tunnels.up_mut(handle) {
                    up.persona_gate_set();
                }
                return Ok(vec![MasterEvent::Addresses]);
            }
            (Purpose::Seeds, Cell::SeedsAnswer { contacts, .. }) => {
                return Ok(self
                    .on_seeds(&mut net.cx, handle, contacts)
                    .into_iter()
                    .collect());
            }
            (&Purpose::Describe { tunnel, .. }, Cell::Described { descriptor, .. }) => {
                return Ok(self.on_described(net, tunnel, descriptor.as_deref()));
            }
            (&Purpose::Echo { told }, Cell::Echoed { .. }) => {
                let round_trip = Some(net.cx.mono().since(answered.since));
                if told {
                    net.cx.event(Event::Echo { handle, round_trip });
                }
            }
            (Purpose::Advertise(_), Cell::Advertised { .. }) => {}
            (Purpose::Close, Cell::Closed { .. }) => {
                return Ok(self.down(net, handle, DownReason::Expired));
            }
            _ => return Err(DropReason::UnexpectedCell),
        }
        Ok(Vec::new())
    }

    /// A reply gate is open. With its first gate a tunnel is up.
    fn on_reply_gate(&mut self, net: &mut Net, handle: TunnelHandle, gate: Gate) {
        if let Some(up) = self.tunnels.up_mut(handle) {
            return up.reply_gate_set(gate);
        }
        let Some(Tunnel::Confirmed(confirmed)) = self.tunnels.remove(handle) else {
            return;
        };
        let cx = &mut net.cx;
        let mut up = confirmed.up(cx, gate);
        let pool = up.pool();
        cx.counters.walks_succeeded += 1;
        let change = TunnelChange::Up { pool };
        cx.event(Event::Tunnel { handle, change });
        self.builds.pool_mut(pool).succeeded(cx, pool);
        self.seeds.get_mut(pool).ask(net, &mut up);
        if pool == PoolId::Persona {
            self.persona.move_in(net, &mut up);
        }
        self.tunnels.insert(Tunnel::Up(Box::new(up)));
    }

    /// An endpoint told us the contacts that it hosts.
    fn on_seeds(
        &mut self,
        cx: &mut Context,
        handle: TunnelHandle,
        mut contacts: Vec<Vec<u8>>,
    ) -> Option<MasterEvent> {
        let pool = self.tunnels.up(handle)?.pool();
        // If two of our tunnels end at one endpoint, it tells us our own contact.
        if let Some(own) = self.persona.key().filter(|_| pool == PoolId::Persona) {
            contacts.retain(|contact| !contact.starts_with(&own.0));
        }
        if !contacts.is_empty() {
            cx.event(Event::Seeds { pool, contacts });
            return None;
        }
        let moved = self
            .seeds
            .get_mut(pool)
            .none_at(cx, &mut self.tunnels, handle)?;
        MasterEvent::addresses_of(moved)
    }

    /// Another endpoint answered with the descriptor it knows of the endpoint of `handle`.
    fn on_described(
        &mut self,
        net: &mut Net,
        handle: TunnelHandle,
        descriptor: Option<&[u8; Descriptor::LEN]>,
    ) -> Vec<MasterEvent> {
        let exchanging = self.tunnels.exchanging_mut(handle);
        match exchanging.map(|exchanging| exchanging.described(&mut net.cx, descriptor)) {
            Some(Err(reason)) => {
                net.cx.drops.count(reason);
                self.down(net, handle, DownReason::Closed)
            }
            Some(Ok(())) | None => Vec::new(),
        }
    }

    pub(crate) fn on_timer(&mut self, net: &mut Net, handle: TunnelHandle) -> Vec<MasterEvent> {
        let Some(tunnel) = self.tunnels.get_mut(handle) else {
            return Vec::new();
        };
        if tunnel.has_failed(&net.cx) {
            return self.down(net, handle, DownReason::Silent);
        }
        let mut events = Vec::new();
        if let Overdue::GivenUp(purpose) = tunnel.repeat_request(net) {
            events = self.given_up(net, handle, &purpose);
        }
        let Some(tunnel) = self.tunnels.get_mut(handle) else {
            return events;
        };
        if tunnel.on_timer(net) {
            events.extend(MasterEvent::addresses_of(tunnel.line().pool()));
        }
        tunnel.plan(&mut net.cx);
        events
    }

    /// The endpoint did not answer this request.
    fn given_up(
        &mut self,
        net: &mut Net,
        handle: TunnelHandle,
        purpose: &Purpose,
    ) -> Vec<MasterEvent> {
        let mut events = Vec::new();
        match *purpose {
            Purpose::Echo { told: true } => net.cx.event(Event::Echo {
                handle,
                round_trip: None,
            }),
            Purpose::Describe { tunnel, .. } => events = self.on_described(net, tunnel, None),
            _ => {}
        }
        events.extend(self.silent(net, handle));
        if let Some(tunnel) = self.tunnels.get_mut(handle) {
            tunnel.line_mut().next_request(net);
        }
        events
    }

    /// A tunnel does not answer. The last two of a pool stay, as suspects, until others are up.
    fn silent(&mut self, net: &mut Net, handle: TunnelHandle) -> Vec<MasterEvent> {
        if let Some(up) = self.tunnels.up_mut(handle) {
            up.liveness_mut().silent();
            let pool = up.pool();
            net.cx.timers.set_earlier(Timer::Pool(pool), net.cx.mono());
            if self.tunnels.of(pool).count() <= 2 {
                return Vec::new();
            }
        }
        self.down(net, handle, DownReason::Silent)
    }

    // The end of a tunnel.

    /// Asks the endpoint to close and forgets the tunnel.
    fn close(&mut self, net: &mut Net, handle: TunnelHandle) -> Vec<MasterEvent> {
        if let Some(tunnel) = self.tunnels.get_mut(handle) {
            tunnel.line_mut().ask_close(net);
        }
        self.down(net, handle, DownReason::Closed)
    }

    /// Ends a tunnel or its build.
    pub(crate) fn down(
        &mut self,
        net: &mut Net,
        handle: TunnelHandle,
        why: DownReason,
    ) -> Vec<MasterEvent> {
        let Some(tunnel) = self.tunnels.remove(handle) else {
            return Vec::new();
        };
        // The near half of a silent tunnel may still stand: the first hop is told to let it go.
        tunnel.line().leave(net, why == DownReason::Silent);
        let pool = tunnel.line().pool();
        if !tunnel.is_up() {
            self.builds.failed(&mut net.cx, pool);
            return Vec::new();
        }
        let change = TunnelChange::Down { pool, why };
        net.cx.event(Event::Tunnel { handle, change });
        net.cx.timers.set_earlier(Timer::Pool(pool), net.cx.mono());
        let mut events = vec![MasterEvent::Down(handle)];
        events.extend(MasterEvent::addresses_of(pool));
        events
    }
}

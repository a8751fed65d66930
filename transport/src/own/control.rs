//! Requests of a master to its endpoint, one at a time, each with a number (protocol §7.2).

use std::collections::BTreeSet;

use super::{OwnEvent, OwnTunnels, Stage, barren, tunnel::Active};
use crate::{
    api::{DownReason, Event, Mono, PoolId, TunnelHandle},
    crypto::message::gate,
    drop_reason::DropReason,
    ids::{Gate, RelayId},
    links::Links,
    routes::Routes,
    shared::Shared,
    timers::Timer,
    wire::cell::Cell,
};

/// Sends of one request.
const SENDS: u8 = 3;
/// Requests that wait in one tunnel; further ones are refused.
const QUEUE: usize = 8;
/// Endpoints asked for contacts at a time.
const SEEDS_ASKED: usize = 4;
/// Tunnels of one pool that give way at the same time, at most.
const MOVING: usize = 2;

/// Why a request is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The RSA exchange.
    Exchange,
    /// A new reply gate (slot 1).
    ReplyGate(Gate),
    /// The persona's gate (slot 0).
    PersonaGate,
    /// Registers the persona's contact as it is when the request is sent.
    Advertise,
    /// Contacts hosted by the endpoint.
    Seeds,
    /// What the endpoint knows about the endpoint of another tunnel.
    Describe(TunnelHandle, RelayId),
    /// Whether the tunnel is alive; `true`: somebody asked and wants to know the time.
    Echo(bool),
    /// The end.
    Close,
}

/// A request that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) purpose: Purpose,
}

impl OwnTunnels {
    /// Queues a request and sends it when its turn comes.
    pub(super) fn request(
        &mut self,
        sh: &mut Shared,
        links: &mut Links,
        handle: TunnelHandle,
        purpose: Purpose,
    ) {
        let Some(tunnel) = self.tunnels.get_mut(&handle) else {
            return;
        };
        if tunnel.queue.len() < QUEUE {
            tunnel.queue.push_back(Request { purpose });
        }
        self.next_request(sh, links, handle);
    }

    fn next_request(&mut self, sh: &mut Shared, links: &mut Links, handle: TunnelHandle) {
        let Some(tunnel) = self
            .tunnels
            .get_mut(&handle)
            .filter(|tunnel| tunnel.active.is_none())
        else {
            return;
        };
        let Some(request) = tunnel.queue.pop_front() else {
            return;
        };
        let number = tunnel.next_number;
        tunnel.next_number = tunnel.next_number.wrapping_add(1);
        let now = sh.mono();
        tunnel.active = Some(Active {
            number,
            request,
            sends: 0,
            next_at: now,
            since: now,
        });
        self.send_request(sh, links, handle);
    }

    /// Sends the active request (again).
    fn send_request(&mut self, sh: &mut Shared, links: &mut Links, handle: TunnelHandle) {
        let (least, most) = sh.config.times.request_repeat_ms;
        let pause = least + sh.below(most.saturating_sub(least) + 1);
        let now = sh.mono();
        let Some(active) = self
            .tunnels
            .get_mut(&handle)
            .and_then(|tunnel| tunnel.active.as_mut())
        else {
            return;
        };
        active.sends += 1;
        active.next_at = now.plus_ms(pause);
        let again = active.sends > 1;
        let (number, purpose) = (active.number, active.request.purpose);
        if let Some(cell) = self.cell_for(handle, number, purpose)
            && let Err(reason) = self.send(sh, links, handle, &cell)
        {
            sh.drops.count(reason);
        }
        if let Some(tunnel) = self.get(handle).filter(|t| again && t.doubt.is_some()) {
            // What does not answer at once is replaced at once.
            sh.timers.set_earlier(Timer::Pool(tunnel.pool), now);
        }
        self.plan(sh, handle);
    }

    fn cell_for(&self, handle: TunnelHandle, number: u32, purpose: Purpose) -> Option<Cell> {
        let tunnel = self.tunnels.get(&handle)?;
        Some(match purpose {
            Purpose::Exchange => {
                let Stage::Exchanging(exchange) = &tunnel.stage else {
                    return None;
                };
                Cell::Exchange {
                    number,
                    spki: exchange.spki(),
                    sealed: exchange.oaep_m.clone(),
                }
            }
            Purpose::ReplyGate(gate) => Cell::SetGate {
                number,
                slot: 1,
                gate,
            },
            Purpose::PersonaGate => {
                let key = self.persona_key()?;
                Cell::SetGate {
                    number,
                    slot: 0,
                    gate: gate(&key.0, tunnel.answer.address),
                }
            }
            Purpose::Advertise => Cell::Advertise {
                number,
                contact: self.contact.clone(),
            },
            Purpose::Seeds => Cell::Seeds { number },
            Purpose::Describe(_, relay) => Cell::Describe { number, relay },
            Purpose::Echo(_) => Cell::Echo {
                number,
                data: u64::from(number).to_be_bytes(),
            },
            Purpose::Close => Cell::Close { number },
        })
    }

    /// The endpoint answered: the active request is done, the next one goes out.
    pub(super) fn on_answer(
        &mut self,
        sh: &mut Shared,
        links: &mut Links,
        routes: &mut Routes,
        handle: TunnelHandle,
        cell: Cell,
    ) -> Result<Vec<OwnEvent>, DropReason> {
        let tunnel = self
            .tunnels
            .get_mut(&handle)
            .ok_or(DropReason::UnknownTunnel)?;
        let number = cell.number().ok_or(DropReason::UnexpectedCell)?;
        let Some(active) = tunnel.active.take_if(|active| active.number == number) else {
            // Repeated requests are answered as often.
            return Err(match number < tunnel.next_number {
                true => DropReason::LateAnswer,
                false => DropReason::UnexpectedCell,
            });
        };
        tunnel.suspect = false;
        tunnel.doubt = None;
        let events = self.finish(sh, links, routes, handle, &active, cell);
        self.next_request(sh, links, handle);
        self.plan(sh, handle);
        events
    }

    fn finish(
        &mut self,
        sh: &mut Shared,
        links: &mut Links,
        routes: &mut Routes,
        handle: TunnelHandle,
        active: &Active,
        cell: Cell,
    ) -> Result<Vec<OwnEvent>, DropReason> {
        match (active.request.purpose, cell) {
            (
                Purpose::Exchange,
                Cell::Exchanged {
                    sealed,
                    confirmation,
                    ..
                },
            ) => {
                self.on_exchanged(sh, handle, sealed, confirmation)?;
            }
            (Purpose::ReplyGate(gate), Cell::GateSet { .. }) => {
                return Ok(self.on_reply_gate(sh, links, handle, gate));
            }
            (Purpose::PersonaGate, Cell::GateSet { .. }) => {
                if let Some(tunnel) = self.tunnels.get_mut(&handle) {
                    tunnel.persona_gate = true;
                }
                return Ok(vec![OwnEvent::Addresses]);
            }
            (Purpose::Seeds, Cell::SeedsAnswer { contacts, .. }) => {
                return Ok(self.on_seeds(sh, handle, contacts));
            }
            (Purpose::Describe(checked, _), Cell::Described { descriptor, .. }) => {
                return Ok(self.on_described(sh, links, routes, checked, descriptor.as_deref()));
            }
            (Purpose::Echo(asked), Cell::Echoed { .. }) => {
                if asked {
                    sh.event(Event::Echo {
                        handle,
                        round_trip: Some(sh.mono().since(active.since)),
                    });
                }
            }
            (Purpose::Advertise, Cell::Advertised { .. }) => {}
            (Purpose::Close, Cell::Closed { .. }) => {
                return Ok(self.down(sh, links, routes, handle, DownReason::Expired));
            }
            _ => return Err(DropReason::UnexpectedCell),
        }
        Ok(Vec::new())
    }

    fn on_reply_gate(
        &mut self,
        sh: &mut Shared,
        links: &mut Links,
        handle: TunnelHandle,
        gate: Gate,
    ) -> Vec<OwnEvent> {
        let Some(tunnel) = self.tunnels.get_mut(&handle) else {
            return Vec::new();
        };
        tunnel.reply.gate = Some(gate);
        tunnel.reply.setting = None;
        if matches!(tunnel.stage, Stage::Confirmed(_)) {
            return self.up_now(sh, links, handle);
        }
        vec![OwnEvent::ReplyGate]
    }

    /// The active request is overdue: once more, or the tunnel counts as dead.
    pub(super) fn repeat_request(
        &mut self,
        sh: &mut Shared,
        links: &mut Links,
        routes: &mut Routes,
        handle: TunnelHandle,
    ) -> Vec<OwnEvent> {
        let Some(tunnel) = self.tunnels.get_mut(&handle) else {
            return Vec::new();
        };
        let Some(active) = tunnel.active.as_ref() else {
            return Vec::new();
        };
        if active.sends < SENDS {
            self.send_request(sh, links, handle);
            return Vec::new();
        }
        let patience = tunnel.since.plus_ms(sh.config.times.build_timeout_ms);
        if active.request.purpose == Purpose::Exchange && sh.mono() < patience {
            // RSA at a busy endpoint may take its time: only the build's own timeout ends it.
            if let Some(active) = tunnel.active.as_mut() {
                active.next_at = patience;
            }
            return Vec::new();
        }
        let purpose = active.request.purpose;
        tunnel.active = None;
        if purpose == Purpose::Echo(true) {
            sh.event(Event::Echo {
                handle,
                round_trip: None,
            });
        }
        let mut events = Vec::new();
        if let Purpose::Describe(checked, _) = purpose {
            events.extend(self.on_described(sh, links, routes, checked, None));
        }
        events.extend(self.silent(sh, links, routes, handle));
        self.next_request(sh, links, handle);
        events
    }

    /// A tunnel does not answer. The last two of a pool stay, as suspects, until others stand.
    pub(super) fn silent(
        &mut self,
        sh: &mut Shared,
        links: &mut Links,
        routes: &mut Routes,
        handle: TunnelHandle,
    ) -> Vec<OwnEvent> {
        let Some(tunnel) = self.tunnels.get_mut(&handle) else {
            return Vec::new();
        };
        let pool = tunnel.pool;
        if tunnel.was_up {
            tunnel.suspect = true;
            tunnel.doubt = None;
            sh.timers.set_earlier(Timer::Pool(pool), sh.mono());
            if self.up(pool) <= 2 {
                return Vec::new();
            }
        }
        self.down(sh, links, routes, handle, DownReason::Silent)
    }

    /// A new random reply gate, before the tunnel serves (another) lookup.
    pub(crate) fn renew_reply(&mut self, sh: &mut Shared, links: &mut Links, handle: TunnelHandle) {
        let x: [u8; 32] = sh.secret();
        let Some(tunnel) = self.tunnels.get_mut(&handle) else {
            return;
        };
        let fresh = gate(&x, tunnel.answer.address);
        tunnel.reply.setting = Some(fresh);
        tunnel.reply.group = None;
        self.request(sh, links, handle, Purpose::ReplyGate(fresh));
    }

    pub(super) fn set_persona_gate(
        &mut self,
        sh: &mut Shared,
        links: &mut Links,
        handle: TunnelHandle,
    ) {
        if self.persona_secret.is_some() {
            self.request(sh, links, handle, Purpose::PersonaGate);
        }
    }

    pub(super) fn request_advertise(
        &mut self,
        sh: &mut Shared,
        links: &mut Links,
        handle: TunnelHandle,
    ) {
        let waits = self
            .tunnels
            .get(&handle)
            .is_some_and(|t| t.queue.iter().any(|r| r.purpose == Purpose::Advertise));
        if !self.contact.is_empty() && !waits {
            self.request(sh, links, handle, Purpose::Advertise);
        }
    }

    /// Asks the endpoint to close; the answer is not waited for.
    pub(super) fn ask_close(&mut self, sh: &mut Shared, links: &mut Links, handle: TunnelHandle) {
        if self
            .tunnels
            .get(&handle)
            .is_some_and(|tunnel| tunnel.cipher.has_session())
        {
            let number = u32::MAX;
            if self
                .send(sh, links, handle, &Cell::Close { number })
                .is_err()
            {
                sh.drops.count(DropReason::UnknownTunnel);
            }
        }
    }

    /// Four tunnels of a pool with different endpoints are asked for contacts; what is missing now, as tunnels come up.
    pub(crate) fn want_seeds(&mut self, sh: &mut Shared, links: &mut Links, pool: PoolId) {
        self.seeds_asked.insert(pool, Vec::new());
        let now = sh.mono();
        self.pool_mut(pool).barren.want(now);
        let usable = self.usable(pool);
        let count = usable.len();
        for handle in sh.sample(usable, count) {
            self.ask_seeds(sh, links, handle);
        }
    }

    /// Asks the endpoint of this tunnel, unless enough or the same are asked already.
    pub(super) fn ask_seeds(&mut self, sh: &mut Shared, links: &mut Links, handle: TunnelHandle) {
        let Some(tunnel) = self.tunnels.get(&handle) else {
            return;
        };
        let endpoint = tunnel.endpoint;
        let Some(asked) = self.seeds_asked.get_mut(&tunnel.pool) else {
            return;
        };
        if asked.len() < SEEDS_ASKED && !asked.contains(&endpoint) {
            asked.push(endpoint);
            self.request(sh, links, handle, Purpose::Seeds);
        }
    }

    /// An endpoint told which contacts it hosts. Where none of a pool's endpoints hosts any, one tunnel gives way to
    /// another, which may end elsewhere: otherwise a small pool could stay alone for ten minutes.
    fn on_seeds(
        &mut self,
        sh: &mut Shared,
        handle: TunnelHandle,
        mut contacts: Vec<Vec<u8>>,
    ) -> Vec<OwnEvent> {
        let Some(tunnel) = self.tunnels.get(&handle) else {
            return Vec::new();
        };
        let pool = tunnel.pool;
        // Two tunnels with one endpoint bring our own contact back.
        if let Some(own) = self.persona_key().filter(|_| pool == PoolId::Persona) {
            contacts.retain(|contact| !contact.starts_with(&own.0));
        }
        let now = sh.mono();
        let retiring = self
            .tunnels
            .values()
            .any(|other| other.pool == pool && other.retiring);
        let asked = self.seeds_asked.get(&pool).map_or(0, Vec::len);
        let all_asked = asked >= SEEDS_ASKED.min(self.endpoints(pool).len());
        if !contacts.is_empty() {
            sh.event(Event::Seeds { pool, contacts });
            return Vec::new();
        }
        if retiring || !all_asked || !self.pool_mut(pool).barren.may_move(now) {
            return Vec::new();
        }
        let staying = self.usable(pool);
        let handle = self.sharing(&staying).unwrap_or(handle);
        self.give_way(sh, handle, barren::STAYS_MS)
    }

    /// The relays at which a pool's usable tunnels end.
    fn endpoints(&self, pool: PoolId) -> BTreeSet<RelayId> {
        let usable = self.usable(pool);
        let tunnels = usable.iter().filter_map(|&one| self.get(one));
        tunnels.map(|tunnel| tunnel.endpoint).collect()
    }

    /// One of these tunnels whose endpoint another one of them has too.
    fn sharing(&self, tunnels: &[TunnelHandle]) -> Option<TunnelHandle> {
        let endpoint = |handle: &TunnelHandle| self.get(*handle).map(|tunnel| tunnel.endpoint);
        let twice = tunnels.iter().find(|one| {
            let same = |other: &&TunnelHandle| endpoint(other) == endpoint(one);
            tunnels.iter().filter(same).count() > 1
        });
        twice.copied()
    }

    /// One tunnel of a pool gives way to another, which may end elsewhere: one whose endpoint another one has too, or
    /// the oldest.
    pub(crate) fn move_on(&mut self, sh: &mut Shared, pool: PoolId) -> Vec<OwnEvent> {
        let of_pool = self.tunnels.values().filter(|tunnel| tunnel.pool == pool);
        let giving_way = of_pool.filter(|tunnel| tunnel.retiring).count();
        let mut staying = self.usable(pool);
        staying.retain(|handle| self.get(*handle).is_some_and(|tunnel| !tunnel.retiring));
        // One stays where it is: others reach us there meanwhile.
        if giving_way >= MOVING || staying.len() < 2 {
            return Vec::new();
        }
        let Some(handle) = self.sharing(&staying).or(staying.first().copied()) else {
            return Vec::new();
        };
        // Whoever knows few is known to few, and the other tunnels stay: another move must not wait for long. Where all end
        // at one relay that brought nobody, the next one must not wait at all: the walk may end there again.
        let overlap = match self.endpoints(pool).len() {
            0 | 1 => barren::STAYS_MS,
            _ => sh.config.times.overlap_ms / 3,
        };
        self.give_way(sh, handle, overlap)
    }

    /// The tunnel ends soon; its replacement is built at once.
    fn give_way(&mut self, sh: &mut Shared, handle: TunnelHandle, within_ms: u64) -> Vec<OwnEvent> {
        let now = sh.mono();
        let Some(tunnel) = self.tunnels.get_mut(&handle) else {
            return Vec::new();
        };
        tunnel.retiring = true;
        tunnel.planned_end = tunnel.planned_end.min(now.plus_ms(within_ms));
        let pool = tunnel.pool;
        self.plan(sh, handle);
        sh.timers.set_earlier(Timer::Pool(pool), now);
        if pool == PoolId::Persona {
            vec![OwnEvent::Addresses]
        } else {
            Vec::new()
        }
    }

    /// An echo through every own tunnel.
    pub(crate) fn echo_all(&mut self, sh: &mut Shared, links: &mut Links) {
        let all: Vec<TunnelHandle> = self
            .iter()
            .filter(|(_, tunnel)| tunnel.is_up())
            .map(|(handle, _)| handle)
            .collect();
        for handle in all {
            self.request(sh, links, handle, Purpose::Echo(true));
        }
    }

    /// A message over this tunnel stayed unanswered: is it alive?
    pub(crate) fn doubt(&mut self, sh: &mut Shared, links: &mut Links, handle: TunnelHandle) {
        let Some(tunnel) = self.tunnels.get(&handle) else {
            return;
        };
        let fresh = sh.mono() < tunnel.last_heard.plus_ms(500);
        if tunnel.is_up() && tunnel.active.is_none() && !fresh {
            self.request(sh, links, handle, Purpose::Echo(false));
        }
    }

    /// The deadline of this tunnel that comes first.
    pub(super) fn plan(&self, sh: &mut Shared, handle: TunnelHandle) {
        let Some(tunnel) = self.tunnels.get(&handle) else {
            return;
        };
        let request = tunnel.active.as_ref().map(|active| active.next_at);
        let at: Option<Mono> = match &tunnel.stage {
            Stage::Checking(_) => Some(tunnel.since.plus_ms(sh.config.times.build_timeout_ms)),
            Stage::Waiting(_, until) => Some(*until),
            Stage::Exchanging(_) => Some(tunnel.since.plus_ms(sh.config.times.build_timeout_ms)),
            Stage::Confirmed(until) => Some(if tunnel.reply.setting.is_none() {
                *until
            } else {
                tunnel.planned_end
            }),
            Stage::Up => {
                let echo = tunnel.last_heard.plus_ms(sh.config.times.echo_after_ms);
                let life = if tunnel.retiring {
                    tunnel.planned_end
                } else {
                    tunnel.replace_at
                };
                if tunnel.active.is_some() {
                    // What is due after its life is asked for once, and its answer awaited like any other.
                    Some(life).filter(|_| !tunnel.retiring)
                } else {
                    Some(life.min(echo).min(tunnel.doubt.unwrap_or(echo)))
                }
            }
        };
        if let Some(at) = at.into_iter().chain(request).min() {
            sh.timers
                .set(Timer::Own(handle), at.max(sh.mono().plus_us(1)));
        }
    }

    /// A pool's tunnels with different endpoints, for tests of readiness.
    pub(crate) fn addresses(&self, sh: &Shared) -> Vec<(std::net::SocketAddr, crate::api::Unix)> {
        let ready = |retiring: bool| {
            self.tunnels
                .values()
                .filter(move |t| {
                    t.pool == PoolId::Persona
                        && t.is_up()
                        && t.persona_gate
                        && !t.suspect
                        && t.retiring == retiring
                })
                .map(|t| {
                    let left_s = t.planned_end.since(sh.mono()) / 1_000_000;
                    (
                        t.answer.address,
                        crate::api::Unix(sh.now.unix.0.saturating_add(left_s)),
                    )
                })
                .collect::<Vec<_>>()
        };
        let mut addresses = ready(false);
        if addresses.len() < 2 {
            addresses.extend(ready(true));
        }
        if addresses.len() < 2 {
            Vec::new()
        } else {
            addresses
        }
    }
}

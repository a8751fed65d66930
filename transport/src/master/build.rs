//! From the walk's answer to a confirmed exchange (protocol §6.3, §7.3).

use deut_common::time::{Mono, Unix};
use zeroize::Zeroizing;

use super::{
    OwnEvent, OwnTunnel, OwnTunnels, Stage,
    exchange::{Checking, Exchanging},
    tunnel::{Purpose, Reply},
};
use crate::{
    context::Context,
    crypto::{
        answer::EndpointAnswer,
        exchange::{Transcript, confirms, session_keys},
        tunnel::{TunnelCipher, TunnelRole},
        walk::{MasterWalk, WalkOpened},
    },
    directory::Directory,
    drop_reason::DropReason,
    ids::{JobTicket, PoolId, TunnelHandle},
    io::{DownReason, Event, Priority, TunnelChange},
    links::Links,
    relayer::{
        routes::{Route, Routes},
        walks::{Origin, Sent, Walks},
    },
    rsa::{JOB_AGAIN_MS, Job, JobResult, OAEP_LEN, RsaKeyPair},
    timers::Timer,
    wire::{descriptor::Descriptor, frame::WalkAnswer},
};

/// A walk of ours under way.
pub(super) struct Build {
    pub(super) pool: PoolId,
    walk: MasterWalk,
    rsa: RsaKeyPair,
    started: Mono,
}

/// What a build needs of the rest of the node.
pub(crate) struct BuildContext<'a> {
    pub(crate) links: &'a mut Links,
    pub(crate) routes: &'a mut Routes,
    pub(crate) directory: &'a Directory,
}

impl OwnTunnels {
    /// Starts a walk with the first key in store.
    pub(super) fn start_build(
        &mut self,
        cx: &mut Context,
        walks: &mut Walks,
        pool: PoolId,
    ) -> bool {
        let Some(rsa) = self.keys.take() else {
            return false;
        };
        self.next += 1;
        let handle = TunnelHandle(self.next);
        let (walk, element) = MasterWalk::start(&mut cx.secrets);
        self.builds.insert(
            handle,
            Build {
                pool,
                walk,
                rsa,
                started: cx.mono(),
            },
        );
        cx.counters.walks_started += 1;
        #[cfg(feature = "probe")]
        crate::probe::walk_started(cx, handle, element);
        walks.start(cx, Origin::Own(handle), element, None);
        true
    }

    /// How many builds of a pool are under way, exchanges included.
    pub(super) fn building(&self, pool: PoolId) -> usize {
        let walking = self
            .builds
            .values()
            .filter(|build| build.pool == pool)
            .count();
        walking
            + self
                .tunnels
                .values()
                .filter(|tunnel| tunnel.pool == pool && !tunnel.was_up)
                .count()
    }

    /// A walk of ours brought nothing.
    pub(crate) fn walk_failed(&mut self, cx: &mut Context, handle: TunnelHandle) {
        if let Some(build) = self.builds.remove(&handle) {
            // Nobody has seen the public half: the next build may have it.
            self.keys.give_back(cx, build.rsa);
            self.failed(cx, build.pool);
        }
    }

    /// A walk of ours was answered.
    pub(crate) fn on_walk_answer(
        &mut self,
        cx: &mut Context,
        context: &mut BuildContext<'_>,
        handle: TunnelHandle,
        sent: Sent,
        answer: &WalkAnswer,
    ) -> Result<(), DropReason> {
        let build = self
            .builds
            .remove(&handle)
            .ok_or(DropReason::UnexpectedWalkAnswer)?;
        let pool = build.pool;
        let result = self.open_answer(cx, context, handle, build, sent, answer);
        if result.is_err() {
            // Nothing is sent to the relays: an answer in time would tell how far the master is.
            context.routes.forget(sent.link, sent.id_back);
            self.failed(cx, pool);
        }
        result
    }

    fn open_answer(
        &mut self,
        cx: &mut Context,
        context: &mut BuildContext<'_>,
        handle: TunnelHandle,
        build: Build,
        sent: Sent,
        answer: &WalkAnswer,
    ) -> Result<(), DropReason> {
        let opened = build
            .walk
            .peel(&answer.block, &answer.sealed)
            .ok_or(DropReason::WalkUnopened)?;
        let endpoint = EndpointAnswer::open_and_verify(&opened)?;
        self.check_endpoint(cx, &endpoint)?;
        if !context.links.is_up(sent.link)
            || !context.routes.take_outgoing(sent.link, answer.id_fwd)
        {
            return Err(DropReason::TunnelIdInUse);
        }
        let exchange = self
            .prepare_exchange(cx, build.rsa, &opened, &endpoint)
            .inspect_err(|_| {
                context.routes.free_outgoing(sent.link, answer.id_fwd);
            })?;
        context
            .routes
            .set(sent.link, sent.id_back, Route::Own(handle));
        context.links.add_tunnel(cx, sent.link);
        let known = context.directory.get(endpoint.descriptor.id());
        let confirmed = known.is_some_and(|known| same_relay(known, &endpoint.descriptor));
        let build_us = cx.mono().since(build.started);
        let tunnel = new_tunnel(
            cx,
            build.pool,
            (sent, answer),
            opened,
            endpoint,
            (confirmed, build_us),
            context.directory.len(),
        );
        self.tunnels.insert(handle, Box::new(tunnel));
        self.confirm_endpoint(cx, context.links, handle, exchange, confirmed);
        Ok(())
    }

    /// Rules that hold for every endpoint, whoever vouches for it.
    fn check_endpoint(&self, cx: &Context, answer: &EndpointAnswer) -> Result<(), DropReason> {
        answer
            .descriptor
            .check(&cx.config.policy, cx.now.unix, None)?;
        let life_s = cx.config.times.tunnel_end_ms / 1_000;
        let Unix(now) = cx.now.unix;
        let expiry = u64::from(answer.expiry);
        let in_time = expiry + 120 >= now && expiry <= now + life_s + 120;
        let ours = self.own == Some(answer.descriptor.id());
        let usable = answer.descriptor.covers(answer.address)
            && cx.config.policy.may_send_to(answer.address);
        if ours || !in_time || !usable {
            return Err(DropReason::BadEndpointAnswer);
        }
        Ok(())
    }

    fn prepare_exchange(
        &self,
        cx: &mut Context,
        rsa: RsaKeyPair,
        opened: &WalkOpened,
        endpoint: &EndpointAnswer,
    ) -> Result<Exchanging, DropReason> {
        let seed_m: Zeroizing<[u8; 32]> = Zeroizing::new(cx.secret());
        let oaep_seed = cx.secret();
        let oaep_m = self
            .suite
            .seal(&endpoint.spki, &seed_m, oaep_seed)
            .map_err(|_| DropReason::BadRsaKey)?;
        let shared = Zeroizing::new(*opened.shared);
        let (element, reply) = (opened.element, opened.reply);
        Ok(Exchanging {
            rsa,
            shared,
            element,
            reply,
            seed_m,
            oaep_m: Box::new(oaep_m),
            answered: None,
        })
    }

    /// Verified by our directory: go on. Otherwise ask another endpoint, if there is one.
    fn confirm_endpoint(
        &mut self,
        cx: &mut Context,
        links: &mut Links,
        handle: TunnelHandle,
        exchange: Exchanging,
        confirmed: bool,
    ) {
        let pool = self
            .tunnels
            .get(&handle)
            .map(|tunnel| (tunnel.pool, tunnel.endpoint));
        let Some((pool, endpoint)) = pool else { return };
        let others: Vec<TunnelHandle> = self
            .iter()
            .filter(|(_, t)| t.pool == pool && t.is_up() && t.endpoint != endpoint)
            .map(|(h, _)| h)
            .collect();
        let other = others.get(cx.index(others.len())).copied();
        if let (false, Some(other)) = (confirmed, other) {
            self.set_stage(handle, Stage::Checking(Box::new(Checking { exchange })));
            let deadline = cx.mono().plus_ms(cx.config.times.build_timeout_ms);
            cx.timers.set(Timer::Own(handle), deadline);
            self.request(cx, links, other, Purpose::Describe(handle, endpoint));
            return;
        }
        self.wait_before_exchange(cx, handle, exchange);
    }

    fn wait_before_exchange(
        &mut self,
        cx: &mut Context,
        handle: TunnelHandle,
        exchange: Exchanging,
    ) {
        let until = self.reaction(cx);
        self.set_stage(handle, Stage::Waiting(Box::new(exchange), until));
        cx.timers.set(Timer::Own(handle), until);
    }

    pub(super) fn reaction(&self, cx: &mut Context) -> Mono {
        let wait = cx.below(cx.config.times.reaction_ms * 1_000 + 1);
        cx.mono().plus_us(wait)
    }

    pub(super) fn set_stage(&mut self, handle: TunnelHandle, stage: Stage) {
        if let Some(tunnel) = self.tunnels.get_mut(&handle) {
            tunnel.stage = stage;
        }
    }

    /// Another endpoint told what it knows about the endpoint of `handle`.
    pub(super) fn on_described(
        &mut self,
        cx: &mut Context,
        links: &mut Links,
        routes: &mut Routes,
        handle: TunnelHandle,
        descriptor: Option<&[u8; 196]>,
    ) -> Vec<OwnEvent> {
        let Some(tunnel) = self.tunnels.get_mut(&handle) else {
            return Vec::new();
        };
        let stage = std::mem::replace(&mut tunnel.stage, Stage::Confirmed(cx.mono()));
        let Stage::Checking(checking) = stage else {
            tunnel.stage = stage;
            return Vec::new();
        };
        let told = descriptor.and_then(|bytes| Descriptor::decode(bytes).ok());
        if !told.is_some_and(|told| same_relay(&told, &tunnel.answer.descriptor)) {
            cx.drops.count(DropReason::BadEndpointAnswer);
            return self.down(cx, links, routes, handle, DownReason::Closed);
        }
        tunnel.confirmed = true;
        self.wait_before_exchange(cx, handle, checking.exchange);
        Vec::new()
    }

    /// The endpoint's half of the exchange arrived: its seed goes to the worker.
    pub(super) fn on_exchanged(
        &mut self,
        cx: &mut Context,
        handle: TunnelHandle,
        sealed: Box<[u8; OAEP_LEN]>,
        confirmation: [u8; 32],
    ) -> Result<(), DropReason> {
        let tunnel = self
            .tunnels
            .get_mut(&handle)
            .ok_or(DropReason::UnknownTunnel)?;
        let Stage::Exchanging(exchange) = &mut tunnel.stage else {
            return Err(DropReason::UnexpectedCell);
        };
        if exchange.answered.is_some() {
            return Err(DropReason::UnexpectedCell);
        }
        let key = exchange.rsa.private.clone();
        exchange.answered = Some((sealed.clone(), confirmation));
        let blinding = cx.secret();
        let ticket = cx.job(
            Priority::Exchange,
            Job::Open {
                key,
                ciphertext: sealed,
                blinding,
            },
        );
        self.opening.insert(ticket, handle);
        Ok(())
    }

    /// The worker is done; `None` if the ticket is not ours.
    pub(crate) fn on_job(
        &mut self,
        cx: &mut Context,
        links: &mut Links,
        routes: &mut Routes,
        ticket: JobTicket,
        result: &JobResult,
    ) -> Option<Vec<OwnEvent>> {
        if self.keys.on_job(cx, ticket, result) {
            // A worker that refused would refuse again at once.
            let pause = match result {
                JobResult::Key(_) => 0,
                JobResult::Refused | JobResult::Opened(_) => JOB_AGAIN_MS,
            };
            for pool in [PoolId::Lookup, PoolId::Persona] {
                cx.timers
                    .set_earlier(Timer::Pool(pool), cx.mono().plus_ms(pause));
            }
            return Some(Vec::new());
        }
        let handle = self.opening.remove(&ticket)?;
        let confirmed = match result {
            JobResult::Opened(seed_e) => self.finish_exchange(cx, handle, seed_e),
            JobResult::Refused | JobResult::Key(_) => Err(DropReason::TableFull),
        };
        Some(match confirmed {
            Ok(()) => Vec::new(),
            Err(reason) => {
                cx.drops.count(reason);
                self.down(cx, links, routes, handle, DownReason::Closed)
            }
        })
    }

    /// Both seeds are known: the keys must be the endpoint's too. The RSA key is dropped here.
    fn finish_exchange(
        &mut self,
        cx: &mut Context,
        handle: TunnelHandle,
        seed_e: &[u8; 32],
    ) -> Result<(), DropReason> {
        let until = self.reaction(cx);
        let tunnel = self.tunnels.get_mut(&handle).ok_or(DropReason::StaleJob)?;
        let Stage::Exchanging(exchange) = &tunnel.stage else {
            return Err(DropReason::StaleJob);
        };
        let (oaep_e, confirmation) = exchange.answered.as_ref().ok_or(DropReason::StaleJob)?;
        let transcript = Transcript {
            element: &exchange.element,
            reply: &exchange.reply,
            endpoint_spki: &tunnel.answer.spki,
            master_spki: &exchange.rsa.public,
            oaep_m: &exchange.oaep_m,
            oaep_e,
        };
        let (session, expected) =
            session_keys(&exchange.shared, &transcript, &exchange.seed_m, seed_e);
        if !confirms(&expected, confirmation) {
            return Err(DropReason::BadConfirmation);
        }
        tunnel.cipher.set_session(session);
        tunnel.stage = Stage::Confirmed(until);
        cx.timers.set(Timer::Own(handle), until);
        Ok(())
    }

    /// The first gate is open: messages may use the tunnel.
    pub(super) fn up_now(
        &mut self,
        cx: &mut Context,
        links: &mut Links,
        handle: TunnelHandle,
    ) -> Vec<OwnEvent> {
        let Some(tunnel) = self.tunnels.get_mut(&handle) else {
            return Vec::new();
        };
        let pool = tunnel.pool;
        tunnel.stage = Stage::Up;
        tunnel.was_up = true;
        cx.counters.walks_succeeded += 1;
        cx.event(Event::Tunnel {
            handle,
            change: TunnelChange::Up { pool },
        });
        self.succeeded(cx, pool);
        self.ask_seeds(cx, links, handle);
        if pool == PoolId::Persona {
            self.set_persona_gate(cx, links, handle);
            self.request_advertise(cx, links, handle);
        }
        vec![OwnEvent::Up]
    }
}

fn same_relay(one: &Descriptor, other: &Descriptor) -> bool {
    one.identity == other.identity
        && one.address == other.address
        && one.endpoint_ports == other.endpoint_ports
}

fn new_tunnel(
    cx: &mut Context,
    pool: PoolId,
    (sent, answer): (Sent, &WalkAnswer),
    opened: WalkOpened,
    endpoint: EndpointAnswer,
    (confirmed, build_us): (bool, u64),
    among: usize,
) -> OwnTunnel {
    let now = cx.mono();
    let life = cx.around(cx.config.times.tunnel_life_ms, 20);
    OwnTunnel {
        pool,
        stage: Stage::Confirmed(now),
        link: sent.link,
        first_hop: sent.relay,
        outgoing: answer.id_fwd,
        incoming: sent.id_back,
        layers: opened.layers,
        cipher: TunnelCipher::new(TunnelRole::Master, opened.endpoint.k0),
        endpoint: endpoint.descriptor.id(),
        answer: endpoint,
        confirmed,
        since: now,
        build_us,
        among,
        next_number: 0,
        queue: std::collections::VecDeque::new(),
        active: None,
        reply: Reply::default(),
        persona_gate: false,
        replace_at: now.plus_ms(life / 100 * 80),
        planned_end: now.plus_ms(life),
        retiring: false,
        suspect: false,
        doubt: None,
        was_up: false,
        last_heard: now,
        unanswered: 0,
        sent: 0,
        received: 0,
    }
}

//! From the walk's answer to a confirmed exchange (protocol §6.3, §7.3).

use super::{OwnEvent, OwnTunnel, OwnTunnels, Stage, control::Purpose, tunnel::Reply};
use crate::{
    api::{DownReason, Event, JobTicket, Mono, PoolId, Priority, TunnelChange, TunnelHandle, Unix},
    crypto::{
        exchange::{Transcript, confirms, session_keys},
        tunnel::{TunnelCipher, TunnelRole},
        walk::{EndpointAnswer, MasterWalk, WalkOpened},
    },
    directory::Directory,
    drop_reason::DropReason,
    links::Links,
    routes::{Route, Routes},
    rsa::{JOB_AGAIN_MS, Job, JobResult, OAEP_LEN, RsaKeyPair},
    shared::Shared,
    timers::Timer,
    walks::{Origin, Sent, Walks},
    wire::{descriptor::Descriptor, frame::WalkAnswer},
};
use zeroize::Zeroizing;

/// A walk of ours under way.
pub(super) struct Build {
    pub(super) pool: PoolId,
    walk: MasterWalk,
    rsa: RsaKeyPair,
    started: Mono,
}

/// An endpoint that our directory does not know, checked with another endpoint.
pub(crate) struct Checking {
    pub(super) exchange: Exchanging,
}

/// What the exchange needs.
pub(crate) struct Exchanging {
    rsa: RsaKeyPair,
    shared: Zeroizing<[u8; 32]>,
    element: [u8; 32],
    reply: [u8; 32],
    seed_m: Zeroizing<[u8; 32]>,
    pub(super) oaep_m: Box<[u8; OAEP_LEN]>,
    /// What the endpoint answered, while the worker opens it.
    answered: Option<(Box<[u8; OAEP_LEN]>, [u8; 32])>,
}

impl Exchanging {
    pub(super) fn spki(&self) -> Box<[u8; crate::rsa::SPKI_LEN]> {
        self.rsa.public.clone()
    }
}

/// What a build needs of the rest of the node.
pub(crate) struct BuildContext<'a> {
    pub(crate) links: &'a mut Links,
    pub(crate) routes: &'a mut Routes,
    pub(crate) directory: &'a Directory,
}

impl OwnTunnels {
    /// Starts a walk with the first key in store.
    pub(super) fn start_build(&mut self, sh: &mut Shared, walks: &mut Walks, pool: PoolId) -> bool {
        let Some(rsa) = self.keys.take() else {
            return false;
        };
        self.next += 1;
        let handle = TunnelHandle(self.next);
        let (walk, element) = MasterWalk::start(&mut sh.secrets);
        self.builds.insert(
            handle,
            Build {
                pool,
                walk,
                rsa,
                started: sh.mono(),
            },
        );
        sh.counters.walks_started += 1;
        #[cfg(feature = "probe")]
        crate::probe::walk_started(sh, handle, element);
        walks.start(sh, Origin::Own(handle), element, None);
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
    pub(crate) fn walk_failed(&mut self, sh: &mut Shared, handle: TunnelHandle) {
        if let Some(build) = self.builds.remove(&handle) {
            // Nobody has seen the public half: the next build may have it.
            self.keys.give_back(sh, build.rsa);
            self.failed(sh, build.pool);
        }
    }

    /// A walk of ours was answered.
    pub(crate) fn on_walk_answer(
        &mut self,
        sh: &mut Shared,
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
        let result = self.open_answer(sh, context, handle, build, sent, answer);
        if result.is_err() {
            // Nothing is sent to the relays: an answer in time would tell how far the master is.
            context.routes.forget(sent.link, sent.id_back);
            self.failed(sh, pool);
        }
        result
    }

    fn open_answer(
        &mut self,
        sh: &mut Shared,
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
        self.check_endpoint(sh, &endpoint)?;
        if !context.links.is_up(sent.link)
            || !context.routes.take_outgoing(sent.link, answer.id_fwd)
        {
            return Err(DropReason::TunnelIdInUse);
        }
        let exchange = self
            .prepare_exchange(sh, build.rsa, &opened, &endpoint)
            .inspect_err(|_| {
                context.routes.free_outgoing(sent.link, answer.id_fwd);
            })?;
        context
            .routes
            .set(sent.link, sent.id_back, Route::Own(handle));
        context.links.add_tunnel(sh, sent.link);
        let known = context.directory.get(endpoint.descriptor.id());
        let confirmed = known.is_some_and(|known| same_relay(known, &endpoint.descriptor));
        let build_us = sh.mono().since(build.started);
        let tunnel = new_tunnel(
            sh,
            build.pool,
            (sent, answer),
            opened,
            endpoint,
            (confirmed, build_us),
            context.directory.len(),
        );
        self.tunnels.insert(handle, Box::new(tunnel));
        self.confirm_endpoint(sh, context.links, handle, exchange, confirmed);
        Ok(())
    }

    /// Rules that hold for every endpoint, whoever vouches for it.
    fn check_endpoint(&self, sh: &Shared, answer: &EndpointAnswer) -> Result<(), DropReason> {
        answer
            .descriptor
            .check(&sh.config.policy, sh.now.unix, None)?;
        let life_s = sh.config.times.tunnel_end_ms / 1_000;
        let Unix(now) = sh.now.unix;
        let expiry = u64::from(answer.expiry);
        let in_time = expiry + 120 >= now && expiry <= now + life_s + 120;
        let ours = self.own == Some(answer.descriptor.id());
        let usable = answer.descriptor.covers(answer.address)
            && sh.config.policy.may_send_to(answer.address);
        if ours || !in_time || !usable {
            return Err(DropReason::BadEndpointAnswer);
        }
        Ok(())
    }

    fn prepare_exchange(
        &self,
        sh: &mut Shared,
        rsa: RsaKeyPair,
        opened: &WalkOpened,
        endpoint: &EndpointAnswer,
    ) -> Result<Exchanging, DropReason> {
        let seed_m: Zeroizing<[u8; 32]> = Zeroizing::new(sh.secret());
        let oaep_seed = sh.secret();
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
        sh: &mut Shared,
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
        let other = others.get(sh.index(others.len())).copied();
        if let (false, Some(other)) = (confirmed, other) {
            self.set_stage(handle, Stage::Checking(Box::new(Checking { exchange })));
            let deadline = sh.mono().plus_ms(sh.config.times.build_timeout_ms);
            sh.timers.set(Timer::Own(handle), deadline);
            self.request(sh, links, other, Purpose::Describe(handle, endpoint));
            return;
        }
        self.wait_before_exchange(sh, handle, exchange);
    }

    fn wait_before_exchange(
        &mut self,
        sh: &mut Shared,
        handle: TunnelHandle,
        exchange: Exchanging,
    ) {
        let until = self.reaction(sh);
        self.set_stage(handle, Stage::Waiting(Box::new(exchange), until));
        sh.timers.set(Timer::Own(handle), until);
    }

    pub(super) fn reaction(&self, sh: &mut Shared) -> Mono {
        let wait = sh.below(sh.config.times.reaction_ms * 1_000 + 1);
        sh.mono().plus_us(wait)
    }

    pub(super) fn set_stage(&mut self, handle: TunnelHandle, stage: Stage) {
        if let Some(tunnel) = self.tunnels.get_mut(&handle) {
            tunnel.stage = stage;
        }
    }

    /// Another endpoint told what it knows about the endpoint of `handle`.
    pub(super) fn on_described(
        &mut self,
        sh: &mut Shared,
        links: &mut Links,
        routes: &mut Routes,
        handle: TunnelHandle,
        descriptor: Option<&[u8; 196]>,
    ) -> Vec<OwnEvent> {
        let Some(tunnel) = self.tunnels.get_mut(&handle) else {
            return Vec::new();
        };
        let stage = std::mem::replace(&mut tunnel.stage, Stage::Confirmed(sh.mono()));
        let Stage::Checking(checking) = stage else {
            tunnel.stage = stage;
            return Vec::new();
        };
        let told = descriptor.and_then(|bytes| Descriptor::decode(bytes).ok());
        if !told.is_some_and(|told| same_relay(&told, &tunnel.answer.descriptor)) {
            sh.drops.count(DropReason::BadEndpointAnswer);
            return self.down(sh, links, routes, handle, DownReason::Closed);
        }
        tunnel.confirmed = true;
        self.wait_before_exchange(sh, handle, checking.exchange);
        Vec::new()
    }

    /// The endpoint's half of the exchange arrived: its seed goes to the worker.
    pub(super) fn on_exchanged(
        &mut self,
        sh: &mut Shared,
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
        let blinding = sh.secret();
        let ticket = sh.job(
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
        sh: &mut Shared,
        links: &mut Links,
        routes: &mut Routes,
        ticket: JobTicket,
        result: &JobResult,
    ) -> Option<Vec<OwnEvent>> {
        if self.keys.on_job(sh, ticket, result) {
            // A worker that refused would refuse again at once.
            let pause = match result {
                JobResult::Key(_) => 0,
                JobResult::Refused | JobResult::Opened(_) => JOB_AGAIN_MS,
            };
            for pool in [PoolId::Lookup, PoolId::Persona] {
                sh.timers
                    .set_earlier(Timer::Pool(pool), sh.mono().plus_ms(pause));
            }
            return Some(Vec::new());
        }
        let handle = self.opening.remove(&ticket)?;
        let confirmed = match result {
            JobResult::Opened(seed_e) => self.finish_exchange(sh, handle, seed_e),
            JobResult::Refused | JobResult::Key(_) => Err(DropReason::TableFull),
        };
        Some(match confirmed {
            Ok(()) => Vec::new(),
            Err(reason) => {
                sh.drops.count(reason);
                self.down(sh, links, routes, handle, DownReason::Closed)
            }
        })
    }

    /// Both seeds are known: the keys must be the endpoint's too. The RSA key is dropped here.
    fn finish_exchange(
        &mut self,
        sh: &mut Shared,
        handle: TunnelHandle,
        seed_e: &[u8; 32],
    ) -> Result<(), DropReason> {
        let until = self.reaction(sh);
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
        sh.timers.set(Timer::Own(handle), until);
        Ok(())
    }

    /// The first gate is open: messages may use the tunnel.
    pub(super) fn up_now(
        &mut self,
        sh: &mut Shared,
        links: &mut Links,
        handle: TunnelHandle,
    ) -> Vec<OwnEvent> {
        let Some(tunnel) = self.tunnels.get_mut(&handle) else {
            return Vec::new();
        };
        let pool = tunnel.pool;
        tunnel.stage = Stage::Up;
        tunnel.was_up = true;
        sh.counters.walks_succeeded += 1;
        sh.event(Event::Tunnel {
            handle,
            change: TunnelChange::Up { pool },
        });
        self.succeeded(sh, pool);
        self.ask_seeds(sh, links, handle);
        if pool == PoolId::Persona {
            self.set_persona_gate(sh, links, handle);
            self.request_advertise(sh, links, handle);
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
    sh: &mut Shared,
    pool: PoolId,
    (sent, answer): (Sent, &WalkAnswer),
    opened: WalkOpened,
    endpoint: EndpointAnswer,
    (confirmed, build_us): (bool, u64),
    among: usize,
) -> OwnTunnel {
    let now = sh.mono();
    let life = sh.around(sh.config.times.tunnel_life_ms, 20);
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

//! Our walks under way, with the keys for them, up to the endpoint's answer (protocol §6.3).

use std::{collections::BTreeMap, sync::Arc};

use deut_common::{
    ids::RelayId,
    time::{Mono, Unix},
};

use super::{
    exchanging::{Exchanging, same_relay},
    keys::KeyStore,
    life::Life,
    line::{Far, Line, Name},
    offer::Offer,
    path::Path,
    pool::Pool,
};
use crate::{
    context::Context,
    crypto::{answer::EndpointAnswer, walk::MasterWalk},
    drop_reason::DropReason,
    ids::{JobTicket, PoolId, TunnelHandle},
    net::Net,
    per_pool::PerPool,
    routes::{Route, Side},
    rsa::{JOB_AGAIN_MS, JobResult, RsaKeyPair, RsaSuite},
    timers::Timer,
    walks::{Walked, Walks},
};

/// Seconds by which an endpoint's clock may be off.
const MOST_OFF_S: u64 = 120;

/// A tunnel whose walk is under way.
struct Building {
    pool: PoolId,
    walk: MasterWalk,
    rsa: RsaKeyPair,
    started: Mono,
}

pub(super) struct Builds {
    suite: Arc<dyn RsaSuite>,
    /// Our own relay id: no tunnel of ours may end here.
    ourselves: Option<RelayId>,
    keys: KeyStore,
    walking: BTreeMap<TunnelHandle, Building>,
    pools: PerPool<Pool>,
    next: u64,
}

impl Builds {
    pub(super) fn new(suite: Arc<dyn RsaSuite>, ourselves: Option<RelayId>) -> Self {
        Self {
            suite,
            ourselves,
            keys: KeyStore::default(),
            walking: BTreeMap::new(),
            pools: PerPool::default(),
            next: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.walking.len()
    }

    pub(super) fn of(&self, pool: PoolId) -> usize {
        let of_pool = |build: &&Building| build.pool == pool;
        self.walking.values().filter(of_pool).count()
    }

    pub(super) const fn keys(&self) -> &KeyStore {
        &self.keys
    }

    pub(super) const fn keys_mut(&mut self) -> &mut KeyStore {
        &mut self.keys
    }

    pub(super) const fn pool(&self, pool: PoolId) -> &Pool {
        self.pools.get(pool)
    }

    pub(super) const fn pool_mut(&mut self, pool: PoolId) -> &mut Pool {
        self.pools.get_mut(pool)
    }

    /// A build of the pool failed, as a walk or later.
    pub(super) fn failed(&mut self, cx: &mut Context, pool: PoolId) {
        self.pools.get_mut(pool).failed(cx, pool);
    }

    /// Forgets the walks of a pool that needs them no more.
    pub(super) fn forget(&mut self, pool: PoolId) {
        self.walking.retain(|_, build| build.pool != pool);
    }

    /// Starts a walk with a key from the store; `false` if there is none.
    pub(super) fn start(&mut self, cx: &mut Context, walks: &mut Walks, pool: PoolId) -> bool {
        let Some(rsa) = self.keys.take() else {
            return false;
        };
        self.next += 1;
        let handle = TunnelHandle(self.next);
        let (walk, element) = MasterWalk::start(&mut cx.secrets);
        let started = cx.mono();
        let build = Building {
            pool,
            walk,
            rsa,
            started,
        };
        self.walking.insert(handle, build);
        cx.counters.walks_started += 1;
        cx.observers.walk_started(handle, element);
        walks.start(cx, handle, element);
        true
    }

    /// The walk failed.
    pub(super) fn walk_failed(&mut self, cx: &mut Context, handle: TunnelHandle) {
        if let Some(build) = self.walking.remove(&handle) {
            // Nobody has seen the public half, so the next build may use the key.
            self.keys.give_back(cx, build.rsa);
            self.failed(cx, build.pool);
        }
    }

    /// The walk was answered. Returns a tunnel whose endpoint still has to be checked.
    pub(super) fn answered(
        &mut self,
        net: &mut Net,
        walked: &Walked,
    ) -> Result<Exchanging, DropReason> {
        let build = self
            .walking
            .remove(&walked.handle)
            .ok_or(DropReason::UnexpectedWalkAnswer)?;
        let pool = build.pool;
        let result = self.open(net, build, walked);
        if result.is_err() {
            // The relays are told nothing: a prompt reaction would show how far away the master is.
            net.routes.forget(walked.sent.link, walked.sent.id_back);
            self.failed(&mut net.cx, pool);
        }
        result
    }

    fn open(
        &self,
        net: &mut Net,
        build: Building,
        walked: &Walked,
    ) -> Result<Exchanging, DropReason> {
        let (sent, answer) = (walked.sent, &walked.answer);
        let opened = build
            .walk
            .peel(&answer.block, &answer.sealed)
            .ok_or(DropReason::WalkUnopened)?;
        let endpoint = EndpointAnswer::open_and_verify(&net.cx.config.suite, &opened)?;
        self.check(&net.cx, &endpoint)?;
        if !net.links.is_up(sent.link) || !net.routes.take_outgoing(sent.link, answer.id_fwd) {
            return Err(DropReason::TunnelIdInUse);
        }
        let offer = Offer::new(&mut net.cx, &*self.suite, build.rsa, &opened, &endpoint)
            .inspect_err(|_| net.routes.free_outgoing(sent.link, answer.id_fwd))?;
        let route = Route::Master(walked.handle);
        net.routes.set(sent.link, sent.id_back, route);
        net.links.add_tunnel(&net.cx, sent.link);
        let relay = endpoint.descriptor.id();
        let known = net
            .directory
            .get(relay)
            .is_some_and(|known| same_relay(known, &endpoint.descriptor));
        let far = Far {
            relay,
            address: endpoint.address,
            known,
        };
        let name = Name {
            handle: walked.handle,
            pool: build.pool,
        };
        let life = Life::new(&mut net.cx, build.started, net.directory.len());
        let side = Side {
            link: sent.link,
            incoming: sent.id_back,
            outgoing: answer.id_fwd,
        };
        let path = Path::new(sent.relay, side, opened.layers, opened.endpoint.k0);
        Ok(Exchanging::new(
            Line::new(name, far, path, life),
            endpoint,
            offer,
        ))
    }

    /// Checks the rules that hold for every endpoint, whoever vouches for it.
    fn check(&self, cx: &Context, answer: &EndpointAnswer) -> Result<(), DropReason> {
        answer
            .descriptor
            .check(&cx.config.suite, &cx.config.policy, cx.now.unix, None)?;
        let life_s = cx.config.times.tunnel_end_ms / 1_000;
        let Unix(now) = cx.now.unix;
        let expiry = u64::from(answer.expiry);
        let in_time = expiry + MOST_OFF_S >= now && expiry <= now + life_s + MOST_OFF_S;
        let ours = self.ourselves == Some(answer.descriptor.id());
        let usable = answer.descriptor.covers(answer.address)
            && cx.config.policy.may_send_to(answer.address);
        if ours || !in_time || !usable {
            return Err(DropReason::BadEndpointAnswer);
        }
        Ok(())
    }

    /// A key job ended; handles it if the ticket is one of ours.
    pub(super) fn on_job(
        &mut self,
        cx: &mut Context,
        ticket: JobTicket,
        result: &JobResult,
    ) -> bool {
        if !self.keys.on_job(cx, ticket, result) {
            return false;
        }
        // A worker that refused would refuse again at once.
        let pause = match result {
            JobResult::Key(_) => 0,
            JobResult::Refused | JobResult::Opened(_) => JOB_AGAIN_MS,
        };
        for pool in PoolId::BOTH {
            cx.timers
                .set_earlier(Timer::Pool(pool), cx.mono().plus_ms(pause));
        }
        true
    }
}

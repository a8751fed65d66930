//! Contacts for the DHT: endpoints are asked for them, and tunnels move on from those that host none.

use std::collections::BTreeSet;

use deut_common::ids::RelayId;

use super::{OwnEvent, OwnTunnels, barren, tunnel::Purpose};
use crate::{
    context::Context,
    ids::{PoolId, TunnelHandle},
    io::Event,
    links::Links,
    timers::Timer,
};

/// Endpoints asked for contacts at a time.
const SEEDS_ASKED: usize = 4;

/// Tunnels of one pool that give way at the same time, at most.
const MOVING: usize = 2;

impl OwnTunnels {
    /// Four tunnels of a pool with different endpoints are asked for contacts; what is missing now, as tunnels come up.
    pub(crate) fn want_seeds(&mut self, cx: &mut Context, links: &mut Links, pool: PoolId) {
        self.seeds_asked.insert(pool, Vec::new());
        let now = cx.mono();
        self.pool_mut(pool).barren.want(now);
        let usable = self.usable(pool);
        let count = usable.len();
        for handle in cx.sample(usable, count) {
            self.ask_seeds(cx, links, handle);
        }
    }

    /// Asks the endpoint of this tunnel, unless enough or the same are asked already.
    pub(super) fn ask_seeds(&mut self, cx: &mut Context, links: &mut Links, handle: TunnelHandle) {
        let Some(tunnel) = self.tunnels.get(&handle) else {
            return;
        };
        let endpoint = tunnel.endpoint;
        let Some(asked) = self.seeds_asked.get_mut(&tunnel.pool) else {
            return;
        };
        if asked.len() < SEEDS_ASKED && !asked.contains(&endpoint) {
            asked.push(endpoint);
            self.request(cx, links, handle, Purpose::Seeds);
        }
    }

    /// An endpoint told which contacts it hosts. Where none of a pool's endpoints hosts any, one tunnel gives way to
    /// another, which may end elsewhere: otherwise a small pool could stay alone for ten minutes.
    pub(super) fn on_seeds(
        &mut self,
        cx: &mut Context,
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
        let now = cx.mono();
        let retiring = self
            .tunnels
            .values()
            .any(|other| other.pool == pool && other.retiring);
        let asked = self.seeds_asked.get(&pool).map_or(0, Vec::len);
        let all_asked = asked >= SEEDS_ASKED.min(self.endpoints(pool).len());
        if !contacts.is_empty() {
            cx.event(Event::Seeds { pool, contacts });
            return Vec::new();
        }
        if retiring || !all_asked || !self.pool_mut(pool).barren.may_move(now) {
            return Vec::new();
        }
        let staying = self.usable(pool);
        let handle = self.sharing(&staying).unwrap_or(handle);
        self.give_way(cx, handle, barren::STAYS_MS)
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
    pub(crate) fn move_on(&mut self, cx: &mut Context, pool: PoolId) -> Vec<OwnEvent> {
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
            _ => cx.config.times.overlap_ms / 3,
        };
        self.give_way(cx, handle, overlap)
    }

    /// The tunnel ends soon; its replacement is built at once.
    fn give_way(
        &mut self,
        cx: &mut Context,
        handle: TunnelHandle,
        within_ms: u64,
    ) -> Vec<OwnEvent> {
        let now = cx.mono();
        let Some(tunnel) = self.tunnels.get_mut(&handle) else {
            return Vec::new();
        };
        tunnel.retiring = true;
        tunnel.planned_end = tunnel.planned_end.min(now.plus_ms(within_ms));
        let pool = tunnel.pool;
        self.plan(cx, handle);
        cx.timers.set_earlier(Timer::Pool(pool), now);
        if pool == PoolId::Persona {
            vec![OwnEvent::Addresses]
        } else {
            Vec::new()
        }
    }
}

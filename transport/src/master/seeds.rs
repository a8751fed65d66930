//! Contacts for the DHT: some of a pool's endpoints are asked for them, and if none hosts any, tunnels move.

use deut_common::ids::RelayId;

use super::{
    barren::{Barren, STAYS_MS},
    requests::Purpose,
    table::Tunnels,
    up::Up,
};
use crate::{
    context::Context,
    ids::{PoolId, TunnelHandle},
    net::Net,
};

/// Number of endpoints asked for contacts at a time.
const ASKED: usize = 4;

#[derive(Default)]
pub(super) struct Seeds {
    /// The endpoints asked since contacts were last wanted; `None` before they were wanted for the first time.
    asked: Option<Vec<RelayId>>,
    barren: Barren,
}

impl Seeds {
    /// Contacts are wanted from several endpoints. Those that are missing now are asked as tunnels come up.
    pub(super) fn want(&mut self, net: &mut Net, tunnels: &mut Tunnels, pool: PoolId) {
        self.asked = Some(Vec::new());
        self.barren.want(net.cx.mono());
        let usable = tunnels.usable(pool);
        let count = usable.len();
        for handle in net.cx.sample(usable, count) {
            if let Some(up) = tunnels.up_mut(handle) {
                self.ask(net, up);
            }
        }
    }

    /// Asks the endpoint of this tunnel, unless it, or enough others, were asked already.
    pub(super) fn ask(&mut self, net: &mut Net, up: &mut Up) {
        let Some(asked) = &mut self.asked else { return };
        if asked.len() < ASKED && !asked.contains(&up.endpoint()) {
            asked.push(up.endpoint());
            up.request(net, Purpose::Seeds);
        }
    }

    /// The endpoint of this tunnel hosts no contacts. If none of a pool's endpoints hosts any, one tunnel is to be replaced by
    /// another, which may end elsewhere: else a small pool could stay alone for ten minutes. Returns the pool in that case.
    pub(super) fn none_at(
        &mut self,
        cx: &mut Context,
        tunnels: &mut Tunnels,
        handle: TunnelHandle,
    ) -> Option<PoolId> {
        let pool = tunnels.up(handle)?.pool();
        let retiring = tunnels.of(pool).any(|up| up.life().is_retiring());
        let asked = self.asked.as_ref().map_or(0, Vec::len);
        let all_asked = asked >= ASKED.min(tunnels.endpoints(pool).len());
        if retiring || !all_asked || !self.barren.may_move(cx.mono()) {
            return None;
        }
        let staying = tunnels.usable(pool);
        let handle = tunnels.sharing(&staying).unwrap_or(handle);
        tunnels.up_mut(handle)?.give_way(cx, STAYS_MS);
        Some(pool)
    }
}

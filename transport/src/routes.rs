//! Assigns cells to tunnels, by their link and their incoming id. We choose these ids ourselves.

use std::collections::{BTreeMap, BTreeSet};

use rand::Rng;

use crate::{
    context::Context,
    ids::{LinkHandle, RelayedId, ServedId, TunnelHandle, TunnelId, WalkId},
};

/// The target of an incoming tunnel id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// A walk request that waits for its answer.
    Walk(WalkId),
    /// A relayed tunnel, from the master's side.
    Forward(RelayedId),
    /// A relayed tunnel, from the endpoint's side.
    Back(RelayedId),
    /// A tunnel that ends here.
    Served(ServedId),
    /// A tunnel of ours.
    Master(TunnelHandle),
}

/// The place of a tunnel on one link.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Side {
    pub(crate) link: LinkHandle,
    /// The id of cells that arrive over this link; we chose it.
    pub(crate) incoming: TunnelId,
    /// The id of cells that leave over this link; the neighbour chose it.
    pub(crate) outgoing: TunnelId,
}

/// All routes; bounded by the tables of tunnels and walks behind them.
#[derive(Default)]
pub(crate) struct Routes {
    incoming: BTreeMap<(LinkHandle, TunnelId), Route>,
    /// Ids that neighbours chose for the cells to them.
    outgoing: BTreeSet<(LinkHandle, TunnelId)>,
}

impl Routes {
    pub(crate) fn len(&self) -> usize {
        self.incoming.len()
    }

    pub(crate) fn get(&self, link: LinkHandle, id: TunnelId) -> Option<Route> {
        self.incoming.get(&(link, id)).copied()
    }

    /// A new random id for cells that arrive over this link. `None` only if 64 draws are all in use.
    pub(crate) fn fresh(
        &mut self,
        cx: &mut Context,
        link: LinkHandle,
        route: Route,
    ) -> Option<TunnelId> {
        for _ in 0..64 {
            let id = TunnelId(cx.secrets.next_u32());
            if id.0 != 0 && !self.incoming.contains_key(&(link, id)) {
                self.incoming.insert((link, id), route);
                return Some(id);
            }
        }
        None
    }

    /// Points an id that we gave out to another target.
    pub(crate) fn set(&mut self, link: LinkHandle, id: TunnelId, route: Route) {
        self.incoming.insert((link, id), route);
    }

    pub(crate) fn forget(&mut self, link: LinkHandle, id: TunnelId) {
        self.incoming.remove(&(link, id));
    }

    /// Takes an id that a neighbour chose; `false` if it is in use on that link.
    pub(crate) fn take_outgoing(&mut self, link: LinkHandle, id: TunnelId) -> bool {
        self.outgoing.insert((link, id))
    }

    pub(crate) fn free_outgoing(&mut self, link: LinkHandle, id: TunnelId) {
        self.outgoing.remove(&(link, id));
    }

    /// All routes of a link.
    pub(crate) fn on_link(&self, link: LinkHandle) -> Vec<Route> {
        let range = (link, TunnelId(0))..=(link, TunnelId(u32::MAX));
        self.incoming
            .range(range)
            .map(|(_, &route)| route)
            .collect()
    }
}

//! The tunnels of this node from the walk's answer on, by handle, and questions about all of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use deut_common::{
    ids::RelayId,
    time::{Mono, Unix},
};

use super::{
    confirmed::Confirmed,
    events::Recipient,
    exchanging::Exchanging,
    line::Line,
    requests::{Answered, Overdue},
    up::Up,
};
use crate::{
    context::Context,
    drop_reason::DropReason,
    ids::{Gate, JobTicket, PoolId, TunnelHandle},
    net::Net,
    status::TunnelView,
};

/// The state of a tunnel.
pub(super) enum Tunnel {
    Exchanging(Box<Exchanging>),
    Confirmed(Box<Confirmed>),
    Up(Box<Up>),
}

impl Tunnel {
    pub(super) const fn line(&self) -> &Line {
        match self {
            Self::Exchanging(exchanging) => &exchanging.line,
            Self::Confirmed(confirmed) => &confirmed.line,
            Self::Up(up) => &up.line,
        }
    }

    pub(super) const fn line_mut(&mut self) -> &mut Line {
        match self {
            Self::Exchanging(exchanging) => &mut exchanging.line,
            Self::Confirmed(confirmed) => &mut confirmed.line,
            Self::Up(up) => &mut up.line,
        }
    }

    pub(super) const fn is_up(&self) -> bool {
        matches!(self, Self::Up(_))
    }

    /// Returns true if the build took too long.
    pub(super) fn has_failed(&self, cx: &Context) -> bool {
        !self.is_up() && cx.mono() >= self.line().life.build_timeout(cx)
    }

    /// The recipient of a message that came out of the tunnel, given its gate.
    pub(super) fn recipient(&self, gate: Gate) -> Result<Recipient, DropReason> {
        let is_reply = match self {
            Self::Exchanging(_) => false,
            Self::Confirmed(confirmed) => confirmed.takes(gate),
            Self::Up(up) => up.reply().takes(gate),
        };
        match self.line().pool() {
            _ if is_reply => Ok(Recipient::Caller),
            PoolId::Persona => Ok(Recipient::Persona),
            PoolId::Lookup => Err(DropReason::GateClosed),
        }
    }

    /// The request with this number was answered.
    pub(super) fn answered(&mut self, number: u32) -> Result<Answered, DropReason> {
        let answered = self.line_mut().answered(number)?;
        if let Self::Up(up) = self {
            up.liveness_mut().answered();
        }
        Ok(answered)
    }

    /// Repeats an overdue request. Returns the one that is given up.
    pub(super) fn repeat_request(&mut self, net: &mut Net) -> Overdue {
        match self {
            Self::Up(up) => up.repeat_request(net),
            other => other.line_mut().repeat_request(net),
        }
    }

    /// A wait may be over or an echo due. `true` if a replacement is due.
    pub(super) fn on_timer(&mut self, net: &mut Net) -> bool {
        match self {
            Self::Exchanging(exchanging) => exchanging.on_timer(net),
            Self::Confirmed(confirmed) => confirmed.on_timer(net),
            Self::Up(up) => return up.on_timer(net),
        }
        false
    }

    /// Sets the timer to the earliest deadline.
    pub(super) fn plan(&self, cx: &mut Context) {
        let at = match self {
            Self::Exchanging(exchanging) => exchanging.deadline(cx),
            Self::Confirmed(confirmed) => confirmed.deadline(),
            Self::Up(up) => return up.plan(cx),
        };
        self.line().plan(cx, Some(at));
    }

    fn view(&self, now: Mono) -> TunnelView {
        let proven = matches!(self, Self::Up(up) if up.liveness().is_proven());
        self.line().view(now, proven)
    }
}

#[derive(Default)]
pub(super) struct Tunnels {
    by_handle: BTreeMap<TunnelHandle, Tunnel>,
}

impl Tunnels {
    pub(super) fn len(&self) -> usize {
        self.by_handle.len()
    }

    pub(super) fn insert(&mut self, tunnel: Tunnel) {
        self.by_handle.insert(tunnel.line().handle(), tunnel);
    }

    pub(super) fn remove(&mut self, handle: TunnelHandle) -> Option<Tunnel> {
        self.by_handle.remove(&handle)
    }

    pub(super) fn get(&self, handle: TunnelHandle) -> Option<&Tunnel> {
        self.by_handle.get(&handle)
    }

    pub(super) fn get_mut(&mut self, handle: TunnelHandle) -> Option<&mut Tunnel> {
        self.by_handle.get_mut(&handle)
    }

    pub(super) fn up(&self, handle: TunnelHandle) -> Option<&Up> {
        match self.by_handle.get(&handle) {
            Some(Tunnel::Up(up)) => Some(up),
            _ => None,
        }
    }

    pub(super) fn up_mut(&mut self, handle: TunnelHandle) -> Option<&mut Up> {
        match self.by_handle.get_mut(&handle) {
            Some(Tunnel::Up(up)) => Some(up),
            _ => None,
        }
    }

    pub(super) fn exchanging_mut(&mut self, handle: TunnelHandle) -> Option<&mut Exchanging> {
        match self.by_handle.get_mut(&handle) {
            Some(Tunnel::Exchanging(exchanging)) => Some(exchanging),
            _ => None,
        }
    }

    /// The tunnel whose exchange waits for this job.
    pub(super) fn awaiting(&self, job: JobTicket) -> Option<&Exchanging> {
        self.by_handle.values().find_map(|tunnel| match tunnel {
            Tunnel::Exchanging(exchanging) if exchanging.awaits(job) => Some(&**exchanging),
            _ => None,
        })
    }

    /// The tunnels of one pool or of both, including those that are not up yet; oldest first.
    pub(super) fn handles(&self, pool: Option<PoolId>) -> Vec<TunnelHandle> {
        let wanted = |tunnel: &&Tunnel| pool.is_none_or(|pool| tunnel.line().pool() == pool);
        let lines = self.by_handle.values().filter(wanted).map(Tunnel::line);
        lines.map(Line::handle).collect()
    }

    pub(super) fn views(&self, now: Mono) -> Vec<TunnelView> {
        self.by_handle
            .values()
            .map(|tunnel| tunnel.view(now))
            .collect()
    }

    /// The tunnels of both pools that are up, oldest first.
    pub(super) fn ups_mut(&mut self) -> impl Iterator<Item = &mut Up> {
        self.by_handle
            .values_mut()
            .filter_map(|tunnel| match tunnel {
                Tunnel::Up(up) => Some(&mut **up),
                _ => None,
            })
    }

    /// The tunnels of a pool that are up, oldest first.
    pub(super) fn of(&self, pool: PoolId) -> impl Iterator<Item = &Up> {
        self.ups().filter(move |up| up.pool() == pool)
    }

    fn ups(&self) -> impl Iterator<Item = &Up> {
        self.by_handle.values().filter_map(|tunnel| match tunnel {
            Tunnel::Up(up) => Some(&**up),
            _ => None,
        })
    }

    /// Number of tunnels of a pool that are not up yet.
    pub(super) fn building(&self, pool: PoolId) -> usize {
        let of_pool = |tunnel: &&Tunnel| tunnel.line().pool() == pool && !tunnel.is_up();
        self.by_handle.values().filter(of_pool).count()
    }

    /// Number of tunnels of a pool that are known to work.
    pub(super) fn proven(&self, pool: PoolId) -> usize {
        self.of(pool).filter(|up| up.liveness().is_proven()).count()
    }

    /// Returns true if some tunnel has not answered since the node stood still.
    pub(super) fn some_are_doubted(&self) -> bool {
        self.ups().any(|up| up.liveness().is_doubted())
    }

    /// Tunnels of a pool that messages may use now: the proven ones or, if there are none, the others.
    pub(super) fn usable(&self, pool: PoolId) -> Vec<TunnelHandle> {
        let kinds: [fn(&&Up) -> bool; 3] = [
            |up| up.liveness().is_proven(),
            |up| !up.liveness().is_suspect(),
            |_| true,
        ];
        let of_kind = |kind| {
            self.of(pool)
                .filter(kind)
                .map(Up::handle)
                .collect::<Vec<_>>()
        };
        let mut kinds = kinds.into_iter().map(of_kind);
        kinds.find(|kind| !kind.is_empty()).unwrap_or_default()
    }

    /// The persona's addresses, each with its end. Tunnels that retire are left out if two others are up. If there are fewer than
    /// two addresses, none is given.
    pub(super) fn addresses(&self, cx: &Context) -> Vec<(SocketAddr, Unix)> {
        let ready = |retiring: bool| {
            let of_persona = self.of(PoolId::Persona).filter(|up| up.reaches_persona());
            let ready = of_persona.filter(move |up| up.life().is_retiring() == retiring);
            ready.map(|up| {
                let left_s = up.life().end().since(cx.mono()) / 1_000_000;
                (up.address(), Unix(cx.now.unix.0.saturating_add(left_s)))
            })
        };
        let mut addresses: Vec<_> = ready(false).collect();
        if addresses.len() < 2 {
            addresses.extend(ready(true));
        }
        if addresses.len() < 2 {
            addresses.clear();
        }
        addresses
    }

    /// A tunnel of the pool that ends at another relay, which may know this one.
    pub(super) fn ending_elsewhere(
        &self,
        cx: &mut Context,
        pool: PoolId,
        endpoint: RelayId,
    ) -> Option<TunnelHandle> {
        let others = self.of(pool).filter(|up| up.endpoint() != endpoint);
        let others: Vec<TunnelHandle> = others.map(Up::handle).collect();
        others.get(cx.index(others.len())).copied()
    }

    /// The relays at which the usable tunnels of a pool end.
    pub(super) fn endpoints(&self, pool: PoolId) -> BTreeSet<RelayId> {
        let usable = self.usable(pool);
        let tunnels = usable.iter().filter_map(|&handle| self.up(handle));
        tunnels.map(Up::endpoint).collect()
    }

    /// One of these tunnels that shares its endpoint with another of them.
    pub(super) fn sharing(&self, tunnels: &[TunnelHandle]) -> Option<TunnelHandle> {
        let endpoint = |handle: &TunnelHandle| self.up(*handle).map(Up::endpoint);
        let twice = tunnels.iter().find(|one| {
            let same = |other: &&TunnelHandle| endpoint(other) == endpoint(one);
            tunnels.iter().filter(same).count() > 1
        });
        twice.copied()
    }
}

//! Walks: the coin (go on or end here), refusals, and the way back (protocol §6). The next hop is drawn in [`under_way`].

mod under_way;

use std::net::SocketAddr;

use crate::{
    config::Role,
    context::Context,
    crypto::walk::Hop,
    drop_reason::DropReason,
    endpoint::Endpoint,
    ids::{LinkHandle, TunnelHandle, WalkId},
    incoming::Incoming,
    net::Net,
    policy::{FORWARD_PROBABILITY, Profile},
    relayer::Relayer,
    routes::Route,
    wire::frame::{WalkAnswer, WalkRequest},
};
pub(crate) use under_way::Sent;
use under_way::{End, Origin, UnderWay};

/// Above this share of transit tunnels, in percent of their cap, requests are refused with rising probability.
const BUSY_PERCENT: u64 = 70;

/// One of our walks that was answered.
pub(crate) struct Walked {
    pub(crate) handle: TunnelHandle,
    pub(crate) sent: Sent,
    pub(crate) answer: Box<WalkAnswer>,
}

/// The roles that a walk may give to this node.
pub(crate) struct Roles<'a> {
    pub(crate) relayer: &'a mut Relayer,
    pub(crate) endpoint: &'a mut Endpoint,
}

/// All walks that are not answered yet.
#[derive(Default)]
pub(crate) struct Walks {
    under_way: UnderWay,
}

impl Walks {
    pub(crate) fn len(&self) -> usize {
        self.under_way.len()
    }

    /// Starts a walk for one of our tunnels. On the wire it looks like one that we pass on.
    pub(crate) fn start(&mut self, cx: &mut Context, tunnel: TunnelHandle, element: [u8; 32]) {
        self.under_way
            .start(cx, Origin::Master(tunnel), element, None);
    }

    /// A neighbour asks for a tunnel, its own or another node's.
    pub(crate) fn on_request(
        &mut self,
        net: &mut Net,
        roles: &mut Roles<'_>,
        link: LinkHandle,
        request: &WalkRequest,
    ) -> Result<(), DropReason> {
        if let Err(reason) = self.admit(net, roles.relayer, link) {
            if reason != DropReason::UnknownSession {
                // The neighbour is told at once, so that it can try elsewhere.
                net.tell_closed(link, request.id_back);
            }
            return Err(reason);
        }
        let hop =
            Hop::take(&request.element, &mut net.cx.secrets).map_err(|_| DropReason::BadElement)?;
        if !net.routes.take_outgoing(link, request.id_back) {
            return Err(DropReason::TunnelIdInUse);
        }
        let walk = Box::new(Incoming {
            prev: link,
            id_back: request.id_back,
            hop,
        });
        let (forward, of) = FORWARD_PROBABILITY;
        let ends = net.cx.below(u64::from(of)) >= u64::from(forward);
        let path = net.cx.path.as_mut();
        if path.map_or(ends, |path| path.ends_here(ends)) {
            net.cx.counters.coins_endpoint += 1;
            if let Err(walk) = roles.endpoint.serve(&mut net.cx, walk) {
                self.forward(net, walk);
            }
        } else {
            net.cx.counters.coins_relayer += 1;
            self.forward(net, walk);
        }
        Ok(())
    }

    /// Checks that this neighbour may have one more tunnel through us.
    fn admit(&self, net: &mut Net, relayer: &Relayer, link: LinkHandle) -> Result<(), DropReason> {
        let neighbour = net.links.get_mut(link).ok_or(DropReason::UnknownSession)?;
        if !neighbour.walks.take(net.cx.mono()) {
            return Err(DropReason::RateLimited);
        }
        let limits = &net.cx.config.limits;
        let crowded = neighbour.tunnels >= limits.tunnels_per_neighbour
            || self.len() >= limits.transit_tunnels;
        if crowded || is_overloaded(&mut net.cx, relayer) || net.cx.config.role == Role::Client {
            return Err(DropReason::TableFull);
        }
        Ok(())
    }

    fn forward(&mut self, net: &mut Net, walk: Box<Incoming>) {
        let element = walk.hop.next_element();
        net.cx
            .observers
            .walk_taken(*walk.hop.element(), Some(element));
        let avoid: Option<SocketAddr> = net.links.get(walk.prev).map(|link| link.address);
        self.under_way
            .start(&mut net.cx, Origin::Incoming(walk), element, avoid);
    }

    /// The delay or the deadline of a request is over. Returns our tunnel if its walk failed.
    pub(crate) fn on_timer(
        &mut self,
        net: &mut Net,
        endpoint: &mut Endpoint,
        id: WalkId,
    ) -> Option<TunnelHandle> {
        let end = self.under_way.on_timer(net, id)?;
        on_end(net, endpoint, end)
    }

    /// The relay that we asked refused or is gone, so another is asked. Returns our tunnel if its walk failed.
    pub(crate) fn retry(
        &mut self,
        net: &mut Net,
        endpoint: &mut Endpoint,
        id: WalkId,
    ) -> Option<TunnelHandle> {
        let end = self.under_way.retry(net, id)?;
        on_end(net, endpoint, end)
    }

    /// The next hop of this walk does not respond at all.
    pub(crate) fn next_hop_is_silent(&self, net: &mut Net, id: WalkId) {
        if let Some(relay) = self.under_way.asked(id) {
            net.silent(relay);
        }
    }

    /// An answer came to a request that we sent or passed on. Returns it if the walk is ours.
    pub(crate) fn on_answer(
        &mut self,
        net: &mut Net,
        relayer: &mut Relayer,
        link: LinkHandle,
        answer: Box<WalkAnswer>,
    ) -> Result<Option<Walked>, DropReason> {
        let Some(Route::Walk(id)) = net.routes.get(link, answer.id_back) else {
            return Err(DropReason::UnexpectedWalkAnswer);
        };
        let (origin, sent) = self
            .under_way
            .take(&mut net.cx, id)
            .ok_or(DropReason::UnexpectedWalkAnswer)?;
        match origin {
            Origin::Master(handle) => Ok(Some(Walked {
                handle,
                sent,
                answer,
            })),
            Origin::Incoming(walk) => {
                let passed = relayer.join(net, &walk, sent.link, &answer);
                let incoming = passed.inspect_err(|_| {
                    net.routes.forget(sent.link, sent.id_back);
                    walk.give_up(net);
                })?;
                walk.answer(net, incoming, answer.block, answer.sealed);
                Ok(None)
            }
        }
    }
}

/// Returns true from [`BUSY_PERCENT`] on, with rising probability.
fn is_overloaded(cx: &mut Context, relayer: &Relayer) -> bool {
    let cap = cx.config.limits.transit_tunnels as u64;
    let load = relayer.len() as u64 * 100 / cap.max(1);
    load >= BUSY_PERCENT && cx.below(100 - BUSY_PERCENT) < load - BUSY_PERCENT
}

fn on_end(net: &mut Net, endpoint: &mut Endpoint, end: End) -> Option<TunnelHandle> {
    match end {
        End::NoNextHop(Origin::Master(handle)) | End::TimedOut(Origin::Master(handle)) => {
            return Some(handle);
        }
        End::TimedOut(Origin::Incoming(walk)) => walk.give_up(net),
        End::NoNextHop(Origin::Incoming(walk)) => {
            // In the test profile, where a network may have three nodes, we become the endpoint instead.
            let unserved = match net.cx.config.policy.profile {
                Profile::Test => endpoint.serve(&mut net.cx, walk).err(),
                Profile::Production => Some(walk),
            };
            if let Some(walk) = unserved {
                walk.answer_unopenable(net);
            }
        }
    }
    None
}

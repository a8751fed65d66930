//! Walk requests under way, own and forwarded alike: one code path, one queue, one delay (protocol §6.1).

use std::{collections::BTreeMap, net::SocketAddr};

use deut_common::{ids::RelayId, time::Mono};

use crate::{
    context::Context,
    crypto::walk::Hop,
    directory::Directory,
    ids::{LinkHandle, TunnelHandle, TunnelId, WalkId},
    links::{ControlToken, Links},
    relayer::routes::{Route, Routes},
    timers::Timer,
    wire::{
        descriptor::Descriptor,
        frame::{Control, WalkRequest},
    },
};

/// Next hops that are tried.
const TRIES: usize = 3;

/// A walk that we forward as a relayer.
pub(crate) struct Forwarded {
    pub(crate) prev: LinkHandle,
    /// The id that cells from us to the previous hop will carry.
    pub(crate) id_back: TunnelId,
    pub(crate) hop: Hop,
}

/// On whose behalf.
pub(crate) enum Origin {
    /// We are the master: it is for this tunnel.
    Master(TunnelHandle),
    /// Somebody else's, or nobody can tell.
    Forwarded(Box<Forwarded>),
}

/// Where a sent request waits for its answer.
#[derive(Clone, Copy)]
pub(crate) struct Sent {
    pub(crate) link: LinkHandle,
    pub(crate) relay: RelayId,
    pub(crate) id_back: TunnelId,
}

/// A request under way.
pub(crate) struct Walk {
    pub(crate) origin: Origin,
    element: [u8; 32],
    /// The previous hop's address, which the next must be far from.
    avoid: Option<SocketAddr>,
    tried: Vec<RelayId>,
    pub(crate) sent: Option<Sent>,
    deadline: Mono,
}

/// What became of a request.
pub(crate) enum WalkEnd {
    /// No next hop could be found.
    NoNextHop(Origin),
    /// The answer never came.
    TimedOut(Origin),
}

/// All requests under way.
#[derive(Default)]
pub(crate) struct Walks {
    walks: BTreeMap<WalkId, Walk>,
    next: u64,
}

/// What a walk needs of the rest of the node.
pub(crate) struct WalkContext<'a> {
    pub(crate) links: &'a mut Links,
    pub(crate) routes: &'a mut Routes,
    pub(crate) directory: &'a Directory,
    pub(crate) own: Option<&'a Descriptor>,
}

impl Walks {
    pub(crate) fn len(&self) -> usize {
        self.walks.len()
    }

    /// Plans a request; it leaves after a random delay that is the same for own and forwarded ones.
    pub(crate) fn start(
        &mut self,
        cx: &mut Context,
        origin: Origin,
        element: [u8; 32],
        avoid: Option<SocketAddr>,
    ) {
        self.next += 1;
        let id = WalkId(self.next);
        let deadline = cx.mono().plus_ms(cx.config.times.build_timeout_ms);
        self.walks.insert(
            id,
            Walk {
                origin,
                element,
                avoid,
                tried: Vec::new(),
                sent: None,
                deadline,
            },
        );
        let delay = cx.below(cx.config.times.walk_delay_ms * 1_000 + 1);
        cx.timers.set(Timer::Walk(id), cx.mono().plus_us(delay));
    }

    /// The delay or the deadline is over.
    pub(crate) fn on_timer(
        &mut self,
        cx: &mut Context,
        context: &mut WalkContext<'_>,
        id: WalkId,
    ) -> Option<WalkEnd> {
        let walk = self.walks.get(&id)?;
        if let Some(sent) = walk.sent {
            context.routes.forget(sent.link, sent.id_back);
            return self
                .walks
                .remove(&id)
                .map(|walk| WalkEnd::TimedOut(walk.origin));
        }
        self.send(cx, context, id)
    }

    /// Picks a next hop and sends the request to it.
    fn send(
        &mut self,
        cx: &mut Context,
        context: &mut WalkContext<'_>,
        id: WalkId,
    ) -> Option<WalkEnd> {
        while let Some(walk) = self
            .walks
            .get_mut(&id)
            .filter(|walk| walk.tried.len() < TRIES)
        {
            let Some(next) = next_hop(cx, context, walk) else {
                break;
            };
            walk.tried.push(next.id());
            let Some(link) = context.links.dial(cx, context.own, &next) else {
                continue;
            };
            let Some(id_back) = context.routes.fresh(cx, link, Route::Walk(id)) else {
                continue;
            };
            let request = Control::WalkRequest(WalkRequest {
                id_back,
                element: walk.element,
            });
            if !context
                .links
                .send_control(cx, link, &request, ControlToken::Walk(id))
            {
                context.routes.forget(link, id_back);
                continue;
            }
            walk.sent = Some(Sent {
                link,
                relay: next.id(),
                id_back,
            });
            cx.timers.set(Timer::Walk(id), walk.deadline);
            cx.observers
                .walk_sent(matches!(walk.origin, Origin::Master(_)), walk.element);
            if matches!(walk.origin, Origin::Forwarded(_)) {
                cx.counters.walks_forwarded += 1;
            }
            return None;
        }
        cx.timers.clear(Timer::Walk(id));
        self.walks
            .remove(&id)
            .map(|walk| WalkEnd::NoNextHop(walk.origin))
    }

    /// The next hop did not acknowledge, or the link to it died: another one.
    pub(crate) fn retry(
        &mut self,
        cx: &mut Context,
        context: &mut WalkContext<'_>,
        id: WalkId,
    ) -> Option<WalkEnd> {
        let sent = self.walks.get_mut(&id)?.sent.take();
        if let Some(sent) = sent {
            context.routes.forget(sent.link, sent.id_back);
        }
        self.send(cx, context, id)
    }

    /// The relay that a request was sent to.
    pub(crate) fn asked(&self, id: WalkId) -> Option<RelayId> {
        self.walks.get(&id)?.sent.map(|sent| sent.relay)
    }

    /// The answer came over the link that we asked: the request is over.
    pub(crate) fn take(&mut self, cx: &mut Context, id: WalkId) -> Option<(Origin, Sent)> {
        let sent = self.walks.get(&id)?.sent?;
        cx.timers.clear(Timer::Walk(id));
        self.walks.remove(&id).map(|walk| (walk.origin, sent))
    }
}

/// Uniform among the verified relays that are neither we nor the previous hop nor near either.
fn next_hop(
    cx: &mut Context,
    context: &WalkContext<'_>,
    walk: &Walk,
) -> Option<std::sync::Arc<Descriptor>> {
    let policy = cx.config.policy;
    let own = context.own.map(|own| own.address);
    // Taken out meanwhile, since choosing draws from the context.
    let path = cx.path.take();
    let others = matches!(walk.origin, Origin::Forwarded(_));
    let may_follow = |next| !others || path.as_ref().is_none_or(|path| path.may_follow(next));
    let next = context.directory.choose(cx, |descriptor| {
        may_follow(descriptor.id())
            && !walk.tried.contains(&descriptor.id())
            && own.is_none_or(|own| policy.diverse(own, descriptor.address))
            && walk
                .avoid
                .is_none_or(|prev| policy.diverse(prev, descriptor.address))
    });
    cx.path = path;
    next
}

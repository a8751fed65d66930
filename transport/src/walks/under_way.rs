//! Walk requests under way, our own and others' alike: one queue, one delay (protocol §6.1). The next hop of every walk is drawn
//! here.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use deut_common::{ids::RelayId, time::Mono};

use crate::{
    context::Context,
    ids::{LinkHandle, TunnelHandle, TunnelId, WalkId},
    incoming::Incoming,
    links::ControlToken,
    net::Net,
    routes::Route,
    timers::Timer,
    wire::{
        descriptor::Descriptor,
        frame::{Control, WalkRequest},
    },
};

/// Number of next hops that are tried.
const TRIES: usize = 3;

/// The originator of a walk request.
pub(super) enum Origin {
    /// Our own walk, for this tunnel.
    Master(TunnelHandle),
    /// A neighbour, for itself or another node: nobody can tell.
    Incoming(Box<Incoming>),
}

/// The place where a sent request waits for its answer.
#[derive(Clone, Copy)]
pub(crate) struct Sent {
    pub(crate) link: LinkHandle,
    pub(crate) relay: RelayId,
    pub(crate) id_back: TunnelId,
}

/// A request under way.
struct Walk {
    origin: Origin,
    element: [u8; 32],
    /// Address of the previous hop, from which the next must be far.
    avoid: Option<SocketAddr>,
    tried: Vec<RelayId>,
    sent: Option<Sent>,
    deadline: Mono,
}

/// The end of a request without an answer.
pub(super) enum End {
    /// No next hop was found.
    NoNextHop(Origin),
    /// The answer did not come in time.
    TimedOut(Origin),
}

#[derive(Default)]
pub(super) struct UnderWay {
    walks: BTreeMap<WalkId, Walk>,
    next: u64,
}

impl UnderWay {
    pub(super) fn len(&self) -> usize {
        self.walks.len()
    }

    /// Plans a request. It leaves after a random delay, which is drawn alike for own and forwarded requests.
    pub(super) fn start(
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

    /// The delay or the deadline of a request is over.
    pub(super) fn on_timer(&mut self, net: &mut Net, id: WalkId) -> Option<End> {
        let walk = self.walks.get(&id)?;
        if let Some(sent) = walk.sent {
            net.routes.forget(sent.link, sent.id_back);
            let walk = self.walks.remove(&id)?;
            return Some(End::TimedOut(walk.origin));
        }
        self.send(net, id)
    }

    /// The next hop did not acknowledge or the link to it died: another one is tried.
    pub(super) fn retry(&mut self, net: &mut Net, id: WalkId) -> Option<End> {
        let sent = self.walks.get_mut(&id)?.sent.take();
        if let Some(sent) = sent {
            net.routes.forget(sent.link, sent.id_back);
        }
        self.send(net, id)
    }

    /// Sends the request to a next hop.
    fn send(&mut self, net: &mut Net, id: WalkId) -> Option<End> {
        while let Some(walk) = self.walks.get_mut(&id)
            && walk.tried.len() < TRIES
            && let Some(next) = next_hop(net, walk)
        {
            walk.tried.push(next.id());
            if !walk.send_to(net, id, &next) {
                continue;
            }
            net.cx.timers.set(Timer::Walk(id), walk.deadline);
            let own = matches!(walk.origin, Origin::Master(_));
            net.cx.observers.walk_sent(own, walk.element);
            net.cx.counters.walks_forwarded += u64::from(!own);
            return None;
        }
        net.cx.timers.clear(Timer::Walk(id));
        let walk = self.walks.remove(&id)?;
        Some(End::NoNextHop(walk.origin))
    }

    /// The relay to which a request was sent.
    pub(super) fn asked(&self, id: WalkId) -> Option<RelayId> {
        self.walks.get(&id)?.sent.map(|sent| sent.relay)
    }

    /// Ends a request, since its answer came from the link that we asked.
    pub(super) fn take(&mut self, cx: &mut Context, id: WalkId) -> Option<(Origin, Sent)> {
        let sent = self.walks.get(&id)?.sent?;
        cx.timers.clear(Timer::Walk(id));
        self.walks.remove(&id).map(|walk| (walk.origin, sent))
    }
}

impl Walk {
    /// Sends the request to this relay; `false` if that cannot be done.
    fn send_to(&mut self, net: &mut Net, id: WalkId, next: &Arc<Descriptor>) -> bool {
        let Some(link) = net.dial(next) else {
            return false;
        };
        let Some(id_back) = net.routes.fresh(&mut net.cx, link, Route::Walk(id)) else {
            return false;
        };
        let request = Control::WalkRequest(WalkRequest {
            id_back,
            element: self.element,
        });
        let token = ControlToken::Walk(id);
        if !net.links.send_control(&mut net.cx, link, &request, token) {
            net.routes.forget(link, id_back);
            return false;
        }
        self.sent = Some(Sent {
            link,
            relay: next.id(),
            id_back,
        });
        true
    }
}

/// A uniform choice among the verified relays that are neither we nor the previous hop, nor near either.
fn next_hop(net: &mut Net, walk: &Walk) -> Option<Arc<Descriptor>> {
    let policy = net.cx.config.policy;
    let own = net.own.descriptor().map(|own| own.address);
    // Taken out for the moment, since choosing draws from the context.
    let path = net.cx.path.take();
    let others = matches!(walk.origin, Origin::Incoming(_));
    let may_follow = |next| !others || path.as_ref().is_none_or(|path| path.may_follow(next));
    let next = net.directory.choose(&mut net.cx, |descriptor| {
        may_follow(descriptor.id())
            && !walk.tried.contains(&descriptor.id())
            && own.is_none_or(|own| policy.diverse(own, descriptor.address))
            && walk
                .avoid
                .is_none_or(|prev| policy.diverse(prev, descriptor.address))
    });
    net.cx.path = path;
    next
}

//! Walks through this node: the coin, the next hop, the way back (protocol §6).

use super::Transport;
use crate::{
    config::Role,
    crypto::walk::Hop,
    drop_reason::DropReason,
    endpoint::{send_answer, unopenable},
    ids::{LinkHandle, TunnelId, WalkId},
    links::ControlToken,
    master::Walked,
    policy::{FORWARD_PROBABILITY, Profile},
    relayer::{
        routes::Route,
        tunnels::Side,
        walks::{Forwarded, Origin, Sent, WalkContext, WalkEnd},
    },
    wire::frame::{Control, WalkAnswer, WalkRequest},
};

impl Transport {
    /// A neighbour wants a tunnel: its own, or somebody else's.
    pub(super) fn on_walk_request(
        &mut self,
        link: LinkHandle,
        request: &WalkRequest,
    ) -> Result<(), DropReason> {
        let now = self.cx.now.mono;
        let neighbour = self.links.get_mut(link).ok_or(DropReason::UnknownSession)?;
        if !neighbour.walks.take(now) {
            return self.refuse_walk(link, request.id_back, DropReason::RateLimited);
        }
        let limits = &self.cx.config.limits;
        let crowded = neighbour.tunnels >= limits.tunnels_per_neighbour
            || self.walks.len() >= limits.transit_tunnels;
        if crowded
            || self.is_overloaded()
            || self.master.is_shutting_down()
            || self.cx.config.role == Role::Client
        {
            return self.refuse_walk(link, request.id_back, DropReason::TableFull);
        }
        let hop = Hop::take(&request.element, &mut self.cx.secrets)
            .map_err(|_| DropReason::BadElement)?;
        if !self.routes.take_outgoing(link, request.id_back) {
            return Err(DropReason::TunnelIdInUse);
        }
        let walk = Box::new(Forwarded {
            prev: link,
            id_back: request.id_back,
            hop,
        });
        let (forward, of) = FORWARD_PROBABILITY;
        let ends = self.cx.below(u64::from(of)) >= u64::from(forward);
        let path = self.cx.path.as_mut();
        let ends = path.map_or(ends, |path| path.ends_here(ends));
        if ends {
            self.cx.counters.coins_endpoint += 1;
            self.serve_or_forward(walk);
        } else {
            self.cx.counters.coins_relayer += 1;
            self.forward_walk(walk);
        }
        Ok(())
    }

    /// Tells the neighbour at once, so that it tries elsewhere.
    fn refuse_walk(
        &mut self,
        link: LinkHandle,
        id: TunnelId,
        why: DropReason,
    ) -> Result<(), DropReason> {
        self.links.send_control(
            &mut self.cx,
            link,
            &Control::TunnelClosed { id },
            ControlToken::Nobody,
        );
        Err(why)
    }

    /// From 70 % of the transit tunnels on, requests are refused with rising probability.
    fn is_overloaded(&mut self) -> bool {
        let cap = self.cx.config.limits.transit_tunnels as u64;
        let load = self.relays.len() as u64 * 100 / cap.max(1);
        load >= 70 && self.cx.below(30) < load - 70
    }

    fn serve_or_forward(&mut self, walk: Box<Forwarded>) {
        if !self.endpoint.can_serve(&self.cx) {
            return self.forward_walk(walk);
        }
        if let Err(walk) = self.endpoint.serve(&mut self.cx, walk) {
            self.forward_walk(walk);
        }
    }

    fn forward_walk(&mut self, walk: Box<Forwarded>) {
        let element = walk.hop.next_element();
        self.cx
            .observers
            .walk_taken(*walk.hop.element(), Some(element));
        let avoid = self.links.get(walk.prev).map(|link| link.address);
        self.walks
            .start(&mut self.cx, Origin::Forwarded(walk), element, avoid);
    }

    /// The delay or the deadline of a request is over.
    pub(super) fn on_walk_timer(&mut self, id: WalkId) {
        let mut context = WalkContext {
            links: &mut self.links,
            routes: &mut self.routes,
            directory: &self.directory,
            own: self.descriptor.as_ref(),
        };
        let end = self.walks.on_timer(&mut self.cx, &mut context, id);
        self.on_walk_end(end);
    }

    /// The relay that we asked refused or is gone: another one.
    pub(super) fn retry_walk(&mut self, id: WalkId) {
        let mut context = WalkContext {
            links: &mut self.links,
            routes: &mut self.routes,
            directory: &self.directory,
            own: self.descriptor.as_ref(),
        };
        let end = self.walks.retry(&mut self.cx, &mut context, id);
        self.on_walk_end(end);
    }

    fn on_walk_end(&mut self, end: Option<WalkEnd>) {
        match end {
            None => {}
            Some(
                WalkEnd::NoNextHop(Origin::Master(handle))
                | WalkEnd::TimedOut(Origin::Master(handle)),
            ) => {
                self.master.walk_failed(&mut self.cx, handle);
            }
            Some(WalkEnd::TimedOut(Origin::Forwarded(walk))) => {
                self.routes.free_outgoing(walk.prev, walk.id_back)
            }
            Some(WalkEnd::NoNextHop(Origin::Forwarded(walk))) => self.on_dead_end(walk),
        }
    }

    /// No next hop. In the test profile, where a network may have three nodes, we become the endpoint.
    fn on_dead_end(&mut self, walk: Box<Forwarded>) {
        let small = self.cx.config.policy.profile == Profile::Test;
        if small && self.endpoint.can_serve(&self.cx) {
            match self.endpoint.serve(&mut self.cx, walk) {
                Ok(()) => {}
                Err(walk) => self.answer_unopenable(&walk),
            }
        } else {
            self.answer_unopenable(&walk);
        }
    }

    /// An answer of the same size that the master cannot open.
    pub(super) fn answer_unopenable(&mut self, walk: &Forwarded) {
        let (mut block, mut sealed) = unopenable(&mut self.cx);
        walk.hop.wrap(&mut block, &mut sealed);
        self.routes.free_outgoing(walk.prev, walk.id_back);
        let id_fwd = TunnelId(u32::from_be_bytes(self.cx.secret()).max(1));
        send_answer(
            &mut self.cx,
            &mut self.links,
            walk.prev,
            WalkAnswer {
                id_back: walk.id_back,
                id_fwd,
                block,
                sealed,
            },
        );
    }

    /// The answer to a request that we sent or passed on.
    pub(super) fn on_walk_answer(
        &mut self,
        link: LinkHandle,
        answer: WalkAnswer,
    ) -> Result<(), DropReason> {
        let Some(Route::Walk(id)) = self.routes.get(link, answer.id_back) else {
            return Err(DropReason::UnexpectedWalkAnswer);
        };
        let (origin, sent) = self
            .walks
            .take(&mut self.cx, id)
            .ok_or(DropReason::UnexpectedWalkAnswer)?;
        match origin {
            Origin::Master(handle) => {
                let mut parts = self.master_parts();
                let answer = &answer;
                let walked = Walked {
                    handle,
                    sent,
                    answer,
                };
                parts
                    .master
                    .on_walk_answer(&mut parts.net, parts.directory, &walked)
            }
            Origin::Forwarded(walk) => {
                let result = self.pass_answer(&walk, sent, answer);
                if result.is_err() {
                    self.routes.forget(sent.link, sent.id_back);
                    self.routes.free_outgoing(walk.prev, walk.id_back);
                }
                result
            }
        }
    }

    /// Adds our slot and layer, sets up both directions, sends the answer on.
    fn pass_answer(
        &mut self,
        walk: &Forwarded,
        sent: Sent,
        mut answer: WalkAnswer,
    ) -> Result<(), DropReason> {
        let WalkAnswer {
            id_back, id_fwd, ..
        } = answer;
        if self.relays.len() >= self.cx.config.limits.transit_tunnels
            || !self.links.is_up(walk.prev)
        {
            return Err(DropReason::TableFull);
        }
        if !self.routes.take_outgoing(sent.link, id_fwd) {
            return Err(DropReason::TunnelIdInUse);
        }
        let id = self.relays.next_id();
        let Some(incoming) = self
            .routes
            .fresh(&mut self.cx, walk.prev, Route::Forward(id))
        else {
            self.routes.free_outgoing(sent.link, id_fwd);
            return Err(DropReason::TableFull);
        };
        self.routes.set(sent.link, id_back, Route::Back(id));
        let prev = Side {
            link: walk.prev,
            incoming,
            outgoing: walk.id_back,
        };
        let next = Side {
            link: sent.link,
            incoming: id_back,
            outgoing: id_fwd,
        };
        self.relays.insert(
            &mut self.cx,
            &mut self.links,
            id,
            prev,
            next,
            walk.hop.layers(),
        );
        answer.id_back = walk.id_back;
        answer.id_fwd = incoming;
        walk.hop.wrap(&mut answer.block, &mut answer.sealed);
        send_answer(&mut self.cx, &mut self.links, walk.prev, answer);
        Ok(())
    }
}

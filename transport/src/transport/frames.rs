//! Frames of a neighbour but for cells.

use super::Transport;
use crate::{
    drop_reason::DropReason,
    endpoint::CellOutcome,
    ids::{LinkHandle, ServedId, TunnelId},
    io::DownReason,
    relayer::routes::Route,
    wire::frame::{Control, Frame},
};

/// A frame that borrows nothing.
pub(super) enum OwnedFrame {
    KeepAlive,
    Control(u32, Control),
    Ack(u32),
    Gossip(Vec<[u8; 196]>),
    GossipRequest,
    Goodbye,
}

/// Copies what the frame borrows; cells are handled before.
pub(super) fn own(frame: Frame<'_>) -> OwnedFrame {
    match frame {
        Frame::KeepAlive | Frame::Cell { .. } => OwnedFrame::KeepAlive,
        Frame::Control { tag, control } => OwnedFrame::Control(tag, control),
        Frame::Ack { tag } => OwnedFrame::Ack(tag),
        Frame::Gossip(descriptors) => OwnedFrame::Gossip(descriptors.to_vec()),
        Frame::GossipRequest => OwnedFrame::GossipRequest,
        Frame::Goodbye => OwnedFrame::Goodbye,
    }
}

impl Transport {
    pub(super) fn on_frame(
        &mut self,
        link: LinkHandle,
        frame: OwnedFrame,
    ) -> Result<(), DropReason> {
        match frame {
            OwnedFrame::KeepAlive => Ok(()),
            OwnedFrame::Control(tag, control) => {
                if !self.links.on_control(&mut self.cx, link, tag) {
                    return Err(DropReason::DuplicateControl);
                }
                self.on_control(link, control)
            }
            OwnedFrame::Ack(tag) => {
                self.links.on_ack(&mut self.cx, link, tag);
                Ok(())
            }
            OwnedFrame::Gossip(descriptors) => {
                self.directory.on_gossip(&mut self.cx, link, &descriptors);
                Ok(())
            }
            OwnedFrame::GossipRequest => {
                self.directory
                    .on_gossip_request(&mut self.cx, &mut self.links, link);
                Ok(())
            }
            OwnedFrame::Goodbye => {
                let gone = self.links.remove(&mut self.cx, link, false);
                self.on_link_events(gone.into_iter().collect());
                Ok(())
            }
        }
    }

    fn on_control(&mut self, link: LinkHandle, control: Control) -> Result<(), DropReason> {
        match control {
            Control::WalkRequest(request) => self.on_walk_request(link, &request),
            Control::WalkAnswer(answer) => self.on_walk_answer(link, *answer),
            Control::TunnelClosed { id } => self.on_tunnel_closed(link, id),
            Control::Probe => Ok(()),
        }
    }

    fn on_tunnel_closed(&mut self, link: LinkHandle, id: TunnelId) -> Result<(), DropReason> {
        match self.routes.get(link, id).ok_or(DropReason::UnknownTunnel)? {
            Route::Walk(walk) => self.retry_walk(walk),
            route => self.close_route(route, link),
        }
        Ok(())
    }

    /// Ends what stands behind a route; `gone` is the side that needs no telling.
    pub(super) fn close_route(&mut self, route: Route, gone: LinkHandle) {
        let (cx, links, routes) = (&mut self.cx, &mut self.links, &mut self.routes);
        match route {
            Route::Forward(id) | Route::Back(id) => {
                self.relays.close(cx, links, routes, id, Some(gone))
            }
            Route::Served(id) => self.endpoint.close(cx, links, routes, id, Some(gone)),
            Route::Master(handle) => {
                self.step_master(|master, net| master.down(net, handle, DownReason::ClosedByPeer));
            }
            Route::Walk(walk) => self.retry_walk(walk),
        }
    }

    pub(super) fn on_cell_outcome(
        &mut self,
        id: ServedId,
        outcome: CellOutcome,
    ) -> Result<(), DropReason> {
        match outcome {
            CellOutcome::Done => Ok(()),
            CellOutcome::Close => {
                self.endpoint
                    .close(&mut self.cx, &mut self.links, &mut self.routes, id, None);
                Ok(())
            }
            CellOutcome::Send(outgoing) => {
                let own = self.descriptor.as_ref().ok_or(DropReason::NotARelay)?;
                self.endpoint.send_out(
                    &mut self.cx,
                    &mut self.links,
                    &self.directory,
                    own,
                    *outgoing,
                )
            }
        }
    }

    /// Counts what a step outside the datagram path discarded.
    pub(super) fn count(&mut self, step: impl FnOnce(&mut Self) -> Result<(), DropReason>) {
        if let Err(reason) = step(self) {
            self.cx.drops.count(reason);
        }
    }
}

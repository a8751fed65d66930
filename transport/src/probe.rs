//! For the tests crate only: what each role can read, reported as it reads it.
//!
//! Compiled with the feature `probe`, which the shipped binary never has. It reports; it changes nothing.

use std::net::SocketAddr;

use crate::{
    context::Context,
    crypto::message::SealedRequest,
    drop_reason::DropReason,
    ids::TunnelHandle,
    wire::{cell::Cell, frame::FrameBytes, message::RequestHeader},
};

/// Which way a cell travelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the master to its endpoint.
    FromMaster,
    /// From the endpoint to its master.
    ToMaster,
}

/// Something a role could read.
#[derive(Clone, Debug)]
pub enum Seen {
    /// A neighbour's frame, decrypted by the link.
    Frame(Box<FrameBytes>),
    /// A cell as its endpoint reads it: type, length, data.
    Cell(Direction, Vec<u8>),
    /// A cell reached the end of its tunnel over a genuine link and was refused there.
    CellRefused(Direction, DropReason),
    /// A walk request left this node: whether the walk is its own, and the element that the next hop sees.
    WalkSent {
        /// Not somebody else's.
        own: bool,
        /// As on the wire.
        element: [u8; 32],
    },
    /// A walk of this node begins: which tunnel it is for, and the element that the first hop sees.
    WalkStarted {
        /// The tunnel to be.
        tunnel: TunnelHandle,
        /// As on the wire.
        element: [u8; 32],
    },
    /// This node took its place in a walk: ground truth for whoever follows paths.
    WalkTaken {
        /// Of the request that reached it.
        element: [u8; 32],
        /// What the next hop will see; none: the walk ends here.
        next: Option<[u8; 32]>,
    },
    /// A copy of a request of this node was sealed: what only this node and the recipient know.
    RequestSealed {
        /// Request id, reply address and gate, service.
        header: RequestHeader,
        /// The endpoint address that is asked.
        to: SocketAddr,
        /// What the answer will carry.
        message_id: [u8; 16],
        /// As on the wire behind the gate: names the copy.
        enc: [u8; 32],
        /// The tunnel that carries the request, and the one that its answer is awaited through.
        tunnels: (TunnelHandle, TunnelHandle),
        /// What is asked, before the seal.
        body: Vec<u8>,
    },
    /// A copy of an answer of this node's persona was sealed: what only it and the asker know.
    ResponseSealed {
        /// The reply address that the request named.
        to: SocketAddr,
        /// What is answered, before the seal.
        body: Vec<u8>,
    },
}

/// The listener.
pub type Probe = Box<dyn FnMut(Seen) + Send>;

pub(crate) fn endpoint_opened(cx: &mut Context, direction: Direction, cell: &Cell) {
    if let Some(probe) = &mut cx.probe {
        probe(Seen::Cell(direction, cell.encode().to_vec()));
    }
}

pub(crate) fn cell_judged<T>(
    cx: &mut Context,
    direction: Direction,
    outcome: &Result<T, DropReason>,
) {
    if let (Some(probe), Err(reason)) = (&mut cx.probe, outcome) {
        probe(Seen::CellRefused(direction, *reason));
    }
}

pub(crate) fn walk_sent(cx: &mut Context, own: bool, element: [u8; 32]) {
    if let Some(probe) = &mut cx.probe {
        probe(Seen::WalkSent { own, element });
    }
}

pub(crate) fn walk_started(cx: &mut Context, tunnel: TunnelHandle, element: [u8; 32]) {
    if let Some(probe) = &mut cx.probe {
        probe(Seen::WalkStarted { tunnel, element });
    }
}

pub(crate) fn walk_taken(cx: &mut Context, element: [u8; 32], next: Option<[u8; 32]>) {
    if let Some(probe) = &mut cx.probe {
        probe(Seen::WalkTaken { element, next });
    }
}

pub(crate) fn request_sealed(
    cx: &mut Context,
    header: &RequestHeader,
    to: SocketAddr,
    sealed: &SealedRequest,
    tunnels: (TunnelHandle, TunnelHandle),
    body: &[u8],
) {
    if let Some(probe) = &mut cx.probe {
        let enc = *crate::wire::bytes::part::<8, 32, _>(&sealed.datagram);
        let message_id = sealed.pending.message_id;
        probe(Seen::RequestSealed {
            header: header.clone(),
            to,
            message_id,
            enc,
            tunnels,
            body: body.to_vec(),
        });
    }
}

pub(crate) fn response_sealed(cx: &mut Context, to: SocketAddr, body: &[u8]) {
    if let Some(probe) = &mut cx.probe {
        let body = body.to_vec();
        probe(Seen::ResponseSealed { to, body });
    }
}

pub(crate) fn frame_opened(cx: &mut Context, frame: &FrameBytes) {
    if let Some(probe) = &mut cx.probe {
        probe(Seen::Frame(Box::new(*frame)));
    }
}

//! Reports to an [`Observer`] what each role of this node can read. It changes nothing.
//!
//! A daemon has no observer. Tests and measurements have: they show what a relayer, an endpoint or a whole conspiracy can learn.

use std::{net::SocketAddr, sync::Arc};

use crate::{
    crypto::{aead::AeadKey, message::SealedRequest, session::SessionKeys},
    drop_reason::DropReason,
    ids::TunnelHandle,
    wire::{bytes::part, cell::Cell, frame::FrameBytes, message::RequestHeader},
};

/// The direction of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the master to its endpoint.
    FromMaster,
    /// From the endpoint to its master.
    ToMaster,
}

/// Something that a role could read.
#[derive(Clone, Debug)]
pub enum Seen {
    /// A session with a neighbour was made.
    Session {
        /// The neighbour's address.
        neighbour: SocketAddr,
        /// The neighbour's index of the session.
        index: u32,
        /// The key that seals our datagrams to it.
        send: Arc<AeadKey>,
    },
    /// A neighbour's frame, decrypted by the link.
    Frame(Box<FrameBytes>),
    /// A cell as its endpoint reads it: type, length and data.
    Cell(Direction, Vec<u8>),
    /// A cell reached the end of its tunnel over a genuine link and was refused there.
    CellRefused(Direction, DropReason),
    /// A walk request left this node.
    WalkSent {
        /// True if the walk is this node's own.
        own: bool,
        /// The element that the next hop sees.
        element: [u8; 32],
    },
    /// A walk of this node begins.
    WalkStarted {
        /// The tunnel that it is for.
        tunnel: TunnelHandle,
        /// The element that the first hop sees.
        element: [u8; 32],
    },
    /// This node took its place in a walk: ground truth for those who follow paths.
    WalkTaken {
        /// The element of the request that reached it.
        element: [u8; 32],
        /// The element that the next hop will see; `None`: the walk ends here.
        next: Option<[u8; 32]>,
    },
    /// A copy of a request of this node was sealed. Only this node and the recipient know this.
    RequestSealed {
        /// Request id, reply address and gate, service.
        header: RequestHeader,
        /// The endpoint address that it is sent to.
        to: SocketAddr,
        /// The message ID that the answer will carry.
        message_id: [u8; 16],
        /// The HPKE `enc` on the wire behind the gate, which identifies the copy.
        enc: [u8; 32],
        /// The tunnel that carries the request, and the one through which its answer is awaited.
        tunnels: (TunnelHandle, TunnelHandle),
        /// The body of the request.
        body: Vec<u8>,
    },
    /// A copy of an answer of this node's persona was sealed. Only this node and the asker know this.
    ResponseSealed {
        /// The reply address that the request named.
        to: SocketAddr,
        /// The body of the answer.
        body: Vec<u8>,
    },
}

/// Receives what the roles of a node read.
pub trait Observer: Send {
    /// A role read or did something.
    fn see(&mut self, seen: Seen);
}

impl<F: FnMut(Seen) + Send> Observer for F {
    fn see(&mut self, seen: Seen) {
        self(seen);
    }
}

/// All observers; a daemon has none.
#[derive(Default)]
pub(crate) struct Observers(Vec<Box<dyn Observer>>);

impl Observers {
    pub(crate) fn add(&mut self, observer: Box<dyn Observer>) {
        self.0.push(observer);
    }

    /// Tells all observers. If there is none, `seen` is not called.
    fn tell(&mut self, seen: impl FnOnce() -> Seen) {
        if self.0.is_empty() {
            return;
        }
        let seen = seen();
        for observer in &mut self.0 {
            observer.see(seen.clone());
        }
    }

    pub(crate) fn session_made(&mut self, at: SocketAddr, index: u32, keys: &SessionKeys) {
        self.tell(|| Seen::Session {
            neighbour: at,
            index,
            send: keys.sending(),
        });
    }

    pub(crate) fn frame_opened(&mut self, frame: &FrameBytes) {
        self.tell(|| Seen::Frame(Box::new(*frame)));
    }

    pub(crate) fn endpoint_opened(&mut self, direction: Direction, cell: &Cell) {
        self.tell(|| Seen::Cell(direction, cell.encode().to_vec()));
    }

    pub(crate) fn cell_judged<T>(&mut self, direction: Direction, outcome: &Result<T, DropReason>) {
        if let Err(reason) = outcome {
            self.tell(|| Seen::CellRefused(direction, *reason));
        }
    }

    pub(crate) fn walk_sent(&mut self, own: bool, element: [u8; 32]) {
        self.tell(|| Seen::WalkSent { own, element });
    }

    pub(crate) fn walk_started(&mut self, tunnel: TunnelHandle, element: [u8; 32]) {
        self.tell(|| Seen::WalkStarted { tunnel, element });
    }

    pub(crate) fn walk_taken(&mut self, element: [u8; 32], next: Option<[u8; 32]>) {
        self.tell(|| Seen::WalkTaken { element, next });
    }

    pub(crate) fn request_sealed(
        &mut self,
        header: &RequestHeader,
        to: SocketAddr,
        sealed: &SealedRequest,
        tunnels: (TunnelHandle, TunnelHandle),
        body: &[u8],
    ) {
        self.tell(|| Seen::RequestSealed {
            header: header.clone(),
            to,
            message_id: sealed.pending.message_id,
            enc: *part::<8, 32, _>(&sealed.datagram),
            tunnels,
            body: body.to_vec(),
        });
    }

    pub(crate) fn response_sealed(&mut self, to: SocketAddr, body: &[u8]) {
        self.tell(|| Seen::ResponseSealed {
            to,
            body: body.to_vec(),
        });
    }
}

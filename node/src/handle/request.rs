//! What handles ask of the driver.

use std::net::SocketAddr;

use deut_kademlia::{PersonaReach, Progress, Query, QueryOutcome};
use deut_transport::{
    api::{CallError, Destination, ReplyToken, Service},
    status::TunnelView,
};
use tokio::sync::{mpsc, oneshot};

use super::{IncomingRequest, NodeStatus, TunnelEcho};

/// Requests that may wait for the driver; a handle that finds no room waits.
pub(crate) const WAITING: usize = 64;

/// One request. The answer goes to the oneshot; who does not wait for it any more has dropped it.
pub(crate) enum Request {
    /// Addresses on the list of peers behind which a relay answers at present.
    AnsweringPeers(oneshot::Sender<Vec<SocketAddr>>),
    Call {
        service: Service,
        to: Destination,
        body: Vec<u8>,
        answer: oneshot::Sender<Result<Vec<u8>, CallError>>,
    },
    Descriptor(oneshot::Sender<Option<[u8; 196]>>),
    EchoAll(oneshot::Sender<Vec<TunnelEcho>>),
    PersonaReach(oneshot::Sender<Option<PersonaReach>>),
    Query {
        query: Query,
        progress: Option<mpsc::Sender<Progress>>,
        answer: oneshot::Sender<QueryOutcome>,
    },
    Reply {
        to: ReplyToken,
        body: Vec<u8>,
    },
    Serve {
        service: Service,
        requests: mpsc::Sender<IncomingRequest>,
    },
    Shutdown,
    Status(oneshot::Sender<NodeStatus>),
    Tunnels(oneshot::Sender<Vec<TunnelView>>),
}

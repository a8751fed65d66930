//! What handles ask of the driver.

use std::net::SocketAddr;

use deut_kademlia::{PersonaReach, Progress, Query, QueryOutcome};
use deut_transport::{
    ids::{ReplyToken, Service},
    io::{CallError, Destination},
    status::TunnelView,
};
use tokio::sync::{mpsc, oneshot};

use super::{IncomingRequest, NodeStatus, Stopped, TunnelEcho};

/// Requests that may wait for the driver; a handle that finds no room waits.
pub(crate) const WAITING: usize = 64;

/// The answer that a handle waits for. Whoever drops it has the driver look for what nobody waits for any more.
pub(super) struct Waiting<T> {
    answered: Option<oneshot::Receiver<T>>,
    abandoned: mpsc::Sender<()>,
}

impl<T> Waiting<T> {
    /// A place for the answer, and who waits for it.
    pub(super) fn new(abandoned: mpsc::Sender<()>) -> (oneshot::Sender<T>, Self) {
        let (answer, answered) = oneshot::channel();
        let answered = Some(answered);
        (
            answer,
            Self {
                answered,
                abandoned,
            },
        )
    }

    /// Waits for it.
    ///
    /// # Errors
    /// The node has stopped.
    pub(super) async fn answer(mut self) -> Result<T, Stopped> {
        let Some(answered) = &mut self.answered else {
            return Err(Stopped);
        };
        let answer = answered.await.map_err(|_| Stopped);
        self.answered = None;
        answer
    }
}

impl<T> Drop for Waiting<T> {
    fn drop(&mut self) {
        // Closed first, so that the driver sees it. Where a word is on its way already, that one is enough.
        if self.answered.take().is_some() {
            let _ = self.abandoned.try_send(());
        }
    }
}

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
        /// Whether there was room for one more service.
        answer: oneshot::Sender<bool>,
    },
    Shutdown,
    Status(oneshot::Sender<NodeStatus>),
    Tunnels(oneshot::Sender<Vec<TunnelView>>),
}

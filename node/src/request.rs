//! Requests of handles to the driver, and requests that the driver hands to applications.

use std::net::SocketAddr;

use deut_kademlia::{PersonaReach, Progress, Query, QueryOutcome};
use deut_transport::{
    ids::{ReplyToken, Service},
    io::{CallError, Destination},
    status::TunnelView,
    wire::message::MAX_ANSWER_BODY,
};
use tokio::sync::{mpsc, oneshot};

use crate::status::{NodeStatus, TunnelEcho};

/// Number of requests that may wait for the driver; a handle that finds no room waits.
pub(crate) const WAITING: usize = 64;

/// The node has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the node has stopped")]
pub struct Stopped;

/// The answer that a handle waits for. Dropping it makes the driver look for requests that nobody waits for any more.
pub(crate) struct Waiting<T> {
    answered: Option<oneshot::Receiver<T>>,
    abandoned: mpsc::Sender<()>,
}

impl<T> Waiting<T> {
    /// A sender for the answer, and the handle's side that waits for it.
    pub(crate) fn new(abandoned: mpsc::Sender<()>) -> (oneshot::Sender<T>, Self) {
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

    /// Waits for the answer.
    ///
    /// # Errors
    /// If the node has stopped.
    pub(crate) async fn answer(mut self) -> Result<T, Stopped> {
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
        // Closed first, so that the driver sees it. If a message is on its way already, that one is enough.
        if self.answered.take().is_some() {
            let _ = self.abandoned.try_send(());
        }
    }
}

/// A request of a handle. The answer goes to the oneshot; a handle that no longer waits has dropped its receiver.
pub(crate) enum HandleRequest {
    /// Addresses on the list of peers at which a relay answers at present.
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
        /// True if there is room for one more service.
        answer: oneshot::Sender<bool>,
    },
    Shutdown,
    Status(oneshot::Sender<NodeStatus>),
    Tunnels(oneshot::Sender<Vec<TunnelView>>),
}

/// A request that came to this node's persona. Its sender is not known.
pub struct IncomingRequest {
    pub(crate) token: ReplyToken,
    pub(crate) body: Vec<u8>,
    /// Weak, so that a request that is kept does not keep the node running.
    pub(crate) node: mpsc::WeakSender<HandleRequest>,
}

impl IncomingRequest {
    /// The body of the request, at most 1,016 bytes.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Answers once, with at most 1,046 bytes. More than 10 s after the request, the answer is no longer sent.
    ///
    /// # Errors
    /// If the answer is too long or the node has stopped.
    pub async fn reply(self, body: Vec<u8>) -> Result<(), ReplyError> {
        if body.len() > MAX_ANSWER_BODY {
            return Err(ReplyError::TooLong(body.len()));
        }
        let node = self.node.upgrade().ok_or(Stopped)?;
        let reply = HandleRequest::Reply {
            to: self.token,
            body,
        };
        Ok(node.send(reply).await.map_err(|_| Stopped)?)
    }
}

/// The reason why an answer is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplyError {
    /// The node has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// The answer does not fit into one message.
    #[error("the answer has {0} bytes, more than the {MAX_ANSWER_BODY} that fit")]
    TooLong(usize),
}

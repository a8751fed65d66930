//! An application's own RPC over DEUT: calls from the lookup pool, requests that come to the persona.

use deut_transport::api::{CallError, Destination, ReplyToken, Service};
use tokio::sync::mpsc;

use super::{Node, Stopped, request::Request};

/// Why a call brought no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallFailure {
    /// The transport says why.
    #[error(transparent)]
    Failed(#[from] CallError),
    /// The node has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// A request that came to this node's persona. Who sent it is not known.
pub struct IncomingRequest {
    pub(crate) token: ReplyToken,
    pub(crate) body: Vec<u8>,
    /// Weak: a request that is kept does not keep the node running.
    pub(crate) node: mpsc::WeakSender<Request>,
}

impl IncomingRequest {
    /// What was sent, at most 1,016 bytes.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Answers with at most 1,046 bytes, once. After 10 s the answer is not sent any more.
    ///
    /// # Errors
    /// The node has stopped.
    pub async fn reply(self, body: Vec<u8>) -> Result<(), Stopped> {
        let node = self.node.upgrade().ok_or(Stopped)?;
        let reply = Request::Reply {
            to: self.token,
            body,
        };
        node.send(reply).await.map_err(|_| Stopped)
    }
}

impl Node {
    /// Asks a persona with an application's RPC: from the lookup pool, sealed, answered through tunnels.
    /// `service` is 256 or more, `body` has at most 1,016 bytes.
    ///
    /// # Errors
    /// There was no answer, or the call could not be sent.
    pub async fn call(
        &self,
        service: Service,
        to: Destination,
        body: Vec<u8>,
    ) -> Result<Vec<u8>, CallFailure> {
        let answer = self
            .ask(|answer| Request::Call {
                service,
                to,
                body,
                answer,
            })
            .await?;
        Ok(answer?)
    }

    /// Takes the requests of one service (256 or more) that come to this node's persona. A later call for the same
    /// service takes over. At most `room` requests wait; further ones are not answered.
    ///
    /// # Errors
    /// The node has stopped.
    pub async fn serve(
        &self,
        service: Service,
        room: usize,
    ) -> Result<mpsc::Receiver<IncomingRequest>, Stopped> {
        let (requests, incoming) = mpsc::channel(room.max(1));
        let serve = Request::Serve { service, requests };
        self.requests.send(serve).await.map_err(|_| Stopped)?;
        Ok(incoming)
    }
}

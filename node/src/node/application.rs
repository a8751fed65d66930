//! An application's own RPC over DEUT: calls through the lookup pool, and requests that come to the persona.

use deut_transport::{
    ids::Service,
    io::{CallError, Destination},
    wire::message::MAX_REQUEST_BODY,
};
use tokio::sync::mpsc;

use super::Node;
use crate::request::{HandleRequest, IncomingRequest, Stopped};

/// Largest number of requests of one service that may wait to be taken.
pub const MAX_ROOM: usize = 4_096;

/// The reason why a call has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallFailure {
    /// The transport reports a failure.
    #[error(transparent)]
    Failed(#[from] CallError),
    /// Services below 256 belong to the protocol itself.
    #[error("service {} is reserved for the protocol; applications have those from 256 on", .0.0)]
    Reserved(Service),
    /// The node has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// The request does not fit into one message.
    #[error("the request has {0} bytes, more than the {MAX_REQUEST_BODY} that fit")]
    TooLong(usize),
}

/// The reason why a service cannot be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// Services below 256 belong to the protocol itself.
    #[error("service {} is reserved for the protocol; applications have those from 256 on", .0.0)]
    Reserved(Service),
    /// The node has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// The node serves as many services as it can.
    #[error("the node serves 64 services already; drop the receiver of another one")]
    TooManyServices,
    /// The number of requests that may wait is 0 or too large.
    #[error("room for {0} waiting requests was asked for; choose 1 to {MAX_ROOM}")]
    Room(usize),
}

fn of_application(service: Service) -> bool {
    service >= Service::FIRST_APPLICATION
}

impl Node {
    /// Sends an application's request to a persona: through the lookup pool, sealed, and answered through tunnels. `service` is 256
    /// or more; `body` has at most 1,016 bytes. Dropping the future ends the call.
    ///
    /// # Errors
    /// If there was no answer, or the call could not be sent.
    pub async fn call(
        &self,
        service: Service,
        to: Destination,
        body: Vec<u8>,
    ) -> Result<Vec<u8>, CallFailure> {
        if !of_application(service) {
            return Err(CallFailure::Reserved(service));
        }
        if body.len() > MAX_REQUEST_BODY {
            return Err(CallFailure::TooLong(body.len()));
        }
        let answer = self
            .ask(|answer| HandleRequest::Call {
                service,
                to,
                body,
                answer,
            })
            .await?;
        Ok(answer?)
    }

    /// Takes the requests of one service (256 or more) that come to this node's persona. A later call for the same service takes
    /// over. At most `room` requests (1 to [`MAX_ROOM`]) wait; further ones are not answered. A node serves at most 64 services;
    /// those whose receivers are dropped do not count.
    ///
    /// # Errors
    /// If the number is reserved, `room` is out of range, there are too many services, or the node has stopped.
    pub async fn serve(
        &self,
        service: Service,
        room: usize,
    ) -> Result<mpsc::Receiver<IncomingRequest>, ServeError> {
        if !of_application(service) {
            return Err(ServeError::Reserved(service));
        }
        if !(1..=MAX_ROOM).contains(&room) {
            return Err(ServeError::Room(room));
        }
        let (requests, incoming) = mpsc::channel(room);
        let served = self
            .ask(|answer| HandleRequest::Serve {
                service,
                requests,
                answer,
            })
            .await?;
        if served {
            Ok(incoming)
        } else {
            Err(ServeError::TooManyServices)
        }
    }
}

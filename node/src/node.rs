//! The handle of a running node, through which an application does everything. It can be cloned and uses bounded channels.

mod application;

use std::{net::SocketAddr, time::Duration};

use deut_kademlia::{PersonaReach, Progress, Query, QueryOutcome};
use deut_transport::status::{Readiness, TunnelView};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    bootstrap::{BootstrapTrouble, peer_block},
    config::NodeConfig,
    driver::{self, Link, StartError},
    request::{HandleRequest, Stopped, Waiting},
    status::{NodeStatus, TunnelEcho},
};
pub use application::{CallFailure, MAX_ROOM, ServeError};

/// A running node. Clones are handles to the same node.
#[derive(Clone)]
pub struct Node {
    driver: Link,
}

/// The node did not become ready.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReady {
    /// The time is over. The last readiness says why.
    #[error("not ready in time")]
    TimedOut(Readiness),
    /// The node has stopped.
    #[error("the node has stopped")]
    Stopped,
}

impl Node {
    /// Binds the sockets, reads the data directory and starts the driver on the current tokio runtime.
    /// The node runs until [`Node::shutdown`], or until every handle is dropped.
    ///
    /// # Errors
    /// If settings, port or data directory cannot be used. The error says why and what to do.
    pub async fn start(config: NodeConfig) -> Result<Self, StartError> {
        let driver = driver::start(config).await?;
        Ok(Self { driver })
    }

    /// The address that the relay port is bound to.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.driver.about.local
    }

    /// The identity key of a relay; `None` for a client.
    #[must_use]
    pub fn identity(&self) -> Option<[u8; 32]> {
        self.driver.about.relay.map(|(_, identity)| identity)
    }

    /// A `[[peer]]` block with which others can join through this relay; `None` for a client.
    #[must_use]
    pub fn bootstrap_line(&self) -> Option<String> {
        let (address, identity) = self.driver.about.relay?;
        Some(peer_block(&address.to_string(), Some(&identity)))
    }

    /// Peers of `bootstrap.toml` that cannot be used at present.
    #[must_use]
    pub fn bootstrap_troubles(&self) -> Vec<BootstrapTrouble> {
        self.driver.about.troubles.list()
    }

    /// A channel with the present readiness and its changes.
    #[must_use]
    pub fn watch_readiness(&self) -> watch::Receiver<Readiness> {
        self.driver.readiness.clone()
    }

    /// Waits until lookups can start.
    ///
    /// # Errors
    /// If the time is over or the node has stopped.
    pub async fn ready(&self, within: Duration) -> Result<Readiness, NotReady> {
        let mut readiness = self.driver.readiness.clone();
        let ready = readiness.wait_for(|readiness| readiness.ready);
        let outcome = tokio::time::timeout(within, ready)
            .await
            .map(|ready| ready.map(|ready| ready.clone()));
        match outcome {
            Ok(Ok(ready)) => Ok(ready),
            Ok(Err(_)) => Err(NotReady::Stopped),
            Err(_) => Err(NotReady::TimedOut(self.driver.readiness.borrow().clone())),
        }
    }

    /// The status of the node: tunnels, relays, counters, the DHT.
    ///
    /// # Errors
    /// If the node has stopped.
    pub async fn status(&self) -> Result<NodeStatus, Stopped> {
        self.ask(HandleRequest::Status).await
    }

    /// All own tunnels, oldest first.
    ///
    /// # Errors
    /// If the node has stopped.
    pub async fn tunnels(&self) -> Result<Vec<TunnelView>, Stopped> {
        self.ask(HandleRequest::Tunnels).await
    }

    /// Runs a query. Dropping the future cancels it. Steps go to `progress`; those that find it full are lost.
    ///
    /// # Errors
    /// If the node has stopped.
    pub async fn query(
        &self,
        query: Query,
        progress: Option<mpsc::Sender<Progress>>,
    ) -> Result<QueryOutcome, Stopped> {
        self.ask(|answer| HandleRequest::Query {
            query,
            progress,
            answer,
        })
        .await
    }

    /// Sends an echo through every own tunnel to its endpoint and back. Takes at most 4 s.
    ///
    /// # Errors
    /// If the node has stopped.
    pub async fn echo_all(&self) -> Result<Vec<TunnelEcho>, Stopped> {
        self.ask(HandleRequest::EchoAll).await
    }

    /// The public key of the persona; `None` while it is off.
    ///
    /// # Errors
    /// If the node has stopped.
    pub async fn persona_key(&self) -> Result<Option<[u8; 32]>, Stopped> {
        Ok(self.persona_reach().await?.map(|reach| reach.key))
    }

    /// How well others can find the persona: its addresses, and the number of nodes around it that hold them. `None` while it is
    /// off.
    ///
    /// # Errors
    /// If the node has stopped.
    pub async fn persona_reach(&self) -> Result<Option<PersonaReach>, Stopped> {
        self.ask(HandleRequest::PersonaReach).await
    }

    /// Our own descriptor; `None` for a client.
    ///
    /// # Errors
    /// If the node has stopped.
    pub async fn descriptor(&self) -> Result<Option<[u8; 196]>, Stopped> {
        self.ask(HandleRequest::Descriptor).await
    }

    /// Closes all tunnels politely, saves what is kept, and stops. Other handles then return [`Stopped`]. When it returns, ports
    /// and data directory are free.
    pub async fn shutdown(self) {
        let ended = self.ended();
        // If the message cannot be sent, the node has stopped already.
        let _ = self.driver.requests.send(HandleRequest::Shutdown).await;
        ended.await;
    }

    /// Waits until the node has stopped for any reason; its ports and its data directory are then free. It does not keep the node
    /// running: after dropping the last handle, use it to wait until everything is closed.
    ///
    /// ```
    /// # async fn restart(node: deut::Node, config: deut::NodeConfig) -> Result<deut::Node, deut::StartError> {
    /// let ended = node.ended();
    /// drop(node);
    /// ended.await;
    /// deut::Node::start(config).await
    /// # }
    /// ```
    pub fn ended(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut readiness = self.driver.readiness.clone();
        async move { while readiness.changed().await.is_ok() {} }
    }

    /// Sends one request and waits for its answer.
    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<T>) -> HandleRequest,
    ) -> Result<T, Stopped> {
        let (answer, waiting) = Waiting::new(self.driver.abandoned.clone());
        self.driver
            .requests
            .send(request(answer))
            .await
            .map_err(|_| Stopped)?;
        waiting.answer().await
    }
}

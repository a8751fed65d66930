//! The handle of a running node: cloneable, over bounded channels. Everything an application does goes through it.

mod application;
pub(crate) mod request;
pub mod status;

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use deut_kademlia::{PersonaReach, Progress, Query, QueryOutcome};
use deut_transport::status::{Readiness, TunnelView};
use tokio::sync::{mpsc, oneshot, watch};

use self::request::{Request, Waiting};
use crate::{
    bootstrap::{peer_block, troubles::Troubles},
    config::{ConfigError, NodeConfig},
    data_dir::DataDirError,
    driver,
};
pub use application::{CallFailure, IncomingRequest, MAX_ROOM, ReplyError, ServeError};
pub use status::{
    DhtStatus, NodeStatus, ReachStatus, ReadinessStatus, RelayStatus, TunnelStatus, UdpStatus,
};

/// A running node. Clones are handles to the same node.
#[derive(Clone)]
pub struct Node {
    pub(crate) requests: mpsc::Sender<Request>,
    /// Tells the driver that somebody does not wait for an answer any more.
    pub(crate) abandoned: mpsc::Sender<()>,
    pub(crate) readiness: watch::Receiver<Readiness>,
    pub(crate) about: Arc<About>,
}

/// What does not change while a node runs, and the troubles with its peers.
pub(crate) struct About {
    pub(crate) local: SocketAddr,
    /// Address and identity of a relay.
    pub(crate) relay: Option<(SocketAddr, [u8; 32])>,
    pub(crate) troubles: Troubles,
}

/// Why a node does not start. Each text is one line and says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Another program holds the port.
    #[error("port {} on {} is in use; stop the other program or listen on another port", address.port(), address.ip())]
    PortInUse {
        /// Where it was to listen.
        address: SocketAddr,
    },
    /// The address cannot be bound for another reason.
    #[error("cannot listen on {address} ({why}); listen on an address of this machine")]
    CannotListen {
        /// Where it was to listen.
        address: SocketAddr,
        /// What the system says.
        why: String,
    },
    /// The settings contradict each other.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The process, or the system, has no file descriptor left.
    #[error(
        "no file descriptor is left for {what} ({why}); raise the limit of open files (ulimit -n) or close others"
    )]
    NoDescriptors {
        /// What it was for.
        what: &'static str,
        /// What the system says.
        why: String,
    },
    /// It was not started within a tokio runtime, or in one that lacks a part.
    #[error(
        "a node runs on a tokio runtime with {0}; start it within one that has I/O and time enabled (Builder::enable_all)"
    )]
    NoRuntime(&'static str),
    /// The data directory cannot be used.
    #[error("{}: {what}; {remedy}", path.display())]
    BadDataDir {
        /// Which file or directory.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
        /// What to do.
        remedy: String,
    },
    /// The system has no randomness to give.
    #[error(
        "the operating system gives no random numbers ({0}); deut cannot make keys without them"
    )]
    NoEntropy(String),
}

impl From<DataDirError> for StartError {
    fn from(error: DataDirError) -> Self {
        let DataDirError {
            path,
            what,
            remedy,
            in_use: _,
        } = error;
        Self::BadDataDir { path, what, remedy }
    }
}

/// The node has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the node has stopped")]
pub struct Stopped;

/// The node did not become ready.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReady {
    /// The time is over; the last readiness says what is missing.
    #[error("not ready in time")]
    TimedOut(Readiness),
    /// It has stopped.
    #[error("the node has stopped")]
    Stopped,
}

/// What is known about a peer of `bootstrap.toml` that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootstrapTrouble {
    /// `host:port` as written in the file.
    pub written: String,
    /// The address it resolves to, if it does.
    pub address: Option<SocketAddr>,
    /// What is wrong, in words.
    pub trouble: String,
}

/// The echo of one own tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunnelEcho {
    /// Which tunnel.
    pub view: TunnelView,
    /// From us to its endpoint and back; none if no echo came within 3 s.
    pub round_trip_us: Option<u64>,
}

impl Node {
    /// Binds the sockets, reads the data directory and starts the driver on the current tokio runtime.
    /// The node runs until [`Node::shutdown`], or until every handle is dropped.
    ///
    /// # Errors
    /// What is wrong with settings, port or data directory, and what to do.
    pub async fn start(config: NodeConfig) -> Result<Self, StartError> {
        driver::start(config).await
    }

    /// Where the relay port is bound.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.about.local
    }

    /// The identity key of a relay; none for a client.
    #[must_use]
    pub fn identity(&self) -> Option<[u8; 32]> {
        self.about.relay.map(|(_, identity)| identity)
    }

    /// A `[[peer]]` block by which others join through this relay; none for a client.
    #[must_use]
    pub fn bootstrap_line(&self) -> Option<String> {
        let (address, identity) = self.about.relay?;
        Some(peer_block(&address.to_string(), Some(&identity)))
    }

    /// Peers of `bootstrap.toml` that could not be used so far.
    #[must_use]
    pub fn bootstrap_troubles(&self) -> Vec<BootstrapTrouble> {
        self.about.troubles.list()
    }

    /// Readiness as it changes.
    #[must_use]
    pub fn watch_readiness(&self) -> watch::Receiver<Readiness> {
        self.readiness.clone()
    }

    /// Waits until lookups can start.
    ///
    /// # Errors
    /// The time is over, or the node has stopped.
    pub async fn ready(&self, within: Duration) -> Result<Readiness, NotReady> {
        let mut readiness = self.readiness.clone();
        let ready = readiness.wait_for(|readiness| readiness.ready);
        let outcome = tokio::time::timeout(within, ready)
            .await
            .map(|ready| ready.map(|ready| ready.clone()));
        match outcome {
            Ok(Ok(ready)) => Ok(ready),
            Ok(Err(_)) => Err(NotReady::Stopped),
            Err(_) => Err(NotReady::TimedOut(self.readiness.borrow().clone())),
        }
    }

    /// What the node tells about itself.
    ///
    /// # Errors
    /// The node has stopped.
    pub async fn status(&self) -> Result<NodeStatus, Stopped> {
        self.ask(Request::Status).await
    }

    /// The own tunnels.
    ///
    /// # Errors
    /// The node has stopped.
    pub async fn tunnels(&self) -> Result<Vec<TunnelView>, Stopped> {
        self.ask(Request::Tunnels).await
    }

    /// Runs a query. Dropping the future cancels it. Steps go to `progress` as long as there is room in it;
    /// steps that find it full are not sent.
    ///
    /// # Errors
    /// The node has stopped.
    pub async fn query(
        &self,
        query: Query,
        progress: Option<mpsc::Sender<Progress>>,
    ) -> Result<QueryOutcome, Stopped> {
        self.ask(|answer| Request::Query {
            query,
            progress,
            answer,
        })
        .await
    }

    /// Sends an echo through every own tunnel to its endpoint and back; takes 4 s at most.
    ///
    /// # Errors
    /// The node has stopped.
    pub async fn echo_all(&self) -> Result<Vec<TunnelEcho>, Stopped> {
        self.ask(Request::EchoAll).await
    }

    /// The public key of the persona; none while it is off.
    ///
    /// # Errors
    /// The node has stopped.
    pub async fn persona_key(&self) -> Result<Option<[u8; 32]>, Stopped> {
        Ok(self.persona_reach().await?.map(|reach| reach.key))
    }

    /// Whether the persona can be found by others: its addresses, and who around it holds them; none while it is off.
    ///
    /// # Errors
    /// The node has stopped.
    pub async fn persona_reach(&self) -> Result<Option<PersonaReach>, Stopped> {
        self.ask(Request::PersonaReach).await
    }

    /// Our own descriptor; none for a client.
    ///
    /// # Errors
    /// The node has stopped.
    pub async fn descriptor(&self) -> Result<Option<[u8; 196]>, Stopped> {
        self.ask(Request::Descriptor).await
    }

    /// Closes all tunnels politely, saves what is kept and stops. Other handles then answer [`Stopped`]. When it returns,
    /// ports and data directory are free.
    pub async fn shutdown(self) {
        let ended = self.ended();
        // If it cannot be told, it has stopped already.
        let _ = self.requests.send(Request::Shutdown).await;
        ended.await;
    }

    /// Waits until the node has stopped, whoever stopped it; then its ports and its data directory are free. It does not
    /// keep the node running: whoever drops the last handle waits with this for what is still being closed.
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
        let mut readiness = self.readiness.clone();
        async move { while readiness.changed().await.is_ok() {} }
    }

    /// One request and its answer.
    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<T>) -> Request,
    ) -> Result<T, Stopped> {
        let (answer, waiting) = Waiting::new(self.abandoned.clone());
        self.requests
            .send(request(answer))
            .await
            .map_err(|_| Stopped)?;
        waiting.answer().await
    }
}

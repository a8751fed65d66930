//! The link from a handle to its driver.

use std::{net::SocketAddr, sync::Arc};

use deut_transport::status::Readiness;
use tokio::sync::{mpsc, watch};

use crate::{bootstrap::troubles::Troubles, request::HandleRequest};

/// The way to a driver, and facts about its node.
#[derive(Clone)]
pub(crate) struct Link {
    pub(crate) requests: mpsc::Sender<HandleRequest>,
    /// Tells the driver that a handle no longer waits for an answer.
    pub(crate) abandoned: mpsc::Sender<()>,
    /// Closed when the driver has ended.
    pub(crate) readiness: watch::Receiver<Readiness>,
    pub(crate) about: Arc<About>,
}

/// Facts that do not change while a node runs, and the troubles with its peers.
pub(crate) struct About {
    pub(crate) local: SocketAddr,
    /// Address and identity of a relay.
    pub(crate) relay: Option<(SocketAddr, [u8; 32])>,
    pub(crate) troubles: Troubles,
}

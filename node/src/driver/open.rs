//! Who waits for what: answers that the core still owes to handles.

use std::collections::BTreeMap;

use deut_kademlia::{NetworkRange, Progress, QueryOutcome};
use deut_transport::{ids::Service, io::CallError};
use tokio::sync::{mpsc, oneshot};

use crate::{request::IncomingRequest, status::TunnelEcho};

/// Open requests by the ticket that the core was given. The core bounds each kind.
#[derive(Default)]
pub(super) struct Open {
    next: u64,
    pub(super) calls: BTreeMap<u64, oneshot::Sender<Result<Vec<u8>, CallError>>>,
    pub(super) echoes: BTreeMap<u64, oneshot::Sender<Vec<TunnelEcho>>>,
    pub(super) queries: BTreeMap<u64, OpenQuery>,
    pub(super) services: BTreeMap<Service, mpsc::Sender<IncomingRequest>>,
    pub(super) network_range: Option<NetworkRange>,
}

pub(super) struct OpenQuery {
    pub(super) answer: oneshot::Sender<QueryOutcome>,
    pub(super) progress: Option<mpsc::Sender<Progress>>,
}

impl Open {
    /// A ticket that was never used.
    pub(super) fn ticket(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

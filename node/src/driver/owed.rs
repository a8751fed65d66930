//! Answers that the core still owes to handles.

use std::collections::BTreeMap;

use deut_kademlia::{NetworkRange, Progress, QueryOutcome};
use deut_transport::{ids::Service, io::CallError, status::TunnelView};
use tokio::sync::{mpsc, oneshot};

use crate::{request::IncomingRequest, status::TunnelEcho};

/// Open requests, by the ticket that the core was given. The core limits each kind.
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

    /// A call ended. If its handle no longer waits, the receiver is gone and nothing is sent.
    pub(super) fn call_done(&mut self, ticket: u64, end: Result<Vec<u8>, CallError>) {
        if let Some(answer) = self.calls.remove(&ticket) {
            let _ = answer.send(end);
        }
    }

    /// All echoes are back or lost.
    pub(super) fn echoes_done(&mut self, ticket: u64, echoes: Vec<(TunnelView, Option<u64>)>) {
        let echoes = echoes.into_iter().map(|(view, round_trip_us)| TunnelEcho {
            view,
            round_trip_us,
        });
        if let Some(answer) = self.echoes.remove(&ticket) {
            let _ = answer.send(echoes.collect());
        }
    }

    /// A query ended, and may have estimated the size of the network.
    pub(super) fn query_done(&mut self, ticket: u64, outcome: QueryOutcome) {
        if let Some(range) = outcome.stats.network_range {
            self.network_range = Some(range);
        }
        if let Some(query) = self.queries.remove(&ticket) {
            let _ = query.answer.send(outcome);
        }
    }
}

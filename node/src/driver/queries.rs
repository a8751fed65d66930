//! Passes the requests of handles to the core, and its events back.

use std::net::SocketAddr;

use deut_common::time::Now;
use deut_kademlia::{Query, QueryTicket};
use deut_transport::{
    ids::{ReplyToken, Service},
    io::{BootstrapTrouble, TunnelChange},
    status::Readiness,
};
use tokio::sync::mpsc;

use super::{Driver, owed::OpenQuery};
use crate::{
    bootstrap::route::why_silent,
    core::{CoreCommand, CoreEvent, CoreInput},
    request::{HandleRequest, IncomingRequest},
};

/// Number of services that one node serves; beyond it a new one is refused.
const MAX_SERVICES: usize = 64;

impl Driver {
    pub(super) fn request(&mut self, now: Now, request: HandleRequest) {
        // If the handle no longer waits, its receiver is gone and there is nobody to tell.
        match request {
            HandleRequest::AnsweringPeers(answer) => {
                let _ = answer.send(self.core.answering_peers());
            }
            HandleRequest::Call {
                service,
                to,
                body,
                answer,
            } => {
                if answer.is_closed() {
                    return;
                }
                let ticket = self.open.ticket();
                self.open.calls.insert(ticket, answer);
                self.command(
                    now,
                    CoreCommand::Call {
                        ticket,
                        service,
                        to,
                        body,
                    },
                );
            }
            HandleRequest::Descriptor(answer) => {
                let _ = answer.send(self.core.own_descriptor());
            }
            HandleRequest::EchoAll(answer) => {
                let ticket = self.open.ticket();
                self.open.echoes.insert(ticket, answer);
                self.command(now, CoreCommand::EchoAll(ticket));
            }
            HandleRequest::PersonaReach(answer) => {
                let _ = answer.send(self.core.persona_reach(now));
            }
            HandleRequest::Query {
                query,
                progress,
                answer,
            } => self.query(now, query, OpenQuery { answer, progress }),
            HandleRequest::Reply { to, body } => self.command(now, CoreCommand::Reply { to, body }),
            HandleRequest::Serve {
                service,
                requests,
                answer,
            } => {
                let _ = answer.send(self.serve(service, requests));
            }
            HandleRequest::Shutdown => {}
            HandleRequest::Status(answer) => {
                let _ = answer.send(self.status(now));
            }
            HandleRequest::Tunnels(answer) => {
                let _ = answer.send(self.core.tunnels(now));
            }
        }
    }

    fn query(&mut self, now: Now, query: Query, open: OpenQuery) {
        if open.answer.is_closed() {
            return;
        }
        let ticket = self.open.ticket();
        self.open.queries.insert(ticket, open);
        self.command(now, CoreCommand::Query(QueryTicket(ticket), query));
    }

    /// Registers a service; `false` if there is no room for one more.
    fn serve(&mut self, service: Service, requests: mpsc::Sender<IncomingRequest>) -> bool {
        let services = &mut self.open.services;
        services.retain(|_, requests| !requests.is_closed());
        let room = services.len() < MAX_SERVICES || services.contains_key(&service);
        if room {
            services.insert(service, requests);
        }
        room
    }

    pub(super) fn event(&mut self, event: CoreEvent) {
        match event {
            CoreEvent::Bootstrap { address, trouble } => {
                tracing::debug!(%address, %trouble, "a bootstrap peer cannot be used");
                self.troubles.refused(address, &self.told(address, trouble));
            }
            CoreEvent::CallFailed { ticket, why } => self.open.call_done(ticket, Err(why)),
            CoreEvent::Done(ticket, outcome) => self.open.query_done(ticket.0, *outcome),
            CoreEvent::Echoes { ticket, echoes } => self.open.echoes_done(ticket, echoes),
            CoreEvent::Persona { .. } => tracing::info!("a new persona is on"),
            CoreEvent::Progress(ticket, progress) => {
                let query = self.open.queries.get(&ticket.0);
                if let Some(sender) = query.and_then(|query| query.progress.as_ref()) {
                    // A watcher that is too slow misses steps.
                    let _ = sender.try_send(progress);
                }
            }
            CoreEvent::Ready(readiness) => self.ready(readiness),
            CoreEvent::Request {
                reply,
                service,
                body,
            } => self.incoming(reply, service, body),
            CoreEvent::Response { ticket, body } => self.open.call_done(ticket, Ok(body)),
            CoreEvent::Superseded { published, seen } => tracing::warn!(
                published,
                seen,
                "somebody else put a newer version of a mutable record: ours is no longer published"
            ),
            CoreEvent::Tunnel { handle, change } => match change {
                TunnelChange::Up { pool } => {
                    tracing::debug!(tunnel = handle.0, ?pool, "a tunnel is up");
                }
                TunnelChange::Down { pool, why } => {
                    tracing::debug!(tunnel = handle.0, ?pool, ?why, "a tunnel is gone");
                }
            },
        }
    }

    /// A trouble in words. If there was no answer, it says what this machine knows of the route.
    fn told(&self, address: SocketAddr, trouble: BootstrapTrouble) -> String {
        let why = match trouble {
            BootstrapTrouble::Silent => why_silent(self.sockets.local().ip(), address),
            _ => None,
        };
        match why {
            Some(why) => format!("{trouble}: {why}"),
            None => trouble.to_string(),
        }
    }

    /// Ends queries and calls for which no handle waits any more, since others need their places.
    pub(super) fn cancel_abandoned(&mut self, now: Now) {
        let calls = self.open.calls.iter();
        let abandoned = calls.filter(|(_, answer)| answer.is_closed());
        let abandoned: Vec<u64> = abandoned.map(|(&ticket, _)| ticket).collect();
        for ticket in abandoned {
            self.open.calls.remove(&ticket);
            self.command(now, CoreCommand::CancelCall(ticket));
        }
        let abandoned = self
            .open
            .queries
            .iter()
            .filter(|(_, query)| query.answer.is_closed());
        let abandoned: Vec<u64> = abandoned.map(|(&ticket, _)| ticket).collect();
        for ticket in abandoned {
            self.open.queries.remove(&ticket);
            self.command(now, CoreCommand::Cancel(QueryTicket(ticket)));
        }
    }

    fn incoming(&mut self, token: ReplyToken, service: Service, body: Vec<u8>) {
        if let Some(requests) = self.open.services.get(&service) {
            let node = self.to_self.clone();
            // If the application is too slow, the request is not answered.
            let _ = requests.try_send(IncomingRequest { token, body, node });
        }
    }

    fn ready(&mut self, readiness: Readiness) {
        if readiness.ready && self.ready_after_ms.is_none() {
            let after_ms = self.clock.now().mono.0 / 1_000;
            self.ready_after_ms = Some(after_ms);
            tracing::info!(
                after_ms,
                tunnels = readiness.tunnels_up,
                "ready: lookups can start"
            );
        }
        let reason = readiness.reasons.first().map(ToString::to_string);
        tracing::debug!(
            ready = readiness.ready,
            tunnels = readiness.tunnels_up,
            ?reason,
            "readiness"
        );
        self.readiness.send_replace(readiness);
    }

    fn command(&mut self, now: Now, command: CoreCommand) {
        self.feed(now, CoreInput::Command(command));
    }
}

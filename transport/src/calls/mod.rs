//! Requests as messages: sealed to the recipient, sent through one tunnel, answered through another (DESIGN §6).

mod group;
mod patience;
mod requests;

use std::{collections::BTreeMap, net::SocketAddr};

use group::Group;
use patience::Patience;
pub(crate) use requests::Requests;

use deut_common::time::Mono;

use crate::{
    context::Context,
    crypto::message::{PendingResponse, gate, response_message_id, seal_request},
    drop_reason::DropReason,
    ids::{CallGroup, CallTicket, PoolId, Service, TunnelHandle},
    io::{CallError, Destination, Event},
    keys::is_usable_persona,
    links::Links,
    master::{OwnTunnel, OwnTunnels},
    packet::MESSAGE_DATAGRAM,
    timers::Timer,
    wire::{
        cell::Cell,
        message::{MAX_REQUEST_BODY, RequestHeader},
    },
};

/// Copies of one request, each over another pair of tunnels and, where there are several, to another address.
const ATTEMPTS: usize = 3;

/// A request to be made.
pub(crate) struct NewCall {
    pub(crate) ticket: CallTicket,
    pub(crate) group: CallGroup,
    pub(crate) pool: PoolId,
    pub(crate) service: Service,
    pub(crate) to: Destination,
    pub(crate) body: Vec<u8>,
}

/// One copy that was sent.
struct Attempt {
    pending: PendingResponse,
    send: TunnelHandle,
    reply: TunnelHandle,
    at: Mono,
}

struct Call {
    pool: PoolId,
    group: CallGroup,
    service: Service,
    to: Destination,
    body: Vec<u8>,
    request_id: [u8; 16],
    attempts: Vec<Attempt>,
    /// When the next copy goes out; none before the first one and after the last one.
    short_at: Option<Mono>,
    full_at: Mono,
    slow: bool,
    /// Where the first copy goes; the next ones go to the addresses after it.
    first_address: usize,
}

impl Call {
    /// Send and reply tunnels of the copies that went out.
    fn earlier(&self) -> Vec<(TunnelHandle, TunnelHandle)> {
        self.attempts
            .iter()
            .map(|attempt| (attempt.send, attempt.reply))
            .collect()
    }

    /// What is sealed with the body when the answer is to come through this tunnel.
    fn header(&self, back: &OwnTunnel) -> Option<RequestHeader> {
        Some(RequestHeader {
            request_id: self.request_id,
            reply: back.answer.address,
            reply_gate: back.reply.gate?,
            service: self.service,
        })
    }

    /// Where the next copy goes.
    fn next_address(&self) -> Option<SocketAddr> {
        let at = (self.first_address + self.attempts.len()) % self.to.at.len().max(1);
        self.to.at.get(at).copied()
    }
}

/// Open calls and the groups that own reply tunnels.
#[derive(Default)]
pub(crate) struct Calls {
    calls: BTreeMap<CallTicket, Call>,
    groups: BTreeMap<CallGroup, Group>,
    by_message: BTreeMap<[u8; 16], CallTicket>,
    /// What was learned about round trips, for each pool by itself.
    lookup_patience: Patience,
    persona_patience: Patience,
}

impl Calls {
    pub(crate) fn len(&self) -> usize {
        self.calls.len()
    }

    pub(crate) fn groups(&self) -> usize {
        self.groups.len()
    }

    /// Starts a call: sent at once if tunnels stand, else as soon as they do.
    pub(crate) fn start(
        &mut self,
        cx: &mut Context,
        own: &mut OwnTunnels,
        links: &mut Links,
        new: NewCall,
    ) {
        let NewCall {
            ticket,
            group,
            pool,
            service,
            mut to,
            body,
        } = new;
        to.at
            .retain(|&address| cx.config.policy.may_send_to(address));
        to.at.truncate(Destination::MAX_ADDRESSES);
        if body.len() > MAX_REQUEST_BODY || to.at.is_empty() || !is_usable_persona(&to.key) {
            return fail(cx, ticket, CallError::Unusable);
        }
        let new_group = !self.groups.contains_key(&group);
        let full = self.calls.len() >= cx.config.limits.calls
            || (new_group && self.groups.len() >= cx.config.limits.groups);
        if full || self.calls.contains_key(&ticket) {
            return fail(cx, ticket, CallError::Busy);
        }
        self.groups
            .entry(group)
            .or_insert_with(|| Group::new(pool))
            .open
            .insert(ticket);
        let full_ms = self.patience(pool).full_ms(&cx.config.times);
        let full_at = cx.mono().plus_ms(full_ms);
        let request_id = cx.secret();
        let first_address = cx.index(to.at.len());
        let call = Call {
            pool,
            group,
            service,
            to,
            body,
            request_id,
            attempts: Vec::new(),
            short_at: None,
            full_at,
            slow: false,
            first_address,
        };
        self.calls.insert(ticket, call);
        self.attempt(cx, own, links, ticket);
        self.plan(cx, ticket);
    }

    fn patience(&mut self, pool: PoolId) -> &mut Patience {
        match pool {
            PoolId::Lookup => &mut self.lookup_patience,
            PoolId::Persona => &mut self.persona_patience,
        }
    }

    /// Sends one (more) copy, sealed afresh.
    fn attempt(
        &mut self,
        cx: &mut Context,
        own: &mut OwnTunnels,
        links: &mut Links,
        ticket: CallTicket,
    ) {
        let Some(call) = self
            .calls
            .get_mut(&ticket)
            .filter(|call| call.attempts.len() < ATTEMPTS)
        else {
            return;
        };
        let Some(group) = self.groups.get_mut(&call.group) else {
            return;
        };
        let Some((send, reply)) = group.choose(cx, own, call.group, &call.earlier()) else {
            return;
        };
        let Some(header) = own.get(reply).and_then(|back| call.header(back)) else {
            return;
        };
        let Some(address) = call.next_address() else {
            return;
        };
        let to_gate = gate(&call.to.key.0, address);
        let Ok(sealed) = seal_request(&call.to.key, to_gate, &header, &call.body, &mut cx.secrets)
        else {
            return;
        };
        #[cfg(feature = "probe")]
        crate::probe::request_sealed(cx, &header, address, &sealed, (send, reply), &call.body);
        let cell = Cell::Send {
            to: address,
            datagram: sealed.datagram,
        };
        if let Err(reason) = own.send(cx, links, send, &cell) {
            cx.drops.count(reason);
            return;
        }
        if let Some(tunnel) = own.get_mut(send) {
            tunnel.sent += 1;
        }
        cx.counters.requests_sent += 1;
        group.sent(cx, send, reply);
        cx.timers.set_earlier(
            Timer::Group(call.group),
            cx.mono().plus_ms(cx.config.times.reply_silence_ms),
        );
        self.by_message.insert(sealed.pending.message_id, ticket);
        call.attempts.push(Attempt {
            pending: sealed.pending,
            send,
            reply,
            at: cx.mono(),
        });
        self.copy_sent(cx, ticket);
    }

    /// Plans the next copy. A call that waited for tunnels has its whole time from the first copy on.
    fn copy_sent(&mut self, cx: &Context, ticket: CallTicket) {
        let Some(pool) = self.calls.get(&ticket).map(|call| call.pool) else {
            return;
        };
        let (now, times) = (cx.mono(), &cx.config.times);
        let patience = self.patience(pool);
        let (short, again, full) = (
            patience.short_ms(times),
            patience.again_ms(times),
            patience.full_ms(times),
        );
        if let Some(call) = self.calls.get_mut(&ticket) {
            let first = call.attempts.len() == 1;
            let pause = if first { short } else { again };
            call.short_at = (call.attempts.len() < ATTEMPTS).then(|| now.plus_ms(pause));
            if first {
                call.full_at = call.full_at.max(now.plus_ms(full));
            }
        }
    }

    fn plan(&self, cx: &mut Context, ticket: CallTicket) {
        if let Some(call) = self.calls.get(&ticket) {
            let at = call
                .short_at
                .map_or(call.full_at, |short| short.min(call.full_at));
            cx.timers.set(Timer::Call(ticket), at);
        }
    }

    /// Tunnels came up or gates were set: send what waited.
    pub(crate) fn tunnels_changed(
        &mut self,
        cx: &mut Context,
        own: &mut OwnTunnels,
        links: &mut Links,
    ) {
        let waiting: Vec<CallTicket> = self
            .calls
            .iter()
            .filter(|(_, call)| call.attempts.is_empty())
            .map(|(&ticket, _)| ticket)
            .collect();
        for ticket in waiting {
            self.attempt(cx, own, links, ticket);
            self.plan(cx, ticket);
        }
    }

    /// The short or the full timeout of a call.
    pub(crate) fn on_timer(
        &mut self,
        cx: &mut Context,
        own: &mut OwnTunnels,
        links: &mut Links,
        ticket: CallTicket,
    ) {
        let now = cx.mono();
        let Some(call) = self.calls.get_mut(&ticket) else {
            return;
        };
        if now >= call.full_at {
            let why = if call.attempts.is_empty() {
                CallError::NoTunnels
            } else {
                CallError::Timeout
            };
            for attempt in &call.attempts {
                for handle in [attempt.send, attempt.reply] {
                    if let Some(tunnel) = own.get_mut(handle) {
                        tunnel.unanswered = tunnel.unanswered.saturating_add(1);
                    }
                }
            }
            let sent_by = call.attempts.iter().map(|attempt| attempt.send).collect();
            self.end(cx, ticket);
            return cx.event(Event::Failed {
                ticket,
                why,
                sent_by,
            });
        }
        if call.short_at.is_some_and(|at| at <= now) {
            call.short_at = None;
            let first = !std::mem::replace(&mut call.slow, true);
            let doubted: Vec<TunnelHandle> = call
                .attempts
                .iter()
                .flat_map(|attempt| [attempt.send, attempt.reply])
                .collect();
            if first {
                cx.event(Event::Slow { ticket });
            }
            self.attempt(cx, own, links, ticket);
            for handle in doubted {
                own.doubt(cx, links, handle);
            }
        }
        self.plan(cx, ticket);
    }

    /// A message for a reply gate arrived. Only what opens uses up the message ID.
    pub(crate) fn on_response(
        &mut self,
        cx: &mut Context,
        via: TunnelHandle,
        datagram: &[u8; MESSAGE_DATAGRAM],
    ) -> Result<(), DropReason> {
        let id = response_message_id(datagram);
        let ticket = *self
            .by_message
            .get(&id)
            .ok_or(DropReason::UnknownMessageId)?;
        let call = self
            .calls
            .get(&ticket)
            .ok_or(DropReason::UnknownMessageId)?;
        let attempt = call
            .attempts
            .iter()
            .find(|attempt| attempt.pending.message_id == id)
            .ok_or(DropReason::UnknownMessageId)?;
        let body = attempt
            .pending
            .open(datagram)
            .map_err(|_| DropReason::BadResponse)?;
        if let Some(group) = self.groups.get_mut(&call.group) {
            group.heard(via);
        }
        let (late, pool) = (call.slow, call.pool);
        let round_trip = cx.mono().since(attempt.at);
        self.patience(pool).answered(round_trip, &cx.config.times);
        cx.counters.answers_received += 1;
        self.end(cx, ticket);
        cx.event(Event::Response { ticket, body, late });
        Ok(())
    }

    /// Forgets a call and its message IDs.
    fn end(&mut self, cx: &mut Context, ticket: CallTicket) {
        let Some(call) = self.calls.remove(&ticket) else {
            return;
        };
        cx.timers.clear(Timer::Call(ticket));
        for attempt in &call.attempts {
            self.by_message.remove(&attempt.pending.message_id);
        }
        if let Some(group) = self.groups.get_mut(&call.group) {
            group.open.remove(&ticket);
        }
    }

    /// The node stops: every open call fails.
    pub(crate) fn end_all(&mut self, cx: &mut Context) {
        for ticket in self.calls.keys().copied().collect::<Vec<_>>() {
            self.end(cx, ticket);
            fail(cx, ticket, CallError::Cancelled);
        }
        self.groups.clear();
    }

    /// No more calls of this group: its reply tunnels get new gates before they may serve again.
    pub(crate) fn end_group(
        &mut self,
        cx: &mut Context,
        own: &mut OwnTunnels,
        links: &mut Links,
        group: CallGroup,
    ) {
        let Some(state) = self.groups.get(&group) else {
            return;
        };
        for ticket in state.open.clone() {
            self.end(cx, ticket);
            fail(cx, ticket, CallError::Cancelled);
        }
        cx.timers.clear(Timer::Group(group));
        self.groups.remove(&group);
        let served: Vec<TunnelHandle> = own
            .iter()
            .filter(|(_, tunnel)| tunnel.reply.group == Some(group))
            .map(|(handle, _)| handle)
            .collect();
        for handle in served {
            own.renew_reply(cx, links, handle);
        }
    }

    /// Reply tunnels that bring nothing are replaced within the lookup.
    pub(crate) fn on_group_timer(
        &mut self,
        cx: &mut Context,
        own: &mut OwnTunnels,
        links: &mut Links,
        group: CallGroup,
    ) {
        let Some(state) = self.groups.get_mut(&group) else {
            return;
        };
        for silent in state.drop_silent(cx) {
            own.doubt(cx, links, silent);
        }
        if let Some(at) = state.next_silence(cx) {
            cx.timers.set(Timer::Group(group), at);
        }
    }

    /// A tunnel is gone: no group counts on it any more.
    pub(crate) fn tunnel_down(&mut self, handle: TunnelHandle) {
        for group in self.groups.values_mut() {
            group.forget(handle);
        }
    }
}

/// A call is over, and nothing of what was sent for it is told.
fn fail(cx: &mut Context, ticket: CallTicket, why: CallError) {
    cx.event(Event::Failed {
        ticket,
        why,
        sent_by: Vec::new(),
    });
}

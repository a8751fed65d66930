//! Requests as messages: sealed to the recipient, sent through one tunnel, answered through another (protocol §8).

mod call;
mod carrier;
mod group;
mod patience;
mod requests;

use std::collections::BTreeMap;

use crate::{
    config::Limits,
    context::Context,
    crypto::message::response_message_id,
    drop_reason::DropReason,
    ids::{CallGroup, CallTicket, TunnelHandle},
    io::{CallError, Destination, Event, NewCall},
    packet::MESSAGE_DATAGRAM,
    per_pool::PerPool,
    status::Size,
    timers::Timer,
    wire::{cell::Cell, message::MAX_REQUEST_BODY},
};
use call::{Call, Due};
pub(crate) use carrier::Carrier;
use group::Group;
use patience::Patience;
pub(crate) use requests::Requests;

/// Calls that are not over, and the groups whose reply tunnels they share.
#[derive(Default)]
pub(crate) struct Calls {
    calls: BTreeMap<CallTicket, Call>,
    groups: BTreeMap<CallGroup, Group>,
    by_message: BTreeMap<[u8; 16], CallTicket>,
    /// Learned from round trips, separately for each pool.
    patience: PerPool<Patience>,
}

impl Calls {
    pub(crate) fn sizes(&self, limits: &Limits) -> [Size; 2] {
        [
            ("calls", self.calls.len(), limits.calls),
            ("groups", self.groups.len(), limits.groups),
        ]
    }

    /// Starts a call: sent at once if tunnels stand, else as soon as they do.
    pub(crate) fn start(&mut self, carrier: &mut Carrier<'_>, mut new: NewCall) {
        let cx = &mut carrier.net.cx;
        let (ticket, group, to) = (new.ticket, new.group, &mut new.to);
        to.at
            .retain(|&address| cx.config.policy.may_send_to(address));
        to.at.truncate(Destination::MAX_ADDRESSES);
        if new.body.len() > MAX_REQUEST_BODY
            || to.at.is_empty()
            || !cx.config.suite.is_usable(&to.key.0)
        {
            return fail(cx, ticket, CallError::Unusable);
        }
        let new_group = !self.groups.contains_key(&group);
        let full = self.calls.len() >= cx.config.limits.calls
            || (new_group && self.groups.len() >= cx.config.limits.groups);
        if full || self.calls.contains_key(&ticket) {
            return fail(cx, ticket, CallError::Busy);
        }
        let members = self.groups.entry(group);
        members
            .or_insert_with(|| Group::new(group, new.pool))
            .calls
            .insert(ticket);
        let patience = self.patience.get(new.pool);
        let call = Call::new(cx, new, patience);
        self.calls.insert(ticket, call);
        self.send_copy(carrier, ticket);
        self.plan(&mut carrier.net.cx, ticket);
    }

    /// Sends a copy, sealed afresh, if there are tunnels for it.
    fn send_copy(&mut self, carrier: &mut Carrier<'_>, ticket: CallTicket) -> Option<()> {
        let call = self.calls.get_mut(&ticket).filter(|call| call.may_send())?;
        let group = self.groups.get_mut(&call.group())?;
        let tunnels = group.choose(&mut carrier.net.cx, carrier.master, &call.pairs())?;
        let back = carrier.master.up(tunnels.reply)?;
        let (to, sealed) = call.seal(&mut carrier.net.cx, tunnels, back)?;
        let datagram = sealed.datagram;
        if let Err(reason) = carrier.send(tunnels.send, &Cell::Send { to, datagram }) {
            carrier.net.cx.drops.count(reason);
            return None;
        }
        let cx = &mut carrier.net.cx;
        cx.counters.requests_sent += 1;
        group.sent(cx, tunnels);
        let silent_at = cx.mono().plus_ms(cx.config.times.reply_silence_ms);
        cx.timers.set_earlier(Timer::Group(call.group()), silent_at);
        self.by_message.insert(sealed.pending.message_id, ticket);
        let patience = self.patience.get(call.pool());
        call.sent(cx, tunnels, sealed.pending, patience);
        Some(())
    }

    fn plan(&self, cx: &mut Context, ticket: CallTicket) {
        if let Some(call) = self.calls.get(&ticket) {
            cx.timers.set(Timer::Call(ticket), call.deadline());
        }
    }

    /// Tunnels came up or gates were set: sends the calls that waited for them.
    pub(crate) fn tunnels_changed(&mut self, carrier: &mut Carrier<'_>) {
        let waiting = self.calls.iter().filter(|(_, call)| call.is_waiting());
        for ticket in waiting.map(|(&ticket, _)| ticket).collect::<Vec<_>>() {
            self.send_copy(carrier, ticket);
            self.plan(&mut carrier.net.cx, ticket);
        }
    }

    /// The short or the full timeout of a call has passed.
    pub(crate) fn on_timer(&mut self, carrier: &mut Carrier<'_>, ticket: CallTicket) {
        let cx = &mut carrier.net.cx;
        let Some(call) = self.calls.get_mut(&ticket) else {
            return;
        };
        match call.due(cx.mono()) {
            Due::Nothing => {}
            Due::Copy { first } => {
                let doubted = call.pairs();
                if first {
                    cx.event(Event::Slow { ticket });
                }
                self.send_copy(carrier, ticket);
                for tunnels in doubted {
                    carrier.doubt(tunnels.send);
                    carrier.doubt(tunnels.reply);
                }
            }
            Due::End => {
                let why = if call.is_waiting() {
                    CallError::NoTunnels
                } else {
                    CallError::Timeout
                };
                let sent_by = call.sent_by();
                self.end(cx, ticket);
                return cx.event(Event::Failed {
                    ticket,
                    why,
                    sent_by,
                });
            }
        }
        self.plan(&mut carrier.net.cx, ticket);
    }

    /// A message came through a reply gate. Its message ID is used up only if it opens.
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
        let mut attempts = call.attempts().iter();
        let attempt = attempts
            .find(|attempt| attempt.pending.message_id == id)
            .ok_or(DropReason::UnknownMessageId)?;
        let body = attempt
            .pending
            .open(datagram)
            .map_err(|_| DropReason::BadResponse)?;
        if let Some(group) = self.groups.get_mut(&call.group()) {
            group.heard(via);
        }
        let late = call.is_slow();
        let round_trip = cx.mono().since(attempt.at);
        let patience = self.patience.get_mut(call.pool());
        patience.answered(round_trip, &cx.config.times);
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
        for attempt in call.attempts() {
            self.by_message.remove(&attempt.pending.message_id);
        }
        if let Some(group) = self.groups.get_mut(&call.group()) {
            group.calls.remove(&ticket);
        }
    }

    /// The node stops: every call fails.
    pub(crate) fn end_all(&mut self, cx: &mut Context) {
        for ticket in self.calls.keys().copied().collect::<Vec<_>>() {
            self.end(cx, ticket);
            fail(cx, ticket, CallError::Cancelled);
        }
        self.groups.clear();
    }

    /// There are no more calls in this group: its reply tunnels get new gates before they may serve again.
    pub(crate) fn end_group(&mut self, carrier: &mut Carrier<'_>, group: CallGroup) {
        let cx = &mut carrier.net.cx;
        let Some(members) = self.groups.get(&group) else {
            return;
        };
        for ticket in members.calls.clone() {
            self.end(cx, ticket);
            fail(cx, ticket, CallError::Cancelled);
        }
        cx.timers.clear(Timer::Group(group));
        self.groups.remove(&group);
        carrier.master.renew_replies(carrier.net, group);
    }

    /// Replaces reply tunnels of the group that brought nothing for too long.
    pub(crate) fn on_group_timer(&mut self, carrier: &mut Carrier<'_>, group: CallGroup) {
        let Some(members) = self.groups.get_mut(&group) else {
            return;
        };
        for silent in members.drop_silent(&carrier.net.cx) {
            carrier.doubt(silent);
        }
        if let Some(at) = members.next_silence(&carrier.net.cx) {
            carrier.net.cx.timers.set(Timer::Group(group), at);
        }
    }

    /// A tunnel is gone: no group counts on it any more.
    pub(crate) fn tunnel_down(&mut self, handle: TunnelHandle) {
        for group in self.groups.values_mut() {
            group.forget(handle);
        }
    }
}

/// The node has stopped: the call cannot be made.
pub(crate) fn refuse(cx: &mut Context, ticket: CallTicket) {
    fail(cx, ticket, CallError::Cancelled);
}

/// Ends a call with an error. Nothing is kept of what was sent for it.
fn fail(cx: &mut Context, ticket: CallTicket, why: CallError) {
    cx.event(Event::Failed {
        ticket,
        why,
        sent_by: Vec::new(),
    });
}

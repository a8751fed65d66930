//! Requests to our persona: executed once, each copy answered at its own reply address, never through the tunnel
//! that brought it (protocol §8).

use std::{collections::BTreeMap, net::SocketAddr};

use deut_common::time::Mono;

use super::{Carrier, group::prefer};
use crate::{
    config::Limits,
    context::Context,
    crypto::message::{Responder, open_request},
    drop_reason::DropReason,
    ids::{Gate, PoolId, ReplyToken, TunnelHandle},
    io::Event,
    packet::MESSAGE_DATAGRAM,
    status::Size,
    timers::Timer,
    wire::{cell::Cell, message::MAX_ANSWER_BODY},
};

/// Number of copies of one request that are answered.
const COPIES: usize = 4;

struct Copy {
    responder: Responder,
    to: SocketAddr,
    gate: Gate,
    via: TunnelHandle,
}

struct Remembered {
    id: [u8; 16],
    copies: Vec<Copy>,
    seen: usize,
    answer: Option<Vec<u8>>,
    /// Tunnels that carried an answer to this request.
    answered_by: Vec<TunnelHandle>,
    until: Mono,
}

/// Requests of the last seconds, so that each is executed once.
#[derive(Default)]
pub(crate) struct Requests {
    by_id: BTreeMap<[u8; 16], ReplyToken>,
    remembered: BTreeMap<ReplyToken, Remembered>,
    next: u64,
}

impl Requests {
    pub(crate) fn size(&self, limits: &Limits) -> Size {
        let cap = limits.requests_remembered;
        ("remembered requests", self.remembered.len(), cap)
    }

    /// The persona changed: the new one must not know what the old one was asked.
    pub(crate) fn clear(&mut self) {
        self.by_id.clear();
        self.remembered.clear();
    }

    /// A message came through the persona's gate.
    pub(crate) fn on_request(
        &mut self,
        carrier: &mut Carrier<'_>,
        via: TunnelHandle,
        datagram: &[u8; MESSAGE_DATAGRAM],
    ) -> Result<(), DropReason> {
        let persona = carrier.master.persona().ok_or(DropReason::NoPersona)?;
        let opened = open_request(&carrier.net.cx.config.suite, persona, datagram)?;
        let cx = &mut carrier.net.cx;
        let (id, to, gate) = (
            opened.header.request_id,
            opened.header.reply,
            opened.header.reply_gate,
        );
        if !cx.config.policy.may_send_to(to) {
            return Err(DropReason::ForbiddenDestination);
        }
        let service = opened.header.service;
        let body = opened.body;
        let copy = Copy {
            responder: opened.responder,
            to,
            gate,
            via,
        };
        if let Some(&token) = self.by_id.get(&id) {
            return self.on_copy(carrier, token, copy);
        }
        cx.counters.requests_received += 1;
        self.next += 1;
        let reply = ReplyToken(self.next);
        let until = cx.mono().plus_ms(cx.config.times.answer_kept_ms);
        self.by_id.insert(id, reply);
        self.remembered.insert(
            reply,
            Remembered {
                id,
                copies: vec![copy],
                seen: 1,
                answer: None,
                answered_by: Vec::new(),
                until,
            },
        );
        if self.remembered.len() > cx.config.limits.requests_remembered
            && let Some((_, oldest)) = self.remembered.pop_first()
        {
            self.by_id.remove(&oldest.id);
        }
        cx.timers.set_earlier(Timer::Requests, until);
        cx.event(Event::Request {
            reply,
            service,
            body,
        });
        Ok(())
    }

    fn on_copy(
        &mut self,
        carrier: &mut Carrier<'_>,
        token: ReplyToken,
        copy: Copy,
    ) -> Result<(), DropReason> {
        let known = self
            .remembered
            .get_mut(&token)
            .ok_or(DropReason::DuplicateRequest)?;
        if known.seen >= COPIES {
            return Err(DropReason::DuplicateRequest);
        }
        known.seen += 1;
        let Some(body) = &known.answer else {
            known.copies.push(copy);
            return Ok(());
        };
        let doubted = known.answered_by.clone();
        let sent_by = answer(carrier, &copy, body, &doubted)?;
        known.answered_by.push(sent_by);
        // The answer to the earlier copy did not arrive, perhaps because of the tunnel that carried it.
        for handle in doubted {
            carrier.doubt(handle);
        }
        Ok(())
    }

    /// Sends the persona's answer to the reply address of every copy.
    pub(crate) fn reply(&mut self, carrier: &mut Carrier<'_>, to: ReplyToken, body: Vec<u8>) {
        let Some(known) = self.remembered.get_mut(&to) else {
            return;
        };
        if known.answer.is_some() || body.len() > MAX_ANSWER_BODY {
            return;
        }
        for copy in std::mem::take(&mut known.copies) {
            match answer(carrier, &copy, &body, &known.answered_by) {
                Ok(sent_by) => known.answered_by.push(sent_by),
                Err(reason) => carrier.net.cx.drops.count(reason),
            }
        }
        known.answer = Some(body);
    }

    /// Forgets old requests.
    pub(crate) fn on_timer(&mut self, cx: &mut Context) {
        let now = cx.mono();
        while let Some((&token, known)) = self.remembered.first_key_value() {
            if known.until > now {
                cx.timers.set(Timer::Requests, known.until);
                return;
            }
            let id = known.id;
            self.remembered.remove(&token);
            self.by_id.remove(&id);
        }
    }
}

/// Seals an answer and sends it through a persona tunnel other than the one that brought the request and, where there are
/// others, than those that carried answers to earlier copies. Returns the tunnel.
fn answer(
    carrier: &mut Carrier<'_>,
    copy: &Copy,
    body: &[u8],
    earlier: &[TunnelHandle],
) -> Result<TunnelHandle, DropReason> {
    let mut usable = carrier.master.usable(PoolId::Persona);
    usable.retain(|&handle| handle != copy.via);
    let from = prefer(usable, |handle| !earlier.contains(handle));
    let &send = from
        .get(carrier.net.cx.index(from.len()))
        .ok_or(DropReason::NoPersona)?;
    let datagram = copy
        .responder
        .seal(copy.gate, body, &mut carrier.net.cx.secrets)
        .map_err(|_| DropReason::Malformed)?;
    carrier.net.cx.observers.response_sealed(copy.to, body);
    let to = copy.to;
    carrier.send(send, &Cell::Send { to, datagram })?;
    Ok(send)
}

//! One request and its copies, until an answer comes or its time is over.

use std::net::SocketAddr;

use deut_common::time::Mono;

use super::{group::Pair, patience::Patience};
use crate::{
    context::Context,
    crypto::message::{PendingResponse, SealedRequest, gate, seal_request},
    ids::{CallGroup, PoolId, TunnelHandle},
    io::NewCall,
    master::Up,
    wire::message::RequestHeader,
};

/// Copies sent of one request, each over another pair of tunnels and, if the recipient has several, to another address.
const ATTEMPTS: usize = 3;

/// One copy that was sent.
pub(super) struct Attempt {
    pub(super) pending: PendingResponse,
    tunnels: Pair,
    pub(super) at: Mono,
}

/// The step that a call takes when its timer fires.
pub(super) enum Due {
    Nothing,
    /// Another copy goes out. `first`: this is the first time that the call is slow.
    Copy {
        first: bool,
    },
    /// The time of the call is over.
    End,
}

pub(super) struct Call {
    request: NewCall,
    request_id: [u8; 16],
    attempts: Vec<Attempt>,
    /// Time of the next copy; `None` before the first copy and after the last.
    short_at: Option<Mono>,
    full_at: Mono,
    slow: bool,
    /// Index of the address that the first copy goes to; later copies go to the ones after it.
    first_address: usize,
}

impl Call {
    pub(super) fn new(cx: &mut Context, request: NewCall, patience: &Patience) -> Self {
        let full_ms = patience.full_ms(&cx.config.times);
        Self {
            full_at: cx.mono().plus_ms(full_ms),
            request_id: cx.secret(),
            first_address: cx.index(request.to.at.len()),
            attempts: Vec::new(),
            short_at: None,
            slow: false,
            request,
        }
    }

    pub(super) const fn pool(&self) -> PoolId {
        self.request.pool
    }

    pub(super) const fn group(&self) -> CallGroup {
        self.request.group
    }

    /// The short timeout has passed.
    pub(super) const fn is_slow(&self) -> bool {
        self.slow
    }

    /// Nothing was sent yet: the call waits for tunnels.
    pub(super) const fn is_waiting(&self) -> bool {
        self.attempts.is_empty()
    }

    pub(super) const fn may_send(&self) -> bool {
        self.attempts.len() < ATTEMPTS
    }

    pub(super) fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// The tunnels that its copies went over, oldest first.
    pub(super) fn pairs(&self) -> Vec<Pair> {
        self.attempts
            .iter()
            .map(|attempt| attempt.tunnels)
            .collect()
    }

    /// The tunnels that its copies left by.
    pub(super) fn sent_by(&self) -> Vec<TunnelHandle> {
        self.attempts
            .iter()
            .map(|attempt| attempt.tunnels.send)
            .collect()
    }

    /// Seals the next copy afresh, to be answered through the reply tunnel `back`. Also returns the address to send it to.
    pub(super) fn seal(
        &self,
        cx: &mut Context,
        tunnels: Pair,
        back: &Up,
    ) -> Option<(SocketAddr, SealedRequest)> {
        let request = &self.request;
        let header = RequestHeader {
            request_id: self.request_id,
            reply: back.address(),
            reply_gate: back.reply().gate()?,
            service: request.service,
        };
        let at = (self.first_address + self.attempts.len()) % request.to.at.len().max(1);
        let &address = request.to.at.get(at)?;
        let key = &request.to.key;
        let to_gate = gate(&key.0, address);
        let suite = &cx.config.suite;
        let sealed =
            seal_request(suite, key, to_gate, &header, &request.body, &mut cx.secrets).ok()?;
        let tunnels = (tunnels.send, tunnels.reply);
        cx.observers
            .request_sealed(&header, address, &sealed, tunnels, &request.body);
        Some((address, sealed))
    }

    /// A copy went out: plans the next one. A call that waited for tunnels has its whole time from the first copy on.
    pub(super) fn sent(
        &mut self,
        cx: &Context,
        tunnels: Pair,
        pending: PendingResponse,
        patience: &Patience,
    ) {
        let (now, times) = (cx.mono(), &cx.config.times);
        let first = self.is_waiting();
        self.attempts.push(Attempt {
            pending,
            tunnels,
            at: now,
        });
        let pause = if first {
            self.full_at = self.full_at.max(now.plus_ms(patience.full_ms(times)));
            patience.short_ms(times)
        } else {
            patience.again_ms(times)
        };
        self.short_at = self.may_send().then(|| now.plus_ms(pause));
    }

    /// The short or the full timeout, whichever comes first.
    pub(super) fn deadline(&self) -> Mono {
        self.short_at
            .map_or(self.full_at, |short| short.min(self.full_at))
    }

    /// The step that is due now. Each copy is due only once.
    pub(super) fn due(&mut self, now: Mono) -> Due {
        if now >= self.full_at {
            return Due::End;
        }
        if self.short_at.take_if(|at| *at <= now).is_none() {
            return Due::Nothing;
        }
        let first = !std::mem::replace(&mut self.slow, true);
        Due::Copy { first }
    }
}

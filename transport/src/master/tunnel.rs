//! The state of one own tunnel.

use std::collections::VecDeque;

use deut_common::{ids::RelayId, time::Mono};

use super::exchange::{Checking, Exchanging};
use crate::{
    crypto::{answer::EndpointAnswer, layer::LayerKeys, tunnel::TunnelCipher},
    ids::{CallGroup, Gate, LinkHandle, PoolId, TunnelHandle, TunnelId},
    status::{PathKind, TunnelView},
};

/// Why a request is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The RSA exchange.
    Exchange,
    /// A new reply gate (slot 1).
    ReplyGate(Gate),
    /// The persona's gate (slot 0).
    PersonaGate,
    /// Registers the persona's contact as it is when the request is sent.
    Advertise,
    /// Contacts hosted by the endpoint.
    Seeds,
    /// What the endpoint knows about the endpoint of another tunnel.
    Describe(TunnelHandle, RelayId),
    /// Whether the tunnel is alive; `true`: somebody asked and wants to know the time.
    Echo(bool),
    /// The end.
    Close,
}

/// A request that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) purpose: Purpose,
}

/// How far a tunnel is.
pub(crate) enum Stage {
    /// Another endpoint is asked for the descriptor of this one.
    Checking(Box<Checking>),
    /// A random wait before the first cell.
    Waiting(Box<Exchanging>, Mono),
    /// The RSA exchange is under way.
    Exchanging(Box<Exchanging>),
    /// A random wait before the first gate.
    Confirmed(Mono),
    /// Messages may use it.
    Up,
}

/// The reply address of a tunnel.
#[derive(Default)]
pub(crate) struct Reply {
    /// The gate that its endpoint has confirmed.
    pub(crate) gate: Option<Gate>,
    /// The gate that is being set.
    pub(crate) setting: Option<Gate>,
    /// The lookup that it serves.
    pub(crate) group: Option<CallGroup>,
    /// It has served a lookup before.
    pub(crate) used: bool,
}

/// A control request under way.
pub(crate) struct Active {
    pub(super) number: u32,
    pub(super) request: Request,
    pub(super) sends: u8,
    pub(super) next_at: Mono,
    pub(super) since: Mono,
}

/// One own tunnel, from the walk's answer on.
pub(crate) struct OwnTunnel {
    pub(crate) pool: PoolId,
    pub(crate) stage: Stage,
    pub(crate) link: LinkHandle,
    pub(crate) first_hop: RelayId,
    /// Cells to the first hop carry it.
    pub(crate) outgoing: TunnelId,
    /// Cells from the first hop carry it.
    pub(crate) incoming: TunnelId,
    pub(crate) layers: Vec<LayerKeys>,
    pub(crate) cipher: TunnelCipher,
    pub(crate) answer: EndpointAnswer,
    pub(crate) endpoint: RelayId,
    /// The endpoint's descriptor is known from elsewhere.
    pub(crate) confirmed: bool,
    pub(crate) since: Mono,
    pub(crate) build_us: u64,
    /// How many relays we knew when it was built.
    pub(super) among: usize,
    pub(super) next_number: u32,
    pub(super) queue: VecDeque<Request>,
    pub(super) active: Option<Active>,
    pub(crate) reply: Reply,
    /// The persona's gate is open.
    pub(crate) persona_gate: bool,
    pub(crate) replace_at: Mono,
    pub(crate) planned_end: Mono,
    /// A replacement is wanted or stands.
    pub(crate) retiring: bool,
    /// Control requests stayed unanswered, but it is one of the last two.
    pub(crate) suspect: bool,
    /// The node stood still since it was last heard: from then on it is asked, and counts for nothing until it answers.
    pub(super) doubt: Option<Mono>,
    pub(crate) was_up: bool,
    pub(super) last_heard: Mono,
    /// Calls over it that brought nothing, in a row.
    pub(crate) unanswered: u32,
    pub(crate) sent: u64,
    pub(crate) received: u64,
}

impl OwnTunnel {
    /// Messages may use it.
    pub(crate) const fn is_up(&self) -> bool {
        matches!(self.stage, Stage::Up)
    }

    /// It is known to work.
    pub(crate) fn is_proven(&self) -> bool {
        self.is_up() && !self.suspect && self.doubt.is_none()
    }

    /// It was asked whether it is still there, and did not answer at once.
    pub(super) fn is_late(&self) -> bool {
        self.doubt.is_some() && self.active.as_ref().is_some_and(|active| active.sends > 1)
    }

    /// A lookup may have its answers sent here: its gate is open and enough life is left.
    pub(crate) fn may_reply(&self, now: Mono, margin_ms: u64) -> bool {
        self.is_up()
            && self.reply.gate.is_some()
            && self.reply.setting.is_none()
            && self.planned_end >= now.plus_ms(margin_ms)
    }

    /// As shown to the operator.
    pub(crate) fn view(&self, handle: TunnelHandle, now: Mono) -> TunnelView {
        TunnelView {
            handle,
            pool: self.pool,
            path: PathKind::Walk,
            hops: self.layers.len(),
            first_hop: self.first_hop,
            endpoint: self.endpoint,
            address: self.answer.address,
            confirmed: self.confirmed,
            up: self.is_proven(),
            age_s: now.since(self.since) / 1_000_000,
            left_s: self.planned_end.since(now) / 1_000_000,
            sent: self.sent,
            received: self.received,
            build_us: self.build_us,
        }
    }

    /// Counts for the pool's size.
    pub(crate) fn counts(&self) -> bool {
        !self.retiring && !self.suspect && !self.is_late()
    }
}

//! One link: the frames it sends and keeps waiting, and its own work: resend, rekey, probe, keep alive, close.

use std::{collections::VecDeque, net::SocketAddr};

use deut_common::{buckets::Bucket, ids::RelayId, time::Mono};

use super::{
    control::{ControlToken, Controls},
    sessions::Sessions,
    silence::Silence,
};
use crate::{
    config::Role,
    context::Context,
    crypto::{noise::Initiator, session::plaintext_mut},
    drop_reason::DropReason,
    ids::{LinkHandle, Port},
    packet::{Packet, RELAY_DATAGRAM},
    policy::Profile,
    timers::Timer,
    wire::{
        datagram::Datagram,
        descriptor::Descriptor,
        frame::{self, Control, FrameBytes},
    },
};

/// Number of frames that may wait for a session.
const WAITING: usize = 32;

/// A handshake that we started.
pub(super) struct Dial {
    pub(super) initiator: Initiator,
    pub(super) sends: u8,
    pub(super) next_at: Mono,
}

/// The state of one link.
pub(crate) struct Link {
    pub(super) handle: LinkHandle,
    /// The neighbour's link key.
    pub(super) key: [u8; 32],
    pub(crate) address: SocketAddr,
    /// The relay at the other end, if it showed a descriptor with this link key.
    pub(crate) relay: Option<RelayId>,
    /// Own, relayed and served tunnels over it.
    pub(crate) tunnels: usize,
    pub(super) last_used: Mono,
    /// Budget for the neighbour's walk requests.
    pub(crate) walks: Bucket,
    /// Only the table starts and ends it, since the table keeps the index.
    pub(super) dial: Option<Dial>,
    pub(super) sessions: Sessions,
    pub(super) controls: Controls,
    pub(super) silence: Silence,
    waiting: VecDeque<Box<FrameBytes>>,
    last_sent: Mono,
    /// The descriptor of the initiation, until the session is confirmed.
    pub(crate) presented: Option<Box<Descriptor>>,
    /// The identity key to use when dialling it.
    pub(super) identity: Option<[u8; 32]>,
    /// The highest `time` of the neighbour's initiations.
    pub(super) last_time: u64,
}

impl Link {
    pub(super) fn new(
        cx: &Context,
        handle: LinkHandle,
        key: [u8; 32],
        address: SocketAddr,
    ) -> Self {
        let (rate, burst) = cx.config.limits.walks_per_neighbour;
        // In a network of sixteen nodes every neighbour carries the walks of thousands.
        let times = match cx.config.policy.profile {
            Profile::Production => 1,
            Profile::Test => 8,
        };
        Self {
            handle,
            key,
            address,
            relay: None,
            tunnels: 0,
            last_used: cx.mono(),
            walks: Bucket::new((rate * times, burst * times), cx.mono()),
            dial: None,
            sessions: Sessions::default(),
            controls: Controls::default(),
            silence: Silence::new(cx.mono()),
            waiting: VecDeque::new(),
            last_sent: cx.mono(),
            presented: None,
            identity: None,
            last_time: 0,
        }
    }

    /// Returns true if there is a session that may be used for sending.
    pub(super) const fn is_up(&self) -> bool {
        self.sessions.is_up()
    }

    /// A new session took effect: sends the frames that waited and sets the timer.
    pub(super) fn settle(&mut self, cx: &mut Context) {
        for frame in std::mem::take(&mut self.waiting) {
            self.send(cx, &frame);
        }
        self.resend_control(cx);
    }

    /// Encrypts what stands at the datagram's plaintext place and says whereto it goes.
    pub(super) fn seal(
        &mut self,
        now: Mono,
        datagram: &mut Datagram,
    ) -> Result<SocketAddr, DropReason> {
        self.sessions.seal(datagram)?;
        self.last_sent = now;
        Ok(self.address)
    }

    /// Sends a frame, or keeps it until there is a session; at the cap it is lost.
    pub(super) fn send(&mut self, cx: &mut Context, frame: &FrameBytes) {
        if !self.is_up() {
            if self.waiting.len() < WAITING {
                self.waiting.push_back(Box::new(*frame));
            }
            return;
        }
        let mut packet = Packet::zeroed(RELAY_DATAGRAM);
        let Some(datagram) = packet.as_relay_mut() else {
            return;
        };
        *plaintext_mut(datagram) = *frame;
        if let Ok(to) = self.seal(cx.mono(), datagram) {
            cx.transmit(Port::Relay, to, packet);
        }
    }

    /// Sends a control frame up to three times; `false` at the cap.
    pub(super) fn send_control(
        &mut self,
        cx: &mut Context,
        control: &Control,
        token: ControlToken,
    ) -> bool {
        let added = self.controls.add(cx, control, token);
        if added {
            if token != ControlToken::Probe {
                self.last_used = cx.mono();
            }
            self.resend_control(cx);
        }
        added
    }

    /// Sends the control frames that are due, but nothing while there is no session. Returns those that failed.
    fn resend_control(&mut self, cx: &mut Context) -> Vec<ControlToken> {
        if !self.is_up() {
            return Vec::new();
        }
        let (due, failed) = self.controls.take_due(cx);
        for frame in due {
            self.send(cx, &frame);
        }
        self.plan(cx);
        failed
    }

    /// Sends all that is due. Returns the control frames that failed; if a probe did, the link is dead.
    pub(super) fn tend(&mut self, cx: &mut Context) -> Vec<ControlToken> {
        let failed = self.resend_control(cx);
        if !failed.contains(&ControlToken::Probe) {
            if self.keep_alive_at(cx).is_some_and(|at| at <= cx.mono()) {
                self.send(cx, &frame::encode_keep_alive());
            }
            self.plan(cx);
        }
        failed
    }

    /// Sets the link's timer to its earliest deadline.
    pub(super) fn plan(&self, cx: &mut Context) {
        let times = &cx.config.times;
        let idle_since = if self.tunnels > 0 {
            cx.mono()
        } else {
            self.last_used
        };
        let due = [
            self.unmade_until(cx),
            self.dial.as_ref().map(|dial| dial.next_at),
            self.sessions.next_at(cx),
            self.controls.next_at(),
            self.keep_alive_at(cx),
        ];
        let idle_at = idle_since.plus_ms(times.link_idle_ms);
        let at = due.into_iter().flatten().fold(idle_at, Mono::min);
        let soonest = cx.mono().plus_ms(1);
        cx.timers.set(Timer::Link(self.handle), at.max(soonest));
    }

    /// Returns true for a link without a session and a dial, idle without a tunnel, or with a session past its end.
    pub(super) fn is_over(&self, cx: &Context) -> bool {
        let now = cx.mono();
        let idle_at = self.last_used.plus_ms(cx.config.times.link_idle_ms);
        let idle = self.tunnels == 0 && now >= idle_at;
        let unmade = self.unmade_until(cx).is_some_and(|until| now >= until);
        idle || unmade || (self.dial.is_none() && self.sessions.are_over(now))
    }

    /// The time by which the other side must confirm the first session, if nothing else is under way.
    fn unmade_until(&self, cx: &Context) -> Option<Mono> {
        let waits = !self.is_up() && self.dial.is_none();
        waits.then(|| self.last_used.plus_ms(cx.config.times.build_timeout_ms))
    }

    pub(super) fn wants_rekey(&self, cx: &Context) -> bool {
        self.dial.is_none() && self.tunnels > 0 && self.sessions.want_rekey(cx)
    }

    /// The time of the next keep-alive. Only a node that cannot be dialled keeps its links open by sending.
    fn keep_alive_at(&self, cx: &Context) -> Option<Mono> {
        let (every, spread) = cx.config.times.keep_alive_ms;
        let [first, ..] = self.key;
        let jitter = u64::from(first) * 2 * spread / 255;
        let keeps = cx.config.role == Role::Client && self.tunnels > 0 && self.is_up();
        keeps.then(|| {
            self.last_sent
                .plus_ms(every.saturating_sub(spread) + jitter)
        })
    }
}

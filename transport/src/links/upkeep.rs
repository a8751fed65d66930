//! What a link does by itself: resend, rekey, probe, keep alive, close.

use deut_common::time::Mono;

use super::{
    ControlToken, LinkEvent, Links,
    link::{Link, SESSION_DATAGRAMS},
};
use crate::{
    config::Role,
    context::Context,
    ids::LinkHandle,
    timers::Timer,
    wire::{
        descriptor::Descriptor,
        frame::{self, Control},
    },
};

impl Links {
    /// Sets the link's timer to what is due first.
    pub(super) fn plan(&self, cx: &mut Context, handle: LinkHandle) {
        if let Some(link) = self.links.get(&handle) {
            let at = next_due(link, cx);
            cx.timers.set(Timer::Link(handle), at);
        }
    }

    /// The link's timer fired.
    pub(crate) fn on_timer(
        &mut self,
        cx: &mut Context,
        own: Option<&Descriptor>,
        handle: LinkHandle,
    ) -> Vec<LinkEvent> {
        let now = cx.mono();
        let Some(link) = self.links.get(&handle) else {
            return Vec::new();
        };
        if link.dial.as_ref().is_some_and(|dial| dial.next_at <= now)
            && let Some(dead) = self.repeat_dial(cx, own, handle)
        {
            return vec![dead];
        }
        if self.links.get(&handle).is_none_or(|link| is_over(link, cx)) {
            self.goodbye(cx, handle);
            return self.remove(cx, handle, false).into_iter().collect();
        }
        if self
            .links
            .get(&handle)
            .is_some_and(|link| wants_rekey(link, cx))
        {
            self.start_dial(cx, own, handle, 1);
        }
        let events = self.resend_control(cx, handle);
        if events
            .iter()
            .any(|event| matches!(event, LinkEvent::ControlFailed(_, ControlToken::Probe)))
        {
            return self
                .remove(cx, handle, true)
                .into_iter()
                .chain(events)
                .collect();
        }
        if self
            .links
            .get(&handle)
            .is_some_and(|link| keep_alive_at(link, cx).is_some_and(|at| at <= now))
        {
            self.send(cx, handle, &frame::encode_keep_alive());
        }
        self.plan(cx, handle);
        events
    }

    /// We sent and heard nothing: is the neighbour still there?
    pub(crate) fn on_probe_timer(&mut self, cx: &mut Context, handle: LinkHandle) {
        let Some(link) = self.links.get_mut(&handle) else {
            return;
        };
        match link.probe_due(cx.mono()) {
            None => {}
            Some(Err(later)) => cx.timers.set(Timer::LinkProbe(handle), later),
            Some(Ok(())) => {
                let probing = link
                    .in_flight
                    .values()
                    .any(|control| control.token == ControlToken::Probe);
                cx.timers.set(
                    Timer::LinkProbe(handle),
                    cx.mono().plus_ms(super::link::SILENCE_MS),
                );
                if link.is_silent() && link.is_up() && !probing {
                    self.send_control(cx, handle, &Control::Probe, ControlToken::Probe);
                }
            }
        }
    }
}

/// A link without a session and without a dial, or idle without a tunnel, or with a session past its end.
fn is_over(link: &Link, cx: &Context) -> bool {
    let now = cx.mono();
    let idle = link.tunnels == 0 && now >= link.last_used.plus_ms(cx.config.times.link_idle_ms);
    let unconfirmed = !link.is_up()
        && link.dial.is_none()
        && now >= link.last_used.plus_ms(cx.config.times.build_timeout_ms);
    let expired = link
        .current
        .as_ref()
        .is_some_and(|slot| now >= slot.since.plus_ms(cx.config.times.rekey_ms.1));
    idle || unconfirmed || (expired && link.dial.is_none() && link.unconfirmed.is_empty())
}

fn wants_rekey(link: &Link, cx: &Context) -> bool {
    link.dial.is_none()
        && link.tunnels > 0
        && link.current.as_ref().is_some_and(|slot| {
            let old = cx.mono() >= slot.since.plus_ms(cx.config.times.rekey_ms.0);
            slot.ours && (old || slot.session.sent() >= SESSION_DATAGRAMS / 16 * 15)
        })
}

/// Only a node that cannot be dialled keeps its links open by sending.
fn keep_alive_at(link: &Link, cx: &Context) -> Option<Mono> {
    let (every, spread) = cx.config.times.keep_alive_ms;
    let jitter = link
        .remote_key
        .first()
        .map_or(0, |&byte| u64::from(byte) * 2 * spread / 255);
    (cx.config.role == Role::Client && link.tunnels > 0 && link.is_up()).then(|| {
        link.last_sent
            .plus_ms(every.saturating_sub(spread) + jitter)
    })
}

fn next_due(link: &Link, cx: &Context) -> Mono {
    let times = &cx.config.times;
    let mut due = link.last_used.plus_ms(times.link_idle_ms);
    if link.tunnels > 0 {
        due = cx.mono().plus_ms(times.link_idle_ms);
    }
    if !link.is_up() && link.dial.is_none() {
        due = due.min(link.last_used.plus_ms(times.build_timeout_ms));
    }
    if let Some(dial) = &link.dial {
        due = due.min(dial.next_at);
    }
    if let Some(slot) = &link.current {
        let rekey = slot.since.plus_ms(times.rekey_ms.0);
        due = due.min(if rekey > cx.mono() {
            rekey
        } else {
            slot.since.plus_ms(times.rekey_ms.1)
        });
        let resend = link
            .in_flight
            .values()
            .filter_map(|control| control.next_at)
            .min();
        due = resend.map_or(due, |at| due.min(at));
    }
    keep_alive_at(link, cx)
        .map_or(due, |at| due.min(at))
        .max(cx.mono().plus_ms(1))
}

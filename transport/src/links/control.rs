//! Acknowledged control frames (protocol §5).

use deut_common::time::Mono;
use rand::Rng;

use super::{LinkEvent, Links};
use crate::{
    context::Context,
    ids::{LinkHandle, WalkId},
    wire::frame::{self, Control, FrameBytes},
};

/// Sends of one control frame.
const SENDS: u8 = 3;

/// Whom to tell when a control frame is not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ControlToken {
    /// Nobody.
    Nobody,
    /// The walk whose request it is.
    Walk(WalkId),
    /// The link itself: the neighbour is gone.
    Probe,
}

/// A control frame that waits for its acknowledgement.
pub(super) struct InFlight {
    frame: Box<FrameBytes>,
    sends: u8,
    pub(super) next_at: Option<Mono>,
    pub(super) token: ControlToken,
}

impl Links {
    /// Sends a control frame up to three times; `false` at the cap or without the link.
    pub(crate) fn send_control(
        &mut self,
        cx: &mut Context,
        handle: LinkHandle,
        control: &Control,
        token: ControlToken,
    ) -> bool {
        let Some(link) = self.links.get_mut(&handle) else {
            return false;
        };
        if link.in_flight.len() >= cx.config.limits.control_in_flight {
            return false;
        }
        let tag = cx.secrets.next_u32();
        let frame = Box::new(frame::encode_control(tag, control));
        if token != ControlToken::Probe {
            link.last_used = cx.mono();
        }
        link.in_flight.insert(
            tag,
            InFlight {
                frame,
                sends: 0,
                next_at: None,
                token,
            },
        );
        self.resend_control(cx, handle);
        true
    }

    /// Sends what has not been sent yet or is due again; nothing while there is no session.
    pub(super) fn resend_control(
        &mut self,
        cx: &mut Context,
        handle: LinkHandle,
    ) -> Vec<LinkEvent> {
        let now = cx.mono();
        let mut failed = Vec::new();
        let Some(link) = self.links.get_mut(&handle).filter(|link| link.is_up()) else {
            return failed;
        };
        let mut due = Vec::new();
        link.in_flight.retain(|_, control| {
            if control.next_at.is_some_and(|at| at > now) {
                return true;
            }
            if control.sends >= SENDS {
                failed.push(LinkEvent::ControlFailed(handle, control.token));
                return false;
            }
            control.next_at = Some(now.plus_ms(cx.config.times.control_repeat_ms << control.sends));
            control.sends += 1;
            due.push(control.frame.clone());
            true
        });
        for frame in due {
            self.send(cx, handle, &frame);
        }
        self.plan(cx, handle);
        failed
    }

    /// Acknowledges a control frame; whether it is the first copy.
    pub(crate) fn on_control(&mut self, cx: &mut Context, handle: LinkHandle, tag: u32) -> bool {
        self.send(cx, handle, &frame::encode_ack(tag));
        self.links
            .get_mut(&handle)
            .is_some_and(|link| link.first_sight(tag))
    }

    /// One of our control frames arrived.
    pub(crate) fn on_ack(&mut self, cx: &mut Context, handle: LinkHandle, tag: u32) {
        if let Some(link) = self.links.get_mut(&handle) {
            link.in_flight.remove(&tag);
        }
        self.plan(cx, handle);
    }
}

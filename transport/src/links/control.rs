//! Acknowledged control frames of one link (protocol §5).

use std::collections::{BTreeMap, VecDeque};

use deut_common::time::Mono;
use rand::Rng;

use crate::{
    context::Context,
    ids::WalkId,
    wire::frame::{self, Control, FrameBytes},
};

/// Number of sends of one control frame.
const SENDS: u8 = 3;
/// Number of the neighbour's tags that are remembered.
const TAGS: usize = 256;

/// The part to tell when a control frame is not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ControlToken {
    /// No part needs to know.
    Nobody,
    /// The walk that sent this request.
    Walk(WalkId),
    /// The link itself, since the neighbour is gone.
    Probe,
}

/// A control frame that waits for its acknowledgement.
struct InFlight {
    frame: Box<FrameBytes>,
    sends: u8,
    /// `None`: not sent yet.
    next_at: Option<Mono>,
    token: ControlToken,
}

#[derive(Default)]
pub(super) struct Controls {
    in_flight: BTreeMap<u32, InFlight>,
    seen: VecDeque<u32>,
}

impl Controls {
    /// Adds a frame, due at once; `false` at the cap.
    pub(super) fn add(&mut self, cx: &mut Context, control: &Control, token: ControlToken) -> bool {
        if self.in_flight.len() >= cx.config.limits.control_in_flight {
            return false;
        }
        let tag = cx.secrets.next_u32();
        let in_flight = InFlight {
            frame: Box::new(frame::encode_control(tag, control)),
            sends: 0,
            next_at: None,
            token,
        };
        self.in_flight.insert(tag, in_flight);
        true
    }

    /// Returns the frames that are due, which count as sent now, and the tokens of those that failed.
    pub(super) fn take_due(&mut self, cx: &Context) -> (Vec<FrameBytes>, Vec<ControlToken>) {
        let now = cx.mono();
        let (mut due, mut failed) = (Vec::new(), Vec::new());
        self.in_flight.retain(|_, control| {
            if control.next_at.is_some_and(|at| at > now) {
                return true;
            }
            if control.sends >= SENDS {
                failed.push(control.token);
                return false;
            }
            control.next_at = Some(now.plus_ms(cx.config.times.control_repeat_ms << control.sends));
            control.sends += 1;
            due.push(*control.frame);
            true
        });
        (due, failed)
    }

    /// The time at which the next frame is due again.
    pub(super) fn next_at(&self) -> Option<Mono> {
        self.in_flight.values().filter_map(|c| c.next_at).min()
    }

    pub(super) fn acknowledged(&mut self, tag: u32) {
        self.in_flight.remove(&tag);
    }

    pub(super) fn is_probing(&self) -> bool {
        let mut tokens = self.in_flight.values().map(|control| control.token);
        tokens.any(|token| token == ControlToken::Probe)
    }

    /// A control frame of the neighbour arrived; true if it is the first copy.
    pub(super) fn is_first(&mut self, tag: u32) -> bool {
        if self.seen.contains(&tag) {
            return false;
        }
        self.seen.push_back(tag);
        if self.seen.len() > TAGS {
            self.seen.pop_front();
        }
        true
    }
}

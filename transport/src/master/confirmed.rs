//! A tunnel with session keys, until its first reply gate is open.

use deut_common::time::Mono;

use super::{line::Line, requests::Purpose, up::Up};
use crate::{context::Context, ids::Gate, net::Net};

pub(super) struct Confirmed {
    pub(super) line: Line,
    /// The end of the random wait before the first gate.
    until: Mono,
    gate: Option<Gate>,
}

impl Confirmed {
    pub(super) const fn new(line: Line, until: Mono) -> Self {
        Self {
            line,
            until,
            gate: None,
        }
    }

    /// Sets the first gate when the wait is over.
    pub(super) fn on_timer(&mut self, net: &mut Net) {
        if self.until <= net.cx.mono() && self.gate.is_none() {
            let gate = self.line.fresh_gate(&mut net.cx);
            self.gate = Some(gate);
            self.line.request(net, Purpose::ReplyGate(gate));
        }
    }

    /// Returns true if the gate is the one being set: the endpoint may have opened it before its answer came.
    pub(super) fn takes(&self, gate: Gate) -> bool {
        self.gate == Some(gate)
    }

    /// The first gate is open: messages may use the tunnel.
    pub(super) fn up(self, cx: &Context, gate: Gate) -> Up {
        Up::new(self.line, gate, cx.mono())
    }

    pub(super) const fn deadline(&self) -> Mono {
        match self.gate {
            None => self.until,
            Some(_) => self.line.life.end(),
        }
    }
}

//! The signs of life of a tunnel that is up.

use deut_common::time::Mono;

use crate::context::Context;

/// A tunnel that was heard this recently is not tested, ms.
const FRESH_MS: u64 = 500;

pub(super) struct Liveness {
    last_heard: Mono,
    /// The node stood still since the tunnel was last heard. The tunnel is tested from this time on, and does not count until it
    /// answers.
    doubted: Option<Mono>,
    /// Requests stayed unanswered, but it is one of the last two tunnels.
    suspect: bool,
}

impl Liveness {
    pub(super) const fn new(now: Mono) -> Self {
        Self {
            last_heard: now,
            doubted: None,
            suspect: false,
        }
    }

    pub(super) const fn heard(&mut self, now: Mono) {
        self.last_heard = now;
    }

    /// A request was answered: the tunnel works in both directions.
    pub(super) const fn answered(&mut self) {
        self.doubted = None;
        self.suspect = false;
    }

    /// A request was given up without an answer.
    pub(super) const fn silent(&mut self) {
        self.doubted = None;
        self.suspect = true;
    }

    pub(super) const fn doubt(&mut self, ask_at: Mono) {
        self.doubted = Some(ask_at);
    }

    pub(super) const fn is_proven(&self) -> bool {
        !self.suspect && self.doubted.is_none()
    }

    pub(super) const fn is_doubted(&self) -> bool {
        self.doubted.is_some()
    }

    pub(super) const fn is_suspect(&self) -> bool {
        self.suspect
    }

    pub(super) fn is_fresh(&self, now: Mono) -> bool {
        now < self.last_heard.plus_ms(FRESH_MS)
    }

    /// The time of the next echo.
    pub(super) fn echo_at(&self, cx: &Context) -> Mono {
        let idle = self.last_heard.plus_ms(cx.config.times.echo_after_ms);
        idle.min(self.doubted.unwrap_or(idle))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_proves_a_tunnel_that_was_doubted_or_silent() {
        let mut liveness = Liveness::new(Mono(0));
        assert!(liveness.is_proven());
        liveness.doubt(Mono(5));
        liveness.heard(Mono(9));
        assert!(liveness.is_doubted() && !liveness.is_proven());
        liveness.silent();
        assert!(liveness.is_suspect() && !liveness.is_doubted() && !liveness.is_proven());
        liveness.answered();
        assert!(liveness.is_proven());
    }
}

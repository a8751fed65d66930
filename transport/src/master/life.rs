//! How long a tunnel lives: it is replaced some time before its planned end, and earlier where it ends badly.

use deut_common::time::Mono;

use crate::context::Context;

/// A node that knows so many relays or more chooses well enough.
const FEW: usize = 8;
/// The directory has outgrown a tunnel when it has so many times as many relays as it had then.
const GROWTH: usize = 4;

pub(super) struct Life {
    /// When the walk was answered.
    since: Mono,
    build_us: u64,
    /// How many relays we knew when it was built.
    among: usize,
    replace_at: Mono,
    end: Mono,
    /// A replacement is wanted or stands.
    retiring: bool,
}

impl Life {
    /// Draws the end. The build started at `started`, with so many relays to choose from.
    pub(super) fn new(cx: &mut Context, started: Mono, among: usize) -> Self {
        let now = cx.mono();
        let life = cx.around(cx.config.times.tunnel_life_ms, 20);
        Self {
            since: now,
            build_us: now.since(started),
            among,
            replace_at: now.plus_ms(life / 100 * 80),
            end: now.plus_ms(life),
            retiring: false,
        }
    }

    pub(super) const fn since(&self) -> Mono {
        self.since
    }

    pub(super) const fn build_us(&self) -> u64 {
        self.build_us
    }

    pub(super) const fn end(&self) -> Mono {
        self.end
    }

    pub(super) const fn is_retiring(&self) -> bool {
        self.retiring
    }

    /// What comes next: a replacement, then the end.
    pub(super) const fn next(&self) -> Mono {
        if self.retiring {
            self.end
        } else {
            self.replace_at
        }
    }

    /// A build that is not over by then has failed.
    pub(super) const fn build_timeout(&self, cx: &Context) -> Mono {
        self.since.plus_ms(cx.config.times.build_timeout_ms)
    }

    /// `true` once, when the replacement is due.
    pub(super) fn retire_if_due(&mut self, now: Mono) -> bool {
        let due = !self.retiring && now >= self.replace_at;
        self.retiring |= due;
        due
    }

    /// It ends by `end`, and its replacement is wanted now.
    pub(super) fn give_way(&mut self, end: Mono) {
        self.retiring = true;
        self.end = self.end.min(end);
    }

    /// It was built when we knew hardly anybody, and so it goes, and often ends, where everybody's first tunnels do.
    pub(super) fn is_outgrown(&self, relays: usize) -> bool {
        !self.retiring && self.among < FEW && relays >= GROWTH * self.among.max(1)
    }

    /// The replacement comes at `at`. The next tunnel is built among so many relays that nobody brings about another early
    /// replacement by flooding the directory.
    pub(super) fn replace_early(&mut self, at: Mono, relays: usize) {
        self.among = relays;
        self.replace_at = self.replace_at.min(at);
    }
}

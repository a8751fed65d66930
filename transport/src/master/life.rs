//! The life of a tunnel: it is replaced some time before its planned end, and earlier if it was built among few relays.

use deut_common::time::Mono;

use crate::context::Context;

/// A node that knows at least this many relays chooses well enough.
const FEW: usize = 8;
/// The directory has outgrown a tunnel when it holds this many times as many relays as it did at the build.
const GROWTH: usize = 4;

pub(super) struct Life {
    /// Time of the answer to the walk.
    since: Mono,
    build_us: u64,
    /// Number of relays known when it was built.
    among: usize,
    replace_at: Mono,
    end: Mono,
    /// A replacement is wanted or up.
    retiring: bool,
}

impl Life {
    /// Draws the planned end. The build started at `started`, with `among` relays to choose from.
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

    /// The time of the replacement or, once that is wanted or up, the end.
    pub(super) const fn next(&self) -> Mono {
        if self.retiring {
            self.end
        } else {
            self.replace_at
        }
    }

    /// The time at which a build that is not over has failed.
    pub(super) const fn build_timeout(&self, cx: &Context) -> Mono {
        self.since.plus_ms(cx.config.times.build_timeout_ms)
    }

    /// `true` once, when the replacement is due.
    pub(super) fn retire_if_due(&mut self, now: Mono) -> bool {
        let due = !self.retiring && now >= self.replace_at;
        self.retiring |= due;
        due
    }

    /// Ends it by `end`; its replacement is wanted now.
    pub(super) fn give_way(&mut self, end: Mono) {
        self.retiring = true;
        self.end = self.end.min(end);
    }

    /// Returns true if it was built when we knew hardly any relay: it then runs, and often ends, where everybody's first tunnels
    /// do.
    pub(super) fn is_outgrown(&self, relays: usize) -> bool {
        !self.retiring && self.among < FEW && relays >= GROWTH * self.among.max(1)
    }

    /// Moves the replacement to `at`. The next tunnel is built among `relays`, so nobody can cause another early replacement by
    /// flooding the directory.
    pub(super) fn replace_early(&mut self, at: Mono, relays: usize) {
        self.among = relays;
        self.replace_at = self.replace_at.min(at);
    }
}

#[cfg(test)]
mod tests {
    use deut_common::time::{Now, Unix};

    use super::*;
    use crate::{
        config::{Config, Role},
        policy::{Policy, Profile},
    };

    const LIFE_MS: u64 = 600_000;

    fn life(among: usize) -> Life {
        let policy = Policy::new("n", Profile::Test).expect("a name");
        let mut config = Config::new(policy, Role::Client);
        config.times.tunnel_life_ms = LIFE_MS;
        let now = Now {
            mono: Mono(1_000),
            unix: Unix(0),
        };
        Life::new(&mut Context::new(config, [1; 32], now), Mono(0), among)
    }

    #[test]
    fn a_fifth_before_the_end_it_retires_once() {
        let mut life = life(20);
        let (replace_at, end) = (life.next(), life.end());
        assert!(end >= Mono(1_000).plus_ms(LIFE_MS * 4 / 5) && replace_at < end);
        assert!(!life.retire_if_due(Mono(replace_at.0 - 1)));
        assert!(life.retire_if_due(replace_at) && !life.retire_if_due(replace_at));
        assert_eq!(life.next(), end);
    }

    #[test]
    fn it_gives_way_earlier_and_never_later() {
        let mut life = life(20);
        let end = life.end();
        life.give_way(end.plus_ms(1));
        assert!(life.is_retiring() && life.end() == end);
        life.give_way(Mono(5_000));
        assert_eq!(life.next(), Mono(5_000));
    }

    #[test]
    fn the_directory_outgrows_it_once() {
        let mut life = life(2);
        assert!(!life.is_outgrown(7));
        assert!(life.is_outgrown(8));
        life.replace_early(Mono(5_000), 8);
        assert_eq!(life.next(), Mono(5_000));
        assert!(!life.is_outgrown(1_000));
    }
}

//! Notices when the neighbour of a link no longer answers.

use deut_common::time::Mono;

/// A neighbour that is silent this long after a cell is probed, unless it was heard shortly before: cells mostly go one way, and a
/// probe for each would double the traffic of a quiet network.
const SILENCE_MS: u64 = 1_500;
const HEARD_MS: u64 = 20_000;

pub(super) struct Silence {
    /// Time of our first send since we last heard anything.
    since: Option<Mono>,
    last_heard: Mono,
    /// A look is planned.
    armed: bool,
}

impl Silence {
    pub(super) const fn new(now: Mono) -> Self {
        Self {
            since: None,
            last_heard: now,
            armed: false,
        }
    }

    pub(super) const fn heard(&mut self, now: Mono) {
        self.since = None;
        self.last_heard = now;
    }

    /// A cell was sent. Returns the time to look, unless a look is planned already.
    pub(super) fn sent(&mut self, now: Mono) -> Option<Mono> {
        self.since.get_or_insert(now);
        let planned = std::mem::replace(&mut self.armed, true);
        (!planned).then(|| now.plus_ms(SILENCE_MS))
    }

    /// The planned time has come. Returns if the neighbour is to be probed, and when to look again; `None` if it was heard.
    pub(super) fn look(&mut self, now: Mono) -> Option<(bool, Mono)> {
        self.armed = self.since.is_some();
        let heard_lately = self.last_heard.plus_ms(HEARD_MS);
        let due = self.since?.plus_ms(SILENCE_MS).max(heard_lately);
        Some(if now < due {
            (false, due)
        } else {
            (true, now.plus_ms(SILENCE_MS))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_neighbour_that_was_not_heard_lately_is_probed() {
        let mut silence = Silence::new(Mono(0));
        let look_at = silence.sent(Mono(0)).expect("the first cell");
        assert!(silence.sent(Mono(1)).is_none(), "planned already");
        let late = Mono(0).plus_ms(HEARD_MS);
        assert_eq!(silence.look(look_at), Some((false, late)));
        assert!(silence.look(late).is_some_and(|(probe, _)| probe));
        silence.heard(late);
        assert!(silence.look(late).is_none());
        assert!(silence.sent(late).is_some(), "planned anew");
    }
}

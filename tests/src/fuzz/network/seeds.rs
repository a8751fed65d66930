//! Inputs to start from.

use crate::fuzz::ops::{deed, deed_byte};

/// A quiet network with queries, and one of each trouble.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let run = deed_byte(deed::RUN, 11);
    let ask = |p: u8, owner: u8, number: u8| [deed_byte(deed::COMMAND, p), owner, number];
    let mut quiet = vec![200];
    for (p, owner) in [
        (0, 1),
        (1, 2),
        (2, 3),
        (6, 2),
        (7, 3),
        (10, 3),
        (12, 3),
        (13, 0),
    ] {
        quiet.extend(ask(p, owner, 1));
        quiet.push(run);
    }
    let mut killed = vec![150];
    killed.extend(ask(0, 0, 1));
    for p in [1, 2, 1, 0] {
        killed.extend([run, deed_byte(deed::KILL, p)]);
        killed.extend(ask(2, 3, 1));
    }
    let mut lossy = vec![150];
    for p in 0..10 {
        lossy.extend(ask(p, p % 4, 2));
        lossy.extend([deed_byte(deed::RUN, 3), deed_byte(deed::LOSE, p)]);
        lossy.extend([deed_byte(deed::DELAY, p), 4, deed_byte(deed::DOUBLE, p)]);
        lossy.extend([deed_byte(deed::MUTATE, p), 1, 0, 40 + p, 9]);
    }
    let mut late = vec![150];
    late.extend(ask(7, 3, 3));
    late.extend([deed_byte(deed::SLEEP, 13), run]);
    late.extend(ask(15, 2, 0));
    late.extend([run, deed_byte(deed::SLEEP, 15)]);
    late.extend(ask(11, 3, 1));
    vec![vec![0], quiet, killed, lossy, late]
}

//! Inputs to start from.

use crate::fuzz::ops::{deed, deed_byte};

/// An undisturbed world, and worlds with one kind of trouble each.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let run = deed_byte(deed::RUN, 12);
    let call = [deed_byte(deed::COMMAND, 0), 2, 1, 1, 0, 0, 40];
    let reply = [deed_byte(deed::COMMAND, 11), 0, 0, 30];
    let step = deed_byte(deed::RUN, 0);
    let slow = deed_byte(deed::RUN, 4);
    let mut talk = vec![250, run];
    for _ in 0..4 {
        talk.extend(call);
        talk.extend([slow, slow]);
        talk.extend(reply);
        talk.extend([slow, slow]);
    }
    let mut troubled = vec![100];
    for p in 0..8 {
        troubled.extend([step, step, deed_byte(deed::MUTATE, p), 1, 3, p * 9, 1]);
        troubled.extend([deed_byte(deed::DOUBLE, p), deed_byte(deed::LOSE, p)]);
        troubled.extend([deed_byte(deed::REPLAY, p), p << 2, 3]);
        troubled.extend([deed_byte(deed::DELAY, p), 2, deed_byte(deed::RUN, 6)]);
    }
    let mut strange = vec![200];
    for kind in [1_u8, 2, 4, 5, 6] {
        strange.extend([deed_byte(deed::INJECT, 0), 0, 1, 4, 0xd0, 22, kind, 1]);
        strange.extend([0x11; 20]);
    }
    let mut worker = vec![30];
    for p in [12, 14, 8, 0] {
        worker.extend([slow, deed_byte(deed::JOB, p), 0, 1]);
        worker.extend([
            deed_byte(deed::PORT, p),
            deed_byte(deed::SPLICE, 1),
            3,
            0,
            9,
            0,
            90,
        ]);
    }
    let mut life = vec![200];
    for p in 6..=15 {
        life.extend([deed_byte(deed::COMMAND, p), 1, 70, 0, run]);
    }
    let sleep = [
        deed_byte(deed::SLEEP, 15),
        run,
        deed_byte(deed::KILL, 1),
        run,
    ];
    // The worker takes nothing, its first job comes back late, and then it takes everything again.
    let full = deed_byte(deed::JOB, 7);
    let busy = vec![0, full, deed_byte(deed::JOB, 12), 0, run, run, full, run];
    let slept = [&[200], &sleep[..], &sleep, &call].concat();
    vec![
        vec![250],
        talk,
        troubled,
        strange,
        worker,
        life,
        busy,
        slept,
    ]
}

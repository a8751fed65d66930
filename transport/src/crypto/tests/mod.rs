//! Tests of what each role can and cannot do with the bytes it sees.

mod layer;
mod message;
mod noise;
mod replay;
mod tunnel;
mod vectors;
mod walk;
mod wycheproof;

use rand::{SeedableRng, rngs::StdRng};

fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

/// Returns true if some run of 8 bytes of one is also in the other.
fn share_a_run(one: &[u8], other: &[u8]) -> bool {
    let runs: std::collections::BTreeSet<&[u8]> = one.windows(8).collect();
    other.windows(8).any(|run| runs.contains(run))
}

#[test]
fn shared_runs_are_found() {
    assert!(share_a_run(b"abcdefghijkl", b"....efghijkl...."));
    assert!(!share_a_run(b"abcdefghijkl", b"....fghijkl....."));
}

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::crypto::replay::{LinkWindow, ReplayWindow, TunnelWindow};

/// The required behaviour of the window in its simplest form.
#[derive(Default)]
struct Model {
    seen: BTreeSet<u64>,
}

impl Model {
    fn accepts(&self, size: u64, counter: u64) -> bool {
        let highest = self.seen.last().copied().unwrap_or(0);
        let too_old = counter < highest && highest - counter >= size;
        !too_old && !self.seen.contains(&counter)
    }
}

fn accept<const WORDS: usize>(window: &mut ReplayWindow<WORDS>, counter: u64) -> bool {
    let accepted = window.check(counter);
    if accepted {
        window.mark(counter);
    }
    accepted
}

/// Steps of `(counter, accepted)`.
fn run<const WORDS: usize>(steps: impl IntoIterator<Item = (u64, bool)>) {
    let mut window = ReplayWindow::<WORDS>::new();
    for (step, (counter, expected)) in steps.into_iter().enumerate() {
        assert_eq!(
            accept(&mut window, counter),
            expected,
            "step {step}: counter {counter}"
        );
    }
}

#[test]
fn a_table_of_steps() {
    const W: u64 = LinkWindow::SIZE;
    run::<17>([
        (0, true),
        (1, true),
        (1, false),
        (9, true),
        (8, true),
        (7, true),
        (7, false),
        (0, false),
        (W, true),
        (1, false),
        (2, true), // the oldest inside: W - 2 < W
        (W - 1, true),
        (W - 1, false),
        (W, false),
        (W + 2, true),
        (2, false), // now too old, and seen
        (3, true),
        (W + 16, true),
        (3, false),
        (16, false), // too old by one
        (17, true),
        (4 * W, true),
        (4 * W - W, false),
        (4 * W - W + 1, true),
        (10, false),
        (4 * W + 1, true),
        (u64::MAX - 1, true),
        (u64::MAX, true),
        (u64::MAX, false),
        (u64::MAX - 1, false),
        (u64::MAX - W + 1, true),
        (u64::MAX - W, false),
        (0, false),
    ]);
}

#[test]
fn counters_forwards_backwards_and_with_jumps() {
    const W: u64 = TunnelWindow::SIZE;
    run::<129>((0..2 * W).map(|counter| (counter, true)));
    run::<129>(
        (1..=W)
            .rev()
            .map(|counter| (counter, true))
            .chain([(0, false)]),
    );
    run::<129>(
        (0..W)
            .rev()
            .map(|counter| (counter, true))
            .chain((0..W).map(|counter| (counter, false))),
    );
    run::<129>((0..W).map(|i| (i * 63, true)));
    run::<129>((0..W).map(|i| (i * 64, true)));
    run::<129>((0..20).map(|i| (i * (W + 1), true)));
}

#[test]
fn the_windows_are_as_large_as_the_protocol_says() {
    assert_eq!((LinkWindow::SIZE, TunnelWindow::SIZE), (1_024, 8_192));
}

#[test]
fn marking_a_counter_that_is_too_old_changes_nothing() {
    let mut window = LinkWindow::new();
    window.mark(5_000);
    window.mark(1);
    assert!((5_001 - LinkWindow::SIZE..5_000).all(|counter| window.check(counter)));
    assert!(!window.check(5_000));
}

proptest! {
    #[test]
    fn it_does_what_the_model_does(start in any::<u64>(), steps in prop::collection::vec((0_u8..4, 0_u64..300), 1..400)) {
        let mut window = ReplayWindow::<3>::new();
        let mut model = Model::default();
        let mut counter = start / 2;
        for (kind, size) in steps {
            counter = match kind {
                0 => counter.saturating_add(size),
                1 => counter.saturating_sub(size),
                2 => counter.saturating_add(size * 1_000),
                _ => size,
            };
            let expected = model.accepts(ReplayWindow::<3>::SIZE, counter);
            prop_assert_eq!(accept(&mut window, counter), expected);
            if expected {
                model.seen.insert(counter);
            }
        }
    }
}

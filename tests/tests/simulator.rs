//! The simulator itself: one seed, one history; and everything real beside the stand-ins.

use deut_tests::sim::{Settings, Simulation};

fn small(seed: u64) -> Settings {
    Settings {
        nodes: 30,
        nat_percent: 10,
        seed,
        duration_s: 240,
        loss_per_mille: 10,
        duplicate_per_mille: 5,
        reorder_per_mille: 10,
        session_s: 600,
        values: 20,
        join_s: 15,
        settle_s: 60,
        check_every: 1,
        ..Settings::default()
    }
}

fn trace(seed: u64) -> (u64, u64, u64) {
    let mut simulation = Simulation::new(small(seed));
    simulation.run_all(|_| {});
    let report = simulation.report();
    (
        report.trace_hash,
        report.lookups.tried,
        report.lookups.found,
    )
}

#[test]
fn the_same_seed_gives_the_same_history_and_another_one_another() {
    let one = trace(7);
    assert!(one.1 > 50 && one.2 > 40, "{one:?}: lookups were made");
    assert_eq!(one, trace(7));
    assert_ne!(one.0, trace(8).0);
}

//! The simulator itself: one seed, one history, and a report that tells all of it.

use deut_tests::{
    hostile::Kind,
    sim::{OF_FIRST_RUN, Report, Settings, Simulation},
};
use serde_json::Value;

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

/// A short life with everything: liars, wrong clocks, pauses, restarts, churn, a crash, a cut.
fn eventful(hostile: Kind) -> Report {
    let mut simulation = Simulation::new(Settings {
        nodes: 24,
        nat_percent: 25,
        seed: 9,
        loss_per_mille: 10,
        session_s: 150,
        restart_percent: 50,
        pause_percent: 5,
        skew_s: 30,
        hostile_percent: 20,
        hostile,
        values: 20,
        lookups_per_s: 4.0,
        join_s: 10,
        settle_s: 40,
        ..Settings::default()
    });
    simulation.run(120);
    assert!(simulation.crash(20) > 3);
    simulation.run(20);
    simulation.cut(true);
    simulation.run(20);
    simulation.cut(false);
    // Until some of those that left have come back: they are away for minutes.
    simulation.run(180);
    simulation.finish();
    simulation.report()
}

#[test]
fn the_same_seed_gives_the_same_history_whatever_happens_in_it() {
    let (one, again) = (eventful(Kind::WrongValues), eventful(Kind::WrongValues));
    assert!(
        one.left > 5 && one.returned > 0 && one.pauses > 0,
        "{one}: it was eventful"
    );
    let history = |report: &Report| {
        let mut json = report.to_json();
        json["memory_per_node"] = Value::Null;
        json
    };
    assert_eq!(history(&one), history(&again));
    assert_ne!(one.trace_hash, eventful(Kind::ForgedPeers).trace_hash);
    let kinds: Vec<_> = one.lookups.by_kind.keys().copied().collect();
    assert_eq!(kinds, ["mutable", "peer", "value"]);
    assert!(
        one.lookups
            .by_kind
            .values()
            .all(|counts| counts.found > 0 && counts.wrong == 0),
        "{one}: no lie is taken for an answer"
    );
}

fn report(seed: u64) -> Report {
    let mut simulation = Simulation::new(Settings {
        nodes: 12,
        nat_percent: 20,
        seed,
        duration_s: 150,
        values: 10,
        join_s: 5,
        settle_s: 30,
        ..Settings::default()
    });
    simulation.run(120);
    let before = simulation.lookups().clone();
    assert!(before.tried > 0 && before.published == 10, "{before:?}");
    simulation.count_from_here();
    let anew = simulation.lookups();
    assert_eq!(
        (anew.tried, anew.probes, anew.published, anew.replicas),
        (0, 0, before.published, before.replicas),
        "what is published stays published"
    );
    simulation.run_all(|_| {});
    simulation.report()
}

/// Names that others read: each is a number, but for the two that are objects, the hash and the list.
#[test]
fn the_json_report_has_every_key_that_others_read() {
    let report = report(3);
    let json = report.to_json();
    for key in [
        "nodes",
        "seed",
        "lookups",
        "lookups_found",
        "success_rate",
        "success_rate_low",
        "recall",
        "rounds_mean",
        "rpcs_mean",
        "bytes_per_node_s",
        "memory_per_node",
        "ready_share",
        "runs",
        "values_published",
        "datagrams_per_lookup",
        "dead_contacts",
    ] {
        assert!(json[key].is_number(), "{key}: {}", json[key]);
    }
    assert!(
        json["trace_hash"]
            .as_str()
            .is_some_and(|hash| hash.len() == 16)
    );
    let latency = &json["latency_ms"];
    let percentiles = ["p50", "p95", "p99"].map(|key| latency[key].as_f64().expect(key));
    assert!(percentiles[0] > 0.0 && percentiles.is_sorted(), "{latency}");
    let kinds = ["value", "peer", "mutable"].map(|kind| &json["by_kind"][kind]);
    let sum = |key| {
        kinds
            .iter()
            .filter_map(|kind| kind[key].as_u64())
            .sum::<u64>()
    };
    assert_eq!(json["lookups"], sum("tried"), "all kinds together");
    assert_eq!(json["lookups_found"], sum("found"));
    assert_eq!(
        (&json["ready_share"], &json["values_published"]),
        (&1.0.into(), &10.into())
    );
    assert!(json["idle_bytes_per_node_s"].as_f64() > Some(0.0));
    assert!(json["no_such_key"].is_null(), "control");
    for key in OF_FIRST_RUN {
        assert!(!json[key].is_null(), "{key}");
    }
}

#[test]
fn several_runs_are_added_up_but_for_what_the_report_names() {
    let (one, two) = (report(3), report(4));
    let mut both = one.clone();
    both.merge(&two);
    let (json, first) = (both.to_json(), one.to_json());
    assert_eq!(json["runs"], 2);
    assert_eq!(json["lookups"], one.lookups.tried + two.lookups.tried);
    assert_eq!(json["tunnels"]["up"], one.tunnels_up + two.tunnels_up);
    assert_eq!(both.drops.values().sum::<u64>(), {
        let all = one.drops.values().chain(two.drops.values());
        all.sum::<u64>()
    });
    let (low, high) = (
        one.bytes_per_node_s.min(two.bytes_per_node_s),
        one.bytes_per_node_s.max(two.bytes_per_node_s),
    );
    assert!(low < high && (low..high).contains(&both.bytes_per_node_s));
    for key in OF_FIRST_RUN {
        assert_eq!(json[key], first[key], "{key}");
    }
    assert!(both.to_string().contains("of the first one only"));
    assert!(!one.to_string().contains("of the first one only"));
}

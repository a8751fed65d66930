//! Whatever settings of the transport a node starts with, it runs: nothing panics, overflows, or goes round in circles. Each
//! setting is tried at both ends of what is allowed, while the others have their defaults; and many at once.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use deut_tests::{net::Net, stand_in::StandIn};
use deut_transport::config::{BadSetting, Config, Limits, Times};
use rand::{RngExt, SeedableRng, rngs::StdRng};

const SECOND: u64 = 1_000_000;
/// Virtual.
const RUN_S: u64 = 25;
/// Things that happen to a network of four per virtual second; some hundreds are usual, also while it starts. Timers that
/// are set to now again and again would never let a second end.
const MOST_STEPS: u64 = 60_000;

type Set = fn(&mut Config, u64);

/// Every setting by name. A range or a rate is two of them.
fn settings() -> Vec<(&'static str, Set)> {
    macro_rules! list {
        ($($group:ident { $($number:ident)* ; $($pair:ident)* })*) => {
            vec![$(
                $((stringify!($number), (|config, value| config.$group.$number = value as _) as Set),)*
                $((concat!(stringify!($pair), ".0"), (|config, value| config.$group.$pair.0 = value as _) as Set),)*
                $((concat!(stringify!($pair), ".1"), (|config, value| config.$group.$pair.1 = value as _) as Set),)*
            )*]
        };
    }
    let mut all = list! {
        limits {
            own_tunnels tunnels_per_relay builds_at_once links handshakes transit_tunnels endpoint_tunnels
            tunnels_per_neighbour relays relays_remembered unverified control_in_flight calls requests_remembered
            jobs keys_in_store hellos silent consenting groups;
            walks_per_neighbour exchanges messages_per_tunnel messages_per_destination messages_in_all
            hellos_per_tunnel hellos_per_host hellos_in_all echoes_per_tunnel who_are_you who_are_you_per_source
            handshakes_answered handshakes_per_source
        }
        times {
            tunnel_life_ms tunnel_end_ms tunnel_idle_ms overlap_ms reply_margin_ms build_timeout_ms echo_after_ms
            echo_timeout_ms control_repeat_ms handshake_repeat_ms walk_delay_ms link_idle_ms gossip_ms call_short_ms
            call_full_ms reply_silence_ms answer_kept_ms reaction_ms shunned_ms hello_repeat_ms hello_timeout_ms
            silence_ms consent_ms newcomer_ms;
            build_backoff_ms rekey_ms bootstrap_ms call_short_range_ms keep_alive_ms request_repeat_ms
        }
    };
    all.push(("lookup_tunnels", |config, value| {
        config.lookup_tunnels = value as _;
    }));
    all.push(("persona_tunnels", |config, value| {
        config.persona_tunnels = value as _;
    }));
    all.push(("ready_at", |config, value| config.ready_at = value as _));
    all
}

fn defaults() -> Config {
    let policy = Net::policy();
    Config::new(policy, deut_transport::config::Role::Client)
}

/// The smallest and the largest value of a setting that is allowed beside the defaults of the others.
fn ends(set: Set) -> (u64, u64) {
    let allowed = |value| {
        let mut config = defaults();
        set(&mut config, value);
        config.check().is_ok()
    };
    // Found from a value that is allowed, by halves; what is allowed has no gaps.
    let inside = (0..64)
        .map(|bits| 1_u64 << bits)
        .find(|&value| allowed(value))
        .expect("something is allowed");
    let search = |mut good: u64, mut bad: u64| {
        while good.abs_diff(bad) > 1 {
            let middle = good / 2 + bad / 2 + (good % 2 + bad % 2) / 2;
            if allowed(middle) {
                good = middle
            } else {
                bad = middle
            }
        }
        good
    };
    let least = if allowed(0) { 0 } else { search(inside, 0) };
    // All settings are refused from here on, those of 32 bits too.
    (least, search(inside, u64::from(u32::MAX)))
}

/// Runs a small network with these settings; what went wrong.
fn trouble(change: &dyn Fn(&mut Config)) -> Option<String> {
    let tuned = defaults();
    let mut checked = tuned;
    change(&mut checked);
    checked.check().expect("allowed");
    let (limits, times): (Limits, Times) = (checked.limits, checked.times);
    let (lookup, persona, ready) = (
        checked.lookup_tunnels,
        checked.persona_tunnels,
        checked.ready_at,
    );
    let run = move || {
        let mut net = Net::new(7, Arc::new(StandIn));
        for _ in 0..4 {
            net.add_relay(|config| {
                config.transport.limits = limits.clone();
                config.transport.times = times.clone();
                config.transport.lookup_tunnels = lookup;
                config.transport.persona_tunnels = persona;
                config.transport.ready_at = ready;
            });
        }
        for second in 1..=RUN_S {
            let mut steps = 0;
            while net.now_us() < second * SECOND {
                if !net.step() {
                    break;
                }
                steps += 1;
                if steps > MOST_STEPS {
                    return Some(format!("{MOST_STEPS} steps within second {second}"));
                }
            }
        }
        None
    };
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>();
        Some(format!("it panicked: {}", text.map_or("", |text| text)))
    })
}

#[test]
fn at_the_ends_of_every_setting_a_network_runs() {
    let mut wrong = Vec::new();
    for (name, set) in settings() {
        let (least, most) = ends(set);
        for value in [least, most] {
            let trouble = trouble(&|config| set(config, value));
            wrong.extend(trouble.map(|trouble| format!("{name} = {value}: {trouble}")));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn many_settings_at_once_are_refused_or_run() {
    let all = settings();
    let mut ran = 0;
    for seed in 0..40 {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut config = defaults();
        for _ in 0..rng.random_range(1..12) {
            let (_, set) = all[rng.random_range(0..all.len())];
            let (least, most) = ends(set);
            set(&mut config, [least, most][rng.random_range(0..2)]);
        }
        if config.check().is_err() {
            continue;
        }
        ran += 1;
        let chosen = config.clone();
        let wrong = trouble(&|config| *config = chosen.clone());
        assert_eq!(wrong, None, "seed {seed}");
    }
    assert!(ran > 10, "{ran} ran");
}

/// The control: what is refused would go wrong.
#[test]
fn what_is_refused_is_refused_by_name() {
    let mut config = defaults();
    config.times.call_short_range_ms = (2_500, 400);
    let Err(BadSetting::Crossed { smaller, .. }) = config.check() else {
        panic!("allowed");
    };
    assert_eq!(smaller, "times.call_short_range_ms");
}

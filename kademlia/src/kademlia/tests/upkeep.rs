//! Lookups of a persona that keep its table fresh.
use std::collections::BTreeMap;

use super::*;

const MINUTE: u64 = 60_000_000;
const STEP: u64 = 5_000_000;

/// A contact that its persona signs now.
fn newest(number: u64, now: &Now) -> Contact {
    let minute = u32::try_from(now.unix.0 / 60).expect("before 10,000") + 60;
    Contact::sign(&secret(number), 0, minute, &[address("10.0.0.1:20000")]).expect("signs")
}

/// Answers the requests: a PING with the newest contact, a search with no contacts. Returns the targets of the searches.
fn serve(rig: &mut Rig, known: &BTreeMap<NodeId, u64>) -> Vec<NodeId> {
    let mut targets = Vec::new();
    while let Some(sent) = rig.sent.pop() {
        let number = known[&sent.to];
        let answer = match sent.request {
            Request::Ping { .. } => Answer::Pong {
                contact: newest(number, &rig.now).to_raw(),
            },
            Request::FindNode { target, .. } => {
                targets.push(target);
                nodes(&[])
            }
            other => panic!("{other:?}"),
        };
        rig.respond(sent.ticket, &answer);
    }
    targets
}

/// The minutes between two searches in one bucket, within ten hours.
fn gaps(config: Config) -> Vec<f64> {
    let mut rig = Rig::with_persona(config);
    let known: BTreeMap<NodeId, u64> = (1..=4).map(|n| (secret(n).id(), n)).collect();
    for number in known.values() {
        let sender = Some(newest(*number, &rig.now).to_raw());
        rig.ask(&Request::Ping { sender });
        serve(&mut rig, &known);
    }
    let own = secret(0).id();
    let mut last: BTreeMap<u32, u64> = BTreeMap::new();
    let mut gaps = Vec::new();
    for step in 0..10 * 60 * MINUTE / STEP {
        // The persona's own address has to be renewed too.
        if step % (10 * MINUTE / STEP) == 0 {
            let until = Unix(rig.now.unix.0 + 3_600);
            rig.input(DhtInput::OwnAddresses(vec![(
                address("10.0.0.0:20000"),
                until,
            )]));
        }
        rig.later(STEP);
        let mut buckets: Vec<u32> = serve(&mut rig, &known)
            .iter()
            .filter(|target| **target != own && !known.contains_key(target))
            .map(|target| own.distance(target).shared_bits())
            .collect();
        buckets.sort_unstable();
        buckets.dedup();
        for bucket in buckets {
            let now = rig.now.mono.0;
            if let Some(before) = last.insert(bucket, now) {
                gaps.push((now - before) as f64 / MINUTE as f64);
            }
        }
    }
    assert_eq!(rig.dht.table(&rig.now).len(), known.len());
    assert!(last.len() > 1, "several buckets: {last:?}");
    gaps
}

/// Returns true if all gaps are between half of `minutes` and one and a half times that, and spread over this range.
fn around(gaps: &[f64], minutes: f64) -> bool {
    let slack = 0.5;
    let within = |gap: &f64| (minutes / 2.0 - slack..=minutes * 1.5 + slack).contains(gap);
    let (least, most) = gaps
        .iter()
        .fold((f64::MAX, 0.0f64), |(a, b), gap| (a.min(*gap), b.max(*gap)));
    gaps.len() >= 20 && gaps.iter().all(within) && most - least > minutes / 2.0
}

#[test]
fn a_bucket_is_refreshed_after_half_an_hour_more_or_less() {
    let usual = gaps(Config::test());
    assert!(around(&usual, 30.0), "{usual:?}");
    // Control and twin: the gaps follow the setting.
    let sooner = gaps(Config {
        refresh: 10 * MINUTE,
        ..Config::test()
    });
    assert!(around(&sooner, 10.0), "{sooner:?}");
    assert!(!around(&sooner, 30.0) && !around(&usual, 10.0));
}

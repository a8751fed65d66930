use std::collections::BTreeMap as Map;

use proptest::prelude::*;

use super::*;
use crate::{
    testing::{NOW, contact},
    tickets::TunnelTag,
};

fn config() -> Config {
    Config {
        bucket_size: 4,
        replacements: 2,
        ..Config::test()
    }
}

fn own() -> NodeId {
    crate::testing::secret(0).id()
}

fn table() -> RoutingTable {
    RoutingTable::new(own(), &config(), KeyedState([1; 16]))
}

fn at(seconds: u64) -> Now {
    Now {
        mono: Mono(seconds * 1_000_000),
        unix: deut_common::time::Unix(NOW.unix.0 + seconds),
    }
}

/// Contacts that all belong to bucket 0.
fn crowd(count: usize, life_minutes: u32) -> Vec<Contact> {
    (1..)
        .map(|number| contact(number, life_minutes))
        .filter(|contact| own().distance(&contact.id()).shared_bits() == 0)
        .take(count)
        .collect()
}

#[test]
fn our_own_contact_never_enters() {
    let mut table = table();
    assert!(!table.heard(&contact(0, 10), &at(0)));
    table.answered(&contact(0, 10), &at(0));
    assert_eq!(table.len(), 0);
}

#[test]
fn a_contact_that_was_only_heard_of_is_not_handed_out() {
    let mut table = table();
    assert!(table.heard(&contact(1, 10), &at(0)));
    assert!(table.closest(&own(), 8, &at(0)).is_empty());
    table.answered(&contact(1, 10), &at(0));
    assert_eq!(table.closest(&own(), 8, &at(0)), [&contact(1, 10)]);
    assert!(
        !table.heard(&contact(1, 10), &at(0)),
        "known: nothing to ask"
    );
    assert!(!table.heard(&contact(1, 20), &at(0)), "its turn comes");
    assert_eq!(
        table.closest(&own(), 8, &at(0)),
        [&contact(1, 20)],
        "its persona answered before, and signed the newer one"
    );
    assert_eq!(table.take_due(1, &at(300)), [contact(1, 20)]);
    table.answered(&contact(1, 20), &at(301));
    assert_eq!(table.closest(&own(), 8, &at(301)), [&contact(1, 20)]);
}

#[test]
fn a_failing_contact_that_is_heard_of_at_newer_addresses_is_asked_at_once() {
    let mut table = table();
    table.answered(&contact(1, 10), &at(0));
    for second in 1..=6 {
        table.failed(&contact(1, 10).id(), Failure::OverSeveral, &at(second));
    }
    assert!(table.closest(&own(), 8, &at(7)).is_empty(), "bad");
    table.heard(&contact(1, 10), &at(7));
    assert!(
        table.take_due(1, &at(8)).is_empty(),
        "control: the old one says nothing new"
    );
    table.heard(&contact(1, 20), &at(8));
    assert_eq!(table.take_due(1, &at(8)), [contact(1, 20)]);
    table.answered(&contact(1, 20), &at(9));
    assert_eq!(table.closest(&own(), 8, &at(9)), [&contact(1, 20)]);
}

#[test]
fn those_that_failed_last_are_handed_out_only_where_others_are_missing() {
    let mut table = table();
    let mut contacts = crowd(4, 10);
    contacts.sort_by_key(|contact| own().distance(&contact.id()));
    for contact in &contacts {
        table.answered(contact, &at(0));
    }
    let handed_out = |table: &RoutingTable, count| -> Vec<NodeId> {
        let closest = table.closest(&own(), count, &at(2));
        closest.into_iter().map(Contact::id).collect()
    };
    let ids: Vec<NodeId> = contacts.iter().map(Contact::id).collect();
    assert_eq!(handed_out(&table, 2), ids[..2], "control");
    table.failed(&ids[0], Failure::OverSeveral, &at(1));
    table.failed(&ids[2], Failure::OverSeveral, &at(1));
    assert_eq!(handed_out(&table, 2), [ids[1], ids[3]]);
    // The closer of the two fills up, and the order is that of the distance.
    assert_eq!(handed_out(&table, 3), [ids[0], ids[1], ids[3]]);
    assert_eq!(handed_out(&table, 8), ids);
    table.answered(&contacts[0], &at(2));
    assert_eq!(handed_out(&table, 2), ids[..2]);
}

#[test]
fn those_seen_longest_stay_and_newcomers_wait_as_replacements() {
    let mut table = table();
    let crowd = crowd(7, 60);
    crowd[..4]
        .iter()
        .for_each(|contact| table.answered(contact, &at(0)));
    table.answered(&crowd[4], &at(1));
    assert!(!table.heard(&crowd[5], &at(1)));
    assert!(!table.heard(&crowd[6], &at(1)));
    assert_eq!((table.len(), table.replacements()), (4, 2));
    assert!(crowd[..4].iter().all(|old| table.find(&old.id()).is_some()));
    table.check_invariants();
}

#[test]
fn a_contact_is_bad_after_three_failures_over_two_tunnels_and_calls_a_replacement() {
    let (one, two) = (Failure::Over(TunnelTag(1)), Failure::Over(TunnelTag(2)));
    let (several, not_sent) = (Failure::OverSeveral, Failure::NotSent);
    for (tunnels, bad) in [
        ([one, one, one], false),
        ([one, one, two], true),
        ([two, one, one], true),
        ([several, several, several], true),
        ([not_sent, not_sent, several], false),
        ([one, several, one], true),
    ] {
        let mut table = table();
        let crowd = crowd(6, 60);
        crowd[..4]
            .iter()
            .for_each(|contact| table.answered(contact, &at(0)));
        table.heard(&crowd[4], &at(0));
        table.heard(&crowd[5], &at(0));
        let victim = crowd[2].id();
        assert_eq!(table.failed(&victim, tunnels[0], &at(1)), None);
        assert_eq!(table.failed(&victim, tunnels[1], &at(2)), None);
        let replacement = table.failed(&victim, tunnels[2], &at(3));
        assert_eq!(
            replacement.as_ref(),
            bad.then_some(&crowd[5]),
            "the one heard of last, {tunnels:?}"
        );
        assert_eq!(table.good(&at(3)), if bad { 3 } else { 4 });
        if let Some(replacement) = replacement {
            table.answered(&replacement, &at(4));
            assert!(table.find(&victim).is_none() && table.good(&at(4)) == 4);
        }
        table.check_invariants();
    }
}

#[test]
fn an_answer_ends_a_row_of_failures() {
    let mut table = table();
    let one = contact(1, 60);
    table.answered(&one, &at(0));
    for second in 1..10 {
        table.failed(&one.id(), Failure::OverSeveral, &at(second));
        if second % 2 == 0 {
            table.answered(&one, &at(second));
        }
    }
    assert_eq!(table.good(&at(10)), 1);
}

#[test]
fn contacts_are_asked_again_at_half_life_and_sooner_after_a_failure() {
    let mut table = table();
    let one = contact(1, 10); // 600 s
    table.answered(&one, &at(0));
    assert!(table.take_due(8, &at(299)).is_empty());
    assert_eq!(table.take_due(8, &at(300)), std::slice::from_ref(&one));
    assert!(table.take_due(8, &at(301)).is_empty(), "it is being asked");
    table.failed(&one.id(), Failure::OverSeveral, &at(306));
    assert!(table.take_due(8, &at(310)).is_empty());
    assert_eq!(table.take_due(8, &at(311)), std::slice::from_ref(&one));
    table.answered(&contact(1, 20), &at(312));
    assert_eq!(
        table.find(&one.id()).map(|entry| &entry.contact),
        Some(&contact(1, 20))
    );
    assert_eq!(
        table.next_due(&at(312)),
        Some(Mono((312 + (1_200 - 312) / 2) * 1_000_000))
    );
}

#[test]
fn an_expired_contact_is_kept_for_an_hour_looked_for_and_not_handed_out() {
    let mut table = table();
    let one = contact(1, 10);
    table.answered(&one, &at(0));
    assert_eq!(table.take_stale(&at(599)), None);
    assert_eq!(table.closest(&own(), 8, &at(599)).len(), 1);
    assert_eq!(table.take_stale(&at(600)), Some(one.id()));
    assert!(
        table.closest(&own(), 8, &at(600)).is_empty() && table.take_due(8, &at(600)).is_empty()
    );
    assert_eq!(table.take_stale(&at(601)), None, "not again at once");
    table.purge(&at(3_599));
    assert_eq!(table.len(), 1);
    table.purge(&at(3_600));
    assert_eq!(table.len(), 0);
}

#[derive(Clone, Debug)]
enum Op {
    Answered(u64),
    Failed(u64),
    Heard(u64),
    Wait(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (1u64..40).prop_map(Op::Answered),
        2 => (1u64..40).prop_map(Op::Failed),
        2 => (1u64..40).prop_map(Op::Heard),
        1 => (1u64..200).prop_map(Op::Wait),
    ]
}

proptest! {
    /// The model keeps every contact with its failures and, for each bucket, the order of entering.
    #[test]
    fn the_table_agrees_with_a_model_that_keeps_plain_lists(ops in proptest::collection::vec(op(), 0..200)) {
        let (config, mut table, mut second) = (config(), table(), 0);
        let contacts: Vec<Contact> = (0..40).map(|number| contact(number, 10)).collect();
        let mut model: Map<u32, Vec<(NodeId, u32)>> = Map::new();
        for op in ops {
            let now = at(second);
            let expired = second >= 600;
            match op {
                Op::Wait(seconds) => second += seconds,
                Op::Heard(number) => {
                    let contact = &contacts[number as usize];
                    let bucket = model.entry(table.index(&contact.id()).expect("not ours")).or_default();
                    let known = bucket.iter().any(|(id, _)| *id == contact.id());
                    let room = bucket.len() < config.bucket_size || expired || bucket.iter().any(|(_, failures)| *failures >= 3);
                    prop_assert_eq!(table.heard(contact, &now), !known && room);
                }
                Op::Answered(number) => {
                    let contact = &contacts[number as usize];
                    let bucket = model.entry(table.index(&contact.id()).expect("not ours")).or_default();
                    let known = bucket.iter().position(|(id, _)| *id == contact.id());
                    let bad = bucket.iter().position(|(_, failures)| expired || *failures >= 3);
                    match (known, bad) {
                        (Some(at), _) => { bucket.remove(at); bucket.push((contact.id(), 0)); }
                        (None, _) if bucket.len() < config.bucket_size => bucket.push((contact.id(), 0)),
                        (None, Some(at)) => { bucket.remove(at); bucket.push((contact.id(), 0)); }
                        (None, None) => {}
                    }
                    table.answered(contact, &now);
                }
                Op::Failed(number) => {
                    let id = contacts[number as usize].id();
                    table.failed(&id, Failure::OverSeveral, &now);
                    let bucket = model.entry(table.index(&id).expect("not ours")).or_default();
                    bucket.iter_mut().filter(|(known, _)| *known == id).for_each(|(_, failures)| *failures += 1);
                }
            }
            table.check_invariants();
            let now = at(second);
            let mut good: Vec<(bool, NodeId)> = model.values().flatten()
                .filter(|(_, failures)| *failures < 3 && second < 600).map(|(id, failures)| (*failures > 0, *id)).collect();
            let target = contacts[1].id();
            // Contacts that failed last come in only if there are fewer than eight others.
            good.sort_by_key(|(doubtful, id)| (*doubtful, target.distance(id)));
            good.truncate(8);
            let mut good: Vec<NodeId> = good.into_iter().map(|(_, id)| id).collect();
            good.sort_by_key(|id| target.distance(id));
            let closest: Vec<NodeId> = table.closest(&target, 8, &now).iter().map(|contact| contact.id()).collect();
            prop_assert_eq!(closest, good);
        }
    }
}

use deut_common::time::Unix;
use proptest::prelude::*;

use super::*;
use crate::testing::{address, contact, contact_at};

const TARGET: NodeId = NodeId([0x33; 20]);

fn lookup(config: &Config) -> Lookup {
    Lookup::new(TARGET, config, Mono(0))
}

fn by_distance(count: u64) -> Vec<Contact> {
    let mut contacts: Vec<Contact> = (1..=count).map(|number| contact(number, 10)).collect();
    contacts.sort_by_key(|contact| TARGET.distance(&contact.id()));
    contacts
}

fn asked(lookup: &mut Lookup, now: Mono) -> Vec<NodeId> {
    let mut asked = Vec::new();
    while let Step::Ask(contact) = lookup.next(now) {
        asked.push(contact.id());
    }
    asked
}

fn ids(contacts: &[Contact]) -> Vec<NodeId> {
    contacts.iter().map(Contact::id).collect()
}

#[test]
fn the_closest_are_asked_first_five_at_a_time() {
    let contacts = by_distance(20);
    let mut lookup = lookup(&Config::test());
    contacts
        .iter()
        .rev()
        .for_each(|contact| lookup.add(contact.clone(), None));
    assert_eq!(asked(&mut lookup, Mono(1)), ids(&contacts[..5]));
    lookup.answered(&contacts[1].id(), [1; 8], Mono(1));
    assert_eq!(asked(&mut lookup, Mono(2)), ids(&contacts[5..6]));
}

#[test]
fn it_ends_when_the_eight_closest_answered() {
    let contacts = by_distance(20);
    let mut lookup = lookup(&Config::test());
    contacts
        .iter()
        .for_each(|contact| lookup.add(contact.clone(), None));
    loop {
        let batch = asked(&mut lookup, Mono(1));
        if batch.is_empty() {
            break;
        }
        batch
            .iter()
            .for_each(|id| lookup.answered(id, [1; 8], Mono(1)));
    }
    assert_eq!(lookup.next(Mono(1)), Step::Finished);
    assert_eq!(
        lookup
            .answers()
            .map(|(c, _)| c.id())
            .take(8)
            .collect::<Vec<_>>(),
        ids(&contacts[..8])
    );
    assert_eq!(lookup.closest_answered(), 8);
    assert_eq!(lookup.sent, 8);
}

#[test]
fn a_slow_one_gives_its_place_away_and_its_late_answer_counts() {
    let config = Config::test();
    let contacts = by_distance(9);
    let mut lookup = lookup(&config);
    contacts
        .iter()
        .for_each(|contact| lookup.add(contact.clone(), None));
    asked(&mut lookup, Mono(1));
    lookup.slow(&contacts[0].id(), Mono(1_000_000));
    assert_eq!(asked(&mut lookup, Mono(1_000_000)), ids(&contacts[5..6]));
    for contact in &contacts[1..] {
        lookup.answered(&contact.id(), [1; 8], Mono(1));
        asked(&mut lookup, Mono(1_000_001));
    }
    // All others have answered: it waits a little for the slow one, then ends without it.
    let patience = Mono(1_000_000 + config.slow_grace);
    assert_eq!(lookup.next(Mono(1_000_001)), Step::Wait(patience));
    assert_eq!(lookup.next(patience), Step::Finished);
    lookup.answered(&contacts[0].id(), [1; 8], Mono(1));
    assert_eq!(
        lookup.answers().next().map(|(c, _)| c.id()),
        Some(contacts[0].id())
    );
}

#[test]
fn failed_ones_are_replaced_by_the_next() {
    let contacts = by_distance(10);
    let mut lookup = lookup(&Config::test());
    contacts
        .iter()
        .for_each(|contact| lookup.add(contact.clone(), None));
    asked(&mut lookup, Mono(1));
    contacts[..2]
        .iter()
        .for_each(|contact| lookup.failed(&contact.id()));
    asked(&mut lookup, Mono(1));
    contacts[2..].iter().for_each(|contact| {
        lookup.answered(&contact.id(), [1; 8], Mono(1));
        asked(&mut lookup, Mono(1));
    });
    assert_eq!(lookup.next(Mono(1)), Step::Finished);
    assert_eq!(
        lookup.answers().map(|(c, _)| c.id()).collect::<Vec<_>>(),
        ids(&contacts[2..])
    );
}

#[test]
fn a_newer_contact_gives_a_failed_candidate_another_chance_an_older_one_does_not() {
    let mut lookup = lookup(&Config::test());
    let (old, new) = (contact(1, 10), contact(1, 20));
    lookup.add(old.clone(), None);
    asked(&mut lookup, Mono(1));
    lookup.failed(&old.id());
    lookup.add(old, None);
    assert!(lookup.is_stuck() && asked(&mut lookup, Mono(1)).is_empty());
    lookup.add(new.clone(), None);
    assert_eq!(lookup.next(Mono(1)), Step::Ask(new));
}

#[test]
fn one_that_moved_while_it_was_asked_is_asked_again_where_it_is_now() {
    for (moved, slow) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut lookup = lookup(&Config::test());
        let old = contact(1, 10);
        // A later contact of the same persona, at other addresses or at the same.
        let new = if moved {
            contact_at(1, 20, address("10.0.0.9:2009"))
        } else {
            contact(1, 20)
        };
        assert_eq!(moved, old.addresses() != new.addresses());
        lookup.add(old.clone(), None);
        asked(&mut lookup, Mono(1));
        lookup.add(new.clone(), None);
        assert!(
            asked(&mut lookup, Mono(1)).is_empty(),
            "the first may answer"
        );
        match slow {
            true => lookup.slow(&old.id(), Mono(2)),
            false => lookup.failed(&old.id()),
        }
        let again = moved.then_some(new.id());
        let asked_again = asked(&mut lookup, Mono(2));
        assert_eq!(asked_again, Vec::from_iter(again), "slow: {slow}");
        // Only once: no newer contact is known now.
        lookup.failed(&old.id());
        assert!(asked(&mut lookup, Mono(3)).is_empty() && lookup.is_stuck());
    }
}

#[test]
fn it_stops_at_its_rpcs_and_at_its_time() {
    let config = Config {
        max_rpcs: 3,
        ..Config::test()
    };
    let contacts = by_distance(20);
    let mut capped = lookup(&config);
    contacts
        .iter()
        .for_each(|contact| capped.add(contact.clone(), None));
    assert_eq!(asked(&mut capped, Mono(1)).len(), 3);
    contacts[..3]
        .iter()
        .for_each(|contact| capped.answered(&contact.id(), [1; 8], Mono(1)));
    assert_eq!(capped.next(Mono(2)), Step::Finished);

    let mut timed = lookup(&config);
    contacts
        .iter()
        .for_each(|contact| timed.add(contact.clone(), None));
    asked(&mut timed, Mono(1));
    assert_eq!(
        timed.next(Mono(config.max_lookup - 1)),
        Step::Wait(Mono(config.max_lookup))
    );
    assert_eq!(timed.next(Mono(config.max_lookup)), Step::Finished);
}

#[test]
fn candidates_are_capped_and_the_farthest_go() {
    let config = Config {
        max_candidates: 10,
        ..Config::test()
    };
    let contacts = by_distance(30);
    let mut lookup = lookup(&config);
    contacts
        .iter()
        .rev()
        .for_each(|contact| lookup.add(contact.clone(), None));
    assert_eq!(lookup.candidates.len(), 10);
    assert_eq!(
        lookup
            .candidates
            .values()
            .map(|c| c.contact.id())
            .collect::<Vec<_>>(),
        ids(&contacts[..10])
    );
}

#[test]
fn rounds_count_the_longest_chain_of_answers() {
    let contacts = by_distance(3);
    let mut lookup = lookup(&Config::test());
    lookup.add(contacts[2].clone(), None);
    for pair in [(2, 1), (1, 0)] {
        asked(&mut lookup, Mono(1));
        lookup.answered(&contacts[pair.0].id(), [1; 8], Mono(1));
        lookup.add(contacts[pair.1].clone(), Some(&contacts[pair.0].id()));
    }
    asked(&mut lookup, Mono(1));
    assert_eq!(lookup.rounds(), 2);
    lookup.answered(&contacts[0].id(), [1; 8], Mono(1));
    assert_eq!(lookup.rounds(), 3);
}

#[test]
fn the_estimate_of_the_networks_size_is_right_on_average() {
    for size in [50u64, 1_000] {
        let mut sum = 0.0;
        let rounds = 60;
        for round in 0..rounds {
            let target = NodeId::hash_of(&[round as u8]);
            let mut lookup = Lookup::new(target, &Config::test(), Mono(0));
            // Made-up ids are as good as any; only the nearest contacts are added, as a lookup would do.
            let mut near: Vec<Contact> = Vec::new();
            let ids = (0..size).map(|number| {
                NodeId::hash_of(&[&number.to_be_bytes()[..], &[round as u8]].concat())
            });
            let mut distances: Vec<f64> = ids.map(|id| target.distance(&id).fraction()).collect();
            distances.sort_by(f64::total_cmp);
            let (mut squares, mut products) = (0.0, 0.0);
            for (rank, distance) in (1u32..=8).zip(&distances) {
                squares += f64::from(rank * rank);
                products += f64::from(rank) * distance;
            }
            sum += squares / products - 1.0;
            near.extend(by_distance(8));
            near.iter()
                .for_each(|contact| lookup.add(contact.clone(), None));
            assert_eq!(lookup.network_estimate(), None);
            asked(&mut lookup, Mono(1));
            near[..3]
                .iter()
                .for_each(|contact| lookup.answered(&contact.id(), [1; 8], Mono(1)));
            assert_eq!(
                lookup.network_estimate(),
                Some(3),
                "fewer than eight answered: that is all"
            );
        }
        let mean = sum / f64::from(rounds);
        assert!((mean / size as f64 - 1.0).abs() < 0.35, "{size}: {mean}");
    }
}

proptest! {
    /// In any order of answers, delays and failures, all nodes that answer are asked, and the lookup ends.
    #[test]
    fn it_ends_and_finds_the_closest_that_answer(behaviour in proptest::collection::vec(0u8..4, 40), seed in 0usize..40) {
        let config = Config::test();
        let contacts = by_distance(40);
        let mut lookup = lookup(&config);
        lookup.add(contacts[seed].clone(), None);
        lookup.add(contacts[39].clone(), None);
        let mut now = Mono(1);
        let mut steps = 0;
        loop {
            steps += 1;
            prop_assert!(steps < 1_000);
            match lookup.next(now) {
                Step::Finished => break,
                Step::Wait(until) => { prop_assert!(until > now); now = until; }
                Step::Ask(contact) => {
                    let id = contact.id();
                    let at = contacts.iter().position(|other| other.id() == id).expect("known");
                    match behaviour[at] {
                        0 => lookup.failed(&id),
                        kind => {
                            if kind == 1 { lookup.slow(&id, now); }
                            lookup.answered(&id, [1; 8], Mono(1));
                            for other in &contacts[at.saturating_sub(6)..(at + 2).min(40)] {
                                lookup.add(other.clone(), Some(&id));
                            }
                        }
                    }
                }
            }
        }
        let found = lookup.answers().count();
        prop_assert!(lookup.sent <= config.max_rpcs && found <= 40);
        // Every node ever named that is nearer than the eighth answer has been asked.
        let eighth = lookup.answers().nth(7).map(|(c, _)| TARGET.distance(&c.id()));
        prop_assert!(lookup.unasked().all(|c| eighth.is_some_and(|eighth| TARGET.distance(&c.id()) > eighth)));
        prop_assert!(contact(1, 10).expiry() > Unix(0));
    }
}

/// Lets every node answer until nothing more is asked. Returns the nodes that were asked.
fn run(lookup: &mut Lookup) -> Vec<NodeId> {
    let mut all = Vec::new();
    loop {
        let batch = asked(lookup, Mono(1));
        if batch.is_empty() {
            return all;
        }
        batch
            .iter()
            .for_each(|id| lookup.answered(id, [1; 8], Mono(1)));
        all.extend(batch);
    }
}

#[test]
fn all_nodes_of_the_region_count_up_to_the_cap() {
    let contacts = by_distance(60);
    let fraction = |at: usize| TARGET.distance(&contacts[at].id()).fraction();
    let with = |region: f64| {
        let mut lookup = lookup(&Config::test()).with_region(region);
        contacts
            .iter()
            .for_each(|contact| lookup.add(contact.clone(), None));
        let asked = run(&mut lookup).len();
        (asked, lookup.in_region())
    };
    assert_eq!(with(0.0), (8, 0));
    assert_eq!(with(fraction(3)), (8, 4), "never fewer than the width");
    assert_eq!(with(fraction(19)), (20, 20));
    assert_eq!(with(1.0), (32, 32));
}

#[test]
fn a_second_path_asks_nobody_whom_the_first_one_asked() {
    let contacts = by_distance(30);
    let config = Config::test();
    let mut first = lookup(&config);
    contacts
        .iter()
        .for_each(|contact| first.add(contact.clone(), None));
    let one = run(&mut first);
    let mut second = first.disjoint(&config, Mono(2), Mono(9));
    assert!(second.is_empty());
    contacts
        .iter()
        .for_each(|contact| second.add(contact.clone(), None));
    let two = run(&mut second);
    assert_eq!((one.len(), two.len()), (8, 8));
    assert_eq!(one, ids(&contacts[..8]));
    assert_eq!(two, ids(&contacts[8..16]));
    assert_eq!(second.next(Mono(9)), Step::Finished, "its own deadline");
}

/// Contacts at these machines, closest to the target first.
fn behind(machines: &[&[u8]]) -> Vec<Contact> {
    let mut secrets: Vec<_> = (1..=machines.len() as u8)
        .map(|seed| crate::identity::PersonaSecret::from_seed(&[seed; 32]))
        .collect();
    secrets.sort_by_key(|secret| TARGET.distance(&secret.id()));
    let sign = |(secret, machines): (&crate::identity::PersonaSecret, &&[u8])| {
        let at: Vec<_> = machines
            .iter()
            .map(|machine| deut_common::address::EndpointAddress {
                ip: [10, 0, 0, *machine].into(),
                port: 2_000,
            })
            .collect();
        Contact::sign(secret, 0, 30_000_010, &at).expect("one to three IPv4 addresses")
    };
    secrets.iter().zip(machines).map(sign).collect()
}

#[test]
fn no_more_than_two_of_the_closest_stand_behind_one_machine() {
    let one: &[u8] = &[1];
    let contacts = behind(&[one, one, one, one, &[1, 2], &[3], &[4]]);
    let asked_with = |max_per_endpoint| {
        let config = Config {
            max_per_endpoint,
            width: 4,
            ..Config::test()
        };
        let mut lookup = lookup(&config);
        contacts
            .iter()
            .for_each(|contact| lookup.add(contact.clone(), None));
        run(&mut lookup)
    };
    let [a, b, _, _, e, f, _] = &ids(&contacts)[..] else {
        panic!("seven contacts")
    };
    assert_eq!(asked_with(2), [*a, *b, *e, *f]);
    assert_eq!(asked_with(usize::MAX), ids(&contacts)[..4], "control");
}

#[test]
fn where_there_are_too_few_others_those_behind_one_machine_are_asked_too() {
    let one: &[u8] = &[1];
    let contacts = behind(&[one, one, one, one, &[2]]);
    let config = Config {
        max_per_endpoint: 2,
        width: 4,
        ..Config::test()
    };
    let asked = |contacts: &[Contact]| {
        let mut lookup = lookup(&config);
        contacts
            .iter()
            .for_each(|contact| lookup.add(contact.clone(), None));
        run(&mut lookup)
    };
    let [a, b, c, d, e] = &ids(&contacts)[..] else {
        panic!("five contacts")
    };
    assert_eq!(asked(&contacts), [*a, *b, *e, *c, *d]);
}

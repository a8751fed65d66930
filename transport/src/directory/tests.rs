use std::collections::BTreeSet;

use super::*;
use crate::{
    api::{Mono, Now, Unix},
    config::{Config, Role},
    drop_reason::DropReason,
    keys::RelayKeys,
    policy::{Policy, Profile},
    wire::datagram::{Kind, parse_who_are_you, who_are_you_answer},
};

const CAP: usize = 8;
const START: u64 = 1_800_000_000;

/// A directory that is full, and relays that answer.
struct Fixture {
    sh: Shared,
    directory: Directory,
}

fn keys(number: u8) -> RelayKeys {
    RelayKeys::from_seed(&[number; 32])
}

fn address(number: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, number], 4_000))
}

impl Fixture {
    fn full() -> Self {
        let policy = Policy::new("bottle", Profile::Test).expect("a short name");
        let mut config = Config::new(policy, Role::Client);
        config.limits.relays = CAP;
        let sh = Shared::new(config, [1; 32], Now::default());
        let mut it = Self {
            directory: Directory::new(None, &sh),
            sh,
        };
        it.at(0);
        for number in 0..8 {
            assert_eq!(it.show(number, 0), Ok(()));
        }
        assert_eq!((it.answer_all(0), it.directory.len()), (8, CAP));
        it
    }

    fn at(&mut self, s: u64) {
        self.sh.now = Now {
            mono: Mono(s * 1_000_000),
            unix: Unix(START + s),
        };
    }

    /// The descriptor of a relay, issued so many minutes after the start.
    fn descriptor(&self, number: u8, minutes: u32) -> Descriptor {
        let epoch = (START / 60) as u32 + minutes;
        let network = self.sh.config.policy.network;
        Descriptor::sign(
            &keys(number),
            network,
            address(number),
            None,
            epoch,
            epoch + 1_440,
        )
    }

    fn show(&mut self, number: u8, minutes: u32) -> Result<(), DropReason> {
        let descriptor = self.descriptor(number, minutes);
        self.directory.consider(&mut self.sh, descriptor.bytes())
    }

    /// All relays that were asked answer; how many these are.
    fn answer_all(&mut self, minutes: u32) -> usize {
        let sent: Vec<Output> = self.sh.out.drain(..).collect();
        let mut asked = 0;
        for output in sent {
            let Output::Transmit { to, mut packet, .. } = output else {
                continue;
            };
            let question = packet.as_relay_mut().expect("1,232 bytes");
            assert_eq!(Kind::of(question), Some(Kind::WhoAreYou));
            let number = (0..=255).find(|n| address(*n) == to).expect("one of ours");
            let nonce = parse_who_are_you(question).nonce;
            let shown = self.descriptor(number, minutes);
            let asker = address(255);
            let answer =
                who_are_you_answer(&keys(number), &shown, &nonce, asker, &mut self.sh.secrets);
            self.directory
                .on_answer(&mut self.sh, to, &answer)
                .expect("a good answer");
            asked += 1;
        }
        asked
    }

    fn known(&self) -> BTreeSet<RelayId> {
        self.directory
            .all()
            .map(|descriptor| descriptor.id())
            .collect()
    }
}

#[test]
fn a_full_directory_takes_up_one_unknown_relay_in_thirty_seconds() {
    let mut it = Fixture::full();
    let mut asked = 0;
    // Somebody tells of a hundred others every second, for ten minutes.
    for s in 0..600 {
        it.at(s);
        for number in 100..200 {
            let shown = it.show(number, 0);
            assert!(matches!(shown, Ok(()) | Err(DropReason::TableFull)));
        }
        asked += it.answer_all(0);
        assert_eq!(it.directory.len(), CAP);
    }
    assert_eq!(asked, 20);
    // The twin: as long as there is room, all of them at once.
    it.sh.config.limits.relays = 200;
    for number in 100..200 {
        assert_eq!(it.show(number, 0), Ok(()));
    }
    assert!(it.answer_all(0) >= 92);
    assert!(it.directory.len() >= 100);
}

#[test]
fn a_random_other_one_makes_room() {
    let mut left = BTreeSet::new();
    let mut it = Fixture::full();
    for (s, number) in (1..=60).zip(100..) {
        it.at(s * 30);
        let before = it.known();
        assert_eq!((it.show(number, 0), it.answer_all(0)), (Ok(()), 1));
        let after = it.known();
        assert!(after.contains(&keys(number).id()) && after.len() == CAP);
        left.extend(before.difference(&after).copied());
    }
    // After sixty draws hardly one of the first eight is still there.
    assert!((0..8).filter(|n| left.contains(&keys(*n).id())).count() >= 6);
}

#[test]
fn news_of_known_relays_are_always_taken() {
    let mut it = Fixture::full();
    it.at(120);
    assert_eq!(
        (it.show(100, 0), it.show(101, 0)),
        (Ok(()), Err(DropReason::TableFull))
    );
    it.sh.out.clear();
    for number in 0..8 {
        assert_eq!(it.show(number, 2), Ok(()));
    }
    assert_eq!(it.answer_all(2), 8);
    let epoch = (START / 60) as u32 + 2;
    assert!(
        it.directory
            .all()
            .all(|descriptor| descriptor.epoch == epoch)
    );
    assert_eq!(it.directory.len(), CAP);
}

#[test]
fn one_who_is_refused_for_crowding_pushes_nobody_out() {
    let mut it = Fixture::full();
    let before = it.known();
    // Somebody else at an address that is listed already.
    let network = it.sh.config.policy.network;
    let epoch = (START / 60) as u32;
    let crowd = Descriptor::sign(&keys(100), network, address(3), None, epoch, epoch + 1_440);
    assert!(it.directory.insert(&mut it.sh, crowd).is_none());
    assert_eq!(it.known(), before);
}

#[test]
fn rubbish_does_not_use_up_the_place_of_a_newcomer() {
    let mut it = Fixture::full();
    let mut forged = *it.descriptor(100, 0).bytes();
    forged[195] ^= 1;
    for _ in 0..1_000 {
        assert!(it.directory.consider(&mut it.sh, &forged).is_err());
    }
    assert_eq!((it.show(101, 0), it.answer_all(0)), (Ok(()), 1));
}

use std::collections::BTreeSet;

use deut_common::time::{Mono, Now};

use super::*;
use crate::{
    config::{Config, Role},
    keys::RelayKeys,
    policy::{Policy, Profile},
    wire::datagram::{Kind, parse_who_are_you, who_are_you_answer},
};

const CAP: usize = 8;
const START: u64 = 1_800_000_000;

/// A directory that is full, and relays that answer.
struct Fixture {
    cx: Context,
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
        let cx = Context::new(config, [1; 32], Now::default());
        let mut it = Self {
            directory: Directory::new(None, &cx),
            cx,
        };
        it.at(0);
        for number in 0..8 {
            assert_eq!(it.show(number, 0), Ok(()));
        }
        assert_eq!((it.answer_all(0), it.directory.len()), (8, CAP));
        it
    }

    fn at(&mut self, s: u64) {
        self.cx.now = Now {
            mono: Mono(s * 1_000_000),
            unix: Unix(START + s),
        };
    }

    /// The descriptor of a relay, issued `minutes` after the start.
    fn descriptor(&self, number: u8, minutes: u32) -> Descriptor {
        self.descriptor_at(address(number), number, minutes)
    }

    fn descriptor_at(&self, at: SocketAddr, number: u8, minutes: u32) -> Descriptor {
        let epoch = (START / 60) as u32 + minutes;
        let network = self.cx.config.policy.network;
        Descriptor::sign(&keys(number), network, at, None, epoch, epoch + 1_440)
    }

    fn show(&mut self, number: u8, minutes: u32) -> Result<(), DropReason> {
        let descriptor = self.descriptor(number, minutes);
        self.directory.consider(&mut self.cx, &descriptor)
    }

    /// Lets all relays that were asked answer; returns their number.
    fn answer_all(&mut self, minutes: u32) -> usize {
        let sent: Vec<Output> = self.cx.out.drain(..).collect();
        let mut asked = 0;
        for output in sent {
            let Output::Do(Action::Transmit { to, mut packet, .. }) = output else {
                continue;
            };
            let question = packet.as_relay_mut().expect("1,232 bytes");
            assert_eq!(Kind::of(question), Some(Kind::WhoAreYou));
            let number = (0..=255).find(|n| address(*n) == to).expect("one of ours");
            let nonce = parse_who_are_you(question).nonce;
            let shown = self.descriptor(number, minutes);
            let asker = address(255);
            let answer =
                who_are_you_answer(&keys(number), &shown, &nonce, asker, &mut self.cx.secrets);
            self.directory
                .on_answer(&mut self.cx, to, &answer)
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
    // Somebody tells of a hundred other relays every second, for ten minutes.
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
    // The twin: as long as there is room, all of them come in at once.
    it.cx.config.limits.relays = 200;
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
    it.cx.out.clear();
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
    // Another relay at an address that is listed already.
    let crowd = it.descriptor_at(address(3), 100, 0);
    let relays = &mut it.directory.relays;
    assert!(relays.insert(&mut it.cx, Arc::new(crowd)).is_err());
    assert_eq!(it.known(), before);
}

#[test]
fn rubbish_does_not_use_up_the_place_of_a_newcomer() {
    let mut it = Fixture::full();
    let mut forged = *it.descriptor(100, 0).bytes();
    forged[195] ^= 1;
    let forged = Descriptor::decode(&forged).expect("its fields are whole");
    for _ in 0..1_000 {
        let considered = it.directory.consider(&mut it.cx, &forged);
        assert!(considered.is_err());
    }
    assert_eq!((it.show(101, 0), it.answer_all(0)), (Ok(()), 1));
}

impl Fixture {
    /// Lists that were to be saved since the last call.
    fn saved(&mut self) -> Vec<BTreeSet<RelayId>> {
        let id = |bytes: &[u8; 196]| Descriptor::decode(bytes).expect("ours").id();
        let sent = self.cx.out.drain(..);
        sent.filter_map(|output| match output {
            Output::Do(Action::Persist(Persist::Relays(relays))) => {
                Some(relays.iter().map(id).collect())
            }
            _ => None,
        })
        .collect()
    }

    fn all_fall_silent(&mut self) {
        for relay in self.known() {
            self.directory.silent(&mut self.cx, relay);
        }
        assert_eq!(self.directory.len(), 0);
    }
}

#[test]
fn a_saved_list_is_never_replaced_by_an_empty_one() {
    let mut it = Fixture::full();
    it.cx.out.clear();
    let known = it.known();
    it.directory.persist(&mut it.cx);
    assert_eq!(it.saved(), vec![known.clone()]);
    it.all_fall_silent();
    it.directory.persist(&mut it.cx);
    assert_eq!(it.saved(), [known], "those that were known");

    // A node that never knew a relay has nothing to save, and saves nothing.
    let mut cx = it.cx;
    let mut directory = Directory::new(None, &cx);
    cx.out.clear();
    directory.persist(&mut cx);
    assert!(cx.out.is_empty());
}

#[test]
fn only_so_many_are_remembered_the_newest_and_one_of_each_host() {
    let mut it = Fixture::full();
    it.cx.config.limits.relays_remembered = 3;
    let mut lost = Vec::new();
    for number in 0..8 {
        lost.push(keys(number).id());
        it.directory.silent(&mut it.cx, keys(number).id());
        assert!(it.directory.memory.len() <= 3);
    }
    it.cx.out.clear();
    it.directory.persist(&mut it.cx);
    let newest: BTreeSet<RelayId> = lost.split_off(5).into_iter().collect();
    assert_eq!(it.saved(), [newest]);
    // Other relays at an address that is remembered take its place.
    for number in 100..110 {
        let other = it.descriptor_at(address(7), number, 0);
        it.directory.memory.add(&it.cx, Arc::new(other));
    }
    it.directory.persist(&mut it.cx);
    let left = BTreeSet::from([keys(5).id(), keys(6).id(), keys(109).id()]);
    assert_eq!(it.saved(), [left]);
}

#[test]
fn who_was_not_heard_of_for_a_week_is_forgotten_once_others_are_known() {
    let mut it = Fixture::full();
    let known = it.known();
    it.all_fall_silent();
    let month = 30 * 86_400;
    it.at(month);
    it.cx.out.clear();
    it.directory.persist(&mut it.cx);
    assert_eq!(it.saved(), [known], "while nobody is known, none");
    it.directory.on_bootstrap_timer(&mut it.cx);
    let minutes = (month / 60) as u32;
    assert_eq!(it.answer_all(minutes), 8, "and all are asked");
    it.directory.silent(&mut it.cx, keys(0).id());
    it.at(2 * month);
    it.directory.persist(&mut it.cx);
    let left: BTreeSet<RelayId> = (1..8).map(|number| keys(number).id()).collect();
    assert_eq!((it.directory.memory.len(), it.saved()), (0, vec![left]));
}

#[test]
fn who_stays_away_is_asked_a_few_at_a_time_and_not_at_all_while_others_are_known() {
    let mut it = Fixture::full();
    it.cx.config.limits.relays = 100;
    (8..80).for_each(|number| assert_eq!(it.show(number, 0), Ok(())));
    it.answer_all(0);
    assert_eq!(it.directory.len(), 80);
    let (last, others): (Vec<_>, Vec<_>) =
        it.known().into_iter().partition(|id| *id == keys(0).id());
    for relay in others {
        it.directory.silent(&mut it.cx, relay);
    }
    it.at(60);
    it.directory.on_bootstrap_timer(&mut it.cx);
    // Each relay may only have been slow.
    let asked = |it: &mut Fixture| {
        let sent = it.cx.out.drain(..);
        let to = sent.filter_map(|output| match output {
            Output::Do(Action::Transmit { to, .. }) => Some(to),
            _ => None,
        });
        let to: Vec<SocketAddr> = to.collect();
        it.directory.questions = Questions::default();
        to
    };
    assert_eq!(asked(&mut it).len(), 79);
    it.at(3_600);
    it.directory.on_bootstrap_timer(&mut it.cx);
    assert_eq!(asked(&mut it), [], "one is known");
    it.directory.silent(&mut it.cx, last[0]);
    let mut all = BTreeSet::new();
    for round in 1..=3 {
        it.at(3_600 + 100 * round);
        it.directory.on_bootstrap_timer(&mut it.cx);
        let asked = asked(&mut it);
        assert!(asked.len() <= 33, "{asked:?}");
        all.extend(asked);
    }
    assert_eq!(all.len(), 80, "all of them in three rounds");
}

impl Fixture {
    fn list(&mut self, peers: &[(u8, Option<u8>)]) {
        let peers = peers.iter().map(|&(number, key)| BootstrapPeer {
            address: address(number),
            key: key.map(|key| keys(key).identity()),
        });
        self.directory.set_bootstrap(&mut self.cx, peers.collect());
    }

    fn answering(&self) -> Vec<SocketAddr> {
        self.directory.answering_peers().collect()
    }
}

#[test]
fn a_key_holds_for_a_question_whose_peer_left_the_list_meanwhile() {
    for (key, verified) in [(Some(99), false), (Some(50), true), (None, true)] {
        let mut it = Fixture::full();
        it.cx.config.limits.relays = 100;
        it.list(&[(50, key)]);
        assert_eq!(it.answering(), []);
        // A name has resolved to other addresses since.
        it.list(&[(60, None)]);
        it.answer_all(0);
        let known = it.directory.get(keys(50).id()).is_some();
        assert_eq!(known, verified, "{key:?}");
        assert_eq!(it.answering(), [address(60)]);
        // The peer is on the list again: having answered, it is not asked once more.
        it.list(&[(50, key)]);
        let asked = it.answer_all(0);
        assert_eq!(
            (asked, it.answering().len()),
            if verified { (0, 1) } else { (1, 0) }
        );
    }
}

#[test]
fn a_peer_that_fell_silent_does_not_answer_until_it_is_verified_again() {
    let mut it = Fixture::full();
    it.list(&[(3, Some(3)), (4, Some(99)), (5, None)]);
    assert_eq!(it.answering(), [address(3), address(5)], "known before");
    it.directory.silent(&mut it.cx, keys(3).id());
    assert_eq!(it.answering(), [address(5)]);
    it.at(60);
    it.cx.out.clear();
    it.directory.on_bootstrap_timer(&mut it.cx);
    assert!(it.answer_all(0) >= 1);
    assert_eq!(it.answering(), [address(3), address(5)]);
}

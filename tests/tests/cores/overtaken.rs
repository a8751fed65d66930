//! A master repeats a request whose answer is late. The repeat may arrive after the master's next request, and its answer
//! when the master has one already. That is no attack, and is counted apart from what would be one.

use deut_tests::{
    fuzz::neighbour,
    kit::{
        peer::{Peer, Served},
        world::World,
    },
};
use deut_transport::{DropReason, Transport, wire::cell::Cell};

/// Walks end at the machine with a chance of one half.
const WALKS: usize = 64;
const MS: u64 = 500;

/// A machine with a tunnel that ends there; its master; which of the master's tunnels it is.
fn with_tunnel() -> (World<Transport>, Peer, usize) {
    let (mut world, mut partner) = neighbour::start();
    for which in 0..WALKS {
        partner.walk();
        neighbour::run(&mut world, &mut partner, MS);
        partner.exchange(which, 0);
        neighbour::run(&mut world, &mut partner, MS);
        if partner.masters[which].confirmed() {
            return (world, partner, which);
        }
    }
    panic!("no walk ended at the machine");
}

#[test]
fn a_repeat_that_was_overtaken_is_not_taken_for_a_replay() {
    let (mut world, mut partner, which) = with_tunnel();
    let counted = |world: &World<Transport>| {
        let drops = world.seats[0].machine.drops();
        let of = |reason| drops.of(reason);
        (
            of(DropReason::OvertakenRequest),
            of(DropReason::Replayed),
            drops.total(),
        )
    };
    let (overtaken, replayed, total) = counted(&world);
    let mut ask = |world: &mut World<Transport>, number: u32| {
        partner.as_master(which, &Cell::Seeds { number });
        neighbour::run(world, &mut partner, MS);
        counted(world)
    };
    assert_eq!(ask(&mut world, 5), (overtaken, replayed, total));
    // The same again is answered from memory.
    assert_eq!(ask(&mut world, 5), (overtaken, replayed, total));
    assert_eq!(ask(&mut world, 4), (overtaken + 1, replayed, total + 1));
    assert_eq!(ask(&mut world, 6), (overtaken + 1, replayed, total + 1));
    // Control: a datagram that was recorded and comes again.
    partner.send_raw(partner.last.clone());
    neighbour::run(&mut world, &mut partner, MS);
    assert_eq!(counted(&world), (overtaken + 1, replayed + 1, total + 2));
}

#[test]
fn an_answer_to_a_request_that_is_over_is_not_taken_for_one_that_nobody_asked_for() {
    let (mut world, mut partner) = neighbour::start();
    for _ in 0..WALKS {
        neighbour::run(&mut world, &mut partner, MS);
        (partner.served.len()..partner.asked.len()).for_each(|which| partner.serve(which, |_| {}));
    }
    let is_done = Served::exchanged;
    let which = partner.served.iter().rposition(is_done);
    let which = which.expect("a tunnel of the machine ends at its neighbour");
    let mut answer = |number: u32| {
        let drops = |world: &World<Transport>| {
            let of = |reason| world.seats[0].machine.drops().of(reason);
            (of(DropReason::LateAnswer), of(DropReason::UnexpectedCell))
        };
        let before = drops(&world);
        partner.as_endpoint(which, &Cell::GateSet { number });
        // At once: a request that the machine makes meanwhile would be answered too.
        partner.pump(&mut world);
        let after = drops(&world);
        (after.0 - before.0, after.1 - before.1)
    };
    assert_eq!(answer(0), (1, 0), "the exchange is done");
    assert_eq!(answer(1_000), (0, 1), "control: nobody asked that");
}

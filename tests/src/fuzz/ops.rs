//! What the fuzzer may do to a world: a byte names the deed (low half) and a parameter (high half).

use std::net::SocketAddr;

use deut_transport::{
    ids::{JobTicket, PortToken},
    io::PortError,
    rsa::JobResult,
};

use super::input::Input;
use crate::{
    kit::{
        machine::{Machine, News},
        relay::address_of,
        world::{Flight, World},
    },
    net::RELAY_PORT,
};

/// Deeds in one input at most.
const MOST: usize = 150;
/// Per unit of the first byte.
const HEAD_START_US: u64 = 20_000;
/// Longest payload that is made up; one more than any buffer takes.
const LONGEST: usize = 1_281;

/// Deeds by the low half of their byte, for those who write seeds.
pub mod deed {
    /// Runs for 2^p ms.
    pub const RUN: u8 = 0;
    /// Delivers the p-th datagram under way now.
    pub const DELIVER: u8 = 1;
    /// Loses it.
    pub const LOSE: u8 = 2;
    /// Doubles it.
    pub const DOUBLE: u8 = 3;
    /// Changes bytes of it.
    pub const MUTATE: u8 = 4;
    /// Cuts or lengthens it.
    pub const RESIZE: u8 = 5;
    /// Sends an old one again.
    pub const REPLAY: u8 = 6;
    /// Sends made-up bytes.
    pub const INJECT: u8 = 7;
    /// Delays the p-th datagram.
    pub const DELAY: u8 = 8;
    /// Lets 2^p ms pass in which nothing is heard or done.
    pub const SLEEP: u8 = 9;
    /// Kills or wakes the p-th machine.
    pub const KILL: u8 = 10;
    /// Whatever the target lets an application do.
    pub const COMMAND: u8 = 11;
    /// Finishes a job out of turn, or one that nobody gave.
    pub const JOB: u8 = 12;
    /// Says something about a port.
    pub const PORT: u8 = 13;
    /// Sends the p-th datagram to another machine.
    pub const MISDIRECT: u8 = 14;
    /// Puts a piece of an old datagram into the p-th.
    pub const SPLICE: u8 = 15;
}

/// The byte of a deed.
#[must_use]
pub const fn deed_byte(deed: u8, parameter: u8) -> u8 {
    deed | parameter << 4
}

/// The first byte says how long all runs undisturbed, those after it are deeds; `command` is what the target lets an
/// application do.
pub fn play<M: Machine>(
    world: &mut World<M>,
    data: &[u8],
    mut command: impl FnMut(&mut World<M>, u8, &mut Input<'_>),
) {
    let mut input = Input::new(data);
    world.run(u64::from(input.u8()) * HEAD_START_US);
    for _ in 0..MOST {
        if input.is_empty() || world.fuel == 0 {
            break;
        }
        act(world, &mut input, &mut command);
        world.check_caps();
    }
}

fn act<M: Machine>(
    world: &mut World<M>,
    input: &mut Input<'_>,
    command: &mut impl FnMut(&mut World<M>, u8, &mut Input<'_>),
) {
    let byte = input.u8();
    let p = byte >> 4;
    let count = world.flights.len();
    let index = if count == 0 {
        0
    } else {
        usize::from(p) % count
    };
    match byte & 15 {
        deed::RUN => world.run(1_000 << p),
        deed::SLEEP => {
            world.now += 1_000 << p;
            world.timeouts();
        }
        deed::COMMAND => command(world, p, input),
        deed::KILL => {
            let seats = world.seats.len();
            let seat = &mut world.seats[usize::from(p) % seats];
            seat.alive = !seat.alive;
        }
        deed::JOB => job(world, p, input),
        deed::PORT => port(world, p, input),
        deed::REPLAY => replay(world, p, input),
        deed::INJECT => inject(world, p, input),
        _ if count == 0 => {}
        deed::DELIVER => world.arrive(index),
        deed::LOSE => {
            world.flights.remove(index);
        }
        deed::DOUBLE => {
            let copy = world.flights[index].clone();
            world.flights.push(copy);
        }
        deed::MUTATE => {
            input.mutate(&mut world.flights[index].bytes);
        }
        deed::RESIZE => {
            let length = usize::from(input.u16()) % LONGEST;
            let fill = input.u8();
            world.flights[index].bytes.resize(length, fill);
        }
        deed::DELAY => world.flights[index].at += u64::from(input.u8()) * 100_000,
        deed::MISDIRECT => {
            let other = input.below(world.seats.len());
            world.flights[index].to = address(world, other, input);
        }
        _ => splice(world, index, input),
    }
}

/// The relay port of a machine, or one of its endpoint ports.
fn address<M: Machine>(world: &World<M>, number: usize, input: &mut Input<'_>) -> SocketAddr {
    let mut address = address_of(number);
    let which = input.u8();
    if which & 1 == 1
        && let Some(port) = world.endpoint_port(number, usize::from(which >> 1))
    {
        address.set_port(port);
    }
    address
}

/// Somebody outside, or somebody's address in vain.
fn stranger(input: &mut Input<'_>, seats: usize) -> SocketAddr {
    let which = input.u8();
    match which {
        0..=199 => SocketAddr::from(([10, 8, which % 4, which], RELAY_PORT)),
        200..=219 => SocketAddr::from((
            [0x2a00, 0x1450, 0, 0, 0, 0, 0, u16::from(which)],
            RELAY_PORT,
        )),
        220..=229 => SocketAddr::from(([224, 0, 0, which], 53)),
        _ => SocketAddr::from(([10, 0, 0, which % (seats as u8 + 1)], 5_000)),
    }
}

fn inject<M: Machine>(world: &mut World<M>, p: u8, input: &mut Input<'_>) {
    let seats = world.seats.len();
    let to = address(world, usize::from(p) % seats, input);
    let from = stranger(input, seats);
    let length = usize::from(input.u16()) % LONGEST;
    let given = input.below(256);
    let mut bytes = input.take(given.min(length)).to_vec();
    bytes.resize(length, 0xa5);
    let at = world.now;
    world.deliver(
        &Flight {
            at,
            from,
            to,
            bytes,
        },
        true,
    );
}

fn replay<M: Machine>(world: &mut World<M>, p: u8, input: &mut Input<'_>) {
    let mode = input.u8();
    let back = usize::from(p) + 16 * usize::from(mode >> 6);
    let newest = world.past.len().checked_sub(1 + back);
    let Some(mut flight) = newest.and_then(|at| world.past.get(at)).cloned() else {
        return;
    };
    if mode & 1 == 1 {
        flight.from = stranger(input, world.seats.len());
    }
    if mode & 2 == 2 {
        input.mutate(&mut flight.bytes);
    }
    flight.at = world.now;
    let strange = world
        .seats
        .iter()
        .all(|seat| seat.address.ip() != flight.from.ip());
    world.deliver(&flight, strange);
}

fn splice<M: Machine>(world: &mut World<M>, index: usize, input: &mut Input<'_>) {
    let old = input.below(world.past.len());
    let (from, length) = (usize::from(input.u16()), usize::from(input.u16()));
    let Some(old) = world.past.get(old).map(|old| old.bytes.clone()) else {
        return;
    };
    let new = &mut world.flights[index].bytes;
    let both = old.len().min(new.len());
    let from = from.min(both);
    let to = (from + length).min(both);
    new[from..to].copy_from_slice(&old[from..to]);
}

fn job<M: Machine>(world: &mut World<M>, p: u8, input: &mut Input<'_>) {
    let jobs = world.jobs.len();
    let seats = world.seats.len();
    match p {
        7 => world.refuse_jobs = !world.refuse_jobs,
        // The worker's queue was full, or the result is somebody else's.
        12.. if jobs > 0 => {
            let work = world.jobs.remove(input.below(jobs));
            let result = match p {
                12 | 13 => JobResult::Refused,
                _ => JobResult::Opened(input.array()),
            };
            world.surprise(work.seat, News::Job(work.ticket, result));
        }
        8..=11 => {
            let ticket = JobTicket(u64::from(input.u8()));
            let result = JobResult::Opened(input.array());
            world.surprise(usize::from(p) % seats, News::Job(ticket, result));
        }
        _ if jobs > 0 => world.finish(usize::from(p) % jobs),
        _ => {}
    }
}

fn port<M: Machine>(world: &mut World<M>, p: u8, input: &mut Input<'_>) {
    let seats = world.seats.len();
    let result = match p >> 2 {
        0 => return world.refuse_port = true,
        1 => Ok(()),
        2 => Err(PortError::InUse),
        _ => Err(PortError::Refused),
    };
    let token = PortToken(u64::from(input.u32()));
    world.surprise(usize::from(p) % seats, News::Port(token, result));
}

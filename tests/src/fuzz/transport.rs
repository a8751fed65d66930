//! Three real transports in lock step, two relays and a client, and a wire that the fuzzer owns: it loses, doubles,
//! delays, reorders, changes, splices, replays and makes up datagrams, lets time pass, stops workers, refuses ports, and
//! plays the application. What must hold stands in [`crate::kit::world`].

mod seeds;

use std::{collections::BTreeMap, sync::Arc};

use deut_common::ids::PersonaKey;
use deut_transport::{
    Transport,
    config::{Config, Role},
    ids::{CallGroup, CallTicket, PoolId, ReplyToken, Service},
    io::{Command, Destination, Event, NewCall},
    keys::OpeningKey,
};

pub use seeds::seeds;

use super::{Depth, input::Input, ops};
use crate::{
    kit::{
        relay::{address_of, fresh, role},
        world::World,
    },
    net::{Net, RELAY_PORT},
    stand_in::StandIn,
};

/// Things that may happen in one input.
const FUEL: u32 = 4_000;
/// Two relays; the last is a client.
const SEATS: usize = 3;

fn config(number: usize) -> Config {
    let role = if number + 1 < SEATS {
        role(address_of(number), 16)
    } else {
        Role::Client
    };
    let mut config = Config::new(Net::policy(), role);
    (
        config.lookup_tunnels,
        config.persona_tunnels,
        config.ready_at,
    ) = (2, 2, 1);
    // Small enough for the fuzzer to reach.
    config.limits.transit_tunnels = 12;
    config.limits.endpoint_tunnels = 8;
    config.limits.relays = 4;
    config.limits.links = 6;
    config.limits.calls = 6;
    config.limits.groups = 3;
    config.limits.requests_remembered = 4;
    config.limits.unverified = 4;
    config.limits.control_in_flight = 8;
    config
}

/// The world before anything happens.
#[must_use]
pub fn world() -> World<Transport> {
    let mut world = World::new(FUEL);
    for number in 0..SEATS {
        let seed = number as u8 + 1;
        let transport = Transport::new(
            config(number),
            Arc::new(StandIn),
            &fresh([seed; 32]),
            [seed + 100; 32],
            world.now(),
        );
        world.join(transport, 0..SEATS - 1, Command::Bootstrap);
    }
    let secret = OpeningKey::from_seed(&persona_seed(0));
    world.command(0, Command::Persona(Some(secret)));
    world
}

const fn persona_seed(number: u8) -> [u8; 32] {
    [0x70 + number; 32]
}

/// First byte: how long all runs undisturbed (× 20 ms). Then deeds.
#[must_use]
pub fn body(data: &[u8]) -> Depth {
    let mut world = world();
    let mut tickets = 0;
    let mut called: BTreeMap<u64, usize> = BTreeMap::new();
    ops::play(&mut world, data, |world, p, input| {
        command(world, p, input, &mut tickets, &mut called);
    });
    if world.fuel > 0 && !called.is_empty() {
        // A call waits 6 s for tunnels, and 6 s for its answer.
        world.run(14_000_000);
    }
    world.check_caps();
    conclude(&world, &called);
    let tunnel = |event: &Event| matches!(event, Event::Tunnel { .. });
    Depth::deep_if(world.seats.iter().any(|seat| seat.told(tunnel) > 0))
}

/// Every call ended once, unless its owner died or the fuel ran out.
fn conclude(world: &World<Transport>, called: &BTreeMap<u64, usize>) {
    for (&ticket, &owner) in called {
        let ends = world.seats[owner].told(|event| match event {
            Event::Response { ticket: ended, .. } | Event::Failed { ticket: ended, .. } => {
                ended.0 == ticket
            }
            _ => false,
        });
        assert!(ends <= 1, "a call ends once");
        let over = world.fuel > 0 && world.seats[owner].alive;
        assert!(ends == 1 || !over, "a call ends");
    }
}

fn command(
    world: &mut World<Transport>,
    p: u8,
    input: &mut Input<'_>,
    tickets: &mut u64,
    called: &mut BTreeMap<u64, usize>,
) {
    let owner = input.below(SEATS);
    let pool = if p & 1 == 0 {
        PoolId::Lookup
    } else {
        PoolId::Persona
    };
    let command = match p {
        0..=5 => {
            if !world.seats[owner].alive {
                return;
            }
            *tickets += 1;
            called.insert(*tickets, owner);
            Command::Call(NewCall {
                ticket: CallTicket(*tickets),
                group: CallGroup(u64::from(input.u8() % 4)),
                pool,
                service: Service(u16::from(input.u8())),
                to: destination(world, input),
                body: vec![7; usize::from(input.u16()) % 1_020],
            })
        }
        6 => Command::EndGroup(CallGroup(u64::from(input.u8() % 4))),
        7 => Command::Persona(match input.u8() {
            0..=63 => None,
            number => Some(OpeningKey::from_seed(&persona_seed(number % 3))),
        }),
        8 => Command::Advertise(vec![3; usize::from(input.u8()) % 130]),
        9 | 10 => Command::WantSeeds(pool),
        11 => Command::Reply {
            to: asked(world, owner).unwrap_or(ReplyToken(u64::from(input.u8()))),
            body: vec![9; usize::from(input.u16()) % 1_050],
        },
        12 | 13 => Command::EchoAll,
        14 => Command::Bootstrap(Vec::new()),
        _ => Command::Shutdown,
    };
    let last = matches!(command, Command::Shutdown);
    world.command(owner, command);
    world.seats[owner].silent |= last && world.seats[owner].alive;
}

/// The persona's own addresses, if it told any; else anything.
fn destination(world: &World<Transport>, input: &mut Input<'_>) -> Destination {
    let number = input.u8();
    let key = deut_kademlia::PersonaSecret::from_seed(&persona_seed(number % 3)).public();
    let told = world.seats.iter().flat_map(|seat| seat.events.iter().rev());
    let own = told
        .filter_map(|(_, event)| match event {
            Event::OwnAddresses(addresses) if !addresses.is_empty() => Some(addresses),
            _ => None,
        })
        .next();
    let at = match own {
        Some(addresses) if number < 200 => addresses.iter().map(|(at, _)| *at).collect(),
        _ => vec![([10, 0, 0, number % 5], RELAY_PORT + u16::from(number)).into()],
    };
    Destination {
        key: PersonaKey(key),
        at,
    }
}

/// The newest request that came to the persona of this machine.
fn asked(world: &World<Transport>, owner: usize) -> Option<ReplyToken> {
    world.seats[owner]
        .events
        .iter()
        .rev()
        .find_map(|(_, event)| match event {
            Event::Request { reply, .. } => Some(*reply),
            _ => None,
        })
}

/// Everything that an undisturbed world sends in its first seconds.
#[must_use]
pub fn real_datagrams() -> Vec<Vec<u8>> {
    let mut world = world();
    let mut seen = Vec::new();
    for _ in 0..3_000 {
        world.run(1_000);
        seen.extend(world.past.drain(..).map(|flight| flight.bytes));
    }
    seen
}

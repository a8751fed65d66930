//! A whole small network of real cores, three relays with personas and a client, in lock step: the fuzzer owns the wire
//! as in [`super::transport`], kills and wakes nodes, and asks queries. Besides what [`crate::kit::world`] checks: every query
//! of a living node has one outcome within a minute, and every application's call ends once.

mod seeds;

use std::{collections::BTreeMap, sync::Arc};

use deut::core::{Core, CoreCommand, CoreConfig, CoreEvent};
use deut_common::{ids::PersonaKey, time::Now};
use deut_kademlia::{Announced, NodeId, Query, QueryTicket};
use deut_transport::{
    config::{Config, Role},
    ids::{ReplyToken, Service},
    io::Destination,
};

pub use seeds::seeds;

use super::{Depth, input::Input, mutable, ops};
use crate::{
    kit::{
        machine::dht_config,
        relay::{address_of, fresh, role},
        world::World,
    },
    net::Net,
    stand_in::StandIn,
};

const SECOND: u64 = 1_000_000;
/// Things that may happen in one input.
const FUEL: u32 = 20_000;
/// The last is a client.
const SEATS: usize = 4;
/// A query that lasts longer hangs.
const LONGEST_QUERY: u64 = 60 * SECOND;

fn core(number: usize, now: Now) -> Core {
    let client = number + 1 == SEATS;
    let role = if client {
        Role::Client
    } else {
        role(address_of(number), 32)
    };
    let mut transport = Config::new(Net::policy(), role);
    (transport.lookup_tunnels, transport.persona_tunnels) = (3, 2);
    transport.ready_at = 2;
    let config = CoreConfig {
        transport,
        kademlia: dht_config(),
        persona: !client,
    };
    let seed = number as u8 + 1;
    let suite = Arc::new(StandIn);
    Core::new(config, suite, fresh([seed; 32]), [seed + 50; 32], now)
}

/// The network before anything happens.
#[must_use]
pub fn world() -> World<Core> {
    let mut world = World::new(FUEL);
    for number in 0..SEATS {
        world.join(core(number, world.now()), 0..2, CoreCommand::Bootstrap);
    }
    world
}

/// What was started, and whose it is.
#[derive(Default)]
struct Started {
    tickets: u64,
    queries: BTreeMap<QueryTicket, usize>,
    calls: BTreeMap<u64, usize>,
}

/// First byte: how long all runs undisturbed (× 20 ms). Then deeds.
#[must_use]
pub fn body(data: &[u8]) -> Depth {
    let mut world = world();
    let mut started = Started::default();
    ops::play(&mut world, data, |world, p, input| {
        command(world, p, input, &mut started);
    });
    for _ in 0..LONGEST_QUERY / SECOND + 1 {
        if world.fuel == 0 || unfinished(&world, &started).is_empty() {
            break;
        }
        world.run(SECOND);
    }
    world.check_caps();
    conclude(&world, &started);
    let found = |event: &CoreEvent| match event {
        CoreEvent::Done(_, outcome) => outcome.stats.answered > 0,
        _ => false,
    };
    Depth::deep_if(world.seats.iter().any(|seat| seat.told(found) > 0))
}

fn unfinished(world: &World<Core>, started: &Started) -> Vec<QueryTicket> {
    let open = started.queries.iter().filter(|(ticket, owner)| {
        world.seats[**owner].alive && ends(world, **owner, **ticket) == 0
    });
    open.map(|(ticket, _)| *ticket).collect()
}

fn ends(world: &World<Core>, owner: usize, ticket: QueryTicket) -> usize {
    world.seats[owner].told(|event| matches!(event, CoreEvent::Done(done, _) if *done == ticket))
}

fn conclude(world: &World<Core>, started: &Started) {
    for (ticket, owner) in &started.queries {
        assert!(ends(world, *owner, *ticket) <= 1, "one outcome");
    }
    if world.fuel > 0 {
        let hanging = unfinished(world, started);
        assert!(hanging.is_empty(), "{hanging:?} hang");
    }
    for (&ticket, &owner) in &started.calls {
        let over = world.seats[owner].told(|event| match event {
            CoreEvent::CallFailed { ticket: ended, .. }
            | CoreEvent::Response { ticket: ended, .. } => *ended == ticket,
            _ => false,
        });
        assert!(over <= 1, "a call ends once");
    }
}

fn command(world: &mut World<Core>, p: u8, input: &mut Input<'_>, started: &mut Started) {
    let owner = input.below(SEATS);
    if !world.seats[owner].alive {
        return;
    }
    started.tickets += 1;
    let number = input.u8();
    let infohash = [number % 4; 20];
    let value = vec![number % 4; 300];
    let query = match p {
        0 => Query::PutValue { value },
        1 if number & 1 == 1 => Query::PutMutable {
            record: mutable::sample(1, i64::from(number / 4 % 4), 20),
            cas: None,
        },
        1 => Query::GetMutable {
            of: mutable::sample(1, 0, 20).key().clone(),
            min_seq: None,
        },
        2..=4 => Query::GetValue {
            key: NodeId::hash_of(&value),
        },
        5 => Query::Announce {
            infohash,
            what: Announced::Address(([10, 0, 0, number], 6_881).into()),
        },
        6 => match world.seats[usize::from(number) % SEATS]
            .machine
            .persona_key()
        {
            Some(key) => Query::Announce {
                infohash,
                what: Announced::Persona(key),
            },
            None => return,
        },
        7..=9 => Query::GetPeers { infohash },
        10 => Query::FindNode {
            target: NodeId(infohash),
        },
        _ => return other(world, p, owner, number, started),
    };
    let ticket = QueryTicket(started.tickets);
    started.queries.insert(ticket, owner);
    world.command(owner, CoreCommand::Query(ticket, query));
}

fn other(world: &mut World<Core>, p: u8, owner: usize, number: u8, started: &mut Started) {
    let command = match p {
        11 => CoreCommand::Cancel(QueryTicket(u64::from(number) % started.tickets)),
        12 => {
            let of = &world.seats[usize::from(number) % SEATS];
            let Some(key) = of.machine.persona_key() else {
                return;
            };
            let at = world
                .endpoint_port(usize::from(number) % SEATS, 0)
                .map(|port| (of.address.ip(), port).into());
            started.calls.insert(started.tickets, owner);
            CoreCommand::Call {
                ticket: started.tickets,
                service: Service(255 + u16::from(number % 4)),
                to: Destination {
                    key: PersonaKey(key),
                    at: at.into_iter().collect(),
                },
                body: vec![number; usize::from(number) * 4],
            }
        }
        13 => CoreCommand::EchoAll(started.tickets),
        14 => CoreCommand::Reply {
            to: ReplyToken(u64::from(number)),
            body: vec![number; 20],
        },
        _ => CoreCommand::Shutdown,
    };
    let last = matches!(command, CoreCommand::Shutdown);
    world.command(owner, command);
    world.seats[owner].silent |= last;
}

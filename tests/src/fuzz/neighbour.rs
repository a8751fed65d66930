//! One real transport and a hostile neighbour with a genuine link to it: the fuzzer speaks inside the session, as a
//! neighbour (frames of any kind, walks, gossip), as the master of tunnels that end at the machine, and as the endpoint
//! of the machine's own tunnels. What must hold stands in [`crate::kit::world`].

mod seeds;

use std::sync::Arc;

use deut_common::ids::PersonaKey;
use deut_transport::{
    Transport,
    config::Config,
    ids::{CallGroup, CallTicket, PoolId, Service, TunnelId},
    io::{Command, Destination, NewCall},
    keys::OpeningKey,
    wire::{
        cell::Cell,
        frame::{self, Control, WalkRequest},
    },
};

use super::{
    Depth,
    cell::cells,
    input::{Input, sized},
};
pub use seeds::seeds;

use crate::{
    kit::{
        peer::Peer,
        relay::{address_of, bootstrap, fresh, role, sample},
        world::World,
    },
    net::Net,
    stand_in::StandIn,
};

const FUEL: u32 = 3_000;
/// Deeds in one input at most.
const MOST: usize = 150;
const SEED: [u8; 32] = [1; 32];
const PERSONA: [u8; 32] = [0x66; 32];

/// The machine under test with its neighbour, the link up and both verified.
#[must_use]
pub fn start() -> (World<Transport>, Peer) {
    start_with(FUEL, |config| {
        config.limits.transit_tunnels = 12;
        config.limits.endpoint_tunnels = 8;
        config.limits.relays = 4;
        config.limits.links = 4;
        config.limits.unverified = 4;
        config.limits.requests_remembered = 4;
    })
}

/// The same with other settings.
#[must_use]
pub fn start_with(fuel: u32, tune: fn(&mut Config)) -> (World<Transport>, Peer) {
    let mut world = World::new(fuel);
    let role = role(address_of(0), 256);
    let mut config = Config::new(Net::policy(), role);
    (
        config.lookup_tunnels,
        config.persona_tunnels,
        config.ready_at,
    ) = (2, 2, 1);
    tune(&mut config);
    let now = world.now();
    world.add(Transport::new(
        config,
        Arc::new(StandIn),
        &fresh(SEED),
        [7; 32],
        now,
    ));
    let mut partner = Peer::new(9);
    let peer = bootstrap(partner.address);
    world.command(0, Command::Bootstrap(vec![peer]));
    world.command(0, Command::Persona(Some(OpeningKey::from_seed(&PERSONA))));
    run(&mut world, &mut partner, 200);
    (world, partner)
}

/// Runs for so many ms; the neighbour hears in between.
pub fn run(world: &mut World<Transport>, partner: &mut Peer, ms: u64) {
    let slice = (ms / 50).max(2);
    for _ in 0..ms.div_ceil(slice) {
        partner.pump(world);
        world.run(slice * 1_000);
    }
    partner.pump(world);
}

/// Deeds: the low half of a byte says what, the high half how.
#[must_use]
pub fn body(data: &[u8]) -> Depth {
    let mut input = Input::new(data);
    let (mut world, mut partner) = start();
    let mut calls = 0;
    for _ in 0..MOST {
        if input.is_empty() || world.fuel == 0 {
            break;
        }
        act(&mut world, &mut partner, &mut calls, &mut input);
        partner.pump(&mut world);
        world.check_caps();
    }
    let master = partner.masters.iter().any(|master| master.confirmed());
    let served = partner.served.iter().any(|served| served.exchanged());
    Depth::deep_if(master || served)
}

/// The deeds, for those who write seeds.
pub mod deed {
    /// Runs for 2^p ms.
    pub const RUN: u8 = 0;
    /// A walk of the neighbour's own.
    pub const WALK: u8 = 1;
    /// A walk request with any element.
    pub const BAD_WALK: u8 = 2;
    /// The exchange of the p-th tunnel.
    pub const EXCHANGE: u8 = 3;
    /// A cell as master of the p-th tunnel.
    pub const MASTER_CELL: u8 = 4;
    /// Answers the p-th walk of the machine.
    pub const SERVE: u8 = 5;
    /// The same, with the answer changed.
    pub const SPOIL: u8 = 6;
    /// A tunnel is closed.
    pub const CLOSE: u8 = 7;
    /// Gossip.
    pub const GOSSIP: u8 = 8;
    /// Any frame.
    pub const FRAME: u8 = 9;
    /// An acknowledgement or a probe.
    pub const ACK: u8 = 10;
    /// A cell as endpoint of the p-th tunnel.
    pub const ENDPOINT_CELL: u8 = 11;
    /// A frame of a known kind with any content.
    pub const KIND: u8 = 12;
    /// The last datagram again, perhaps changed.
    pub const AGAIN: u8 = 13;
    /// Goodbye, or a new handshake, or silence in tunnels.
    pub const LINK: u8 = 14;
    /// What the machine's application wants.
    pub const COMMAND: u8 = 15;
}

fn act(world: &mut World<Transport>, partner: &mut Peer, calls: &mut u64, input: &mut Input<'_>) {
    let byte = input.u8();
    let p = byte >> 4;
    let which = usize::from(p);
    match byte & 15 {
        deed::RUN => run(world, partner, 1 << p),
        deed::WALK => partner.walk(),
        deed::BAD_WALK => partner.control(&Control::WalkRequest(WalkRequest {
            id_back: id(partner, input),
            element: input.array(),
        })),
        deed::EXCHANGE => partner.exchange(which, input.u32()),
        deed::MASTER_CELL => {
            if let Some(cell) = some_cell(input) {
                partner.as_master(which, &cell);
            }
        }
        deed::SERVE => partner.serve(which, |_| {}),
        deed::SPOIL => partner.serve(which, |answer| {
            input.mutate(&mut answer.sealed);
            input.mutate(&mut answer.block);
            answer.id_fwd = TunnelId(1 + u32::from(input.u8()));
        }),
        deed::CLOSE => {
            let id = id(partner, input);
            partner.control(&Control::TunnelClosed { id });
        }
        deed::ENDPOINT_CELL => {
            if let Some(cell) = some_cell(input) {
                partner.as_endpoint(which, &cell);
            }
        }
        deed::COMMAND => {
            *calls += 1;
            command(world, p, *calls, input);
        }
        other => say(world, partner, other, p, input),
    }
}

/// What needs no tunnel.
fn say(world: &World<Transport>, partner: &mut Peer, deed: u8, p: u8, input: &mut Input<'_>) {
    match deed {
        deed::GOSSIP => {
            let told: Vec<[u8; 196]> = (0..1 + usize::from(p) % 6)
                .map(|_| {
                    let mut bytes = *sample(input.u8() % 16).1.bytes();
                    input.mutate(&mut bytes);
                    bytes
                })
                .collect();
            partner.send(&frame::encode_gossip(&told));
        }
        deed::FRAME => {
            let length = usize::from(p) * 8;
            partner.send(&sized(input.take(length)));
        }
        deed::ACK if p & 1 == 0 => partner.send(&frame::encode_ack(input.u32())),
        deed::ACK => partner.control(&Control::Probe),
        deed::KIND => {
            let mut frame = [input.u8(); 1_200];
            frame[0] = p % 8;
            let id = id(partner, input).0.to_be_bytes();
            frame[1..5].copy_from_slice(&id);
            let given = input.take(24);
            frame[5..5 + given.len()].copy_from_slice(given);
            partner.send(&frame);
        }
        deed::AGAIN => {
            let mut again = partner.last.clone();
            if p & 1 == 1 {
                input.mutate(&mut again);
            }
            partner.send_raw(again);
        }
        deed::LINK => match p {
            0..=3 => partner.send(&frame::encode_goodbye()),
            4..=9 => partner.dial(SEED, &partner.own(), world.time()),
            10 | 11 => partner.send(&frame::encode_gossip_request()),
            _ => partner.answers = p & 1 == 0,
        },
        _ => {}
    }
}

/// An id that means something, or any.
fn id(partner: &Peer, input: &mut Input<'_>) -> TunnelId {
    let which = input.u8();
    let known = usize::from(which / 4);
    let id = match which % 4 {
        0 => partner.masters.get(known).map(|master| master.id_back),
        1 => partner.asked.get(known).map(|asked| asked.id_back),
        _ => None,
    };
    id.unwrap_or(TunnelId(1 + u32::from(which)))
}

/// One of the sixteen types with some bytes changed, if it still is a cell.
fn some_cell(input: &mut Input<'_>) -> Option<Cell> {
    let cells = cells();
    let mut plaintext = cells[input.below(cells.len())].encode();
    let number = input.u8();
    // The number lies behind type and length.
    if plaintext[0] < 16 || plaintext[0] > 128 {
        plaintext[3..7].copy_from_slice(&u32::from(number).to_be_bytes());
    }
    input.mutate(&mut plaintext[..60]);
    Cell::decode(&plaintext).ok()
}

fn command(world: &mut World<Transport>, p: u8, ticket: u64, input: &mut Input<'_>) {
    let pool = if p & 1 == 0 {
        PoolId::Lookup
    } else {
        PoolId::Persona
    };
    let command = match p {
        0..=5 => Command::Call(NewCall {
            ticket: CallTicket(ticket),
            group: CallGroup(u64::from(p)),
            pool,
            service: Service::KADEMLIA,
            to: Destination {
                key: PersonaKey(deut_kademlia::PersonaSecret::from_seed(&PERSONA).public()),
                at: vec![([10, 9, 0, 9], 5_001).into()],
            },
            body: vec![1; 40],
        }),
        6..=8 => Command::EchoAll,
        9 | 10 => Command::WantSeeds(pool),
        11 => Command::Advertise(vec![4; 111]),
        12 => Command::Persona(None),
        13 => Command::Persona(Some(OpeningKey::from_seed(&[p; 32]))),
        14 => Command::EndGroup(CallGroup(u64::from(input.u8() % 6))),
        _ => Command::Shutdown,
    };
    world.command(0, command);
}

//! One Kademlia with a persona, without any network: the fuzzer asks it, answers it, lets it wait, gives it seeds and
//! addresses, starts queries. Must hold after each step: caps; every request is answered once or counted as discarded;
//! answers and requests within their lengths and readable; a user's request names nobody; no ticket and no group twice;
//! every query has one outcome, and within its time.

mod bench;

use bench::{Bench, Sent};
use deut_kademlia::*;

use super::{
    Depth,
    contact::{sample, secret},
    entry,
    input::Input,
    mutable,
    rpc::bodies,
};

const SECOND: u64 = 1_000_000;
/// Deeds in one input at most.
const MOST: usize = 200;
/// Steps of virtual time in one input at most.
const STEPS: u32 = 20_000;
/// The transport says so after this.
const CALL_FAILS: u64 = 6 * SECOND;
/// Two lookups one after the other, and the STOREs.
const LONGEST_QUERY: u64 = 60 * SECOND;

/// Caps that a fuzzer can reach.
#[must_use]
pub fn config() -> Config {
    Config {
        max_rpcs: 24,
        max_candidates: 16,
        max_queries: 3,
        max_resolved: 2,
        max_found: 4,
        max_user_contacts: 12,
        bucket_size: 2,
        replacements: 2,
        max_checks: 2,
        max_unverified: 4,
        max_maintenance: 4,
        max_stored_bytes: 2_048,
        max_stored_keys: 4,
        max_entries_per_key: 3,
        max_published: 3,
        ..Config::test()
    }
}

/// A deed per byte: the low half says what, the high half how.
#[must_use]
pub fn body(data: &[u8]) -> Depth {
    let mut input = Input::new(data);
    let mut bench = Bench::new();
    for _ in 0..MOST {
        if input.is_empty() || bench.steps == 0 {
            break;
        }
        act(&mut bench, &mut input);
        bench.check_queries();
    }
    bench.pass(LONGEST_QUERY + SECOND);
    if bench.steps > 0 {
        assert!(bench.open.is_empty(), "{:?} without outcome", bench.open);
    }
    assert!(bench.ended.is_subset(&bench.groups) || bench.queries > 0);
    Depth::deep_if(bench.answered > 0 || bench.last_ticket[1] > 1)
}

fn act(bench: &mut Bench, input: &mut Input<'_>) {
    let byte = input.u8();
    let p = byte >> 4;
    match byte & 15 {
        0 => bench.pass(10_000 << p),
        1 => bench.pass(30 * SECOND * u64::from(p)),
        2 | 3 => query(bench, p, input),
        4..=6 => request(bench, p, input),
        7..=9 => respond(bench, p, input),
        10 => {
            let which = input.below(bench.sent.len());
            if let Some(ticket) = bench.sent.get(which).map(|sent| sent.ticket) {
                if p & 1 == 0 {
                    bench.input(DhtInput::Slow(ticket));
                } else {
                    bench.sent.remove(which);
                    let how = match p >> 1 {
                        0..=2 => Failure::Over(TunnelTag(u64::from(p))),
                        3..=5 => Failure::OverSeveral,
                        _ => Failure::NotSent,
                    };
                    bench.input(DhtInput::Failed(ticket, how));
                }
            }
        }
        11 => give_seeds(bench, p, input),
        12 => {
            let life = u64::from(input.u8()) * 30;
            bench.addresses(p % 6, life);
        }
        13 => {
            let persona = (p > 3).then(|| secret(200 + p % 4));
            bench.input(DhtInput::Persona(persona));
            // The transport's calls of the old persona end without a word.
            if p & 1 == 1 {
                bench.addresses(2, 3_600);
            }
        }
        14 => {
            let ticket = QueryTicket(u64::from(p) % (bench.queries + 1));
            bench.input(DhtInput::Cancel(ticket));
        }
        _ => {
            // Tickets that nobody gave out, or that are over.
            let ticket = RpcTicket(u64::from(input.u8()));
            let over = bench.sent.iter().all(|sent| sent.ticket != ticket);
            if over {
                let body = vec![0x85, p % 5];
                bench.input(match p % 3 {
                    0 => DhtInput::Response(ticket, body),
                    1 => DhtInput::Failed(ticket, Failure::NotSent),
                    _ => DhtInput::Slow(ticket),
                });
            }
        }
    }
}

fn value(number: u8) -> Vec<u8> {
    vec![number; usize::from(number % 9) * 100]
}

/// A version of one of three records.
fn record(number: u8) -> MutableRecord {
    mutable::sample(
        number % 3,
        i64::from(number / 8 % 4),
        usize::from(number % 2),
    )
}

fn query(bench: &mut Bench, p: u8, input: &mut Input<'_>) {
    let number = input.u8();
    let infohash = [number % 8; 20];
    bench.start(match p {
        0 => Query::GetMutable {
            of: record(number).key().clone(),
            min_seq: (number & 1 == 1).then_some(i64::from(input.u8() % 4)),
        },
        1 => Query::PutMutable {
            record: record(number),
            cas: (number & 1 == 1).then_some(i64::from(input.u8() % 4)),
        },
        2 => Query::FindNode {
            target: sample(number).id(),
        },
        3..=5 => Query::GetPeers { infohash },
        6..=8 => Query::GetValue {
            key: NodeId::hash_of(&value(number)),
        },
        9..=11 => Query::PutValue {
            value: vec![number; usize::from(input.u16()) % 900],
        },
        12 | 13 => Query::Announce {
            infohash,
            what: Announced::Persona(secret(200).public()),
        },
        _ => Query::Announce {
            infohash,
            what: Announced::Address(([10, 0, 0, number], u16::from(p - 14)).into()),
        },
    });
}

fn request(bench: &mut Bench, p: u8, input: &mut Input<'_>) {
    let number = input.u8();
    let sender = (number & 1 == 1).then_some(number);
    let (blinded, sealed) = entry::sample(number % 8);
    let key = match p {
        0..=3 => sample(number).id().0,
        4..=6 => NodeId::hash_of(&value(number)).0,
        7 | 9 => record(number).key().dht_key().0,
        _ => NodeId::hash_of(&blinded).0,
    };
    let token = bench.tokens.get(&key).copied().unwrap_or([number; 8]);
    let mut body = match p {
        0 => bodies::find(None, sender),
        1..=3 => bodies::find(Some(key), sender),
        4 | 5 => bodies::find_value(1, key),
        6 => bodies::store_value(token, &value(number)),
        7 => bodies::find_value(3, key),
        9 => {
            let cas = (number & 1 == 1).then_some(i64::from(input.u8() % 4));
            bodies::store_mutable(token, &record(number), cas)
        }
        8 | 10 => bodies::find_value(2, key),
        11 | 12 => bodies::store_peer(token, blinded, &sealed),
        13 => vec![4; 1_017],
        14 => input.take(200).to_vec(),
        _ => bodies::find(Some(key), Some(number)),
    };
    if p == 15 || number >= 0xf0 {
        input.mutate(&mut body);
    }
    bench.request(body, key);
}

fn respond(bench: &mut Bench, p: u8, input: &mut Input<'_>) {
    if bench.sent.is_empty() {
        return;
    }
    let which = input.below(bench.sent.len());
    let Sent {
        ticket, to, body, ..
    } = bench.sent.remove(which);
    let token = [p; 8];
    let number = input.u8();
    let contacts: Vec<u8> = (0..number % 9)
        .map(|at| number.wrapping_mul(31).wrapping_add(at * 7))
        .collect();
    let fitting = match body.first() {
        Some(1) => [&[0x81], to.as_bytes()].concat(),
        Some(4) if body.get(9) == Some(&3) && number & 1 == 1 => {
            bodies::conflict(4 + number % 3, &record(number.rotate_left(4)))
        }
        Some(4) => vec![0x85, number % 4],
        Some(3) if body.get(1) == Some(&3) && p & 1 == 1 => bodies::mutable(token, &record(number)),
        Some(3) if body.get(1) == Some(&1) && p & 1 == 1 => bodies::value(token, &value(number)),
        Some(3) if p & 1 == 1 => {
            let entries: Vec<Vec<u8>> = (0..1 + number % 3)
                .map(|at| entry::sample(number.wrapping_add(at) % 8).1)
                .collect();
            bodies::peers(token, &entries)
        }
        _ => bodies::nodes(token, &contacts),
    };
    let mut answer = match p {
        12 => input.take(100).to_vec(),
        13 => bodies::nodes(token, &contacts),
        14 => vec![0x83; 1_047],
        _ => fitting,
    };
    if p == 15 {
        input.mutate(&mut answer);
    }
    bench.input(DhtInput::Response(ticket, answer));
}

fn give_seeds(bench: &mut Bench, p: u8, input: &mut Input<'_>) {
    let plane = if p & 1 == 0 {
        OnBehalf::User
    } else {
        OnBehalf::Persona
    };
    let contacts = (0..p / 2 + 1).map(|_| {
        let number = input.u8();
        let mut bytes = sample(number).as_bytes().to_vec();
        if number >= 0xf0 {
            input.mutate(&mut bytes);
        }
        bytes
    });
    let contacts = contacts.collect();
    bench.input(DhtInput::Seeds(plane, contacts));
}

/// Somebody asks and stores; the user asks and is answered; both with trouble.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let byte = |deed: u8, p: u8| deed | p << 4;
    let mut served = Vec::new();
    for number in [3, 4, 5] {
        for p in [0, 2, 4, 6, 4, 8, 11, 8, 7, 9, 7, 9] {
            served.extend([byte(4, p), number]);
        }
        served.push(byte(0, 7));
    }
    let mut asks = vec![byte(11, 14), 1, 2, 3, 4, 5, 6, 7, 8];
    for p in [0, 1, 2, 3, 6, 9, 12, 14] {
        asks.extend([byte(2, p), 3, 0, 50]);
        for answer in 0..12 {
            asks.extend([byte(7, answer), answer, 3 + answer]);
        }
        asks.push(byte(0, 9));
    }
    let mut upkeep = vec![byte(11, 15), 1, 2, 3, 4, 5, 6, 7, 8, byte(0, 4)];
    for p in 0..10 {
        upkeep.extend([byte(7, 0), p, 40 + p, byte(0, 6)]);
    }
    upkeep.extend([
        byte(1, 15),
        byte(12, 3),
        9,
        byte(13, 5),
        byte(0, 12),
        byte(13, 0),
    ]);
    let trouble = [
        &[byte(11, 14), 1, 2, 3, 4, 5, 6, 7, 0xf1, 1, 40, 1][..],
        &[byte(2, 3), 1, byte(10, 0), 0, byte(10, 1), 0, byte(14, 1)],
        &[byte(2, 6), 1, byte(7, 12), 0, 1, 2, 3, byte(15, 0), 2],
        &[
            byte(4, 13),
            1,
            byte(4, 14),
            1,
            9,
            9,
            byte(4, 15),
            1,
            1,
            0,
            3,
            1,
        ],
    ]
    .concat();
    vec![served, asks, upkeep, trouble]
}

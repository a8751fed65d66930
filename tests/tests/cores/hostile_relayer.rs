//! Relays that break one rule each, against a real transport: what they show is refused, each for its own reason.

use deut_common::suite::SuiteRef;
use std::net::SocketAddr;

use deut_tests::{
    kit::{
        laboratory::Laboratory,
        peer::{Fault, Peer},
        relay::{START_MINUTES, descriptor},
    },
    net::Net,
};
use deut_transport::{
    DropReason,
    ids::NetworkId,
    io::{BootstrapPeer, BootstrapTrouble, Command, Event},
    keys::RelayKeys,
    policy::{Policy, Profile},
    wire::descriptor::{Descriptor, PortRange},
};

const HOSTILE: u8 = 1;
const OTHER: u8 = 2;
const SECOND: u64 = 1_000_000;

/// A handshake of a tunnel fails for this reason, and no tunnel stands.
fn tunnel_fails(fault: Fault, reason: DropReason) -> Result<(), String> {
    let mut hostile = Peer::honest(HOSTILE);
    hostile.ends = Some(fault);
    let mut laboratory = Laboratory::open(vec![hostile]);
    laboratory.run(8 * SECOND);
    let (up, count) = (
        laboratory.tunnels_up(),
        laboratory.client().drops().of(reason),
    );
    match (up, count) {
        (0, 1..) => Ok(()),
        _ => Err(format!(
            "{fault:?}: {up} tunnels up, {count} × {reason:?} in {:?}",
            laboratory.client().drops().iter().collect::<Vec<_>>()
        )),
    }
}

#[test]
fn whoever_swaps_the_rsa_key_of_an_endpoint_gets_no_tunnel() {
    for (fault, reason) in [
        (Fault::SwapsKey, DropReason::BadEndpointAnswer),
        (Fault::SwapsKeyKeepsSignature, DropReason::BadEndpointAnswer),
        (Fault::ReplaysAnswer, DropReason::BadEndpointAnswer),
        (Fault::AltersInPassing, DropReason::WalkUnopened),
        (Fault::ShowsForeignKey, DropReason::BadConfirmation),
        (Fault::SealsToAnother, DropReason::BadConfirmation),
    ] {
        assert_eq!(tunnel_fails(fault, reason), Ok(()));
        // Control and twin: the same relay without its fault gets its tunnel, and the check says so.
        assert!(tunnel_fails(Fault::None, reason).is_err_and(|text| text.contains("1 tunnels up")));
    }
}

/// What a directory made of a descriptor that a neighbour told.
struct Told {
    listed: bool,
    refusals: Vec<(&'static str, u64)>,
}

/// A neighbour tells these, one after the other; `echoes`: their owner answers from the address that the last one names.
fn tell(minutes_off: i64, told: &[[u8; 196]], echoes: bool) -> Told {
    let mut neighbour = Peer::honest(HOSTILE);
    neighbour
        .gossip
        .extend(told.iter().map(|bytes| vec![*bytes]));
    let mut owner = Peer::honest(OTHER);
    let last = told.last().expect("one at least");
    if let Some(shown) = Descriptor::decode(last).ok().filter(|_| echoes) {
        owner.address = shown.address;
        owner.shown = Some(shown);
    } else {
        owner.shown = None;
    }
    let id = owner.keys.id();
    let mut laboratory = Laboratory::with(minutes_off, vec![neighbour, owner], (1, 0));
    laboratory.run(20 * SECOND);
    let listed = laboratory
        .client()
        .relays()
        .iter()
        .any(|relay| relay.id == id);
    Told {
        listed,
        refusals: laboratory
            .client()
            .refused_descriptors()
            .iter()
            .map(|(reason, count)| (*reason, *count))
            .collect(),
    }
}

/// It is not listed, for this reason and no other.
fn refused(told: &Told, reason: &str) -> Result<(), String> {
    match (told.listed, told.refusals.as_slice()) {
        (false, [(only, 1..)]) if *only == reason => Ok(()),
        _ => Err(format!(
            "listed: {}, refusals {:?} instead of {reason}",
            told.listed, told.refusals
        )),
    }
}

/// A descriptor with one thing wrong.
struct Case {
    reason: &'static str,
    bytes: [u8; 196],
}

/// Signs what is wrong as its owner would.
fn signed(address: SocketAddr, range: (u16, u16), epoch: u32, expiry: u32) -> [u8; 196] {
    let (keys, network) = (RelayKeys::from_seed(&[OTHER; 32]), Net::policy().network);
    let range = PortRange {
        first: range.0,
        last: range.1,
    };
    *Descriptor::sign(&keys, network, address, Some(range), epoch, expiry).bytes()
}

fn cases() -> Vec<Case> {
    let at = Peer::honest(OTHER).address;
    let (now, end, range) = (START_MINUTES, START_MINUTES + 1_440, (5_001, 5_050));
    let honest = *Peer::honest(OTHER).own().bytes();
    let with = |f: fn(&mut [u8; 196])| {
        let mut bytes = honest;
        f(&mut bytes);
        bytes
    };
    let foreign = {
        let keys = RelayKeys::from_seed(&[OTHER; 32]);
        *Descriptor::sign(&keys, NetworkId([1, 2, 3, 4]), at, None, now, end).bytes()
    };
    let addressed = |address: &str| signed(address.parse().expect("an address"), range, now, end);
    let case = |reason, bytes| Case { reason, bytes };
    vec![
        case("RangeReversed", signed(at, (5_050, 5_001), now, end)),
        case("RangeTooWide", signed(at, (5_001, 5_001 + 2_048), now, end)),
        case("RangeTooLow", signed(at, (1_023, 1_100), now, end)),
        case("RangeHoldsRelayPort", signed(at, (3_990, 4_010), now, end)),
        case("Network", foreign),
        case("Expired", signed(at, range, now - 100, now - 3)),
        case("ExpiryTooFar", signed(at, range, now, now + 1_501)),
        case("EpochAhead", signed(at, range, now + 4, now + 1_000)),
        case("Address", addressed("224.0.0.7:4000")),
        case("Address", addressed("10.9.0.2:1023")),
        case("Address", addressed("10.9.0.2:5353")),
        case("Flags", with(|bytes| bytes[123] |= 4)),
        case("Flags", with(|bytes| bytes[123] &= !1)),
        case("WeakKey", with(|bytes| bytes[26..58].fill(0))),
        case(
            "Signature",
            with(|bytes| bytes[26..58].copy_from_slice(&RelayKeys::from_seed(&[9; 32]).identity())),
        ),
        case("Signature", with(|bytes| bytes[60] ^= 1)),
        case("Signature", with(|bytes| bytes[190] ^= 1)),
    ]
}

#[test]
fn a_descriptor_that_breaks_a_rule_is_refused_for_that_reason() {
    let healed = *Peer::honest(OTHER).own().bytes();
    for Case { reason, bytes } in cases() {
        let told = tell(0, &[bytes], true);
        assert_eq!(refused(&told, reason), Ok(()));
        // Control and twin: the same without its fault is listed, and the check says so.
        let told = tell(0, &[healed], true);
        assert!(told.listed && told.refusals.is_empty() && refused(&told, reason).is_err());
    }
}

/// The same bytes where the rule does not bite: another clock, another profile.
#[test]
fn the_rule_and_nothing_else_refuses_them() {
    for Case { reason, bytes } in cases() {
        let minutes_off = match reason {
            "Expired" => -50,
            "EpochAhead" => 4,
            _ => continue,
        };
        assert!(refused(&tell(0, &[bytes], true), reason).is_ok());
        assert!(
            tell(minutes_off, &[bytes], true)
                .refusals
                .iter()
                .all(|(name, _)| *name != reason),
            "{reason}"
        );
    }
    // A private address is refused in production only.
    let production = Policy::new("bottle", Profile::Production).expect("a name");
    let keys = RelayKeys::from_seed(&[OTHER; 32]);
    let address = Peer::honest(OTHER).address;
    let private = Descriptor::sign(
        &keys,
        production.network,
        address,
        None,
        START_MINUTES,
        START_MINUTES + 1_440,
    );
    let check = |policy: &Policy| {
        private.check(
            &SuiteRef::default(),
            policy,
            deut_common::time::Unix(u64::from(START_MINUTES) * 60),
            None,
        )
    };
    assert_eq!(
        check(&production).map_err(|error| error.name()),
        Err("Address")
    );
    assert_eq!(
        check(&Policy {
            profile: Profile::Test,
            ..production
        })
        .map_err(|error| error.name()),
        Ok(())
    );
}

#[test]
fn a_relay_that_does_not_echo_from_its_address_is_not_listed() {
    let honest = *Peer::honest(OTHER).own().bytes();
    assert_eq!(refused(&tell(0, &[honest], false), "NotEchoed"), Ok(()));
    assert!(refused(&tell(0, &[honest], true), "NotEchoed").is_err());
    // Somebody else answers from there.
    let elsewhere = Peer::honest(HOSTILE).address;
    let foreign = *descriptor(&Peer::honest(OTHER).keys, elsewhere).bytes();
    let told = tell(0, &[foreign], false);
    assert!(!told.listed);
    assert_eq!(refused(&told, "NotEchoed"), Ok(()));
}

#[test]
fn an_older_descriptor_does_not_replace_a_newer_one() {
    let address = Peer::honest(OTHER).address;
    let of_epoch = |epoch| signed(address, (5_001, 5_050), epoch, START_MINUTES + 1_000);
    let (old, new) = (of_epoch(START_MINUTES - 5), of_epoch(START_MINUTES));
    let both = |told: &[[u8; 196]; 2]| {
        let mut neighbour = Peer::honest(HOSTILE);
        neighbour.gossip.push_back(vec![told[0]]);
        let mut owner = Peer::honest(OTHER);
        owner.shown = Descriptor::decode(&told[0]).ok();
        let mut laboratory = Laboratory::open(vec![neighbour, owner]);
        laboratory.run(5 * SECOND);
        laboratory.peers[1].shown = Descriptor::decode(&told[1]).ok();
        laboratory.peers[0].gossip.push_back(vec![told[1]]);
        laboratory.run(60 * SECOND);
        assert!(laboratory.peers[0].gossip.is_empty() && laboratory.client().relays().len() == 2);
        laboratory
            .client()
            .refused_descriptors()
            .get("EpochOld")
            .copied()
            .unwrap_or(0)
    };
    assert!(both(&[new, old]) >= 1);
    assert_eq!(both(&[old, new]), 0);
    let same = signed(
        address,
        (5_001, 5_010),
        START_MINUTES,
        START_MINUTES + 1_000,
    );
    assert!(both(&[new, same]) >= 1, "of one epoch there is one");
}

/// Somebody else's link key leads nowhere, in a descriptor of one's own or under another identity.
#[test]
fn a_link_key_must_be_the_initiators_own() {
    let bad = |shown: &Descriptor| {
        let mut laboratory = Laboratory::open(vec![Peer::honest(HOSTILE), Peer::honest(OTHER)]);
        laboratory.run(SECOND);
        laboratory.dial(1, shown);
        laboratory.run(SECOND);
        laboratory.client().drops().of(DropReason::BadHandshake)
    };
    let (own, other) = (Peer::honest(OTHER), Peer::honest(77));
    assert_eq!(bad(&descriptor(&other.keys, own.address)), 1);
    assert_eq!(bad(&descriptor(&own.keys, own.address)), 0);
}

#[test]
fn a_bootstrap_peer_with_another_key_is_told() {
    let trouble = |key: [u8; 32]| {
        let peer = Peer::honest(HOSTILE);
        let listed = BootstrapPeer {
            address: peer.address,
            key: Some(key),
        };
        let mut laboratory = Laboratory::open(vec![peer]);
        laboratory.command(Command::Bootstrap(vec![listed]));
        laboratory.run(2 * SECOND);
        let of = |event: &Event| match event {
            Event::Bootstrap { trouble, .. } => Some(*trouble),
            _ => None,
        };
        laboratory
            .events()
            .filter_map(of)
            .collect::<Vec<BootstrapTrouble>>()
    };
    assert_eq!(
        trouble(Peer::honest(OTHER).keys.identity()),
        [BootstrapTrouble::OtherKey]
    );
    assert_eq!(trouble(Peer::honest(HOSTILE).keys.identity()), []);
}

/// An answer that is not signed by the identity that it shows, or shown at an address that is not the descriptor's.
#[test]
fn a_who_are_you_answer_is_believed_for_its_signer_and_its_address_only() {
    let shows = |shown: &Descriptor| {
        let mut peer = Peer::honest(HOSTILE);
        peer.shown = Some(shown.clone());
        let mut laboratory = Laboratory::open(vec![peer]);
        laboratory.run(5 * SECOND);
        let refusals = laboratory
            .client()
            .refused_descriptors()
            .keys()
            .copied()
            .collect::<Vec<_>>();
        (laboratory.client().relays().len(), refusals)
    };
    let (own, other) = (Peer::honest(HOSTILE), Peer::honest(OTHER));
    assert_eq!(shows(&descriptor(&other.keys, own.address)).0, 0);
    assert!(
        shows(&descriptor(&other.keys, own.address))
            .1
            .contains(&"Signature")
    );
    assert!(
        shows(&descriptor(&own.keys, other.address))
            .1
            .contains(&"Address")
    );
    assert_eq!(shows(&descriptor(&own.keys, own.address)), (1, Vec::new()));
}

/// Descriptors are questions to their addresses: a neighbour that tells hundreds of them cannot aim many at a third party.
#[test]
fn verification_floods_nobody() {
    let asked = |told: u8| {
        let mut neighbour = Peer::honest(HOSTILE);
        for frame in 0..told {
            let stranger = |i: u8| {
                let number = u16::from(frame) * 6 + u16::from(i);
                let seed = std::array::from_fn(|at| number.to_be_bytes()[at % 2] ^ 0x5a);
                *descriptor(
                    &RelayKeys::from_seed(&seed),
                    SocketAddr::from(([10, 8, 8, 8], 10_000 + number)),
                )
                .bytes()
            };
            neighbour.gossip.push_back((0..6).map(stranger).collect());
        }
        let mut laboratory = Laboratory::open(vec![neighbour]);
        laboratory.run(30 * SECOND);
        laboratory.unanswered
    };
    // A burst of 64 and then one per second, each asked three times.
    assert_eq!(asked(1), 6 * 3);
    let flood = asked(60);
    println!("{flood} questions");
    assert!((64 * 3..=(64 + 30) * 3).contains(&flood), "{flood}");
}

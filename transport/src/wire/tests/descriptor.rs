use deut_common::{suite::SuiteRef, time::Unix};
use proptest::prelude::*;

use super::{descriptor, hex, keys, production};
use crate::{
    ids::NetworkId,
    keys::RelayKeys,
    policy::{Policy, Profile},
    wire::descriptor::{Descriptor, DescriptorError, PortRange, put_address, take_address},
};

fn policy() -> Policy {
    Policy::new("example", Profile::Test).expect("a short name")
}

const NOW: Unix = Unix(29_000_000 * 60);

fn check(descriptor: &Descriptor) -> Result<(), DescriptorError> {
    descriptor.check(&SuiteRef::default(), &policy(), NOW, None)
}

fn sign(address: &str, ports: Option<(u16, u16)>, epoch: u32, expiry: u32) -> Descriptor {
    let ports = ports.map(|(first, last)| PortRange { first, last });
    Descriptor::sign(
        &keys(),
        policy().network,
        address.parse().expect("an address"),
        ports,
        epoch,
        expiry,
    )
}

#[test]
fn golden_bytes() {
    // from tests/vectors/walk.json
    let expected = hex(
        "bbebade4                                                         \
         00000000000000000000ffffc6336407 1151                            \
         1388 1407                                                        \
         7ffd2d50621bea8b5e9e37a3fea9e3385c74aa496b3ef0d4c2e7a755e3cadad6 \
         12725a0a8d37737a97cc6bb9be4e26d20a258660c37c2150b5cebba4271cdb39 \
         5e5cf3ffc3b0e97df91eb064823098ffd6bda88ec4010d67393d72eb3f3aad56 \
         0003                                                             \
         01ba8140 01ba86e0                                                \
         a3a413f6a23d82346fb2a9f65806460f8b9843feea4218676d92eebf62e4d4a8 \
         5e06e5aa2d845e33f78c44f2bf73ea0c398ca78ef6d1af41db48b4da9ee32c0a",
        // network; ip, relay port; endpoint range; identity, link, onion key; flags; epoch, expiry; signature
    );
    assert_eq!(
        descriptor(production().network).bytes().as_slice(),
        expected
    );
}

#[test]
fn decoding_gives_back_what_was_signed() {
    for original in [
        sign(
            "198.51.100.7:4433",
            Some((5_000, 5_127)),
            29_000_000,
            29_001_440,
        ),
        sign("[2001:db8::1]:65535", None, 29_000_000, 29_000_001),
        sign(
            "[::ffff:198.51.100.7]:4433",
            Some((1_024, 1_024)),
            29_000_000,
            29_000_001,
        ),
    ] {
        assert_eq!(Descriptor::decode(original.bytes()), Ok(original.clone()));
        assert_eq!(check(&original), Ok(()));
    }
}

#[test]
fn every_rule_is_checked() {
    use DescriptorError as E;
    let (good, e, x) = ("198.51.100.7:4433", 29_000_000, 29_001_440);
    let cases = [
        (sign("198.51.100.7:1023", None, e, x), E::Address),
        (sign("224.0.0.1:4433", None, e, x), E::Address),
        (sign("198.51.100.7:5353", None, e, x), E::Address),
        (sign(good, Some((5_001, 5_000)), e, x), E::RangeReversed),
        (sign(good, Some((5_000, 7_048)), e, x), E::RangeTooWide),
        (sign(good, Some((1_023, 1_100)), e, x), E::RangeTooLow),
        (
            sign(good, Some((4_433, 4_500)), e, x),
            E::RangeHoldsRelayPort,
        ),
        (
            sign(good, Some((4_000, 4_433)), e, x),
            E::RangeHoldsRelayPort,
        ),
        (sign(good, None, e - 1_000, e - 3), E::Expired),
        (sign(good, None, e, e + 1_501), E::ExpiryTooFar),
        (sign(good, None, e + 3, e + 100), E::EpochAhead),
    ];
    for (bad, error) in cases {
        assert_eq!(check(&bad), Err(error));
    }
    // the nearest good neighbours of the cases above
    for fine in [
        sign("198.51.100.7:1024", None, e, x),
        sign(good, Some((5_000, 5_000)), e, x),
        sign(good, Some((5_000, 7_047)), e, x),
        sign(good, Some((1_024, 1_100)), e, x),
        sign(good, Some((4_434, 4_500)), e, x),
        sign(good, None, e - 1_000, e - 2),
        sign(good, None, e, e + 1_500),
        sign(good, None, e + 2, e + 100),
    ] {
        assert_eq!(check(&fine), Ok(()));
    }
}

#[test]
fn the_network_and_a_newer_descriptor_are_checked() {
    let ours = sign("198.51.100.7:4433", None, 29_000_000, 29_001_440);
    let foreign = descriptor(NetworkId([1, 2, 3, 4]));
    assert_eq!(check(&foreign), Err(DescriptorError::Network));
    assert_eq!(
        ours.check(&SuiteRef::default(), &policy(), NOW, Some(29_000_001)),
        Err(DescriptorError::EpochOld)
    );
    assert_eq!(
        ours.check(&SuiteRef::default(), &policy(), NOW, Some(29_000_000)),
        Ok(())
    );
    // documentation addresses are not public
    let production = descriptor(production().network);
    assert_eq!(
        production.check(&SuiteRef::default(), &super::production(), NOW, None),
        Err(DescriptorError::Address)
    );
}

#[test]
fn only_a_later_epoch_or_the_same_bytes_may_follow() {
    let at = |epoch, expiry| sign("198.51.100.7:4433", None, epoch, expiry);
    let known = at(29_000_000, 29_001_000);
    assert!(known.may_follow(&known) && at(29_000_001, 29_001_000).may_follow(&known));
    assert!(!at(29_000_000, 29_001_001).may_follow(&known));
    assert!(!at(28_999_999, 29_001_000).may_follow(&known));
}

#[test]
fn flags_must_agree_with_the_endpoint_range() {
    for (with_range, flags, fine) in [
        (true, [0, 3], true),
        (true, [0, 1], false),
        (true, [0, 2], false),
        (true, [0, 7], false),
        (true, [1, 3], false),
        (false, [0, 1], true),
        (false, [0, 3], false),
        (false, [0, 0], false),
    ] {
        let ports = with_range.then_some((5_000, 5_127));
        let mut bytes = *sign("198.51.100.7:4433", ports, 29_000_000, 29_001_440).bytes();
        bytes[122..124].copy_from_slice(&flags);
        let decoded = Descriptor::decode(&bytes);
        assert_eq!(decoded.is_ok(), fine, "{with_range} {flags:?}");
        assert!(fine || decoded == Err(DescriptorError::Flags));
    }
}

#[test]
fn every_altered_bit_breaks_the_signature_or_a_rule() {
    let good = sign(
        "198.51.100.7:4433",
        Some((5_000, 5_127)),
        29_000_000,
        29_001_440,
    );
    assert_eq!(check(&good), Ok(()));
    for at in 0..Descriptor::LEN {
        let mut bytes = *good.bytes();
        bytes[at] ^= 1;
        let refused = Descriptor::decode(&bytes).map_or(true, |altered| check(&altered).is_err());
        assert!(refused, "byte {at}");
    }
}

#[test]
fn a_weak_identity_is_refused() {
    let mut bytes = *sign("198.51.100.7:4433", None, 29_000_000, 29_001_440).bytes();
    bytes[26..58].copy_from_slice(&{
        let mut identity_element = [0; 32];
        identity_element[0] = 1;
        identity_element
    });
    let weak = Descriptor::decode(&bytes).expect("the flags agree");
    assert_eq!(check(&weak), Err(DescriptorError::WeakKey));
    // another relay's key is not weak, but did not sign
    bytes[26..58].copy_from_slice(&RelayKeys::from_seed(&[1; 32]).identity());
    let stolen = Descriptor::decode(&bytes).expect("the flags agree");
    assert_eq!(check(&stolen), Err(DescriptorError::Signature));
}

#[test]
fn only_the_endpoint_range_at_the_same_ip_is_covered() {
    let relay = sign(
        "198.51.100.7:4433",
        Some((5_000, 5_127)),
        29_000_000,
        29_001_440,
    );
    for yes in [
        "198.51.100.7:5000",
        "198.51.100.7:5127",
        "[::ffff:198.51.100.7]:5001",
    ] {
        assert!(relay.covers(yes.parse().expect("an address")), "{yes}");
    }
    for no in [
        "198.51.100.7:4999",
        "198.51.100.7:5128",
        "198.51.100.7:4433",
        "198.51.100.8:5000",
    ] {
        assert!(!relay.covers(no.parse().expect("an address")), "{no}");
    }
    let without = sign("198.51.100.7:4433", None, 29_000_000, 29_001_440);
    assert!(!without.covers("198.51.100.7:5000".parse().expect("an address")));
}

#[test]
fn addresses_are_packed_as_ipv6() {
    let v4 = put_address("198.51.100.7:5003".parse().expect("an address"));
    // ip, port
    assert_eq!(v4.as_slice(), hex("00000000000000000000ffffc6336407 138b"));
    assert_eq!(
        take_address(&v4),
        "198.51.100.7:5003".parse().expect("an address")
    );
    let v6 = put_address("[2001:db8::42]:65535".parse().expect("an address"));
    assert_eq!(v6.as_slice(), hex("20010db8000000000000000000000042 ffff"));
    assert_eq!(
        take_address(&v6),
        "[2001:db8::42]:65535".parse().expect("an address")
    );
}

proptest! {
    #[test]
    fn random_bytes_never_panic(
        bytes in prop::collection::vec(any::<u8>(), Descriptor::LEN),
        flags in 0_u8..8,
        now in any::<u64>(),
    ) {
        let mut bytes: [u8; Descriptor::LEN] = bytes.try_into().expect("that many");
        bytes[122..124].copy_from_slice(&[0, flags]);
        bytes[..4].copy_from_slice(&policy().network.0);
        if let Ok(decoded) = Descriptor::decode(&bytes) {
            prop_assert_eq!(decoded.bytes(), &bytes);
            prop_assert!(decoded.check(&SuiteRef::default(), &policy(), Unix(now), Some(7)).is_err());
            let _ = decoded.covers("127.0.0.1:5000".parse().expect("an address"));
        }
    }
}

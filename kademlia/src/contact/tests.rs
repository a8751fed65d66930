use deut_common::{address::AddressRule, suite::SuiteRef};
use ed25519_dalek::Signature;
use proptest::prelude::*;

use super::*;
use crate::{
    config::Config,
    testing::{NOW, address, contact, hex, secret},
};

/// Made by tests/vectors/blinded_peers.py.
const TWO_V4: &str = concat!(
    "ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c", // persona key of seed 07..07
    "01ba8140",                                                         // expiry: minute 29,000,000
    "01020304",                                                         // nonce
    "02",                                                               // kinds: two IPv4, no IPv6
    "c63364071f90",                                                     // 198.51.100.7:8080
    "cb0071099c40",                                                     // 203.0.113.9:40000
    "f9bb6ef28fe26f362f65574492a36997bdbb93c1ebf8bd82709a0e4859964f51", // signature, R
    "65931c101cccc78894837731e3dee8954899884cf0da558e3c88d832133b7901", // signature, s
);
const BOTH: &str = concat!(
    "ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c",
    "01ba8140",
    "00000005",
    "11",                                   // kinds: one IPv4, one IPv6
    "c63364071f90",                         // 198.51.100.7:8080
    "20010db80000000000000000000000011f91", // [2001:db8::1]:8081
    "1c0b1e0882eba39cf05c2e284a58b03644dfcc94ec3388d436e8935833b3a89e",
    "adaa155167d82c196a807900df915eea2dbe1959d807998b461a09b1baed1001",
);

fn rules() -> ContactRules {
    // The vectors name addresses that are for documentation.
    ContactRules {
        work_bits: 0,
        addresses: AddressRule::Private,
        ..Config::production().contact
    }
}

fn verify(bytes: &[u8]) -> Result<Contact, ContactError> {
    Contact::verify(&SuiteRef::default(), bytes, &rules(), NOW.unix)
}

/// Signs any bytes, so that only the rule under test refuses them.
fn signed(mut body: Vec<u8>) -> Vec<u8> {
    let signature =
        PersonaSecret::from_seed(&[7; 32]).sign(&[labels::CONTACT_SIGNATURE, &body].concat());
    body.extend_from_slice(&signature);
    body
}

fn body_of(text: &str) -> Vec<u8> {
    let bytes = hex(text);
    bytes[..bytes.len() - SIGNATURE].to_vec()
}

#[test]
fn the_bytes_are_those_of_the_independent_script() {
    let secret = PersonaSecret::from_seed(&[7; 32]);
    let two = [address("203.0.113.9:40000"), address("198.51.100.7:8080")];
    let made = Contact::sign(&secret, 0x0102_0304, 29_000_000, &two).expect("signs");
    assert_eq!(made.as_bytes(), hex(TWO_V4));
    let both = [address("[2001:db8::1]:8081"), address("198.51.100.7:8080")];
    let made = Contact::sign(&secret, 5, 29_000_000, &both).expect("signs");
    assert_eq!(made.as_bytes(), hex(BOTH));
    assert_eq!(made.as_bytes().len(), Contact::MAX_LEN);

    let contact = verify(&hex(TWO_V4)).expect("valid");
    assert_eq!(
        contact.id().to_string(),
        "4c5ece4023a0341ee2acffcc4d17154a854f02e5"
    );
    assert_eq!(contact.expiry(), Unix(29_000_000 * 60));
    assert_eq!(
        contact.addresses(),
        [address("198.51.100.7:8080"), address("203.0.113.9:40000")]
    );
    assert_eq!(
        verify(&hex(BOTH)).expect("valid").addresses(),
        [both[1], both[0]]
    );
    // SHA-256 of label, key and nonce begins with 0xb5 and 0x95: no leading zero bit.
    assert_eq!(work_bits(&contact.persona_key(), 0x0102_0304), 0);
}

#[test]
fn every_truncation_every_extension_and_every_flipped_bit_is_refused() {
    for text in [TWO_V4, BOTH] {
        let bytes = hex(text);
        assert!(verify(&bytes).is_ok(), "control");
        for length in 0..bytes.len() {
            assert!(verify(&bytes[..length]).is_err());
        }
        assert_eq!(
            verify(&[&bytes[..], &[0]].concat()),
            Err(ContactError::Malformed)
        );
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(verify(&changed).is_err(), "bit {bit}");
        }
    }
}

#[test]
fn the_kinds_allow_exactly_five_sets() {
    let legal = [0x01, 0x02, 0x03, 0x10, 0x11];
    for kinds in 0..=255u8 {
        let mut head = vec![0; HEAD];
        head.push(kinds);
        assert_eq!(
            RawContact::length(&head).is_ok(),
            legal.contains(&kinds),
            "{kinds:#04x}"
        );
    }
}

#[test]
fn addresses_out_of_order_or_twice_are_refused() {
    let good = body_of(TWO_V4);
    assert!(verify(&signed(good.clone())).is_ok(), "control");
    let (head, addresses) = good.split_at(HEAD + 1);
    let swapped = [head, &addresses[6..], &addresses[..6]].concat();
    assert_eq!(verify(&signed(swapped)), Err(ContactError::Malformed));
    let twice = [head, &addresses[..6], &addresses[..6]].concat();
    assert_eq!(verify(&signed(twice)), Err(ContactError::Malformed));
}

#[test]
fn the_expiry_must_be_near_and_not_over() {
    let end = 29_000_000 * 60;
    let at = |now: u64| {
        Contact::verify(&SuiteRef::default(), &hex(TWO_V4), &rules(), Unix(now)).map(|_| ())
    };
    assert_eq!(at(end + 119), Ok(()));
    assert_eq!(at(end + 120), Err(ContactError::Expired));
    assert_eq!(at(end - 7_200 - 120), Ok(()));
    assert_eq!(at(end - 7_200 - 121), Err(ContactError::TooLong));
    assert_eq!(at(u64::MAX), Err(ContactError::Expired));
}

#[test]
fn the_proof_of_work_counts_and_belongs_to_the_key() {
    let secret = secret(1);
    let mut search = crate::identity::WorkSearch::new(secret.public(), 16);
    let nonce = std::iter::repeat_with(|| search.step())
        .flatten()
        .next()
        .expect("found");
    let production = ContactRules {
        addresses: AddressRule::Private,
        ..Config::production().contact
    };
    let sign = |secret, nonce| {
        let contact = Contact::sign(secret, nonce, 29_000_000, &[address("198.51.100.7:8080")]);
        Contact::verify(
            &SuiteRef::default(),
            contact.expect("signs").as_bytes(),
            &production,
            NOW.unix,
        )
        .map(|_| ())
    };
    assert_eq!(sign(&secret, nonce), Ok(()));
    assert_eq!(
        sign(&secret, nonce.wrapping_add(1)),
        Err(ContactError::WorkMissing)
    );
    assert_eq!(
        sign(&crate::testing::secret(2), nonce),
        Err(ContactError::WorkMissing)
    );
}

#[test]
fn addresses_that_nobody_may_send_to_are_refused_outside_test_networks() {
    let test = Config::test().contact;
    let public = ContactRules {
        work_bits: 0,
        ..Config::production().contact
    };
    let check = |text: &str, rules: &ContactRules| {
        let contact = Contact::sign(&secret(1), 0, 29_000_000, &[address(text)]).expect("signs");
        Contact::verify(&SuiteRef::default(), contact.as_bytes(), rules, NOW.unix).map(|_| ())
    };
    let refused = Err(ContactError::BadAddress);
    for there in ["8.8.8.8:8080", "[2a00:1450::1]:8080"] {
        assert_eq!(check(there, &public), Ok(()), "control: {there}");
    }
    for local in [
        "127.0.0.1:8080",
        "10.1.2.3:8080",
        "192.168.0.1:8080",
        "172.16.0.1:8080",
        "169.254.0.1:8080",
        "100.64.0.1:8080",
        "0.1.2.3:8080",
        "250.0.0.1:8080",
        "192.0.0.8:8080",
        "198.18.0.1:8080",
        "198.51.100.7:8080",
        "203.0.113.1:8080",
        "[::1]:8080",
        "[fe80::1]:8080",
        "[fec0::1]:8080",
        "[fd00::1]:8080",
        "[::ffff:1.2.3.4]:8080",
        "[64:ff9b::808:808]:8080",
        "[100::1]:8080",
        "[2001:db8::1]:8080",
        "[2002:808:808::1]:8080",
    ] {
        assert_eq!(check(local, &public), refused, "{local}");
        assert_eq!(check(local, &test), Ok(()), "{local}");
    }
    for never in [
        "0.0.0.0:8080",
        "[::]:8080",
        "224.0.0.1:8080",
        "255.255.255.255:8080",
        "[ff02::1]:8080",
        "8.8.8.8:0",
        "8.8.8.8:53",
        "8.8.8.8:5353",
    ] {
        assert_eq!(check(never, &public), refused, "{never}");
        assert_eq!(check(never, &test), refused, "{never}");
    }
}

#[test]
fn a_small_order_key_cannot_sign_a_contact() {
    // With the identity as key, R = identity and s = 0 satisfy the equation that plain `verify` checks.
    let mut weak = body_of(TWO_V4);
    weak[..32].fill(0);
    weak[0] = 1;
    let mut signature = [0; SIGNATURE];
    signature[0] = 1;
    let message = [labels::CONTACT_SIGNATURE, &weak].concat();
    let key =
        ed25519_dalek::VerifyingKey::from_bytes(weak.first_chunk().expect("32")).expect("a point");
    let forged = Signature::from_bytes(&signature);
    assert!(
        ed25519_dalek::Verifier::verify(&key, &message, &forged).is_ok(),
        "control: the attack is real"
    );
    weak.extend_from_slice(&signature);
    assert_eq!(verify(&weak), Err(ContactError::WeakKey));
}

#[test]
fn no_output_of_debug_holds_an_address() {
    assert!(!format!("{:?}", contact(1, 10)).contains("10.0.0.1"));
}

proptest! {
    #[test]
    fn every_set_of_addresses_is_read_back(v4 in proptest::collection::btree_set(any::<([u8; 4], u16)>(), 0..4),
                                           v6: Option<([u8; 16], u16)>, expiry: u32, nonce: u32) {
        let mut addresses: Vec<_> = v4.iter().map(|(ip, port)| EndpointAddress { ip: (*ip).into(), port: *port }).collect();
        addresses.extend(v6.map(|(ip, port)| EndpointAddress { ip: ip.into(), port }));
        let legal = matches!((v4.len(), v6.is_some()), (1..=3, false) | (0..=1, true));
        match Contact::sign(&secret(1), nonce, expiry, &addresses) {
            Err(error) => prop_assert!(!legal && error == ContactError::Malformed),
            Ok(contact) => {
                prop_assert!(legal);
                prop_assert!((Contact::MIN_LEN..=Contact::MAX_LEN).contains(&contact.as_bytes().len()));
                let read = RawContact::parse_all(contact.as_bytes()).expect("parses");
                addresses.sort();
                prop_assert_eq!(read.addresses, addresses);
                prop_assert_eq!(read.bytes, contact.as_bytes());
            }
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), kinds in 0u8..0x14) {
        let _ = verify(&bytes);
        let mut bytes = bytes;
        if let Some(byte) = bytes.get_mut(HEAD) { *byte = kinds; }
        let _ = verify(&bytes);
    }
}

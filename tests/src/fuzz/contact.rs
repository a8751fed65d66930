//! Contacts: one layout for each; what is signed and obeys the rules is taken, and is refused after any change.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::OnceLock,
};

use deut_common::{address::EndpointAddress, suite::SuiteRef, time::Unix};
use deut_kademlia::{CLOCK_TOLERANCE, Contact, ContactRules, PersonaSecret, layouts};

use super::{Depth, input::Input};
use crate::net::START_UNIX;

const NOW: Unix = Unix(START_UNIX);

fn rules(production: bool) -> ContactRules {
    let config = if production {
        deut_kademlia::Config::production()
    } else {
        deut_kademlia::Config::test()
    };
    config.contact
}

/// First byte odd: the rest are the fields of a contact that is signed. Even: the rest is a contact.
#[must_use]
pub fn body(data: &[u8]) -> Depth {
    let mut input = Input::new(data);
    let mode = input.u8();
    if mode & 1 == 1 {
        return sign(&mut input, mode & 2 == 2);
    }
    let bytes = input.rest();
    let Some((again, addresses)) = layouts::contact(bytes) else {
        assert!(Contact::verify(&SuiteRef::default(), bytes, &rules(false), NOW).is_err());
        return Depth::Refused;
    };
    assert_eq!(again, bytes);
    assert!((Contact::MIN_LEN..=Contact::MAX_LEN).contains(&bytes.len()));
    assert!(addresses.is_sorted_by(|a, b| a < b) && (1..=3).contains(&addresses.len()));
    let packed: Vec<u8> = addresses.iter().flat_map(pack).collect();
    assert_eq!(packed, bytes[41..bytes.len() - 64]);
    for production in [false, true] {
        if let Ok(contact) = Contact::verify(&SuiteRef::default(), bytes, &rules(production), NOW) {
            assert!(addresses.iter().all(|at| rules(production).allows(at)));
            assert!(contact.as_bytes() == bytes && contact.addresses() == addresses);
        }
    }
    Depth::Deep
}

fn pack(address: &EndpointAddress) -> Vec<u8> {
    let mut bytes = match address.ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    bytes.extend(address.port.to_be_bytes());
    bytes
}

fn sign(input: &mut Input<'_>, production: bool) -> Depth {
    let secret = PersonaSecret::from_seed(&[input.u8(); 32]);
    let minutes = match input.u8() {
        255 => input.u32(),
        near => (START_UNIX / 60) as u32 - 10 + u32::from(near),
    };
    let nonce = input.u32();
    let kinds = input.u8();
    let mut addresses = Vec::new();
    for _ in 0..kinds & 3 {
        let ip = Ipv4Addr::from(input.array::<4>()).into();
        let port = input.u16();
        addresses.push(EndpointAddress { ip, port });
    }
    for _ in 0..kinds >> 2 & 3 {
        let ip = Ipv6Addr::from(input.array::<16>()).into();
        let port = input.u16();
        addresses.push(EndpointAddress { ip, port });
    }
    let Ok(signed) = Contact::sign(&secret, nonce, minutes, &addresses) else {
        return Depth::Refused;
    };
    let rules = rules(production);
    let verified = Contact::verify(&SuiteRef::default(), signed.as_bytes(), &rules, NOW);
    let expiry = u64::from(minutes) * 60;
    let in_time = expiry + CLOCK_TOLERANCE > NOW.0
        && expiry <= NOW.0 + rules.max_life_seconds + CLOCK_TOLERANCE;
    let allowed = in_time && addresses.iter().all(|address| rules.allows(address));
    // Nobody did the work that production wants.
    assert!(verified.is_err() || allowed);
    assert!(production || verified.is_ok() == allowed, "{verified:?}");
    if let Ok(verified) = &verified {
        assert!(*verified == signed && verified.id() == secret.id());
    }
    let mut altered = signed.as_bytes().to_vec();
    if input.mutate(&mut altered) {
        assert!(
            Contact::verify(&SuiteRef::default(), &altered, &rules, NOW).is_err(),
            "every byte is signed"
        );
    }
    Depth::deep_if(verified.is_ok())
}

/// A contact of this number: it lives for an hour at an address that names it.
#[must_use]
pub fn sample(number: u8) -> Contact {
    static SIGNED: OnceLock<Vec<Contact>> = OnceLock::new();
    let signed = SIGNED.get_or_init(|| (0..=u8::MAX).map(sign_sample).collect());
    signed[usize::from(number)].clone()
}

fn sign_sample(number: u8) -> Contact {
    let at = |ip: IpAddr| EndpointAddress { ip, port: 4_001 };
    let mut addresses = vec![at(Ipv4Addr::new(10, 7, 0, number).into())];
    if number.is_multiple_of(3) {
        addresses.push(at(Ipv6Addr::new(
            0x2001,
            0xdb8,
            0,
            0,
            0,
            0,
            0,
            u16::from(number),
        )
        .into()));
    }
    let minutes = (START_UNIX / 60) as u32 + 60;
    Contact::sign(&secret(number), 0, minutes, &addresses).expect("a legal set")
}

/// The persona of this number.
#[must_use]
pub fn secret(number: u8) -> PersonaSecret {
    PersonaSecret::from_seed(&[number; 32])
}

/// Read: short and long. Signed: each legal set, expired, not yet, changed.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let read = |number: u8| [&[0], sample(number).as_bytes()].concat();
    let mut seeds = vec![read(1), read(3)];
    for (kinds, length) in [(1_u8, 6), (2, 12), (3, 18), (4, 18), (5, 24), (9, 42)] {
        let mut bytes = vec![1, 7, 40, 0, 0, 0, 0, kinds];
        // Ascending, public, no port below 1,024.
        bytes.extend((1..=length).map(|at| 0x20 + at));
        seeds.push(bytes.clone());
        bytes.extend([1, 35, 2]);
        seeds.push(bytes);
    }
    for minutes in [5, 8, 9, 132, 133] {
        seeds.push(vec![3, 7, minutes, 0, 0, 0, 0, 1, 8, 8, 8, 8, 16, 0]);
    }
    seeds
}

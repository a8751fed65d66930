//! Peer entries: one layout; what is sealed for an infohash opens there as it was and nowhere else, and a storing node
//! refuses it after any change.

use deut_kademlia::{Announced, layouts};
use deut_transport::wire::descriptor::take_address;

use super::{Depth, contact::secret, input::Input};

/// First byte even: the rest is an entry. Odd: the rest is what is sealed, and what is changed then.
#[must_use]
pub fn body(data: &[u8]) -> Depth {
    let mut input = Input::new(data);
    let mode = input.u8();
    if mode & 1 == 1 {
        return seal(&mut input, mode);
    }
    let bytes = input.rest();
    let Some(again) = layouts::entry(bytes) else {
        assert_ne!(bytes.len(), 137);
        return Depth::Refused;
    };
    assert_eq!(again, bytes);
    let peers = layouts::Peers::of(&[0x11; 20]);
    let opened = peers.open(bytes);
    assert!(opened.is_none() || peers.is_signed(bytes));
    Depth::Deep
}

fn seal(input: &mut Input<'_>, mode: u8) -> Depth {
    let what = if mode & 2 == 2 {
        Announced::Address(take_address(&input.array()))
    } else {
        Announced::Persona(input.array())
    };
    let peers = layouts::Peers::of(&[input.u8(); 20]);
    let entry = peers.seal(input.array(), input.array(), &what);
    assert_eq!(layouts::entry(&entry).as_ref(), Some(&entry));
    assert!(peers.is_signed(&entry));
    let opened = peers.open(&entry);
    match what {
        Announced::Address(address) => {
            let ip = address.ip();
            let usable = address.port() != 0 && !ip.is_unspecified() && !ip.is_multicast();
            assert_eq!(opened.is_some(), usable);
        }
        Announced::Persona(key) => assert!(opened.is_some() || key != secret(mode).public()),
    }
    assert!(opened.is_none_or(|opened| opened == what));
    let other = layouts::Peers::of(&[0xee; 20]);
    if other.blinded() != peers.blinded() {
        assert!(!other.is_signed(&entry) && other.open(&entry).is_none());
    }
    let mut altered = entry;
    if input.mutate(&mut altered) {
        assert!(!peers.is_signed(&altered) && peers.open(&altered).is_none());
    }
    Depth::deep_if(opened.is_some())
}

/// The blinded key and an entry of the infohash of this number.
#[must_use]
pub fn sample(number: u8) -> ([u8; 32], Vec<u8>) {
    let peers = layouts::Peers::of(&[number; 20]);
    let what = Announced::Persona(secret(number).public());
    let entry = peers.seal([number; 8], [3; 16], &what);
    (peers.blinded(), entry)
}

/// Entries of one infohash and another, personas and addresses that are sealed, untouched and changed.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let address = |ip: &str, port: u16| {
        let ip: std::net::Ipv6Addr = ip.parse().expect("an address");
        [&[3], &ip.octets()[..], &port.to_be_bytes(), &[5; 25]].concat()
    };
    let persona = |changes: &[u8]| [&[1], &secret(1).public()[..], &[5; 25], changes].concat();
    vec![
        [&[0], sample(0x11).1.as_slice()].concat(),
        [&[0], sample(0x12).1.as_slice()].concat(),
        persona(&[]),
        persona(&[1, 100, 1]),
        [&[1], &[2; 58][..]].concat(),
        address("::ffff:8.8.8.8", 6_881),
        address("2001:db8::1", 1),
        address("::", 1),
        address("ff02::1", 1),
        address("2001:db8::1", 0),
    ]
}

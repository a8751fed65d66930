//! Helpers of the unit tests.
use deut_common::{
    address::EndpointAddress,
    time::{Mono, Now, Unix},
};

use crate::{contact::Contact, identity::PersonaSecret};

/// Some day in 2025; the contacts of the vectors end at minute 29,000,000.
pub(crate) const NOW: Now = Now {
    mono: Mono(1_000_000),
    unix: Unix(29_000_000 * 60 - 600),
};

pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    data_encoding::HEXLOWER_PERMISSIVE
        .decode(digits.as_bytes())
        .expect("hexadecimal digits")
}

pub(crate) fn address(text: &str) -> EndpointAddress {
    let address: std::net::SocketAddr = text.parse().expect("address");
    EndpointAddress {
        ip: address.ip(),
        port: address.port(),
    }
}

pub(crate) fn secret(number: u64) -> PersonaSecret {
    let mut seed = [0x5a; 32];
    seed[..8].copy_from_slice(&number.to_be_bytes());
    PersonaSecret::from_seed(&seed)
}

/// A contact without proof of work that ends `life_minutes` after [`NOW`].
pub(crate) fn contact(number: u64, life_minutes: u32) -> Contact {
    let ip = [10, 0, (number >> 8) as u8, number as u8].into();
    contact_at(number, life_minutes, EndpointAddress { ip, port: 20_000 })
}

/// The same at this address.
pub(crate) fn contact_at(number: u64, life_minutes: u32, address: EndpointAddress) -> Contact {
    let minutes = (NOW.unix.0 / 60) as u32 + life_minutes;
    Contact::sign(&secret(number), 0, minutes, &[address]).expect("signs")
}

/// A contact of the greatest length.
pub(crate) fn longest_contact(number: u64) -> Contact {
    let minutes = (NOW.unix.0 / 60) as u32 + 10;
    let addresses = [address("198.51.100.7:8080"), address("[2001:db8::1]:8081")];
    Contact::sign(&secret(number), 0, minutes, &addresses).expect("signs")
}

//! Relay descriptors: what is read is written again byte for byte; what is signed and obeys the rules is taken, and is
//! refused after any change.

use deut_common::{suite::SuiteRef, time::Unix};
use deut_transport::{
    keys::RelayKeys,
    wire::descriptor::{
        Descriptor, MAX_ENDPOINT_PORTS, MAX_VALIDITY_MINUTES, PortRange, RelayFlags,
        TOLERANCE_MINUTES, put_address, take_address,
    },
};

use super::{
    Depth,
    input::{Input, sized},
};
use crate::kit::{
    net::{Net, START_UNIX},
    relay::{START_MINUTES, sample},
};

/// First byte even: the rest is a descriptor. Odd: the rest are the fields of one that is signed.
#[must_use]
pub fn body(data: &[u8]) -> Depth {
    let mut input = Input::new(data);
    if input.u8() & 1 == 1 {
        return sign(&mut input);
    }
    let bytes: [u8; Descriptor::LEN] = sized(input.rest());
    let Ok(descriptor) = Descriptor::decode(&bytes) else {
        return Depth::Refused;
    };
    assert_eq!(rewritten(&descriptor), bytes[..132]);
    assert_eq!(descriptor.bytes(), &bytes);
    assert!(!descriptor.covers(descriptor.address) || descriptor.endpoint_ports.is_some());
    let checked = descriptor.check(&SuiteRef::default(), &Net::policy(), Unix(START_UNIX), None);
    if checked.is_ok() {
        assert!(obeys(&descriptor));
    }
    Depth::Deep
}

/// The signed part, from the fields.
fn rewritten(descriptor: &Descriptor) -> Vec<u8> {
    let (first, last) = descriptor
        .endpoint_ports
        .map_or((0, 0), |range| (range.first, range.last));
    let flags = RelayFlags::new(descriptor.endpoint_ports.is_some()).bits();
    let parts: [&[u8]; 10] = [
        &descriptor.network.0,
        &put_address(descriptor.address),
        &first.to_be_bytes(),
        &last.to_be_bytes(),
        &descriptor.identity,
        &descriptor.link,
        &descriptor.onion,
        &flags.to_be_bytes(),
        &descriptor.epoch.to_be_bytes(),
        &descriptor.expiry.to_be_bytes(),
    ];
    parts.concat()
}

/// The rules of protocol §3.1, written a second time.
fn obeys(descriptor: &Descriptor) -> bool {
    let port = descriptor.address.port();
    let range = descriptor
        .endpoint_ports
        .is_none_or(|PortRange { first, last }| {
            (1_024..=last).contains(&first)
                && usize::from(last - first) < MAX_ENDPOINT_PORTS
                && !(first..=last).contains(&port)
        });
    let validity = i64::from(descriptor.expiry) - i64::from(descriptor.epoch);
    range
        && descriptor.network == Net::policy().network
        && Net::policy().may_send_to(descriptor.address)
        && validity <= i64::from(MAX_VALIDITY_MINUTES)
        && u64::from(descriptor.expiry) + u64::from(TOLERANCE_MINUTES) >= u64::from(START_MINUTES)
        && descriptor.epoch <= START_MINUTES + TOLERANCE_MINUTES
}

fn sign(input: &mut Input<'_>) -> Depth {
    let keys = RelayKeys::from_seed(&[input.u8(); 32]);
    let address = take_address(&input.array());
    let ports = (input.u8() & 1 == 1).then(|| PortRange {
        first: input.u16(),
        last: input.u16(),
    });
    let epoch = minutes(input);
    let expiry = epoch.saturating_add(u32::from(input.u16()));
    let network = Net::policy().network;
    let made = Descriptor::sign(&keys, network, address, ports, epoch, expiry);
    let ports_read = ports.filter(|range| (range.first, range.last) != (0, 0));
    let Ok(read) = Descriptor::decode(made.bytes()) else {
        assert_ne!(ports, ports_read, "only the empty range reads as none");
        return Depth::Refused;
    };
    assert!(read == made && read.address == address && read.id() == keys.id());
    let checked = read.check(&SuiteRef::default(), &Net::policy(), Unix(START_UNIX), None);
    assert_eq!(checked.is_ok(), obeys(&read), "{checked:?}");
    let mut altered = *made.bytes();
    if input.mutate(&mut altered) {
        let fine = Descriptor::decode(&altered).is_ok_and(|other| {
            other
                .check(&SuiteRef::default(), &Net::policy(), Unix(START_UNIX), None)
                .is_ok()
        });
        assert!(!fine, "every byte is signed");
    }
    Depth::deep_if(checked.is_ok())
}

fn minutes(input: &mut Input<'_>) -> u32 {
    match input.u8() {
        255 => input.u32(),
        near => START_MINUTES - 100 + u32::from(near),
    }
}

/// Read: real ones, one without endpoint ports. Signed: within the rules and at their edges.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let (keys, shown) = sample(1);
    let plain = Descriptor::sign(
        &keys,
        Net::policy().network,
        "[2001:db8::1]:4000".parse().expect("an address"),
        None,
        START_MINUTES,
        START_MINUTES + 10,
    );
    let read = |descriptor: &Descriptor| [&[0], &descriptor.bytes()[..]].concat();
    let signs = |ports: [u16; 2], epoch: u8, life: u16| {
        let parts: [&[u8]; 8] = [
            &[1, 7],
            &put_address(([10, 1, 2, 3], 4_000).into()),
            &[1],
            &ports[0].to_be_bytes(),
            &ports[1].to_be_bytes(),
            &[epoch],
            &life.to_be_bytes(),
            &[1, 30, 4],
        ];
        parts.concat()
    };
    vec![
        read(&shown),
        read(&plain),
        signs([5_000, 5_100], 100, 1_440),
        signs([5_000, 7_047], 102, 1_500),
        signs([0, 0], 100, 1_500),
        signs([3_999, 4_001], 100, 1_501),
    ]
}

//! Requests and answers of the DHT: one encoding for each, within the lengths that a message can carry.

use deut_kademlia::{MAX_ANSWER_BODY, MAX_REQUEST_BODY, layouts};

use super::{Depth, contact::sample, entry, mutable};

/// Any bytes as a request.
#[must_use]
pub fn request(data: &[u8]) -> Depth {
    let Some(again) = layouts::request(data) else {
        return Depth::Refused;
    };
    assert_eq!(again, data);
    assert!(data.len() <= MAX_REQUEST_BODY);
    assert_eq!(layouts::answer(data), None, "no bytes are both");
    Depth::Deep
}

/// Any bytes as an answer.
#[must_use]
pub fn answer(data: &[u8]) -> Depth {
    let Some(again) = layouts::answer(data) else {
        return Depth::Refused;
    };
    assert_eq!(again, data);
    assert!(data.len() <= MAX_ANSWER_BODY);
    assert_eq!(layouts::request(data), None, "no bytes are both");
    Depth::Deep
}

/// The bodies of protocol §10, put together by hand.
pub mod bodies {
    use deut_kademlia::MutableRecord;

    use super::sample;

    /// PING or, with a target, FIND_NODE; with the contact of that number or none.
    #[must_use]
    pub fn find(target: Option<[u8; 20]>, sender: Option<u8>) -> Vec<u8> {
        let mut body = vec![if target.is_some() { 2 } else { 1 }];
        body.extend(target.iter().flatten());
        body.push(u8::from(sender.is_some()));
        if let Some(number) = sender {
            body.extend(sample(number).as_bytes());
        }
        body
    }

    /// FIND_VALUE.
    #[must_use]
    pub fn find_value(kind: u8, key: [u8; 20]) -> Vec<u8> {
        [&[3, kind], &key[..]].concat()
    }

    /// STORE of a value.
    #[must_use]
    pub fn store_value(token: [u8; 8], value: &[u8]) -> Vec<u8> {
        let length = (value.len() as u16).to_be_bytes();
        [&[4], &token[..], &[1], &length, value].concat()
    }

    /// STORE of a peer entry.
    #[must_use]
    pub fn store_peer(token: [u8; 8], blinded: [u8; 32], entry: &[u8]) -> Vec<u8> {
        [&[4], &token[..], &[2], &blinded, entry].concat()
    }

    /// A version: number, signature, value.
    #[must_use]
    pub fn version(record: &MutableRecord) -> Vec<u8> {
        let length = (record.value().len() as u16).to_be_bytes();
        let seq = record.seq().to_be_bytes();
        [&seq, &record.signature()[..], &length, record.value()].concat()
    }

    /// STORE of a mutable record.
    #[must_use]
    pub fn store_mutable(token: [u8; 8], record: &MutableRecord, cas: Option<i64>) -> Vec<u8> {
        let of = record.key();
        let mut body = [&[4], &token[..], &[3], &of.public_key()].concat();
        body.push(of.salt().len() as u8);
        body.extend(of.salt());
        body.push(u8::from(cas.is_some()));
        body.extend(cas.iter().flat_map(|cas| cas.to_be_bytes()));
        body.extend(version(record));
        body
    }

    /// MUTABLE.
    #[must_use]
    pub fn mutable(token: [u8; 8], record: &MutableRecord) -> Vec<u8> {
        [&[0x86], &token[..], &version(record)].concat()
    }

    /// STORED with the version that stands against it: 4 to 6.
    #[must_use]
    pub fn conflict(why: u8, kept: &MutableRecord) -> Vec<u8> {
        [&[0x85, why], version(kept).as_slice()].concat()
    }

    /// NODES.
    #[must_use]
    pub fn nodes(token: [u8; 8], contacts: &[u8]) -> Vec<u8> {
        let mut body = [&[0x82], &token[..], &[contacts.len() as u8]].concat();
        for &number in contacts {
            body.extend(sample(number).as_bytes());
        }
        body
    }

    /// VALUE.
    #[must_use]
    pub fn value(token: [u8; 8], value: &[u8]) -> Vec<u8> {
        let length = (value.len() as u16).to_be_bytes();
        [&[0x83], &token[..], &length, value].concat()
    }

    /// PEERS.
    #[must_use]
    pub fn peers(token: [u8; 8], entries: &[Vec<u8>]) -> Vec<u8> {
        let head = [&[0x84], &token[..], &[entries.len() as u8]].concat();
        [head, entries.concat()].concat()
    }
}

/// Each request, short and long.
#[must_use]
pub fn request_seeds() -> Vec<Vec<u8>> {
    let (blinded, sealed) = entry::sample(1);
    vec![
        bodies::find(None, None),
        bodies::find(None, Some(1)),
        bodies::find(Some([7; 20]), None),
        bodies::find(Some([7; 20]), Some(3)),
        bodies::find_value(1, [7; 20]),
        bodies::find_value(2, [7; 20]),
        bodies::store_value([1; 8], b"a value"),
        bodies::store_value([1; 8], &[9; 800]),
        bodies::store_value([1; 8], &[9; 801]),
        bodies::store_peer([1; 8], blinded, &sealed),
        bodies::find_value(3, [7; 20]),
        bodies::store_mutable([1; 8], &mutable::sample(3, 0, 0), None),
        bodies::store_mutable([1; 8], &mutable::sample(2, 5, 796), Some(4)),
    ]
}

/// Each answer, short and long.
#[must_use]
pub fn answer_seeds() -> Vec<Vec<u8>> {
    let entries: Vec<Vec<u8>> = (1..=7).map(|number| entry::sample(number).1).collect();
    let mut seeds = vec![
        [&[0x81], sample(1).as_bytes()].concat(),
        bodies::nodes([1; 8], &[]),
        bodies::nodes([1; 8], &[1, 2, 3]),
        bodies::nodes([1; 8], &[3, 6, 9, 12, 15, 18, 21, 24]),
        bodies::value([1; 8], b""),
        bodies::value([1; 8], &[9; 800]),
        bodies::peers([1; 8], &entries[..1]),
        bodies::peers([1; 8], &entries),
        bodies::peers([1; 8], &[]),
    ];
    seeds.extend((0..=4).map(|result| vec![0x85, result]));
    seeds.push(bodies::mutable([1; 8], &mutable::sample(1, 7, 796)));
    seeds.push(bodies::conflict(4, &mutable::sample(1, 7, 3)));
    seeds.push(bodies::conflict(6, &mutable::sample(2, i64::MAX, 0)));
    seeds
}

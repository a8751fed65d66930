//! The file of saved relays: what is read is written again byte for byte, and a node that starts from any such file
//! takes no relay on trust.

use std::sync::Arc;

use deut::data_dir::relays::{decode, encode};
use deut_transport::{
    Restored, Transport,
    config::{Config, Role},
};

use super::Depth;
use crate::{
    kit::relay::sample,
    net::{Net, clock},
    stand_in::StandIn,
};

/// First byte odd: a digest that fits is put before the rest. Even: the rest is the whole file.
#[must_use]
pub fn body(data: &[u8]) -> Depth {
    let Some((mode, rest)) = data.split_first() else {
        return Depth::Refused;
    };
    let file = if mode & 1 == 1 {
        encode(rest.as_chunks().0)
    } else {
        rest.to_vec()
    };
    let Some(relays) = decode(&file) else {
        let relays = rest.len() / 196;
        assert!(mode & 1 == 0 || relays > 256, "a good file is read");
        return Depth::Refused;
    };
    assert_eq!(encode(&relays), file);
    let now = clock(0);
    let restored = Restored {
        key_seed: [1; 32],
        relays,
    };
    let config = Config::new(Net::policy(), Role::Client);
    let node = Transport::new(config, Arc::new(StandIn), &restored, [2; 32], now);
    assert!(node.relays().is_empty(), "they are asked first");
    assert!(node.audit().within_caps());
    Depth::Deep
}

/// None, some, a damaged file, one that breaks off.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let relays: Vec<[u8; 196]> = (1..=3).map(|number| *sample(number).1.bytes()).collect();
    let file = [&[0], encode(&relays).as_slice()].concat();
    let mut damaged = file.clone();
    damaged[100] ^= 1;
    vec![
        [&[0], encode(&[]).as_slice()].concat(),
        [&[1], relays.concat().as_slice()].concat(),
        file[..300].to_vec(),
        file,
        damaged,
    ]
}

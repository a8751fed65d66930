use rand::Rng;

use super::{rng, share_a_run};
use crate::crypto::layer::LayerKeys;

/// The master's and the hops' copies of the same keys.
fn keys(hops: usize, seed: u64) -> (Vec<LayerKeys>, Vec<LayerKeys>) {
    let mut rng = rng(seed);
    (0..hops)
        .map(|_| {
            let mut bytes = [0; 64];
            rng.fill_bytes(&mut bytes);
            (LayerKeys::from_bytes(&bytes), LayerKeys::from_bytes(&bytes))
        })
        .unzip()
}

fn start() -> ([u8; 16], [u8; 1_179]) {
    let mut nonce = [0; 16];
    nonce[..8].copy_from_slice(&77_u64.to_be_bytes());
    let mut body = [0; 1_179];
    rng(9).fill_bytes(&mut body);
    (nonce, body)
}

#[test]
fn a_cell_from_the_master_comes_out_at_the_endpoint() {
    for hops in 1..=12 {
        let (master, relays) = keys(hops, 1);
        let (mut nonce, mut body) = start();
        for layer in master.iter().rev() {
            layer.prepare_forward(&mut nonce, &mut body);
        }
        assert_ne!((nonce, body), start());
        for layer in &relays {
            layer.forward(&mut nonce, &mut body);
        }
        assert_eq!((nonce, body), start(), "{hops} hops");
    }
}

#[test]
fn a_cell_from_the_endpoint_comes_out_at_the_master() {
    for hops in 1..=12 {
        let (master, relays) = keys(hops, 2);
        let (mut nonce, mut body) = start();
        for layer in relays.iter().rev() {
            layer.back(&mut nonce, &mut body);
        }
        for layer in &master {
            layer.undo_back(&mut nonce, &mut body);
        }
        assert_eq!((nonce, body), start(), "{hops} hops");
    }
}

#[test]
fn nothing_on_one_link_is_seen_on_another() {
    let (_, relays) = keys(12, 3);
    let (mut nonce, mut body) = start();
    let mut seen = vec![[nonce.as_slice(), body.as_slice()].concat()];
    for layer in &relays {
        layer.forward(&mut nonce, &mut body);
        let cell = [nonce.as_slice(), body.as_slice()].concat();
        assert!(seen.iter().all(|earlier| !share_a_run(earlier, &cell)));
        seen.push(cell);
    }
    assert!(share_a_run(&seen[3], &seen[3]));
}

#[test]
fn the_two_directions_have_different_keys() {
    let (one, _) = keys(1, 4);
    let (mut forward, mut back) = (start(), start());
    one[0].forward(&mut forward.0, &mut forward.1);
    one[0].back(&mut back.0, &mut back.1);
    assert!(forward.0 != back.0 && forward.1 != back.1);
}

#[test]
fn the_counter_block_carries_through_all_sixteen_bytes() {
    // AES-CTR from 2^128 - 1 on: the second block is the one of counter 0.
    let (one, _) = keys(1, 5);
    let (mut high, mut zero) = (([0xff; 16], [0; 1_179]), ([0; 16], [0; 1_179]));
    one[0].forward(&mut high.0, &mut high.1);
    one[0].forward(&mut zero.0, &mut zero.1);
    assert_eq!(high.1[16..], zero.1[..1_163]);
    assert_ne!(high.1[..16], zero.1[..16]);
}

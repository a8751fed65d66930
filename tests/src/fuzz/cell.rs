//! Cells: the plaintext is read and written again byte for byte, and a tunnel's end takes from its cipher only what is
//! genuine, new, and of a type that it may receive under that key.

use std::net::SocketAddr;

use deut_common::ids::RelayId;
use deut_transport::{
    DropReason,
    crypto::{
        aead::{AeadKey, counter_nonce},
        tunnel::TunnelCipher,
        walk::DirectionKeys,
    },
    ids::Gate,
    wire::{
        cell::{CELL_PLAINTEXT, Cell, MAX_CONTACT, MAX_CONTACTS},
        frame::CELL_BODY,
    },
};

use super::{
    Depth,
    frame::trimmed,
    input::{Input, sized},
};

/// First byte: how the cell travels (bit 0: under K1, bit 1: to the master, bit 2: altered). The rest is its plaintext.
#[must_use]
pub fn body(data: &[u8]) -> Depth {
    let mut input = Input::new(data);
    let mode = input.u8();
    let plaintext: [u8; CELL_PLAINTEXT] = sized(input.rest());
    let decoded = Cell::decode(&plaintext).ok();
    if let Some(cell) = &decoded {
        check(cell, &plaintext);
    }
    travel(mode, &plaintext, decoded.as_ref());
    Depth::deep_if(decoded.is_some())
}

fn check(cell: &Cell, plaintext: &[u8; CELL_PLAINTEXT]) {
    assert!(cell.encode() == *plaintext, "{cell:?}");
    assert_eq!(cell.kind(), plaintext[0]);
    let is_message = matches!(cell, Cell::Send { .. } | Cell::Deliver { .. });
    assert_eq!(cell.number().is_none(), is_message);
    match cell {
        Cell::Advertise { contact, .. } => assert!(contact.len() <= MAX_CONTACT),
        Cell::SeedsAnswer { contacts, .. } => {
            assert!(contacts.len() <= MAX_CONTACTS);
            assert!(contacts.iter().all(|contact| contact.len() <= MAX_CONTACT));
        }
        Cell::SetGate { slot, .. } => assert!(*slot <= 1),
        _ => {}
    }
}

fn keys(number: u8) -> DirectionKeys {
    DirectionKeys {
        forward: AeadKey::new([number; 32]),
        back: AeadKey::new([number + 1; 32]),
    }
}

fn travel(mode: u8, plaintext: &[u8; CELL_PLAINTEXT], decoded: Option<&Cell>) {
    let (under_k1, to_master) = (mode & 1 == 1, mode & 2 == 2);
    let counter = u64::from(mode) * 300;
    let sealing = keys(if under_k1 { 30 } else { 10 });
    let key = if to_master {
        sealing.back
    } else {
        sealing.forward
    };
    let mut body = [0; CELL_BODY];
    body[..CELL_PLAINTEXT].copy_from_slice(plaintext);
    key.seal_in_place(counter_nonce(counter), &[], &mut body);
    let mut nonce = [0; 16];
    nonce[..8].copy_from_slice(&counter.to_be_bytes());
    let mut end = if to_master {
        TunnelCipher::master(keys(10))
    } else {
        TunnelCipher::endpoint(keys(10))
    };
    end.set_session(keys(30));
    let genuine = body;
    if mode & 4 == 4 {
        body[usize::from(mode) * 4 % CELL_BODY] ^= mode;
        assert_eq!(end.open(nonce, &mut body), Err(DropReason::CellForged));
        nonce[12] = 1;
        let mut body = genuine;
        assert_eq!(end.open(nonce, &mut body), Err(DropReason::CellForged));
        nonce[12] = 0;
    }
    // A forged cell has used up nothing.
    let mut body = genuine;
    let opened = end.open(nonce, &mut body);
    match (&opened, decoded) {
        (Ok(opened), Some(decoded)) => {
            assert_eq!(opened, decoded);
            assert!(opened.is_from_master() != to_master && opened.is_exchange() != under_k1);
        }
        (Err(DropReason::UnexpectedCell), Some(cell)) => {
            assert!(cell.is_from_master() == to_master || cell.is_exchange() == under_k1);
        }
        (Err(DropReason::Malformed), None) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(end.is_confirmed(), under_k1);
    let mut body = genuine;
    assert_eq!(end.open(nonce, &mut body), Err(DropReason::Replayed));
}

/// One cell of each type, in the way that it really travels.
#[must_use]
pub fn cells() -> Vec<Cell> {
    let number = 0x0102_0304;
    let to: SocketAddr = ([10, 0, 0, 2], 4_001).into();
    let datagram = Box::new([6; 1_120]);
    vec![
        Cell::Exchange {
            number,
            spki: Box::new([0x30; 294]),
            sealed: Box::new([4; 256]),
        },
        Cell::Exchanged {
            number,
            sealed: Box::new([4; 256]),
            confirmation: [5; 32],
        },
        Cell::SetGate {
            number,
            slot: 1,
            gate: Gate([7; 8]),
        },
        Cell::GateSet { number },
        Cell::Advertise {
            number,
            contact: vec![8; MAX_CONTACT],
        },
        Cell::Advertised { number },
        Cell::Seeds { number },
        Cell::SeedsAnswer {
            number,
            contacts: vec![vec![8; MAX_CONTACT]; 3],
        },
        Cell::Describe {
            number,
            relay: RelayId([9; 20]),
        },
        Cell::Described {
            number,
            descriptor: None,
        },
        Cell::Described {
            number,
            descriptor: Some(Box::new([1; 196])),
        },
        Cell::Close { number },
        Cell::Closed { number },
        Cell::Echo {
            number,
            data: [1; 8],
        },
        Cell::Echoed {
            number,
            data: [1; 8],
        },
        Cell::Send {
            to,
            datagram: datagram.clone(),
        },
        Cell::Deliver { datagram },
    ]
}

/// Each type once as it travels, some as they must not.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (at, cell) in (0_u8..).zip(cells()) {
        let right = u8::from(!cell.is_exchange()) | u8::from(!cell.is_from_master()) << 1;
        let mode = if at % 5 == 4 { right ^ 7 } else { right };
        seeds.push([&[mode], trimmed(&cell.encode()).as_slice()].concat());
    }
    seeds
}

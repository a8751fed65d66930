use deut_common::{codec::Malformed, ids::RelayId};
use proptest::prelude::*;

use super::{hex, padding_is_checked, rule};
use crate::{ids::Gate, wire::cell::Cell};

/// One cell of each type, with its bytes before the padding.
#[expect(clippy::too_many_lines, reason = "a table")]
fn golden() -> Vec<(Cell, Vec<u8>)> {
    let number = 0x0102_0304;
    let with = |head: &str, parts: &[&[u8]]| {
        let mut bytes = hex(head);
        parts.iter().for_each(|part| bytes.extend_from_slice(part));
        bytes
    };
    let (spki, oaep, datagram) = (rule::<294>(17, 1), rule::<256>(23, 3), rule::<1_120>(7, 3));
    vec![
        // in each: type, length; number; then as commented
        (
            Cell::Exchange {
                number,
                spki: Box::new(spki),
                sealed: Box::new(oaep),
            },
            with("01 022a 01020304", &[&spki, &oaep]), // SPKI, OAEP
        ),
        (
            Cell::Exchanged {
                number,
                sealed: Box::new(oaep),
                confirmation: rule(1, 9),
            },
            with("81 0124 01020304", &[&oaep, &rule::<32>(1, 9)]), // OAEP, confirmation
        ),
        (
            Cell::SetGate {
                number,
                slot: 1,
                gate: Gate(rule(1, 0xa0)),
            },
            hex("02 000d 01020304 01 a0a1a2a3a4a5a6a7"), // slot, gate
        ),
        (Cell::GateSet { number }, hex("82 0004 01020304")),
        (
            Cell::Advertise {
                number,
                contact: vec![7, 8, 9],
            },
            hex("03 0008 01020304 03 070809"), // length, contact
        ),
        (
            Cell::Advertise {
                number,
                contact: Vec::new(),
            },
            hex("03 0005 01020304 00"),
        ),
        (Cell::Advertised { number }, hex("83 0004 01020304")),
        (Cell::Seeds { number }, hex("04 0004 01020304")),
        (
            Cell::SeedsAnswer {
                number,
                contacts: vec![vec![7, 8], vec![9]],
            },
            hex("84 000a 01020304 02 02 0708 01 09"), // count, length, contact, length, contact
        ),
        (
            Cell::Describe {
                number,
                relay: RelayId(rule(1, 1)),
            },
            with("05 0018 01020304", &[&rule::<20>(1, 1)]),
        ),
        (
            Cell::Described {
                number,
                descriptor: Some(Box::new(rule(3, 1))),
            },
            with("85 00c9 01020304 01", &[&rule::<196>(3, 1)]), // found, descriptor
        ),
        (
            Cell::Described {
                number,
                descriptor: None,
            },
            with("85 00c9 01020304 00", &[&[0; 196]]),
        ),
        (Cell::Close { number }, hex("06 0004 01020304")),
        (Cell::Closed { number }, hex("86 0004 01020304")),
        (
            Cell::Echo {
                number,
                data: rule(1, 1),
            },
            hex("07 000c 01020304 0102030405060708"),
        ),
        (
            Cell::Echoed {
                number,
                data: rule(1, 1),
            },
            hex("87 000c 01020304 0102030405060708"),
        ),
        (
            Cell::Send {
                to: "198.51.100.7:5003".parse().expect("an address"),
                datagram: Box::new(datagram),
            },
            // ip, port, kind; datagram; zero
            with(
                "10 0488 00000000000000000000ffffc6336407 138b 01",
                &[&datagram, &[0; 21]],
            ),
        ),
        (
            Cell::Deliver {
                datagram: Box::new(datagram),
            },
            with("11 0460", &[&datagram]),
        ),
    ]
}

#[test]
fn golden_bytes_and_round_trips() {
    for (cell, content) in golden() {
        let bytes = cell.encode();
        assert_eq!(&bytes[..content.len()], content, "{cell:?}");
        assert!(
            bytes[content.len()..].iter().all(|&byte| byte == 0),
            "{cell:?}"
        );
        assert_eq!(bytes[0], cell.kind());
        assert_eq!(Cell::decode(&bytes), Ok(cell));
    }
}

#[test]
fn padding_behind_every_type_is_checked() {
    for (cell, content) in golden() {
        padding_is_checked(&cell.encode(), content.len(), |bytes| {
            Cell::decode(bytes).is_ok()
        });
    }
    // the zero bytes inside `send`
    let (send, _) = golden().swap_remove(16);
    padding_is_checked(&send.encode(), 3 + 16 + 2 + 1 + 1_120, |bytes| {
        Cell::decode(bytes).is_ok()
    });
}

#[test]
fn every_other_length_is_refused() {
    for (cell, _) in golden() {
        let good = cell.encode();
        let right = u16::from_be_bytes([good[1], good[2]]);
        for length in (0..=1_163).chain([u16::MAX]) {
            let mut bytes = good;
            bytes[1..3].copy_from_slice(&length.to_be_bytes());
            assert_eq!(
                Cell::decode(&bytes).is_ok(),
                length == right,
                "{cell:?} {length}"
            );
        }
    }
}

#[test]
fn values_out_of_their_range_are_refused() {
    let number = 1;
    for slot in 0..=255 {
        let bytes = Cell::SetGate {
            number,
            slot,
            gate: Gate([1; 8]),
        }
        .encode();
        assert_eq!(Cell::decode(&bytes).is_ok(), slot < 2, "slot {slot}");
    }
    let described = Cell::Described {
        number,
        descriptor: Some(Box::new([1; 196])),
    }
    .encode();
    for found in 0..=255 {
        let mut bytes = described;
        bytes[7] = found;
        assert_eq!(Cell::decode(&bytes).is_ok(), found == 1, "found {found}");
    }
    let send = Cell::Send {
        to: "198.51.100.7:5003".parse().expect("an address"),
        datagram: Box::new([1; 1_120]),
    };
    for kind in 0..=255 {
        let mut bytes = send.encode();
        bytes[21] = kind;
        assert_eq!(
            Cell::decode(&bytes).is_ok(),
            kind == 1,
            "kind of message {kind}"
        );
    }
    for kind in 0..=255 {
        let mut bytes = Cell::Seeds { number }.encode();
        bytes[0] = kind;
        let known = [4, 130, 131, 134, 6].contains(&kind);
        assert_eq!(
            Cell::decode(&bytes).is_ok(),
            known,
            "type {kind} with four bytes of data"
        );
    }
}

#[test]
fn the_longest_contacts_fit_and_longer_ones_are_refused() {
    let full = Cell::SeedsAnswer {
        number: 1,
        contacts: vec![vec![9; 129]; 8],
    };
    assert_eq!(Cell::decode(&full.encode()), Ok(full.clone()));
    let longest = Cell::Advertise {
        number: 1,
        contact: vec![9; 129],
    };
    assert_eq!(Cell::decode(&longest.encode()), Ok(longest.clone()));

    // one contact more or one byte more: only another encoder writes that
    let mut nine = full.encode();
    nine[7] = 9;
    nine[1..3].copy_from_slice(&(4_u16 + 1 + 9).to_be_bytes());
    nine[8..].fill(0);
    assert_eq!(Cell::decode(&nine), Err(Malformed));
    nine[7] = 8;
    nine[1..3].copy_from_slice(&(4_u16 + 1 + 8).to_be_bytes());
    assert_eq!(
        Cell::decode(&nine),
        Ok(Cell::SeedsAnswer {
            number: 1,
            contacts: vec![Vec::new(); 8]
        })
    );
    let mut long = longest.encode();
    long[7] = 130;
    long[1..3].copy_from_slice(&(4_u16 + 1 + 130).to_be_bytes());
    assert_eq!(Cell::decode(&long), Err(Malformed));

    // and our own encoder leaves out what does not fit
    let ours = Cell::SeedsAnswer {
        number: 1,
        contacts: [vec![vec![1; 130]], vec![vec![2; 5]; 9]].concat(),
    };
    let eight = Cell::SeedsAnswer {
        number: 1,
        contacts: vec![vec![2; 5]; 8],
    };
    assert_eq!(Cell::decode(&ours.encode()), Ok(eight));
    let ours = Cell::Advertise {
        number: 1,
        contact: vec![1; 130],
    };
    assert_eq!(
        Cell::decode(&ours.encode()),
        Ok(Cell::Advertise {
            number: 1,
            contact: Vec::new()
        })
    );
}

#[test]
fn each_type_has_its_direction_and_requests_their_number() {
    for (cell, _) in golden() {
        let answers = cell.kind() >= 128 || cell.kind() == 17;
        assert_eq!(cell.is_from_master(), !answers, "{cell:?}");
        assert_eq!(
            cell.number(),
            (cell.kind() & 0x7f < 8).then_some(0x0102_0304)
        );
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic_and_what_decodes_encodes_alike(
        bytes in prop::collection::vec(any::<u8>(), 1_163),
        which in 0_usize..18,
        at in 3_usize..400,
    ) {
        let bytes: [u8; 1_163] = bytes.try_into().expect("that many");
        let _ = Cell::decode(&bytes).is_ok();
        let (cell, content) = golden().swap_remove(which);
        let mut altered = cell.encode();
        let at = at.min(content.len());
        altered[at..content.len()].copy_from_slice(&bytes[at..content.len()]);
        if let Ok(cell) = Cell::decode(&altered) {
            prop_assert_eq!(cell.encode(), altered);
        }
    }
}

use proptest::prelude::*;

use crate::{
    crypto::{
        aead::AeadKey,
        exchange::{Transcript, confirms, session_keys},
        tunnel::{TunnelCipher, TunnelRole},
        walk::DirectionKeys,
    },
    drop_reason::DropReason,
    wire::{cell::Cell, tests::rule},
};

fn keys(seed: u8) -> DirectionKeys {
    DirectionKeys {
        forward: AeadKey::new([seed; 32]),
        back: AeadKey::new([seed ^ 0x80; 32]),
    }
}

/// Before the exchange.
fn pair() -> (TunnelCipher, TunnelCipher) {
    (
        TunnelCipher::new(TunnelRole::Master, keys(1)),
        TunnelCipher::new(TunnelRole::Endpoint, keys(1)),
    )
}

/// After it.
fn session() -> (TunnelCipher, TunnelCipher) {
    let (mut master, mut endpoint) = pair();
    master.set_session(keys(2));
    endpoint.set_session(keys(2));
    (master, endpoint)
}

fn exchange() -> Cell {
    Cell::Exchange {
        number: 1,
        spki: Box::new(rule(17, 1)),
        sealed: Box::new(rule(23, 3)),
    }
}

fn exchanged() -> Cell {
    Cell::Exchanged {
        number: 1,
        sealed: Box::new(rule(23, 3)),
        confirmation: [9; 32],
    }
}

fn echo(number: u32) -> Cell {
    Cell::Echo {
        number,
        data: [7; 8],
    }
}

fn seal(cipher: &mut TunnelCipher, cell: &Cell) -> ([u8; 16], [u8; 1_179]) {
    let mut body = [0xee; 1_179];
    let nonce = cipher.seal(cell, &mut body);
    (nonce, body)
}

fn pass(from: &mut TunnelCipher, to: &mut TunnelCipher, cell: &Cell) -> Result<Cell, DropReason> {
    let (nonce, mut body) = seal(from, cell);
    to.open(nonce, &mut body)
}

#[test]
fn nonces_are_counters_from_zero_for_both_keys_together() {
    let (mut master, _) = pair();
    assert_eq!(seal(&mut master, &exchange()).0, [0; 16]);
    master.set_session(keys(2));
    assert_eq!(
        seal(&mut master, &echo(1)).0,
        [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]
    );
}

#[test]
fn the_exchange_travels_under_k0_and_all_else_under_k1() {
    let (mut master, mut endpoint) = pair();
    let mut observer = TunnelCipher::master(keys(1));
    assert_eq!(
        pass(&mut master, &mut endpoint, &exchange()),
        Ok(exchange())
    );
    endpoint.set_session(keys(2));
    // until the master's first cell under K1, the confirmation can be repeated: the master has nothing but K0
    for _ in 0..2 {
        let (nonce, mut body) = seal(&mut endpoint, &exchanged());
        assert_eq!(
            observer.open(nonce, &mut body.clone()),
            Ok(exchanged()),
            "under K0"
        );
        assert_eq!(master.open(nonce, &mut body), Ok(exchanged()));
        assert_eq!(
            pass(&mut master, &mut endpoint, &exchange()),
            Ok(exchange())
        );
    }
    master.set_session(keys(2));
    assert!(master.has_session() && !endpoint.is_confirmed());
    assert_eq!(pass(&mut master, &mut endpoint, &echo(2)), Ok(echo(2)));
    assert!(endpoint.is_confirmed());
    let echoed = Cell::Echoed {
        number: 2,
        data: [7; 8],
    };
    let (nonce, mut body) = seal(&mut endpoint, &echoed);
    assert_eq!(
        observer.open(nonce, &mut body.clone()),
        Err(DropReason::CellForged),
        "not under K0"
    );
    assert_eq!(master.open(nonce, &mut body), Ok(echoed));
}

#[test]
fn before_the_session_only_the_exchange_is_accepted() {
    let (mut master, mut endpoint) = pair();
    assert_eq!(
        pass(&mut master, &mut endpoint, &echo(1)),
        Err(DropReason::UnexpectedCell)
    );
    let deliver = Cell::Deliver {
        datagram: Box::new([1; 1_120]),
    };
    assert_eq!(
        pass(&mut endpoint, &mut master, &deliver),
        Err(DropReason::UnexpectedCell)
    );
    assert_eq!(
        pass(&mut master, &mut endpoint, &exchange()),
        Ok(exchange())
    );
}

#[test]
fn k0_is_refused_after_the_first_cell_under_k1() {
    let (mut master, mut endpoint) = pair();
    let (mut early, mut late) = (
        seal(&mut master, &exchange()),
        seal(&mut master, &exchange()),
    );
    master.set_session(keys(2));
    endpoint.set_session(keys(2));
    assert_eq!(endpoint.open(early.0, &mut early.1), Ok(exchange()));
    assert_eq!(pass(&mut master, &mut endpoint, &echo(1)), Ok(echo(1)));
    assert_eq!(
        endpoint.open(late.0, &mut late.1),
        Err(DropReason::CellForged)
    );
    // the same for the master
    let (mut early, mut late) = {
        let (_, mut endpoint) = pair();
        (
            seal(&mut endpoint, &exchanged()),
            seal(&mut endpoint, &exchanged()),
        )
    };
    assert_eq!(master.open(early.0, &mut early.1), Ok(exchanged()));
    let echoed = Cell::Echoed {
        number: 1,
        data: [7; 8],
    };
    for _ in 0..2 {
        let _ = seal(&mut endpoint, &echoed);
    }
    assert_eq!(pass(&mut endpoint, &mut master, &echoed), Ok(echoed));
    assert_eq!(
        master.open(late.0, &mut late.1),
        Err(DropReason::CellForged)
    );
}

#[test]
fn an_exchange_under_k1_is_unexpected() {
    // only a peer that does not follow the protocol seals so: its K0 is our K1
    let mut odd = TunnelCipher::new(TunnelRole::Master, keys(2));
    let (_, mut endpoint) = session();
    assert_eq!(
        pass(&mut odd, &mut endpoint, &exchange()),
        Err(DropReason::UnexpectedCell)
    );
}

#[test]
fn each_role_receives_only_its_own_types() {
    // a master's cell sealed with the keys of the other direction looks as if it came from the endpoint
    let swapped = |seed: u8| DirectionKeys {
        forward: AeadKey::new([seed ^ 0x80; 32]),
        back: AeadKey::new([seed; 32]),
    };
    let (mut master, mut endpoint) = pair();
    let mut odd = TunnelCipher::master(swapped(1));
    assert_eq!(
        pass(&mut odd, &mut master, &exchange()),
        Err(DropReason::UnexpectedCell)
    );
    let mut odd = TunnelCipher::endpoint(swapped(1));
    assert_eq!(
        pass(&mut odd, &mut endpoint, &exchanged()),
        Err(DropReason::UnexpectedCell)
    );
    let (mut other_master, mut other_endpoint) = pair();
    assert_eq!(
        pass(&mut other_endpoint, &mut other_master, &exchanged()),
        Ok(exchanged())
    );
    assert_eq!(
        pass(&mut other_master, &mut other_endpoint, &exchange()),
        Ok(exchange())
    );
}

#[test]
fn cells_are_accepted_once_and_in_any_order() {
    let (mut master, mut endpoint) = session();
    let cells: Vec<_> = (0..4)
        .map(|number| (number, seal(&mut master, &echo(number))))
        .collect();
    for &(number, (nonce, body)) in cells.iter().rev() {
        let mut copy = body;
        assert_eq!(endpoint.open(nonce, &mut copy), Ok(echo(number)));
        let mut again = body;
        assert_eq!(endpoint.open(nonce, &mut again), Err(DropReason::Replayed));
    }
}

#[test]
fn a_forged_cell_does_not_use_up_its_counter() {
    let (mut master, mut endpoint) = session();
    let (nonce, body) = seal(&mut master, &echo(1));
    for at in [0, 1, 500, 1_162, 1_163, 1_178] {
        let mut altered = body;
        altered[at] ^= 1;
        assert_eq!(
            endpoint.open(nonce, &mut altered),
            Err(DropReason::CellForged),
            "byte {at}"
        );
    }
    for at in 0..16 {
        let mut altered = nonce;
        altered[at] ^= 1;
        assert_eq!(
            endpoint.open(altered, &mut body.clone()),
            Err(DropReason::CellForged),
            "byte {at} of the nonce"
        );
    }
    assert_eq!(endpoint.open(nonce, &mut body.clone()), Ok(echo(1)));
}

#[test]
fn a_cell_is_no_cell_for_its_own_sender() {
    let (mut master, mut endpoint) = session();
    let (nonce, body) = seal(&mut master, &echo(1));
    assert_eq!(
        master.open(nonce, &mut body.clone()),
        Err(DropReason::CellForged)
    );
    assert_eq!(endpoint.open(nonce, &mut body.clone()), Ok(echo(1)));
}

#[test]
fn genuine_nonsense_is_malformed_and_uses_up_its_counter() {
    let (_, mut endpoint) = session();
    let mut body = [0; 1_179];
    body[0] = 99;
    keys(2).forward.seal_in_place([0; 12], &[], &mut body);
    assert_eq!(
        endpoint.open([0; 16], &mut body.clone()),
        Err(DropReason::Malformed)
    );
    assert_eq!(endpoint.open([0; 16], &mut body), Err(DropReason::Replayed));
}

/// All inputs of the key derivation.
#[derive(Clone)]
struct Parts {
    points: [[u8; 32]; 2],
    spki: [[u8; 294]; 2],
    oaep: [[u8; 256]; 2],
    secrets: [[u8; 32]; 3],
}

impl Parts {
    fn confirmation(&self) -> [u8; 32] {
        let ([element, reply], [endpoint_spki, master_spki], [oaep_m, oaep_e]) =
            (&self.points, &self.spki, &self.oaep);
        let transcript = Transcript {
            element,
            reply,
            endpoint_spki,
            master_spki,
            oaep_m,
            oaep_e,
        };
        let [shared, seed_m, seed_e] = &self.secrets;
        session_keys(shared, &transcript, seed_m, seed_e).1
    }
}

#[test]
fn every_part_of_the_exchange_changes_the_confirmation() {
    let genuine = Parts {
        points: [rule(1, 1), rule(1, 2)],
        spki: [rule(1, 3), rule(1, 4)],
        oaep: [rule(1, 5), rule(1, 6)],
        secrets: [rule(1, 7), rule(1, 8), rule(1, 9)],
    };
    assert!(confirms(
        &genuine.confirmation(),
        &genuine.clone().confirmation()
    ));
    let alter: [fn(&mut Parts); 9] = [
        |parts| parts.points[0][0] ^= 1,
        |parts| parts.points[1][31] ^= 1,
        |parts| parts.spki[0][0] ^= 1,
        |parts| parts.spki[1][293] ^= 1,
        |parts| parts.oaep[0][0] ^= 1,
        |parts| parts.oaep[1][255] ^= 1,
        |parts| parts.secrets[0][0] ^= 1,
        |parts| parts.secrets[1][31] ^= 1,
        |parts| parts.secrets[2][31] ^= 1,
    ];
    for (i, alter) in alter.iter().enumerate() {
        let mut altered = genuine.clone();
        alter(&mut altered);
        assert!(
            !confirms(&genuine.confirmation(), &altered.confirmation()),
            "part {i}"
        );
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(nonce: [u8; 16], counter: u64, body in prop::collection::vec(any::<u8>(), 1_179)) {
        let (_, mut endpoint) = session();
        let mut body: [u8; 1_179] = body.try_into().expect("that many");
        prop_assert!(endpoint.open(nonce, &mut body).is_err());
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&counter.to_be_bytes());
        prop_assert_eq!(endpoint.open(nonce, &mut body), Err(DropReason::CellForged));
    }
}

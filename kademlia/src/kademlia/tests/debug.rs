//! The debug output of a node.
use super::*;

#[test]
fn debug_output_shows_neither_secrets_nor_what_users_ask_for() {
    let mut rig = Rig::with_persona(Config::test());
    let query = Query::Announce {
        infohash: [0x42; 20],
        what: Announced::Persona(secret(0).public()),
    };
    assert_eq!(format!("{query:?}"), "Announce(..)");
    rig.query(query);
    assert_eq!(
        format!("{:?}", rig.dht),
        "Kademlia { persona: true, published: 1, .. }"
    );
}

use super::*;
use crate::{
    exit::Exit,
    report::{Echo, FailureObject},
};
use deut::status::ReachStatus;

fn effort() -> Effort {
    Effort {
        lookups: 1,
        lookup_ms: 12.34,
        rpcs: 11,
        answered: 10,
        failed: 1,
        rounds: 2,
        closest_answered: 8,
        network_estimate: Some(16),
        network_range: Some((11, 22)),
        peers_at_least: None,
        merged: 0,
    }
}

#[test]
fn a_failure_is_one_line_and_a_hint() {
    let plain = Failure::new(Exit::NotFound, "nobody knows it");
    assert_eq!(failure(&plain), "error: nobody knows it");
    assert_eq!(
        failure(&plain.clone().hint("wait")),
        "error: nobody knows it\nhint: wait"
    );
    let object =
        serde_json::to_value(FailureObject::from(&plain.hint("wait"))).expect("serialises");
    assert_eq!(object["error"]["code"], 8);
    assert_eq!(object["error"]["kind"], "not-found");
}

#[test]
fn peers_are_one_per_line_and_plain_addresses_are_called_unverified() {
    let address = |text: &str| text.parse().expect("an address");
    let peers_found = vec![
        Peer::Persona {
            key: "aa".into(),
            addresses: vec![address("127.0.0.1:15001"), address("127.0.0.1:15130")],
            reachable: Some(true),
            given_by: 7,
        },
        Peer::Persona {
            key: "bb".into(),
            addresses: vec![],
            reachable: None,
            given_by: 1,
        },
        Peer::Unverified {
            address: address("203.0.113.7:6881"),
            given_by: 2,
        },
    ];
    let got = Got::Peers {
        infohash: "cc".into(),
        peers: peers_found,
        through: None,
        swarms: Vec::new(),
        effort: effort(),
    };
    let expected = "persona aa 127.0.0.1:15001 127.0.0.1:15130\npersona bb (no current address found)\nunverified 203.0.113.7:6881";
    assert_eq!(peers(&got, &BTreeSet::new()), expected);
    let printed = BTreeSet::from(["aa".to_owned(), "203.0.113.7:6881".to_owned()]);
    assert_eq!(
        peers(&got, &printed),
        "persona bb (no current address found)"
    );
    assert_eq!(
        super::effort(&got),
        "3 peers; 11 RPCs in 2 rounds, 12.3 ms, network of about 16 nodes (11 to 22)"
    );
}

#[test]
fn a_sample_of_peers_says_that_there_are_more() {
    let address = "203.0.113.7:6881".parse().expect("an address");
    let peer = Peer::Unverified {
        address,
        given_by: 1,
    };
    let told = |peers_at_least| {
        let got = Got::Peers {
            infohash: "cc".into(),
            peers: vec![peer.clone(); 7],
            through: None,
            swarms: Vec::new(),
            effort: Effort {
                peers_at_least,
                ..effort()
            },
        };
        super::effort(&got)
    };
    assert!(told(None).starts_with("7 peers; "), "{}", told(None));
    assert!(told(Some(30)).starts_with("7 peers of at least 30 (nodes give samples"));
    assert!(told(Some(7)).starts_with("7 peers, perhaps not all"));
}

#[test]
fn what_was_stored_says_who_keeps_it() {
    let mut kept = Stored {
        key: "ab".into(),
        announced: None,
        mutable: None,
        other: None,
        stored_at: 7,
        of: 8,
        kept: true,
        contact: None,
        effort: effort(),
    };
    assert!(stored(&kept).starts_with("key ab\nstored at 7 of 8 nodes; 11 RPCs"));
    assert!(stored(&kept).ends_with("the daemon keeps it published"));
    kept = Stored {
        announced: Some("203.0.113.7:6881".into()),
        kept: false,
        ..kept
    };
    assert!(stored(&kept).starts_with("announced 203.0.113.7:6881 on ab\n"));
    assert!(stored(&kept).ends_with("it expires after 45 minutes"));
    kept.contact = Some(ReachStatus {
        addresses: vec!["203.0.113.7:5001".parse().expect("an address")],
        held_by: 5,
        of: 8,
    });
    let text = stored(&kept);
    assert!(
        text.ends_with(
            "\nthe persona is found: it has 1 address, known to 5 of the 8 nodes closest to it"
        ),
        "{text}"
    );
}

#[test]
fn echoes_end_with_a_summary() {
    let echo = |handle, round_trip_ms| Echo {
        handle,
        pool: "lookup".into(),
        hops: 3,
        round_trip_ms,
    };
    let all = Echoes {
        tunnels: vec![echo(1, Some(1.0)), echo(2, None)],
        answered: 1,
        lost: 1,
        round_trip_ms: Some([1.0, 1.0, 1.0]),
    };
    let text = echoes(&all);
    assert!(
        text.contains("tunnel 2 (lookup, 3 hops): no echo within 3 s"),
        "{text}"
    );
    assert!(text.ends_with("2 tunnels: 1 answered, 1 lost; round trip 1.00 / 1.00 / 1.00 ms (least / median / most)"), "{text}");
}

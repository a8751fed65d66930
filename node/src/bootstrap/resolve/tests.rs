use std::collections::BTreeSet;

use deut_transport::policy::Profile;

use super::*;

const BOTH: Families = Families {
    ipv4: true,
    ipv6: true,
};
const IPV4: Families = Families {
    ipv4: true,
    ipv6: false,
};

fn resolver(addresses: &[&str], families: Families) -> (Resolver, Troubles) {
    let entry = |address: &&str| PeerEntry {
        address: (*address).to_owned(),
        key: None,
        line: 0,
    };
    let peers: Vec<_> = addresses.iter().map(entry).collect();
    let troubles = Troubles::default();
    let policy = Policy::new("n", Profile::Test).unwrap();
    let resolver = Resolver::new(&peers, policy, families, troubles.clone(), [1; 32]);
    (resolver, troubles)
}

fn addresses(resolver: &Resolver) -> Vec<SocketAddr> {
    resolver.known().iter().map(|peer| peer.address).collect()
}

fn many(net: u8, count: u8) -> Vec<SocketAddr> {
    (1..=count)
        .map(|n| ([127, 0, net, n], 4_000).into())
        .collect()
}

fn told(troubles: &Troubles, written: &str, part: &str) -> bool {
    let troubles = troubles.list();
    let mut troubles = troubles.iter();
    troubles.any(|one| one.written == written && one.trouble.contains(part))
}

/// A round that starts no lookup, since those of all names are under way.
fn round(resolver: &mut Resolver, answering: &[SocketAddr]) -> Missing {
    for peer in &mut resolver.peers {
        if let Some(name) = &mut peer.name {
            name.waits = Some(name.waits.unwrap_or(0));
        }
    }
    resolver.round(answering, &mpsc::channel(1).0)
}

#[test]
fn addresses_are_known_at_once_and_unusable_ones_told() {
    let listed = [
        "127.0.0.1:15000",
        "[::1]:15000",
        "224.0.0.1:4000",
        "name.invalid:4000",
        "[::ffff:127.0.0.2]:15000",
    ];
    let (ipv4, troubles) = resolver(&listed, IPV4);
    let usable: [SocketAddr; 2] = [
        "127.0.0.1:15000".parse().unwrap(),
        "127.0.0.2:15000".parse().unwrap(),
    ];
    assert_eq!(addresses(&ipv4), usable, "written as IPv6, it is IPv4");
    assert!(told(&troubles, "[::1]:15000", "family"));
    assert!(told(&troubles, "224.0.0.1:4000", "may live"));
    assert_eq!(troubles.list().len(), 2);
    let (both, _) = resolver(&listed, BOTH);
    assert_eq!(addresses(&both).len(), 3);
}

#[test]
fn all_addresses_of_a_name_have_their_turn_a_few_at_a_time() {
    let (mut it, _) = resolver(&["name.invalid:4000", "127.0.9.9:4000"], IPV4);
    let all = many(0, 30);
    it.found(0, Ok(all.clone()));
    let mut seen = BTreeSet::new();
    for _ in 0..8 {
        let now = addresses(&it);
        assert!(now.len() <= 5 && now.contains(&([127, 0, 9, 9], 4_000).into()));
        seen.extend(now);
        assert_eq!(round(&mut it, &[]), Missing::Still);
    }
    assert!(all.iter().all(|address| seen.contains(address)), "{seen:?}");
    // While one of the addresses that are asked answers, they stay.
    let now = addresses(&it);
    for _ in 0..3 {
        assert_eq!(round(&mut it, &now[2..3]), Missing::Nobody);
        assert_eq!(addresses(&it), now);
    }
    // It no longer answers: the others have their turn at once.
    assert_eq!(round(&mut it, &[]), Missing::Again);
    assert_ne!(addresses(&it), now);
    assert_eq!(round(&mut it, &[]), Missing::Still);
}

#[test]
fn many_names_have_their_turn_in_a_list_that_holds_64() {
    let names: Vec<String> = (0..40).map(|n| format!("n{n}.invalid:4000")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (mut it, _) = resolver(&names, IPV4);
    for number in 0..40u8 {
        it.found(usize::from(number), Ok(many(number, 4)));
    }
    let nets = |it: &Resolver| -> BTreeSet<[u8; 4]> {
        let net = |address: SocketAddr| match address.ip() {
            std::net::IpAddr::V4(ip) => [127, 0, ip.octets()[2], 0],
            std::net::IpAddr::V6(_) => unreachable!("none was found"),
        };
        addresses(it).into_iter().map(net).collect()
    };
    assert_eq!((nets(&it).len(), addresses(&it).len()), (40, 40));
    // And a name with thousands of addresses takes no more room than another.
    let flood = (0..=255u8).flat_map(|net| many(net, 250)).collect();
    it.found(0, Ok(flood));
    assert_eq!(it.peers[0].addresses.len(), MAX_ADDRESSES);
    assert_eq!(addresses(&it).len(), 40);
}

#[test]
fn an_answer_that_changed_takes_the_place_of_the_old_one() {
    let name = "name.invalid:4000";
    let (mut it, troubles) = resolver(&[name], IPV4);
    let (old, new) = (many(1, 1), many(2, 1));
    it.found(0, Ok(old.clone()));
    troubles.refused(old[0], "no answer");
    it.found(0, Ok(old.clone()));
    assert!(told(&troubles, name, "no answer"), "still the same one");
    it.found(0, Err("no name server".into()));
    assert_eq!(addresses(&it), old, "they may still be right");
    assert!(told(&troubles, name, "cannot be resolved (no name server)"));
    it.found(0, Ok([new.clone(), old.clone()].concat()));
    assert_eq!(addresses(&it)[0], new[0], "new ones come first");
    it.found(0, Ok(new.clone()));
    assert_eq!(addresses(&it), new);
    assert_eq!(troubles.list(), []);
    troubles.refused(old[0], "no answer");
    assert_eq!(troubles.list(), [], "nobody asks there any more");
    troubles.refused(new[0], "no answer");
    assert!(told(&troubles, name, "no answer"));
    round(&mut it, &new);
    assert_eq!(troubles.list(), [], "it answers");
}

#[test]
fn a_name_server_that_does_not_answer_is_told_and_no_second_lookup_begins() {
    let name = "name.invalid:4000";
    let (mut it, troubles) = resolver(&[name], IPV4);
    for _ in 0..SLOW_ROUNDS {
        round(&mut it, &[]);
        assert_eq!(troubles.list(), []);
    }
    round(&mut it, &[]);
    assert!(told(&troubles, name, "has not answered yet"));
    assert!(it.peers[0].name.as_ref().unwrap().waits > Some(SLOW_ROUNDS));
    it.looked_up(0, Ok(many(0, 1)));
    assert_eq!((troubles.list(), it.known().len()), (Vec::new(), 1));
    assert_eq!(it.peers[0].name.as_ref().unwrap().waits, None);
}

#[tokio::test]
async fn names_are_looked_up_failures_told_and_it_ends_with_its_node() {
    let (it, troubles) = resolver(&["localhost:15000", "name.invalid:4000"], IPV4);
    let (node, mut requests) = mpsc::channel(4);
    let (out, mut peers) = mpsc::channel(1);
    let running = tokio::spawn(it.run(node.downgrade(), out));
    let driver = tokio::spawn(async move {
        while let Some(request) = requests.recv().await {
            if let HandleRequest::AnsweringPeers(answer) = request {
                let _ = answer.send(Vec::new());
            }
        }
    });
    let patience = Duration::from_secs(60);
    let known = time::timeout(patience, peers.recv())
        .await
        .unwrap()
        .unwrap();
    let localhost = BootstrapPeer {
        address: "127.0.0.1:15000".parse().unwrap(),
        key: None,
    };
    assert_eq!(known, [localhost]);
    let unresolved = async {
        while !told(&troubles, "name.invalid:4000", "cannot be resolved") {
            time::sleep(Duration::from_millis(20)).await;
        }
    };
    time::timeout(patience, unresolved).await.expect("told");
    drop(node);
    time::timeout(patience, running)
        .await
        .expect("it ends with its node")
        .unwrap();
    driver.await.unwrap();
}

//! Three to six nodes in one process over real UDP: tunnels, echoes, values, announcements, application calls.

use std::time::Duration;

use crate::common::{Network, PATIENCE, Scratch, client, eventually, loopback, ready, start};
use deut::{
    Announced, BootstrapFile, Contact, Destination, FoundPeer, Node, NodeConfig, NodeId, Profile,
    Progress, Query, QueryResult, ReplyError, Service, data_dir,
};
use tokio::sync::mpsc;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_build_tunnels_and_echo_through_all_of_them() {
    let network = Network::start("three", 3).await;
    for node in &network.nodes {
        let status = eventually(node, "all tunnels", |status| {
            status.tunnels.iter().filter(|tunnel| tunnel.up).count() >= 6
        })
        .await;
        assert_eq!(status.relays.len(), 2, "{:?}", status.relays);
        let echoes = node.echo_all().await.unwrap();
        assert!(echoes.len() >= 6);
        assert!(
            echoes.iter().all(|echo| echo.round_trip_us.is_some()),
            "{echoes:?}"
        );
        assert!(status.ready_after_ms.is_some() && status.counters["walks_succeeded"] >= 6);
        assert_eq!(
            (status.udp.send_buffer_full, status.udp.port_closed),
            (0, 0)
        );
    }
    network.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_put_on_one_node_comes_back_on_another() {
    let network = Network::start("values", 6).await;
    network.tables(3).await;
    let value: Vec<u8> = (0..=255u8).cycle().take(800).collect();
    let put = network.nodes[1]
        .query(
            Query::PutValue {
                value: value.clone(),
            },
            None,
        )
        .await
        .unwrap();
    // On a busy machine the first attempt may reach nobody; it is repeated in the background.
    let QueryResult::Stored { key, .. } = put.result else {
        panic!("{put:?}")
    };
    assert_eq!(key, NodeId::hash_of(&value));
    let got = get(&network.nodes[4], Query::GetValue { key }, |result| {
        matches!(result, QueryResult::Value(_))
    })
    .await;
    assert_eq!(got, QueryResult::Value(value));
    let missing = Query::GetValue {
        key: NodeId([9; 20]),
    };
    let started = tokio::time::Instant::now();
    loop {
        let none = network.nodes[2].query(missing.clone(), None).await.unwrap();
        assert_eq!(none.result, QueryResult::NotFound);
        if none.stats.closest_answered >= 1 && none.stats.network_estimate.is_some() {
            break;
        }
        assert!(started.elapsed() < PATIENCE, "nobody answers: {none:?}");
    }
    network.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_announcement_is_found_by_a_client_that_joins_later() {
    let network = Network::start("magnets", 6).await;
    network.tables(3).await;
    let announcer = &network.nodes[3];
    let key = announcer
        .persona_key()
        .await
        .unwrap()
        .expect("a persona at once in the test profile");
    let what = Announced::Persona(key);
    let announced = announcer
        .query(
            Query::Announce {
                infohash: [5; 20],
                what,
            },
            None,
        )
        .await
        .unwrap();
    assert!(
        matches!(announced.result, QueryResult::Stored { .. }),
        "{announced:?}"
    );
    let address = Announced::Address("203.0.113.9:6881".parse().unwrap());
    let also = Query::Announce {
        infohash: [5; 20],
        what: address,
    };
    network.nodes[0].query(also, None).await.unwrap();

    let reader = client(&network.bootstrap).await;
    ready(&reader).await;
    let complete = |result: &QueryResult| match result {
        QueryResult::Peers(peers) => {
            let has_contact = |peer: &FoundPeer| peer.contact.is_some() == (peer.what == what);
            peers.len() == 2 && peers.iter().all(has_contact)
        }
        _ => false,
    };
    let query = Query::GetPeers { infohash: [5; 20] };
    let QueryResult::Peers(peers) = get(&reader, query, complete).await else {
        panic!("no peers");
    };
    let persona = peers
        .iter()
        .find(|peer| peer.what == what)
        .expect("the persona");
    let contact = persona.contact.as_ref().expect("its current contact");
    assert_eq!(contact.persona_key(), key);
    assert!(
        peers
            .iter()
            .any(|peer| peer.what == address && peer.contact.is_none())
    );
    reader.shutdown().await;
    network.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steps_of_a_query_are_told_and_a_dropped_query_ends() {
    let network = Network::start("steps", 4).await;
    network.tables(2).await;
    let node = &network.nodes[1];
    let target = NodeId([3; 20]);
    let (mut answered, started) = (0, tokio::time::Instant::now());
    while answered == 0 {
        let (steps, mut told) = mpsc::channel(256);
        let query = Query::FindNode { target };
        let found = node.query(query, Some(steps)).await.unwrap();
        while let Some(step) = told.recv().await {
            answered += u32::from(matches!(step, Progress::Answered { .. }));
        }
        assert!(answered <= found.stats.answered, "{found:?}");
        assert!(started.elapsed() < PATIENCE, "nobody answers: {found:?}");
    }
    for _ in 0..50 {
        let query = node.query(Query::FindNode { target }, None);
        let _ = tokio::time::timeout(Duration::from_micros(300), query).await;
    }
    // More than the core runs at once: only because the dropped ones ended.
    get(
        node,
        Query::FindNode { target },
        |result| matches!(result, QueryResult::Nodes(nodes) if !nodes.is_empty()),
    )
    .await;
    network.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_calls_a_persona_through_tunnels() {
    let network = Network::start("applications", 4).await;
    network.tables(2).await;
    let (server, caller) = (&network.nodes[2], &network.nodes[0]);
    let service = Service(300);
    let mut requests = server.serve(service, 4).await.unwrap();
    tokio::spawn(async move {
        while let Some(request) = requests.recv().await {
            let answer = [b"hello ", request.body()].concat();
            if request.body() == b"too long" {
                let refused = request.reply(vec![0; 1_047]).await;
                assert_eq!(refused, Err(ReplyError::TooLong(1_047)));
            } else {
                let _ = request.reply(answer).await;
            }
        }
    });
    let key = server.persona_key().await.unwrap().unwrap();
    let target = NodeId::hash_of(&key);
    // It is the closest to itself.
    let is_it = |contact: &Contact| contact.persona_key() == key;
    let found = |result: &QueryResult| matches!(result, QueryResult::Nodes(nodes) if nodes.iter().any(is_it));
    let QueryResult::Nodes(nodes) = get(caller, Query::FindNode { target }, found).await else {
        panic!("nobody answers");
    };
    let contact = nodes
        .iter()
        .find(|contact| is_it(contact))
        .expect("as wanted");
    let at = contact
        .addresses()
        .iter()
        .map(|address| (address.ip, address.port).into());
    let to = Destination {
        key: deut::PersonaKey(key),
        at: at.collect(),
    };
    let answer = caller.call(service, to.clone(), b"deut".to_vec()).await;
    assert_eq!(answer, Ok(b"hello deut".to_vec()));
    let refused = caller.call(Service(255), to.clone(), Vec::new()).await;
    assert!(refused.is_err(), "numbers below 256 are the protocol's");
    // The server is told; the caller hears nothing.
    let unanswered = caller.call(service, to, b"too long".to_vec()).await;
    assert!(unanswered.is_err(), "{unanswered:?}");
    network.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relays_are_kept_and_a_restarted_node_joins_without_its_bootstrap_peers() {
    let scratch = Scratch::new();
    let network = Network::start("restart", 4).await;
    let keep = |config: &mut NodeConfig| config.data_dir = Some(scratch.path().to_owned());
    let node = start(&network.bootstrap, keep).await;
    ready(&node).await;
    eventually(&node, "all relays", |status| status.relays.len() == 4).await;
    let (address, identity) = (node.local_address(), node.identity());
    node.shutdown().await;
    let mut files = scratch.files();
    files.sort_unstable();
    assert_eq!(
        files,
        [data_dir::LOCK, data_dir::RELAY_KEY, data_dir::RELAYS]
    );
    let mut nowhere = NodeConfig::new(BootstrapFile::new("restart", Profile::Test), address);
    nowhere.lookup_tunnels = 4;
    nowhere.persona_tunnels = 2;
    nowhere.ready_at = 3;
    keep(&mut nowhere);
    let again = Node::start(nowhere).await.unwrap();
    assert_eq!(again.identity(), identity);
    ready(&again).await;
    again.shutdown().await;
    network.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_that_cannot_be_used_are_told_by_their_name_in_the_file() {
    let one = start(&BootstrapFile::new("one", Profile::Test), |_| {}).await;
    let silent = std::net::UdpSocket::bind(loopback(0)).unwrap();
    let peer = one.local_address().to_string();
    let nobody = silent.local_addr().unwrap().to_string();
    let bootstrap = BootstrapFile::new("another", Profile::Test)
        .with_peer(peer.clone(), one.identity())
        .with_peer(nobody.clone(), None)
        .with_peer("name.invalid:4000", None);
    let other = start(&bootstrap, |_| {}).await;
    let started = tokio::time::Instant::now();
    loop {
        let troubles = other.bootstrap_troubles();
        let told = |written: &str, part: &str| {
            let mut troubles = troubles.iter();
            troubles.any(|one| one.written == written && one.trouble.contains(part))
        };
        if told(&peer, "another network")
            && told(&nobody, "no answer")
            && told("name.invalid:4000", "cannot be resolved")
        {
            break;
        }
        assert!(started.elapsed() < PATIENCE, "{troubles:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    other.shutdown().await;
    one.shutdown().await;
}

/// As `deut get` does: a lookup that does not find what is wanted is started again for a while.
async fn get(node: &Node, query: Query, wanted: impl Fn(&QueryResult) -> bool) -> QueryResult {
    let started = tokio::time::Instant::now();
    loop {
        let outcome = node
            .query(query.clone(), None)
            .await
            .expect("the node runs");
        if wanted(&outcome.result) {
            return outcome.result;
        }
        assert!(started.elapsed() < PATIENCE, "never found: {outcome:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

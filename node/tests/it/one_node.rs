//! One node alone, over real sockets: start, status, stop, and what goes wrong at the start.

use std::{net::UdpSocket, time::Duration};

use crate::common::{Scratch, client, eventually, loopback, start};
use deut::{
    BootstrapFile, Node, NodeConfig, NotReady, Profile, Query, Reason, StartError, Stopped,
    data_dir,
};

#[tokio::test]
async fn the_first_node_of_a_network_says_so() {
    let node = start(&BootstrapFile::new("alone", Profile::Test), |_| {}).await;
    let status = node.status().await.unwrap();
    assert_eq!(
        (status.role.as_str(), status.profile.as_str()),
        ("relay", "test")
    );
    assert_eq!(status.local_address, node.local_address());
    assert_eq!(status.identity.map(|identity| identity.len()), Some(64));
    assert!(!status.readiness.ready && status.tunnels.is_empty());
    let NotReady::TimedOut(readiness) = node.ready(Duration::from_millis(300)).await.unwrap_err()
    else {
        panic!("it runs");
    };
    assert_eq!(
        readiness.reasons.first(),
        Some(&Reason::FirstOfItsNetwork),
        "{readiness:?}"
    );
    assert_eq!(node.echo_all().await.unwrap(), []);
    let block = node.bootstrap_line().unwrap();
    let file = format!("network = \"alone\"\nprofile = \"test\"\n{block}");
    let file = BootstrapFile::parse(&file, "it".as_ref()).unwrap();
    assert_eq!(
        (file.peers[0].address.clone(), file.peers[0].key),
        (node.local_address().to_string(), node.identity())
    );
    eventually(&node, "the persona", |status| status.persona).await;
    assert!(node.persona_key().await.unwrap().is_some());
    assert_eq!(node.descriptor().await.unwrap().unwrap().len(), 196);
    node.shutdown().await;
}

#[tokio::test]
async fn a_client_has_neither_identity_nor_persona() {
    let node = client(&BootstrapFile::new("client", Profile::Test)).await;
    assert!(node.identity().is_none() && node.bootstrap_line().is_none());
    assert!(
        node.persona_key().await.unwrap().is_none() && node.descriptor().await.unwrap().is_none()
    );
    assert_eq!(node.status().await.unwrap().role, "client");
    node.shutdown().await;
}

#[tokio::test]
async fn only_a_relay_without_listed_peers_is_the_first_of_its_network() {
    let silent = UdpSocket::bind(loopback(0)).unwrap();
    let nobody = BootstrapFile::new("first", Profile::Test);
    let address = silent.local_addr().unwrap().to_string();
    let silent = nobody.clone().with_peer(address, None);
    // Long before any name server could have answered, too.
    let unknown = nobody.clone().with_peer("name.invalid:4000", None);
    for (file, is_client, expected) in [
        (&nobody, false, Reason::FirstOfItsNetwork),
        (&silent, false, Reason::NoBootstrapPeer),
        (&unknown, false, Reason::NoBootstrapPeer),
        (&nobody, true, Reason::NoPeersListed),
        (&silent, true, Reason::NoBootstrapPeer),
    ] {
        let node = if is_client {
            client(file).await
        } else {
            start(file, |_| {}).await
        };
        let mut readiness = node.watch_readiness();
        for _ in 0..5 {
            assert_eq!(readiness.borrow_and_update().reasons, [expected]);
            let _ = tokio::time::timeout(Duration::from_millis(60), readiness.changed()).await;
        }
        node.shutdown().await;
    }
}

#[tokio::test]
async fn a_port_in_use_is_told() {
    let holder = UdpSocket::bind(loopback(0)).unwrap();
    let address = holder.local_addr().unwrap();
    let config = NodeConfig::client(BootstrapFile::new("n", Profile::Test), address);
    let error = Node::start(config).await.err().unwrap();
    assert!(matches!(error, StartError::PortInUse { address: told } if told == address));
    assert!(error.to_string().contains("is in use; stop"), "{error}");

    let elsewhere = "192.0.2.1:4000".parse().unwrap();
    let config = NodeConfig::client(BootstrapFile::new("n", Profile::Test), elsewhere);
    let error = Node::start(config).await.err().unwrap();
    assert!(matches!(error, StartError::CannotListen { .. }), "{error}");
}

#[tokio::test]
async fn shutdown_frees_port_and_directory_and_other_handles_say_stopped() {
    let scratch = Scratch::new();
    let keep = |config: &mut NodeConfig| config.data_dir = Some(scratch.path().to_owned());
    let bootstrap = BootstrapFile::new("again", Profile::Test);
    let node = start(&bootstrap, keep).await;
    let (address, identity) = (node.local_address(), node.identity());
    let other = node.clone();
    node.shutdown().await;
    assert_eq!(other.status().await, Err(Stopped));
    let query = Query::PutValue { value: vec![1] };
    assert_eq!(other.query(query, None).await.err(), Some(Stopped));
    assert_eq!(
        other.ready(Duration::from_secs(5)).await,
        Err(NotReady::Stopped)
    );

    let mut config = NodeConfig::new(bootstrap, address);
    keep(&mut config);
    let again = Node::start(config).await.expect("port and lock are free");
    assert_eq!(again.identity(), identity, "the name of a relay is kept");
    again.shutdown().await;
    for file in scratch.files() {
        assert!(data_dir::FILES.contains(&file.as_str()), "{file}");
    }
}

#[tokio::test]
async fn damaged_relays_are_set_aside_and_the_node_starts() {
    let scratch = Scratch::new();
    let keep = |config: &mut NodeConfig| config.data_dir = Some(scratch.path().to_owned());
    let bootstrap = BootstrapFile::new("damaged", Profile::Test);
    std::fs::create_dir_all(scratch.path()).unwrap();
    let file = |name: &str| scratch.path().join(name);
    for rubbish in ["rubbish", "other rubbish"] {
        std::fs::write(file(data_dir::RELAYS), rubbish).unwrap();
        let node = start(&bootstrap, keep).await;
        assert!(node.status().await.is_ok());
        let aside = std::fs::read_to_string(file(data_dir::RELAYS_DAMAGED)).unwrap();
        assert_eq!(aside, rubbish, "the last one is kept");
        assert!(!file(data_dir::RELAYS).exists());
        node.shutdown().await;
    }
    assert!(!file(data_dir::RELAYS).exists(), "nobody was known");
}

#[tokio::test]
async fn a_node_whose_handles_are_all_dropped_stops() {
    let node = start(&BootstrapFile::new("dropped", Profile::Test), |_| {}).await;
    let address = node.local_address();
    drop(node);
    for _ in 0..100 {
        if UdpSocket::bind(address).is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the port is still taken");
}

#[tokio::test]
async fn garbage_on_the_relay_port_is_counted_and_changes_nothing() {
    let node = start(&BootstrapFile::new("garbage", Profile::Test), |_| {}).await;
    let before = node.status().await.unwrap();
    let outside = UdpSocket::bind(loopback(0)).unwrap();
    let lengths = [
        0usize, 1, 2, 600, 1_119, 1_120, 1_231, 1_232, 1_233, 1_280, 1_281, 9_000, 65_507,
    ];
    let mut sent = 0;
    for fill in 0..20u8 {
        for length in lengths {
            outside
                .send_to(&vec![fill; length], node.local_address())
                .unwrap();
            sent += 1;
            // So that the system's buffer never overflows.
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
    }
    let taken =
        |status: &deut::NodeStatus| status.counters["accepted"] + status.counters["dropped"];
    let after = eventually(&node, "all datagrams", |status| {
        taken(status) >= taken(&before) + sent
    })
    .await;
    assert_eq!(taken(&after), taken(&before) + sent);
    assert_eq!(after.udp.received - before.udp.received, sent);
    assert!(after.drops["BadLength"] >= 20 * 12);
    node.shutdown().await;
}

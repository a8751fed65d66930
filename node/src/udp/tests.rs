use std::{future::poll_fn, net::UdpSocket as StdSocket, time::Duration};

use super::*;

const IPV4: Families = Families {
    ipv4: true,
    ipv6: false,
};
const BOTH: Families = Families {
    ipv4: true,
    ipv6: true,
};

#[tokio::test]
async fn one_socket_for_both_families_tells_addresses_as_they_are() {
    let all = "[::]:0".parse().unwrap();
    let mut sockets = Sockets::bind(all, BOTH).unwrap();
    let port = sockets.local().port();
    for ip in ["127.0.0.1", "::1"] {
        let ip: IpAddr = ip.parse().unwrap();
        let outside = StdSocket::bind((ip, 0)).unwrap();
        outside
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        let address = outside.local_addr().unwrap();
        outside.send_to(&[1; 1_232], (ip, port)).unwrap();
        let got = loop {
            if let Some(received) = round(&mut sockets).await.pop() {
                break received;
            }
        };
        assert_eq!(got.from, address);
        sockets.send(Port::Relay, got.from, Packet::copy_of(&[2; 1_232]));
        let mut answer = [0; 2_000];
        let (length, from) = outside.recv_from(&mut answer).unwrap();
        assert_eq!((length, from), (1_232, SocketAddr::new(ip, port)));
    }
    // The control: a relay's socket has one family.
    let only_ipv6 = Families {
        ipv4: false,
        ipv6: true,
    };
    let mut sockets = Sockets::bind(all, only_ipv6).unwrap();
    let outside = StdSocket::bind(local(0)).unwrap();
    sockets.send(
        Port::Relay,
        outside.local_addr().unwrap(),
        Packet::zeroed(1_232),
    );
    assert_eq!(
        (sockets.status().sent, sockets.status().send_refused),
        (0, 1)
    );
}

#[tokio::test]
async fn datagrams_arrive_with_their_port_and_sender() {
    let mut sockets = Sockets::bind(local(0), IPV4).unwrap();
    let token = PortToken(7);
    let port = open_any(&mut sockets, token);
    let outside = StdSocket::bind(local(0)).unwrap();
    outside.send_to(&[1; 1_232], sockets.local()).unwrap();
    outside.send_to(&[2; 1_120], local(port)).unwrap();
    let mut got = Vec::new();
    while got.len() < 2 {
        got.extend(round(&mut sockets).await);
    }
    got.sort_by_key(|received| received.at);
    assert_eq!(
        (got[0].at, got[0].packet.bytes()),
        (Port::Relay, &[1; 1_232][..])
    );
    assert_eq!(
        (got[1].at, got[1].packet.bytes()),
        (Port::Endpoint(token), &[2; 1_120][..])
    );
    assert!(
        got.iter()
            .all(|received| received.from == outside.local_addr().unwrap())
    );
}

#[tokio::test]
async fn a_new_port_can_send_at_once_and_a_closed_one_cannot() {
    let mut sockets = Sockets::bind(local(0), IPV4).unwrap();
    let outside = StdSocket::bind(local(0)).unwrap();
    outside
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let to = outside.local_addr().unwrap();
    let token = PortToken(1);
    let port = open_any(&mut sockets, token);
    sockets.send(Port::Endpoint(token), to, Packet::copy_of(&[9; 1_120]));
    let mut buffer = [0; 2_000];
    let (length, from) = outside.recv_from(&mut buffer).unwrap();
    assert_eq!((length, from), (1_120, local(port)));
    sockets.close(token);
    sockets.send(Port::Endpoint(token), to, Packet::copy_of(&[9; 1_120]));
    let status = sockets.status();
    assert_eq!(
        (status.sent, status.port_closed, status.endpoint_ports),
        (1, 1, 0)
    );
    StdSocket::bind(local(port)).expect("the port is free again");
}

#[tokio::test]
async fn a_port_in_use_is_told_from_one_that_is_refused() {
    let mut sockets = Sockets::bind(local(0), IPV4).unwrap();
    let taken = StdSocket::bind(local(0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let _holder = StdSocket::bind(local(taken)).unwrap();
    assert_eq!(sockets.open(PortToken(1), taken), Err(PortError::InUse));
    open_any(&mut sockets, PortToken(2));
    assert_eq!(
        sockets.open(PortToken(2), taken),
        Err(PortError::Refused),
        "the token is in use"
    );
    let error = Sockets::bind(local(taken), IPV4).err().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
}

#[tokio::test]
async fn datagrams_that_are_too_long_keep_a_length_that_is_refused() {
    let mut sockets = Sockets::bind(local(0), IPV4).unwrap();
    let outside = StdSocket::bind(local(0)).unwrap();
    for length in [0, 1_233, 1_500, 9_000, 65_507] {
        outside.send_to(&vec![1; length], sockets.local()).unwrap();
        let got = round(&mut sockets).await;
        assert_eq!(got[0].packet.bytes().len(), length.min(Packet::CAPACITY));
    }
}

#[tokio::test]
async fn a_busy_relay_port_does_not_keep_an_endpoint_port_waiting() {
    let mut sockets = Sockets::bind(local(0), IPV4).unwrap();
    let port = open_any(&mut sockets, PortToken(1));
    // Both are registered before anything arrives.
    sockets.begin_round();
    assert!(sockets.receive().is_none());
    let outside = StdSocket::bind(local(0)).unwrap();
    for _ in 0..100 {
        outside.send_to(&[1; 1_232], sockets.local()).unwrap();
    }
    outside.send_to(&[2; 1_120], local(port)).unwrap();
    let mut rounds = Vec::new();
    while rounds.iter().map(Vec::len).sum::<usize>() < 101 {
        rounds.push(round(&mut sockets).await);
    }
    assert!(
        rounds
            .iter()
            .all(|round| round.len() <= RELAY_BATCH + ENDPOINT_BATCH)
    );
    let early = rounds.iter().take(2).flatten();
    assert_eq!(
        early.filter(|received| received.at != Port::Relay).count(),
        1
    );
}

#[tokio::test]
async fn hundreds_of_ports_open_close_and_open_again() {
    let mut sockets = Sockets::bind(local(0), IPV4).unwrap();
    let outside = StdSocket::bind(local(0)).unwrap();
    for generation in 0..3 {
        let ports: Vec<_> = (0..300)
            .map(|n| open_any(&mut sockets, PortToken(generation * 1_000 + n)))
            .collect();
        for port in &ports {
            outside.send_to(&[3; 1_120], local(*port)).unwrap();
        }
        let mut got = 0;
        while got < 300 {
            got += round(&mut sockets).await.len();
        }
        (0..300).for_each(|n| sockets.close(PortToken(generation * 1_000 + n)));
    }
    assert_eq!(sockets.slots.len(), 301, "slots are used again");
    assert_eq!(sockets.status().received, 900);
}

async fn round(sockets: &mut Sockets) -> Vec<Received> {
    let mut got = Vec::new();
    while got.is_empty() {
        let ready = poll_fn(|cx| sockets.poll_ready(cx));
        tokio::time::timeout(Duration::from_secs(5), ready)
            .await
            .expect("something arrives");
        sockets.begin_round();
        got.extend(std::iter::from_fn(|| sockets.receive()));
        tokio::task::yield_now().await;
    }
    got
}

fn open_any(sockets: &mut Sockets, token: PortToken) -> u16 {
    loop {
        let port = StdSocket::bind(local(0))
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        if sockets.open(token, port).is_ok() {
            return port;
        }
    }
}

fn local(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

//! Finds the address of this machine that the system sends from: to listen on if only a port is given, and to explain why a node
//! that listens elsewhere gets no answer. A UDP socket is connected, which asks for the route and sends nothing.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
};

use tokio::{
    sync::mpsc,
    time::{Duration, timeout},
};

use super::{BootstrapFile, lookup, parse::split_address};
use crate::families::canonical;

/// A name server that takes longer counts as not answering.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// No address of this machine has a route to a peer. Its text is one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no peer can be reached from this machine: {0}")]
pub struct NoRoute(String);

impl BootstrapFile {
    /// The address from which this machine sends to the peers. If there are several, it is the one for the most peers. Names are
    /// looked up once.
    ///
    /// # Errors
    /// If no name resolves, or there is no route to any peer.
    pub async fn address_towards_peers(&self) -> Result<IpAddr, NoRoute> {
        let mut votes: Vec<(IpAddr, usize)> = Vec::new();
        let mut troubles: Vec<String> = Vec::new();
        for peer in &self.peers {
            match sources_towards(&peer.address).await {
                Ok(sources) => sources.into_iter().for_each(|source| {
                    match votes.iter_mut().find(|(address, _)| *address == source) {
                        Some((_, count)) => *count += 1,
                        None => votes.push((source, 1)),
                    }
                }),
                Err(why) => troubles.push(format!("{} ({why})", peer.address)),
            }
        }
        let most = votes.iter().map(|(_, count)| *count).max();
        // Of equal ones the first, in the order of the file.
        let chosen = votes.iter().find(|(_, count)| Some(*count) == most);
        chosen
            .map(|(address, _)| *address)
            .ok_or_else(|| NoRoute(troubles.join(", ")))
    }
}

/// Each address of this machine that has a route to this peer, once.
async fn sources_towards(peer: &str) -> Result<Vec<IpAddr>, String> {
    let (mut sources, mut refusal) = (Vec::new(), None);
    for address in addresses(peer).await? {
        match source_towards(address) {
            Ok(source) if sources.contains(&source) => {}
            Ok(source) => sources.push(source),
            Err(why) => refusal = Some(why.to_string()),
        }
    }
    if sources.is_empty() {
        return Err(refusal.unwrap_or_else(|| "the name has no address".to_owned()));
    }
    Ok(sources)
}

async fn addresses(peer: &str) -> lookup::Found {
    if let Ok(address) = peer.parse() {
        return Ok(vec![canonical(address)]);
    }
    let (host, port) = split_address(peer).ok_or("it is not host:port")?;
    let (done, mut found) = mpsc::channel(1);
    lookup::start(0, host, port, done);
    match timeout(LOOKUP_TIMEOUT, found.recv()).await {
        Ok(Some((_, found))) => found,
        _ => Err(format!("no answer within {} s", LOOKUP_TIMEOUT.as_secs())),
    }
}

fn source_towards(to: SocketAddr) -> io::Result<IpAddr> {
    let any = match to {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    connected(any, to)
}

fn connected(from: IpAddr, to: SocketAddr) -> io::Result<IpAddr> {
    let socket = UdpSocket::bind((from, 0))?;
    socket.connect(to)?;
    Ok(socket.local_addr()?.ip())
}

/// The reason why a node that listens here gets no answer from a peer, if this machine can tell.
pub(crate) fn why_silent(local: IpAddr, peer: SocketAddr) -> Option<String> {
    let remedy = "listen on an address on the way to it; --listen auto finds one";
    if let Err(why) = connected(local, peer) {
        return Some(format!(
            "a send from {local} cannot reach it ({why}); {remedy}"
        ));
    }
    let source = source_towards(peer).ok()?;
    // An address of the same machine answers however it is asked.
    let elsewhere = !local.is_unspecified() && source != local && source != peer.ip();
    elsewhere.then(|| {
        format!("this machine sends to it from {source}, but the node listens on {local}; {remedy}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bootstrap::Profile;

    fn file(peers: &[&str]) -> BootstrapFile {
        peers
            .iter()
            .fold(BootstrapFile::new("n", Profile::Test), |file, peer| {
                file.with_peer(*peer, None)
            })
    }

    /// All addresses of 127/8 belong to this machine, and each is reached from itself.
    #[tokio::test]
    async fn the_address_that_leads_to_most_peers_is_taken() {
        let towards = |peers: &'static [&'static str]| async move {
            file(peers).address_towards_peers().await
        };
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        assert_eq!(towards(&["127.0.0.1:15000"]).await, Ok(here));
        assert_eq!(
            towards(&["localhost:15000", "127.0.0.1:15001"]).await,
            Ok(here)
        );
        let two: IpAddr = "127.0.0.2".parse().unwrap();
        let other = ["127.0.0.2:15000", "127.0.0.3:15000", "127.0.0.3:15129"];
        // The system takes 127.0.0.1 as the source for all of them, or the address itself.
        let found = towards(&["127.0.0.2:15000"]).await.unwrap();
        assert!(found == two || found == here, "{found}");
        assert!(
            file(&other)
                .address_towards_peers()
                .await
                .unwrap()
                .is_loopback()
        );
    }

    #[tokio::test]
    async fn no_way_is_told_with_the_peer() {
        let lost = file(&["name.invalid:4000"]).address_towards_peers().await;
        let text = lost.expect_err("no such name").to_string();
        assert!(text.contains("name.invalid:4000 ("), "{text}");
    }

    #[test]
    fn a_peer_that_cannot_be_reached_from_here_is_told_apart_from_a_silent_one() {
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        assert_eq!(why_silent(here, "127.0.0.1:15000".parse().unwrap()), None);
        let far: SocketAddr = "192.0.2.1:15000".parse().unwrap();
        let told = why_silent(here, far).expect("loopback leads nowhere");
        assert!(
            told.starts_with("a send from 127.0.0.1 cannot reach it ("),
            "{told}"
        );
        let other = why_silent("::1".parse().unwrap(), far).expect("another family");
        assert!(other.contains("cannot reach it"), "{other}");
    }
}

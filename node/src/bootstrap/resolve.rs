//! From the peers of the file to socket addresses: names are looked up outside the driver, and for ever.

use std::{net::SocketAddr, time::Duration};

use deut_transport::{api::BootstrapPeer, policy::Policy};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::{sync::mpsc, task::JoinSet, time};

use super::{MAX_PEERS, PeerEntry, parse::split_address, troubles::Troubles};

/// A name server that takes longer is asked again later.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);
/// First and longest pause between two rounds, in milliseconds; each ± 50 %.
const PAUSE_MS: (u64, u64) = (1_000, 60_000);
/// Addresses taken from one name; further ones are ignored.
const MAX_ADDRESSES: usize = 4;

/// Looks peers up.
pub(crate) struct Resolver {
    peers: Vec<(PeerEntry, Option<Vec<SocketAddr>>)>,
    policy: Policy,
    ipv4: bool,
    troubles: Troubles,
    rng: StdRng,
}

impl Resolver {
    /// `ipv4`: the family of our relay port; addresses of the other cannot be used.
    pub(crate) fn new(
        peers: &[PeerEntry],
        policy: Policy,
        ipv4: bool,
        troubles: Troubles,
        seed: [u8; 32],
    ) -> Self {
        let peers = peers.iter().map(|peer| (peer.clone(), None)).collect();
        let mut resolver = Self {
            peers,
            policy,
            ipv4,
            troubles,
            rng: StdRng::from_seed(seed),
        };
        resolver.take_literals();
        resolver
    }

    /// The peers whose addresses are known.
    pub(crate) fn known(&self) -> Vec<BootstrapPeer> {
        let known = self.peers.iter().flat_map(|(peer, addresses)| {
            let addresses = addresses.iter().flatten();
            addresses.map(|&address| BootstrapPeer {
                address,
                key: peer.key,
            })
        });
        known.take(MAX_PEERS).collect()
    }

    /// Looks up names until all are known; gives the whole list each time it grows. Ends when nobody listens.
    pub(crate) async fn run(mut self, out: mpsc::Sender<Vec<BootstrapPeer>>) {
        let mut pause = PAUSE_MS.0;
        while self.peers.iter().any(|(_, addresses)| addresses.is_none()) {
            if self.round().await && out.send(self.known()).await.is_err() {
                return;
            }
            let jittered = self.rng.random_range(pause / 2..=pause + pause / 2);
            pause = (pause * 2).min(PAUSE_MS.1);
            tokio::select! {
                () = out.closed() => return,
                () = time::sleep(Duration::from_millis(jittered)) => {}
            }
        }
    }

    /// Asks for every unknown name at once; whether one became known.
    async fn round(&mut self) -> bool {
        let mut lookups = JoinSet::new();
        for (number, (peer, _)) in self
            .peers
            .iter()
            .enumerate()
            .filter(|(_, (_, known))| known.is_none())
        {
            let name = peer.address.clone();
            lookups.spawn(async move { (number, lookup(name).await) });
        }
        let mut grown = false;
        while let Some(done) = lookups.join_next().await {
            let Ok((number, found)) = done else { continue };
            grown |= self.found(number, found);
        }
        grown
    }

    /// IP addresses need no name server.
    fn take_literals(&mut self) {
        for number in 0..self.peers.len() {
            let Some((peer, _)) = self.peers.get(number) else {
                continue;
            };
            if let Ok(address) = peer.address.parse() {
                self.found(number, Ok(vec![address]));
            }
        }
    }

    fn found(&mut self, number: usize, found: Result<Vec<SocketAddr>, String>) -> bool {
        let Some((peer, known)) = self.peers.get_mut(number) else {
            return false;
        };
        let written = &peer.address;
        let addresses = match found {
            Ok(addresses) => addresses,
            Err(why) => {
                self.troubles.unresolved(written, &why);
                return false;
            }
        };
        let (mut usable, mut refusal) = (Vec::new(), None);
        for address in addresses {
            match why_unusable(address, &self.policy, self.ipv4) {
                None => usable.push(address),
                Some(why) => refusal = Some((address, why)),
            }
        }
        usable.truncate(MAX_ADDRESSES);
        match (usable.is_empty(), refusal) {
            (true, Some((address, why))) => self.troubles.unusable(written, address, why),
            _ => self.troubles.resolved(written, &usable),
        }
        let grown = !usable.is_empty();
        // An address that may not be used does not change by asking again; a name's may.
        if grown || written.parse::<SocketAddr>().is_ok() {
            *known = Some(usable);
        }
        grown
    }
}

async fn lookup(written: String) -> Result<Vec<SocketAddr>, String> {
    let Some((host, port)) = split_address(&written) else {
        return Err("it is not host:port".to_owned());
    };
    match time::timeout(LOOKUP_TIMEOUT, tokio::net::lookup_host((host, port))).await {
        Ok(Ok(addresses)) => Ok(addresses.collect()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", LOOKUP_TIMEOUT.as_secs())),
    }
}

fn why_unusable(address: SocketAddr, policy: &Policy, ipv4: bool) -> Option<&'static str> {
    if address.is_ipv4() != ipv4 {
        Some("it is not of the address family on which this node listens")
    } else if !policy.may_host(address) {
        Some("no relay may live at this address in this network's profile")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use deut_transport::policy::Profile;

    use super::*;

    #[test]
    fn addresses_are_known_at_once_and_unusable_ones_told() {
        let (resolver, troubles) = resolver(
            &[
                "127.0.0.1:15000",
                "[::1]:15000",
                "224.0.0.1:4000",
                "name.invalid:4000",
            ],
            Profile::Test,
        );
        assert_eq!(
            resolver.known(),
            [BootstrapPeer {
                address: "127.0.0.1:15000".parse().unwrap(),
                key: None
            }]
        );
        let told = troubles.list();
        assert!(
            told.iter()
                .any(|one| one.written == "[::1]:15000" && one.trouble.contains("family")),
            "{told:?}"
        );
        assert!(
            told.iter()
                .any(|one| one.written == "224.0.0.1:4000" && one.trouble.contains("may live")),
            "{told:?}"
        );
        assert_eq!(told.len(), 2);
    }

    #[tokio::test]
    async fn names_are_looked_up_and_failures_told() {
        let (resolver, troubles) =
            resolver(&["localhost:15000", "name.invalid:4000"], Profile::Test);
        let (out, mut peers) = mpsc::channel(1);
        let running = tokio::spawn(resolver.run(out));
        let known = time::timeout(Duration::from_secs(20), peers.recv())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            known,
            [BootstrapPeer {
                address: "127.0.0.1:15000".parse().unwrap(),
                key: None
            }]
        );
        let told = troubles.list();
        assert!(
            told.iter()
                .any(|one| one.written == "name.invalid:4000" && one.address.is_none()),
            "{told:?}"
        );
        drop(peers);
        time::timeout(Duration::from_secs(20), running)
            .await
            .expect("it ends with its listener")
            .unwrap();
    }

    fn resolver(addresses: &[&str], profile: Profile) -> (Resolver, Troubles) {
        let peers: Vec<_> = addresses
            .iter()
            .map(|address| PeerEntry {
                address: (*address).to_owned(),
                key: None,
                line: 0,
            })
            .collect();
        let troubles = Troubles::default();
        let policy = Policy::new("n", profile).unwrap();
        (
            Resolver::new(&peers, policy, true, troubles.clone(), [1; 32]),
            troubles,
        )
    }
}

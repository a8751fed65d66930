//! Resolves the peers of the file to socket addresses. Names are looked up outside the driver, again and again while no relay
//! answers at their addresses.

use std::{net::SocketAddr, time::Duration};

use deut_transport::{io::BootstrapPeer, policy::Policy};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};
use tokio::{
    sync::{mpsc, oneshot},
    time,
};

use super::{
    MAX_PEERS, PeerEntry,
    lookup::{self, Found},
    parse::split_address,
    troubles::Troubles,
};
use crate::{
    families::{Families, canonical},
    request::HandleRequest,
};

/// First and longest pause between two rounds, in milliseconds, each ± 50 %. While all peers answer, it is the longest.
const PAUSE_MS: (u64, u64) = (1_000, 60_000);
/// A name server that has not answered after more than this many further rounds (3 s ± 50 %) is reported as a trouble. The lookup
/// goes on.
const SLOW_ROUNDS: u32 = 1;
/// Largest number of addresses taken from one name; further ones are ignored.
const MAX_ADDRESSES: usize = 64;
/// Number of these addresses that are asked at a time; fewer if many peers are listed.
const AT_A_TIME: usize = 4;

/// Looks up the names of peers.
pub(crate) struct Resolver {
    peers: Vec<Listed>,
    policy: Policy,
    families: Families,
    troubles: Troubles,
    rng: StdRng,
}

struct Listed {
    entry: PeerEntry,
    /// Usable addresses, of which the first few are asked now.
    addresses: Vec<SocketAddr>,
    /// `None` if it is written as an IP address or cannot be looked up.
    name: Option<Name>,
}

struct Name {
    host: String,
    port: u16,
    /// Number of rounds since its lookup began, while that is under way.
    waits: Option<u32>,
    answered: bool,
}

impl Resolver {
    pub(crate) fn new(
        peers: &[PeerEntry],
        policy: Policy,
        families: Families,
        troubles: Troubles,
        seed: [u8; 32],
    ) -> Self {
        let mut resolver = Self {
            peers: peers.iter().map(Listed::new).collect(),
            policy,
            families,
            troubles,
            rng: StdRng::from_seed(seed),
        };
        // IP addresses need no name server.
        for number in 0..peers.len() {
            let written = resolver.peers.get(number).map(|peer| &peer.entry.address);
            if let Some(Ok(address)) = written.map(|written| written.parse()) {
                resolver.found(number, Ok(vec![address]));
            }
        }
        resolver
    }

    /// The peers to ask now: a few addresses of each name, the first one of each before the second of any.
    pub(crate) fn known(&self) -> Vec<BootstrapPeer> {
        let width = self.width();
        let of_rank = |rank: usize| {
            let peers = self.peers.iter();
            peers.filter_map(move |peer| {
                let address = *peer.addresses.get(rank)?;
                let key = peer.entry.key;
                Some(BootstrapPeer { address, key })
            })
        };
        (0..width).flat_map(of_rank).take(MAX_PEERS).collect()
    }

    fn width(&self) -> usize {
        (MAX_PEERS / self.peers.len().max(1)).clamp(1, AT_A_TIME)
    }

    /// Looks up names at whose addresses no relay answers, and sends the whole list each time it changes. Ends with the node.
    pub(crate) async fn run(
        mut self,
        node: mpsc::WeakSender<HandleRequest>,
        out: mpsc::Sender<Vec<BootstrapPeer>>,
    ) {
        if self.peers.iter().all(|peer| peer.name.is_none()) {
            return;
        }
        // There is at most one lookup of each name under way.
        let (done, mut found) = mpsc::channel(MAX_PEERS);
        let mut given = self.known();
        let mut pause = PAUSE_MS.0;
        while let Some(answering) = answering(&node).await {
            let missing = self.round(&answering, &done);
            pause = match missing {
                Missing::Nobody => PAUSE_MS.1,
                Missing::Again => PAUSE_MS.0,
                Missing::Still => pause,
            };
            let jittered = self.rng.random_range(pause / 2..=pause + pause / 2);
            let mut over = std::pin::pin!(time::sleep(Duration::from_millis(jittered)));
            pause = (pause * 2).min(PAUSE_MS.1);
            loop {
                let known = self.known();
                if known != given {
                    given.clone_from(&known);
                    if out.send(known).await.is_err() {
                        return;
                    }
                }
                tokio::select! {
                    () = out.closed() => return,
                    Some((number, found)) = found.recv() => self.looked_up(number, found),
                    () = &mut over => break,
                }
            }
        }
    }

    /// Starts a lookup of every name at which no relay answers, and moves on to its next addresses.
    fn round(&mut self, answering: &[SocketAddr], done: &mpsc::Sender<(usize, Found)>) -> Missing {
        let width = self.width();
        let mut missing = Missing::Nobody;
        for (number, peer) in self.peers.iter_mut().enumerate() {
            let written = &peer.entry.address;
            let tried = peer.addresses.iter().take(width);
            let answers = tried.clone().any(|tried| answering.contains(tried));
            if answers {
                self.troubles.answers(written);
            }
            let Some(name) = &mut peer.name else {
                continue;
            };
            if answers {
                name.answered = true;
                continue;
            }
            let again = std::mem::take(&mut name.answered);
            missing = match (again, missing) {
                (true, _) | (_, Missing::Again) => Missing::Again,
                (false, _) => Missing::Still,
            };
            if peer.addresses.len() > width {
                peer.addresses.rotate_left(width);
                let tried = peer.addresses.get(..width).unwrap_or_default();
                self.troubles.resolved(written, tried);
            }
            name.waits = Some(match name.waits {
                None => {
                    lookup::start(number, &name.host, name.port, done.clone());
                    0
                }
                Some(SLOW_ROUNDS) => {
                    let why = "the name server has not answered yet";
                    self.troubles.unresolved(written, why);
                    SLOW_ROUNDS + 1
                }
                Some(rounds) => rounds.saturating_add(1),
            });
        }
        missing
    }

    fn looked_up(&mut self, number: usize, found: Found) {
        if let Some(name) = self
            .peers
            .get_mut(number)
            .and_then(|peer| peer.name.as_mut())
        {
            name.waits = None;
        }
        self.found(number, found);
    }

    fn found(&mut self, number: usize, found: Found) {
        let width = self.width();
        let Some(peer) = self.peers.get_mut(number) else {
            return;
        };
        let written = &peer.entry.address;
        let addresses = match found {
            Ok(addresses) => addresses,
            // The earlier addresses may still be right.
            Err(why) => return self.troubles.unresolved(written, &why),
        };
        let (mut usable, mut refusal) = (Vec::new(), None);
        for address in addresses.into_iter().map(canonical) {
            match why_unusable(address, &self.policy, self.families) {
                None if usable.len() < MAX_ADDRESSES => usable.push(address),
                None => {}
                Some(why) => refusal = Some((address, why)),
            }
        }
        // Not all nodes should ask the same addresses first. New ones come before those that did not answer.
        peer.addresses.retain(|known| usable.contains(known));
        usable.retain(|address| !peer.addresses.contains(address));
        usable.shuffle(&mut self.rng);
        peer.addresses.splice(0..0, usable);
        match (peer.addresses.is_empty(), refusal) {
            (true, Some((address, why))) => self.troubles.unusable(written, address, why),
            _ => {
                let tried = peer.addresses.iter().take(width).copied();
                self.troubles.resolved(written, &tried.collect::<Vec<_>>());
            }
        }
    }
}

impl Listed {
    fn new(entry: &PeerEntry) -> Self {
        let is_ip = entry.address.parse::<SocketAddr>().is_ok();
        let parts = split_address(&entry.address).filter(|_| !is_ip);
        let name = parts.map(|(host, port)| Name {
            host: host.to_owned(),
            port,
            waits: None,
            answered: false,
        });
        Self {
            entry: entry.clone(),
            addresses: Vec::new(),
            name,
        }
    }
}

/// The state of the names at which no relay answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Missing {
    /// There are no such names: a relay answers at each.
    Nobody,
    /// At least one of them answered before.
    Again,
    Still,
}

/// The addresses at which relays answer, according to the driver; `None` if the node has stopped.
async fn answering(node: &mpsc::WeakSender<HandleRequest>) -> Option<Vec<SocketAddr>> {
    let (answer, told) = oneshot::channel();
    let node = node.upgrade()?;
    node.send(HandleRequest::AnsweringPeers(answer))
        .await
        .ok()?;
    // This task must not keep the node running while it waits.
    drop(node);
    told.await.ok()
}

fn why_unusable(address: SocketAddr, policy: &Policy, can: Families) -> Option<&'static str> {
    if !can.hold(address) {
        Some("it is not of the address family on which this node listens (see --listen)")
    } else if !policy.may_host(address) {
        Some("no relay may live at this address in this network's profile")
    } else {
        None
    }
}

#[cfg(test)]
mod tests;

//! Paths read off real cores: the probe tells where each walk began, who took it, and where it went on.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use deut_transport::{
    DropReason,
    ids::TunnelHandle,
    observe::{Direction, Seen},
};

use super::path::{Path, Paths, Relay};
use crate::net::Net;

/// A copy of a request as its sender knows it.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// Who asked.
    pub master: Relay,
    /// Where the recipient is reached.
    pub to: std::net::SocketAddr,
    /// The tunnel that carries it.
    pub send: TunnelHandle,
    /// The tunnel that its answer is awaited through.
    pub reply: TunnelHandle,
}

#[derive(Default)]
struct Log {
    /// Master, tunnel and first element of each walk.
    started: Vec<(Relay, TunnelHandle, [u8; 32])>,
    /// Who took a request, by its element, and the element that it sent on.
    taken: BTreeMap<[u8; 32], (Relay, Option<[u8; 32]>)>,
    sent: Vec<Sent>,
    /// Cells refused at the ends of tunnels: at endpoints and at masters.
    refused: BTreeMap<DropReason, (u64, u64)>,
}

/// Follows the walks of a network from the moment on when it is attached.
pub struct Recorder {
    log: Arc<Mutex<Log>>,
    relays: usize,
}

impl Recorder {
    /// Probes in all nodes that are there. Relays are numbered in the order of nodes; clients are left out, because
    /// nobody can take them for a relayer.
    ///
    /// # Panics
    /// With more than 2³² relays.
    #[must_use]
    pub fn attach(net: &mut Net) -> Self {
        let log = Arc::new(Mutex::new(Log::default()));
        let mut relays = 0;
        for node in &mut net.nodes {
            if node.core.own_descriptor().is_none() {
                continue;
            }
            let relay = Relay::try_from(relays).expect("few relays");
            relays += 1;
            let log = Arc::clone(&log);
            node.core.add_observer(Box::new(move |seen| {
                let mut log = log.lock().expect("one thread");
                match seen {
                    Seen::WalkStarted { tunnel, element } => {
                        log.started.push((relay, tunnel, element));
                    }
                    Seen::WalkTaken { element, next } => {
                        log.taken.insert(element, (relay, next));
                    }
                    Seen::RequestSealed { to, tunnels, .. } => log.sent.push(Sent {
                        master: relay,
                        to,
                        send: tunnels.0,
                        reply: tunnels.1,
                    }),
                    Seen::CellRefused(direction, reason) => {
                        let counts = log.refused.entry(reason).or_default();
                        match direction {
                            Direction::FromMaster => counts.0 += 1,
                            Direction::ToMaster => counts.1 += 1,
                        }
                    }
                    _ => {}
                }
            }));
        }
        Self { log, relays }
    }

    /// Walks that began since.
    ///
    /// # Panics
    /// Never: one thread.
    #[must_use]
    pub fn started(&self) -> usize {
        self.log.lock().expect("one thread").started.len()
    }

    /// Relays that are followed.
    #[must_use]
    pub const fn relays(&self) -> usize {
        self.relays
    }

    /// The path of each tunnel whose walk found an endpoint.
    ///
    /// # Panics
    /// Never: one thread.
    #[must_use]
    pub fn tunnels(&self) -> BTreeMap<(Relay, TunnelHandle), Path> {
        let log = self.log.lock().expect("one thread");
        let follow = |&(master, tunnel, first): &(Relay, TunnelHandle, [u8; 32])| {
            let (mut hops, mut element) = (Vec::new(), Some(first));
            while let Some(sent) = element {
                let (relay, next) = log.taken.get(&sent)?;
                hops.push(*relay);
                element = *next;
            }
            Some(((master, tunnel), Path { master, hops }))
        };
        log.started.iter().filter_map(follow).collect()
    }

    /// All recorded paths.
    #[must_use]
    pub fn paths(&self) -> Paths {
        Paths::new(self.relays, self.tunnels().into_values().collect())
    }

    /// Cells that were refused for this reason at the end of their tunnel: at endpoints and at masters.
    ///
    /// # Panics
    /// Never: one thread.
    #[must_use]
    pub fn refused(&self, reason: DropReason) -> (u64, u64) {
        let log = self.log.lock().expect("one thread");
        log.refused.get(&reason).copied().unwrap_or_default()
    }

    /// Takes the request copies that were sent since the last time.
    ///
    /// # Panics
    /// Never: one thread.
    pub fn take_sent(&self) -> Vec<Sent> {
        std::mem::take(&mut self.log.lock().expect("one thread").sent)
    }
}

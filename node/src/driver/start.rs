//! From checked settings to a running driver.

use std::{io, sync::Arc};

use deut_transport::{
    Restored, api::BootstrapPeer, config::Role, keys::RelayKeys, policy::Profile,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::sync::{mpsc, watch};
use zeroize::Zeroizing;

use super::{Driver, open::Open, report, room, saver::Saver};
use crate::{
    bootstrap::{BootstrapFile, resolve::Resolver, troubles::Troubles},
    clock::Clock,
    config::{NodeConfig, Plan},
    core::{Core, CoreConfig},
    data_dir::DataDir,
    entropy,
    handle::{About, Node, StartError, request},
    jobs::Jobs,
    rsa_suite::RealRsa,
    udp::Sockets,
};

/// Lists of peers on their way from the resolver; it waits while there is no room.
const PEER_LISTS: usize = 4;

/// See [`Node::start`].
pub(crate) async fn start(config: NodeConfig) -> Result<Node, StartError> {
    let config = config.canonical();
    let mut plan = config.plan()?;
    room::fit_ports(&mut plan);
    let seeds = Seeds::new(config.seed)?;
    let dir = config.data_dir.as_deref().map(DataDir::open).transpose()?;
    let (restored, relay) = restore(&plan, dir.as_ref(), &seeds.key)?;
    let sockets = bind(&config)?;
    announce(&config, relay.is_some());

    let troubles = Troubles::default();
    let about = About {
        local: sockets.local(),
        relay,
        troubles: troubles.clone(),
    };
    let resolver = Resolver::new(
        &config.bootstrap.peers,
        plan.transport.policy,
        config.families(),
        troubles,
        seeds.resolver,
    );
    let (to_driver, peers) = mpsc::channel(PEER_LISTS);
    let core = CoreConfig {
        transport: plan.transport,
        kademlia: plan.kademlia,
        persona: plan.persona,
    };
    let clock = Clock::start();
    let core = Core::new(core, Arc::new(RealRsa), restored, seeds.core, clock.now());
    let saver = dir.map(Saver::new);
    let jobs = Jobs::new(Arc::new(RealRsa), config.key_permits);
    let (driver, node) = assemble(
        config.bootstrap,
        core,
        (clock, jobs),
        sockets,
        peers,
        saver,
        about,
    );
    let to_node = node.requests.downgrade();
    tokio::spawn(driver.run(resolver.known()));
    tokio::spawn(resolver.run(to_node, to_driver));
    Ok(node)
}

/// A driver and the first handle to it.
fn assemble(
    bootstrap: BootstrapFile,
    core: Core,
    (clock, jobs): (Clock, Jobs),
    sockets: Sockets,
    peers: mpsc::Receiver<Vec<BootstrapPeer>>,
    saver: Option<Saver>,
    about: About,
) -> (Driver, Node) {
    let (requests, from_handles) = mpsc::channel(request::WAITING);
    let (ready, readiness) = watch::channel(core.readiness());
    let driver = Driver {
        core,
        clock,
        sockets,
        jobs,
        requests: from_handles,
        to_self: requests.downgrade(),
        peers,
        peers_done: false,
        troubles: about.troubles.clone(),
        readiness: ready,
        ready_after_ms: None,
        open: Open::default(),
        saver,
        timer: Box::pin(tokio::time::sleep(std::time::Duration::ZERO)),
        until: None,
        about: report::About {
            network: bootstrap.network,
            profile: bootstrap.profile,
            identity: about.relay.map(|(_, identity)| identity),
        },
    };
    let about = Arc::new(about);
    (
        driver,
        Node {
            requests,
            readiness,
            about,
        },
    )
}

/// Streams of random numbers that have nothing to do with each other.
struct Seeds {
    key: Zeroizing<[u8; 32]>,
    core: [u8; 32],
    resolver: [u8; 32],
}

impl Seeds {
    fn new(given: Option<[u8; 32]>) -> Result<Self, StartError> {
        let seed = match given {
            Some(seed) => seed,
            None => entropy::seed().map_err(StartError::NoEntropy)?,
        };
        let mut streams = StdRng::from_seed(seed);
        Ok(Self {
            key: Zeroizing::new(streams.random()),
            core: streams.random(),
            resolver: streams.random(),
        })
    }
}

/// The relay's address and identity key.
type Relay = (std::net::SocketAddr, [u8; 32]);

/// A client has no name, so nothing of it is kept but the relays it knows.
fn restore(
    plan: &Plan,
    dir: Option<&DataDir>,
    fresh_key: &[u8; 32],
) -> Result<(Restored, Option<Relay>), StartError> {
    let relays = dir.map(DataDir::relays).unwrap_or_default();
    let address = match plan.transport.role {
        Role::Relay { address, .. } => Some(address),
        Role::Client => None,
    };
    let key_seed = match (dir, address) {
        (Some(dir), Some(_)) => dir.key_seed(fresh_key)?,
        _ => Zeroizing::new(*fresh_key),
    };
    let relay = address.map(|address| (address, RelayKeys::from_seed(&key_seed).identity()));
    Ok((
        Restored {
            key_seed: *key_seed,
            relays,
        },
        relay,
    ))
}

fn bind(config: &NodeConfig) -> Result<Sockets, StartError> {
    let address = room::address(config);
    Sockets::bind(address, config.families()).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => StartError::PortInUse { address },
        _ => StartError::CannotListen {
            address,
            why: error.to_string(),
        },
    })
}

/// What an operator should know at the start. Without addresses.
fn announce(config: &NodeConfig, relay: bool) {
    let network = &config.bootstrap.network;
    if config.bootstrap.profile == Profile::Test {
        tracing::warn!(%network, "TEST PROFILE: private addresses, no proof of work, no limits per address range; only for networks of your own");
    }
    if relay {
        tracing::info!(%network, "a relay: others must reach it at its address, which is assumed and not tested");
    } else {
        tracing::info!(%network, "a client: master of its own tunnels only, in no directory");
    }
    for warning in config.bootstrap.warnings() {
        tracing::warn!("{warning}");
    }
}

//! Starts a driver from checked settings.

use std::{io, panic::catch_unwind, path::Path, sync::Arc, time::Duration};

use deut_transport::{Restored, config::Role, io::BootstrapPeer, keys::RelayKeys, policy::Profile};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::{
    net::UnixStream,
    runtime::Handle,
    sync::{mpsc, watch},
    time::sleep,
};
use zeroize::Zeroizing;

use super::{Driver, Link, StartError, handle_link::About, owed::Open, report, room, saver::Saver};
use crate::{
    bootstrap::{BootstrapFile, resolve::Resolver, troubles::Troubles},
    clock::Clock,
    config::{NodeConfig, Plan},
    core::{Core, CoreConfig},
    data_dir::{DataDir, DataDirError, is_out_of_descriptors},
    entropy,
    jobs::Jobs,
    request,
    rsa_suite::RealRsa,
    udp::Sockets,
};

/// Number of peer lists on their way from the resolver, which waits while there is no room.
const PEER_LISTS: usize = 4;

/// Number of tries for a data directory that is in use, and the pause between them: a second in all.
const LOCK_TRIES: u32 = 50;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Starts a node; see [`crate::Node::start`].
pub(crate) async fn start(config: NodeConfig) -> Result<Link, StartError> {
    // Before the first file is created.
    check_runtime()?;
    let config = config.canonical();
    let mut plan = config.plan()?;
    room::fit_ports(&mut plan);
    let seeds = Seeds::new(config.seed)?;
    let dir = match &config.data_dir {
        Some(path) => Some(open_data_dir(path).await?),
        None => None,
    };
    let (restored, relay) = restore(&plan, dir.as_ref(), &seeds.key)?;
    let sockets = bind(&config)?;
    announce(&config, relay.is_some());
    tracing::debug!(address = %sockets.local(), "listening");

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
    let (driver, link) = assemble(
        config.bootstrap,
        core,
        (clock, jobs),
        sockets,
        peers,
        saver,
        about,
    );
    let to_node = link.requests.downgrade();
    tokio::spawn(driver.run(resolver.known()));
    tokio::spawn(resolver.run(to_node, to_driver));
    Ok(link)
}

/// A node that was just dropped needs a moment to release its directory, and so does a process that just ended.
async fn open_data_dir(path: &Path) -> Result<DataDir, DataDirError> {
    for _ in 0..LOCK_TRIES {
        match DataDir::open(path) {
            Err(error) if error.in_use => sleep(LOCK_PAUSE).await,
            end => return end,
        }
    }
    DataDir::open(path)
}

/// Makes a driver and the first handle to it.
fn assemble(
    bootstrap: BootstrapFile,
    core: Core,
    (clock, jobs): (Clock, Jobs),
    sockets: Sockets,
    peers: mpsc::Receiver<Vec<BootstrapPeer>>,
    saver: Option<Saver>,
    about: About,
) -> (Driver, Link) {
    let (requests, from_handles) = mpsc::channel(request::WAITING);
    // One message is enough: the driver then checks all requests.
    let (abandoned, from_waiting) = mpsc::channel(1);
    let (ready, readiness) = watch::channel(core.readiness());
    let driver = Driver {
        core,
        clock,
        sockets,
        jobs,
        requests: from_handles,
        abandoned: from_waiting,
        to_self: requests.downgrade(),
        peers,
        peers_done: false,
        troubles: about.troubles.clone(),
        readiness: ready,
        ready_after_ms: None,
        open: Open::default(),
        saver,
        timer: Box::pin(sleep(Duration::ZERO)),
        until: None,
        about: report::NodeFacts {
            network: bootstrap.network,
            profile: bootstrap.profile,
            identity: about.relay.map(|(_, identity)| identity),
        },
    };
    let about = Arc::new(about);
    (
        driver,
        Link {
            requests,
            abandoned,
            readiness,
            about,
        },
    )
}

/// Independent streams of random numbers.
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

/// A client has no identity, so only the relays that it knows are kept.
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
        _ if is_out_of_descriptors(&error) => StartError::NoDescriptors {
            what: "the relay port",
            why: error.to_string(),
        },
        _ => StartError::CannotListen {
            address,
            why: error.to_string(),
        },
    })
}

/// A runtime does not say if it has I/O and time, and asking for a missing one panics.
fn check_runtime() -> Result<(), StartError> {
    Handle::try_current().map_err(|_| StartError::NoRuntime("I/O and time"))?;
    catch_unwind(|| drop(sleep(Duration::ZERO))).map_err(|_| StartError::NoRuntime("time"))?;
    match catch_unwind(UnixStream::pair) {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(StartError::NoDescriptors {
            what: "the sockets",
            why: error.to_string(),
        }),
        Err(_) => Err(StartError::NoRuntime("I/O")),
    }
}

/// Logs what an operator should know at the start, without addresses.
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

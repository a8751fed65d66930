//! `deut run`: the daemon.

use std::time::Duration;

use deut::{
    Node, NodeConfig, PortRange, Profile,
    data_dir::{self, RELAYS},
    status::ReadinessStatus,
};
use tokio::time::{Instant, interval, timeout};

use super::{listen, paths, readiness::Damper};
use crate::{
    cli,
    control::{daemon::NodeHandler, server::Server},
    exit::{Exit, Failure},
    output::{Out, news::News},
    process::{Signals, raise_open_file_limit},
    seed::seed_of,
};

/// Longest time for closing all tunnels politely.
const GOODBYE: Duration = Duration::from_secs(5);
/// Time between two checks of the troubles of bootstrap peers, and of changes that may have lasted.
const WATCH: Duration = Duration::from_millis(500);

/// Runs a node until a signal arrives.
///
/// # Errors
/// If the node does not start or stops by itself.
pub(crate) async fn run(arguments: &cli::Run, out: &Out) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    raise_open_file_limit();
    let config = tokio::select! {
        config = config(arguments) => config?,
        _ = signals.next() => return Ok(()),
    };
    refuse_a_client_that_knows_nobody(&config)?;
    let control = arguments.reach.control()?;
    let (network, profile) = (
        config.bootstrap.network.clone(),
        profile_name(config.bootstrap.profile),
    );
    if let Some(directory) = &config.data_dir {
        data_dir::prepare(directory)?;
    }
    // Any fault with the socket is found before the node contacts anybody. Only the node locks the directory.
    let server = Server::prepare(&control).await?;
    let node = Node::start(config).await?;
    if let Err(failure) = server.open() {
        let _ = timeout(GOODBYE, node.shutdown()).await;
        return Err(failure);
    }
    let started = News::Started {
        version: env!("CARGO_PKG_VERSION"),
        network,
        profile,
        address: node.local_address(),
        control: control.display().to_string(),
        bootstrap_line: node.bootstrap_line(),
    };
    out.news(&started, || started.text());
    let end = tokio::select! {
        () = server.serve(NodeHandler::new(node.clone())) => Ok(()),
        end = watch(&node, out) => end,
        signal = signals.next() => {
            let news = News::Stopping { signal };
            out.news(&news, || news.text());
            Ok(())
        }
    };
    tokio::select! {
        _ = timeout(GOODBYE, node.shutdown()) => {}
        _ = signals.next() => {}
    }
    end
}

async fn config(arguments: &cli::Run) -> Result<NodeConfig, Failure> {
    let mut file = paths::read_bootstrap(arguments.bootstrap.as_deref())?;
    let seed = match (arguments.seed, file.profile) {
        (Some(_), Profile::Production) => {
            return Err(Failure::new(
                Exit::BadConfig,
                "--seed makes every key predictable: it is refused outside the test profile",
            ));
        }
        (seed, _) => seed.map(|number| seed_of("run", number)),
    };
    let listen = listen::address(arguments.listen, &file).await?;
    listen::without_ourselves(&mut file, arguments.external.unwrap_or(listen));
    let mut config = NodeConfig::new(file, listen);
    config.external = arguments.external;
    config.reachable = arguments.reachable;
    config.endpoint_ports = arguments
        .endpoint_ports
        .map(|(first, last)| PortRange { first, last });
    config.data_dir = Some(arguments.reach.data_dir()?);
    config.persona = !arguments.no_persona;
    config.lookup_tunnels = usize::from(arguments.tunnels);
    config.ready_at = config.ready_at.min(config.lookup_tunnels);
    config.seed = seed;
    Ok(config)
}

/// A client cannot be the first of its network: without peers and without relays of an earlier run, it would wait for ever.
fn refuse_a_client_that_knows_nobody(config: &NodeConfig) -> Result<(), Failure> {
    let saved = config.data_dir.as_deref().map(|dir| dir.join(RELAYS));
    if config.is_relay()
        || !config.bootstrap.peers.is_empty()
        || saved.is_some_and(|path| path.exists())
    {
        return Ok(());
    }
    let text = format!(
        "{}, and a client cannot be the first of its network",
        paths::no_peers(&config.bootstrap)
    );
    Err(Failure::new(Exit::NoNetwork, text).hint(
        "add a [[peer]] block (`deut bootstrap-line` on a running node prints it), or be the first node: `deut run --reachable --external PUBLIC-IP:PORT`",
    ))
}

const fn profile_name(profile: Profile) -> &'static str {
    match profile {
        Profile::Production => "production",
        Profile::Test => "test",
    }
}

/// Reports readiness and troubles until the node stops by itself.
async fn watch(node: &Node, out: &Out) -> Result<(), Failure> {
    let mut readiness = node.watch_readiness();
    let mut ticks = interval(WATCH);
    let mut damper = Damper::default();
    let mut told: Vec<(String, String)> = Vec::new();
    loop {
        let now = ReadinessStatus::from(&*readiness.borrow_and_update());
        if let Some(now) = damper.see(now, Instant::now()) {
            let news = News::Readiness(now);
            out.news(&news, || news.text());
        }
        for trouble in node.bootstrap_troubles() {
            // A name may have many addresses: one line is enough for all of them.
            let words = (trouble.written, trouble.trouble);
            if !told.contains(&words) {
                told.push(words.clone());
                let (peer, trouble) = words;
                let news = News::Trouble { peer, trouble };
                out.news(&news, || news.text());
            }
        }
        tokio::select! {
            changed = readiness.changed() => changed.map_err(|_stopped| Failure::from(deut::Stopped))?,
            _ = ticks.tick() => {}
        }
    }
}

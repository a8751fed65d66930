//! `get`, `put`, `announce`: through the daemon if one runs, else, if that is possible, with a short-lived node.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use deut::{BootstrapFile, Node, NodeConfig, StartError};
use deut_kademlia::bencode;
use tokio::{sync::mpsc, time::timeout};

use super::{
    asking::{ask, interrupted, milliseconds, needs_daemon},
    paths,
    typed::{read_value, sequence},
};
use crate::{
    cli,
    control::{client::Daemon, protocol::Request},
    exit::{Exit, Failure},
    output::{Out, steps::Steps, text},
    process::{Signals, threads},
    report::{Got, Stored, hex, unhex},
    work::{
        Work,
        target::{Target, announceable, magnet, mutable_key},
    },
};

/// A node that does only a few lookups does not need 28 tunnels. This is enough for other tunnels at the second lookup.
const TUNNELS: usize = 12;

/// A client closes its tunnels politely, but nobody waits longer than this.
const GOODBYE: Duration = Duration::from_secs(2);

/// `deut get`.
pub(crate) async fn get(arguments: &cli::Get, out: &Out) -> Result<(), Failure> {
    let (target, request) = what_to_get(arguments)?;
    let lookup = &arguments.lookup;
    let mut steps = out.steps_with_peers(lookup.verbose);
    let got: Got = match daemon(arguments.bootstrap.as_deref(), lookup).await? {
        Some(daemon) => ask(daemon, &request, &mut steps).await?,
        None => {
            short_lived(
                arguments.bootstrap.as_deref(),
                lookup,
                &mut steps,
                async |work| work.for_all(arguments.all).get(&target).await,
            )
            .await?
        }
    };
    match &got {
        Got::Peers { .. } => out.rest(&got, text::peers(&got, steps.printed()))?,
        Got::Value { value_hex, .. } => out.value(&got, value_hex)?,
        Got::Mutable { value_hex, .. } => {
            // A value that is no byte string is shown as it is.
            let value = unhex(value_hex).unwrap_or_default();
            let content = bencode::string(&value).unwrap_or(&value);
            out.value(&got, &hex(content))?;
        }
    }
    out.note(&text::effort(&got));
    Ok(())
}

/// The target, and the request to a daemon.
fn what_to_get(arguments: &cli::Get) -> Result<(Target, Request), Failure> {
    let timeout_ms = milliseconds(&arguments.lookup);
    if arguments.mutable {
        let salt = arguments.salt.clone().unwrap_or_default().into_bytes();
        let of = mutable_key(&arguments.target, salt)?;
        let min_seq = sequence("--min-seq", arguments.min_seq)?;
        let request = Request::GetMutable {
            public_key: hex(&of.public_key()),
            salt_hex: hex(of.salt()),
            min_seq,
            lookups: None,
            timeout_ms,
        };
        return Ok((Target::Mutable(of, min_seq), request));
    }
    let request = Request::Get {
        target: arguments.target.clone(),
        all: arguments.all,
        timeout_ms,
    };
    let target = Target::parse(&arguments.target)?;
    Ok((target.asked_for(arguments.all)?, request))
}

/// `deut put`.
pub(crate) async fn put(arguments: &cli::Put, out: &Out) -> Result<(), Failure> {
    let value = read_value(arguments)?;
    let lookup = &arguments.lookup;
    let daemon = Daemon::connect(&lookup.reach.control()?)
        .await
        .map_err(|failure| needs_daemon(failure, "put"))?;
    let request = Request::Put {
        value_hex: hex(&value),
        timeout_ms: milliseconds(lookup),
    };
    let stored: Stored = ask(daemon, &request, &mut out.steps(lookup.verbose)).await?;
    out.result(&stored, || text::stored(&stored))
}

/// `deut announce`.
pub(crate) async fn announce(arguments: &cli::Announce, out: &Out) -> Result<(), Failure> {
    let magnet = magnet(&arguments.magnet)?;
    announceable(arguments.address)?;
    let (lookup, mut steps, address) = (
        &arguments.lookup,
        out.steps(arguments.lookup.verbose),
        arguments.address,
    );
    if let Some(address) = address {
        out.warning(&format!(
            "{address} becomes public: whoever knows the magnet link can read it"
        ));
    }
    let daemon = daemon(arguments.bootstrap.as_deref(), lookup).await?;
    let stored: Stored = match (daemon, address) {
        (Some(daemon), _) => {
            let request = Request::Announce {
                magnet: arguments.magnet.clone(),
                address,
                timeout_ms: milliseconds(lookup),
            };
            ask(daemon, &request, &mut steps).await?
        }
        (None, Some(address)) => {
            let bootstrap = arguments.bootstrap.as_deref();
            let work = async |work: &Work| work.announce(&magnet, Some(address)).await;
            Stored {
                kept: false,
                ..short_lived(bootstrap, lookup, &mut steps, work).await?
            }
        }
        (None, None) => {
            let failure = Daemon::connect(&lookup.reach.control()?).await.err();
            let failure =
                failure.unwrap_or_else(|| Failure::new(Exit::NoDaemon, "no daemon answers"));
            return Err(needs_daemon(failure, "announce"));
        }
    };
    out.result(&stored, || text::stored(&stored))
}

/// The daemon, if one runs and no other network was named.
async fn daemon(bootstrap: Option<&Path>, lookup: &cli::Lookup) -> Result<Option<Daemon>, Failure> {
    if bootstrap.is_some() {
        return Ok(None);
    }
    // Without a home directory there is no daemon to be found in it.
    let Ok(path) = lookup.reach.control() else {
        return Ok(None);
    };
    match Daemon::connect(&path).await {
        Ok(daemon) => Ok(Some(daemon)),
        // A user who names a socket wants the daemon behind it.
        Err(failure) if failure.kind == Exit::NoDaemon && lookup.reach.control.is_none() => {
            Ok(None)
        }
        Err(failure) => Err(failure),
    }
}

/// Joins as a client without persona and records, does the work and leaves.
async fn short_lived<T>(
    bootstrap: Option<&Path>,
    lookup: &cli::Lookup,
    steps: &mut Steps,
    work: impl AsyncFnOnce(&Work) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let file = paths::read_bootstrap_with_peers(bootstrap)?;
    let mut signals = Signals::new()?;
    threads::make_for_a_node()?;
    let node = start_client(file).await?;
    let (sender, mut told) = mpsc::channel(256);
    let worker = Work::new(node.clone(), lookup.within(), sender);
    let end = {
        let mut work = std::pin::pin!(work(&worker));
        loop {
            tokio::select! {
                biased;
                Some(step) = told.recv() => if let Err(why) = steps.show(&step) {
                    break Err(why);
                },
                end = &mut work => break end,
                name = signals.next() => break Err(interrupted(name)),
            }
        }
    };
    steps.end();
    let _ = timeout(GOODBYE, node.shutdown()).await;
    end
}

/// Listens for both address families, since peers may be of either, or for IPv4 alone if this system has no IPv6.
async fn start_client(file: BootstrapFile) -> Result<Node, StartError> {
    let client = |ip: IpAddr| {
        let mut config = NodeConfig::client(file.clone(), SocketAddr::new(ip, 0));
        config.lookup_tunnels = TUNNELS;
        config.limits.keys_in_store = 0;
        Node::start(config)
    };
    match client(Ipv6Addr::UNSPECIFIED.into()).await {
        Err(StartError::CannotListen { .. }) => client(Ipv4Addr::UNSPECIFIED.into()).await,
        started => started,
    }
}

//! `get`, `put`, `announce`: with the daemon where one runs, else (where that is possible) with a short-lived node.

use std::{
    fs::File,
    io::{Read, stdin},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use deut::{BootstrapFile, Node, NodeConfig, StartError};
use deut_kademlia::{MAX_VALUE, bencode};
use tokio::{sync::mpsc, time::timeout};

use super::{Signals, mutable, paths, threads};
use crate::{
    cli,
    control::{
        client::Daemon,
        protocol::Request,
        report::{Got, Stored, hex, unhex},
        target::{Target, announceable, magnet, mutable_key},
        work::Work,
    },
    exit::{Exit, Failure},
    output::{Out, steps::Steps, text},
};

/// A node that does one lookup or a few needs no 28 tunnels; this is enough for other tunnels at the second one.
const TUNNELS: usize = 12;

/// A client closes its tunnels politely, but nobody waits longer for it.
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
            // What is no byte string is shown as it is.
            let value = unhex(value_hex).unwrap_or_default();
            let content = bencode::string(&value).unwrap_or(&value);
            out.value(&got, &hex(content))?;
        }
    }
    out.note(&text::effort(&got));
    Ok(())
}

/// The target, and the request for a daemon.
fn what_to_get(arguments: &cli::Get) -> Result<(Target, Request), Failure> {
    let timeout_ms = milliseconds(&arguments.lookup);
    if arguments.mutable {
        let salt = arguments.salt.clone().unwrap_or_default().into_bytes();
        let of = mutable_key(&arguments.target, salt)?;
        let min_seq = mutable::sequence("--min-seq", arguments.min_seq)?;
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
    if arguments.signed.mutable {
        return mutable::put(arguments, out).await;
    }
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

/// The daemon, where one runs and no other network was named.
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
        // Who names a socket means it.
        Err(failure) if failure.kind == Exit::NoDaemon && lookup.reach.control.is_none() => {
            Ok(None)
        }
        Err(failure) => Err(failure),
    }
}

pub(super) fn needs_daemon(failure: Failure, command: &str) -> Failure {
    if failure.kind != Exit::NoDaemon {
        return failure;
    }
    let (why, alternative) = match command {
        "put" => ("`put` needs a daemon, which keeps the value published", ""),
        _ => (
            "`announce` without --address needs a daemon with a persona, which stays reachable",
            ", or give --address ip:port, which becomes public",
        ),
    };
    Failure::new(Exit::NoDaemon, format!("{}; {why}", failure.message))
        .hint(format!("start one with `deut run`{alternative}"))
}

pub(super) async fn ask<T: serde::de::DeserializeOwned>(
    daemon: Daemon,
    request: &Request,
    steps: &mut Steps,
) -> Result<T, Failure> {
    let mut signals = Signals::new()?;
    let end = tokio::select! {
        end = daemon.ask(request, |step| steps.show(&step)) => end,
        name = signals.next() => Err(interrupted(name)),
    };
    steps.end();
    end
}

fn interrupted(signal: &str) -> Failure {
    Failure::new(Exit::Interrupted, format!("interrupted by {signal}"))
}

/// Joins as a client that carries neither persona nor records, does the work and leaves.
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

/// On both address families, as peers may be of either; where this system has no IPv6, on IPv4 alone.
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

pub(super) fn milliseconds(lookup: &cli::Lookup) -> u64 {
    u64::try_from(lookup.within().as_millis()).unwrap_or(u64::MAX)
}

/// The value of `put`, with its size checked before anybody is asked.
pub(super) fn read_value(arguments: &cli::Put) -> Result<Vec<u8>, Failure> {
    let value = match (&arguments.value, &arguments.file) {
        (_, Some(path)) => {
            let unreadable =
                |why| Failure::bad_input(format!("{}: cannot be read ({why})", path.display()));
            let file = File::open(path).map_err(unreadable)?;
            // A regular file tells its size without being read; some under /proc say 0 and have content.
            let metadata = file.metadata().map_err(unreadable)?;
            if metadata.is_file() && metadata.len() > MAX_VALUE as u64 {
                return Err(Failure::value_too_large(
                    usize::try_from(metadata.len()).unwrap_or(usize::MAX),
                ));
            }
            at_most_the_largest(file, unreadable)?
        }
        (Some(dash), None) if dash == "-" => at_most_the_largest(stdin().lock(), |why| {
            Failure::bad_input(format!("standard input cannot be read ({why})"))
        })?,
        (Some(text), None) => text.clone().into_bytes(),
        (None, None) => Vec::new(),
    };
    match value.len() {
        0 => Err(Failure::bad_input("the value is empty")),
        bytes if bytes > MOST_READ => Err(Failure::value_without_end(MOST_READ)),
        bytes if bytes > MAX_VALUE => Err(Failure::value_too_large(bytes)),
        _ => Ok(value),
    }
}

/// A pipe tells no size: it is read so far, to tell one that is a little too long from one that has no end.
const MOST_READ: usize = 1 << 20;

/// Reads all of it, but not without end.
fn at_most_the_largest(
    source: impl Read,
    unreadable: impl FnOnce(std::io::Error) -> Failure,
) -> Result<Vec<u8>, Failure> {
    let mut value = Vec::new();
    match source.take(MOST_READ as u64 + 1).read_to_end(&mut value) {
        Ok(_) => Ok(value),
        Err(why) => Err(unreadable(why)),
    }
}

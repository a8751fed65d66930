//! `deut testnet`: a whole network in one process, over real UDP sockets on loopback. One node announces a magnet link, and a fresh
//! one resolves it through tunnels. Since it is a demonstration, it shows which node does what.

mod keep;
mod network;
mod report;
mod story;

use deut::{Node, NodeId};
use deut_kademlia::Magnet;
use tokio::{
    sync::mpsc,
    time::{Duration, Instant, timeout},
};

use crate::{
    cli,
    exit::{Exit, Failure},
    output::Out,
    process::{Signals, raise_open_file_limit},
    report::{Got, Peer, Stored, hex},
    step::Step,
    work::{Work, failed::not_ready, target::Target},
};
use network::Network;
use report::Report;

/// Longest time until all nodes are ready, even on a small machine that does something else as well.
const READY_WITHIN: Duration = Duration::from_secs(120);
/// Longest time for announcing, and for resolving.
const LOOKUP_WITHIN: Duration = Duration::from_secs(30);
/// Longest time for closing.
const GOODBYE: Duration = Duration::from_secs(3);

/// `deut testnet`.
///
/// # Errors
/// If the network does not come up or the magnet link is not resolved.
pub(crate) async fn testnet(arguments: &cli::Testnet, out: &Out) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    raise_open_file_limit();
    let mut network = Network::new(arguments.port, arguments.seed);
    let mut report = Report::default();
    let mut end = tokio::select! {
        end = demonstrate(&mut network, &mut report, arguments, out) => end,
        signal = signals.next() => Err(Failure::new(Exit::Interrupted, format!("interrupted by {signal}"))),
    };
    if end.is_ok() && arguments.keep {
        end = keep::keep(&network, &report, out, &mut signals).await;
    }
    report.error = end.as_ref().err().cloned();
    let told = out.object_with_json(&report);
    let _ = timeout(GOODBYE, network.shutdown()).await;
    end.and(told)
}

/// Starts the network, announces and resolves, and tells the story as it happens.
async fn demonstrate(
    network: &mut Network,
    report: &mut Report,
    arguments: &cli::Testnet,
    out: &Out,
) -> Result<(), Failure> {
    let count = usize::from(arguments.nodes);
    (report.nodes, report.announcer, report.resolver) = (count, count.div_ceil(2), count + 1);
    let infohash =
        NodeId::hash_of(format!("deut testnet {}", arguments.seed.unwrap_or_default()).as_bytes());
    report.magnet = format!("magnet:?xt=urn:btih:{infohash}");
    let magnet = Magnet::First(infohash.0);
    out.story(&story::opening(count))?;

    let start = Instant::now();
    for _ in 0..count {
        network.add().await?;
    }
    ready(network, out).await?;
    report.ready_ms = milliseconds_since(start);
    report.count_standing(&network.statuses().await?);
    out.story(&story::joined(report, network.ports()))?;

    let start = Instant::now();
    let stored = announce(network, report.announcer, &magnet).await?;
    (report.announce_ms, report.stored_at) = (milliseconds_since(start), stored.stored_at);
    report.held_by = stored.contact.as_ref().map_or(0, |contact| contact.held_by);
    network.learn_personas().await?;
    out.story(&story::announced(report, &stored))?;

    let start = Instant::now();
    let resolver = network.add().await?;
    out.live("one more node joins");
    let joined = resolver.ready(READY_WITHIN).await;
    out.live("");
    joined.map_err(|why| not_ready(&why, &resolver.bootstrap_troubles(), READY_WITHIN))?;
    report.join_ms = milliseconds_since(start);
    resolve(network, &resolver, &magnet, report).await?;
    out.story(&story::resolved(report))?;
    if report.resolved {
        return Ok(());
    }
    Err(Failure::new(
        Exit::NotFound,
        "the lookup found somebody, but no address of the node that announced",
    ))
}

/// Waits for all nodes. On a small or busy machine that takes a while, so the progress is shown.
async fn ready(network: &Network, out: &Out) -> Result<(), Failure> {
    let all = network.len();
    let start = Instant::now();
    let tell = |ready| {
        let seconds = start.elapsed().as_secs();
        out.live(&format!(
            "{ready} of {all} nodes are ready after {seconds} s"
        ));
    };
    let end = network.ready(READY_WITHIN, tell).await;
    out.live("");
    end
}

async fn announce(network: &Network, announcer: usize, magnet: &Magnet) -> Result<Stored, Failure> {
    let node = network
        .node(announcer)
        .ok_or_else(|| Failure::new(Exit::Internal, "no such node"))?;
    let (work, steps) = watched(node);
    let end = work.announce(magnet, None).await;
    drop(work);
    let _ = steps.await;
    end
}

/// The fresh node asks. The counters of all nodes are read before and after.
async fn resolve(
    network: &Network,
    resolver: &Node,
    magnet: &Magnet,
    report: &mut Report,
) -> Result<(), Failure> {
    let before = network.statuses().await?;
    let (work, steps) = watched(resolver);
    let start = Instant::now();
    let got = work.get(&Target::Magnet(*magnet)).await;
    report.lookup_ms = milliseconds_since(start);
    drop(work);
    let steps = steps.await.unwrap_or_default();
    let after = network.statuses().await?;
    report.count_lookup(&before, &after, &steps, network.names());
    let Got::Peers { peers, effort, .. } = got? else {
        return Ok(());
    };
    (report.rpcs, report.rounds, report.lookups) = (effort.rpcs, effort.rounds, effort.lookups);
    let announcer = match network.node(report.announcer) {
        Some(node) => node.persona_key().await?.map(|key| hex(&key)),
        None => None,
    };
    for peer in &peers {
        if let Peer::Persona { key, addresses, .. } = peer
            && Some(key) == announcer.as_ref()
        {
            // A persona without addresses leads nowhere.
            report.resolved = !addresses.is_empty();
            report.persona.clone_from(key);
            report.addresses = addresses
                .iter()
                .map(|address| (*address, network.names().endpoint(*address)))
                .collect();
        }
    }
    Ok(())
}

/// Work on this node, with a task that collects its steps.
fn watched(node: &Node) -> (Work, tokio::task::JoinHandle<Vec<Step>>) {
    let (sender, mut receiver) = mpsc::channel(256);
    let steps = tokio::spawn(async move {
        let mut steps = Vec::new();
        while let Some(step) = receiver.recv().await {
            steps.push(step);
        }
        steps
    });
    (Work::new(node.clone(), LOOKUP_WITHIN, sender), steps)
}

fn milliseconds_since(start: Instant) -> f64 {
    crate::report::milliseconds(u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX))
}

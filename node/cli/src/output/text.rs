//! Results as text.

use std::{collections::BTreeSet, fmt::Write};

use deut::status::{RelayStatus, TunnelStatus};

use crate::{
    exit::Failure,
    report::{Echoes, Effort, Got, Peer, Stored, Swarm},
    words::{joined, plural, reach},
};

/// The one or two lines of a failure.
pub(crate) fn failure(failure: &Failure) -> String {
    let hint = failure.hint.iter().map(|hint| format!("\nhint: {hint}"));
    format!("error: {}{}", failure.message, hint.collect::<String>())
}

/// The peers that were found but not printed yet, one per line.
pub(crate) fn peers(got: &Got, printed: &BTreeSet<String>) -> String {
    let rest = got.peers().iter();
    let rest = rest.filter(|peer| !printed.contains(&peer.name()));
    joined(rest.map(peer), "\n")
}

/// `persona KEY ADDRESS ...` or `unverified ADDRESS`.
pub(crate) fn peer(peer: &Peer) -> String {
    match peer {
        Peer::Persona { key, addresses, .. } if addresses.is_empty() => {
            format!("persona {key} (no current address found)")
        }
        Peer::Persona {
            key,
            addresses,
            reachable,
            ..
        } => {
            let mark = match reachable {
                Some(true) => "",
                Some(false) => " (does not answer)",
                None => " (not verified)",
            };
            format!("persona {key} {}{mark}", joined(addresses, " "))
        }
        Peer::Unverified { address, .. } => format!("unverified {address}"),
    }
}

/// The effort of a `get`, in one line.
pub(crate) fn effort(got: &Got) -> String {
    let (what, effort) = match got {
        Got::Peers {
            peers,
            through: Some(named),
            effort,
            ..
        } => (
            format!(
                "{}, named by sequence number {} of the record",
                how_many(peers.len(), effort),
                named.seq
            ),
            effort,
        ),
        Got::Mutable {
            record,
            given_by,
            older_by,
            effort,
            ..
        } => (
            format!(
                "sequence number {}, given by {given_by} node{}, an older one by {older_by}",
                record.seq,
                plural(*given_by as u64)
            ),
            effort,
        ),
        Got::Peers {
            peers,
            effort,
            swarms,
            ..
        } => (
            format!("{}{}", how_many(peers.len(), effort), in_which(swarms)),
            effort,
        ),
        Got::Value {
            value_hex, effort, ..
        } => (format!("{} bytes", value_hex.len() / 2), effort),
    };
    format!("{what}; {}", effort_line(effort))
}

/// `about 12 nodes (8 to 18)`.
pub(crate) fn size(nodes: u64, range: Option<(u64, u64)>) -> String {
    match range {
        Some((least, most)) if least < most => {
            format!("about {nodes} nodes ({least} to {most})")
        }
        _ => format!("about {nodes} node{}", plural(nodes)),
    }
}

/// `47 peers of at least 70`, if nodes gave samples.
fn how_many(peers: usize, effort: &Effort) -> String {
    let found = format!("{peers} peer{}", plural(peers as u64));
    match effort.peers_at_least {
        Some(all) if all > peers as u64 => {
            let others = match effort.merged {
                0 => "--all asks for the others",
                _ => "ask again for others",
            };
            format!("{found} of at least {all} (nodes give samples: {others})")
        }
        Some(_) => format!("{found}, perhaps not all (nodes give samples)"),
        None => found,
    }
}

/// For a hybrid torrent: the number of peers in each swarm.
fn in_which(swarms: &[Swarm]) -> String {
    let of = |swarm: &Swarm| format!("{} by version {}", swarm.who.len(), swarm.version);
    if swarms.is_empty() {
        return String::new();
    }
    format!(" ({})", joined(swarms.iter().map(of), ", "))
}

/// With fewer answers than this, the size of a network cannot be estimated.
const ENOUGH_FOR_AN_ESTIMATE: u32 = 4;

fn effort_line(effort: &Effort) -> String {
    let mut text = format!(
        "{}, {:.1} ms",
        rpcs(effort.rpcs, effort.rounds),
        effort.lookup_ms
    );
    if effort.merged > 1 {
        let _ = write!(text, ", {} lookups", effort.merged);
    } else if effort.lookups > 1 {
        let _ = write!(text, ", lookup number {}", effort.lookups);
    }
    if let Some(nodes) = effort.network_estimate
        && effort.closest_answered >= ENOUGH_FOR_AN_ESTIMATE
    {
        let _ = write!(text, ", network of {}", size(nodes, effort.network_range));
    }
    text
}

/// `11 RPCs in 2 rounds`.
pub(crate) fn rpcs(rpcs: u32, rounds: u32) -> String {
    let (more, again) = (plural(u64::from(rpcs)), plural(u64::from(rounds)));
    format!("{rpcs} RPC{more} in {rounds} round{again}")
}

/// The result of `put` and `announce`.
pub(crate) fn stored(stored: &Stored) -> String {
    let Stored {
        key,
        announced,
        mutable,
        other,
        stored_at,
        of,
        kept,
        contact,
        effort,
    } = stored;
    let first = match (announced, mutable) {
        (Some(what), _) => format!("announced {what} on {key}"),
        (None, Some(record)) => format!(
            "public key {}\nsequence number {}\nlink {}",
            record.public_key,
            record.seq,
            record.link()
        ),
        (None, None) => format!("key {key}"),
    };
    let life = if *kept {
        "the daemon keeps it published"
    } else {
        "nobody keeps it published: it expires after 45 minutes"
    };
    let beside = other.as_ref().map_or_else(String::new, |other| {
        format!(
            "; as version 2 on {} at {} of {}",
            other.key, other.stored_at, other.of
        )
    });
    let found = contact
        .iter()
        .map(|now| format!("\nthe persona is found: {}", reach(now)));
    format!(
        "{first}\nstored at {stored_at} of {of} nodes{beside}; {}; {life}{}",
        effort_line(effort),
        found.collect::<String>()
    )
}

/// `tunnels`: a table.
pub(crate) fn tunnels(tunnels: &[TunnelStatus]) -> String {
    if tunnels.is_empty() {
        return "no tunnels yet; `deut status` says what is missing".into();
    }
    let mut text = format!(
        "{:>6}  {:<7}  {:<4}  {:>4}  {:<8}  {:<8}  {:<21}  {:>6}  {:>6}  {:>5}  {:>8}",
        "tunnel",
        "pool",
        "path",
        "hops",
        "first",
        "endpoint",
        "address",
        "age s",
        "left s",
        "sent",
        "received"
    );
    for tunnel in tunnels {
        let TunnelStatus {
            handle,
            pool,
            path,
            hops,
            address,
            age_s,
            left_s,
            sent,
            received,
            ..
        } = tunnel;
        let (first, endpoint) = (short(&tunnel.first_hop), short(&tunnel.endpoint));
        let closing = if tunnel.up { "" } else { "  (not up)" };
        let address = address.to_string();
        let _ = write!(
            text,
            "\n{handle:>6}  {pool:<7}  {path:<4}  {hops:>4}  {first:<8}  {endpoint:<8}  {address:<21}  {age_s:>6}  {left_s:>6}  {sent:>5}  {received:>8}{closing}"
        );
    }
    text
}

/// `peers`: one relay per line.
pub(crate) fn relays(relays: &[RelayStatus]) -> String {
    if relays.is_empty() {
        return "no relay is verified yet; `deut status` says what is missing".into();
    }
    let line = |relay: &RelayStatus| {
        format!(
            "{} {}{}",
            relay.id,
            relay.address,
            if relay.linked { " linked" } else { "" }
        )
    };
    joined(relays.iter().map(line), "\n")
}

/// `ping`: one tunnel per line and a summary.
pub(crate) fn echoes(echoes: &Echoes) -> String {
    let mut text = String::new();
    for echo in &echoes.tunnels {
        let time = echo
            .round_trip_ms
            .map_or_else(|| "no echo within 3 s".into(), |ms| format!("{ms:.2} ms"));
        let _ = writeln!(
            text,
            "tunnel {} ({}, {} hop{}): {time}",
            echo.handle,
            echo.pool,
            echo.hops,
            plural(echo.hops as u64)
        );
    }
    let count = echoes.tunnels.len();
    let _ = write!(
        text,
        "{count} tunnel{}: {} answered, {} lost",
        plural(count as u64),
        echoes.answered,
        echoes.lost
    );
    if let Some([least, median, most]) = echoes.round_trip_ms {
        let _ = write!(
            text,
            "; round trip {least:.2} / {median:.2} / {most:.2} ms (least / median / most)"
        );
    }
    text
}

fn short(name: &str) -> &str {
    name.get(..8).unwrap_or(name)
}

#[cfg(test)]
mod tests;

//! The story of `deut testnet`, in one screenful.

use std::fmt::Write;

use super::report::{Load, Path, Report};
use crate::{
    output::text::rpcs as rpcs_text,
    report::Stored,
    words::{joined as list, plural},
};

/// Width of the longest line, in characters.
const WIDTH: usize = 100;
/// Indent at which the text of a step begins.
const INDENT: &str = "             ";

pub(super) fn opening(nodes: usize) -> String {
    format!(
        "deut testnet: {nodes} nodes in one process, each with its own UDP sockets on 127.0.0.1 (test profile).\n\
         Names are told because it is a demonstration: in a real network nobody knows all of this.\n"
    )
}

pub(super) fn joined(report: &Report, (first, last): (u16, u16)) -> String {
    let Report {
        nodes,
        ready_ms,
        tunnels_ready,
        rsa_keys,
        datagrams_to_ready,
        ..
    } = report;
    format!(
        "1. JOIN      Nodes 3 to {nodes} know only nodes 1 and 2 at the start (ports {first} to {last}).\n\
         {INDENT}All are ready after {ready_ms:.0} ms: {tunnels_ready} tunnels stand, {rsa_keys} RSA keys were made,\n\
         {INDENT}{datagrams_to_ready} datagrams sent.\n"
    )
}

pub(super) fn announced(report: &Report, stored: &Stored) -> String {
    let Report {
        announcer,
        magnet,
        announce_ms,
        ..
    } = report;
    let Stored {
        stored_at,
        of,
        contact,
        ..
    } = stored;
    let (held_by, around) = contact
        .as_ref()
        .map_or((0, 0), |contact| (contact.held_by, contact.of));
    format!(
        "2. ANNOUNCE  Node {announcer} announces its persona on {magnet}:\n\
         {INDENT}stored under a blinded key at {stored_at} of {of} nodes in {announce_ms:.0} ms; its addresses are\n\
         {INDENT}known to {held_by} of the {around} nodes closest to it.\n"
    )
}

pub(super) fn resolved(report: &Report) -> String {
    let Report {
        resolver,
        join_ms,
        lookup_ms,
        rpcs,
        rounds,
        datagrams,
        ..
    } = report;
    let mut text = format!(
        "3. RESOLVE   Node {resolver} joins: {join_ms:.0} ms until {} tunnels stand.\n",
        report.tunnels.len()
    );
    text.push_str(INDENT);
    text.push_str("It asks who announced on the link, through these tunnels:\n");
    for path in &report.tunnels {
        let _ = writeln!(text, "{INDENT}  {}", route(*resolver, path));
    }
    text.push_str(&wrapped(
        "Asked: nodes",
        report.asked.iter().map(ToString::to_string),
    ));
    text.push_str(&wrapped(
        "Cells relayed by nodes",
        loads(report, |load| load.cells),
    ));
    text.push_str(&wrapped(
        "Messages passed on by endpoints at nodes",
        loads(report, |load| load.messages),
    ));
    let not = if report.resolved {
        "Resolved in"
    } else {
        "Not resolved after"
    };
    let _ = write!(
        text,
        "\n{not} {lookup_ms:.1} ms: {}; {datagrams} datagrams in the whole network meanwhile.",
        rpcs_text(*rpcs, *rounds)
    );
    if report.resolved {
        let _ = write!(text, "\n{}", answer(report));
    }
    text
}

/// Items such as `4 (12)`: node 4 did it 12 times.
fn loads(report: &Report, what: impl Fn(&Load) -> u64) -> impl Iterator<Item = String> {
    let counted = report
        .carried
        .iter()
        .map(move |load| (load.node, what(load)));
    counted
        .filter(|(_, count)| *count > 0)
        .map(|(node, count)| format!("{node} ({count})"))
}

/// A list in indented lines of a limited width.
fn wrapped(title: &str, items: impl Iterator<Item = String>) -> String {
    let mut text = format!("{INDENT}{title}");
    let mut width = text.len();
    let mut first = true;
    for item in items {
        if !first {
            text.push(',');
        }
        if width + item.len() + 2 > WIDTH {
            text.push_str(&format!("\n{INDENT} "));
            width = INDENT.len() + 1;
        }
        text.push_str(&format!(" {item}"));
        width += item.len() + 2;
        first = false;
    }
    text.push_str(".\n");
    text
}

/// `17 -> 4 -> 1 relay that it cannot see -> 11`.
fn route(resolver: usize, path: &Path) -> String {
    let name = |node: Option<usize>| node.map_or_else(|| "?".into(), |node| node.to_string());
    let mut text = format!("{resolver} -> {}", name(path.first));
    match path.hops {
        0 | 1 => {}
        2 => text.push_str(&format!(" -> {}", name(path.endpoint))),
        hops => text.push_str(&format!(
            " -> {} relay{} it cannot see -> {}",
            hops - 2,
            plural(hops as u64 - 2),
            name(path.endpoint)
        )),
    }
    format!("{text:<46} {} sent, {} received", path.sent, path.received)
}

fn answer(report: &Report) -> String {
    let addresses = report.addresses.iter().map(|(address, node)| match node {
        Some(node) => format!("{address} (an endpoint at node {node})"),
        None => address.to_string(),
    });
    let persona: String = report.persona.chars().take(16).collect();
    let Report {
        announcer,
        resolver,
        ..
    } = report;
    format!(
        "It was persona {persona}..., reached at\n  {}.\n\
         The answer does not name node {announcer}, and those who answered were not told of node {resolver}.",
        list(addresses, ",\n  ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let path = |first, hops, endpoint| Path {
            first: Some(first),
            hops,
            endpoint: Some(endpoint),
            sent: 2,
            received: 1,
        };
        Report {
            nodes: 16,
            resolved: true,
            lookup_ms: 12.0,
            rpcs: 11,
            datagrams: 99,
            announcer: 8,
            resolver: 17,
            rounds: 2,
            tunnels: vec![path(4, 1, 4), path(4, 2, 5), path(4, 3, 6), path(4, 5, 7)],
            asked: vec![3, 9],
            persona: "ab".repeat(32),
            addresses: vec![("127.0.0.1:15001".parse().expect("an address"), Some(1))],
            ..Report::default()
        }
    }

    #[test]
    fn the_story_fits_on_a_screen_and_says_what_happened() {
        let text = resolved(&report());
        assert!(
            text.lines().count() < 24 && text.lines().all(|line| line.chars().count() <= 110),
            "{text}"
        );
        for part in [
            "17 -> 4 ",
            "17 -> 4 -> 5 ",
            "17 -> 4 -> 1 relay it cannot see -> 6",
            "17 -> 4 -> 3 relays it cannot see -> 7",
            "Asked: nodes 3, 9.",
            "Resolved in 12.0 ms: 11 RPCs in 2 rounds; 99 datagrams",
            "127.0.0.1:15001 (an endpoint at node 1)",
        ] {
            assert!(text.contains(part), "{part:?} is missing in\n{text}");
        }
    }

    #[test]
    fn a_failure_is_not_told_as_a_success() {
        let text = resolved(&Report {
            resolved: false,
            ..report()
        });
        assert!(
            text.contains("Not resolved") && !text.contains("persona"),
            "{text}"
        );
    }
}

//! `deut status` as text.

use std::fmt::{Arguments, Write};

use deut::{NodeStatus, status::DhtStatus};

use super::text::size;
use crate::words::{joined, reach, readiness};

/// Lines of a name and a value.
#[derive(Default)]
struct Rows(String);

impl Rows {
    fn add(&mut self, name: &str, value: Arguments<'_>) {
        let _ = writeln!(self.0, "{name:<12} {value}");
    }
}

/// `status`.
pub(crate) fn status(status: &NodeStatus) -> String {
    let mut rows = Rows::default();
    who(status, &mut rows);
    tunnels(status, &mut rows);
    dht(&status.dht, &mut rows);
    work(status, &mut rows);
    rows.0.truncate(rows.0.trim_end().len());
    rows.0
}

fn who(status: &NodeStatus, rows: &mut Rows) {
    let NodeStatus {
        version,
        role,
        network,
        profile,
        ..
    } = status;
    let up = duration(status.uptime_s);
    rows.add("node", format_args!("deut {version}, {role}, up {up}"));
    rows.add("network", format_args!("{network} ({profile} profile)"));
    rows.add("listening", format_args!("{}", status.local_address));
    if let Some(identity) = &status.identity {
        rows.add("identity", format_args!("{identity}"));
    }
}

fn tunnels(status: &NodeStatus, rows: &mut Rows) {
    let now = readiness(&status.readiness);
    let not = if status.readiness.ready { "" } else { "not " };
    rows.add("state", format_args!("{not}ready: {now}"));
    if let Some(after) = status.ready_after_ms {
        rows.add("ready after", format_args!("{after} ms"));
    }
    let standing = status.tunnels.iter().filter(|tunnel| tunnel.up);
    let (lookup, persona): (Vec<_>, Vec<_>) = standing.partition(|tunnel| tunnel.pool == "lookup");
    let (lookup, persona) = (lookup.len(), persona.len());
    rows.add(
        "tunnels",
        format_args!("{lookup} for lookups, {persona} for the persona"),
    );
    let linked = status.relays.iter().filter(|relay| relay.linked).count();
    let verified = status.relays.len();
    rows.add(
        "relays",
        format_args!("{verified} verified, {linked} linked"),
    );
    match &status.persona_reach {
        Some(now) => rows.add("persona", format_args!("on; {}", reach(now))),
        None => rows.add("persona", format_args!("off")),
    }
}

fn dht(dht: &DhtStatus, rows: &mut Rows) {
    let DhtStatus {
        user_contacts,
        user_contacts_live,
        table,
        table_live,
        ..
    } = dht;
    let DhtStatus {
        records,
        record_bytes,
        published,
        ..
    } = dht;
    let DhtStatus {
        rpcs_sent,
        rpcs_answered,
        requests_answered,
        ..
    } = dht;
    rows.add(
        "contacts",
        format_args!("{user_contacts} for lookups, {user_contacts_live} live"),
    );
    rows.add(
        "table",
        format_args!("{table} contacts of the persona, {table_live} live"),
    );
    rows.add(
        "records",
        format_args!("{records} for others ({record_bytes} bytes), {published} published"),
    );
    rows.add(
        "RPCs",
        format_args!(
            "{rpcs_sent} sent, {rpcs_answered} answered, {requests_answered} of others answered"
        ),
    );
    if let Some(nodes) = dht.network_estimate {
        rows.add(
            "network size",
            format_args!("{}", size(nodes, dht.network_range)),
        );
    }
}

fn work(status: &NodeStatus, rows: &mut Rows) {
    let counter = |name: &str| status.counters.get(name).copied().unwrap_or_default();
    let (own, succeeded) = (counter("walks_started"), counter("walks_succeeded"));
    let forwarded = counter("walks_forwarded");
    rows.add(
        "walks",
        format_args!("{own} own ({succeeded} succeeded), {forwarded} forwarded"),
    );
    let (cells, sent) = (counter("relayed_cells"), counter("endpoint_sent"));
    let delivered = counter("endpoint_delivered");
    rows.add(
        "carried",
        format_args!("{cells} cells; as endpoint {sent} messages sent, {delivered} delivered"),
    );
    let udp = &status.udp;
    let refused = match udp.send_refused {
        0 => String::new(),
        times => format!(", {times} refused by the system"),
    };
    rows.add(
        "datagrams",
        format_args!("{} received, {} sent{refused}", udp.received, udp.sent),
    );
    rows.add(
        "open ports",
        format_args!("{} for tunnels that end here", udp.endpoint_ports),
    );
    rows.add("dropped", format_args!("{}", drops(status)));
}

/// Drops by reason, the most frequent first.
fn drops(status: &NodeStatus) -> String {
    let mut reasons: Vec<(&String, &u64)> = status.drops.iter().collect();
    reasons.sort_by(|one, other| other.1.cmp(one.1).then(one.0.cmp(other.0)));
    let total: u64 = status.drops.values().sum();
    if total == 0 {
        return "0".into();
    }
    let reasons = reasons
        .iter()
        .map(|(reason, times)| format!("{reason} {times}"));
    format!("{total}: {}", joined(reasons, ", "))
}

/// `1 d 3 h`, `2 h 5 min`, `1 min 4 s`, `17 s`.
fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units() {
        for (seconds, text) in [
            (5, "5 s"),
            (64, "1 min 4 s"),
            (7_500, "2 h 5 min"),
            (97_200, "1 d 3 h"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }
}

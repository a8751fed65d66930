//! What came of a run.

use std::{collections::BTreeMap, fmt};

use serde_json::{Value, json};

use super::{
    Anonymity, Lookups, SECOND, Simulation, anonymity,
    lookups::{Counts, ratio},
};
use crate::observe::stats::wilson;

/// What a report of several runs tells of the first one only.
pub const OF_FIRST_RUN: [&str; 6] = [
    "nodes",
    "seed",
    "seconds",
    "trace_hash",
    "memory_per_node",
    "anonymity",
];

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// Runs that it tells of: see [`Report::merge`].
    pub runs: u64,
    /// Nodes alive at the end.
    pub nodes: usize,
    /// Nodes alive at the end, and those of them that are ready.
    pub ready: (u64, u64),
    /// The seed.
    pub seed: u64,
    /// Virtual seconds.
    pub seconds: u64,
    /// The hash of all that happened.
    pub trace_hash: u64,
    /// Lookups.
    pub lookups: Lookups,
    /// Datagrams that one lookup caused, next to those of an idle network.
    pub datagrams_per_lookup: f64,
    /// Bytes that a node sends per second in an idle network (the minute before lookups begin).
    pub idle_bytes_per_node_s: f64,
    /// And while lookups are made.
    pub bytes_per_node_s: f64,
    /// Resident bytes per node, those of the simulator included.
    pub memory_per_node: u64,
    /// Tunnels that came up.
    pub tunnels_up: u64,
    /// Walks started and succeeded.
    pub walks: (u64, u64),
    /// Tunnels that ended, by reason.
    pub tunnels_down: BTreeMap<&'static str, u64>,
    /// Datagrams discarded by the nodes alive, by reason.
    pub drops: BTreeMap<String, u64>,
    /// Hops of the tunnels that stand: how many have 1, 2, 3 ...
    pub hops: Vec<u64>,
    /// Nodes that left.
    pub left: usize,
    /// Nodes that left and came back.
    pub returned: usize,
    /// How often a node stood still for a while.
    pub pauses: u64,
    /// What colluding relays would learn, where walks were recorded.
    pub anonymity: Vec<Anonymity>,
    /// Contacts in the personas' tables, and dead ones among them.
    pub contacts: (u64, u64),
}

impl Report {
    pub(super) fn of(simulation: &Simulation) -> Self {
        let net = &simulation.net;
        let work = &simulation.work;
        let alive = simulation.alive();
        let mut report = Self {
            runs: 1,
            nodes: alive.len(),
            ready: (0, 0),
            seed: simulation.settings.seed,
            seconds: simulation.seconds(),
            trace_hash: net.trace(),
            lookups: work.lookups.clone(),
            datagrams_per_lookup: 0.0,
            idle_bytes_per_node_s: 0.0,
            bytes_per_node_s: 0.0,
            memory_per_node: resident().saturating_sub(simulation.memory_before)
                / net.nodes.len().max(1) as u64,
            tunnels_up: 0,
            walks: (0, 0),
            tunnels_down: BTreeMap::new(),
            drops: BTreeMap::new(),
            hops: vec![0; 12],
            left: simulation.population.left,
            returned: simulation.population.returned,
            pauses: simulation.population.pauses.count,
            anonymity: simulation
                .recorder
                .as_ref()
                .map_or_else(Vec::new, |recorder| {
                    anonymity::of(
                        &recorder.paths(),
                        recorder.started(),
                        simulation.settings.seed,
                    )
                }),
            contacts: (0, 0),
        };
        report.traffic(simulation, alive.len());
        let living: std::collections::BTreeSet<[u8; 32]> = alive
            .iter()
            .filter_map(|node| net.nodes[*node].core.persona_key())
            .collect();
        for (index, node) in net.nodes.iter().enumerate() {
            report.tunnels_up += node.tally.up;
            for (why, times) in &node.tally.down {
                *report.tunnels_down.entry(why).or_default() += times;
            }
            if node.alive {
                report.look_at(net, index, &living);
            }
        }
        report
    }

    fn look_at(
        &mut self,
        net: &crate::net::Net,
        index: usize,
        living: &std::collections::BTreeSet<[u8; 32]>,
    ) {
        let core = &net.nodes[index].core;
        let now = net.now_at(index);
        let counters = core.counters();
        self.ready.0 += 1;
        self.ready.1 += u64::from(core.readiness().ready);
        self.walks.0 += counters.walks_started;
        self.walks.1 += counters.walks_succeeded;
        for (reason, times) in core.drops().iter() {
            *self.drops.entry(reason.name().to_owned()).or_default() += times;
        }
        for tunnel in core.tunnels(now) {
            self.hops[tunnel.hops.clamp(1, 12) - 1] += 1;
        }
        for entry in core.table(now) {
            if entry.good {
                self.contacts.0 += 1;
                self.contacts.1 += u64::from(!living.contains(&entry.contact.persona_key()));
            }
        }
    }

    fn traffic(&mut self, simulation: &Simulation, nodes: usize) {
        let (net, work) = (&simulation.net, &simulation.work);
        let Some((datagrams, bytes, at)) = work.busy else {
            return;
        };
        let seconds = (net.now_us() - at) as f64 / SECOND as f64;
        self.bytes_per_node_s = (net.bytes - bytes) as f64 / seconds.max(1.0) / nodes.max(1) as f64;
        let Some((idle_datagrams_s, idle_bytes_s)) = work.idle_rates else {
            return;
        };
        self.idle_bytes_per_node_s = idle_bytes_s / nodes.max(1) as f64;
        let lookups = work.lookups.tried + work.lookups.probes;
        let more = (net.datagrams - datagrams) as f64 - idle_datagrams_s * seconds;
        self.datagrams_per_lookup = more.max(0.0) / lookups.max(1) as f64;
    }

    /// Part of the nodes that is ready.
    #[must_use]
    pub fn ready_share(&self) -> f64 {
        ratio(self.ready.1, self.ready.0)
    }

    /// Adds another run's: counts are added up, traffic is averaged, and what [`OF_FIRST_RUN`] names stays the first run's.
    pub fn merge(&mut self, other: &Self) {
        let (one, all) = (self.runs as f64, (self.runs + other.runs) as f64);
        let mean = |mine: &mut f64, other: f64| *mine += (other - *mine) * (all - one) / all;
        mean(&mut self.datagrams_per_lookup, other.datagrams_per_lookup);
        mean(&mut self.idle_bytes_per_node_s, other.idle_bytes_per_node_s);
        mean(&mut self.bytes_per_node_s, other.bytes_per_node_s);
        self.runs += other.runs;
        self.lookups.merge(&other.lookups);
        self.tunnels_up += other.tunnels_up;
        for (mine, other) in [
            (&mut self.ready, other.ready),
            (&mut self.walks, other.walks),
            (&mut self.contacts, other.contacts),
        ] {
            *mine = (mine.0 + other.0, mine.1 + other.1);
        }
        for (why, times) in &other.tunnels_down {
            *self.tunnels_down.entry(why).or_default() += times;
        }
        for (reason, times) in &other.drops {
            *self.drops.entry(reason.clone()).or_default() += times;
        }
        for (mine, other) in self.hops.iter_mut().zip(&other.hops) {
            *mine += other;
        }
        self.left += other.left;
        self.returned += other.returned;
        self.pauses += other.pauses;
    }

    /// As one JSON object. `lookups`, `success_rate` and what is measured per lookup are of every kind of thing together;
    /// `by_kind` tells values, peers and mutable records apart.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let lookups = &self.lookups;
        json!({
            "runs": self.runs,
            "of_first_run": OF_FIRST_RUN,
            "nodes": self.nodes,
            "ready_share": self.ready_share(),
            "seed": self.seed,
            "seconds": self.seconds,
            "trace_hash": format!("{:016x}", self.trace_hash),
            "values_published": lookups.published,
            "replicas_mean": ratio(lookups.replicas, lookups.published),
            "lookups": lookups.tried,
            "lookups_found": lookups.found,
            "by_kind": by_kind(lookups),
            "success_rate": lookups.success_rate(),
            "success_rate_low": wilson(lookups.found, lookups.tried),
            "recall": lookups.recall(),
            "recall_throughout": lookups.recall_throughout(),
            "recall_probes": lookups.probes,
            "rounds_mean": lookups.rounds_mean(),
            "rpcs_mean": lookups.rpcs_mean(),
            "rpcs_failed_mean": lookups.failed_rpcs_mean(),
            "datagrams_per_lookup": self.datagrams_per_lookup,
            "latency_ms": {
                "p50": lookups.latency_ms(0.5),
                "p95": lookups.latency_ms(0.95),
                "p99": lookups.latency_ms(0.99),
            },
            "publisher_gone_by_hours": fatherless(lookups),
            "bytes_per_node_s": self.bytes_per_node_s,
            "idle_bytes_per_node_s": self.idle_bytes_per_node_s,
            "memory_per_node": self.memory_per_node,
            "tunnels": {
                "up": self.tunnels_up,
                "walks_started": self.walks.0,
                "walks_succeeded": self.walks.1,
                "down": self.tunnels_down,
                "hops": self.hops,
            },
            "anonymity": self.anonymity.iter().map(Anonymity::to_json).collect::<Vec<_>>(),
            "drops": self.drops,
            "left": self.left,
            "returned": self.returned,
            "pauses": self.pauses,
            "dead_contacts": ratio(self.contacts.1, self.contacts.0),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.runs > 1 {
            writeln!(
                f,
                "runs                 {}; of the first one only: {}",
                self.runs,
                OF_FIRST_RUN.join(", ")
            )?;
        }
        writeln!(
            f,
            "nodes                {}, {:.2} % ready ({} left, {} came back, {} pauses)",
            self.nodes,
            self.ready_share() * 100.0,
            self.left,
            self.returned,
            self.pauses
        )?;
        writeln!(
            f,
            "virtual time         {} s, seed {}, trace {:016x}",
            self.seconds, self.seed, self.trace_hash
        )?;
        self.fmt_lookups(f)?;
        self.fmt_network(f)
    }
}

impl Report {
    fn fmt_lookups(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lookups = &self.lookups;
        writeln!(
            f,
            "things               {} published, at {:.2} nodes each",
            lookups.published,
            ratio(lookups.replicas, lookups.published)
        )?;
        writeln!(
            f,
            "lookups              {} of {} found: {:.3} % (at least {:.3} %)",
            lookups.found,
            lookups.tried,
            lookups.success_rate() * 100.0,
            wilson(lookups.found, lookups.tried) * 100.0
        )?;
        for (kind, counts) in &lookups.by_kind {
            writeln!(
                f,
                "  {kind:<18} {} of {}, replaced versions {}, wrong {}",
                counts.found, counts.tried, counts.older, counts.wrong
            )?;
        }
        for (hours, (tried, found)) in &lookups.fatherless {
            writeln!(f, "  publisher gone {hours} h   {found} of {tried}")?;
        }
        writeln!(
            f,
            "recall of 8 closest  {:.3} % in {} searches ({:.3} % of those there throughout)",
            lookups.recall() * 100.0,
            lookups.probes,
            lookups.recall_throughout() * 100.0
        )?;
        writeln!(
            f,
            "per lookup           {:.2} rounds, {:.2} RPCs ({:.2} failed), {:.1} datagrams",
            lookups.rounds_mean(),
            lookups.rpcs_mean(),
            lookups.failed_rpcs_mean(),
            self.datagrams_per_lookup
        )?;
        writeln!(
            f,
            "latency              {:.0} ms half of them, {:.0} ms 95 %, {:.0} ms 99 %",
            lookups.latency_ms(0.5),
            lookups.latency_ms(0.95),
            lookups.latency_ms(0.99)
        )
    }

    fn fmt_network(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "traffic              {:.0} bytes per node and second, {:.0} when idle",
            self.bytes_per_node_s, self.idle_bytes_per_node_s
        )?;
        writeln!(
            f,
            "memory               {} KiB per node",
            self.memory_per_node / 1_024
        )?;
        writeln!(
            f,
            "tunnels              {} up; walks {} of {} brought one; ended: {:?}; by hops: {:?}",
            self.tunnels_up, self.walks.1, self.walks.0, self.tunnels_down, self.hops
        )?;
        writeln!(
            f,
            "dead contacts        {:.1} %",
            ratio(self.contacts.1, self.contacts.0) * 100.0
        )?;
        for line in &self.anonymity {
            writeln!(f, "{line}")?;
        }
        write!(f, "discarded            {:?}", self.drops)
    }
}

fn by_kind(lookups: &Lookups) -> BTreeMap<&str, Value> {
    let one = |(kind, counts): (&&'static str, &Counts)| {
        let value = json!({
            "tried": counts.tried,
            "found": counts.found,
            "older": counts.older,
            "wrong": counts.wrong,
            "success_rate": ratio(counts.found, counts.tried),
        });
        (*kind, value)
    };
    lookups.by_kind.iter().map(one).collect()
}

fn fatherless(lookups: &Lookups) -> BTreeMap<String, Value> {
    let one = |(hours, (tried, found)): (&u64, &(u64, u64))| {
        (hours.to_string(), json!({"tried": tried, "found": found}))
    };
    lookups.fatherless.iter().map(one).collect()
}

/// Resident memory of this process in bytes.
pub(super) fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.unwrap_or(0u64) * 4_096
}

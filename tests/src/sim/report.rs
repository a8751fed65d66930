//! What came of a run.

use std::{collections::BTreeMap, fmt};

use deut_kademlia::{Key, QueryStats};
use serde_json::{Value, json};

use super::{Anonymity, SECOND, Simulation, anonymity};
use crate::observe::stats::wilson;

/// Counts of lookups.
#[derive(Clone, Debug, Default)]
pub struct Lookups {
    /// Values that at least one node took, and nodes that took them.
    pub published: u64,
    /// See `published`.
    pub replicas: u64,
    /// Lookups of values whose publisher is there.
    pub tried: u64,
    /// And that brought the value.
    pub found: u64,
    /// By full hours since the publisher left: tried and found.
    pub fatherless: BTreeMap<u64, (u64, u64)>,
    /// Of the true closest nodes: how many there were, and how many were found.
    pub recall: (u64, u64),
    /// Searches that gave the recall.
    pub probes: u64,
    /// Those that found nothing: which key, when, and what it took.
    pub missed: Vec<(Key, u64, QueryStats)>,
    rounds: u64,
    rpcs: u64,
    failed_rpcs: u64,
    micros: Vec<u64>,
}

impl Lookups {
    pub(super) fn add(&mut self, found: bool, stats: &QueryStats) {
        self.tried += 1;
        self.found += u64::from(found);
        self.rounds += u64::from(stats.rounds);
        self.rpcs += u64::from(stats.sent);
        self.failed_rpcs += u64::from(stats.failed);
        self.micros.push(stats.micros);
    }

    pub(super) fn add_fatherless(&mut self, hours: u64, found: bool) {
        let counts = self.fatherless.entry(hours).or_default();
        counts.0 += 1;
        counts.1 += u64::from(found);
    }

    pub(super) fn add_recall(&mut self, found: usize, of: usize) {
        self.probes += 1;
        self.recall.0 += of as u64;
        self.recall.1 += found as u64;
    }

    /// Adds another run's.
    pub fn merge(&mut self, other: &Self) {
        self.published += other.published;
        self.replicas += other.replicas;
        self.tried += other.tried;
        self.found += other.found;
        for (hours, (tried, found)) in &other.fatherless {
            let counts = self.fatherless.entry(*hours).or_default();
            counts.0 += tried;
            counts.1 += found;
        }
        self.recall.0 += other.recall.0;
        self.recall.1 += other.recall.1;
        self.probes += other.probes;
        self.missed.extend_from_slice(&other.missed);
        self.rounds += other.rounds;
        self.rpcs += other.rpcs;
        self.failed_rpcs += other.failed_rpcs;
        self.micros.extend_from_slice(&other.micros);
    }

    /// Part of the lookups that succeeded.
    #[must_use]
    pub fn success_rate(&self) -> f64 {
        ratio(self.found, self.tried)
    }

    /// Part of the true closest nodes that searches found.
    #[must_use]
    pub fn recall(&self) -> f64 {
        ratio(self.recall.1, self.recall.0)
    }

    /// Mean length of the longest chain of answers.
    #[must_use]
    pub fn rounds_mean(&self) -> f64 {
        ratio(self.rounds, self.tried)
    }

    /// Mean number of RPCs.
    #[must_use]
    pub fn rpcs_mean(&self) -> f64 {
        ratio(self.rpcs, self.tried)
    }

    /// The duration that this part of the lookups did not exceed, ms.
    #[must_use]
    pub fn latency_ms(&self, part: f64) -> f64 {
        let mut sorted = self.micros.clone();
        sorted.sort_unstable();
        let at = ((sorted.len() as f64 * part).ceil() as usize).clamp(1, sorted.len().max(1));
        sorted.get(at - 1).map_or(0.0, |us| *us as f64 / 1_000.0)
    }
}

fn ratio(part: u64, all: u64) -> f64 {
    if all == 0 {
        return 0.0;
    }
    part as f64 / all as f64
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// Nodes alive at the end.
    pub nodes: usize,
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
            nodes: alive.len(),
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
        let per_node_s =
            |bytes: u64, seconds: f64| bytes as f64 / seconds.max(1.0) / nodes.max(1) as f64;
        self.bytes_per_node_s = per_node_s(net.bytes - bytes, seconds);
        if let Some((idle_datagrams, idle_bytes, idle_at)) = work.idle {
            let idle_s = (at - idle_at) as f64 / SECOND as f64;
            self.idle_bytes_per_node_s = per_node_s(bytes - idle_bytes, idle_s);
            let idle = (datagrams - idle_datagrams) as f64 / idle_s.max(1.0) * seconds;
            let lookups = work.lookups.tried + work.lookups.probes;
            let more = (net.datagrams - datagrams) as f64 - idle;
            self.datagrams_per_lookup = more.max(0.0) / lookups.max(1) as f64;
        }
    }

    /// As one JSON object.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let lookups = &self.lookups;
        let fatherless: BTreeMap<String, Value> = lookups
            .fatherless
            .iter()
            .map(|(hours, (tried, found))| {
                (hours.to_string(), json!({"tried": tried, "found": found}))
            })
            .collect();
        json!({
            "nodes": self.nodes,
            "seed": self.seed,
            "seconds": self.seconds,
            "trace_hash": format!("{:016x}", self.trace_hash),
            "values_published": lookups.published,
            "replicas_mean": ratio(lookups.replicas, lookups.published),
            "lookups": lookups.tried,
            "lookups_found": lookups.found,
            "success_rate": lookups.success_rate(),
            "success_rate_low": wilson(lookups.found, lookups.tried),
            "recall": lookups.recall(),
            "recall_probes": lookups.probes,
            "rounds_mean": lookups.rounds_mean(),
            "rpcs_mean": lookups.rpcs_mean(),
            "rpcs_failed_mean": ratio(lookups.failed_rpcs, lookups.tried),
            "datagrams_per_lookup": self.datagrams_per_lookup,
            "latency_ms": {
                "p50": lookups.latency_ms(0.5),
                "p95": lookups.latency_ms(0.95),
                "p99": lookups.latency_ms(0.99),
            },
            "publisher_gone_by_hours": fatherless,
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
            "dead_contacts": ratio(self.contacts.1, self.contacts.0),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lookups = &self.lookups;
        writeln!(
            f,
            "nodes                {} ({} left)",
            self.nodes, self.left
        )?;
        writeln!(
            f,
            "virtual time         {} s, seed {}, trace {:016x}",
            self.seconds, self.seed, self.trace_hash
        )?;
        writeln!(
            f,
            "values               {} published, at {:.2} nodes each",
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
        for (hours, (tried, found)) in &lookups.fatherless {
            writeln!(f, "  publisher gone {hours} h   {found} of {tried}")?;
        }
        writeln!(
            f,
            "recall of 8 closest  {:.3} % in {} searches",
            lookups.recall() * 100.0,
            lookups.probes
        )?;
        writeln!(
            f,
            "per lookup           {:.2} rounds, {:.2} RPCs ({:.2} failed), {:.1} datagrams",
            lookups.rounds_mean(),
            lookups.rpcs_mean(),
            ratio(lookups.failed_rpcs, lookups.tried),
            self.datagrams_per_lookup
        )?;
        writeln!(
            f,
            "latency              {:.0} ms half of them, {:.0} ms 95 %, {:.0} ms 99 %",
            lookups.latency_ms(0.5),
            lookups.latency_ms(0.95),
            lookups.latency_ms(0.99)
        )?;
        self.fmt_network(f)
    }
}

impl Report {
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

/// Resident memory of this process in bytes.
pub(super) fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.unwrap_or(0u64) * 4_096
}

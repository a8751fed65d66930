//! What a simulation can be asked for.

use std::str::FromStr;

use deut::core::CoreConfig;

/// Which cryptography the nodes use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crypto {
    /// Everything real; RSA keys are taken from a pool of keys made before.
    Real,
    /// RSA and the encapsulation of message keys are stand-ins with the real lengths and failures, signature checks are
    /// remembered; the rest is real.
    StandIn,
}

/// Another value for a default, to see what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// RPCs of a lookup under way and not slow.
    Parallel(usize),
    /// Of the closest, so many behind one machine that hosts endpoints.
    PerEndpoint(usize),
    /// Nodes of the region that count at most.
    Region(usize),
    /// Second paths of a search that found nothing.
    Retries(u32),
    /// After which part of its remaining life a contact is asked again, percent.
    Reask(u64),
    /// Relays in a directory.
    Relays(usize),
    /// Pause between lookups of a persona's own id, seconds.
    SelfLookup(u64),
    /// How long a lookup waits for slow ones at its end, milliseconds.
    Grace(u64),
}

impl Change {
    fn apply(self, config: &mut CoreConfig) {
        let dht = &mut config.kademlia;
        match self {
            Self::Parallel(count) => dht.parallel = count,
            Self::PerEndpoint(count) => dht.max_per_endpoint = count,
            Self::Region(count) => dht.max_region = count,
            Self::Retries(count) => dht.max_retries = count,
            Self::Reask(percent) => dht.reask_percent = percent,
            Self::Relays(count) => config.transport.limits.relays = count,
            Self::SelfLookup(seconds) => dht.self_lookup = seconds * 1_000_000,
            Self::Grace(ms) => dht.slow_grace = ms * 1_000,
        }
    }
}

impl FromStr for Change {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = "write it as NAME=NUMBER";
        let (name, number) = text.split_once('=').ok_or(form)?;
        let number: u32 = number.parse().map_err(|_| form)?;
        let count = number as usize;
        match name {
            "parallel" => Ok(Self::Parallel(count.max(1))),
            "per-endpoint" => Ok(Self::PerEndpoint(count.max(1))),
            "region" => Ok(Self::Region(count)),
            "retries" => Ok(Self::Retries(number)),
            "reask" if (1..=100).contains(&number) => Ok(Self::Reask(number.into())),
            "reask" => Err("1 to 100".into()),
            "relays" => Ok(Self::Relays(count.max(3))),
            "self-lookup" => Ok(Self::SelfLookup(number.max(1).into())),
            "grace" => Ok(Self::Grace(number.into())),
            _ => Err(
                "parallel, per-endpoint, region, retries, reask, relays, self-lookup or grace"
                    .into(),
            ),
        }
    }
}

/// The settings of one run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Relays with a persona.
    pub nodes: usize,
    /// Clients behind an address translator, out of 100 relays; half of the translators are symmetric.
    pub nat_percent: usize,
    /// Everything random follows from it.
    pub seed: u64,
    /// Virtual seconds.
    pub duration_s: u64,
    /// Mean one-way delay between two nodes, ms.
    pub latency_ms: u64,
    /// And up to so much more for each datagram, ms.
    pub jitter_ms: u64,
    /// Datagrams lost out of 1,000.
    pub loss_per_mille: u32,
    /// Datagrams delivered twice out of 1,000.
    pub duplicate_per_mille: u32,
    /// Datagrams overtaken by others out of 1,000.
    pub reorder_per_mille: u32,
    /// Bytes per second that a node can send; 0: any number.
    pub rate: u64,
    /// Median session of a node, seconds; 0: nobody leaves. Whoever leaves is replaced at once by a newcomer of its sort.
    pub session_s: u64,
    /// Part of the contacts that the nodes know that is dead, out of 100, roughly: nodes crash and are replaced at the rate
    /// that gives it (contacts are checked at half their life, so the dead are known as dead after some minutes).
    pub dead_percent: u32,
    /// Of those that leave, so many out of 100 are not replaced but come back after 20 s to five minutes, with what
    /// they had on disk.
    pub restart_percent: u32,
    /// So many nodes out of 100 stand still at any time: their operating system stops them, each time for 5 to 30 s.
    pub pause_percent: u32,
    /// Wall clocks are off by up to so many seconds, each node's by another number.
    pub skew_s: u32,
    /// Relays that are hostile, out of 100.
    pub hostile_percent: u32,
    /// What they do.
    pub hostile: crate::hostile::Kind,
    /// Sybils that gather around the key of the first value before lookups begin; then only that value is looked up. They
    /// know only each other, and say that they stored what they did not.
    pub sybils: usize,
    /// Things published: of five three values, an announcement and a mutable record.
    pub values: usize,
    /// Lookups per second in the whole network.
    pub lookups_per_s: f64,
    /// Tunnels for lookups, and for the persona.
    pub tunnels: (usize, usize),
    /// Seconds in which all nodes join.
    pub join_s: u64,
    /// Seconds after that before values are published, and before lookups begin.
    pub settle_s: u64,
    /// Cryptography.
    pub crypto: Crypto,
    /// Walks are recorded from the time on when all have joined, for the anonymity figures. For networks without churn.
    pub anonymity: bool,
    /// Defaults that are others for every node.
    pub changes: Vec<Change>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            nodes: 100,
            nat_percent: 0,
            seed: 1,
            duration_s: 600,
            latency_ms: 25,
            jitter_ms: 5,
            loss_per_mille: 0,
            duplicate_per_mille: 0,
            reorder_per_mille: 0,
            rate: 0,
            session_s: 0,
            dead_percent: 0,
            restart_percent: 0,
            pause_percent: 0,
            skew_s: 0,
            hostile_percent: 0,
            hostile: crate::hostile::Kind::None,
            sybils: 0,
            values: 100,
            lookups_per_s: 2.0,
            tunnels: (6, 4),
            join_s: 30,
            settle_s: 90,
            crypto: Crypto::StandIn,
            anonymity: false,
            changes: Vec::new(),
        }
    }
}

impl Settings {
    /// Clients behind address translators.
    #[must_use]
    pub const fn clients(&self) -> usize {
        self.nodes * self.nat_percent / 100
    }

    /// When values are published: all have joined and had a while.
    #[must_use]
    pub const fn publish_at_s(&self) -> u64 {
        self.join_s + self.settle_s
    }

    /// When lookups begin: all values are published.
    #[must_use]
    pub const fn lookups_at_s(&self) -> u64 {
        self.publish_at_s() + 60
    }

    /// The settings of a node: the DHT's defaults of a public network with the rules for contacts of a test network (private
    /// addresses, no proof of work), and small pools.
    pub fn configure(&self, config: &mut CoreConfig) {
        let rules = config.kademlia.contact.clone();
        config.kademlia = deut_kademlia::Config::production();
        config.kademlia.contact = rules;
        (
            config.transport.lookup_tunnels,
            config.transport.persona_tunnels,
        ) = self.tunnels;
        for change in &self.changes {
            change.apply(config);
        }
    }
}

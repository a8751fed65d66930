//! Counts of lookups.

use std::collections::BTreeMap;

use deut_kademlia::{Key, QueryStats};

use super::things::Verdict;

/// Lookups of one kind of thing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Made.
    pub tried: u64,
    /// That brought what was published.
    pub found: u64,
    /// That brought a version of a mutable record that its publisher has replaced.
    pub older: u64,
    /// That brought what the publisher never published.
    pub wrong: u64,
}

impl Counts {
    fn merge(&mut self, other: Self) {
        self.tried += other.tried;
        self.found += other.found;
        self.older += other.older;
        self.wrong += other.wrong;
    }
}

/// Counts of lookups.
#[derive(Clone, Debug, Default)]
pub struct Lookups {
    /// Things that at least one node took, and nodes that took them.
    pub published: u64,
    /// See `published`.
    pub replicas: u64,
    /// Lookups, of every kind of thing, whose publisher is there.
    pub tried: u64,
    /// And that brought what was published.
    pub found: u64,
    /// The same by the kind of thing.
    pub by_kind: BTreeMap<&'static str, Counts>,
    /// By full hours since the publisher left: tried and found.
    pub fatherless: BTreeMap<u64, (u64, u64)>,
    /// Of the true closest nodes: how many there were, and how many were found.
    pub recall: (u64, u64),
    /// The same of the closest among those that were there from the beginning of the search to its end.
    pub recall_throughout: (u64, u64),
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
    /// What counting anew begins with: what is published stays published.
    pub(super) fn anew(&self) -> Self {
        Self {
            published: self.published,
            replicas: self.replicas,
            ..Self::default()
        }
    }

    pub(super) fn add(&mut self, kind: &'static str, verdict: Verdict, stats: &QueryStats) {
        self.tried += 1;
        self.found += u64::from(verdict == Verdict::Found);
        let counts = self.by_kind.entry(kind).or_default();
        counts.tried += 1;
        match verdict {
            Verdict::Found => counts.found += 1,
            Verdict::Missing => {}
            Verdict::Older => counts.older += 1,
            Verdict::Wrong => counts.wrong += 1,
        }
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

    /// Each time: how many of the true closest there were, and how many were found.
    pub(super) fn add_recall(&mut self, at_the_end: (usize, usize), throughout: (usize, usize)) {
        self.probes += 1;
        self.recall.0 += at_the_end.0 as u64;
        self.recall.1 += at_the_end.1 as u64;
        self.recall_throughout.0 += throughout.0 as u64;
        self.recall_throughout.1 += throughout.1 as u64;
    }

    /// Adds another run's.
    pub fn merge(&mut self, other: &Self) {
        self.published += other.published;
        self.replicas += other.replicas;
        self.tried += other.tried;
        self.found += other.found;
        for (kind, more) in &other.by_kind {
            self.by_kind.entry(kind).or_default().merge(*more);
        }
        for (hours, (tried, found)) in &other.fatherless {
            let counts = self.fatherless.entry(*hours).or_default();
            counts.0 += tried;
            counts.1 += found;
        }
        self.recall.0 += other.recall.0;
        self.recall.1 += other.recall.1;
        self.recall_throughout.0 += other.recall_throughout.0;
        self.recall_throughout.1 += other.recall_throughout.1;
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

    /// Part of the true closest nodes that searches found, of those that were there all the time.
    #[must_use]
    pub fn recall_throughout(&self) -> f64 {
        ratio(self.recall_throughout.1, self.recall_throughout.0)
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

    /// Mean number of RPCs that failed.
    #[must_use]
    pub fn failed_rpcs_mean(&self) -> f64 {
        ratio(self.failed_rpcs, self.tried)
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

pub(super) fn ratio(part: u64, all: u64) -> f64 {
    if all == 0 {
        return 0.0;
    }
    part as f64 / all as f64
}

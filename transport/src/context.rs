//! The things that every sub-machine needs: settings, randomness, deadlines, counters, and the queue of outputs.

use std::{collections::VecDeque, net::SocketAddr};

use deut_common::time::{Mono, Now};
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use sha2::{Digest, Sha256};

use crate::{
    config::Config,
    drop_reason::DropCounts,
    ids::{JobTicket, Port},
    io::{Action, Event, Output, Priority},
    labels,
    observe::Observers,
    packet::Packet,
    path_choice::PathChoice,
    rsa::Job,
    status::Counters,
    timers::Timers,
};

/// The shared part of a node, lent to each sub-machine in turn.
pub(crate) struct Context {
    pub(crate) config: Config,
    pub(crate) now: Now,
    /// For keys, nonces and ids.
    pub(crate) secrets: StdRng,
    /// For coins, choices and delays.
    pub(crate) choices: StdRng,
    pub(crate) timers: Timers,
    pub(crate) counters: Counters,
    pub(crate) drops: DropCounts,
    pub(crate) out: VecDeque<Output>,
    next_job: u64,
    pub(crate) observers: Observers,
    pub(crate) path: Option<Box<dyn PathChoice>>,
}

impl Context {
    pub(crate) fn new(config: Config, seed: [u8; 32], now: Now) -> Self {
        let stream = |what: &[u8]| {
            let mut hash = Sha256::new();
            hash.update(seed);
            hash.update(what);
            StdRng::from_seed(hash.finalize().into())
        };
        Self {
            config,
            now,
            secrets: stream(labels::RANDOM_SECRETS),
            choices: stream(labels::RANDOM_CHOICES),
            timers: Timers::default(),
            counters: Counters::default(),
            drops: DropCounts::default(),
            out: VecDeque::new(),
            next_job: 0,
            observers: Observers::default(),
            path: None,
        }
    }

    pub(crate) const fn mono(&self) -> Mono {
        self.now.mono
    }

    /// Queues a datagram.
    pub(crate) fn transmit(&mut self, from: Port, to: SocketAddr, packet: Packet) {
        self.counters.datagrams_sent += 1;
        self.out
            .push_back(Output::Do(Action::Transmit { from, to, packet }));
    }

    /// Queues an event.
    pub(crate) fn event(&mut self, event: Event) {
        self.out.push_back(Output::Event(event));
    }

    /// Queues a job and returns its ticket.
    pub(crate) fn job(&mut self, priority: Priority, work: Job) -> JobTicket {
        self.next_job += 1;
        let ticket = JobTicket(self.next_job);
        self.out.push_back(Output::Do(Action::Job {
            ticket,
            priority,
            work,
        }));
        ticket
    }

    /// Secret random bytes.
    pub(crate) fn secret<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.secrets.fill_bytes(&mut bytes);
        bytes
    }

    /// A uniform number below `below`, or 0 if that is 0.
    pub(crate) fn below(&mut self, below: u64) -> u64 {
        if below == 0 {
            0
        } else {
            self.choices.random_range(0..below)
        }
    }

    /// A uniform index below `len`.
    pub(crate) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or(0)
    }

    /// A random time of `ms` ± `percent` %, in milliseconds.
    pub(crate) fn around(&mut self, ms: u64, percent: u64) -> u64 {
        let spread = ms / 100 * percent;
        ms.saturating_sub(spread) + self.below(2 * spread + 1)
    }

    /// Picks `count` random members of `from`; all of them if there are fewer.
    pub(crate) fn sample<T>(&mut self, mut from: Vec<T>, count: usize) -> Vec<T> {
        let count = count.min(from.len());
        for i in 0..count {
            let j = i + self.index(from.len() - i);
            from.swap(i, j);
        }
        from.truncate(count);
        from
    }
}

//! What the operating system does for one machine: ports, and a worker.

use std::collections::BTreeMap;

use deut_transport::{
    ids::{Port, PortToken},
    rsa::Job,
};

use super::net::RELAY_PORT;

/// Its relay port, and the endpoint ports that it opened.
#[derive(Default)]
pub struct Ports {
    tokens: BTreeMap<u16, PortToken>,
    numbers: BTreeMap<PortToken, u16>,
}

impl Ports {
    /// One more.
    pub fn open(&mut self, token: PortToken, number: u16) {
        self.tokens.insert(number, token);
        self.numbers.insert(token, number);
    }

    /// One less.
    pub fn close(&mut self, token: PortToken) {
        if let Some(number) = self.numbers.remove(&token) {
            self.tokens.remove(&number);
        }
    }

    /// The port of this number, if it is open.
    #[must_use]
    pub fn at(&self, number: u16) -> Option<Port> {
        match number {
            RELAY_PORT => Some(Port::Relay),
            _ => self.tokens.get(&number).copied().map(Port::Endpoint),
        }
    }

    /// The number of a port; 0 if it is closed.
    #[must_use]
    pub fn number(&self, port: Port) -> u16 {
        match port {
            Port::Relay => RELAY_PORT,
            Port::Endpoint(token) => self.numbers.get(&token).copied().unwrap_or(0),
        }
    }

    /// An endpoint port that is open.
    #[must_use]
    pub fn endpoint(&self, which: usize) -> Option<u16> {
        let count = self.tokens.len().max(1);
        self.tokens.keys().nth(which % count).copied()
    }
}

/// How long a worker takes, µs.
#[must_use]
pub const fn takes(work: &Job) -> u64 {
    match work {
        Job::Generate { .. } => 35_000,
        Job::Open { .. } => 1_200,
    }
}

//! Walks that end here and wait until their port is open.

use std::{collections::BTreeMap, net::IpAddr};

use super::ports::Ports;
use crate::{
    config::Role,
    context::Context,
    ids::PortToken,
    incoming::Incoming,
    io::{Action, Output, PortError},
};

/// Number of ports tried when other programs hold them.
const PORT_TRIES: u8 = 8;

struct Opening {
    walk: Box<Incoming>,
    port: u16,
    tries: u8,
}

/// The outcome of opening a port.
pub(super) enum Opened {
    Open {
        walk: Box<Incoming>,
        port: u16,
    },
    /// Another port is being tried.
    Again,
    /// No port can be had.
    Failed(Box<Incoming>),
    /// Nothing waits for this port.
    Unknown,
}

pub(super) struct Openings {
    /// The address of all ports.
    ip: IpAddr,
    ports: Option<Ports>,
    waiting: BTreeMap<PortToken, Opening>,
    next: u64,
}

impl Openings {
    pub(super) fn new(role: &Role) -> Self {
        let (ip, range) = match *role {
            Role::Relay {
                address,
                endpoint_ports,
            } => (address.ip(), endpoint_ports),
            Role::Client => (IpAddr::from([0; 4]), None),
        };
        Self {
            ip,
            ports: range.map(Ports::new),
            waiting: BTreeMap::new(),
            next: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Returns true if there is a range of ports.
    pub(super) const fn has_ports(&self) -> bool {
        self.ports.is_some()
    }

    /// Starts to open a port for this walk. Returns the walk if there is none.
    pub(super) fn start(
        &mut self,
        cx: &mut Context,
        walk: Box<Incoming>,
    ) -> Result<(), Box<Incoming>> {
        self.open(cx, walk, 1)
    }

    fn open(
        &mut self,
        cx: &mut Context,
        walk: Box<Incoming>,
        tries: u8,
    ) -> Result<(), Box<Incoming>> {
        let ports = self.ports.as_mut();
        let Some(port) = ports.and_then(|ports| ports.take(cx, self.ip)) else {
            return Err(walk);
        };
        self.next += 1;
        let token = PortToken(self.next);
        cx.out
            .push_back(Output::Do(Action::OpenPort { token, port }));
        self.waiting.insert(token, Opening { walk, port, tries });
        Ok(())
    }

    /// The driver opened a port or failed to; if it failed, another port is tried.
    pub(super) fn opened(
        &mut self,
        cx: &mut Context,
        token: PortToken,
        result: Result<(), PortError>,
    ) -> Opened {
        let Some(Opening { walk, port, tries }) = self.waiting.remove(&token) else {
            return Opened::Unknown;
        };
        if result.is_ok() {
            return Opened::Open { walk, port };
        }
        if let Some(ports) = &mut self.ports {
            ports.in_use(cx, port);
        }
        if tries >= PORT_TRIES {
            return Opened::Failed(walk);
        }
        match self.open(cx, walk, tries + 1) {
            Ok(()) => Opened::Again,
            Err(walk) => Opened::Failed(walk),
        }
    }

    /// Closes a port, which rests before it is used again.
    pub(super) fn close(&mut self, cx: &mut Context, token: PortToken, port: u16) {
        cx.out.push_back(Output::Do(Action::ClosePort(token)));
        if let Some(ports) = &mut self.ports {
            ports.release(cx, port);
        }
    }

    /// Frees the ports that rested long enough.
    pub(super) fn on_timer(&mut self, cx: &mut Context) {
        if let Some(ports) = &mut self.ports {
            ports.on_timer(cx);
        }
    }
}

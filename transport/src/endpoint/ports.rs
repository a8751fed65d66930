//! Which UDP ports are taken, rest or are free: one port per tunnel (DESIGN §5.5).

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use crate::{api::Mono, shared::Shared, timers::Timer, wire::descriptor::PortRange};

/// A closed port rests, so that late datagrams of its old tunnel meet nobody.
const REST_MS: u64 = 120_000;
/// A port that another program holds is left alone for so long.
const IN_USE_MS: u64 = 600_000;

/// The ports of the endpoint range.
pub(super) struct Ports {
    range: PortRange,
    /// `None`: open; `Some`: rests until then.
    taken: BTreeMap<u16, Option<Mono>>,
}

impl Ports {
    pub(super) const fn new(range: PortRange) -> Self {
        Self {
            range,
            taken: BTreeMap::new(),
        }
    }

    /// A free port, uniformly; none that others may not send to.
    pub(super) fn take(&mut self, sh: &mut Shared, ip: IpAddr) -> Option<u16> {
        let policy = sh.config.policy;
        let may = |port: &u16| {
            !self.taken.contains_key(port) && policy.may_send_to(SocketAddr::new(ip, *port))
        };
        let free: Vec<u16> = (self.range.first..=self.range.last).filter(may).collect();
        let port = *free.get(sh.index(free.len()))?;
        self.taken.insert(port, None);
        Some(port)
    }

    /// The tunnel of this port is over.
    pub(super) fn release(&mut self, sh: &mut Shared, port: u16) {
        self.rest(sh, port, REST_MS);
    }

    /// Another program holds this port.
    pub(super) fn in_use(&mut self, sh: &mut Shared, port: u16) {
        self.rest(sh, port, IN_USE_MS);
    }

    fn rest(&mut self, sh: &mut Shared, port: u16, ms: u64) {
        let until = sh.mono().plus_ms(ms);
        self.taken.insert(port, Some(until));
        sh.timers.set_earlier(Timer::Ports, until);
    }

    /// Some port has rested.
    pub(super) fn on_timer(&mut self, sh: &mut Shared) {
        let now = sh.mono();
        self.taken
            .retain(|_, until| until.is_none_or(|until| until > now));
        if let Some(next) = self.taken.values().flatten().min() {
            sh.timers.set(Timer::Ports, *next);
        }
    }
}

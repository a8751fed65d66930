//! Relays that are near each other, and hosts that did not answer. One machine must not be able to fill a directory, and a
//! directory must not be made to flood a third party with questions (protocol §3.1).

use std::{
    collections::{BTreeMap, VecDeque},
    net::{IpAddr, SocketAddr},
};

use deut_common::time::Mono;

use crate::{context::Context, policy::Profile};

/// Number of addresses remembered that did not answer; the oldest makes room.
pub(super) const SHUNNED: usize = 4_096;

/// The IPv4 address or IPv6 /64; the `ip:port` in the test profile.
pub(crate) fn host_of(profile: Profile, address: SocketAddr) -> SocketAddr {
    match (profile, address.ip()) {
        (Profile::Test, _) => address,
        (Profile::Production, ip @ IpAddr::V4(_)) => SocketAddr::new(ip, 0),
        (Profile::Production, IpAddr::V6(v6)) => {
            let [a, b, c, d, ..] = v6.segments();
            SocketAddr::new(IpAddr::from([a, b, c, d, 0, 0, 0, 0]), 0)
        }
    }
}

/// The /16 (IPv6: /32); the `ip:port` in the test profile.
pub(super) fn prefix_of(profile: Profile, address: SocketAddr) -> SocketAddr {
    match (profile, address.ip()) {
        (Profile::Test, _) => address,
        (Profile::Production, IpAddr::V4(v4)) => {
            let [a, b, ..] = v4.octets();
            SocketAddr::new(IpAddr::from([a, b, 0, 0]), 0)
        }
        (Profile::Production, IpAddr::V6(v6)) => {
            let [a, b, ..] = v6.segments();
            SocketAddr::new(IpAddr::from([a, b, 0, 0, 0, 0, 0, 0]), 0)
        }
    }
}

/// Numbers of listed relays that share a host or prefix; there are at most as many entries as relays.
#[derive(Default)]
pub(super) struct Crowds(BTreeMap<SocketAddr, usize>);

impl Crowds {
    pub(super) fn count(&self, of: SocketAddr) -> usize {
        self.0.get(&of).copied().unwrap_or(0)
    }

    pub(super) fn add(&mut self, of: SocketAddr) {
        *self.0.entry(of).or_default() += 1;
    }

    pub(super) fn drop(&mut self, of: SocketAddr) {
        if let Some(count) = self.0.get_mut(&of) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(&of);
            }
        }
    }
}

/// Hosts that did not answer a question. For a while they are not asked again because others name them.
#[derive(Default)]
pub(super) struct Shunned {
    until: BTreeMap<SocketAddr, Mono>,
    order: VecDeque<(Mono, SocketAddr)>,
}

impl Shunned {
    pub(super) fn contains(&self, cx: &Context, address: SocketAddr) -> bool {
        let host = host_of(cx.config.policy.profile, address);
        self.until
            .get(&host)
            .is_some_and(|&until| until > cx.mono())
    }

    pub(super) fn add(&mut self, cx: &Context, address: SocketAddr) {
        let host = host_of(cx.config.policy.profile, address);
        let until = cx.mono().plus_ms(cx.config.times.shunned_ms);
        self.until.insert(host, until);
        self.order.push_back((until, host));
        while let Some(&(until, host)) = self.order.front() {
            if until > cx.mono() && self.order.len() <= SHUNNED {
                break;
            }
            self.order.pop_front();
            if self.until.get(&host) == Some(&until) {
                self.until.remove(&host);
            }
        }
    }

    /// The host answered after all.
    pub(super) fn forgive(&mut self, cx: &Context, address: SocketAddr) {
        self.until
            .remove(&host_of(cx.config.policy.profile, address));
    }

    pub(super) fn len(&self) -> usize {
        self.order.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_prefixes_are_as_wide_as_the_document_says() {
        type Of = fn(Profile, SocketAddr) -> SocketAddr;
        let same = |of: Of, profile, one: &str, other: &str| {
            let of = |text: &str| of(profile, text.parse().expect("an address"));
            of(one) == of(other)
        };
        let production = Profile::Production;
        assert!(same(host_of, production, "8.8.8.8:4000", "8.8.8.8:5000"));
        assert!(!same(host_of, production, "8.8.8.8:4000", "8.8.8.9:4000"));
        assert!(same(prefix_of, production, "8.8.8.8:4000", "8.8.9.9:4000"));
        assert!(!same(prefix_of, production, "8.8.8.8:4000", "8.9.8.8:4000"));
        assert!(same(host_of, production, "[2a00::1]:1", "[2a00::2]:1"));
        assert!(!same(
            host_of,
            production,
            "[2a00:0:0:1::1]:1",
            "[2a00::2]:1"
        ));
        assert!(!same(
            host_of,
            Profile::Test,
            "8.8.8.8:4000",
            "8.8.8.8:5000"
        ));
    }
}

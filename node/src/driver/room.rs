//! Limits that the machine sets for a node: the open files, and the address that it answers from.

use std::net::SocketAddr;

use deut_transport::{config::Role, wire::descriptor::PortRange};

use crate::{
    config::{NodeConfig, Plan},
    udp,
};

/// Open files besides the endpoint ports: standard streams, runtime, relay port, data directory, 32 clients of the daemon.
const BESIDES: u64 = 48;

/// Reduces the endpoint ports to those for which this process may open files, so that others are promised no more.
pub(super) fn fit_ports(plan: &mut Plan) {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let Role::Relay {
        endpoint_ports: Some(range),
        ..
    } = plan.transport.role
    else {
        return;
    };
    let fitting = limit.map_or(Some(range), |limit| fit(range, limit));
    if fitting == Some(range) {
        return;
    }
    let left = fitting.map_or(0, |range| range.len());
    tracing::warn!(
        "{} open files are allowed: that is room for {left} of {} endpoint ports, and no more are offered; raise the limit to {} (ulimit -n, LimitNOFILE=)",
        limit.unwrap_or_default(),
        range.len(),
        files(range),
    );
    if let Role::Relay { endpoint_ports, .. } = &mut plan.transport.role {
        *endpoint_ports = fitting;
    }
}

fn files(range: PortRange) -> u64 {
    BESIDES + u64::try_from(range.len()).unwrap_or(u64::MAX / 2)
}

/// The first ports of a range, as many as there are files for.
fn fit(range: PortRange, limit: u64) -> Option<PortRange> {
    if files(range) <= limit {
        return Some(range);
    }
    let room = u16::try_from(limit.saturating_sub(BESIDES)).ok()?;
    let last = range.first.checked_add(room.checked_sub(1)?)?;
    Some(PortRange { last, ..range })
}

/// The address to bind. Others accept an answer only from the address that they asked, but a socket on all addresses answers from
/// the one that the route prefers. So if the address that others know belongs to this machine, it is that one.
pub(super) fn address(config: &NodeConfig) -> SocketAddr {
    let listen = config.listen;
    let external = config.external.filter(|_| config.is_relay());
    let Some(external) = external.filter(|_| listen.ip().is_unspecified()) else {
        return listen;
    };
    if udp::is_here(external.ip()) {
        tracing::info!(
            "the external address is one of this machine: bound to it alone, so that answers leave from it"
        );
        SocketAddr::new(external.ip(), listen.port())
    } else {
        tracing::info!(
            "the external address is none of this machine: whoever translates it must send answers out by it too"
        );
        listen
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BootstrapFile, Profile};

    fn range(last: u16) -> PortRange {
        PortRange { first: 5_001, last }
    }

    #[test]
    fn ports_are_cut_to_what_the_limit_of_open_files_leaves() {
        let whole = range(5_128);
        assert_eq!(fit(whole, 1_024), Some(whole));
        assert_eq!(fit(whole, 176), Some(whole), "just enough");
        assert_eq!(fit(whole, 175), Some(range(5_127)));
        assert_eq!(fit(whole, 64), Some(range(5_016)));
        assert_eq!(fit(whole, 49), Some(range(5_001)));
        for none in [48, 16, 0] {
            assert_eq!(fit(whole, none), None);
        }
        let wide = PortRange {
            first: 63_000,
            last: 65_000,
        };
        assert_eq!(fit(wide, 48 + 500).map(|range| range.len()), Some(500));
    }

    fn config(listen: &str, external: &str) -> NodeConfig {
        let file = BootstrapFile::new("n", Profile::Test);
        let mut config = NodeConfig::new(file, listen.parse().expect("an address"));
        config.external = Some(external.parse().expect("an address"));
        config
    }

    #[test]
    fn a_relay_on_all_addresses_is_bound_to_its_external_one_if_that_is_here() {
        let bound = |config: &NodeConfig| address(config).to_string();
        let here = config("0.0.0.0:5000", "127.0.0.1:6000");
        assert_eq!(bound(&here), "127.0.0.1:5000", "its own port stays");
        let elsewhere = config("0.0.0.0:5000", "192.0.2.1:5000");
        assert_eq!(bound(&elsewhere), "0.0.0.0:5000");
        let chosen = config("127.0.0.2:5000", "127.0.0.1:5000");
        assert_eq!(bound(&chosen), "127.0.0.2:5000", "who names one means it");
    }
}

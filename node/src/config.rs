//! The settings of a node, and those of the cores that follow from them.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use tokio::sync::Semaphore;

use deut_transport::{
    config::{BadSetting, Config, Limits, Role, Times},
    policy::{Policy, Profile},
};

pub use deut_transport::wire::descriptor::PortRange;

use crate::{
    bootstrap::BootstrapFile,
    families::{Families, canonical},
};

/// Number of endpoint ports of a node in the test profile, which are those after the relay port.
pub const TEST_ENDPOINT_PORTS: u16 = 128;

/// The settings of a node. [`crate::Node::start`] checks them.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// The network, its profile, and the peers to join through.
    pub bootstrap: BootstrapFile,
    /// Address to bind the relay port on. With port 0 the system picks one (clients only). A client on `[::]` sends to IPv4 and
    /// IPv6.
    pub listen: SocketAddr,
    /// The public address of the relay port, if it differs from `listen`.
    pub external: Option<SocketAddr>,
    /// Others can reach this node at its address, so it becomes a relay. The test profile assumes it.
    pub reachable: bool,
    /// The node is never a relay, whatever the profile. For short-lived nodes.
    pub client: bool,
    /// Ports for tunnels that end here. Default: in the test profile the 128 ports after the relay port, in production none, so
    /// that the relay always forwards.
    pub endpoint_ports: Option<PortRange>,
    /// Directory for the relay's key and the verified relays; with `None` nothing is kept.
    pub data_dir: Option<PathBuf>,
    /// Number of tunnels for lookups (28).
    pub lookup_tunnels: usize,
    /// Number of tunnels for the persona (4).
    pub persona_tunnels: usize,
    /// Number of tunnels from which on lookups start (4).
    pub ready_at: usize,
    /// True if a relay also runs a persona (yes).
    pub persona: bool,
    /// Seed of every random choice and key, for tests; with `None` it comes from the operating system.
    pub seed: Option<[u8; 32]>,
    /// Caps of the transport.
    pub limits: Limits,
    /// Timeouts, periods and lifetimes of the transport; by default those of the profile.
    pub times: Times,
    /// Number of keys made at once by all nodes of one process, which share it. Without it each node makes two.
    pub key_permits: Option<Arc<Semaphore>>,
}

/// Settings that contradict each other or the network. Its text is one line and says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The name of the network does not have 1 to 64 bytes.
    #[error("the network name {0:?} has not 1 to 64 bytes; set `network` in bootstrap.toml")]
    NetworkName(String),
    /// A setting of the transport that cannot be used. The text says which values can.
    #[error(transparent)]
    Setting(#[from] BadSetting),
    /// Any other contradiction. The text says what is wrong and what to do.
    #[error("{0}")]
    Contradiction(String),
}

impl NodeConfig {
    /// The defaults for a node that listens on this address.
    #[must_use]
    pub fn new(bootstrap: BootstrapFile, listen: SocketAddr) -> Self {
        let times = Times::of(bootstrap.profile);
        Self {
            bootstrap,
            listen,
            external: None,
            reachable: false,
            client: false,
            endpoint_ports: None,
            data_dir: None,
            lookup_tunnels: 28,
            persona_tunnels: 4,
            ready_at: 4,
            persona: true,
            seed: None,
            limits: Limits::default(),
            times,
            key_permits: None,
        }
    }

    /// The defaults for a short-lived node: master only, any port, nothing kept.
    #[must_use]
    pub fn client(bootstrap: BootstrapFile, listen: SocketAddr) -> Self {
        Self {
            client: true,
            persona: false,
            ..Self::new(bootstrap, listen)
        }
    }

    /// Returns true if this node will be a relay.
    #[must_use]
    pub fn is_relay(&self) -> bool {
        !self.client && (self.reachable || self.bootstrap.profile == Profile::Test)
    }

    /// The same settings with addresses in canonical form.
    pub(crate) fn canonical(self) -> Self {
        Self {
            listen: canonical(self.listen),
            external: self.external.map(canonical),
            ..self
        }
    }

    /// The address families that this node can send to. A relay has one, that of its address; a client that listens on all IPv6
    /// addresses has both.
    pub(crate) fn families(&self) -> Families {
        let both = !self.is_relay() && self.listen.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        Families {
            ipv4: both || self.listen.is_ipv4(),
            ipv6: self.listen.is_ipv6(),
        }
    }

    /// The settings of the cores that follow from these.
    pub(crate) fn plan(&self) -> Result<Plan, ConfigError> {
        let profile = self.bootstrap.profile;
        let policy = Policy::new(&self.bootstrap.network, profile)
            .map_err(|_| ConfigError::NetworkName(self.bootstrap.network.clone()))?;
        let role = if self.is_relay() {
            self.relay(&policy)?
        } else {
            self.client_role()?
        };
        let transport = Config {
            lookup_tunnels: self.lookup_tunnels,
            persona_tunnels: self.persona_tunnels,
            ready_at: self.ready_at,
            peers_listed: !self.bootstrap.peers.is_empty(),
            limits: self.limits.clone(),
            times: self.times.clone(),
            ..Config::new(policy, role)
        };
        transport.check()?;
        let kademlia = match profile {
            Profile::Production => deut_kademlia::Config::production(),
            Profile::Test => deut_kademlia::Config::test(),
        };
        Ok(Plan {
            transport,
            kademlia,
            persona: self.persona && self.is_relay(),
        })
    }

    fn relay(&self, policy: &Policy) -> Result<Role, ConfigError> {
        let address = self.external.unwrap_or(self.listen);
        if self.listen.port() == 0 {
            return contradiction("a relay needs a fixed port; listen on a port from 1024 on");
        }
        if address.ip().is_unspecified() {
            return contradiction(format!(
                "{} does not say where others reach this relay; name its address with --external, or listen on one address (--listen auto finds the one that leads to the peers)",
                self.listen
            ));
        }
        if address.is_ipv4() != self.listen.is_ipv4() {
            return contradiction(format!(
                "{} and {address} are not of one family; use two IPv4 or two IPv6 addresses",
                self.listen
            ));
        }
        if !policy.may_host(address) {
            return contradiction(match policy.profile {
                Profile::Production => format!(
                    "no relay may live at {address} in a production network; name its public address and a port from 1024 on with --external"
                ),
                Profile::Test => format!(
                    "no relay may live at {address}; use a unicast address and a port from 1024 on"
                ),
            });
        }
        let endpoint_ports = self.endpoint_range(address.port())?;
        Ok(Role::Relay {
            address,
            endpoint_ports,
        })
    }

    fn endpoint_range(&self, relay_port: u16) -> Result<Option<PortRange>, ConfigError> {
        let range = match (self.endpoint_ports, self.bootstrap.profile) {
            (Some(range), _) => range,
            (None, Profile::Production) => return Ok(None),
            (None, Profile::Test) => {
                let Some(last) = relay_port.checked_add(TEST_ENDPOINT_PORTS) else {
                    let highest = u16::MAX - TEST_ENDPOINT_PORTS;
                    return contradiction(format!(
                        "the {TEST_ENDPOINT_PORTS} endpoint ports after port {relay_port} do not exist; listen on a port up to {highest}"
                    ));
                };
                PortRange {
                    first: relay_port + 1,
                    last,
                }
            }
        };
        // The ports are bound on this machine, so they must also spare the port that is bound, if that is another.
        for port in [relay_port, self.listen.port()] {
            range.check(port).map_err(|error| {
                ConfigError::Contradiction(format!(
                    "endpoint ports {} to {} cannot be used ({error}); name at most 2048 ports from 1024 on without the relay port",
                    range.first, range.last
                ))
            })?;
        }
        Ok(Some(range))
    }

    fn client_role(&self) -> Result<Role, ConfigError> {
        if self.endpoint_ports.is_some() {
            return contradiction(
                "only a relay serves endpoint ports; set reachable = true, or leave them out",
            );
        }
        if self.external.is_some() {
            return contradiction(
                "only a relay has an external address; set reachable = true, or leave it out",
            );
        }
        Ok(Role::Client)
    }
}

/// Checked settings of both cores.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) transport: Config,
    pub(crate) kademlia: deut_kademlia::Config,
    pub(crate) persona: bool,
}

fn contradiction<T>(text: impl Into<String>) -> Result<T, ConfigError> {
    Err(ConfigError::Contradiction(text.into()))
}

#[cfg(test)]
mod tests {
    use deut_common::address::AddressRule;

    use super::*;

    #[test]
    fn a_test_node_is_a_relay_with_the_128_ports_after_its_own() {
        let config = NodeConfig::new(
            BootstrapFile::new("n", Profile::Test),
            address("127.0.0.1:15000"),
        );
        let plan = config.plan().unwrap();
        let ports = Some(PortRange {
            first: 15_001,
            last: 15_128,
        });
        assert_eq!(
            plan.transport.role,
            Role::Relay {
                address: config.listen,
                endpoint_ports: ports
            }
        );
        assert!(plan.persona && plan.kademlia.contact.addresses == AddressRule::Private);
    }

    #[test]
    fn a_production_node_is_a_client_unless_it_is_reachable() {
        let mut config = NodeConfig::new(
            BootstrapFile::new("n", Profile::Production),
            address("0.0.0.0:4000"),
        );
        let plan = config.plan().unwrap();
        assert_eq!(plan.transport.role, Role::Client);
        assert!(!plan.persona, "a client has no persona");
        config.reachable = true;
        config.external = Some(address("8.8.8.8:4000"));
        let role = Role::Relay {
            address: address("8.8.8.8:4000"),
            endpoint_ports: None,
        };
        assert_eq!(config.plan().unwrap().transport.role, role);
        config.client = true;
        config.external = None;
        assert_eq!(config.plan().unwrap().transport.role, Role::Client);
    }

    #[test]
    fn only_a_client_on_all_addresses_has_both_families() {
        let file = || BootstrapFile::new("n", Profile::Test);
        let of = |config: NodeConfig| {
            let families = config.canonical().families();
            (families.ipv4, families.ipv6)
        };
        for (listen, client, relay) in [
            ("[::]:4000", (true, true), (false, true)),
            ("[::1]:4000", (false, true), (false, true)),
            ("0.0.0.0:4000", (true, false), (true, false)),
            ("[::ffff:0.0.0.0]:4000", (true, false), (true, false)),
        ] {
            assert_eq!(of(NodeConfig::client(file(), address(listen))), client);
            assert_eq!(of(NodeConfig::new(file(), address(listen))), relay);
        }
    }

    #[test]
    fn ipv4_addresses_written_as_ipv6_are_ipv4() {
        let mut config = NodeConfig::new(
            BootstrapFile::new("n", Profile::Test),
            address("[::ffff:0.0.0.0]:15000"),
        );
        config.external = Some(address("[::ffff:127.0.0.2]:15000"));
        let plan = config.canonical().plan().unwrap();
        let Role::Relay { address: told, .. } = plan.transport.role else {
            panic!("a client")
        };
        assert_eq!(told, address("127.0.0.2:15000"));
    }

    type Change = fn(&mut NodeConfig);

    /// Each case is a contradiction, with a part of its message.
    fn contradictions() -> [(Profile, Change, &'static str); 12] {
        [
            (
                Profile::Test,
                |c| c.listen.set_port(0),
                "needs a fixed port; listen on",
            ),
            (
                Profile::Test,
                |c| c.listen = address("0.0.0.0:15000"),
                "--external",
            ),
            (
                Profile::Test,
                |c| c.external = Some(address("[::1]:15000")),
                "one family; use",
            ),
            (
                Profile::Test,
                |c| c.listen.set_port(80),
                "no relay may live at 127.0.0.1:80; use",
            ),
            (
                Profile::Test,
                |c| c.listen.set_port(65_500),
                "listen on a port up to 65407",
            ),
            (
                Profile::Production,
                |c| c.reachable = true,
                "name its public address",
            ),
            (
                Profile::Production,
                |c| c.external = Some(address("8.8.8.8:4000")),
                "set reachable = true",
            ),
            (
                Profile::Production,
                |c| {
                    c.endpoint_ports = Some(PortRange {
                        first: 5_000,
                        last: 5_100,
                    })
                },
                "set reachable = true",
            ),
            (
                Profile::Test,
                |c| {
                    c.endpoint_ports = Some(PortRange {
                        first: 14_000,
                        last: 15_100,
                    })
                },
                "without the relay port",
            ),
            (
                Profile::Test,
                |c| c.ready_at = 0,
                "ready_at is 0; choose 1 to 28",
            ),
            (
                Profile::Test,
                |c| c.ready_at = 29,
                "ready_at is 29; choose 1 to 28",
            ),
            (
                Profile::Test,
                |c| c.lookup_tunnels = 600,
                "lookup_tunnels + persona_tunnels is 604; choose 1 to 600",
            ),
        ]
    }

    #[test]
    fn contradictions_are_one_line_with_a_remedy() {
        for (profile, change, part) in contradictions() {
            let mut config =
                NodeConfig::new(BootstrapFile::new("n", profile), address("127.0.0.1:15000"));
            config.plan().expect("control");
            change(&mut config);
            let error = config.plan().expect_err(part).to_string();
            assert!(error.contains(part), "{error}");
            assert!(
                error.lines().count() == 1 && (error.contains(';')),
                "{error}"
            );
        }
        let nameless = NodeConfig::new(
            BootstrapFile::new("", Profile::Test),
            address("127.0.0.1:15000"),
        );
        assert_eq!(
            nameless.plan().unwrap_err(),
            ConfigError::NetworkName(String::new())
        );
    }

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }
}

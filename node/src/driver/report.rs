//! The status of the node, for its operator.

use data_encoding::HEXLOWER;
use std::{collections::BTreeMap, net::SocketAddr};

use deut_common::time::Now;
use deut_kademlia::{LiveContacts, NetworkRange, PersonaReach, PlaneAudit};
use deut_transport::{
    ids::PoolId,
    policy::Profile,
    status::{Counters, PathKind, Readiness, TunnelView},
};

use super::Driver;
use crate::status::{
    DhtStatus, NodeStatus, ReachStatus, ReadinessStatus, RelayStatus, TunnelStatus, UdpStatus,
};

/// Facts that do not change while the node runs.
pub(super) struct NodeFacts {
    pub(super) network: String,
    pub(super) profile: Profile,
    pub(super) identity: Option<[u8; 32]>,
}

impl Driver {
    pub(super) fn status(&self, now: Now) -> NodeStatus {
        let audit = self.core.audit();
        let relays = self.core.relays().into_iter().map(|relay| RelayStatus {
            id: relay.id.to_string(),
            address: relay.address,
            linked: relay.linked,
        });
        let sizes = audit.transport.sizes.iter();
        let drops = self.core.drops().iter();
        let drops = drops.map(|(reason, times)| (reason.name().to_owned(), times));
        NodeStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            network: self.about.network.clone(),
            profile: profile_name(self.about.profile).to_owned(),
            role: if self.about.identity.is_some() {
                "relay"
            } else {
                "client"
            }
            .to_owned(),
            local_address: self.sockets.local(),
            identity: self.about.identity.map(|key| HEXLOWER.encode(&key)),
            uptime_s: now.mono.0 / 1_000_000,
            readiness: ReadinessStatus::from(&self.core.readiness()),
            ready_after_ms: self.ready_after_ms,
            persona: self.core.persona_key().is_some(),
            persona_reach: self.core.persona_reach(now).as_ref().map(ReachStatus::from),
            tunnels: self
                .core
                .tunnels(now)
                .iter()
                .map(TunnelStatus::from)
                .collect(),
            relays: relays.collect(),
            counters: counters(&self.core.counters()),
            drops: drops.collect(),
            sizes: sizes
                .map(|&(what, size, cap)| (what.to_owned(), (size, cap)))
                .collect(),
            udp: UdpStatus {
                jobs_refused: self.jobs.refused(),
                ..self.sockets.status()
            },
            dht: dht(
                &audit.kademlia,
                self.core.live_contacts(now),
                self.open.network_range,
            ),
        }
    }
}

impl From<&Readiness> for ReadinessStatus {
    fn from(readiness: &Readiness) -> Self {
        Self {
            ready: readiness.ready,
            tunnels_up: readiness.tunnels_up,
            tunnels_wanted: readiness.tunnels_wanted,
            ready_at: readiness.ready_at,
            relays: readiness.relays,
            reasons: readiness.reasons.iter().map(ToString::to_string).collect(),
            codes: readiness
                .reasons
                .iter()
                .map(|reason| reason.code().to_owned())
                .collect(),
        }
    }
}

impl From<&PersonaReach> for ReachStatus {
    fn from(reach: &PersonaReach) -> Self {
        let addresses = reach.addresses.iter();
        Self {
            addresses: addresses
                .map(|at| SocketAddr::new(at.ip, at.port))
                .collect(),
            held_by: reach.held_by,
            of: reach.of,
        }
    }
}

impl From<&TunnelView> for TunnelStatus {
    fn from(view: &TunnelView) -> Self {
        Self {
            handle: view.handle.0,
            pool: match view.pool {
                PoolId::Lookup => "lookup",
                PoolId::Persona => "persona",
            }
            .to_owned(),
            path: match view.path {
                PathKind::Walk => "walk",
                _ => "other",
            }
            .to_owned(),
            hops: view.hops,
            first_hop: view.first_hop.to_string(),
            endpoint: view.endpoint.to_string(),
            address: view.address,
            up: view.up,
            age_s: view.age_s,
            left_s: view.left_s,
            sent: view.sent,
            received: view.received,
            build_us: view.build_us,
        }
    }
}

/// `production` or `test`, as in the file.
pub(super) fn profile_name(profile: Profile) -> &'static str {
    match profile {
        Profile::Production => "production",
        Profile::Test => "test",
    }
}

fn counters(counters: &Counters) -> BTreeMap<String, u64> {
    // Destructured, so that a new counter cannot be forgotten here.
    let &Counters {
        accepted,
        dropped,
        relayed_cells,
        endpoint_sent,
        hellos_sent,
        hellos_echoed,
        echoes_sent,
        endpoint_delivered,
        coins_endpoint,
        coins_relayer,
        walks_forwarded,
        walks_started,
        walks_succeeded,
        requests_sent,
        answers_received,
        requests_received,
        datagrams_sent,
        rsa_keys,
    } = counters;
    let named = [
        ("accepted", accepted),
        ("dropped", dropped),
        ("relayed_cells", relayed_cells),
        ("endpoint_sent", endpoint_sent),
        ("hellos_sent", hellos_sent),
        ("hellos_echoed", hellos_echoed),
        ("echoes_sent", echoes_sent),
        ("endpoint_delivered", endpoint_delivered),
        ("coins_endpoint", coins_endpoint),
        ("coins_relayer", coins_relayer),
        ("walks_forwarded", walks_forwarded),
        ("walks_started", walks_started),
        ("walks_succeeded", walks_succeeded),
        ("requests_sent", requests_sent),
        ("answers_received", answers_received),
        ("requests_received", requests_received),
        ("datagrams_sent", datagrams_sent),
        ("rsa_keys", rsa_keys),
    ];
    named
        .into_iter()
        .map(|(name, count)| (name.to_owned(), count))
        .collect()
}

fn dht(
    audit: &deut_kademlia::Audit,
    live: LiveContacts,
    network: Option<NetworkRange>,
) -> DhtStatus {
    let planes: [(&str, &PlaneAudit); 2] = [("user", &audit.user), ("persona", &audit.persona)];
    let drops = planes.into_iter().flat_map(|(plane, audit)| {
        let drops = audit.drops.iter();
        drops.map(move |(reason, times)| (format!("{plane} {reason:?}"), times))
    });
    DhtStatus {
        user_contacts: audit.user.contacts,
        user_contacts_live: live.user,
        table: audit.persona.contacts,
        table_live: live.persona,
        records: audit.stored_records,
        record_bytes: audit.stored_bytes,
        published: audit.published,
        superseded: audit.superseded,
        requests_answered: audit.requests_answered,
        rpcs_sent: audit.user.sent + audit.persona.sent,
        rpcs_answered: audit.user.answered + audit.persona.answered,
        drops: drops.collect(),
        network_estimate: network.map(|range| range.about),
        network_range: network.map(|range| (range.least, range.most)),
    }
}

//! Every cap and every delay of the transport, with its default value and the effect of reaching the cap.

mod check;

use std::net::SocketAddr;

pub use check::BadSetting;
use deut_common::suite::SuiteRef;

use crate::{
    policy::{Policy, Profile},
    wire::descriptor::PortRange,
};

/// The role of a node in the relay plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Listed in directories: it relays, and hosts tunnel endpoints if it has ports for them.
    Relay {
        /// The public address of the relay port.
        address: SocketAddr,
        /// UDP ports for tunnels that end here; `None`: it hosts no endpoints and always forwards walks.
        endpoint_ports: Option<PortRange>,
    },
    /// Master only: it is in no directory and no walk reaches it.
    Client,
}

/// Settings of the transport.
#[derive(Clone, Debug)]
pub struct Config {
    /// The network and its profile: the addresses that are allowed.
    pub policy: Policy,
    /// Relay or client.
    pub role: Role,
    /// The implementation of the public-key operations.
    pub suite: SuiteRef,
    /// Tunnels for lookups (28). No more than 8 per known relay are built.
    pub lookup_tunnels: usize,
    /// Tunnels for the persona (4) while it is on.
    pub persona_tunnels: usize,
    /// Number of tunnels from which on lookups start (4).
    pub ready_at: usize,
    /// The bootstrap list has peers, even if no address of theirs is known yet (no). Such a node is not the first of its network.
    pub peers_listed: bool,
    /// Fixed numbers that only tests and operators of unusual machines change.
    pub limits: Limits,
    /// Timeouts, periods and lifetimes.
    pub times: Times,
}

impl Config {
    /// The defaults for a network and role.
    #[must_use]
    pub fn new(policy: Policy, role: Role) -> Self {
        Self {
            policy,
            role,
            suite: SuiteRef::default(),
            lookup_tunnels: 28,
            persona_tunnels: 4,
            ready_at: 4,
            peers_listed: false,
            limits: Limits::default(),
            times: Times::of(policy.profile),
        }
    }
}

/// Caps, each with its default in parentheses and the effect of reaching it.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Own tunnels of both pools, those being built included (600): no further build starts.
    pub own_tunnels: usize,
    /// Own tunnels per known relay (8): no further build starts, since more tunnels would end at the same few relays.
    pub tunnels_per_relay: usize,
    /// Builds under way at once, per pool (4): the next waits.
    pub builds_at_once: usize,
    /// Links (4,096): a new handshake is refused. Idle links close after 120 s.
    pub links: usize,
    /// Handshakes in progress as initiator (256): the dial fails.
    pub handshakes: usize,
    /// Transit tunnels, relayed (4,096): walks are refused with rising probability from 70 % of it on, and at the cap always.
    pub transit_tunnels: usize,
    /// Tunnels that end here, each with at most one registered contact (512): a walk for which the coin says "endpoint" is relayed.
    pub endpoint_tunnels: usize,
    /// Live tunnels of all kinds over the link to one neighbour (128): its walk requests are refused.
    pub tunnels_per_neighbour: usize,
    /// Walk requests of one neighbour per second (5) and burst (10): more are refused. 8 times that in the test profile,
    /// where sixteen nodes carry what thousands do.
    pub walks_per_neighbour: (u32, u32),
    /// Verified relays in the directory (4,096): a random one makes room, and unknown relays are taken up slowly
    /// (`Times::newcomer_ms`).
    pub relays: usize,
    /// Relays that were verified and no longer answer (256): the oldest is forgotten.
    pub relays_remembered: usize,
    /// Descriptors waiting for their WhoAreYou answer (1,024): the new one is ignored.
    pub unverified: usize,
    /// Unacknowledged control frames per link (256): the new one fails at once.
    pub control_in_flight: usize,
    /// Open calls (1,024): the new one fails with `Busy`.
    pub calls: usize,
    /// Requests remembered by the persona for copies and answers (4,096): the oldest leaves.
    pub requests_remembered: usize,
    /// RSA exchanges of other masters that are with the worker (64): further ones are refused.
    pub jobs: usize,
    /// RSA private operations for other masters per second (200) and burst: more exchanges are ignored.
    pub exchanges: (u32, u32),
    /// RSA key pairs generated in advance for own tunnels (4).
    pub keys_in_store: usize,
    /// Messages of one served tunnel per second (50) and burst (200): more are dropped.
    pub messages_per_tunnel: (u32, u32),
    /// Messages to one destination /24 (IPv6 /48) per second (200) and burst (800) over all tunnels: more are dropped.
    /// Per `ip:port` in the test profile.
    pub messages_per_destination: (u32, u32),
    /// Messages of all served tunnels per second (20,000) and burst: more are dropped.
    pub messages_in_all: (u32, u32),
    /// HELLOs under way, each with one message that waits (256): the message is dropped. 0: none is ever sent, and messages
    /// leave only for addresses that the directory covers.
    pub hellos: usize,
    /// Unanswered HELLOs of one served tunnel: one per this many ms (10,000) and burst (16): the message is dropped.
    pub hellos_per_tunnel: (u64, u32),
    /// Unanswered HELLOs to one IPv4 address or IPv6 /64, over all tunnels: one per this many ms (450,000) and burst (8): the
    /// message is dropped. Per `ip:port` in the test profile. As many hosts are remembered as silent addresses.
    pub hellos_per_host: (u64, u32),
    /// Unanswered HELLOs of all served tunnels per second (4) and burst (512): the message is dropped.
    pub hellos_in_all: (u32, u32),
    /// Addresses and gates that did not echo (16,384, above what `hellos_in_all` allows in an hour): the oldest may be
    /// asked again.
    pub silent: usize,
    /// Addresses that echoed (4,096): the one used least recently is asked again.
    pub consenting: usize,
    /// Echoes of one served tunnel per second (10) and burst (40): further HELLOs are dropped.
    pub echoes_per_tunnel: (u32, u32),
    /// WhoAreYou answers per second in all (2,000, burst 4,000): more questions are dropped.
    pub who_are_you: (u32, u32),
    /// WhoAreYou answers per second and source ip (20, burst 40), 4,096 sources remembered. Per `ip:port` in the test profile.
    pub who_are_you_per_source: (u32, u32),
    /// Handshake initiations that reach public-key work per second in all (500, burst 1,000): more are dropped.
    pub handshakes_answered: (u32, u32),
    /// Handshake initiations that reach public-key work per second and source ip (10, burst 20), 4,096 sources remembered. Per
    /// `ip:port` in the test profile.
    pub handshakes_per_source: (u32, u32),
    /// Lookups and application calls that own reply tunnels (1,024): a call of a further one fails with `Busy`.
    pub groups: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            own_tunnels: 600,
            tunnels_per_relay: 8,
            builds_at_once: 4,
            links: 4_096,
            handshakes: 256,
            transit_tunnels: 4_096,
            endpoint_tunnels: 512,
            tunnels_per_neighbour: 128,
            walks_per_neighbour: (5, 10),
            relays: 4_096,
            relays_remembered: 256,
            unverified: 1_024,
            control_in_flight: 256,
            calls: 1_024,
            requests_remembered: 4_096,
            jobs: 64,
            exchanges: (200, 200),
            keys_in_store: 4,
            messages_per_tunnel: (50, 200),
            messages_per_destination: (200, 800),
            messages_in_all: (20_000, 40_000),
            hellos: 256,
            hellos_per_tunnel: (10_000, 16),
            hellos_per_host: (450_000, 8),
            hellos_in_all: (4, 512),
            silent: 16_384,
            consenting: 4_096,
            echoes_per_tunnel: (10, 40),
            who_are_you: (2_000, 4_000),
            who_are_you_per_source: (20, 40),
            handshakes_answered: (500, 1_000),
            handshakes_per_source: (10, 20),
            groups: 1_024,
        }
    }
}

/// Delays in milliseconds, each with its default in parentheses.
#[derive(Clone, Debug)]
pub struct Times {
    /// Planned life of a walk tunnel (600 s ± 20 %).
    pub tunnel_life_ms: u64,
    /// Time from the opening to the expiry that the endpoint signs, and to the end of relayers' state (800 s).
    pub tunnel_end_ms: u64,
    /// Silence after which relayers and endpoints drop a tunnel (120 s).
    pub tunnel_idle_ms: u64,
    /// A third of this is the time for which a tunnel stays that gives way to one that may end elsewhere (60 s).
    pub overlap_ms: u64,
    /// A tunnel with less life left than this gives no reply address (10 s).
    pub reply_margin_ms: u64,
    /// Time after which a build is given up (8 s).
    pub build_timeout_ms: u64,
    /// First and longest pause after a failed build (100 ms, 30 s).
    pub build_backoff_ms: (u64, u64),
    /// Idle time after which a tunnel is tested by an echo (40 s).
    pub echo_after_ms: u64,
    /// Time after which an echo counts as lost (3 s).
    pub echo_timeout_ms: u64,
    /// Time before a control frame is repeated, doubled each time (250 ms).
    pub control_repeat_ms: u64,
    /// Time before a handshake initiation is repeated, 3 sends in all (500 ms).
    pub handshake_repeat_ms: u64,
    /// Longest random delay of a walk request (20 ms).
    pub walk_delay_ms: u64,
    /// Time after which a link without a tunnel closes (120 s).
    pub link_idle_ms: u64,
    /// Age at which a session is replaced (25 min), and at which it is refused (30 min).
    pub rekey_ms: (u64, u64),
    /// Period of gossip with each neighbour (30 s).
    pub gossip_ms: u64,
    /// First and longest pause before bootstrap peers are asked again (1 s, 30 s).
    pub bootstrap_ms: (u64, u64),
    /// Time before a call is sent again another way (1 s), until 16 answers have shown how long they take.
    pub call_short_ms: u64,
    /// Bounds for that time once it is learned (0.15 s to 2.5 s): the larger of the 10th percentile + 100 ms and 1.2 × the 90th.
    pub call_short_range_ms: (u64, u64),
    /// Time after which a call fails (6 s). Once the short timeout is learned: six times that, but at least half of this and at
    /// most this.
    pub call_full_ms: u64,
    /// Time after which a reply tunnel that brings nothing is replaced within the lookup (3 s).
    pub reply_silence_ms: u64,
    /// Time for which the persona's answers are kept for further copies (10 s).
    pub answer_kept_ms: u64,
    /// Period of keep-alives where one side is not reachable, and its random spread (15 s ± 4 s).
    pub keep_alive_ms: (u64, u64),
    /// Longest random wait before a master reacts to something that came out of its tunnel (500 ms; test profile 20 ms).
    pub reaction_ms: u64,
    /// Time for which an address that did not answer is not asked again because of others' descriptors (1 h; test profile 10 s).
    pub shunned_ms: u64,
    /// Time after which a HELLO is repeated, once (500 ms).
    pub hello_repeat_ms: u64,
    /// Time after which an address that has not echoed counts as silent (2 s).
    pub hello_timeout_ms: u64,
    /// Time for which a silent address is not asked again for the same gate (1 h).
    pub silence_ms: u64,
    /// Time for which an address that echoed consents (1 h).
    pub consent_ms: u64,
    /// Period in which a full directory takes up one unknown relay (30 s).
    pub newcomer_ms: u64,
    /// Range of the time after which an in-tunnel request is repeated (1,000 to 1,500 ms; test profile 400 to 500 ms).
    pub request_repeat_ms: (u64, u64),
}

impl Times {
    /// The defaults of a profile.
    #[must_use]
    pub fn of(profile: Profile) -> Self {
        match profile {
            Profile::Production => Self::default(),
            Profile::Test => Self {
                reaction_ms: 20,
                request_repeat_ms: (400, 500),
                shunned_ms: 10_000,
                ..Self::default()
            },
        }
    }
}

impl Default for Times {
    fn default() -> Self {
        Self {
            tunnel_life_ms: 600_000,
            tunnel_end_ms: 800_000,
            tunnel_idle_ms: 120_000,
            overlap_ms: 60_000,
            reply_margin_ms: 10_000,
            build_timeout_ms: 8_000,
            build_backoff_ms: (100, 30_000),
            echo_after_ms: 40_000,
            echo_timeout_ms: 3_000,
            control_repeat_ms: 250,
            handshake_repeat_ms: 500,
            walk_delay_ms: 20,
            link_idle_ms: 120_000,
            rekey_ms: (1_500_000, 1_800_000),
            gossip_ms: 30_000,
            bootstrap_ms: (1_000, 30_000),
            call_short_ms: 1_000,
            call_short_range_ms: (150, 2_500),
            call_full_ms: 6_000,
            reply_silence_ms: 3_000,
            answer_kept_ms: 10_000,
            keep_alive_ms: (15_000, 4_000),
            reaction_ms: 500,
            shunned_ms: 3_600_000,
            hello_repeat_ms: 500,
            hello_timeout_ms: 2_000,
            silence_ms: 3_600_000,
            consent_ms: 3_600_000,
            newcomer_ms: 30_000,
            request_repeat_ms: (1_000, 1_500),
        }
    }
}

//! Hostile or useless input is not an error: it is counted and forgotten.

use deut_common::codec::Malformed;

macro_rules! drop_reasons {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// The reason why a datagram, a frame or a cell was discarded.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum DropReason { $($(#[$doc])* $name),* }

        impl DropReason {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The name, for counters.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),* }
            }
        }
    };
}

drop_reasons! {
    /// Not 1,232 bytes on the relay port, or neither 1,120 nor 64 on an endpoint port.
    BadLength,
    /// Unknown kind of datagram.
    UnknownKind,
    /// A reserved byte is set, a length points outside, or padding is not zero.
    Malformed,
    /// MAC1 does not match.
    BadMac,
    /// No session has this index.
    UnknownSession,
    /// The AEAD of the link fails.
    LinkForged,
    /// Seen before or older than the window.
    Replayed,
    /// The session is too old or has used up its datagrams.
    SessionExpired,
    /// A handshake answer that nobody waits for, or one that does not open.
    BadHandshake,
    /// The peer's initiation lost against ours.
    HandshakeCrossed,
    /// Too many of this kind per second.
    RateLimited,
    /// A cap is reached.
    TableFull,
    /// A WhoAreYou answer that nobody asked for.
    UnexpectedAnswer,
    /// A WhoAreYou question to a node without a descriptor.
    NotARelay,
    /// Another network or version.
    OtherNetwork,
    /// A signature fails or a key is weak.
    BadSignature,
    /// A descriptor's rule is broken (see the directory's own counters).
    BadDescriptor,
    /// A cell with an id that is not in use on this link.
    UnknownTunnel,
    /// A request with an id that is already in use on this link.
    TunnelIdInUse,
    /// A group element that is not canonical or the identity.
    BadElement,
    /// An answer to a walk that is not under way.
    UnexpectedWalkAnswer,
    /// A walk answer that no hop key opens.
    WalkUnopened,
    /// The endpoint's answer is refused: signature, descriptor or address.
    BadEndpointAnswer,
    /// The confirmation of the RSA exchange fails.
    BadConfirmation,
    /// A public key that is not RSA-2048 with e = 65537.
    BadRsaKey,
    /// A cell's AEAD fails.
    CellForged,
    /// A cell type that this role or state does not take.
    UnexpectedCell,
    /// The first eight bytes are not a live gate of this port.
    GateClosed,
    /// The destination is not covered by a verified descriptor, and HELLOs are switched off.
    UnknownDestination,
    /// The destination does not consent yet, and another message waits for its echo.
    HelloPending,
    /// The destination did not echo a HELLO, now or within the last hour.
    SilentDestination,
    /// An echo that nobody waits for at this port, from this address or with this nonce.
    UnexpectedEcho,
    /// The policy forbids the destination.
    ForbiddenDestination,
    /// The endpoint port is not open.
    PortNotOpen,
    /// A request that does not open under the persona's key.
    BadRequest,
    /// A request without a persona to answer it.
    NoPersona,
    /// A copy of a request that is already being answered.
    DuplicateRequest,
    /// A response whose message ID is unknown or used up.
    UnknownMessageId,
    /// A response that does not open.
    BadResponse,
    /// A repeated control frame; acknowledged again.
    DuplicateControl,
    /// A repeat of a master's request that arrives after a later request.
    OvertakenRequest,
    /// An endpoint's answer to a request of ours that is over: each copy of it is answered.
    LateAnswer,
    /// The result of a job that nobody waits for.
    StaleJob,
    /// The node is shutting down.
    ShuttingDown,
}

impl From<Malformed> for DropReason {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

/// Number of datagrams, frames and cells discarded, by reason.
#[derive(Clone, Debug)]
pub struct DropCounts([u64; DropReason::ALL.len()]);

impl Default for DropCounts {
    fn default() -> Self {
        Self([0; DropReason::ALL.len()])
    }
}

impl DropCounts {
    pub(crate) fn count(&mut self, reason: DropReason) {
        if let Some(slot) = self.0.get_mut(reason as usize) {
            *slot = slot.saturating_add(1);
        }
    }

    /// Number of times this reason occurred.
    #[must_use]
    pub fn of(&self, reason: DropReason) -> u64 {
        self.0.get(reason as usize).copied().unwrap_or(0)
    }

    /// All reasons that occurred, with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        DropReason::ALL
            .iter()
            .map(|&reason| (reason, self.of(reason)))
            .filter(|&(_, n)| n > 0)
    }

    /// The sum over all reasons.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

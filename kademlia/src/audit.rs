//! Counters: every message that is discarded, by reason and plane, and the sizes of the collections.
use crate::contact::ContactError;
use std::collections::BTreeMap;

/// The reason why input from outside was discarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DropReason {
    /// The token of a STORE is not ours or too old.
    BadToken,
    /// A STORE of a mutable record expects another version than the one that is kept.
    CasMismatch,
    /// A contact broke a rule.
    Contact(ContactError),
    /// A peer entry with a bad signature, or one that does not open under the infohash.
    ForgedEntry,
    /// A version of a mutable record that its key did not sign, or whose key is weak.
    ForgedRecord,
    /// A value that does not hash to the key that was asked for.
    ForgedValue,
    /// The bytes of an answer have no valid form.
    MalformedAnswer,
    /// The bytes of a request have no valid form.
    MalformedRequest,
    /// There is no persona with a current contact to answer the request.
    NoPersona,
    /// A STORE of a mutable record has a lower sequence number than the version that is kept.
    OldSequence,
    /// The body is longer than a message can carry.
    Oversize,
    /// Another node sent us our own contact.
    OwnContact,
    /// A STORE of a mutable record has the sequence number of the version that is kept, but another value.
    SameSequence,
    /// The store is full of records that matter more.
    StoreFull,
    /// An answer has more seeds than are taken from one.
    TooManySeeds,
    /// The list of contacts that wait for their first PING is full.
    TooManyUnverified,
    /// The answer is of another kind than its request asks for.
    UnexpectedAnswer,
    /// The ticket is not in use, or no longer.
    UnknownTicket,
}

/// Numbers of discarded inputs, by reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drops(BTreeMap<DropReason, u64>);

impl Drops {
    pub(crate) fn count(&mut self, reason: DropReason) {
        *self.0.entry(reason).or_default() += 1;
    }

    /// Number of times this reason occurred.
    #[must_use]
    pub fn of(&self, reason: DropReason) -> u64 {
        self.0.get(&reason).copied().unwrap_or_default()
    }

    /// All reasons that occurred, with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (DropReason, u64)> {
        self.0.iter().map(|(reason, times)| (*reason, *times))
    }

    /// The sum over all reasons.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }
}

/// Sizes and counters of one plane; the planes share nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlaneAudit {
    /// Number of contacts in the users' cache or in the persona's buckets.
    pub contacts: usize,
    /// Number of RPCs under way.
    pub calls: usize,
    /// Number of lookups that run now.
    pub lookups: usize,
    /// Number of requests sent since the start.
    pub sent: u64,
    /// Number of answers received and accepted.
    pub answered: u64,
    /// Messages discarded, by reason.
    pub drops: Drops,
}

/// Numbers of contacts that answered and have not expired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LiveContacts {
    /// In the users' cache.
    pub user: usize,
    /// In the persona's buckets.
    pub persona: usize,
}

/// Sizes and counters of both planes, from [`crate::Kademlia::audit`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// The users' plane.
    pub user: PlaneAudit,
    /// The persona's plane, empty while there is none.
    pub persona: PlaneAudit,
    /// Messages discarded while there was no persona.
    pub without_persona: Drops,
    /// Requests answered by the present persona.
    pub requests_answered: u64,
    /// Contacts in replacement caches.
    pub replacements: usize,
    /// Keys in the persona's store.
    pub stored_keys: usize,
    /// Records in the persona's store.
    pub stored_records: usize,
    /// Bytes in the persona's store, as counted against the cap.
    pub stored_bytes: usize,
    /// Records that this node publishes.
    pub published: usize,
    /// Mutable records that this node no longer publishes, because a newer version was seen.
    pub superseded: u64,
}

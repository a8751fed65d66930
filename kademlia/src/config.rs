//! Every setting and every cap, with the effect of reaching the cap.
use deut_common::{address::AddressRule, suite::SuiteRef};

use crate::contact::ContactRules;

const SECOND: u64 = 1_000_000;
const MINUTE: u64 = 60 * SECOND;

/// Settings of a [`crate::Kademlia`]. Times are in microseconds unless the name says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The implementation of the public-key operations.
    pub suite: SuiteRef,
    /// The rules that contacts must satisfy.
    pub contact: ContactRules,

    /// Number of the closest nodes that a lookup ends with, that store a record and that an answer names (at most 8).
    pub width: usize,
    /// Number of RPCs of one lookup that may be under way without being slow.
    pub parallel: usize,
    /// Largest number of RPCs of one lookup; then it ends with what it has.
    pub max_rpcs: u32,
    /// Longest duration of one lookup; then it ends with what it has.
    pub max_lookup: u64,
    /// Time for which a lookup that is otherwise done waits for a slow node among the closest.
    pub slow_grace: u64,
    /// A lookup that found something and has answers from three quarters of the closest waits for the others four times as long as
    /// the slowest answer took, but at least this long.
    pub least_grace: u64,
    /// Number of failed nodes that users' lookups remember; beyond it the one that failed longest ago is forgotten.
    pub max_doubted: usize,
    /// Time for which a node that failed is not counted on. It doubles with each failure, up to the second number.
    pub doubt: (u64, u64),
    /// At most this many of the closest candidates of a lookup may be reached through one machine that hosts endpoints; further
    /// ones wait until closer ones have failed. A contact with several endpoints counts while one of them is below the limit.
    pub max_per_endpoint: usize,
    /// A lookup counts all nodes of the region that should hold `width` nodes, but at most this many.
    pub max_region: usize,
    /// Number of further tries of a lookup that found nothing, each over nodes that it has not asked yet.
    pub max_retries: u32,
    /// Number of candidates of one lookup; beyond it the farthest that were not asked are forgotten.
    pub max_candidates: usize,
    /// Number of running queries of users; beyond it a new one is refused.
    pub max_queries: usize,
    /// Number of announced personas for which one query finds contacts; further ones are reported without a contact.
    pub max_resolved: usize,
    /// Number of announced personas to which one query sends a PING; of further ones it is not known if they answer.
    pub max_probes: usize,
    /// Time for which a query that found a persona that answers waits for others.
    pub probe_grace: u64,
    /// Number of different announcements that one query collects; further ones are ignored.
    pub max_found: usize,

    /// Number of contacts in the users' cache: one half that answered, one half only heard of. In a full half the one
    /// added longest ago is forgotten.
    pub max_user_contacts: usize,
    /// With fewer live contacts than this, the users' plane asks for seeds from time to time.
    pub low_user_contacts: usize,
    /// Number of contacts taken from one answer with seeds, drawn at random; the others are ignored.
    pub seeds_per_answer: usize,
    /// Time between two requests for seeds while there are no contacts. While there are few, it starts with this and doubles each
    /// time.
    pub seeds_interval: u64,
    /// Longest time between two requests for seeds while there are few contacts.
    pub seeds_interval_low: u64,
    /// Time between two requests for seeds otherwise.
    pub seeds_interval_enough: u64,

    /// Number of contacts per bucket; a newcomer to a full bucket goes to the replacement cache.
    pub bucket_size: usize,
    /// Number of contacts per replacement cache; beyond it the one seen longest ago is forgotten.
    pub replacements: usize,
    /// Number of PINGs of the persona under way; beyond it further ones wait.
    pub max_checks: usize,
    /// Number of contacts that wait for their first PING; further ones are ignored.
    pub max_unverified: usize,
    /// Number of failures in a row, over at least two tunnels if these are known, that make a contact bad.
    pub max_failures: u32,
    /// Time after a failed PING until the next one to the contact.
    pub retry_check: u64,
    /// A contact gets another PING after this percentage of its remaining life, but not before `min_reask`.
    pub reask_percent: u64,
    /// Shortest time before a contact gets another PING; see `reask_percent`.
    pub min_reask: u64,
    /// Time for which an expired contact is kept, so that it can be found again.
    pub stale_life: u64,
    /// Time between two maintenance lookups of the persona; one runs at a time.
    pub maintenance_gap: u64,
    /// Number of maintenance lookups that may wait; further ones are left to the next refresh.
    pub max_maintenance: usize,
    /// A bucket that no lookup has touched for this long (± 50 %) is refreshed.
    pub refresh: u64,
    /// Time between two lookups of the persona's own id (± 50 %). One also follows soon after its contact changed.
    pub self_lookup: u64,

    /// Number of bytes of stored records, each counted with 128 more; see `records::store` for what makes room.
    pub max_stored_bytes: usize,
    /// Number of keys with stored records; see `records::store` for what makes room.
    pub max_stored_keys: usize,
    /// Peer entries per key; beyond it a random one that is not settled makes room.
    pub max_entries_per_key: usize,
    /// What is stored again so long after it came is settled: nothing pushes it out while it goes on.
    pub settling: u64,
    /// Life of a stored value.
    pub value_life: u64,
    /// Life of a stored peer entry.
    pub entry_life: u64,
    /// Age at which a token secret is replaced. The one before stays valid for as long again.
    pub token_rotation: u64,

    /// Number of records kept published; beyond it a new one is refused.
    pub max_published: usize,
    /// Number of records announced again at the same time; others wait.
    pub max_republishing: usize,
    /// Values are announced again after a random time in this range.
    pub value_republish: (u64, u64),
    /// Peer entries are announced again after a random time in this range.
    pub entry_republish: (u64, u64),
    /// A record that is stored at few nodes or at none is announced again after a random time in this range, which doubles each
    /// time.
    pub publish_retry: (u64, u64),
}

impl Config {
    /// The defaults of a public network.
    #[must_use]
    pub fn production() -> Self {
        Self {
            suite: SuiteRef::default(),
            contact: ContactRules {
                work_bits: 16,
                max_life_seconds: 2 * 3_600,
                addresses: AddressRule::Public,
            },
            width: 8,
            parallel: 5,
            max_rpcs: 64,
            max_lookup: 10 * SECOND,
            slow_grace: 2 * SECOND,
            least_grace: SECOND * 3 / 20,
            max_doubted: 512,
            doubt: (MINUTE, 8 * MINUTE),
            max_per_endpoint: 2,
            max_region: 32,
            max_retries: 1,
            max_candidates: 128,
            max_queries: 64,
            max_resolved: 8,
            max_probes: 8,
            probe_grace: SECOND / 4,
            max_found: 256,
            max_user_contacts: 512,
            low_user_contacts: 8,
            seeds_per_answer: 2,
            seeds_interval: SECOND,
            seeds_interval_low: 10 * SECOND,
            seeds_interval_enough: 10 * MINUTE,
            bucket_size: 16,
            replacements: 8,
            max_checks: 8,
            max_unverified: 64,
            max_failures: 3,
            retry_check: 5 * SECOND,
            reask_percent: 50,
            min_reask: 30 * SECOND,
            stale_life: 60 * MINUTE,
            maintenance_gap: SECOND / 5,
            max_maintenance: 64,
            refresh: 30 * MINUTE,
            self_lookup: 5 * MINUTE,
            max_stored_bytes: 32 << 20,
            max_stored_keys: 4_096,
            max_entries_per_key: 100,
            settling: 10 * MINUTE,
            value_life: 120 * MINUTE,
            entry_life: 45 * MINUTE,
            token_rotation: 5 * MINUTE,
            max_published: 1_024,
            max_republishing: 2,
            value_republish: (50 * MINUTE, 60 * MINUTE),
            entry_republish: (15 * MINUTE, 20 * MINUTE),
            publish_retry: (5 * SECOND, 10 * SECOND),
        }
    }

    /// The defaults of a private test network: no proof of work, private addresses allowed, every seed taken.
    #[must_use]
    pub fn test() -> Self {
        let production = Self::production();
        Self {
            contact: ContactRules {
                work_bits: 0,
                addresses: AddressRule::Private,
                ..production.contact
            },
            // All endpoints of a test network may be on one machine.
            max_per_endpoint: usize::MAX,
            seeds_per_answer: 8,
            seeds_interval_low: 2 * SECOND,
            seeds_interval_enough: 10 * SECOND,
            maintenance_gap: SECOND / 50,
            publish_retry: (SECOND, 2 * SECOND),
            ..production
        }
    }
}

//! Every number that can be set, every cap and what happens at it.
use deut_common::{address::AddressRule, suite::SuiteRef};

use crate::contact::ContactRules;

const SECOND: u64 = 1_000_000;
const MINUTE: u64 = 60 * SECOND;

/// Settings of a [`crate::Kademlia`]. Times are in microseconds unless the name says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Public-key operations.
    pub suite: SuiteRef,
    /// Rules for contacts.
    pub contact: ContactRules,

    /// How many of the closest nodes a lookup ends with, a record is stored at, an answer names (≤ 8).
    pub width: usize,
    /// RPCs of one lookup that may be under way and not slow.
    pub parallel: usize,
    /// RPCs of one lookup at most; then it ends with what it has.
    pub max_rpcs: u32,
    /// Duration of one lookup at most; then it ends with what it has.
    pub max_lookup: u64,
    /// How long a lookup that is done otherwise waits for a slow one among the closest.
    pub slow_grace: u64,
    /// A lookup that found something and has answers of three quarters of the closest waits for the others four times as
    /// long as the slowest answer took, but so long at least.
    pub least_grace: u64,
    /// Nodes of whom users' lookups remember that they failed; beyond it the one that failed longest ago is forgotten.
    pub max_doubted: usize,
    /// A node that failed is not counted on for so long, twice as long each time, up to the second number.
    pub doubt: (u64, u64),
    /// Of the closest candidates of a lookup so many may stand behind one machine that hosts endpoints; further ones wait
    /// until closer ones failed. A contact with several endpoints counts as long as one of them is below it.
    pub max_per_endpoint: usize,
    /// A lookup counts all nodes of the region that should hold `width` nodes, up to so many.
    pub max_region: usize,
    /// A lookup that found nothing is tried again so often over nodes that it did not ask yet.
    pub max_retries: u32,
    /// Candidates of one lookup; beyond it the farthest that were not asked are forgotten.
    pub max_candidates: usize,
    /// Running queries of users; beyond it a new one is refused.
    pub max_queries: usize,
    /// Announced personas that one query resolves to contacts; further ones are reported without.
    pub max_resolved: usize,
    /// Announced personas that one query asks whether they are there; of further ones it is not known.
    pub max_probes: usize,
    /// How long a query that found one that answers waits for others.
    pub probe_grace: u64,
    /// Different announcements that one query collects; beyond it further ones are ignored.
    pub max_found: usize,

    /// Contacts in the users' cache; beyond it the least recently answered is forgotten.
    pub max_user_contacts: usize,
    /// Below this many live contacts the users' plane asks for seeds from time to time.
    pub low_user_contacts: usize,
    /// Contacts taken from one answer with seeds, drawn at random; the others are ignored.
    pub seeds_per_answer: usize,
    /// Between two requests for seeds while there are no contacts. While there are few it is this at first, then twice as
    /// long each time.
    pub seeds_interval: u64,
    /// Between two requests for seeds while there are few contacts, at most.
    pub seeds_interval_low: u64,
    /// Between two requests for seeds otherwise.
    pub seeds_interval_enough: u64,

    /// Contacts per bucket; a newcomer to a full one goes to the replacement cache.
    pub bucket_size: usize,
    /// Contacts per replacement cache; beyond it the least recently seen is forgotten.
    pub replacements: usize,
    /// PINGs of the persona under way; beyond it unverified contacts are ignored, re-asks wait.
    pub max_checks: usize,
    /// Contacts waiting to be asked for the first time; beyond it further ones are ignored.
    pub max_unverified: usize,
    /// Failures in a row, over at least two tunnels where known, that make a contact bad.
    pub max_failures: u32,
    /// After a failed PING the contact is asked again after this.
    pub retry_check: u64,
    /// A contact is re-asked after this part of its remaining life, out of 100, but not sooner than `min_reask`.
    pub reask_percent: u64,
    /// See `reask_percent`.
    pub min_reask: u64,
    /// How long an expired contact is kept to be found again.
    pub stale_life: u64,
    /// Between two maintenance lookups of the persona; one runs at a time.
    pub maintenance_gap: u64,
    /// Maintenance lookups waiting; beyond it further ones are left to the next refresh.
    pub max_maintenance: usize,
    /// A bucket that no lookup touched for this long (± 50 %) is refreshed.
    pub refresh: u64,
    /// The persona looks up its own id this often (± 50 %), and soon after its contact changed.
    pub self_lookup: u64,

    /// Bytes of stored records, counted with 128 for each; beyond it see `records::store`.
    pub max_stored_bytes: usize,
    /// Keys with stored records; beyond it see `records::store`.
    pub max_stored_keys: usize,
    /// Peer entries per key; beyond it the one that ends first makes room.
    pub max_entries_per_key: usize,
    /// Life of a stored value.
    pub value_life: u64,
    /// Life of a stored peer entry.
    pub entry_life: u64,
    /// A token secret is replaced after this; the one before stays valid as long again.
    pub token_rotation: u64,

    /// Records kept published; beyond it a new one is refused.
    pub max_published: usize,
    /// Re-announcing runs at most this often at once; others wait.
    pub max_republishing: usize,
    /// Values are announced again after a random time in this range.
    pub value_republish: (u64, u64),
    /// Peer entries are announced again after a random time in this range.
    pub entry_republish: (u64, u64),
    /// A record that is stored at few nodes or nowhere is announced again after a random time in this range, doubled each
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

    /// The same for private test networks: no proof of work, private addresses allowed, every seed taken.
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

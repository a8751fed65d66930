//! Which collections of a DHT core are beyond their caps.

use deut_kademlia::{Audit, Config};

/// Panics if a size is beyond what the settings allow.
pub fn check_caps(audit: &Audit, config: &Config) {
    let over = over_caps(audit, config);
    assert!(over.is_empty(), "{over:?}");
}

/// Which sizes are beyond what the settings allow.
#[must_use]
pub fn over_caps(audit: &Audit, config: &Config) -> Vec<String> {
    let lookups = (config.max_queries + config.max_republishing) * (1 + config.max_resolved);
    let rpcs = config.max_rpcs as usize;
    let sizes = [
        (
            "user contacts",
            audit.user.contacts,
            config.max_user_contacts,
        ),
        ("user lookups", audit.user.lookups, lookups),
        (
            "user calls",
            audit.user.calls,
            lookups * (rpcs + config.width),
        ),
        ("table", audit.persona.contacts, 160 * config.bucket_size),
        (
            "replacements",
            audit.replacements,
            160 * config.replacements,
        ),
        ("persona lookups", audit.persona.lookups, 1),
        (
            "persona calls",
            audit.persona.calls,
            config.max_checks + rpcs,
        ),
        ("stored keys", audit.stored_keys, config.max_stored_keys),
        ("stored bytes", audit.stored_bytes, config.max_stored_bytes),
        (
            "stored records",
            audit.stored_records,
            config.max_stored_keys * config.max_entries_per_key,
        ),
        ("published", audit.published, config.max_published),
    ];
    let over = sizes.into_iter().filter(|(_, now, cap)| now > cap);
    over.map(|(what, now, cap)| format!("{what}: {now} of {cap}"))
        .collect()
}

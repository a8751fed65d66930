//! What holds at every node after every step.

use super::Net;

/// A node that has nothing to do is not called: one that wants to be called all the time burns its processor.
const MOST_WAKES: u32 = 3_000;

impl Net {
    /// Panics if a node broke a rule.
    ///
    /// Every collection is within its cap, and the contact that its persona signs names neither the machine's own address
    /// nor one of its relay keys.
    pub(super) fn check(&self, index: usize) {
        let node = &self.nodes[index];
        let now = self.now_at(index);
        let audit = node.core.audit(now);
        let at = self.now_us();
        let over: Vec<_> = audit
            .transport
            .sizes
            .iter()
            .filter(|(_, size, cap)| size > cap)
            .collect();
        assert!(over.is_empty(), "node {index} at {at} µs: {over:?}");
        let (dht, config) = (&audit.kademlia, &node.config.kademlia);
        let sizes = [
            ("user contacts", dht.user.contacts, config.max_user_contacts),
            ("stored keys", dht.stored_keys, config.max_stored_keys),
            ("stored bytes", dht.stored_bytes, config.max_stored_bytes),
            ("published", dht.published, config.max_published),
            ("contacts", dht.persona.contacts, config.bucket_size * 160),
            (
                "calls of the persona",
                dht.persona.calls,
                config.max_checks + config.max_rpcs as usize,
            ),
        ];
        for (what, size, cap) in sizes {
            assert!(
                size <= cap,
                "node {index} at {at} µs: {what} {size} > {cap}"
            );
        }
        let Some(contact) = node.core.persona_contact(now) else {
            return;
        };
        let own = node.nat.as_ref().map_or(node.address.ip(), |nat| nat.outer);
        assert!(
            contact.addresses().iter().all(|address| address.ip != own),
            "node {index} at {at} µs: its contact names its own address"
        );
        for key in node.relay_keys {
            assert!(
                !contact.as_bytes().windows(32).any(|window| window == key),
                "node {index} at {at} µs: its contact holds a relay key"
            );
        }
    }

    /// Panics if a node wants to be called more often in one second than it can have reasons to.
    pub(super) fn check_wakes(&mut self, index: usize) {
        let second = self.now / 1_000_000;
        let wakes = &mut self.nodes[index].wakes;
        if wakes.0 != second {
            *wakes = (second, 0);
        }
        wakes.1 += 1;
        assert!(
            wakes.1 <= MOST_WAKES,
            "node {index} wants to be called all the time at {second} s"
        );
    }
}

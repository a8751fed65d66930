//! What holds at every node after every step.

use deut::core::{CoreAudit, CoreConfig};
use deut_kademlia::Contact;

use super::Net;
use crate::{kit::caps::over_caps, observe::machine::Machine};

/// A node that has nothing to do is not called: one that wants to be called all the time burns its processor.
const MOST_WAKES: u32 = 3_000;

/// Which rules a node breaks.
///
/// Every collection is within its cap, and the contact that its persona signs names neither the machine's own address
/// nor one of its relay keys.
fn broken(
    audit: &CoreAudit,
    config: &CoreConfig,
    machine: &Machine,
    contact: Option<&Contact>,
) -> Vec<String> {
    let sizes = audit.transport.sizes.iter();
    let over = sizes.filter(|(_, size, cap)| size > cap);
    let mut broken: Vec<String> = over
        .map(|(what, size, cap)| format!("{what}: {size} of {cap}"))
        .collect();
    broken.extend(over_caps(&audit.kademlia, &config.kademlia));
    if let Some(contact) = contact {
        let names = machine.betrayed_by_contact(contact);
        broken.extend(
            names
                .into_iter()
                .map(|name| format!("its contact holds its {name}")),
        );
    }
    broken
}

/// Counts one more wake in this second; whether that is more than there can be reasons for.
fn too_many(wakes: &mut (u64, u32), second: u64) -> bool {
    if wakes.0 != second {
        *wakes = (second, 0);
    }
    wakes.1 += 1;
    wakes.1 > MOST_WAKES
}

impl Net {
    /// Panics if a node broke a rule. A contact that was seen before is not searched again.
    pub(super) fn check(&mut self, index: usize) {
        let now = self.now_at(index);
        let at = self.now_us();
        let node = &mut self.nodes[index];
        let contact = node.core.persona_contact(now);
        let seen = contact == node.checked;
        let broken = broken(
            &node.core.audit(),
            &node.config,
            &Machine::of(node),
            contact.as_ref().filter(|_| !seen),
        );
        node.checked = contact;
        assert!(broken.is_empty(), "node {index} at {at} µs: {broken:?}");
    }

    /// Panics if a node wants to be called more often in one second than it can have reasons to.
    pub(super) fn check_wakes(&mut self, index: usize) {
        let second = self.now / 1_000_000;
        assert!(
            !too_many(&mut self.nodes[index].wakes, second),
            "node {index} wants to be called all the time at {second} s"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use deut_common::address::EndpointAddress;
    use deut_kademlia::PersonaSecret;

    use super::*;
    use crate::stand_in::StandIn;

    /// A node that works, its audit, and its contact.
    fn honest() -> (CoreAudit, CoreConfig, Machine, Contact) {
        let mut net = Net::of_relays(31, Arc::new(StandIn), 6, |_| {});
        net.run_ready();
        net.run(5_000_000);
        let (node, now) = (&net.nodes[3], net.now_at(3));
        let contact = node.core.persona_contact(now).expect("it is ready");
        let audit = node.core.audit();
        assert!(audit.kademlia.persona.contacts > 0 && audit.transport.sizes.len() > 10);
        (audit, node.config.clone(), Machine::of(node), contact)
    }

    #[test]
    fn a_cap_that_is_exceeded_is_seen_whichever_it_is() {
        let (audit, config, machine, contact) = honest();
        let look = |audit: &CoreAudit| broken(audit, &config, &machine, Some(&contact));
        assert_eq!(look(&audit), [""; 0]);
        for at in 0..audit.transport.sizes.len() {
            let mut doctored = audit.clone();
            let (what, size, cap) = &mut doctored.transport.sizes[at];
            *size = *cap;
            let what = *what;
            assert_eq!(look(&doctored), [""; 0], "control: {what}");
            doctored.transport.sizes[at].1 += 1;
            assert!(matches!(&look(&doctored)[..], [text] if text.starts_with(what)));
        }
        type Grow = fn(&mut deut_kademlia::Audit) -> &mut usize;
        let sizes: [(&str, Grow); 11] = [
            ("user contacts", |audit| &mut audit.user.contacts),
            ("user lookups", |audit| &mut audit.user.lookups),
            ("user calls", |audit| &mut audit.user.calls),
            ("table", |audit| &mut audit.persona.contacts),
            ("replacements", |audit| &mut audit.replacements),
            ("persona lookups", |audit| &mut audit.persona.lookups),
            ("persona calls", |audit| &mut audit.persona.calls),
            ("stored keys", |audit| &mut audit.stored_keys),
            ("stored bytes", |audit| &mut audit.stored_bytes),
            ("stored records", |audit| &mut audit.stored_records),
            ("published", |audit| &mut audit.published),
        ];
        for (what, size) in sizes {
            let mut doctored = audit.clone();
            *size(&mut doctored.kademlia) = usize::MAX;
            assert!(matches!(&look(&doctored)[..], [text] if text.starts_with(what)));
        }
    }

    #[test]
    fn a_contact_that_names_its_own_machine_is_seen() {
        let (audit, config, machine, contact) = honest();
        let look =
            |machine: &Machine, contact: &Contact| broken(&audit, &config, machine, Some(contact));
        assert_eq!(look(&machine, &contact), [""; 0]);
        let secret = PersonaSecret::from_seed(&[9; 32]);
        let signed = |ip, port| {
            let address = EndpointAddress { ip, port };
            Contact::sign(&secret, 0, 30_000_000, &[address]).expect("one address")
        };
        // Whatever the port.
        for port in [4_003, 9] {
            let own = signed(machine.ip, port);
            assert!(
                look(&machine, &own).contains(&"its contact holds its address".to_owned()),
                "port {port}"
            );
        }
        // A persona that is the relay: one key for both.
        let other = signed(contact.addresses()[0].ip, 4_003);
        assert_eq!(look(&machine, &other), [""; 0]);
        for at in 0..3 {
            let mut machine = machine.clone();
            machine.relay_keys[at] = secret.public();
            assert_eq!(look(&machine, &other).len(), 1);
        }
    }

    #[test]
    fn a_node_that_wants_to_be_called_all_the_time_is_seen() {
        let mut wakes = (0, 0);
        assert!((0..MOST_WAKES).all(|_| !too_many(&mut wakes, 7)));
        assert!(too_many(&mut wakes, 7));
        assert!(!too_many(&mut wakes, 8), "another second, another count");
    }
}

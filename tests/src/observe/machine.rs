//! Whether a DHT message, or a contact, names the machine of the node that it comes from.

use std::{
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
};

use deut_kademlia::{Contact, layouts};
use deut_transport::wire::descriptor::put_address;

use crate::net::{ENDPOINT_PORTS, Node, RELAY_PORT};

/// First byte of an answer with contacts of others, and where their number is (protocol §10.5).
const NODES: u8 = 0x82;
const COUNT_AT: usize = 1 + 8;
/// Where a contact tells how many addresses it has (protocol §10.3).
const KINDS_AT: usize = 32 + 4 + 4;

/// The machine that a persona must not be connected with.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Its address as others see it.
    pub ip: IpAddr,
    /// Relay port and endpoint ports.
    pub ports: RangeInclusive<u16>,
    /// Identity, link, onion.
    pub relay_keys: [[u8; 32]; 3],
    /// The persona that runs on it.
    pub persona: Option<[u8; 32]>,
}

impl Machine {
    /// The one that this node runs on.
    #[must_use]
    pub fn of(node: &Node) -> Self {
        Self {
            ip: node.outer_ip(),
            ports: RELAY_PORT..=RELAY_PORT + ENDPOINT_PORTS,
            relay_keys: node.relay_keys,
            persona: node.core.persona_key(),
        }
    }

    /// What names it in these bytes, wherever they come from.
    #[must_use]
    pub fn named_in(&self, bytes: &[u8]) -> Vec<&'static str> {
        let mapped = put_address(SocketAddr::new(self.ip, 0));
        let mut found = Vec::new();
        if holds(bytes, &mapped[..16]) {
            found.push("ip");
        }
        if let IpAddr::V4(ip) = self.ip {
            let packed = bytes.windows(6).any(|six| {
                six[..4] == ip.octets()
                    && self.ports.contains(&u16::from_be_bytes([six[4], six[5]]))
            });
            if packed {
                found.push("ip and port");
            }
        }
        for (name, key) in ["identity key", "link key", "onion key"]
            .into_iter()
            .zip(&self.relay_keys)
        {
            if holds(bytes, key) {
                found.push(name);
            }
        }
        found
    }

    /// What names it in the body of its own request or answer. It may host endpoints of others: what they signed about
    /// themselves does not count.
    #[must_use]
    pub fn betrayed_by(&self, body: &[u8]) -> Vec<&'static str> {
        self.named_in(&self.own_part(body))
    }

    /// What names it in a contact.
    #[must_use]
    pub fn betrayed_by_contact(&self, contact: &Contact) -> Vec<&'static str> {
        let mut found = self.named_in(contact.as_bytes());
        if contact.addresses().iter().any(|a| a.ip == self.ip) {
            found.push("address");
        }
        found
    }

    /// The body without contacts of other personas.
    fn own_part(&self, body: &[u8]) -> Vec<u8> {
        let (Some(&NODES), Some(&count)) = (body.first(), body.get(COUNT_AT)) else {
            return body.to_vec();
        };
        let (head, mut rest) = body.split_at(COUNT_AT + 1);
        let mut own = head.to_vec();
        for _ in 0..count {
            let Some((contact, after)) = first_contact(rest) else {
                break;
            };
            if self.persona.is_some_and(|own| contact.starts_with(&own)) {
                own.extend_from_slice(contact);
            }
            rest = after;
        }
        own.extend_from_slice(rest);
        own
    }
}

fn first_contact(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let kinds = usize::from(*bytes.get(KINDS_AT)?);
    let addresses = (kinds & 15) * 6 + (kinds >> 4) * 18;
    let (contact, rest) = bytes.split_at_checked(KINDS_AT + 1 + addresses + 64)?;
    layouts::contact(contact)
        .is_some()
        .then_some((contact, rest))
}

fn holds(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use deut_common::address::EndpointAddress;
    use deut_kademlia::PersonaSecret;

    use super::*;

    fn machine() -> Machine {
        Machine {
            ip: [10, 0, 0, 7].into(),
            ports: 4_000..=5_024,
            relay_keys: [[0xa1; 32], [0xa2; 32], [0xa3; 32]],
            persona: Some(secret(1).public()),
        }
    }

    fn secret(number: u8) -> PersonaSecret {
        PersonaSecret::from_seed(&[number; 32])
    }

    /// A contact with an endpoint on the machine.
    fn contact(of: u8) -> Contact {
        let here = EndpointAddress {
            ip: machine().ip,
            port: 4_077,
        };
        Contact::sign(&secret(of), 0, 30_000_000, &[here]).expect("one address")
    }

    fn nodes(contacts: &[Contact]) -> Vec<u8> {
        let mut body = vec![NODES, 0, 1, 2, 3, 4, 5, 6, 7, contacts.len() as u8];
        contacts
            .iter()
            .for_each(|contact| body.extend_from_slice(contact.as_bytes()));
        body
    }

    #[test]
    fn a_machine_may_appear_in_what_others_signed_and_nowhere_else() {
        let others = nodes(&[contact(2), contact(3)]);
        assert_eq!(machine().named_in(&others), ["ip and port"], "control");
        assert!(machine().betrayed_by(&others).is_empty());
        for body in [
            nodes(&[contact(2), contact(1)]),
            [&[0x81], contact(1).as_bytes()].concat(),
            [&others[..], &[10, 0, 0, 7, 0x0f, 0xa0]].concat(),
        ] {
            assert_eq!(machine().betrayed_by(&body), ["ip and port"]);
        }
        // Another port, another machine.
        let mut other = machine();
        other.ports = 6_000..=6_001;
        assert!(other.betrayed_by(&nodes(&[contact(1)])).is_empty());
    }

    #[test]
    fn every_way_of_naming_a_machine_is_found() {
        let mapped = put_address(SocketAddr::new(machine().ip, 9));
        for (needle, name) in [
            (&mapped[..], "ip"),
            (&[0xa1; 32], "identity key"),
            (&[0xa2; 32], "link key"),
            (&[0xa3; 32], "onion key"),
        ] {
            let body = [&[1, 2, 3], needle, &[4]].concat();
            assert_eq!(machine().betrayed_by(&body), [name]);
        }
    }
}

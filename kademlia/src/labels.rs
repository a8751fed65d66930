//! Every domain-separation label of this crate. No label is the beginning of another.

/// Proof of work over a persona key.
pub const CONTACT_WORK: &[u8] = b"deut kademlia contact work v1";
/// The persona's signature over its contact.
pub const CONTACT_SIGNATURE: &[u8] = b"deut kademlia contact signature v1";
/// The blinded Ed25519 seed from an infohash.
pub const PEERS_BLINDED_KEY: &[u8] = b"deut kademlia peers blinded key v1";
/// AEAD key and nonce of a peer entry.
pub const PEERS_ENTRY_SEAL: &[u8] = b"deut kademlia peers entry seal v1";
/// The signature over a peer entry by the blinded key.
pub const PEERS_ENTRY_SIGNATURE: &[u8] = b"deut kademlia peers entry signature v1";
/// A publisher's tag on one infohash.
pub const PEERS_WRITER_TAG: &[u8] = b"deut kademlia peers writer tag v1";
/// A write token.
pub const WRITE_TOKEN: &[u8] = b"deut kademlia write token v1";
/// Random stream: choices of the user plane.
pub const RANDOM_USER_CHOICES: &[u8] = b"deut kademlia random user choices v1";
/// Random stream: secrets of the user plane.
pub const RANDOM_USER_SECRETS: &[u8] = b"deut kademlia random user secrets v1";
/// Random stream: choices of the persona plane.
pub const RANDOM_PERSONA_CHOICES: &[u8] = b"deut kademlia random persona choices v1";
/// Random stream: secrets of the persona plane.
pub const RANDOM_PERSONA_SECRETS: &[u8] = b"deut kademlia random persona secrets v1";

/// All labels, for the test that they are distinct and for the documentation.
pub const ALL: &[&[u8]] = &[
    CONTACT_WORK,
    CONTACT_SIGNATURE,
    PEERS_BLINDED_KEY,
    PEERS_ENTRY_SEAL,
    PEERS_ENTRY_SIGNATURE,
    PEERS_WRITER_TAG,
    WRITE_TOKEN,
    RANDOM_USER_CHOICES,
    RANDOM_USER_SECRETS,
    RANDOM_PERSONA_CHOICES,
    RANDOM_PERSONA_SECRETS,
];

#[cfg(test)]
mod tests {
    use super::ALL;

    #[test]
    fn no_label_is_the_beginning_of_another() {
        for (i, a) in ALL.iter().enumerate() {
            for (j, b) in ALL.iter().enumerate() {
                assert!(i == j || !b.starts_with(a));
            }
        }
    }

    #[test]
    fn every_label_names_the_crate_and_a_version() {
        for label in ALL {
            assert!(label.starts_with(b"deut kademlia ") && label.ends_with(b" v1"));
        }
    }
}

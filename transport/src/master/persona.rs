//! The persona that the tunnels of its pool carry.

use deut_common::ids::PersonaKey;

use super::{requests::Purpose, up::Up};
use crate::{crypto::message::gate, keys::OpeningKey, net::Net};

#[derive(Default)]
pub(super) struct Persona {
    secret: Option<OpeningKey>,
    /// The newest signed contact; empty until there is one.
    contact: Vec<u8>,
}

impl Persona {
    pub(super) const fn secret(&self) -> Option<&OpeningKey> {
        self.secret.as_ref()
    }

    pub(super) fn key(&self) -> Option<PersonaKey> {
        self.secret().map(OpeningKey::public)
    }

    /// Switches to another persona or to none; `false` if it is the same as before.
    pub(super) fn switch(&mut self, secret: Option<OpeningKey>) -> bool {
        if self.key() == secret.as_ref().map(OpeningKey::public) {
            return false;
        }
        self.secret = secret;
        self.contact.clear();
        true
    }

    pub(super) fn set_contact(&mut self, contact: Vec<u8>) {
        self.contact = contact;
    }

    pub(super) fn contact(&self) -> &[u8] {
        &self.contact
    }

    /// A tunnel for the persona came up: opens the persona's gate there and registers its contact.
    pub(super) fn move_in(&self, net: &mut Net, up: &mut Up) {
        if let Some(key) = self.key() {
            let gate = gate(&key.0, up.address());
            up.request(net, Purpose::PersonaGate(gate));
        }
        up.advertise(net, &self.contact);
    }
}

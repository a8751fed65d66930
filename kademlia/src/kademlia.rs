//! The two planes behind one boundary.
use std::{collections::VecDeque, fmt};

use deut_common::time::{Mono, Now};
use hkdf::Hkdf;
use rand::{SeedableRng, rngs::StdRng};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{
    audit::{Audit, DropReason, Drops, LiveContacts, PlaneAudit},
    config::Config,
    contact::Contact,
    identity::PersonaSecret,
    io::{DhtInput, DhtOutput, PersonaReach},
    labels,
    persona::PersonaPlane,
    tickets::{OnBehalf, Tickets, plane_of},
    user::UserPlane,
};

/// The DHT side of one node.
pub struct Kademlia {
    config: Config,
    user: UserPlane,
    persona: Option<PersonaPlane>,
    /// The tickets of the persona plane while there is no persona.
    persona_tickets: Tickets,
    persona_secrets: StdRng,
    persona_choices: StdRng,
    /// Outputs of a persona that is gone.
    left: VecDeque<DhtOutput>,
    /// Messages discarded while there is no persona.
    without_persona: Drops,
    /// The next deadline, kept until an input changes it, since it is asked for after every datagram of the node.
    wake: Option<Option<(Mono, &'static str)>>,
}

/// One contact of the routing table, for display.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableEntry {
    /// Index of the bucket: the number of leading bits shared with the own id.
    pub bucket: u32,
    /// The node's contact.
    pub contact: Contact,
    /// The time of its last answer.
    pub last_answer: Mono,
    /// True if it is handed out: neither expired nor bad.
    pub good: bool,
}

impl Kademlia {
    /// A DHT without a persona and contacts. All its randomness comes from `seed`.
    #[must_use]
    pub fn new(config: Config, seed: [u8; 32], _now: &Now) -> Self {
        let seed = Zeroizing::new(seed);
        let user = UserPlane::new(
            &config,
            stream(&seed, labels::RANDOM_USER_SECRETS),
            stream(&seed, labels::RANDOM_USER_CHOICES),
        );
        Self {
            config,
            user,
            persona: None,
            persona_tickets: Tickets::new(OnBehalf::Persona),
            persona_secrets: stream(&seed, labels::RANDOM_PERSONA_SECRETS),
            persona_choices: stream(&seed, labels::RANDOM_PERSONA_CHOICES),
            left: VecDeque::new(),
            without_persona: Drops::default(),
            wake: None,
        }
    }

    /// Takes one input. Drain [`Self::poll_output`] after it.
    pub fn handle_input(&mut self, now: &Now, input: DhtInput) {
        self.wake = None;
        match input {
            DhtInput::Cancel(ticket) => self.user.cancel(ticket, now),
            DhtInput::Persona(secret) => self.set_persona(secret, now),
            DhtInput::Start(ticket, query) => self.user.start(ticket, query, now),
            DhtInput::Seeds(OnBehalf::User, bodies) => self.user.seeds(bodies, now),
            DhtInput::Timeout => {
                self.user.advance(now);
                if let Some(persona) = &mut self.persona {
                    persona.advance(now);
                }
            }
            DhtInput::Failed(ticket, how) => match (plane_of(ticket), &mut self.persona) {
                (OnBehalf::User, _) => self.user.failed(ticket, how, now),
                (OnBehalf::Persona, Some(persona)) => persona.failed(ticket, how, now),
                (OnBehalf::Persona, None) => self.without_persona.count(DropReason::UnknownTicket),
            },
            DhtInput::Response(ticket, body) => match (plane_of(ticket), &mut self.persona) {
                (OnBehalf::User, _) => self.user.response(ticket, &body, now),
                (OnBehalf::Persona, Some(persona)) => persona.response(ticket, &body, now),
                (OnBehalf::Persona, None) => self.without_persona.count(DropReason::UnknownTicket),
            },
            DhtInput::Slow(ticket) => match (plane_of(ticket), &mut self.persona) {
                (OnBehalf::User, _) => self.user.slow(ticket, now),
                (OnBehalf::Persona, Some(persona)) => persona.slow(ticket, now),
                (OnBehalf::Persona, None) => self.without_persona.count(DropReason::UnknownTicket),
            },
            DhtInput::OwnAddresses(addresses) => {
                if let Some(persona) = &mut self.persona {
                    persona.set_addresses(addresses, now);
                }
            }
            DhtInput::Request(ticket, body) => match &mut self.persona {
                Some(persona) => persona.request(ticket, &body, now),
                None => self.without_persona.count(DropReason::NoPersona),
            },
            DhtInput::Seeds(OnBehalf::Persona, bodies) => {
                if let Some(persona) = &mut self.persona {
                    persona.seeds(bodies, now);
                }
            }
        }
    }

    /// The next thing to do; [`DhtOutput::Wait`] ends the drain.
    pub fn poll_output(&mut self, now: &Now) -> DhtOutput {
        let output = self.left.pop_front();
        let output = output.or_else(|| self.user.poll_output());
        let output = output.or_else(|| self.persona.as_mut()?.poll_output());
        if let Some(output) = output {
            return output;
        }
        let wake = match self.wake {
            Some(wake) => wake,
            None => *self.wake.insert(self.next_wake(now)),
        };
        match wake {
            Some((until, why)) => DhtOutput::Wait {
                until: Some(until),
                why,
            },
            None => DhtOutput::Wait {
                until: None,
                why: "nothing to do",
            },
        }
    }

    fn next_wake(&self, now: &Now) -> Option<(Mono, &'static str)> {
        let persona = self
            .persona
            .as_ref()
            .and_then(|persona| persona.next_wake(now));
        self.user.next_wake(now).into_iter().chain(persona).min()
    }

    /// Switches the persona. A new one starts with an empty table and store and with its own random streams.
    fn set_persona(&mut self, secret: Option<PersonaSecret>, now: &Now) {
        if let Some(old) = self.persona.take() {
            let (tickets, left) = old.close();
            self.persona_tickets = tickets;
            self.left.extend(left);
        }
        if let Some(secret) = secret {
            let tickets =
                std::mem::replace(&mut self.persona_tickets, Tickets::new(OnBehalf::Persona));
            let secrets = StdRng::from_rng(&mut self.persona_secrets);
            let choices = StdRng::from_rng(&mut self.persona_choices);
            let mut persona =
                PersonaPlane::new(secret, &self.config, secrets, choices, tickets, now);
            persona.advance(now);
            self.persona = Some(persona);
        }
        self.user
            .set_persona(self.persona.as_ref().map(PersonaPlane::key), now);
    }

    /// Numbers of contacts that answered and have not expired. Unlike [`Kademlia::audit`], it walks through them all.
    #[must_use]
    pub fn live_contacts(&self, now: &Now) -> LiveContacts {
        let persona = self.persona.as_ref();
        LiveContacts {
            user: self.user.live_contacts(now),
            persona: persona.map_or(0, |persona| persona.table().good(now)),
        }
    }

    /// Sizes and counters.
    #[must_use]
    pub fn audit(&self) -> Audit {
        let persona = self.persona.as_ref();
        Audit {
            user: self.user.audit(),
            persona: persona.map_or_else(PlaneAudit::default, |persona| persona.audit()),
            without_persona: self.without_persona.clone(),
            requests_answered: persona.map_or(0, PersonaPlane::requests_answered),
            replacements: persona.map_or(0, |persona| persona.table().replacements()),
            stored_keys: persona.map_or(0, |persona| persona.store().keys()),
            stored_records: persona.map_or(0, |persona| persona.store().records()),
            stored_bytes: persona.map_or(0, |persona| persona.store().bytes()),
            published: self.user.published().len(),
            superseded: self.user.published().superseded(),
        }
    }

    /// The settings it was made with.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The persona's public key; `None` while it is off.
    #[must_use]
    pub fn persona_key(&self) -> Option<[u8; 32]> {
        self.persona.as_ref().map(PersonaPlane::key)
    }

    /// The persona's newest contact, while it has addresses.
    #[must_use]
    pub fn persona_contact(&self, now: &Now) -> Option<&Contact> {
        self.persona.as_ref()?.contact(now)
    }

    /// How well others can find the persona; `None` while it is off.
    #[must_use]
    pub fn persona_reach(&self, now: &Now) -> Option<PersonaReach> {
        Some(self.persona.as_ref()?.reach(now))
    }

    /// The contacts that users' lookups start from.
    #[must_use]
    pub fn user_contacts(&self, now: &Now) -> Vec<Contact> {
        self.user.contacts(now)
    }

    /// The persona's routing table, far buckets first.
    #[must_use]
    pub fn table(&self, now: &Now) -> Vec<TableEntry> {
        let Some(persona) = &self.persona else {
            return Vec::new();
        };
        let table = persona.table();
        let entry = |entry: &crate::table::Entry| TableEntry {
            bucket: table.index(&entry.contact.id()).unwrap_or_default(),
            contact: entry.contact.clone(),
            last_answer: entry.last_answer,
            good: entry.is_good(now, &self.config),
        };
        table.entries().map(entry).collect()
    }
}

/// It holds secrets and users' queries, so only sizes are shown.
impl fmt::Debug for Kademlia {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kademlia")
            .field("persona", &self.persona.is_some())
            .field("published", &self.user.published().len())
            .finish_non_exhaustive()
    }
}

/// A separate random stream for each purpose.
fn stream(seed: &[u8; 32], label: &[u8]) -> StdRng {
    let mut derived = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::new(None, seed)
        .expand(label, &mut *derived)
        .expect("HKDF gives up to 8,160 bytes");
    StdRng::from_seed(*derived)
}

#[cfg(test)]
mod tests;

//! The persona answers requests that came out of its tunnels.
use deut_common::{
    codec::{Bounded, BoundedBytes},
    time::Now,
};

use super::PersonaPlane;
use crate::{
    audit::DropReason,
    contact::{Contact, RawContact},
    id::{Key, NodeId},
    io::DhtOutput,
    records::{
        record::{Conflict, Record, RecordKind, StoreResult},
        token::Token,
    },
    tickets::IncomingTicket,
    wire::{
        limits::MAX_REQUEST_BODY,
        rpc::{Answer, MAX_CONTACTS, MAX_ENTRIES, Request},
    },
};

impl PersonaPlane {
    /// Answers a request, or counts why not.
    pub(crate) fn request(&mut self, ticket: IncomingTicket, body: &[u8], now: &Now) {
        match self.answer(body, now) {
            Err(reason) => self.counters.drops.count(reason),
            Ok(answer) => {
                self.requests_answered += 1;
                self.out.push_back(DhtOutput::Answer {
                    to: ticket,
                    body: answer.to_body(),
                });
            }
        }
        // A request may have brought a contact to be asked.
        if !self.unverified.is_empty() {
            self.keep_up(now);
        }
    }

    fn answer(&mut self, body: &[u8], now: &Now) -> Result<Answer, DropReason> {
        if body.len() > MAX_REQUEST_BODY {
            return Err(DropReason::Oversize);
        }
        let own = self.own.current(now).ok_or(DropReason::NoPersona)?.to_raw();
        self.tokens.rotate(now.mono, &mut self.secrets);
        match Request::from_body(body).map_err(|_| DropReason::MalformedRequest)? {
            Request::Ping { sender } => {
                self.sender(sender, now)?;
                Ok(Answer::Pong { contact: own })
            }
            Request::FindNode { target, sender } => {
                let sender = self.sender(sender, now)?;
                Ok(self.nodes(&target, sender.as_ref(), now))
            }
            Request::FindValue { kind, key } => Ok(self.find_value(kind, &key, now)),
            Request::Store { token, record } => Ok(self.store_record(&token, record, now)),
        }
    }

    /// Verifies the contact that a request carries, and remembers it to be asked.
    fn sender(
        &mut self,
        sender: Option<RawContact>,
        now: &Now,
    ) -> Result<Option<NodeId>, DropReason> {
        let Some(raw) = sender else { return Ok(None) };
        let contact = self.verify(raw, now).map_err(DropReason::Contact)?;
        let id = contact.id();
        if id == self.own.id() {
            return Err(DropReason::OwnContact);
        }
        self.consider(contact, now);
        // The answer makes us one of those that it hands out.
        self.holders.asked(id, &self.own.contact_addresses());
        Ok(Some(id))
    }

    fn nodes(&self, target: &NodeId, except: Option<&NodeId>, now: &Now) -> Answer {
        let closest = self
            .table
            .closest(target, self.config.width.min(MAX_CONTACTS) + 1, now);
        let others = closest
            .into_iter()
            .filter(|contact| Some(&contact.id()) != except);
        let contacts = Bounded::first_of(others.take(self.config.width).map(Contact::to_raw));
        Answer::Nodes {
            token: self.tokens.issue(target),
            contacts,
        }
    }

    fn find_value(&mut self, kind: RecordKind, key: &Key, now: &Now) -> Answer {
        let token = self.tokens.issue(key);
        match kind {
            RecordKind::Value => {
                if let Some(value) = self
                    .store
                    .value(key, now.mono)
                    .and_then(|v| BoundedBytes::new(v.to_vec()))
                {
                    return Answer::Value { token, value };
                }
            }
            RecordKind::Peers => {
                let entries = self
                    .store
                    .peers(key, MAX_ENTRIES, now.mono, &mut self.choices);
                if !entries.is_empty() {
                    return Answer::Peers {
                        token,
                        entries: Bounded::first_of(entries),
                    };
                }
            }
            RecordKind::Mutable => {
                if let Some(version) = self.store.mutable(key, now.mono) {
                    let version = version.clone();
                    return Answer::Mutable { token, version };
                }
            }
        }
        self.nodes(key, None, now)
    }

    fn store_record(&mut self, token: &Token, record: Record, now: &Now) -> Answer {
        if !self.tokens.accepts(&record.key(), token) {
            self.counters.drops.count(DropReason::BadToken);
            return Answer::Stored(StoreResult::BadToken);
        }
        if let Some(forged) = forgery(&record) {
            self.counters.drops.count(forged);
            return Answer::Stored(StoreResult::BadRecord);
        }
        if let Record::Mutable(sent) = &record
            && let Some((conflict, kept)) = self.store.conflict(sent, now.mono)
        {
            self.counters.drops.count(match conflict {
                Conflict::OldSequence => DropReason::OldSequence,
                Conflict::SameSequence => DropReason::SameSequence,
                Conflict::CasMismatch => DropReason::CasMismatch,
            });
            let kept = kept.clone();
            return Answer::Conflict { conflict, kept };
        }
        let result = self.store.put(record, now.mono);
        if result == StoreResult::Full {
            self.counters.drops.count(DropReason::StoreFull);
        }
        Answer::Stored(result)
    }
}

/// What is wrong with the signature of a record, if it has one.
fn forgery(record: &Record) -> Option<DropReason> {
    match record {
        Record::Value(_) => None,
        Record::Peer { blinded, entry } => {
            (!entry.is_signed_by(blinded)).then_some(DropReason::ForgedEntry)
        }
        Record::Mutable(sent) => (!sent.is_signed()).then_some(DropReason::ForgedRecord),
    }
}

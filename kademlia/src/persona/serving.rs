//! Answers to requests that came out of the persona's tunnels, and the records that it keeps for others.
use deut_common::{
    codec::{Bounded, BoundedBytes},
    suite::SuiteRef,
    time::Now,
};

use rand::rngs::StdRng;

use super::{context::PersonaContext, neighbours::Neighbours};
use crate::{
    audit::DropReason,
    config::Config,
    contact::{Contact, RawContact},
    id::{Key, NodeId},
    io::DhtOutput,
    records::{
        record::{Conflict, Record, RecordKind, StoreResult},
        store::Store,
        token::{Token, Tokens},
    },
    tickets::IncomingTicket,
    wire::{
        limits::MAX_REQUEST_BODY,
        rpc::{Answer, MAX_CONTACTS, MAX_ENTRIES, Request},
    },
};

pub(super) struct Serving {
    store: Store,
    tokens: Tokens,
    secrets: StdRng,
    answered: u64,
}

impl Serving {
    pub(super) fn new(own: NodeId, config: &Config, mut secrets: StdRng, now: &Now) -> Self {
        Self {
            store: Store::new(own, config),
            tokens: Tokens::new(config.token_rotation, now.mono, &mut secrets),
            secrets,
            answered: 0,
        }
    }

    /// The records that this persona keeps for others.
    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// Number of requests that were answered.
    pub(super) fn answered(&self) -> u64 {
        self.answered
    }

    /// Replaces the token secret if it is due.
    pub(super) fn rotate_tokens(&mut self, now: &Now) {
        self.tokens.rotate(now.mono, &mut self.secrets);
    }

    /// Forgets records that have ended.
    pub(super) fn purge(&mut self, now: &Now) {
        self.store.purge(now.mono);
    }

    /// Answers a request, or counts the reason why not.
    pub(super) fn request(
        &mut self,
        cx: &mut PersonaContext,
        neighbours: &mut Neighbours,
        (to, body): (IncomingTicket, &[u8]),
        now: &Now,
    ) {
        match self.answer(cx, neighbours, body, now) {
            Err(reason) => cx.discard(reason),
            Ok(answer) => {
                self.answered += 1;
                let body = answer.to_body();
                cx.out.push_back(DhtOutput::Answer { to, body });
            }
        }
    }

    fn answer(
        &mut self,
        cx: &mut PersonaContext,
        neighbours: &mut Neighbours,
        body: &[u8],
        now: &Now,
    ) -> Result<Answer, DropReason> {
        if body.len() > MAX_REQUEST_BODY {
            return Err(DropReason::Oversize);
        }
        let contact = cx.sender(now).ok_or(DropReason::NoPersona)?;
        self.rotate_tokens(now);
        Ok(
            match Request::from_body(body).map_err(|_| DropReason::MalformedRequest)? {
                Request::Ping { sender } => {
                    meet(cx, neighbours, sender, now)?;
                    Answer::Pong { contact }
                }
                Request::FindNode { target, sender } => {
                    let sender = meet(cx, neighbours, sender, now)?;
                    self.nodes(cx, neighbours, &target, (sender.as_ref(), now))
                }
                Request::FindValue { kind, key } => match self.find(cx, kind, &key, now) {
                    Some(answer) => answer,
                    None => self.nodes(cx, neighbours, &key, (None, now)),
                },
                Request::Store { token, record } => self.put(cx, &token, record, now),
            },
        )
    }

    /// The closest nodes to a target, except the one that asks.
    fn nodes(
        &self,
        cx: &PersonaContext,
        neighbours: &Neighbours,
        target: &NodeId,
        (except, now): (Option<&NodeId>, &Now),
    ) -> Answer {
        let width = cx.config.width;
        let table = neighbours.table();
        let closest = table.closest(target, width.min(MAX_CONTACTS) + 1, now);
        let others = closest
            .into_iter()
            .filter(|contact| Some(&contact.id()) != except);
        Answer::Nodes {
            token: self.tokens.issue(target),
            contacts: Bounded::first_of(others.take(width).map(Contact::to_raw)),
        }
    }

    /// The answer with the records of this kind under a key; `None` if there are none.
    fn find(
        &mut self,
        cx: &mut PersonaContext,
        kind: RecordKind,
        key: &Key,
        now: &Now,
    ) -> Option<Answer> {
        let token = self.tokens.issue(key);
        match kind {
            RecordKind::Value => {
                let value = self.store.value(key, now.mono)?;
                let value = BoundedBytes::new(value.to_vec())?;
                Some(Answer::Value { token, value })
            }
            RecordKind::Peers => {
                let entries = self
                    .store
                    .peers(key, MAX_ENTRIES, now.mono, &mut cx.choices);
                let found = !entries.is_empty();
                let entries = Bounded::first_of(entries);
                found.then_some(Answer::Peers { token, entries })
            }
            RecordKind::Mutable => {
                let version = self.store.mutable(key, now.mono)?.clone();
                Some(Answer::Mutable { token, version })
            }
        }
    }

    /// Accepts or refuses a STORE. Token, signature and version are checked here, room and age by the store.
    fn put(&mut self, cx: &mut PersonaContext, token: &Token, record: Record, now: &Now) -> Answer {
        if !self.tokens.accepts(&record.key(), token) {
            cx.discard(DropReason::BadToken);
            return Answer::Stored(StoreResult::BadToken);
        }
        if let Some(forged) = forgery(&cx.config.suite, &record) {
            cx.discard(forged);
            return Answer::Stored(StoreResult::BadRecord);
        }
        if let Record::Mutable(sent) = &record
            && let Some((conflict, kept)) = self.store.conflict(sent, now.mono)
        {
            cx.discard(match conflict {
                Conflict::OldSequence => DropReason::OldSequence,
                Conflict::SameSequence => DropReason::SameSequence,
                Conflict::CasMismatch => DropReason::CasMismatch,
            });
            let kept = kept.clone();
            return Answer::Conflict { conflict, kept };
        }
        let result = self.store.put(record, now.mono, &mut cx.choices);
        if result == StoreResult::Full {
            cx.discard(DropReason::StoreFull);
        }
        Answer::Stored(result)
    }
}

/// Verifies the contact that a request carries, and remembers it for a PING.
fn meet(
    cx: &mut PersonaContext,
    neighbours: &mut Neighbours,
    sender: Option<RawContact>,
    now: &Now,
) -> Result<Option<NodeId>, DropReason> {
    let Some(raw) = sender else { return Ok(None) };
    let contact = neighbours
        .verify(cx, raw, now)
        .map_err(DropReason::Contact)?;
    let id = contact.id();
    if id == cx.own.id() {
        return Err(DropReason::OwnContact);
    }
    neighbours.consider(cx, contact, now);
    neighbours.was_told(id, &cx.own.contact_addresses());
    Ok(Some(id))
}

/// The reason to refuse a record with a forged signature; `None` if the signature is good.
fn forgery(suite: &SuiteRef, record: &Record) -> Option<DropReason> {
    match record {
        Record::Value(_) => None,
        Record::Peer { blinded, entry } => {
            (!entry.is_signed_by(suite, blinded)).then_some(DropReason::ForgedEntry)
        }
        Record::Mutable(sent) => (!sent.is_signed(&**suite)).then_some(DropReason::ForgedRecord),
    }
}

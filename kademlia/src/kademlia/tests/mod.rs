//! One node against a hostile world: it refuses bad messages, counts each refusal, and accepts messages that are almost the same
//! but good.
use deut_common::{codec::Bounded, time::Unix};

use super::*;
use crate::{
    DropReason,
    contact::{ContactError, RawContact},
    id::NodeId,
    query::{Progress, Query, QueryResult},
    records::{
        announced::Announced,
        entry::PeerSet,
        record::{Conflict, Record, RecordKind, StoreResult},
        token::Token,
        value::ValueBytes,
    },
    testing::{NOW, address, contact, secret},
    tickets::{Group, IncomingTicket, QueryTicket, RpcTicket},
    wire::{
        limits::{Body, MAX_ANSWER_BODY, MAX_REQUEST_BODY},
        rpc::{Answer, Request},
    },
};

mod answers;
mod any_body;
mod debug;
mod mutable;
mod probes;
mod requests;
mod search;
mod upkeep;

struct Sent {
    ticket: RpcTicket,
    group: Group,
    to: NodeId,
    request: Request,
}

struct Rig {
    dht: Kademlia,
    now: Now,
    sent: Vec<Sent>,
    answers: Vec<Answer>,
    results: Vec<QueryResult>,
    ended: Vec<Group>,
    superseded: Vec<(i64, i64)>,
    progress: Vec<Progress>,
    inputs: u64,
}

impl Rig {
    fn new(config: Config) -> Self {
        Self {
            dht: Kademlia::new(config, [3; 32], &NOW),
            now: NOW,
            sent: Vec::new(),
            answers: Vec::new(),
            results: Vec::new(),
            ended: Vec::new(),
            superseded: Vec::new(),
            progress: Vec::new(),
            inputs: 0,
        }
    }

    /// A node with a persona that has a contact.
    fn with_persona(config: Config) -> Self {
        let mut rig = Self::new(config);
        rig.input(DhtInput::Persona(Some(secret(0))));
        let until = Unix(rig.now.unix.0 + 3_600);
        rig.input(DhtInput::OwnAddresses(vec![(
            address("10.0.0.0:20000"),
            until,
        )]));
        rig
    }

    fn input(&mut self, input: DhtInput) {
        self.dht.handle_input(&self.now, input);
        loop {
            match self.dht.poll_output(&self.now) {
                DhtOutput::Answer { body, .. } => self
                    .answers
                    .push(Answer::from_body(&body).expect("an answer")),
                DhtOutput::Progress(_, step) => self.progress.push(step),
                DhtOutput::Done(_, outcome) => self.results.push(outcome.result),
                DhtOutput::GroupEnded(group) => self.ended.push(group),
                DhtOutput::Send {
                    ticket,
                    group,
                    to,
                    body,
                    ..
                } => {
                    let request = Request::from_body(&body).expect("a request");
                    self.sent.push(Sent {
                        ticket,
                        group,
                        to: to.id(),
                        request,
                    });
                }
                DhtOutput::Wait { .. } => return,
                DhtOutput::Superseded {
                    published, seen, ..
                } => self.superseded.push((published, seen)),
                DhtOutput::Advertise(_)
                | DhtOutput::WantOtherEndpoints(_)
                | DhtOutput::WantSeeds(_) => {}
            }
        }
    }

    fn request(&mut self, body: Body) -> Option<Answer> {
        self.inputs += 1;
        self.input(DhtInput::Request(IncomingTicket(self.inputs), body));
        self.answers.pop()
    }

    fn ask(&mut self, request: &Request) -> Option<Answer> {
        self.request(request.to_body())
    }

    fn persona_drops(&self, reason: DropReason) -> u64 {
        self.dht.audit().persona.drops.of(reason)
    }

    fn user_drops(&self, reason: DropReason) -> u64 {
        self.dht.audit().user.drops.of(reason)
    }

    fn later(&mut self, micros: u64) {
        self.now.mono = self.now.mono.plus_us(micros);
        self.now.unix.0 += micros / 1_000_000;
        self.input(DhtInput::Timeout);
    }

    fn token(&mut self, target: NodeId) -> Token {
        match self.ask(&Request::FindNode {
            target,
            sender: None,
        }) {
            Some(Answer::Nodes { token, .. }) => token,
            other => panic!("{other:?}"),
        }
    }

    fn store(&mut self, token: Token, record: Record) -> StoreResult {
        match self.ask(&Request::Store { token, record }) {
            Some(Answer::Stored(result)) => result,
            other => panic!("{other:?}"),
        }
    }

    /// Starts a query with one seed. Returns the ticket of the RPC to that seed, the first.
    fn query(&mut self, query: Query) -> RpcTicket {
        let seed = contact(1, 10).as_bytes().to_vec();
        self.input(DhtInput::Seeds(OnBehalf::User, vec![seed]));
        self.input(DhtInput::Start(QueryTicket(1), query));
        self.last(1).ticket
    }

    fn respond(&mut self, ticket: RpcTicket, answer: &Answer) {
        self.input(DhtInput::Response(ticket, answer.to_body()));
    }

    /// The latest RPC to a node.
    fn last(&self, number: u64) -> &Sent {
        let id = contact(number, 10).id();
        self.sent
            .iter()
            .rev()
            .find(|sent| sent.to == id)
            .expect("asked")
    }
}

fn nodes(contacts: &[Contact]) -> Answer {
    Answer::Nodes {
        token: [9; 8],
        contacts: Bounded::first_of(contacts.iter().map(Contact::to_raw)),
    }
}

fn value(bytes: &[u8]) -> ValueBytes {
    ValueBytes::new(bytes.to_vec()).expect("fits")
}

fn raw(bytes: &[u8]) -> RawContact {
    RawContact::parse_all(bytes).expect("parses")
}

fn peer_record(infohash: u8, writer: u8) -> Record {
    let set = PeerSet::of(&[infohash; 20]);
    let entry = set.seal(
        [writer; 8],
        [writer; 16],
        &Announced::Persona(secret(5).public()),
    );
    Record::Peer {
        blinded: set.blinded(),
        entry,
    }
}

//! The boundary of the crate: its inputs, its outputs, and the types that both use.
//!
//! After each call of [`crate::Kademlia::handle_input`], call [`crate::Kademlia::poll_output`] until it returns
//! [`DhtOutput::Wait`]. No output may be dropped.
use deut_common::{
    address::EndpointAddress,
    time::{Mono, Unix},
};

use crate::{
    contact::Contact,
    id::NodeId,
    identity::PersonaSecret,
    query::{Progress, Query, QueryOutcome},
    tickets::{Group, IncomingTicket, OnBehalf, QueryTicket, RpcTicket, TunnelTag},
    wire::limits::Body,
};

/// The way in which an RPC failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It was never sent, so the recipient is not at fault.
    NotSent,
    /// All its copies left by this tunnel of ours.
    Over(TunnelTag),
    /// Its copies left by several tunnels of ours.
    OverSeveral,
}

/// The reach of this node's persona: how well others can find it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonaReach {
    /// Its public key.
    pub key: [u8; 32],
    /// The endpoint addresses in its contact; empty while there is none.
    pub addresses: Vec<EndpointAddress>,
    /// Number of nodes among those closest to it that hold a contact which still leads to it, as far as it knows.
    pub held_by: usize,
    /// Number of the closest nodes that it knows, at most eight.
    pub of: usize,
}

impl PersonaReach {
    /// Returns true if a search finds its addresses: a search asks the closest nodes, and half of them have its contact.
    #[must_use]
    pub fn stands(&self) -> bool {
        !self.addresses.is_empty() && self.held_by > 0 && self.held_by * 2 >= self.of
    }
}

/// An input of the DHT.
#[derive(Debug)]
pub enum DhtInput {
    /// Ends a query without a result: its outcome is [`QueryResult::Cancelled`](crate::query::QueryResult::Cancelled).
    Cancel(QueryTicket),
    /// There was no answer within the full timeout, or the request could not be sent.
    Failed(RpcTicket, Failure),
    /// The endpoint addresses of the persona's tunnels, each with its end. A changed set gives a newly signed contact. If empty,
    /// the persona neither answers nor advertises.
    OwnAddresses(Vec<(EndpointAddress, Unix)>),
    /// The persona's key, or `None` to switch the persona off. A new key starts with an empty table and store.
    Persona(Option<PersonaSecret>),
    /// A request that came out of a tunnel of the persona.
    Request(IncomingTicket, Body),
    /// The answer to an RPC, late ones included.
    Response(RpcTicket, Body),
    /// Contacts from one endpoint, not yet verified.
    Seeds(OnBehalf, Vec<Body>),
    /// The RPC has no answer yet after the short timeout. The transport sends it again by itself.
    Slow(RpcTicket),
    /// Starts a query.
    Start(QueryTicket, Query),
    /// The time of the last [`DhtOutput::Wait`] has come. A call too early does no harm.
    Timeout,
}

/// An output of the DHT: work for the caller.
#[derive(Debug)]
pub enum DhtOutput {
    /// Our newest signed contact, to be registered at the endpoints of the persona's tunnels.
    Advertise(Body),
    /// The answer to a request.
    Answer {
        /// The ticket of [`DhtInput::Request`].
        to: IncomingTicket,
        /// The answer's bytes.
        body: Body,
    },
    /// The outcome of a query. Each started query has exactly one.
    Done(QueryTicket, QueryOutcome),
    /// No more RPCs belong to this group, and answers still under way are no longer needed.
    GroupEnded(Group),
    /// One step of a query.
    Progress(QueryTicket, Progress),
    /// Send a request.
    Send {
        /// Goes into [`DhtInput::Response`], [`DhtInput::Slow`] or [`DhtInput::Failed`].
        ticket: RpcTicket,
        /// The group whose reply tunnels serve it.
        group: Group,
        /// The query that caused it; `None` for maintenance and re-announcing.
        query: Option<QueryTicket>,
        /// The recipient, whose contact is verified.
        to: Contact,
        /// The request's bytes.
        body: Body,
        /// The plane for which it is sent, and so the pool of tunnels to use.
        on_behalf: OnBehalf,
    },
    /// A newer version was seen of a mutable record that this node publishes. Ours is no longer announced.
    Superseded {
        /// The record's key in the DHT.
        key: NodeId,
        /// The sequence number of the version that was published.
        published: i64,
        /// The sequence number of the version that was seen.
        seen: i64,
    },
    /// Ends the drain: there is nothing to do until `until` or, if that is `None`, until the next input.
    Wait {
        /// The time to call with [`DhtInput::Timeout`].
        until: Option<Mono>,
        /// The reason, for logs.
        why: &'static str,
    },
    /// The endpoints of this pool brought no new contacts for a while: replace one of its tunnels.
    WantOtherEndpoints(OnBehalf),
    /// This plane needs contacts: ask endpoints of its pool for some. Given at most once per second.
    WantSeeds(OnBehalf),
}

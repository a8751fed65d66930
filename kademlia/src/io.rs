//! The boundary of the crate: what goes in, what comes out, and the words both use.
//!
//! One call order: any number of [`crate::Kademlia::handle_input`], after each of them
//! [`crate::Kademlia::poll_output`] until it returns [`DhtOutput::Wait`]. No output may be dropped.
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

/// How an RPC failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It was never sent: no fault of the recipient's.
    NotSent,
    /// All its copies left by this tunnel of ours.
    Over(TunnelTag),
    /// Its copies left by several tunnels of ours.
    OverSeveral,
}

/// How well this node's persona can be found by others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonaReach {
    /// Its public key.
    pub key: [u8; 32],
    /// The endpoint addresses in its contact; empty while there is none.
    pub addresses: Vec<EndpointAddress>,
    /// Nodes among the closest to it that hold a contact which still leads to it, as far as it knows.
    pub held_by: usize,
    /// How many of the closest it knows, eight at most.
    pub of: usize,
}

impl PersonaReach {
    /// True if a search for it finds its addresses: it asks the closest nodes, and half of them have it.
    #[must_use]
    pub fn stands(&self) -> bool {
        !self.addresses.is_empty() && self.held_by > 0 && self.held_by * 2 >= self.of
    }
}

/// Everything that can happen to the DHT.
#[derive(Debug)]
pub enum DhtInput {
    /// Ends a query without a result: [`QueryResult::Cancelled`](crate::query::QueryResult::Cancelled) is its outcome.
    Cancel(QueryTicket),
    /// No answer within the full timeout, or it could not be sent.
    Failed(RpcTicket, Failure),
    /// The endpoint addresses of the persona's tunnels, each with its end. A changed set gives a newly
    /// signed contact. Empty: the persona neither answers nor advertises.
    OwnAddresses(Vec<(EndpointAddress, Unix)>),
    /// The persona's key, or none to switch the persona off. A new key starts an empty table and store.
    Persona(Option<PersonaSecret>),
    /// A request that came out of a tunnel of the persona.
    Request(IncomingTicket, Body),
    /// The answer to an RPC, late ones included.
    Response(RpcTicket, Body),
    /// Contacts as one endpoint gave them; untrusted.
    Seeds(OnBehalf, Vec<Body>),
    /// The RPC has no answer yet after the short timeout (the transport sends it again by itself).
    Slow(RpcTicket),
    /// Starts a query.
    Start(QueryTicket, Query),
    /// The time of the last [`DhtOutput::Wait`] has come (calling it early does no harm).
    Timeout,
}

/// Everything the DHT wants done.
#[derive(Debug)]
pub enum DhtOutput {
    /// Our newest signed contact: register it at the endpoints of the persona's tunnels.
    Advertise(Body),
    /// The answer to a request.
    Answer {
        /// The ticket of the request.
        to: IncomingTicket,
        /// The answer's bytes.
        body: Body,
    },
    /// The outcome of a query, exactly once per started query.
    Done(QueryTicket, QueryOutcome),
    /// No further RPC belongs to this group, and answers still under way are no longer needed.
    GroupEnded(Group),
    /// One step of a query.
    Progress(QueryTicket, Progress),
    /// Send a request.
    Send {
        /// Comes back with the answer.
        ticket: RpcTicket,
        /// The group whose reply tunnels serve it.
        group: Group,
        /// The query that caused it; none for maintenance and for re-announcing.
        query: Option<QueryTicket>,
        /// The recipient, with a verified signature.
        to: Contact,
        /// The request's bytes.
        body: Body,
        /// The pool to use.
        on_behalf: OnBehalf,
    },
    /// A newer version of a mutable record that this node publishes was seen: ours is no longer announced.
    Superseded {
        /// The record's key in the DHT.
        key: NodeId,
        /// The sequence number of the version that was published.
        published: i64,
        /// The one of the version that was seen.
        seen: i64,
    },
    /// Ends the drain: nothing to do until `until`; none means until the next input.
    Wait {
        /// When to call with [`DhtInput::Timeout`].
        until: Option<Mono>,
        /// The reason, for logs.
        why: &'static str,
    },
    /// The endpoints of that pool brought nobody new for a while: let one tunnel give way to another.
    WantOtherEndpoints(OnBehalf),
    /// This plane needs contacts: ask endpoints of that pool for some. At most one per second.
    WantSeeds(OnBehalf),
}

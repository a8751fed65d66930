//! The purpose of a query, and the records that it has found so far.
use rand::rngs::StdRng;

use super::{
    announcements::Announcements,
    storing::{Against, Storing},
};
use crate::{
    config::Config,
    contact::Contact,
    id::{Key, NodeId},
    lookup::Lookup,
    query::{Query, QueryResult, Refusal},
    records::{
        announced::Announced,
        entry::can_be_announced,
        mutable::{MutableKey, MutableRecord, Version},
        record::{Record, RecordKind},
        value::MAX_VALUE,
    },
    user::published::{Publication, Published, PublishedId},
    wire::rpc::Request,
};

pub(in crate::user) enum Task {
    Mutable {
        of: MutableKey,
        min_seq: i64,
        found: Option<FoundVersion>,
    },
    Node(NodeId),
    Peers(Announcements),
    Publish {
        id: PublishedId,
        record: Record,
    },
    /// A new version of a mutable record. Announcing it later is an ordinary publication.
    PutMutable {
        id: PublishedId,
        record: MutableRecord,
        cas: Option<i64>,
    },
    Value {
        key: Key,
        found: Option<Vec<u8>>,
    },
}

/// The newest version of a mutable record that was found.
pub(in crate::user) struct FoundVersion {
    version: Version,
    /// Number of nodes that gave it.
    given_by: usize,
    /// Number of nodes that gave an older version.
    older_by: usize,
}

impl Task {
    /// The task of a user's query. If it publishes a record, that is kept from now on.
    pub(in crate::user) fn new(
        query: Query,
        published: &mut Published,
        secrets: &mut StdRng,
        config: &Config,
    ) -> Result<Self, Refusal> {
        let publication = match query {
            Query::FindNode { target } => return Ok(Self::Node(target)),
            Query::GetPeers { infohash } => {
                return Ok(Self::Peers(Announcements::of(&infohash)));
            }
            Query::GetValue { key } => return Ok(Self::Value { key, found: None }),
            Query::GetMutable { of, min_seq } => {
                let min_seq = min_seq.unwrap_or(0);
                let found = None;
                return Ok(Self::Mutable { of, min_seq, found });
            }
            Query::PutMutable { record, cas } => {
                let id = published.keep_mutable(record.clone(), cas, config)?;
                return Ok(Self::PutMutable { id, record, cas });
            }
            Query::PutValue { value } if value.len() > MAX_VALUE => {
                return Err(Refusal::ValueTooLarge(value.len()));
            }
            Query::PutValue { value } => Publication::Value(value),
            Query::Announce {
                what: Announced::Address(address),
                ..
            } if !can_be_announced(&address) => return Err(Refusal::BadAddress),
            Query::Announce { infohash, what } => Publication::Peer { infohash, what },
        };
        let id = published.keep(publication, config)?;
        let record = published
            .record(id, secrets)
            .ok_or(Refusal::ValueTooLarge(MAX_VALUE))?;
        Ok(Self::Publish { id, record })
    }

    pub(super) fn target(&self) -> NodeId {
        match self {
            Self::Node(target) | Self::Value { key: target, .. } => *target,
            Self::Peers(announcements) => announcements.key(),
            Self::Publish { record, .. } => record.key(),
            Self::Mutable { of, .. } => of.dht_key(),
            Self::PutMutable { record, .. } => record.key().dht_key(),
        }
    }

    /// Returns true if all of the closest nodes are wanted, for their own sake or to store at them.
    pub(super) fn is_thorough(&self) -> bool {
        match self {
            Self::Node(_) | Self::Publish { .. } | Self::PutMutable { .. } => true,
            Self::Mutable { .. } | Self::Peers(_) | Self::Value { .. } => false,
        }
    }

    /// The question to each node around the target.
    pub(super) fn request(&self) -> Request {
        let key = self.target();
        let kind = match self {
            Self::Node(_) | Self::Publish { .. } | Self::PutMutable { .. } => {
                return Request::FindNode {
                    target: key,
                    sender: None,
                };
            }
            Self::Mutable { .. } => RecordKind::Mutable,
            Self::Peers(_) => RecordKind::Peers,
            Self::Value { .. } => RecordKind::Value,
        };
        Request::FindValue { kind, key }
    }

    /// The publication that it announces, if it does.
    pub(in crate::user) fn published(&self) -> Option<PublishedId> {
        match self {
            Self::Publish { id, .. } | Self::PutMutable { id, .. } => Some(*id),
            _ => None,
        }
    }

    /// The record that it stores once the closest nodes are known.
    pub(super) fn record(&self) -> Option<Record> {
        match self {
            Self::Publish { record, .. } => Some(record.clone()),
            Self::PutMutable { record, cas, .. } => Some(Record::Mutable(record.to_sent(*cas))),
            _ => None,
        }
    }

    /// The mutable record that it is about, if it is about one.
    pub(super) fn mutable_key(&self) -> Option<MutableKey> {
        match self {
            Self::Mutable { of, .. } => Some(of.clone()),
            Self::PutMutable { record, .. } => Some(record.key().clone()),
            Self::Publish {
                record: Record::Mutable(sent),
                ..
            } => sent.of(),
            _ => None,
        }
    }

    /// A version of the wanted mutable record arrived, signed by its key.
    pub(super) fn found_version(&mut self, version: &Version) {
        let Self::Mutable { found, .. } = self else {
            return;
        };
        match found {
            Some(known) if known.version.says_the_same(version) => known.given_by += 1,
            Some(known) if !version.supersedes(&known.version) => known.older_by += 1,
            _ => {
                let outdated = found.take();
                *found = Some(FoundVersion {
                    version: version.clone(),
                    given_by: 1,
                    older_by: outdated.map_or(0, |older| older.older_by + older.given_by),
                });
            }
        }
    }

    /// Returns true if it searches for a record and has found none.
    pub(super) fn found_nothing(&self) -> bool {
        match self {
            Self::Value { found, .. } => found.is_none(),
            Self::Peers(announcements) => announcements.is_empty(),
            Self::Mutable { found, .. } => found.is_none(),
            Self::Node(_) | Self::Publish { .. } | Self::PutMutable { .. } => false,
        }
    }

    /// Returns true once no better result can come.
    pub(super) fn is_done(&self) -> bool {
        matches!(self, Self::Value { found: Some(_), .. })
    }

    /// The result when no node is left to ask. Nothing is stored.
    pub(super) fn result(&self, lookup: &Lookup, width: usize) -> QueryResult {
        match self {
            _ if self.found_nothing() => QueryResult::NotFound,
            Self::Node(_) => {
                let nodes = lookup.answers().map(|(contact, _)| contact.clone());
                let nodes: Vec<Contact> = nodes.take(width).collect();
                match nodes.is_empty() {
                    true => QueryResult::NotFound,
                    false => QueryResult::Nodes(nodes),
                }
            }
            Self::Peers(announcements) => QueryResult::Peers(announcements.peers()),
            Self::Value { found, .. } => found
                .clone()
                .map_or(QueryResult::NotFound, QueryResult::Value),
            Self::Mutable { of, min_seq, found } => found
                .as_ref()
                .map_or(QueryResult::NotFound, |found| found.result(of, *min_seq)),
            Self::Publish { .. } | Self::PutMutable { .. } => QueryResult::NotFound,
        }
    }

    /// The result of its STOREs. A version that no node stored, since all keep an older one than expected, has failed too.
    pub(super) fn stored(&self, storing: &Storing) -> QueryResult {
        let (at, of) = storing.stored();
        if let (Self::PutMutable { record, .. }, Some(kept)) = (self, storing.kept())
            && (at == 0 || self.is_stopped_by(kept))
        {
            let kept = MutableRecord::of_checked(record.key().clone(), kept.clone());
            return QueryResult::Conflict { kept, at };
        }
        let key = storing.key();
        QueryResult::Stored { key, at, of }
    }

    /// The effect on its STOREs if a node keeps this version.
    pub(super) fn against(&self, kept: &Version) -> Against {
        if self.is_stopped_by(kept) {
            return Against::All;
        }
        match self {
            Self::PutMutable { record, .. } if kept.seq == record.seq() => Against::ItsPlace,
            Self::Publish {
                record: Record::Mutable(sent),
                ..
            } if kept.seq == sent.version.seq => Against::ItsPlace,
            _ => Against::Nothing,
        }
    }

    /// Returns true if no more nodes are to store it because one keeps this version: readers that have both prefer the kept one, or
    /// it is not the expected one. If two writers use one number at the same time, one of them goes on.
    fn is_stopped_by(&self, kept: &Version) -> bool {
        match self {
            Self::PutMutable { record, cas, .. } => {
                let unexpected = cas.is_some_and(|cas| kept.seq > cas && kept.seq != record.seq());
                kept.supersedes(record.version()) || unexpected
            }
            Self::Publish {
                record: Record::Mutable(sent),
                ..
            } => kept.supersedes(&sent.version),
            _ => false,
        }
    }
}

impl FoundVersion {
    fn result(&self, of: &MutableKey, min_seq: i64) -> QueryResult {
        let seq = self.version.seq;
        if seq < min_seq {
            return QueryResult::OnlyOlder { seq };
        }
        QueryResult::Mutable {
            record: MutableRecord::of_checked(of.clone(), self.version.clone()),
            given_by: self.given_by,
            older_by: self.older_by,
        }
    }
}

//! What users publish, and whether a lookup brought just that.

use deut_kademlia::{Announced, MutableRecord, NodeId, Query, QueryResult, bencode};
use rand::{Rng, RngExt, rngs::StdRng};

/// Something published, as it is now.
pub(super) enum Thing {
    /// An immutable value.
    Value(Vec<u8>),
    /// An address announced on an infohash that nobody else announces on.
    Peer { infohash: [u8; 20], what: Announced },
    /// A version of a mutable record, and the key that signs the next one.
    Record {
        secret: [u8; 32],
        version: MutableRecord,
    },
}

/// How a lookup ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// With what was published.
    Found,
    /// With nothing.
    Missing,
    /// With a version of the mutable record that its publisher has replaced.
    Older,
    /// With something that its publisher never published.
    Wrong,
}

impl Thing {
    /// The thing with this number: of five three values, an announcement and a mutable record; the first one is a value.
    pub(super) fn draw(number: usize, rng: &mut StdRng) -> Self {
        match number % 5 {
            3 => {
                let (ip, port): (u8, u16) = (rng.random(), rng.random_range(1_024..=u16::MAX));
                Self::Peer {
                    infohash: rng.random(),
                    what: Announced::Address(([192, 0, 2, ip], port).into()),
                }
            }
            4 => {
                let secret = rng.random();
                let version = version(&secret, 1, rng);
                Self::Record { secret, version }
            }
            _ => {
                let mut bytes = vec![0; rng.random_range(20..=800)];
                rng.fill_bytes(&mut bytes);
                Self::Value(bytes)
            }
        }
    }

    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Value(_) => "value",
            Self::Peer { .. } => "peer",
            Self::Record { .. } => "mutable",
        }
    }

    /// What tells it from others: its key in the DHT, or of an announcement the infohash.
    pub(super) fn key(&self) -> NodeId {
        match self {
            Self::Value(bytes) => NodeId::hash_of(bytes),
            Self::Peer { infohash, .. } => NodeId(*infohash),
            Self::Record { version, .. } => version.key().dht_key(),
        }
    }

    pub(super) fn put(&self) -> Query {
        match self {
            Self::Value(bytes) => Query::PutValue {
                value: bytes.clone(),
            },
            Self::Peer { infohash, what } => Query::Announce {
                infohash: *infohash,
                what: *what,
            },
            Self::Record { version, .. } => Query::PutMutable {
                record: version.clone(),
                cas: None,
            },
        }
    }

    pub(super) fn get(&self) -> Query {
        match self {
            Self::Value(_) => Query::GetValue { key: self.key() },
            Self::Peer { infohash, .. } => Query::GetPeers {
                infohash: *infohash,
            },
            Self::Record { version, .. } => Query::GetMutable {
                of: version.key().clone(),
                min_seq: None,
            },
        }
    }

    /// Whether it replaces nothing.
    pub(super) fn is_first(&self) -> bool {
        !matches!(self, Self::Record { version, .. } if version.seq() > 1)
    }

    /// The next version, if it has versions.
    pub(super) fn next(&self, rng: &mut StdRng) -> Option<Self> {
        match self {
            Self::Record {
                secret,
                version: now,
            } => Some(Self::Record {
                secret: *secret,
                version: version(secret, now.seq() + 1, rng),
            }),
            _ => None,
        }
    }

    pub(super) fn judge(&self, result: &QueryResult) -> Verdict {
        let right = |right| {
            if right {
                Verdict::Found
            } else {
                Verdict::Wrong
            }
        };
        match (self, result) {
            (Self::Value(bytes), QueryResult::Value(found)) => right(found == bytes),
            (Self::Peer { what, .. }, QueryResult::Peers(found)) if !found.is_empty() => {
                right(found.iter().all(|peer| peer.what == *what))
            }
            (Self::Record { version, .. }, QueryResult::Mutable { record, .. }) => {
                if record.key() == version.key() && record.seq() < version.seq() {
                    return Verdict::Older;
                }
                right(record == version)
            }
            _ => Verdict::Missing,
        }
    }
}

fn version(secret: &[u8; 32], seq: i64, rng: &mut StdRng) -> MutableRecord {
    let mut text = vec![0; rng.random_range(20..=400)];
    rng.fill_bytes(&mut text);
    MutableRecord::sign(secret, Vec::new(), seq, bencode::of_string(&text))
        .expect("short and bencoded")
}

#[cfg(test)]
mod tests {
    use super::*;
    use deut_kademlia::FoundPeer;
    use rand::SeedableRng;

    #[test]
    fn each_kind_tells_its_own_from_nothing_and_from_lies() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut all: Vec<Thing> = (0..10)
            .map(|number| Thing::draw(number, &mut rng))
            .collect();
        let kinds = |kind| all.iter().filter(|thing| thing.kind() == kind).count();
        assert_eq!((kinds("value"), kinds("peer"), kinds("mutable")), (6, 2, 2));
        assert!(
            all.iter()
                .all(|thing| thing.judge(&QueryResult::NotFound) == Verdict::Missing)
        );
        let brings = |thing: &Thing| match thing {
            Thing::Value(bytes) => QueryResult::Value(bytes.clone()),
            Thing::Peer { what, .. } => QueryResult::Peers(vec![FoundPeer {
                what: *what,
                given_by: 1,
                contact: None,
                reachable: None,
            }]),
            Thing::Record { version, .. } => QueryResult::Mutable {
                record: version.clone(),
                given_by: 1,
                older_by: 0,
            },
        };
        for pair in [(0, 1), (3, 8), (4, 9)] {
            assert_eq!(all[pair.0].judge(&brings(&all[pair.0])), Verdict::Found);
            assert_eq!(all[pair.0].judge(&brings(&all[pair.1])), Verdict::Wrong);
        }
        let first = brings(&all[4]);
        all[4] = all[4].next(&mut rng).expect("has versions");
        assert_eq!(all[4].judge(&first), Verdict::Older);
        assert!(!all[4].is_first() && all[9].is_first());
        assert!(all[0].next(&mut rng).is_none() && all[3].next(&mut rng).is_none());
    }
}

//! What people ask for, as they type it.

use deut::{MutableKey, NodeId, Query};
use deut_kademlia::{Link, Magnet, MagnetError};

use super::report::unhex;
use crate::exit::Failure;

/// What `get` looks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Peers of a torrent.
    Magnet(Magnet),
    /// An immutable value.
    Key(NodeId),
    /// A mutable record, of this sequence number or a higher one.
    Mutable(MutableKey, Option<i64>),
    /// Peers of the torrent that a mutable record names.
    Named(MutableKey),
}

impl Target {
    /// Reads a magnet link or a key of 40 hex digits.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let text = text.trim();
        let like_a_link = text.contains(':') || text.contains('?');
        if like_a_link {
            return match Link::parse(text).map_err(not_a_link)? {
                Link::Torrent(magnet) => Ok(Self::Magnet(magnet)),
                Link::Mutable(of) => Ok(Self::Named(of)),
            };
        }
        deut_kademlia::parse_key(text).map(Self::Key).map_err(|why| {
            Failure::bad_input(why).hint("give a key of 40 hex digits, or a magnet link in quotes: 'magnet:?xt=urn:btih:…'")
        })
    }

    /// The query that finds it.
    pub(super) fn query(&self) -> Query {
        match self {
            Self::Magnet(magnet) => Query::GetPeers {
                infohash: magnet.infohash,
            },
            Self::Key(key) => Query::GetValue { key: *key },
            Self::Mutable(of, min_seq) => Query::GetMutable {
                of: of.clone(),
                min_seq: *min_seq,
            },
            Self::Named(of) => Query::GetMutable {
                of: of.clone(),
                min_seq: None,
            },
        }
    }
}

/// Reads a magnet link.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn magnet(text: &str) -> Result<Magnet, Failure> {
    Magnet::parse(text).map_err(not_a_link)
}

/// Reads what a mutable record is known by: a public key in hex digits, and a salt.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn mutable_key(public: &str, salt: Vec<u8>) -> Result<MutableKey, Failure> {
    let bytes = unhex(public.trim()).and_then(|bytes| bytes.try_into().ok());
    let bytes = bytes.ok_or_else(|| {
        Failure::bad_input("a public key must be written in 64 hex digits")
            .hint("`deut put --mutable` prints it")
    })?;
    MutableKey::new(bytes, salt).map_err(Failure::bad_input)
}

fn not_a_link(why: MagnetError) -> Failure {
    let failure = Failure::bad_input(why);
    match why {
        MagnetError::OnlyMutable => failure
            .hint("announce on the torrent itself; `deut get` finds the one that the record names"),
        _ => failure
            .hint("a link looks like this, in quotes: 'magnet:?xt=urn:btih:' and 40 hex digits"),
    }
}

//! What people ask for, as they type it.

use deut::{NodeId, Query};
use deut_kademlia::Magnet;

use crate::exit::Failure;

/// What `get` looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Peers of a torrent.
    Magnet(Magnet),
    /// An immutable value.
    Key(NodeId),
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
            return magnet(text).map(Self::Magnet);
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
        }
    }
}

/// Reads a magnet link.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn magnet(text: &str) -> Result<Magnet, Failure> {
    Magnet::parse(text).map_err(|why| {
        Failure::bad_input(why)
            .hint("a link looks like this, in quotes: 'magnet:?xt=urn:btih:' and 40 hex digits")
    })
}

//! Targets of lookups, as users type them.

use std::net::SocketAddr;

use deut::{MutableKey, NodeId, Query, Refusal};
use deut_kademlia::{Link, Magnet, MagnetError};

use crate::exit::{Exit, Failure};
use crate::report::unhex;

/// The target of a `get`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Peers of a torrent.
    Magnet(Magnet),
    /// An immutable value.
    Key(NodeId),
    /// A mutable record with this sequence number or a higher one.
    Mutable(MutableKey, Option<i64>),
    /// Peers of the torrent that a mutable record names.
    Named(MutableKey),
}

impl Target {
    /// Reads a magnet link, a key of 40 hex digits, or a torrent's hash that cannot be taken for a key.
    ///
    /// # Errors
    /// If it cannot be used. The failure says why.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        if Link::is_like(text) {
            return match Link::parse(text).map_err(not_a_link)? {
                Link::Torrent(magnet) => Ok(Self::Magnet(magnet)),
                Link::Mutable(of) => Ok(Self::Named(of)),
            };
        }
        if let Some(failure) = of_two_meanings(text) {
            return Err(failure);
        }
        deut_kademlia::parse_key(text).map(Self::Key).or_else(|why| {
            Magnet::parse_hash(text).map(Self::Magnet).map_err(|_| {
                Failure::bad_input(why).hint("give a key of 40 hex digits, or a magnet link in quotes: 'magnet:?xt=urn:btih:…'")
            })
        })
    }

    /// The same, if all announcers are wanted.
    ///
    /// # Errors
    /// If it is the key of a value.
    pub fn asked_for(self, all: bool) -> Result<Self, Failure> {
        match self {
            Self::Key(_) if all => Err(Failure::bad_input("--all is for magnet links")
                .hint("a key has one value: leave --all out")),
            target => Ok(target),
        }
    }

    /// Adds advice if nothing was found: 40 hex digits are taken for the key of a value, and never for an infohash as well. The key
    /// of a value goes out in clear, but that of announcements is hidden from those who do not know the infohash.
    pub(super) fn advise(&self, failure: Failure) -> Failure {
        match self {
            Self::Key(key) if failure.kind == Exit::NotFound => failure.hint(format!(
                "no value has this key, or it expired; if it is a torrent's infohash, write a link to it: deut get '{}'",
                Magnet::First(key.0)
            )),
            _ => failure,
        }
    }

    /// The query that finds it.
    pub(super) fn query(&self) -> Query {
        match self {
            Self::Magnet(magnet) => Query::GetPeers {
                infohash: magnet.infohash(),
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

/// Reads a magnet link, or a torrent's hash without one.
///
/// # Errors
/// If it cannot be used. The failure says why.
pub fn magnet(text: &str) -> Result<Magnet, Failure> {
    if let Some(failure) = of_two_meanings(text) {
        return Err(failure);
    }
    let bare = Some(text).filter(|text| !Link::is_like(text));
    let bare = bare.and_then(|text| Magnet::parse_hash(text).ok());
    bare.map_or_else(|| Magnet::parse(text).map_err(not_a_link), Ok)
}

/// 64 hex digits alone may be a version 2 hash as well as a public key.
fn of_two_meanings(text: &str) -> Option<Failure> {
    let digits = text.trim();
    let is_one = digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_one.then(|| {
        Failure::bad_input("64 hex digits may be a version 2 torrent's hash or the public key of a mutable record")
            .hint(format!("for the torrent write 'magnet:?xt=urn:btmh:1220{digits}', for the record `deut get --mutable {digits}`"))
    })
}

/// Checks that an address can be announced, before any node is asked.
///
/// # Errors
/// If nobody could connect to it.
pub fn announceable(address: Option<SocketAddr>) -> Result<(), Failure> {
    match address {
        Some(address) if !deut_kademlia::can_be_announced(&address) => Err(Failure::bad_input(
            format!("{address}: {}", Refusal::BadAddress),
        )
        .hint("give the address and port at which others reach the BitTorrent client")),
        _ => Ok(()),
    }
}

/// Reads the identity of a mutable record: a public key in hex digits, and a salt.
///
/// # Errors
/// If it cannot be used. The failure says why.
pub fn mutable_key(public: &str, salt: Vec<u8>) -> Result<MutableKey, Failure> {
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

#[cfg(test)]
mod tests;

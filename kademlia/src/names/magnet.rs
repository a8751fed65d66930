//! Magnet links and keys as users type them.

use std::fmt;

use data_encoding::{BASE32_NOPAD_NOCASE, Encoding, HEXLOWER_PERMISSIVE};
use percent_encoding::percent_decode_str;

use crate::{
    id::NodeId,
    records::mutable::{MAX_SALT, MutableError, MutableKey},
};

/// Longest accepted text in bytes. Real magnet links have a few hundred at most.
const MAX_TEXT: usize = 16_384;

/// The torrent that a magnet link names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Magnet {
    /// A version 1 torrent: the SHA-1 of its info dictionary.
    First([u8; 20]),
    /// A version 2 torrent: the SHA-256 of its info dictionary.
    Second([u8; 32]),
    /// A torrent of both versions (BEP 52).
    Hybrid([u8; 20], [u8; 32]),
}

/// The target of a magnet link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// A mutable record that names a torrent (BEP 46).
    Mutable(MutableKey),
    /// A torrent, by its hash.
    Torrent(Magnet),
}

/// The reason why a text is no magnet link or key that can be looked up, in one line for the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MagnetError {
    /// A base32 digit is not one of A to Z and 2 to 7.
    #[error("{0} has 32 characters, so it must be base32, but one is not A-Z or 2-7")]
    BadBase32(&'static str),
    /// A hexadecimal number has a character that is not a digit.
    #[error("{0} must be written in the digits 0-9 and a-f")]
    BadHex(&'static str),
    /// The hash of a version 2 torrent is not a multihash of SHA-256.
    #[error(
        "the hash of a version 2 torrent must be a SHA-256 multihash: 1220 and then 64 hex digits"
    )]
    BadMultihash,
    /// A `%` without two hexadecimal digits after it.
    #[error("a % in the hash of the magnet link is not followed by two hex digits")]
    BadPercent,
    /// A hash or key has a wrong number of characters.
    #[error("{what} has {found} characters, expected {expected}")]
    BadLength {
        /// The thing with the wrong length, such as a hash.
        what: &'static str,
        /// The number of characters that it has.
        found: usize,
        /// The number of characters that it must have.
        expected: &'static str,
    },
    /// A hash is followed by a character that is neither its end nor an `&`.
    #[error("{what} is followed by {character:?}: only an & may come between it and the rest")]
    FollowedBy {
        /// The thing that does not end where it should.
        what: &'static str,
        /// The character that follows it.
        character: char,
    },
    /// There are two different hashes of the same version, public keys or salts.
    #[error("the magnet link names two different torrents or records")]
    Contradiction,
    /// The magnet link belongs to another kind of network and names no torrent.
    #[error("the magnet link names no torrent (no xt=urn:btih: or xt=urn:btmh:)")]
    NoTorrent,
    /// The key or salt of a mutable record is invalid.
    #[error("the magnet link names a mutable record that cannot be: {0}")]
    NoMutable(MutableError),
    /// The text is no magnet link at all.
    #[error("not a magnet link: it must begin with magnet:?")]
    NotAMagnet,
    /// The link leads to a mutable record (BEP 46), but one to a torrent is needed.
    #[error("the magnet link names a mutable record (xs=urn:btpk:), not a torrent")]
    OnlyMutable,
    /// The text is longer than any real link.
    #[error("the magnet link is longer than 16,384 bytes")]
    TooLong,
}

impl Link {
    /// Reads a magnet link: one to a torrent as in [`Magnet::parse`], else `xs=urn:btpk:` with 64 hex characters and, optionally,
    /// `s=` with the salt in hex. A link that names both leads to the torrent.
    ///
    /// # Errors
    /// The first fault that is found.
    pub fn parse(text: &str) -> Result<Self, MagnetError> {
        let parameters = Parameters::parse(text)?;
        if let Some(magnet) = parameters.magnet() {
            return Ok(Self::Torrent(magnet));
        }
        let public = parameters.mutable.only()?.ok_or(MagnetError::NoTorrent)?;
        let salt = parameters.salt.only()?.unwrap_or_default();
        mutable_key(&public, &salt).map(Self::Mutable)
    }

    /// Returns true if a text looks more like a link, perhaps a damaged one, than like a key.
    #[must_use]
    pub fn is_like(text: &str) -> bool {
        text.contains([':', '?', '%', '=', '&'])
    }
}

impl Magnet {
    /// Reads a magnet link: `xt=urn:btih:` with 40 hex or 32 base32 characters, `xt=urn:btmh:1220` with 64 hex characters. All
    /// other parameters are ignored, even if they are malformed.
    ///
    /// # Errors
    /// The first fault that is found.
    pub fn parse(text: &str) -> Result<Self, MagnetError> {
        let parameters = Parameters::parse(text)?;
        parameters.magnet().ok_or(match parameters.mutable {
            Parameter::Empty => MagnetError::NoTorrent,
            Parameter::One(_) | Parameter::Several => MagnetError::OnlyMutable,
        })
    }

    /// Reads a torrent's hash without a link around it: 40 hex or 32 base32 characters, or `1220` and 64 hex characters. 64 hex
    /// characters alone are refused, since they may as well be a public key.
    ///
    /// # Errors
    /// The first fault that is found.
    pub fn parse_hash(text: &str) -> Result<Self, MagnetError> {
        const WHAT: &str = "a torrent's hash";
        let text = cleaned(text);
        match text.len() {
            40 => hex(text).map(Self::First).ok_or(MagnetError::BadHex(WHAT)),
            32 => base32(text)
                .map(Self::First)
                .ok_or(MagnetError::BadBase32(WHAT)),
            68 => version_two(text, WHAT).map(Self::Second),
            _ => Err(bad_length(
                WHAT,
                text,
                "40 (hex), 32 (base32) or 68 (1220 and hex)",
            )),
        }
    }

    /// The infohash under which announcements are made and searched for: the hash of version 1, or else the first 20 bytes of that
    /// of version 2.
    #[must_use]
    pub fn infohash(&self) -> [u8; 20] {
        match self {
            Self::First(hash) | Self::Hybrid(hash, _) => *hash,
            Self::Second(hash) => truncated(hash),
        }
    }

    /// The two torrents of a hybrid one; `None` if it has only one infohash.
    #[must_use]
    pub fn split(&self) -> Option<(Self, Self)> {
        match self {
            Self::Hybrid(first, second) if truncated(second) != *first => {
                Some((Self::First(*first), Self::Second(*second)))
            }
            _ => None,
        }
    }

    /// The second infohash of a hybrid torrent, which has two swarms: a client that knows only one of its hashes is in one of them.
    #[must_use]
    pub fn other_infohash(&self) -> Option<[u8; 20]> {
        self.split().map(|(_, second)| second.infohash())
    }
}

/// Writes the plainest link to the torrent.
impl fmt::Display for Magnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, second) = match self {
            Self::First(first) => (Some(first), None),
            Self::Second(second) => (None, Some(second)),
            Self::Hybrid(first, second) => (Some(first), Some(second)),
        };
        f.write_str("magnet:?")?;
        if let Some(first) = first {
            write!(f, "xt=urn:btih:{}", NodeId(*first))?;
        }
        if let Some(second) = second {
            f.write_str(if first.is_some() { "&" } else { "" })?;
            f.write_str("xt=urn:btmh:1220")?;
            second.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        }
        Ok(())
    }
}

/// A parameter that a link should have at most once. Whether a second one matters is known only at the end of the link.
#[derive(Default)]
enum Parameter<T> {
    #[default]
    Empty,
    One(T),
    Several,
}

impl<T: PartialEq> Parameter<T> {
    fn put(&mut self, new: T) {
        *self = match std::mem::take(self) {
            Self::Empty => Self::One(new),
            Self::One(before) if before == new => Self::One(before),
            Self::One(_) | Self::Several => Self::Several,
        };
    }

    fn only(self) -> Result<Option<T>, MagnetError> {
        match self {
            Self::Empty => Ok(None),
            Self::One(value) => Ok(Some(value)),
            Self::Several => Err(MagnetError::Contradiction),
        }
    }
}

/// The parameters of a magnet link that have a meaning here.
struct Parameters {
    first: Option<[u8; 20]>,
    second: Option<[u8; 32]>,
    /// The text after `urn:btpk:`.
    mutable: Parameter<String>,
    salt: Parameter<String>,
}

impl Parameters {
    fn parse(text: &str) -> Result<Self, MagnetError> {
        if text.len() > MAX_TEXT {
            return Err(MagnetError::TooLong);
        }
        let text = cleaned(text);
        let whole = is_encoded_as_a_whole(text).then(|| percent_decoded(text).0);
        let query = query(whole.as_deref().unwrap_or(text))?;
        let (mut first, mut second) = (Parameter::Empty, Parameter::Empty);
        let (mut mutable, mut salt) = (Parameter::Empty, Parameter::Empty);
        for parameter in query.split('&') {
            let Some((name, value)) = parameter.split_once('=') else {
                continue;
            };
            let name = without_entity(name).trim().to_ascii_lowercase();
            if is_topic(&name) {
                take_topic(value, &mut first, &mut second)?;
            } else if name == "xs" {
                if let Some(public) = strip_prefix_any_case(&percent_decoded(value).0, "urn:btpk:")
                {
                    mutable.put(cleaned(public).to_ascii_lowercase());
                }
            } else if name == "s" {
                salt.put(cleaned(&percent_decoded(value).0).to_ascii_lowercase());
            }
        }
        Ok(Self {
            first: first.only()?,
            second: second.only()?,
            mutable,
            salt,
        })
    }

    fn magnet(&self) -> Option<Magnet> {
        Some(match (self.first, self.second) {
            (Some(first), Some(second)) => Magnet::Hybrid(first, second),
            (Some(first), None) => Magnet::First(first),
            (None, Some(second)) => Magnet::Second(second),
            (None, None) => return None,
        })
    }
}

/// Reads the value of an `xt`: a torrent's hash, or something to be ignored.
fn take_topic(
    value: &str,
    first: &mut Parameter<[u8; 20]>,
    second: &mut Parameter<[u8; 32]>,
) -> Result<(), MagnetError> {
    let (text, stray) = percent_decoded(value);
    let damaged = |why| if stray { MagnetError::BadPercent } else { why };
    if let Some(hash) = strip_prefix_any_case(&text, "urn:btih:") {
        first.put(version_one(without_blanks(hash)).map_err(damaged)?);
    } else if let Some(hash) = strip_prefix_any_case(&text, "urn:btmh:") {
        second.put(version_two(without_blanks(hash), MULTIHASH).map_err(damaged)?);
    }
    Ok(())
}

/// The text after `magnet:?`. Some programs put slashes before the question mark, as in web links.
fn query(text: &str) -> Result<&str, MagnetError> {
    strip_prefix_any_case(text, "magnet:")
        .and_then(|rest| rest.trim_start_matches('/').strip_prefix('?'))
        .ok_or(MagnetError::NotAMagnet)
}

/// Returns true if a link was percent-encoded to be part of another one, so that not even its beginning is readable.
fn is_encoded_as_a_whole(text: &str) -> bool {
    strip_prefix_any_case(text, "magnet%3a").is_some()
        || strip_prefix_any_case(text, "magnet:%3f").is_some()
}

/// A name without the rest of `&amp;`, `&#38;` or `&#x26;`, which links copied out of HTML have after the `&`.
fn without_entity(mut name: &str) -> &str {
    while let Some(rest) = name.strip_prefix("amp;").or_else(|| after_number(name)) {
        name = rest;
    }
    name
}

fn after_number(name: &str) -> Option<&str> {
    let (number, rest) = name.strip_prefix('#')?.split_once(';')?;
    let number = match number.strip_prefix(['x', 'X']) {
        Some(number) => u32::from_str_radix(number, 16),
        None => number.parse(),
    };
    (number == Ok(u32::from(b'&'))).then_some(rest)
}

/// Returns true for blanks and invisible characters: byte-order marks, zero-width spaces, marks of the direction of writing.
fn is_blank(character: char) -> bool {
    character.is_whitespace()
        || character.is_control()
        || matches!(character, '\u{ad}' | '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}')
}

/// The text as typed or copied, without blanks, quotes or angle brackets around it.
fn cleaned(text: &str) -> &str {
    let text = text.trim_matches(is_blank);
    let quoted = [('"', '"'), ('\'', '\''), ('“', '”'), ('<', '>')];
    let inner = quoted
        .iter()
        .find_map(|(open, close)| text.strip_prefix(*open)?.strip_suffix(*close));
    inner.unwrap_or(text).trim_matches(is_blank)
}

/// A hash without blanks around it; in a query `+` is a blank too.
fn without_blanks(hash: &str) -> &str {
    hash.trim_matches(|character| is_blank(character) || character == '+')
}

/// The first 20 bytes, by which a DHT knows a version 2 torrent (BEP 52).
fn truncated(hash: &[u8; 32]) -> [u8; 20] {
    let [start @ .., _, _, _, _, _, _, _, _, _, _, _, _] = *hash;
    start
}

fn mutable_key(public: &str, salt: &str) -> Result<MutableKey, MagnetError> {
    const PUBLIC: &str = "the public key after urn:btpk:";
    const SALT: &str = "the salt after s=";
    if public.len() != 64 {
        return Err(bad_length(PUBLIC, public, "64"));
    }
    let public = hex(public).ok_or(MagnetError::BadHex(PUBLIC))?;
    if !salt.len().is_multiple_of(2) || salt.len() > 2 * MAX_SALT {
        return Err(bad_length(SALT, salt, "an even number, at most 128"));
    }
    let salt = HEXLOWER_PERMISSIVE.decode(salt.as_bytes());
    let salt = salt.map_err(|_| MagnetError::BadHex(SALT))?;
    MutableKey::new(public, salt).map_err(MagnetError::NoMutable)
}

/// Reads a key of the DHT: 40 hex characters.
///
/// # Errors
/// If the number of characters is wrong or one is no hex digit.
pub fn parse_key(text: &str) -> Result<NodeId, MagnetError> {
    const WHAT: &str = "a key";
    let text = cleaned(text);
    match text.len() {
        40 => hex(text).map(NodeId).ok_or(MagnetError::BadHex(WHAT)),
        _ => Err(bad_length(WHAT, text, "40")),
    }
}

/// Returns true for `xt`, and for `xt.1`, `xt.2` and so on, which a link with several topics has.
fn is_topic(name: &str) -> bool {
    let number = name.strip_prefix("xt.");
    name == "xt" || number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

const MULTIHASH: &str = "the hash after urn:btmh:";

fn version_one(text: &str) -> Result<[u8; 20], MagnetError> {
    const WHAT: &str = "the hash after urn:btih:";
    match text.len() {
        40 => hex(text).ok_or(MagnetError::BadHex(WHAT)),
        32 => base32(text).ok_or(MagnetError::BadBase32(WHAT)),
        _ => Err(followed_by(WHAT, text, &[40, 32])
            .unwrap_or_else(|| bad_length(WHAT, text, "40 (hex) or 32 (base32)"))),
    }
}

fn version_two(text: &str, what: &'static str) -> Result<[u8; 32], MagnetError> {
    if text.len() != 68 {
        let followed = followed_by(what, text, &[68]);
        return Err(followed.unwrap_or_else(|| bad_length(what, text, "68")));
    }
    let digest = text.strip_prefix("1220").ok_or(MagnetError::BadMultihash)?;
    hex(digest).ok_or(MagnetError::BadHex(what))
}

/// An error if `text` begins with a hash of one of these lengths, followed by something that is not part of it.
fn followed_by(what: &'static str, text: &str, lengths: &[usize]) -> Option<MagnetError> {
    let end = text.find(|character: char| !character.is_ascii_alphanumeric())?;
    let character = text.get(end..)?.chars().next()?;
    let whole = lengths.contains(&end);
    whole.then_some(MagnetError::FollowedBy { what, character })
}

fn bad_length(what: &'static str, text: &str, expected: &'static str) -> MagnetError {
    MagnetError::BadLength {
        what,
        found: text.chars().count(),
        expected,
    }
}

fn strip_prefix_any_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// The decoded text, and whether there was a `%` without two digits after it. Such a `%` stays as it is: outside of hashes it does
/// not matter.
fn percent_decoded(text: &str) -> (String, bool) {
    let is_code = |after: &str| {
        let digits = after.as_bytes().first_chunk::<2>();
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    let stray = text.split('%').skip(1).any(|after| !is_code(after));
    let decoded = percent_decode_str(text).decode_utf8_lossy();
    (decoded.into_owned(), stray)
}

fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    decoded(&HEXLOWER_PERMISSIVE, text)
}

fn base32(text: &str) -> Option<[u8; 20]> {
    decoded(&BASE32_NOPAD_NOCASE, text)
}

/// Decodes a text to exactly `N` bytes; `None` if it has another length or is malformed.
fn decoded<const N: usize>(encoding: &Encoding, text: &str) -> Option<[u8; N]> {
    encoding.decode(text.as_bytes()).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests;

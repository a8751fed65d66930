//! Magnet links and keys as people type them.

use std::fmt;

use data_encoding::{BASE32_NOPAD_NOCASE, Encoding, HEXLOWER_PERMISSIVE};
use percent_encoding::percent_decode_str;

use crate::{
    id::NodeId,
    records::mutable::{MAX_SALT, MutableError, MutableKey},
};

/// Longest text that is looked at, in bytes; real magnet links have at most some hundred.
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

/// The thing that a magnet link leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// A mutable record that names a torrent (BEP 46).
    Mutable(MutableKey),
    /// A torrent, by its hash.
    Torrent(Magnet),
}

/// Why a text is no magnet link or key that can be looked up, in one line for the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MagnetError {
    /// A base32 digit is not one of A to Z and 2 to 7.
    #[error("{0} has 32 characters, so it must be base32, but one is not A-Z or 2-7")]
    BadBase32(&'static str),
    /// A character of a hexadecimal number is not a digit.
    #[error("{0} must be written in the digits 0-9 and a-f")]
    BadHex(&'static str),
    /// Not the multihash of SHA-256.
    #[error(
        "the hash of a version 2 torrent must be a SHA-256 multihash: 1220 and then 64 hex digits"
    )]
    BadMultihash,
    /// A `%` without two hexadecimal digits after it.
    #[error("a % in the hash of the magnet link is not followed by two hex digits")]
    BadPercent,
    /// A wrong number of characters.
    #[error("{what} has {found} characters, expected {expected}")]
    BadLength {
        /// The thing that has a wrong length, such as a hash.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there must be.
        expected: &'static str,
    },
    /// A hash that does not end where it should.
    #[error("{what} is followed by {character:?}: only an & may come between it and the rest")]
    FollowedBy {
        /// The thing that does not end where it should.
        what: &'static str,
        /// The character that follows it.
        character: char,
    },
    /// Two hashes of the same version, public keys or salts that differ.
    #[error("the magnet link names two different torrents or records")]
    Contradiction,
    /// A magnet link of another network.
    #[error("the magnet link names no torrent (no xt=urn:btih: or xt=urn:btmh:)")]
    NoTorrent,
    /// Not a mutable record.
    #[error("the magnet link names a mutable record that cannot be: {0}")]
    NoMutable(MutableError),
    /// No magnet link at all.
    #[error("not a magnet link: it must begin with magnet:?")]
    NotAMagnet,
    /// A link to a mutable record (BEP 46), where one to a torrent is needed.
    #[error("the magnet link names a mutable record (xs=urn:btpk:), not a torrent")]
    OnlyMutable,
    /// Longer than any real link.
    #[error("the magnet link is longer than 16,384 bytes")]
    TooLong,
}

impl Link {
    /// Reads a magnet link: one to a torrent as in [`Magnet::parse`], else `xs=urn:btpk:` with 64 hex
    /// characters and perhaps `s=` with the salt in hex. A link that names both leads to the torrent.
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

    /// True if a text is more like a link, perhaps a damaged one, than like a key.
    #[must_use]
    pub fn is_like(text: &str) -> bool {
        text.contains([':', '?', '%', '=', '&'])
    }
}

impl Magnet {
    /// Reads a magnet link: `xt=urn:btih:` with 40 hex or 32 base32 characters, `xt=urn:btmh:1220` with
    /// 64 hex characters. What has nothing to do with that is passed over, whatever is wrong with it.
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

    /// Reads a torrent's hash without a link around it: 40 hex or 32 base32 characters, or `1220` and 64
    /// hex characters. Nothing else: 64 alone may as well be a public key.
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

    /// Where announcements are looked for and made: under the hash of version 1, else under the first 20 bytes
    /// of that of version 2.
    #[must_use]
    pub fn infohash(&self) -> [u8; 20] {
        match self {
            Self::First(hash) | Self::Hybrid(hash, _) => *hash,
            Self::Second(hash) => truncated(hash),
        }
    }

    /// Both torrents that a hybrid one is; none if it has one infohash only.
    #[must_use]
    pub fn split(&self) -> Option<(Self, Self)> {
        match self {
            Self::Hybrid(first, second) if truncated(second) != *first => {
                Some((Self::First(*first), Self::Second(*second)))
            }
            _ => None,
        }
    }

    /// Where else: a hybrid torrent has two swarms, and who knows one of its hashes only is in one of them.
    #[must_use]
    pub fn other_infohash(&self) -> Option<[u8; 20]> {
        self.split().map(|(_, second)| second.infohash())
    }
}

/// The plainest link to it.
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

/// A parameter that a link should have at most once. If it has more, only the end of the link tells if that matters.
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

/// The parameters of a magnet link that mean something here.
struct Parameters {
    first: Option<[u8; 20]>,
    second: Option<[u8; 32]>,
    /// What follows `urn:btpk:`.
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

/// The value of an `xt`: a hash of a torrent, or something that is passed over.
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

/// What comes after `magnet:?`. Some programs put slashes before the question mark, as in links of the web.
fn query(text: &str) -> Result<&str, MagnetError> {
    strip_prefix_any_case(text, "magnet:")
        .and_then(|rest| rest.trim_start_matches('/').strip_prefix('?'))
        .ok_or(MagnetError::NotAMagnet)
}

/// True if a link was encoded to be a part of another one, so that not even its beginning is as it should be.
fn is_encoded_as_a_whole(text: &str) -> bool {
    strip_prefix_any_case(text, "magnet%3a").is_some()
        || strip_prefix_any_case(text, "magnet:%3f").is_some()
}

/// A name without what links copied out of HTML have after the `&`: the rest of `&amp;`, `&#38;` or `&#x26;`.
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

/// A blank, or what cannot be seen: byte-order marks, zero-width spaces, marks of the direction of writing.
fn is_blank(character: char) -> bool {
    character.is_whitespace()
        || character.is_control()
        || matches!(character, '\u{ad}' | '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}')
}

/// What was typed or copied, without blanks, quotes or angle brackets around it.
fn cleaned(text: &str) -> &str {
    let text = text.trim_matches(is_blank);
    let quoted = [('"', '"'), ('\'', '\''), ('“', '”'), ('<', '>')];
    let inner = quoted
        .iter()
        .find_map(|(open, close)| text.strip_prefix(*open)?.strip_suffix(*close));
    inner.unwrap_or(text).trim_matches(is_blank)
}

/// A hash without blanks around it; `+` is one in a query.
fn without_blanks(hash: &str) -> &str {
    hash.trim_matches(|character| is_blank(character) || character == '+')
}

/// The first 20 bytes: by these a version 2 torrent is known in a DHT (BEP 52).
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
/// A wrong number of characters, or one that is no hex digit.
pub fn parse_key(text: &str) -> Result<NodeId, MagnetError> {
    const WHAT: &str = "a key";
    let text = cleaned(text);
    match text.len() {
        40 => hex(text).map(NodeId).ok_or(MagnetError::BadHex(WHAT)),
        _ => Err(bad_length(WHAT, text, "40")),
    }
}

/// `xt`, or `xt.1`, `xt.2` and so on, where a link has several.
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

/// True if a hash of one of these lengths stands there and then something that is no part of it.
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

/// The text, and whether there was a `%` without two digits after it. It stays as it is: outside of hashes
/// nobody minds.
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

/// Exactly as many bytes.
fn decoded<const N: usize>(encoding: &Encoding, text: &str) -> Option<[u8; N]> {
    encoding.decode(text.as_bytes()).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests;

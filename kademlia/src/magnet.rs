//! Magnet links and keys as people type them.
use crate::{
    id::NodeId,
    mutable::{MAX_SALT, MutableError, MutableKey},
};

/// Longest text that is looked at, in bytes; real magnet links have at most some hundred.
const MAX_TEXT: usize = 16_384;

/// What a magnet link asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Magnet {
    /// 20 bytes: the SHA-1 of a version 1 torrent, else the first 20 of the SHA-256 of a version 2 torrent.
    pub infohash: [u8; 20],
    /// 1 or 2. A hybrid link, which names both, counts as version 1.
    pub version: u8,
}

/// What a magnet link leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// A mutable record that names a torrent (BEP 46).
    Mutable(MutableKey),
    /// A torrent.
    Torrent(Magnet),
}

/// Why a text is no magnet link or key that can be looked up, in one line for the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MagnetError {
    /// A base32 digit is not one of A to Z and 2 to 7.
    #[error("urn:btih: has 32 characters, so it must be base32, but one is not A-Z or 2-7")]
    BadBase32,
    /// A character of a hexadecimal number is not a digit.
    #[error("{0} must be written in the digits 0-9 and a-f")]
    BadHex(&'static str),
    /// Not the multihash of SHA-256.
    #[error("urn:btmh: must be a SHA-256 multihash: 1220 and then 64 hex digits")]
    BadMultihash,
    /// A `%` without two hexadecimal digits after it.
    #[error("a % in the magnet link is not followed by two hex digits")]
    BadPercent,
    /// A wrong number of characters.
    #[error("{what} has {found} characters, expected {expected}")]
    BadLength {
        /// Of what.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there must be.
        expected: &'static str,
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
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, MagnetError> {
        let parameters = Parameters::parse(text)?;
        if let Some(magnet) = parameters.magnet() {
            return Ok(Self::Torrent(magnet));
        }
        let public = parameters.mutable.ok_or(MagnetError::NoTorrent)?;
        mutable_key(&public, parameters.salt.as_deref().unwrap_or_default()).map(Self::Mutable)
    }
}

impl Magnet {
    /// Reads a magnet link: `xt=urn:btih:` with 40 hex or 32 base32 characters, `xt=urn:btmh:1220` with
    /// 64 hex characters; other parameters are ignored.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, MagnetError> {
        let parameters = Parameters::parse(text)?;
        parameters.magnet().ok_or(match parameters.mutable {
            Some(_) => MagnetError::OnlyMutable,
            None => MagnetError::NoTorrent,
        })
    }
}

/// The parameters of a magnet link that mean something here.
#[derive(Default)]
struct Parameters {
    first: Option<[u8; 20]>,
    second: Option<[u8; 20]>,
    /// What follows `urn:btpk:`.
    mutable: Option<String>,
    salt: Option<String>,
}

impl Parameters {
    fn parse(text: &str) -> Result<Self, MagnetError> {
        let text = text.trim();
        if text.len() > MAX_TEXT {
            return Err(MagnetError::TooLong);
        }
        let query = strip_prefix_any_case(text, "magnet:").ok_or(MagnetError::NotAMagnet)?;
        let query = query.strip_prefix('?').ok_or(MagnetError::NotAMagnet)?;
        let mut found = Self::default();
        for parameter in query.split('&') {
            let Some((name, value)) = parameter.split_once('=') else {
                continue;
            };
            // Links copied out of HTML keep the `amp;` of `&amp;`.
            let name = name
                .strip_prefix("amp;")
                .unwrap_or(name)
                .to_ascii_lowercase();
            if name == "xs" || name == "s" || is_topic(&name) {
                found.take(&name, &percent_decoded(value)?)?;
            }
        }
        Ok(found)
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), MagnetError> {
        if name == "s" {
            set_once(&mut self.salt, value.to_owned())
        } else if name == "xs" {
            match strip_prefix_any_case(value, "urn:btpk:") {
                Some(public) => set_once(&mut self.mutable, public.to_ascii_lowercase()),
                None => Ok(()),
            }
        } else if let Some(hash) = strip_prefix_any_case(value, "urn:btih:") {
            set_once(&mut self.first, version_one(hash)?)
        } else if let Some(hash) = strip_prefix_any_case(value, "urn:btmh:") {
            set_once(&mut self.second, version_two(hash)?)
        } else {
            Ok(())
        }
    }

    fn magnet(&self) -> Option<Magnet> {
        let magnet = |version| move |infohash| Magnet { infohash, version };
        self.first.map(magnet(1)).or(self.second.map(magnet(2)))
    }
}

fn mutable_key(public: &str, salt: &str) -> Result<MutableKey, MagnetError> {
    const PUBLIC: &str = "the public key after urn:btpk:";
    const SALT: &str = "the salt after s=";
    if public.len() != 64 {
        return Err(bad_length(PUBLIC, public, "64"));
    }
    let public = hex(public).ok_or(MagnetError::BadHex(PUBLIC))?;
    let (pairs, rest) = salt.as_bytes().as_chunks::<2>();
    if !rest.is_empty() || pairs.len() > MAX_SALT {
        return Err(bad_length(SALT, salt, "an even number, at most 128"));
    }
    let digits = |[high, low]: &[u8; 2]| Some(hex_digit(*high)? << 4 | hex_digit(*low)?);
    let salt: Option<Vec<u8>> = pairs.iter().map(digits).collect();
    MutableKey::new(public, salt.ok_or(MagnetError::BadHex(SALT))?).map_err(MagnetError::NoMutable)
}

/// Reads a key of the DHT: 40 hex characters.
///
/// # Errors
/// A wrong number of characters, or one that is no hex digit.
pub fn parse_key(text: &str) -> Result<NodeId, MagnetError> {
    const WHAT: &str = "a key";
    let text = text.trim();
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

fn version_one(text: &str) -> Result<[u8; 20], MagnetError> {
    const WHAT: &str = "the hash after urn:btih:";
    match text.len() {
        40 => hex(text).ok_or(MagnetError::BadHex(WHAT)),
        32 => base32(text).ok_or(MagnetError::BadBase32),
        _ => Err(bad_length(WHAT, text, "40 (hex) or 32 (base32)")),
    }
}

fn version_two(text: &str) -> Result<[u8; 20], MagnetError> {
    const WHAT: &str = "the hash after urn:btmh:";
    if text.len() != 68 {
        return Err(bad_length(WHAT, text, "68"));
    }
    let digest = text.strip_prefix("1220").ok_or(MagnetError::BadMultihash)?;
    let digest: [u8; 32] = hex(digest).ok_or(MagnetError::BadHex(WHAT))?;
    digest
        .first_chunk()
        .copied()
        .ok_or(MagnetError::BadMultihash)
}

fn bad_length(what: &'static str, text: &str, expected: &'static str) -> MagnetError {
    MagnetError::BadLength {
        what,
        found: text.chars().count(),
        expected,
    }
}

fn set_once<T: PartialEq>(slot: &mut Option<T>, new: T) -> Result<(), MagnetError> {
    if slot.as_ref().is_some_and(|before| *before != new) {
        return Err(MagnetError::Contradiction);
    }
    *slot = Some(new);
    Ok(())
}

fn strip_prefix_any_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

fn percent_decoded(text: &str) -> Result<String, MagnetError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'%' {
            bytes.push(*byte);
            continue;
        }
        let (digits, after) = rest
            .split_first_chunk::<2>()
            .ok_or(MagnetError::BadPercent)?;
        let [high, low] = digits.map(hex_digit);
        bytes.push(
            high.zip(low)
                .map(|(high, low)| high << 4 | low)
                .ok_or(MagnetError::BadPercent)?,
        );
        rest = after;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = hex_digit(*high)? << 4 | hex_digit(*low)?;
    }
    Some(bytes)
}

/// RFC 4648 base32 of exactly 20 bytes: 32 characters, no padding.
fn base32(text: &str) -> Option<[u8; 20]> {
    let mut bytes = [0; 20];
    let (groups, rest) = text.as_bytes().as_chunks::<8>();
    if groups.len() != 4 || !rest.is_empty() {
        return None;
    }
    for (out, group) in bytes.as_chunks_mut::<5>().0.iter_mut().zip(groups) {
        let mut bits = 0u64;
        for character in group {
            let digit = match character.to_ascii_uppercase() {
                letter @ b'A'..=b'Z' => letter - b'A',
                digit @ b'2'..=b'7' => digit - b'2' + 26,
                _ => return None,
            };
            bits = bits << 5 | u64::from(digit);
        }
        let [_, _, _, five @ ..] = bits.to_be_bytes();
        *out = five;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEX: &str = "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d"; // SHA-1 of "hello"
    const BASE32: &str = "VL2MMHO4YXUKFWV63YHTWSBM3GXKSQ2N"; // the same, by Python's base64.b32encode
    const SHA256: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"; // of "hello"

    fn hello() -> [u8; 20] {
        NodeId::hash_of(b"hello").0
    }

    #[test]
    fn all_forms_of_a_version_1_hash_give_the_same_infohash() {
        for link in [
            format!("magnet:?xt=urn:btih:{HEX}"),
            format!("magnet:?xt=urn:btih:{}", HEX.to_uppercase()),
            format!("MAGNET:?XT=URN:BTIH:{HEX}"),
            format!("magnet:?xt=urn:btih:{BASE32}"),
            format!("magnet:?xt=urn:btih:{}", BASE32.to_lowercase()),
            format!("magnet:?xt=urn%3Abtih%3a{HEX}"),
            format!(
                "  magnet:?dn=a+b%20c&tr=udp%3A%2F%2Fx%3A80&xt=urn:btih:{HEX}&&junk&=&x.pe=1.2.3.4:5\n"
            ),
            format!("magnet:?dn=x&amp;xt=urn:btih:{HEX}"),
            format!("magnet:?xt.1=urn:ed2k:31d6cfe0d16ae931b73c59d7e0c089c0&xt.2=urn:btih:{HEX}"),
            format!("magnet:?xt=urn:btih:{HEX}&xt=urn:btih:{BASE32}"),
            format!("magnet:?xt=urn:btih:{HEX}&xt=urn:btmh:1220{SHA256}"),
            format!("magnet:?xt=urn:btih:{HEX}&xs=urn:btpk:00"),
        ] {
            assert_eq!(
                Magnet::parse(&link),
                Ok(Magnet {
                    infohash: hello(),
                    version: 1
                }),
                "{link}"
            );
        }
    }

    #[test]
    fn a_version_2_hash_is_cut_to_20_bytes() {
        let magnet = Magnet::parse(&format!("magnet:?xt=urn:btmh:1220{SHA256}")).expect("valid");
        assert_eq!(magnet.version, 2);
        assert_eq!(NodeId(magnet.infohash).to_string(), SHA256[..40]);
    }

    #[test]
    fn each_mistake_is_named() {
        let error = |link: &str| Magnet::parse(link).expect_err("invalid").to_string();
        for (link, expected) in [
            ("http://x", "must begin with magnet:?"),
            ("magnet:xt=urn:btih:00", "must begin with magnet:?"),
            ("magnet:?dn=x", "names no torrent"),
            (
                "magnet:?xt=urn:sha1:YNCKHTQCWBTRNJIV4WNAE52SJUQCZO5C",
                "names no torrent",
            ),
            (
                "magnet:?xt=urn:btih:abc",
                "has 3 characters, expected 40 (hex) or 32 (base32)",
            ),
            ("magnet:?xt=urn:btih:é", "has 1 characters"),
            (
                &format!("magnet:?xt=urn:btih:{}g", &HEX[1..]),
                "digits 0-9 and a-f",
            ),
            (&format!("magnet:?xt=urn:btih:{}1", &BASE32[1..]), "base32"),
            (
                &format!("magnet:?xt=urn:btmh:1120{SHA256}"),
                "SHA-256 multihash",
            ),
            (
                &format!("magnet:?xt=urn:btmh:1220{HEX}"),
                "has 44 characters, expected 68",
            ),
            (
                &format!("magnet:?xt=urn:btmh:1220{}x", &SHA256[1..]),
                "digits 0-9 and a-f",
            ),
            ("magnet:?xt=urn:btih:%zz", "not followed by two hex digits"),
            ("magnet:?xt=urn:btih:%4", "not followed by two hex digits"),
            (
                &format!(
                    "magnet:?xt=urn:btih:{HEX}&xt=urn:btih:{}",
                    HEX.replace('a', "b")
                ),
                "two different",
            ),
            (
                "magnet:?xs=urn:btpk:8543d3e6115f0f98c944077a4493dcd543e49c739fd998550a1f614ab36ed63e",
                "names a mutable record (xs=urn:btpk:), not a torrent",
            ),
            (&format!("magnet:?dn={}", "x".repeat(20_000)), "longer than"),
        ] {
            let error = error(link);
            assert!(
                error.contains(expected) && !error.contains('\n'),
                "{link}: {error}"
            );
        }
    }

    const PUBLIC: &str = "8543d3e6115f0f98c944077a4493dcd543e49c739fd998550a1f614ab36ed63e"; // BEP 46's

    #[test]
    fn a_link_to_a_mutable_record_gives_its_key() {
        let dht_key = |link: &str| match Link::parse(link) {
            Ok(Link::Mutable(key)) => key.dht_key().to_string(),
            other => panic!("{link}: {other:?}"),
        };
        let plain = format!("magnet:?xs=urn:btpk:{PUBLIC}");
        for link in [
            plain.clone(),
            format!("MAGNET:?XS=urn%3Abtpk:{}&dn=x&s=", PUBLIC.to_uppercase()),
            format!("{plain}&xs=http://example.org/x&xt=urn:sha1:00"),
        ] {
            assert_eq!(dht_key(&link), "cc3f9d90b572172053626f9980ce261a850d050b");
        }
        let salted = "59ee7c2cb9b4f7eb1986ee2d18fd2fdb8a56554f";
        assert_eq!(dht_key(&format!("{plain}&s=6e")), salted);
        assert_eq!(
            dht_key(&format!("magnet:?s=6E&amp;xs=urn:btpk:{PUBLIC}")),
            salted
        );
        let longest = format!("{plain}&s={}", "ab".repeat(64));
        assert!(
            matches!(Link::parse(&longest), Ok(Link::Mutable(key)) if key.salt() == [0xab; 64])
        );
    }

    #[test]
    fn a_link_that_names_a_torrent_and_a_record_leads_to_the_torrent() {
        let both = format!("magnet:?xs=urn:btpk:{PUBLIC}&xt=urn:btih:{HEX}");
        let magnet = Magnet::parse(&both).expect("a torrent");
        assert_eq!(Link::parse(&both), Ok(Link::Torrent(magnet)));
        assert_eq!(Link::parse("magnet:?dn=x"), Err(MagnetError::NoTorrent));
    }

    #[test]
    fn each_mistake_in_a_link_to_a_record_is_named() {
        for (link, expected) in [
            (
                format!("xs=urn:btpk:{}", &PUBLIC[1..]),
                "has 63 characters, expected 64",
            ),
            (
                format!("xs=urn:btpk:{}x", &PUBLIC[1..]),
                "digits 0-9 and a-f",
            ),
            (
                format!("xs=urn:btpk:{PUBLIC}&s=6"),
                "has 1 characters, expected an even number",
            ),
            (
                format!("xs=urn:btpk:{PUBLIC}&s={}", "ab".repeat(65)),
                "at most 128",
            ),
            (
                format!("xs=urn:btpk:{PUBLIC}&s=6g"),
                "the salt after s= must be written",
            ),
            (format!("xs=urn:btpk:{PUBLIC}&s=6e&s=6f"), "two different"),
            (
                format!("xs=urn:btpk:{PUBLIC}&xs=urn:btpk:{HEX}"),
                "two different",
            ),
            (
                format!("xs=urn:btpk:{}", "00".repeat(32)),
                "cannot be: this is no public key",
            ),
        ] {
            let error = Link::parse(&format!("magnet:?{link}"))
                .expect_err("invalid")
                .to_string();
            assert!(
                error.contains(expected) && !error.contains('\n'),
                "{link}: {error}"
            );
        }
    }

    #[test]
    fn a_bare_key_has_40_hex_digits() {
        assert_eq!(parse_key(HEX), Ok(NodeId(hello())));
        assert_eq!(
            parse_key(&format!(" {} ", HEX.to_uppercase())),
            Ok(NodeId(hello()))
        );
        assert_eq!(
            parse_key(&HEX[1..]).expect_err("39").to_string(),
            "a key has 39 characters, expected 40"
        );
        assert_eq!(
            parse_key(&HEX.replace('f', "x")),
            Err(MagnetError::BadHex("a key"))
        );
    }

    proptest! {
        #[test]
        fn base32_of_any_hash_is_read_back(hash: [u8; 20]) {
            const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
            let bit = |i: usize| hash[i / 8] >> (7 - i % 8) & 1;
            let text: String = (0..32)
                .map(|c| ALPHABET[(0..5).fold(0, |v, b| v * 2 + usize::from(bit(c * 5 + b)))] as char)
                .collect();
            prop_assert_eq!(base32(&text), Some(hash));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC*", tail in "[%&=a-zA-Z0-9:.é]{0,60}") {
            let _ = Magnet::parse(&text);
            let _ = Magnet::parse(&format!("magnet:?xt={tail}"));
            let _ = Magnet::parse(&format!("magnet:?xt=urn:btih:{tail}"));
            let _ = Link::parse(&format!("magnet:?xs=urn:btpk:{PUBLIC}&s={tail}"));
            let _ = Link::parse(&format!("magnet:?xs=urn:btpk:{tail}"));
            let _ = parse_key(&text);
        }
    }
}

//! Tests of [`super`]. The meaning of each form found in the wild is in `tests/vectors/magnets.json`.
use proptest::prelude::*;

use super::*;

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
        format!("magnet:?xt=urn:btih:{HEX}&xs=urn:btpk:00"),
    ] {
        assert_eq!(Magnet::parse(&link), Ok(Magnet::First(hello())), "{link}");
    }
}

fn hello_256() -> [u8; 32] {
    hex(SHA256).expect("64 digits")
}

#[test]
fn a_version_2_hash_is_cut_to_20_bytes() {
    let magnet = Magnet::parse(&format!("magnet:?xt=urn:btmh:1220{SHA256}")).expect("valid");
    assert_eq!(magnet, Magnet::Second(hello_256()));
    assert_eq!(NodeId(magnet.infohash()).to_string(), SHA256[..40]);
    assert_eq!(magnet.other_infohash(), None);
}

#[test]
fn a_hybrid_link_has_two_infohashes() {
    let (first, second) = (
        format!("xt=urn:btih:{HEX}"),
        format!("xt=urn:btmh:1220{SHA256}"),
    );
    for link in [
        format!("magnet:?{first}&{second}"),
        format!("magnet:?{second}&dn=x&{first}"),
    ] {
        let magnet = Magnet::parse(&link).expect("valid");
        assert_eq!(magnet, Magnet::Hybrid(hello(), hello_256()));
        assert_eq!(magnet.infohash(), hello());
        let other = magnet
            .other_infohash()
            .map(|other| NodeId(other).to_string());
        assert_eq!(other.as_deref(), Some(&SHA256[..40]));
    }
    let same = Magnet::Hybrid(truncated(&hello_256()), hello_256());
    assert_eq!(same.other_infohash(), None, "one swarm is asked once");
    assert_eq!(
        Magnet::First(hello()).other_infohash(),
        None,
        "control: one version"
    );
}

#[test]
fn the_plainest_link_is_read_back() {
    for magnet in [
        Magnet::First(hello()),
        Magnet::Second(hello_256()),
        Magnet::Hybrid(hello(), hello_256()),
    ] {
        assert_eq!(Magnet::parse(&magnet.to_string()), Ok(magnet), "{magnet}");
    }
}

#[test]
fn a_hash_without_a_link_is_a_torrent_where_a_torrent_is_wanted() {
    for (text, magnet) in [
        (HEX.to_owned(), Magnet::First(hello())),
        (
            format!(" {} ", BASE32.to_lowercase()),
            Magnet::First(hello()),
        ),
        (format!("1220{SHA256}"), Magnet::Second(hello_256())),
    ] {
        assert_eq!(Magnet::parse_hash(&text), Ok(magnet), "{text}");
    }
    for text in [SHA256, &HEX[1..], &format!("1120{SHA256}"), ""] {
        assert!(Magnet::parse_hash(text).is_err(), "{text}");
    }
}

/// A link may have 16,384 bytes. Shapes that make the reader go over a part again must still be read quickly.
#[test]
fn the_longest_links_are_read_as_quickly_as_others() {
    for part in [
        "amp;",
        "&amp;xt=%zz",
        "%",
        "&xs=urn:btpk:%41",
        "&#38;s=6e",
        "/",
        "\u{feff}",
        "&xt=urn:sha1:x",
    ] {
        let link = format!(
            "magnet:?xt=urn:btih:{HEX}&{}",
            part.repeat(16_000 / part.len())
        );
        assert_eq!(Magnet::parse(&link), Ok(Magnet::First(hello())), "{part}");
    }
    let longer = format!("magnet:?xt=urn:btih:{HEX}&dn={}", "x".repeat(MAX_TEXT));
    assert_eq!(Magnet::parse(&longer), Err(MagnetError::TooLong));
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
    assert!(matches!(Link::parse(&longest), Ok(Link::Mutable(key)) if key.salt() == [0xab; 64]));
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

//! Magnet links and keys as people type them: what is read reads the same when written in its plainest form; what is not
//! gets one line that says why.

use deut_kademlia::{Link, Magnet, parse_key};

use super::{Depth, text};

/// Any bytes as text.
#[must_use]
pub fn body(data: &[u8]) -> Depth {
    let text = text(data);
    let key = parse_key(&text);
    match &key {
        Ok(key) => assert_eq!(parse_key(&key.to_string()).as_ref(), Ok(key)),
        Err(why) => one_line(&why.to_string()),
    }
    let magnet = Magnet::parse(&text);
    match &magnet {
        Ok(magnet) => {
            assert!(text.len() <= 16_384);
            assert_eq!(Magnet::parse(&magnet.to_string()).as_ref(), Ok(magnet));
            assert_ne!(magnet.other_infohash(), Some(magnet.infohash()));
            assert!(key.is_err(), "no text is both");
        }
        Err(why) => one_line(&why.to_string()),
    }
    match Magnet::parse_hash(&text) {
        Ok(bare) => {
            assert!(magnet.is_err(), "no text is both a link and a bare hash");
            assert_eq!(Magnet::parse(&bare.to_string()), Ok(bare));
        }
        Err(why) => one_line(&why.to_string()),
    }
    let link = link(&text);
    assert!(link.is_some() || magnet.is_err(), "a torrent is a link");
    Depth::deep_if(key.is_ok() || link.is_some())
}

/// Whether it leads to a torrent or to a mutable record.
fn link(text: &str) -> Option<()> {
    match Link::parse(text) {
        Err(why) => {
            one_line(&why.to_string());
            None
        }
        Ok(Link::Torrent(magnet)) => {
            assert_eq!(Magnet::parse(text), Ok(magnet));
            Some(())
        }
        Ok(Link::Mutable(of)) => {
            let hex = |bytes: &[u8]| -> String {
                bytes.iter().map(|byte| format!("{byte:02x}")).collect()
            };
            let (public, salt) = (hex(&of.public_key()), hex(of.salt()));
            let plain = format!("magnet:?xs=urn:btpk:{public}&s={salt}");
            assert_eq!(Link::parse(&plain), Ok(Link::Mutable(of)));
            assert!(Magnet::parse(text).is_err());
            Some(())
        }
    }
}

fn one_line(why: &str) {
    assert!(!why.is_empty() && !why.contains(['\n', '\r']) && why.len() < 200);
}

/// All forms of links, a key, and one mistake of each kind.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    const HEX: &str = "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d";
    const BASE32: &str = "VL2MMHO4YXUKFWV63YHTWSBM3GXKSQ2N";
    // RFC 8032, test 1.
    const RECORD: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    let long = HEX.repeat(2);
    let multihash = format!("1220{}", &long[..64]);
    [
        HEX.to_owned(),
        format!("  {} ", HEX.to_uppercase()),
        format!("magnet:?xt=urn:btih:{HEX}&dn=a%20name&tr=udp%3A%2F%2Fx"),
        format!("MAGNET:?XT=urn%3Abtih%3a{BASE32}"),
        format!("magnet:?dn=x&amp;xt.1=urn:btih:{HEX}&xt.2=urn:btmh:{multihash}"),
        format!("magnet:?xt=urn:btmh:{multihash}"),
        format!("magnet:?xs=urn:btpk:{long}"),
        format!("magnet:?xs=urn:btpk:{RECORD}&s=6e6f"),
        format!("magnet:?s=&xs=urn:btpk:{RECORD}&xt=urn:btih:{HEX}"),
        format!("magnet:?xt=urn:btih:{HEX}&xt=urn:btih:{BASE32}"),
        format!("\u{feff}<magnet://?dn=100%&#38;xt=urn:btih:{HEX}%20&tr=%zz>"),
        format!("magnet%3A%3Fxt%3Durn%3Abtih%3A{HEX}%26dn%3Da%2520b"),
        format!("magnet:?xt=urn:btih:{HEX}?dn=x"),
        format!("1220{}", &long[..64]),
        "magnet:?xt=urn:btih:%zz".to_owned(),
        "magnet:?xt=urn:btih:abc".to_owned(),
        "magnet:xt".to_owned(),
    ]
    .map(String::into_bytes)
    .to_vec()
}

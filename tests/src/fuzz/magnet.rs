//! Magnet links and keys as people type them: what is read reads the same when written in its plainest form; what is not
//! gets one line that says why.

use deut_kademlia::{Magnet, NodeId, parse_key};

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
            assert!(text.len() <= 20_000 && matches!(magnet.version, 1 | 2));
            let hex = NodeId(magnet.infohash).to_string();
            let plain = match magnet.version {
                1 => format!("magnet:?xt=urn:btih:{hex}"),
                _ => format!("magnet:?xt=urn:btmh:1220{hex}{:024}", 0),
            };
            assert_eq!(Magnet::parse(&plain).as_ref(), Ok(magnet));
            assert!(key.is_err(), "no text is both");
        }
        Err(why) => one_line(&why.to_string()),
    }
    Depth::deep_if(key.is_ok() || magnet.is_ok())
}

fn one_line(why: &str) {
    assert!(!why.is_empty() && !why.contains(['\n', '\r']) && why.len() < 200);
}

/// All forms of links, a key, and one mistake of each kind.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    const HEX: &str = "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d";
    const BASE32: &str = "VL2MMHO4YXUKFWV63YHTWSBM3GXKSQ2N";
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
        format!("magnet:?xt=urn:btih:{HEX}&xt=urn:btih:{BASE32}"),
        "magnet:?xt=urn:btih:%zz".to_owned(),
        "magnet:?xt=urn:btih:abc".to_owned(),
        "magnet:xt".to_owned(),
    ]
    .map(String::into_bytes)
    .to_vec()
}

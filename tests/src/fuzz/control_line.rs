//! Lines of the control socket: what is read reads the same when written again; what is not gets texts of one line each.

use deut_cli::{
    control::protocol::{MAX_REQUEST, Request},
    exit::Failure,
    report::unhex,
    work::target::{Target, magnet, mutable_key},
};

use super::Depth;

/// Any bytes as one line.
#[must_use]
pub fn body(data: &[u8]) -> Depth {
    let line = &data[..data.len().min(MAX_REQUEST)];
    match read_and_write(line) {
        Ok(again) => {
            // What is longer than it was (an address, an escape) is still short enough to be sent.
            assert!(again.len() <= line.len() + 128);
            assert_eq!(read_and_write(&again).as_ref(), Ok(&again));
            Depth::Deep
        }
        Err(failure) => {
            for text in [Some(failure.message), failure.hint].into_iter().flatten() {
                assert!(!text.is_empty() && !text.contains(['\n', '\r']), "{text:?}");
            }
            Depth::Refused
        }
    }
}

/// Reads a request, and what its texts mean, and writes it again.
fn read_and_write(line: &[u8]) -> Result<Vec<u8>, Failure> {
    let request = Request::parse(line)?;
    match &request {
        Request::Get { target, .. } => drop(Target::parse(target)?),
        Request::Announce { magnet: link, .. } => drop(magnet(link)?),
        Request::GetMutable {
            public_key,
            salt_hex,
            ..
        }
        | Request::PutMutable {
            public_key,
            salt_hex,
            ..
        } => drop(mutable_key(
            public_key,
            unhex(salt_hex).unwrap_or_default(),
        )?),
        _ => {}
    }
    Ok(serde_json::to_vec(&request).unwrap_or_default())
}

/// Each request, and mistakes.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    const HEX: &str = "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d";
    const KEY: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    [
        r#"{"do":"status"}"#.to_owned(),
        r#"{"do":"ping"}"#.to_owned(),
        "{\"do\":\"bootstrap-line\"}\n".to_owned(),
        format!(r#"{{"do":"get","target":"magnet:?xt=urn:btih:{HEX}","timeout_ms":30000}}"#),
        format!(r#"{{"do":"get","target":"{HEX}","timeout_ms":1}}"#),
        r#"{"do":"put","value_hex":"00ff","timeout_ms":5}"#.to_owned(),
        format!(
            r#"{{"do":"announce","magnet":"magnet:?xt=urn:btih:{HEX}","address":"1.2.3.4:5","timeout_ms":5}}"#
        ),
        format!(
            r#"{{"timeout_ms":5,"magnet":"magnet:?xt=urn:btih:{HEX}","address":null,"do":"announce"}}"#
        ),
        format!(
            r#"{{"do":"get-mutable","public_key":"{KEY}","salt_hex":"00","min_seq":3,"timeout_ms":5}}"#
        ),
        format!(
            r#"{{"do":"put-mutable","public_key":"{KEY}","seq":1,"value_hex":"3065","signature":"{KEY}{KEY}","cas":0,"timeout_ms":5}}"#
        ),
        r#"{"do":"get","target":"\u0061","timeout_ms":1}"#.to_owned(),
        r#"{"do":"dance"}"#.to_owned(),
        r#"{"do":"get","timeout_ms":-1}"#.to_owned(),
        format!("{}1", "[".repeat(200)),
        String::new(),
    ]
    .map(String::into_bytes)
    .to_vec()
}

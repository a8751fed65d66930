//! For the tests crate only: decoders that are private to the node. Compiled with the feature `probe`, which the shipped
//! binary never has.

use crate::{
    control::{
        protocol::{MAX_REQUEST, Request},
        report::unhex,
        target::{Target, mutable_key},
    },
    data_dir,
    exit::Failure,
};

/// Longest line of the control socket in bytes, its end included.
pub const MAX_LINE: usize = MAX_REQUEST;

/// Reads a line of the control socket and writes it again, with whatever its texts mean read too.
///
/// # Errors
/// What the client is told: message and hint.
pub fn control_line(line: &[u8]) -> Result<Vec<u8>, Vec<String>> {
    let request = Request::parse(line).map_err(texts)?;
    match &request {
        Request::Get { target, .. } => Target::parse(target).map(|_| ()).map_err(texts)?,
        Request::Announce { magnet, .. } => crate::control::target::magnet(magnet)
            .map(|_| ())
            .map_err(texts)?,
        Request::GetMutable {
            public_key,
            salt_hex,
            ..
        }
        | Request::PutMutable {
            public_key,
            salt_hex,
            ..
        } => {
            let salt = unhex(salt_hex).unwrap_or_default();
            mutable_key(public_key, salt).map(|_| ()).map_err(texts)?;
        }
        _ => {}
    }
    Ok(serde_json::to_vec(&request).unwrap_or_default())
}

fn texts(failure: Failure) -> Vec<String> {
    [Some(failure.message), failure.hint]
        .into_iter()
        .flatten()
        .collect()
}

/// Reads the saved relays and writes them again; none if the file is damaged.
#[must_use]
pub fn saved_relays(bytes: &[u8]) -> Option<Vec<u8>> {
    data_dir::decode(bytes).map(|relays| data_dir::encode(&relays))
}

/// The file that holds these relays.
#[must_use]
pub fn save_relays(relays: &[[u8; 196]]) -> Vec<u8> {
    data_dir::encode(relays)
}

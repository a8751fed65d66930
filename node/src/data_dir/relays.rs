//! The relays that were verified in the last run. The file is only a cache: no fault in it stops a node.

use std::{
    fs,
    io::{self, Read},
    path::Path,
};

use sha2::{Digest, Sha256};

use super::{
    DataDir, RELAYS, RELAYS_DAMAGED,
    owned::{self, Closed},
    write_atomically,
};

/// Largest number of descriptors that are kept.
const MAX_RELAYS: usize = 256;
pub(super) const DESCRIPTOR: usize = 196;
/// First bytes of the file, followed by a digest of the rest.
const MAGIC: &[u8; 8] = b"deutrel1";
const DIGEST: usize = 32;

impl DataDir {
    /// The relays of the last run; empty if nothing is saved. A file that cannot be used is set aside, in the place of an earlier
    /// one.
    pub(crate) fn relays(&self) -> Vec<[u8; DESCRIPTOR]> {
        let path = self.path.join(RELAYS);
        let why = match owned::open(&path, Closed::ToWriters) {
            Ok(None) => return Vec::new(),
            Ok(Some(file)) => match read(file) {
                Ok(Some(relays)) => return relays,
                Ok(None) => "it is damaged".to_owned(),
                Err(error) => format!("it cannot be read ({error})"),
            },
            // A file that another user could have put there counts as damaged.
            Err(refused) => format!("it {}", refused.what),
        };
        let aside = self.path.join(RELAYS_DAMAGED);
        let moved = match fs::rename(&path, &aside) {
            Ok(()) => format!("it is now {}", aside.display()),
            Err(error) => format!("and it cannot be set aside ({error})"),
        };
        tracing::warn!(file = %path.display(), "the relays of the last run are lost: {why}; {moved}. The node joins through its bootstrap peers");
        Vec::new()
    }
}

/// `Ok(None)` if it is damaged.
fn read(file: fs::File) -> io::Result<Option<Vec<[u8; DESCRIPTOR]>>> {
    let longest = MAGIC.len() + DIGEST + MAX_RELAYS * DESCRIPTOR;
    let mut bytes = Vec::new();
    file.take(longest as u64 + 1).read_to_end(&mut bytes)?;
    Ok(decode(&bytes))
}

/// Saves relays, at most as many as are kept.
pub(crate) fn save_relays(path: &Path, relays: &[[u8; DESCRIPTOR]]) -> io::Result<()> {
    let kept = relays
        .get(relays.len().saturating_sub(MAX_RELAYS)..)
        .unwrap_or(relays);
    write_atomically(path, &encode(kept))
}

/// The content of a file with these descriptors.
#[must_use]
pub fn encode(relays: &[[u8; DESCRIPTOR]]) -> Vec<u8> {
    let body = relays.concat();
    [&MAGIC[..], &Sha256::digest(&body), &body].concat()
}

/// The descriptors in such a file; `None` if it is damaged.
#[must_use]
pub fn decode(bytes: &[u8]) -> Option<Vec<[u8; DESCRIPTOR]>> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (digest, body) = rest.split_first_chunk::<DIGEST>()?;
    let (relays, remainder) = body.as_chunks::<DESCRIPTOR>();
    let whole = remainder.is_empty()
        && relays.len() <= MAX_RELAYS
        && Sha256::digest(body).as_slice() == digest;
    whole.then(|| relays.to_vec())
}

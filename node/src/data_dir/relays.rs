//! The relays that were verified at the last run. Only a cache: whatever is wrong with the file never stops a node.

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

/// Most descriptors that are kept.
const MAX_RELAYS: usize = 256;
pub(super) const DESCRIPTOR: usize = 196;
/// First bytes of the file; the digest of the rest follows.
const MAGIC: &[u8; 8] = b"deutrel1";
const DIGEST: usize = 32;

impl DataDir {
    /// The relays of the last run; none where nothing is saved. A file that cannot be used is set aside, the one of before
    /// makes room for it.
    pub(crate) fn relays(&self) -> Vec<[u8; DESCRIPTOR]> {
        let path = self.path.join(RELAYS);
        let why = match owned::open(&path, Closed::ToWriters) {
            Ok(None) => return Vec::new(),
            Ok(Some(file)) => match read(file) {
                Ok(Some(relays)) => return relays,
                Ok(None) => "it is damaged".to_owned(),
                Err(error) => format!("it cannot be read ({error})"),
            },
            // A file that somebody else could have put there is as good as damaged.
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

/// `Ok(None)`: it is damaged.
fn read(file: fs::File) -> io::Result<Option<Vec<[u8; DESCRIPTOR]>>> {
    let longest = MAGIC.len() + DIGEST + MAX_RELAYS * DESCRIPTOR;
    let mut bytes = Vec::new();
    file.take(longest as u64 + 1).read_to_end(&mut bytes)?;
    Ok(decode(&bytes))
}

/// Saves relays; more than are kept are cut.
pub(crate) fn save_relays(path: &Path, relays: &[[u8; DESCRIPTOR]]) -> io::Result<()> {
    let kept = relays
        .get(relays.len().saturating_sub(MAX_RELAYS)..)
        .unwrap_or(relays);
    write_atomically(path, &encode(kept))
}

/// The content of the file with these descriptors.
#[must_use]
pub fn encode(relays: &[[u8; DESCRIPTOR]]) -> Vec<u8> {
    let body = relays.concat();
    [&MAGIC[..], &Sha256::digest(&body), &body].concat()
}

/// The descriptors in such a file; none if it is damaged.
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

//! AES-256-GCM with explicit nonces, in place (protocol §2).

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroize;

pub use super::Forged;

/// Bytes that a seal adds.
pub const TAG: usize = 16;

/// The expanded key of one direction. Its bytes are not kept; the expanded form is wiped on drop.
pub struct AeadKey(LessSafeKey);

impl AeadKey {
    /// Expands the key.
    ///
    /// # Panics
    /// Never: every 32 bytes are a key.
    #[must_use]
    pub fn new(mut key: [u8; 32]) -> Self {
        let unbound = UnboundKey::new(&AES_256_GCM, &key).expect("AES-256 keys have 32 bytes");
        key.zeroize();
        Self(LessSafeKey::new(unbound))
    }

    /// Seals `buf`, whose last 16 bytes become the tag. A nonce must never be used twice with one key.
    ///
    /// # Panics
    /// If `buf` is shorter than a tag. That is a bug of the caller: lengths never come from the network.
    pub fn seal_in_place(&self, nonce: [u8; 12], aad: &[u8], buf: &mut [u8]) {
        let (text, tag) = buf.split_last_chunk_mut::<TAG>().expect("room for the tag");
        let sealed = self
            .0
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), text)
            .expect("a datagram is shorter than the limit of GCM");
        tag.copy_from_slice(sealed.as_ref());
    }

    /// Opens `buf` (`ciphertext ‖ tag`) and gives the plaintext, which lies at its beginning.
    ///
    /// # Errors
    /// [`Forged`]; `buf` then holds nothing useful.
    pub fn open_in_place<'a>(
        &self,
        nonce: [u8; 12],
        aad: &[u8],
        buf: &'a mut [u8],
    ) -> Result<&'a mut [u8], Forged> {
        self.0
            .open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(aad), buf)
            .map_err(|_| Forged)
    }

    /// Opens `sealed` (`ciphertext ‖ tag`) into `out`, which has the length of the plaintext; `sealed` stays as it is.
    ///
    /// # Errors
    /// [`Forged`], also if the lengths do not match.
    pub fn open_into(
        &self,
        nonce: [u8; 12],
        aad: &[u8],
        sealed: &[u8],
        out: &mut [u8],
    ) -> Result<(), Forged> {
        let (text, tag) = sealed.split_last_chunk::<TAG>().ok_or(Forged)?;
        if text.len() != out.len() {
            return Err(Forged);
        }
        self.0
            .open_separate_gather(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(aad),
                text,
                tag,
                out,
            )
            .map_err(|_| Forged)
    }
}

impl fmt::Debug for AeadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AeadKey(..)")
    }
}

/// `zero 4 ‖ counter 8`: the nonce of links and cells.
#[must_use]
pub fn counter_nonce(counter: u64) -> [u8; 12] {
    let [a, b, c, d, e, f, g, h] = counter.to_be_bytes();
    [0, 0, 0, 0, a, b, c, d, e, f, g, h]
}

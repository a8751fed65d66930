//! Session keys from the RSA exchange (protocol §7.3). RSA itself lies behind [`crate::rsa`].

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{aead::AeadKey, walk::DirectionKeys};
use crate::{
    kdf, labels,
    rsa::{OAEP_LEN, SPKI_LEN},
    wire::bytes::part,
};

/// All that master and endpoint sent each other: every byte of it goes into the session keys.
#[derive(Clone, Copy, Debug)]
pub struct Transcript<'a> {
    /// E of the endpoint.
    pub element: &'a [u8; 32],
    /// Y of the endpoint.
    pub reply: &'a [u8; 32],
    /// The endpoint's RSA public key.
    pub endpoint_spki: &'a [u8; SPKI_LEN],
    /// The master's RSA public key.
    pub master_spki: &'a [u8; SPKI_LEN],
    /// The master's ciphertext.
    pub oaep_m: &'a [u8; OAEP_LEN],
    /// The endpoint's ciphertext.
    pub oaep_e: &'a [u8; OAEP_LEN],
}

impl Transcript<'_> {
    /// T, the hash of the transcript: the salt of the session keys.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        Sha256::new()
            .chain_update(labels::EXCHANGE)
            .chain_update(self.element)
            .chain_update(self.reply)
            .chain_update(self.endpoint_spki)
            .chain_update(self.master_spki)
            .chain_update(self.oaep_m)
            .chain_update(self.oaep_e)
            .finalize()
            .into()
    }
}

/// Derives K1 of both directions and the confirmation from the transcript and the three secrets that both ends share: s of the walk
/// and the two seeds.
#[must_use]
pub fn session_keys(
    shared: &[u8; 32],
    transcript: &Transcript<'_>,
    seed_m: &[u8; 32],
    seed_e: &[u8; 32],
) -> (DirectionKeys, [u8; 32]) {
    let bytes = session_key_bytes(shared, transcript, seed_m, seed_e);
    let keys = DirectionKeys {
        forward: AeadKey::new(*part::<0, 32, _>(&bytes)),
        back: AeadKey::new(*part::<32, 32, _>(&bytes)),
    };
    (keys, *part::<64, 32, _>(&bytes))
}

/// `K1 forward 32 ‖ K1 back 32 ‖ confirmation 32`. Public for test vectors.
#[must_use]
pub fn session_key_bytes(
    shared: &[u8; 32],
    transcript: &Transcript<'_>,
    seed_m: &[u8; 32],
    seed_e: &[u8; 32],
) -> Zeroizing<[u8; 96]> {
    let secrets = Zeroizing::new([*shared, *seed_m, *seed_e]);
    kdf::derive(
        &transcript.hash(),
        secrets.as_flattened(),
        &[labels::SESSION],
    )
}

/// Compares confirmations in constant time.
#[must_use]
pub fn confirms(expected: &[u8; 32], given: &[u8; 32]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(expected, given).is_ok()
}
